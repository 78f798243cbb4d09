//! What people and machines leave here: sources, settings, certificates, profiles, logs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use csv_to_kafka::cli::{self, Given};
use csv_to_kafka::limits::{COLUMNS_MAX, ROW_BYTES_MAX};
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::segments::Segments;
use csv_to_kafka::settings::{Csv, Header};
use csv_to_kafka::wire::append_check::ProducerStates;
use csv_to_kafka::wire::aws_profile::Profiles;
use csv_to_kafka::wire::csv::{Dialect, Parser, Row, Step, header};
use csv_to_kafka::wire::pem::{Certificates, PrivateKey};

use super::{Decoder, choice};

pub(super) const DECODERS: &[Decoder] = &[
    ("csv_rows", csv_rows),
    ("csv_header", csv_header),
    ("profile_files", profile_files),
    ("pem", pem),
    ("settings", settings),
    ("log_segment", log_segment),
    ("partition_file", partition_file),
];

fn dialect(choice: usize) -> Dialect {
    let delimiter = [b',', b';', b'\t', b'|'][choice & 3];
    let quote = [Some(b'"'), Some(b'\''), None, Some(b'"')][(choice >> 2) & 3];
    Dialect { delimiter, quote }
}

/// In one piece and in many: the same steps at the same places.
fn csv_rows(bytes: &[u8]) {
    let (first, bytes) = choice(bytes);
    let (second, bytes) = choice(bytes);
    let dialect = dialect(first);
    let row_bytes_max = 1 + (first >> 4) * 5;
    let columns = Some(second & 3).filter(|count| *count > 0);
    let piece = 1 + (second >> 2);
    let whole = rows(bytes, bytes.len().max(1), dialect, row_bytes_max, columns);
    assert_eq!(rows(bytes, piece, dialect, row_bytes_max, columns), whole);
}

type Told = (usize, Step, Vec<Vec<u8>>);

fn rows(
    input: &[u8],
    piece: usize,
    dialect: Dialect,
    row_bytes_max: usize,
    columns: Option<usize>,
) -> Vec<Told> {
    let mut parser = Parser::new(dialect, row_bytes_max, columns);
    let mut row = Row::with_capacity(row_bytes_max, 16);
    let (mut at, mut given) = (0, 0);
    let mut told: Vec<Told> = Vec::new();
    loop {
        let step = parser.step(&input[at..given], given == input.len(), &mut row);
        let row_bytes = match &step {
            Step::NeedInput => {
                assert!(given - at <= row_bytes_max, "the caller has no more room");
                given = (given + piece).min(input.len()).min(at + row_bytes_max + 1);
                continue;
            }
            Step::Blank(blank_bytes) => {
                at += blank_bytes;
                continue;
            }
            Step::Row { row_bytes } | Step::Bad { row_bytes, .. } => *row_bytes,
            Step::TooLong | Step::OpenQuote | Step::End => 0,
        };
        assert!(row_bytes <= row_bytes_max);
        let fields = match step {
            Step::Row { .. } => row.fields().map(<[u8]>::to_vec).collect(),
            _ => Vec::new(),
        };
        assert!(fields.iter().all(|field| std::str::from_utf8(field).is_ok()));
        told.push((at, step, fields));
        if row_bytes == 0 {
            return told;
        }
        at += row_bytes;
    }
}

fn csv_header(bytes: &[u8]) {
    thread_local! {
        static ROW: RefCell<Row> = RefCell::new(Row::with_capacity(ROW_BYTES_MAX, COLUMNS_MAX));
    }
    let (first, bytes) = choice(bytes);
    let dialect = dialect(first);
    let names = |yes: bool| if yes { vec!["a".to_owned(), "b".to_owned()] } else { Vec::new() };
    let csv = Csv {
        delimiter: dialect.delimiter,
        delimiter_given: first & 0x10 != 0,
        quote: dialect.quote,
        header: if first & 0x20 == 0 { Header::First } else { Header::None },
        columns: names(first & 0x60 != 0),
        row_bytes_max: 200,
    };
    ROW.with_borrow_mut(|row| {
        if let Ok(Some(found)) = header::read(bytes, first & 0x80 == 0, &csv, row) {
            assert!(!found.columns.is_empty() && found.header_bytes <= bytes.len());
            let mut unique = found.columns.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), found.columns.len());
        }
    });
}

/// Both files, with a NUL between them.
fn profile_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (config, credentials) = text.split_once('\0').unwrap_or((&text, ""));
    if let Ok(profiles) = Profiles::parse(config, credentials) {
        for name in ["default", "load"] {
            drop(profiles.plan(name));
            assert!(profiles.has(name) || profiles.region(name).is_none());
        }
    }
}

fn pem(bytes: &[u8]) {
    match Certificates::parse(bytes) {
        Ok(found) => assert!(!found.as_der().is_empty()),
        Err(bad) => assert!(bad.to_string().len() < 1_000),
    }
    match PrivateKey::parse(bytes) {
        Ok(key) => drop(key.to_der()),
        Err(bad) => assert!(bad.to_string().len() < 1_000),
    }
}

/// Lines: `NAME=value` is a variable, anything else an argument, what follows a NUL is what is
/// in every file.
fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (lines, file) = text.split_once('\0').unwrap_or((&text, ""));
    let mut arguments = Vec::new();
    let mut variables = BTreeMap::new();
    for line in lines.lines() {
        match line.split_once('=') {
            Some((name, value)) if !line.starts_with('-') => {
                variables.insert(OsString::from(name), OsString::from(value));
            }
            _ => arguments.push(OsString::from(line)),
        }
    }
    let read_file = |_: &str| Ok(file.as_bytes().to_vec());
    let given = Given { arguments: &arguments, variables: &variables, read_file: &read_file };
    let parsed = cli::parse(&given);
    if let Err(stop) = parsed.command {
        assert_eq!(stop.exit_code(), 1);
        assert!(!stop.to_string().replace('\n', " ").contains(char::is_control), "{stop}");
    }
    for warning in parsed.warnings {
        assert!(!warning.contains(char::is_control), "{warning}");
    }
}

/// A directory of this process and thread, in memory where the machine has that.
fn directory(name: &str) -> PathBuf {
    thread_local! {
        static NAME: String = format!("{:?}", std::thread::current().id());
    }
    let thread: String = NAME.with(|id| id.chars().filter(char::is_ascii_digit).collect());
    let name = format!("csv-to-kafka-{name}-{}-{thread}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a directory for the files");
    path
}

/// A segment file of the embedded log, from which all is read that is whole.
fn log_segment(bytes: &[u8]) {
    let directory = directory("segment");
    std::fs::write(directory.join("00000000000000000000.log"), bytes).expect("a segment");
    let mut states = ProducerStates::default();
    let mut visit = |header: &_| states.appended(header, 0);
    let Ok(recovered) = Segments::open(&directory, &mut visit) else { return };
    let mut segments = recovered.segments;
    let mut buffer = Vec::new();
    let (start, end) = (segments.start(), segments.end());
    assert!(start == 0 && end >= 0);
    for from in [0, end / 2, end - 1, end] {
        segments.read(from, &mut buffer).expect("what was whole can be read");
        assert_eq!(buffer.is_empty(), !(0..end).contains(&from));
    }
}

fn partition_file(bytes: &[u8]) {
    let directory = directory("partition");
    std::fs::write(directory.join("partition.json"), bytes).expect("a file");
    drop(EmbeddedLog::open(&directory));
}
