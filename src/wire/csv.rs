//! Bytes into rows, by csv-core, in buffers that the caller owns.
