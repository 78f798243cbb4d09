//! Finds what a block repeats of itself, for the encoders that write it down.
//!
//! ```text
//! ..."city":"Oslo","price":"19.99"...   ..."city":"Rome","price":"17.50"...
//!                                          └────────┘R o m e└──────────┘7.50
//!                                          repeat    literals  repeat   literals
//! ```
//! Text repeats itself from the edge of a word on: where a name begins, a value, the quote
//! behind it. Only there is looked for an earlier occurrence; inside a word, where most of
//! what is found costs more than it saves, nothing is tried. The distance of the last repeat
//! is tried first, since rows of one length repeat at one distance, and that one is written in
//! the fewest bits. A repeat is compared byte by byte before it is believed, so whatever the
//! search does, a block comes back as it was.

use crate::wire::swar;

/// So much of `block` as it is, then `length` bytes again that stand `distance` bytes earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) literals: u16,
    pub(super) length: u16,
    pub(super) distance: u16,
}

/// A block has no more than this: a place in it takes 16 bits.
pub(super) const BLOCK_BYTES_MAX: usize = 65_536;
/// What is looked up, and the shortest repeat (one at the end of a block excepted). With 5 or
/// 4, more is found that costs more than it saves.
const LOOKED_UP_BYTES: usize = 6;
const SLOT_BITS: u32 = 13;
const WORD_BYTES: usize = 8;
/// The last bytes of a block are left as they are: lz4 demands 5, and that the last repeat
/// begins 12 before the end.
const LAST_LITERALS: usize = 5;
const LAST_START: usize = 13;

/// A block, and behind it what may be read but does not count.
type Text = [u8; BLOCK_BYTES_MAX + SLACK_BYTES];
const SLACK_BYTES: usize = 32;

pub(super) struct Finder {
    text: Box<Text>,
    /// Where bytes that hash to this slot were seen last; 0 is nowhere.
    seen_at: Box<[u16; 1 << SLOT_BITS]>,
    found: Vec<Repeat>,
}

impl Finder {
    pub(super) fn new() -> Finder {
        Finder {
            text: boxed(),
            seen_at: boxed(),
            found: Vec::with_capacity(BLOCK_BYTES_MAX / LOOKED_UP_BYTES + 1),
        }
    }

    /// The repeats of a block, in order; what follows the last one is literal.
    pub(super) fn find(&mut self, block: &[u8], reach: usize, length_max: usize) -> &[Repeat] {
        assert!(block.len() <= BLOCK_BYTES_MAX, "places have 16 bits");
        // In an array of 2^16 and a bit, every place of 16 bits can be read without a check.
        let text = &mut *self.text;
        text[..block.len()].copy_from_slice(block);
        text[block.len()..block.len() + SLACK_BYTES].fill(0);
        self.seen_at.fill(0);
        self.found.clear();
        let last_start = block.len().saturating_sub(LAST_START);
        let last_end = block.len().saturating_sub(LAST_LITERALS);
        let (mut at, mut literals_from, mut distance) = (1_usize, 0, 1);
        while at < last_start {
            let word = word_at(text, at);
            let seen_at = &mut self.seen_at[slot_of(word)];
            let candidate = usize::from(*seen_at);
            *seen_at = narrow(at);
            if !is_same(word_at(text, at.wrapping_sub(distance)), word) {
                let further = at.wrapping_sub(candidate);
                if further > reach || !is_same(word_at(text, candidate), word) {
                    at = next_edge(text, at + 1, last_start);
                    continue;
                }
                distance = further;
            }
            let length_max = length_max.min(last_end - at);
            let length = common(text, at.wrapping_sub(distance), at, length_max);
            self.found.push(Repeat {
                literals: narrow(at.wrapping_sub(literals_from)),
                length: narrow(length),
                distance: narrow(distance),
            });
            at += length;
            literals_from = at;
        }
        &self.found
    }
}

/// An array that was never on the stack.
fn boxed<T: Clone + Default, const COUNT: usize>() -> Box<[T; COUNT]> {
    let zeros = vec![T::default(); COUNT].into_boxed_slice();
    let Ok(array) = zeros.try_into() else { unreachable!("it has that many") };
    array
}

/// Of a place within a block.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a block has no more than 2^16 bytes")]
fn narrow(place: usize) -> u16 {
    place as u16
}

