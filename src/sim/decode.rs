//! Kafka's record batch, format version 2, read by the model and not by the product's code.
//!
//! ```text
//! header   61 bytes, big endian (see wire/record_batch)
//! record   varint length, i8 attributes, varint timestamp delta, varint offset delta,
//!          varint key length (-1: null), key, varint value length, value, varint headers
//! ```

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use crate::flow::ports::RecordVisitor;
use crate::wire::record_batch::BatchHeader;

/// Key and value of one record.
pub(super) type Record = (Option<Vec<u8>>, Vec<u8>);

/// A batch as a log keeps it.
#[derive(Clone)]
pub(super) struct Stored {
    /// With the base offset that the log gave it.
    pub(super) header: BatchHeader,
    pub(super) records: Arc<Vec<Record>>,
    pub(super) bytes: Arc<[u8]>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BatchHeader { base_offset, producer_id, producer_epoch, base_sequence, .. } =
            self.header;
        let end = self.end();
        write!(f, "[{base_offset}..{end} by {producer_id}/{producer_epoch} from {base_sequence}]")
    }
}

impl Stored {
    /// Shows the records from `from` up to `to`.
    pub(super) fn visit(&self, from: i64, to: i64, visit: &mut RecordVisitor<'_>) {
        for (index, (key, value)) in self.records.iter().enumerate() {
            let offset = self.header.base_offset + i64::try_from(index).unwrap();
            if (from..to).contains(&offset) {
                visit(offset, key.as_deref(), Some(value));
            }
        }
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> i64 {
        self.header.base_offset + i64::from(self.header.last_offset_delta) + 1
    }

    /// A batch of somebody who is no idempotent producer.
    pub(super) fn foreign(values: Vec<Vec<u8>>, wall_ms: u64) -> Stored {
        let count = i32::try_from(values.len()).unwrap();
        Stored {
            header: BatchHeader {
                base_offset: 0,
                batch_bytes: 61 + values.iter().map(|value| value.len() + 8).sum::<usize>(),
                attributes: 0,
                last_offset_delta: count - 1,
                max_timestamp_ms: i64::try_from(wall_ms).unwrap(),
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                record_count: count,
            },
            records: Arc::new(values.into_iter().map(|value| (None, value)).collect()),
            bytes: Arc::from(Vec::new()),
        }
    }
}

/// Reads a batch that somebody wants to append; the text says what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<Stored, String> {
    if bytes.len() < 61 {
        return Err(format!("a batch of {} bytes has no header", bytes.len()));
    }
    let i16_at = |at: usize| i16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
    let i32_at = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let i64_at = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    if usize::try_from(i32_at(8)).ok() != Some(bytes.len() - 12) {
        return Err(format!("batch length {} in {} bytes", i32_at(8), bytes.len()));
    }
    if bytes[16] != 2 {
        return Err(format!("magic {}", bytes[16]));
    }
    if u32::from_be_bytes(bytes[17..21].try_into().unwrap()) != crc32c::crc32c(&bytes[21..]) {
        return Err("the checksum is wrong".into());
    }
    let header = BatchHeader {
        base_offset: i64_at(0),
        batch_bytes: bytes.len(),
        attributes: i16_at(21),
        last_offset_delta: i32_at(23),
        max_timestamp_ms: i64_at(35),
        producer_id: i64_at(43),
        producer_epoch: i16_at(51),
        base_sequence: i32_at(53),
        record_count: i32_at(57),
    };
    let plain = match header.attributes & 7 {
        0 => bytes[61..].to_vec(),
        1 => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&bytes[61..])
                .read_to_end(&mut plain)
                .map_err(|error| error.to_string())?;
            plain
        }
        other => return Err(format!("the model does not read compression {other}")),
    };
    let records = records(&plain)?;
    if records.len() != usize::try_from(header.record_count).unwrap_or(usize::MAX) {
        return Err(format!("{} records, the header says {}", records.len(), header.record_count));
    }
    Ok(Stored { header, records: Arc::new(records), bytes: Arc::from(bytes) })
}

fn records(plain: &[u8]) -> Result<Vec<Record>, String> {
    let mut found = Vec::new();
    let mut rest = plain;
    while !rest.is_empty() {
        let bytes = length(varint(&mut rest)?)?;
        let mut record = take(&mut rest, bytes)?;
        take(&mut record, 1)?;
        varint(&mut record)?;
        if varint(&mut record)? != i64::try_from(found.len()).unwrap() {
            return Err("offset deltas do not count up".into());
        }
        let key = match varint(&mut record)? {
            -1 => None,
            bytes => Some(take(&mut record, length(bytes)?)?.to_vec()),
        };
        let bytes = length(varint(&mut record)?)?;
        let value = take(&mut record, bytes)?.to_vec();
        if varint(&mut record)? != 0 || !record.is_empty() {
            return Err("a record with headers, or with bytes after its end".into());
        }
        found.push((key, value));
    }
    Ok(found)
}

fn take<'a>(from: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], String> {
    let (front, rest) = from.split_at_checked(bytes).ok_or("a record is cut")?;
    *from = rest;
    Ok(front)
}

fn length(number: i64) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("a length of {number}"))
}

/// Zigzag, seven bits a byte, lowest first.
fn varint(from: &mut &[u8]) -> Result<i64, String> {
    let mut raw = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take(from, 1)?[0];
        raw |= u64::from(byte & 0x7f) << shift.min(63);
        if byte & 0x80 == 0 {
            let half = i64::try_from(raw >> 1).unwrap();
            return Ok(if raw & 1 == 0 { half } else { -half - 1 });
        }
    }
    Err("a number of more than ten bytes".into())
}
