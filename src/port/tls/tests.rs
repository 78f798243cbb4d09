//! TLS against a server on this machine. The certificates are valid for a hundred years and for
//! `localhost` alone; they were made by OpenSSL, and their authority's key is thrown away.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use rustls::server::WebPkiClientVerifier;
use rustls::{AlertDescription, CertificateError, ServerConfig, ServerConnection};

use super::*;
use crate::port::stream::Stream;
use crate::settings::ClientCertificate;
use crate::wire::pem::{Certificates, PrivateKey};

const AUTHORITY: &[u8] = include_bytes!("testdata/authority.pem");
const SERVER: &[u8] = include_bytes!("testdata/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("testdata/server.key.pem");
const CLIENT: &[u8] = include_bytes!("testdata/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("testdata/client.key.pem");

const PATIENCE_MS: u64 = 20_000;

fn certificates(pem: &[u8]) -> Certificates {
    Certificates::parse(pem).unwrap()
}

fn trusting(client: Option<ClientCertificate>) -> Tls {
    Tls::new(&KafkaTls { roots: Some(certificates(AUTHORITY)), client }).unwrap()
}

fn ourselves() -> ClientCertificate {
    let key = PrivateKey::parse(CLIENT_KEY).unwrap();
    ClientCertificate { chain: certificates(CLIENT), key }
}

struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// `act` is what it does with its one connection.
    fn start(
        wants_certificate: bool,
        act: impl FnOnce(&mut ServerConnection, &mut TcpStream) + Send + 'static,
    ) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(certificates(AUTHORITY).as_der()[0].clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = certificates(SERVER).as_der().to_vec();
        let key = PrivateKey::parse(SERVER_KEY).unwrap().to_der();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let serve = move |mut tcp: TcpStream| {
            let mut connection = ServerConnection::new(config).unwrap();
            act(&mut connection, &mut tcp);
        };
        Server::of(serve)
    }

    /// One that speaks something else.
    fn of(serve: impl FnOnce(TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        Server { address, thread }
    }

    fn connect(&self, tls: &Tls, host: &str) -> io::Result<Stream> {
        let deadline = Deadline::after_ms(PATIENCE_MS);
        let mut stream = Stream::connect(&[self.address], deadline)?;
        stream.secure(tls, host, deadline).map(|()| stream)
    }
}

/// Reads all of it, whatever it is cut into.
fn read_exact(stream: &mut Stream, space: &mut [u8]) -> io::Result<()> {
    let deadline = Deadline::after_ms(PATIENCE_MS);
    let mut filled = 0;
    while filled < space.len() {
        match stream.read(&mut space[filled..], Some(deadline))? {
            Moved::Bytes(count) => filled += count,
            Moved::NothingYet if deadline.has_passed() => {
                return Err(ErrorKind::TimedOut.into());
            }
            Moved::NothingYet => {}
        }
    }
    Ok(())
}

/// More than the buffers of two sockets grow to.
const LARGE_BYTES: usize = 24 * 1024 * 1024;

#[test]
fn large_messages_pass_whole_and_no_write_waits() {
    let (go, gone) = std::sync::mpsc::channel();
    let server = Server::start(true, move |connection, tcp| {
        finish_handshake(connection, tcp);
        gone.recv().unwrap();
        let mut whole = vec![0; LARGE_BYTES];
        let mut stream = rustls::Stream::new(connection, tcp);
        stream.read_exact(&mut whole).unwrap();
        whole.reverse();
        stream.write_all(&whole).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let mut stream = server.connect(&trusting(Some(ourselves())), "localhost").unwrap();
    assert!(stream.is_fresh());
    let mut sent: Vec<u8> = (0..=250).cycle().take(LARGE_BYTES).collect();
    let mut written_bytes = 0;
    let mut go = Some(go);
    while written_bytes < sent.len() {
        let (head, tail) = sent[written_bytes..].split_at((LARGE_BYTES - written_bytes) / 2);
        let parts = [IoSlice::new(head), IoSlice::new(tail)];
        match stream.write(&parts, None).unwrap() {
            Moved::Bytes(count) => {
                assert!(count > 0 && count <= TLS_OUTPUT_BYTES);
                written_bytes += count;
            }
            // Only now the server begins to read.
            Moved::NothingYet => {
                if let Some(go) = go.take() {
                    go.send(()).unwrap();
                }
            }
        }
    }
    let mut heard = vec![0; LARGE_BYTES];
    read_exact(&mut stream, &mut heard).unwrap();
    sent.reverse();
    assert!(heard == sent);
    server.thread.join().unwrap();
    assert!(!stream.is_fresh(), "the server has closed");
    let end = stream.read(&mut [0], Some(Deadline::after_ms(PATIENCE_MS))).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
}

fn finish_handshake(connection: &mut ServerConnection, tcp: &mut TcpStream) {
    while connection.is_handshaking() {
        connection.complete_io(tcp).unwrap();
    }
}

/// The handshake, and whatever comes after it.
fn finish(connection: &mut ServerConnection, tcp: &mut TcpStream) {
    while connection.complete_io(tcp).is_ok_and(|(read, written)| read + written > 0) {}
}

#[test]
fn only_who_can_prove_its_name_is_spoken_to() {
    let public = Tls::new(&KafkaTls::default()).unwrap();
    for (name, tls, host) in [
        ("public authorities", &public, "localhost"),
        ("another name", &trusting(None), "localhost.example"),
        ("an address", &trusting(None), "127.0.0.1"),
    ] {
        let server = Server::start(false, finish);
        let why = server.connect(tls, host).unwrap_err();
        let expected = match tls_error(&why) {
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                name == "public authorities"
            }
            Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                ..
            })) => name != "public authorities",
            _ => false,
        };
        assert!(expected, "{name}: {why}");
        server.thread.join().unwrap();
    }
}

