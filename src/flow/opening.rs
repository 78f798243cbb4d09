//! Step 7: the source is opened, its header read, and its rows begin.

use super::patience::Patience;
use super::ports::{Fault, Opened, Pin, Read};
use super::rows::Rows;
use super::run::Run;
use super::take::{damaged, replaced};
use crate::limits::{COLUMNS_MAX, READ_BYTES};
use crate::settings;
use crate::stop::{Peer, Stop};
use crate::wire::csv::header::{self, Header};
use crate::wire::csv::{Parser, Row};

/// An open source, at the row after `row_number`.
pub struct Opening {
    pub pin: Pin,
    pub header_bytes: u64,
    pub columns: Vec<String>,
    /// The column that becomes the key.
    pub key_index: Option<usize>,
    pub rows: Rows,
}

/// The source as it is now: its first read pins it, and goes on into the rows.
pub fn open_fresh(run: &mut Run<'_, '_>) -> Result<Opening, Stop> {
    let row_bytes_max = run.job.csv.row_bytes_max;
    let mut head = Head::new(run);
    let pin = head.open(run, None, None)?;
    let mut row = Row::with_capacity(row_bytes_max, COLUMNS_MAX);
    let header = head.read_header(run, &pin, &mut row)?;
    let header_bytes = header.header_bytes as u64;
    let parser = Parser::new(run.job.dialect(), row_bytes_max, Some(header.columns.len()));
    let mut rows = Rows::new(parser, row, pin.clone(), row_bytes_max, 0, header_bytes);
    rows.preload(head.bytes.get(header.header_bytes..).unwrap_or(&[]));
    let key_index = key_index(run, &header.columns)?;
    Ok(Opening { pin, header_bytes, columns: header.columns, key_index, rows })
}

/// The pinned source: the header's bytes again, then from `next_byte` on.
pub fn open_begun(
    run: &mut Run<'_, '_>,
    pin: Pin,
    header_bytes: u64,
    row_number: u64,
    next_byte: u64,
) -> Result<Opening, Stop> {
    let row_bytes_max = run.job.csv.row_bytes_max;
    let mut row = Row::with_capacity(row_bytes_max, COLUMNS_MAX);
    let columns = columns_again(run, &pin, header_bytes, &mut row)?;
    let mut head = Head::new(run);
    head.from = next_byte;
    head.open(run, None, Some(&pin))?;
    let parser = Parser::new(run.job.dialect(), row_bytes_max, Some(columns.len()));
    let rows = Rows::new(parser, row, pin.clone(), row_bytes_max, row_number, next_byte);
    let key_index = key_index(run, &columns)?;
    Ok(Opening { pin, header_bytes, columns, key_index, rows })
}

/// The names of the columns, if the rows can begin where the item says: a header that is cut
/// short would be read as a whole one, of fewer or other columns.
fn columns_again(
    run: &mut Run<'_, '_>,
    pin: &Pin,
    header_bytes: u64,
    row: &mut Row,
) -> Result<Vec<String>, Stop> {
    let damaged = |run: &Run<'_, '_>| {
        let flaw =
            format!("header_bytes is {header_bytes}, but the rows of the source begin elsewhere");
        Err(damaged(&run.job.job_id, &flaw))
    };
    if run.job.csv.header == settings::Header::None {
        if header_bytes != 0 && header_bytes != header::BYTE_ORDER_MARK.len() as u64 {
            return damaged(run);
        }
        return Ok(run.job.csv.columns.clone());
    }
    let mut head = Head::new(run);
    head.to = Some(header_bytes);
    head.open(run, Some(header_bytes), Some(pin))?;
    let found = head.read_header(run, pin, row);
    let ends = matches!(head.bytes.last(), Some(b'\n' | b'\r'));
    let is_whole = ends || header_bytes == pin.source_bytes;
    match found {
        Ok(header) if is_whole && header.header_bytes as u64 == header_bytes => Ok(header.columns),
        // The pinned source had a header, by the pinned settings, when the job began.
        Ok(_) | Err(Stop::BadSource { .. }) => damaged(run),
        Err(stop) => Err(stop),
    }
}

