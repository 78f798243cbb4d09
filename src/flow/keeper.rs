//! The checkpoint and the lease: what is settled, when it is written, whether the job is ours.
//!
//! Confirm first, record second: [`Keeper::settle`] is told only what the partition holds.
//! Every write carries a revision that is above all earlier ones of this run, and the
//! condition names it, so that a write which the network delays never undoes a later one.

use super::job::Job;
use super::patience::Patience;
use super::ports::{Fault, Stored};
use super::run::Run;
use crate::event::Event;
use crate::limits::{CHECKPOINT_MS_MIN, LEASE_PARTS, RETRY_DELAY_MS_MAX};
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, LaneItem, OnlyIf, Status};

/// How far the job is, at a moment when all before it is in the partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    pub row: u64,
    pub next_byte: u64,
    pub ordinal: u64,
    pub dead_ordinal: u64,
    pub main: Offsets,
    pub dead: Offsets,
}

/// Where a lane's records lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// The job's first record.
    pub first: Option<i64>,
    /// The job's last settled record.
    pub last: Option<i64>,
    /// All at or below it is settled; the tail begins after it.
    pub settled: Option<i64>,
}

pub struct Keeper {
    job_id: String,
    run_id: String,
    lease_ms: u64,
    interval_rows: u64,
    revision: u64,
    held: bool,
    settled: Settled,
    stored: Settled,
    stored_ms: u64,
    next_attempt_ms: u64,
    misses: u32,
}

impl Keeper {
    pub fn new(job: &Job, run_id: String, now_ms: u64) -> Keeper {
        Keeper {
            job_id: job.job_id.clone(),
            run_id,
            lease_ms: job.lease_seconds.saturating_mul(1000),
            interval_rows: job.checkpoint_interval_rows,
            revision: 0,
            held: false,
            settled: Settled::default(),
            stored: Settled::default(),
            stored_ms: now_ms,
            next_attempt_ms: now_ms,
            misses: 0,
        }
    }

    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    pub fn is_held(&self) -> bool {
        self.held
    }

    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    /// The job is ours; `item` is what the take returned, and all goes on from it.
    pub fn taken(&mut self, item: &Checkpoint, now_ms: u64) {
        let offsets = |lane: &LaneItem| Offsets {
            first: lane.first_offset,
            last: lane.last_offset,
            settled: lane.kafka_offset,
        };
        self.held = true;
        self.revision = item.revision.unwrap_or(0);
        self.settled = Settled {
            row: item.last_line.unwrap_or(0),
            next_byte: item.next_byte.unwrap_or(0),
            ordinal: item.total_sent.unwrap_or(0),
            dead_ordinal: item.dlq_rows.unwrap_or(0),
            main: offsets(&item.main),
            dead: offsets(&item.dlq),
        };
        self.stored = self.settled;
        self.stored_ms = now_ms;
        self.next_attempt_ms = now_ms;
    }

    /// What the partitions hold now.
    pub fn settle(&mut self, settled: Settled) {
        assert!(settled.row >= self.settled.row, "rows do not become unsettled");
        assert!(settled.ordinal >= self.settled.ordinal, "records do not become unsettled");
        assert!(settled.dead_ordinal >= self.settled.dead_ordinal, "nor do dead letters");
        self.settled = settled;
    }

    /// The partition decided how many rows the Python processor sent: fewer than its checkpoint
    /// says, where that names the row that failed.
    pub fn adopted(&mut self, rows: u64) {
        self.settled.row = rows;
        self.settled.ordinal = rows;
        self.stored = self.settled;
    }

    /// Enough rows and a second, or a third of the lease.
    pub fn is_due(&self, now_ms: u64) -> bool {
        let since_ms = now_ms.saturating_sub(self.stored_ms);
        let rows = self.settled.row - self.stored.row;
        let enough = rows >= self.interval_rows && since_ms >= CHECKPOINT_MS_MIN;
        self.held
            && now_ms >= self.next_attempt_ms
            && (enough || since_ms >= self.lease_ms / LEASE_PARTS)
    }

    /// Whether a call of so long might outlast the lease. One that is over already it does not.
    pub fn endangers_lease(&self, now_ms: u64, call_ms: u64) -> bool {
        let left_ms = self.stored_ms.saturating_add(self.lease_ms).saturating_sub(now_ms);
        self.held && left_ms > 0 && left_ms <= call_ms
    }

    /// A change that writes down what is settled, under the next revision.
    pub fn change(&mut self, status: Status, wall_ms: u64) -> Checkpoint {
        self.revision += 1;
        let lane = |offsets: &Offsets| LaneItem {
            first_offset: offsets.first,
            last_offset: offsets.last,
            kafka_offset: offsets.settled,
            ..LaneItem::default()
        };
        Checkpoint {
            job_id: self.job_id.clone(),
            last_line: Some(self.settled.row),
            total_sent: Some(self.settled.ordinal),
            next_byte: Some(self.settled.next_byte),
            main: lane(&self.settled.main),
            dlq: lane(&self.settled.dead),
            dlq_rows: Some(self.settled.dead_ordinal),
            status: Some(status),
            timestamp: Some(wall_ms / 1000),
            revision: Some(self.revision),
            ..Checkpoint::default()
        }
    }

