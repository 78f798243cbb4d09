//! One request of Secrets Manager, `GetSecretValue`, and the name and password that the secret
//! holds, as MSK has them.
//!
//! ```text
//! arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_loader-AbCdEf
//!     partition          region    account              name and six letters of AWS's
//!
//! POST /                                  x-amz-target: secretsmanager.GetSecretValue
//! {"SecretId": "arn:…"}
//!
//! 200 {"ARN": …, "SecretString": "{\"username\": \"loader\", \"password\": \"…\"}", …}
//! 400 {"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find …"}
//! ```
//!
//! Nothing of a secret is ever part of a message.

use std::fmt;

use serde_json::{Value, json};

use crate::limits::LOGIN_BYTES_MAX;
use crate::settings::{Password, Secret};
use crate::wire::aws_endpoint::is_region;
use crate::wire::aws_json::{Meaning, Said};

pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
pub const GET_TARGET: &str = "secretsmanager.GetSecretValue";
/// The name may have 512 letters.
const ARN_BYTES_MAX: usize = 1_024;
const STAGE: &str = "AWSCURRENT";

/// Which secret; the region is where it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArn {
    text: String,
    region: String,
}

impl SecretArn {
    /// `None`: not of this form.
    pub fn parse(text: &str) -> Option<SecretArn> {
        let parts: Vec<&str> = text.splitn(7, ':').collect();
        let &["arn", partition, "secretsmanager", region, account, "secret", name] = &parts[..]
        else {
            return None;
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-!".contains(&byte);
        let is_good = partition.starts_with("aws")
            && is_region(partition)
            && is_region(region)
            && !account.is_empty()
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(letters)
            && text.len() <= ARN_BYTES_MAX;
        is_good.then(|| SecretArn { text: text.to_owned(), region: region.to_owned() })
    }

    pub fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Display for SecretArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Password(Password),
    /// May go away by itself.
    Passing {
        problem: String,
    },
    /// The credentials are past their time: fresh ones may help.
    Expired {
        problem: String,
    },
    /// A person must act.
    Final {
        problem: String,
        advice: String,
    },
}

pub fn get_secret_value(arn: &SecretArn) -> Vec<u8> {
    json!({"SecretId": arn.text}).to_string().into_bytes()
}

pub fn reply(arn: &SecretArn, status: u16, body: &[u8]) -> Reply {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    if status != 200 {
        return refusal(arn, &Said::of(status, &parsed.unwrap_or(Value::Null)));
    }
    let Ok(answer) = parsed else {
        let problem = format!("Secrets Manager in {}: the answer is not JSON", arn.region);
        return Reply::Passing { problem };
    };
    let Some(text) = answer.get("SecretString").and_then(Value::as_str) else {
        let what = match answer.get("SecretBinary") {
            Some(_) => "is binary, and a text is needed",
            None => "has no text (SecretString)",
        };
        return unfit(arn, what);
    };
    match password(text) {
        Ok(password) => Reply::Password(password),
        Err(what) => unfit(arn, what),
    }
}

/// The error says what is wrong with the secret, without a letter of it.
fn password(text: &str) -> Result<Password, &'static str> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return Err("is not a JSON object");
    };
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let (username, password) = (field("username"), field("password"));
    if username.is_empty() {
        return Err("has no username, or one that is no text");
    }
    if password.is_empty() {
        return Err("has no password, or one that is no text");
    }
    if [username, password].iter().any(|word| word.len() > LOGIN_BYTES_MAX || word.contains('\0')) {
        return Err("has a username or password that is too long, or holds NUL");
    }
    if !username.is_ascii() {
        return Err("has a username that is not ASCII");
    }
    Ok(Password { username: username.to_owned(), password: Secret::new(password.to_owned()) })
}

fn unfit(arn: &SecretArn, what: &str) -> Reply {
    Reply::Final {
        problem: format!("the secret {arn} {what}"),
        advice: r#"Store it as MSK has it: {"username":"…","password":"…"}"#.into(),
    }
}

