//! Bytes into rows, by csv-core, in buffers that are allocated once.
//!
//! The caller owns the input and keeps the row in progress at its front: it appends bytes and
//! calls again, the parser remembers how many of them it has read.
//!
//! ```text
//! input   ⏎⏎ a , " b " " c " ⏎  next row …          row.text   a b " c        (csv-core)
//!         ├┘ ├──────────────┤                        row.ends    1     5
//!      Blank  Row { row_bytes }
//!             x , y z ⏎                              row.text   x , y z        (plain line)
//!                                                    row.ends    1     4
//! ```
//!
//! A line without a quote is split sixteen bytes at a time ([`plain`]), all others go through
//! csv-core, byte by byte; both give the same fields, which the property tests hold. What
//! csv-core leaves open is decided here: where a row begins and ends to the byte (blank lines
//! before it are not its own, the LF of a CRLF is), that a quote which is open at the end of
//! the file is no row, and that EF BB BF at the beginning of a row is a value.

pub mod header;
mod plain;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::stop::BadRow;
use crate::wire::record::json;
use csv_core::ReadRecordResult;

/// Bytes that may be read past the last field's end, so that words can be loaded there.
pub(super) const ROW_SLACK_BYTES: usize = 16;
/// Where csv-core puts the ends of fields that are too many.
const SPILL_COUNT: usize = 64;

/// How fields are told apart. Rows always end with LF, CRLF or CR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// `None`: a quote is a value like any other.
    pub quote: Option<u8>,
}

impl Dialect {
    /// Two different ASCII characters that are no line ends: a byte of another kind could be
    /// a part of a character in a value.
    pub fn is_valid(self) -> bool {
        let fits = |byte: u8| byte.is_ascii() && byte != b'\r' && byte != b'\n';
        fits(self.delimiter)
            && self.quote.is_none_or(|quote| fits(quote) && quote != self.delimiter)
    }
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Append bytes and call again with an input that begins at the same byte. Never more than
    /// `row_bytes_max` + 1 bytes are needed.
    NeedInput,
    /// Blank lines: drop so many bytes and call again.
    Blank(usize),
    /// A row, line end included: use it, drop its bytes and call again.
    Row { row_bytes: usize },
    /// The same, but it can not become a record.
    Bad { row_bytes: usize, why: BadRow },
    /// The row in progress is longer than `row_bytes_max`. Nothing after it can be trusted.
    TooLong,
    /// The input ends within a quote. Nothing from this row's first byte on can be trusted.
    OpenQuote,
    /// No more rows.
    End,
}

/// The fields of one row. The same buffers serve all rows.
#[derive(Debug)]
pub struct Row {
    /// The fields one after another, `gap_bytes` between each two.
    text: Box<[u8]>,
    ends: Box<[usize]>,
    text_bytes: usize,
    field_count: usize,
    gap_bytes: usize,
    is_ascii: bool,
    has_escapes: bool,
}

impl Row {
    pub fn with_capacity(row_bytes_max: usize, columns_max: usize) -> Row {
        Row {
            // One more for the line end that stands for the end of the file.
            text: vec![0; row_bytes_max + 1 + ROW_SLACK_BYTES].into_boxed_slice(),
            ends: vec![0; columns_max].into_boxed_slice(),
            text_bytes: 0,
            field_count: 0,
            gap_bytes: 0,
            is_ascii: true,
            has_escapes: false,
        }
    }

    pub fn field_count(&self) -> usize {
        self.field_count
    }

