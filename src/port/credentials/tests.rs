//! The chain: what it says when nobody knows, and when it asks again. Its clock is ours.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::UNIX_EPOCH;

use super::*;
use crate::port::http_script::{Script, answer};

pub(super) type Values<'a> = &'a [(&'a str, &'a str)];

/// What the settings say of AWS.
pub(in crate::port) fn variables(values: Values<'_>) -> AwsVariables {
    let mut variables = AwsVariables::default();
    for (name, value) in values {
        variables.set(name, value);
    }
    variables
}

pub(super) fn shown(found: &Result<Keys, NoKeys>) -> String {
    match found {
        Ok(keys) => format!(
            "{} {} {}",
            keys.access_key_id(),
            keys.secret_access_key(),
            keys.session_token().unwrap_or("-")
        ),
        Err(NoKeys::NotHere(why)) => format!("not here: {why}"),
        Err(NoKeys::Passing(why)) => format!("passing: {why}"),
        Err(NoKeys::Refused { problem, advice }) => format!("refused: {problem}. {advice}"),
    }
}

fn of(values: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |name| values.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
}

const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKID");
const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "hush");
const TOKEN: (&str, &str) = ("AWS_SESSION_TOKEN", "whisper");

#[test]
fn keys_from_the_environment() {
    let cases: [(&'static [_], Result<Option<&str>, &str>); 5] = [
        (&[ID, SECRET], Ok(None)),
        (&[ID, SECRET, TOKEN], Ok(Some("whisper"))),
        (&[ID, SECRET, ("AWS_SESSION_TOKEN", "")], Ok(None)),
        (&[ID, TOKEN], Err("without AWS_SECRET_ACCESS_KEY")),
        (&[("AWS_ACCESS_KEY_ID", " "), ("X", "y")], Err("AWS_ACCESS_KEY_ID is not set")),
    ];
    for (values, expected) in cases {
        let credentials = Credentials::from_environment(&of(values));
        match (credentials.current(Peer::Ledger), expected) {
            (Ok(keys), Ok(token)) => {
                assert_eq!(keys.access_key_id(), "AKID");
                assert_eq!(keys.secret_access_key(), "hush");
                assert_eq!(keys.session_token(), token);
                let shown = format!("{keys:?}");
                assert!(!shown.contains("hush") && !shown.contains("whisper"), "{shown}");
            }
            (Err(Fault::Final(stop)), Err(words)) => {
                let text = stop.to_string();
                assert!(text.contains(words) && !text.contains("whisper"), "{text}");
            }
            (found, _) => panic!("{found:?}"),
        }
    }
}

#[test]
fn keys_of_the_environment_are_renewed_by_hand() {
    let fixed = Credentials::from_environment(&of(&[ID, SECRET]));
    fixed.current(Peer::Source).unwrap();
    let Fault::Final(stop) = fixed.expired(Peer::Source, "late".into()) else { panic!() };
    assert!(stop.to_string().contains("start again"), "{stop}");
}

#[test]
fn where_nobody_knows_all_are_named_in_order() {
    let http = Http::new(&|_| None).unwrap();
    let variables = variables(&[("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nowhere")]);
    let chain = Credentials::find(&variables, &http, "eu-west-1", Variant::default());
    let Err(Fault::Final(stop)) = chain.current(Peer::Ledger) else { panic!() };
    let text = stop.to_string();
    let tried = [
        "environment: AWS_ACCESS_KEY_ID is not set",
        "profile: there is no profile default (/nowhere/.aws/config, /nowhere/.aws/credentials)",
        "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        "container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set",
        "instance: AWS_EC2_METADATA_DISABLED is true",
    ];
    assert!(text.contains(&tried.join("; ")), "{text}");
    assert_eq!(stop.exit_code(), 1);
}

#[test]
fn the_region_is_looked_for_too() {
    let quiet = [("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nowhere")];
    assert_eq!(region(Some("eu-west-1"), &variables(&quiet)), Ok("eu-west-1".into()));
    let problem = region(None, &variables(&quiet)).unwrap_err().to_string();
    for words in ["AWS_REGION is missing", "profile: there is no profile default", "DISABLED"] {
        assert!(problem.contains(words), "{problem}");
    }
    let odd = region(Some("evil.example/"), &variables(&quiet)).unwrap_err();
    assert_eq!(odd.exit_code(), 1);
    let script = Script::run(vec![vec![answer("503 Busy", "", "")]]);
    let busy =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", script.endpoint.as_str()), ("HOME", "/nowhere")];
    let stop = region(None, &variables(&busy)).unwrap_err();
    assert_eq!(stop.exit_code(), 75, "{stop}");
}

// --- Renewal ----------------------------------------------------------------------------

/// Answers what it was told to: `Ok` with the moment when the keys end.
struct Scripted(VecDeque<Result<Option<u64>, NoKeys>>, u32);

impl Link for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn keys(&mut self) -> Result<Keys, NoKeys> {
        let answer = self.0.pop_front().unwrap_or_else(|| panic!("asked once too often"));
        answer.map(|end| {
            self.1 += 1;
            let end = end.map(|minutes| UNIX_EPOCH + Duration::from_secs(60 * minutes));
            Keys::new(format!("K{}", self.1), "s", None, end, "test")
        })
    }
    fn renewal(&self) -> Renewal {
        Renewal::Itself
    }
}

