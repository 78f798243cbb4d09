//! The loop: source, rows, records, batch, broker, progress, checkpoint.

use super::flight::{End, Landed};
use super::keeper::{Offsets, Settled};
use super::lane::{Lane, Offered};
use super::rows::{Next, Rows};
use super::run::Run;
use super::spent::On;
use crate::event::{Because, Event};
use crate::limits::{STOP_GRACE_MS, WAIT_SLICE_MS};
use crate::stop::{BadRow, Peer, Stop};
use crate::wire::record::RowTemplate;
use crate::wire::record::dead_letter::{self, DeadLetter};

/// Rows that are only counted, before the loop looks at anything else.
const COUNTED_ROWS_MAX: usize = 4_096;

/// Where a run begins, and all that it works with.
pub struct Course {
    pub rows: Rows,
    pub template: RowTemplate,
    pub key_index: Option<usize>,
    pub main: Lane,
    pub dead: Option<Lane>,
    /// The row of the checkpoint that it begins from.
    pub checkpointed_row: u64,
    /// The first so many rows are the Python processor's: skipped by counting.
    pub adopted_rows: u64,
    /// Up to here rows are counted: landed, in flight, or being filled.
    pub filled: End,
    /// What ends the run once all before it is settled.
    pub ended: Option<Stop>,
}

/// What a slice of filling came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    More,
    /// The source is dry at the moment.
    Dry,
    /// A batch is full, or there are no more rows.
    Ready,
}

/// Copies until the source ends or something ends the run.
pub fn copy(run: &mut Run<'_, '_>, course: &mut Course) -> Stop {
    let (Ok(stop) | Err(stop)) = course.copy(run);
    if let Stop::Interrupted { .. } = stop {
        course.give_grace(run);
    }
    stop
}

impl Course {
    fn copy(&mut self, run: &mut Run<'_, '_>) -> Result<Stop, Stop> {
        if self.lanes().all(Lane::is_settled) && self.adopted_rows <= self.filled.row {
            self.begin(run);
        }
        let mut brake = Brake { rows_per_second_max: run.job.rows_per_second_max, began: None };
        run.watch_progress();
        loop {
            let step = self.fill(run);
            self.poll(run, step)?;
            run.tend()?;
            run.stop_asked()?;
            run.pulse(!self.is_idle());
            if step != Step::Ready || !self.is_idle() {
                continue;
            }
            let now_ms = run.now().monotonic_ms;
            let settled_row = run.keeper.settled().row;
            let brake_ms = brake.opens_at_ms(now_ms, settled_row);
            let open_ms = brake_ms.max(self.not_before_ms());
            if now_ms < open_ms {
                let on = if now_ms < brake_ms { On::Brake } else { On::Peer(Peer::Broker) };
                run.spend(on, |run| run.wait((open_ms - now_ms).min(WAIT_SLICE_MS)))?;
            } else if self.dead.as_ref().is_some_and(Lane::has_rows) {
                self.launch_dead(run)?;
            } else if self.main.has_rows() {
                self.main.launch(run, Some(self.filled))?;
                if defect!(RecordBeforeConfirm) {
                    self.settle(run, self.filled);
                }
            } else if let Some(stop) = self.ended.take() {
                // Last rows that the partition held already, counted while a batch was in flight.
                if self.filled.row >= self.adopted_rows && self.lanes().all(Lane::is_settled) {
                    self.settle(run, self.filled);
                }
                return Ok(stop);
            }
        }
    }

