//! csv-to-kafka: one CSV into one Kafka partition, every row once, in file order.
//!
//! ```text
//!             main.rs   runs a command, exit code; command/ picks its ports and prints
//!            /   |   \
//!        cli   flow   show          flow decides       show words
//!               | \    |
//!               |  ports (traits)
//!               |      |
//!              wire <- port         wire translates    port touches the world
//!
//!     everyone may use limits, settings, stop, finding, event
//! ```
//!
//! The data path is `flow/copy.rs`, from top to bottom: source, rows, records, batch, broker,
//! progress, checkpoint. `flow/`, `wire/` and `show/` open no socket and no file and read no
//! clock and no environment.

#![forbid(unsafe_code)]

/// A deliberate defect, which a test switches on and the simulation has to find. Elsewhere: no.
#[cfg(test)]
macro_rules! defect {
    ($name:ident) => {
        crate::sim::defects::on(crate::sim::defects::Defect::$name)
    };
}
#[cfg(not(test))]
macro_rules! defect {
    ($name:ident) => {
        false
    };
}

pub mod cli;
pub mod event;
pub mod finding;
pub mod flow;
pub mod limits;
pub mod port;
pub mod settings;
pub mod show;
pub mod stop;
pub mod wire;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tidy;
