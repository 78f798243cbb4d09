//! Steps 3 to 5 of a resume: is it the same partition, where does it end, and which of our
//! records does it hold after the checkpoint?
//!
//! ```text
//!  kafka_offset                      EpochEnd (leader's log end, replicated or not)
//!       │                               │
//!  ─────┼──[ours 41..60]──[other]──[ours 61..80]     VisibleEnd must have reached it,
//!       └─ the tail ───────────────────┘             then batch headers are read up to it
//! ```

use super::job::{Job, Target};
use super::keeper::Offsets;
use super::patience::{Patience, unthrottled};
use super::ports::{Described, Fault, Guard, Mark, Missing, Now, ReadTo, Visit};
use super::run::Run;
use crate::event::{Event, Lane as Which};
use crate::limits::{
    NEW_TOPIC_PATIENCE_MS, RETRY_DELAY_MS, SHORT_LOG_PATIENCE_MS, SILENCE_MS, WAIT_SLICE_MS,
};
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::Producer;
use crate::wire::provenance::{dead_letter_row, source_line};
use crate::wire::record_batch::BatchHeader;
use crate::wire::sequence;

/// Looks at the visible end before a lagging follower counts as trouble.
const LOOKS_MAX: usize = 10;

/// One lane's partition, and what this run knows of it.
#[derive(Debug)]
pub struct Place {
    pub which: Which,
    pub target: Target,
    /// As pinned; `None`: not yet, or never told by this cluster.
    pub cluster_id: Option<String>,
    pub topic_id: Option<String>,
    /// All identities of the job here; the last one is in use.
    pub producers: Vec<Producer>,
    /// The ordinal of our last record that is in the partition.
    pub landed: u64,
    pub offsets: Offsets,
    /// When the partition last told us what it holds.
    pub answered: Option<Now>,
    /// The last records were found in the tail, not confirmed to us.
    pub adopted: bool,
    /// As its cluster told it last before its tail was read.
    pub described: Option<Described>,
}

/// What the partition holds of this job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    pub log_end: i64,
    /// The ordinal of our last record.
    pub last_ordinal: u64,
}

impl Place {
    /// The records that this job sends now carry no sequence.
    pub fn is_unnumbered(&self) -> bool {
        self.producer().id < 0
    }

    pub fn producer(&self) -> &Producer {
        match self.producers.last() {
            Some(producer) => producer,
            None => unreachable!("an identity is stored before anything is sent or looked for"),
        }
    }

    /// The ordinal of the first record that this program sends: what it has taken over lies
    /// before it.
    pub fn first_record(&self) -> u64 {
        self.producers.first().map_or(0, |producer| producer.base_record) + 1
    }

    /// An earlier run began here, or this one was told of the partition.
    fn was_there(&self) -> bool {
        !self.producers.is_empty() || self.described.is_some()
    }

    /// What other clients do when a sequence is refused; here only as a defect on purpose.
    pub fn bump_epoch(&mut self) {
        let landed = self.landed;
        if let Some(producer) = self.producers.last_mut() {
            producer.epoch += 1;
            producer.base_record = landed;
        }
    }

    /// Long enough that the broker may have forgotten our producer: the machine was suspended,
    /// or the cluster was away. Either clock counts, since a sleeping machine stops the one and
    /// the other may be set back.
    pub fn silence_ms(&self, now: Now) -> u64 {
        self.answered.map_or(u64::MAX, |answered| {
            let monotonic_ms = now.monotonic_ms.saturating_sub(answered.monotonic_ms);
            monotonic_ms.max(now.wall_ms.saturating_sub(answered.wall_ms))
        })
    }

    pub fn is_silent(&self, now: Now) -> bool {
        self.silence_ms(now) > SILENCE_MS
    }

    fn tail_from(&self) -> i64 {
        self.offsets.settled.map_or(0, |offset| offset.saturating_add(1))
    }
}

/// Step 3: asks about the partition until it is there, and refuses another one.
pub fn describe(run: &mut Run<'_, '_>, place: &Place) -> Result<Described, Stop> {
    run.wait_for(Peer::Broker, |run| describe_patiently(run, place))
}

