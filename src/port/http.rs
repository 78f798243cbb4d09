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
use rustls::{Error as TlsError, InvalidMessage};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use ureq::{Agent, Body, Error, Proxy, ProxyProtocol, Timeout};

use self::transport::{Clock, SPEAKS_TLS, agent};
use crate::flow::ports::{Fault, Read};
use crate::limits::{
    CALL_TIMEOUT_MS, CERTIFICATES_BYTES_MAX, CLOCK_RIGHT_MS_MAX, CLOCK_SKEW_MS_MAX,
};
use crate::port::credentials::Lookup;
use crate::port::small_file::read_text;
use crate::port::tls::{Distrust, Tls, tls_error};
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
                    .ok_or_else(|| "HTTPS_PROXY is not the URL of an HTTP proxy: it takes http://host:port, or http://name:password@host:port".to_owned())?;
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
                    "{} ({} through the proxy {place}, HTTPS_PROXY)",
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
        let plain_host = request.url.starts_with("http://").then(|| host(request.url).to_owned());
        Ok(Answer { response, skew_ms, plain_host, clock: Arc::clone(&self.clock) })
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
    /// Who was asked without TLS.
    plain_host: Option<String>,
    clock: Arc<Clock>,
}

/// How servers of HTTPS answer what came without TLS: nginx, Go (and so `MinIO`), Apache, Tomcat.
const TLS_IS_WANTED: [&[u8]; 4] = [
    b"plain HTTP request was sent to HTTPS port",
    b"Client sent an HTTP request to an HTTPS server",
    b"speaking plain HTTP to an SSL-enabled server port",
    b"This combination of host and port requires TLS",
];

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
                Read::End => return self.without_tls(&body).map_or(Ok(body), Err),
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

    /// The body says that TLS should have been spoken.
    fn without_tls(&self, body: &[u8]) -> Option<Failed> {
        let host = self.plain_host.as_ref().filter(|_| self.status() == 400)?;
        let says = |words: &&[u8]| body.windows(words.len()).any(|part| part == *words);
        TLS_IS_WANTED.iter().any(says).then(|| {
            let mut failed = failed(&Error::Tls(SPEAKS_TLS));
            failed.problem = format!("{} ({host})", failed.problem);
            failed
        })
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

/// Whether something else than TLS came.
fn is_no_tls(why: &io::Error) -> bool {
    let no_tls = TlsError::InvalidMessage(InvalidMessage::InvalidContentType);
    tls_error(why).is_some_and(|error| *error == no_tls)
}

/// The server's certificate is not taken.
fn distrusted(error: &Error) -> Option<Failed> {
    let Error::Io(why) = error else { return None };
    let said = tls_error(why)?;
    let distrust = Distrust::of(said)?;
    let problem = format!("the certificate {}: {}", distrust.words(), one_line(&said.to_string()));
    let advice = distrust.advice(
        "Name the host as its certificate does in AWS_ENDPOINT_URL and its like, or give it a certificate for this name; where AWS itself is meant, something is between us and AWS",
        "Something is between us and AWS, or AWS_ENDPOINT_URL names a host with a certificate of its own: set AWS_CA_BUNDLE to a file of the authorities to trust, as PEM",
    );
    Some(Failed { problem, advice: Some(advice) })
}

fn failed(error: &Error) -> Failed {
    if let Some(failed) = distrusted(error) {
        return failed;
    }
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
        Error::Tls(SPEAKS_TLS) => {
            Some("Begin AWS_ENDPOINT_URL and its like with https:// where the port speaks TLS")
        }
        Error::Io(why) if is_no_tls(why) => Some(
            "Mend AWS_ENDPOINT_URL and its like, which begin with http:// where the port has no TLS, or HTTPS_PROXY in the same way",
        ),
        _ => None,
    };
    let problem = match error {
        Error::Timeout(Timeout::Connect) => "no connection in time".into(),
        Error::Timeout(_) => "no answer in time".into(),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection was closed before all had come".into()
        }
        Error::Io(error) if is_no_tls(error) => {
            "what answers speaks no TLS, and https was asked for".into()
        }
        Error::Io(error) => one_line(&error.to_string()),
        Error::Tls(SPEAKS_TLS) => SPEAKS_TLS.to_owned(),
        // It says the number twice.
        Error::ConnectProxyFailed(why) => match why.rsplit_once('/') {
            Some((_, status)) => format!("the proxy answers {}", one_line(status)),
            None => one_line(why),
        },
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
mod tests;
