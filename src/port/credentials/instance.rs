//! The role of an EC2 instance, from its metadata (`IMDSv2`), and its region.
//!
//! ```text
//! PUT /latest/api/token                                         a session, nothing without one
//! GET /latest/meta-data/iam/security-credentials/               the name of the role
//! GET /latest/meta-data/iam/security-credentials/<role>         its credentials
//! GET /latest/meta-data/placement/region
//! ```
//!
//! Elsewhere nothing answers at that address, or somebody who knows none of this: then the
//! machine is no instance.

use aws_credential_types::Credentials as Keys;

use super::{Link, NoKeys, Renewal};
use crate::limits::{CREDENTIALS_ANSWER_BYTES_MAX, METADATA_ATTEMPTS_MAX};
use crate::port::http::{Answer, Failed, Http, Request};
use crate::settings::AwsVariables;
use crate::wire::aws_identity::{Refusal, document};
use crate::wire::http::one_line;

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";
/// How long a session lasts that is used for a few requests.
const SESSION_SECONDS: u32 = 60;

pub(in crate::port) struct Instance {
    http: Http,
    endpoint: String,
    is_off: bool,
}

impl Instance {
    /// One request takes at most `request_ms`.
    pub(in crate::port) fn new(variables: &AwsVariables, request_ms: u64) -> Instance {
        let is_word = |name: &str, word: &str| {
            variables.get(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        let endpoint = match variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            Some(endpoint) => endpoint.trim_end_matches('/'),
            None if is_word("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6") => IPV6,
            None => IPV4,
        };
        Instance {
            http: Http::nearby(request_ms),
            endpoint: endpoint.to_owned(),
            is_off: is_word("AWS_EC2_METADATA_DISABLED", "true"),
        }
    }

    pub(super) fn region(&self) -> Result<String, NoKeys> {
        let session = self.short_session()?;
        let text = self.text("placement/region", &session)?;
        text.ok_or_else(|| NoKeys::NotHere("the metadata names no region".into()))
    }

    fn short_session(&self) -> Result<String, NoKeys> {
        self.session(SESSION_SECONDS, METADATA_ATTEMPTS_MAX)
    }

    /// A token for the requests that follow.
    pub(in crate::port) fn session(
        &self,
        seconds: u32,
        attempts_max: u32,
    ) -> Result<String, NoKeys> {
        if self.is_off {
            return Err(NoKeys::NotHere("AWS_EC2_METADATA_DISABLED is true".into()));
        }
        let url = format!("{}/latest/api/token", self.endpoint);
        let ttl = ("x-aws-ec2-metadata-token-ttl-seconds".to_owned(), seconds.to_string());
        let request = Request { body: None, url: &url, headers: &[ttl], repeatable: true };
        let mut silent = String::new();
        for _ in 0..attempts_max {
            let mut answer = match self.http.put(&request) {
                Ok(answer) => answer,
                Err(failed) => {
                    silent = failed.problem;
                    continue;
                }
            };
            let status = answer.status();
            let body = body_of(&mut answer)?;
            return match (status, String::from_utf8(body)) {
                (200, Ok(token)) if is_token(&token) => Ok(token),
                (429 | 500.., _) => Err(NoKeys::Passing(format!("the metadata answers {status}"))),
                (403, _) => Err(NoKeys::NotHere("the metadata are switched off".into())),
                _ => Err(NoKeys::NotHere(format!("what answers there is no IMDSv2 ({status})"))),
            };
        }
        Err(NoKeys::NotHere(format!(
            "{silent}: this is no EC2 instance, or a container that its hop limit keeps away"
        )))
    }

    /// `None`: there is no such thing.
    pub(in crate::port) fn get(
        &self,
        path: &str,
        session: &str,
    ) -> Result<Option<(u16, Vec<u8>)>, NoKeys> {
        let url = format!("{}/latest/meta-data/{path}", self.endpoint);
        let header = ("x-aws-ec2-metadata-token".to_owned(), session.to_owned());
        let request = Request { body: None, url: &url, headers: &[header], repeatable: true };
        let mut answer = self.http.send(&request).map_err(passing)?;
        let status = answer.status();
        if status == 404 {
            return Ok(None);
        }
        let body = body_of(&mut answer)?;
        Ok(Some((status, body)))
    }

    /// The one line that an answer is.
    fn text(&self, path: &str, session: &str) -> Result<Option<String>, NoKeys> {
        let Some((status, body)) = self.get(path, session)? else { return Ok(None) };
        if status != 200 {
            return Err(NoKeys::Passing(format!("the metadata answer {status} for {path}")));
        }
        let text = String::from_utf8_lossy(&body);
        let line = text.trim().lines().next().unwrap_or_default();
        Ok(if line.is_empty() { None } else { Some(line.trim().to_owned()) })
    }
}

impl Link for Instance {
    fn name(&self) -> &'static str {
        "instance"
    }

