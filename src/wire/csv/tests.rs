//! One case a line: what each input is read as, to the byte.

use super::header::{self, Header, HeaderProblem};
use super::*;
use crate::settings::{self, Csv};

const COMMA: Dialect = Dialect { delimiter: b',', quote: Some(b'"') };
const ROW_BYTES_MAX: usize = 16;

/// Steps through all of `input`, handed over at once: `offset+bytes [field|field]`, and
/// `offset+bytes why` or `offset why` for what is no row.
pub(super) fn told(input: &[u8], dialect: Dialect, columns: Option<usize>) -> Vec<String> {
    let mut parser = Parser::new(dialect, ROW_BYTES_MAX, columns);
    let mut row = Row::with_capacity(ROW_BYTES_MAX, 3);
    let mut told = Vec::new();
    let mut at = 0;
    loop {
        match parser.step(&input[at..], true, &mut row) {
            Step::NeedInput => panic!("all of it is there"),
            Step::Blank(blank_bytes) => at += blank_bytes,
            Step::Row { row_bytes } => {
                let fields: Vec<_> = row.fields().map(String::from_utf8_lossy).collect();
                told.push(format!("{at}+{row_bytes} [{}]", fields.join("|")));
                at += row_bytes;
            }
            Step::Bad { row_bytes, why } => {
                told.push(format!("{at}+{row_bytes} {why}"));
                at += row_bytes;
            }
            Step::End => {
                assert_eq!(at, input.len(), "every byte is told of");
                return told;
            }
            end @ (Step::TooLong | Step::OpenQuote) => {
                told.push(format!("{at} {end:?}"));
                return told;
            }
        }
    }
}

