//! One connection to one broker, from the open socket to the first request.
//!
//! ```text
//! open ──> Connected ──authenticate──> Authenticated ──ready──> Ready
//!          the broker's versions       (SASL)                   requests, batches
//!          are known (TLS below)
//! ```

use std::io::{self, ErrorKind, IoSlice};
use std::time::Instant;

use crate::flow::ports::{Fault, Trouble};
use crate::limits::{BROKER_ANSWER_BYTES_MAX, FRAME_BYTES_MAX, STRANGER_MS};
use crate::port::resolve::resolve;
use crate::port::stream::{Deadline, Moved, Stream};
use crate::settings::KafkaClient;
use crate::stop::{Peer, Stop};
use crate::wire::kafka::answers::Offered;
use crate::wire::kafka::frame::{FrameReader, correlation_id};
use crate::wire::kafka::requests::{API_VERSIONS, Ask};
use crate::wire::kafka::show_server;
use crate::wire::kafka::versions::Versions;
use crate::wire::kafka::{Garbled, answers};

use super::login::log_in;
use super::security::Security;
use super::verdict;

/// Why an exchange failed; the connection is of no use afterwards.
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// The peer ended it: an idle connection may have been closed just before.
    pub(super) hung_up: bool,
}

/// The broker has said what it offers.
pub(super) struct Connected {
    link: Link,
    offered: Offered,
}

/// The broker knows who we are, as far as it wants to.
pub(super) struct Authenticated {
    link: Link,
    offered: Offered,
    renew_at: Option<Instant>,
}

/// Requests may go.
pub(super) struct Ready {
    pub(super) link: Link,
    pub(super) versions: Versions,
    /// The pause that the broker asked for when it said them.
    pub(super) throttle_ms: u64,
    /// The login ends a little later.
    renew_at: Option<Instant>,
}

/// The socket and what is needed to put frames through it.
pub(super) struct Link {
    stream: Stream,
    host: String,
    port: u16,
    /// For messages.
    server: String,
    client_id: String,
    frames: FrameReader,
    request: Vec<u8>,
    last_correlation_id: i32,
    answer_count: u32,
}

/// A socket to the broker, or why it can not be reached.
pub(super) fn dial(host: &str, port: u16, deadline: &mut Deadline) -> Result<Stream, String> {
    let addresses = deadline.without(|| resolve(host, port))?;
    Stream::connect(&addresses, *deadline)
        .map_err(|why| format!("no connection to {}: {why}", show_server(host, port)))
}

impl Connected {
    /// `stream` leads to this host and port.
    pub(super) fn open(
        mut stream: Stream,
        host: &str,
        port: u16,
        client_id: &str,
        security: &Security,
        deadline: Deadline,
    ) -> Result<Connected, Failure> {
        let server = show_server(host, port);
        if let Some(tls) = &security.tls {
            stream.secure(tls, host, deadline).map_err(|why| {
                let fault = verdict::no_handshake(&server, &why);
                Failure { fault, hung_up: false }
            })?;
        }
        let mut link = Link {
            stream,
            host: host.into(),
            port,
            server,
            client_id: client_id.into(),
            frames: FrameReader::new(),
            request: Vec::new(),
            last_correlation_id: 0,
            answer_count: 0,
        };
        let offered = link.offers(deadline)?;
        Ok(Connected { link, offered })
    }

    /// Without SASL there is nothing to do.
    pub(super) fn authenticate(
        mut self,
        security: &Security,
        deadline: Deadline,
    ) -> Result<Authenticated, Failure> {
        let renew_at = match &security.login {
            None => None,
            Some(login) => log_in(&mut self.link, &self.offered.offers, login, deadline)?,
        };
        Ok(Authenticated { link: self.link, offered: self.offered, renew_at })
    }
}

