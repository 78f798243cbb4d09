//! Fills a batch slice by slice: records are written into a slice, a full slice goes through
//! the encoder to the end of the batch.
//!
//! ```text
//! add ──> slice (64 KiB, cut between records) ──compress_slice──> batch ──finish──> seal
//!          │ SliceFull: compress_slice, add again     │
//!          └ TooLarge: rolled back, nothing changed   └ BatchFull: finish, restart, add again
//! ```
//!
//! Between two slices the caller has time for other work. A batch is full before the slice
//! whose worst case would not fit, so that it never has to be undone; only its first slice is
//! tried, and sent as it is when compression makes it too large. Where a batch ends depends
//! on its records and nothing else.

use crate::limits::{
    BATCH_BYTES_MIN, BATCH_OVERHEAD_BYTES, BATCH_RECORDS_MAX, BATCH_UNCOMPRESSED_BYTES_MAX,
    SLICE_BYTES,
};
use crate::wire::compress::{Compression, Encoder};
use crate::wire::record_batch::{Batch, BatchHeader, HEADER_BYTES, records};
use crate::wire::short;

/// The largest prefix of a record: three varints of five bytes, two of one, the attributes.
const PREFIX_BYTES_MAX: usize = 24;
/// A slice is at most this part of a batch.
const SLICES_MIN: usize = 4;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Yes,
    /// Not added: compress the slice, then add it again.
    SliceFull,
    /// Not added: nothing more goes into this batch.
    BatchFull,
    /// Not added, and never will be: key and value have so many bytes.
    TooLarge {
        bytes: usize,
    },
}

pub struct BatchWriter {
    compression: Compression,
    encoder: Encoder,
    batch_bytes_max: usize,
    record_bytes_max: usize,
    slice_bytes_max: usize,
    records_max: u32,
    slice: Vec<u8>,
    slice_capacity: usize,
    /// What the last value had: the next one's prefix is probably as long.
    value_bytes: usize,
    batch: Batch,
    is_filling: bool,
    is_closed: bool,
}

impl BatchWriter {
    /// `record_bytes_max` bounds key and value of one record together.
    pub fn new(
        compression: Compression,
        batch_bytes_max: usize,
        record_bytes_max: usize,
    ) -> BatchWriter {
        assert!(batch_bytes_max >= BATCH_BYTES_MIN, "a batch has room for a few records");
        assert!(
            record_bytes_max + BATCH_OVERHEAD_BYTES <= batch_bytes_max,
            "any record fits into a batch of its own"
        );
        let slice_bytes_max = SLICE_BYTES.min(batch_bytes_max / SLICES_MIN);
        let slice_capacity = slice_bytes_max + record_bytes_max + PREFIX_BYTES_MAX;
        BatchWriter {
            compression,
            encoder: Encoder::new(compression),
            batch_bytes_max,
            record_bytes_max,
            slice_bytes_max,
            records_max: BATCH_RECORDS_MAX,
            slice: Vec::with_capacity(slice_capacity),
            slice_capacity,
            value_bytes: 0,
            batch: Batch::nowhere(),
            is_filling: false,
            is_closed: false,
        }
    }

    /// Begins the next batch in this buffer, whatever it held.
    pub fn restart(&mut self, batch: Batch) {
        self.batch = batch;
        self.batch.clear(self.compression);
        self.slice.clear();
        self.records_max = BATCH_RECORDS_MAX;
        self.is_filling = true;
        self.is_closed = false;
    }

    /// No more records than this in the present batch (the brake, the sequence wrap).
    pub fn limit_records(&mut self, records_max: u32) {
        self.records_max = self.records_max.min(records_max.max(1));
    }

    pub fn is_empty(&self) -> bool {
        self.batch.record_count == 0
    }

    pub fn record_count(&self) -> u32 {
        self.batch.record_count
    }

    pub fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    /// The bytes of key and value, if no batch takes them; nothing is added either way.
    pub fn too_large(
        &mut self,
        key: Option<&[u8]>,
        value: impl FnOnce(&mut Vec<u8>),
    ) -> Option<usize> {
        let start = self.slice.len();
        value(&mut self.slice);
        let bytes = key.unwrap_or_default().len() + self.slice.len() - start;
        self.slice.truncate(start);
        self.slice.shrink_to(self.slice_capacity);
        (bytes > self.record_bytes_max).then_some(bytes)
    }

