//! On any bytes, in any pieces: what the `csv` crate reads, and nothing else.

use super::*;
use proptest::prelude::*;

/// A row, or what it is instead, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    at: usize,
    step: Step,
    fields: Vec<Vec<u8>>,
}

/// Reads `input` from `from` on as a caller does that has room for `row_bytes_max` + 1 bytes:
/// `pieces` bytes are appended at a time, in turn.
fn read(
    input: &[u8],
    from: usize,
    pieces: &[usize],
    dialect: Dialect,
    row_bytes_max: usize,
    columns: Option<usize>,
) -> Vec<Told> {
    let mut parser = Parser::new(dialect, row_bytes_max, columns);
    let mut row = Row::with_capacity(row_bytes_max, 512);
    let (mut at, mut given) = (from, from);
    let mut pieces = pieces.iter().cycle();
    let mut told = Vec::new();
    loop {
        let step = parser.step(&input[at..given], given == input.len(), &mut row);
        let bytes = match &step {
            Step::NeedInput => {
                assert!(given - at <= row_bytes_max, "the caller has no more room");
                let piece = pieces.next().unwrap();
                given = (given + piece).min(input.len()).min(at + row_bytes_max + 1);
                continue;
            }
            Step::Blank(blank_bytes) => {
                assert!(input[at..at + blank_bytes].iter().all(|b| b"\r\n".contains(b)));
                at += blank_bytes;
                continue;
            }
            Step::Row { row_bytes } | Step::Bad { row_bytes, .. } => *row_bytes,
            Step::TooLong | Step::OpenQuote | Step::End => 0,
        };
        let fields = match step {
            Step::Row { .. } | Step::Bad { why: BadRow::NotUtf8 { .. }, .. } => {
                let fields: Vec<_> = row.fields().map(<[u8]>::to_vec).collect();
                for (column_index, field) in fields.iter().enumerate() {
                    assert_eq!(row.field(column_index), Some(&field[..]));
                }
                assert_eq!(row.field(fields.len()), None);
                fields
            }
            _ => Vec::new(),
        };
        let ends = bytes == 0;
        told.push(Told { at, step, fields });
        at += bytes;
        if ends {
            return told;
        }
    }
}

/// All rows as the `csv` crate reads them, each with the offset after it.
fn oracle(input: &[u8], dialect: Dialect) -> Vec<(u64, Vec<Vec<u8>>)> {
    let mut builder = ::csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(dialect.delimiter);
    match dialect.quote {
        Some(quote) => builder.quote(quote),
        None => builder.quoting(false),
    };
    // A line end first: the crate would take a mark at the very beginning for itself.
    let mut reader = builder.from_reader(std::io::Read::chain(&b"\n"[..], input));
    let mut rows = Vec::new();
    let mut record = ::csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).unwrap() {
        let fields = record.iter().map(<[u8]>::to_vec).collect();
        rows.push((reader.position().byte() - 1, fields));
    }
    rows
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let common = prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|'), 0..128_u8];
    let quote = prop_oneof![
        4 => Just(Some(b'"')),
        1 => Just(None),
        1 => (0..128_u8).prop_map(Some)
    ];
    (common, quote)
        .prop_map(|(delimiter, quote)| Dialect { delimiter, quote })
        .prop_filter("a dialect", |dialect| dialect.is_valid())
}

