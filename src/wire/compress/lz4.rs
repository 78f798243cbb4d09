//! Blocks of lz4: what stands between the frame header and its end (`compress` draws those).
//!
//! ```text
//! sequence   token: how many literals (4 bits), how long a repeat (4 bits), 15 goes on;
//!            [255..., rest], the literals, distance u16 LE, [255..., rest]
//! block      sequences, then a token and literals without a repeat
//! ```
#![expect(clippy::cast_possible_truncation, reason = "what is left of a count, below 256")]

use super::repeats::{BLOCK_BYTES_MAX, Finder, Repeat};
use crate::wire::short;

const REACH: usize = 65_535;
const LENGTH_MIN: usize = 4;
/// What four bits of a token hold at most: then bytes follow that are added.
const NIBBLE_MAX: usize = 15;

/// Of one block.
pub(super) const fn worst_case(block_bytes: usize) -> usize {
    block_bytes + block_bytes / 255 + 16
}

/// Appends the block; it may be longer than what it holds.
pub(super) fn block(finder: &mut Finder, block: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + worst_case(block.len()), 0);
    let mut writer = Writer { out, at: start };
    let mut at = 0;
    for &repeat in finder.find(block, REACH, BLOCK_BYTES_MAX) {
        writer.sequence(block, at, repeat);
        at += usize::from(repeat.literals) + usize::from(repeat.length);
    }
    let literals = block.len() - at;
    writer.byte(nibble(literals) << 4);
    writer.beyond(literals);
    writer.literals(block, at, literals);
    let end = writer.at;
    out.truncate(end);
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    #[inline]
    fn sequence(&mut self, block: &[u8], at: usize, repeat: Repeat) {
        let literals = usize::from(repeat.literals);
        let longer = usize::from(repeat.length) - LENGTH_MIN;
        self.byte(nibble(literals) << 4 | nibble(longer));
        self.beyond(literals);
        self.literals(block, at, literals);
        self.out[self.at..self.at + 2].copy_from_slice(&repeat.distance.to_le_bytes());
        self.at += 2;
        self.beyond(longer);
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.out[self.at] = byte;
        self.at += 1;
    }

    /// What did not fit into the token.
    #[inline]
    fn beyond(&mut self, count: usize) {
        if count < NIBBLE_MAX {
            return;
        }
        let mut rest = count - NIBBLE_MAX;
        while rest >= 255 {
            self.byte(255);
            rest -= 255;
        }
        self.byte(rest as u8);
    }

    #[inline]
    fn literals(&mut self, block: &[u8], from: usize, count: usize) {
        short::copy(&mut self.out[self.at..], &block[from..from + count]);
        self.at += count;
    }
}

fn nibble(count: usize) -> u8 {
    count.min(NIBBLE_MAX) as u8
}
