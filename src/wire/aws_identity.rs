//! What the givers of temporary credentials are asked and what they answer.
//!
//! ```text
//! STS    POST /  Action=AssumeRole&Version=2011-06-15&RoleArn=…&RoleSessionName=…
//!        <AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>…
//! others GET     {"AccessKeyId": …, "SecretAccessKey": …, "Token": …, "Expiration": "2026-…Z"}
//! ```
//!
//! Nothing of an answer with credentials is ever part of a message.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials as Keys;
use serde_json::Value;

use crate::wire::aws_profile::Role;
use crate::wire::http::{one_line, unix_seconds_rfc3339};
use crate::wire::xml::texts;

pub const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// How a session is called where nobody names it: the same for each run, so that policies and
/// ACLs can name it.
const SESSION_NAME: &str = "csv-to-kafka";
/// One key, secret or token; session tokens have a few thousand bytes.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// Why an answer brings no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// May go away by itself.
    Passing(String),
    /// A person must act; `code` is what the service calls it.
    Final { code: String, problem: String },
}

/// The body of a request that asks whose the keys are that sign it.
pub const CALLER_IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// The body of a request for the role's credentials; it is to be signed.
pub fn assume_role(role: &Role) -> String {
    form("AssumeRole", role, None)
}

/// The body of a request that a token stands for; it is not signed, and it is a secret.
pub fn assume_role_with_web_identity(role: &Role, token: &str) -> String {
    form("AssumeRoleWithWebIdentity", role, Some(token))
}

fn form(action: &str, role: &Role, token: Option<&str>) -> String {
    let mut body = format!("Action={action}&Version=2011-06-15");
    let duration = role.duration_seconds.map(|seconds| seconds.to_string());
    let session_name = role.session_name.as_deref().unwrap_or(SESSION_NAME);
    let fields = [
        ("RoleArn", Some(role.arn.as_str())),
        ("RoleSessionName", Some(session_name)),
        ("ExternalId", role.external_id.as_deref()),
        ("DurationSeconds", duration.as_deref()),
        ("WebIdentityToken", token),
    ];
    for (name, value) in fields {
        let Some(value) = value else { continue };
        form_field(&mut body, name, value);
    }
    body
}

/// One more field of a form; the name is plain.
pub(super) fn form_field(body: &mut String, name: &str, value: &str) {
    body.push('&');
    body.push_str(name);
    body.push('=');
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            body.push(char::from(byte));
        } else {
            let written = write!(body, "%{byte:02X}");
            assert!(written.is_ok(), "writing to a string does not fail");
        }
    }
}

/// What STS answers to either request.
pub fn sts_reply(status: u16, body: &[u8]) -> Result<Keys, Refusal> {
    let mut found = Fields::default();
    let (mut code, mut message) = (String::new(), String::new());
    texts(body, &mut |path, text| match path {
        [_, result, credentials, name]
            if result.ends_with("Result") && credentials == "Credentials" =>
        {
            found.add(name, text);
        }
        [_, error, name] if error == "Error" && name == "Code" => code.push_str(text),
        [_, error, name] if error == "Error" && name == "Message" => message.push_str(text),
        _ => {}
    });
    if status == 200 {
        return found.keys("STS").map_err(Refusal::Passing);
    }
    Err(refusal("STS", status, &code, &message))
}

/// What STS answers to [`CALLER_IDENTITY`]: account and ARN.
pub fn caller_reply(status: u16, body: &[u8]) -> Result<(String, String), Refusal> {
    let (mut account, mut arn) = (String::new(), String::new());
    let (mut code, mut message) = (String::new(), String::new());
    texts(body, &mut |path, text| match path {
        [_, result, name] if result.ends_with("Result") && name == "Account" => {
            account.push_str(text);
        }
        [_, result, name] if result.ends_with("Result") && name == "Arn" => arn.push_str(text),
        [_, error, name] if error == "Error" && name == "Code" => code.push_str(text),
        [_, error, name] if error == "Error" && name == "Message" => message.push_str(text),
        _ => {}
    });
    if status != 200 {
        return Err(refusal("STS", status, &code, &message));
    }
    let (account, arn) = (one_line(&account), one_line(&arn));
    if arn.is_empty() {
        return Err(Refusal::Passing("STS answers without an ARN".to_owned()));
    }
    Ok((account, arn))
}

/// What EC2's metadata say of the end of a Spot instance: `terminate`, `stop` or `hibernate`, the
/// machine goes away in each case.
pub fn is_spot_notice(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|notice| notice.get("action").is_some_and(Value::is_string))
}