#[test]
fn rows_of_two_columns() {
    let table: &[(&str, &[u8], &[&str])] = &[
        ("nothing", b"", &[]),
        ("LF", b"a,b\nc,d\n", &["0+4 [a|b]", "4+4 [c|d]"]),
        ("CRLF", b"a,b\r\nc,d\r\n", &["0+5 [a|b]", "5+5 [c|d]"]),
        ("CR alone", b"a,b\rc,d\r", &["0+4 [a|b]", "4+4 [c|d]"]),
        ("no line end at the end", b"a,b\nc,d", &["0+4 [a|b]", "4+3 [c|d]"]),
        ("no line end, empty last field", b"a,b\nc,", &["0+4 [a|b]", "4+2 [c|]"]),
        ("empty fields", b",\n\"\",\"\"\n", &["0+2 [|]", "2+6 [|]"]),
        ("blank lines", b"\n\r\na,b\n\n\r\r\nc,d\n\n", &["3+4 [a|b]", "11+4 [c|d]"]),
        ("a space is no blank line", b" \n", &["0+2 1 fields, the header has 2"]),
        ("only blank lines", b"\r\n\n\r", &[]),
        ("quoted comma", b"\"a,b\",c\n", &["0+8 [a,b|c]"]),
        ("quoted LF", b"\"a\nb\",c\nd,e\n", &["0+8 [a\nb|c]", "8+4 [d|e]"]),
        ("quoted CRLF", b"\"a\r\nb\",c\r\nd,e", &["0+10 [a\r\nb|c]", "10+3 [d|e]"]),
        ("quoted CR", b"\"a\rb\",c\r", &["0+8 [a\rb|c]"]),
        ("doubled quote", b"\"a\"\"b\",c\n", &["0+9 [a\"b|c]"]),
        ("only doubled quotes", b"\"\"\"\",c\n", &["0+7 [\"|c]"]),
        ("quote in an unquoted field", b"a\"b,c\"\n", &["0+7 [a\"b|c\"]"]),
        ("text after a closing quote", b"\"a\"b,c\n", &["0+7 [ab|c]"]),
        ("space before a quote", b" \"a\",b\n", &["0+7 [ \"a\"|b]"]),
        ("NUL", b"a\0,b\n", &["0+5 [a\0|b]"]),
        ("mark at the beginning is a value", b"\xef\xbb\xbfa,b\n", &["0+7 [\u{feff}a|b]"]),
        ("mark before a quote", b"\xef\xbb\xbf\"a\",b\n", &["0+9 [\u{feff}\"a\"|b]"]),
        ("too short", b"a\nc,d\n", &["0+2 1 fields, the header has 2", "2+4 [c|d]"]),
        ("too long", b"a,b,c\nd,e\n", &["0+6 more than the 2 fields of the header", "6+4 [d|e]"]),
        (
            "far too long",
            b",,,,,,,,,,,,,,\r\nd,e\n",
            &["0+16 more than the 2 fields of the header", "16+4 [d|e]"],
        ),
        ("one empty field more", b"a,b,\n", &["0+5 more than the 2 fields of the header"]),
        ("the same at the end", b"a,b,", &["0+4 more than the 2 fields of the header"]),
        ("quoted, one more", b"\"a\",b,\"c\"", &["0+9 more than the 2 fields of the header"]),
        ("not UTF-8", b"a,\xff\nc,d\n", &["0+4 field 2 is not UTF-8", "4+4 [c|d]"]),
        ("a character cut by the comma", b"\xc3,\xa9\n", &["0+4 field 1 is not UTF-8"]),
        ("the same, quoted", b"\"\xc3\",\xa9\n", &["0+6 field 1 is not UTF-8"]),
        ("the count comes before the encoding", b"\xff\n", &["0+2 1 fields, the header has 2"]),
        ("characters", "é,漢\n".as_bytes(), &["0+7 [é|漢]"]),
        ("as long as may be", b"1234567,9012345\n", &["0+16 [1234567|9012345]"]),
        ("the same at the end", b"1234567,90123456", &["0+16 [1234567|90123456]"]),
        ("the same with CRLF", b"1234567,901234\r\n", &["0+16 [1234567|901234]"]),
        ("the same with CR", b"1234567,9012345\r", &["0+16 [1234567|9012345]"]),
        ("the same, quoted", b"\"123456\",\"12345\"", &["0+16 [123456|12345]"]),
        ("one byte over", b"1234567,90123456\n", &["0 TooLong"]),
        ("one byte over at the end", b"1234567,901234567", &["0 TooLong"]),
        ("one byte over with CRLF", b"1234567,9012345\r\n", &["0 TooLong"]),
        ("over, quoted", b"a,b\n\"123456,890123456,", &["0+4 [a|b]", "4 TooLong"]),
        (
            "blank lines are no part of a row",
            b"\n\n\n1234567,9012345\n",
            &["3+16 [1234567|9012345]"],
        ),
        ("open quote", b"a,b\n\"c,d\n", &["0+4 [a|b]", "4 OpenQuote"]),
        ("open quote, nothing in it", b"a,\"", &["0 OpenQuote"]),
        ("open quote after a doubled one", b"a,\"\"\"", &["0 OpenQuote"]),
        ("open quote in a field too many", b"a,b,\"c", &["0 OpenQuote"]),
        ("closed at the end", b"a,\"b\"", &["0+5 [a|b]"]),
    ];
    for (name, input, expected) in table {
        assert_eq!(told(input, COMMA, Some(2)), *expected, "{name}");
    }
}

#[test]
fn dialects() {
    let dialect = |delimiter, quote| Dialect { delimiter, quote };
    let table: &[(&str, Dialect, &[u8], &[&str])] = &[
        ("tab", dialect(b'\t', Some(b'"')), b"a,b\tc\n", &["0+6 [a,b|c]"]),
        ("semicolon", dialect(b';', Some(b'"')), b"1,5;\"a;b\"\n", &["0+10 [1,5|a;b]"]),
        ("no quotes", dialect(b',', None), b"\"a,b\"\n", &["0+6 [\"a|b\"]"]),
        ("no quotes, none open", dialect(b',', None), b"\"a,b", &["0+4 [\"a|b]"]),
        ("apostrophe", dialect(b',', Some(b'\'')), b"'a,b','''\"'\n", &["0+12 [a,b|'\"]"]),
        ("NUL between fields", dialect(0, Some(b'"')), b"a\0b", &["0+3 [a|b]"]),
    ];
    for (name, dialect, input, expected) in table {
        assert_eq!(told(input, *dialect, Some(2)), *expected, "{name}");
    }
    assert!(!dialect(b'"', Some(b'"')).is_valid());
    assert!(!dialect(b'\n', None).is_valid());
    assert!(!dialect(b',', Some(b'\r')).is_valid());
    assert!(!dialect(0xa7, None).is_valid());
}

