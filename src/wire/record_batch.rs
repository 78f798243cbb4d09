//! Kafka's record batch, format version 2.
//!
//! ```text
//! byte  0  base offset         i64     set by the broker
//!       8  batch length        i32     from byte 12 to the end
//!      12  leader epoch        i32     -1
//!      16  magic               i8      2
//!      17  crc32c              u32     of byte 21 to the end
//!      21  attributes          i16     compression in the low three bits, control bit 5
//!      23  last offset delta   i32
//!      27  first timestamp     i64
//!      35  max timestamp       i64
//!      43  producer id         i64
//!      51  producer epoch      i16
//!      53  base sequence       i32
//!      57  record count        i32
//!      61  records, compressed as a whole
//!
//! record:  length varint, attributes i8, timestamp delta varint, offset delta varint,
//!          key length varint (-1: null), key, value length varint (-1: null), value,
//!          header count varint, headers
//! ```
//!
//! A varint is zigzag: 0, -1, 1, -2 are 0, 1, 2, 3; seven bits a byte, the low ones first.

use std::fmt;

use crate::wire::compress::Compression;
use crate::wire::decompress::{Unreadable, decompress};

/// Where the records begin.
pub const HEADER_BYTES: usize = 61;
/// The bytes before the ones that "batch length" counts.
const LENGTH_END: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
/// What the checksum covers begins here.
const CRC_FROM: usize = 21;
const MAGIC: u8 = 2;
const CONTROL_BIT: i16 = 1 << 5;

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

/// Why bytes are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadBatch {
    /// Fewer bytes than a header has.
    Short,
    /// A message of Kafka before 0.11, or no batch at all.
    Magic(u8),
    /// A length, delta or count that no batch has.
    Header {
        batch_length: i32,
        last_offset_delta: i32,
        record_count: i32,
    },
    Checksum,
    /// A compression that Kafka has not given a number to.
    Compression {
        number: i16,
    },
    Unreadable(Unreadable),
    /// The records do not fill their place, or are more or fewer than the header says.
    Records,
}

impl fmt::Display for BadBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadBatch::Short => f.write_str("the batch is cut short"),
            BadBatch::Magic(magic) => write!(f, "the batch has format {magic}, not {MAGIC}"),
            BadBatch::Header { batch_length, last_offset_delta, record_count } => write!(
                f,
                "the batch's header has length {batch_length}, last offset delta {last_offset_delta} and {record_count} records, which can not be"
            ),
            BadBatch::Checksum => f.write_str("the batch's checksum is wrong"),
            BadBatch::Compression { number } => {
                write!(f, "the batch has the unknown compression {number}")
            }
            BadBatch::Unreadable(why) => write!(f, "the batch can not be read: {why}"),
            BadBatch::Records => f.write_str("the batch's records are broken"),
        }
    }
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; the records need not be there yet.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BadBatch> {
        match bytes.get(MAGIC_AT) {
            None => return Err(BadBatch::Short),
            Some(&MAGIC) => {}
            Some(&magic) => return Err(BadBatch::Magic(magic)),
        }
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(BadBatch::Short)?;
        let batch_length = i32::from_be_bytes(field(header, 8));
        let last_offset_delta = i32::from_be_bytes(field(header, 23));
        let record_count = i32::from_be_bytes(field(header, 57));
        let bad = BadBatch::Header { batch_length, last_offset_delta, record_count };
        let batch_bytes = usize::try_from(batch_length).map_err(|_| bad)? + LENGTH_END;
        if batch_bytes < HEADER_BYTES || last_offset_delta < 0 || record_count < 0 {
            return Err(bad);
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field(header, 0)),
            batch_bytes,
            attributes: i16::from_be_bytes(field(header, 21)),
            last_offset_delta,
            max_timestamp_ms: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            record_count,
        })
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// From the delta and never from the count: compaction empties batches. -1 where the
    /// producer numbered nothing.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        // Both are below 2^31, so the sum fits; its low 31 bits are the sequence.
        let sum = self.base_sequence.unsigned_abs() + self.last_offset_delta.unsigned_abs();
        (sum & i32::MAX.unsigned_abs()).cast_signed()
    }

    pub fn compression(&self) -> Result<Compression, BadBatch> {
        Compression::of_attributes(self.attributes)
            .ok_or(BadBatch::Compression { number: self.attributes & 7 })
    }

    /// A transaction's marker: an offset without a record for anybody.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }
}

/// `LENGTH` bytes of the header; an offset out of range would be a defect in this file.
fn field<const LENGTH: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; LENGTH] {
    std::array::from_fn(|index| header[at + index])
}

