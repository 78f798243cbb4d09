//! The dead letters of a job, read from their topic under the identities that the job had
//! there. The job may still be running.
//!
//! ```text
//! item ──> identities, first offset ──> batches of ours up to the log end ──> letter by letter
//!      └─> a record in the main partition ──> the columns' names (the ledger has none)
//! ```

use std::ops::ControlFlow;

use super::job::{Job, Target};
use super::patience::insist;
use super::ports::{BatchVisitor, Broker, Fault, Ledger, Mark, ReadTo, Visit, World};
use super::resume::place;
use super::run::Run;
use super::tail::settled_end;
use crate::event::Lane as Which;
use crate::settings::OnBadRow;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Producer};
use crate::wire::provenance::{dead_letter_row, source_line};
use crate::wire::record::columns_of;
use crate::wire::record::dead_letter::Letter;
use crate::wire::record_batch::BatchHeader;

/// What reads a job's partitions.
pub struct Sides<'a> {
    pub main: &'a mut dyn Broker,
    pub dead: &'a mut dyn Broker,
    pub ledger: &'a mut dyn Ledger,
    pub world: &'a mut dyn World,
}

/// Is shown a letter, and how it lies in the topic; may have seen enough.
pub type Show<'a> = dyn FnMut(&Letter, &[u8]) -> Result<ControlFlow<()>, Stop> + 'a;

/// What there was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub letters: u64,
    /// Letters that the checkpoint counts and the topic has no more: retention.
    pub deleted: u64,
    /// Records under our identity that are no dead letters.
    pub odd: u64,
}

/// The partitions of a job that set rows aside, or may have: main and dead letters.
pub fn targets(item: &Checkpoint) -> Option<(Target, Target)> {
    let main = Target { topic: item.main.topic.clone()?, partition: item.main.partition? };
    Some((main, Target { topic: item.dlq.topic.clone()?, partition: 0 }))
}

/// `job`: a reader. What it needs to know of its partitions is put in.
pub fn job_of(job: Job, main: &Target, dead: &Target) -> Job {
    let on_bad_row = OnBadRow::SetAside { topic: dead.topic.clone() };
    Job { target: main.clone(), on_bad_row, ..job }
}

/// Shows each dead letter, in their order.
pub fn letters(
    job: &Job,
    item: &Checkpoint,
    sides: &mut Sides<'_>,
    show: &mut Show<'_>,
) -> Result<Found, Stop> {
    let lost = |missing| Stop::Overwritten { job_id: item.job_id.clone(), missing };
    let target = job.dead_target().ok_or_else(|| lost("dlq_topic"))?;
    let bytes_max = item.dlq.record_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes_max = bytes_max.ok_or_else(|| lost("dlq_record_bytes_max"))?;
    let mut run = Run::of_partitions(job, sides);
    let place = place(Which::Dead, target, item, &item.dlq, item.dlq_rows);
    let first = place.producers.first().ok_or_else(|| lost("dlq_producers"))?.first_offset;
    let end = settled_end(&mut run, &place)?;
    let start = insist(&mut run, Peer::Broker, |run| run.broker(Which::Dead).offset(Mark::Start))?;
    let mut found = Found::default();
    let from = first.max(start.unwrap_or(0));
    let ours = Ours::new(Which::Dead, &place.producers, item);
    let seen = read_own(&mut run, ours, from, end, &mut |value| {
        if let Some(letter) = Letter::parse(value, bytes_max) {
            found.letters += 1;
            show(&letter, value)
        } else {
            found.odd += 1;
            Ok(ControlFlow::Continue(()))
        }
    })?;
    if seen.is_continue() {
        let counted = item.dlq_rows.unwrap_or(0);
        found.deleted = counted.saturating_sub(found.letters + found.odd);
    }
    Ok(found)
}

