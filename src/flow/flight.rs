//! One batch in flight: before a send, its answer, its replay, its deadline.
//!
//! ```text
//!            ┌─────────── wait, ask who leads ──────────┐
//!            v                                          │
//!  connect ─> long silence? ── no ──> send ─> confirm ──┴─ lost, overdue, passing error
//!            │                                 │
//!            └─ yes: read the tail             ├─ 0: landed
//!                    ├ landed: adopt           ├─ 45, 46: read the tail, adopt or stop
//!                    └ not: send               ├─ 59: read the tail, new identity
//!                                              └─ 10: cut in halves
//! ```
//!
//! Where records carry no sequence (the compatibility client), nothing is sent again before the
//! tail was read.
//!
//! A batch is sent again byte for byte, until an answer is definite. Only after the tail was
//! read and does not hold it, its time is stamped anew; its range of sequences never changes.

use std::collections::VecDeque;

use super::answer::{Meaning, meaning};
use super::identity;
use super::patience::{Patience, unthrottled};
use super::ports::{Answer, Confirmed, Fault, Now, Trouble};
use super::run::Run;
use super::tail::{Place, Tail, describe, read_tail};
use crate::event::Event;
use crate::limits::{ANSWER_TIMEOUT_MS, PRODUCE_TIMEOUT_MS};
use crate::stop::{Peer, Stop};
use crate::wire::kafka::errors::show_error;
use crate::wire::record_batch::Batch;
use crate::wire::sequence;

/// How often a send may find that the partition was silent for too long, in a row.
const SILENCES_MAX: usize = 8;

/// Where the source is once a batch has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub row: u64,
    pub next_byte: u64,
    pub ordinal: u64,
    pub dead_ordinal: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    pub end: Option<End>,
    pub records: u64,
    pub bytes_raw: u64,
    pub bytes_sent: u64,
    pub throttle_ms: u64,
}

pub struct Flight {
    /// The ordinals of what is left to land of the batch.
    first: u64,
    last: u64,
    landed: Landed,
    /// Settled without an answer: by what the partition holds.
    here: Option<Batch>,
    sealed: bool,
    /// When the last attempt was written.
    sent: Now,
    /// An attempt may have been appended though no answer said so.
    ambiguous: bool,
    out_of_order: bool,
    /// The other parts of a batch that was too large.
    rest: VecDeque<Batch>,
    patience: Patience,
}

/// What the tail says of the batch.
enum Verdict {
    Landed,
    NotThere(Tail),
}

impl Flight {
    pub fn new(first: u64, last: u64, end: Option<End>) -> Flight {
        Flight {
            first,
            last,
            landed: Landed {
                end,
                records: last + 1 - first,
                bytes_raw: 0,
                bytes_sent: 0,
                throttle_ms: 0,
            },
            here: None,
            sealed: false,
            sent: Now { monotonic_ms: 0, wall_ms: 0 },
            ambiguous: false,
            out_of_order: false,
            rest: VecDeque::new(),
            patience: Patience::new(Peer::Broker),
        }
    }

    pub fn launch(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
    ) -> Result<(), Stop> {
        self.landed.bytes_raw = batch.raw_bytes() as u64;
        self.landed.bytes_sent = batch.as_bytes().len() as u64;
        self.transmit(run, place, batch)
    }

    /// Looks for the answer. Once all of the batch is in the partition: that, and the buffer.
    pub fn poll(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        wait_ms: u64,
    ) -> Result<Option<(Landed, Batch)>, Stop> {
        if let Some(batch) = self.here.take() {
            return self.part_landed(run, place, batch);
        }
        match run.broker(place.which).confirm(wait_ms) {
            Confirmed::Pending => {
                let now_ms = run.now().monotonic_ms;
                if now_ms.saturating_sub(self.sent.monotonic_ms) > ANSWER_TIMEOUT_MS {
                    let Some(batch) = run.broker(place.which).hang_up() else {
                        unreachable!("a pending batch is in the port")
                    };
                    let seconds = ANSWER_TIMEOUT_MS / 1000;
                    let problem = format!("no answer to a produce request in {seconds} s");
                    self.again(run, place, batch, &passing(problem))?;
                }
            }
            Confirmed::Lost(batch, trouble) => self.again(run, place, batch, &trouble)?,
            Confirmed::Answered(batch, answer) => self.judge(run, place, batch, answer)?,
            Confirmed::Idle => unreachable!("a batch in flight is in the port"),
        }
        match self.here.take() {
            Some(batch) => self.part_landed(run, place, batch),
            None => Ok(None),
        }
    }

