//! The Python processor's rows: its checkpoint may lag behind the topic, and its failure path
//! writes the number of the row that failed. So the partition decides.

use super::patience::insist;
use super::ports::{Fault, Mark, ReadTo, Visit};
use super::run::Run;
use super::tail::Place;
use crate::event::{Event, Lane as Which};
use crate::stop::{Peer, Stop};
use crate::wire::provenance::source_line;

/// The first window that is read from the end; each next one is twice as wide.
const WINDOW_OFFSETS: i64 = 1_000;

/// How many rows of this source the partition holds, by its last record that names it. Other
/// writers may have come after that one.
pub fn rows_sent(
    run: &mut Run<'_, '_>,
    place: &Place,
    log_end: i64,
    last_line: u64,
) -> Result<u64, Stop> {
    let which = place.which;
    let log_start = insist(run, Peer::Broker, |run| run.broker(which).offset(Mark::Start))?;
    let log_start = log_start.unwrap_or(0);
    let mut end = log_end;
    let mut width = WINDOW_OFFSETS;
    let mut found_line = None;
    while found_line.is_none() && end > log_start {
        let from = end.saturating_sub(width).max(log_start);
        found_line = last_line_between(run, which, from, end)?;
        end = from;
        width = width.saturating_mul(2);
    }
    match found_line {
        Some(found_line) => {
            run.tell(&Event::Adopting { last_line, found_line });
            Ok(found_line)
        }
        None if last_line == 0 => Ok(0),
        None => Err(Stop::NothingToAdopt {
            job_id: run.job.job_id.clone(),
            last_line,
            topic: place.target.topic.clone(),
            partition: place.target.partition,
        }),
    }
}

/// The `_source_line` of the last record of this source between two offsets. Reads at least
/// once, so that it also shows whether reading is allowed.
pub fn last_line_between(
    run: &mut Run<'_, '_>,
    which: Which,
    from: i64,
    to: i64,
) -> Result<Option<u64>, Stop> {
    let source = run.job.source.clone();
    let mut found = None;
    let mut next = from;
    // Each answer moves on, up to `to`.
    loop {
        let at = insist(run, Peer::Broker, |run| {
            let mut visit = |_offset, _key: Option<&[u8]>, value: Option<&[u8]>| {
                if let Some(line) = value.and_then(|value| source_line(value, &source)) {
                    found = Some(line);
                }
            };
            match run.broker(which).read(next, to, Visit::Records(&mut visit))? {
                ReadTo::Offset(at) if at > next || next >= to => Ok(at),
                ReadTo::Offset(_) => {
                    Err(Fault::passing(format!("Fetch at offset {next} brought nothing")))
                }
                // Retention moved on while we read: what is gone can not be the last.
                ReadTo::Deleted { log_start } => Ok(log_start.max(next + 1)),
            }
        })?;
        next = at;
        if next >= to {
            return Ok(found);
        }
    }
}