    /// One slice: source, rows, records, compressed bytes.
    fn fill(&mut self, run: &mut Run<'_, '_>) -> Step {
        for _ in 0..COUNTED_ROWS_MAX {
            let hurried = defect!(TimedBatches)
                && self.main.has_rows()
                && run.now().wall_ms.is_multiple_of(3);
            if self.ended.is_some() || self.is_full() || hurried {
                return Step::Ready;
            }
            if run.job.rows_max.is_some_and(|rows_max| self.filled.row >= rows_max) {
                self.ended = Some(Stop::RowsReached { rows: self.filled.row });
                return Step::Ready;
            }
            let why = match self.rows.next(run) {
                Next::Good | Next::Bad(_) if self.rows.row_number() <= self.adopted_rows => {
                    self.counted();
                    self.walked(run);
                    continue;
                }
                Next::Good => None,
                Next::Bad(why) => Some(why),
                Next::NotYet => return Step::Dry,
                Next::End => {
                    self.ended = Some(Stop::Complete { rows: self.filled.row });
                    return Step::Ready;
                }
                Next::Fatal(stop) => {
                    self.ended = Some(stop);
                    return Step::Ready;
                }
            };
            let offered = match why {
                None => self.offer_row(run),
                Some(why) => self.offer_bad(run, why),
            };
            match offered {
                Some(Offered::Taken) => {
                    // Dead letters of the tail may lie ahead of rows that never landed: then
                    // there was no row up to which all is settled, and this one is sent.
                    if !run.has_begun() {
                        self.settle(run, self.filled);
                        self.begin(run);
                    }
                    self.counted();
                }
                Some(Offered::Landed) => {
                    self.counted();
                    self.walked(run);
                }
                Some(Offered::Sliced) => return Step::More,
                Some(Offered::Full) | None => return Step::Ready,
                Some(Offered::TooLarge { .. }) => unreachable!("a large row is a bad row"),
            }
        }
        Step::More
    }

    fn offer_row(&mut self, run: &mut Run<'_, '_>) -> Option<Offered> {
        let row = self.rows.row();
        let row_number = self.rows.row_number();
        let key = self.key_index.and_then(|index| row.field(index));
        let template = &self.template;
        let bytes_bound = template.bytes_bound(self.rows.raw().len());
        let offered = self.main.offer(bytes_bound, key, |out| template.write(row, row_number, out));
        match offered {
            Offered::TooLarge { bytes } => {
                let bytes_max = self.main.record_bytes_max();
                self.offer_bad(run, BadRow::RecordTooLarge { bytes, bytes_max })
            }
            offered => Some(offered),
        }
    }

    /// Sets a bad row aside; `None`: it ends the run instead.
    fn offer_bad(&mut self, run: &mut Run<'_, '_>, why: BadRow) -> Option<Offered> {
        let (row, byte_offset) = (self.rows.row_number(), self.rows.byte_offset());
        let Some(dead) = &mut self.dead else {
            self.ended = Some(Stop::BadRow { row, byte_offset, why, aside: None });
            return None;
        };
        if dead.ordinal() >= run.job.bad_rows_max {
            let aside = Some(dead.ordinal());
            self.ended = Some(Stop::BadRow { row, byte_offset, why, aside });
            return None;
        }
        let bytes_max = dead.record_bytes_max();
        let letter = DeadLetter {
            row_number: row,
            byte_offset,
            why: &why,
            source: &run.job.source,
            raw: self.rows.raw(),
        };
        // A dead letter is cut to what its topic takes: it is never too large itself.
        let offered = dead.offer(0, None, |out| {
            let fits = dead_letter::write(&letter, bytes_max, out);
            assert!(fits, "a topic that takes batches takes a dead letter without its row");
        });
        if offered == Offered::Taken {
            run.tell(&Event::SetAside { row, byte_offset });
        }
        Some(offered)
    }

    /// The row in progress belongs to a batch now, or to the tail.
    fn counted(&mut self) {
        let row = self.rows.row_number();
        self.rows.drop_row();
        self.filled = End {
            row,
            next_byte: self.rows.byte_offset(),
            ordinal: self.main.ordinal(),
            dead_ordinal: self.dead.as_ref().map_or(self.filled.dead_ordinal, Lane::ordinal),
        };
    }

    /// After a row that is in the partition already. Once it is the last such row, all up to it
    /// is settled.
    fn walked(&mut self, run: &mut Run<'_, '_>) {
        if self.filled.row >= self.adopted_rows && self.lanes().all(Lane::is_settled) {
            self.settle(run, self.filled);
            if !run.has_begun() {
                self.begin(run);
            }
        }
    }

    /// Rows are sent from here on.
    fn begin(&mut self, run: &mut Run<'_, '_>) {
        run.begin_counting(self.filled.row);
        let End { row, next_byte, .. } = self.filled;
        let because = match self.checkpointed_row {
            _ if self.adopted_rows > 0 => Because::Adopted,
            _ if row == 0 => Because::Fresh,
            checkpointed_row if row > checkpointed_row => Because::Tail,
            _ => Because::Checkpoint,
        };
        let producer = self.main.place.producer();
        run.tell(&Event::Sending {
            row: row + 1,
            byte_offset: next_byte,
            because,
            checkpointed_row: self.checkpointed_row,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
        });
    }

