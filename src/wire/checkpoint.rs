//! What the ledger holds about a job, and the conditions under which it may be written.
//!
//! A [`Checkpoint`] is both the whole item and a change to it: a field that is `None` is
//! absent from an item, and left as it is by a change. The names of the fields are the names
//! of the attributes, in DynamoDB and in the ledger file alike.
//!
//! ```text
//! job_id ─ last_line, total_sent, timestamp, status          as the Python processor wrote them
//!        ├ next_byte, header_bytes, source, etag, …          where to go on in the source
//!        ├ topic, partition, kafka_offset, producers, …      where to go on in the partition
//!        ├ dlq_topic, dlq_kafka_offset, dlq_producers, …     the same for the dead letters
//!        ├ settings, rules                                   the pins
//!        └ run_id, revision, lease_seconds, host             who holds it
//! ```

use std::ops::RangeInclusive;

use crate::limits::{BATCH_BYTES_MAX, BATCH_BYTES_MIN, BATCH_OVERHEAD_BYTES, LEASE_SECONDS_MAX};

/// The version of the item's format that this code writes.
pub const FORMAT: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    InProgress,
    Interrupted,
    Completed,
    Failed,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::InProgress => "IN_PROGRESS",
            Status::Interrupted => "INTERRUPTED",
            Status::Completed => "COMPLETED",
            Status::Failed => "FAILED",
        }
    }

    pub fn parse(name: &str) -> Option<Status> {
        [Status::InProgress, Status::Interrupted, Status::Completed, Status::Failed]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// One identity under which records of this job were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    /// The ordinal before this identity's first record; its sequence 0 is `base_record` + 1.
    pub base_record: u64,
    /// The log end when the identity was stored: its records lie at or after this offset.
    pub first_offset: i64,
}

/// What a job has in one partition: the main one, or that of the dead letters (`dlq_…`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneItem {
    pub topic: Option<String>,
    pub topic_id: Option<String>,
    pub partition: Option<i32>,
    /// The offset of the job's first record.
    pub first_offset: Option<i64>,
    /// The offset of the job's last confirmed record.
    pub last_offset: Option<i64>,
    /// Everything at or before this offset is settled; the tail begins after it.
    pub kafka_offset: Option<i64>,
    pub producers: Option<Vec<Producer>>,
    /// The largest record of this job, as pinned when it began.
    pub record_bytes_max: Option<u64>,
}

/// No row, byte, offset or revision is so far on; from here on sums might not fit.
const COUNTED_MAX: u64 = 1 << 62;
/// Records as large as this are pinned: what the smallest and the largest batch have room for.
const RECORD_BYTES: RangeInclusive<u64> = (BATCH_BYTES_MIN - BATCH_OVERHEAD_BYTES) as u64
    ..=(BATCH_BYTES_MAX - BATCH_OVERHEAD_BYTES) as u64;

/// The item, or a change to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    pub job_id: String,
    /// The last confirmed row.
    pub last_line: Option<u64>,
    /// Records of this job in the main partition: the ordinal of the last one.
    pub total_sent: Option<u64>,
    /// Unix seconds.
    pub timestamp: Option<u64>,
    pub status: Option<Status>,

    pub next_byte: Option<u64>,
    pub header_bytes: Option<u64>,
    pub source: Option<String>,
    pub etag: Option<String>,
    pub version_id: Option<String>,
    pub source_bytes: Option<u64>,

    pub cluster_id: Option<String>,
    pub main: LaneItem,
    pub dlq: LaneItem,
    /// Bad rows set aside: the dead letters' ordinal.
    pub dlq_rows: Option<u64>,

    /// The pinned settings, name to value, in the order of the names.
    pub settings: Option<Vec<(String, String)>>,
    pub rules: Option<u64>,

    pub run_id: Option<String>,
    pub revision: Option<u64>,
    pub lease_seconds: Option<u64>,
    pub host: Option<String>,
    pub identity: Option<String>,
    pub version: Option<String>,
    pub started_at: Option<u64>,
    pub completed_at: Option<u64>,
    pub rows_per_second: Option<u64>,
    pub digest: Option<String>,
    pub verified_at: Option<u64>,
    /// A change with an empty text removes it.
    pub error: Option<String>,
    pub format: Option<u64>,
}

/// Who must hold the item for a write to take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// There is no item.
    Nobody,
    /// The item is as it was read, and is not `COMPLETED`. `None`: it has no such attribute.
    Unchanged { run_id: Option<String>, revision: Option<u64> },
    /// We hold it: our `run_id`, not `COMPLETED`, a revision below the one that is written (so
    /// that a delayed write never undoes a later one) and a `last_line` that does not go back.
    Us { run_id: String, revision: u64, last_line: u64 },
    /// Nobody any more: the item is `COMPLETED`, and as it was read.
    Finished { run_id: Option<String>, revision: Option<u64> },
    /// No item is like that: for a write that only shows whether writing is allowed.
    Never,
}

