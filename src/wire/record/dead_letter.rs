//! A bad row as the JSON of its dead letter.
//!
//! ```text
//! {"row":7,"byte_offset":180,"reason":"too_few_fields: 2 fields, the header has 3",
//!  "source":"s3://bucket/key","row_bytes":12,"raw":"7,Zoë"}             (one line)
//!                                            "raw_base64":"Nyxab+s="    not UTF-8
//! ```
//! It is a pure function of the row, its place and the pinned limit, so that the same bad row
//! makes the same bytes in every run.

use serde_json::Value;

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

/// A dead letter, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub row_number: u64,
    pub byte_offset: u64,
    pub reason: String,
    /// Of the whole row, line end included.
    pub row_bytes: u64,
    /// Without the line end.
    pub raw: Vec<u8>,
    /// Nothing is cut from `raw`, as far as can be told.
    pub is_whole: bool,
}

impl Letter {
    /// `record_bytes_max`: what [`write`] was given. `None`: it is no dead letter of ours.
    pub fn parse(value: &[u8], record_bytes_max: usize) -> Option<Letter> {
        let parsed: Value = serde_json::from_slice(value).ok()?;
        let number = |name: &str| parsed.get(name)?.as_u64();
        let text = |name: &str| parsed.get(name)?.as_str();
        let raw = match text("raw") {
            Some(raw) => raw.as_bytes().to_vec(),
            None => base64::read(text("raw_base64")?)?,
        };
        let row_bytes = number("row_bytes")?;
        // A line end is one or two bytes, and so may be what was cut where room ran out.
        let lacking = row_bytes.checked_sub(raw.len() as u64)?;
        let is_full = raw.len() + CUT_BYTES_MAX > DEAD_LETTER_RAW_BYTES_MAX
            || value.len() + CUT_BYTES_MAX > record_bytes_max;
        Some(Letter {
            row_number: number("row")?,
            byte_offset: number("byte_offset")?,
            reason: text("reason")?.to_owned(),
            row_bytes,
            raw,
            is_whole: lacking == 0 || lacking <= 2 && !is_full,
        })
    }
}

/// Room that is left where the next character did not fit any more: an escape, a group of
/// base64.
const CUT_BYTES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is, the row, the most that a record may have; what is read, and whether all.
    type Case<'a> = (&'a str, Vec<u8>, usize, &'a [u8], bool);

    #[test]
    fn what_is_written_is_read_back() {
        let why = BadRow::NotUtf8 { column_index: 1 };
        let long = vec![b'x'; DEAD_LETTER_RAW_BYTES_MAX];
        let with = |ending: &str| [long.as_slice(), ending.as_bytes()].concat();
        let letter_bytes = 105;
        let cases: [Case<'_>; 11] = [
            ("text", b"7,a\"b\x01\n".to_vec(), 900, b"7,a\"b\x01", true),
            ("crlf", b"7,a\r\n".to_vec(), 900, b"7,a", true),
            ("no line end", b"7,a".to_vec(), 900, b"7,a", true),
            ("empty", b"\n".to_vec(), 900, b"", true),
            ("no text", b"7,\xff\r\n".to_vec(), 900, b"7,\xff", true),
            ("just as long as it may be", with("\n"), 1 << 20, &long, false),
            ("so long, and no line end", with(""), 1 << 20, &long, true),
            ("too long", with("yz"), 1 << 20, &long, false),
            ("no room", b"7,abcdef\n".to_vec(), letter_bytes + 4, b"7,ab", false),
            ("no room for the last byte", b"7,abcd\n".to_vec(), letter_bytes + 5, b"7,abc", false),
            ("no room at all", b"7,a\n".to_vec(), letter_bytes, b"", false),
        ];
        for (name, raw, record_bytes_max, expected, is_whole) in cases {
            let (row_number, byte_offset) = (7, 180);
            let letter = DeadLetter { row_number, byte_offset, why: &why, source: "s", raw: &raw };
            let mut value = Vec::new();
            assert!(write(&letter, record_bytes_max, &mut value), "{name}");
            let read = Letter::parse(&value, record_bytes_max).expect(name);
            let expected = Letter {
                row_number,
                byte_offset,
                reason: "not_utf8: field 2 is not UTF-8".into(),
                row_bytes: raw.len() as u64,
                raw: expected.to_vec(),
                is_whole,
            };
            assert!(read == expected, "{name}: {} bytes, {:?}", value.len(), read.is_whole);
        }
    }

    #[test]
    fn what_is_no_dead_letter() {
        for value in [
            "",
            "{}",
            "[1]",
            r#"{"row":1,"byte_offset":2,"reason":"r","row_bytes":3}"#,
            r#"{"row":"1","byte_offset":2,"reason":"r","row_bytes":3,"raw":"a"}"#,
            r#"{"row":1,"byte_offset":2,"reason":"r","row_bytes":3,"raw":"abcd"}"#,
            r#"{"row":1,"byte_offset":2,"reason":"r","row_bytes":3,"raw_base64":"?"}"#,
        ] {
            assert_eq!(Letter::parse(value.as_bytes(), 900), None, "{value}");
        }
    }
}