    /// Adds one record, whose value `value` writes to the end of what it is given. It may be
    /// called again for the same record, and must then write the same.
    pub fn add(&mut self, key: Option<&[u8]>, value: impl FnOnce(&mut Vec<u8>)) -> Added {
        assert!(self.is_filling, "a batch is begun before records are added");
        let slice_room = self.slice_room();
        if self.is_closed || self.batch.record_count >= self.records_max || slice_room == 0 {
            return Added::BatchFull;
        }
        let start = self.slice.len();
        let payload_bytes = self.write_record(key, value);
        let verdict = self.judge(start, payload_bytes, slice_room);
        if verdict == Added::Yes {
            self.batch.record_count += 1;
        } else {
            self.slice.truncate(start);
            // A row of control characters may have grown it sixfold.
            self.slice.shrink_to(self.slice_capacity);
        }
        verdict
    }

    /// Moves the slice into the batch.
    pub fn compress_slice(&mut self) {
        if self.slice.is_empty() {
            return;
        }
        let is_first = self.batch.bytes.len() == HEADER_BYTES;
        if is_first {
            self.encoder.begin(&mut self.batch.bytes);
        }
        self.encoder.encode(&self.slice, &mut self.batch.bytes);
        if self.batch.bytes.len() + self.encoder.worst_case_end() > self.batch_bytes_max {
            assert!(is_first, "room was made for every slice but the first");
            self.batch.bytes.truncate(HEADER_BYTES);
            self.batch.bytes.extend_from_slice(&self.slice);
            self.batch.compression = Compression::None;
            self.is_closed = true;
        }
        self.batch.raw_bytes += self.slice.len();
        self.slice.clear();
    }

    /// Ends the batch, which must hold a record and needs to be sealed.
    pub fn finish(&mut self) -> Batch {
        assert!(self.is_filling, "a batch is begun before it is finished");
        assert!(!self.is_empty(), "a batch holds at least one record");
        self.compress_slice();
        if self.batch.compression == self.compression {
            self.encoder.finish(&mut self.batch.bytes);
        }
        assert!(self.batch.bytes.len() <= self.batch_bytes_max, "a batch keeps its bound");
        self.is_filling = false;
        std::mem::replace(&mut self.batch, Batch::nowhere())
    }

    /// How many bytes this slice may reach; 0 when the batch can not take another slice.
    fn slice_room(&self) -> usize {
        if self.batch.bytes.len() == HEADER_BYTES {
            return self.slice_bytes_max;
        }
        let left = self.room();
        if self.compression == Compression::None {
            self.slice_bytes_max.min(left)
        } else if self.encoder.worst_case(self.slice_bytes_max) <= left {
            self.slice_bytes_max
        } else {
            0
        }
    }

    fn room(&self) -> usize {
        let taken = self.batch.bytes.len() + self.encoder.worst_case_end();
        self.batch_bytes_max.saturating_sub(taken)
    }

    fn judge(&self, start: usize, payload_bytes: usize, slice_room: usize) -> Added {
        if payload_bytes > self.record_bytes_max {
            return Added::TooLarge { bytes: payload_bytes };
        }
        if self.batch.raw_bytes + self.slice.len() > BATCH_UNCOMPRESSED_BYTES_MAX {
            return Added::BatchFull;
        }
        if self.slice.len() <= slice_room {
            return Added::Yes;
        }
        if start > 0 {
            return Added::SliceFull;
        }
        // A record larger than a slice goes alone.
        let is_first = self.batch.bytes.len() == HEADER_BYTES;
        if is_first || self.encoder.worst_case(self.slice.len()) <= self.room() {
            Added::Yes
        } else {
            Added::BatchFull
        }
    }

    /// Appends a record to the slice; answers the bytes of its key and value.
    fn write_record(&mut self, key: Option<&[u8]>, value: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.slice.len();
        let delta = self.batch.record_count;
        let mut prefix = Prefix::new(delta, key, self.value_bytes);
        let key = key.unwrap_or_default();
        let guessed_at = start + prefix.length + key.len() + prefix.value_length;
        // Room for a prefix of any length, then of its own: that is not worth a call.
        self.slice.extend_from_slice(&[0; PREFIX_BYTES_MAX]);
        self.slice.resize(guessed_at, 0);
        value(&mut self.slice);
        let end = self.slice.len();
        assert!(end >= guessed_at, "a value is only ever appended");

        let value_bytes = end - guessed_at;
        if value_bytes != self.value_bytes {
            prefix = Prefix::new(delta, prefix.has_key.then_some(key), value_bytes);
            let value_at = start + prefix.length + key.len() + prefix.value_length;
            if value_at > guessed_at {
                self.slice.resize(end + value_at - guessed_at, 0);
            }
            if value_at != guessed_at {
                self.slice.copy_within(guessed_at..end, value_at);
                self.slice.truncate(value_at + value_bytes);
            }
            self.value_bytes = value_bytes;
        }
        let (front, value_length) = prefix.bytes.split_at(prefix.length);
        let key_at = start + prefix.length;
        let value_length_at = key_at + key.len();
        short::copy(&mut self.slice[start..], front);
        short::copy(&mut self.slice[key_at..], key);
        short::copy(&mut self.slice[value_length_at..], &value_length[..prefix.value_length]);
        self.slice.push(0); // no headers
        key.len() + value_bytes
    }
}