/// How many identities must be stored already for a write to take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identities {
    Any,
    Main(usize),
    Dlq(usize),
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlyIf {
    pub holder: Holder,
    pub identities: Identities,
}

impl OnlyIf {
    /// Whether a ledger that holds `item` takes the write.
    pub fn holds(&self, item: Option<&Checkpoint>) -> bool {
        let Some(item) = item else {
            return self.holder == Holder::Nobody;
        };
        let completed = item.status == Some(Status::Completed);
        let holder = match &self.holder {
            Holder::Nobody | Holder::Never => false,
            Holder::Unchanged { run_id, revision } => {
                !completed && item.run_id == *run_id && item.revision == *revision
            }
            Holder::Us { run_id, revision, last_line } => {
                !completed
                    && item.run_id.as_ref() == Some(run_id)
                    && item.revision.is_some_and(|stored| stored < *revision)
                    && item.last_line.is_some_and(|stored| stored <= *last_line)
            }
            Holder::Finished { run_id, revision } => {
                completed && item.run_id == *run_id && item.revision == *revision
            }
        };
        let stored = |lane: &LaneItem| lane.producers.as_ref().map_or(0, Vec::len);
        holder
            && match self.identities {
                Identities::Any => true,
                Identities::Main(count) => stored(&item.main) == count,
                Identities::Dlq(count) => stored(&item.dlq) == count,
            }
    }
}

impl LaneItem {
    /// See [`Checkpoint::flaw`]; `settled` is how many of the lane's records the item counts.
    fn flaw(&self, prefix: &str, settled: u64) -> Option<String> {
        for (name, offset) in [
            ("first_offset", self.first_offset),
            ("last_offset", self.last_offset),
            ("kafka_offset", self.kafka_offset),
        ] {
            if let Some(offset) = offset
                && !(-1..COUNTED_MAX.cast_signed()).contains(&offset)
            {
                return Some(format!("{prefix}{name} is {offset}"));
            }
        }
        if let Some(bytes) = self.record_bytes_max.filter(|bytes| !RECORD_BYTES.contains(bytes)) {
            return Some(format!("{prefix}record_bytes_max is {bytes}"));
        }
        // An identity begins where the one before it ended; the first one where the job did, or
        // behind what was taken over, which is counted from then on.
        let mut base_min = 0;
        for (index, producer) in self.producers.iter().flatten().enumerate() {
            let Producer { id, epoch, base_record, first_offset } = *producer;
            let base_max = if index == 0 { settled } else { COUNTED_MAX };
            if !(base_min..=base_max).contains(&base_record) {
                return Some(format!(
                    "{prefix}producers[{index}].base_record is {base_record}, and {settled} records are counted"
                ));
            }
            if !(0..COUNTED_MAX.cast_signed()).contains(&first_offset) {
                return Some(format!("{prefix}producers[{index}].first_offset is {first_offset}"));
            }
            if (id, epoch) != (-1, -1) && (id < 0 || epoch < 0) {
                return Some(format!("{prefix}producers[{index}] has id {id} and epoch {epoch}"));
            }
            base_min = base_record;
        }
        None
    }
}

impl Checkpoint {
    /// What can not be, whatever became of the job: then somebody else has written the item, and
    /// to go on from it would send rows under wrong numbers, or leave some out.
    pub fn flaw(&self) -> Option<String> {
        let count = |count: Option<u64>| count.unwrap_or(0);
        let (rows, sent, aside) =
            (count(self.last_line), count(self.total_sent), count(self.dlq_rows));
        for (name, number) in [
            ("last_line", rows),
            ("total_sent", sent),
            ("dlq_rows", aside),
            ("next_byte", count(self.next_byte)),
            ("header_bytes", count(self.header_bytes)),
            ("source_bytes", count(self.source_bytes)),
            ("revision", count(self.revision)),
        ] {
            if number >= COUNTED_MAX {
                return Some(format!("{name} is {number}"));
            }
        }
        // The next run waits so long before it takes the job over.
        if let Some(seconds) = self.lease_seconds
            && !(1..=LEASE_SECONDS_MAX).contains(&seconds)
        {
            return Some(format!("lease_seconds is {seconds}"));
        }
        // The Python processor's numbers are its own until its rows are taken over.
        let is_begun = self.format.is_some() && self.main.producers.is_some();
        if is_begun && rows != sent + aside {
            return Some(format!(
                "last_line is {rows}, but total_sent and dlq_rows are {sent} and {aside}: each row is one of them"
            ));
        }
        self.main.flaw("", sent).or_else(|| self.dlq.flaw("dlq_", aside))
    }