    /// The bytes of one field; valid UTF-8 unless the row is bad.
    pub fn field(&self, column_index: usize) -> Option<&[u8]> {
        let ends = &self.ends[..self.field_count];
        let end = *ends.get(column_index)?;
        let start = match column_index.checked_sub(1) {
            Some(before) => ends[before] + self.gap_bytes,
            None => 0,
        };
        Some(&self.text[start..end])
    }

    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.spans().map(|(start, end)| &self.text[start..end])
    }

    /// Where each field lies in [`Row::text_and_slack`].
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut next = 0;
        self.ends[..self.field_count].iter().map(move |&end| {
            let start = next;
            next = end + self.gap_bytes;
            (start, end)
        })
    }

    /// Whether a field holds a byte that JSON has to escape.
    pub(super) fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// All fields, and what may lie between them: never a byte that JSON has to escape.
    fn text(&self) -> &[u8] {
        &self.text[..self.text_bytes]
    }

    pub(super) fn text_and_slack(&self) -> &[u8] {
        &self.text[..self.text_bytes + ROW_SLACK_BYTES]
    }

    fn clear(&mut self) {
        self.text_bytes = 0;
        self.field_count = 0;
        self.gap_bytes = 0;
    }

    /// Looks at the text that csv-core wrote.
    fn look(&mut self) {
        self.is_ascii = self.text().is_ascii();
        self.has_escapes =
            self.text().iter().fold(false, |found, &byte| found | json::is_escaped(byte));
    }

    /// The first field that is not UTF-8.
    fn not_utf8(&self) -> Option<usize> {
        if self.is_ascii {
            return None;
        }
        // Two fields can each hold a half of one character: valid together, not alone.
        if let Ok(text) = std::str::from_utf8(self.text())
            && self.spans().all(|(_, end)| text.is_char_boundary(end))
        {
            return None;
        }
        self.fields().position(|field| std::str::from_utf8(field).is_err())
    }
}

/// Where the row in progress stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Between,
    Within,
    /// It ended with a CR that was the input's last byte: an LF may follow.
    Ended,
}

#[derive(Debug)]
pub struct Parser {
    core: csv_core::Reader,
    plain: plain::Splitter,
    row_bytes_max: usize,
    column_count: Option<usize>,
    progress: Progress,
    /// Bytes of the row in progress that csv-core has read.
    read_bytes: usize,
    too_many_fields: bool,
}

impl Parser {
    /// `column_count`: what each row must have; `None` for the header, where any will do.
    pub fn new(dialect: Dialect, row_bytes_max: usize, column_count: Option<usize>) -> Parser {
        assert!(dialect.is_valid(), "the settings admit no such dialect");
        assert!(row_bytes_max > 0);
        assert!(column_count != Some(0));
        let mut builder = csv_core::ReaderBuilder::new();
        builder.delimiter(dialect.delimiter);
        match dialect.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let mut parser = Parser {
            core: builder.build(),
            plain: plain::Splitter::new(dialect),
            row_bytes_max,
            column_count,
            progress: Progress::Between,
            read_bytes: 0,
            too_many_fields: false,
        };
        parser.reset();
        parser
    }

    /// As it was when it was new, which is far cheaper than a new one. (A clone of csv-core's
    /// reader reads wrongly: it has not all of its tables.)
    pub fn reset(&mut self) {
        self.core.reset();
        // A reader that has read nothing yet takes EF BB BF for a byte order mark, also where
        // it is put on a row in mid-file. This blank line is its first reading.
        self.core.read_record(b"\n", &mut [0], &mut [0]);
        self.progress = Progress::Between;
        self.read_bytes = 0;
        self.too_many_fields = false;
    }

    /// `input` begins at the next byte that was not dropped, `at_end`: nothing follows it.
    /// Between `NeedInput` and the row's end, `row` must be the same.
    pub fn step(&mut self, input: &[u8], at_end: bool, row: &mut Row) -> Step {
        assert!(row.text.len() > self.row_bytes_max + ROW_SLACK_BYTES);
        assert!(self.column_count.is_none_or(|count| count <= row.ends.len()));
        if self.progress == Progress::Between {
            match input.first() {
                None if at_end => return Step::End,
                None => return Step::NeedInput,
                Some(b'\r' | b'\n') => {
                    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
                    return Step::Blank(input.iter().position(is_text).unwrap_or(input.len()));
                }
                Some(_) => {}
            }
            row.clear();
            let field_count_max = self.field_count_max(row);
            if let Some(row_bytes) = self.plain.split(input, field_count_max, row)
                && row_bytes <= self.row_bytes_max
            {
                return self.judge(row_bytes, row);
            }
            row.clear();
            self.progress = Progress::Within;
            self.read_bytes = 0;
            self.too_many_fields = false;
        }
        self.step_within(input, at_end, row)
    }

