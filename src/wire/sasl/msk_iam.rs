//! `AWS_MSK_IAM`: a presigned request that nobody sends, as JSON.
//!
//! ```text
//! GET https://HOST/?Action=kafka-cluster%3AConnect     signed: host, empty body, 900 seconds
//!
//! {"version":"2020_10_22","host":HOST,"user-agent":…,"action":"kafka-cluster:Connect",
//!  "x-amz-algorithm":…,"x-amz-credential":…,"x-amz-date":…,"x-amz-security-token":…,
//!  "x-amz-signedheaders":"host","x-amz-expires":"900","x-amz-signature":…}
//! ```
//! The names are those of the request's parameters in small letters, the values are not encoded.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings,
    sign as sign_request,
};
use aws_sigv4::sign::v4;
use serde_json::{Map, Value};

use super::Word;
use crate::limits::IAM_EXPIRES_SECONDS;

const SERVICE: &str = "kafka-cluster";
const ACTION: &str = "kafka-cluster:Connect";
const VERSION: &str = "2020_10_22";

/// What is signed, and for when.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The broker's name, without a port.
    pub host: &'a str,
    pub region: &'a str,
    pub user_agent: &'a str,
    /// Unix milliseconds.
    pub wall_ms: u64,
}

/// The error is the library's words, which hold no secret.
pub fn payload(login: &Login<'_>, credentials: &Credentials) -> Result<Word, String> {
    let Login { host, region, user_agent, wall_ms } = *login;
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(IAM_EXPIRES_SECONDS));
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(UNIX_EPOCH + Duration::from_millis(wall_ms))
        .settings(settings)
        .build()
        .map_err(|why| why.to_string())?;
    let url = format!("https://{host}/?Action=kafka-cluster%3AConnect");
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(b""))
        .map_err(|why| why.to_string())?;
    let (instructions, _) = sign_request(request, &SigningParams::V4(params))
        .map_err(|why| why.to_string())?
        .into_parts();
    let mut fields = Map::new();
    for (name, value) in
        [("version", VERSION), ("host", host), ("user-agent", user_agent), ("action", ACTION)]
    {
        fields.insert(name.to_owned(), Value::from(value));
    }
    for (name, value) in instructions.params() {
        fields.insert(name.to_ascii_lowercase(), Value::from(value.as_ref()));
    }
    Ok(Word::new(Value::Object(fields).to_string().into_bytes()))
}

/// The region in the name of a broker of MSK: `b-1.name.abc123.c2.kafka.eu-west-1.amazonaws.com`.
pub fn region_of(host: &str) -> Option<&str> {
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|end| host.ends_with(end));
    // From the end on: the cluster itself may be called kafka.
    let mut region = None;
    for label in host.rsplit('.') {
        if matches!(label, "kafka" | "kafka-serverless") {
            return region.filter(|region: &&str| is_aws && region.contains('-'));
        }
        region = Some(label);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Amazon's own library for Java, and recomputed by hand.
    const GOLDEN: &str = include_str!("msk_iam_golden.json");

    #[test]
    fn payloads_are_those_of_the_vendor() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let vectors = golden["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let input = |name: &str| vector["input"][name].as_str();
            let text = |name: &str| input(name).unwrap();
            let credentials = Credentials::new(
                text("access_key"),
                text("secret_key"),
                input("session_token").map(str::to_owned),
                None,
                "golden",
            );
            let login = Login {
                host: text("host"),
                region: region_of(text("host")).unwrap(),
                user_agent: text("user_agent"),
                wall_ms: vector["unix_seconds"].as_u64().unwrap() * 1_000,
            };
            assert_eq!(login.region, text("region"));
            let word = payload(&login, &credentials).unwrap();
            let found: Value = serde_json::from_slice(word.reveal()).unwrap();
            assert_eq!(found, vector["output"], "{}", vector["name"]);
        }
    }

    #[test]
    fn regions_of_brokers() {
        for (host, expected) in [
            ("b-1.example.abc123.c2.kafka.us-east-1.amazonaws.com", Some("us-east-1")),
            ("b-2-public.x.y.c1.kafka.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("boot-xyz.c1.kafka-serverless.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("vpce-0a1.kafka.us-gov-west-1.vpce.amazonaws.com", Some("us-gov-west-1")),
            ("b-1.kafka.abc123.c2.kafka.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("b-1.kafka.a-b.c2.kafka.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("kafka.example.com", None),
            ("b-1.kafka.eu-west-1.example.com", None),
            ("kafka.amazonaws.com", None),
            ("localhost", None),
        ] {
            assert_eq!(region_of(host), expected, "{host}");
        }
    }
}
