//! A row, or a bad row, as the JSON of its record.
//!
//! ```text
//! {"id":"7","name":"Zoë","_source_line":7,"_source_file":"s3://bucket/key"}
//! ├─────┤ ├────────┤   ├────────────────┤ ├──────────────────────────────┤
//! piece 0  piece 1      last but one       last piece
//! ```
//! All that is the same for every row is escaped once. In most rows there is nothing to
//! escape: then pieces and fields are copied sixteen bytes at a time, a little too far, and
//! the next copy overwrites the excess. The output is what `serde_json` writes, to the byte.

pub(in crate::wire) mod base64;
pub mod dead_letter;
pub mod json;
#[cfg(test)]
mod properties;

use std::ops::Range;

use serde_json::Value;

use super::csv::Row;

/// Copies are done in whole steps of this.
const STEP_BYTES: usize = 16;
/// A `u64` has no more digits.
const DIGITS_MAX: usize = 20;

#[derive(Debug)]
pub struct RowTemplate {
    /// What comes before each field, before the row's number and after it, one after another,
    /// and the slack of the last one.
    pieces: Vec<u8>,
    /// Where each piece ends.
    piece_ends: Vec<usize>,
    column_count: usize,
}

impl RowTemplate {
    /// `columns` are unique and not empty: the header's rules.
    pub fn new(columns: &[String], source_file: &str) -> RowTemplate {
        assert!(!columns.is_empty());
        let mut pieces = Vec::new();
        let mut piece_ends = Vec::with_capacity(columns.len() + 2);
        for (column_index, column) in columns.iter().enumerate() {
            pieces.extend_from_slice(if column_index == 0 { b"{" } else { b"\"," });
            json::write_string(column.as_bytes(), &mut pieces);
            pieces.extend_from_slice(b":\"");
            piece_ends.push(pieces.len());
        }
        pieces.extend_from_slice(b"\",\"_source_line\":");
        piece_ends.push(pieces.len());
        pieces.extend_from_slice(b",\"_source_file\":");
        json::write_string(source_file.as_bytes(), &mut pieces);
        pieces.push(b'}');
        piece_ends.push(pieces.len());
        pieces.resize(pieces.len() + STEP_BYTES, 0);
        RowTemplate { pieces, piece_ends, column_count: columns.len() }
    }

    /// A record of a row with so many raw bytes, its key among them, has no more than this.
    pub fn bytes_bound(&self, row_bytes: usize) -> usize {
        // A byte becomes six at most (\u0000), and once more in the key.
        self.pieces.len() + DIGITS_MAX + 7 * row_bytes
    }

    /// Appends the record of a good row.
    pub fn write(&self, row: &Row, row_number: u64, out: &mut Vec<u8>) {
        assert!(row.field_count() == self.column_count, "a good row has all columns");
        if row.has_escapes() {
            self.write_escaped(row, row_number, out);
        } else {
            self.write_plain(row, row_number, out);
        }
    }

    fn write_escaped(&self, row: &Row, row_number: u64, out: &mut Vec<u8>) {
        for (column_index, field) in row.fields().enumerate() {
            out.extend_from_slice(&self.pieces[self.piece(column_index)]);
            json::write_escaped(field, out);
        }
        out.extend_from_slice(&self.pieces[self.piece(self.column_count)]);
        write_number(row_number, out);
        out.extend_from_slice(&self.pieces[self.piece(self.column_count + 1)]);
    }

    fn write_plain(&self, row: &Row, row_number: u64, out: &mut Vec<u8>) {
        let text = row.text_and_slack();
        let start = out.len();
        out.resize(start + self.pieces.len() + text.len() + DIGITS_MAX, 0);
        let target = &mut out[start..];
        let mut at = 0;
        let mut piece_start = 0;
        for ((field_start, field_end), &piece_end) in row.spans().zip(&self.piece_ends) {
            at = copy(target, at, &self.pieces, piece_start..piece_end);
            at = copy(target, at, text, field_start..field_end);
            piece_start = piece_end;
        }
        at = copy(target, at, &self.pieces, self.piece(self.column_count));
        let (digits, first) = digits_of(row_number);
        at = copy(target, at, &digits, first..DIGITS_MAX);
        at = copy(target, at, &self.pieces, self.piece(self.column_count + 1));
        out.truncate(start + at);
    }