    /// One look at the answer; whatever it is not, the tail will tell the next run.
    pub fn confirm_once(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        wait_ms: u64,
    ) -> Option<Landed> {
        if self.here.is_none() {
            match run.broker(place.which).confirm(wait_ms) {
                Confirmed::Answered(batch, answer) if answer.error_code == 0 => {
                    // An offset that went back is found again by the next run.
                    self.confirmed(place, batch, answer).ok()?;
                }
                _ => {
                    run.broker(place.which).hang_up();
                }
            }
        }
        (self.here.is_some() && self.rest.is_empty()).then_some(self.landed)
    }

    /// Connects, then judges the silence, then writes on that very connection: a machine that
    /// is suspended in between finds it dropped by the broker.
    fn transmit(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        mut batch: Batch,
    ) -> Result<(), Stop> {
        for _ in 0..SILENCES_MAX {
            self.connect(run, place)?;
            let now = run.now();
            let (again, first) = (defect!(NoReadAfterSilence), defect!(NoReadBeforeFirstSend));
            let unjudged = if self.sealed { again } else { first };
            if place.is_silent(now) && !unjudged {
                let seconds = place.silence_ms(now) / 1000;
                run.tell(&Event::Silence { seconds });
                match self.ask_partition(run, place)? {
                    Verdict::Landed => {
                        self.here = Some(batch);
                        return Ok(());
                    }
                    Verdict::NotThere(_) => self.sealed = false,
                }
                continue;
            }
            if !self.sealed {
                let producer = place.producer();
                if place.is_unnumbered() {
                    batch.seal_unnumbered(now.wall_ms);
                } else {
                    let base_sequence = sequence::sequence_of(self.first, producer.base_record);
                    batch.seal(producer.id, producer.epoch, base_sequence, now.wall_ms);
                }
                self.sealed = true;
            }
            self.sent = now;
            run.broker(place.which).send(batch);
            return Ok(());
        }
        Err(Stop::GaveUp {
            peer: Peer::Broker,
            attempts: u32::try_from(SILENCES_MAX).unwrap_or(u32::MAX),
            seconds: 0,
            problem: "more than ten minutes passed before each send; is this machine suspended?"
                .to_owned(),
        })
    }

    fn connect(&mut self, run: &mut Run<'_, '_>, place: &mut Place) -> Result<(), Stop> {
        loop {
            match unthrottled(run, |run| run.broker(place.which).connect()) {
                Ok(()) => return Ok(()),
                Err(Fault::Final(stop)) => return Err(*stop),
                Err(Fault::Passing(trouble)) => {
                    self.patience.wait(run, &trouble)?;
                    describe(run, place)?;
                }
            }
        }
    }

    /// Waits, asks who leads, and sends the same bytes again.
    fn again(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
        trouble: &Trouble,
    ) -> Result<(), Stop> {
        self.ambiguous = true;
        self.sealed &= !defect!(RetryDifferently);
        run.broker(place.which).hang_up();
        self.patience.wait(run, trouble)?;
        if place.is_unnumbered() {
            return match self.ask_later(run, place)? {
                Verdict::Landed => {
                    self.here = Some(batch);
                    Ok(())
                }
                Verdict::NotThere(_) => self.transmit(run, place, batch),
            };
        }
        describe(run, place)?;
        self.transmit(run, place, batch)
    }

    fn judge(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
        answer: Answer,
    ) -> Result<(), Stop> {
        if answer.throttle_ms > 0 {
            run.counts.throttled_ms += answer.throttle_ms;
            run.tell(&Event::Throttled { pause_ms: answer.throttle_ms });
        }
        let said = |what: &str| Trouble {
            problem: format!("{}/{} answered {what}", place.target.topic, place.target.partition),
            missing: None,
            pause_ms: answer.throttle_ms,
        };
        match meaning(answer.error_code) {
            Meaning::Success => {
                let took_ms = run.now().monotonic_ms.saturating_sub(self.sent.monotonic_ms);
                run.counts.progress.answers += 1;
                run.counts.progress.answers_ms += took_ms;
                self.confirmed(place, batch, answer)
            }
            Meaning::Refresh | Meaning::Repeat => {
                let trouble = said(&show_error(answer.error_code));
                self.again(run, place, batch, &trouble)
            }
            Meaning::Fatal { problem, advice } => Err(Stop::refused(
                Peer::Broker,
                format!("{}/{}: {problem}", place.target.topic, place.target.partition),
                advice,
            )),
            Meaning::OutOfOrder => self.out_of_order(run, place, batch),
            Meaning::UnknownProducer => self.unknown_producer(run, place, batch),
            Meaning::TooLarge => self.too_large(run, place, batch),
        }
    }

