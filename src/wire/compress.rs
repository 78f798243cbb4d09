//! The five compressions of a record batch: a streaming encoder that never needs more room
//! than it said, and a bounded way back.
//!
//! ```text
//! number  name    framing of the records
//! 0       none    as they are
//! 1       gzip    one gzip member
//! 2       snappy  xerial: 82 "SNAPPY" 00, version 1, compatible 1 (i32 each),
//!                 then for each 32 KiB: length i32, one raw snappy block
//! 3       lz4     one frame: 04 22 4D 18, FLG 60, BD 40, checksum 82,
//!                 then for each 64 KiB: length u32 LE (top bit: stored), block; 0 at the end
//! 4       zstd    one frame
//! ```
//!
//! Kafka's Java reader refuses lz4 frames whose blocks are linked, and checks the frame
//! header's checksum. Every slice is flushed, so that what a batch holds so far is its exact
//! size and the next slice alone has to be estimated.

use std::fmt;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into_with_dict};
use zstd::stream::raw::{CParameter, DParameter, InBuffer, Operation, OutBuffer};

/// Kafka's numbers, in the low three bits of a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    None,
    #[default]
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    pub fn parse(name: &str) -> Option<Compression> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    pub fn number(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// Of the attributes of a batch; `None` for the numbers 5 to 7, which Kafka has not given.
    pub fn of_attributes(attributes: i16) -> Option<Compression> {
        Self::ALL.into_iter().find(|compression| compression.number() == attributes & 7)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What xerial's framing begins with.
const XERIAL: [u8; 16] = *b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
/// What xerial's magic is, without the versions, which writers set as they like.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\x00";
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Magic, version 1 with independent blocks and no checksums, 64 KiB blocks, header checksum.
const LZ4_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const LZ4_BLOCK_BYTES: usize = 64 * 1024;
/// How far back an lz4 block may point.
const LZ4_WINDOW_BYTES: usize = 64 * 1024;
const LZ4_STORED: u32 = 0x8000_0000;
const ZSTD_LEVEL: i32 = 1;
/// A zstd frame that needs a larger window than 16 MiB is refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;
const GZIP_WINDOW_BITS: u8 = 15;
/// Decompressed output grows by this.
const STEP_BYTES: usize = 64 * 1024;

/// Compresses one batch after the other, slice by slice; allocates only when it is made.
pub struct Encoder {
    state: State,
}

enum State {
    None,
    Gzip(Compress),
    Snappy(Box<snap::raw::Encoder>),
    Lz4(CompressTable),
    Zstd(zstd::stream::raw::Encoder<'static>),
}

impl Encoder {
    pub fn new(compression: Compression) -> Encoder {
        let state = match compression {
            Compression::None => State::None,
            Compression::Gzip => {
                State::Gzip(Compress::new_gzip(flate2::Compression::fast(), GZIP_WINDOW_BITS))
            }
            Compression::Snappy => State::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Lz4 => State::Lz4(CompressTable::large()),
            Compression::Zstd => State::Zstd(zstd_encoder()),
        };
        Encoder { state }
    }

    /// What `encode` adds at most for so many bytes, the start of the stream included.
    pub fn worst_case(&self, raw_bytes: usize) -> usize {
        match self.state {
            State::None => raw_bytes,
            // Deflate's fast level spends up to nine bits a byte, and zlib's own bound counts
            // another 64th; the rest is the gzip header and what a flush adds.
            State::Gzip(_) => raw_bytes + raw_bytes / 8 + raw_bytes / 64 + 64,
            State::Snappy(_) => {
                let block_count = raw_bytes.div_ceil(SNAPPY_BLOCK_BYTES);
                raw_bytes + raw_bytes / 6 + block_count * (32 + 4) + XERIAL.len()
            }
            State::Lz4(_) => raw_bytes + raw_bytes.div_ceil(LZ4_BLOCK_BYTES) * 4 + LZ4_HEADER.len(),
            // A block that does not shrink is stored with three bytes more; the frame header
            // has at most 18.
            State::Zstd(_) => raw_bytes + raw_bytes / 256 + 64,
        }
    }

    /// What `finish` adds at most.
    pub fn worst_case_end(&self) -> usize {
        match self.state {
            State::None | State::Snappy(_) => 0,
            State::Lz4(_) => 4,
            State::Gzip(_) | State::Zstd(_) => 16,
        }
    }

    /// Begins a new stream, whatever became of the one before.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        match &mut self.state {
            State::None => {}
            State::Gzip(deflate) => deflate.reset(),
            State::Snappy(_) => out.extend_from_slice(&XERIAL),
            State::Lz4(_) => out.extend_from_slice(&LZ4_HEADER),
            State::Zstd(zstd) => ours(zstd.reinit()),
        }
    }

    /// Compresses all of `raw` to the end of `out`, and keeps nothing back.
    pub fn encode(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.worst_case(raw.len()));
        match &mut self.state {
            State::None => out.extend_from_slice(raw),
            State::Gzip(deflate) => {
                let before = deflate.total_in();
                ours(deflate.compress_vec(raw, out, FlushCompress::Sync));
                assert_eq!(deflate.total_in() - before, raw.len() as u64, "there was room");
                assert!(out.len() < out.capacity(), "a full buffer may hide an unfinished flush");
            }
            State::Snappy(snappy) => {
                raw.chunks(SNAPPY_BLOCK_BYTES).for_each(|block| snappy_block(snappy, block, out));
            }
            State::Lz4(table) => {
                raw.chunks(LZ4_BLOCK_BYTES).for_each(|block| lz4_block(table, block, out));
            }
            State::Zstd(zstd) => {
                let mut input = InBuffer::around(raw);
                let at = out.len();
                let mut output = OutBuffer::around_pos(out, at);
                ours(zstd.run(&mut input, &mut output));
                let left = ours(zstd.flush(&mut output));
                assert_eq!((input.pos(), left), (raw.len(), 0), "there was room");
            }
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.reserve(self.worst_case_end());
        match &mut self.state {
            State::None | State::Snappy(_) => {}
            State::Gzip(deflate) => {
                let status = ours(deflate.compress_vec(&[], out, FlushCompress::Finish));
                assert_eq!(status, Status::StreamEnd, "there was room");
            }
            State::Lz4(_) => out.extend_from_slice(&[0; 4]),
            State::Zstd(zstd) => {
                let at = out.len();
                let left = ours(zstd.finish(&mut OutBuffer::around_pos(out, at), true));
                assert_eq!(left, 0, "there was room");
            }
        }
    }
}

fn zstd_encoder() -> zstd::stream::raw::Encoder<'static> {
    let mut encoder = ours(zstd::stream::raw::Encoder::new(ZSTD_LEVEL));
    // Consumers trust the batch's own checksum.
    ours(encoder.set_parameter(CParameter::ChecksumFlag(false)));
    encoder
}

