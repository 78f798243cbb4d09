//! Compressed records back to bytes: bounded, and for what any producer writes.
//!
//! The frames are drawn in `compress`; other writers also make lz4 frames with linked blocks,
//! checksums and sizes, snappy without framing, and gzip members one after the other. Nothing
//! is believed: a length that is no plausible one costs no memory.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};
use lz4_flex::block::decompress_into_with_dict;
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use crate::wire::compress::{Compression, GZIP_WINDOW_BITS, LZ4_STORED, XERIAL};

/// What xerial's magic is, without the versions, which writers set as they like.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\x00";
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// How far back an lz4 block may point.
const LZ4_WINDOW_BYTES: usize = 64 * 1024;
/// A zstd frame that needs a larger window than 16 MiB is refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;
/// Decompressed output grows by this.
const STEP_BYTES: usize = 64 * 1024;

/// Why compressed records could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// They are not what the compression's format allows.
    Broken(Compression),
    /// They are larger than the caller takes.
    TooLarge { bytes_max: usize },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Broken(compression) => write!(f, "its {compression} data is broken"),
            Unreadable::TooLarge { bytes_max } => {
                write!(f, "it inflates to more than {bytes_max} bytes")
            }
        }
    }
}

/// Replaces `out` with what `compressed` holds, at most `bytes_max` bytes of it.
pub fn decompress(
    compression: Compression,
    compressed: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    out.clear();
    match compression {
        Compression::None => {
            if compressed.len() > bytes_max {
                return Err(Unreadable::TooLarge { bytes_max });
            }
            out.extend_from_slice(compressed);
            Ok(())
        }
        Compression::Gzip => gunzip(compressed, bytes_max, out),
        Compression::Snappy => unsnappy(compressed, bytes_max, out),
        Compression::Lz4 => unlz4(compressed, bytes_max, out),
        Compression::Zstd => unzstd(compressed, bytes_max, out),
    }
}

/// Room for the next step, never more than one byte above the limit: that byte tells.
fn make_room(out: &mut Vec<u8>, bytes_max: usize) -> Result<(), Unreadable> {
    if out.len() > bytes_max {
        return Err(Unreadable::TooLarge { bytes_max });
    }
    if out.len() == out.capacity() {
        out.reserve_exact(out.len().max(STEP_BYTES).min(bytes_max + 1 - out.len()));
    }
    Ok(())
}

fn gunzip(mut input: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    const BROKEN: Unreadable = Unreadable::Broken(Compression::Gzip);
    let mut inflate = Decompress::new_gzip(GZIP_WINDOW_BITS);
    let mut before = 0;
    // Each turn takes input, gives output, or ends; both are bounded.
    loop {
        make_room(out, bytes_max)?;
        let was = out.len();
        let status =
            inflate.decompress_vec(input, out, FlushDecompress::None).map_err(|_| BROKEN)?;
        let taken = usize::try_from(inflate.total_in() - before).map_err(|_| BROKEN)?;
        before = inflate.total_in();
        input = input.get(taken..).ok_or(BROKEN)?;
        match status {
            Status::StreamEnd if input.is_empty() => break,
            // gzip allows members one after the other.
            Status::StreamEnd => {
                inflate = Decompress::new_gzip(GZIP_WINDOW_BITS);
                before = 0;
            }
            _ if taken == 0 && out.len() == was => return Err(BROKEN),
            _ => {}
        }
    }
    if out.len() > bytes_max { Err(Unreadable::TooLarge { bytes_max }) } else { Ok(()) }
}

fn unsnappy(input: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    const BROKEN: Unreadable = Unreadable::Broken(Compression::Snappy);
    // librdkafka and others write one raw block without framing.
    if !input.starts_with(XERIAL_MAGIC) {
        return unsnappy_block(input, bytes_max, out);
    }
    let mut rest = input.get(XERIAL.len()..).ok_or(BROKEN)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
        let block_bytes = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BROKEN)?;
        let block = after.get(..block_bytes).ok_or(BROKEN)?;
        unsnappy_block(block, bytes_max, out)?;
        rest = after.get(block_bytes..).ok_or(BROKEN)?;
    }
    Ok(())
}