/// Without a count, the buffer of ends is the limit.
/// Every byte at every place of a step, in a line that csv-core does not see.
#[test]
fn what_a_plain_line_holds() {
    let mut parser = Parser::new(COMMA, 100, None);
    let mut row = Row::with_capacity(100, 9);
    for byte in (0..=255).filter(|byte| !b",\"\r\n".contains(byte)) {
        for place in 0..33 {
            let mut line = b"a plain line, which has two commas, and another after it".to_vec();
            line[place] = byte;
            line[33] = b'\n';
            assert_eq!(parser.plain.split(&line, 9, &mut row), Some(34), "{byte} at {place}");
            let found = (row.has_escapes, row.is_ascii, row.field(0).map(<[u8]>::len));
            let first = if place == 12 { 33 } else { 12 };
            assert_eq!(
                found,
                (json::is_escaped(byte), byte.is_ascii(), Some(first)),
                "{byte} at {place}"
            );
        }
    }
    assert_eq!(
        parser.step(b"x\n and a block of bytes", true, &mut row),
        Step::Row { row_bytes: 2 }
    );
}

#[test]
fn more_fields_than_the_row_has_room_for() {
    assert_eq!(told(b"a,b,c\n", COMMA, None), ["0+6 [a|b|c]"]);
    assert_eq!(told(b"a,b,c,d\n", COMMA, None), ["0+8 more than the 3 fields of the header"]);
}

