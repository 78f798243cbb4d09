//! Every decoder of bytes that others send, as a function of bytes alone: the fuzz targets of
//! `vendor-tests/fuzz`, and what the tests replay its corpora with.
//!
//! ```text
//! (name, decode)     decode(bytes)   never panics, never asks for memory by a false length,
//!                                    and holds what is asserted beside it
//! ```
//! The first bytes of some inputs choose: the version of an answer, the status of another.

mod aws;
mod kafka;
mod local;
mod own;

/// A decoder's name, which is its corpus's too, and what calls it.
pub(crate) type Decoder = (&'static str, fn(&[u8]));

pub(crate) const ALL: [&[Decoder]; 4] =
    [kafka::DECODERS, aws::DECODERS, local::DECODERS, own::DECODERS];

pub(crate) fn all() -> impl Iterator<Item = Decoder> {
    ALL.into_iter().flatten().copied()
}

/// What a stranger says and we repeat: one line, not endless.
fn assert_fit_for_a_line(words: &str) {
    assert!(!words.contains(char::is_control), "{words:?}");
    assert!(words.chars().count() < 2_000, "{words}");
}

/// The first byte, and the rest.
fn choice(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) => (usize::from(*first), rest),
        None => (0, &[]),
    }
}
