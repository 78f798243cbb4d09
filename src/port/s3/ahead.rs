//! Reading ahead: several connections bring stripes of one object, which are read in order.
//!
//! ```text
//! object     taken │ 12 ▓▓▓▓▓▓ │ 13 ▓▓▓▓ │ 14 ▓▓ │ 15    │ not asked for yet
//! connection       │ 0  front  │ 1       │ 2     │ 3     │
//! ```
//!
//! A connection to S3 brings about 90 MB/s and takes some 20 ms to its first byte. What nobody
//! reads waits in the window of its socket, which is small while it idles, so each look empties
//! all sockets into space of our own. A stripe is small enough for that space, and its
//! connection asks for the next one as soon as it is taken.
//!
//! Nothing is repeated here but a request on a connection that the server closed behind the
//! last answer: any other trouble ends the reading ahead, and the object is opened again, on
//! one connection, at the byte that was reached.

use std::io;

use crate::flow::ports::{Fault, Read};
use crate::limits::{
    AHEAD_CONNECT_MS, AHEAD_CONNECTIONS, AHEAD_STRIPE_BYTES, AHEAD_WAIT_MS, HTTP_HEAD_BYTES_MAX,
    SOURCE_READ_MS,
};
use crate::port::http::Way;
use crate::port::resolve::resolve;
use crate::port::stream::{Deadline, Moved, Stream};
use crate::wire::http_head::Head;

/// What is asked for, and what has to answer.
pub(super) trait Terms {
    /// The request for the bytes from `from` up to but without `to`.
    fn request(&self, way: &Way, from: u64, to: u64) -> Result<Vec<u8>, Fault>;

    /// Whether these bytes follow, of the object that is meant.
    fn judge(&self, from: u64, to: u64, head: &Head<'_>) -> Result<(), Fault>;
}

pub(super) struct Ahead {
    way: Way,
    lanes: Vec<Lane>,
    /// The lane whose stripe is being taken; stripes lie on the lanes in turn.
    front: usize,
    /// Where the next stripe begins.
    next: u64,
    end: u64,
}

/// A connection, and the stripe that it brings.
struct Lane {
    stream: Option<Stream>,
    /// It has brought a stripe, so that the server may have closed it since.
    is_used: bool,
    stripe: Option<Stripe>,
    space: Box<[u8]>,
}

struct Stripe {
    from: u64,
    to: u64,
    request: Vec<u8>,
    sent: usize,
    /// Of the lane's space: the head, then the body.
    filled: usize,
    taken: usize,
    /// Where the body ends; `None`: the head is not here yet.
    end: Option<usize>,
    closes: bool,
}

impl Ahead {
    /// Of the bytes from `from` up to but without `end`.
    pub(super) fn new(way: Way, from: u64, end: u64) -> Ahead {
        let lanes = (0..AHEAD_CONNECTIONS).map(|_| Lane::new()).collect();
        Ahead { way, lanes, front: 0, next: from, end }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8], terms: &dyn Terms) -> Result<Read, Fault> {
        let deadline = Deadline::after_ms(SOURCE_READ_MS);
        loop {
            self.look(terms)?;
            let count = self.take(buffer);
            if count > 0 {
                return Ok(Read::Bytes(count));
            }
            let Some(lane) = self.lanes.get_mut(self.front).filter(|lane| lane.stripe.is_some())
            else {
                return Ok(Read::End);
            };
            if deadline.has_passed() {
                return Ok(Read::NotYet);
            }
            let wait = deadline.within(std::time::Duration::from_millis(AHEAD_WAIT_MS));
            lane.advance(&self.way, terms, Some(wait))?;
        }
    }