/// An LF that comes late is the CR's, and no byte of it is told of twice.
#[test]
fn crlf_in_two_inputs() {
    for input in [&b"a,b\r\nc,d"[..], b"\"a\",b\r\nc,d"] {
        let mut parser = Parser::new(COMMA, ROW_BYTES_MAX, Some(2));
        let mut row = Row::with_capacity(ROW_BYTES_MAX, 2);
        let lf = input.iter().position(|&byte| byte == b'\n').unwrap();
        assert_eq!(parser.step(&input[..lf], false, &mut row), Step::NeedInput);
        assert_eq!(parser.step(&input[..lf], false, &mut row), Step::NeedInput);
        let row_bytes = lf + 1;
        assert_eq!(parser.step(&input[..=lf], false, &mut row), Step::Row { row_bytes });
        assert_eq!(row.fields().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(parser.step(&input[row_bytes..], false, &mut row), Step::NeedInput);
        assert_eq!(parser.step(&input[row_bytes..], true, &mut row), Step::Row { row_bytes: 3 });
    }
}

/// `row_bytes_max` + 1 bytes decide about every row, at the end of the input or not.
#[test]
fn a_row_never_needs_more_than_one_byte_over_its_limit() {
    for input in [&b"1234567,90123456\n"[..], b"\"23456\",90123456,", b"1234567,9012345\r\n"] {
        let mut parser = Parser::new(COMMA, ROW_BYTES_MAX, Some(2));
        let mut row = Row::with_capacity(ROW_BYTES_MAX, 2);
        assert_eq!(parser.step(&input[..ROW_BYTES_MAX], false, &mut row), Step::NeedInput);
        assert_eq!(parser.step(input, false, &mut row), Step::TooLong);
    }
}

// --- Header -----------------------------------------------------------------------------

const RULES: Csv = Csv {
    delimiter: b',',
    delimiter_given: false,
    quote: Some(b'"'),
    header: settings::Header::First,
    columns: Vec::new(),
    row_bytes_max: 64,
};

fn read(input: &[u8], rules: &Csv) -> Result<Header, HeaderProblem> {
    let mut row = Row::with_capacity(rules.row_bytes_max, 8);
    let header = header::read(input, true, rules, &mut row)?;
    Ok(header.expect("all of it is there"))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn headers() {
    let table: &[(&str, &[u8], &[&str], usize)] = &[
        ("plain", b"id,name\n1,a\n", &["id", "name"], 8),
        ("CRLF", b"id,name\r\n1,a\r\n", &["id", "name"], 9),
        ("no row after it", b"id,name", &["id", "name"], 7),
        ("one column", b"id\n1\n", &["id"], 3),
        ("byte order mark", b"\xef\xbb\xbfid,name\n", &["id", "name"], 11),
        ("mark and quotes", b"\xef\xbb\xbf\"id\",name\n", &["id", "name"], 13),
        ("one mark only", b"\xef\xbb\xbf\xef\xbb\xbfid\n", &["\u{feff}id"], 9),
        ("blank lines before it", b"\r\n\nid,name\n", &["id", "name"], 11),
        ("quoted", b"\"a,b\",\"c\nd\"\n1,2\n", &["a,b", "c\nd"], 12),
        ("spaces are names", b" a, ,b\n", &[" a", " ", "b"], 7),
        ("names that differ in case", b"ID,id\n", &["ID", "id"], 6),
        ("a column called PAR1", b"PAR1,b\n", &["PAR1", "b"], 7),
        ("a semicolon among commas", b"a;b,c\n", &["a;b", "c"], 6),
    ];
    for (name, input, columns, header_bytes) in table {
        let expected = Header { columns: names(columns), header_bytes: *header_bytes };
        assert_eq!(read(input, &RULES), Ok(expected.clone()), "{name}");
        // A resumed run has these bytes and no more.
        assert_eq!(read(&input[..*header_bytes], &RULES), Ok(expected), "{name}, resumed");
        let mut written = Vec::new();
        header::write(&names(columns), COMMA, &mut written);
        let header_bytes = written.len();
        let expected = Header { columns: names(columns), header_bytes };
        assert_eq!(read(&written, &RULES), Ok(expected), "{name}, written again");
    }
}

/// Its name, input, settings; the columns and the header's length.
type Case<'a> = (&'a str, &'a [u8], &'a Csv, &'a [&'a str], usize);

#[test]
fn settings_about_headers() {
    let renamed = Csv { columns: names(&["x", "y"]), ..RULES };
    let none = Csv { header: settings::Header::None, ..renamed.clone() };
    let comma = Csv { delimiter_given: true, ..RULES };
    let table: &[Case<'_>] = &[
        ("renamed", b"id,name\n1,a\n", &renamed, &["x", "y"], 8),
        ("replaced: no names", b",\n", &renamed, &["x", "y"], 2),
        ("replaced: one name twice", b"a,a\n", &renamed, &["x", "y"], 4),
        ("replaced: reserved", b"a,_source_line\n", &renamed, &["x", "y"], 15),
        ("replaced: not UTF-8", b"a,\xe9\n", &renamed, &["x", "y"], 4),
        ("no header", b"1,a\n", &none, &["x", "y"], 0),
        ("no header, byte order mark", b"\xef\xbb\xbf1,a\n", &none, &["x", "y"], 3),
        ("one column, the delimiter is set", b"a;b\n", &comma, &["a;b"], 4),
    ];
    for (name, input, rules, columns, header_bytes) in table {
        let expected = Header { columns: names(columns), header_bytes: *header_bytes };
        assert_eq!(read(input, rules), Ok(expected), "{name}");
    }
}

