//! What can be told: names and numbers, never a row's value and never a secret.
//!
//! The flow does not log; it tells `World` one of these. Text log, JSON log and the progress
//! line are renderings of this one enum (`show/`).

use crate::finding::Finding;
use crate::stop::{Peer, Stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Main,
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The run holds the job.
    Taken {
        job_id: &'a str,
        run_id: &'a str,
        before: Option<&'a str>,
        last_line: u64,
    },
    /// Another run holds the job; its sign of life is watched for this long.
    Watching {
        run_id: &'a str,
        host: &'a str,
        lease_ms: u64,
    },
    /// The checkpoint is the Python processor's; its rows are counted, the partition decides.
    Adopting {
        last_line: u64,
        found_line: u64,
    },
    /// The source is open and its header read.
    SourceOpen {
        source: &'a str,
        source_bytes: u64,
        etag: &'a str,
        columns: usize,
    },
    /// The partition is as expected; what it holds after the checkpoint.
    Tail {
        lane: Lane,
        topic: &'a str,
        partition: i32,
        log_end: i64,
        checkpointed: u64,
        found: u64,
    },
    /// The producer identity is stored; records go out under it.
    Identity {
        lane: Lane,
        producer_id: i64,
        producer_epoch: i16,
        base_record: u64,
    },
    /// The broker forgot our producer; the one path that it does not guard.
    IdentityRenewed {
        lane: Lane,
        producer_id: i64,
        base_record: u64,
    },
    /// Rows go out from here on, under this producer identity.
    Sending {
        row: u64,
        byte_offset: u64,
        because: Because,
        checkpointed_row: u64,
        producer_id: i64,
        producer_epoch: i16,
    },
    Progress(Progress),
    Checkpointed {
        row: u64,
        ordinal: u64,
        byte_offset: u64,
        took_ms: u64,
    },
    /// A checkpoint could not be written; the run goes on, the partition knows.
    CheckpointMissed {
        problem: &'a str,
    },
    Retry {
        peer: Peer,
        attempt: u32,
        delay_ms: u64,
        problem: &'a str,
    },
    /// A lost answer, settled by reading the partition.
    Settled {
        lane: Lane,
        landed: bool,
        ordinal: u64,
    },
    Throttled {
        pause_ms: u64,
    },
    /// More than ten minutes without an answer: the partition is read before the next send.
    Silence {
        seconds: u64,
    },
    /// Metrics did not arrive; told once for each kind of obstacle.
    MetricsMissed {
        problem: &'a str,
    },
    SetAside {
        row: u64,
        byte_offset: u64,
    },
    Warning {
        text: &'a str,
    },
    /// What the run did, for people: told before it ends, if it came as far as the source.
    Totals(Summary),
    /// What endangers the promise and can be seen from here; the run goes on.
    Found {
        finding: &'a Finding,
    },
    Ended {
        stop: &'a Stop,
        summary: Summary,
    },
}

/// Why rows go out from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Nothing of the job is in the partition.
    Fresh,
    /// The checkpoint says so, and the partition holds nothing after it.
    Checkpoint,
    /// The partition holds rows after the checkpoint.
    Tail,
    /// The rows before are the Python processor's.
    Adopted,
}

/// How far the run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last confirmed row of the job.
    pub row: u64,
    /// Rows that this run has confirmed.
    pub rows_here: u64,
    pub dead_letters: u64,
    pub byte_offset: u64,
    pub source_bytes: u64,
    pub elapsed_ms: u64,
    /// Of the batches that this run has confirmed.
    pub bytes_raw: u64,
    pub bytes_sent: u64,
    pub retries: u64,
    /// Produce requests that were answered with success, and what they took together.
    pub answers: u64,
    pub answers_ms: u64,
}

impl Progress {
    /// The rest of the source at the pace of this run, its rows being as long as those before.
    pub fn left_ms(&self) -> Option<u64> {
        let done = u128::from(self.byte_offset) * u128::from(self.rows_here);
        if done == 0 || self.source_bytes < self.byte_offset {
            return None;
        }
        let left_bytes = u128::from(self.source_bytes - self.byte_offset);
        let left = u128::from(self.elapsed_ms)
            .checked_mul(u128::from(self.row))?
            .checked_mul(left_bytes)?
            / done;
        u64::try_from(left).ok()
    }
}

/// What a run did. Its time is that of the peers that it waited for, of its brake, and its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub progress: Progress,
    pub batches: u64,
    pub checkpoints: u64,
    pub checkpoints_missed: u64,
    /// From the source, what was read twice too.
    pub bytes_read: u64,
    pub reads: u64,
    pub waited_source_ms: u64,
    pub waited_broker_ms: u64,
    pub waited_ledger_ms: u64,
    /// By `MAX_ROWS_PER_SECOND`.
    pub braked_ms: u64,
    /// Sending metrics.
    pub metrics_ms: u64,
    /// Calls that did not bring them where they belong.
    pub metrics_missed: u64,
    /// Pauses that the broker asked for; the next batch is filled meanwhile.
    pub throttled_ms: u64,
}

impl Summary {
    /// What is left for the run itself: it was computing, or waited for a processor.
    pub fn own_ms(&self) -> u64 {
        let waited_ms = self.waited_source_ms
            + self.waited_broker_ms
            + self.waited_ledger_ms
            + self.braked_ms
            + self.metrics_ms;
        self.progress.elapsed_ms.saturating_sub(waited_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_that_of_the_bytes_left() {
        let progress = |row, rows_here, byte_offset| Progress {
            row,
            rows_here,
            byte_offset,
            source_bytes: 1_000,
            elapsed_ms: 500,
            ..Progress::default()
        };
        for (case, expected) in [
            (progress(0, 0, 0), None),
            (progress(10, 10, 500), Some(500)),
            // Nine tenths were done before this run, at no cost to it.
            (progress(95, 5, 950), Some(500)),
            (progress(100, 5, 1_000), Some(0)),
            (progress(u64::MAX, 1, 1), None),
        ] {
            assert_eq!(case.left_ms(), expected, "{case:?}");
        }
    }
}
