//! The wire translates: bytes in, types out, and back. No socket, no file, no clock.

pub mod append_check;
pub mod aws_endpoint;
pub mod aws_identity;
pub mod aws_profile;
pub mod aws_sign;
pub mod batch_writer;
pub mod checkpoint;
pub mod checkpoint_json;
pub mod cloudwatch;
pub mod compress;
pub mod csv;
pub mod decompress;
pub mod dynamodb;
pub mod emf;
pub mod http;
pub mod kafka;
pub mod log_line;
pub mod metrics;
pub mod pem;
pub mod provenance;
pub mod record;
pub mod record_batch;
pub mod s3;
pub mod sasl;
pub mod sequence;
mod swar;
pub mod xml;