    fn keys(&mut self) -> Result<Keys, NoKeys> {
        let session = self.short_session()?;
        let no_role = || NoKeys::NotHere("this EC2 instance has no role (instance profile)".into());
        let role = self.text("iam/security-credentials/", &session)?.ok_or_else(no_role)?;
        let shown = one_line(&role);
        // IAM's letters: it becomes a part of a URL.
        if !role.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b)) {
            return Err(NoKeys::Passing(format!("the metadata name a role that is none: {shown}")));
        }
        let path = format!("iam/security-credentials/{role}");
        let (status, body) = self.get(&path, &session)?.ok_or_else(no_role)?;
        let who = format!("the instance's metadata for its role {shown}");
        document(&who, status, &body).map_err(|refusal| match refusal {
            Refusal::Passing(problem) => NoKeys::Passing(problem),
            Refusal::Final { problem, .. } => NoKeys::Refused {
                problem,
                advice: format!("See that the role {shown} is still there, and that its trust policy allows sts:AssumeRole to ec2.amazonaws.com"),
            },
        })
    }

    fn renewal(&self) -> Renewal {
        Renewal::Itself
    }
}

fn body_of(answer: &mut Answer) -> Result<Vec<u8>, NoKeys> {
    answer.read_all(CREDENTIALS_ANSWER_BYTES_MAX).map_err(passing)
}

fn passing(failed: Failed) -> NoKeys {
    // The client's advice is about other endpoints.
    NoKeys::Passing(failed.problem)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::METADATA_TIMEOUT_MS;
    use crate::port::credentials::tests::{shown, variables};
    use crate::port::http_script::{Act, Script, answer};

    const GOOD: &str = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"whisper","Expiration":"2094-11-06T08:49:37Z"}"#;

    fn at(set: &[(&str, &str)]) -> Instance {
        Instance::new(&variables(set), METADATA_TIMEOUT_MS)
    }

    fn instance(endpoint: &str) -> Instance {
        at(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)])
    }

    #[test]
    fn a_session_a_role_its_credentials() {
        let script = Script::run(vec![vec![
            answer("200 OK", "", "session=="),
            answer("200 OK", "", "load-role\n"),
            answer("200 OK", "", GOOD),
            answer("200 OK", "", "session=="),
            answer("200 OK", "", "eu-west-1"),
        ]]);
        let mut instance = instance(&format!("{}/", script.endpoint));
        assert_eq!(shown(&instance.keys()), "ASIA hush whisper");
        assert_eq!(instance.region(), Ok("eu-west-1".into()));
        drop(instance);
        let requests = script.requests();
        let starts = [
            "put /latest/api/token http/1.1",
            "get /latest/meta-data/iam/security-credentials/ http/1.1",
            "get /latest/meta-data/iam/security-credentials/load-role http/1.1",
            "put /latest/api/token http/1.1",
            "get /latest/meta-data/placement/region http/1.1",
        ];
        assert_eq!(requests.len(), starts.len());
        for (request, start) in requests.iter().zip(starts) {
            assert!(request.starts_with(start), "{request}");
            let header = if start.starts_with("put") {
                "x-aws-ec2-metadata-token-ttl-seconds: 60\r\n"
            } else {
                "x-aws-ec2-metadata-token: session==\r\n"
            };
            assert!(request.contains(header), "{request}");
        }
    }

    #[test]
    fn what_is_no_instance_and_what_is_one_in_trouble() {
        let session = || answer("200 OK", "", "s");
        let role = || answer("200 OK", "", "r");
        let cases: Vec<(Vec<Act>, &str)> = vec![
            (vec![answer("404 No", "", "")], "not here: what answers there is no IMDSv2 (404)"),
            (vec![answer("403 No", "", "")], "not here: the metadata are switched off"),
            (vec![answer("200 OK", "", "a b")], "not here: what answers there is no IMDSv2 (200)"),
            (vec![answer("503 No", "", "")], "passing: the metadata answers 503"),
            (vec![session(), answer("404 No", "", "")], "not here: this EC2 instance has no role"),
            (
                vec![session(), answer("200 OK", "", "\n")],
                "not here: this EC2 instance has no role",
            ),
            (
                vec![session(), answer("200 OK", "", "../x")],
                "passing: the metadata name a role that is none: ../x",
            ),
            (vec![session(), answer("500 No", "", "")], "passing: the metadata answer 500 for iam"),
            (
                vec![session(), role(), answer("404 No", "", "")],
                "not here: this EC2 instance has no role",
            ),
            (
                vec![
                    session(),
                    role(),
                    answer(
                        "200 OK",
                        "",
                        r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"m"}"#,
                    ),
                ],
                "passing: the instance's metadata for its role r answers AssumeRoleUnauthorizedAccess: m",
            ),
            (
                vec![session(), role(), answer("401 No", "", "")],
                "refused: the instance's metadata for its role r answers HTTP 401",
            ),
            (
                vec![session(), role(), answer("200 OK", "", &"x".repeat(70_000))],
                "passing: the answer is longer",
            ),
        ];
        for (acts, expected) in cases {
            let script = Script::run(vec![acts]);
            let found = shown(&instance(&script.endpoint).keys());
            assert!(found.starts_with(expected), "{found} / {expected}");
        }
    }

    #[test]
    fn nobody_answers_or_nobody_is_to_be_asked() {
        let off = [
            ("AWS_EC2_METADATA_DISABLED", "TRUE"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ];
        assert_eq!(shown(&at(&off).keys()), "not here: AWS_EC2_METADATA_DISABLED is true");
        let found = shown(&at(&off[1..]).keys());
        assert!(found.starts_with("not here: ") && found.contains("no EC2 instance"), "{found}");
        let mode = [("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv6")];
        assert_eq!(at(&mode).endpoint, IPV6);
        assert_eq!(at(&[]).endpoint, IPV4);
    }
}