fn describe_patiently(run: &mut Run<'_, '_>, place: &Place) -> Result<Described, Stop> {
    let mut patience = Patience::new(Peer::Broker);
    let began_ms = run.now().monotonic_ms;
    loop {
        let described = unthrottled(run, |run| run.broker(place.which).describe());
        let mut trouble = match described {
            Ok(described) => return same_partition(place, described),
            Err(Fault::Final(stop)) => return Err(*stop),
            Err(Fault::Passing(trouble)) => trouble,
        };
        let elapsed_ms = run.now().monotonic_ms.saturating_sub(began_ms);
        match &trouble.missing {
            // A broker that comes back does not know its topics yet.
            Some(_) if place.was_there() => {
                trouble.problem += ". It was there before: a broker that has just started may not know it yet; if it was deleted, load the source under a new JOB_ID";
                patience.wait(run, &trouble)?;
            }
            Some(missing) if elapsed_ms >= NEW_TOPIC_PATIENCE_MS => {
                return Err(self::missing(run.job, &place.target, Some(missing)));
            }
            Some(_) => run.wait(RETRY_DELAY_MS)?,
            None => patience.wait(run, &trouble)?,
        }
    }
}

/// The partition is not there, nor the topic where that is not told.
pub fn missing(job: &Job, target: &Target, what: Option<&Missing>) -> Stop {
    Stop::TopicMissing {
        topic: target.topic.clone(),
        partition: target.partition,
        partitions: match what {
            Some(Missing::Partition { partition_count }) => Some(*partition_count),
            Some(Missing::Topic) | None => None,
        },
        bootstrap: job.bootstrap.clone(),
    }
}

pub(super) fn same_partition(place: &Place, now: Described) -> Result<Described, Stop> {
    if let (Some(pinned), Some(now)) = (&place.cluster_id, &now.cluster_id)
        && pinned != now
    {
        return Err(Stop::WrongCluster { pinned: pinned.clone(), now: now.clone() });
    }
    if let (Some(pinned), Some(now)) = (&place.topic_id, &now.topic_id)
        && pinned != now
    {
        return Err(Stop::TopicRemade {
            topic: place.target.topic.clone(),
            pinned: pinned.clone(),
            now: now.clone(),
        });
    }
    Ok(now)
}

/// Steps 3 to 5. What it finds becomes `place`'s knowledge.
pub fn read_tail(run: &mut Run<'_, '_>, place: &mut Place) -> Result<Tail, Stop> {
    run.wait_for(Peer::Broker, |run| read_patiently(run, place))
}

fn read_patiently(run: &mut Run<'_, '_>, place: &mut Place) -> Result<Tail, Stop> {
    let mut patience = Patience::new(Peer::Broker);
    let mut short_since_ms = None;
    loop {
        let described = describe(run, place)?;
        let leader_epoch = described.leader_epoch;
        place.described = Some(described);
        let trouble = match attempt(run, place, leader_epoch) {
            Ok(Attempt::Read(tail)) => return Ok(tail),
            Ok(Attempt::Short { log_end }) => {
                let now_ms = run.now().monotonic_ms;
                let since_ms = *short_since_ms.get_or_insert(now_ms);
                if now_ms.saturating_sub(since_ms) >= SHORT_LOG_PATIENCE_MS {
                    return Err(Stop::Truncated {
                        topic: place.target.topic.clone(),
                        partition: place.target.partition,
                        log_end,
                        expected: place.tail_from(),
                    });
                }
                // A deposed leader may not know it yet.
                run.wait(RETRY_DELAY_MS)?;
                continue;
            }
            Err(Fault::Final(stop)) => return Err(*stop),
            Err(Fault::Passing(trouble)) => trouble,
        };
        patience.wait(run, &trouble)?;
    }
}

enum Attempt {
    Read(Tail),
    Short { log_end: i64 },
}

