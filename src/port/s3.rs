//! The source in S3: signed GETs, pinned by `If-Match`.
//!
//! ```text
//! open ──GET──> head of the answer, judged ──> read … read ──> all bytes came: End
//!                                               │ nothing for SOURCE_READ_MS: NotYet
//!                                               └ cut, or silent for SOURCE_SILENCE_MS: passing
//! ```
//!
//! A version that is named is asked for by every request. The pin holds against everything: an object that is replaced between two GETs is refused
//! by the service, one that is replaced during a GET goes on coming as it was.

mod ahead;

use std::time::{Duration, Instant};

use self::ahead::{Ahead, Terms};
use crate::flow::ports::{Fault, Opened, Pin, Read, Source};
use crate::limits::{
    AHEAD_AFTER_BYTES, AHEAD_CONNECTIONS, AHEAD_STRIPE_BYTES, AHEAD_WAIT_PERCENT,
    HTTP_ERROR_BYTES_MAX, RETRY_DELAY_MS_MAX, SOURCE_SILENCE_MS,
};
use crate::port::credentials::{Credentials, LOG};
use crate::port::http::{Answer, Failed, Http, Request, Way, wall_ms};
use crate::stop::{Peer, Stop};
use crate::wire::aws_sign::{Scope, Unsigned, sign};
use crate::wire::http_head::{self, Head};
use crate::wire::s3::{Asked, Headers, Place, Reply, reply, unusable};

pub struct S3 {
    http: Http,
    place: Place,
    credentials: Credentials,
    /// Several connections, where one brings less than we could take.
    read_ahead: bool,
    /// More, the more often it came to nothing.
    ahead_after_bytes: u64,
    open: Option<Body>,
    silence_max: Duration,
}

/// What is open.
struct Body {
    bytes: Bytes,
    pin: Pin,
    /// Where in the object the next byte is.
    next: u64,
    left_bytes: u64,
    /// How long we have waited for the next byte; a time in which nobody asked does not count.
    silent: Duration,
}

enum Bytes {
    /// At its end from the beginning.
    None,
    OneAnswer(Answer, Meter),
    Ahead(Ahead),
}

/// How much of the time the source is waited for.
struct Meter {
    since: Instant,
    waited: Duration,
    read_bytes: u64,
}

impl Meter {
    fn new() -> Meter {
        Meter { since: Instant::now(), waited: Duration::ZERO, read_bytes: 0 }
    }

    /// Whether the time of the last so many bytes went into waiting; asked once for each.
    fn is_too_slow(&mut self, after_bytes: u64) -> bool {
        if self.read_bytes < after_bytes {
            return false;
        }
        let (waited, passed) = (self.waited.as_micros(), self.since.elapsed().as_micros());
        *self = Meter::new();
        waited * 100 >= passed * AHEAD_WAIT_PERCENT
    }
}

/// A GET of the object: its URL and its headers, signed now.
fn signed(
    place: &Place,
    credentials: &Credentials,
    asked: &Asked<'_>,
) -> Result<(String, Vec<(String, String)>), Fault> {
    let keys = credentials.current(Peer::Source)?;
    let url = place.url();
    let mut headers = asked.headers();
    if place.requester_pays {
        headers.push(("x-amz-request-payer".to_owned(), "requester".to_owned()));
    }
    let request = Unsigned { method: "GET", url: &url, headers: &headers, body: b"" };
    let scope = Scope { service: "s3", region: &place.region, wall_ms: wall_ms() };
    let signed = sign(&request, &scope, &keys).map_err(|problem| {
        let problem = format!("{}: {problem}", place.name());
        Fault::last(Stop::refused(Peer::Source, problem, "Mend S3_BUCKET and S3_KEY"))
    })?;
    headers.extend(signed);
    Ok((url, headers))
}

/// Stripes of the object that is pinned.
struct Stripes<'a> {
    place: &'a Place,
    credentials: &'a Credentials,
    pin: &'a Pin,
}

impl Stripes<'_> {
    fn asked(&self, from: u64, to: u64) -> Asked<'_> {
        Asked { from, to: Some(to), pinned: Some((&self.pin.etag, self.pin.source_bytes)) }
    }
}