impl Authenticated {
    pub(super) fn ready(self, client: KafkaClient) -> Result<Ready, Failure> {
        let server = &self.link.server;
        let Offered { throttle_ms, offers } = &self.offered;
        let native = || Versions::negotiate(offers);
        let compat = || Versions::negotiate_compat(offers);
        let versions = match client {
            KafkaClient::Native => native().map_err(|lacks| verdict::lacking(server, &lacks)),
            KafkaClient::Compat => compat().map_err(|lacks| verdict::no_compat(server, &lacks)),
            // What the native one lacks says more than what the other does.
            KafkaClient::Auto => {
                native().or_else(|lacks| compat().map_err(|_| verdict::lacking(server, &lacks)))
            }
        };
        let versions = versions.map_err(|fault| Failure { fault, hung_up: false })?;
        let throttle_ms = *throttle_ms;
        Ok(Ready { link: self.link, versions, throttle_ms, renew_at: self.renew_at })
    }
}

impl Ready {
    /// Whether it can still be used: open, quiet, and logged in for a while yet.
    pub(super) fn is_fresh(&mut self) -> bool {
        self.renew_at.is_none_or(|renew_at| Instant::now() < renew_at) && self.link.is_fresh()
    }
}

impl Link {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// For messages.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn is_to(&self, host: &str, port: u16) -> bool {
        self.host == host && self.port == port
    }

    fn is_fresh(&mut self) -> bool {
        self.stream.is_fresh()
    }

    /// Sends one request and waits for its answer, which [`frame`](Link::frame) then holds.
    pub(super) fn exchange(
        &mut self,
        ask: &Ask<'_>,
        version: i16,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let id = self.next_correlation_id();
        ask.encode(&mut self.request, version, id, &self.client_id).map_err(|why| Failure {
            fault: Fault::last(Stop::refused(
                Peer::Broker,
                format!("{} can not be written: {why}", ask.name()),
                "Mend KAFKA_TOPIC",
            )),
            hung_up: false,
        })?;
        let bytes_max = match ask {
            Ask::Fetch { .. } => FRAME_BYTES_MAX,
            _ => BROKER_ANSWER_BYTES_MAX,
        };
        self.frames.start(bytes_max);
        self.write_request(deadline).map_err(|why| self.lost(ask.name(), &why))?;
        loop {
            if self.read_step(Some(deadline), ask.name())? {
                break;
            }
            if deadline.has_passed() {
                return Err(self.lost(ask.name(), &ErrorKind::TimedOut.into()));
            }
        }
        self.settle_answer(id).map_err(|garbled| self.garbled(&garbled))
    }

    pub(super) fn frame(&self) -> &[u8] {
        self.frames.frame()
    }

    pub(super) fn take_frame(&mut self) -> bytes::Bytes {
        self.frames.take()
    }

    pub(super) fn garbled(&self, garbled: &Garbled) -> Failure {
        let fault = Fault::passing(format!("{}: {garbled}", self.server));
        Failure { fault, hung_up: false }
    }

    // --- A batch's way, one step at a time ---

    /// Makes ready for the answer to a request that is written with [`write`](Link::write).
    pub(super) fn begin(&mut self) -> i32 {
        self.frames.start(BROKER_ANSWER_BYTES_MAX);
        self.next_correlation_id()
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn write(
        &mut self,
        parts: &[IoSlice<'_>],
        deadline: Option<Deadline>,
    ) -> Result<Moved, Failure> {
        match self.stream.write(parts, deadline) {
            Ok(Moved::Bytes(0)) => Err(self.lost("Produce", &ErrorKind::WriteZero.into())),
            Ok(moved) => Ok(moved),
            Err(why) => Err(self.lost("Produce", &why)),
        }
    }

    /// Whether the answer to `begin`'s request is complete, now or within the deadline.
    pub(super) fn look(&mut self, id: i32, deadline: Option<Deadline>) -> Result<bool, Failure> {
        if !self.read_step(deadline, "Produce")? {
            return Ok(false);
        }
        self.settle_answer(id).map_err(|garbled| self.garbled(&garbled))?;
        Ok(true)
    }

    // --- Helpers ---

    /// `ApiVersions`, and again in the oldest form where the newest is not known.
    fn offers(&mut self, deadline: Deadline) -> Result<Offered, Failure> {
        let early = deadline.less_ms(STRANGER_MS);
        for version in [API_VERSIONS, 0] {
            if let Err(failure) = self.exchange(&Ask::ApiVersions, version, early) {
                return Err(self.stranger(&failure, deadline).unwrap_or(failure));
            }
            match answers::api_versions(self.frame(), version) {
                Ok(Some(offered)) => return Ok(offered),
                Ok(None) => {}
                Err(garbled) => return Err(self.garbled(&garbled)),
            }
        }
        Err(self.garbled(&Garbled::new("ApiVersions 0 is not understood")))
    }

    /// Who it is that says nothing to a request: a server of HTTP waits for the end of a line. A
    /// broker that was too slow takes this one for a length beyond all bounds, and hangs up as we
    /// do.
    fn stranger(&mut self, failure: &Failure, deadline: Deadline) -> Option<Failure> {
        const LINE_END: &[u8] = b"\r\n\r\n";
        let is_silent = !failure.hung_up && self.answer_count == 0 && self.frames.is_untouched();
        if !is_silent {
            return None;
        }
        match self.stream.write(&[IoSlice::new(LINE_END)], Some(deadline)) {
            Ok(Moved::Bytes(_)) => {}
            Ok(Moved::NothingYet) | Err(_) => return None,
        }
        match self.read_step(Some(deadline), Ask::ApiVersions.name()) {
            Err(known) if !self.frames.is_untouched() => Some(known),
            _ => None,
        }
    }

    fn write_request(&mut self, deadline: Deadline) -> io::Result<()> {
        let mut left = self.request.as_slice();
        while !left.is_empty() {
            match self.stream.write(&[IoSlice::new(left)], Some(deadline))? {
                Moved::Bytes(0) => return Err(ErrorKind::WriteZero.into()),
                Moved::Bytes(count) => left = left.get(count..).unwrap_or_default(),
                Moved::NothingYet if deadline.has_passed() => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Moved::NothingYet => {}
            }
        }
        Ok(())
    }

    /// Reads until the frame is complete (`true`) or nothing comes.
    fn read_step(&mut self, deadline: Option<Deadline>, doing: &str) -> Result<bool, Failure> {
        loop {
            if self.is_complete()? {
                return Ok(true);
            }
            let space = self.frames.space();
            match self.stream.read(space, deadline) {
                // A trickle must not outlast the call.
                Ok(Moved::Bytes(count)) if deadline.is_some_and(Deadline::has_passed) => {
                    self.frames.filled(count);
                    return self.is_complete();
                }
                Ok(Moved::Bytes(count)) => self.frames.filled(count),
                Ok(Moved::NothingYet) => return Ok(false),
                Err(why) => return Err(self.lost(doing, &why)),
            }
        }
    }

    fn is_complete(&self) -> Result<bool, Failure> {
        self.frames.is_complete().map_err(|bad| Failure {
            fault: verdict::bad_frame(&self.server, bad, self.answer_count > 0),
            hung_up: false,
        })
    }

    fn settle_answer(&mut self, expected: i32) -> Result<(), Garbled> {
        let found = correlation_id(self.frame())?;
        if found != expected {
            let what = format!("it answers request {found} where {expected} is open");
            return Err(Garbled::new(what));
        }
        self.answer_count = self.answer_count.saturating_add(1);
        Ok(())
    }

    fn next_correlation_id(&mut self) -> i32 {
        self.last_correlation_id = self.last_correlation_id.wrapping_add(1);
        self.last_correlation_id
    }

    fn lost(&self, doing: &str, why: &io::Error) -> Failure {
        let hung_up = matches!(
            why.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
        );
        // A port that wants SASL answers ApiVersions and hangs up at the next request.
        let has_answered = self.answer_count > 1;
        let fault = verdict::tls(&self.server, why).unwrap_or_else(|| {
            Fault::passing(verdict::lost(&self.server, doing, why, has_answered))
        });
        Failure { fault, hung_up }
    }
}

impl Failure {
    /// For a batch in flight, of which nothing is known whatever happened.
    pub(super) fn into_trouble(self) -> Trouble {
        match self.fault {
            Fault::Passing(trouble) => trouble,
            Fault::Final(stop) => Trouble { problem: stop.to_string(), missing: None, pause_ms: 0 },
        }
    }
}
