//! Along a partition from offset to offset: whose is each record, which number has it, and is
//! it the one that belongs there?
//!
//! ```text
//! partition   [ours 1..40][others][ours 41..60]   [ours 63..70]
//! expected     1           41      41         61   63: 61 and 62 are missing, or, where
//!                                                  retention has deleted them, deleted
//! tape         row by row beside it; none where the batch headers are to do
//! ```
//!
//! The sequence of the producer is the number of the record (`wire/sequence`), so a batch
//! header alone tells which records it holds. What was shown before a read failed is not
//! counted again when it is read again.

use sha2::{Digest as _, Sha256};

use super::tape::Tape;
use super::{DIFFERENCES_MAX, Difference, Found};
use crate::event::Lane as Which;
use crate::flow::ports::BatchVisitor;
use crate::flow::run::Run;
use crate::stop::Stop;
use crate::wire::checkpoint::Producer;
use crate::wire::provenance::{dead_letter_row, source_line};
use crate::wire::record_batch::BatchHeader;
use crate::wire::sequence;
use serde_json::Value;

pub(super) struct Walk {
    pub(super) which: Which,
    pub(super) producers: Vec<Producer>,
    pub(super) source: String,
    /// The records up to this one are the Python processor's, sent under no identity of ours.
    pub(super) adopted: u64,
    /// `None`: completeness and order alone.
    pub(super) tape: Option<Tape>,
    /// The number of the next record of the job.
    pub(super) expected: u64,
    /// All below this offset has been seen.
    pub(super) next_offset: i64,
    /// What is missing next was deleted by retention.
    pub(super) is_excused: bool,
    pub(super) hash: Sha256,
    pub(super) found: Found,
    /// Why the walk can not go on, though the partition can be read.
    pub(super) stop: Option<Stop>,
    /// The number of the record at the base offset, of the batch in progress.
    batch: Option<(u64, i64)>,
    /// Where the records under our own identities begin.
    own_from: i64,
}

/// The walk, with what it needs from the world for as long as a read takes.
pub(super) struct Walker<'w, 'r, 'a, 'p> {
    pub(super) walk: &'w mut Walk,
    pub(super) run: &'r mut Run<'a, 'p>,
}

impl Walk {
    pub(super) fn new(
        which: Which,
        producers: Vec<Producer>,
        source: String,
        adopted: u64,
        tape: Option<Tape>,
    ) -> Walk {
        let own_from = producers.first().map_or(0, |producer| producer.first_offset);
        Walk {
            which,
            producers,
            source,
            adopted,
            expected: if tape.is_some() { 1 } else { adopted + 1 },
            tape,
            next_offset: 0,
            is_excused: false,
            hash: Sha256::new(),
            found: Found::default(),
            stop: None,
            batch: None,
            own_from,
        }
    }

    /// Retention has deleted what was to be read next.
    pub(super) fn jump(&mut self, log_start: i64) {
        self.next_offset = log_start;
        self.is_excused = true;
    }

    /// What is left of the source when the partition has no more, or of `total` records where
    /// there is no tape.
    pub(super) fn finish(&mut self, run: &mut Run<'_, '_>, total: u64) -> Result<(), Stop> {
        if self.tape.is_none() {
            if self.expected <= total {
                self.gap(run, total + 1, None)?;
            }
        } else {
            self.rest(run)?;
        }
        let counted = self.expected - 1;
        // Other differences say more than the sum.
        if counted != total && self.found.difference_count == 0 {
            self.differs(Difference::Total { item: total, found: counted });
        }
        Ok(())
    }

    /// The rows that no record was there for.
    fn rest(&mut self, run: &mut Run<'_, '_>) -> Result<(), Stop> {
        let first = self.expected;
        let mut rows = None;
        while self.advance(run)? {
            let row = self.row().unwrap_or(0);
            rows = Some((rows.map_or(row, |(first_row, _)| first_row), row));
            self.expected += 1;
        }
        let count = self.expected - first;
        match rows {
            None => {}
            Some(_) if self.is_excused => self.found.deleted += count,
            Some(rows) => {
                self.differs(Difference::Missing { rows: Some(rows), count, before_offset: None });
            }
        }
        Ok(())
    }

    /// Passes over what is missing before record `ordinal`.
    fn gap(
        &mut self,
        run: &mut Run<'_, '_>,
        ordinal: u64,
        before_offset: Option<i64>,
    ) -> Result<(), Stop> {
        let count = ordinal - self.expected;
        let mut rows = None;
        if self.tape.is_some() {
            for _ in 0..count {
                if !self.advance(run)? {
                    break;
                }
                let row = self.row().unwrap_or(0);
                rows = Some((rows.map_or(row, |(first_row, _)| first_row), row));
            }
        }
        self.expected = ordinal;
        self.lack(rows, count, before_offset);
        Ok(())
    }