    /// Looks for answers; waits only when there is nothing to fill.
    fn poll(&mut self, run: &mut Run<'_, '_>, step: Step) -> Result<(), Stop> {
        let nothing_to_fill = step == Step::Ready || (step == Step::Dry && self.rows.is_waiting());
        let wait_ms = if nothing_to_fill { WAIT_SLICE_MS } else { 0 };
        let mut landed = None;
        for lane in self.dead.iter_mut().chain([&mut self.main]) {
            if !lane.is_idle() {
                landed = landed.or(run.wait_for(Peer::Broker, |run| lane.poll(run, wait_ms))?);
            }
        }
        if let Some(landed) = landed {
            self.landed(run, landed);
        } else if step == Step::Dry && self.is_idle() && self.rows.is_waiting() {
            run.wait_for(Peer::Source, |run| run.wait(WAIT_SLICE_MS))?;
        }
        Ok(())
    }

    fn landed(&mut self, run: &mut Run<'_, '_>, landed: Landed) {
        run.counts.batches += 1;
        run.counts.progress.bytes_raw += landed.bytes_raw;
        run.counts.progress.bytes_sent += landed.bytes_sent;
        if let Some(end) = landed.end {
            self.settle(run, end);
        }
    }

    /// All rows up to `end` are in the partitions.
    fn settle(&mut self, run: &mut Run<'_, '_>, end: End) {
        let before = *run.keeper.settled();
        let offsets = |lane: &Lane, ordinal: u64, before: Offsets| {
            // What lies beyond `end` is not settled yet: its offset would hide it from a tail.
            if lane.place.landed == ordinal { lane.place.offsets } else { before }
        };
        run.keeper.settle(Settled {
            row: end.row,
            next_byte: end.next_byte,
            ordinal: end.ordinal,
            dead_ordinal: end.dead_ordinal,
            main: offsets(&self.main, end.ordinal, before.main),
            dead: self
                .dead
                .as_ref()
                .map_or(before.dead, |dead| offsets(dead, end.dead_ordinal, before.dead)),
        });
    }

    /// The dead letters of a batch go before it; where there are only dead letters, they are
    /// what is settled.
    fn launch_dead(&mut self, run: &mut Run<'_, '_>) -> Result<(), Stop> {
        let end = self.main.is_settled().then_some(self.filled);
        match &mut self.dead {
            Some(dead) => dead.launch(run, end),
            None => unreachable!("dead letters without their lane"),
        }
    }

    /// After a request to stop: a moment for the batch in flight, then it is given up; the tail
    /// settles it at the next start.
    fn give_grace(&mut self, run: &mut Run<'_, '_>) {
        let mut landed = None;
        for lane in self.dead.iter_mut().chain([&mut self.main]) {
            landed = landed.or(lane.confirm_once(run, STOP_GRACE_MS));
        }
        if let Some(landed) = landed {
            self.landed(run, landed);
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.dead.iter().chain([&self.main])
    }

    fn is_idle(&self) -> bool {
        self.lanes().all(Lane::is_idle)
    }

    fn is_full(&self) -> bool {
        self.lanes().any(Lane::is_full)
    }

    fn not_before_ms(&self) -> u64 {
        self.lanes().map(|lane| lane.not_before_ms).max().unwrap_or(0)
    }
}

/// `MAX_ROWS_PER_SECOND`: confirmed rows of this run.
struct Brake {
    rows_per_second_max: Option<u64>,
    /// When the first batch of this run was ready, and the row before it: what was found in
    /// the partition, or taken over, cost no time here.
    began: Option<(u64, u64)>,
}

impl Brake {
    fn opens_at_ms(&mut self, now_ms: u64, settled_row: u64) -> u64 {
        let (began_ms, began_row) = *self.began.get_or_insert((now_ms, settled_row));
        let rows = settled_row.saturating_sub(began_row);
        match self.rows_per_second_max {
            Some(rate) => began_ms + rows.saturating_mul(1000) / rate.max(1),
            None => 0,
        }
    }
}