    fn step_within(&mut self, input: &[u8], at_end: bool, row: &mut Row) -> Step {
        assert!(input.len() >= self.read_bytes, "a row in progress stays in the input");
        if self.progress == Progress::Within {
            let readable = &input[..input.len().min(self.row_bytes_max)];
            let (is_row, read_bytes) = self.feed(&readable[self.read_bytes..], row);
            self.read_bytes += read_bytes;
            if !is_row {
                if input.len() > self.read_bytes {
                    return Step::TooLong;
                }
                if !at_end {
                    return Step::NeedInput;
                }
                // Within a quote a line end is a value, everywhere else it ends the row.
                let (is_row, _) = self.feed(b"\n", row);
                if !is_row {
                    return Step::OpenQuote;
                }
                row.look();
                return self.judge(self.read_bytes, row);
            }
            self.progress = Progress::Ended;
        }
        let is_crlf = match (input[self.read_bytes - 1], input.get(self.read_bytes)) {
            (b'\r', None) if !at_end => return Step::NeedInput,
            (b'\r', Some(b'\n')) => true,
            _ => false,
        };
        let row_bytes = self.read_bytes + usize::from(is_crlf);
        if row_bytes > self.row_bytes_max {
            return Step::TooLong;
        }
        row.look();
        self.judge(row_bytes, row)
    }

    /// Has csv-core read `unread`, up to the row's end: whether it is there, and how far that
    /// is.
    ///
    /// It never sees a blank line, nor the LF of a CRLF: its states after a row's end and
    /// before the next row's first byte are one and the same then.
    fn feed(&mut self, unread: &[u8], row: &mut Row) -> (bool, usize) {
        let field_count_max = self.field_count_max(row);
        let mut read_bytes = 0;
        // An empty input would tell csv-core that the file ends here.
        while read_bytes < unread.len() {
            let mut spill = [0; SPILL_COUNT];
            let ends = if self.too_many_fields {
                &mut spill[..]
            } else {
                &mut row.ends[row.field_count..field_count_max]
            };
            let text = &mut row.text[row.text_bytes..];
            let (result, bytes_in, bytes_out, end_count) =
                self.core.read_record(&unread[read_bytes..], text, ends);
            assert!(result != ReadRecordResult::OutputFull, "no row is longer than its input");
            assert!(result != ReadRecordResult::End, "the end of the file is told otherwise");
            read_bytes += bytes_in;
            row.text_bytes += bytes_out;
            if !self.too_many_fields {
                row.field_count += end_count;
            }
            if result == ReadRecordResult::Record {
                return (true, read_bytes);
            }
            // Not ended, so a delimiter came after the last field that fits.
            self.too_many_fields |= row.field_count == field_count_max;
        }
        (false, read_bytes)
    }

    /// A whole row: good or bad.
    fn judge(&mut self, row_bytes: usize, row: &Row) -> Step {
        self.progress = Progress::Between;
        let found = row.field_count;
        let why = if self.too_many_fields {
            BadRow::TooManyFields { expected: self.field_count_max(row) }
        } else if let Some(expected) = self.column_count.filter(|&expected| expected != found) {
            BadRow::FieldCount { expected, found }
        } else if let Some(column_index) = row.not_utf8() {
            BadRow::NotUtf8 { column_index }
        } else {
            return Step::Row { row_bytes };
        };
        self.too_many_fields = false;
        Step::Bad { row_bytes, why }
    }

    fn field_count_max(&self, row: &Row) -> usize {
        self.column_count.unwrap_or(row.ends.len())
    }
}