/// Bytes that mean something to the dialect, and others.
fn inputs(dialect: Dialect) -> impl Strategy<Value = Vec<u8>> {
    let quote = dialect.quote.unwrap_or(b'"');
    let meaningful = vec![dialect.delimiter, quote, b'\n', b'\r'];
    let piece = prop_oneof![
        6 => proptest::sample::select(meaningful).prop_map(|byte| vec![byte]),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        1 => "[a-zé漢]{1,12}".prop_map(String::into_bytes),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

fn cases() -> impl Strategy<Value = (Dialect, Vec<u8>, Vec<usize>)> {
    let pieces = proptest::collection::vec(1..30_usize, 1..8);
    dialects().prop_flat_map(move |dialect| (Just(dialect), inputs(dialect), pieces.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_what_the_csv_crate_reads((dialect, input, pieces) in cases()) {
        let told = read(&input, 0, &pieces, dialect, 4_096, None);
        let mut expected = oracle(&input, dialect);
        let (last, rows) = told.split_last().unwrap();
        if last.step == Step::OpenQuote {
            // The crate hands it out as a row.
            expected.pop();
        } else {
            prop_assert_eq!(&last.step, &Step::End);
            prop_assert_eq!(last.at, input.len());
        }
        prop_assert_eq!(rows.len(), expected.len());
        for (row, (after, fields)) in rows.iter().zip(expected) {
            prop_assert_eq!(&row.fields, &fields);
            let first_bad = fields.iter().position(|field| std::str::from_utf8(field).is_err());
            let row_bytes = match (&row.step, first_bad) {
                (Step::Row { row_bytes }, None) => *row_bytes,
                (Step::Bad { row_bytes, why: BadRow::NotUtf8 { column_index } }, Some(index)) => {
                    prop_assert_eq!(*column_index, index);
                    *row_bytes
                }
                (step, _) => return Err(TestCaseError::fail(format!("{step:?}"))),
            };
            // The crate stops between a CR and its LF.
            let end = row.at + row_bytes;
            let is_crlf = input[..end].ends_with(b"\r\n");
            prop_assert_eq!(end as u64, after + u64::from(is_crlf));
        }
    }

    #[test]
    fn pieces_make_no_difference(
        (dialect, input, pieces) in cases(),
        row_bytes_max in 1..40_usize,
        columns in proptest::option::of(1..4_usize),
    ) {
        let whole = read(&input, 0, &[input.len().max(1)], dialect, row_bytes_max, columns);
        let pieced = read(&input, 0, &pieces, dialect, row_bytes_max, columns);
        prop_assert_eq!(whole, pieced);
    }

    #[test]
    fn every_row_is_a_place_to_resume(
        (dialect, input, pieces) in cases(),
        row_bytes_max in 1..40_usize,
    ) {
        let told = read(&input, 0, &pieces, dialect, row_bytes_max, Some(2));
        for (index, row) in told.iter().enumerate() {
            let end = match row.step {
                Step::Row { row_bytes } | Step::Bad { row_bytes, .. } => row.at + row_bytes,
                _ => continue,
            };
            for from in [row.at, end] {
                let rest = &told[index + usize::from(from == end)..];
                prop_assert_eq!(&read(&input, from, &pieces, dialect, row_bytes_max, Some(2)), rest);
            }
        }
    }

    /// The row bound and the count are judged as the crate's fields and places say.
    #[test]
    fn bounds_are_judged_by_the_same_rows((dialect, input, pieces) in cases()) {
        let free = read(&input, 0, &pieces, dialect, 4_096, None);
        let bound = read(&input, 0, &pieces, dialect, 20, Some(2));
        for (free, bound) in free.iter().zip(&bound) {
            prop_assert_eq!(free.at, bound.at);
            let row_bytes = match &free.step {
                Step::Row { row_bytes } | Step::Bad { row_bytes, .. } => *row_bytes,
                Step::OpenQuote => input.len() - free.at,
                other => { prop_assert_eq!(other, &bound.step); continue }
            };
            let expected = match (&free.step, free.fields.len()) {
                _ if row_bytes > 20 => Step::TooLong,
                (Step::OpenQuote, _) => Step::OpenQuote,
                (_, 1) => Step::Bad { row_bytes, why: BadRow::FieldCount { expected: 2, found: 1 } },
                (_, 3..) => Step::Bad { row_bytes, why: BadRow::TooManyFields { expected: 2 } },
                (step, _) => step.clone(),
            };
            prop_assert_eq!(&bound.step, &expected);
        }
    }
}
