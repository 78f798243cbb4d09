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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::compress::tests::json;

    /// What the format asks for beyond what every reader checks: the sequences of a block as
    /// (literals, length, distance), the last one without a repeat.
    fn sequences(bytes: &[u8]) -> Vec<(usize, usize, usize)> {
        let mut rest = bytes.iter().map(|byte| usize::from(*byte));
        let mut found = Vec::new();
        while let Some(token) = rest.next() {
            let count = |nibble: usize, rest: &mut dyn Iterator<Item = usize>| {
                let mut count = nibble;
                let mut goes_on = nibble == 15;
                while goes_on {
                    let more = rest.next().unwrap();
                    count += more;
                    goes_on = more == 255;
                }
                count
            };
            let literals = count(token >> 4, &mut rest);
            assert_eq!(rest.by_ref().take(literals).count(), literals);
            let Some(low) = rest.next() else {
                assert_eq!(token & 15, 0);
                found.push((literals, 0, 0));
                return found;
            };
            let distance = low + 256 * rest.next().unwrap();
            found.push((literals, LENGTH_MIN + count(token & 15, &mut rest), distance));
        }
        panic!("the last sequence has no repeat");
    }

    fn held(text: &[u8]) -> Vec<(usize, usize, usize)> {
        let mut out = Vec::new();
        block(&mut Finder::new(), text, &mut out);
        assert!(out.len() <= worst_case(text.len()));
        let mut back = vec![0; text.len()];
        assert_eq!(lz4_flex::block::decompress_into(&out, &mut back).unwrap(), text.len());
        assert_eq!(back, text);
        let found = sequences(&out);
        let (last, before) = found.split_last().unwrap();
        // The last five bytes are literals, and the last repeat begins twelve before the end.
        if let Some((_, length, distance)) = before.last() {
            assert!(last.0 >= 5, "{found:?}");
            assert!(length + last.0 >= 12, "{found:?}");
            assert!((1..=REACH).contains(distance));
        }
        found
    }

    /// Around where a count takes a byte more: so many literals, a repeat of so many bytes, and
    /// so many literals at the end.
    #[test]
    fn counts_of_every_length() {
        let letters = |count: usize| (0..count).map(|at| b'a' + (at * at % 23) as u8);
        for count in (0..40).chain(260..300).chain(520..560) {
            let text: Vec<u8> = letters(count).chain([b'-'; 40]).collect();
            assert_eq!(held(&text)[0].0, count + 1);
            let text = b"-".repeat(20 + count);
            assert_eq!(held(&text), [(1, 14 + count, 1), (5, 0, 0)]);
            let text: Vec<u8> = [b'-'; 40].into_iter().chain(letters(count)).collect();
            assert_eq!(held(&text).last().unwrap().0, count.max(5));
        }
    }

    /// Where a block ends, whatever it ends with.
    #[test]
    fn the_end_of_a_block() {
        let rows = json(20);
        for end in 0..rows.len() {
            held(&rows[..end]);
            held(&[&rows[..end], &rows[..40]].concat());
        }
        held(&vec![0; BLOCK_BYTES_MAX]);
        held(&json(3_000)[..BLOCK_BYTES_MAX]);
    }
}
