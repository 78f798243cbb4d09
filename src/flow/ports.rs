//! The traits through which the flow touches the world.
//!
//! A call is **one attempt** at one request and blocks at most [`CALL_TIMEOUT_MS`]; it neither
//! sleeps nor repeats. All waiting and repeating is in `flow/patience`. What it answers is
//! done, not yet, a passing fault or a final one.
//!
//! ```text
//! Source ──bytes──> flow ──Batch──> Broker ──Answer──> flow ──Checkpoint──> Ledger
//!                     ├── Event ──> World ──time, randomness, stop──> flow
//!                     └── Figures ──> Metrics
//! ```
//!
//! [`CALL_TIMEOUT_MS`]: crate::limits::CALL_TIMEOUT_MS

use crate::event::Event;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, OnlyIf};
use crate::wire::kafka::answers::Rights;
use crate::wire::metrics::Figures;
use crate::wire::record_batch::{Batch, BatchHeader};

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// May go away by itself; whether the request took effect is not known.
    Passing(Trouble),
    /// A person must act; the request took no effect.
    Final(Box<Stop>),
}

/// A passing fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What happened, where, in the words of whoever said it.
    pub problem: String,
    /// The topic or partition is not there (yet).
    pub missing: Option<Missing>,
    /// The peer asks for this long a pause.
    pub pause_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    Topic,
    /// The topic has this many partitions, and ours is not among them.
    Partition {
        partition_count: usize,
    },
}

impl Fault {
    pub fn passing(problem: impl Into<String>) -> Fault {
        Fault::Passing(Trouble { problem: problem.into(), missing: None, pause_ms: 0 })
    }

    pub fn last(stop: Stop) -> Fault {
        Fault::Final(Box::new(stop))
    }

    /// For a call that is not repeated.
    pub fn into_stop(self, peer: Peer) -> Stop {
        match self {
            Fault::Final(stop) => *stop,
            Fault::Passing(Trouble { problem, .. }) => {
                Stop::GaveUp { peer, attempts: 1, seconds: 0, problem }
            }
        }
    }
}

// --- Source -----------------------------------------------------------------------------

/// What fixes the source: a run that finds another one sends nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub etag: String,
    pub version_id: Option<String>,
    pub source_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes were written to the front of the buffer; never 0.
    Bytes(usize),
    /// Nothing came within [`SOURCE_READ_MS`](crate::limits::SOURCE_READ_MS).
    NotYet,
    /// The end of the range that was opened.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The source as it is now; when a pin was given, it is that one.
    Open(Pin),
    /// The source is not the pinned one any more; nothing is open.
    Replaced,
}

pub trait Source {
    /// Asks for the bytes from `from` on, up to but without `to` (`None`: to the end), on
    /// condition that the source is still `pinned`. Replaces what was open before. An empty
    /// source, and `from` at the end of the source, open and are at their end at once.
    fn open(&mut self, from: u64, to: Option<u64>, pinned: Option<&Pin>) -> Result<Opened, Fault>;

    /// The next bytes of what is open. After a passing fault the flow opens again at the byte
    /// that it has reached.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault>;
}

// --- Broker -----------------------------------------------------------------------------

/// A partition as its cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub cluster_id: Option<String>,
    /// Where the broker offers it.
    pub topic_id: Option<String>,
    pub partition_count: usize,
    /// Where it is reached, for messages.
    pub leader: String,
    pub leader_epoch: i32,
    pub replica_count: usize,
    pub in_sync_count: usize,
    /// What we may do with the topic; `None` where the broker does not tell.
    pub rights: Option<Rights>,
}

/// A place in the partition that a broker can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The first offset that is still there.
    Start,
    /// The end of what consumers may see (`ListOffsets`, isolation 0).
    VisibleEnd,
    /// The log end of the leader of this epoch, replicated or not (`OffsetForLeaderEpoch`).
    EpochEnd { leader_epoch: i32 },
}

/// Settings of the topic; `None` where they may not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    pub max_message_bytes: Option<u64>,
    pub min_insync_replicas: Option<u64>,
    pub cleanup_policy: Option<String>,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<i64>,
    pub unclean_leader_election: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    pub id: i64,
    pub epoch: i16,
}

/// Is shown a record: offset, key, value.
pub type RecordVisitor<'a> = dyn FnMut(i64, Option<&[u8]>, Option<&[u8]>) + 'a;

/// Is shown a partition batch by batch, each record after the header of its batch.
pub trait BatchVisitor {
    /// Whether the records of this batch are wanted; without it they are not decompressed.
    fn batch(&mut self, header: &BatchHeader) -> bool;

    fn record(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>);
}

/// What of a read the caller wants.
pub enum Visit<'a> {
    /// The header of each batch; the records are not decompressed.
    Headers(&'a mut dyn FnMut(&BatchHeader)),
    /// Each record.
    Records(&'a mut RecordVisitor<'a>),
    /// Each record, and whose it is.
    Batches(&'a mut dyn BatchVisitor),
}

/// Where a read has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadTo {
    /// Everything below this offset has been visited; ask again from here.
    Offset(i64),
    /// What was asked for is deleted already; the partition begins here.
    Deleted { log_start: i64 },
}

/// What keeps the broker from appending a record twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The leader checks each batch's producer sequence.
    Sequence,
    /// Nothing: records carry no number. Only what is read back from the partition tells.
    TailOnly,
}

/// The answer to a produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Kafka's number; 0 is success.
    pub error_code: i16,
    /// -1 where the answer names none.
    pub base_offset: i64,
    pub throttle_ms: u64,
}

