//! Where a record says that it comes from: `"_source_line":7,"_source_file":"s3://b/k"`.

use memchr::memmem;
use serde_json::Value;

/// The row number of a record of this source; `None` for any other value.
pub fn source_line(value: &[u8], source: &str) -> Option<u64> {
    // Most values of other programs end here, unparsed.
    memmem::find(value, b"_source_file")?;
    let record: Value = serde_json::from_slice(value).ok()?;
    if record.get("_source_file")?.as_str()? != source {
        return None;
    }
    match record.get("_source_line")? {
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
    }
}
