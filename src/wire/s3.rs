//! One request of S3, `GetObject`, and its answers.
//!
//! ```text
//! GET /data/a%20b.csv                       whole object: no Range, so that an empty one answers too
//! GET /data/a.csv?versionId=8mc_1pB         one version of it
//! range: bytes=5-99                         a part: the last byte is included, and may be left out
//! if-match: "9bb58f26192e4ba00f01e2e7b136bbd8"                  the pin
//!
//! 200 content-length: 100                   206 content-range: bytes 5-99/100
//! 412 the object is another one             416 content-range: bytes */100: nothing at or after byte 5
//! 403 <Error><Code>AccessDenied</Code><Message>…</Message>…</Error>
//! 404 NoSuchVersion, 400 InvalidArgument    no such version, and no name of one
//! 405 MethodNotAllowed                      that version is a delete marker
//! ```

use std::fmt::Write as _;

use crate::wire::aws_endpoint::{Variant, is_region, partition, s3_host};
use crate::wire::http::one_line;
use crate::wire::kms;
use crate::wire::shell::word as shell_word;
use crate::wire::xml::texts;

/// Where the object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub bucket: String,
    pub key: String,
    /// The version of the object that is meant; `None`: the latest.
    pub version_id: Option<String>,
    pub region: String,
    /// A custom endpoint: `http://127.0.0.1:9000`, without a slash at its end.
    pub endpoint: Option<String>,
    pub variant: Variant,
    /// Whoever reads pays, as the owner of the bucket demands.
    pub requester_pays: bool,
}

impl Place {
    pub fn name(&self) -> String {
        let Place { bucket, key, version_id, .. } = self;
        match version_id {
            None => format!("s3://{bucket}/{key}"),
            Some(version_id) => format!("s3://{bucket}/{key}?versionId={version_id}"),
        }
    }

    /// Path style with a custom endpoint and for buckets whose name is no DNS label: their
    /// host would not fit the certificate. Virtual host style otherwise.
    pub fn url(&self) -> String {
        let Place { bucket, key, region, endpoint, variant, .. } = self;
        let mut key = percent_encoded(key, true);
        if let Some(version_id) = &self.version_id {
            key = format!("{key}?versionId={}", percent_encoded(version_id, false));
        }
        if let Some(endpoint) = endpoint {
            return format!(
                "{}/{}/{key}",
                endpoint.trim_end_matches('/'),
                percent_encoded(bucket, false)
            );
        }
        let host = s3_host(region, *variant);
        let is_label =
            bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_label && !bucket.is_empty() {
            format!("https://{bucket}.{host}/{key}")
        } else {
            format!("https://{host}/{}/{key}", percent_encoded(bucket, false))
        }
    }
}

/// Everything but the unreserved characters of RFC 3986 becomes `%XX`, byte by byte.
fn percent_encoded(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'/' if keep_slash => encoded.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let written = write!(encoded, "%{byte:02X}");
                assert!(written.is_ok(), "writing to a string does not fail");
            }
        }
    }
    encoded
}

/// The bytes that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    pub from: u64,
    /// The first byte that is not wanted; above `from`.
    pub to: Option<u64>,
    /// `ETag` and size that the object must have.
    pub pinned: Option<(&'a str, u64)>,
}

impl Asked<'_> {
    /// The headers of the request; the whole object is asked for without a range.
    pub fn headers(&self) -> Vec<(String, String)> {
        let mut headers = Vec::with_capacity(2);
        match self.to {
            None if self.from == 0 => {}
            None => headers.push(("range".into(), format!("bytes={}-", self.from))),
            Some(to) => {
                assert!(to > self.from, "an empty range can not be asked for");
                headers.push(("range".into(), format!("bytes={}-{}", self.from, to - 1)));
            }
        }
        if let Some((etag, _)) = self.pinned {
            headers.push(("if-match".into(), etag.into()));
        }
        headers
    }
}

/// `bytes 5-99/100`, or `bytes */100` where nothing of the object was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte, both included.
    pub bytes: Option<(u64, u64)>,
    pub total: u64,
}

impl ContentRange {
    /// `None`: not of this form, out of order, or of unknown total.
    pub fn parse(header: &str) -> Option<ContentRange> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let total = digits(total)?;
        if range == "*" {
            return Some(ContentRange { bytes: None, total });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (digits(first)?, digits(last)?);
        (first <= last && last < total)
            .then_some(ContentRange { bytes: Some((first, last)), total })
    }
}

