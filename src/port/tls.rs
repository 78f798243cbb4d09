//! TLS over a socket that does not block: `rustls`, which does no I/O of its own.
//!
//! ```text
//! write   text ──encrypt──> at most TLS_OUTPUT_BYTES ──> socket, as much as it takes
//! read    socket ──> one record ──decrypt──> text
//! ```
//! What the socket did not take goes out before anything else, in the next write or read. The
//! peer's certificate and name are always verified; nothing switches that off.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::client::{Resumption, WantsClientCert};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, ConfigBuilder, Error, RootCertStore,
};

use super::stream::{Deadline, Moved, Socket};
use crate::limits::{TLS_OUTPUT_BYTES, TLS_READS_MAX};
use crate::settings::KafkaTls;

/// Whom to trust and who we are. A clone shares it.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// The error is a line for the list of problems.
    pub fn new(settings: &KafkaTls) -> Result<Tls, String> {
        let mut roots = RootCertStore::empty();
        match &settings.roots {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(given) => {
                for (index, certificate) in given.as_der().iter().enumerate() {
                    roots.add(certificate.clone()).map_err(|why| {
                        let number = index + 1;
                        format!("certificate {number} of KAFKA_SSL_CA_… can not be read: {why}")
                    })?;
                }
            }
        }
        let builder = builder(roots)?;
        let mut config = match &settings.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(client.chain.as_der().to_vec(), client.key.to_der())
                .map_err(|why| {
                    format!("the certificate of KAFKA_SSL_CERT_… and the key of KAFKA_SSL_KEY_… can not be used: {why}")
                })?,
        };
        // Connections are few and long: nothing is kept of an earlier one.
        config.resumption = Resumption::disabled();
        Ok(Tls { config: Arc::new(config) })
    }

    /// For HTTPS: these authorities, or the public ones. What can not be read among them is
    /// left out, as bundles of many systems hold such.
    pub fn https(authorities: Option<&[CertificateDer<'static>]>) -> Result<Tls, String> {
        let mut roots = RootCertStore::empty();
        match authorities {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(given) => {
                roots.add_parsable_certificates(given.iter().cloned());
            }
        }
        Ok(Tls { config: Arc::new(builder(roots)?.with_no_client_auth()) })
    }

    pub(super) fn session(&self, host: &str) -> io::Result<Session> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            io::Error::new(ErrorKind::InvalidInput, "no host name of a certificate")
        })?;
        let mut connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(broken)?;
        connection.set_buffer_limit(Some(TLS_OUTPUT_BYTES));
        Ok(Session { connection: Box::new(connection) })
    }
}

fn builder(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| format!("TLS can not be set up: {why}"))?
        .with_root_certificates(roots))
}

/// What TLS itself has to say about a failure.
pub fn tls_error(why: &io::Error) -> Option<&Error> {
    why.get_ref()?.downcast_ref()
}

/// Why a server's certificate is not taken, as far as the way out differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    OtherName,
    NotToday,
    UnknownAuthority,
    /// Whom we trust does not matter: the certificate itself is not as TLS wants it.
    Unfit,
}

impl Distrust {
    pub fn of(error: &Error) -> Option<Distrust> {
        let Error::InvalidCertificate(why) = error else { return None };
        Some(match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Distrust::OtherName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Distrust::NotToday,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Distrust::UnknownAuthority
            }
            _ => Distrust::Unfit,
        })
    }

    /// What the certificate is, or is not.
    pub fn words(self) -> &'static str {
        match self {
            Distrust::OtherName => "is for another host name",
            Distrust::NotToday => "is not valid today",
            Distrust::UnknownAuthority => "is not trusted",
            Distrust::Unfit => "can not be accepted",
        }
    }

    /// What to do. Where names and authorities are set differs from service to service.
    pub fn advice(self, names: &'static str, authorities: &'static str) -> &'static str {
        match self {
            Distrust::OtherName => names,
            Distrust::NotToday => "Renew the server's certificate, or set this machine's clock",
            Distrust::UnknownAuthority => authorities,
            Distrust::Unfit => {
                "Give the server a certificate of its own: of X.509 version 3, no authority's (CA:FALSE), for servers (serverAuth), with its name in subjectAltName, and signed with SHA-256 or better by RSA, Ed25519 or ECDSA (P-256, P-384); one that is its own authority (openssl req -x509 makes such) will not do"
            }
        }
    }
}

