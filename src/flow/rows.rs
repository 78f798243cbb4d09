//! The source as rows: good, bad, or fatal, each with its exact place.
//!
//! ```text
//! buffer  │ dropped │ row in progress ......... │ free │
//!         0         start                       filled
//!                   └ byte_offset in the source
//! ```
//!
//! The row in progress lies in one piece, so that a bad one can be set aside as it stands.

use super::patience::Patience;
use super::ports::{Fault, Opened, Pin, Read, Trouble};
use super::run::Run;
use super::take::replaced;
use crate::limits::READ_BYTES;
use crate::stop::{BadRow, Peer, Stop};
use crate::wire::csv::{Parser, Row, Step};

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A row that can become a record: [`Rows::row`].
    Good,
    Bad(BadRow),
    /// The source has nothing at the moment.
    NotYet,
    End,
    /// Rows before this one are fine; from here on nothing is.
    Fatal(Stop),
}

pub struct Rows {
    parser: Parser,
    row: Row,
    buffer: Box<[u8]>,
    start: usize,
    filled: usize,
    /// Where in the source `buffer[start]` lies.
    byte_offset: u64,
    /// The number of the row in progress, or of the last one.
    row_number: u64,
    /// The row that was found and not yet dropped.
    found: Option<(usize, Option<BadRow>)>,
    at_end: bool,
    pin: Pin,
    patience: Patience,
    /// The source failed; it is opened again then.
    reopen_at_ms: Option<u64>,
}

impl Rows {
    /// `row_number`: the row that ends at `byte_offset`, from which the source is open.
    pub fn new(
        parser: Parser,
        row: Row,
        pin: Pin,
        row_bytes_max: usize,
        row_number: u64,
        byte_offset: u64,
    ) -> Rows {
        Rows {
            parser,
            row,
            // The longest row, the byte after it that tells that it is too long, and a read.
            buffer: vec![0; row_bytes_max + 2 + READ_BYTES].into_boxed_slice(),
            start: 0,
            filled: 0,
            byte_offset,
            row_number,
            found: None,
            at_end: false,
            pin,
            patience: Patience::new(Peer::Source),
            reopen_at_ms: None,
        }
    }

    /// Puts bytes that were read with the header in front.
    pub fn preload(&mut self, bytes: &[u8]) {
        assert_eq!(self.filled, 0, "before the first read");
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.filled = bytes.len();
    }

    /// What was read and not yet dropped.
    pub fn ahead(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or(&[])
    }

    /// The fields of the row in progress.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// The row in progress as it stands in the source.
    pub fn raw(&self) -> &[u8] {
        let row_bytes = self.found.as_ref().map_or(0, |(row_bytes, _)| *row_bytes);
        &self.buffer[self.start..self.start + row_bytes]
    }

    pub fn row_number(&self) -> u64 {
        self.row_number
    }

    /// Where the row in progress begins; after [`Rows::drop_row`], where the next one may.
    pub fn byte_offset(&self) -> u64 {
        self.byte_offset
    }

    /// Whether the source failed and is asked again only later.
    pub fn is_waiting(&self) -> bool {
        self.reopen_at_ms.is_some()
    }

    /// The row in progress, or the next one. The same until [`Rows::drop_row`].
    pub fn next(&mut self, run: &mut Run<'_, '_>) -> Next {
        // Each turn finds a row, or drops or reads at least a byte of a source that ends.
        loop {
            if let Some((_, why)) = &self.found {
                return why.clone().map_or(Next::Good, Next::Bad);
            }
            let input = &self.buffer[self.start..self.filled];
            match self.parser.step(input, self.at_end, &mut self.row) {
                Step::Row { row_bytes } => {
                    self.row_number += 1;
                    self.found = Some((row_bytes, None));
                }
                Step::Bad { row_bytes, why } => {
                    self.row_number += 1;
                    self.found = Some((row_bytes, Some(why)));
                }
                Step::Blank(blank_bytes) => self.consume(blank_bytes),
                Step::End => return Next::End,
                Step::NeedInput => {
                    if let Some(next) = self.refill(run) {
                        return next;
                    }
                }
                Step::TooLong => {
                    return Next::Fatal(Stop::RowTooLong {
                        row: self.row_number + 1,
                        byte_offset: self.byte_offset,
                        bytes_max: run.job.csv.row_bytes_max,
                    });
                }
                Step::OpenQuote => {
                    return Next::Fatal(Stop::OpenQuote {
                        row: self.row_number + 1,
                        byte_offset: self.byte_offset,
                    });
                }
            }
        }
    }

    /// The row in progress is done with.
    pub fn drop_row(&mut self) {
        if let Some((row_bytes, _)) = self.found.take() {
            self.consume(row_bytes);
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.byte_offset += bytes as u64;
        assert!(self.start <= self.filled);
    }

    /// More bytes; or what else there is to say.
    fn refill(&mut self, run: &mut Run<'_, '_>) -> Option<Next> {
        if let Some(at_ms) = self.reopen_at_ms {
            if run.now().monotonic_ms < at_ms {
                return Some(Next::NotYet);
            }
            self.reopen_at_ms = None;
            let from = self.byte_offset + (self.filled - self.start) as u64;
            let pin = &self.pin;
            let opened = run.wait_for(Peer::Source, |run| run.source().open(from, None, Some(pin)));
            match opened {
                Ok(Opened::Open(_)) => {}
                Ok(Opened::Replaced) => return Some(Next::Fatal(replaced(run, &self.pin))),
                Err(fault) => return Some(self.failed(run, fault)),
            }
        }
        if self.buffer.len() - self.filled < READ_BYTES {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        let free = &mut self.buffer[self.filled..];
        let read_bytes = free.len().min(READ_BYTES);
        let free = &mut free[..read_bytes];
        run.counts.reads += 1;
        match run.wait_for(Peer::Source, |run| run.source().read(free)) {
            Ok(Read::Bytes(bytes)) => {
                assert!(bytes > 0 && bytes <= read_bytes);
                run.counts.bytes_read += bytes as u64;
                self.filled += bytes;
                self.patience.progress();
                None
            }
            Ok(Read::NotYet) => Some(Next::NotYet),
            Ok(Read::End) => {
                let end = self.byte_offset + (self.filled - self.start) as u64;
                if end == self.pin.source_bytes {
                    self.at_end = true;
                    return None;
                }
                let problem =
                    format!("it ended at byte {end}, though it has {}", self.pin.source_bytes);
                Some(self.failed(run, Fault::passing(problem)))
            }
            Err(fault) => Some(self.failed(run, fault)),
        }
    }

    /// After a while the source is asked again, from the failing byte; meanwhile the flow goes
    /// on with what it has.
    fn failed(&mut self, run: &mut Run<'_, '_>, fault: Fault) -> Next {
        let trouble: Trouble = match fault {
            Fault::Final(stop) => return Next::Fatal(*stop),
            Fault::Passing(trouble) => trouble,
        };
        match self.patience.delay_ms(run, &trouble) {
            Ok(delay_ms) => {
                self.reopen_at_ms = Some(run.now().monotonic_ms.saturating_add(delay_ms));
                Next::NotYet
            }
            Err(stop) => Next::Fatal(stop),
        }
    }
}
