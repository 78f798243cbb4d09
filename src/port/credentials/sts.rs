//! Roles, by the security token service of the region: with keys, or with a token that stands
//! for them.

use aws_credential_types::Credentials as Keys;

use super::{Link, NoKeys, Renewal};
use crate::flow::ports::Caller;
use crate::limits::{CREDENTIALS_ANSWER_BYTES_MAX, SECRET_FILE_BYTES_MAX};
use crate::port::http::{Failed, Http, Request, wall_ms};
use crate::port::small_file::{Unread, read_text};
use crate::settings::AwsVariables;
use crate::wire::aws_endpoint::{Variant, url};
use crate::wire::aws_identity::{
    CALLER_IDENTITY, FORM, Refusal, assume_role, assume_role_with_web_identity, caller_reply,
    sts_reply,
};
use crate::wire::aws_profile::Role;
use crate::wire::aws_sign::{Scope, Unsigned, sign};
use crate::wire::http::one_line;

/// The service in a region.
#[derive(Clone)]
pub(super) struct Sts {
    http: Http,
    region: String,
    url: String,
}

impl Sts {
    pub(super) fn new(http: Http, region: &str, variant: Variant, variables: &AwsVariables) -> Sts {
        let own = variables.get("AWS_ENDPOINT_URL_STS");
        let url = match own.or_else(|| variables.get("AWS_ENDPOINT_URL")) {
            Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
            None => format!("{}/", url("sts", region, variant)),
        };
        Sts { http, region: region.to_owned(), url }
    }

    pub(super) fn assume(&self, role: &Role, base: &Keys) -> Result<Keys, NoKeys> {
        let body = assume_role(role);
        let headers = vec![("content-type".to_owned(), FORM.to_owned())];
        let request =
            Unsigned { method: "POST", url: &self.url, headers: &headers, body: body.as_bytes() };
        let scope = Scope { service: "sts", region: &self.region, wall_ms: wall_ms() };
        let signed = sign(&request, &scope, base).map_err(|problem| NoKeys::Refused {
            problem: problem.to_string(),
            advice: "Mend AWS_ENDPOINT_URL_STS".into(),
        })?;
        let headers: Vec<_> = headers.into_iter().chain(signed).collect();
        let arn = one_line(&role.arn);
        let allow = format!(
            "Allow sts:AssumeRole on {arn} to the identity of source_profile or credential_source, in the trust policy of {arn} too"
        );
        self.ask(role, &body, &headers, &allow)
    }

    /// Whose the keys are. Nobody can forbid the question.
    pub(super) fn caller(&self, keys: &Keys) -> Result<Caller, NoKeys> {
        let body = CALLER_IDENTITY.as_bytes();
        let headers = vec![("content-type".to_owned(), FORM.to_owned())];
        let request = Unsigned { method: "POST", url: &self.url, headers: &headers, body };
        let scope = Scope { service: "sts", region: &self.region, wall_ms: wall_ms() };
        let signed =
            sign(&request, &scope, keys).map_err(|problem| NoKeys::Passing(problem.to_string()))?;
        let headers: Vec<_> = headers.into_iter().chain(signed).collect();
        let request =
            Request { body: Some(body), url: &self.url, headers: &headers, repeatable: true };
        let failed = |failed: Failed| NoKeys::Passing(format!("STS: {}", failed.problem));
        let mut answer = self.http.send(&request).map_err(failed)?;
        let body = answer.read_all(CREDENTIALS_ANSWER_BYTES_MAX).map_err(failed)?;
        match caller_reply(answer.status(), &body) {
            Ok((account, arn)) => Ok(Caller { account, arn }),
            Err(Refusal::Passing(problem) | Refusal::Final { problem, .. }) => {
                Err(NoKeys::Passing(problem))
            }
        }
    }

    /// The file is read each time: whoever issues the token replaces it before its end.
    pub(super) fn assume_with_token(&self, role: &Role, file: &str) -> Result<Keys, NoKeys> {
        let token = match read_text(file, SECRET_FILE_BYTES_MAX) {
            Ok(token) => token,
            Err(Unread { problem }) => {
                return Err(NoKeys::Refused {
                    problem: format!("the token file {problem}"),
                    advice: "Mend AWS_WEB_IDENTITY_TOKEN_FILE, or see why the file is not there (Kubernetes: the service account's token volume)".into(),
                });
            }
        };
        let body = assume_role_with_web_identity(role, token.trim());
        let headers = [("content-type".to_owned(), FORM.to_owned())];
        let arn = one_line(&role.arn);
        let allow = format!(
            "Let the trust policy of {arn} allow sts:AssumeRoleWithWebIdentity to this identity provider, audience and subject"
        );
        self.ask(role, &body, &headers, &allow)
    }

