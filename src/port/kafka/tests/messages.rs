//! Every way in which a cluster, a bucket, a table, a secret or a role can refuse us, and the one
//! message that a person gets for each: where, what, and what to do. They are read as a whole in
//! `messages.txt`.

mod credentials;
mod ways;

use std::fmt::Write as _;
use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use serde_json::json;

use super::super::{KafkaConfig, Security, verdict};
use crate::flow::ports::{Fault, Missing};
use crate::settings::{Login, Password, SaslMechanism, Secret};
use crate::stop::{Peer, Stop};
use crate::wire::aws_endpoint::Variant;
use crate::wire::compress::Compression;
use crate::wire::dynamodb::{self, Table};
use crate::wire::kafka::frame::{BadFrame, Foreign};
use crate::wire::kafka::versions::{Offer, Versions};
use crate::wire::pem::{Certificates, PrivateKey};
use crate::wire::s3::{self, Asked, Headers, Place};
use crate::wire::sasl::scram::{BadScram, Hash};
use crate::wire::secrets_manager::{self, SecretArn};

const GOLDEN: &str = include_str!("messages.txt");
const SERVER: &str = "b-1:9096";
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_x-AbCdEf";
const SSE_C: &str = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.";
const NO_KMS: &str =
    "User: u is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k";

#[test]
fn every_failure_has_its_message() {
    let mut said = String::new();
    let all = [
        ("Kafka: the way", ways::to_brokers()),
        ("Kafka: the port", ports()),
        ("Kafka: TLS", tls()),
        ("Kafka: login", logins()),
    ];
    let more = [
        ("Kafka: permissions", permissions()),
        ("Kafka: topic and broker", topics()),
        ("Kafka: old brokers", clients()),
        ("certificates and keys", pems()),
        ("AWS: the way", ways::to_services()),
        ("S3", s3_answers()),
        ("DynamoDB", dynamodb_answers()),
        ("Secrets Manager", secret_answers()),
        ("AWS credentials", credentials::all()),
    ];
    for (heading, messages) in all.into_iter().chain(more) {
        writeln!(said, "# {heading}").unwrap();
        for (name, message) in messages {
            // A time-out or a throttled request goes away by itself: there is nothing to do.
            let has_advice = message.starts_with("(again) ")
                || message.split(". ").count() > 1
                || message.contains(": ");
            assert!(has_advice && !message.contains('\n'), "{name}: {message}");
            writeln!(said, "{name}\n    {message}").unwrap();
        }
    }
    assert!(said == GOLDEN, "messages.txt is not this:\n{said}");
}