/// Whether the checksum of a whole batch is right.
pub fn is_checksum_right(batch: &[u8]) -> bool {
    match (batch.get(CRC_AT..CRC_FROM), batch.get(CRC_FROM..)) {
        (Some(stored), Some(covered)) => crc32c::crc32c(covered).to_be_bytes() == *stored,
        _ => false,
    }
}

// --- Batches one after the other --------------------------------------------------------

/// The batches in a piece of log, as Fetch answers it: a cut one at the end is legal and left.
///
/// A batch that can not be read ends the walk after its error, except a message of another
/// format, whose length is known: it is reported and passed over.
pub struct Batches<'a> {
    bytes: &'a [u8],
    whole_bytes: usize,
    is_over: bool,
}

impl<'a> Batches<'a> {
    pub fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches { bytes, whole_bytes: 0, is_over: false }
    }

    /// How many bytes the batches so far had.
    pub fn whole_bytes(&self) -> usize {
        self.whole_bytes
    }

    /// The bytes of a message of format 0 or 1, which has its length at the same place.
    fn old_message_bytes(rest: &[u8]) -> Option<usize> {
        let length = rest.get(8..)?.first_chunk::<4>()?;
        let message_bytes = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(0) + LENGTH_END;
        (message_bytes > MAGIC_AT).then_some(message_bytes)
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.whole_bytes..)?;
        if self.is_over || rest.len() <= MAGIC_AT {
            return None;
        }
        match BatchHeader::parse(rest) {
            Ok(header) => {
                let batch = rest.get(..header.batch_bytes)?;
                self.whole_bytes += header.batch_bytes;
                Some(Ok((header, batch)))
            }
            Err(bad @ BadBatch::Magic(0 | 1)) => {
                match Self::old_message_bytes(rest) {
                    Some(message_bytes) if message_bytes > rest.len() => return None,
                    Some(message_bytes) => self.whole_bytes += message_bytes,
                    None => self.is_over = true,
                }
                Some(Err(bad))
            }
            Err(BadBatch::Short) => None,
            Err(bad) => {
                self.is_over = true;
                Some(Err(bad))
            }
        }
    }
}

// --- Records ----------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// The records of a whole batch, one by one; `scratch` takes them when they are compressed.
pub fn records<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
    bytes_max: usize,
    scratch: &'a mut Vec<u8>,
) -> Result<Records<'a>, BadBatch> {
    let stored = batch.get(HEADER_BYTES..header.batch_bytes).ok_or(BadBatch::Short)?;
    let raw = match header.compression()? {
        Compression::None => stored,
        compression => {
            decompress(compression, stored, bytes_max, scratch).map_err(BadBatch::Unreadable)?;
            scratch
        }
    };
    Ok(Records { raw, left: header.record_count.unsigned_abs() })
}

/// The records in decompressed bytes. Ends after the first error.
pub struct Records<'a> {
    raw: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let is_filled = std::mem::take(&mut self.raw).is_empty();
            return if is_filled { None } else { Some(Err(BadBatch::Records)) };
        }
        self.left -= 1;
        let record = take_record(&mut self.raw);
        if record.is_none() {
            (self.raw, self.left) = (&[], 0);
        }
        Some(record.ok_or(BadBatch::Records))
    }
}

fn take_record<'a>(raw: &mut &'a [u8]) -> Option<Record<'a>> {
    let record_bytes = usize::try_from(take_varint(raw)?).ok()?;
    let mut body = raw.split_off(..record_bytes)?;
    let _attributes = body.split_off_first()?;
    let _timestamp_delta = take_varint(&mut body)?;
    let offset_delta = i32::try_from(take_varint(&mut body)?).ok()?;
    let key = take_bytes(&mut body)?;
    let value = take_bytes(&mut body)?;
    // Headers stay unread; the record's own length has passed over them.
    Some(Record { offset_delta, key, value })
}

/// `Some(None)` is null.
#[expect(clippy::option_option, reason = "cut short, null and present are three things")]
fn take_bytes<'a>(body: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_varint(body)? {
        -1 => Some(None),
        length => Some(Some(body.split_off(..usize::try_from(length).ok()?)?)),
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
        }
    }
    None
}

// --- One batch --------------------------------------------------------------------------

/// One batch's bytes in a buffer that is allocated once.
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) compression: Compression,
    pub(super) record_count: u32,
    pub(super) raw_bytes: usize,
}

