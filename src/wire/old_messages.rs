//! Kafka's messages from before the record batch: formats 0 and 1, as brokers older than 0.11
//! keep them, and younger ones in segments of that time.
//!
//! ```text
//! byte  0  offset        i64
//!       8  size          i32   of what follows
//!      12  crc32         u32   of byte 16 to the end
//!      16  magic         i8    0 or 1
//!      17  attributes    i8    compression in the low three bits
//!      18  timestamp     i64   format 1 only
//!          key length i32 (-1: null), key, value length i32 (-1: null), value
//! ```
//!
//! The value of a compressed message is a row of such messages. In format 0 each of them has
//! its own offset; in format 1 they count from 0, and the last one has the outer offset.

use crate::wire::compress::Compression;
use crate::wire::decompress::decompress;
use crate::wire::record_batch::BadBatch;

const SIZE_AT: usize = 8;
const CRC_AT: usize = 12;
const MAGIC_AT: usize = 16;

/// One message as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message<'a> {
    offset: i64,
    magic: u8,
    compression: Compression,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// Is shown a record: offset, key, value.
pub type Visit<'a> = dyn FnMut(i64, Option<&[u8]>, Option<&[u8]>) + 'a;

/// Shows each record of one whole message: offset, key, value. `scratch` takes them where they
/// are compressed, at most `bytes_max` of them.
pub fn visit_message(
    message: &[u8],
    bytes_max: usize,
    scratch: &mut Vec<u8>,
    visit: &mut Visit<'_>,
) -> Result<(), BadBatch> {
    let mut left = message;
    let outer = take_message(&mut left)?;
    if outer.compression == Compression::None {
        visit(outer.offset, outer.key, outer.value);
        return Ok(());
    }
    let compressed = outer.value.unwrap_or_default();
    decompress(outer.compression, compressed, bytes_max, scratch).map_err(BadBatch::Unreadable)?;
    let mut left = scratch.as_slice();
    let mut last_offset = None;
    while !left.is_empty() {
        last_offset = Some(take_message(&mut left)?.offset);
    }
    let shift = match last_offset {
        Some(last) if outer.magic > 0 => outer.offset.saturating_sub(last),
        _ => 0,
    };
    let mut left = scratch.as_slice();
    while !left.is_empty() {
        let inner = take_message(&mut left)?;
        if inner.compression != Compression::None {
            return Err(BadBatch::Records);
        }
        visit(inner.offset.saturating_add(shift), inner.key, inner.value);
    }
    Ok(())
}

fn take_message<'a>(left: &mut &'a [u8]) -> Result<Message<'a>, BadBatch> {
    let size = left.get(SIZE_AT..).and_then(|rest| rest.first_chunk()).ok_or(BadBatch::Short)?;
    let size = usize::try_from(i32::from_be_bytes(*size)).map_err(|_| BadBatch::Records)?;
    let message = left.split_off(..CRC_AT.saturating_add(size)).ok_or(BadBatch::Short)?;
    let offset = i64::from_be_bytes(*message.first_chunk().ok_or(BadBatch::Short)?);
    let stored = message.get(CRC_AT..MAGIC_AT).ok_or(BadBatch::Short)?;
    let covered = message.get(MAGIC_AT..).ok_or(BadBatch::Short)?;
    if crc32fast::hash(covered).to_be_bytes() != *stored {
        return Err(BadBatch::Checksum);
    }
    let mut body = covered;
    let magic = *body.split_off_first().ok_or(BadBatch::Short)?;
    let attributes = *body.split_off_first().ok_or(BadBatch::Short)?;
    match magic {
        0 => {}
        1 => _ = body.split_off(..8).ok_or(BadBatch::Short)?,
        other => return Err(BadBatch::Magic(other)),
    }
    let compression = Compression::of_attributes(i16::from(attributes))
        .ok_or(BadBatch::Compression { number: i16::from(attributes & 7) })?;
    let key = take_bytes(&mut body)?;
    let value = take_bytes(&mut body)?;
    if !body.is_empty() {
        return Err(BadBatch::Records);
    }
    Ok(Message { offset, magic, compression, key, value })
}

fn take_bytes<'a>(body: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadBatch> {
    let length = body.split_off(..4).and_then(|bytes| bytes.first_chunk());
    match i32::from_be_bytes(*length.ok_or(BadBatch::Short)?) {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| BadBatch::Records)?;
            Ok(Some(body.split_off(..length).ok_or(BadBatch::Short)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    type Seen = Vec<(i64, Option<Vec<u8>>, Option<Vec<u8>>)>;

    fn message(
        offset: i64,
        magic: u8,
        attributes: u8,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Vec<u8> {
        let mut body = vec![magic, attributes];
        if magic == 1 {
            body.extend_from_slice(&1_700_000_000_000_i64.to_be_bytes());
        }
        match key {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(key) => {
                body.extend_from_slice(&u32::try_from(key.len()).unwrap().to_be_bytes());
                body.extend_from_slice(key);
            }
        }
        body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value);
        let size = u32::try_from(body.len() + 4).unwrap();
        let crc = crc32fast::hash(&body);
        [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.to_be_bytes(), &body].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn see(bytes: &[u8]) -> Result<Seen, BadBatch> {
        let mut seen = Vec::new();
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        visit_message(bytes, 1000, &mut Vec::new(), &mut |offset, key, value| {
            seen.push((offset, own(key), own(value)));
        })?;
        Ok(seen)
    }

    #[test]
    fn each_record_with_its_offset() {
        let one = |offset, value: &[u8]| (offset, None, Some(value.to_vec()));
        let set = |first: i64, magic| {
            [message(first, magic, 0, None, b"a"), message(first + 1, magic, 0, None, b"b")]
                .concat()
        };
        let snappy = snap::raw::Encoder::new().compress_vec(&set(40, 0)).unwrap();
        let cases = [
            ("plain 0", message(7, 0, 0, None, b"v"), vec![one(7, b"v")]),
            ("plain 1", message(7, 1, 0, None, b""), vec![one(7, b"")]),
            (
                "gzip 0",
                message(0, 0, 1, None, &gzip(&set(40, 0))),
                vec![one(40, b"a"), one(41, b"b")],
            ),
            (
                "gzip 1",
                message(41, 1, 1, None, &gzip(&set(0, 1))),
                vec![one(40, b"a"), one(41, b"b")],
            ),
            ("snappy 0", message(0, 0, 2, None, &snappy), vec![one(40, b"a"), one(41, b"b")]),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(see(&bytes), Ok(expected), "{name}");
        }
        let keyed = message(3, 1, 0, Some(b"k"), b"v");
        assert_eq!(see(&keyed), Ok(vec![(3, Some(b"k".to_vec()), Some(b"v".to_vec()))]));
    }

    #[test]
    fn what_is_damaged_is_no_message() {
        let whole = message(7, 1, 0, Some(b"k"), b"v");
        for cut in 0..whole.len() {
            assert!(see(&whole[..cut]).is_err(), "{cut} bytes");
        }
        // The offset is not under the checksum.
        for at in 8..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert!(see(&damaged).is_err(), "byte {at}");
        }
        let bomb = message(0, 0, 1, None, &gzip(&vec![0; 100_000]));
        assert!(matches!(see(&bomb), Err(BadBatch::Unreadable(_))));
        let nested = message(0, 0, 1, None, &gzip(&message(0, 0, 1, None, &gzip(b""))));
        assert_eq!(see(&nested), Err(BadBatch::Records));
    }
}