type Messages = Vec<(&'static str, String)>;

fn words(fault: Fault) -> String {
    match fault {
        Fault::Final(stop) => stop.to_string(),
        Fault::Passing(trouble) => {
            let stop = match trouble.missing {
                None => return format!("(again) {}", trouble.problem),
                Some(Missing::Topic) => None,
                Some(Missing::Partition { partition_count }) => Some(partition_count),
            };
            Stop::TopicMissing {
                topic: "orders".into(),
                partition: 3,
                partitions: stop,
                bootstrap: SERVER.into(),
            }
            .to_string()
        }
    }
}

fn config() -> KafkaConfig {
    KafkaConfig {
        bootstrap: vec![("b-1".into(), 9096)],
        topic: "orders".into(),
        partition: 3,
        client_id: "test".into(),
        security: Security::default(),
        client: crate::settings::KafkaClient::Auto,
        compression: Compression::None,
    }
}

fn ports() -> Messages {
    let foreign = |foreign| words(verdict::bad_frame(SERVER, BadFrame::Foreign(foreign), false));
    let length = BadFrame::Length { claimed: 1_600_000_000, bytes_max: 4_194_304 };
    let lost = |kind: ErrorKind, has_answered| {
        format!("(again) {}", verdict::lost(SERVER, "Metadata", &kind.into(), has_answered))
    };
    vec![
        ("speaks TLS", foreign(Foreign::Tls)),
        ("speaks HTTP", foreign(Foreign::Http)),
        ("speaks SSH", foreign(Foreign::Ssh)),
        ("speaks something else", words(verdict::bad_frame(SERVER, length, false))),
        ("too large an answer", words(verdict::bad_frame(SERVER, length, true))),
        ("hangs up at once", lost(ErrorKind::UnexpectedEof, false)),
        ("says nothing", lost(ErrorKind::TimedOut, false)),
        ("hangs up later", lost(ErrorKind::ConnectionReset, true)),
    ]
}

fn tls() -> Messages {
    let of = |error: Error| {
        let why = io::Error::new(ErrorKind::InvalidData, error);
        words(verdict::no_handshake(SERVER, &why))
    };
    vec![
        ("not trusted", of(Error::InvalidCertificate(CertificateError::UnknownIssuer))),
        ("another host name", of(Error::InvalidCertificate(CertificateError::NotValidForName))),
        (
            "no certificate of a server",
            of(Error::InvalidCertificate(CertificateError::BadEncoding)),
        ),
        ("past its time", of(Error::InvalidCertificate(CertificateError::Expired))),
        ("wants a certificate", of(Error::AlertReceived(AlertDescription::CertificateRequired))),
        ("refuses ours", of(Error::AlertReceived(AlertDescription::UnknownCA))),
        ("no such server", of(Error::AlertReceived(AlertDescription::UnrecognisedName))),
        ("old TLS only", of(Error::AlertReceived(AlertDescription::ProtocolVersion))),
        ("no TLS at all", of(Error::InvalidMessage(InvalidMessage::InvalidContentType))),
        ("damaged on its way", of(Error::DecryptError)),
        ("hangs up", words(verdict::no_handshake(SERVER, &ErrorKind::UnexpectedEof.into()))),
    ]
}

fn logins() -> Messages {
    let password = Login::Password(Password {
        username: "loader".into(),
        password: Secret::new("hush".into()),
    });
    let secret = Login::Secret(SecretArn::parse(ARN).unwrap());
    let offered = ["SCRAM-SHA-512".to_owned(), "AWS_MSK_IAM".to_owned()];
    let no_login = |mechanism, said| words(verdict::no_login(SERVER, &mechanism, 58, said));
    let wrong = "Authentication failed: Invalid username or password";
    vec![
        ("another mechanism", words(verdict::no_mechanism(SERVER, "PLAIN", 33, &offered))),
        ("no login on this port", words(verdict::no_mechanism(SERVER, "PLAIN", 34, &[]))),
        ("wrong password, PLAIN", no_login(SaslMechanism::Plain(password.clone()), wrong)),
        ("wrong password, SCRAM", no_login(SaslMechanism::Scram(Hash::Sha512, password), wrong)),
        ("wrong password of a secret", no_login(SaslMechanism::Scram(Hash::Sha512, secret), wrong)),
        (
            "a server that does not prove itself",
            words(verdict::stranger(SERVER, "SCRAM-SHA-512", &BadScram::Signature)),
        ),
        ("refused by MSK IAM", no_login(SaslMechanism::AwsMskIam, "[1b2c]: Access denied")),
    ]
}

fn permissions() -> Messages {
    let of = |request, error_code| words(verdict::refusal(&config(), request, error_code));
    vec![
        ("no Describe", of("Metadata", 29)),
        ("no Read", of("Fetch", 29)),
        ("no Write", of("Produce", 29)),
        ("no IdempotentWrite", of("InitProducerId", 31)),
    ]
}

fn topics() -> Messages {
    let offers = [Offer { api_key: 0, min: 0, max: 2 }, Offer { api_key: 3, min: 0, max: 1 }];
    let later = [(0, 14), (1, 12), (2, 1), (3, 0), (22, 0)];
    let later = later.map(|(api_key, min)| Offer { api_key, min, max: min + 5 });
    let partition = Fault::Passing(crate::flow::ports::Trouble {
        problem: String::new(),
        missing: Some(Missing::Partition { partition_count: 2 }),
        pause_ms: 0,
    });
    vec![
        ("no such topic", words(verdict::refusal(&config(), "Metadata", 3))),
        ("no such partition", words(partition)),
        ("not a topic's name", words(verdict::refusal(&config(), "Metadata", 17))),
        ("no leader for now", words(verdict::refusal(&config(), "Metadata", 5))),
        (
            "an old broker",
            words(verdict::lacking(SERVER, &Versions::negotiate(&offers).unwrap_err())),
        ),
        (
            "a broker of the future",
            words(verdict::lacking(SERVER, &Versions::negotiate(&later).unwrap_err())),
        ),
    ]
}

/// What the compatibility client does not do, and what old brokers do not.
fn clients() -> Messages {
    // As 4.1 offers them: Produce and Metadata from 0 on, for clients that look no further.
    let kafka_4 = [(0, 0, 13), (1, 4, 18), (2, 1, 11), (3, 0, 13)];
    let kafka_4 = kafka_4.map(|(api_key, min, max)| Offer { api_key, min, max });
    let lacks = Versions::negotiate_compat(&kafka_4).unwrap_err();
    vec![
        ("Kafka 4, by the compatibility client", words(verdict::no_compat(SERVER, &lacks))),
        ("TLS or a login, by that client", words(verdict::compat_in_plaintext(SERVER))),
        ("lz4, by that client", words(verdict::compat_compression(SERVER, Compression::Lz4))),
        ("zstd, before Kafka 2.1", words(verdict::no_zstd(SERVER))),
    ]
}

fn pems() -> Messages {
    let of = |setting: &str, bytes: &[u8]| {
        let problem = match setting {
            "KAFKA_SSL_CA_FILE=ca" => Certificates::parse(bytes).unwrap_err().to_string(),
            _ => PrivateKey::parse(bytes).unwrap_err().to_string(),
        };
        Stop::Settings(vec![format!("{setting}: {problem}")]).to_string().replace("\n  -", "")
    };
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    vec![
        ("a Java keystore", of("KAFKA_SSL_CA_FILE=ca", &[0xFE, 0xED, 0xFE, 0xED, 0, 0])),
        (
            "PKCS#12",
            of("KAFKA_SSL_CA_FILE=ca", b"\x30\x82\x01\x01\x02\x01\x03\x30\x82\x01\x01\x06"),
        ),
        ("an encrypted key", of("KAFKA_SSL_KEY_FILE=key", encrypted)),
        ("no certificate in it", of("KAFKA_SSL_CA_FILE=ca", b"hello\n")),
        ("no key in it", of("KAFKA_SSL_KEY_FILE=key", b"hello\n")),
    ]
}

fn s3_answers() -> Messages {
    let place = Place {
        bucket: "b".into(),
        key: "exports/orders.csv".into(),
        version_id: None,
        region: "eu-west-1".into(),
        endpoint: None,
        variant: Variant::default(),
        requester_pays: false,
    };
    let answered = |place: &Place, status, headers: Headers<'_>, body: String| {
        let asked = Asked { from: 5, to: None, pinned: Some(("\"e\"", 100)) };
        match s3::reply(place, &asked, status, &headers, body.as_bytes()) {
            s3::Reply::Final { problem, advice } => {
                Stop::refused(Peer::Source, problem, advice).to_string()
            }
            s3::Reply::Passing { problem, .. }
            | s3::Reply::Expired { problem }
            | s3::Reply::Elsewhere { problem, .. } => format!("(again) {problem}"),
            s3::Reply::ClockWrong { .. } => clock(Peer::Source),
            s3::Reply::Replaced => Stop::SourceReplaced {
                source: place.name(),
                pinned: "\"e\"".into(),
                now: "\"f\"".into(),
                version_id: None,
            }
            .to_string(),
            other => panic!("{other:?}"),
        }
    };
    let with = |status, headers, body| answered(&place, status, headers, body);
    let error = |code: &str, message: &str| {
        format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")
    };
    let of =
        |status, code: &str, message: &str| with(status, Headers::default(), error(code, message));
    let version = Place { version_id: Some("3L4kqtJl".into()), ..place.clone() };
    let of_version = |status, code: &str, message: &str| {
        answered(&version, status, Headers::default(), error(code, message))
    };
    let moved = Headers { bucket_region: Some("us-west-2"), ..Headers::default() };
    let whole = Headers { content_length: Some("100"), etag: Some("\"e\""), ..Headers::default() };
    vec![
        ("no such object", of(404, "NoSuchKey", "The specified key does not exist.")),
        ("no such bucket", of(404, "NoSuchBucket", "The specified bucket does not exist")),
        ("not allowed", of(403, "AccessDenied", "Access Denied")),
        ("not allowed by KMS", of(403, "AccessDenied", NO_KMS)),
        ("the key is disabled", of(400, "KMS.DisabledException", "arn:aws:kms:… is disabled.")),
        ("a key of the owner's own", of(400, "InvalidRequest", SSE_C)),
        ("archived", of(403, "InvalidObjectState", "not valid for the object's storage class")),
        ("unknown keys", of(403, "InvalidAccessKeyId", "The AWS Access Key Id does not exist")),
        ("wrong secret", of(403, "SignatureDoesNotMatch", "The signature does not match")),
        ("keys past their time", of(400, "ExpiredToken", "The provided token has expired.")),
        ("another region", with(301, moved, String::new())),
        ("another endpoint", of(301, "PermanentRedirect", "use the specified endpoint")),
        ("clock", of(403, "RequestTimeTooSkewed", "The difference is too large.")),
        ("too many requests", of(503, "SlowDown", "Please reduce your request rate.")),
        ("in trouble", of(500, "InternalError", "We encountered an internal error.")),
        ("replaced", with(412, Headers::default(), String::new())),
        (
            "replaced, where the old version has a name",
            Stop::SourceReplaced {
                source: place.name(),
                pinned: "\"e\"".into(),
                now: "\"f\"".into(),
                version_id: Some("3L4kqtJl".into()),
            }
            .to_string(),
        ),
        ("no such version", of_version(404, "NoSuchVersion", "The version does not exist.")),
        (
            "no name of a version",
            of_version(400, "InvalidArgument", "Invalid version id specified"),
        ),
        ("a delete marker", of_version(405, "MethodNotAllowed", "The method is not allowed.")),
        ("a version that is not allowed", of_version(403, "AccessDenied", "Access Denied")),
        (
            "a server without versions",
            answered(
                &version,
                206,
                Headers {
                    content_length: Some("95"),
                    content_range: Some("bytes 5-99/100"),
                    etag: Some("\"e\""),
                    ..Headers::default()
                },
                String::new(),
            ),
        ),
        ("no ranges", with(200, whole, String::new())),
    ]
}