impl Batch {
    /// For batches of at most so many bytes. One record that does not shrink may need a little
    /// more before that is seen, so there is a little more.
    pub fn with_capacity(bytes_max: usize) -> Batch {
        let mut batch = Batch {
            bytes: Vec::with_capacity(bytes_max + bytes_max / 5 + 1024),
            compression: Compression::None,
            record_count: 0,
            raw_bytes: 0,
        };
        batch.clear(Compression::None);
        batch
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

    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// For tests of those who check.
    #[cfg(test)]
    pub(crate) fn flip_byte(&mut self, at: usize) {
        self.bytes[at] ^= 1;
    }

    pub(super) fn clear(&mut self, compression: Compression) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        self.compression = compression;
        self.record_count = 0;
        self.raw_bytes = 0;
    }

    /// Writes the header, checksum included. A batch may be sealed again, with another
    /// timestamp or identity: its records do not change.
    pub fn seal(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        base_sequence: i32,
        timestamp_ms: u64,
    ) {
        assert!(producer_id >= 0, "a negative producer id is not guarded by the broker");
        assert!(producer_epoch >= 0, "a producer epoch is not negative");
        assert!(base_sequence >= 0, "a sequence is not negative");
        assert!(self.record_count > 0, "a batch holds at least one record");
        let last_delta = (self.record_count - 1).cast_signed();
        assert!(base_sequence <= i32::MAX - last_delta, "no batch straddles the sequence wrap");
        self.write_header(producer_id, producer_epoch, base_sequence, timestamp_ms);
    }

    /// The same for a batch whose records are sent one by one, as messages of an older format,
    /// which have no place for an identity. It must not be sent as it is.
    pub fn seal_unnumbered(&mut self, timestamp_ms: u64) {
        assert!(self.record_count > 0, "a batch holds at least one record");
        self.write_header(-1, -1, -1, timestamp_ms);
    }

    fn write_header(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        base_sequence: i32,
        timestamp_ms: u64,
    ) {
        let last_delta = (self.record_count - 1).cast_signed();
        let batch_length = i32::try_from(self.bytes.len() - LENGTH_END).unwrap_or(i32::MAX);
        let timestamp = timestamp_ms.min(i64::MAX.unsigned_abs()).cast_signed();

        self.put(0, 0_i64.to_be_bytes());
        self.put(8, batch_length.to_be_bytes());
        self.put(LENGTH_END, (-1_i32).to_be_bytes());
        self.put(MAGIC_AT, [MAGIC]);
        self.put(21, self.compression.number().to_be_bytes());
        self.put(23, last_delta.to_be_bytes());
        self.put(27, timestamp.to_be_bytes());
        self.put(35, timestamp.to_be_bytes());
        self.put(43, producer_id.to_be_bytes());
        self.put(51, producer_epoch.to_be_bytes());
        self.put(53, base_sequence.to_be_bytes());
        self.put(57, self.record_count.to_be_bytes());
        self.put(CRC_AT, crc32c::crc32c(&self.bytes[CRC_FROM..]).to_be_bytes());
    }

    fn put<const LENGTH: usize>(&mut self, at: usize, bytes: [u8; LENGTH]) {
        self.bytes[at..at + LENGTH].copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two records, null key and "v"; key "k" and null value; at offset 5, producer 9, epoch 2.
    fn two_records() -> Vec<u8> {
        let raw = [14, 0, 0, 0, 1, 2, b'v', 0, 14, 0, 0, 2, 2, b'k', 1, 0];
        let mut batch = Batch::with_capacity(200);
        batch.bytes.extend_from_slice(&raw);
        (batch.record_count, batch.raw_bytes) = (2, raw.len());
        batch.seal(9, 2, 40, 1_700_000_000_000);
        batch.bytes[7] = 5;
        batch.bytes
    }

    type Owned = (i32, Option<Vec<u8>>, Option<Vec<u8>>);

    fn read_all(bytes: &[u8]) -> Result<Vec<Owned>, BadBatch> {
        let header = BatchHeader::parse(bytes)?;
        let mut scratch = Vec::new();
        records(&header, bytes, 10_000, &mut scratch)?
            .map(|record| {
                let Record { offset_delta, key, value } = record?;
                Ok((offset_delta, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)))
            })
            .collect()
    }

    #[test]
    fn a_batch_that_compaction_emptied_is_a_header_alone() {
        let mut bytes = two_records();
        bytes.truncate(HEADER_BYTES);
        bytes[8..12].copy_from_slice(&49_i32.to_be_bytes());
        bytes[57..61].copy_from_slice(&0_i32.to_be_bytes());
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!((header.batch_bytes, header.record_count), (HEADER_BYTES, 0));
        bytes[11] -= 1;
        assert!(matches!(BatchHeader::parse(&bytes), Err(BadBatch::Header { .. })));
    }