/// What an endpoint for credentials answers, of a container (`who`) or an instance.
pub fn document(who: &str, status: u16, body: &[u8]) -> Result<Keys, Refusal> {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let text = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| parsed.as_ref()?.get(name)?.as_str());
        value.unwrap_or_default()
    };
    let code = text(["Code", "code"]);
    if status != 200 || !(code.is_empty() || code == "Success") {
        return Err(refusal(who, status, code, text(["Message", "message"])));
    }
    let mut fields = Fields::default();
    for name in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        fields.add(name, text([name, name]));
    }
    fields.keys(who).map_err(Refusal::Passing)
}

fn refusal(who: &str, status: u16, code: &str, message: &str) -> Refusal {
    let (code, message) = (one_line(code), one_line(message));
    let mut problem = match code.as_str() {
        "" => format!("{who} answers HTTP {status}"),
        code if status == 200 => format!("{who} answers {code}"),
        code => format!("{who} answers {code} ({status})"),
    };
    if !message.is_empty() {
        problem = format!("{problem}: {message}");
    }
    let is_passing = status >= 500
        || matches!(status, 408 | 425 | 429)
        || code.starts_with("Throttling")
        // The identity provider, as STS sees it.
        || code == "IDPCommunicationError"
        // The instance has just begun, and its role is not there yet.
        || (status == 200 && code != "AccessDenied");
    if is_passing { Refusal::Passing(problem) } else { Refusal::Final { code, problem } }
}

#[derive(Default)]
struct Fields {
    id: String,
    secret: String,
    token: String,
    expiration: String,
}

impl Fields {
    fn add(&mut self, name: &str, text: &str) {
        let field = match name {
            "AccessKeyId" => &mut self.id,
            "SecretAccessKey" => &mut self.secret,
            "SessionToken" | "Token" => &mut self.token,
            "Expiration" => &mut self.expiration,
            _ => return,
        };
        field.push_str(text);
    }

    fn keys(self, who: &str) -> Result<Keys, String> {
        let Fields { id, secret, token, expiration } = self;
        for (name, value) in
            [("AccessKeyId", &id), ("SecretAccessKey", &secret), ("session token", &token)]
        {
            if value.is_empty() && name != "session token" {
                return Err(format!("{who} answers without its {name}"));
            }
            // They go into headers.
            if value.len() > VALUE_BYTES_MAX || !value.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(format!("{who} answers with a {name} that can be none"));
            }
        }
        let expires = match expiration.as_str() {
            "" => None,
            time => Some(moment(time).ok_or_else(|| {
                format!("{who} answers an Expiration that is no time: {}", one_line(time))
            })?),
        };
        let token = if token.is_empty() { None } else { Some(token) };
        Ok(Keys::new(id, secret, token, expires, "temporary"))
    }
}

