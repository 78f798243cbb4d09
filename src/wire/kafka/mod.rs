//! Kafka's protocol without I/O: frames, versions, requests out, answers in.
//!
//! ```text
//! frame     length i32 | the rest: a request or an answer
//! request   api key i16 | version i16 | correlation id i32 | client id | body
//! answer    correlation id i32 | body
//! ```
//! From a version of its own on, each request is "flexible": lengths are varints plus one, and
//! structures end in tagged fields.
//!
//! Bodies are those of the `kafka-protocol` crate, with these exceptions: the head of Produce is
//! written here, so that a batch is never copied ([`produce`]); Fetch for brokers that the crate
//! does not know any more ([`old_fetch`]); and every answer is walked before the crate decodes
//! it, because the crate believes lengths ([`shape`]).

pub mod answers;
pub mod errors;
pub mod frame;
pub mod old_fetch;
pub mod produce;
pub mod requests;
pub mod shape;
pub mod versions;

/// An answer that is not what it should be. The connection it came on is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbled {
    pub what: String,
}

impl Garbled {
    pub fn new(what: impl Into<String>) -> Garbled {
        Garbled { what: what.into() }
    }
}

impl std::fmt::Display for Garbled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an answer that makes no sense: {}", self.what)
    }
}

/// `host:port` as it is written in settings, for messages.
pub fn show_server(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_shown_as_they_are_written() {
        assert_eq!(show_server("a", 1), "a:1");
        assert_eq!(show_server("::1", 1), "[::1]:1");
    }
}
