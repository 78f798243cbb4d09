//! What a run would do with the item that the ledger holds, if any; the run's own judgement
//! wherever it has one.

use super::look::Seen;
use super::plan::Done;
use crate::event::Lane as Which;
use crate::finding::{Finding, Subject};
use crate::flow::job::Job;
use crate::flow::keeper::Offsets;
use crate::flow::ports::Pin;
use crate::flow::run::Run;
use crate::flow::tail::same_partition;
use crate::flow::take::{inspect, pin_of};
use crate::flow::{resume, status};
use crate::stop::Stop;
use crate::wire::checkpoint::{Checkpoint, Status};

/// A producer that brokers may have forgotten: `producer.id.expiration.ms` is a day.
const REST_SECONDS_MAX: u64 = 24 * 60 * 60;

/// What is found, and where the job stands.
pub(super) fn judge(
    run: &mut Run<'_, '_>,
    item: Option<&Checkpoint>,
    pin: Option<&Pin>,
    main: Option<&Seen>,
) -> (Vec<Finding>, Done) {
    let job = run.job;
    let Some(item) = item else {
        let new = Finding::NewJob { job_id: job.job_id.clone() };
        return (vec![new], Done::default());
    };
    if let Err(stop) = inspect(job, item) {
        return (vec![refused(stop)], Done::default());
    }
    if let Some(stop) = replaced(job, item, pin) {
        return (vec![refused(stop)], Done::default());
    }
    let rows = item.last_line.unwrap_or(0);
    let done = Done { rows, byte_offset: item.next_byte.unwrap_or(0) };
    if item.status == Some(Status::Completed) {
        let whole = Done { rows, byte_offset: item.source_bytes.unwrap_or(u64::MAX) };
        return (vec![Finding::Complete { job_id: job.job_id.clone(), rows }], whole);
    }
    let mut found = Vec::new();
    found.extend(held(run, item));
    if item.format.is_none() && item.run_id.is_none() {
        found.push(Finding::PythonJob {
            job_id: job.job_id.clone(),
            last_line: rows,
            found_line: main.and_then(|seen| seen.last_line),
        });
        return (found, Done::default());
    }
    found.extend(lost(item).map(refused));
    found.extend(main.and_then(|seen| elsewhere(job, item, seen)).map(refused));
    if item.main.producers.is_none() {
        // Taken, and nothing sent yet.
        if found.is_empty() {
            found.push(Finding::NewJob { job_id: job.job_id.clone() });
        }
        return (found, Done::default());
    }
    if found.iter().all(|finding| !matches!(finding, Finding::Refused { .. })) {
        found.push(Finding::Resumes {
            job_id: job.job_id.clone(),
            row: rows + 1,
            byte_offset: done.byte_offset,
            source_bytes: item.source_bytes.unwrap_or(0),
            status: item.status.map_or("none", Status::name),
        });
        let now_seconds = run.now().wall_ms / 1000;
        let rest_seconds = item.timestamp.map_or(0, |at| now_seconds.saturating_sub(at));
        if rest_seconds > REST_SECONDS_MAX {
            found.push(Finding::LongRest { job_id: job.job_id.clone(), rest_seconds });
        }
    }
    (found, done)
}

fn refused(stop: Stop) -> Finding {
    Finding::Refused { subject: Subject::Job, stop }
}

fn replaced(job: &Job, item: &Checkpoint, now: Option<&Pin>) -> Option<Stop> {
    let (pinned, now) = (pin_of(item)?, now?);
    let is_same = pinned.etag == now.etag && pinned.source_bytes == now.source_bytes;
    (!is_same).then(|| job.source_replaced(&pinned, now.etag.clone()))
}

/// Another run that may be at work.
fn held(run: &mut Run<'_, '_>, item: &Checkpoint) -> Option<Finding> {
    let run_id = item.run_id.clone()?;
    let host = item.host.clone().unwrap_or_default();
    if item.status != Some(Status::InProgress) || run.is_gone(&host) {
        return None;
    }
    let now_seconds = run.now().wall_ms / 1000;
    let sight = status::judge(&item.job_id, Some(item.clone()), now_seconds, None);
    Some(Finding::Held {
        job_id: item.job_id.clone(),
        run_id,
        host,
        age_seconds: sight.age_seconds.unwrap_or(u64::MAX),
        lease_seconds: run.job.lease_seconds.max(item.lease_seconds.unwrap_or(0)),
        is_silent: sight.standing == status::Standing::Silent,
    })
}

/// What an item that was begun must have.
fn lost(item: &Checkpoint) -> Option<Stop> {
    let lost = |missing| Some(Stop::Overwritten { job_id: item.job_id.clone(), missing });
    if item.main.producers.is_none() {
        return if item.total_sent.unwrap_or(0) > 0 { lost("producers") } else { None };
    }
    match (pin_of(item), item.header_bytes) {
        (None, _) => lost("etag"),
        (_, None) => lost("header_bytes"),
        _ => None,
    }
}

/// A partition that is not the one, or does not hold what it held.
fn elsewhere(job: &Job, item: &Checkpoint, seen: &Seen) -> Option<Stop> {
    let Seen { described, log_start, log_end, .. } = seen;
    let target = job.target.clone();
    let place = resume::place(Which::Main, target, item, &item.main, item.total_sent);
    if let Err(stop) = same_partition(&place, described.clone()) {
        return Some(stop);
    }
    let Offsets { settled, .. } = place.offsets;
    let from = settled? + 1;
    let (topic, partition) = (place.target.topic, place.target.partition);
    if *log_end < from {
        return Some(Stop::Truncated { topic, partition, log_end: *log_end, expected: from });
    }
    (*log_start > from).then_some(Stop::TailDeleted {
        topic,
        partition,
        from,
        log_start: *log_start,
    })
}
