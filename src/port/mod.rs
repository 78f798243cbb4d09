//! The ports touch the world: sockets, files, clocks, signals. One attempt a call.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the layer that reads clocks and environment"
)]

mod aws_json;
pub mod cloudwatch;
pub mod console;
pub mod credentials;
pub mod dynamodb;
pub mod embedded_log;
pub mod file;
pub mod file_ledger;
pub mod http;
#[cfg(test)]
mod http_script;
pub mod kafka;
pub mod lines;
pub mod machine;
pub mod partition_file;
pub mod resolve;
pub mod s3;
pub mod secrets_manager;
pub mod segments;
pub mod small_file;
pub mod spot;
pub mod stream;
pub mod tls;
