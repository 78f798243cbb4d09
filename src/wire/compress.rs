//! Streaming compression straight into the request buffer.