    fn lack(&mut self, rows: Option<(u64, u64)>, count: u64, before_offset: Option<i64>) {
        if self.is_excused {
            self.found.deleted += count;
        } else if count > 0 {
            self.differs(Difference::Missing { rows, count, before_offset });
        }
    }

    fn advance(&mut self, run: &mut Run<'_, '_>) -> Result<bool, Stop> {
        match &mut self.tape {
            Some(tape) => tape.advance(run),
            None => Ok(false),
        }
    }

    fn row(&self) -> Option<u64> {
        self.tape.as_ref().map(Tape::row_number)
    }

    pub(super) fn differs(&mut self, difference: Difference) {
        self.found.difference_count += 1;
        if self.found.differences.len() < DIFFERENCES_MAX {
            self.found.differences.push(difference);
        }
    }

    fn producer_of(&self, header: &BatchHeader) -> Option<&Producer> {
        let is_ours = |producer: &&Producer| {
            header.producer_id == producer.id && header.producer_epoch == producer.epoch
        };
        self.producers.iter().rev().find(is_ours).filter(|_| header.base_sequence >= 0)
    }

    /// The identity that was in use at this offset is none: the compatibility client's.
    fn is_unnumbered_at(&self, offset: i64) -> bool {
        let then = self.producers.iter().rev().find(|producer| producer.first_offset <= offset);
        then.is_some_and(|producer| producer.id < 0)
    }

    fn is_at(&mut self, offset: i64) {
        self.found.records += 1;
        self.found.first_offset.get_or_insert(offset);
        self.found.last_offset = Some(offset);
    }

    /// A batch of ours, by its header alone.
    fn own_header(
        &mut self,
        run: &mut Run<'_, '_>,
        header: &BatchHeader,
        first: u64,
    ) -> Result<(), Stop> {
        let delta = u64::from(header.last_offset_delta.unsigned_abs());
        // A batch whose front is deleted comes whole.
        let hidden = self.next_offset.saturating_sub(header.base_offset).max(0).unsigned_abs();
        let (first, last) = (first + hidden, first + delta);
        let offset = header.base_offset.max(self.next_offset);
        if first > self.expected {
            self.gap(run, first, Some(offset))?;
        }
        if first < self.expected {
            let count = last.min(self.expected - 1) - first + 1;
            self.differs(Difference::Repeated { record: first, count, row: None, offset });
        }
        let held = u64::from(header.record_count.unsigned_abs());
        if held != delta + 1 {
            let count = (delta + 1).saturating_sub(held);
            self.differs(Difference::Emptied { offset, count });
        }
        self.is_excused = false;
        self.expected = self.expected.max(last + 1);
        self.is_at(offset);
        self.found.records += last - first;
        self.found.last_offset = Some(header.last_offset());
        Ok(())
    }