    /// The condition under which our own writes take effect.
    pub fn ours(&self, change: &Checkpoint) -> Holder {
        Holder::Us {
            run_id: self.run_id.clone(),
            revision: change.revision.unwrap_or(0),
            last_line: change.last_line.unwrap_or(self.settled.row),
        }
    }

    /// What a refused write means.
    fn refused(&mut self, change: &Checkpoint, item: Option<&Checkpoint>) -> Result<(), Stop> {
        let verdict = match item.map(|item| (item.run_id.as_ref(), item.revision)) {
            // An earlier attempt at this very write, whose answer was lost, took effect.
            Some((Some(run_id), revision))
                if *run_id == self.run_id && revision == change.revision =>
            {
                return Ok(());
            }
            Some((Some(run_id), _)) if *run_id != self.run_id => {
                Stop::Superseded { job_id: self.job_id.clone(), run_id: run_id.clone() }
            }
            // Ours, but not as we left it: whoever did that does not know this format.
            Some((Some(_), _)) => self.overwritten("revision"),
            Some((None, _)) => self.overwritten("run_id"),
            None => self.overwritten("item"),
        };
        self.held = false;
        Err(verdict)
    }

    fn overwritten(&self, missing: &'static str) -> Stop {
        Stop::Overwritten { job_id: self.job_id.clone(), missing }
    }

    fn stored(&mut self, now_ms: u64) {
        self.stored = self.settled;
        self.stored_ms = now_ms;
        self.next_attempt_ms = now_ms;
        self.misses = 0;
    }
}

/// One attempt at a checkpoint in mid-run: a failure is told, and tried again later.
pub fn checkpoint(run: &mut Run<'_, '_>) -> Result<(), Stop> {
    let now = run.now();
    let change = run.keeper.change(Status::InProgress, now.wall_ms);
    let holder = run.keeper.ours(&change);
    match store_once(run, &change, &OnlyIf { holder, identities: Identities::Any }) {
        Ok(Ok(())) => {
            let after_ms = run.now().monotonic_ms;
            run.keeper.stored(after_ms);
            run.counts.checkpoints += 1;
            let Settled { row, ordinal, next_byte, .. } = *run.keeper.settled();
            run.tell(&Event::Checkpointed {
                row,
                ordinal,
                byte_offset: next_byte,
                took_ms: after_ms.saturating_sub(now.monotonic_ms),
            });
            Ok(())
        }
        Ok(Err(stop)) => Err(stop),
        Err(fault) => {
            let after_ms = run.now().monotonic_ms;
            let keeper = &mut run.keeper;
            let delay_ms = (CHECKPOINT_MS_MIN << keeper.misses.min(4)).min(RETRY_DELAY_MS_MAX);
            keeper.misses += 1;
            keeper.next_attempt_ms = after_ms.saturating_add(delay_ms);
            run.counts.checkpoints_missed += 1;
            let problem = fault.into_stop(Peer::Ledger).to_string();
            run.tell(&Event::CheckpointMissed { problem: &problem });
            Ok(())
        }
    }
}

/// Writes `change` and does not rest until it is written, refused for good, or patience ends.
/// Repeats carry the same revision: one write, however often it is sent.
pub fn insist_store(
    run: &mut Run<'_, '_>,
    change: &Checkpoint,
    only_if: &OnlyIf,
) -> Result<(), Stop> {
    let mut patience = Patience::new(Peer::Ledger);
    // Waiting must not renew the lease: a renewal's higher revision would refuse this write.
    loop {
        match store_once(run, change, only_if) {
            Ok(Ok(())) => break,
            Ok(Err(stop)) => return Err(stop),
            Err(Fault::Final(stop)) => return Err(*stop),
            Err(Fault::Passing(trouble)) => {
                let delay_ms = patience.delay_ms(run, &trouble)?;
                let held = run.keeper.held;
                run.keeper.held = false;
                let waited = run.wait_for(Peer::Ledger, |run| run.wait(delay_ms));
                run.keeper.held = held;
                waited?;
            }
        }
    }
    let now_ms = run.now().monotonic_ms;
    run.keeper.stored(now_ms);
    run.counts.checkpoints += 1;
    Ok(())
}

