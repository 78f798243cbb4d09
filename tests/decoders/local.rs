//! What people and machines leave here: sources, settings, certificates, profiles, logs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use csv_to_kafka::cli::{self, Given};
use csv_to_kafka::limits::{COLUMNS_MAX, ROW_BYTES_MAX};
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::segments::Segments;
use csv_to_kafka::settings::{Csv, Header, TABLE};
use csv_to_kafka::stop::Stop;
use csv_to_kafka::wire::append_check::ProducerStates;
use csv_to_kafka::wire::aws_profile::Profiles;
use csv_to_kafka::wire::csv::{Dialect, Parser, Row, Step, header};
use csv_to_kafka::wire::no_proxy::NoProxy;
use csv_to_kafka::wire::pem::{Certificates, PrivateKey};

use super::{Decoder, assert_fit_for_a_line, choice};

pub(super) const DECODERS: &[Decoder] = &[
    ("csv_rows", csv_rows),
    ("csv_header", csv_header),
    ("profile_files", profile_files),
    ("pem", pem),
    ("settings", settings),
    ("log_segment", log_segment),
    ("partition_file", partition_file),
    ("no_proxy", no_proxy),
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
    with_parser((dialect, row_bytes_max, columns), |parser| {
        let whole = rows(bytes, bytes.len().max(1), parser, row_bytes_max);
        parser.reset();
        assert_eq!(rows(bytes, piece, parser, row_bytes_max), whole);
    });
}

/// To build a parser takes longer than to parse what it is given here, so that each is built
/// once.
fn with_parser(
    (dialect, row_bytes_max, columns): (Dialect, usize, Option<usize>),
    parse: impl FnOnce(&mut Parser),
) {
    type Kind = (u8, Option<u8>, usize, Option<usize>);
    thread_local! {
        static PARSERS: RefCell<BTreeMap<Kind, Parser>> = const { RefCell::new(BTreeMap::new()) };
    }
    let kind = (dialect.delimiter, dialect.quote, row_bytes_max, columns);
    PARSERS.with_borrow_mut(|parsers| {
        let build = || Parser::new(dialect, row_bytes_max, columns);
        let parser = parsers.entry(kind).or_insert_with(build);
        parser.reset();
        parse(parser);
    });
}

type Told = (usize, Step, Vec<Vec<u8>>);

fn rows(input: &[u8], piece: usize, parser: &mut Parser, row_bytes_max: usize) -> Vec<Told> {
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
    let at_end = first & 0x80 == 0;
    let mut found = Ok(None);
    with_parser((dialect, csv.row_bytes_max, None), |parser| {
        found = ROW.with_borrow_mut(|row| header::read_with(parser, bytes, at_end, &csv, row));
    });
    if let Ok(Some(found)) = found {
        assert!(!found.columns.is_empty() && found.header_bytes <= bytes.len());
        let mut unique = found.columns.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), found.columns.len());
    }
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

/// Lines, whose first byte chooses: a variable of the table, a flag of it, or neither, then the
/// line is `NAME=value` for any variable or else an argument. What follows a NUL is what is in
/// every file.
fn settings(bytes: &[u8]) {
    const LINES_MAX: usize = 8;
    // Each unknown name is compared with all that are known, which takes its time.
    let mut unknown_max = 3;
    let (lines, file) = match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let mut arguments = Vec::new();
    let mut variables = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let (first, value) = choice(line);
        let value = String::from_utf8_lossy(value).into_owned();
        let setting = (first & 0x7F).checked_sub(0x20).and_then(|index| TABLE.get(index));
        match (setting, value.split_once('=')) {
            (Some(setting), _) if first & 0x80 == 0 => {
                variables.insert(OsString::from(setting.name), OsString::from(value));
            }
            (Some(setting), _) => {
                arguments.extend([OsString::from(setting.flag()), OsString::from(value)]);
            }
            (None, _) if unknown_max == 0 => {}
            (None, Some((name, value))) if !name.starts_with('-') => {
                unknown_max -= 1;
                variables.insert(OsString::from(name), OsString::from(value));
            }
            (None, _) => {
                unknown_max -= 1;
                arguments.push(OsString::from(value));
            }
        }
    }
    let read_file = |_: &str| Ok(file.to_vec());
    let given = Given { arguments: &arguments, variables: &variables, read_file: &read_file };
    let parsed = cli::parse(&given);
    if let Err(stop) = parsed.command {
        assert_eq!(stop.exit_code(), 1);
        let problems = match stop {
            Stop::Settings(problems) => problems,
            stop => vec![stop.to_string()],
        };
        for problem in &problems {
            assert_fit_for_a_line(problem);
        }
    }
    for warning in &parsed.warnings {
        assert_fit_for_a_line(warning);
    }
}

/// A directory of this process and thread, in memory where the machine has that.
fn directory(name: &str) -> PathBuf {
    thread_local! {
        static MADE: RefCell<BTreeMap<String, PathBuf>> = const { RefCell::new(BTreeMap::new()) };
    }
    let make = || {
        let thread = format!("{:?}", std::thread::current().id());
        let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        let directory = format!("csv-to-kafka-{name}-{}-{thread}", std::process::id());
        let path = std::env::temp_dir().join(directory);
        std::fs::create_dir_all(&path).expect("a directory for the files");
        path
    };
    MADE.with_borrow_mut(|made| made.entry(name.to_owned()).or_insert_with(make).clone())
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

/// A host, a line end, and the list that it may be in.
fn no_proxy(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (host, list) = text.split_once('\n').unwrap_or(("10.1.2.3", &text));
    let is_in = |list: &str| NoProxy::parse(list).has(host, 443);
    assert_eq!(is_in(list), list.split([',', ' ']).any(is_in));
    assert!(is_in(&format!("{list},*")));
}