fn digits(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The headers of an answer that matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    pub content_length: Option<&'a str>,
    pub content_range: Option<&'a str>,
    pub etag: Option<&'a str>,
    pub version_id: Option<&'a str>,
    pub bucket_region: Option<&'a str>,
    pub retry_after: Option<&'a str>,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// So many bytes follow.
    Body { bytes: u64, etag: String, version_id: Option<String>, source_bytes: u64 },
    /// The pinned object ends at or before `from`.
    AtEnd,
    /// The object is not the pinned one.
    Replaced,
    /// May go away by itself; the service asks for this long a pause.
    Passing { problem: String, pause_ms: u64 },
    /// The bucket is in another region: what a request there needs to be signed for.
    Elsewhere { region: String, problem: String },
    /// The credentials are past their time: fresh ones may help.
    Expired { problem: String },
    /// The service judges our time stamp wrong.
    ClockWrong { problem: String },
    /// A person must act.
    Final { problem: String, advice: String },
}

/// Judges an answer; `error` is the body of one that is no success (200 or 206), or its front.
pub fn reply(
    place: &Place,
    asked: &Asked<'_>,
    status: u16,
    headers: &Headers<'_>,
    error: &[u8],
) -> Reply {
    match status {
        200 | 206 => success(place, asked, status, headers),
        412 if asked.pinned.is_some() => Reply::Replaced,
        416 => past_the_end(place, asked, headers),
        _ => refusal(place, status, headers, error),
    }
}

fn success(place: &Place, asked: &Asked<'_>, status: u16, headers: &Headers<'_>) -> Reply {
    let name = place.name();
    let is_part = asked.from != 0 || asked.to.is_some();
    let content_length = headers.content_length.and_then(digits);
    let Some(content_length) = content_length else {
        return unusable(&name, "the answer does not say how long it is (no Content-Length)");
    };
    let Some(etag) = headers.etag.filter(|etag| !etag.is_empty()) else {
        return unusable(&name, "the answer has no ETag, so the object can not be pinned");
    };
    let (first, last, total) = match (status, headers.content_range.map(ContentRange::parse)) {
        (200, _) if is_part => return unusable(&name, "the server ignores Range"),
        (200, _) => (0, content_length.checked_sub(1), content_length),
        (_, Some(Some(ContentRange { bytes: Some((first, last)), total }))) => {
            (first, Some(last), total)
        }
        _ => return unusable(&name, "the answer has no Content-Range that can be read"),
    };
    // What is from before the bucket kept versions is called so.
    let named = |id: &&str| *id != "null";
    let version_id = headers.version_id.filter(named);
    if let Some(asked) = &place.version_id
        && Some(asked.as_str()).filter(named) != version_id
    {
        let found = one_line(version_id.unwrap_or("none"));
        return unusable(&name, &format!("asked for this version, it answers version {found}"));
    }
    // Also holds a server to the pin that does not know If-Match.
    if asked.pinned.is_some_and(|(pinned, bytes)| pinned != etag || bytes != total) {
        return Reply::Replaced;
    }
    let end = asked.to.map_or(total, |to| to.min(total));
    let bytes = last.map_or(0, |last| last + 1 - first);
    if first != asked.from || first + bytes != end || bytes != content_length {
        let problem = format!(
            "asked for the bytes from {} to {end}, it answers {bytes} bytes from {first} and a Content-Length of {content_length}",
            asked.from
        );
        return unusable(&name, &problem);
    }
    let version_id = version_id.map(str::to_owned);
    Reply::Body { bytes, etag: etag.to_owned(), version_id, source_bytes: total }
}

/// What no server says that speaks the protocol.
pub fn unusable(name: &str, problem: &str) -> Reply {
    Reply::Final {
        problem: format!("{name}: {problem}"),
        advice: "Ask S3 itself, or a server that speaks its protocol in full: mend AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, and see whether a proxy is in the way".into(),
    }
}

fn past_the_end(place: &Place, asked: &Asked<'_>, headers: &Headers<'_>) -> Reply {
    let total = headers.content_range.and_then(ContentRange::parse).map(|range| range.total);
    match asked.pinned {
        // S3 looks at If-Match first; a server that does not tells its size.
        Some((_, bytes)) if total.is_some_and(|total| total != bytes) => Reply::Replaced,
        Some((_, bytes)) if asked.from == bytes => Reply::AtEnd,
        _ => Reply::Final {
            problem: format!(
                "{}: byte {} lies beyond the end of the object",
                place.name(),
                asked.from
            ),
            advice: "The checkpoint does not belong to this object: load it under a new JOB_ID"
                .into(),
        },
    }
}

