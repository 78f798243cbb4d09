//! HTTP: the one `ureq` agent. Status codes are answers, redirects are not followed, bodies
//! come as they were sent.
//!
//! ```text
//! send ── connect, TLS, request, head of the answer ──> Answer     at most CALL_TIMEOUT_MS
//! Answer::read ── some bytes | not yet | end | cut                 at most SOURCE_READ_MS
//! Answer::read_all ── a small body                                 within the call's time
//! ```
//!
//! `ureq` knows time limits for a phase, not "wait for the head, look briefly at the body", so
//! `Patience` ([`transport`]) sits on top of its transports and decides how long each read may
//! take. A name lookup is not limited (`ureq` would spawn a thread for that).
//!
//! A connection that the server closed while it lay in the pool fails when it is used. A
//! request that may be sent twice ([`Request::repeatable`]) is then sent once more at once, on
//! a fresh connection; for any other it is a passing fault, since the server may have acted.

mod transport;

use std::fmt;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use ureq::{Agent, Body, Error, Proxy, ProxyProtocol, Timeout};

use self::transport::{Clock, agent};
use crate::flow::ports::{Fault, Read};
use crate::limits::{
    CALL_TIMEOUT_MS, CERTIFICATES_BYTES_MAX, CLOCK_RIGHT_MS_MAX, CLOCK_SKEW_MS_MAX,
};
use crate::port::credentials::Lookup;
use crate::port::small_file::read_text;
use crate::port::tls::Tls;
use crate::stop::{Peer, Stop};
use crate::wire::http::{one_line, unix_seconds};
use crate::wire::no_proxy::NoProxy;

/// The client; a clone shares its connections.
#[derive(Clone)]
pub struct Http {
    direct: Agent,
    /// For `https` alone, as `HTTPS_PROXY` says, but for the hosts of `NO_PROXY`.
    proxied: Option<Proxied>,
    /// What `AWS_CA_BUNDLE` holds, in the place of the public ones.
    authorities: Option<Arc<[CertificateDer<'static>]>>,
    clock: Arc<Clock>,
}

#[derive(Clone)]
struct Proxied {
    agent: Agent,
    no_proxy: NoProxy,
    /// Host and port of the proxy, for messages.
    place: String,
}

pub struct Request<'a> {
    /// Without one, a GET.
    pub body: Option<&'a [u8]>,
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    /// Sending it twice does no harm.
    pub repeatable: bool,
}

/// Where a URL leads.
pub struct Way {
    pub host: String,
    pub port: u16,
    /// Host and port as the URL has them.
    pub authority: String,
    /// Path and query.
    pub target: String,
    pub tls: Option<Tls>,
}

/// Why there is no answer, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub problem: String,
    /// Trying again will not help; what to do instead.
    pub advice: Option<&'static str>,
}

impl Failed {
    pub fn into_fault(self, peer: Peer, place: &str) -> Fault {
        let problem = format!("{place}: {}", self.problem);
        match self.advice {
            None => Fault::passing(problem),
            Some(advice) => Fault::last(Stop::refused(peer, problem, advice)),
        }
    }
}

impl Http {
    /// `lookup` is the environment; the error names the variable.
    pub fn new(lookup: Lookup<'_>) -> Result<Http, String> {
        Http::with_patience(lookup, CALL_TIMEOUT_MS)
    }

    /// For addresses of this very machine: through no proxy, and patient for a moment only.
    pub fn nearby(call_ms: u64) -> Http {
        let clock = Clock::new(call_ms);
        Http { direct: agent(None, None, &clock), proxied: None, authorities: None, clock }
    }

    /// For tests that let a call run into its end.
    #[cfg(test)]
    pub(crate) fn impatient() -> Http {
        Http::with_patience(&|_| None, 50).unwrap()
    }

