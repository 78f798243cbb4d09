//! The fast path: a line that holds no quote, split at its delimiters eight bytes at a time.
//!
//! Without a quote, csv-core's rules come down to these: a row ends at the first CR or LF, and
//! a field at each delimiter. Whatever is not so plain (a quote anywhere, too many fields, a
//! line that goes on beyond the input) is left to csv-core.

use super::{Dialect, Row};
use crate::wire::swar;

#[derive(Debug)]
pub(super) struct Splitter {
    delimiter: u64,
    quote: u64,
    /// JSON would escape the delimiter, were it left in the text.
    is_control: bool,
}

impl Splitter {
    pub(super) fn new(dialect: Dialect) -> Splitter {
        Splitter {
            delimiter: swar::repeat(dialect.delimiter),
            // Without quoting, a byte that is looked for anyway.
            quote: swar::repeat(dialect.quote.unwrap_or(b'\n')),
            is_control: swar::escapes(swar::repeat(dialect.delimiter)) != 0,
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
        let ends = &mut row.ends[..field_count_max];
        let mut field_count = 0;
        let line_bytes = self.scan(input, |end| {
            let slot = ends.get_mut(field_count)?;
            *slot = end;
            field_count += 1;
            Some(())
        })?;
        *ends.get_mut(field_count)? = line_bytes;
        row.field_count = field_count + 1;
        row.text_bytes = line_bytes;
        row.gap_bytes = 1;
        row.text.get_mut(..line_bytes)?.copy_from_slice(&input[..line_bytes]);
        if self.is_control {
            for &end in &row.ends[..field_count] {
                row.text[end] = b' ';
            }
        }
        match (input[line_bytes], input.get(line_bytes + 1)) {
            // An LF may follow.
            (b'\r', None) => None,
            (b'\r', Some(b'\n')) => Some(line_bytes + 2),
            _ => Some(line_bytes + 1),
        }
    }

    /// Tells each delimiter's place to `field_ends_at`, and the line end's to the caller.
    #[inline]
    fn scan(
        &self,
        input: &[u8],
        mut field_ends_at: impl FnMut(usize) -> Option<()>,
    ) -> Option<usize> {
        let (words, _) = input.as_chunks::<8>();
        for (index, bytes) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*bytes);
            let line_end = swar::first_of(word, swar::repeat(b'\n'))
                | swar::first_of(word, swar::repeat(b'\r'))
                | swar::first_of(word, self.quote);
            let mut delimiters = swar::all_of(word, self.delimiter);
            if line_end != 0 {
                // The lowest mark and all below it.
                delimiters &= line_end ^ (line_end - 1);
            }
            while delimiters != 0 {
                field_ends_at(index * 8 + swar::lowest(delimiters))?;
                delimiters &= delimiters - 1;
            }
            if line_end != 0 {
                let at = index * 8 + swar::lowest(line_end);
                return matches!(input[at], b'\r' | b'\n').then_some(at);
            }
        }
        None
    }
}
