//! On any row: what `serde_json` writes, to the byte, and reads back. Dead letters hold what
//! they must and never outgrow their limit.

use super::dead_letter::{self, DeadLetter};
use super::{RowTemplate, base64, json, write_number};
use crate::limits::DEAD_LETTER_RAW_BYTES_MAX;
use crate::stop::BadRow;
use crate::wire::csv::{Dialect, Parser, Row, Step};
use proptest::prelude::*;
use serde_json::Value;

const SOURCE: &str = "s3://bucket/a \"key\" \\ with\ttab";

/// The fields as one row of the parser's, by whichever path the text takes.
fn row_of(fields: &[String], delimiter: u8) -> Row {
    let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(fields).unwrap();
    let mut input = writer.into_inner().unwrap();
    // So that the fast path finds the line's end in a whole block.
    input.extend_from_slice(b"the row after it");
    let mut row = Row::with_capacity(input.len(), fields.len());
    let dialect = Dialect { delimiter, quote: Some(b'"') };
    let step = Parser::new(dialect, input.len(), Some(fields.len())).step(&input, true, &mut row);
    assert_eq!(step, Step::Row { row_bytes: input.len() - 16 });
    row
}

fn expected(columns: &[String], fields: &[String], row_number: u64) -> String {
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let mut members: Vec<_> = columns
        .iter()
        .zip(fields)
        .map(|(column, field)| format!("{}:{}", json(column), json(field)))
        .collect();
    members.push(format!("\"_source_line\":{row_number}"));
    members.push(format!("\"_source_file\":{}", json(SOURCE)));
    format!("{{{}}}", members.join(","))
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ]{0,40}",
        "[a-zé漢\u{1f600}]{0,20}",
        proptest::collection::vec(any::<char>(), 0..20).prop_map(|chars| chars.iter().collect()),
        "[\\x00-\\x7f]{0,20}",
    ]
}

fn records() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec((texts(), texts()), 1..12)
}

