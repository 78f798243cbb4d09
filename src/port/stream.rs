//! A connection to a broker: bytes out, bytes in, never longer than a deadline.
//!
//! The socket does not block by itself: what it does not take or have is "nothing yet". Only
//! where a caller allows a wait does it block, with the operating system's own time-out, since
//! the standard library has no poll. The buffers of the kernel stay as they are: the standard
//! library can not set them, and Linux grows them by itself to some megabytes.
//!
//! All that is above sees [`Stream`] alone, with TLS or without ([`tls`](super::tls)).

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::tls::{Session, Tls};
use crate::limits::CONNECT_MS_MIN;

/// The end of a call.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    pub fn after_ms(wait_ms: u64) -> Deadline {
        Deadline { end: Instant::now() + Duration::from_millis(wait_ms) }
    }

    /// Zero when it has passed.
    pub fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// Runs what is not counted: the look-up of a name.
    pub fn without<T>(&mut self, uncounted: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = uncounted();
        self.end += start.elapsed();
        result
    }

    /// So much earlier.
    #[must_use]
    pub fn less_ms(self, wait_ms: u64) -> Deadline {
        let wait = Duration::from_millis(wait_ms);
        Deadline { end: self.end.checked_sub(wait).unwrap_or(self.end) }
    }

    /// The smaller of this and so long from now.
    #[must_use]
    pub fn within(self, wait: Duration) -> Deadline {
        Deadline { end: self.end.min(Instant::now() + wait) }
    }
}

/// What one read or write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    Bytes(usize),
    NothingYet,
}

/// A connection: a socket, and TLS over it where that is asked for.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    peer: SocketAddr,
    session: Option<Session>,
}

/// A socket that waits only where it is told to.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    blocking: bool,
}

impl Stream {
    /// Tries one address after the other; each gets its share of the time that is left.
    pub fn connect(addresses: &[SocketAddr], deadline: Deadline) -> io::Result<Stream> {
        let mut last = io::Error::new(ErrorKind::InvalidInput, "no address");
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.left();
            if left.is_zero() {
                break;
            }
            let still = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share = (left / still).max(Duration::from_millis(CONNECT_MS_MIN)).min(left);
            match Stream::open(*address, share) {
                Ok(stream) => return Ok(stream),
                Err(why) if addresses.len() == 1 => last = why,
                Err(why) => last = io::Error::new(why.kind(), format!("{address}: {why}")),
            }
        }
        Err(last)
    }

    /// From here on all goes through TLS, with whoever can prove to be `host`.
    pub fn secure(&mut self, tls: &Tls, host: &str, deadline: Deadline) -> io::Result<()> {
        assert!(self.session.is_none(), "a connection is secured once");
        let mut session = tls.session(host)?;
        session.handshake(&mut self.socket, deadline)?;
        self.session = Some(session);
        Ok(())
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Writes what the socket takes now, or within the deadline. With TLS, what it does not
    /// take of the last bytes goes out with the next write or read.
    pub fn write(
        &mut self,
        parts: &[IoSlice<'_>],
        deadline: Option<Deadline>,
    ) -> io::Result<Moved> {
        match &mut self.session {
            None => self.socket.write(parts, deadline),
            Some(session) => session.write(&mut self.socket, parts, deadline),
        }
    }

    /// Reads what is there now, or what comes within the deadline. The end of the stream is an
    /// error: no answer ends it.
    pub fn read(&mut self, space: &mut [u8], deadline: Option<Deadline>) -> io::Result<Moved> {
        assert!(!space.is_empty(), "a read into no space would look like the end");
        let moved = match &mut self.session {
            None => self.socket.read(space, deadline),
            Some(session) => session.read(&mut self.socket, space, deadline),
        };
        match moved? {
            Moved::Bytes(0) => Err(ErrorKind::UnexpectedEof.into()),
            moved => Ok(moved),
        }
    }

    /// Whether an idle connection can still be used: open, and nothing unasked-for came in.
    pub fn is_fresh(&mut self) -> bool {
        match &mut self.session {
            None => self.socket.is_quiet(),
            Some(session) => session.is_fresh(&mut self.socket),
        }
    }

    fn open(address: SocketAddr, wait: Duration) -> io::Result<Stream> {
        let tcp = TcpStream::connect_timeout(&address, wait)?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Stream { socket: Socket { tcp, blocking: false }, peer: address, session: None })
    }
}

impl Socket {
    pub(super) fn write(
        &mut self,
        parts: &[IoSlice<'_>],
        deadline: Option<Deadline>,
    ) -> io::Result<Moved> {
        self.set_wait(deadline.map(Deadline::left), TcpStream::set_write_timeout)?;
        settle(self.tcp.write_vectored(parts))
    }

    /// 0 is the end.
    pub(super) fn read(
        &mut self,
        space: &mut [u8],
        deadline: Option<Deadline>,
    ) -> io::Result<Moved> {
        self.set_wait(deadline.map(Deadline::left), TcpStream::set_read_timeout)?;
        settle(self.tcp.read(space))
    }

    /// Open, with nothing to read.
    fn is_quiet(&mut self) -> bool {
        let quiet = self.set_wait(None, TcpStream::set_read_timeout);
        quiet.is_ok()
            && matches!(self.tcp.peek(&mut [0]), Err(why) if why.kind() == ErrorKind::WouldBlock)
    }

    fn set_wait(
        &mut self,
        wait: Option<Duration>,
        set_timeout: fn(&TcpStream, Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        // The system has no time-out of zero: it would mean for ever.
        let wait = wait.filter(|wait| *wait >= Duration::from_millis(1));
        if wait.is_some() != self.blocking {
            self.tcp.set_nonblocking(wait.is_none())?;
            self.blocking = wait.is_some();
        }
        if wait.is_some() { set_timeout(&self.tcp, wait) } else { Ok(()) }
    }
}

fn settle(result: io::Result<usize>) -> io::Result<Moved> {
    match result {
        Ok(count) => Ok(Moved::Bytes(count)),
        Err(why) => match why.kind() {
            // A time-out of ours reads as "would block"; "timed out" is the end of a dead peer.
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(Moved::NothingYet),
            _ => Err(why),
        },
    }
}
