//! The role of a container: an address in its environment, of ECS or of EKS Pod Identity.
//!
//! ```text
//! ECS  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI   at 169.254.170.2
//! EKS  AWS_CONTAINER_CREDENTIALS_FULL_URI       https, or a host that is this machine's own
//!      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE   before AWS_CONTAINER_AUTHORIZATION_TOKEN
//! ```

use std::net::IpAddr;

use aws_credential_types::Credentials as Keys;

use super::{Link, NoKeys, Renewal};
use crate::limits::{CONTAINER_TIMEOUT_MS, CREDENTIALS_ANSWER_BYTES_MAX, SECRET_FILE_BYTES_MAX};
use crate::port::http::{Http, Request};
use crate::port::small_file::{Unread, read_text};
use crate::settings::AwsVariables;
use crate::wire::aws_identity::{Refusal, document};

const ECS: &str = "http://169.254.170.2";
/// Hosts that `http` is allowed to: ECS, and EKS in both families.
const HTTP_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

pub(super) struct Container {
    relative: Option<String>,
    full: Option<String>,
    token: Option<String>,
    token_file: Option<String>,
    http: Http,
}

impl Container {
    pub(super) fn new(variables: &AwsVariables) -> Container {
        let value = |name: &str| variables.get(name).map(str::to_owned);
        Container {
            relative: value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            full: value("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            token: value("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            token_file: value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            http: Http::nearby(CONTAINER_TIMEOUT_MS),
        }
    }

    /// Where to ask.
    fn url(&self) -> Result<String, NoKeys> {
        let refused = |problem: &str| NoKeys::Refused {
            problem: problem.to_owned(),
            advice: "ECS and EKS set it themselves: remove it from the environment, or mend it"
                .into(),
        };
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        match (&self.relative, &self.full) {
            (Some(path), _) if path.starts_with('/') && is_plain(path) => {
                Ok(format!("{ECS}{path}"))
            }
            (Some(_), _) => {
                Err(refused("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI takes a path like /v2/…"))
            }
            (None, Some(url)) if is_plain(url) && is_allowed(url) => Ok(url.clone()),
            (None, Some(_)) => Err(refused(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI takes https://…, or http:// and the host of ECS, of EKS or of this machine itself",
            )),
            (None, None) => Err(NoKeys::NotHere(
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set".into(),
            )),
        }
    }

    /// The token that the endpoint wants; its file is read each time, since it is replaced.
    fn token(&self) -> Result<Option<String>, NoKeys> {
        let (token, origin) = match (&self.token_file, &self.token) {
            (Some(file), _) => match read_text(file, SECRET_FILE_BYTES_MAX) {
                Ok(text) => (text, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
                Err(Unread { problem }) => {
                    return Err(NoKeys::Refused {
                        problem: format!("the token file {problem}"),
                        advice: "Mend AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, or see why the file is not there (EKS: the Pod Identity agent)".into(),
                    });
                }
            },
            (None, Some(token)) => (token.clone(), "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            (None, None) => return Ok(None),
        };
        // It goes into a header as it is.
        if token.contains(['\r', '\n']) {
            return Err(NoKeys::Refused {
                problem: format!("{origin} has a line end inside"),
                advice: "A token is one line without its end".into(),
            });
        }
        Ok(Some(token))
    }

    fn ask(&self, url: &str) -> Result<Keys, NoKeys> {
        let token = self.token()?;
        let headers: Vec<(String, String)> =
            token.into_iter().map(|token| ("authorization".to_owned(), token)).collect();
        let request = Request { body: None, url, headers: &headers, repeatable: true };
        let refused = |problem: String| {
            NoKeys::Refused {
            problem,
            advice: "See whether the task has a role (ECS: taskRoleArn) or the service account a Pod Identity association (EKS)".into(),
        }
        };
        // The client's advice is about other endpoints.
        let mut answer =
            self.http.send(&request).map_err(|failed| NoKeys::Passing(failed.problem))?;
        let body = answer
            .read_all(CREDENTIALS_ANSWER_BYTES_MAX)
            .map_err(|failed| NoKeys::Passing(failed.problem))?;
        document("the container's endpoint", answer.status(), &body).map_err(
            |refusal| match refusal {
                Refusal::Passing(problem) => NoKeys::Passing(problem),
                Refusal::Final { problem, .. } => refused(problem),
            },
        )
    }
}

impl Link for Container {
    fn name(&self) -> &'static str {
        "container"
    }
    fn keys(&mut self) -> Result<Keys, NoKeys> {
        let url = self.url()?;
        self.ask(&url)
    }
    fn renewal(&self) -> Renewal {
        Renewal::Itself
    }
}

/// Over `http` the token would be readable on the way: only hosts without a way are allowed.
fn is_allowed(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return false;
    }
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => true,
        "http" => is_loopback || host == "localhost" || HTTP_HOSTS.contains(&host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::credentials::tests::{Values, shown, variables};
    use crate::port::http_script::{Act, Script, answer};

    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
    const GOOD: &str = r#"{"AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"whisper","Expiration":"2094-11-06T08:49:37Z"}"#;

    #[test]
    fn where_it_may_be() {
        let cases: [(Values, Result<&str, &str>); 20] = [
            (&[], Err("not here")),
            (&[(RELATIVE, "/v2/x")], Ok("http://169.254.170.2/v2/x")),
            (&[(RELATIVE, "/v2/x"), (FULL, "https://a/")], Ok("http://169.254.170.2/v2/x")),
            (&[(RELATIVE, "v2/x")], Err("refused")),
            (&[(RELATIVE, ".evil.example/")], Err("refused")),
            (&[(RELATIVE, "/a\r\nb")], Err("refused")),
            (&[(FULL, "https://a.example/x")], Ok("https://a.example/x")),
            (&[(FULL, "http://a.example/x")], Err("refused")),
            (&[(FULL, "http://169.254.170.23/v1")], Ok("http://169.254.170.23/v1")),
            (&[(FULL, "http://[fd00:ec2::23]/v1")], Ok("http://[fd00:ec2::23]/v1")),
            (&[(FULL, "http://127.9.9.9:80/v1")], Ok("http://127.9.9.9:80/v1")),
            (&[(FULL, "http://[::1]:80/v1")], Ok("http://[::1]:80/v1")),
            (&[(FULL, "http://localhost:80/v1")], Ok("http://localhost:80/v1")),
            (&[(FULL, "http://169.254.170.2@evil.example/")], Err("refused")),
            (&[(FULL, "http://169.254.170.2.evil.example/")], Err("refused")),
            (&[(FULL, "http://169.254.169.254/")], Err("refused")),
            (&[(FULL, "ftp://127.0.0.1/")], Err("refused")),
            (&[(FULL, "http:///x")], Err("refused")),
            (&[(FULL, "http://127.0.0.1/a b")], Err("refused")),
            (&[(FULL, "127.0.0.1")], Err("refused")),
        ];
        for (values, expected) in cases {
            let found = Container::new(&variables(values)).url();
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(NoKeys::NotHere(_)), Err("not here"))
                | (Err(NoKeys::Refused { .. }), Err("refused")) => {}
                (found, _) => panic!("{values:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_token_goes_as_it_is_and_its_file_wins() {
        let directory = std::env::temp_dir().join(format!("ctk-container-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("token");
        let file_name = file.to_str().unwrap();
        let script = Script::run(vec![
            vec![answer("200 OK", "", GOOD)],
            vec![answer("200 OK", "", GOOD)],
            vec![answer("200 OK", "", GOOD)],
        ]);
        let url = format!("{}/v1/credentials", script.endpoint);
        let ask = |values: &[(&str, &str)]| {
            let mut values = values.to_vec();
            values.push((FULL, &url));
            shown(&Container::new(&variables(&values)).keys())
        };
        let with_file = [(TOKEN, "direct"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_name)];
        let missing = ask(&with_file);
        assert!(missing.contains("is not there") && missing.contains("EKS"), "{missing}");
        std::fs::write(&file, "evil\r\nx: y").unwrap();
        let evil = ask(&with_file);
        assert!(evil.contains("a line end inside") && !evil.contains("evil"), "{evil}");
        std::fs::write(&file, "filed").unwrap();
        for values in [&with_file[..], &with_file[..1], &[]] {
            assert_eq!(ask(values), "ASIA hush whisper");
        }
        std::fs::remove_dir_all(&directory).unwrap();
        let requests = script.requests();
        for (request, token) in requests.iter().zip([Some("filed"), Some("direct"), None]) {
            assert!(request.starts_with("get /v1/credentials http/1.1\r\n"), "{request}");
            let sent = request.lines().find_map(|line| line.strip_prefix("authorization: "));
            assert_eq!(sent, token, "{request}");
        }
        assert_eq!(requests.len(), 3);
    }

    #[test]
    fn refusals() {
        let cases = [
            (
                answer("403 No", "", r#"{"code":"AccessDeniedException","message":"m"}"#),
                "refused: the container's endpoint answers AccessDeniedException (403): m. See whether the task has a role",
            ),
            (answer("404 No", "", "x"), "refused: the container's endpoint answers HTTP 404"),
            (answer("500 No", "", ""), "passing: the container's endpoint answers HTTP 500"),
            (
                answer("302 No", "location: http://127.0.0.1:1/\r\n", ""),
                "refused: the container's endpoint answers HTTP 302",
            ),
            (
                answer("200 OK", "", "{"),
                "passing: the container's endpoint answers without its AccessKeyId",
            ),
            (answer("200 OK", "", &"x".repeat(70_000)), "passing: the answer is longer than"),
            (Act::Ignore, "passing: "),
        ];
        for (act, expected) in cases {
            let script = Script::run(vec![vec![act], vec![]]);
            let values = [(FULL, script.endpoint.as_str()), (TOKEN, "whisper")];
            let found = shown(&Container::new(&variables(&values)).keys());
            assert!(found.starts_with(expected) && !found.contains("whisper"), "{found}");
        }
    }
}