fn unsnappy_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    const BROKEN: Unreadable = Unreadable::Broken(Compression::Snappy);
    let bytes = snap::raw::decompress_len(block).map_err(|_| BROKEN)?;
    if bytes > bytes_max - out.len() {
        return Err(Unreadable::TooLarge { bytes_max });
    }
    // Two bytes of snappy make at most 64 of output: a length beyond that is a lie.
    if bytes / 32 > block.len() {
        return Err(BROKEN);
    }
    let start = out.len();
    out.resize(start + bytes, 0);
    let target = out.get_mut(start..).ok_or(BROKEN)?;
    snap::raw::Decoder::new().decompress(block, target).map_err(|_| BROKEN)?;
    Ok(())
}

/// Frames one after the other, with whatever options other writers set. The checksums are
/// skipped: the batch's own covers these bytes.
fn unlz4(mut input: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    const BROKEN: Unreadable = Unreadable::Broken(Compression::Lz4);
    while !input.is_empty() {
        let header = input.strip_prefix(&LZ4_MAGIC).ok_or(BROKEN)?;
        let (&[flags, block_size], header) = header.split_first_chunk::<2>().ok_or(BROKEN)?;
        let has_dictionary = flags & 0x01 != 0;
        if flags >> 6 != 1 || has_dictionary {
            return Err(BROKEN);
        }
        let block_bytes_max = match (block_size >> 4) & 7 {
            size @ 4..=7 => 1 << (8 + 2 * size),
            _ => return Err(BROKEN),
        };
        let content_size_bytes = if flags & 0x08 == 0 { 0 } else { 8 };
        let frame = Frame {
            is_linked: flags & 0x20 == 0,
            block_bytes_max,
            block_checksum_bytes: if flags & 0x10 == 0 { 0 } else { 4 },
            content_checksum_bytes: if flags & 0x04 == 0 { 0 } else { 4 },
        };
        let blocks = header.get(content_size_bytes + 1..).ok_or(BROKEN)?;
        input = unlz4_blocks(&frame, blocks, bytes_max, out)?;
    }
    Ok(())
}

struct Frame {
    is_linked: bool,
    block_bytes_max: usize,
    block_checksum_bytes: usize,
    content_checksum_bytes: usize,
}

/// The blocks of one frame; what comes after it.
fn unlz4_blocks<'a>(
    frame: &Frame,
    mut input: &'a [u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], Unreadable> {
    const BROKEN: Unreadable = Unreadable::Broken(Compression::Lz4);
    let frame_start = out.len();
    loop {
        let (length, after) = input.split_first_chunk::<4>().ok_or(BROKEN)?;
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return after.get(frame.content_checksum_bytes..).ok_or(BROKEN);
        }
        let block_bytes = usize::try_from(length & !LZ4_STORED).map_err(|_| BROKEN)?;
        let block = after.get(..block_bytes).ok_or(BROKEN)?;
        input = after.get(block_bytes + frame.block_checksum_bytes..).ok_or(BROKEN)?;

        let start = out.len();
        if length & LZ4_STORED != 0 {
            if block_bytes > bytes_max - start {
                return Err(Unreadable::TooLarge { bytes_max });
            }
            out.extend_from_slice(block);
            continue;
        }
        // A byte of lz4 makes at most 255 of output.
        let room =
            frame.block_bytes_max.min(bytes_max - start).min(block_bytes.saturating_mul(256));
        let is_cut_by_limit = room == bytes_max - start;
        out.resize(start + room, 0);
        let window = if frame.is_linked { start.saturating_sub(LZ4_WINDOW_BYTES) } else { start };
        let (before, target) = out.split_at_mut(start);
        let dictionary = before.get(window.max(frame_start)..).ok_or(BROKEN)?;
        let bytes = decompress_into_with_dict(block, target, dictionary).map_err(|_| {
            if is_cut_by_limit { Unreadable::TooLarge { bytes_max } } else { BROKEN }
        })?;
        out.truncate(start + bytes);
    }
}