    /// The item after `change` took effect on it.
    pub fn merge(&mut self, change: &Checkpoint) {
        fn set<T: Clone>(field: &mut Option<T>, change: Option<&T>) {
            if let Some(value) = change {
                *field = Some(value.clone());
            }
        }
        fn lane(field: &mut LaneItem, change: &LaneItem) {
            set(&mut field.topic, change.topic.as_ref());
            set(&mut field.topic_id, change.topic_id.as_ref());
            set(&mut field.partition, change.partition.as_ref());
            set(&mut field.first_offset, change.first_offset.as_ref());
            set(&mut field.last_offset, change.last_offset.as_ref());
            set(&mut field.kafka_offset, change.kafka_offset.as_ref());
            set(&mut field.producers, change.producers.as_ref());
            set(&mut field.record_bytes_max, change.record_bytes_max.as_ref());
        }
        self.job_id.clone_from(&change.job_id);
        set(&mut self.last_line, change.last_line.as_ref());
        set(&mut self.total_sent, change.total_sent.as_ref());
        set(&mut self.timestamp, change.timestamp.as_ref());
        set(&mut self.status, change.status.as_ref());
        set(&mut self.next_byte, change.next_byte.as_ref());
        set(&mut self.header_bytes, change.header_bytes.as_ref());
        set(&mut self.source, change.source.as_ref());
        set(&mut self.etag, change.etag.as_ref());
        set(&mut self.version_id, change.version_id.as_ref());
        set(&mut self.source_bytes, change.source_bytes.as_ref());
        set(&mut self.cluster_id, change.cluster_id.as_ref());
        lane(&mut self.main, &change.main);
        lane(&mut self.dlq, &change.dlq);
        set(&mut self.dlq_rows, change.dlq_rows.as_ref());
        set(&mut self.settings, change.settings.as_ref());
        set(&mut self.rules, change.rules.as_ref());
        set(&mut self.run_id, change.run_id.as_ref());
        set(&mut self.revision, change.revision.as_ref());
        set(&mut self.lease_seconds, change.lease_seconds.as_ref());
        set(&mut self.host, change.host.as_ref());
        set(&mut self.identity, change.identity.as_ref());
        set(&mut self.version, change.version.as_ref());
        set(&mut self.started_at, change.started_at.as_ref());
        set(&mut self.completed_at, change.completed_at.as_ref());
        set(&mut self.rows_per_second, change.rows_per_second.as_ref());
        set(&mut self.digest, change.digest.as_ref());
        set(&mut self.verified_at, change.verified_at.as_ref());
        set(&mut self.error, change.error.as_ref());
        if self.error.as_deref() == Some("") {
            self.error = None;
        }
        set(&mut self.format, change.format.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An item as a run leaves it, and what can not be in it.
    #[test]
    fn a_flaw_names_its_attribute() {
        type Edit = fn(&mut Checkpoint);
        let producer = |base_record| Producer { id: 7, epoch: 0, base_record, first_offset: 3 };
        let lane = || LaneItem {
            first_offset: Some(3),
            last_offset: Some(12),
            kafka_offset: Some(12),
            producers: Some(vec![producer(0)]),
            record_bytes_max: Some(16_000),
            ..LaneItem::default()
        };
        let item = || Checkpoint {
            last_line: Some(15),
            total_sent: Some(10),
            dlq_rows: Some(5),
            lease_seconds: Some(15),
            format: Some(FORMAT),
            main: lane(),
            dlq: lane(),
            ..Checkpoint::default()
        };
        let table: [(Edit, &str); 18] = [
            (|_| (), ""),
            (|item| item.lease_seconds = None, ""),
            (|item| item.lease_seconds = Some(1), ""),
            (|item| item.lease_seconds = Some(86_400), ""),
            (|item| item.lease_seconds = Some(0), "lease_seconds is 0"),
            (|item| item.lease_seconds = Some(86_401), "lease_seconds is 86401"),
            (|item| item.revision = Some(1 << 62), "revision is 4611686018427387904"),
            (|item| item.last_line = Some(16), "last_line is 16, but"),
            (|item| item.main.first_offset = None, ""),
            (|item| item.main.first_offset = Some(-2), "first_offset is -2"),
            (|item| item.main.kafka_offset = Some(-1), ""),
            (|item| item.dlq.kafka_offset = Some(1 << 62), "dlq_kafka_offset is 46"),
            (|item| item.dlq.record_bytes_max = Some(7), "dlq_record_bytes_max is 7"),
            (|item| item.main.producers.as_mut().unwrap()[0].base_record = 10, ""),
            (
                |item| item.main.producers.as_mut().unwrap()[0].base_record = 11,
                "producers[0].base_record is 11, and 10",
            ),
            (
                |item| item.main.producers.as_mut().unwrap()[0].epoch = -1,
                "producers[0] has id 7 and epoch -1",
            ),
            (
                |item| item.dlq.producers.as_mut().unwrap()[0].first_offset = -1,
                "dlq_producers[0].first_offset is -1",
            ),
            (|item| item.main.producers = Some(Vec::new()), ""),
        ];
        for (edit, expected) in table {
            let mut item = item();
            edit(&mut item);
            let flaw = item.flaw().unwrap_or_default();
            assert!(flaw.starts_with(expected), "{expected}: {flaw}");
            assert_eq!(flaw.is_empty(), expected.is_empty(), "{flaw}");
        }
    }

    /// Each condition beside items that differ from what it asks for in one thing.
    #[test]
    fn what_a_write_asks_for() {
        let item = Checkpoint {
            job_id: "j".into(),
            run_id: Some("us".into()),
            revision: Some(5),
            last_line: Some(10),
            status: Some(Status::InProgress),
            ..Checkpoint::default()
        };
        let done = Checkpoint { status: Some(Status::Completed), ..item.clone() };
        let theirs = Checkpoint { run_id: Some("they".into()), ..item.clone() };
        let later = Checkpoint { revision: Some(6), ..item.clone() };
        let further = Checkpoint { last_line: Some(11), ..item.clone() };
        let python = Checkpoint { run_id: None, revision: None, ..item.clone() };
        let bare = Checkpoint { last_line: None, ..item.clone() };
        let done_theirs = Checkpoint { status: Some(Status::Completed), ..theirs.clone() };
        let done_later = Checkpoint { status: Some(Status::Completed), ..later.clone() };
        let us = || Some("us".to_owned());
        let unchanged = |run_id, revision| Holder::Unchanged { run_id, revision };
        let ours =
            |revision, last_line| Holder::Us { run_id: "us".to_owned(), revision, last_line };
        let finished = Holder::Finished { run_id: us(), revision: Some(5) };
        let no = None;
        for (holder, item, holds) in [
            (Holder::Nobody, no, true),
            (Holder::Nobody, Some(&item), false),
            (unchanged(us(), Some(5)), no, false),
            (unchanged(us(), Some(5)), Some(&item), true),
            (unchanged(us(), Some(5)), Some(&done), false),
            (unchanged(us(), Some(5)), Some(&theirs), false),
            (unchanged(us(), Some(5)), Some(&later), false),
            (unchanged(us(), Some(5)), Some(&python), false),
            (unchanged(None, None), Some(&python), true),
            (ours(6, 10), no, false),
            (ours(6, 10), Some(&item), true),
            (ours(6, 11), Some(&item), true),
            (ours(6, 10), Some(&done), false),
            (ours(6, 10), Some(&theirs), false),
            (ours(6, 10), Some(&later), false),
            (ours(6, 10), Some(&further), false),
            (ours(6, 10), Some(&python), false),
            (ours(6, 10), Some(&bare), false),
            (ours(5, 10), Some(&item), false),
            (finished.clone(), no, false),
            (finished.clone(), Some(&item), false),
            (finished.clone(), Some(&done), true),
            (finished.clone(), Some(&done_theirs), false),
            (finished, Some(&done_later), false),
        ] {
            let only_if = OnlyIf { holder, identities: Identities::Any };
            assert_eq!(only_if.holds(item), holds, "{only_if:?} {item:?}");
        }
        let producer = Producer { id: 1, epoch: 0, base_record: 0, first_offset: 0 };
        let one = LaneItem { producers: Some(vec![producer]), ..LaneItem::default() };
        let with_main = Checkpoint { main: one.clone(), ..item.clone() };
        let with_both = Checkpoint { dlq: one, ..with_main.clone() };
        for (identities, item, holds) in [
            (Identities::Main(0), &item, true),
            (Identities::Main(0), &with_main, false),
            (Identities::Main(1), &with_main, true),
            (Identities::Main(2), &with_main, false),
            (Identities::Dlq(0), &with_main, true),
            (Identities::Dlq(0), &with_both, false),
            (Identities::Dlq(1), &with_both, true),
        ] {
            let only_if = OnlyIf { holder: ours(6, 10), identities };
            assert_eq!(only_if.holds(Some(item)), holds, "{identities:?}");
        }
        let only_if = OnlyIf { holder: ours(5, 10), identities: Identities::Main(0) };
        assert!(!only_if.holds(Some(&item)), "both must hold");
    }
}