/// The names of the source's columns, by any record of the job that is still there.
pub fn columns(
    job: &Job,
    item: &Checkpoint,
    sides: &mut Sides<'_>,
) -> Result<Option<Vec<String>>, Stop> {
    let mut run = Run::of_partitions(job, sides);
    let producers = item.main.producers.clone().unwrap_or_default();
    let (Some(first), Some(last)) = (producers.first(), item.main.last_offset) else {
        return Ok(None);
    };
    let from = item.main.first_offset.unwrap_or(first.first_offset);
    let mut columns = None;
    let _: ControlFlow<()> = read_own(
        &mut run,
        Ours::new(Which::Main, &producers, item),
        from,
        last + 1,
        &mut |value| {
            columns = columns_of(value);
            let is_found = columns.is_some();
            Ok(if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    )?;
    Ok(columns)
}

type Take<'a> = dyn FnMut(&[u8]) -> Result<ControlFlow<()>, Stop> + 'a;

/// Shows the value of each record under these identities, each once, until there are no more
/// or `take` has enough.
fn read_own(
    run: &mut Run<'_, '_>,
    ours: Ours<'_>,
    from: i64,
    end: i64,
    take: &mut Take<'_>,
) -> Result<ControlFlow<()>, Stop> {
    let which = ours.which;
    let outcome = Ok(ControlFlow::Continue(()));
    let mut own = Own { ours, next_offset: from, is_numbered: true, take, outcome };
    let mut next = from;
    // Each answer moves on, up to the end.
    while next < end {
        run.stop_asked()?;
        next = insist(run, Peer::Broker, |run| {
            match run.broker(which).read(next, end, Visit::Batches(&mut own))? {
                ReadTo::Offset(to) if to > next => Ok(to),
                ReadTo::Offset(_) => {
                    Err(Fault::passing(format!("Fetch at offset {next} brought nothing")))
                }
                ReadTo::Deleted { log_start } => Ok(log_start.max(next + 1)),
            }
        })?;
        if !matches!(own.outcome, Ok(ControlFlow::Continue(()))) {
            break;
        }
    }
    own.outcome
}

/// Which records are the job's.
struct Ours<'a> {
    which: Which,
    producers: &'a [Producer],
    source: &'a str,
}

impl<'a> Ours<'a> {
    fn new(which: Which, producers: &'a [Producer], item: &'a Checkpoint) -> Ours<'a> {
        Ours { which, producers, source: item.source.as_deref().unwrap_or("") }
    }

    /// What the compatibility client sent carries no identity: the source that it names tells.
    fn names_source(&self, value: Option<&[u8]>) -> bool {
        let row = value.and_then(|value| match self.which {
            Which::Main => source_line(value, self.source),
            Which::Dead => dead_letter_row(value, self.source),
        });
        row.is_some()
    }
}

struct Own<'a, 't> {
    ours: Ours<'a>,
    /// All below this has been shown; a read that failed in the middle is made again.
    next_offset: i64,
    /// The batch in progress carries an identity.
    is_numbered: bool,
    take: &'a mut Take<'t>,
    outcome: Result<ControlFlow<()>, Stop>,
}

impl BatchVisitor for Own<'_, '_> {
    fn batch(&mut self, header: &BatchHeader) -> bool {
        self.is_numbered = header.base_sequence >= 0;
        let is_ours = self.ours.producers.iter().any(|producer| {
            let is_numbered = producer.id >= 0;
            is_numbered == self.is_numbered
                && header.producer_id == producer.id
                && header.producer_epoch == producer.epoch
        });
        is_ours && !header.is_control()
    }

    fn record(&mut self, offset: i64, _key: Option<&[u8]>, value: Option<&[u8]>) {
        let goes_on = matches!(self.outcome, Ok(ControlFlow::Continue(())));
        let is_ours = self.is_numbered || self.ours.names_source(value);
        if offset >= self.next_offset && goes_on && is_ours {
            self.next_offset = offset + 1;
            self.outcome = (self.take)(value.unwrap_or_default());
        }
    }
}
