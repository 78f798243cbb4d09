//! A bad row as the JSON of its dead letter.
//!
//! ```text
//! {"row":7,"byte_offset":180,"reason":"too_few_fields: 2 fields, the header has 3",
//!  "source":"s3://bucket/key","row_bytes":12,"raw":"7,Zoë"}             (one line)
//!                                            "raw_base64":"Nyxab+s="    not UTF-8
//! ```
//! It is a pure function of the row, its place and the pinned limit, so that the same bad row
//! makes the same bytes in every run.

use super::{base64, json, write_number};
use crate::limits::DEAD_LETTER_RAW_BYTES_MAX;
use crate::stop::BadRow;

/// A bad row and where it was found.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    pub row_number: u64,
    pub byte_offset: u64,
    pub why: &'a BadRow,
    pub source: &'a str,
    /// The whole row, line end included.
    pub raw: &'a [u8],
}

/// What the reason begins with, before a colon and its wording: short, to filter by.
pub fn code(why: &BadRow) -> &'static str {
    match why {
        BadRow::FieldCount { expected, found } if found < expected => "too_few_fields",
        BadRow::FieldCount { .. } | BadRow::TooManyFields { .. } => "too_many_fields",
        BadRow::NotUtf8 { .. } => "not_utf8",
        BadRow::RecordTooLarge { .. } => "record_too_large",
    }
}

/// Appends the dead letter, at most `record_bytes_max` bytes: as much of the raw row goes in
/// as fits, [`DEAD_LETTER_RAW_BYTES_MAX`] at most. `false`: not even without it does the dead
/// letter fit, and nothing is appended.
#[must_use]
pub fn write(letter: &DeadLetter<'_>, record_bytes_max: usize, out: &mut Vec<u8>) -> bool {
    const END: &[u8] = b"\"}";
    let start = out.len();
    out.extend_from_slice(b"{\"row\":");
    write_number(letter.row_number, out);
    out.extend_from_slice(b",\"byte_offset\":");
    write_number(letter.byte_offset, out);
    out.extend_from_slice(b",\"reason\":");
    json::write_string(format!("{}: {}", code(letter.why), letter.why).as_bytes(), out);
    out.extend_from_slice(b",\"source\":");
    json::write_string(letter.source.as_bytes(), out);
    out.extend_from_slice(b",\"row_bytes\":");
    write_number(letter.raw.len() as u64, out);

    let raw = without_line_end(letter.raw);
    let text = std::str::from_utf8(raw);
    out.extend_from_slice(if text.is_ok() { b",\"raw\":\"" } else { b",\"raw_base64\":\"" });
    let Some(room) = record_bytes_max.checked_sub(out.len() - start + END.len()) else {
        out.truncate(start);
        return false;
    };
    if let Ok(text) = text {
        json::write_escaped(text_that_fits(text, room).as_bytes(), out);
    } else {
        let fitting = room / base64::GROUP_CHARS * base64::GROUP_BYTES;
        let bytes = raw.len().min(DEAD_LETTER_RAW_BYTES_MAX).min(fitting);
        base64::write(&raw[..bytes], out);
    }
    out.extend_from_slice(END);
    true
}

fn without_line_end(raw: &[u8]) -> &[u8] {
    raw.strip_suffix(b"\r\n")
        .or_else(|| raw.strip_suffix(b"\n"))
        .or_else(|| raw.strip_suffix(b"\r"))
        .unwrap_or(raw)
}

/// The longest beginning, in whole characters, that is short enough when escaped.
fn text_that_fits(text: &str, room: usize) -> &str {
    let mut escaped = 0;
    let fits = text.char_indices().find(|(at, char)| {
        // Only ASCII is escaped.
        escaped += u8::try_from(*char).map_or(char.len_utf8(), |byte| {
            if byte.is_ascii() { json::escaped_bytes(byte) } else { char.len_utf8() }
        });
        escaped > room || at + char.len_utf8() > DEAD_LETTER_RAW_BYTES_MAX
    });
    fits.map_or(text, |(at, _)| &text[..at])
}