fn refusal(arn: &SecretArn, said: &Said) -> Reply {
    let SecretArn { region, .. } = arn;
    let problem = format!("Secrets Manager in {region}, secret {arn}: {}", said.words());
    let is_deleted = said.message.contains("deletion") || said.message.contains("deleted");
    let advice = match (said.meaning(), said.code.as_str()) {
        (Meaning::Passing, _) => return Reply::Passing { problem },
        (Meaning::Expired, _) => return Reply::Expired { problem },
        (Meaning::ClockWrong, _) => {
            "This machine's clock is wrong: set it (chrony, systemd-timesyncd)".into()
        }
        (Meaning::Key, _) => {
            "The secret is encrypted with a KMS key that we may not use: allow kms:Decrypt on that key to the role of this machine, in the key's policy too, and see that the key is enabled".into()
        }
        (Meaning::Identity(advice), _) => advice.into(),
        (Meaning::Other, "InvalidRequestException") if is_deleted => format!(
            "The secret is marked for deletion: aws secretsmanager restore-secret --region {region} --secret-id {arn}, or name another one in KAFKA_SASL_SECRET_ARN"
        ),
        (Meaning::Other, "ResourceNotFoundException") if said.message.contains(STAGE) => {
            "The secret has no value yet: store one".into()
        }
        (Meaning::Other, "ResourceNotFoundException") => {
            "There is no such secret (any more) in the region that the ARN names: mend KAFKA_SASL_SECRET_ARN, the six letters at its end too".into()
        }
        (Meaning::Other, "AccessDeniedException") => format!(
            "Allow secretsmanager:GetSecretValue on {arn} to the role of this machine, in the secret's own policy too if it is in another account"
        ),
        _ if (300..400).contains(&said.status) => {
            "The endpoint sends us elsewhere: mend AWS_ENDPOINT_URL_SECRETS_MANAGER".into()
        }
        _ => "Mend KAFKA_SASL_SECRET_ARN, or what Secrets Manager names, and start again".into(),
    };
    Reply::Final { problem, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_x-AbCdEf";

    fn arn() -> SecretArn {
        SecretArn::parse(ARN).unwrap()
    }

    #[test]
    fn arns() {
        let cases = [
            (ARN.to_owned(), Some("eu-west-1")),
            (ARN.replace("aws:", "aws-cn:").replace("eu-west", "cn-north"), Some("cn-north-1")),
            (ARN.replace("AmazonMSK_x", "a/b+c=d.e@f"), Some("eu-west-1")),
            (ARN.replace("aws:", "aws\0:"), None),
            (ARN.replace("eu-west-1", ""), None),
            (ARN.replace("eu-west-1", "evil.example/"), None),
            (ARN.replace("secretsmanager", "kms"), None),
            (ARN.replace(":secret:", ":key:"), None),
            (ARN.replace("123456789012", "me"), None),
            (ARN.replace("AmazonMSK_x-AbCdEf", ""), None),
            (ARN.replace("AmazonMSK_x", "a b"), None),
            (ARN.replace("AmazonMSK_x", &"a".repeat(1_100)), None),
            ("AmazonMSK_x".to_owned(), None),
        ];
        for (text, region) in cases {
            assert_eq!(SecretArn::parse(&text).as_ref().map(SecretArn::region), region, "{text}");
        }
    }

    #[test]
    fn the_request_is_the_one_that_botocore_signs() {
        let golden: Value = serde_json::from_str(include_str!("aws_sign_golden.json")).unwrap();
        let mut cases = golden.as_array().unwrap().iter();
        let case = cases.find(|case| case["name"] == "secrets manager get").unwrap();
        let arn = "arn:aws:secretsmanager:ap-south-1:1:secret:AmazonMSK_x-AbCdEf";
        let arn = SecretArn::parse(arn).unwrap();
        assert_eq!(case["body"].as_str().unwrap().as_bytes(), get_secret_value(&arn));
        assert_eq!(case["headers"]["x-amz-target"], GET_TARGET);
        assert_eq!(case["headers"]["content-type"], CONTENT_TYPE);
        assert_eq!(case["region"], arn.region());
    }

    fn told(status: u16, body: &str) -> String {
        match reply(&arn(), status, body.as_bytes()) {
            Reply::Password(found) => {
                format!("{} {}", found.username, found.password.reveal())
            }
            Reply::Passing { problem } => format!("passing: {problem}"),
            Reply::Expired { problem } => format!("expired: {problem}"),
            Reply::Final { problem, advice } => format!("{problem}. {advice}"),
        }
    }

    fn secret(text: &str) -> String {
        json!({"ARN": ARN, "SecretString": text}).to_string()
    }

    #[test]
    fn secrets() {
        let cases = [
            (secret(r#"{"username": "loader", "password": "hush", "more": 1}"#), "loader hush"),
            (secret("hush"), "is not a JSON object"),
            (secret(r#"["hush"]"#), "is not a JSON object"),
            (secret(r#"{"username": "hush"}"#), "has no password"),
            (secret(r#"{"password": "hush"}"#), "has no username"),
            (secret(r#"{"username": "hush", "password": 7}"#), "has no password"),
            (secret(r#"{"username": "hüsh", "password": "hush"}"#), "not ASCII"),
            (secret(r#"{"username": "hush", "password": "hush\u0000"}"#), "holds NUL"),
            (json!({"SecretBinary": "aHVzaA=="}).to_string(), "is binary"),
            ("{}".into(), "has no text (SecretString)"),
            ("<html>".into(), "passing: Secrets Manager in eu-west-1: the answer is not JSON"),
        ];
        for (body, expected) in cases {
            let found = told(200, &body);
            assert!(found.contains(expected), "{found}");
            let is_good = expected == "loader hush";
            assert!(is_good || !found.contains("hush") && !found.contains("hüsh"), "{found}");
            assert!(is_good || found.contains("{\"username\"") || found.contains("passing"));
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        let error =
            |code: &str, message: &str| json!({"__type": code, "Message": message}).to_string();
        let not_found = "Secrets Manager can't find the specified secret.";
        let no_value =
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
        let deleted =
            "You can't perform this operation on the secret because it was marked for deletion.";
        let denied = "User: u is not authorized to perform: secretsmanager:GetSecretValue on resource: r because no identity-based policy allows it";
        let cases = [
            (error("ResourceNotFoundException", not_found), "in the region that the ARN names"),
            (error("ResourceNotFoundException", no_value), "has no value yet"),
            (error("InvalidRequestException", deleted), "restore-secret --region eu-west-1"),
            (error("AccessDeniedException", denied), "Allow secretsmanager:GetSecretValue on arn"),
            (error("AccessDeniedException", "Access to KMS is not allowed"), "kms:Decrypt"),
            (error("DecryptionFailure", "m"), "kms:Decrypt"),
            (error("ThrottlingException", "m"), "passing: "),
            (error("ExpiredTokenException", "m"), "expired: "),
            (error("UnrecognizedClientException", "m"), "AWS_ACCESS_KEY_ID"),
            (error("InvalidSignatureException", "Signature expired: …"), "clock is wrong"),
            (error("InvalidParameterException", "m"), "Mend KAFKA_SASL_SECRET_ARN"),
        ];
        for (body, expected) in cases {
            let found = told(400, &body);
            assert!(found.contains(expected) && found.contains(ARN), "{found}");
        }
        assert!(told(301, "").contains("AWS_ENDPOINT_URL_SECRETS_MANAGER"));
        assert!(told(503, "").contains("passing"));
    }
}