impl Terms for Stripes<'_> {
    fn request(&self, way: &Way, from: u64, to: u64) -> Result<Vec<u8>, Fault> {
        let (_, headers) = signed(self.place, self.credentials, &self.asked(from, to))?;
        http_head::get(&way.target, &way.authority, &headers)
            .ok_or_else(|| Fault::passing("a header of the request is no line"))
    }

    fn judge(&self, from: u64, to: u64, head: &Head<'_>) -> Result<(), Fault> {
        // It would count more than its length says, and stand among the bytes of the object.
        if head.header("transfer-encoding").is_some() {
            return Err(Fault::passing("a read ahead is answered in chunks"));
        }
        let headers = Headers {
            content_length: head.header("content-length"),
            content_range: head.header("content-range"),
            etag: head.header("etag"),
            version_id: head.header("x-amz-version-id"),
            retry_after: head.header("retry-after"),
            ..Headers::default()
        };
        match reply(self.place, &self.asked(from, to), head.status, &headers, b"") {
            Reply::Body { .. } => Ok(()),
            // Whoever opens the object again hears it in full.
            judged => {
                let mut fault = Fault::passing(format!("HTTP {} to a read ahead", head.status));
                if let (Fault::Passing(trouble), Reply::Passing { pause_ms, .. }) =
                    (&mut fault, judged)
                {
                    trouble.pause_ms = pause_ms.min(RETRY_DELAY_MS_MAX);
                }
                Err(fault)
            }
        }
    }
}

impl S3 {
    pub fn new(http: Http, place: Place, credentials: Credentials, read_ahead: bool) -> S3 {
        let silence_max = Duration::from_millis(SOURCE_SILENCE_MS);
        let ahead_after_bytes = AHEAD_AFTER_BYTES;
        S3 { http, place, credentials, read_ahead, ahead_after_bytes, open: None, silence_max }
    }

    fn get(&self, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let (url, headers) = signed(&self.place, &self.credentials, asked)?;
        let request = Request { body: None, url: &url, headers: &headers, repeatable: true };
        let failed = |failed: Failed| failed.into_fault(Peer::Source, &self.place.name());
        let answer = self.http.send(&request).map_err(failed)?;
        answer.check_clock(Peer::Source)?;
        Ok(answer)
    }

    /// An answer, and what it says.
    fn ask(&self, asked: &Asked<'_>) -> Result<(Answer, Reply), Fault> {
        let mut answer = self.get(asked)?;
        let status = answer.status();
        let mut error = Vec::new();
        if !matches!(status, 200 | 206 | 412 | 416) {
            error = answer
                .read_all(HTTP_ERROR_BYTES_MAX)
                .map_err(|failed| failed.into_fault(Peer::Source, &self.place.name()))?;
        }
        let headers = Headers {
            content_length: answer.header("content-length"),
            content_range: answer.header("content-range"),
            etag: answer.header("etag"),
            version_id: answer.header("x-amz-version-id"),
            bucket_region: answer.header("x-amz-bucket-region"),
            retry_after: answer.header("retry-after"),
        };
        let judged = match reply(&self.place, asked, status, &headers, &error) {
            // It would count more than its length says, or less.
            Reply::Body { .. } if answer.header("transfer-encoding").is_some() => {
                let problem = "the answer comes in chunks, whatever its Content-Length says";
                unusable(&self.place.name(), problem)
            }
            judged => judged,
        };
        Ok((answer, judged))
    }
}