    fn ask(
        &self,
        role: &Role,
        body: &str,
        headers: &[(String, String)],
        allow: &str,
    ) -> Result<Keys, NoKeys> {
        let body = Some(body.as_bytes());
        let request = Request { body, url: &self.url, headers, repeatable: true };
        let failed = |failed: Failed| {
            let arn = one_line(&role.arn);
            let problem = format!("role {arn}: STS in {}: {}", self.region, failed.problem);
            match failed.advice {
                None => NoKeys::Passing(problem),
                Some(advice) => NoKeys::Refused { problem, advice: advice.into() },
            }
        };
        let mut answer = self.http.send(&request).map_err(failed)?;
        let body = answer.read_all(CREDENTIALS_ANSWER_BYTES_MAX).map_err(failed)?;
        sts_reply(answer.status(), &body).map_err(|refusal| refused(role, refusal, allow))
    }
}

fn refused(role: &Role, refusal: Refusal, allow: &str) -> NoKeys {
    let arn = one_line(&role.arn);
    let (code, problem) = match refusal {
        Refusal::Passing(problem) => return NoKeys::Passing(problem),
        Refusal::Final { code, problem } => (code, problem),
    };
    let is_late = ["Signature expired", "Signature not yet current"];
    let advice = match code.as_str() {
        _ if is_late.iter().any(|words| problem.contains(words)) => {
            "This machine's clock is wrong: set it (chrony, systemd-timesyncd)".to_owned()
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            "What the role is asked with is past its time: put a fresh one there (the token of AWS_WEB_IDENTITY_TOKEN_FILE, which Kubernetes renews by itself; the keys of source_profile)".to_owned()
        }
        "InvalidIdentityToken" => {
            "The token is not one of an identity provider of this account: mend AWS_WEB_IDENTITY_TOKEN_FILE or the provider in IAM".to_owned()
        }
        "InvalidClientTokenId" | "SignatureDoesNotMatch" => {
            "The keys that the role is asked with are wrong: mend those of source_profile or credential_source".to_owned()
        }
        "ValidationError" => {
            "Mend what STS names: AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME, or role_arn, role_session_name, external_id or duration_seconds (at most what the role allows) of the profile".to_owned()
        }
        "RegionDisabledException" => {
            "Switch STS on for the region in the account's settings, or mend AWS_REGION".to_owned()
        }
        _ => format!("{allow}, or name another role (AWS_ROLE_ARN, or role_arn of the profile)"),
    };
    NoKeys::Refused { problem: format!("role {arn}: {problem}"), advice }
}

/// The role of a pod: what Kubernetes puts into its environment.
pub(super) struct WebIdentity {
    role_arn: Option<String>,
    session_name: Option<String>,
    token_file: Option<String>,
    sts: Sts,
}

impl WebIdentity {
    pub(super) fn new(variables: &AwsVariables, sts: Sts) -> WebIdentity {
        let value = |name: &str| variables.get(name).map(str::to_owned);
        WebIdentity {
            role_arn: value("AWS_ROLE_ARN"),
            session_name: value("AWS_ROLE_SESSION_NAME"),
            token_file: value("AWS_WEB_IDENTITY_TOKEN_FILE"),
            sts,
        }
    }
}