impl Batch {
    /// Holds nothing and owns no memory: what a writer has while its batch is away.
    fn nowhere() -> Batch {
        Batch { bytes: Vec::new(), compression: Compression::None, record_count: 0, raw_bytes: 0 }
    }

    /// Cuts a batch in two, each with about half of its bytes, for a broker that finds it too
    /// large; `None` if it holds a single record. Rare, so it allocates.
    #[expect(clippy::expect_used, reason = "what we wrote we can read, or it is our own bug")]
    pub fn split(&self) -> Option<(Batch, Batch)> {
        if self.record_count < 2 {
            return None;
        }
        let header = BatchHeader {
            base_offset: 0,
            batch_bytes: self.bytes.len(),
            attributes: self.compression.number(),
            last_offset_delta: 0,
            max_timestamp_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: self.record_count.cast_signed(),
        };
        // Room that no slice's worst case can use up.
        let bytes_max = 2 * self.raw_bytes + 8 * SLICE_BYTES;
        let mut writer = BatchWriter::new(self.compression, bytes_max, self.raw_bytes);
        writer.restart(Batch::with_capacity(self.bytes.len()));
        let mut scratch = Vec::new();
        let mut first = None;
        let mut bytes_so_far = 0;
        let read = records(&header, &self.bytes, self.raw_bytes, &mut scratch)
            .expect("our own batch can be inflated");
        for record in read {
            let record = record.expect("our own records are whole");
            let value = record.value.unwrap_or_default();
            let is_half = bytes_so_far >= self.raw_bytes / 2;
            let is_last = writer.record_count() + 1 == self.record_count;
            if first.is_none() && !writer.is_empty() && (is_half || is_last) {
                first = Some(writer.finish());
                writer.restart(Batch::with_capacity(self.bytes.len()));
            }
            bytes_so_far += record.key.unwrap_or_default().len() + value.len();
            loop {
                match writer.add(record.key, |slice| slice.extend_from_slice(value)) {
                    Added::Yes => break,
                    Added::SliceFull => writer.compress_slice(),
                    full => unreachable!("twice the room is enough: {full:?}"),
                }
            }
        }
        Some((first?, writer.finish()))
    }
}

/// What stands before a record's key, and between key and value.
struct Prefix {
    /// Record length, attributes, timestamp delta, offset delta, key length; value length.
    bytes: [u8; PREFIX_BYTES_MAX],
    length: usize,
    value_length: usize,
    has_key: bool,
}

impl Prefix {
    fn new(delta: u32, key: Option<&[u8]>, value_bytes: usize) -> Prefix {
        let key_length = key.map_or(-1, |key| wide(key.len()));
        let value_length = varint_bytes(wide(value_bytes));
        let body_bytes = 2
            + varint_bytes(i64::from(delta))
            + varint_bytes(key_length)
            + key.unwrap_or_default().len()
            + value_length
            + value_bytes
            + 1;
        let mut bytes = [0; PREFIX_BYTES_MAX];
        let mut length = put_varint(&mut bytes, 0, wide(body_bytes));
        length += 2; // attributes and timestamp delta, both 0
        length = put_varint(&mut bytes, length, i64::from(delta));
        length = put_varint(&mut bytes, length, key_length);
        put_varint(&mut bytes, length, wide(value_bytes));
        Prefix { bytes, length, value_length, has_key: key.is_some() }
    }
}

