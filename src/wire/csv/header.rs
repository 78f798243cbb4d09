//! From the first bytes of a source to the names of its columns, or why there are none.
//!
//! ```text
//! EF BB BF  ⏎⏎  id,name,price ⏎  1,…
//! ├────────────────────────────┤
//!         header_bytes           the first row begins here; with CSV_HEADER=none after the
//!                                byte order mark
//! ```

use super::{Dialect, Parser, Row, Step};
use crate::limits::COLUMNS_MAX;
use crate::settings::{self, Csv};
use crate::stop::BadRow;
use std::fmt;

/// The names that a record's own two members have.
pub const RESERVED_NAMES: [&str; 2] = ["_source_line", "_source_file"];
/// First bytes that say what a source is instead of a CSV.
const SNIFF_BYTES: usize = 64;
/// How much of a name a message shows.
const SHOWN_CHARS_MAX: usize = 60;
const NAME_ALL: &str =
    "give all columns names of their own with CSV_COLUMNS (comma-separated, in order)";
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// At least one, each unique.
    pub columns: Vec<String>,
    /// Where the rows begin.
    pub header_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderProblem {
    Empty,
    /// gzip, zip, Parquet, …
    Format {
        name: &'static str,
        advice: &'static str,
    },
    Utf16,
    NulInHeader {
        column_index: usize,
    },
    NotUtf8 {
        column_index: usize,
    },
    TooLong {
        bytes_max: usize,
    },
    OpenQuote,
    TooManyColumns {
        count_max: usize,
    },
    LikelyDelimiter {
        delimiter: u8,
        columns: usize,
    },
    ColumnsCount {
        header: usize,
        setting: usize,
    },
    EmptyName {
        column_index: usize,
    },
    ReservedName {
        name: &'static str,
    },
    DuplicateName {
        name: String,
        first_index: usize,
        second_index: usize,
    },
}

/// Reads the header from `input`, the source's bytes from its first on. `None`: append bytes
/// and call again; never more than `row_bytes_max` + 1 are needed. `row` is scratch space, with
/// room for [`COLUMNS_MAX`] fields.
///
/// A resumed run calls it with the first `header_bytes` bytes alone, `at_end`; with
/// `CSV_HEADER=none` it needs nothing but `csv.columns`.
pub fn read(
    input: &[u8],
    at_end: bool,
    csv: &Csv,
    row: &mut Row,
) -> Result<Option<Header>, HeaderProblem> {
    let dialect = Dialect { delimiter: csv.delimiter, quote: csv.quote };
    read_with(&mut Parser::new(dialect, csv.row_bytes_max, None), input, at_end, csv, row)
}

/// The same with a parser for `csv` that is new or reset.
pub fn read_with(
    parser: &mut Parser,
    input: &[u8],
    at_end: bool,
    csv: &Csv,
    row: &mut Row,
) -> Result<Option<Header>, HeaderProblem> {
    if input.len() < SNIFF_BYTES && !at_end {
        return Ok(None);
    }
    refuse_other_formats(input)?;
    let mark_bytes = if input.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut next = mark_bytes;
    let step = loop {
        match parser.step(&input[next..], at_end, row) {
            Step::Blank(blank_bytes) => next += blank_bytes,
            step => break step,
        }
    };
    if csv.header == settings::Header::None && step != Step::End {
        assert!(!csv.columns.is_empty(), "the settings admit no rows without names");
        return Ok(Some(Header { columns: csv.columns.clone(), header_bytes: mark_bytes }));
    }
    let too_long = HeaderProblem::TooLong { bytes_max: csv.row_bytes_max };
    let (row_bytes, why) = match step {
        Step::Row { row_bytes } => (row_bytes, None),
        Step::Bad { row_bytes, why } => (row_bytes, Some(why)),
        // Blank lines count too, so that the caller's buffer is large enough.
        Step::NeedInput if input.len() <= csv.row_bytes_max => return Ok(None),
        Step::NeedInput | Step::TooLong => return Err(too_long),
        Step::OpenQuote => return Err(HeaderProblem::OpenQuote),
        Step::Blank(_) | Step::End => return Err(HeaderProblem::Empty),
    };
    let columns = names_of(row, why.as_ref(), csv)?;
    Ok(Some(Header { columns, header_bytes: next + row_bytes }))
}

