//! Metrics to where they are collected: CloudWatch itself, or standard output in its embedded
//! format. A call is short, whatever happens: metrics are a side matter.

use std::time::{Duration, Instant};

use crate::flow::ports::{Fault, Metrics, Obstacle, Unsent};
use crate::limits::{CALL_TIMEOUT_MS, HTTP_ERROR_BYTES_MAX, METRICS_CALL_MS, METRICS_HURRIED_MS};
use crate::port::console;
use crate::port::credentials::{Credentials, Lookup};
use crate::port::http::{Failed, Http, Request, wall_ms};
use crate::stop::{Peer, Stop};
use crate::wire::aws_endpoint::{Variant, url};
use crate::wire::aws_identity::FORM;
use crate::wire::aws_sign::{Scope, Unsigned, sign};
use crate::wire::cloudwatch::{put_metric_data, reply};
use crate::wire::emf;
use crate::wire::metrics::Figures;

/// `METRICS=emf`.
pub struct Lines {
    pub interval_ms: u64,
}

impl Metrics for Lines {
    fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    fn call_ms_max(&self) -> u64 {
        0
    }

    fn put(&mut self, figures: &Figures<'_>, _: bool) -> Result<(), Unsent> {
        let line = emf::line(figures) + "\n";
        let unsent = |problem: String| Unsent { obstacle: Obstacle::Unreachable, problem };
        match console::result(line.as_bytes()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(unsent("nobody reads standard output any more".to_owned())),
            Err(problem) => Err(unsent(problem)),
        }
    }
}

/// `METRICS=cloudwatch`.
pub struct CloudWatch {
    http: Http,
    /// For the last call of a run that was asked to stop.
    hurried: Http,
    region: String,
    url: String,
    credentials: Credentials,
    interval_ms: u64,
}

impl CloudWatch {
    /// `lookup` is the environment; the error names the variable.
    pub fn new(
        lookup: Lookup<'_>,
        region: String,
        endpoint: Option<&str>,
        variant: Variant,
        credentials: Credentials,
        interval_ms: u64,
    ) -> Result<CloudWatch, String> {
        let url = match endpoint {
            Some(endpoint) => format!("{endpoint}/"),
            None => format!("{}/", url("monitoring", &region, variant)),
        };
        let http = Http::with_patience(lookup, METRICS_CALL_MS)?;
        let hurried = Http::with_patience(lookup, METRICS_HURRIED_MS)?;
        Ok(CloudWatch { http, hurried, region, url, credentials, interval_ms })
    }

    fn call(&self, body: &[u8], hurried: bool) -> Result<(), Unsent> {
        let place = format!("CloudWatch in {}", self.region);
        let began = Instant::now();
        let keys = if hurried {
            self.credentials.held().ok_or_else(|| no_time("credentials"))?
        } else {
            self.credentials.current(Peer::Ledger).map_err(|fault| Unsent {
                obstacle: Obstacle::NoCredentials,
                problem: words(fault),
            })?
        };
        // Whoever had to be asked for credentials may have taken the time of the call.
        if began.elapsed() > Duration::from_millis(CALL_TIMEOUT_MS - METRICS_CALL_MS) {
            return Err(no_time("credentials"));
        }
        let refused = |problem: String| Unsent { obstacle: Obstacle::Refused, problem };
        let mut headers = vec![("content-type".to_owned(), FORM.to_owned())];
        let request = Unsigned { method: "POST", url: &self.url, headers: &headers, body };
        let scope = Scope { service: "monitoring", region: &self.region, wall_ms: wall_ms() };
        let signed = sign(&request, &scope, &keys)
            .map_err(|problem| refused(format!("{place}: {problem}")))?;
        headers.extend(signed);
        let request =
            Request { body: Some(body), url: &self.url, headers: &headers, repeatable: false };
        let lost = |failed: Failed| Unsent {
            obstacle: Obstacle::Unreachable,
            problem: format!("{place}: {}", failed.problem),
        };
        let http = if hurried { &self.hurried } else { &self.http };
        let mut answer = http.send(&request).map_err(lost)?;
        let body = answer.read_all(HTTP_ERROR_BYTES_MAX).map_err(lost)?;
        reply(&place, answer.status(), &body).map_err(|refusal| {
            if refusal.is_expired {
                return refused(words(self.credentials.expired(Peer::Ledger, refusal.problem)));
            }
            refused(refusal.problem)
        })
    }
}