/// In TLS 1.3 the handshake is over for us before the server looks at our certificate.
#[test]
fn a_certificate_that_is_wanted_is_told_at_the_latest_by_the_first_read() {
    let server = Server::start(true, finish);
    let told = match server.connect(&trusting(None), "localhost") {
        Err(why) => why,
        Ok(mut stream) => match stream.write(&[IoSlice::new(b"hello")], None) {
            Err(why) => why,
            Ok(_) => read_exact(&mut stream, &mut [0]).unwrap_err(),
        },
    };
    let wanted = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    assert_eq!(tls_error(&told), Some(&wanted), "{told}");
    server.thread.join().unwrap();
}

#[test]
fn who_speaks_no_tls_is_found_out() {
    let hello = |tcp: &mut TcpStream| tcp.read(&mut [0; 4096]).unwrap();
    let server = Server::of(move |mut tcp| {
        hello(&mut tcp);
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let why = server.connect(&trusting(None), "localhost").unwrap_err();
    assert!(matches!(tls_error(&why), Some(rustls::Error::InvalidMessage(_))), "{why}");

    // As a broker's plaintext port does.
    let server = Server::of(move |mut tcp| {
        hello(&mut tcp);
    });
    let why = server.connect(&trusting(None), "localhost").unwrap_err();
    assert!(matches!(why.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{why}");
}

#[test]
fn a_silent_peer_is_left_at_the_deadline() {
    let server =
        Server::of(|mut tcp| while tcp.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    let mut stream = Stream::connect(&[server.address], Deadline::after_ms(PATIENCE_MS)).unwrap();
    let why = stream.secure(&trusting(None), "localhost", Deadline::after_ms(50)).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::TimedOut);
    drop(stream);
    server.thread.join().unwrap();
}

#[test]
fn certificates_and_keys_that_can_not_be_used_are_named() {
    let noise =
        Certificates::parse(b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n");
    let roots = Some(noise.unwrap());
    let problem = Tls::new(&KafkaTls { roots, client: None }).unwrap_err();
    assert!(problem.starts_with("certificate 1 of KAFKA_SSL_CA_"), "{problem}");
    let mut client = ourselves();
    client.chain = certificates(SERVER);
    let problem = Tls::new(&KafkaTls { roots: None, client: Some(client) }).unwrap_err();
    assert!(problem.contains("KAFKA_SSL_KEY_"), "{problem}");
}
