//! The show words: events, results and help, as a person or a program reads them.

pub mod figures;
pub mod help;
pub mod log;
pub mod progress;
pub mod rehearsal;
pub mod start;
pub mod status;
pub mod teller;
pub mod verify;

#[cfg(test)]
mod tests;
