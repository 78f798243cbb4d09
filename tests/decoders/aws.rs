//! What AWS says, and whoever answers in its place.

use csv_to_kafka::wire::aws_endpoint::{Variant, is_region};
use csv_to_kafka::wire::aws_identity::{
    Refusal, caller_reply, document, is_spot_notice, sts_reply,
};
use csv_to_kafka::wire::checkpoint_json::{from_plain, from_typed, to_plain, to_typed};
use csv_to_kafka::wire::cloudwatch;
use csv_to_kafka::wire::dynamodb::{self, Table};
use csv_to_kafka::wire::http::{one_line, unix_seconds, unix_seconds_rfc3339};
use csv_to_kafka::wire::http_head::Head;
use csv_to_kafka::wire::s3::{self, Asked, ContentRange, Headers, Place};
use csv_to_kafka::wire::secrets_manager::{self, SecretArn};
use csv_to_kafka::wire::xml::texts;

use super::{Decoder, assert_fit_for_a_line, choice};

pub(super) const DECODERS: &[Decoder] = &[
    ("xml", xml),
    ("s3_answer", s3_answer),
    ("content_range", content_range),
    ("dynamodb_answer", dynamodb_answer),
    ("checkpoint_item", checkpoint_item),
    ("checkpoint_in_file", checkpoint_in_file),
    ("sts_answer", sts_answer),
    ("secret_answer", secret_answer),
    ("secret_arn", secret_arn),
    ("credentials_document", credentials_document),
    ("http_times", http_times),
    ("http_head", http_head),
    ("cloudwatch_answer", cloudwatch_answer),
    ("spot_notice", spot_notice),
];

const STATUS: [u16; 12] = [200, 206, 301, 307, 400, 403, 404, 408, 412, 416, 429, 503];

fn status(choice: usize) -> u16 {
    STATUS[choice % STATUS.len()]
}

fn xml(bytes: &[u8]) {
    let mut told_bytes = 0;
    texts(bytes, &mut |path, text| {
        assert!(path.len() <= 16);
        told_bytes += text.len();
    });
    // What is not UTF-8 takes three bytes for one.
    assert!(told_bytes <= 3 * bytes.len());
}

/// Status, what was asked for, six headers a line each, the body.
fn s3_answer(bytes: &[u8]) {
    let (first, bytes) = choice(bytes);
    let (second, bytes) = choice(bytes);
    let mut parts = bytes.splitn(7, |byte| *byte == b'\n');
    let lines: Vec<String> =
        parts.by_ref().take(6).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let line = |at: usize| lines.get(at).map(String::as_str).filter(|line| !line.is_empty());
    let headers = Headers {
        content_length: line(0),
        content_range: line(1),
        etag: line(2),
        version_id: line(3),
        bucket_region: line(4),
        retry_after: line(5),
    };
    let from = if second & 1 == 0 { 0 } else { 5 };
    let to = (second & 2 != 0).then_some(100);
    let pinned = (second & 4 != 0).then_some(("\"e\"", 100));
    let asked = Asked { from, to, pinned };
    let place = Place {
        bucket: "b".into(),
        key: "k".into(),
        version_id: (second & 8 != 0).then(|| "v".into()),
        region: "eu-central-1".into(),
        endpoint: None,
        variant: Variant::default(),
        requester_pays: false,
    };
    match s3::reply(&place, &asked, status(first), &headers, parts.next().unwrap_or_default()) {
        s3::Reply::Body { bytes, etag, source_bytes, .. } => {
            assert!(from + bytes <= source_bytes && !etag.is_empty());
            assert!(to.is_none_or(|to| from + bytes <= to));
            assert!(pinned.is_none_or(|pinned| pinned == (&*etag, source_bytes)));
        }
        s3::Reply::Elsewhere { region, problem } => {
            assert!(is_region(&region));
            assert_fit_for_a_line(&problem);
        }
        s3::Reply::Passing { problem, .. }
        | s3::Reply::Expired { problem }
        | s3::Reply::ClockWrong { problem }
        | s3::Reply::Final { problem, .. } => assert_fit_for_a_line(&problem),
        s3::Reply::AtEnd | s3::Reply::Replaced => assert!(pinned.is_some()),
    }
}

fn content_range(bytes: &[u8]) {
    if let Some(found) = ContentRange::parse(&String::from_utf8_lossy(bytes))
        && let Some((first, last)) = found.bytes
    {
        assert!(first <= last && last < found.total);
    }
}