#[inline]
fn word_at(text: &Text, at: usize) -> u64 {
    let at = usize::from(narrow(at));
    text[at..at + WORD_BYTES].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Both begin with the bytes that are looked up.
#[inline]
fn is_same(one: u64, other: u64) -> bool {
    (one ^ other) << (8 * (WORD_BYTES - LOOKED_UP_BYTES)) == 0
}

#[inline]
fn slot_of(word: u64) -> usize {
    const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;
    let looked_up = word << (8 * (WORD_BYTES - LOOKED_UP_BYTES));
    (looked_up.wrapping_mul(MIXER) >> (u64::BITS - SLOT_BITS)) as usize
}

/// The first place from `at` on that is not inside a word, or one behind the end.
#[inline]
fn next_edge(text: &Text, mut at: usize, end: usize) -> usize {
    while at < end {
        let edges = swar::not_of_words(word_at(text, at - 1));
        if edges != 0 {
            return at + swar::lowest(edges).saturating_sub(1);
        }
        at += WORD_BYTES - 1;
    }
    at
}

/// How many bytes at `from` and `at` are the same.
#[inline]
fn common(text: &Text, from: usize, at: usize, length_max: usize) -> usize {
    let mut length = 0;
    while length < length_max {
        let differing =
            word_at(text, from.wrapping_add(length)) ^ word_at(text, at.wrapping_add(length));
        if differing != 0 {
            return length_max.min(length + (differing.trailing_zeros() / 8) as usize);
        }
        length += WORD_BYTES;
    }
    length_max
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The block as its repeats tell it.
    fn told(block: &[u8], repeats: &[Repeat]) -> Vec<u8> {
        let mut text = Vec::new();
        for repeat in repeats {
            let literals = &block[text.len()..][..usize::from(repeat.literals)];
            text.extend_from_slice(literals);
            for _ in 0..repeat.length {
                text.push(text[text.len() - usize::from(repeat.distance)]);
            }
        }
        let at = text.len();
        text.extend_from_slice(&block[at..]);
        text
    }

    fn find(block: &[u8]) -> Vec<(u16, u16, u16)> {
        let mut finder = Finder::new();
        let repeats = finder.find(block, BLOCK_BYTES_MAX, BLOCK_BYTES_MAX);
        assert_eq!(told(block, repeats), block);
        repeats.iter().map(|repeat| (repeat.literals, repeat.length, repeat.distance)).collect()
    }

    #[test]
    fn where_text_repeats_itself() {
        let rows =
            br#"{"city":"Oslo","price":"19.99"}{"city":"Rome","price":"17.50"}{"city":"Oslo","price":"20.00"}"#;
        // The names, from the quote on; "Oslo" with what is around it, from two rows back.
        assert_eq!(find(rows), [(31, 9, 31), (4, 12, 31), (4, 11, 31), (0, 15, 62)]);
        assert_eq!(find(b"abcdefgh-abcdefgh-12345678901234"), [(9, 9, 9)]);
        assert_eq!(find(&[b'-'; 100]), [(1, 94, 1)]);
        // Inside a word nothing is looked for, and the last bytes are left alone.
        assert_eq!(find(b"xabcdefghyabcdefghzabcdefgh-----------------"), [(28, 11, 1)]);
        assert_eq!(find(b"abcdefgh-abcdefgh"), []);
        assert_eq!(find(b""), []);
        // What is nowhere is no place before the first one.
        assert_eq!(find(&[0; 100]), [(1, 94, 1)]);
        // The end: a repeat begins thirteen bytes before it at the latest.
        assert_eq!(find(b"-abcdef-abcdef-123456"), [(7, 8, 7)]);
        assert_eq!(find(b"-abcdef-abcdef-12345"), []);
    }

    #[test]
    fn no_further_and_no_longer_than_allowed() {
        let mut block = b"-abcdefgh-".to_vec();
        block.resize(1000, b'.');
        block.extend_from_slice(b"-abcdefgh-");
        block.resize(1100, b'.');
        let mut finder = Finder::new();
        for (reach, is_found) in [(1000, true), (999, false)] {
            let repeats = finder.find(&block, reach, 300);
            assert_eq!(told(&block, repeats), block);
            assert_eq!(repeats.iter().any(|repeat| repeat.distance == 1000), is_found);
            assert_eq!(repeats.iter().map(|repeat| repeat.length).max(), Some(300));
        }
    }

    #[test]
    fn a_block_knows_nothing_of_the_one_before() {
        let mut finder = Finder::new();
        let block = b"once,upon,a,time,there,was,a,row".repeat(3);
        let first = finder.find(&block, BLOCK_BYTES_MAX, BLOCK_BYTES_MAX).to_vec();
        finder.find(&vec![7; BLOCK_BYTES_MAX], BLOCK_BYTES_MAX, BLOCK_BYTES_MAX);
        assert_eq!(finder.find(&block, BLOCK_BYTES_MAX, BLOCK_BYTES_MAX), first);
    }

    proptest! {
        #[test]
        fn any_block_comes_back(parts in prop::collection::vec((0..9_usize, 0..7_usize), 0..300)) {
            let pool = ["\"name\":\"", ",", "Zoë", "aaaaaaaaa", "\0\x01\x02", "0123456789", "x-y", "\"", "東京"];
            let block = parts.iter().map(|(part, count)| pool[*part].repeat(*count)).collect::<String>();
            find(block.as_bytes());
        }
    }
}