impl Metrics for CloudWatch {
    fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    fn call_ms_max(&self) -> u64 {
        CALL_TIMEOUT_MS
    }

    fn put(&mut self, figures: &Figures<'_>, hurried: bool) -> Result<(), Unsent> {
        self.call(put_metric_data(figures).as_bytes(), hurried)
    }
}

fn no_time(for_what: &str) -> Unsent {
    let problem = format!("no time was left after asking for {for_what}");
    Unsent { obstacle: Obstacle::NoCredentials, problem }
}

fn words(fault: Fault) -> String {
    match fault {
        Fault::Passing(trouble) => trouble.problem,
        Fault::Final(stop) => match *stop {
            Stop::Refused { problem, advice, .. } => format!("{problem}. {advice}"),
            stop => stop.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::http_script::{Act, Script, answer};
    use crate::wire::metrics::{Metric, Thousandths};

    fn put(script: &Script, hurried: &[bool]) -> Vec<Result<(), Unsent>> {
        let lookup = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush-hush".to_owned()),
            "AWS_SESSION_TOKEN" => Some("whisper".to_owned()),
            _ => None,
        };
        let mut metrics = CloudWatch::new(
            &|_| None,
            "eu-central-1".to_owned(),
            Some(&script.endpoint),
            Variant::default(),
            Credentials::from_environment(&lookup),
            60_000,
        )
        .unwrap();
        let values = [(Metric::BytesRead, Thousandths::whole(7))];
        let figures = Figures { job_id: "j", wall_ms: 1, values: &values };
        hurried.iter().map(|hurried| metrics.put(&figures, *hurried)).collect()
    }

    #[test]
    fn calls_are_signed() {
        let fine = || answer("200 OK", "", "<PutMetricDataResponse/>");
        let script = Script::run(vec![vec![fine()], vec![fine()]]);
        let found = put(&script, &[true, false, true]);
        // In a hurry nobody is asked for credentials.
        assert!(found[0].as_ref().unwrap_err().problem.contains("credentials"), "{found:?}");
        assert_eq!(found[1..], [Ok(()), Ok(())]);
        for request in script.requests() {
            assert!(request.starts_with("post / http/1.1"), "{request}");
            assert!(request.contains("/eu-central-1/monitoring/aws4_request"), "{request}");
            assert!(request.contains("x-amz-security-token: whisper"), "{request}");
            assert!(request.contains("\r\n\r\nAction=PutMetricData&"), "{request}");
            assert!(!request.contains("hush"), "{request}");
        }
    }

    #[test]
    fn what_goes_wrong() {
        let error = |code: &str| {
            format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>")
        };
        for (acts, obstacle, expected) in [
            (
                vec![answer("403 No", "", &error("AccessDenied"))],
                Obstacle::Refused,
                "CloudWatch in eu-central-1 answers AccessDenied (403). Allow cloudwatch:PutMetricData",
            ),
            (
                vec![answer("403 No", "", &error("ExpiredToken"))],
                Obstacle::Refused,
                "AWS_SESSION_TOKEN",
            ),
            (vec![Act::Ignore], Obstacle::Unreachable, "closed before all had come"),
            (vec![Act::Ignore, Act::Hold], Obstacle::Unreachable, "no answer in time"),
        ] {
            let script = Script::run(vec![acts]);
            let [found] = put(&script, &[false]).try_into().unwrap();
            let unsent = found.unwrap_err();
            assert_eq!(unsent.obstacle, obstacle, "{unsent:?}");
            assert!(unsent.problem.contains(expected), "{unsent:?}");
            assert!(!unsent.problem.contains("hush") && !unsent.problem.contains("whisper"));
        }
    }
}