fn dynamodb_answer(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let table = Table { name: "jobs".into(), region: "eu-central-1".into() };
    let crc32 = (first & 0x80 != 0).then(|| crc32fast::hash(body).to_string());
    match dynamodb::reply(&table, "UpdateItem", status(first & 0x7F), crc32.as_deref(), body) {
        dynamodb::Reply::Passing { problem }
        | dynamodb::Reply::Expired { problem }
        | dynamodb::Reply::ClockWrong { problem }
        | dynamodb::Reply::Final { problem, .. } => assert_fit_for_a_line(&problem),
        dynamodb::Reply::Page(jobs, _) => assert!(jobs.len() <= body.len()),
        dynamodb::Reply::Item(_) | dynamodb::Reply::ConditionFailed(_) => {}
    }
}

/// Typed attributes; what is read is written and read again.
fn checkpoint_item(bytes: &[u8]) {
    let Ok(serde_json::Value::Object(attributes)) = serde_json::from_slice(bytes) else { return };
    match from_typed(&attributes) {
        Ok(item) => assert_eq!(from_typed(&to_typed(&to_plain(&item))), Ok(item)),
        Err(damaged) => assert!(damaged.to_string().chars().count() < 1_000 + bytes.len()),
    }
}

/// The plain item of a ledger file.
fn checkpoint_in_file(bytes: &[u8]) {
    let Ok(serde_json::Value::Object(attributes)) = serde_json::from_slice(bytes) else { return };
    match from_plain(&attributes) {
        Ok(item) => assert_eq!(from_plain(&to_plain(&item)), Ok(item)),
        Err(damaged) => assert!(damaged.to_string().chars().count() < 1_000 + bytes.len()),
    }
}

fn sts_answer(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    judge(sts_reply(status(first), body));
    match caller_reply(status(first), body) {
        Ok((account, arn)) => {
            assert_fit_for_a_line(&account);
            assert_fit_for_a_line(&arn);
        }
        Err(Refusal::Passing(problem) | Refusal::Final { problem, .. }) => {
            assert_fit_for_a_line(&problem);
        }
    }
}

fn cloudwatch_answer(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    if let Err(refusal) = cloudwatch::reply("CloudWatch", status(first), body) {
        assert_fit_for_a_line(&refusal.problem);
        assert_fit_for_a_line(&refusal.code);
    }
}

fn spot_notice(bytes: &[u8]) {
    if is_spot_notice(bytes) {
        let body = serde_json::from_slice::<serde_json::Value>(bytes).expect("a notice is JSON");
        assert!(body.is_object());
    }
}

fn secret_answer(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:AmazonMSK_x-AbCdEf";
    let Some(arn) = SecretArn::parse(arn) else { return };
    match secrets_manager::reply(&arn, status(first), body) {
        secrets_manager::Reply::Password(found) => {
            for word in [found.username.as_str(), found.password.reveal()] {
                assert!(!word.is_empty() && !word.contains('\0'));
            }
        }
        secrets_manager::Reply::Passing { problem }
        | secrets_manager::Reply::Expired { problem }
        | secrets_manager::Reply::Final { problem, .. } => assert_fit_for_a_line(&problem),
    }
}

fn secret_arn(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(arn) = SecretArn::parse(&text) {
        assert!(is_region(arn.region()));
        assert_eq!(arn.to_string(), text);
        assert_fit_for_a_line(&text);
    }
}

/// Of a container or an instance.
fn credentials_document(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    judge(document("it", status(first), body));
}

fn judge(found: Result<aws_credential_types::Credentials, Refusal>) {
    match found {
        // They go into headers.
        Ok(keys) => {
            let values = [keys.access_key_id(), keys.secret_access_key()];
            for value in values.into_iter().chain(keys.session_token()) {
                assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
        Err(Refusal::Passing(problem) | Refusal::Final { problem, .. }) => {
            assert_fit_for_a_line(&problem);
        }
    }
}

fn http_times(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // The years 0 to 9999.
    let sane = -62_200_000_000..=253_500_000_000;
    for found in [unix_seconds(&text), unix_seconds_rfc3339(&text)] {
        assert!(found.is_none_or(|seconds| sane.contains(&seconds)));
    }
    assert_fit_for_a_line(&one_line(&text));
}

/// The head of an answer: the same whether its end is the end of the bytes or not.
fn http_head(bytes: &[u8]) {
    let Ok(Some(head)) = Head::parse(bytes) else { return };
    assert!(head.status <= 999 && head.head_bytes <= bytes.len());
    assert!(bytes[..head.head_bytes].ends_with(b"\r\n\r\n"));
    assert_eq!(Head::parse(&bytes[..head.head_bytes]).ok().flatten().as_ref(), Some(&head));
    assert_eq!(Head::parse(&bytes[..head.head_bytes - 1]), Ok(None));
    assert!(!head.closes() || head.header("CONNECTION").is_some());
}