    #[test]
    fn what_attributes_say() {
        let header = BatchHeader::parse(&two_records()).unwrap();
        let of = |attributes| BatchHeader { attributes, ..header };
        assert!(!of(0).is_control() && !of(0x10).is_control());
        assert!(of(0x20).is_control() && of(0x30).is_control());
        for (attributes, number) in [(5, 5), (0x15, 5), (7, 7)] {
            let compression = of(attributes).compression();
            assert_eq!(compression, Err(BadBatch::Compression { number }), "{attributes}");
        }
    }

    #[test]
    fn a_number_that_no_length_is() {
        for (bytes, number) in [(&[1][..], -1), (&[3], -2), (&[9], -5), (&[10], 5)] {
            assert_eq!(take_varint(&mut &*bytes), Some(number), "{bytes:?}");
        }
    }

    /// Messages of formats 0 and 1 have their length where a batch has it.
    #[test]
    fn old_messages_are_passed_over_by_their_length() {
        for (length, walked) in [(4_u32, 0), (5, 17), (8, 20), (9, 0)] {
            let mut bytes = vec![0; 20];
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            let mut batches = Batches::new(&bytes);
            let first = batches.next().map(|batch| batch.map(|_| ()));
            // Cut off at the end: left for the next read.
            let expected = (length < 9).then_some(Err(BadBatch::Magic(0)));
            assert_eq!((first, batches.whole_bytes()), (expected, walked), "{length}");
            assert!(batches.next().is_none(), "{length}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_sealed() {
        let bytes = two_records();
        let header = BatchHeader::parse(&bytes).unwrap();
        let expected = BatchHeader {
            base_offset: 5,
            batch_bytes: 77,
            attributes: 0,
            last_offset_delta: 1,
            max_timestamp_ms: 1_700_000_000_000,
            producer_id: 9,
            producer_epoch: 2,
            base_sequence: 40,
            record_count: 2,
        };
        assert_eq!(header, expected);
        assert_eq!((header.last_offset(), header.last_sequence()), (6, 41));
        assert!(is_checksum_right(&bytes), "the base offset is not covered");
        assert_eq!(
            read_all(&bytes),
            Ok(vec![(0, None, Some(b"v".to_vec())), (1, Some(b"k".to_vec()), None)])
        );
    }

    #[test]
    fn batches_that_kafka_wrote() {
        let cases: [(&str, &[u8], usize); 5] = [
            ("none", include_bytes!("testdata/kafka-batches/none.batch"), 700),
            ("gzip", include_bytes!("testdata/kafka-batches/gzip.batch"), 70_000),
            ("snappy", include_bytes!("testdata/kafka-batches/snappy.batch"), 70_000),
            ("lz4", include_bytes!("testdata/kafka-batches/lz4.batch"), 70_000),
            ("zstd", include_bytes!("testdata/kafka-batches/zstd.batch"), 70_000),
        ];
        for (name, bytes, large_bytes) in cases {
            let header = BatchHeader::parse(bytes).unwrap();
            let expected = BatchHeader {
                base_offset: 1000,
                batch_bytes: bytes.len(),
                attributes: Compression::parse(name).unwrap().number(),
                last_offset_delta: 299,
                max_timestamp_ms: 1_700_000_000_000 + 299 * 7,
                producer_id: 7,
                producer_epoch: 2,
                base_sequence: 2_147_483_600,
                record_count: 300,
            };
            assert_eq!(header, expected, "{name}");
            assert_eq!((header.last_offset(), header.last_sequence()), (1299, 251), "{name}");
            assert!(is_checksum_right(bytes), "{name}");
            let mut scratch = Vec::new();
            let read: Vec<_> = records(&header, bytes, 100_000, &mut scratch).unwrap().collect();
            assert_eq!(read.len(), 300, "{name}");
            for (number, record) in (0..).zip(read) {
                let record = record.unwrap();
                let key = match number % 3 {
                    0 => None,
                    1 => Some(String::new()),
                    _ => Some(format!("key-{number}")),
                };
                let value = match number {
                    150 => Some("x".repeat(large_bytes)),
                    299 => None,
                    _ => Some(format!(r#"{{"row":"{number}","city":"Köln"}}"#)),
                };
                assert_eq!(record.offset_delta, number, "{name}");
                assert_eq!(record.key, key.as_deref().map(str::as_bytes), "{name}, {number}");
                assert_eq!(record.value, value.as_deref().map(str::as_bytes), "{name}, {number}");
            }
        }
    }

    #[test]
    fn every_covered_byte_counts() {
        for at in CRC_AT..77 {
            let mut bytes = two_records();
            bytes[at] ^= 1;
            assert!(!is_checksum_right(&bytes), "byte {at}");
        }
        assert!(!is_checksum_right(&two_records()[..CRC_AT + 2]));
    }

    #[test]
    fn sequences_wrap_by_the_delta() {
        let header = BatchHeader::parse(&two_records()).unwrap();
        for (base_sequence, last_offset_delta, last_sequence) in [
            (0, 0, 0),
            (i32::MAX - 1, 1, i32::MAX),
            (i32::MAX, 1, 0),
            (i32::MAX - 4, 9, 4),
            (i32::MAX, i32::MAX, i32::MAX - 1),
            (-1, 9, -1),
        ] {
            let header = BatchHeader { last_offset_delta, base_sequence, ..header };
            assert_eq!(header.last_sequence(), last_sequence, "{base_sequence}");
        }
    }

    #[test]
    fn bytes_that_are_no_batch() {
        let edited = |at: usize, to: &[u8]| {
            let mut bytes = two_records();
            bytes[at..at + to.len()].copy_from_slice(to);
            read_all(&bytes).unwrap_err()
        };
        assert_eq!(BatchHeader::parse(&[]), Err(BadBatch::Short));
        assert_eq!(BatchHeader::parse(&two_records()[..60]), Err(BadBatch::Short));
        assert_eq!(read_all(&two_records()[..70]), Err(BadBatch::Short));
        assert_eq!(edited(16, &[1]), BadBatch::Magic(1));
        assert!(matches!(edited(8, &[0xff; 4]), BadBatch::Header { batch_length: -1, .. }));
        assert!(matches!(edited(8, &[0, 0, 0, 48]), BadBatch::Header { batch_length: 48, .. }));
        assert!(matches!(edited(23, &[0xff; 4]), BadBatch::Header { .. }));
        assert!(matches!(edited(57, &[0xff; 4]), BadBatch::Header { .. }));
        assert_eq!(edited(22, &[7]), BadBatch::Compression { number: 7 });
        assert_eq!(edited(57, &[0, 0, 0, 1]), BadBatch::Records, "a record more than counted");
        assert_eq!(edited(57, &[0, 0, 0, 3]), BadBatch::Records, "a record fewer");
        assert_eq!(edited(61, &[15]), BadBatch::Records, "a negative length");
        assert_eq!(edited(61, &[0xff; 11]), BadBatch::Records, "a varint without an end");
        assert_eq!(edited(66, &[100]), BadBatch::Records, "a value longer than its record");
        assert!(matches!(edited(22, &[1]), BadBatch::Unreadable(_)), "not gzip");
    }

    #[test]
    fn a_walk_leaves_a_cut_tail() {
        let one = two_records();
        let three = one.repeat(3);
        for cut in 0..=three.len() {
            let mut batches = Batches::new(&three[..cut]);
            let found = batches.by_ref().flatten().count();
            assert_eq!((found, batches.whole_bytes()), (cut / 77, cut / 77 * 77), "cut at {cut}");
        }
    }

    #[test]
    fn a_walk_passes_old_messages_and_ends_at_garbage() {
        let old = [&[0; 8][..], &20_i32.to_be_bytes(), &[0; 4], &[1], &[0; 15]].concat();
        let walk = |pieces: &[&[u8]]| {
            let bytes = pieces.concat();
            let mut batches = Batches::new(&bytes);
            let oks: Vec<bool> = batches.by_ref().map(|batch| batch.is_ok()).collect();
            (oks, batches.whole_bytes())
        };
        let one = two_records();
        assert_eq!(walk(&[&one, &old, &one]), (vec![true, false, true], 77 + 32 + 77));
        assert_eq!(walk(&[&one, &old[..30]]), (vec![true], 77));
        assert_eq!(walk(&[&one, &[0xee; 100], &one]), (vec![true, false], 77));
        assert_eq!(walk(&[&[0; 100], &one]), (vec![false], 0), "zeros do not go round in circles");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            garbage in prop::collection::vec(any::<u8>(), 0..300),
            attributes in 0_u8..8,
        ) {
            let mut bytes = two_records();
            bytes[22] = attributes;
            bytes.truncate(61);
            bytes.extend(&garbage);
            let length = u32::try_from(bytes.len() - 12).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            prop_assert!(read_all(&bytes).is_err() || bytes.len() > 61);
            prop_assert!(Batches::new(&garbage).count() <= 20);
        }
    }
}
