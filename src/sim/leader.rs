//! A partition as a cluster keeps it: a leader, followers, and a leader that was deposed and
//! does not know it yet.
//!
//! ```text
//! leader     [ b0 ][ b1 ][ b2 ][ b3 ]          epoch 4
//!                         ^ high watermark: what every in-sync replica holds
//! follower   [ b0 ][ b1 ]                      a prefix, always
//! deposed    [ b0 ][ b1 ][ x2 ]                epoch 3; x2 is cut off when it learns
//! ```
//!
//! Answers are those that were measured on live brokers: a sequence check that is a
//! compare-and-swap, a memory of five batches that a restart or a leader change shrinks to one,
//! state that is forgotten by record timestamps, 19 decided before the duplicate check, 7 with
//! an offset for what was appended but not replicated in time.

use std::collections::{BTreeMap, VecDeque};

use super::decode::{Stored, decode};
use super::defects::{Defect, on};
use super::world::Rng;
use crate::flow::ports::{Mark, TopicSettings};
use crate::wire::record_batch::BatchHeader;

const SEQUENCES: i64 = 1 << 31;

/// What a broker does with a producer id that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Kafka since 2.5: any first sequence.
    Accepts,
    /// Kafka before 2.5 (59), old Redpanda (45): only sequence 0.
    Refuses(i16),
    /// Kafka before 0.11: it knows nothing of producers, and appends whatever comes.
    KnowsNone,
}

/// What does not change while a world runs.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    pub(super) topic: &'static str,
    pub(super) replicas: usize,
    pub(super) min_insync: usize,
    pub(super) unknown: Unknown,
    /// A batch over the end of the sequence numbers is refused.
    pub(super) refuses_straddle: bool,
    pub(super) offers_topic_id: bool,
    pub(super) offers_epoch_end: bool,
    /// The topic's settings may be read.
    pub(super) shows_settings: bool,
    pub(super) expiry_ms: u64,
    /// Headers are shown with fewer records than offsets, as compaction leaves them.
    pub(super) thinned: bool,
}

#[derive(Debug, Clone, Default)]
struct Memory {
    epoch: i16,
    /// First sequence, last sequence, base offset; the newest last.
    batches: VecDeque<(i64, i64, i64)>,
    last_ms: i64,
}

/// What the leader knows about idempotent producers.
#[derive(Debug, Clone, Default)]
pub(super) struct Producers(BTreeMap<i64, Memory>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Append,
    Duplicate(i64),
    Error(i16),
}

impl Producers {
    fn check(&self, header: &BatchHeader, nature: &Nature) -> Check {
        if header.producer_id < 0 || nature.unknown == Unknown::KnowsNone {
            return Check::Append;
        }
        let first = i64::from(header.base_sequence);
        let last = (first + i64::from(header.last_offset_delta)) % SEQUENCES;
        if first < 0 || header.last_offset_delta != header.record_count - 1 {
            return Check::Error(87);
        }
        if last < first && nature.refuses_straddle {
            return Check::Error(42);
        }
        let Some(known) = self.0.get(&header.producer_id) else {
            return match nature.unknown {
                Unknown::Refuses(code) if first != 0 => Check::Error(code),
                Unknown::Refuses(_) | Unknown::Accepts | Unknown::KnowsNone => Check::Append,
            };
        };
        if header.producer_epoch < known.epoch {
            return Check::Error(47);
        }
        if header.producer_epoch > known.epoch {
            return if first == 0 { Check::Append } else { Check::Error(45) };
        }
        if let Some(same) = known.batches.iter().find(|b| (b.0, b.1) == (first, last)) {
            return Check::Duplicate(same.2);
        }
        match known.batches.back() {
            Some(b) if (b.1 + 1) % SEQUENCES != first => Check::Error(45),
            _ => Check::Append,
        }
    }

    fn appended(&mut self, header: &BatchHeader, window: usize) {
        if header.producer_id < 0 {
            return;
        }
        let known = self.0.entry(header.producer_id).or_default();
        if header.producer_epoch != known.epoch {
            known.batches.clear();
        }
        known.epoch = header.producer_epoch;
        let first = i64::from(header.base_sequence);
        let last = (first + i64::from(header.last_offset_delta)) % SEQUENCES;
        known.batches.push_back((first, last, header.base_offset));
        while known.batches.len() > window {
            known.batches.pop_front();
        }
        known.last_ms = header.max_timestamp_ms;
    }