/// One attempt at a write of ours: done, or refused with what that means.
pub fn store_once(
    run: &mut Run<'_, '_>,
    change: &Checkpoint,
    only_if: &OnlyIf,
) -> Result<Result<(), Stop>, Fault> {
    let stored = run.wait_for(Peer::Ledger, |run| run.ledger().store(change, only_if))?;
    Ok(match stored {
        Stored::Done(_) => Ok(()),
        Stored::Refused(item) => run.keeper.refused(change, item.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> Keeper {
        let job = Job {
            lease_seconds: 15,
            checkpoint_interval_rows: 10,
            ..Job::reader("j".into(), String::new(), 1)
        };
        Keeper::new(&job, "us".into(), 0)
    }

    fn at_row(row: u64) -> Settled {
        Settled { row, ..Settled::default() }
    }

    /// Enough rows and a second, or a third of the lease.
    #[test]
    fn when_a_checkpoint_is_due() {
        for (rows, now_ms, due) in [
            (0, 999, false),
            (0, 4_999, false),
            (0, 5_000, true),
            (9, 1_000, false),
            (9, 4_999, false),
            (9, 5_000, true),
            (10, 999, false),
            (10, 1_000, true),
            (11, 1_000, true),
        ] {
            let mut keeper = keeper();
            keeper.settle(at_row(rows));
            assert!(!keeper.is_due(now_ms), "of a job that is not held");
            keeper.held = true;
            assert_eq!(keeper.is_due(now_ms), due, "{rows} rows after {now_ms} ms");
            // The same again, after a checkpoint.
            keeper.stored(20_000);
            keeper.settle(at_row(2 * rows));
            assert_eq!(keeper.is_due(20_000 + now_ms), due, "{rows} more rows, {now_ms} ms");
            keeper.next_attempt_ms = 30_000;
            assert!(!keeper.is_due(29_999) && keeper.is_due(30_000), "after a failed attempt");
        }
    }

    /// A call that may take as long as the lease has left, or longer.
    #[test]
    fn calls_that_might_outlast_the_lease() {
        for (now_ms, call_ms, endangers) in [
            (0, 14_999, false),
            (0, 15_000, true),
            (13_000, 1_999, false),
            (13_000, 2_000, true),
            (14_999, 1, true),
            (14_999, 0, false),
            // Over already: nothing is lost by it.
            (15_000, 2_000, false),
            (15_000, 0, false),
            (20_000, 2_000, false),
        ] {
            let mut keeper = keeper();
            assert!(!keeper.endangers_lease(now_ms, call_ms), "of a job that is not held");
            keeper.held = true;
            assert_eq!(keeper.endangers_lease(now_ms, call_ms), endangers, "{now_ms} {call_ms}");
        }
    }

    #[test]
    fn what_is_written_down() {
        let mut keeper = keeper();
        let offsets =
            |first| Offsets { first: Some(first), last: Some(first + 9), settled: Some(first + 8) };
        let item = Checkpoint {
            job_id: "j".into(),
            revision: Some(7),
            last_line: Some(2),
            total_sent: Some(1),
            dlq_rows: Some(1),
            ..Checkpoint::default()
        };
        keeper.taken(&item, 0);
        assert!(keeper.is_held());
        let settled = Settled {
            row: 20,
            next_byte: 300,
            ordinal: 15,
            dead_ordinal: 5,
            main: offsets(100),
            dead: offsets(40),
        };
        keeper.settle(settled);
        assert_eq!(*keeper.settled(), settled);
        let lane = |first| LaneItem {
            first_offset: Some(first),
            last_offset: Some(first + 9),
            kafka_offset: Some(first + 8),
            ..LaneItem::default()
        };
        let change = keeper.change(Status::InProgress, 5_999);
        let expected = Checkpoint {
            job_id: "j".into(),
            last_line: Some(20),
            total_sent: Some(15),
            next_byte: Some(300),
            main: lane(100),
            dlq: lane(40),
            dlq_rows: Some(5),
            status: Some(Status::InProgress),
            timestamp: Some(5),
            revision: Some(8),
            ..Checkpoint::default()
        };
        assert_eq!(change, expected);
        let holder = Holder::Us { run_id: "us".into(), revision: 8, last_line: 20 };
        assert_eq!(keeper.ours(&change), holder);
        assert_eq!(keeper.change(Status::InProgress, 0).revision, Some(9));
        // What an item says is where a run goes on.
        let mut another = self::keeper();
        another.taken(&expected, 0);
        assert_eq!(*another.settled(), settled);
    }

    /// What it means that a write was refused, by what the item holds then.
    #[test]
    fn refusals() {
        let item = |run_id: Option<&str>, revision| Checkpoint {
            run_id: run_id.map(str::to_owned),
            revision,
            ..Checkpoint::default()
        };
        let overwritten = |missing| Stop::Overwritten { job_id: "j".into(), missing };
        let superseded = Stop::Superseded { job_id: "j".into(), run_id: "they".into() };
        for (found, expected) in [
            (Some(item(Some("us"), Some(1))), Ok(())),
            (Some(item(Some("us"), Some(2))), Err(overwritten("revision"))),
            (Some(item(Some("they"), Some(1))), Err(superseded)),
            (Some(item(None, Some(1))), Err(overwritten("run_id"))),
            (None, Err(overwritten("item"))),
        ] {
            let mut keeper = keeper();
            keeper.held = true;
            let change = keeper.change(Status::InProgress, 0);
            let verdict = keeper.refused(&change, found.as_ref());
            assert_eq!(verdict, expected, "{found:?}");
            assert_eq!(keeper.is_held(), expected.is_ok(), "{found:?}");
        }
    }
}
