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
//! Bodies are those of the `kafka-protocol` crate, with two exceptions: the head of Produce is
//! written here, so that a batch is never copied ([`produce`]), and every answer is walked
//! before the crate decodes it, because the crate believes lengths ([`shape`]).

pub mod answers;
pub mod bootstrap;
pub mod errors;
pub mod frame;
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
