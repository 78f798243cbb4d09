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
mod tests;
