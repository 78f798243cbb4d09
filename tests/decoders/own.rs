//! What csv-to-kafka wrote itself and reads again, from where others may write too: dead letters,
//! records, logs; and that what it compresses is what everybody inflates.

use std::cell::RefCell;

use csv_to_kafka::flow::report::Report;
use csv_to_kafka::show::letters::{Table, left_out};
use csv_to_kafka::show::report::page;
use csv_to_kafka::wire::checkpoint::Checkpoint;
use csv_to_kafka::wire::compress::{Compression, Encoder};
use csv_to_kafka::wire::decompress::decompress;
use csv_to_kafka::wire::log_line::LogLine;
use csv_to_kafka::wire::provenance::dead_letter_row;
use csv_to_kafka::wire::record::columns_of;
use csv_to_kafka::wire::record::dead_letter::Letter;

use super::{Decoder, choice};

pub(super) const DECODERS: &[Decoder] = &[
    ("dead_letter", dead_letter),
    ("record_columns", record_columns),
    ("log_line", log_line),
    ("log_lines", log_lines),
    ("gzip_written", |bytes| written(Compression::Gzip, bytes)),
    ("lz4_written", |bytes| written(Compression::Lz4, bytes)),
];

/// As `dlq` prints it.
fn dead_letter(bytes: &[u8]) {
    let row = dead_letter_row(bytes, "s3://b/k");
    let Some(letter) = Letter::parse(bytes, 1_000) else { return };
    assert!(letter.raw.len() as u64 <= letter.row_bytes && letter.raw.len() <= bytes.len());
    assert!(row.is_none_or(|row| row == letter.row_number));
    thread_local! {
        static TABLE: Table = Table::new(&Checkpoint::default(), false);
    }
    let line = TABLE.with(|table| table.row(&letter));
    let line = line.strip_suffix('\n').expect("a line");
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(!left_out(&letter).contains(char::is_control));
}

fn record_columns(bytes: &[u8]) {
    let Some(columns) = columns_of(bytes) else { return };
    assert!(!columns.is_empty() && columns.len() < bytes.len());
    assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
}

/// As `report` reads each.
fn log_line(bytes: &[u8]) {
    let Some(line) = LogLine::parse(&String::from_utf8_lossy(bytes)) else { return };
    // The years 1970 to 9999.
    assert!(line.at_ms < 253_500_000_000_000, "{}", line.at_ms);
    for (name, _) in &line.facts {
        assert!(line.number(name).is_none_or(|number| number <= 1 << 53), "{line:?}");
    }
}

/// A log, of which `report` makes its page; what the log says is in none of its tags.
fn log_lines(bytes: &[u8]) {
    const TAGS: [&str; 31] = [
        "!doctype",
        "b",
        "body",
        "br",
        "div",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "head",
        "html",
        "i",
        "li",
        "line",
        "meta",
        "p",
        "path",
        "rect",
        "section",
        "span",
        "style",
        "svg",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "title",
        "tr",
        "u",
        "ul",
    ];
    let mut report = Report::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        report.line(&String::from_utf8_lossy(line));
    }
    report.finish();
    if report.runs.is_empty() {
        return;
    }
    for tag in page(&report, "0").split('<').skip(1) {
        let name = tag.trim_start_matches('/').split(['>', ' ']).next().unwrap_or_default();
        assert!(TAGS.contains(&name), "<{tag}");
    }
}

/// Slices, a byte of length before each; a length of 255 repeats the one before it 300 times, once.
fn written(compression: Compression, bytes: &[u8]) {
    thread_local! {
        static ENCODERS: RefCell<[Encoder; 2]> =
            RefCell::new([Compression::Gzip, Compression::Lz4].map(Encoder::new));
    }
    let mut rest = bytes;
    let mut slices: Vec<Vec<u8>> = Vec::new();
    let mut is_repeated = false;
    while !rest.is_empty() {
        let (length, after) = choice(rest);
        let (slice, after) = after.split_at(length.min(after.len()));
        match slices.last() {
            Some(last) if length == 255 && !is_repeated => {
                is_repeated = true;
                slices.push(last.repeat(300));
            }
            _ => slices.push(slice.to_vec()),
        }
        rest = after;
    }
    let (mut out, mut back) = (Vec::new(), Vec::new());
    ENCODERS.with_borrow_mut(|encoders| {
        let encoder = &mut encoders[usize::from(compression == Compression::Lz4)];
        encoder.begin(&mut out);
        // The beginning of the stream counts for the first slice.
        let mut before = 0;
        for slice in &slices {
            encoder.encode(slice, &mut out);
            assert!(out.len() - before <= encoder.worst_case(slice.len()), "{}", slice.len());
            before = out.len();
        }
        let before = out.len();
        encoder.finish(&mut out);
        assert!(out.len() - before <= encoder.worst_case_end());
    });
    assert_eq!(decompress(compression, &out, 1 << 20, &mut back), Ok(()));
    assert!(back == slices.concat(), "what was read is not what was written");
}
