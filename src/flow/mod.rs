//! The flow decides: what is sent when, what an answer means, where to go on.
//!
//! ```text
//! resume ──Course──> copy:  source ─> rows ─> lane ─> flight ─> keeper
//!   ├ take      (the job is ours)   (good, bad,  (a batch filled,  (checkpoint
//!   ├ tail      (what is there)      or fatal)    one in flight)    and lease)
//!   ├ adopt     (the Python processor's rows)
//!   └ identity  (stored before the first record)
//!
//! lookup ──item──> verify:  source ─> tape ─┐
//!          ├─────> status   partition ──────┴─> walk ─> proof or differences
//!          └─────> letters  dead letters ─────> one by one
//!
//! report:  the lines of a log ─> runs, points, marks
//! check:   each port, once ─> findings and a plan; `run` judges its topics with the same words
//! ```
//!
//! `patience` holds all waiting and repeating; `spent` says on whom; `metrics` tells how
//! far it is; `ports` are the traits to the world.

pub mod adopt;
pub mod answer;
pub mod bounds;
pub mod check;
pub mod copy;
pub mod cost;
pub mod finish;
pub mod flight;
pub mod identity;
pub mod job;
pub mod keeper;
pub mod lane;
pub mod letters;
pub mod lookup;
pub mod metrics;
pub mod opening;
pub mod patience;
pub mod ports;
pub mod report;
pub mod resume;
pub mod rows;
pub mod run;
pub mod spent;
pub mod status;
pub mod tail;
pub mod take;
#[cfg(test)]
mod tests;
pub mod verify;

pub use check::check;
pub use lookup::find;
pub use run::{Outcome, run};
pub use verify::verify;