impl Link for WebIdentity {
    fn name(&self) -> &'static str {
        "web identity"
    }

    fn keys(&mut self) -> Result<Keys, NoKeys> {
        let Some(file) = &self.token_file else {
            return Err(NoKeys::NotHere("AWS_WEB_IDENTITY_TOKEN_FILE is not set".into()));
        };
        let Some(arn) = self.role_arn.clone() else {
            return Err(NoKeys::Refused {
                problem: "AWS_WEB_IDENTITY_TOKEN_FILE without AWS_ROLE_ARN".into(),
                advice: "Set AWS_ROLE_ARN to the role that the token is for".into(),
            });
        };
        let session_name = self.session_name.clone();
        let role = Role { arn, session_name, external_id: None, duration_seconds: None };
        self.sts.assume_with_token(&role, file)
    }

    fn renewal(&self) -> Renewal {
        Renewal::Itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::credentials::tests::{Values, shown, variables};
    use crate::port::http_script::{Act, Script, answer};

    const GOOD: &str = "<R><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>whisper</SessionToken><Expiration>2094-11-06T08:49:37Z</Expiration></Credentials></AssumeRoleResult></R>";

    fn late() -> String {
        error("SignatureDoesNotMatch").replace(">m<", ">Signature expired: 2020 is now earlier<")
    }

    fn error(code: &str) -> String {
        format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"
        )
    }

    fn sts(endpoint: &str) -> Sts {
        let variables = variables(&[("AWS_ENDPOINT_URL_STS", endpoint)]);
        Sts::new(Http::new(&|_| None).unwrap(), "eu-west-1", Variant::default(), &variables)
    }

    #[test]
    fn the_service_of_the_region() {
        let http = Http::new(&|_| None).unwrap();
        let fips = Variant { fips: true, dual_stack: false };
        let cases: [(Values, Variant, &str); 4] = [
            (&[], Variant::default(), "https://sts.eu-west-1.amazonaws.com/"),
            (&[], fips, "https://sts-fips.eu-west-1.amazonaws.com/"),
            (&[("AWS_ENDPOINT_URL", "http://a:1/")], fips, "http://a:1/"),
            (
                &[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_STS", "http://b:2")],
                Variant::default(),
                "http://b:2/",
            ),
        ];
        for (values, variant, expected) in cases {
            let sts = Sts::new(http.clone(), "eu-west-1", variant, &variables(values));
            assert_eq!(sts.url, expected);
        }
    }

    #[test]
    fn a_role_is_asked_for_with_a_signature() {
        let script = Script::run(vec![vec![answer("200 OK", "", GOOD)]]);
        let base = Keys::new("AKID", "base-secret", None, None, "test");
        let role = Role { arn: "arn:x".into(), ..Role::default() };
        let found = sts(&script.endpoint).assume(&role, &base);
        assert_eq!(shown(&found), "ASIA hush whisper");
        let [request] = script.requests().try_into().unwrap();
        assert!(request.starts_with("post / http/1.1"), "{request}");
        assert!(request.contains("/eu-west-1/sts/aws4_request"), "{request}");
        assert!(
            request.ends_with(
                "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Ax&RoleSessionName=csv-to-kafka"
            ),
            "{request}"
        );
        assert!(!request.contains("base-secret"), "{request}");
    }

    #[test]
    fn a_web_identity_is_asked_for_without_one_and_its_token_is_read_each_time() {
        let directory = std::env::temp_dir().join(format!("ctk-sts-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("token");
        let script = Script::run(vec![vec![
            answer("200 OK", "", GOOD),
            answer("200 OK", "", GOOD),
            answer("400 Bad", "", &error("InvalidIdentityToken")),
            answer("400 Bad", "", &error("IDPCommunicationError")),
        ]]);
        let values = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:x"),
            ("AWS_ROLE_SESSION_NAME", "pod"),
        ];
        let mut link = WebIdentity::new(&variables(&values), sts(&script.endpoint));
        let missing = shown(&link.keys());
        assert!(
            missing.starts_with("refused: the token file ") && missing.contains("Kubernetes"),
            "{missing}"
        );
        let mut found = Vec::new();
        for token in ["one\n", "two", "three", "four"] {
            std::fs::write(&file, token).unwrap();
            found.push(shown(&link.keys()));
        }
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found[..2], ["ASIA hush whisper", "ASIA hush whisper"]);
        assert!(
            found[2].contains("InvalidIdentityToken") && found[2].contains("provider in IAM"),
            "{found:?}"
        );
        assert!(found[3].starts_with("passing: "), "{found:?}");
        let requests = script.requests();
        for (request, token) in requests.iter().zip(["one", "two", "three", "four"]) {
            assert!(
                request.ends_with(&format!("&RoleSessionName=pod&WebIdentityToken={token}")),
                "{request}"
            );
            assert!(!request.contains("authorization:"), "{request}");
        }
        assert_eq!(requests.len(), 4);
    }

    #[test]
    fn refusals_name_the_role_and_what_to_do() {
        let base = Keys::new("AKID", "base-secret", None, None, "test");
        let cases = [
            (
                answer("403 No", "", &error("AccessDenied")),
                "refused: role arn:x: STS answers AccessDenied (403): m. Allow sts:AssumeRole on arn:x to the identity of source_profile or credential_source, in the trust policy of arn:x too, or",
            ),
            (answer("403 No", "", &error("ExpiredToken")), "put a fresh one there"),
            (answer("403 No", "", &error("InvalidClientTokenId")), "mend those of source_profile"),
            (answer("403 No", "", &error("RegionDisabledException")), "Switch STS on"),
            (answer("400 No", "", &error("ValidationError")), "m. Mend what STS names"),
            (answer("403 No", "", &late()), "clock is wrong"),
            (answer("503 No", "", ""), "passing: STS answers HTTP 503"),
            (answer("200 OK", "", "<x/>"), "passing: STS answers without its AccessKeyId"),
            (
                answer("200 OK", "", &"x".repeat(70_000)),
                "passing: role arn:x: STS in eu-west-1: the answer is longer than",
            ),
            (Act::Answer(b"no http".to_vec()), "passing: "),
        ];
        for (act, expected) in cases {
            let script = Script::run(vec![vec![act]]);
            let role = Role { arn: "arn:x".into(), ..Role::default() };
            let found = shown(&sts(&script.endpoint).assume(&role, &base));
            assert!(found.contains(expected) && !found.contains("base-secret"), "{found}");
        }
    }

    #[test]
    fn a_web_identity_that_is_none() {
        let cases: [(&[(&str, &str)], &str); 2] = [
            (&[("AWS_ROLE_ARN", "arn:x")], "not here: AWS_WEB_IDENTITY_TOKEN_FILE is not set"),
            (
                &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")],
                "refused: AWS_WEB_IDENTITY_TOKEN_FILE without AWS_ROLE_ARN. Set AWS_ROLE_ARN to the role that the token is for",
            ),
        ];
        for (values, expected) in cases {
            let mut link = WebIdentity::new(&variables(values), sts("http://127.0.0.1:1"));
            assert_eq!(shown(&link.keys()), expected);
        }
    }
}
