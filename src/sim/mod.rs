//! The simulation: worlds that cut, delay, repeat and kill, around the real flow.
//!
//! ```text
//!    random_worlds   crash_matrix   compat   defects        which worlds
//!                     \          |          /
//!                        drive (slots, starts, verdict)     who runs in them
//!                                |
//!   flow::run ──port calls──> ports ──> world               clocks, events, kills, hand-over
//!                                       /  |  \
//!                                leader  stores  oracle     what is true in them
//!
//! conformance: the model leader against the embedded log and real brokers
//! ```
//!
//! Only `flow/` and `wire/` are the product's own; everything that they touch is a model here.
//! A world is a function of its seed: one command replays a failing one.
#![expect(clippy::print_stderr, reason = "what a failing world did is printed for a person")]
#![expect(clippy::struct_excessive_bools, reason = "what a world has, or has not, is many flags")]

mod compat;
mod conformance;
mod crash_matrix;
mod decode;
pub(crate) mod defects;
mod drive;
mod events;
mod leader;
mod ledger;
mod oracle;
mod ports;
mod random_worlds;
mod seeds;
mod stores;
mod world;