    /// Patient for so long in each call.
    pub fn with_patience(lookup: Lookup<'_>, call_ms: u64) -> Result<Http, String> {
        let clock = Clock::new(call_ms);
        let authorities = match lookup("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
            None => None,
            Some(path) => Some(authorities(&path).map_err(|why| format!("AWS_CA_BUNDLE: {why}"))?),
        };
        let roots = authorities.as_deref().map(|given| {
            let given: Vec<_> =
                given.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            RootCerts::new_with_certs(&given)
        });
        let named = |name: &'static str| {
            let set = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
            set(name).or_else(|| set(&name.to_lowercase()))
        };
        let proxied = match named("HTTPS_PROXY") {
            None => None,
            // The value may hold a password: it is not repeated.
            Some(url) => {
                let proxy = proxy(url.trim())
                    .ok_or_else(|| "HTTPS_PROXY is not the URL of an HTTP proxy".to_owned())?;
                let no_proxy = NoProxy::parse(&named("NO_PROXY").unwrap_or_default());
                let place = format!("{}:{}", proxy.host(), proxy.port());
                let agent = agent(Some(proxy), roots.as_ref(), &clock);
                Some(Proxied { agent, no_proxy, place })
            }
        };
        let direct = agent(None, roots.as_ref(), &clock);
        Ok(Http { direct, proxied, authorities, clock })
    }

    pub fn send(&self, request: &Request<'_>) -> Result<Answer, Failed> {
        self.call(request, Http::attempt)
    }

    /// PUT instead of POST; the body may be empty.
    pub fn put(&self, request: &Request<'_>) -> Result<Answer, Failed> {
        self.call(request, |http, request| {
            let mut builder = http.agent(request.url).put(request.url);
            for (name, value) in request.headers {
                builder = builder.header(name, value);
            }
            builder.send(request.body.unwrap_or_default())
        })
    }

    fn call(
        &self,
        request: &Request<'_>,
        attempt: impl Fn(&Http, &Request<'_>) -> Result<Response<Body>, Error>,
    ) -> Result<Answer, Failed> {
        self.clock.begin_call();
        let sent = match attempt(self, request) {
            Err(error) if request.repeatable && was_closed(&error) && self.clock.has_time() => {
                attempt(self, request)
            }
            sent => sent,
        };
        let response = sent.map_err(|error| {
            let mut failed = failed(&error);
            failed.problem = match self.proxy_of(request.url) {
                None => format!("{} ({})", failed.problem, host(request.url)),
                Some(Proxied { place, .. }) => format!(
                    "{} ({} by the proxy {place} of HTTPS_PROXY)",
                    failed.problem,
                    host(request.url)
                ),
            };
            failed
        })?;
        let skew_ms = skew_ms(&response, SystemTime::now());
        if let Some(skew_ms) = skew_ms {
            self.clock.told_skew(skew_ms);
        }
        Ok(Answer { response, skew_ms, clock: Arc::clone(&self.clock) })
    }

    /// Our clock less that of the server that told its time last.
    pub fn skew_ms(&self) -> Option<i64> {
        self.clock.skew_ms()
    }

    /// Where connections for this URL go that are not the library's; `None`: it says through
    /// which proxy, or the URL is none.
    pub fn way(&self, url: &str) -> Option<Way> {
        let uri: Uri = url.parse().ok()?;
        let is_https = uri.scheme_str()? == "https";
        if self.proxy_of(url).is_some() {
            return None;
        }
        let tls = is_https.then(|| Tls::https(self.authorities.as_deref())).transpose().ok()?;
        Some(Way {
            host: uri.host()?.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            authority: uri.authority()?.as_str().to_owned(),
            target: uri.path_and_query()?.as_str().to_owned(),
            tls,
        })
    }

    fn agent(&self, url: &str) -> &Agent {
        self.proxy_of(url).map_or(&self.direct, |proxied| &proxied.agent)
    }

    fn proxy_of(&self, url: &str) -> Option<&Proxied> {
        let proxied = self.proxied.as_ref()?;
        let uri: Uri = url.parse().ok()?;
        let is_https = uri.scheme_str() == Some("https");
        let is_free = proxied.no_proxy.has(uri.host()?, uri.port_u16().unwrap_or(443));
        (is_https && !is_free).then_some(proxied)
    }

    fn attempt(&self, request: &Request<'_>) -> Result<Response<Body>, Error> {
        let agent = self.agent(request.url);
        match request.body {
            None => {
                let mut builder = agent.get(request.url);
                for (name, value) in request.headers {
                    builder = builder.header(name, value);
                }
                builder.call()
            }
            Some(body) => {
                let mut builder = agent.post(request.url);
                for (name, value) in request.headers {
                    builder = builder.header(name, value);
                }
                builder.send(body)
            }
        }
    }
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    response: Response<Body>,
    /// Our clock less the server's, where it sent a `Date`.
    skew_ms: Option<i64>,
    clock: Arc<Clock>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// `None` also for a header that is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Stops a run whose clock is too far from the server's.
    pub fn check_clock(&self, peer: Peer) -> Result<(), Fault> {
        match self.skew_ms {
            Some(skew_ms) if skew_ms.unsigned_abs() > CLOCK_SKEW_MS_MAX => {
                let skew_seconds = skew_ms / 1_000;
                Err(Fault::last(Stop::ClockWrong { peer, skew_seconds }))
            }
            _ => Ok(()),
        }
    }

    /// For a server that says so itself. Where the clocks agree by now, the request was late,
    /// for the machine was suspended or its clock set meanwhile: the next one is signed anew.
    pub fn clock_wrong(&self, peer: Peer, problem: String) -> Fault {
        match self.skew_ms {
            Some(skew_ms) if skew_ms.unsigned_abs() <= CLOCK_RIGHT_MS_MAX => {
                Fault::passing(problem)
            }
            Some(skew_ms) => Fault::last(Stop::ClockWrong { peer, skew_seconds: skew_ms / 1_000 }),
            None => Fault::last(Stop::refused(
                peer,
                problem,
                "This machine's clock is wrong: set it (chrony, systemd-timesyncd) and start again",
            )),
        }
    }

    /// The next bytes of the body; waits at most [`SOURCE_READ_MS`](crate::limits::SOURCE_READ_MS)
    /// for them.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Failed> {
        assert!(!buffer.is_empty(), "a read needs room");
        match self.response.body_mut().as_reader().read(buffer) {
            Ok(0) => Ok(Read::End),
            Ok(bytes) => Ok(Read::Bytes(bytes)),
            Err(error) => match Error::from(error) {
                Error::Timeout(_) => Ok(Read::NotYet),
                error => Err(failed(&error)),
            },
        }
    }

    /// The whole body, which has at most `bytes_max`, within what is left of the call's time.
    pub fn read_all(&mut self, bytes_max: usize) -> Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.read(&mut chunk)? {
                Read::End => return Ok(body),
                Read::Bytes(count) => {
                    body.extend(chunk.iter().take(count));
                    if body.len() > bytes_max {
                        let problem = format!("the answer is longer than {bytes_max} bytes");
                        return Err(Failed { problem, advice: None });
                    }
                }
                Read::NotYet => {}
            }
            if self.clock.left_of_call().is_zero() {
                let problem = "the answer did not come to its end in time".into();
                return Err(Failed { problem, advice: None });
            }
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status())
    }
}