fn moment(time: &str) -> Option<SystemTime> {
    let seconds = u64::try_from(unix_seconds_rfc3339(time)?).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_of_sts() {
        let mut role = Role { arn: "arn:aws:iam::1:role/a b".into(), ..Role::default() };
        let start =
            "&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b&RoleSessionName=";
        assert_eq!(assume_role(&role), format!("Action=AssumeRole{start}csv-to-kafka"));
        assert_eq!(
            assume_role_with_web_identity(&role, "a.b-c_d=="),
            format!(
                "Action=AssumeRoleWithWebIdentity{start}csv-to-kafka&WebIdentityToken=a.b-c_d%3D%3D"
            )
        );
        role.session_name = Some("n@x".into());
        role.external_id = Some("ä".into());
        role.duration_seconds = Some(900);
        assert_eq!(
            assume_role(&role),
            format!("Action=AssumeRole{start}n%40x&ExternalId=%C3%A4&DurationSeconds=900")
        );
    }

    fn told(found: Result<Keys, Refusal>) -> String {
        match found {
            Ok(keys) => format!(
                "{} {} {} {}",
                keys.access_key_id(),
                keys.secret_access_key(),
                keys.session_token().unwrap_or("-"),
                keys.expiry().map_or(0, |at| at.duration_since(UNIX_EPOCH).unwrap().as_secs())
            ),
            Err(Refusal::Passing(problem)) => format!("passing: {problem}"),
            Err(Refusal::Final { code, problem }) => format!("final {code}: {problem}"),
        }
    }

    #[test]
    fn answers_of_sts() {
        let good = |action: &str| {
            format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><SubjectFromWebIdentityToken>x</SubjectFromWebIdentityToken><AssumedRoleUser><Arn>arn</Arn></AssumedRoleUser><Credentials><SessionToken>t+/=</SessionToken><SecretAccessKey>hush</SecretAccessKey><Expiration>1994-11-06T08:49:37Z</Expiration><AccessKeyId>ASIA</AccessKeyId></Credentials></{action}Result></{action}Response>"
            )
        };
        let error = |code: &str| {
            format!(
                "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>{code}</Code><Message>No &quot;way&quot;.</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            )
        };
        let good_text = "ASIA hush t+/= 784111777";
        let cases = [
            (200, good("AssumeRole"), good_text),
            (200, good("AssumeRoleWithWebIdentity"), good_text),
            (
                200,
                good("AssumeRole").replace("ASIA", ""),
                "passing: STS answers without its AccessKeyId",
            ),
            (
                200,
                good("AssumeRole").replace("hush", "hu sh"),
                "passing: STS answers with a SecretAccessKey that can be none",
            ),
            (
                200,
                good("AssumeRole").replace("1994-11", "1994-"),
                "passing: STS answers an Expiration that is no time: 1994--06T08:49:37Z",
            ),
            (200, "<html>".into(), "passing: STS answers without its AccessKeyId"),
            (
                403,
                error("AccessDenied"),
                "final AccessDenied: STS answers AccessDenied (403): No \"way\"",
            ),
            (
                400,
                error("ThrottlingException"),
                "passing: STS answers ThrottlingException (400): No \"way\"",
            ),
            (
                400,
                error("IDPCommunicationError"),
                "passing: STS answers IDPCommunicationError (400): No \"way\"",
            ),
            (503, String::new(), "passing: STS answers HTTP 503"),
            (404, "x".into(), "final : STS answers HTTP 404"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(told(sts_reply(status, body.as_bytes())), expected, "{body}");
        }
    }

    #[test]
    fn documents() {
        let good = r#"{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"hush","Token":"t","Expiration":"1994-11-06T08:49:37Z","RoleArn":"x"}"#;
        let cases = [
            (200, good.to_owned(), "ASIA hush t 784111777"),
            (200, good.replace("\"Code\":\"Success\",", ""), "ASIA hush t 784111777"),
            (200, r#"{"AccessKeyId":"A","SecretAccessKey":"s"}"#.into(), "A s - 0"),
            (
                200,
                good.replace("ASIA", "A\\nX"),
                "passing: it answers with a AccessKeyId that can be none",
            ),
            (200, good.replace("\"hush\"", "7"), "passing: it answers without its SecretAccessKey"),
            (
                200,
                r#"{"Code":"Failed","Message":"soon"}"#.into(),
                "passing: it answers Failed: soon",
            ),
            (200, "[]".into(), "passing: it answers without its AccessKeyId"),
            (200, "\u{0}".into(), "passing: it answers without its AccessKeyId"),
            (
                403,
                r#"{"code":"AccessDeniedException","message":"no"}"#.into(),
                "final AccessDeniedException: it answers AccessDeniedException (403): no",
            ),
            (429, String::new(), "passing: it answers HTTP 429"),
            (404, "<h1>".into(), "final : it answers HTTP 404"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(told(document("it", status, body.as_bytes())), expected, "{body}");
        }
    }

    proptest! {
        /// Whatever arrives, it is judged and bounded, and nothing that is printable ASCII in
        /// it is taken for more than a key.
        #[test]
        fn anything_may_arrive(body in PIECES, status in 100_u16..600) {
            for found in [sts_reply(status, body.as_bytes()), document("it", status, body.as_bytes())] {
                match found {
                    Ok(keys) => {
                        prop_assert_eq!(status, 200);
                        let values = [keys.access_key_id(), keys.secret_access_key()];
                        let values = values.into_iter().chain(keys.session_token());
                        for value in values {
                            prop_assert!(!value.is_empty() && value.len() <= VALUE_BYTES_MAX);
                            prop_assert!(value.bytes().all(|b| b.is_ascii_graphic()));
                        }
                    }
                    Err(Refusal::Passing(problem) | Refusal::Final { problem, .. }) => {
                        prop_assert!(problem.chars().count() < 1_000, "{}", problem);
                        prop_assert!(!problem.contains(char::is_control), "{}", problem);
                    }
                }
            }
        }
    }

    /// Pieces of answers in any order, and anything between them.
    const PIECES: &str = "(<[A-Za-z]{1,9}Result>|<Credentials>|</Credentials>|<AccessKeyId>A|</AccessKeyId>|<SecretAccessKey>s|</SecretAccessKey>|<Error><Code>|&lt;|\\{\"AccessKeyId\":\"A\",|\"SecretAccessKey\":\"s\",|\"Expiration\":\"1994-11-06T08:49:37|Z\"\\}|\"Code\":\"|.{0,3}|\n){0,20}";
}