pub(super) fn key_index(run: &Run<'_, '_>, columns: &[String]) -> Result<Option<usize>, Stop> {
    let Some(name) = &run.job.key_column else { return Ok(None) };
    let found = columns.iter().position(|column| column == name);
    found.map(Some).ok_or_else(|| Stop::BadSource {
        source: run.job.source.clone(),
        problem: format!("it has no column {name}, which KAFKA_KEY_COLUMN names"),
    })
}

/// The first bytes of a source, until the header is whole.
struct Head {
    from: u64,
    to: Option<u64>,
    bytes: Vec<u8>,
    bytes_max: usize,
    patience: Patience,
}

impl Head {
    fn new(run: &Run<'_, '_>) -> Head {
        Head {
            from: 0,
            to: None,
            bytes: Vec::new(),
            bytes_max: run.job.csv.row_bytes_max + 2 + READ_BYTES,
            patience: Patience::new(Peer::Source),
        }
    }

    /// Opens from where the bytes end.
    fn open(
        &mut self,
        run: &mut Run<'_, '_>,
        to: Option<u64>,
        pin: Option<&Pin>,
    ) -> Result<Pin, Stop> {
        loop {
            let from = self.from + self.bytes.len() as u64;
            match run.source().open(from, to, pin) {
                Ok(Opened::Open(found)) => return Ok(found),
                Ok(Opened::Replaced) => {
                    return Err(match pin {
                        Some(pin) => replaced(run, pin),
                        None => unreachable!("nothing was pinned that could be replaced"),
                    });
                }
                Err(Fault::Final(stop)) => return Err(*stop),
                Err(Fault::Passing(trouble)) => self.patience.wait(run, &trouble)?,
            }
        }
    }

    fn read_header(
        &mut self,
        run: &mut Run<'_, '_>,
        pin: &Pin,
        row: &mut Row,
    ) -> Result<Header, Stop> {
        let job = run.job;
        let mut at_end = false;
        loop {
            match header::read(&self.bytes, at_end, &job.csv, row) {
                Ok(Some(header)) => return Ok(header),
                Ok(None) => {}
                Err(problem) => {
                    return Err(Stop::BadSource {
                        source: job.source.clone(),
                        problem: problem.to_string(),
                    });
                }
            }
            assert!(!at_end, "at the end of a source a header is whole, or wrong");
            at_end = self.read(run, pin)?;
        }
    }

    /// More bytes; true at the end.
    fn read(&mut self, run: &mut Run<'_, '_>, pin: &Pin) -> Result<bool, Stop> {
        // What the source is silent for, its port knows; here only a request to stop counts.
        loop {
            run.stop_asked()?;
            run.tend()?;
            let before = self.bytes.len();
            let room = self.bytes_max - before;
            assert!(room > 0, "a header is found, or too long, before the buffer is full");
            self.bytes.resize(before + room.min(READ_BYTES), 0);
            let read = run.source().read(&mut self.bytes[before..]);
            let bytes = if let Ok(Read::Bytes(bytes)) = read { bytes } else { 0 };
            self.bytes.truncate(before + bytes);
            run.counts.reads += 1;
            run.counts.bytes_read += bytes as u64;
            match read {
                Ok(Read::Bytes(_)) => {
                    self.patience.progress();
                    return Ok(false);
                }
                Ok(Read::NotYet) => {}
                Ok(Read::End) => return Ok(true),
                Err(Fault::Final(stop)) => return Err(*stop),
                Err(Fault::Passing(trouble)) => {
                    self.patience.wait(run, &trouble)?;
                    let to = self.to;
                    self.open(run, to, Some(pin))?;
                }
            }
        }
    }
}
