//! Frames: what comes in is bounded before it is believed, and strangers are named.
//!
//! ```text
//! byte 0  length          i32   of what follows
//!      4  correlation id  i32
//!      8  the answer
//! ```
//! A length that no answer has is looked at as text: a TLS alert reads as 352,518,912
//! (`15 03 03 00`), an HTTP answer as 1,213,486,160 (`HTTP`).

use std::ops::Range;

use super::Garbled;

/// What a buffer grows by at most before the bytes that fill it have come.
const STEP_BYTES: usize = 64 * 1024;
const LENGTH_BYTES: usize = 4;
const CORRELATION_BYTES: usize = 4;

/// Gathers one frame. It never asks for a byte of the next one.
#[derive(Debug)]
pub struct FrameReader {
    bytes: Vec<u8>,
    filled_bytes: usize,
    bytes_max: usize,
}

/// Why a frame is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// The port speaks something else.
    Foreign(Foreign),
    /// The length is none that an answer to this request can have.
    Length { claimed: i32, bytes_max: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    Tls,
    Http,
    Ssh,
}

impl FrameReader {
    pub fn new() -> FrameReader {
        FrameReader { bytes: Vec::new(), filled_bytes: 0, bytes_max: 0 }
    }

    /// Makes ready for the next frame, of at most so many bytes.
    pub fn start(&mut self, bytes_max: usize) {
        self.filled_bytes = 0;
        self.bytes_max = bytes_max;
    }

    /// Where the next bytes belong; empty when the frame is complete or none.
    pub fn space(&mut self) -> &mut [u8] {
        let Ok(range) = self.wanted() else { return &mut [] };
        if self.bytes.len() < range.end {
            self.bytes.resize(range.end, 0);
        }
        self.bytes.get_mut(range).unwrap_or_default()
    }

    /// So many bytes were written to the front of [`space`](FrameReader::space).
    pub fn filled(&mut self, count: usize) {
        self.filled_bytes += count;
        assert!(self.filled_bytes <= self.bytes.len(), "more bytes than there was space for");
    }

    /// Nothing has come since the start.
    pub fn is_untouched(&self) -> bool {
        self.filled_bytes == 0
    }

    pub fn is_complete(&self) -> Result<bool, BadFrame> {
        Ok(self.wanted()?.is_empty())
    }

    /// The complete frame without its length: correlation id and answer.
    pub fn frame(&self) -> &[u8] {
        self.bytes.get(LENGTH_BYTES..self.filled_bytes).unwrap_or_default()
    }

    /// The complete frame as [`frame`](FrameReader::frame) has it, with the buffer itself.
    pub fn take(&mut self) -> bytes::Bytes {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.filled_bytes);
        self.filled_bytes = 0;
        let start = LENGTH_BYTES.min(bytes.len());
        bytes::Bytes::from(bytes).slice(start..)
    }

    fn wanted(&self) -> Result<Range<usize>, BadFrame> {
        let Some(length) = self.bytes.first_chunk::<LENGTH_BYTES>() else {
            return Ok(0..LENGTH_BYTES);
        };
        if self.filled_bytes < LENGTH_BYTES {
            return Ok(self.filled_bytes..LENGTH_BYTES);
        }
        let claimed = i32::from_be_bytes(*length);
        let frame_bytes = usize::try_from(claimed).unwrap_or(usize::MAX);
        if frame_bytes < CORRELATION_BYTES || frame_bytes > self.bytes_max {
            return Err(match foreign(*length) {
                Some(foreign) => BadFrame::Foreign(foreign),
                None => BadFrame::Length { claimed, bytes_max: self.bytes_max },
            });
        }
        let end = LENGTH_BYTES + frame_bytes;
        Ok(self.filled_bytes..end.min(self.filled_bytes + STEP_BYTES))
    }
}

impl Default for FrameReader {
    fn default() -> FrameReader {
        FrameReader::new()
    }
}