fn unzstd(input: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    const BROKEN: Unreadable = Unreadable::Broken(Compression::Zstd);
    let mut decoder = zstd::stream::raw::Decoder::new().map_err(|_| BROKEN)?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| BROKEN)?;
    let mut input = InBuffer::around(input);
    loop {
        make_room(out, bytes_max)?;
        let (was_in, was_out) = (input.pos(), out.len());
        let wants = decoder
            .run(&mut input, &mut OutBuffer::around_pos(out, was_out))
            .map_err(|_| BROKEN)?;
        let is_all_read = input.pos() == input.src.len();
        if wants == 0 && is_all_read {
            break;
        }
        if input.pos() == was_in && out.len() == was_out {
            return Err(BROKEN);
        }
    }
    if out.len() > bytes_max { Err(Unreadable::TooLarge { bytes_max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::compress::Encoder;
    use crate::wire::compress::tests::{encoded, json};
    use proptest::prelude::*;

    const ROOM: usize = 4 * 1024 * 1024;

    #[test]
    fn no_more_than_asked_for() {
        let raw = vec![b'x'; 200_000];
        for compression in Compression::ALL {
            let bytes = encoded(&mut Encoder::new(compression), std::slice::from_ref(&raw));
            let mut back = Vec::new();
            for (bytes_max, result) in [
                (0, Err(Unreadable::TooLarge { bytes_max: 0 })),
                (199_999, Err(Unreadable::TooLarge { bytes_max: 199_999 })),
                (200_000, Ok(())),
                (200_001, Ok(())),
            ] {
                let found = decompress(compression, &bytes, bytes_max, &mut back);
                assert_eq!(found, result, "{compression} into {bytes_max}");
                assert!(back.capacity() <= 600_000, "{compression} reserved {}", back.capacity());
            }
        }
    }

    #[test]
    fn what_other_writers_frame_differently() {
        let raw = json(5000);
        let mut back = Vec::new();

        let snappy = snap::raw::Encoder::new().compress_vec(&raw).unwrap();
        assert_eq!(decompress(Compression::Snappy, &snappy, ROOM, &mut back), Ok(()));
        assert_eq!(back, raw, "snappy without framing");

        let mut twice = encoded(&mut Encoder::new(Compression::Gzip), &[raw[..1000].to_vec()]);
        twice.extend(encoded(&mut Encoder::new(Compression::Gzip), &[raw[1000..].to_vec()]));
        assert_eq!(decompress(Compression::Gzip, &twice, ROOM, &mut back), Ok(()));
        assert_eq!(back, raw, "two gzip members");

        let linked = lz4_linked(&raw);
        assert_eq!(decompress(Compression::Lz4, &linked, ROOM, &mut back), Ok(()));
        assert_eq!(back, raw, "lz4 with linked blocks");
    }

    /// A frame whose blocks lean on the ones before, with block and content checksums (of
    /// zeros: nobody looks) and a content size.
    fn lz4_linked(raw: &[u8]) -> Vec<u8> {
        let mut frame = [LZ4_MAGIC.as_slice(), &[0x5c, 0x40], &[0; 8], &[0]].concat();
        for start in (0..raw.len()).step_by(10_000) {
            let end = raw.len().min(start + 10_000);
            let window = &raw[start.saturating_sub(LZ4_WINDOW_BYTES)..start];
            let block = lz4_flex::block::compress_with_dict(&raw[start..end], window);
            frame.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
            frame.extend(block);
            frame.extend([0; 4]);
        }
        frame.extend([0; 8]);
        frame
    }

    #[test]
    fn broken_bytes_are_refused() {
        for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
            let whole = encoded(&mut Encoder::new(compression), &[json(500)]);
            let mut back = Vec::new();
            for bytes in 0..whole.len() {
                let found = decompress(compression, &whole[..bytes], ROOM, &mut back);
                // Nothing at all is an empty sequence of lz4 frames.
                let is_empty_lz4 = compression == Compression::Lz4 && bytes == 0;
                assert_eq!(found.is_ok(), is_empty_lz4, "{compression} cut at {bytes}");
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            garbage in prop::collection::vec(any::<u8>(), 0..600),
            front in 0_usize..5,
        ) {
            let fronts: [&[u8]; 5] =
                [&[], &XERIAL, &[4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd]];
            let bytes = [fronts[front], &garbage].concat();
            for compression in Compression::ALL {
                let mut back = Vec::new();
                let found = decompress(compression, &bytes, 10_000, &mut back);
                prop_assert!(found.is_err() || back.len() <= 10_000);
            }
        }

        #[test]
        fn one_wrong_byte_never_panics(at in 0_usize..5000, flip in 1_u8..) {
            for compression in Compression::ALL {
                let mut bytes = encoded(&mut Encoder::new(compression), &[json(300)]);
                let at = at % bytes.len();
                bytes[at] ^= flip;
                let mut back = Vec::new();
                let found = decompress(compression, &bytes, 100_000, &mut back);
                prop_assert!(found.is_err() || back.len() <= 100_000);
            }
        }
    }
}