/// A length as varints take it; those in a slice are far below 2^63.
fn wide(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn varint_bytes(number: i64) -> usize {
    let bits = (u64::BITS - zigzag(number).leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// Answers where the number ends.
fn put_varint(bytes: &mut [u8; PREFIX_BYTES_MAX], mut at: usize, number: i64) -> usize {
    let mut rest = zigzag(number);
    while rest > 0x7f {
        bytes[at] = low_bits(rest) | 0x80;
        rest >>= 7;
        at += 1;
    }
    bytes[at] = low_bits(rest);
    at + 1
}

fn low_bits(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record_batch::{Batches, is_checksum_right};
    use proptest::prelude::*;

    type Pair = (Option<Vec<u8>>, Vec<u8>);

    fn noise(bytes: usize, mut state: u64) -> Vec<u8> {
        let next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).to_le_bytes()[0]
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    fn json(row: usize) -> Vec<u8> {
        format!(r#"{{"order":"{row}","city":"Köln","amount":"{}"}}"#, row * 7919 % 10_007).into()
    }

    /// Adds until the batch is full or nothing is left; how many went in.
    fn fill(writer: &mut BatchWriter, pairs: &[Pair]) -> usize {
        for (index, (key, value)) in pairs.iter().enumerate() {
            for attempt in 0.. {
                assert!(attempt < 2, "an empty slice takes a record or the batch is full");
                match writer.add(key.as_deref(), |slice| slice.extend_from_slice(value)) {
                    Added::Yes => break,
                    Added::SliceFull => writer.compress_slice(),
                    Added::BatchFull => return index,
                    Added::TooLarge { bytes } => panic!("{bytes} bytes are too large"),
                }
            }
        }
        pairs.len()
    }

    fn read(batch: &Batch) -> Vec<Pair> {
        let (header, bytes) = Batches::new(batch.as_bytes()).next().unwrap().unwrap();
        assert_eq!(bytes.len(), batch.as_bytes().len());
        assert!(is_checksum_right(bytes));
        assert_eq!(header.record_count.unsigned_abs(), batch.record_count());
        assert_eq!(header.compression(), Ok(batch.compression()));
        let mut scratch = Vec::new();
        let read = records(&header, bytes, batch.raw_bytes(), &mut scratch).unwrap();
        read.enumerate()
            .map(|(index, record)| {
                let record = record.unwrap();
                assert_eq!(record.offset_delta, i32::try_from(index).unwrap());
                (record.key.map(<[u8]>::to_vec), record.value.unwrap().to_vec())
            })
            .collect()
    }

    /// Sends all through one writer and one buffer; the batches' sizes, after reading them back.
    fn there_and_back(writer: &mut BatchWriter, pairs: &[Pair]) -> Vec<usize> {
        let mut buffer = Batch::with_capacity(writer.batch_bytes_max);
        let (at, capacity) = (buffer.bytes.as_ptr(), buffer.bytes.capacity());
        let (mut done, mut sizes) = (0, Vec::new());
        while done < pairs.len() {
            writer.restart(buffer);
            let count = fill(writer, &pairs[done..]);
            assert!(count > 0, "an empty batch takes any record");
            buffer = writer.finish();
            buffer.seal(7, 0, 5, 1_000);
            assert!(buffer.as_bytes().len() <= writer.batch_bytes_max);
            assert_eq!(read(&buffer), pairs[done..done + count], "records from {done} on");
            done += count;
            sizes.push(buffer.as_bytes().len());
        }
        assert_eq!((buffer.bytes.as_ptr(), buffer.bytes.capacity()), (at, capacity), "allocated");
        assert!(writer.slice.capacity() <= writer.slice_capacity, "the slice grew");
        sizes
    }

    #[test]
    fn many_rows_in_every_compression() {
        let pairs: Vec<Pair> = (0..150_000).map(|row| (None, json(row))).collect();
        for compression in Compression::ALL {
            let mut writer = BatchWriter::new(compression, 1_000_000, 999_488);
            let sizes = there_and_back(&mut writer, &pairs);
            let full = &sizes[..sizes.len() - 1];
            let by_records = 150_000_usize.div_ceil(BATCH_RECORDS_MAX as usize);
            assert!(
                sizes.len() == by_records || full.iter().all(|bytes| *bytes > 900_000),
                "{compression}: {sizes:?}"
            );
        }
    }

    #[test]
    fn records_of_awkward_sizes_in_small_batches() {
        // Around the places where a varint grows, a slice ends, a batch ends.
        let sizes = [
            0, 1, 55, 56, 57, 63, 64, 65, 127, 128, 990, 1000, 1001, 1023, 1024, 1025, 2000, 3000,
            3583, 3584,
        ];
        let mut pairs = Vec::new();
        for (seed, first) in (1..).zip(sizes) {
            for second in sizes {
                let key_bytes = if first + second <= 3584 { second } else { 0 };
                pairs.push((Some(noise(key_bytes, second as u64)), noise(first, seed)));
                pairs.push((None, vec![b'x'; second]));
                pairs.push((Some(Vec::new()), json(first)));
            }
        }
        for compression in Compression::ALL {
            let mut writer = BatchWriter::new(compression, 4096, 3584);
            there_and_back(&mut writer, &pairs);
        }
    }

    #[test]
    fn the_largest_record_always_fits() {
        for compression in Compression::ALL {
            for batch_bytes_max in [4096, 65_536, 1_000_000, 1_048_576] {
                let value = noise(batch_bytes_max - 512, 9);
                let mut writer =
                    BatchWriter::new(compression, batch_bytes_max, batch_bytes_max - 512);
                let pairs = [(None, json(1)), (None, value), (None, json(2))];
                there_and_back(&mut writer, &pairs);
            }
        }
    }

    /// No encoder was seen to need more than the room that a batch has beyond its largest
    /// record; snappy's own bound allows for it.
    #[test]
    fn what_grows_beyond_the_batch_is_sent_as_it_is() {
        let pair: Pair = (None, noise(69_000, 2));
        let mut as_it_is = 0;
        for compression in Compression::ALL {
            let mut writer = BatchWriter::new(compression, 69_512, 69_000);
            if compression != Compression::None {
                writer.batch_bytes_max = as_it_is;
            }
            writer.restart(Batch::with_capacity(69_512));
            assert_eq!(fill(&mut writer, std::slice::from_ref(&pair)), 1);
            let mut batch = writer.finish();
            batch.seal(0, 0, 0, 0);
            as_it_is = batch.as_bytes().len();
            assert_eq!(batch.compression(), Compression::None, "tried with {compression}");
            assert_eq!(read(&batch), std::slice::from_ref(&pair));
        }
    }

    /// Bytes that do not shrink, in batches that end at each byte around their limit, at a slice
    /// that is not the first.
    #[test]
    fn a_batch_may_end_at_its_last_byte() {
        for (compression, end) in [(Compression::Gzip, 12), (Compression::Lz4, 7)] {
            let mut writer = BatchWriter::new(compression, 4_096, 3_584);
            let first: Pair = (None, noise(1_500, 1));
            let mut both = |bytes: usize| {
                there_and_back(&mut writer, &[first.clone(), (None, noise(bytes, 2))])[0]
            };
            // What is left of the worst case is the header of a stream, and gzip's two bits.
            assert_eq!((2_350..2_600).map(&mut both).max(), Some(4_096 - end), "{compression}");
        }
    }

    #[test]
    fn too_large_is_judged_by_key_and_value_alone() {
        for compression in Compression::ALL {
            let mut writer = BatchWriter::new(compression, 4096, 1000);
            writer.restart(Batch::with_capacity(4096));
            let add = |writer: &mut BatchWriter, key: usize, value: usize| {
                writer.add(Some(&vec![b'k'; key]), |slice| slice.resize(slice.len() + value, b'v'))
            };
            assert_eq!(add(&mut writer, 100, 901), Added::TooLarge { bytes: 1001 });
            assert_eq!(add(&mut writer, 100, 900), Added::Yes);
            assert_eq!(add(&mut writer, 0, 5_000_000), Added::TooLarge { bytes: 5_000_000 });
            // Judged alone, behind a record that is in the slice already.
            for (key, value, bytes) in [(100, 900, None), (100, 901, Some(1001)), (0, 1000, None)] {
                let write = |slice: &mut Vec<u8>| slice.resize(slice.len() + value, b'v');
                assert_eq!(writer.too_large(Some(&vec![b'k'; key]), write), bytes);
            }
            assert_eq!(writer.record_count(), 1);
            let mut batch = writer.finish();
            batch.seal(0, 0, 0, 0);
            assert_eq!(read(&batch), [(Some(vec![b'k'; 100]), vec![b'v'; 900])]);
        }
    }

    #[test]
    fn a_batch_ends_at_each_of_its_limits() {
        let mut writer = BatchWriter::new(Compression::Zstd, 1_000_000, 900_000);
        let tiny = vec![(None, b"x".to_vec()); 70_000];
        let large = vec![(None, vec![b'x'; 800_000]); 30];
        writer.restart(Batch::with_capacity(1_000_000));
        assert_eq!(fill(&mut writer, &tiny), BATCH_RECORDS_MAX as usize);
        writer.restart(Batch::with_capacity(1_000_000));
        writer.limit_records(9);
        assert_eq!(fill(&mut writer, &tiny), 9, "the brake, or the sequence wrap");
        writer.restart(Batch::with_capacity(1_000_000));
        assert_eq!(fill(&mut writer, &large), 20, "16 MiB before compression");
    }

    #[test]
    fn a_batch_is_sealed_again_over_the_same_records() {
        let mut writer = BatchWriter::new(Compression::Lz4, 4096, 3584);
        writer.restart(Batch::with_capacity(4096));
        fill(&mut writer, &[(None, json(1)), (None, json(2))]);
        let mut batch = writer.finish();
        batch.seal(7, 0, i32::MAX - 1, 1_000);
        let first = batch.as_bytes().to_vec();
        batch.seal(7, 0, i32::MAX - 1, 2_000);
        assert_ne!(batch.as_bytes(), first);
        assert_eq!(read(&batch).len(), 2);
        batch.seal(7, 0, i32::MAX - 1, 1_000);
        assert_eq!(batch.as_bytes(), first, "the same seal makes the same bytes");
    }

    #[test]
    fn both_parts_of_a_batch_have_about_half_of_its_bytes() {
        let pairs: Vec<Pair> = (0..100).map(|row| (None, json(1000 + row))).collect();
        for compression in Compression::ALL {
            let mut writer = BatchWriter::new(compression, 1_000_000, 900_000);
            writer.restart(Batch::with_capacity(1_000_000));
            fill(&mut writer, &pairs);
            let (first, second) = writer.finish().split().unwrap();
            assert!((40..=60).contains(&first.record_count()), "{}", first.record_count());
            assert_eq!(first.record_count() + second.record_count(), 100);
        }
    }

    /// The leader writes its own epoch there; -1 is what says that none is known.
    #[test]
    fn the_epoch_of_the_leader_is_left_open() {
        let mut writer = BatchWriter::new(Compression::None, 4096, 3584);
        writer.restart(Batch::with_capacity(4096));
        fill(&mut writer, &[(None, json(1))]);
        let mut batch = writer.finish();
        batch.seal(7, 0, 0, 1_000);
        assert_eq!(batch.as_bytes()[12..16], [0xff; 4]);
    }

    #[test]
    #[should_panic(expected = "sequence wrap")]
    fn no_batch_is_sealed_across_the_wrap() {
        let mut writer = BatchWriter::new(Compression::None, 4096, 3584);
        writer.restart(Batch::with_capacity(4096));
        fill(&mut writer, &[(None, json(1)), (None, json(2))]);
        writer.finish().seal(7, 0, i32::MAX, 1_000);
    }

    #[test]
    fn a_batch_is_cut_in_two_until_one_record_is_left() {
        let cases: [Vec<Pair>; 4] = [
            (0..1000).map(|row| (Some(vec![b'k'; row % 3]), json(row))).collect(),
            vec![(None, noise(100_000, 1)), (None, json(1))],
            vec![(None, json(1)), (None, noise(100_000, 1))],
            vec![(None, Vec::new()), (None, Vec::new()), (None, Vec::new())],
        ];
        for compression in Compression::ALL {
            for pairs in &cases {
                let mut writer = BatchWriter::new(compression, 1_000_000, 900_000);
                writer.restart(Batch::with_capacity(1_000_000));
                assert_eq!(fill(&mut writer, pairs), pairs.len());
                let (mut waiting, mut found) = (vec![writer.finish()], Vec::new());
                while let Some(mut batch) = waiting.pop() {
                    if let Some((first, second)) = batch.split() {
                        assert_eq!(
                            first.record_count() + second.record_count(),
                            batch.record_count()
                        );
                        waiting.extend([second, first]);
                    } else {
                        assert_eq!(batch.record_count(), 1);
                        batch.seal(7, 0, 0, 0);
                        found.extend(read(&batch));
                    }
                }
                assert_eq!(&found, pairs, "{compression}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_records_come_back(
            pairs in prop::collection::vec(
                (
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..90)),
                    prop::collection::vec(any::<u8>(), 0..900),
                ),
                1..60,
            ),
        ) {
            for compression in Compression::ALL {
                there_and_back(&mut BatchWriter::new(compression, 4096, 3584), &pairs);
            }
        }
    }
}