/// The certificate authorities of a file, which replace the public ones.
fn authorities(path: &str) -> Result<Arc<[CertificateDer<'static>]>, String> {
    let text = read_text(path, CERTIFICATES_BYTES_MAX).map_err(|unread| unread.problem)?;
    let mut certificates = Vec::new();
    for item in parse_pem(text.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => {
                certificates.push(CertificateDer::from(certificate.der().to_vec()));
            }
            Ok(_) => {}
            Err(_) => return Err(format!("{path} is not the text of certificates (PEM)")),
        }
    }
    if certificates.is_empty() {
        return Err(format!("{path} holds no certificate (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(certificates.into())
}

fn proxy(url: &str) -> Option<Proxy> {
    let parsed = Proxy::new(url).ok()?;
    matches!(parsed.protocol(), ProxyProtocol::Http | ProxyProtocol::Https).then_some(parsed)
}

/// Whether the connection was closed on us before an answer came.
fn was_closed(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// How the library says that something else than TLS came.
const NO_TLS: &str = "InvalidContentType";

fn failed(error: &Error) -> Failed {
    let advice = match error {
        Error::BadUri(_) | Error::Http(_) => {
            Some("Mend AWS_ENDPOINT_URL and its like: they are URLs as in https://host:port")
        }
        Error::ConnectProxyFailed(why) if why.contains(" 407") => Some(
            "The proxy wants a name and a password that it knows: HTTPS_PROXY=http://name:password@host:port, other letters than plain ones as %XX",
        ),
        Error::ConnectProxyFailed(why) if why.contains(" 403") => Some(
            "The proxy does not let us through: let it allow this host, or name the host in NO_PROXY where it is reached without a proxy",
        ),
        // The library's error type is out of reach here, its words are not.
        error if error.to_string().contains(NO_TLS) => Some(
            "Mend AWS_ENDPOINT_URL and its like, which begin with http:// where the port has no TLS, or HTTPS_PROXY in the same way",
        ),
        error if error.to_string().contains("invalid peer certificate") => Some(
            "The certificate is not trusted: something is between us and AWS, or AWS_ENDPOINT_URL names a host with a certificate of its own; AWS_CA_BUNDLE names a file of the authorities to trust",
        ),
        _ => None,
    };
    let problem = match error {
        Error::Timeout(Timeout::Connect) => "no connection in time".into(),
        Error::Timeout(_) => "no answer in time".into(),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection was closed before all had come".into()
        }
        error if error.to_string().contains(NO_TLS) => {
            "what answers speaks no TLS, and https was asked for".into()
        }
        Error::Io(error) => one_line(&error.to_string()),
        Error::ConnectProxyFailed(why) => one_line(why),
        error => one_line(&error.to_string()),
    };
    Failed { problem, advice }
}

/// The host of the URL, for messages.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The time to sign for, in Unix milliseconds.
pub fn wall_ms() -> u64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        // The service refuses the signature, and the answer's date shows why.
        Err(_before_1970) => 0,
    }
}