/// An encoder that has room can not fail, whatever it is fed.
#[expect(clippy::panic, reason = "our own bug, not something that input can cause")]
fn ours<T, E: fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("an encoder failed: {error}"))
}

fn snappy_block(snappy: &mut snap::raw::Encoder, block: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let room = snap::raw::max_compress_len(block.len());
    out.resize(start + 4 + room, 0);
    let bytes = ours(snappy.compress(block, &mut out[start + 4..]));
    let length = u32::try_from(bytes).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    out.truncate(start + 4 + bytes);
}

fn lz4_block(table: &mut CompressTable, block: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + 4 + lz4_flex::block::get_maximum_output_size(block.len()), 0);
    let bytes = ours(compress_into_with_table(block, &mut out[start + 4..], table));
    let length = if bytes < block.len() {
        out.truncate(start + 4 + bytes);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    } else {
        out.truncate(start + 4);
        out.extend_from_slice(block);
        u32::try_from(block.len()).unwrap_or(u32::MAX) | LZ4_STORED
    };
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

// --- The way back -----------------------------------------------------------------------

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
    use proptest::prelude::*;

    const ROOM: usize = 4 * 1024 * 1024;

    /// Bytes that do not shrink.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        std::iter::repeat_with(next).flatten().take(bytes).collect()
    }

    fn json(rows: usize) -> Vec<u8> {
        let row = |n: usize| format!(r#"{{"id":"{n}","name":"Zoë","price":"{}"}}"#, n * 37 % 9973);
        (0..rows).flat_map(|n| row(n).into_bytes()).collect()
    }

    /// Compresses `slices`, holding each step against what was promised.
    fn encoded(encoder: &mut Encoder, slices: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (index, slice) in slices.iter().enumerate() {
            let before = if index == 0 { 0 } else { out.len() };
            encoder.encode(slice, &mut out);
            assert!(out.len() - before <= encoder.worst_case(slice.len()), "worst case of a slice");
        }
        let before = out.len();
        encoder.finish(&mut out);
        assert!(out.len() - before <= encoder.worst_case_end(), "worst case of the end");
        out
    }

    #[test]
    fn names_and_numbers() {
        for (number, name) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
            let compression = Compression::parse(name).unwrap();
            assert_eq!(compression.number(), i16::try_from(number).unwrap());
            assert_eq!(Compression::of_attributes(compression.number() | 0x28), Some(compression));
        }
        assert_eq!(Compression::parse("GZIP"), None);
        assert_eq!(Compression::of_attributes(5), None);
    }

    #[test]
    fn there_and_back_and_again_with_the_same_encoder() {
        let cases = [
            vec![json(1)],
            vec![json(2000), json(1), json(3000)],
            vec![noise(65_536), noise(1), noise(65_535), noise(65_537)],
            vec![vec![b'a'; 700_000]],
            vec![noise(1_048_576)],
            vec![json(10), noise(300_000), json(10)],
        ];
        for compression in Compression::ALL {
            let mut encoder = Encoder::new(compression);
            for (index, slices) in cases.iter().enumerate() {
                let bytes = encoded(&mut encoder, slices);
                let mut back = Vec::new();
                assert_eq!(decompress(compression, &bytes, ROOM, &mut back), Ok(()));
                assert_eq!(back, slices.concat(), "{compression}, case {index}");
            }
        }
    }

    #[test]
    fn a_stream_that_was_left_does_not_show_in_the_next() {
        for compression in Compression::ALL {
            let mut encoder = Encoder::new(compression);
            let (mut left, mut back) = (Vec::new(), Vec::new());
            encoder.begin(&mut left);
            encoder.encode(&json(500), &mut left);
            let bytes = encoded(&mut encoder, &[json(3)]);
            decompress(compression, &bytes, ROOM, &mut back).unwrap();
            assert_eq!(back, json(3), "{compression}");
        }
    }

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
                [&[], &XERIAL, &LZ4_HEADER, &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd]];
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
