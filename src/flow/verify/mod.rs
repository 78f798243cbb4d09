//! Proof after the load: the partition beside the pinned source, record by record, or its
//! batch headers alone.
//!
//! ```text
//! item ──> for each lane:  start, log end ─┐
//!          source ─> tape (its records) ───┼─> walk (offset by offset) ─> found
//!          partition, read once ───────────┘
//! found in both lanes ─> verdict ─> digest and time into the item
//! ```
//!
//! The source is read once for each lane, so that nothing has to be kept: dead letters are
//! compared in a walk of their own.

mod tape;
#[cfg(test)]
mod tests;
mod walk;

use sha2::Digest as _;

use self::tape::Tape;
use self::walk::{Walk, Walker};
use super::job::{Job, Target, complete};
use super::opening::open_begun;
use super::patience::insist;
use super::ports::{Broker, Fault, Mark, Ports, ReadTo, Stored, Visit};
use super::resume::place;
use super::run::Run;
use super::tail::settled_end;
use super::take::pin_of;
use crate::event::{Event, Lane as Which, Progress};
use crate::limits::PROGRESS_MS;
use crate::stop::{EXIT_AGAIN, EXIT_COMPLETE, EXIT_MEND, Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, LaneItem, OnlyIf};

/// Differences that are told one by one.
pub const DIFFERENCES_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Completeness and order, from batch headers; no value is read, nor the source.
    Headers,
    /// Every value, to the byte.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub depth: Depth,
    /// Records of others are a difference too.
    pub exclusive: bool,
}

/// Where the partition is not what the source says it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Records that are not there. `rows`: the first and the last of them, where it is known.
    /// No offset: they are missing at the end.
    Missing {
        rows: Option<(u64, u64)>,
        count: u64,
        before_offset: Option<i64>,
    },
    /// Records under a number that was there before. `row`: what the first says of itself.
    Repeated {
        record: u64,
        count: u64,
        row: Option<u64>,
        offset: i64,
    },
    /// A record beyond the end of the source.
    Extra {
        record: u64,
        offset: i64,
    },
    /// The value is another one from byte `at` on; `holds`: the row that it says it is.
    Value {
        row: u64,
        byte_offset: u64,
        offset: i64,
        at: Option<u64>,
        holds: Option<u64>,
    },
    Key {
        row: u64,
        byte_offset: u64,
        offset: i64,
    },
    /// A batch that lost records, as compaction does.
    Emptied {
        offset: i64,
        count: u64,
    },
    /// Somebody else's records, where there were to be none.
    Others {
        count: u64,
        offset: i64,
    },
    /// The item says how many records there are, and it is another number.
    Total {
        item: u64,
        found: u64,
    },
}

/// What a lane's partition holds of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub topic: String,
    pub partition: i32,
    /// Records of the job, each at its place or not.
    pub records: u64,
    pub first_offset: Option<i64>,
    pub last_offset: Option<i64>,
    /// Records of other producers since the job began.
    pub others: u64,
    pub first_other_offset: Option<i64>,
    /// Those among them that name this very source: it was loaded more than once.
    pub others_of_source: u64,
    /// Records of the Python processor, compared as parsed JSON.
    pub adopted: u64,
    /// Records that retention has deleted since.
    pub deleted: u64,
    pub differences: Vec<Difference>,
    pub difference_count: u64,
    /// Of each value of the job and a line feed, in the order of the offsets.
    pub digest: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Proved,
    Differs,
    Undecided,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Proved => EXIT_COMPLETE,
            Verdict::Differs => EXIT_MEND,
            Verdict::Undecided => EXIT_AGAIN,
        }
    }
}

/// What a proof came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub job_id: String,
    pub asked: Asked,
    pub source: String,
    pub etag: String,
    pub version_id: Option<String>,
    pub source_bytes: u64,
    pub cluster_id: Option<String>,
    pub topic_id: Option<String>,
    /// Rows of the source; by headers, those that the item tells.
    pub rows: u64,
    pub main: Found,
    pub dead: Option<Found>,
    /// Records of the Python processor, of which headers tell nothing.
    pub unproved: u64,
    /// Unix seconds.
    pub verified_at: u64,
    pub elapsed_ms: u64,
    /// Why the result is not in the item.
    pub not_stored: Option<String>,
}