impl Source for S3 {
    fn open(&mut self, from: u64, to: Option<u64>, pinned: Option<&Pin>) -> Result<Opened, Fault> {
        self.open = None;
        // Nothing is wanted, and yet the pin has to be held against the object: one byte is
        // asked for and not read.
        let wants_nothing = to.is_some_and(|to| to <= from);
        let asked = Asked {
            from,
            to: if wants_nothing { Some(from.saturating_add(1)) } else { to },
            pinned: pinned.map(|pin| (pin.etag.as_str(), pin.source_bytes)),
        };
        let (mut answer, mut judged) = self.ask(&asked)?;
        if let Reply::Elsewhere { region, .. } = &judged {
            log::warn!(
                target: LOG,
                "bucket {} is in region {region}, not in {}: it is read there",
                self.place.bucket,
                self.place.region
            );
            self.place.region.clone_from(region);
            (answer, judged) = self.ask(&asked)?;
        }
        let body = |bytes: Bytes, pin: Pin, left_bytes: u64| {
            Some(Body { bytes, pin, next: from, left_bytes, silent: Duration::ZERO })
        };
        match judged {
            Reply::Body { bytes, etag, version_id, source_bytes } => {
                let found = Pin { etag, version_id, source_bytes };
                let pin = pinned.cloned().unwrap_or(found);
                self.open = if wants_nothing {
                    body(Bytes::None, pin.clone(), 0)
                } else {
                    body(Bytes::OneAnswer(answer, Meter::new()), pin.clone(), bytes)
                };
                Ok(Opened::Open(pin))
            }
            Reply::AtEnd => {
                let Some(pin) = pinned else {
                    unreachable!("without a pin nobody knows where the end is")
                };
                self.open = body(Bytes::None, pin.clone(), 0);
                Ok(Opened::Open(pin.clone()))
            }
            Reply::Replaced => Ok(Opened::Replaced),
            Reply::Passing { problem, pause_ms } => {
                let mut fault = Fault::passing(problem);
                if let Fault::Passing(trouble) = &mut fault {
                    trouble.pause_ms = pause_ms.min(RETRY_DELAY_MS_MAX);
                }
                Err(fault)
            }
            Reply::Elsewhere { region, problem } => Err(Fault::last(Stop::refused(
                Peer::Source,
                problem,
                format!(
                    "The bucket is in region {region}: set AWS_REGION to it, and see that AWS_ENDPOINT_URL_S3 is that region's"
                ),
            ))),
            Reply::Expired { problem } => Err(self.credentials.expired(Peer::Source, problem)),
            Reply::ClockWrong { problem } => Err(answer.clock_wrong(Peer::Source, problem)),
            Reply::Final { problem, advice } => {
                Err(Fault::last(Stop::refused(Peer::Source, problem, advice)))
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        assert!(!buffer.is_empty(), "a read needs room");
        let Some(body) = &mut self.open else {
            return Err(Fault::passing(format!("{}: nothing is open", self.place.name())));
        };
        if body.left_bytes == 0 {
            // The library puts the connection back when it is asked for more.
            if let Bytes::OneAnswer(answer, _) = &mut body.bytes {
                match answer.read(&mut [0]) {
                    Ok(Read::End | Read::NotYet) | Err(_) => {}
                    Ok(Read::Bytes(_)) => unreachable!("ureq keeps to the Content-Length"),
                }
            }
            body.bytes = Bytes::None;
            return Ok(Read::End);
        }
        let room_bytes = usize::try_from(body.left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        let (room, _) = buffer.split_at_mut(room_bytes);
        let asked = Instant::now();
        let read = match &mut body.bytes {
            Bytes::None => return Ok(Read::End),
            Bytes::OneAnswer(answer, _) => {
                answer.read(room).map_err(|failed| Fault::passing(failed.problem))
            }
            Bytes::Ahead(ahead) => {
                let (place, credentials) = (&self.place, &self.credentials);
                ahead.read(room, &Stripes { place, credentials, pin: &body.pin })
            }
        };
        let waited = asked.elapsed();
        let fault = match read {
            Ok(Read::Bytes(count)) => {
                assert!(count <= room_bytes, "a read fills no more than its buffer");
                let read_bytes = u64::try_from(count).unwrap_or(u64::MAX);
                body.next += read_bytes;
                body.left_bytes -= read_bytes;
                body.silent = Duration::ZERO;
                if let Bytes::OneAnswer(_, meter) = &mut body.bytes {
                    meter.read_bytes += read_bytes;
                    meter.waited += waited;
                    if self.read_ahead && meter.is_too_slow(self.ahead_after_bytes) {
                        self.begin_ahead();
                    }
                }
                return Ok(Read::Bytes(count));
            }
            Ok(Read::NotYet) => {
                body.silent += waited;
                if let Bytes::OneAnswer(_, meter) = &mut body.bytes {
                    meter.waited += waited;
                }
                if body.silent < self.silence_max {
                    return Ok(Read::NotYet);
                }
                Fault::passing(format!("nothing came for {} s", self.silence_max.as_secs()))
            }
            Ok(Read::End) => Fault::passing("the connection was closed before all had come"),
            Err(fault) => fault,
        };
        Err(self.cut(fault))
    }
}

impl S3 {
    /// One connection brings less than we could take: the rest comes over several.
    fn begin_ahead(&mut self) {
        let Some(body) = &mut self.open else { return };
        let stripes = u64::try_from(AHEAD_CONNECTIONS).unwrap_or(u64::MAX);
        if body.left_bytes < AHEAD_STRIPE_BYTES.saturating_mul(stripes) {
            return;
        }
        let Some(way) = self.http.way(&self.place.url()) else {
            // A proxy, which will be there to the end.
            self.read_ahead = false;
            return;
        };
        log::warn!(
            target: LOG,
            "{}: one connection brings less than can be taken; {AHEAD_CONNECTIONS} read from byte {} on",
            self.place.name(),
            body.next
        );
        body.bytes = Bytes::Ahead(Ahead::new(way, body.next, body.next + body.left_bytes));
    }

    /// What is open is closed; the flow opens it again at the byte that it has reached.
    fn cut(&mut self, fault: Fault) -> Fault {
        let Some(body) = self.open.take() else { return fault };
        if let Bytes::Ahead(_) = body.bytes {
            self.ahead_after_bytes = self.ahead_after_bytes.saturating_mul(4);
        }
        match fault {
            Fault::Passing(mut trouble) => {
                let (name, problem) = (self.place.name(), &trouble.problem);
                let left_bytes = body.left_bytes;
                trouble.problem =
                    format!("{name}: {problem} ({left_bytes} bytes were still to come)");
                Fault::Passing(trouble)
            }
            last @ Fault::Final(_) => last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::credentials::{Link, NoKeys, Renewal};
    use crate::port::http_script::{Act, Script, answer};
    use crate::wire::aws_endpoint::Variant;

    fn source(script: &Script) -> S3 {
        source_at(&script.endpoint)
    }

    pub(super) fn source_at(endpoint: &str) -> S3 {
        let lookup = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hush-hush".to_owned()),
            _ => None,
        };
        let place = Place {
            bucket: "bucket".into(),
            key: "größe.csv".into(),
            version_id: Some("v".into()),
            region: "eu-central-1".into(),
            endpoint: Some(endpoint.to_owned()),
            variant: Variant::default(),
            requester_pays: true,
        };
        let credentials = Credentials::from_environment(&lookup);
        S3::new(Http::new(&|_| None).unwrap(), place, credentials, true)
    }

    fn pin(source_bytes: u64) -> Pin {
        Pin { etag: "\"e\"".into(), version_id: Some("v".into()), source_bytes }
    }

    /// Everything until the end or a fault.
    fn drain(source: &mut S3) -> (String, Result<(), Fault>) {
        let (mut text, mut buffer) = (String::new(), [0; 3]);
        loop {
            match source.read(&mut buffer) {
                Ok(Read::Bytes(count)) => {
                    assert!(count > 0);
                    text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                }
                Ok(Read::NotYet) => {}
                Ok(Read::End) => return (text, Ok(())),
                Err(fault) => return (text, Err(fault)),
            }
        }
    }

    const ETAG: &str = "etag: \"e\"\r\nx-amz-version-id: v\r\n";

    #[test]
    fn a_source_is_read_in_parts_over_one_connection() {
        let part = |range: &str| format!("{ETAG}content-range: bytes {range}\r\n");
        let script = Script::run(vec![vec![
            answer("200 OK", ETAG, "0123456789"),
            answer("206 Partial", &part("0-3/10"), "0123"),
            answer("206 Partial", &part("7-9/10"), "789"),
            answer("416 Range", "content-range: bytes */10\r\n", ""),
            answer("200 OK", ETAG, ""),
        ]]);
        let mut source = source(&script);
        let steps = [
            (0, None, None, "0123456789", 10),
            (0, Some(4), Some(pin(10)), "0123", 10),
            (7, None, Some(pin(10)), "789", 10),
            (10, None, Some(pin(10)), "", 10),
            (0, None, None, "", 0),
        ];
        for (from, to, pinned, expected, source_bytes) in steps {
            let opened = source.open(from, to, pinned.as_ref()).unwrap();
            assert_eq!(opened, Opened::Open(pin(source_bytes)));
            assert_eq!(drain(&mut source), (expected.to_owned(), Ok(())));
            assert_eq!(source.read(&mut [0; 9]), Ok(Read::End));
        }
        drop(source);
        let requests = script.requests();
        let expected = [
            (None, false),
            (Some("range: bytes=0-3"), true),
            (Some("range: bytes=7-"), true),
            (Some("range: bytes=10-"), true),
            (None, false),
        ];
        assert_eq!(requests.len(), expected.len());
        for (request, (range, is_pinned)) in requests.iter().zip(expected) {
            assert!(
                request.starts_with("get /bucket/gr%c3%b6%c3%9fe.csv?versionid=v http/1.1"),
                "{request}"
            );
            assert_eq!(request.lines().find(|line| line.starts_with("range")), range);
            assert_eq!(request.contains("if-match: \"e\""), is_pinned);
            assert!(request.contains("/eu-central-1/s3/aws4_request, signedheaders="), "{request}");
            assert!(request.contains("x-amz-request-payer: requester\r\n"), "{request}");
            assert!(request.contains(";x-amz-request-payer"), "{request}");
            assert!(!request.contains("hush"), "{request}");
        }
    }

    #[test]
    fn several_connections_are_for_a_source_that_is_waited_for() {
        let second = Duration::from_secs(1);
        // Of a second, so much was waited for so many bytes.
        let cases = [
            (0, AHEAD_AFTER_BYTES, false),
            (100, AHEAD_AFTER_BYTES, false),
            (200, AHEAD_AFTER_BYTES, true),
            (200, AHEAD_AFTER_BYTES - 1, false),
            (1_000, 0, false),
        ];
        for (waited_ms, read_bytes, expected) in cases {
            let since = Instant::now().checked_sub(second).unwrap();
            let waited = Duration::from_millis(waited_ms);
            let mut meter = Meter { since, waited, read_bytes };
            assert_eq!(meter.is_too_slow(AHEAD_AFTER_BYTES), expected, "{waited_ms}");
            let is_judged = read_bytes == AHEAD_AFTER_BYTES;
            assert_eq!(meter.read_bytes == 0, is_judged || read_bytes == 0, "{waited_ms}");
        }
    }

    /// Other keys each time that it is asked.
    struct Renewing(u32);

    impl Link for Renewing {
        fn name(&self) -> &'static str {
            "renewing"
        }
        fn keys(&mut self) -> Result<aws_credential_types::Credentials, NoKeys> {
            self.0 += 1;
            let id = format!("KEY{}", self.0);
            Ok(aws_credential_types::Credentials::new(id, "hush", None, None, "test"))
        }
        fn renewal(&self) -> Renewal {
            Renewal::Itself
        }
    }

    #[test]
    fn credentials_past_their_time_are_renewed_at_once() {
        let expired = "<Error><Code>ExpiredToken</Code></Error>";
        let script = Script::run(vec![vec![
            answer("400 Bad", "", expired),
            answer("200 OK", ETAG, "abc"),
            answer("200 OK", ETAG, "abc"),
        ]]);
        let mut source = source(&script);
        source.credentials = Credentials::from_chain(vec![Box::new(Renewing(0))]);
        assert!(matches!(source.open(0, None, None), Err(Fault::Passing(_))));
        for _ in 0..2 {
            source.open(0, None, None).unwrap();
            assert_eq!(drain(&mut source).0, "abc");
        }
        drop(source);
        let requests = script.requests();
        assert_eq!(requests.len(), 3);
        for (request, key) in requests.iter().zip(["key1", "key2", "key2"]) {
            assert!(request.contains(&format!("credential={key}/")), "{request}");
        }
    }

    #[test]
    fn the_region_that_s3_names_is_signed_for_once() {
        let body =
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>";
        let moved = "location: http://127.0.0.1:1/\r\nx-amz-bucket-region: eu-west-3\r\n";
        let script = Script::run(vec![vec![
            answer("400 Bad", "", body),
            answer("200 OK", ETAG, "abc"),
            answer("301 Moved", moved, ""),
            answer("301 Moved", "x-amz-bucket-region: us-east-1\r\n", ""),
            answer("400 Bad", "", &body.replace("us-west-2", "evil.example/")),
        ]]);
        let mut source = source(&script);
        source.open(0, None, None).unwrap();
        assert_eq!(drain(&mut source), ("abc".to_owned(), Ok(())));
        for expected in ["The bucket is in region us-east-1", "The bucket is not in region"] {
            let Err(Fault::Final(stop)) = source.open(0, None, None) else { panic!() };
            assert!(stop.to_string().contains(expected), "{stop}");
        }
        drop(source);
        let requests = script.requests();
        let regions = ["eu-central-1", "us-west-2", "us-west-2", "eu-west-3", "eu-west-3"];
        assert_eq!(requests.len(), regions.len());
        for (request, region) in requests.iter().zip(regions) {
            assert!(request.contains(&format!("/{region}/s3/aws4_request")), "{request}");
        }
    }

    #[test]
    fn an_empty_part_still_holds_the_pin() {
        let range = format!("{ETAG}content-range: bytes 4-4/10\r\n");
        let script = Script::run(vec![
            vec![answer("206 Partial", &range, "4")],
            vec![answer("412 Precondition Failed", "", "")],
        ]);
        let mut source = source(&script);
        assert_eq!(source.open(4, Some(4), Some(&pin(10))), Ok(Opened::Open(pin(10))));
        assert_eq!(source.read(&mut [0; 9]), Ok(Read::End));
        assert_eq!(source.open(4, Some(4), Some(&pin(10))), Ok(Opened::Replaced));
        drop(source);
        assert!(script.requests().iter().all(|request| request.contains("range: bytes=4-4\r\n")));
    }

    #[test]
    fn a_body_that_is_cut_or_silent() {
        let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n{ETAG}\r\n01234");
        let script = Script::run(vec![
            vec![Act::Answer(half.clone().into_bytes())],
            vec![Act::Answer(half.into_bytes()), Act::Hold],
        ]);
        let mut source = source(&script);
        source.open(0, None, None).unwrap();
        let (text, end) = drain(&mut source);
        let Err(Fault::Passing(trouble)) = end else { panic!("{end:?}") };
        assert_eq!(text, "01234");
        assert!(trouble.problem.contains("(5 bytes were still to come)"), "{trouble:?}");
        assert!(matches!(source.read(&mut [0]), Err(Fault::Passing(_))));

        source.open(0, None, None).unwrap();
        let mut buffer = [0; 9];
        assert_eq!(source.read(&mut buffer), Ok(Read::Bytes(5)));
        assert_eq!(source.read(&mut buffer), Ok(Read::NotYet));
        assert_eq!(source.read(&mut buffer), Ok(Read::NotYet));
        source.silence_max = Duration::ZERO;
        let Err(Fault::Passing(trouble)) = source.read(&mut buffer) else { panic!() };
        assert!(trouble.problem.contains("nothing came for"), "{trouble:?}");
        // The script ends only if the silent connection was hung up.
        assert_eq!(script.requests().len(), 2);
    }

    #[test]
    fn refusals() {
        let error = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let far = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nEtag: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let both = "HTTP/1.1 200 OK\r\nEtag: x\r\nx-amz-version-id: v\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
        let cases = [
            (answer("404 Not Found", "", &error("NoSuchKey")), "S3_KEY"),
            (answer("403 Forbidden", "", &error("AccessDenied")), "s3:GetObject"),
            (answer("400 Bad", "", &error("ExpiredToken")), "AWS_SESSION_TOKEN"),
            (answer("403 Forbidden", far, &error("RequestTimeTooSkewed")), "clock"),
            (answer("200 OK", far, "abc"), "clock"),
            (answer("503 Slow", "retry-after: 2\r\n", &error("SlowDown")), "passing 2000"),
            (answer("503 Slow", "retry-after: 99999\r\n", ""), "passing 16000"),
            (Act::Answer(chunked.into()), "Content-Length"),
            (Act::Answer(both.into()), "in chunks"),
        ];
        for (act, expected) in cases {
            let script = Script::run(vec![vec![act]]);
            let mut source = source(&script);
            let words = match source.open(0, None, None).unwrap_err() {
                Fault::Passing(trouble) => format!("passing {}", trouble.pause_ms),
                Fault::Final(stop) => stop.to_string(),
            };
            assert!(words.contains(expected) && !words.contains("hush"), "{words}");
        }
    }
}
