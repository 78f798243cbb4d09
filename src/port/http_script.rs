//! A server that follows a script, for the tests of what speaks HTTP.
//!
//! ```text
//! connection 1: [request -> these bytes] [request -> these bytes] close
//! connection 2: [request -> these bytes] hold until the client hangs up
//! ```

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection};

use crate::wire::pem::{Certificates, PrivateKey};

/// What is done on a connection, one after the other.
pub(crate) enum Act {
    /// Reads a request and writes these bytes.
    Answer(Vec<u8>),
    /// Reads a request and says nothing.
    Ignore,
    /// Keeps the connection until the client hangs up.
    Hold,
}

pub(crate) struct Script {
    pub(crate) endpoint: String,
    server: JoinHandle<Vec<String>>,
}

impl Script {
    #[expect(clippy::disallowed_methods, reason = "the other end of a test needs its own thread")]
    pub(crate) fn run(connections: Vec<Vec<Act>>) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for acts in connections {
                let (mut stream, _) = listener.accept().unwrap();
                for act in acts {
                    match act {
                        Act::Answer(bytes) => {
                            requests.push(request(&mut stream));
                            stream.write_all(&bytes).unwrap();
                        }
                        Act::Ignore => requests.push(request(&mut stream)),
                        Act::Hold => assert_eq!(stream.read(&mut [0]).unwrap(), 0),
                    }
                }
            }
            requests
        });
        Script { endpoint, server }
    }

    /// Waits until the script is played, and tells the requests that came.
    pub(crate) fn requests(self) -> Vec<String> {
        self.server.join().unwrap()
    }
}

/// A server of TLS for one handshake: its URL, and its thread. The certificate (PEM) is valid for
/// `localhost`, or is none of a server at all; its key is not proven before it is refused.
#[expect(clippy::disallowed_methods, reason = "the other end of a test needs its own thread")]
pub(crate) fn certified(certificate: &[u8]) -> (String, JoinHandle<()>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKey::parse(include_bytes!("tls/testdata/server.key.pem")).unwrap().to_der();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let chain = Certificates::parse(certificate).unwrap().as_der().to_vec();
    let certified = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certified));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        assert!(connection.complete_io(&mut stream).is_err(), "the certificate is refused");
    });
    (url, server)
}

/// An answer with its length; `headers` are lines that end in CRLF.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Answer(
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into(),
    )
}

fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    let mut text = String::from_utf8(bytes).unwrap().to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    text.push_str(&String::from_utf8(body).unwrap());
    text
}