/// What happens at a moment, in seconds, and what comes of it.
enum Step {
    Asked(&'static str),
    Expired,
}

/// Its name, what the link answers, and what happens when.
type Case = (&'static str, Vec<Result<Option<u64>, NoKeys>>, Vec<(u64, Step)>);

#[test]
fn when_the_link_is_asked_again() {
    use Step::{Asked, Expired};
    let ends = |minutes| Ok(Some(minutes));
    let passing = || Err(NoKeys::Passing("later".into()));
    let gone = || Err(NoKeys::NotHere("gone".into()));
    let refused = || Err(NoKeys::Refused { problem: "no".into(), advice: "Mend".into() });
    let minute = 60;
    let cases: Vec<Case> = vec![
        ("without an end", vec![Ok(None)], vec![(0, Asked("K1")), (999_999, Asked("K1"))]),
        (
            "15 minutes before the end",
            vec![ends(60), ends(120)],
            vec![(0, Asked("K1")), (45 * minute, Asked("K1")), (45 * minute + 1, Asked("K2"))],
        ),
        (
            "the old ones stay while they last, and 30 s lie between",
            vec![ends(60), passing(), refused(), ends(120)],
            vec![
                (0, Asked("K1")),
                (46 * minute, Asked("K1")),
                (46 * minute + 29, Asked("K1")),
                (46 * minute + 30, Asked("K1")),
                (50 * minute, Asked("K2")),
            ],
        ),
        (
            "past their time each call asks",
            vec![ends(60), passing(), gone(), refused(), ends(120)],
            vec![
                (0, Asked("K1")),
                (60 * minute, Asked("passing")),
                (60 * minute, Asked("passing")),
                (60 * minute, Asked("final")),
                (60 * minute, Asked("K2")),
            ],
        ),
        (
            "the service decides over what comes past its time",
            vec![ends(0), ends(1), ends(120)],
            vec![(60, Asked("K1")), (89, Asked("K1")), (90, Asked("K2")), (120, Asked("K3"))],
        ),
        (
            "at once when the service says so, once in 30 s",
            vec![ends(60), ends(60), ends(60)],
            vec![
                (0, Asked("K1")),
                (1, Expired),
                (1, Asked("K2")),
                (2, Expired),
                (2, Asked("K2")),
                (31, Asked("K3")),
                (32, Asked("K3")),
            ],
        ),
        (
            "what the service refuses is of no use",
            vec![ends(60), passing(), ends(60)],
            vec![(0, Asked("K1")), (1, Expired), (1, Asked("passing")), (2, Asked("K2"))],
        ),
        (
            "first asked, a passing fault is one",
            vec![passing(), refused(), gone(), Ok(None)],
            vec![(0, Asked("passing")), (0, Asked("final")), (0, Asked("final")), (0, Asked("K1"))],
        ),
    ];
    for (name, answers, steps) in cases {
        let seconds = Rc::new(Cell::new(0));
        let time = Rc::clone(&seconds);
        let clock = move || {
            let now = Duration::from_secs(time.get());
            Now { monotonic: now, wall: UNIX_EPOCH + now }
        };
        let chain =
            Credentials::with_clock(vec![Box::new(Scripted(answers.into(), 0))], Box::new(clock));
        for (at, step) in steps {
            seconds.set(at);
            let found = match step {
                Expired => {
                    let fault = chain.expired(Peer::Source, "late".into());
                    assert_eq!(fault, Fault::passing("late"), "{name}, {at}");
                    continue;
                }
                Asked(expected) => (chain.current(Peer::Source), expected),
            };
            let (found, expected) = (found.0, found.1);
            let word = match &found {
                Ok(keys) => keys.access_key_id(),
                Err(Fault::Passing(_)) => "passing",
                Err(Fault::Final(_)) => "final",
            };
            assert_eq!(word, expected, "{name}, after {at} s");
        }
    }
}

#[test]
fn a_slow_renewal_waits_longer() {
    let seconds = Duration::from_secs;
    for (spent, wait) in [(0, 30), (1, 100), (2, 200), (4, 300)] {
        assert_eq!(retry(seconds(spent)), seconds(wait));
    }
}