    /// Gives each idle lane its stripe, and takes from each socket what is there.
    fn look(&mut self, terms: &dyn Terms) -> Result<(), Fault> {
        for distance in 0..self.lanes.len() {
            let at = (self.front + distance) % self.lanes.len();
            let Some(lane) = self.lanes.get_mut(at) else { break };
            if lane.stripe.is_none() && self.next < self.end {
                let to = self.end.min(self.next + AHEAD_STRIPE_BYTES);
                lane.stripe =
                    Some(Stripe::new(self.next, to, terms.request(&self.way, self.next, to)?));
                self.next = to;
            }
            let is_new = lane.stream.is_none();
            lane.advance(&self.way, terms, None)?;
            // Connecting takes its time: one in a look, so that a call keeps to its own.
            if is_new && lane.stream.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// What the front has.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let Some(lane) = self.lanes.get_mut(self.front) else { return 0 };
        let Some(stripe) = lane.stripe.as_mut() else { return 0 };
        let Some(end) = stripe.end else { return 0 };
        let ready = &lane.space[stripe.taken..stripe.filled];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        stripe.taken += count;
        if stripe.taken == end {
            lane.is_used = true;
            if stripe.closes {
                lane.stream = None;
            }
            lane.stripe = None;
            self.front = (self.front + 1) % self.lanes.len();
        }
        count
    }
}

impl Stripe {
    fn new(from: u64, to: u64, request: Vec<u8>) -> Stripe {
        Stripe { from, to, request, sent: 0, filled: 0, taken: 0, end: None, closes: false }
    }
}

impl Lane {
    fn new() -> Lane {
        let stripe_bytes = usize::try_from(AHEAD_STRIPE_BYTES).unwrap_or(usize::MAX);
        let space = vec![0; HTTP_HEAD_BYTES_MAX + stripe_bytes].into_boxed_slice();
        Lane { stream: None, is_used: false, stripe: None, space }
    }

    /// Connects, asks, and takes what is there, or what comes within the wait.
    fn advance(
        &mut self,
        way: &Way,
        terms: &dyn Terms,
        wait: Option<Deadline>,
    ) -> Result<(), Fault> {
        let Some(stripe) = self.stripe.as_mut() else { return Ok(()) };
        if stripe.end == Some(stripe.filled) {
            return Ok(());
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                self.is_used = false;
                none.insert(connect(way).map_err(|why| passing(&why))?)
            }
        };
        match stripe.exchange(stream, &mut self.space, terms, wait) {
            Ok(()) => Ok(()),
            // It closed while it had nothing to do: nobody has seen the request.
            Err(Broken::Connection(_)) if self.is_used && stripe.filled == 0 => {
                self.stream = None;
                stripe.sent = 0;
                Ok(())
            }
            Err(Broken::Connection(why)) => Err(passing(&why)),
            Err(Broken::Answer(fault)) => Err(fault),
        }
    }
}

enum Broken {
    Connection(io::Error),
    Answer(Fault),
}

impl From<io::Error> for Broken {
    fn from(why: io::Error) -> Self {
        Broken::Connection(why)
    }
}

impl Stripe {
    fn exchange(
        &mut self,
        stream: &mut Stream,
        space: &mut [u8],
        terms: &dyn Terms,
        mut wait: Option<Deadline>,
    ) -> Result<(), Broken> {
        while let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match stream.write(&[io::IoSlice::new(rest)], wait)? {
                Moved::Bytes(count) => self.sent += count,
                Moved::NothingYet => return Ok(()),
            }
        }
        loop {
            // Room for the whole body, and no byte behind it.
            let room = self.end.unwrap_or(space.len());
            let Some(room) = space.get_mut(self.filled..room).filter(|room| !room.is_empty())
            else {
                return Ok(());
            };
            match stream.read(room, wait.take())? {
                Moved::Bytes(count) => self.filled += count,
                Moved::NothingYet => return Ok(()),
            }
            if self.end.is_none() {
                self.end = self.judge(space, terms).map_err(Broken::Answer)?;
            }
        }
    }

    /// Where the body ends, once the head is here.
    fn judge(&mut self, space: &[u8], terms: &dyn Terms) -> Result<Option<usize>, Fault> {
        let head = Head::parse(&space[..self.filled])
            .map_err(|_| Fault::passing("this is no answer of HTTP/1.1"))?;
        let Some(head) = head else { return Ok(None) };
        terms.judge(self.from, self.to, &head)?;
        let body_bytes = usize::try_from(self.to - self.from).unwrap_or(usize::MAX);
        let end = head.head_bytes.saturating_add(body_bytes);
        if self.filled > end {
            return Err(Fault::passing("more came than was asked for"));
        }
        self.taken = head.head_bytes;
        self.closes = head.closes();
        Ok(Some(end))
    }
}

fn passing(why: &io::Error) -> Fault {
    Fault::passing(match why.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed before all had come".to_owned(),
        _ => why.to_string(),
    })
}

fn connect(way: &Way) -> io::Result<Stream> {
    let addresses = resolve(&way.host, way.port).map_err(io::Error::other)?;
    let deadline = Deadline::after_ms(AHEAD_CONNECT_MS);
    let mut stream = Stream::connect(&addresses, deadline)?;
    if let Some(tls) = &way.tls {
        stream.secure(tls, &way.host, deadline)?;
    }
    Ok(stream)
}

#[cfg(test)]
mod tests;