fn names_of(row: &Row, why: Option<&BadRow>, csv: &Csv) -> Result<Vec<String>, HeaderProblem> {
    if matches!(why, Some(BadRow::TooManyFields { .. })) || row.field_count() > COLUMNS_MAX {
        return Err(HeaderProblem::TooManyColumns { count_max: COLUMNS_MAX });
    }
    if let Some(column_index) = row.fields().position(|field| field.contains(&0)) {
        return Err(HeaderProblem::NulInHeader { column_index });
    }
    if let Some((delimiter, columns)) = likely_delimiter(row, csv) {
        return Err(HeaderProblem::LikelyDelimiter { delimiter, columns });
    }
    if !csv.columns.is_empty() {
        // They replace the header's names, so those may be as they like.
        if csv.columns.len() != row.field_count() {
            let (header, setting) = (row.field_count(), csv.columns.len());
            return Err(HeaderProblem::ColumnsCount { header, setting });
        }
        return Ok(csv.columns.clone());
    }
    let mut columns = Vec::with_capacity(row.field_count());
    for (column_index, field) in row.fields().enumerate() {
        match std::str::from_utf8(field) {
            Ok(name) => columns.push(name.to_owned()),
            Err(_) => return Err(HeaderProblem::NotUtf8 { column_index }),
        }
    }
    check_names(&columns)?;
    Ok(columns)
}

fn check_names(columns: &[String]) -> Result<(), HeaderProblem> {
    let mut seen = std::collections::HashMap::with_capacity(columns.len());
    for (column_index, name) in columns.iter().enumerate() {
        if name.is_empty() {
            return Err(HeaderProblem::EmptyName { column_index });
        }
        if let Some(name) = RESERVED_NAMES.into_iter().find(|reserved| reserved == name) {
            return Err(HeaderProblem::ReservedName { name });
        }
        if let Some(first_index) = seen.insert(name, column_index) {
            let name = name.clone();
            let second_index = column_index;
            return Err(HeaderProblem::DuplicateName { name, first_index, second_index });
        }
    }
    Ok(())
}

/// A header of one column that another delimiter would split, and into how many columns.
fn likely_delimiter(row: &Row, csv: &Csv) -> Option<(u8, usize)> {
    let only = row.field(0).filter(|_| row.field_count() == 1 && !csv.delimiter_given)?;
    let mut best = (b',', 1);
    for delimiter in [b';', b'\t', b'|'] {
        let columns = only.split(|&byte| byte == delimiter).count();
        if columns > best.1 {
            best = (delimiter, columns);
        }
    }
    (best.1 > 1).then_some(best)
}

