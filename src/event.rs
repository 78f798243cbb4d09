//! What can be told: names and numbers, never a row's value and never a secret.
//!
//! The flow does not log; it tells `World` one of these. Text log, JSON log and the progress
//! line are renderings of this one enum (`show/`).

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
    /// Rows go out from here on.
    Sending {
        row: u64,
        byte_offset: u64,
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
    SetAside {
        row: u64,
        byte_offset: u64,
    },
    Warning {
        text: &'a str,
    },
    Ended {
        stop: &'a Stop,
        summary: Summary,
    },
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
}

/// What a run did, told at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub progress: Progress,
    pub batches: u64,
    pub checkpoints: u64,
    pub waited_source_ms: u64,
    pub waited_broker_ms: u64,
    pub waited_ledger_ms: u64,
    pub throttled_ms: u64,
}
