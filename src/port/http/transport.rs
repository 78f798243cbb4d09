//! What is below a request: connections, names, and how long each wait may take.
//!
//! ```text
//! Agent ── Lookups ── DefaultConnector ── PatienceConnector
//!                                             └ Patience: until the call's end for the head of
//!                                               an answer, SOURCE_READ_MS inside its body
//! ```

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ArrayVec, DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport, time,
};
use ureq::{Agent, Error, Proxy};

use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_INPUT_BYTES, HTTP_OUTPUT_BYTES, SOURCE_READ_MS};

/// `ureq` as we use it: no redirects, nothing decoded, no limits of its own inside a body.
pub(super) fn agent(proxy: Option<Proxy>, roots: Option<&RootCerts>, clock: &Arc<Clock>) -> Agent {
    let call = Some(Duration::from_millis(clock.call_ms));
    let tls = match roots {
        Some(roots) => TlsConfig::builder().root_certs(roots.clone()).build(),
        None => TlsConfig::default(),
    };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .tls_config(tls)
        .no_delay(true)
        .user_agent(concat!("csv-to-kafka/", env!("CARGO_PKG_VERSION")))
        .accept("")
        .accept_encoding("")
        .max_response_header_size(HTTP_HEAD_BYTES_MAX)
        .input_buffer_size(HTTP_INPUT_BYTES)
        .output_buffer_size(HTTP_OUTPUT_BYTES)
        .max_idle_connections(4)
        .max_idle_connections_per_host(1)
        // Below what S3 and DynamoDB keep an idle connection.
        .max_idle_age(Duration::from_secs(15))
        // Each phase could take the whole call; `Patience` sees to their sum.
        .timeout_connect(call)
        .timeout_send_request(call)
        .timeout_send_body(call)
        .timeout_recv_response(call)
        // Without limits, so that `Patience` can tell the body from the head.
        .timeout_recv_body(None)
        .timeout_per_call(None)
        .timeout_global(None)
        .timeout_resolve(None)
        .timeout_per_read(None)
        .timeout_per_write(None)
        .timeout_await_100(None)
        .build();
    let connector = DefaultConnector::new().chain(PatienceConnector(Arc::clone(clock)));
    Agent::with_parts(config, connector, Lookups)
}

/// How a TLS server begins its answer to what is no TLS: an alert, of version 3.
const TLS_ALERT: [u8; 2] = [0x15, 3];
pub(super) const SPEAKS_TLS: &str = "what answers speaks TLS, and plain http was asked for";

/// Until when the call that is under way may wait.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// What one call may take.
    call_ms: u64,
    call_end_ms: AtomicU64,
    skew_ms: AtomicI64,
}

/// No server told its time yet.
const SKEW_UNKNOWN: i64 = i64::MIN;

impl Clock {
    pub(super) fn new(call_ms: u64) -> Arc<Clock> {
        Arc::new(Clock {
            start: Instant::now(),
            call_ms,
            call_end_ms: AtomicU64::new(0),
            skew_ms: AtomicI64::new(SKEW_UNKNOWN),
        })
    }

    /// Our clock less that of the server that told its time last.
    pub(super) fn skew_ms(&self) -> Option<i64> {
        Some(self.skew_ms.load(Ordering::Relaxed)).filter(|skew_ms| *skew_ms != SKEW_UNKNOWN)
    }

    pub(super) fn told_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    pub(super) fn begin_call(&self) {
        self.call_end_ms.store(self.now_ms() + self.call_ms, Ordering::Relaxed);
    }

    pub(super) fn left_of_call(&self) -> Duration {
        let end_ms = self.call_end_ms.load(Ordering::Relaxed);
        Duration::from_millis(end_ms.saturating_sub(self.now_ms()))
    }

    /// Whether a second attempt may begin: connecting may take a whole call's time.
    pub(super) fn has_time(&self) -> bool {
        self.left_of_call() > Duration::from_millis(self.call_ms - self.call_ms / 8)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Puts [`Patience`] on top of the finished connection.
#[derive(Debug)]
struct PatienceConnector(Arc<Clock>);

impl<In: Transport> Connector<In> for PatienceConnector {
    type Out = Patience<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Patience<In>>, Error> {
        Ok(chained.map(|inner| Patience { inner, clock: Arc::clone(&self.0) }))
    }
}

/// Decides how long a transport may wait: until the call's end for the head of an answer, for
/// [`SOURCE_READ_MS`] inside its body, which is the one phase that has no limit of its own.
#[derive(Debug)]
struct Patience<T> {
    inner: T,
    clock: Arc<Clock>,
}

impl<T: Transport> Patience<T> {
    fn limited(&self, mut timeout: NextTimeout) -> Result<NextTimeout, Error> {
        if timeout.after.is_not_happening() {
            timeout.after = time::Duration::from_millis(SOURCE_READ_MS);
        } else {
            let left = self.clock.left_of_call();
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            timeout.after = timeout.after.min(time::Duration::from(left));
        }
        Ok(timeout)
    }
}

impl<T: Transport> Transport for Patience<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = self.limited(timeout)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let is_head = !timeout.after.is_not_happening();
        let timeout = self.limited(timeout)?;
        let is_more = self.inner.await_input(timeout)?;
        let is_plain_head = is_head && !self.is_tls();
        if is_plain_head && self.inner.buffers().input().starts_with(&TLS_ALERT) {
            return Err(Error::Tls(SPEAKS_TLS));
        }
        Ok(is_more)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Looks names up on this thread, whatever the limits say.
#[derive(Debug)]
struct Lookups;

impl Resolver for Lookups {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Error::BadUri("no host in the URL".into()));
        };
        let Some(host) = DefaultResolver::host_and_port(scheme, authority) else {
            return Err(Error::BadUri(format!("no port is known for {scheme}")));
        };
        let mut found: ResolvedSocketAddrs = ArrayVec::from_fn(|_| ([0, 0, 0, 0], 0).into());
        let addresses_max = 16;
        let unknown = |why: io::Error| {
            let problem = format!("the host name can not be resolved: {why}");
            Error::Io(io::Error::new(why.kind(), problem))
        };
        for address in host.to_socket_addrs().map_err(unknown)?.take(addresses_max) {
            found.push(address);
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}
