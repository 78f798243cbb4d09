//! Kafka's record batch, format version 2.
//!
//! ```text
//! byte  0  base offset         i64     set by the broker
//!       8  batch length        i32     from byte 12 to the end
//!      12  leader epoch        i32     -1
//!      16  magic               i8      2
//!      17  crc32c              u32     of byte 21 to the end
//!      21  attributes          i16     compression in the low three bits
//!      23  last offset delta   i32
//!      27  first timestamp     i64
//!      35  max timestamp       i64
//!      43  producer id         i64
//!      51  producer epoch      i16
//!      53  base sequence       i32
//!      57  record count        i32
//!      61  records, compressed as a whole
//! ```

/// The header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// The whole batch, header included.
    pub batch_bytes: usize,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// One batch's bytes in a buffer that is allocated once.
pub struct Batch {
    bytes: Vec<u8>,
    record_count: u32,
    raw_bytes: usize,
}

impl Batch {
    pub fn with_capacity(bytes_max: usize) -> Batch {
        Batch { bytes: Vec::with_capacity(bytes_max), record_count: 0, raw_bytes: 0 }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// The records before compression.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }
}