/// Those that the fast path takes and that have nothing to escape.
fn plain_records() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(("[a-zé]{1,40}", "[a-z0-9é. ]{1,70}"), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_is_what_serde_json_writes(
        record in prop_oneof![records(), plain_records()],
        delimiter in proptest::sample::select(b",;\t|\\\x01".to_vec()),
        row_number: u64,
    ) {
        let (columns, fields): (Vec<_>, Vec<_>) = record.into_iter().unzip();
        let mut out = b"before".to_vec();
        RowTemplate::new(&columns, SOURCE).write(&row_of(&fields, delimiter), row_number, &mut out);
        let out = String::from_utf8(out).unwrap();
        let json = out.strip_prefix("before").unwrap();
        prop_assert_eq!(json, expected(&columns, &fields, row_number));
        // Read back, each value is there (a column that is named twice keeps the last).
        let read: Value = serde_json::from_str(json).unwrap();
        prop_assert_eq!(&read["_source_line"], &Value::from(row_number));
        prop_assert_eq!(&read["_source_file"], &Value::from(SOURCE));
        for (index, column) in columns.iter().enumerate() {
            if !columns[index + 1..].contains(column) {
                prop_assert_eq!(&read[column.as_str()], &Value::from(fields[index].as_str()));
            }
        }
    }

    #[test]
    fn a_string_is_what_serde_json_writes(text: String) {
        let mut out = Vec::new();
        json::write_string(text.as_bytes(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn a_number_is_what_serde_json_writes(number: u64) {
        let mut out = Vec::new();
        write_number(number, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }

    /// Complete where there is room, else as much as fits, and the same each time.
    #[test]
    fn a_dead_letter_stays_within_its_limit(
        raw in prop_oneof![
            texts().prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..80),
        ],
        record_bytes_max in 0..700_usize,
    ) {
        let (whole, _) = letter(&raw, 10_000).unwrap();
        let text = std::str::from_utf8(without_line_end(&raw)).ok();
        let member = if text.is_some() { "raw" } else { "raw_base64" };
        let all = match text {
            Some(text) => text.to_owned(),
            None => encoded(without_line_end(&raw)),
        };
        prop_assert_eq!(&whole[member], &Value::from(all.as_str()));
        prop_assert_eq!(&whole["row_bytes"], &Value::from(raw.len()));

        if let Some((cut, bytes)) = letter(&raw, record_bytes_max) {
            prop_assert!(bytes <= record_bytes_max);
            let part = cut[member].as_str().unwrap();
            // Nothing was left out that had room: a character, or a group of base64.
            if part != all {
                prop_assert!(all.starts_with(part.trim_end_matches('=')));
                prop_assert!(bytes + 6 > record_bytes_max);
            }
        } else {
            let overhead = letter(b"", 10_000).unwrap().1;
            prop_assert!(record_bytes_max < overhead + 10);
        }
    }
}

#[test]
fn numbers_at_the_ends() {
    for number in [0, 9, 10, 99, 100, u64::MAX] {
        let mut out = Vec::new();
        write_number(number, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }
}

#[test]
fn dead_letters() {
    let short = BadRow::FieldCount { expected: 3, found: 2 };
    let many = BadRow::TooManyFields { expected: 3 };
    let latin = BadRow::NotUtf8 { column_index: 1 };
    let large = BadRow::RecordTooLarge { bytes: 9, bytes_max: 8 };
    let table: &[(&BadRow, &[u8], &str)] = &[
        (
            &short,
            b"7,a\n",
            r#""reason":"too_few_fields: 2 fields, the header has 3","source":"f","row_bytes":4,"raw":"7,a"}"#,
        ),
        (
            &short,
            "7,Zoë\r\n".as_bytes(),
            r#""reason":"too_few_fields: 2 fields, the header has 3","source":"f","row_bytes":8,"raw":"7,Zoë"}"#,
        ),
        (
            &many,
            b"\"7\n\",,,\r",
            r#""reason":"too_many_fields: more than the 3 fields of the header","source":"f","row_bytes":8,"raw":"\"7\n\",,,"}"#,
        ),
        (
            &latin,
            b"7,Zo\xeb",
            r#""reason":"not_utf8: field 2 is not UTF-8","source":"f","row_bytes":5,"raw_base64":"Nyxab+s="}"#,
        ),
        (
            &large,
            b"7,\n",
            r#""reason":"record_too_large: its record has 9 bytes, the topic's max.message.bytes leaves 8","source":"f","row_bytes":3,"raw":"7,"}"#,
        ),
    ];
    for (why, raw, expected) in table {
        let letter = DeadLetter { row_number: 5, byte_offset: 180, why, source: "f", raw };
        let mut out = Vec::new();
        assert!(dead_letter::write(&letter, 10_000, &mut out));
        let expected = format!("{{\"row\":5,\"byte_offset\":180,{expected}");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

/// A long row is cut after 256 KiB, between two characters.
#[test]
fn a_long_row_is_cut() {
    let text = "é".repeat(DEAD_LETTER_RAW_BYTES_MAX);
    let odd = format!("a{text}");
    let mut latin = text.clone().into_bytes();
    latin.push(0xff);
    let table = [
        (text.as_bytes(), "raw", DEAD_LETTER_RAW_BYTES_MAX),
        (odd.as_bytes(), "raw", DEAD_LETTER_RAW_BYTES_MAX - 1),
        (&latin, "raw_base64", DEAD_LETTER_RAW_BYTES_MAX.div_ceil(3) * 4),
    ];
    for (raw, member, expected) in table {
        let (letter, _) = letter(raw, 1024 * 1024).unwrap();
        assert_eq!(letter[member].as_str().unwrap().len(), expected, "{member}");
        assert_eq!(letter["row_bytes"], raw.len());
    }
}

/// The dead letter and its length.
fn letter(raw: &[u8], record_bytes_max: usize) -> Option<(Value, usize)> {
    let why = BadRow::FieldCount { expected: 3, found: 2 };
    let letter = DeadLetter { row_number: 7, byte_offset: 180, why: &why, source: SOURCE, raw };
    let mut out = b"before".to_vec();
    if !dead_letter::write(&letter, record_bytes_max, &mut out) {
        assert_eq!(out, b"before");
        return None;
    }
    let mut again = b"before".to_vec();
    assert!(dead_letter::write(&letter, record_bytes_max, &mut again));
    assert_eq!(out, again);
    let json = out.strip_prefix(b"before").unwrap();
    Some((serde_json::from_slice(json).unwrap(), json.len()))
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64::write(bytes, &mut out);
    String::from_utf8(out).unwrap()
}

fn without_line_end(raw: &[u8]) -> &[u8] {
    let end = match raw {
        [.., b'\r', b'\n'] => 2,
        [.., b'\r' | b'\n'] => 1,
        _ => 0,
    };
    &raw[..raw.len() - end]
}
