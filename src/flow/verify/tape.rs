//! The source once more, as the records that a lane must hold: one after the other, each to
//! the byte as the copy made it.

use crate::event::Lane as Which;
use crate::flow::job::Job;
use crate::flow::opening::Opening;
use crate::flow::rows::{Next, Rows};
use crate::flow::run::Run;
use crate::limits::WAIT_SLICE_MS;
use crate::stop::{BadRow, Stop};
use crate::wire::record::RowTemplate;
use crate::wire::record::dead_letter::{self, DeadLetter};

pub(super) struct Tape {
    which: Which,
    rows: Rows,
    template: RowTemplate,
    key_index: Option<usize>,
    source: String,
    /// The first so many rows are the Python processor's: each is a record, whatever it holds.
    adopted_rows: u64,
    record_bytes_max: usize,
    letter_bytes_max: usize,
    /// The record that comes next in the lane.
    value: Vec<u8>,
    is_adopted: bool,
    /// A row that the Python processor took and we would not have: not to be compared.
    is_bad: bool,
    byte_offset: u64,
}

impl Tape {
    /// `record_bytes_max`, `letter_bytes_max`: as pinned when the job began.
    pub(super) fn new(
        job: &Job,
        which: Which,
        opening: Opening,
        adopted_rows: u64,
        record_bytes_max: usize,
        letter_bytes_max: usize,
    ) -> Tape {
        Tape {
            which,
            template: RowTemplate::new(&opening.columns, &job.source),
            rows: opening.rows,
            key_index: opening.key_index,
            source: job.source.clone(),
            adopted_rows,
            record_bytes_max,
            letter_bytes_max,
            value: Vec::new(),
            is_adopted: false,
            is_bad: false,
            byte_offset: 0,
        }
    }

    /// Goes on to the next record of the lane; false where the source has no more.
    pub(super) fn advance(&mut self, run: &mut Run<'_, '_>) -> Result<bool, Stop> {
        // Each turn drops a row of a source that ends, or waits.
        loop {
            self.rows.drop_row();
            let why = match self.next_row(run)? {
                Row::None => return Ok(false),
                Row::Good => None,
                Row::Bad(why) => Some(why),
            };
            self.byte_offset = self.rows.byte_offset();
            self.is_adopted = self.rows.row_number() <= self.adopted_rows;
            self.is_bad = why.is_some();
            let why = why.or_else(|| self.render());
            let is_ours = match (self.which, &why) {
                (Which::Main, _) if self.is_adopted => true,
                (Which::Main, why) => why.is_none(),
                (Which::Dead, Some(why)) if !self.is_adopted => {
                    self.render_letter(why);
                    true
                }
                (Which::Dead, _) => false,
            };
            if is_ours {
                return Ok(true);
            }
        }
    }

    fn next_row(&mut self, run: &mut Run<'_, '_>) -> Result<Row, Stop> {
        loop {
            match self.rows.next(run) {
                Next::Good => return Ok(Row::Good),
                Next::Bad(why) => return Ok(Row::Bad(why)),
                Next::End => return Ok(Row::None),
                Next::Fatal(stop) => return Err(stop),
                // A read that brings nothing has waited by itself.
                Next::NotYet if self.rows.is_waiting() => run.wait(WAIT_SLICE_MS)?,
                Next::NotYet => run.stop_asked()?,
            }
        }
    }

    /// The record of a good row, unless it is too large to be one.
    fn render(&mut self) -> Option<BadRow> {
        let row_number = self.rows.row_number();
        let bytes_bound = self.template.bytes_bound(self.rows.raw().len());
        // In the dead letters' lane a good row matters only where it might be too large.
        if self.which == Which::Dead && bytes_bound <= self.record_bytes_max {
            return None;
        }
        self.value.clear();
        self.template.write(self.rows.row(), row_number, &mut self.value);
        let bytes = self.value.len() + self.row_key().map_or(0, <[u8]>::len);
        let bytes_max = self.record_bytes_max;
        (bytes > bytes_max).then_some(BadRow::RecordTooLarge { bytes, bytes_max })
    }

    fn render_letter(&mut self, why: &BadRow) {
        self.value.clear();
        let letter = DeadLetter {
            row_number: self.rows.row_number(),
            byte_offset: self.byte_offset,
            why,
            source: &self.source,
            raw: self.rows.raw(),
        };
        let fits = dead_letter::write(&letter, self.letter_bytes_max, &mut self.value);
        assert!(fits, "a topic that takes batches takes a dead letter without its row");
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Of a main record.
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self.which {
            Which::Main => self.row_key(),
            Which::Dead => None,
        }
    }

    /// Part of the record that the row would be, in either lane.
    fn row_key(&self) -> Option<&[u8]> {
        self.key_index.and_then(|index| self.rows.row().field(index))
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    pub(super) fn is_comparable(&self) -> bool {
        self.which == Which::Dead || !self.is_bad
    }

    /// The row of the record, or of the last one.
    pub(super) fn row_number(&self) -> u64 {
        self.rows.row_number()
    }

    /// Where that row begins.
    pub(super) fn byte_offset(&self) -> u64 {
        self.byte_offset
    }
}

enum Row {
    Good,
    Bad(BadRow),
    None,
}
