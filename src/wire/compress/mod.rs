//! The five compressions of a record batch: a streaming encoder that never needs more room
//! than it said. The way back is `decompress`.
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
//! gzip and lz4 are written here (`deflate`, `lz4`), over one search for what rows repeat
//! (`repeats`); snappy and zstd by their crates.
//!
//! Kafka's Java reader refuses lz4 frames whose blocks are linked, and checks the frame
//! header's checksum. Every slice is flushed (of gzip's, seven bits may wait), so that what a batch
//! holds so far is its exact size and the next slice alone has to be estimated.

mod bits;
mod deflate;
mod huffman;
mod lz4;
mod repeats;

use std::fmt;

use deflate::Deflate;
use repeats::Finder;
use zstd::stream::raw::{CParameter, InBuffer, Operation, OutBuffer};

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
pub(super) const XERIAL: [u8; 16] = *b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
/// Magic, version 1 with independent blocks and no checksums, 64 KiB blocks, header checksum.
const LZ4_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const LZ4_BLOCK_BYTES: usize = 64 * 1024;
pub(super) const LZ4_STORED: u32 = 0x8000_0000;
const ZSTD_LEVEL: i32 = 1;
pub(super) const GZIP_WINDOW_BITS: u8 = 15;

/// Compresses one batch after the other, slice by slice; allocates only when it is made.
pub struct Encoder {
    state: State,
}

enum State {
    None,
    Gzip(Box<Deflate>),
    Snappy(Box<snap::raw::Encoder>),
    Lz4(Finder),
    Zstd(zstd::stream::raw::Encoder<'static>),
}

impl Encoder {
    pub fn new(compression: Compression) -> Encoder {
        let state = match compression {
            Compression::None => State::None,
            Compression::Gzip => State::Gzip(Box::new(Deflate::new())),
            Compression::Snappy => State::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Lz4 => State::Lz4(Finder::new()),
            Compression::Zstd => State::Zstd(zstd_encoder()),
        };
        Encoder { state }
    }

    /// What `encode` adds at most for so many bytes, the start of the stream included.
    pub fn worst_case(&self, raw_bytes: usize) -> usize {
        match self.state {
            State::None => raw_bytes,
            State::Gzip(_) => Deflate::worst_case(raw_bytes),
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
            State::Gzip(_) => Deflate::worst_case_end(),
            State::Zstd(_) => 16,
        }
    }

    /// Begins a new stream, whatever became of the one before.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        match &mut self.state {
            State::None => {}
            State::Gzip(deflate) => deflate.begin(out),
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
            State::Gzip(deflate) => deflate.encode(raw, out),
            State::Snappy(snappy) => {
                raw.chunks(SNAPPY_BLOCK_BYTES).for_each(|block| snappy_block(snappy, block, out));
            }
            State::Lz4(finder) => {
                raw.chunks(LZ4_BLOCK_BYTES).for_each(|block| lz4_block(finder, block, out));
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
            State::Gzip(deflate) => deflate.finish(out),
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

fn lz4_block(finder: &mut Finder, block: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    lz4::block(finder, block, out);
    let bytes = out.len() - start - 4;
    let length = if bytes < block.len() {
        u32::try_from(bytes).unwrap_or(u32::MAX)
    } else {
        out.truncate(start + 4);
        out.extend_from_slice(block);
        u32::try_from(block.len()).unwrap_or(u32::MAX) | LZ4_STORED
    };
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::decompress::decompress;
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

    pub(crate) fn json(rows: usize) -> Vec<u8> {
        let row = |n: usize| format!(r#"{{"id":"{n}","name":"Zoë","price":"{}"}}"#, n * 37 % 9973);
        (0..rows).flat_map(|n| row(n).into_bytes()).collect()
    }

    /// Something that comes again after so many bytes.
    fn far(bytes: usize) -> Vec<u8> {
        [b"-once upon a time-", &*noise(bytes - 18), b"-once upon a time-", &json(1)].concat()
    }

    /// Compresses `slices`, holding each step against what was promised.
    pub(crate) fn encoded(encoder: &mut Encoder, slices: &[Vec<u8>]) -> Vec<u8> {
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
            vec![(0..=255).cycle().take(70_000).collect()],
            vec![b"x".to_vec(), b"-".repeat(13), b"-".repeat(14), b"ab-".repeat(5)],
            (32_700..32_800).map(far).collect(),
            (250..270).map(|count| b"=".repeat(count)).collect(),
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

    proptest! {
        /// Rows of random columns, some of which say the same again and again.
        #[test]
        fn any_rows_come_back(
            columns in prop::collection::vec(("[a-zé ]{1,12}", 0..60_usize, 1..20_u64), 1..12),
            rows in 1..400_u64,
            slices in 1..4_usize,
        ) {
            let slice = |slice: usize| {
                let field = |row: u64, (name, length, kinds): &(String, usize, u64)| {
                    let kind = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) % kinds + slice as u64;
                    let text = format!("{kind:x}-{:x}", kind.wrapping_mul(0x00c0_ffee_1234_5679));
                    format!("\"{name}\":\"{}\",", &text.repeat(60)[..*length])
                };
                let row = |row: u64| columns.iter().map(|column| field(row, column)).collect::<String>();
                (0..rows).map(row).collect::<String>().into_bytes()
            };
            let slices: Vec<Vec<u8>> = (0..slices).map(slice).collect();
            for compression in Compression::ALL {
                let bytes = encoded(&mut Encoder::new(compression), &slices);
                let mut back = Vec::new();
                prop_assert_eq!(decompress(compression, &bytes, ROOM, &mut back), Ok(()));
                prop_assert!(back == slices.concat(), "{}", compression);
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
            assert!(bytes == encoded(&mut Encoder::new(compression), &[json(3)]), "{compression}");
        }
    }

    /// Rows become small, and what does not shrink stays what it is.
    #[test]
    fn what_becomes_of_rows_and_of_noise() {
        for (compression, percent) in [
            (Compression::Gzip, 20),
            (Compression::Snappy, 40),
            (Compression::Lz4, 35),
            (Compression::Zstd, 20),
        ] {
            let mut encoder = Encoder::new(compression);
            let rows = json(20_000);
            let bytes = encoded(&mut encoder, std::slice::from_ref(&rows)).len();
            assert!(bytes * 100 < rows.len() * percent, "{compression}: {bytes} of {}", rows.len());
            let bytes = encoded(&mut encoder, &[noise(100_000)]).len();
            assert!((100_000..100_100).contains(&bytes), "{compression}: {bytes}");
        }
    }

    /// A block that is stored begins at a whole byte, wherever the one before it ended.
    #[test]
    fn noise_behind_rows_of_any_length() {
        for compression in Compression::ALL {
            let mut encoder = Encoder::new(compression);
            for rows in 1..60 {
                let slices = [json(rows), noise(50), json(5), noise(1), json(rows)];
                let (bytes, mut back) = (encoded(&mut encoder, &slices), Vec::new());
                assert_eq!(decompress(compression, &bytes, ROOM, &mut back), Ok(()));
                assert_eq!(back, slices.concat(), "{compression}, {rows} rows");
            }
        }
    }
}
