//! The notice that EC2 gives two minutes before it takes a Spot instance away (`IMDSv2`).
//!
//! ```text
//! PUT /latest/api/token                          a session; once, at the start
//! GET /latest/meta-data/spot/instance-action     404: no notice. 200: {"action":"terminate",…}
//! ```
//!
//! Who answers the first is asked the second every [`SPOT_POLL_MS`]; who does not is no EC2
//! instance, and is never asked again. A look that was slow puts the next one off, so that all
//! looks together take one part in [`SPOT_POLL_PARTS`] of the time at most.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::limits::{
    SPOT_POLL_MS, SPOT_POLL_PARTS, SPOT_SESSION_SECONDS, SPOT_TIMEOUT_MS, WAIT_SLICE_MS,
};
use crate::port::credentials::instance::Instance;
use crate::settings::AwsVariables;
use crate::wire::aws_identity::is_spot_notice;

/// How a log names who asked the run to stop.
const BY: &str = "the Spot notice of EC2";

/// The watch for it. A clone shares it.
#[derive(Clone, Default)]
pub struct Spot {
    /// `None`: this is no EC2 instance, or nobody wants to know.
    watch: Option<Rc<RefCell<Watch>>>,
}

struct Watch {
    instance: Instance,
    session: Option<String>,
    next: Instant,
    is_noticed: bool,
}

impl Spot {
    /// Nobody watches.
    pub fn off() -> Spot {
        Spot::default()
    }

    /// Asks once whether this is an EC2 instance, for a moment.
    pub fn probe(variables: &AwsVariables) -> Spot {
        let instance = Instance::new(variables, SPOT_TIMEOUT_MS);
        let Ok(session) = instance.session(SPOT_SESSION_SECONDS, 1) else {
            return Spot::off();
        };
        let (session, next) = (Some(session), Instant::now());
        let watch = Watch { instance, session, next, is_noticed: false };
        Spot { watch: Some(Rc::new(RefCell::new(watch))) }
    }

    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Who asks the run to stop, if EC2 does. Most calls look at the clock and no further.
    pub fn asks_to_stop(&self) -> Option<&'static str> {
        let mut watch = self.watch.as_ref()?.borrow_mut();
        watch.tend(Instant::now());
        watch.is_noticed.then_some(BY)
    }
}

impl Watch {
    fn tend(&mut self, now: Instant) {
        if self.is_noticed || now < self.next {
            return;
        }
        self.is_noticed = self.look();
        let after = Instant::now();
        let pause = (after - now).saturating_mul(SPOT_POLL_PARTS);
        self.next = after + pause.max(Duration::from_millis(SPOT_POLL_MS));
    }

    /// Whatever goes wrong is no notice: the next look may be better, and a run that is killed
    /// without one loses nothing.
    fn look(&mut self) -> bool {
        let session = match self.session.take() {
            Some(session) => session,
            None => match self.instance.session(SPOT_SESSION_SECONDS, 1) {
                Ok(session) => session,
                Err(_) => return false,
            },
        };
        let answer = self.instance.get("spot/instance-action", &session);
        // 401: the session is past its time; the next look begins with a fresh one.
        if !matches!(answer, Ok(Some((401, _)))) {
            self.session = Some(session);
        }
        matches!(answer, Ok(Some((200, body))) if is_spot_notice(&body))
    }
}

// A run that waits for something looks for a stop in every slice of it.
const _: () = assert!(WAIT_SLICE_MS < SPOT_POLL_MS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::credentials::tests::variables;
    use crate::port::http_script::{Act, Script, answer};

    const NOTICE: &str = r#"{"action":"terminate","time":"2026-11-21T08:22:00Z"}"#;

    fn probe(endpoint: &str) -> Spot {
        Spot::probe(&variables(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)]))
    }

    /// As if the time of the next look had come.
    fn due(spot: &Spot) {
        spot.watch.as_ref().unwrap().borrow_mut().next = Instant::now();
    }

    fn session() -> Act {
        answer("200 OK", "", "session==")
    }

    #[test]
    fn a_notice_stops_the_run_and_stays() {
        let none = || answer("404 Not Found", "", "");
        let script = Script::run(vec![vec![session(), none(), answer("200 OK", "", NOTICE)]]);
        let spot = probe(&script.endpoint);
        assert!(spot.is_watched());
        // Only the first of these looks: the others come too early.
        assert_eq!((0..3).find_map(|_| spot.asks_to_stop()), None);
        due(&spot);
        assert_eq!(spot.asks_to_stop(), Some("the Spot notice of EC2"));
        due(&spot);
        assert_eq!(spot.clone().asks_to_stop(), Some("the Spot notice of EC2"));
        drop(spot);
        let requests = script.requests();
        let put = "put /latest/api/token http/1.1";
        let get = "get /latest/meta-data/spot/instance-action http/1.1";
        assert_eq!(requests.len(), 3);
        for (request, (start, header)) in requests.iter().zip([
            (put, "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"),
            (get, "x-aws-ec2-metadata-token: session==\r\n"),
            (get, "x-aws-ec2-metadata-token: session==\r\n"),
        ]) {
            assert!(request.starts_with(start) && request.contains(header), "{request}");
        }
    }

    #[test]
    fn a_session_that_has_ended_is_renewed() {
        let notice = answer("200 OK", "", NOTICE);
        let script =
            Script::run(vec![vec![session(), answer("401 No", "", ""), session(), notice]]);
        let spot = probe(&script.endpoint);
        assert_eq!(spot.asks_to_stop(), None);
        due(&spot);
        assert!(spot.asks_to_stop().is_some());
        drop(spot);
        assert_eq!(script.requests().len(), 4);
    }

    #[test]
    fn what_is_no_notice() {
        for (status, body) in
            [("404 No", NOTICE), ("500 No", NOTICE), ("200 OK", "{}"), ("200 OK", "<html>")]
        {
            let script = Script::run(vec![vec![session(), answer(status, "", body)]]);
            let spot = probe(&script.endpoint);
            assert_eq!(spot.asks_to_stop(), None, "{status} {body}");
        }
    }

    #[test]
    fn a_slow_look_puts_the_next_one_off() {
        let script = Script::run(vec![vec![session(), Act::Ignore, Act::Hold]]);
        let spot = probe(&script.endpoint);
        let begun = Instant::now();
        assert_eq!(spot.asks_to_stop(), None);
        let waits = spot.watch.as_ref().unwrap().borrow().next - begun;
        assert!(waits >= Duration::from_millis(SPOT_TIMEOUT_MS) * SPOT_POLL_PARTS);
    }

    #[test]
    fn nobody_watches_where_nobody_answers() {
        let off = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ];
        assert!(!Spot::probe(&variables(&off)).is_watched());
        assert!(!Spot::probe(&variables(&off[1..])).is_watched());
        assert_eq!(Spot::off().asks_to_stop(), None);
        for act in [answer("404 No", "", ""), answer("200 OK", "", "not a token"), Act::Ignore] {
            let script = Script::run(vec![vec![act]]);
            assert!(!probe(&script.endpoint).is_watched());
            assert_eq!(script.requests().len(), 1, "it is asked once");
        }
    }
}
