//! Eight bytes at a time in one register: which of them are what we look for.
//!
//! Words are loaded little-endian, so that the lowest marked byte is the first one in memory.
//! A mark is the top bit of its byte.
//!
//! ```text
//! bytes      a  b  "  c  d  e  f  g
//! marks     00 00 80 00 00 00 00 00      first_of(word, repeat(b'"'))
//! ```

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

pub(super) const fn repeat(byte: u8) -> u64 {
    ONES * byte as u64
}

/// The lowest mark is right and none is missing; above it there may be false ones.
#[inline]
pub(super) const fn first_of(word: u64, repeated: u64) -> u64 {
    let difference = word ^ repeated;
    difference.wrapping_sub(ONES) & !difference & TOPS
}

/// What JSON escapes: control characters, the quote, the backslash. The lowest mark is right
/// and none is missing.
#[inline]
pub(super) const fn escapes(word: u64) -> u64 {
    (word.wrapping_sub(repeat(0x20)) & !word & TOPS)
        | first_of(word, repeat(b'"'))
        | first_of(word, repeat(b'\\'))
}

/// All but letters, digits and what is not ASCII. Every mark is right.
#[inline]
pub(super) const fn not_of_words(word: u64) -> u64 {
    let ascii = word & !TOPS;
    let digits = (ascii + repeat(0x80 - b'0')) & !(ascii + repeat(0x80 - b'9' - 1));
    let small = ascii | repeat(0x20);
    let letters = (small + repeat(0x80 - b'a')) & !(small + repeat(0x80 - b'z' - 1));
    !(digits | letters | word) & TOPS
}

/// The index of the first marked byte.
#[inline]
pub(super) const fn lowest(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place among every kind of neighbour.
    #[test]
    fn marks_are_where_the_bytes_are() {
        for neighbour in [0, 1, 0x1f, 0x20, 0x21, b'"', b'\\', b',', b'+', b'-', 0x7f, 0x80, 0xff] {
            for byte in 0..=255 {
                for place in 0..8 {
                    let mut bytes = [neighbour; 8];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    let first = |is: &dyn Fn(u8) -> bool| bytes.iter().position(|&b| is(b));
                    let lowest_of = |marks| (marks != 0).then(|| lowest(marks));
                    assert_eq!(
                        lowest_of(first_of(word, repeat(b','))),
                        first(&|b| b == b','),
                        "{bytes:?}"
                    );
                    assert_eq!(
                        lowest_of(escapes(word)),
                        first(&|b| b < 0x20 || b == b'"' || b == b'\\'),
                        "{bytes:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn words_are_letters_digits_and_what_is_not_ascii() {
        for byte in 0..=u8::MAX {
            for neighbour in [0, b'a', b'-', 0x7f, 0xff] {
                let mut bytes = [neighbour; 8];
                bytes[3] = byte;
                let marks = not_of_words(u64::from_le_bytes(bytes)).to_le_bytes();
                for (byte, mark) in bytes.iter().zip(marks) {
                    let is_word = byte.is_ascii_alphanumeric() || !byte.is_ascii();
                    assert_eq!(mark, if is_word { 0 } else { 0x80 }, "{bytes:?}");
                }
            }
        }
    }
}