fn dynamodb_answers() -> Messages {
    let table = Table { name: "jobs".into(), region: "eu-west-1".into() };
    let with = |status, crc32: Option<&str>, body: &str| match dynamodb::reply(
        &table,
        "UpdateItem",
        status,
        crc32,
        body.as_bytes(),
    ) {
        dynamodb::Reply::Final { problem, advice } => {
            Stop::refused(Peer::Ledger, problem, advice).to_string()
        }
        dynamodb::Reply::Passing { problem } | dynamodb::Reply::Expired { problem } => {
            format!("(again) {problem}")
        }
        dynamodb::Reply::ClockWrong { .. } => clock(Peer::Ledger),
        other => panic!("{other:?}"),
    };
    let of = |code: &str, message: &str| {
        let body = json!({"__type": format!("com.amazonaws#{code}"), "message": message});
        with(400, None, &body.to_string())
    };
    let damaged = r#"{"Item": {"job_id": {"S": "j"}, "last_line": {"S": "seven"}}}"#;
    vec![
        ("no such table", of("ResourceNotFoundException", "Requested resource not found")),
        (
            "not allowed",
            of("AccessDeniedException", "not authorized to perform: dynamodb:UpdateItem"),
        ),
        ("not allowed by KMS", of("AccessDeniedException", NO_KMS)),
        (
            "wrong key of the table",
            of("ValidationException", "The provided key element does not match the schema"),
        ),
        ("unknown keys", of("UnrecognizedClientException", "The security token is invalid.")),
        ("wrong secret", of("InvalidSignatureException", "The request signature does not match")),
        ("clock", of("InvalidSignatureException", "Signature expired: 20260101T000000Z")),
        ("keys past their time", of("ExpiredTokenException", "The security token is expired")),
        (
            "too many requests",
            of("ProvisionedThroughputExceededException", "The level is exceeded"),
        ),
        ("in trouble", with(500, None, "")),
        ("an answer that came damaged", with(200, Some("1"), "{}")),
        ("an item of somebody else's", with(200, None, damaged)),
        ("elsewhere", with(307, None, "")),
    ]
}

