//! The end of a run: step 11 for a complete job, and what the checkpoint says in every case.

use super::copy::Course;
use super::keeper::{insist_store, store_once};
use super::lane::Lane;
use super::patience::{Patience, insist};
use super::ports::{Mark, Trouble};
use super::run::Run;
use super::tail::{Place, describe};
use crate::limits::ERROR_BYTES_MAX;
use crate::stop::{EXIT_MEND, Peer, Stop};
use crate::wire::checkpoint::{Identities, OnlyIf, Status};

/// Replicas that adopted rows must be on, where the topic does not say.
const IN_SYNC_MIN: u64 = 2;

/// Writes down how the run ended, as far as the job is still ours, and says how it did.
pub fn finish(run: &mut Run<'_, '_>, course: Option<&Course>, stop: Stop) -> Stop {
    let stop = match (&stop, course) {
        (Stop::Complete { .. }, Some(course)) => match complete(run, course) {
            Ok(()) => return stop,
            Err(instead) => instead,
        },
        _ => stop,
    };
    if run.keeper.is_held() {
        write_end(run, &stop);
    }
    stop
}

fn complete(run: &mut Run<'_, '_>, course: &Course) -> Result<(), Stop> {
    if course.filled.row < course.adopted_rows {
        return Err(Stop::BadSource {
            source: run.job.source.clone(),
            problem: format!(
                "it has {} rows, but the partition holds row {} of it: it is not the object that the Python processor read",
                course.filled.row, course.adopted_rows
            ),
        });
    }
    for lane in course.dead.iter().chain([&course.main]) {
        complete_lane(run, lane)?;
    }
    let now = run.now();
    let progress = run.progress();
    let mut change = run.keeper.change(Status::Completed, now.wall_ms);
    change.completed_at = Some(now.wall_ms / 1000);
    change.rows_per_second = Some(progress.rows_here * 1000 / progress.elapsed_ms.max(1));
    change.error = Some(String::new());
    let only_if = OnlyIf { holder: run.keeper.ours(&change), identities: Identities::Any };
    insist_store(run, &change, &only_if)
}

/// The partition is still the same one, nothing of the job is deleted, and what was adopted is
/// on as many replicas as what was confirmed.
fn complete_lane(run: &mut Run<'_, '_>, lane: &Lane) -> Result<(), Stop> {
    let Place { which, target, offsets, landed, .. } = &lane.place;
    if lane.ordinal() != *landed {
        return Err(Stop::TailBroken {
            topic: target.topic.clone(),
            partition: target.partition,
            offset: offsets.last.unwrap_or(-1),
            expected: lane.ordinal(),
            found: *landed,
        });
    }
    if lane.place.adopted {
        await_replicas(run, &lane.place)?;
    } else {
        describe(run, &lane.place)?;
    }
    let Some(first_offset) = offsets.first else { return Ok(()) };
    let start = insist(run, Peer::Broker, |run| run.broker(*which).offset(Mark::Start))?;
    match start {
        Some(log_start) if log_start > first_offset => Err(Stop::RowsDeleted {
            topic: target.topic.clone(),
            partition: target.partition,
            first_offset,
            log_start,
        }),
        _ => Ok(()),
    }
}

fn await_replicas(run: &mut Run<'_, '_>, place: &Place) -> Result<(), Stop> {
    let settings = insist(run, Peer::Broker, |run| run.broker(place.which).topic_settings())?;
    let wanted = settings.min_insync_replicas.unwrap_or(IN_SYNC_MIN);
    let mut patience = Patience::new(Peer::Broker);
    loop {
        let described = describe(run, place)?;
        let needed = wanted.min(described.replica_count as u64);
        if described.in_sync_count as u64 >= needed {
            return Ok(());
        }
        let problem = format!(
            "{}/{} has {} replicas in sync, {needed} are needed",
            place.target.topic, place.target.partition, described.in_sync_count
        );
        patience.wait(run, &Trouble { problem, missing: None, pause_ms: 0 })?;
    }
}

/// The status, and why. A run that failed insists; one that was interrupted has no time to.
fn write_end(run: &mut Run<'_, '_>, stop: &Stop) {
    let failed = stop.exit_code() == EXIT_MEND;
    let status = if failed { Status::Failed } else { Status::Interrupted };
    let wall_ms = run.now().wall_ms;
    let mut change = run.keeper.change(status, wall_ms);
    let mut error = stop.to_string();
    error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
    change.error = Some(error);
    let only_if = OnlyIf { holder: run.keeper.ours(&change), identities: Identities::Any };
    let written = if failed && run.stop_asked().is_ok() {
        insist_store(run, &change, &only_if)
    } else {
        store_once(run, &change, &only_if)
            .unwrap_or_else(|fault| Err(fault.into_stop(Peer::Ledger)))
    };
    if let Err(why) = written {
        run.counts.checkpoints_missed += 1;
        let problem = why.to_string();
        run.tell(&crate::event::Event::CheckpointMissed { problem: &problem });
    }
}