/// The correlation id of a frame.
pub fn correlation_id(frame: &[u8]) -> Result<i32, Garbled> {
    match frame.first_chunk() {
        Some(bytes) => Ok(i32::from_be_bytes(*bytes)),
        None => Err(Garbled::new("it has no correlation id")),
    }
}

fn foreign(length: [u8; LENGTH_BYTES]) -> Option<Foreign> {
    match &length {
        [0x15 | 0x16, 3, ..] => Some(Foreign::Tls),
        b"HTTP" => Some(Foreign::Http),
        b"SSH-" => Some(Foreign::Ssh),
        other if other.eq_ignore_ascii_case(b"<htm") => Some(Foreign::Http),
        other if other.eq_ignore_ascii_case(b"<!do") => Some(Foreign::Http),
        _ => None,
    }
}

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadFrame::Foreign(Foreign::Tls) => f.write_str("it speaks TLS"),
            BadFrame::Foreign(Foreign::Http) => f.write_str("it speaks HTTP"),
            BadFrame::Foreign(Foreign::Ssh) => f.write_str("it speaks SSH"),
            BadFrame::Length { claimed, bytes_max } => {
                write!(f, "an answer of {claimed} bytes, at most {bytes_max} are taken")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes in pieces of at most `piece`, as a socket would.
    fn feed(reader: &mut FrameReader, mut bytes: &[u8], piece: usize) -> Result<usize, BadFrame> {
        let mut taken = 0;
        while !reader.is_complete()? && !bytes.is_empty() {
            let space = reader.space();
            let count = space.len().min(piece).min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            reader.filled(count);
            taken += count;
        }
        Ok(taken)
    }

    #[test]
    fn a_frame_is_gathered_from_any_pieces_and_no_byte_more() {
        let body: Vec<u8> = (0..200_000u32).map(|n| n.to_be_bytes()[3]).collect();
        let mut bytes = 200_000u32.to_be_bytes().to_vec();
        bytes.extend(&body);
        bytes.extend(b"next");
        for piece in [1, 2, 3, 5, 1000, 65_536, 1 << 20] {
            let mut reader = FrameReader::new();
            for _ in 0..2 {
                reader.start(200_000);
                assert_eq!(feed(&mut reader, &bytes, piece).unwrap(), 200_004, "piece {piece}");
                assert!(reader.is_complete().unwrap());
                assert_eq!(reader.frame(), body);
            }
            assert_eq!(reader.take(), body);
        }
    }

    #[test]
    fn a_claim_is_no_reason_to_allocate() {
        let mut reader = FrameReader::new();
        reader.start(16 << 20);
        feed(&mut reader, &(16u32 << 20).to_be_bytes(), 4).unwrap();
        assert!(reader.space().len() <= STEP_BYTES);
        assert!(reader.bytes.capacity() <= 2 * STEP_BYTES);
    }

    #[test]
    fn strangers_are_named() {
        use BadFrame::{Foreign as F, Length};
        let cases: &[(&[u8], BadFrame)] = &[
            (&[0x15, 3, 3, 0, 2, 2, 0x50], F(Foreign::Tls)),
            (&[0x16, 3, 1, 2, 0], F(Foreign::Tls)),
            (b"HTTP/1.1 400 Bad Request\r\n", F(Foreign::Http)),
            (b"<html>", F(Foreign::Http)),
            (b"<!DOCTYPE html>", F(Foreign::Http)),
            (b"SSH-2.0-OpenSSH", F(Foreign::Ssh)),
            (b"-ERR unknown", Length { claimed: 0x2D45_5252, bytes_max: 100 }),
            (&[0xFF, 0xFF, 0xFF, 0xFF], Length { claimed: -1, bytes_max: 100 }),
            (&[0, 0, 0, 3], Length { claimed: 3, bytes_max: 100 }),
            (&[0, 0, 0, 101], Length { claimed: 101, bytes_max: 100 }),
        ];
        for (bytes, expected) in cases {
            let mut reader = FrameReader::new();
            reader.start(100);
            assert_eq!(feed(&mut reader, bytes, 100), Err(*expected), "{bytes:?}");
        }
    }
}
