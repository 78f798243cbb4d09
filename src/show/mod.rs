//! The show words: events, results and help, as a person or a program reads them.

mod chart;
pub mod check;
pub mod figures;
pub mod findings;
pub mod help;
pub mod letters;
pub mod log;
pub mod progress;
pub mod rehearsal;
pub mod report;
pub mod start;
pub mod status;
pub mod teller;
pub mod terminal;
pub mod verify;

#[cfg(test)]
mod tests;