fn attempt(run: &mut Run<'_, '_>, place: &mut Place, leader_epoch: i32) -> Result<Attempt, Fault> {
    let asked = run.now();
    let log_end = log_end(run, place.which, leader_epoch)?;
    let from = place.tail_from();
    if log_end < from {
        return Ok(Attempt::Short { log_end });
    }
    let mut found = Found::new(run, place);
    let mut next = from;
    // Each answer moves on, so the log end is the ceiling.
    while next < log_end {
        match unthrottled(run, |run| found.look(run, next, log_end))? {
            ReadTo::Offset(to) if to > next => next = to,
            ReadTo::Offset(_) => {
                return Err(Fault::passing(format!(
                    "Fetch at offset {next} brought nothing, though the log ends at {log_end}"
                )));
            }
            ReadTo::Deleted { log_start } => {
                return Err(Fault::last(Stop::TailDeleted {
                    topic: place.target.topic.clone(),
                    partition: place.target.partition,
                    from: next,
                    log_start,
                }));
            }
        }
    }
    let Found { last_ordinal, first_offset, last_offset, broken, .. } = found;
    if let Some(broken) = broken {
        return Err(Fault::Final(Box::new(broken)));
    }
    let checkpointed = place.landed;
    if last_ordinal > place.landed {
        place.adopted = true;
    }
    place.landed = last_ordinal;
    place.offsets.last = last_offset.or(place.offsets.last);
    place.offsets.settled = last_offset.or(place.offsets.settled);
    if checkpointed < place.first_record() {
        place.offsets.first = place.offsets.first.or(first_offset);
    }
    place.answered = Some(asked);
    run.tell(&Event::Tail {
        lane: place.which,
        topic: &place.target.topic,
        partition: place.target.partition,
        log_end,
        checkpointed,
        found: last_ordinal,
    });
    Ok(Attempt::Read(Tail { log_end, last_ordinal }))
}

/// Step 4: the end of what the leader has, once all of it may be read. `ListOffsets` alone
/// stops at what is replicated; an append of ours may lie beyond.
pub fn log_end(run: &mut Run<'_, '_>, which: Which, leader_epoch: i32) -> Result<i64, Fault> {
    let mark = Mark::EpochEnd { leader_epoch };
    let epoch_end = unthrottled(run, |run| run.broker(which).offset(mark))?;
    let mut visible = 0;
    for look in 0..LOOKS_MAX {
        if look > 0
            && let Err(stop) = run.wait(WAIT_SLICE_MS / 2)
        {
            return Err(Fault::last(stop));
        }
        let end = unthrottled(run, |run| run.broker(which).offset(Mark::VisibleEnd))?;
        visible = end.unwrap_or(0);
        if epoch_end.is_none_or(|epoch_end| visible >= epoch_end) {
            return Ok(visible);
        }
    }
    Err(Fault::passing(format!(
        "the leader's log ends at {}, of which {visible} is replicated so far",
        epoch_end.unwrap_or(0)
    )))
}

/// The end of the log. One that does not reach the job's last record may be a deposed
/// leader's, for a while.
pub(super) fn settled_end(run: &mut Run<'_, '_>, place: &Place) -> Result<i64, Stop> {
    let began_ms = run.now().monotonic_ms;
    let mut patience = Patience::new(Peer::Broker);
    loop {
        let described = describe(run, place)?;
        match log_end(run, place.which, described.leader_epoch) {
            Ok(end) => {
                let is_whole = place.offsets.last.is_none_or(|last| end > last);
                let waited_ms = run.now().monotonic_ms.saturating_sub(began_ms);
                if is_whole || waited_ms >= SHORT_LOG_PATIENCE_MS {
                    return Ok(end);
                }
                run.wait(RETRY_DELAY_MS)?;
            }
            Err(Fault::Final(stop)) => return Err(*stop),
            Err(Fault::Passing(trouble)) => patience.wait(run, &trouble)?,
        }
    }
}

/// Our batches in the tail, chained: each begins where the one before it ended. Where no
/// sequence tells, the rows that the records name do.
struct Found<'a> {
    place: &'a Place,
    producer: Producer,
    by_rows: bool,
    /// Bad rows may lie between two good ones, so a record's number is not its row's.
    rows_have_gaps: bool,
    settled_row: u64,
    last_row: u64,
    last_ordinal: u64,
    /// What the next batch must begin with, once there was one.
    chained: Option<u64>,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
    broken: Option<Stop>,
}