    fn confirmed(&mut self, place: &mut Place, batch: Batch, answer: Answer) -> Result<(), Stop> {
        let before = place.offsets.last.max(place.offsets.settled);
        if let Some(confirmed) = before.filter(|before| answer.base_offset <= *before) {
            return Err(Stop::OffsetWentBack {
                topic: place.target.topic.clone(),
                partition: place.target.partition,
                confirmed,
                answered: answer.base_offset,
            });
        }
        if self.first == place.first_record() {
            place.offsets.first = Some(answer.base_offset);
        }
        let last_offset = answer.base_offset.saturating_add(i64::from(batch.record_count()) - 1);
        place.landed = self.first + u64::from(batch.record_count()) - 1;
        place.offsets.last = Some(last_offset);
        place.offsets.settled = Some(last_offset);
        // Not when the answer was read: the machine may have slept on it.
        place.answered = Some(self.sent);
        place.adopted = false;
        self.landed.throttle_ms = answer.throttle_ms;
        self.here = Some(batch);
        Ok(())
    }

    /// Not the next sequence: an earlier attempt of ours landed, or another live run holds the
    /// partition.
    fn out_of_order(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
    ) -> Result<(), Stop> {
        if defect!(BumpEpoch) {
            place.bump_epoch();
            self.sealed = false;
            return self.transmit(run, place, batch);
        }
        if defect!(RenewOnOutOfOrder) {
            let log_end = place.offsets.settled.unwrap_or(-1) + 1;
            identity::renew(run, place, &Tail { log_end, last_ordinal: place.landed })?;
            self.sealed = false;
            return self.transmit(run, place, batch);
        }
        let seen_before = std::mem::replace(&mut self.out_of_order, true);
        match self.ask_partition(run, place)? {
            Verdict::Landed if !seen_before => {
                self.here = Some(batch);
                Ok(())
            }
            Verdict::Landed | Verdict::NotThere(_) => Err(contended(place)),
        }
    }

    fn unknown_producer(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
    ) -> Result<(), Stop> {
        match self.ask_later(run, place)? {
            Verdict::Landed => {
                self.here = Some(batch);
                Ok(())
            }
            Verdict::NotThere(tail) => {
                identity::renew(run, place, &tail)?;
                self.sealed = false;
                self.transmit(run, place, batch)
            }
        }
    }

    fn too_large(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
    ) -> Result<(), Stop> {
        if self.ambiguous
            && let Verdict::Landed = self.ask_partition(run, place)?
        {
            self.here = Some(batch);
            return Ok(());
        }
        let Some((head, tail)) = batch.split() else {
            return Err(Stop::RecordRefused {
                topic: place.target.topic.clone(),
                record: self.first,
                bytes: batch.raw_bytes(),
            });
        };
        self.rest.push_front(tail);
        self.sealed = false;
        self.transmit(run, place, head)
    }

    /// The partition once whatever of ours is still on its way is decided: nothing but what it
    /// holds tells whether a repetition would be the second one.
    fn ask_later(&mut self, run: &mut Run<'_, '_>, place: &mut Place) -> Result<Verdict, Stop> {
        run.broker(place.which).hang_up();
        run.wait(PRODUCE_TIMEOUT_MS)?;
        self.ask_partition(run, place)
    }

    /// Steps 3 to 5 again: the tail holds all of the batch, or nothing of it. Anything else was
    /// appended by another live run.
    fn ask_partition(&mut self, run: &mut Run<'_, '_>, place: &mut Place) -> Result<Verdict, Stop> {
        run.broker(place.which).hang_up();
        let before = place.landed;
        assert_eq!(before + 1, self.first, "the batch in flight is the next one");
        let tail = read_tail(run, place)?;
        let part_last = self.last - self.rest.iter().map(records).sum::<u64>();
        let landed = tail.last_ordinal == part_last;
        run.tell(&Event::Settled { lane: place.which, landed, ordinal: tail.last_ordinal });
        if landed {
            Ok(Verdict::Landed)
        } else if tail.last_ordinal == before {
            Ok(Verdict::NotThere(tail))
        } else {
            Err(contended(place))
        }
    }

    /// A batch, or a part of one that was cut, is in the partition.
    fn part_landed(
        &mut self,
        run: &mut Run<'_, '_>,
        place: &mut Place,
        batch: Batch,
    ) -> Result<Option<(Landed, Batch)>, Stop> {
        self.first = place.landed + 1;
        let Some(next) = self.rest.pop_front() else {
            assert_eq!(place.landed, self.last, "all of the batch has landed, and no more");
            return Ok(Some((self.landed, batch)));
        };
        self.sealed = false;
        self.ambiguous = false;
        self.out_of_order = false;
        self.patience.progress();
        self.transmit(run, place, next)?;
        Ok(None)
    }
}

fn records(batch: &Batch) -> u64 {
    u64::from(batch.record_count())
}

fn contended(place: &Place) -> Stop {
    Stop::Contended { topic: place.target.topic.clone(), partition: place.target.partition }
}

fn passing(problem: String) -> Trouble {
    Trouble { problem, missing: None, pause_ms: 0 }
}
