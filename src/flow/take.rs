//! Steps 1 and 2 of a resume: read the checkpoint, and take the job.

use super::job::Job;
use super::patience::insist;
use super::ports::{Opened, Pin, Stored};
use super::run::Run;
use crate::event::Event;
use crate::limits::WAIT_SLICE_MS;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, FORMAT, Holder, Identities, OnlyIf, Status};

/// How often another run may take the job under our hands before we leave it to them.
const ROUNDS_MAX: usize = 4;

/// Takes the job. The item that is returned is the one that the take left, never the one that
/// was read before it: all that follows stands on it.
pub fn take(run: &mut Run<'_, '_>) -> Result<Checkpoint, Stop> {
    let mut rival = None;
    for _ in 0..ROUNDS_MAX {
        let read = load(run)?;
        if let Some(item) = &read {
            inspect(run.job, item)?;
            if item.status == Some(Status::Completed) {
                return Err(completed(run, item));
            }
            if let Some(run_id) = holder(item)
                && !run.is_gone(item.host.as_deref().unwrap_or(""))
                && !run.wait_for(Peer::Ledger, |run| watch(run, item, run_id))?
            {
                // Released, or completed, while we watched: look again.
                continue;
            }
        }
        match take_once(run, read.as_ref())? {
            Ok(item) => {
                inspect(run.job, &item)?;
                return Ok(item);
            }
            Err(item) => rival = item,
        }
    }
    let rival = rival.unwrap_or_default();
    Err(Stop::HeldBy {
        job_id: run.job.job_id.clone(),
        run_id: rival.run_id.unwrap_or_default(),
        host: rival.host.unwrap_or_default(),
    })
}

fn load(run: &mut Run<'_, '_>) -> Result<Option<Checkpoint>, Stop> {
    insist(run, Peer::Ledger, |run| {
        let job_id = &run.job.job_id;
        run.ledger().load(job_id)
    })
}

/// Refuses an item that this run may not go on from.
pub(super) fn inspect(job: &Job, item: &Checkpoint) -> Result<(), Stop> {
    if let Some(format) = item.format.filter(|format| *format > FORMAT) {
        return Err(Stop::refused(
            Peer::Ledger,
            format!(
                "the checkpoint of job {} has format {format}, this version reads {FORMAT}",
                job.job_id
            ),
            "Go on with the version that began the job, or a later one",
        ));
    }
    if let Some(flaw) = item.flaw() {
        return Err(damaged(&job.job_id, &flaw));
    }
    let differences = job.differences(item);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Stop::PinsDiffer { job_id: job.job_id.clone(), differences })
    }
}

/// An item that says what can not be.
pub(super) fn damaged(job_id: &str, flaw: &str) -> Stop {
    Stop::refused(
        Peer::Ledger,
        format!("the checkpoint of job {job_id} is damaged: {flaw}"),
        "Put it back as it was, or load the source under a new JOB_ID",
    )
}

/// A complete job stays complete, unless the object under its name is another one now: then
/// saying "complete" would hide a load that never happened.
fn completed(run: &mut Run<'_, '_>, item: &Checkpoint) -> Stop {
    let already =
        Stop::AlreadyComplete { job_id: run.job.job_id.clone(), rows: item.last_line.unwrap_or(0) };
    let Some(pin) = pin_of(item) else { return already };
    match run.source().open(0, Some(1), Some(&pin)) {
        Ok(Opened::Replaced) => replaced(run, &pin),
        // Gone since, or out of reach: the load is complete all the same.
        Ok(Opened::Open(_)) | Err(_) => already,
    }
}

/// The source that the job was begun with.
pub fn pin_of(item: &Checkpoint) -> Option<Pin> {
    Some(Pin {
        etag: item.etag.clone()?,
        version_id: item.version_id.clone(),
        source_bytes: item.source_bytes?,
    })
}

/// Names both the pinned source and the one that stands there now.
pub fn replaced(run: &mut Run<'_, '_>, pin: &Pin) -> Stop {
    let now = match run.source().open(0, Some(1), None) {
        Ok(Opened::Open(now)) => now.etag,
        Ok(Opened::Replaced) | Err(_) => "not to be had".to_owned(),
    };
    run.job.source_replaced(pin, now)
}