fn refuse_other_formats(input: &[u8]) -> Result<(), HeaderProblem> {
    const UNPACK: &str = "unpack it first and load the CSV inside";
    const EXPORT: &str = "export it as CSV first";
    const MAGIC: [(&[u8], &str, &str); 7] = [
        (b"\x1f\x8b", "gzip", UNPACK),
        (b"\x28\xb5\x2f\xfd", "zstd", UNPACK),
        (b"\xfd7zXZ\x00", "xz", UNPACK),
        (b"BZh91AY&SY", "bzip2", UNPACK),
        (b"Obj\x01", "Avro", EXPORT),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (xls)", EXPORT),
        (b"PK\x05\x06", "an empty zip archive", UNPACK),
    ];
    if input.starts_with(b"\xff\xfe") || input.starts_with(b"\xfe\xff") {
        return Err(HeaderProblem::Utf16);
    }
    if input.starts_with(b"PK\x03\x04") {
        // The first entry's name comes after a header of 30 bytes.
        let entry = input.get(30..).unwrap_or_default();
        let is_xlsx = [&b"[Content_Types].xml"[..], b"_rels/", b"xl/", b"docProps/"]
            .into_iter()
            .any(|name| entry.starts_with(name));
        let (name, advice) =
            if is_xlsx { ("an Excel workbook (xlsx)", EXPORT) } else { ("zip", UNPACK) };
        return Err(HeaderProblem::Format { name, advice });
    }
    // "PAR1" may well be a column; then a delimiter or a line end follows, or more of the name.
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e);
    if input.starts_with(b"PAR1") && !input.get(4).is_none_or(is_text) {
        return Err(HeaderProblem::Format { name: "Parquet", advice: EXPORT });
    }
    match MAGIC.into_iter().find(|(magic, _, _)| input.starts_with(magic)) {
        Some((_, name, advice)) => Err(HeaderProblem::Format { name, advice }),
        None => Ok(()),
    }
}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderProblem::Empty => f.write_str(
                "it is empty, not even a header is there: was the export cut off, or is this the wrong key?",
            ),
            HeaderProblem::Format { name, advice } => {
                write!(f, "by its first bytes this is {name}, not CSV: {advice}")
            }
            HeaderProblem::Utf16 => {
                f.write_str("by its first bytes this is UTF-16: save it as UTF-8 (for example with iconv -f UTF-16 -t UTF-8)")
            }
            HeaderProblem::NulInHeader { column_index } => write!(
                f,
                "column {} of the header holds a NUL byte: this is a binary file, or UTF-16, which must be saved as UTF-8 first",
                column_index + 1
            ),
            HeaderProblem::NotUtf8 { column_index } => write!(
                f,
                "the name of column {} is not UTF-8: save the file as UTF-8 (for example with iconv -f LATIN1 -t UTF-8), or, if the rows are UTF-8, name all columns with CSV_COLUMNS",
                column_index + 1
            ),
            HeaderProblem::TooLong { bytes_max } => write!(
                f,
                "no header ends within its first {bytes_max} bytes (ROW_BYTES_MAX): a quote that is never closed, or not a CSV. Without a header, set CSV_HEADER=none and CSV_COLUMNS"
            ),
            HeaderProblem::OpenQuote => f.write_str(
                "the header has a quote that is still open at the end of the file: close it, or set CSV_QUOTE (none: quotes are values)",
            ),
            HeaderProblem::TooManyColumns { count_max } => {
                write!(f, "the header has more than {count_max} columns: is CSV_DELIMITER right?")
            }
            HeaderProblem::LikelyDelimiter { delimiter, columns } => {
                let (shown, value) = match delimiter {
                    b'\t' => ("a tab", "tab"),
                    b'|' => ("a bar", "'|'"),
                    _ => ("a semicolon", "';'"),
                };
                write!(
                    f,
                    "its header is one column, which {shown} would split into {columns}: set CSV_DELIMITER={value}, or CSV_DELIMITER=',' if it really is one column"
                )
            }
            HeaderProblem::ColumnsCount { header, setting } => write!(
                f,
                "CSV_COLUMNS gives {setting} names, the header has {header}: name every column, or correct CSV_DELIMITER"
            ),
            HeaderProblem::EmptyName { column_index } => {
                write!(f, "column {} has no name: {NAME_ALL}", column_index + 1)
            }
            HeaderProblem::ReservedName { name } => write!(
                f,
                "a column is named {name}, which each record has of its own: {NAME_ALL}"
            ),
            HeaderProblem::DuplicateName { name, first_index, second_index } => {
                let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
                let cut = if shown.len() < name.len() { "…" } else { "" };
                write!(
                    f,
                    "columns {} and {} have one name, {shown:?}{cut}: {NAME_ALL}",
                    first_index + 1,
                    second_index + 1
                )
            }
        }
    }
}

/// Appends the header of a file with these columns, line end included.
pub fn write(columns: &[String], dialect: Dialect, out: &mut Vec<u8>) {
    for (index, name) in columns.iter().enumerate() {
        if index > 0 {
            out.push(dialect.delimiter);
        }
        match dialect.quote {
            Some(quote) if needs_quotes(name, dialect.delimiter, quote) => {
                out.push(quote);
                for byte in name.bytes() {
                    let times = if byte == quote { 2 } else { 1 };
                    out.extend(std::iter::repeat_n(byte, times));
                }
                out.push(quote);
            }
            _ => out.extend_from_slice(name.as_bytes()),
        }
    }
    out.push(b'\n');
}

fn needs_quotes(name: &str, delimiter: u8, quote: u8) -> bool {
    let is_special = |byte: u8| byte == delimiter || byte == quote || b"\r\n".contains(&byte);
    // A mark at the beginning of a file is none of its first name.
    name.starts_with('\u{feff}') || name.bytes().any(is_special)
}
