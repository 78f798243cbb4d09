//! How the services of AWS that speak JSON say no, and what that means for whoever asked.
//!
//! ```text
//! 400 {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "…"}
//! 400 {"__type": "ResourceNotFoundException", "Message": "…"}
//! ```

use serde_json::Value;

use crate::wire::http::one_line;
use crate::wire::kms;

/// A refusal, as far as its body can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub status: u16,
    /// Empty where the body names none.
    pub code: String,
    /// On one line.
    pub message: String,
}

/// What any of these services means by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// May go away by itself.
    Passing,
    /// The credentials are past their time: fresh ones may help.
    Expired,
    /// The service judges our time stamp wrong.
    ClockWrong,
    /// The key that what we asked for is encrypted with is kept from us.
    Key,
    /// The credentials or what they sign are wrong; what to do.
    Identity(&'static str),
    /// The service's own affair.
    Other,
}

impl Said {
    pub fn of(status: u16, body: &Value) -> Said {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let code = text("__type").unwrap_or_default().rsplit('#').next().unwrap_or_default();
        let message = text("message").or_else(|| text("Message")).unwrap_or("no message");
        Said { status, code: one_line(code), message: one_line(message) }
    }

    /// `ThrottlingException: slow down`, or `HTTP 502: no message`.
    pub fn words(&self) -> String {
        match self.code.as_str() {
            "" => format!("HTTP {}: {}", self.status, self.message),
            code => format!("{code}: {}", self.message),
        }
    }

    pub fn meaning(&self) -> Meaning {
        let status = self.status;
        let says = |words: &str| self.message.contains(words);
        match self.code.as_str() {
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "InternalServerError"
            | "InternalServiceError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "TransactionConflictException"
            | "TransactionInProgressException"
            | "ReplicatedWriteConflictException" => Meaning::Passing,
            "ExpiredTokenException" | "ExpiredToken" => Meaning::Expired,
            "RequestTimeTooSkewed" | "RequestExpired" => Meaning::ClockWrong,
            "InvalidSignatureException" if says("expired") || says("not yet current") => {
                Meaning::ClockWrong
            }
            _ if status >= 500 || status == 429 || status == 408 => Meaning::Passing,
            code if code.starts_with("KMS") || code == "DecryptionFailure" => Meaning::Key,
            "AccessDeniedException" | "ValidationException" if kms::is_meant(&self.message) => {
                Meaning::Key
            }
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
                Meaning::Identity(
                    "AWS does not know these credentials: mend them where they come from (AWS_ACCESS_KEY_ID, a profile, a role), or AWS_SESSION_TOKEN, which belongs to them",
                )
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException" => Meaning::Identity(
                "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or AWS_REGION is not the region of the endpoint",
            ),
            "MissingAuthenticationTokenException" | "MissingAuthenticationToken" => {
                Meaning::Identity("The endpoint received no signature: is a proxy in the way?")
            }
            // Not in the words of the service.
            "" if status == 401 || status == 403 => Meaning::Identity(
                "We are refused before the service speaks: mend the credentials (AWS_ACCESS_KEY_ID, a profile, a role), and see whether a proxy is in the way",
            ),
            _ => Meaning::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_and_their_meaning() {
        let kms = "User: u is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:k";
        let cases = [
            (400, json!({"__type": "x#ThrottlingException"}), "Passing"),
            (400, json!({"__type": "InternalServiceError"}), "Passing"),
            (502, Value::Null, "Passing"),
            (400, json!({"__type": "ExpiredTokenException"}), "Expired"),
            (400, json!({"__type": "RequestExpired"}), "ClockWrong"),
            (
                400,
                json!({"__type": "InvalidSignatureException", "message": "Signature expired: …"}),
                "ClockWrong",
            ),
            (400, json!({"__type": "InvalidSignatureException", "message": "m"}), "Identity"),
            (400, json!({"__type": "UnrecognizedClientException"}), "Identity"),
            (400, json!({"__type": "AccessDeniedException", "Message": kms}), "Key"),
            (
                400,
                json!({"__type": "AccessDeniedException", "Message": "Access to KMS is not allowed"}),
                "Key",
            ),
            (400, json!({"__type": "DecryptionFailure"}), "Key"),
            (400, json!({"__type": "KMSInvalidStateException"}), "Key"),
            (
                400,
                json!({"__type": "x#ValidationException", "message": "Inaccessible encryption credentials"}),
                "Key",
            ),
            (400, json!({"__type": "AccessDeniedException", "Message": "no"}), "Other"),
            (
                400,
                json!({"__type": "AccessDeniedException", "Message": kms.replace("kms:", "dynamodb:").replace("User: u", "User: arn:aws:iam::1:user/kms")}),
                "Other",
            ),
            (403, Value::Null, "Identity"),
            (404, Value::Null, "Other"),
        ];
        for (status, body, expected) in cases {
            let found = format!("{:?}", Said::of(status, &body).meaning());
            assert!(found.starts_with(expected), "{body}: {found}");
        }
    }

    #[test]
    fn what_was_said_stays_on_one_line() {
        let body = json!({"__type": "a#B\n", "message": "x\r\ny."});
        assert_eq!(Said::of(400, &body).words(), "B: x  y");
        assert_eq!(Said::of(404, &Value::Null).words(), "HTTP 404: no message");
    }
}