pub enum Confirmed {
    /// No batch was in flight.
    Idle,
    /// No answer yet.
    Pending,
    Answered(Batch, Answer),
    /// The connection is gone and is closed on our side; the batch may have been appended.
    Lost(Batch, Trouble),
}

/// One partition: what is in it, and the way to append to it.
///
/// The calls of the first group are never made while a batch is in flight.
pub trait Broker {
    /// The same for a whole run, once the partition was described.
    fn guard(&self) -> Guard {
        Guard::Sequence
    }

    /// Asks any broker about cluster, topic and leader; later calls go to that leader.
    fn describe(&mut self) -> Result<Described, Fault>;

    /// The topic's settings, each only where it may be read.
    fn topic_settings(&mut self) -> Result<TopicSettings, Fault>;

    /// A fresh producer identity. Never a negative id.
    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault>;

    /// `None`: this broker can not tell (`OffsetForLeaderEpoch` is not offered).
    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault>;

    /// One Fetch (isolation 0) from `from`. Visits the batches or records at or above `from`
    /// and below `to`; a batch that begins below `from` is visited too if it ends at or above
    /// it, its records only from `from` on. A cut batch at the end of the answer is left for
    /// the next call. At least one request is made, also when `from == to`.
    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault>;

    /// A connection to the leader that is ready to send on; the one that is open, if any.
    fn connect(&mut self) -> Result<(), Fault>;

    /// Takes the batch and writes what the socket takes. Only with a connection and with no
    /// batch in flight.
    fn send(&mut self, batch: Batch);

    /// Writes the rest, looks for the answer for at most `wait_ms`, and gives the batch back.
    fn confirm(&mut self, wait_ms: u64) -> Confirmed;

    /// Closes the connection, and gives back the batch in flight, which may have been appended.
    fn hang_up(&mut self) -> Option<Batch>;
}

// --- Ledger -----------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The item as it is after the write.
    Done(Box<Checkpoint>),
    /// The condition did not hold; the item as it is, if there is one. After an attempt whose
    /// answer was lost it may be our own write: compare `run_id` and `revision`.
    Refused(Option<Box<Checkpoint>>),
}

/// A part of all that a ledger holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerPage {
    pub jobs: Vec<Listed>,
    /// What the next page begins behind; `None`: this was the last one.
    pub next: Option<String>,
}

/// One job of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub job_id: String,
    /// What makes it unreadable does not hide the others.
    pub item: Result<Checkpoint, String>,
}

pub trait Ledger {
    /// A consistent read.
    fn load(&mut self, job_id: &str) -> Result<Option<Checkpoint>, Fault>;

    /// The jobs of one page, in whatever order; `after`: the page that follows this one.
    fn list(&mut self, after: Option<&str>) -> Result<LedgerPage, Fault>;

    /// Writes the fields that `change` has, leaves all others, if `only_if` holds.
    fn store(&mut self, change: &Checkpoint, only_if: &OnlyIf) -> Result<Stored, Fault>;
}

// --- Account ----------------------------------------------------------------------------

/// Whose credentials these are, as AWS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub account: String,
    pub arn: String,
}

/// Who we are for AWS. Only for looking: a run needs none of it.
pub trait Account {
    /// Where the credentials come from.
    fn credentials(&mut self) -> Result<&'static str, Fault>;

    /// `None`: nothing of AWS itself is spoken to, so nobody can be asked.
    fn caller(&mut self) -> Result<Option<Caller>, Fault>;

    /// Our clock less that of the service that answered last; `None`: none did.
    fn skew_ms(&mut self) -> Option<i64>;
}

// --- World ------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back; may stand still while the machine sleeps.
    pub monotonic_ms: u64,
    /// Unix milliseconds; may jump.
    pub wall_ms: u64,
}

pub trait World {
    fn now(&mut self) -> Now;

    fn random(&mut self) -> u64;

    /// Waits, at most [`WAIT_SLICE_MS`](crate::limits::WAIT_SLICE_MS).
    fn wait(&mut self, wait_ms: u64);

    /// Who asked the run to stop, if anybody: a signal, a Spot notice.
    fn stop_asked(&mut self) -> Option<&'static str>;

    /// Whether the process that `host` names ran on this very machine and is gone.
    fn is_gone(&mut self, host: &str) -> bool;

    fn tell(&mut self, event: &Event<'_>);
}

// --- Metrics ----------------------------------------------------------------------------

/// What kept figures from arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    NoCredentials,
    Refused,
    Unreachable,
}

/// Figures that did not arrive, which is no reason to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    pub obstacle: Obstacle,
    pub problem: String,
}

/// Who collects the figures of a run.
pub trait Metrics {
    /// They are wanted so often.
    fn interval_ms(&self) -> u64;

    /// What one call takes at most.
    fn call_ms_max(&self) -> u64;

    /// One attempt. `hurried`: the run was asked to stop, so that it takes at most
    /// [`METRICS_HURRIED_MS`](crate::limits::METRICS_HURRIED_MS).
    fn put(&mut self, figures: &Figures<'_>, hurried: bool) -> Result<(), Unsent>;
}

/// All that a run touches.
pub struct Ports<'a> {
    pub source: &'a mut dyn Source,
    pub main: &'a mut dyn Broker,
    /// The dead letters' partition, with `ON_BAD_ROW=dlq`.
    pub dead: Option<&'a mut dyn Broker>,
    pub ledger: &'a mut dyn Ledger,
    /// Where somebody collects them.
    pub metrics: Option<&'a mut dyn Metrics>,
    pub world: &'a mut dyn World,
}