impl Proof {
    pub fn verdict(&self) -> Verdict {
        let lanes = || self.dead.iter().chain([&self.main]);
        if lanes().any(|found| found.difference_count > 0) {
            Verdict::Differs
        } else if lanes().any(|found| found.deleted > 0) || self.unproved > 0 {
            Verdict::Undecided
        } else {
            Verdict::Proved
        }
    }
}

/// Compares; `job` is [`Job::of_item`] of this item. A difference is a result, not an error.
pub fn verify(
    job: &Job,
    item: &Checkpoint,
    asked: Asked,
    ports: &mut Ports<'_>,
) -> Result<Proof, Stop> {
    complete(item)?;
    let mut lanes = [&item.main.producers, &item.dlq.producers].into_iter().flatten().flatten();
    if asked.depth == Depth::Headers && lanes.any(|producer| producer.id < 0) {
        return Err(Stop::refused(
            Peer::Broker,
            format!(
                "job {} was sent by the compatibility client, whose records have no headers to prove it by",
                job.job_id
            ),
            "Use verify without --headers (VERIFY=full): it compares every value",
        ));
    }
    let mut run = Run::new(job, ports);
    let began_ms = run.now().monotonic_ms;
    let lost = |missing| Stop::Overwritten { job_id: job.job_id.clone(), missing };
    let pin = pin_of(item).ok_or_else(|| lost("etag"))?;
    let (main, rows) = prove_lane(&mut run, item, asked, Which::Main)?;
    let dead = match item.dlq.producers {
        Some(_) => Some(prove_lane(&mut run, item, asked, Which::Dead)?.0),
        None => None,
    };
    let adopted = adopted_records(item);
    let now = run.now();
    let mut proof = Proof {
        job_id: job.job_id.clone(),
        asked,
        source: job.source.clone(),
        etag: pin.etag,
        version_id: pin.version_id,
        source_bytes: pin.source_bytes,
        cluster_id: item.cluster_id.clone(),
        topic_id: item.main.topic_id.clone(),
        rows,
        main,
        dead,
        unproved: if asked.depth == Depth::Headers { adopted } else { 0 },
        verified_at: now.wall_ms / 1000,
        elapsed_ms: now.monotonic_ms.saturating_sub(began_ms),
        not_stored: None,
    };
    if proof.verdict() == Verdict::Proved {
        proof.not_stored = store(&mut run, item, &proof).err().map(|stop| stop.to_string());
    }
    Ok(proof)
}

fn adopted_records(item: &Checkpoint) -> u64 {
    let first = item.main.producers.as_ref().and_then(|producers| producers.first());
    first.map_or(0, |producer| producer.base_record)
}

/// One lane from its first record to the end of the log; and how many rows the source has.
fn prove_lane(
    run: &mut Run<'_, '_>,
    item: &Checkpoint,
    asked: Asked,
    which: Which,
) -> Result<(Found, u64), Stop> {
    let lost = |missing| Stop::Overwritten { job_id: item.job_id.clone(), missing };
    let (lane, target, total, producers) = match which {
        Which::Main => {
            let total = item.total_sent.ok_or_else(|| lost("total_sent"))?;
            (&item.main, run.job.target.clone(), total, "producers")
        }
        Which::Dead => {
            let topic = item.dlq.topic.clone().ok_or_else(|| lost("dlq_topic"))?;
            let total = item.dlq_rows.ok_or_else(|| lost("dlq_rows"))?;
            (&item.dlq, Target { topic, partition: 0 }, total, "dlq_producers")
        }
    };
    let place = place(which, target, item, lane, Some(total));
    let own_from = place.producers.first().ok_or_else(|| lost(producers))?.first_offset;
    let end = settled_end(run, &place)?;
    let start = insist(run, Peer::Broker, |run| run.broker(which).offset(Mark::Start))?;
    let start = start.unwrap_or(0);
    let tape = match asked.depth {
        Depth::Headers => None,
        Depth::Full => Some(open_tape(run, item, which)?),
    };
    let adopted = if which == Which::Main { adopted_records(item) } else { 0 };
    let source = run.job.source.clone();
    let mut walk = Walk::new(which, place.producers.clone(), source, adopted, tape);
    walk.found.topic.clone_from(&place.target.topic);
    walk.found.partition = place.target.partition;
    // The Python processor's records lie somewhere before ours.
    let from = if adopted > 0 && walk.tape.is_some() { start } else { own_from.max(start) };
    walk.next_offset = from;
    walk.is_excused = start > 0 && is_deleted(lane, adopted, start, own_from);
    let port = run.part_with(which);
    read_all(run, port, &mut walk, end)?;
    walk.finish(run, total)?;
    if asked.exclusive
        && let (count @ 1.., Some(offset)) = (walk.found.others, walk.found.first_other_offset)
    {
        walk.differs(Difference::Others { count, offset });
    }
    let rows = walk.tape.as_ref().map_or(item.last_line.unwrap_or(0), Tape::row_number);
    let mut found = walk.found;
    if asked.depth == Depth::Full {
        let digest = walk.hash.finalize();
        let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
        found.digest = Some(digest.iter().fold("sha256:".to_owned(), hex));
    }
    Ok((found, rows))
}

