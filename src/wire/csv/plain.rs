//! The fast path: a line that holds no quote, split at its delimiters sixteen bytes at a time.
//!
//! Without a quote, csv-core's rules come down to these: a row ends at the first CR or LF, and
//! a field at each delimiter. Whatever is not so plain (a quote anywhere, too many fields, a
//! line that goes on beyond the input) is left to csv-core.

use super::{Dialect, Row};
use crate::wire::record::json;
use crate::wire::swar;

const WORD_BYTES: usize = 8;
/// What is looked at in one step.
const BLOCK_BYTES: usize = 16;

// What a byte is.
const DELIMITER: u8 = 1;
const STOP: u8 = 2;
/// And no delimiter.
const ESCAPED: u8 = 4;
const NOT_ASCII: u8 = 0x80;

#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: u8,
    quote: u8,
    /// JSON would escape the delimiter, were it left in the text.
    is_escaped: bool,
}

impl Splitter {
    pub(super) fn new(dialect: Dialect) -> Splitter {
        Splitter {
            delimiter: dialect.delimiter,
            // Without quoting, a byte that is looked for anyway.
            quote: dialect.quote.unwrap_or(b'\n'),
            is_escaped: json::is_escaped(dialect.delimiter),
        }
    }

    /// Fills `row`, which is empty, with the fields of the line at the front of `input`, and
    /// tells its length, line end included. `None`: the line is not plain, and `row` is to be
    /// cleared.
    pub(super) fn split(
        &self,
        input: &[u8],
        field_count_max: usize,
        row: &mut Row,
    ) -> Option<usize> {
        let line_bytes = self.scan(input, field_count_max, row)?;
        *row.ends[..field_count_max].get_mut(row.field_count)? = line_bytes;
        if self.is_escaped {
            for &end in &row.ends[..row.field_count] {
                row.text[end] = b' ';
            }
        }
        row.field_count += 1;
        row.text_bytes = line_bytes;
        row.gap_bytes = 1;
        match (input[line_bytes], input.get(line_bytes + 1)) {
            // An LF may follow.
            (b'\r', None) => None,
            (b'\r', Some(b'\n')) => Some(line_bytes + 2),
            _ => Some(line_bytes + 1),
        }
    }

    /// Copies the line, notes each delimiter's place and tells where the line ends.
    #[inline]
    fn scan(&self, input: &[u8], field_count_max: usize, row: &mut Row) -> Option<usize> {
        let ends = &mut row.ends[..field_count_max];
        let mut field_count = 0;
        let mut seen = 0;
        let mut at = 0;
        let (blocks, _) = input.as_chunks::<BLOCK_BYTES>();
        let (texts, _) = row.text.as_chunks_mut::<BLOCK_BYTES>();
        for (block, text) in blocks.iter().zip(texts) {
            *text = *block;
            for marks in self.marks(block) {
                let stops = marks & swar::repeat(STOP);
                // All below the first stop; all there is, where nothing stops.
                let line = stops.wrapping_sub(1) & !stops;
                seen |= marks & line;
                let mut delimiters = marks & line & swar::repeat(DELIMITER);
                while delimiters != 0 {
                    *ends.get_mut(field_count)? = at + swar::lowest(delimiters);
                    field_count += 1;
                    delimiters &= delimiters - 1;
                }
                if stops != 0 {
                    let line_bytes = at + swar::lowest(stops);
                    row.field_count = field_count;
                    row.has_escapes = seen & swar::repeat(ESCAPED) != 0;
                    row.is_ascii = seen & swar::repeat(NOT_ASCII) == 0;
                    return matches!(input[line_bytes], b'\r' | b'\n').then_some(line_bytes);
                }
                at += WORD_BYTES;
            }
        }
        None
    }

    /// What each byte is, in words of eight.
    #[inline]
    #[expect(clippy::needless_bitwise_bool, reason = "a branch would keep it from being vectors")]
    fn marks(&self, block: &[u8; BLOCK_BYTES]) -> [u64; BLOCK_BYTES / WORD_BYTES] {
        let marks = block.map(|byte| {
            let is_delimiter = byte == self.delimiter;
            let stops = (byte == b'\n') | (byte == b'\r') | (byte == self.quote);
            let is_escaped = json::is_escaped(byte) & !is_delimiter;
            (u8::from(is_delimiter) * DELIMITER)
                | (u8::from(stops) * STOP)
                | (u8::from(is_escaped) * ESCAPED)
                | (byte & NOT_ASCII)
        });
        let (words, _) = marks.as_chunks::<WORD_BYTES>();
        std::array::from_fn(|index| u64::from_le_bytes(words[index]))
    }
}
