//! Where a record says that it comes from: `"_source_line":7,"_source_file":"s3://b/k"`, and a
//! dead letter: `"row":7,"source":"s3://b/k"`.

use memchr::memmem;
use serde_json::Value;

/// The row number of a record of this source; `None` for any other value.
pub fn source_line(value: &[u8], source: &str) -> Option<u64> {
    row_of(value, source, "_source_file", "_source_line")
}

/// The row number of a dead letter of this source; `None` for any other value.
pub fn dead_letter_row(value: &[u8], source: &str) -> Option<u64> {
    row_of(value, source, "source", "row")
}

fn row_of(value: &[u8], source: &str, source_name: &str, row_name: &str) -> Option<u64> {
    // Most values of other programs end here, unparsed.
    memmem::find(value, source_name.as_bytes())?;
    let record: Value = serde_json::from_slice(value).ok()?;
    if record.get(source_name)?.as_str()? != source {
        return None;
    }
    match record.get(row_name)? {
        Value::Number(line) => line.as_u64(),
        Value::String(line) => line.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_the_source_have_a_line() {
        let cases: [(&str, Option<u64>); 7] = [
            (r#"{"a":"1","_source_line":7,"_source_file":"s3://b/k"}"#, Some(7)),
            (r#"{"_source_file": "s3://b/k", "_source_line": 12, "a": "x"}"#, Some(12)),
            (r#"{"_source_line":"9","_source_file":"s3://b/k"}"#, Some(9)),
            (r#"{"_source_line":7,"_source_file":"s3://b/other"}"#, None),
            (r#"{"a":"_source_file"}"#, None),
            (r#"{"_source_file":"s3://b/k","_source_line":"#, None),
            ("plain text", None),
        ];
        for (value, line) in cases {
            assert_eq!(source_line(value.as_bytes(), "s3://b/k"), line, "{value}");
        }
        let letter = br#"{"row":7,"byte_offset":180,"source":"s3://b/k","raw":"x"}"#;
        assert_eq!(dead_letter_row(letter, "s3://b/k"), Some(7));
        assert_eq!(dead_letter_row(letter, "s3://b/other"), None);
    }
}
