//! The show words: events, results and help, as a person or a program reads them.

pub mod help;
pub mod log;
pub mod progress;
pub mod rehearsal;