/// One connection's keys and buffers.
#[derive(Debug)]
pub(super) struct Session {
    connection: Box<ClientConnection>,
}

impl Session {
    pub(super) fn handshake(&mut self, socket: &mut Socket, deadline: Deadline) -> io::Result<()> {
        while self.connection.is_handshaking() {
            if deadline.has_passed() {
                return Err(ErrorKind::TimedOut.into());
            }
            if self.flush(socket, Some(deadline))? && self.connection.is_handshaking() {
                match self.receive(socket, Some(deadline))? {
                    Moved::Bytes(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Moved::Bytes(_) | Moved::NothingYet => {}
                }
            }
        }
        if self.flush(socket, Some(deadline))? { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }

    /// Takes what fits into its buffer, once that is empty.
    pub(super) fn write(
        &mut self,
        socket: &mut Socket,
        parts: &[IoSlice<'_>],
        deadline: Option<Deadline>,
    ) -> io::Result<Moved> {
        if !self.flush(socket, deadline)? {
            return Ok(Moved::NothingYet);
        }
        let count = self.connection.writer().write_vectored(parts)?;
        self.flush(socket, None)?;
        Ok(Moved::Bytes(count))
    }

    pub(super) fn read(
        &mut self,
        socket: &mut Socket,
        space: &mut [u8],
        deadline: Option<Deadline>,
    ) -> io::Result<Moved> {
        // A request that is not out yet brings no answer.
        if !self.flush(socket, deadline)? {
            return Ok(Moved::NothingYet);
        }
        for _ in 0..TLS_READS_MAX {
            match self.connection.reader().read(space) {
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                result => return result.map(Moved::Bytes),
            }
            if self.receive(socket, deadline)? == Moved::NothingYet {
                break;
            }
        }
        Ok(Moved::NothingYet)
    }

    /// Open, and without a byte that nobody asked for; messages of TLS itself (tickets) may be.
    pub(super) fn is_fresh(&mut self, socket: &mut Socket) -> bool {
        for _ in 0..TLS_READS_MAX {
            match self.connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                _ => return false,
            }
            match self.receive(socket, None) {
                Ok(Moved::NothingYet) => return true,
                Ok(Moved::Bytes(0)) | Err(_) => return false,
                Ok(Moved::Bytes(_)) => {}
            }
        }
        false
    }

    /// Whether all that is encrypted has gone out.
    fn flush(&mut self, socket: &mut Socket, deadline: Option<Deadline>) -> io::Result<bool> {
        while self.connection.wants_write() {
            let sent = self.connection.write_tls(&mut Wire { socket, deadline });
            match sent {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(why) => return Err(self.why_refused(socket, why)),
            }
        }
        Ok(true)
    }

    /// One read from the socket, decrypted; 0 is its end.
    fn receive(&mut self, socket: &mut Socket, deadline: Option<Deadline>) -> io::Result<Moved> {
        let count = match self.connection.read_tls(&mut Wire { socket, deadline }) {
            Ok(count) => count,
            Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(Moved::NothingYet),
            Err(why) => return Err(why),
        };
        if let Err(why) = self.connection.process_new_packets() {
            // The alert that tells the peer why: it goes if it can.
            let wire = &mut Wire { socket, deadline: None };
            return match self.connection.write_tls(wire) {
                Ok(_) | Err(_) => Err(broken(why)),
            };
        }
        Ok(Moved::Bytes(count))
    }

    /// A peer that closed on us may have said why before: a certificate that it wants, say.
    fn why_refused(&mut self, socket: &mut Socket, why: io::Error) -> io::Error {
        for _ in 0..TLS_READS_MAX {
            match self.receive(socket, None) {
                Err(said) if tls_error(&said).is_some() => return said,
                Ok(Moved::Bytes(count)) if count > 0 => {}
                Ok(_) | Err(_) => break,
            }
        }
        why
    }
}

fn broken(why: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// The socket as `rustls` wants to see it, for one call.
struct Wire<'a> {
    socket: &'a mut Socket,
    deadline: Option<Deadline>,
}

impl Wire<'_> {
    fn settle(moved: io::Result<Moved>) -> io::Result<usize> {
        match moved? {
            Moved::Bytes(count) => Ok(count),
            Moved::NothingYet => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        Wire::settle(self.socket.read(space, self.deadline))
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Wire::settle(self.socket.write(&[IoSlice::new(bytes)], self.deadline))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Wire::settle(self.socket.write(parts, self.deadline))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "tls/tests.rs"]
mod tests;