fn secret_answers() -> Messages {
    let arn = SecretArn::parse(ARN).unwrap();
    let with = |status, body: &str| match secrets_manager::reply(&arn, status, body.as_bytes()) {
        secrets_manager::Reply::Final { problem, advice } => {
            Stop::refused(Peer::Broker, problem, advice).to_string()
        }
        secrets_manager::Reply::Passing { problem }
        | secrets_manager::Reply::Expired { problem } => format!("(again) {problem}"),
        secrets_manager::Reply::Password(_) => panic!("a password"),
    };
    let of = |code: &str, message: &str| {
        with(400, &json!({"__type": code, "Message": message}).to_string())
    };
    let secret = |text: &str| with(200, &json!({"SecretString": text}).to_string());
    vec![
        (
            "no such secret, or another region",
            of("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        ),
        (
            "deleted",
            of(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            ),
        ),
        (
            "not allowed",
            of("AccessDeniedException", "not authorized to perform: secretsmanager:GetSecretValue"),
        ),
        ("not allowed by KMS", of("AccessDeniedException", "Access to KMS is not allowed")),
        ("the key is disabled", of("DecryptionFailure", "can't decrypt the protected secret text")),
        ("not JSON", secret("hush")),
        ("no password", secret(r#"{"username": "loader"}"#)),
        ("binary", with(200, r#"{"SecretBinary": "aHVzaA=="}"#)),
        ("too many requests", of("ThrottlingException", "Rate exceeded")),
    ]
}

fn clock(peer: Peer) -> String {
    Stop::ClockWrong { peer, skew_seconds: -4_000 }.to_string()
}