fn refusal(place: &Place, status: u16, headers: &Headers<'_>, error: &[u8]) -> Reply {
    let Error { code, message, region, storage_class } = Error::parse(error);
    let code = one_line(&code.unwrap_or_default());
    let said = one_line(message.as_deref().unwrap_or_default());
    let named =
        if code.is_empty() { format!("HTTP {status}") } else { format!("{code} ({status})") };
    let mut problem = format!("{}: S3 answers {named}", place.name());
    if !said.is_empty() {
        problem = format!("{problem}: {said}");
    }
    let pause_ms = headers.retry_after.and_then(digits).map_or(0, |s| s.saturating_mul(1_000));
    let region = headers.bucket_region.map(str::to_owned).or(region);
    let elsewhere = region.filter(|region| *region != place.region);
    let advice = match (code.as_str(), elsewhere) {
        ("ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException", _) => {
            return Reply::Expired { problem };
        }
        ("RequestTimeTooSkewed" | "RequestExpired", _) => return Reply::ClockWrong { problem },
        ("SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "Busy", _) => {
            return Reply::Passing { problem, pause_ms };
        }
        _ if code.starts_with("Throttling")
            || status >= 500
            || matches!(status, 408 | 425 | 429) =>
        {
            return Reply::Passing { problem, pause_ms };
        }
        // It becomes a part of a host name.
        (_, Some(region)) if matches!(status, 301 | 307 | 400) && is_region(&region) => {
            return Reply::Elsewhere { region, problem };
        }
        // A new bucket, before the names have spread.
        _ if status == 307 => return Reply::Passing { problem, pause_ms },
        ("InvalidObjectState", _) => restore(place, storage_class.as_deref()),
        (code, _) => advice(place, status, code, &said),
    };
    Reply::Final { problem, advice }
}

/// The command that brings an archived object back. Intelligent-Tiering moves the object itself
/// and refuses a number of days.
fn restore(place: &Place, storage_class: Option<&str>) -> String {
    let Place { bucket, key, version_id, .. } = place;
    let version = match version_id {
        Some(version_id) => format!(" --version-id {}", shell_word(version_id)),
        None => String::new(),
    };
    let request = match storage_class {
        Some("INTELLIGENT_TIERING") => "'{}'",
        _ => "Days=7",
    };
    format!(
        "The object is archived: aws s3api restore-object --bucket {} --key {}{version} --restore-request {request}, wait until it is done (aws s3api head-object tells), start again",
        shell_word(bucket),
        shell_word(key)
    )
}

fn advice(place: &Place, status: u16, code: &str, said: &str) -> String {
    let Place { bucket, key, version_id, region, .. } = place;
    let partition = partition(region);
    let action = if version_id.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    match code {
        _ if version_id.is_some() && is_of_the_version(status, code) => format!(
            "{}: set S3_VERSION_ID to one that aws s3api list-object-versions --bucket {bucket} --prefix {} shows under Versions",
            match status {
                404 => "There is no such version of the object (any more)",
                405 => "That version is a delete marker, which has no rows",
                _ => "That is not the name of a version",
            },
            shell_word(key)
        ),
        "NoSuchKey" => format!(
            "There is no such object (any more): mend S3_KEY, which is taken byte for byte; aws s3api list-objects-v2 --bucket {bucket} shows what is there. Where the bucket keeps versions, S3_VERSION_ID names an older one"
        ),
        "NoSuchBucket" => format!("There is no bucket {bucket}: mend S3_BUCKET"),
        _ if code.starts_with("KMS.") || kms::is_meant(said) => {
            "The object is encrypted with a KMS key that we may not use: allow kms:Decrypt on that key to the role of this machine, in the key's policy too, and see that the key is enabled".into()
        }
        "AccessDenied" | "AllAccessDisabled" | "Forbidden" => format!(
            "Allow {action} on arn:{partition}:s3:::{bucket}/{key} to the role of this machine (and s3:ListBucket on the bucket: without it a missing object looks forbidden too); where whoever reads has to pay, set S3_REQUEST_PAYER=requester"
        ),
        "InvalidAccessKeyId" | "InvalidToken" | "UnrecognizedClientException" => {
            "AWS does not know these credentials: mend them where they come from (AWS_ACCESS_KEY_ID, a profile, a role), or AWS_SESSION_TOKEN, which belongs to them".into()
        }
        "SignatureDoesNotMatch" => {
            "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID".into()
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException" => format!(
            "The bucket is not in region {region}: set AWS_REGION to its own (aws s3api get-bucket-location --bucket {bucket})"
        ),
        // The message is the only thing that tells it from other requests that are not valid.
        "InvalidRequest" if said.contains("Server Side Encryption") => format!(
            "The object is encrypted with a key of its owner's own (SSE-C), which csv-to-kafka does not take: copy it to one that is not (aws s3 cp s3://{bucket}/… with --sse-c-copy-source and --sse-c-copy-source-key), and mend S3_KEY"
        ),
        "InvalidBucketName" => "Mend S3_BUCKET".into(),
        "KeyTooLongError" | "InvalidURI" => "Mend S3_KEY".into(),
        _ if (300..400).contains(&status) => {
            "The endpoint sends us elsewhere: mend AWS_REGION or AWS_ENDPOINT_URL_S3".into()
        }
        _ if status == 404 => "Mend S3_BUCKET and S3_KEY".into(),
        _ if status == 401 || status == 403 => format!(
            "Allow {action} on arn:{partition}:s3:::{bucket}/{key} to the role of this machine, or mend its credentials"
        ),
        _ => "Mend what S3 names, and start again".into(),
    }
}