impl<'a> Found<'a> {
    fn new(run: &mut Run<'_, '_>, place: &'a Place) -> Found<'a> {
        let settled_row = run.keeper.settled().row;
        let unguarded = run.broker(place.which).guard() == Guard::TailOnly;
        Found {
            place,
            producer: place.producer().clone(),
            by_rows: unguarded || place.is_unnumbered(),
            rows_have_gaps: run.job.dead_target().is_some(),
            settled_row,
            last_row: settled_row,
            last_ordinal: place.landed,
            chained: None,
            first_offset: None,
            last_offset: None,
            broken: None,
        }
    }

    /// One read of the tail.
    fn look(&mut self, run: &mut Run<'_, '_>, from: i64, to: i64) -> Result<ReadTo, Fault> {
        let which = self.place.which;
        if !self.by_rows {
            let visit = Visit::Headers(&mut |header| self.visit(header));
            return run.broker(which).read(from, to, visit);
        }
        let source = &run.job.source;
        let mut see = |offset, _key: Option<&[u8]>, value: Option<&[u8]>| {
            let row = value.and_then(|value| match which {
                Which::Main => source_line(value, source),
                Which::Dead => dead_letter_row(value, source),
            });
            if let Some(row) = row {
                self.visit_row(offset, row);
            }
        };
        run.broker(which).read(from, to, Visit::Records(&mut see))
    }

    fn visit_row(&mut self, offset: i64, row: u64) {
        // Dead letters run ahead of the rows around them; these are counted already.
        let was_counted = self.place.which == Which::Dead && row <= self.settled_row;
        if was_counted || self.broken.is_some() {
            return;
        }
        let expected = self.last_ordinal + 1;
        if row <= self.last_row || (row != expected && !self.rows_have_gaps) {
            self.broken = Some(self.breaks(offset, expected, row));
            return;
        }
        self.last_row = row;
        self.first_offset.get_or_insert(offset);
        self.last_ordinal = expected;
        self.last_offset = Some(offset);
    }

    fn breaks(&self, offset: i64, expected: u64, found: u64) -> Stop {
        Stop::TailBroken {
            topic: self.place.target.topic.clone(),
            partition: self.place.target.partition,
            offset,
            expected,
            found,
        }
    }

    fn visit(&mut self, header: &BatchHeader) {
        let ours = header.producer_id == self.producer.id
            && header.producer_epoch == self.producer.epoch
            && header.base_sequence >= 0;
        if !ours || self.broken.is_some() {
            return;
        }
        let expected = self.last_ordinal + 1;
        let base = self.producer.base_record;
        let first = sequence::ordinal_near(expected, base, header.base_sequence);
        // The last delta, never the record count: a broker may re-compress, compaction may
        // empty a batch.
        let last = first + u64::from(header.last_offset_delta.unsigned_abs());
        // Dead letters run ahead of the rows around them, so their offset in the checkpoint may
        // lag behind their count; from the first batch on each follows the last.
        let may_lag = self.place.which == Which::Dead;
        let follows = match self.chained {
            Some(next) => first == next,
            None => first == expected || (may_lag && first < expected),
        };
        if !follows {
            self.broken = Some(self.breaks(header.base_offset, expected, first));
            return;
        }
        self.chained = Some(last + 1);
        self.first_offset.get_or_insert(header.base_offset);
        if last >= self.last_ordinal {
            self.last_ordinal = last;
            self.last_offset = Some(header.last_offset());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::resume::place;
    use crate::wire::checkpoint::{Checkpoint, LaneItem};

    /// Whichever clock says more, and more than ten minutes.
    #[test]
    fn a_silence() {
        let target = Target { topic: "t".into(), partition: 0 };
        let (item, lane) = (Checkpoint::default(), LaneItem::default());
        let mut place = place(Which::Main, target, &item, &lane, None);
        let at = |monotonic_ms, wall_ms| Now { monotonic_ms, wall_ms };
        assert!(place.is_silent(at(0, 0)), "nothing was ever told");
        place.answered = Some(at(1_000, 5_000));
        for (monotonic_ms, wall_ms, silent) in [
            (1_000, 5_000, false),
            (1_000 + SILENCE_MS, 5_000, false),
            (1_001 + SILENCE_MS, 5_000, true),
            (1_000, 5_000 + SILENCE_MS, false),
            (1_000, 5_001 + SILENCE_MS, true),
            (1_000, 0, false),
        ] {
            assert_eq!(
                place.is_silent(at(monotonic_ms, wall_ms)),
                silent,
                "{monotonic_ms} {wall_ms}"
            );
        }
    }

    const PRODUCER: Producer = Producer { id: 7, epoch: 1, base_record: 0, first_offset: 0 };

    /// What is found behind row and record 5, and the record that breaks it.
    fn seen(
        which: Which,
        by_rows: bool,
        rows_have_gaps: bool,
        see: impl FnOnce(&mut Found<'_>),
    ) -> (u64, Option<i64>, Option<u64>) {
        let target = Target { topic: "t".into(), partition: 0 };
        let (item, lane) = (Checkpoint::default(), LaneItem::default());
        let place = place(which, target, &item, &lane, None);
        let mut found = Found {
            place: &place,
            producer: PRODUCER,
            by_rows,
            rows_have_gaps,
            settled_row: 5,
            last_row: 5,
            last_ordinal: 5,
            chained: None,
            first_offset: None,
            last_offset: None,
            broken: None,
        };
        see(&mut found);
        let broken = found.broken.map(|stop| match stop {
            Stop::TailBroken { expected: 6, found, .. } => found,
            stop => panic!("{stop:?}"),
        });
        (found.last_ordinal, found.last_offset, broken)
    }

    /// Rows by their numbers, at offsets from 0 on.
    #[test]
    fn rows_that_carry_no_sequence() {
        type Case<'a> = (Which, bool, &'a [u64], (u64, Option<i64>, Option<u64>));
        let (main, dead) = (Which::Main, Which::Dead);
        let cases: [Case<'_>; 9] = [
            (main, false, &[6, 7], (7, Some(1), None)),
            (main, false, &[5], (5, None, Some(5))),
            (main, false, &[7], (5, None, Some(7))),
            // What is broken stays so, whatever follows.
            (main, false, &[8, 6], (5, None, Some(8))),
            (main, true, &[6, 9], (7, Some(1), None)),
            (main, true, &[5, 6], (5, None, Some(5))),
            (dead, true, &[5], (5, None, None)),
            (dead, true, &[4, 9, 12], (7, Some(2), None)),
            (dead, true, &[5, 6], (6, Some(1), None)),
        ];
        for (which, rows_have_gaps, rows, expected) in cases {
            let outcome = seen(which, true, rows_have_gaps, |found| {
                (0..).zip(rows).for_each(|(offset, row)| found.visit_row(offset, *row));
            });
            assert_eq!(outcome, expected, "{which:?} {rows_have_gaps} {rows:?}");
        }
    }

    /// Of a batch of two records: only dead letters may lie before what the checkpoint counts.
    #[test]
    fn where_the_first_batch_of_a_tail_may_begin() {
        let header = |base_sequence| BatchHeader {
            base_offset: 40,
            batch_bytes: 100,
            attributes: 0,
            last_offset_delta: 1,
            max_timestamp_ms: 0,
            producer_id: PRODUCER.id,
            producer_epoch: PRODUCER.epoch,
            base_sequence,
            record_count: 2,
        };
        for (which, ordinal, expected) in [
            (Which::Main, 6, (7, Some(41), None)),
            (Which::Main, 5, (5, None, Some(5))),
            (Which::Main, 7, (5, None, Some(7))),
            (Which::Dead, 6, (7, Some(41), None)),
            (Which::Dead, 5, (6, Some(41), None)),
            (Which::Dead, 7, (5, None, Some(7))),
        ] {
            let outcome = seen(which, false, false, |found| found.visit(&header(ordinal - 1)));
            assert_eq!(outcome, expected, "{which:?} {ordinal}");
        }
    }
}