/// The run that may be at work on the job. Any status but `IN_PROGRESS` is released, and the
/// Python processor has no lease to watch.
fn holder(item: &Checkpoint) -> Option<&str> {
    item.run_id.as_deref().filter(|_| item.status == Some(Status::InProgress))
}

/// Watches the holder's revision for a lease, by our own clock: no two clocks are compared.
/// True: it did not move, and the job may be taken. False: the holder let go.
fn watch(run: &mut Run<'_, '_>, item: &Checkpoint, run_id: &str) -> Result<bool, Stop> {
    let lease_seconds = run.job.lease_seconds.max(item.lease_seconds.unwrap_or(0));
    let lease_ms = lease_seconds.saturating_mul(1000);
    let host = item.host.as_deref().unwrap_or("");
    run.tell(&Event::Watching { run_id, host, lease_ms });
    let look_ms = (lease_ms / 5).max(WAIT_SLICE_MS);
    let began_ms = run.now().monotonic_ms;
    // Slices are counted too, so that a clock that stands still can not make this endless.
    for _ in 0..=lease_ms / look_ms + 1 {
        run.wait(look_ms)?;
        match load(run)? {
            Some(now) if now.run_id == item.run_id && now.revision == item.revision => {
                if now.status != item.status {
                    return Ok(false);
                }
            }
            Some(now) if holder(&now).is_some() => {
                return Err(Stop::HeldBy {
                    job_id: run.job.job_id.clone(),
                    run_id: now.run_id.unwrap_or_default(),
                    host: now.host.unwrap_or_default(),
                });
            }
            Some(_) | None => return Ok(false),
        }
        if run.now().monotonic_ms.saturating_sub(began_ms) >= lease_ms {
            break;
        }
    }
    Ok(true)
}

/// One write that puts our run in, if nobody else did since `read`.
fn take_once(
    run: &mut Run<'_, '_>,
    read: Option<&Checkpoint>,
) -> Result<Result<Checkpoint, Option<Checkpoint>>, Stop> {
    let now = run.now();
    let job = run.job;
    let mut change = Checkpoint {
        job_id: job.job_id.clone(),
        status: Some(Status::InProgress),
        run_id: Some(run.keeper.run_id().to_owned()),
        revision: Some(read.and_then(|item| item.revision).unwrap_or(0) + 1),
        lease_seconds: Some(job.lease_seconds),
        host: Some(job.host.clone()),
        identity: Some(job.identity.clone()),
        version: Some(job.version.clone()),
        started_at: read.is_none_or(|item| item.started_at.is_none()).then_some(now.wall_ms / 1000),
        ..Checkpoint::default()
    };
    let holder = match read {
        None => {
            change.last_line = Some(0);
            change.total_sent = Some(0);
            change.timestamp = Some(now.wall_ms / 1000);
            change.format = Some(FORMAT);
            Holder::Nobody
        }
        // The Python processor's item gets no format before its rows are adopted.
        Some(item) => Holder::Unchanged { run_id: item.run_id.clone(), revision: item.revision },
    };
    let only_if = OnlyIf { holder, identities: Identities::Any };
    let stored = insist(run, Peer::Ledger, |run| run.ledger().store(&change, &only_if))?;
    let item = match stored {
        Stored::Done(item) => *item,
        // The answer to an earlier attempt was lost, and that attempt took effect.
        Stored::Refused(Some(item)) if item.run_id == change.run_id => *item,
        Stored::Refused(item) => return Ok(Err(item.map(|item| *item))),
    };
    run.keeper.taken(&item, now.monotonic_ms);
    let before = read.and_then(|item| item.run_id.as_deref());
    run.tell(&Event::Taken {
        job_id: &job.job_id,
        run_id: change.run_id.as_deref().unwrap_or(""),
        before,
        last_line: item.last_line.unwrap_or(0),
    });
    Ok(Ok(item))
}