/// A refusal of the version that was asked for.
fn is_of_the_version(status: u16, code: &str) -> bool {
    match status {
        400 => matches!(code, "InvalidArgument" | "InvalidVersionId" | "BadRequest"),
        404 => code == "NoSuchVersion",
        405 => true,
        _ => false,
    }
}

/// `<Error><Code/><Message/><Region/>…</Error>`, as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Error {
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
    storage_class: Option<String>,
}

impl Error {
    /// What is not XML leaves nothing: the status speaks for itself then.
    fn parse(body: &[u8]) -> Error {
        let mut error = Error::default();
        texts(body, &mut |path, text| error.add(path, text));
        error
    }

    fn add(&mut self, path: &[String], text: &str) {
        let [root, name] = path else { return };
        if root != "Error" {
            return;
        }
        let field = match name.as_str() {
            "Code" => &mut self.code,
            "Message" => &mut self.message,
            "Region" => &mut self.region,
            "StorageClass" => &mut self.storage_class,
            _ => return,
        };
        field.get_or_insert_default().push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bucket: &str, key: &str, endpoint: Option<&str>) -> Place {
        Place {
            bucket: bucket.into(),
            key: key.into(),
            version_id: None,
            region: "eu-central-1".into(),
            endpoint: endpoint.map(str::to_owned),
            variant: Variant::default(),
            requester_pays: false,
        }
    }

    #[test]
    fn urls() {
        let local = Some("http://127.0.0.1:7070/");
        let aws = "https://b-1.s3.eu-central-1.amazonaws.com";
        let cases = [
            ("b-1", "a/b.csv", None, format!("{aws}/a/b.csv")),
            ("b-1", "a b+c%.csv", None, format!("{aws}/a%20b%2Bc%25.csv")),
            ("b-1", "/a//b/../c", None, format!("{aws}//a//b/../c")),
            ("b-1", "größe/🦀", None, format!("{aws}/gr%C3%B6%C3%9Fe/%F0%9F%A6%80")),
            ("b-1", "a?b#c&d=e~_-", None, format!("{aws}/a%3Fb%23c%26d%3De~_-")),
            ("b.1", "k", None, "https://s3.eu-central-1.amazonaws.com/b.1/k".into()),
            ("B_1", "k", None, "https://s3.eu-central-1.amazonaws.com/B_1/k".into()),
            ("b", "k\n", local, "http://127.0.0.1:7070/b/k%0A".into()),
        ];
        for (bucket, key, endpoint, expected) in cases {
            assert_eq!(place(bucket, key, endpoint).url(), expected);
        }
        let mut version = place("b", "k", local);
        version.version_id = Some("3/L4+~_-.=".into());
        assert_eq!(version.url(), "http://127.0.0.1:7070/b/k?versionId=3%2FL4%2B~_-.%3D");
        assert_eq!(version.name(), "s3://b/k?versionId=3/L4+~_-.=");
        let mut china = place("b", "k", None);
        china.region = "cn-north-1".into();
        assert_eq!(china.url(), "https://b.s3.cn-north-1.amazonaws.com.cn/k");
    }