fn skew_ms(response: &Response<Body>, now: SystemTime) -> Option<i64> {
    let date = response.headers().get("date")?.to_str().ok()?;
    let theirs_ms = unix_seconds(date)?.checked_mul(1_000)?;
    // A clock before 1970 is wrong by more than any limit.
    let ours_ms = match now.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok()?,
        Err(_) => 0,
    };
    Some(ours_ms - theirs_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::http_script::{Act, Script, answer};

    fn get(http: &Http, url: &str, repeatable: bool) -> Result<Answer, Failed> {
        http.send(&Request { body: None, url, headers: &[], repeatable })
    }

    #[test]
    fn an_answer_is_what_was_sent() {
        let gzip = "content-encoding: gzip\r\n";
        let script = Script::run(vec![vec![
            answer("404 Not Found", gzip, "not gzip"),
            answer("301 Moved", "location: http://127.0.0.1:1/\r\n", "moved"),
            answer("200 OK", "", ""),
        ]]);
        let http = Http::new(&|_| None).unwrap();
        for (status, body) in [(404, "not gzip"), (301, "moved"), (200, "")] {
            let mut answer = get(&http, &format!("{}/a%20b//c", script.endpoint), false).unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.read_all(100).unwrap(), body.as_bytes());
        }
        for request in script.requests() {
            assert!(request.starts_with("get /a%20b//c http/1.1\r\n"), "{request}");
            let agent = format!("user-agent: csv-to-kafka/{}\r\n", env!("CARGO_PKG_VERSION"));
            assert!(request.contains(&agent), "{request}");
            assert!(!request.contains("accept"), "{request}");
        }
    }

    #[test]
    fn a_connection_that_closed_in_the_pool() {
        let script = || {
            let first = vec![answer("200 OK", "", "1"), Act::Ignore];
            Script::run(vec![first, vec![answer("200 OK", "", "2")]])
        };
        let http = Http::new(&|_| None).unwrap();
        let server = script();
        for body in ["1", "2"] {
            let mut answer = get(&http, &server.endpoint, true).unwrap();
            assert_eq!(answer.read_all(9).unwrap(), body.as_bytes());
        }
        assert_eq!(server.requests().len(), 3);

        let server = script();
        get(&http, &server.endpoint, false).unwrap().read_all(9).unwrap();
        let failed = get(&http, &server.endpoint, false).unwrap_err();
        assert!(failed.advice.is_none() && failed.problem.contains("closed"), "{failed:?}");
        get(&http, &server.endpoint, false).unwrap();
        assert_eq!(server.requests().len(), 3);
    }

    #[test]
    fn a_call_comes_to_its_end() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Le".to_vec();
        let body = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123".to_vec();
        let script = Script::run(vec![
            vec![Act::Ignore, Act::Hold],
            vec![Act::Answer(head), Act::Hold],
            vec![Act::Answer(body), Act::Hold],
        ]);
        let http = Http::impatient();
        for _ in 0..2 {
            let failed = get(&http, &script.endpoint, true).unwrap_err();
            let problem = format!("no answer in time ({})", host(&script.endpoint));
            assert_eq!(failed, Failed { problem, advice: None });
        }
        let failed = get(&http, &script.endpoint, true).unwrap().read_all(9).unwrap_err();
        assert!(failed.problem.contains("did not come to its end"), "{failed:?}");
        script.requests();
    }

    #[test]
    fn a_body_has_a_bound() {
        let script = Script::run(vec![vec![answer("200 OK", "", "123456")]]);
        let http = Http::new(&|_| None).unwrap();
        let failed = get(&http, &script.endpoint, true).unwrap().read_all(5).unwrap_err();
        assert!(failed.problem.contains("longer than 5 bytes"), "{failed:?}");
    }

    #[test]
    fn a_clock_that_is_far_off_stops_the_run() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        // Beyond the limit by years; where exactly it lies is not a matter of a test's speed.
        for (date, is_wrong) in [("Sun, 06 Nov 1994 08:49:37 GMT", true), ("no date", false)] {
            let date_line = format!("date: {date}\r\n");
            let script = Script::run(vec![vec![answer("503 Slow", &date_line, "")]]);
            let http = Http::new(&|_| None).unwrap();
            let checked = get(&http, &script.endpoint, true).unwrap().check_clock(Peer::Ledger);
            match checked {
                Err(Fault::Final(stop)) => {
                    let Stop::ClockWrong { peer: Peer::Ledger, skew_seconds } = *stop else {
                        panic!("{stop}")
                    };
                    assert!(is_wrong && skew_seconds >= now - 784_111_777, "{skew_seconds}");
                }
                Ok(()) => assert!(!is_wrong),
                Err(fault) => panic!("{fault:?}"),
            }
        }
    }

    #[test]
    fn a_server_that_does_not_take_a_time_stamp() {
        let past = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        for (date, skew_ms, expected) in [
            (past, None, "differs from that of"),
            ("", None, "late. This machine's clock is wrong"),
            // As if the server's clock were ours, or nearly so.
            (past, Some(-60_000), "passing: late"),
            (past, Some(61_000), "by 61 s"),
        ] {
            let script = Script::run(vec![vec![answer("403 No", date, "")]]);
            let mut answer = get(&Http::new(&|_| None).unwrap(), &script.endpoint, true).unwrap();
            answer.skew_ms = skew_ms.or(answer.skew_ms);
            let words = match answer.clock_wrong(Peer::Source, "late".into()) {
                Fault::Passing(trouble) => format!("passing: {}", trouble.problem),
                Fault::Final(stop) => stop.to_string(),
            };
            assert!(words.contains(expected), "{words}");
        }
    }

    #[test]
    fn what_can_not_be_reached() {
        let http = Http::new(&|_| None).unwrap();
        // A port that was ours a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = get(&http, &format!("http://{address}/"), true).unwrap_err();
        assert!(refused.problem.contains("refused") && refused.advice.is_none(), "{refused:?}");
        let unknown = get(&http, "gopher://host/", true).unwrap_err();
        assert!(unknown.advice.is_some(), "{unknown:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the other end of a test needs its own thread")]
    fn a_port_without_tls() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let plain = get(&Http::new(&|_| None).unwrap(), &url, false).unwrap_err();
        assert!(plain.problem.starts_with("what answers speaks no TLS"), "{plain:?}");
        assert!(plain.advice.is_some_and(|advice| advice.contains("http://")), "{plain:?}");
        server.join().unwrap();
    }

    #[test]
    fn proxies() {
        let cases = [
            ("http://user:hush@proxy:3128", true),
            ("proxy:3128", true),
            ("socks5://proxy:1080", false),
            ("http://hush@", false),
        ];
        for (url, is_proxy) in cases {
            let lookup = |name: &str| match name {
                "https_proxy" => Some(url.to_owned()),
                "NO_PROXY" => Some("169.254.169.254, .internal".to_owned()),
                _ => None,
            };
            match Http::new(&lookup) {
                Ok(http) => assert!(is_proxy && http.proxied.is_some(), "{url}"),
                Err(problem) => {
                    assert!(!is_proxy, "{url}");
                    assert!(problem.contains("HTTPS_PROXY") && !problem.contains("hush"));
                }
            }
        }
    }

    #[test]
    fn who_goes_through_the_proxy() {
        let lookup = |name: &str| match name {
            "HTTPS_PROXY" => Some(String::new()),
            "https_proxy" => Some("http://proxy:3128".to_owned()),
            "no_proxy" => Some("eu-west-1.amazonaws.com,10.0.0.0/8".to_owned()),
            _ => None,
        };
        let http = Http::new(&lookup).unwrap();
        let cases = [
            ("https://b.s3.eu-central-1.amazonaws.com/k", true),
            ("https://b.s3.eu-west-1.amazonaws.com/k", false),
            ("https://10.1.2.3:9000/k", false),
            ("http://b.s3.eu-central-1.amazonaws.com/k", false),
        ];
        for (url, expected) in cases {
            assert_eq!(http.way(url).is_none(), expected, "{url}");
            assert_eq!(!std::ptr::eq(http.agent(url), &raw const http.direct), expected, "{url}");
        }
    }

    #[test]
    fn a_proxy_that_does_not_let_us_through() {
        let cases = [
            ("407 Proxy Authentication Required", Some("a name and a password")),
            ("403 Forbidden", Some("NO_PROXY")),
            ("503 Busy", None),
        ];
        for (status, advice) in cases {
            let script = Script::run(vec![vec![answer(status, "", "")]]);
            let place = host(&script.endpoint).to_owned();
            let proxy = format!("http://us%40er:hush%3A@{place}");
            let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| proxy.clone());
            let failed = get(&Http::new(&lookup).unwrap(), "https://host.example/", false);
            let failed = failed.unwrap_err();
            let by = format!("(host.example by the proxy {place} of HTTPS_PROXY)");
            assert!(failed.problem.ends_with(&by), "{failed:?}");
            assert!(failed.problem.contains(&status[..3]), "{failed:?}");
            assert_eq!(failed.advice.is_some(), advice.is_some(), "{failed:?}");
            assert!(failed.advice.unwrap_or_default().contains(advice.unwrap_or_default()));
            let [request] = script.requests().try_into().unwrap();
            assert!(request.starts_with("connect host.example:443 http/1.1"), "{request}");
            // us@er:hush: in base64; the script tells requests in small letters.
            let sent = "dXNAZXI6aHVzaDo=".to_ascii_lowercase();
            assert!(request.contains(&format!("proxy-authorization: basic {sent}")), "{request}");
        }
    }

    #[test]
    fn bundles_of_authorities() {
        let directory = std::env::temp_dir().join(format!("ctk-bundle-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("bundle.pem");
        let pem = |text: &str| format!("-----BEGIN {text}-----\nMAA=\n-----END {text}-----\n");
        let cases = [
            (Some(format!("# a comment\n{}{}", pem("CERTIFICATE"), pem("CERTIFICATE"))), ""),
            (Some(pem("PRIVATE KEY")), "holds no certificate"),
            (Some(String::new()), "holds no certificate"),
            (Some(pem("CERTIFICATE").replace("MAA=", "hush!")), "is not the text of certificates"),
            (Some("x".repeat(CERTIFICATES_BYTES_MAX + 1)), "is larger than"),
            (None, "is not there"),
        ];
        for (text, expected) in cases {
            match &text {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let bundle =
                |name: &str| (name == "AWS_CA_BUNDLE").then(|| path.to_str().unwrap().to_owned());
            match Http::new(&bundle) {
                Ok(_) => assert_eq!(expected, ""),
                Err(problem) => {
                    assert!(!expected.is_empty() && problem.contains(expected), "{problem}");
                    assert!(problem.starts_with("AWS_CA_BUNDLE: ") && !problem.contains("hush"));
                }
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_nearby_put() {
        let script = Script::run(vec![vec![answer("200 OK", "", "token")]]);
        let headers = [("x-ttl".to_owned(), "60".to_owned())];
        let url = format!("{}/latest", script.endpoint);
        let request = Request { body: None, url: &url, headers: &headers, repeatable: true };
        let mut answer = Http::nearby(1_000).put(&request).unwrap();
        assert_eq!(answer.read_all(9).unwrap(), b"token");
        let [request] = script.requests().try_into().unwrap();
        assert!(request.starts_with("put /latest http/1.1\r\n"), "{request}");
        assert!(request.contains("content-length: 0\r\n") && request.contains("x-ttl: 60\r\n"));
    }
}