/// What each message must say is in its third part.
#[test]
fn headers_that_are_refused() {
    let renamed = Csv { columns: names(&["x", "y"]), ..RULES };
    let none = Csv { header: settings::Header::None, ..renamed.clone() };
    let zip = |entry: &str| [b"PK\x03\x04", &[0; 26][..], entry.as_bytes()].concat();
    let (workbook, archive) = (zip("[Content_Types].xml"), zip("orders.csv"));
    let table: &[(&[u8], &Csv, &str)] = &[
        (b"", &RULES, "it is empty"),
        (b"", &none, "it is empty"),
        (b"\xef\xbb\xbf", &RULES, "it is empty"),
        (b"\n\r\n\n", &RULES, "it is empty"),
        (
            b"a,b,a\n",
            &RULES,
            "columns 1 and 3 have one name, \"a\": give all columns names of their own with CSV_COLUMNS",
        ),
        (
            b"a,,b\n",
            &RULES,
            "column 2 has no name: give all columns names of their own with CSV_COLUMNS",
        ),
        (b"a,b,\n", &RULES, "column 3 has no name"),
        (b"a,_source_line\n", &RULES, "a column is named _source_line"),
        (b"_source_file\n", &RULES, "with CSV_COLUMNS"),
        (b"a,\xff\n", &RULES, "the name of column 2 is not UTF-8"),
        (b"a,b\0\n", &RULES, "column 2 of the header holds a NUL byte"),
        (b"a\0,\0b\0\n", &renamed, "UTF-16"),
        (b"\xff\xfea\0,\0b\0\n\0", &RULES, "UTF-16"),
        (b"\xfe\xff\0a\0,\0b\0\n", &RULES, "UTF-16"),
        (b"a;b;c\n", &RULES, "split into 3: set CSV_DELIMITER=';'"),
        (b"a\tb\n", &RULES, "a tab would split into 2: set CSV_DELIMITER=tab"),
        (b"a|b;c|d\n", &RULES, "set CSV_DELIMITER='|'"),
        (b"a;b\n", &renamed, "set CSV_DELIMITER=';'"),
        (b"a,b,c\n", &renamed, "CSV_COLUMNS gives 2 names, the header has 3"),
        (b"\"a,b\n1,2\n", &RULES, "quote that is still open"),
        (b"a,b,c,d,e,f,g,h,i\n", &RULES, "columns: is CSV_DELIMITER right?"),
        (&[b'x'; 65], &RULES, "no header ends within its first 64 bytes"),
        (b"\x1f\x8b\x08\0", &RULES, "this is gzip"),
        (b"\x28\xb5\x2f\xfd\x04", &RULES, "this is zstd"),
        (b"\xfd7zXZ\0\0", &RULES, "this is xz"),
        (b"BZh91AY&SY", &RULES, "this is bzip2"),
        (b"PAR1\x15\x04", &RULES, "this is Parquet"),
        (&archive, &RULES, "this is zip"),
        (&workbook, &RULES, "this is an Excel workbook (xlsx)"),
        (b"\x1f\x8b\x08\0", &none, "this is gzip"),
    ];
    for (input, rules, expected) in table {
        let problem = read(input, rules).unwrap_err().to_string();
        assert!(problem.contains(expected), "{}: {problem}", input.escape_ascii());
        assert!(!problem.ends_with('.'), "the caller goes on: {problem}");
    }
    assert_eq!(
        read(b"a,a\n", &RULES),
        Err(HeaderProblem::DuplicateName { name: "a".into(), first_index: 0, second_index: 1 })
    );
}

/// It asks for more until the header is there, and at most for one byte over the limit.
#[test]
fn a_header_in_pieces() {
    let mut input = b"\xef\xbb\xbf\r\nid,\"na\nme\"\r\n".to_vec();
    let header_bytes = input.len();
    input.extend_from_slice(&[b'x'; 80]);
    let rules = Csv { row_bytes_max: 80, ..RULES };
    let mut row = Row::with_capacity(80, 8);
    for given in 0..input.len() {
        let header = header::read(&input[..given], false, &rules, &mut row).unwrap();
        assert_eq!(header.is_some(), given >= 64, "{given}");
        assert!(header.is_none_or(|header| header.header_bytes == header_bytes));
    }
    let endless = [b'\n'; 81];
    assert_eq!(header::read(&endless[..80], false, &rules, &mut row), Ok(None));
    let too_long = Err(HeaderProblem::TooLong { bytes_max: 80 });
    assert_eq!(header::read(&endless, false, &rules, &mut row), too_long);
}