    #[test]
    fn content_ranges() {
        let range = |first, last, total| Some(ContentRange { bytes: Some((first, last)), total });
        let cases = [
            ("bytes 0-0/1", range(0, 0, 1)),
            ("bytes 5-99/100", range(5, 99, 100)),
            ("bytes */0", Some(ContentRange { bytes: None, total: 0 })),
            ("bytes 0-18446744073709551614/18446744073709551615", range(0, u64::MAX - 1, u64::MAX)),
            ("bytes 5-4/100", None),
            ("bytes 5-100/100", None),
            ("bytes 5-99/*", None),
            ("bytes +5-99/100", None),
            ("bytes 5-/100", None),
            ("items 5-99/100", None),
            ("bytes 0-18446744073709551615/18446744073709551616", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(ContentRange::parse(header), expected, "{header}");
        }
    }

    const ETAG: &str = "\"e\"";

    #[test]
    fn requests_ask_for_what_is_wanted() {
        let pin = Some((ETAG, 100));
        let cases = [
            (Asked { from: 0, to: None, pinned: None }, vec![]),
            (Asked { from: 0, to: Some(7), pinned: None }, vec![("range", "bytes=0-6")]),
            (
                Asked { from: 9, to: None, pinned: pin },
                vec![("range", "bytes=9-"), ("if-match", ETAG)],
            ),
        ];
        for (asked, expected) in cases {
            let found = asked.headers();
            let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn successes_are_compared_with_what_was_asked() {
        let pin = Some((ETAG, 100));
        let body = |bytes| format!("body {bytes}");
        // from, to, pinned, status, Content-Length, Content-Range, ETag
        let cases = [
            (0, None, None, 200, "100", "", ETAG, body(100)),
            (0, None, None, 200, "0", "", ETAG, body(0)),
            (0, None, pin, 200, "100", "", ETAG, body(100)),
            (0, None, pin, 200, "101", "", ETAG, "replaced".into()),
            (0, None, pin, 200, "100", "", "\"f\"", "replaced".into()),
            (5, None, pin, 206, "95", "bytes 5-99/100", ETAG, body(95)),
            (5, Some(9), pin, 206, "4", "bytes 5-8/100", ETAG, body(4)),
            (5, Some(200), None, 206, "95", "bytes 5-99/100", ETAG, body(95)),
            (5, None, pin, 206, "94", "bytes 5-99/100", ETAG, "final".into()),
            (5, None, pin, 206, "90", "bytes 5-94/100", ETAG, "final".into()),
            (5, None, pin, 206, "96", "bytes 4-99/100", ETAG, "final".into()),
            (5, None, pin, 206, "95", "", ETAG, "final".into()),
            (5, None, pin, 200, "100", "", ETAG, "final".into()),
            (0, None, None, 200, "", "", ETAG, "final".into()),
            (0, None, None, 200, "100", "", "", "final".into()),
            (100, None, pin, 416, "0", "bytes */100", "", "at end".into()),
            (100, None, pin, 416, "0", "", "", "at end".into()),
            (100, None, pin, 416, "0", "bytes */90", "", "replaced".into()),
            (101, None, pin, 416, "0", "bytes */100", "", "final".into()),
            (5, None, None, 416, "0", "bytes */5", "", "final".into()),
            (5, None, pin, 412, "0", "", "", "replaced".into()),
            (5, None, None, 412, "0", "", "", "final".into()),
        ];
        for (from, to, pinned, status, length, range, etag, expected) in cases {
            let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
            let headers = Headers {
                content_length: some(length),
                content_range: some(range),
                etag: some(etag),
                ..Headers::default()
            };
            let asked = Asked { from, to, pinned };
            let found = match reply(&place("b", "k", None), &asked, status, &headers, b"") {
                Reply::Body { bytes, .. } => body(bytes),
                Reply::AtEnd => "at end".into(),
                Reply::Replaced => "replaced".into(),
                Reply::Final { problem, .. } => {
                    assert!(problem.starts_with("s3://b/k: "), "{problem}");
                    "final".into()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{asked:?} {status} {headers:?}");
        }
    }

    /// Asked for, answered, told; what is from before the bucket kept versions has none.
    #[test]
    fn a_version_is_told_where_there_is_one() {
        let cases = [
            (None, Some("v1"), Ok(Some("v1"))),
            (None, Some("null"), Ok(None)),
            (None, None, Ok(None)),
            (Some("v1"), Some("v1"), Ok(Some("v1"))),
            (Some("null"), Some("null"), Ok(None)),
            (Some("null"), None, Ok(None)),
            (Some("v1"), Some("v2"), Err("asked for this version, it answers version v2")),
            (Some("v1"), Some("null"), Err("asked for this version, it answers version none")),
            (Some("v1"), None, Err("asked for this version, it answers version none")),
            (Some("null"), Some("v1"), Err("asked for this version, it answers version v1")),
        ];
        for (asked_for, header, expected) in cases {
            let headers = Headers {
                content_length: Some("3"),
                etag: Some(ETAG),
                version_id: header,
                ..Headers::default()
            };
            let asked = Asked { from: 0, to: None, pinned: None };
            let place = Place { version_id: asked_for.map(str::to_owned), ..place("b", "k", None) };
            match (reply(&place, &asked, 200, &headers, b""), expected) {
                (Reply::Body { version_id, .. }, Ok(expected)) => {
                    assert_eq!(version_id.as_deref(), expected);
                }
                (Reply::Final { problem, .. }, Err(expected)) => {
                    assert_eq!(problem, format!("{}: {expected}", place.name()));
                }
                (other, _) => panic!("{asked_for:?} {header:?}: {other:?}"),
            }
        }
    }

    /// The same refusals mean something else where no version was asked for.
    #[test]
    fn refusals_of_a_version() {
        let cases = [
            (404, "NoSuchVersion", "There is no such version", "Mend S3_BUCKET and S3_KEY"),
            (400, "InvalidArgument", "not the name of a version", "Mend what S3 names"),
            (405, "MethodNotAllowed", "a delete marker", "Mend what S3 names"),
            (405, "", "a delete marker", "Mend what S3 names"),
            (403, "AccessDenied", "s3:GetObjectVersion on", "s3:GetObject on"),
            (403, "", "s3:GetObjectVersion on", "s3:GetObject on"),
            (404, "NoSuchKey", "S3_KEY", "S3_KEY"),
        ];
        for (status, code, with_version, without) in cases {
            let xml = format!("<Error><Code>{code}</Code></Error>");
            for (version_id, expected) in [(Some("v1"), with_version), (None, without)] {
                let version_id = version_id.map(str::to_owned);
                let place = Place { version_id, ..place("b", "k", None) };
                let asked = Asked { from: 0, to: None, pinned: None };
                let headers = Headers::default();
                let Reply::Final { problem, advice } =
                    reply(&place, &asked, status, &headers, xml.as_bytes())
                else {
                    panic!("{code}")
                };
                assert!(advice.contains(expected), "{code}: {advice}");
                assert!(problem.starts_with(&place.name()), "{problem}");
            }
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        // status, code, message, x-amz-bucket-region, kind or words of the advice
        let cases = [
            (404, "NoSuchKey", "The specified key does not exist.", "", "S3_KEY"),
            (404, "NoSuchBucket", "No bucket.", "", "S3_BUCKET"),
            (403, "AccessDenied", "Access Denied", "", "s3:GetObject on arn:aws:s3:::b/k"),
            (403, "AccessDenied", "not authorized to perform: kms:Decrypt", "", "kms:Decrypt"),
            (400, "KMS.DisabledException", "is disabled", "", "kms:Decrypt"),
            (
                403,
                "AccessDenied",
                "The ciphertext refers to a customer master key",
                "",
                "kms:Decrypt",
            ),
            (403, "AccessDenied", "on resource: arn:aws:s3:::kms/k", "", "s3:GetObject on"),
            (403, "InvalidObjectState", "archived", "", "restore-object"),
            (403, "InvalidAccessKeyId", "unknown", "", "AWS_ACCESS_KEY_ID"),
            (403, "SignatureDoesNotMatch", "differs", "", "AWS_SECRET_ACCESS_KEY"),
            (301, "PermanentRedirect", "elsewhere", "us-west-2", "region us-west-2"),
            (400, "AuthorizationHeaderMalformed", "wrong", "us-west-2", "region us-west-2"),
            (301, "PermanentRedirect", "elsewhere", "", "get-bucket-location"),
            (400, "IllegalLocationConstraintException", "opt in", "", "get-bucket-location"),
            (
                400,
                "IllegalLocationConstraintException",
                "opt in",
                "af-south-1",
                "region af-south-1",
            ),
            (400, "InvalidRequest", "stored using a form of Server Side Encryption", "", "SSE-C"),
            (400, "InvalidRequest", "odd", "", "Mend what S3 names"),
            (301, "PermanentRedirect", "elsewhere", "evil.example/", "get-bucket-location"),
            (403, "AccessDenied", "Access Denied", "us-west-2", "s3:GetObject"),
            (307, "TemporaryRedirect", "new bucket", "", "passing"),
            (503, "SlowDown", "Reduce your request rate", "", "passing"),
            (500, "InternalError", "We encountered", "", "passing"),
            (400, "RequestTimeout", "idle", "", "passing"),
            (400, "ThrottlingException", "slow", "", "passing"),
            (429, "", "", "", "passing"),
            (502, "", "", "", "passing"),
            (400, "ExpiredToken", "expired", "", "expired"),
            (403, "RequestTimeTooSkewed", "too large", "", "clock"),
            (403, "", "", "", "s3:GetObject"),
            (418, "Teapot", "short and stout", "", "Mend what S3 names"),
        ];
        for (status, code, message, region, expected) in cases {
            let xml = format!(
                "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>x</RequestId></Error>"
            );
            let headers = Headers {
                bucket_region: Some(region).filter(|region| !region.is_empty()),
                retry_after: Some("3"),
                ..Headers::default()
            };
            let asked = Asked { from: 0, to: None, pinned: None };
            match reply(&place("b", "k", None), &asked, status, &headers, xml.as_bytes()) {
                Reply::Passing { problem, pause_ms } => {
                    assert_eq!(expected, "passing", "{problem}");
                    assert_eq!(pause_ms, 3_000);
                }
                Reply::Elsewhere { region, .. } => assert_eq!(expected, format!("region {region}")),
                Reply::Expired { problem } => assert_eq!(expected, "expired", "{problem}"),
                Reply::ClockWrong { problem } => assert_eq!(expected, "clock", "{problem}"),
                Reply::Final { problem, advice } => {
                    assert!(advice.contains(expected), "{code}: {advice}");
                    assert!(problem.starts_with("s3://b/k: S3 answers "), "{problem}");
                    assert!(problem.contains(code), "{problem}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_command_that_restores_fits_the_object() {
        let glacier = "--bucket b --key 'it'\\''s a.csv' --restore-request Days=7,";
        let cases = [
            ("GLACIER", None, glacier.to_owned()),
            ("DEEP_ARCHIVE", None, glacier.to_owned()),
            ("INTELLIGENT_TIERING", None, glacier.replace("Days=7", "'{}'")),
            ("GLACIER", Some("v1"), glacier.replace("--restore", "--version-id v1 --restore")),
        ];
        for (class, version_id, expected) in cases {
            let body = format!(
                "<Error><Code>InvalidObjectState</Code><Message>m</Message><StorageClass>{class}</StorageClass></Error>"
            );
            let mut place = place("b", "it's a.csv", None);
            place.version_id = version_id.map(str::to_owned);
            let asked = Asked { from: 0, to: None, pinned: None };
            let found = reply(&place, &asked, 403, &Headers::default(), body.as_bytes());
            let Reply::Final { advice, .. } = found else { panic!("{found:?}") };
            assert!(advice.contains(&expected), "{advice}");
        }
    }

    #[test]
    fn error_bodies_of_every_kind() {
        let some = |text: &str| Some(text.to_owned());
        let cases: [(&[u8], _, _); 7] = [
            (
                b"<Error><Code>A</Code><Message>a &lt;b&gt; &amp; c</Message></Error>",
                some("A"),
                some("a <b> & c"),
            ),
            (b"<Error xmlns=\"x\"><Code>A</Code></Error>", some("A"), None),
            (b"<html><body>403</body></html>", None, None),
            (b"<Other><Code>A</Code></Other>", None, None),
            (b"<Error><Code>A</Code><Mess", some("A"), None),
            (b"\xff\xfe\x00<<<>>>&&", None, None),
            (b"", None, None),
        ];
        for (body, code, message) in cases {
            let error = Error::parse(body);
            assert_eq!((error.code, error.message), (code, message));
        }
    }
}
