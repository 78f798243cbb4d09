//! The flow decides: what is sent when, what an answer means, where to go on.
//!
//! ```text
//! resume ──start──> copy: source ─> rows ─> lane ─> flight ─> keeper
//!    │                              (good, bad,  (one batch   (checkpoint
//!    └ tail, adopt                   fatal)      in flight)    and lease)
//! ```

pub mod ports;