    fn piece(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.piece_ends[before]);
        start..self.piece_ends[index]
    }
}

/// The columns of a record of ours, in their order: what it holds before the row's number.
pub fn columns_of(record: &[u8]) -> Option<Vec<String>> {
    const OWN_MEMBERS: usize = 2;
    let mut names = Vec::new();
    let mut rest = record.strip_prefix(b"{")?;
    // Each turn takes a member.
    loop {
        let (Value::String(name), after) = first_value(rest)? else { return None };
        names.push(name);
        let (_, after) = first_value(after.strip_prefix(b":")?)?;
        if after == b"}" {
            break;
        }
        rest = after.strip_prefix(b",")?;
    }
    let columns = names.len().checked_sub(OWN_MEMBERS)?;
    let is_ours = names.drain(columns..).eq(["_source_line", "_source_file"]);
    (is_ours && !names.is_empty()).then_some(names)
}

fn first_value(text: &[u8]) -> Option<(Value, &[u8])> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// Copies a part of `from`, and up to a step more, which both sides have room for; answers
/// where it ends.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call costs more than the copy")]
fn copy(to: &mut [u8], at: usize, from: &[u8], part: Range<usize>) -> usize {
    let bytes = part.len();
    step(to, at, from, part.start);
    // Most names and values fit into that one step. A loop over the next ones would be made a
    // call of `memcpy`.
    if bytes > STEP_BYTES {
        step(to, at + STEP_BYTES, from, part.start + STEP_BYTES);
    }
    if bytes > 2 * STEP_BYTES {
        step(to, at + 2 * STEP_BYTES, from, part.start + 2 * STEP_BYTES);
    }
    if bytes > 3 * STEP_BYTES {
        let done = 3 * STEP_BYTES;
        to[at + done..at + bytes].copy_from_slice(&from[part.start + done..part.end]);
    }
    at + bytes
}

#[inline]
fn step(to: &mut [u8], at: usize, from: &[u8], from_at: usize) {
    to[at..at + STEP_BYTES].copy_from_slice(&from[from_at..from_at + STEP_BYTES]);
}

pub(crate) fn write_number(number: u64, out: &mut Vec<u8>) {
    let (digits, first) = digits_of(number);
    out.extend_from_slice(&digits[first..DIGITS_MAX]);
}

/// The digits, a step of slack behind them, and where the first one is.
#[inline]
fn digits_of(mut number: u64) -> ([u8; DIGITS_MAX + STEP_BYTES], usize) {
    let mut digits = [0; DIGITS_MAX + STEP_BYTES];
    let mut first = DIGITS_MAX;
    loop {
        first -= 1;
        digits[first] = b"0123456789"[(number % 10) as usize];
        number /= 10;
        if number == 0 {
            return (digits, first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_its_columns() {
        let row = r#"{"b":"1","a \"x\"":"}","ä":"","_source_line":7,"_source_file":"s3://b/k"}"#;
        let cases: [(&str, Option<&[&str]>); 7] = [
            (row, Some(&["b", "a \"x\"", "ä"])),
            (r#"{"a":"1","_source_line":7}"#, None),
            (r#"{"_source_line":7,"_source_file":"s"}"#, None),
            (r#"{"a":"1","_source_file":"s","_source_line":7}"#, None),
            (r#"{"a":"1","_source_line":7,"_source_file":"s"} "#, None),
            (r#"{"a":"1","#, None),
            ("", None),
        ];
        for (record, expected) in cases {
            let expected =
                expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(columns_of(record.as_bytes()), expected, "{record}");
        }
    }
}