    /// A record of the job beside the row that belongs there.
    fn own_record(
        &mut self,
        run: &mut Run<'_, '_>,
        ordinal: u64,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Stop> {
        if ordinal < self.expected {
            let row = value.and_then(|value| source_line(value, &self.source));
            self.differs(Difference::Repeated { record: ordinal, count: 1, row, offset });
            self.add_to_digest(value);
            return Ok(());
        }
        if ordinal > self.expected {
            self.gap(run, ordinal, Some(offset))?;
        }
        let is_there = self.advance(run)?;
        self.place(is_there, offset, key, value);
        Ok(())
    }

    /// The next record of the job, beside the row that the tape stands at, if it has one.
    fn place(&mut self, is_there: bool, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.add_to_digest(value);
        self.is_excused = false;
        let record = self.expected;
        self.expected += 1;
        self.is_at(offset);
        if !is_there {
            self.differs(Difference::Extra { record, offset });
        } else if let Some(difference) = self.compare(offset, key, value) {
            self.differs(difference);
        }
    }

    fn add_to_digest(&mut self, value: Option<&[u8]>) {
        self.hash.update(value.unwrap_or_default());
        self.hash.update(b"\n");
    }

    fn compare(
        &mut self,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Option<Difference> {
        let tape = self.tape.as_ref()?;
        let row = tape.row_number();
        if tape.is_adopted() {
            self.found.adopted += 1;
            let same = !tape.is_comparable() || is_same_json(tape.value(), value);
            return (!same).then(|| Difference::Value {
                row,
                byte_offset: tape.byte_offset(),
                offset,
                at: None,
                holds: None,
            });
        }
        let found = value.unwrap_or_default();
        if value.is_none() || found != tape.value() {
            let common = found.iter().zip(tape.value()).take_while(|(a, b)| a == b).count();
            return Some(Difference::Value {
                row,
                byte_offset: tape.byte_offset(),
                offset,
                at: Some(common as u64),
                holds: source_line(found, &self.source).filter(|line| *line != row),
            });
        }
        (key != tape.key()).then(|| Difference::Key {
            row,
            byte_offset: tape.byte_offset(),
            offset,
        })
    }

    /// A record that the compatibility client sent: it has no number, so the row that it names
    /// tells its place.
    fn own_row(
        &mut self,
        run: &mut Run<'_, '_>,
        row: u64,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Stop> {
        if self.expected > 1 && self.row().is_some_and(|last| row <= last) {
            let record = self.expected - 1;
            self.differs(Difference::Repeated { record, count: 1, row: Some(row), offset });
            self.add_to_digest(value);
            return Ok(());
        }
        let first = self.expected;
        let mut rows = None;
        let mut is_there = self.advance(run)?;
        while let Some(before) = self.row().filter(|at| is_there && *at < row) {
            rows = Some((rows.map_or(before, |(first_row, _)| first_row), before));
            self.expected += 1;
            is_there = self.advance(run)?;
        }
        self.lack(rows, self.expected - first, Some(offset));
        self.place(is_there, offset, key, value);
        Ok(())
    }

    /// A record under no identity of ours: the Python processor's, or somebody else's.
    fn other_record(
        &mut self,
        run: &mut Run<'_, '_>,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Stop> {
        let line = value.and_then(|value| match self.which {
            Which::Main => source_line(value, &self.source),
            Which::Dead => dead_letter_row(value, &self.source),
        });
        if let Some(row) = line.filter(|_| self.is_unnumbered_at(offset)) {
            return self.own_row(run, row, offset, key, value);
        }
        match line.filter(|line| offset < self.own_from && *line >= 1 && *line <= self.adopted) {
            Some(line) if self.which == Which::Main => {
                self.own_record(run, line, offset, key, value)
            }
            _ => {
                self.others(1, offset);
                self.found.others_of_source += u64::from(line.is_some());
                Ok(())
            }
        }
    }

    fn others(&mut self, count: u64, offset: i64) {
        if count > 0 {
            self.found.others += count;
            self.found.first_other_offset.get_or_insert(offset);
        }
    }
}

impl BatchVisitor for Walker<'_, '_, '_, '_> {
    fn batch(&mut self, header: &BatchHeader) -> bool {
        let walk = &mut *self.walk;
        let is_seen = header.last_offset() < walk.next_offset;
        if is_seen || header.is_control() || walk.stop.is_some() {
            return false;
        }
        let by_headers = walk.tape.is_none();
        if let Some(producer) = walk.producer_of(header) {
            let base = producer.base_record;
            let first = sequence::ordinal_near(walk.expected, base, header.base_sequence);
            if !by_headers {
                walk.batch = Some((first, header.base_offset));
                return true;
            }
            walk.stop = walk.own_header(self.run, header, first).err();
        } else {
            walk.batch = None;
            if !by_headers {
                return true;
            }
            walk.others(u64::from(header.record_count.unsigned_abs()), header.base_offset);
        }
        walk.next_offset = header.last_offset() + 1;
        false
    }

    fn record(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let walk = &mut *self.walk;
        if offset < walk.next_offset || walk.stop.is_some() {
            return;
        }
        walk.next_offset = offset + 1;
        let done = match walk.batch {
            Some((first, base_offset)) => {
                let ordinal = first + (offset - base_offset).max(0).unsigned_abs();
                walk.own_record(self.run, ordinal, offset, key, value)
            }
            None => walk.other_record(self.run, offset, key, value),
        };
        walk.stop = done.err();
    }
}

/// Whether both hold the same members, in whatever order and spacing; the number of the row
/// may be a text.
fn is_same_json(expected: &[u8], found: Option<&[u8]>) -> bool {
    let parse = |bytes: &[u8]| {
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        let line = value.get_mut("_source_line")?;
        if let Some(number) = line.as_str().and_then(|text| text.parse::<u64>().ok()) {
            *line = number.into();
        }
        Some(value)
    };
    let expected = parse(expected);
    expected.is_some() && expected == found.and_then(parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::lab::{Lab, TEN_ROWS};

    /// Batches by their headers alone: (base offset, first sequence, last delta, records held).
    #[test]
    fn headers_alone() {
        type Case<'a> = (&'a str, &'a [(i64, i32, i32, i32)], &'a [Difference], Told);
        type Told = (u64, Option<i64>, Option<i64>);
        let missing =
            |count, offset| Difference::Missing { rows: None, count, before_offset: Some(offset) };
        let repeated =
            |record, count, offset| Difference::Repeated { record, count, row: None, offset };
        let table: [Case<'_>; 9] = [
            ("one after the other", &[(0, 0, 9, 10), (10, 10, 4, 5)], &[], (15, Some(0), Some(14))),
            ("others in between", &[(3, 0, 9, 10), (20, 10, 0, 1)], &[], (11, Some(3), Some(20))),
            ("shown twice", &[(0, 0, 9, 10), (0, 0, 9, 10)], &[], (10, Some(0), Some(9))),
            (
                "emptied by compaction",
                &[(0, 0, 9, 7)],
                &[Difference::Emptied { offset: 0, count: 3 }],
                (10, Some(0), Some(9)),
            ),
            (
                "repeated as a whole",
                &[(0, 0, 9, 10), (10, 0, 9, 10)],
                &[repeated(1, 10, 10)],
                (20, Some(0), Some(19)),
            ),
            (
                "repeated in part",
                &[(0, 0, 9, 10), (10, 5, 9, 10)],
                &[repeated(6, 5, 10)],
                (20, Some(0), Some(19)),
            ),
            (
                "a part repeated",
                &[(0, 0, 9, 10), (10, 2, 3, 4)],
                &[repeated(3, 4, 10)],
                (14, Some(0), Some(13)),
            ),
            ("a gap", &[(0, 0, 4, 5), (5, 7, 1, 2)], &[missing(2, 5)], (7, Some(0), Some(6))),
            ("a gap at the front", &[(4, 1, 8, 9)], &[missing(1, 4)], (9, Some(4), Some(12))),
        ];
        let lab = Lab::new(TEN_ROWS);
        let header = |(base_offset, base_sequence, last_offset_delta, record_count)| BatchHeader {
            base_offset,
            batch_bytes: 100,
            attributes: 0,
            last_offset_delta,
            max_timestamp_ms: 0,
            producer_id: 7,
            producer_epoch: 1,
            base_sequence,
            record_count,
        };
        let producer = Producer { id: 7, epoch: 1, base_record: 0, first_offset: 0 };
        let walked = |headers: &[BatchHeader]| {
            lab.with_ports(|ports| {
                let mut run = Run::new(&lab.job, ports);
                let mut walk =
                    Walk::new(Which::Main, vec![producer.clone()], "s".to_owned(), 0, None);
                for header in headers {
                    assert!(!Walker { walk: &mut walk, run: &mut run }.batch(header));
                }
                (walk.found, walk.expected, walk.next_offset)
            })
        };
        for (name, batches, differences, told) in table {
            let headers: Vec<_> = batches.iter().copied().map(header).collect();
            let (found, _, _) = walked(&headers);
            assert_eq!(found.differences, differences, "{name}");
            assert_eq!((found.records, found.first_offset, found.last_offset), told, "{name}");
            assert_eq!(found.others, 0, "{name}");
        }
        let ours = header((0, 0, 9, 10));
        let emptied = BatchHeader { producer_id: 8, record_count: 0, ..ours };
        assert_eq!(walked(&[emptied]).0.first_other_offset, None);
        for (name, theirs) in [
            ("another producer", BatchHeader { producer_id: 8, ..ours }),
            ("another epoch", BatchHeader { producer_epoch: 2, ..ours }),
            ("no sequence", BatchHeader { base_sequence: -1, ..ours }),
        ] {
            let (found, expected, next_offset) = walked(&[theirs]);
            assert_eq!((found.others, found.first_other_offset), (10, Some(0)), "{name}");
            assert_eq!((found.records, expected, next_offset), (0, 1, 10), "{name}");
        }
        let control = BatchHeader { attributes: 1 << 5, ..ours };
        let (found, expected, _) = walked(&[control]);
        assert_eq!((found.others, found.records, expected), (0, 0, 1), "a control batch");
    }

    /// Each record once, whatever offsets are left out between two; none after a stop.
    #[test]
    fn records_that_are_shown_again() {
        let lab = Lab::new(TEN_ROWS);
        lab.with_ports(|ports| {
            let mut run = Run::new(&lab.job, ports);
            let mut walk = Walk::new(Which::Main, Vec::new(), "s".to_owned(), 0, None);
            for (offset, others) in [(5, 1), (5, 1), (4, 1), (6, 2), (9, 3), (8, 3)] {
                Walker { walk: &mut walk, run: &mut run }.record(offset, None, Some(b"theirs"));
                assert_eq!(walk.found.others, others, "{offset}");
            }
            walk.stop = Some(Stop::Interrupted { by: "SIGTERM" });
            Walker { walk: &mut walk, run: &mut run }.record(10, None, Some(b"theirs"));
            assert_eq!((walk.found.others, walk.next_offset), (3, 10));
            assert_eq!(walk.stop, Some(Stop::Interrupted { by: "SIGTERM" }));
        });
    }
}