    fn expire(&mut self, wall_ms: u64, expiry_ms: u64) {
        let oldest = i64::try_from(wall_ms).unwrap() - i64::try_from(expiry_ms).unwrap();
        self.0.retain(|_, known| known.last_ms >= oldest);
    }

    /// From the log, as after a restart: one batch of each producer.
    /// What a broker knows after a start, or as a new leader. A producer's state outlives the
    /// deletion of its records: snapshots hold it, and followers had it already.
    fn rebuilt<'a>(appended: impl Iterator<Item = &'a BatchHeader>) -> Producers {
        let mut producers = Producers::default();
        for header in appended {
            producers.appended(header, 1);
        }
        producers
    }
}

/// A leader that another one has replaced.
#[derive(Debug, Clone)]
pub(super) struct Deposed {
    pub(super) replica: usize,
    pub(super) epoch: i32,
    log: Vec<Stored>,
    high: i64,
    producers: Producers,
}

/// What a leader does with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Produced {
    Now {
        code: i16,
        base: i64,
    },
    /// Appended or a duplicate; answered when the replicas have it, or 7 at the time-out.
    Waits {
        epoch: i32,
        base: i64,
        end: i64,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Partition {
    pub(super) nature: Nature,
    pub(super) topic_id: String,
    pub(super) epoch: i32,
    pub(super) leader: usize,
    pub(super) max_message_bytes: usize,
    pub(super) log: Vec<Stored>,
    /// The headers of what retention has deleted.
    deleted: Vec<BatchHeader>,
    pub(super) log_start: i64,
    /// How far each replica's copy goes.
    held: Vec<i64>,
    in_sync: Vec<bool>,
    /// Replicas that do not fetch just now.
    pub(super) lagging: Vec<bool>,
    high: i64,
    /// The highest high watermark there ever was: nothing below it is ever lost.
    pub(super) committed: i64,
    /// `ListOffsets` answers 5 until the watermark of a new leader has come this far.
    visible_from: i64,
    pub(super) deposed: Option<Deposed>,
    pub(super) producers: Producers,
    next_producer: i64,
    /// The first `InitProducerId` after a broker's start is answered 14, with id -1.
    pub(super) init_refused: bool,
    remade: u32,
}

impl Partition {
    pub(super) fn new(nature: Nature, max_message_bytes: usize) -> Partition {
        let replicas = nature.replicas;
        Partition {
            topic_id: format!("{}-id-0", nature.topic),
            epoch: 0,
            leader: 0,
            max_message_bytes,
            log: Vec::new(),
            deleted: Vec::new(),
            log_start: 0,
            held: vec![0; replicas],
            in_sync: vec![true; replicas],
            lagging: vec![false; replicas],
            high: 0,
            committed: 0,
            visible_from: 0,
            deposed: None,
            producers: Producers::default(),
            next_producer: 1000,
            init_refused: true,
            remade: 0,
            nature,
        }
    }

    pub(super) fn log_end(&self) -> i64 {
        self.log.last().map_or(self.log_start, Stored::end)
    }

    pub(super) fn in_sync_count(&self) -> usize {
        self.in_sync.iter().filter(|in_sync| **in_sync).count()
    }

    /// Replicas whose copy goes to `end` at least.
    pub(super) fn copies(&self, end: i64) -> usize {
        self.held.iter().filter(|held| **held >= end).count()
    }

    fn min_insync(&self) -> usize {
        self.nature.min_insync.min(self.nature.replicas)
    }

    pub(super) fn new_producer(&mut self) -> Option<i64> {
        if std::mem::take(&mut self.init_refused) {
            return None;
        }
        self.next_producer += 1;
        Some(self.next_producer)
    }

    /// A produce request that arrives at `replica`.
    pub(super) fn produce(
        &mut self,
        replica: usize,
        topic_id: Option<&str>,
        bytes: &[u8],
        wall_ms: u64,
    ) -> Produced {
        let refused = |code| Produced::Now { code, base: -1 };
        if topic_id.is_some_and(|id| id != self.topic_id) {
            return refused(100);
        }
        let Ok(mut stored) = decode(bytes) else { return refused(2) };
        if self.nature.unknown == Unknown::KnowsNone {
            // Nobody sees it: it marks what is the job's for those who judge the log.
            stored.header.producer_id = 0;
        }
        if stored.bytes.len() > self.max_message_bytes {
            return refused(10);
        }
        if let Some(deposed) = self.deposed.as_mut().filter(|old| old.replica == replica) {
            deposed.producers.expire(wall_ms, self.nature.expiry_ms);
            return match deposed.producers.check(&stored.header, &self.nature) {
                Check::Error(code) => refused(code),
                Check::Duplicate(base) => {
                    let end = base + i64::from(stored.header.last_offset_delta) + 1;
                    Produced::Waits { epoch: deposed.epoch, base, end }
                }
                Check::Append => {
                    let stored = at(stored, deposed.log.last().map_or(0, Stored::end));
                    deposed.producers.appended(&stored.header, 5);
                    let (base, end) = (stored.header.base_offset, stored.end());
                    deposed.log.push(stored);
                    Produced::Waits { epoch: deposed.epoch, base, end }
                }
            };
        }
        if replica != self.leader {
            return refused(6);
        }
        if self.in_sync_count() < self.min_insync() {
            return refused(19);
        }
        self.producers.expire(wall_ms, self.nature.expiry_ms);
        match self.producers.check(&stored.header, &self.nature) {
            Check::Error(code) => refused(code),
            Check::Duplicate(base) => {
                let end = base + i64::from(stored.header.last_offset_delta) + 1;
                Produced::Waits { epoch: self.epoch, base, end }
            }
            Check::Append => {
                let stored = self.append(stored);
                Produced::Waits {
                    epoch: self.epoch,
                    base: stored.header.base_offset,
                    end: stored.end(),
                }
            }
        }
    }

    /// To the leader's own log, as its next batch.
    pub(super) fn append(&mut self, stored: Stored) -> Stored {
        let stored = at(stored, self.log_end());
        self.producers.appended(&stored.header, 5);
        self.held[self.leader] = stored.end();
        self.log.push(stored.clone());
        self.advance();
        stored
    }

    /// The answer to an append that waits: 0, 20, or not yet.
    pub(super) fn settled(&self, epoch: i32, end: i64) -> Option<i16> {
        if epoch != self.epoch || self.high < end {
            return None;
        }
        Some(if self.in_sync_count() < self.min_insync() { 20 } else { 0 })
    }

    /// The followers fetch what they do not hold; one that came to the end is in sync again.
    pub(super) fn replicate(&mut self) {
        let end = self.log_end();
        for replica in 0..self.held.len() {
            if replica == self.leader || !self.lagging[replica] {
                self.held[replica] = end;
                self.in_sync[replica] = true;
            }
        }
        self.advance();
    }

    /// Followers that lag are no longer in sync; what only the rest holds becomes visible.
    pub(super) fn shrink(&mut self) {
        for replica in 0..self.held.len() {
            self.in_sync[replica] &= !self.lagging[replica] || replica == self.leader;
        }
        self.advance();
    }

    fn advance(&mut self) {
        let least = (0..self.held.len()).filter(|r| self.in_sync[*r]).map(|r| self.held[r]).min();
        self.high = self.high.max(least.unwrap_or(0).min(self.log_end()));
        self.committed = self.committed.max(self.high);
    }

    /// Another in-sync replica leads; what it does not hold is gone. The old leader may not
    /// know it. Without another in-sync replica nothing changes: no unclean election.
    pub(super) fn change_leader(&mut self, rng: &mut Rng, unaware: bool) -> bool {
        let candidates: Vec<usize> =
            (0..self.held.len()).filter(|r| *r != self.leader && self.in_sync[*r]).collect();
        let Some(next) = rng.pick(&candidates).copied() else { return false };
        if unaware && self.deposed.is_none() {
            self.deposed = Some(Deposed {
                replica: self.leader,
                epoch: self.epoch,
                log: self.log.clone(),
                high: self.high,
                producers: self.producers.clone(),
            });
        }
        let end = self.held[next];
        self.log.retain(|stored| stored.end() <= end);
        let end = self.log_end();
        for held in &mut self.held {
            *held = (*held).min(end);
        }
        // The dead one, or the one that does not know, fetches nothing for now.
        let old = self.leader;
        self.lagging[old] = true;
        self.in_sync[old] = false;
        self.lagging[next] = false;
        self.leader = next;
        self.epoch += 1;
        self.producers = Producers::rebuilt(self.appended());
        self.visible_from = end;
        // A follower hears of the watermark one fetch late.
        let known = self.log.len().saturating_sub(rng.below(4));
        self.high =
            self.high.min(known.checked_sub(1).map_or(self.log_start, |i| self.log[i].end()));
        true
    }

    /// Every replica is back, and the deposed leader knows.
    pub(super) fn heal(&mut self) {
        self.deposed = None;
        self.lagging.fill(false);
        self.replicate();
    }

    /// The deposed leader learns of the new epoch and becomes a follower.
    pub(super) fn learn(&mut self) {
        if let Some(old) = self.deposed.take() {
            self.lagging[old.replica] = false;
        }
    }

    /// The broker stops and starts again: memory shrinks, the log stays.
    pub(super) fn restart(&mut self, wall_ms: u64) {
        self.producers = Producers::rebuilt(self.appended());
        self.producers.expire(wall_ms, self.nature.expiry_ms);
        self.init_refused = true;
    }

    /// Deleted, and made again under the same name.
    pub(super) fn remake(&mut self) {
        let next = Partition::new(self.nature.clone(), self.max_message_bytes);
        let (remade, next_producer) = (self.remade + 1, self.next_producer);
        *self = next;
        self.remade = remade;
        self.next_producer = next_producer;
        self.topic_id = format!("{}-id-{remade}", self.nature.topic);
    }

    /// All that was ever appended and not truncated.
    fn appended(&self) -> impl Iterator<Item = &BatchHeader> {
        self.deleted.iter().chain(self.log.iter().map(|stored| &stored.header))
    }

    /// Retention deletes what is below `offset`, at batch boundaries.
    pub(super) fn delete_below(&mut self, offset: i64) {
        let offset = offset.min(self.high);
        while let Some(first) = self.log.first() {
            if first.end() > offset {
                break;
            }
            self.log_start = first.end();
            self.deleted.push(self.log.remove(0).header);
        }
    }

    /// `Err`: the error code of the answer.
    pub(super) fn offset(&mut self, replica: usize, mark: Mark) -> Result<Option<i64>, i16> {
        if let Some(old) = self.deposed.as_ref().filter(|old| old.replica == replica) {
            return match mark {
                Mark::Start => Ok(Some(self.log_start)),
                Mark::VisibleEnd => Ok(Some(old.high)),
                Mark::EpochEnd { .. } if !self.nature.offers_epoch_end => Ok(None),
                Mark::EpochEnd { leader_epoch } if leader_epoch != old.epoch => Err(75),
                Mark::EpochEnd { .. } => Ok(Some(old.log.last().map_or(0, Stored::end))),
            };
        }
        if replica != self.leader {
            return Err(6);
        }
        match mark {
            Mark::Start => Ok(Some(self.log_start)),
            Mark::VisibleEnd
                if self.high < self.visible_from && !on(Defect::TrustFetchWatermark) =>
            {
                Err(5)
            }
            Mark::VisibleEnd => Ok(Some(self.high)),
            Mark::EpochEnd { .. } if !self.nature.offers_epoch_end => Ok(None),
            Mark::EpochEnd { leader_epoch } if leader_epoch < self.epoch => Err(74),
            Mark::EpochEnd { leader_epoch } if leader_epoch > self.epoch => Err(75),
            Mark::EpochEnd { .. } => Ok(Some(self.log_end())),
        }
    }

    /// The batches of one Fetch from `from`: at least one, if there is a visible one.
    pub(super) fn fetch(&self, replica: usize, from: i64, max: usize) -> Result<Vec<Stored>, i16> {
        let (log, high) = match self.deposed.as_ref().filter(|old| old.replica == replica) {
            Some(old) => (&old.log, old.high),
            None if replica == self.leader => (&self.log, self.high),
            None => return Err(6),
        };
        let end = log.last().map_or(self.log_start, Stored::end);
        if from < self.log_start || from > end {
            return Err(1);
        }
        let visible = log.iter().skip_while(|b| b.end() <= from).take_while(|b| b.end() <= high);
        let shown = |stored: &Stored| {
            let mut stored = stored.clone();
            if self.nature.thinned && stored.header.record_count > 1 {
                stored.header.record_count -= 1;
            }
            stored
        };
        Ok(visible.take(max.max(1)).map(shown).collect())
    }

    pub(super) fn settings(&self) -> TopicSettings {
        if !self.nature.shows_settings {
            return TopicSettings::default();
        }
        TopicSettings {
            max_message_bytes: u64::try_from(self.max_message_bytes).ok(),
            min_insync_replicas: u64::try_from(self.nature.min_insync).ok(),
            cleanup_policy: Some("delete".into()),
            retention_ms: Some(-1),
            retention_bytes: Some(-1),
            unclean_leader_election: Some(false),
        }
    }
}

fn at(mut stored: Stored, base_offset: i64) -> Stored {
    stored.header.base_offset = base_offset;
    stored
}