/// Whether the partition begins behind the first record of the job.
fn is_deleted(lane: &LaneItem, adopted: u64, start: i64, own_from: i64) -> bool {
    adopted > 0 || start > lane.first_offset.unwrap_or(own_from)
}

fn open_tape(run: &mut Run<'_, '_>, item: &Checkpoint, which: Which) -> Result<Tape, Stop> {
    let lost = |missing| Stop::Overwritten { job_id: item.job_id.clone(), missing };
    let pin = pin_of(item).ok_or_else(|| lost("etag"))?;
    let header_bytes = item.header_bytes.ok_or_else(|| lost("header_bytes"))?;
    let bytes_max = |lane: &LaneItem| {
        let stored = lane.record_bytes_max.and_then(|max| usize::try_from(max).ok());
        stored.ok_or_else(|| lost("record_bytes_max"))
    };
    let main = bytes_max(&item.main)?;
    let dead = if which == Which::Dead { bytes_max(&item.dlq)? } else { main };
    let opening = open_begun(run, pin, header_bytes, 0, header_bytes)?;
    Ok(Tape::new(run.job, which, opening, adopted_records(item), main, dead))
}

/// Reads up to `end`. The port is apart from the run, for the walk needs the run meanwhile.
fn read_all(
    run: &mut Run<'_, '_>,
    port: &mut dyn Broker,
    walk: &mut Walk,
    end: i64,
) -> Result<(), Stop> {
    let from = walk.next_offset;
    let mut next = from;
    let mut told_ms = run.now().monotonic_ms;
    let began_ms = told_ms;
    // Each answer moves on, up to the end.
    while next < end {
        run.stop_asked()?;
        next = insist(run, Peer::Broker, |run| {
            let mut walker = Walker { walk: &mut *walk, run };
            match port.read(next, end, Visit::Batches(&mut walker))? {
                ReadTo::Offset(to) if to > next => Ok(to),
                ReadTo::Offset(_) => {
                    Err(Fault::passing(format!("Fetch at offset {next} brought nothing")))
                }
                ReadTo::Deleted { log_start } => {
                    walk.jump(log_start.max(next + 1));
                    Ok(log_start.max(next + 1))
                }
            }
        })?;
        if let Some(stop) = walk.stop.take() {
            return Err(stop);
        }
        let now_ms = run.now().monotonic_ms;
        if now_ms.saturating_sub(told_ms) >= PROGRESS_MS {
            told_ms = now_ms;
            let done = walk.expected.saturating_sub(1);
            let offsets = |to: i64| to.saturating_sub(from).max(0).unsigned_abs();
            run.tell(&Event::Progress(Progress {
                row: done,
                rows_here: done,
                byte_offset: offsets(next),
                source_bytes: offsets(end),
                elapsed_ms: now_ms.saturating_sub(began_ms),
                ..Progress::default()
            }));
        }
    }
    Ok(())
}

/// The result goes into the item, if nobody has touched it since; nothing else of it changes.
fn store(run: &mut Run<'_, '_>, item: &Checkpoint, proof: &Proof) -> Result<(), Stop> {
    let change = Checkpoint {
        job_id: item.job_id.clone(),
        digest: proof.main.digest.clone(),
        verified_at: Some(proof.verified_at),
        ..Checkpoint::default()
    };
    let holder = Holder::Finished { run_id: item.run_id.clone(), revision: item.revision };
    let only_if = OnlyIf { holder, identities: Identities::Any };
    match insist(run, Peer::Ledger, |run| run.ledger().store(&change, &only_if))? {
        Stored::Done(_) => Ok(()),
        Stored::Refused(_) => Err(Stop::Overwritten {
            job_id: item.job_id.clone(),
            missing: "state as it was read at the start",
        }),
    }
}
