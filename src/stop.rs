//! The ways to end: exit code and wording, one code per operator action.
//!
//! | code | what the operator does |
//! |---|---|
//! | 0 | nothing: complete |
//! | 1 | read the last line, mend, start again |
//! | 75 | start again: it resumes |
//!
//! Every message says where, what, which limit, and what to do next.

use std::fmt;

/// The exit code of a complete job.
pub const EXIT_COMPLETE: u8 = 0;
/// The exit code when a person must act.
pub const EXIT_MEND: u8 = 1;
/// The exit code when starting again is all there is to do (`EX_TEMPFAIL`).
pub const EXIT_AGAIN: u8 = 75;

/// One value that a job is pinned to, and what this run has instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub name: &'static str,
    pub pinned: String,
    pub now: String,
}

/// Why a row can not become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRow {
    FieldCount {
        expected: usize,
        found: usize,
    },
    /// More fields than the header names; how many is not counted beyond the first.
    TooManyFields {
        expected: usize,
    },
    NotUtf8 {
        column_index: usize,
    },
    RecordTooLarge {
        bytes: usize,
        bytes_max: usize,
    },
}

/// The systems that a run talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Broker,
    Source,
    Ledger,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    // --- 0 ---
    Complete {
        rows: u64,
    },
    AlreadyComplete {
        job_id: String,
        rows: u64,
    },
    /// `rehearse --rows N`.
    RowsReached {
        rows: u64,
    },

    // --- 1 ---
    /// All problems of the settings at once, one line each.
    Settings(Vec<String>),
    PinsDiffer {
        job_id: String,
        differences: Vec<Difference>,
    },
    SourceReplaced {
        source: String,
        pinned: String,
        now: String,
        /// The pinned one's, where it can still be asked for.
        version_id: Option<String>,
    },
    BadRow {
        row: u64,
        byte_offset: u64,
        why: BadRow,
        aside: Option<u64>,
    },
    RowTooLong {
        row: u64,
        byte_offset: u64,
        bytes_max: usize,
    },
    OpenQuote {
        row: u64,
        byte_offset: u64,
    },
    /// What was found before a row was read: the header, the format, the encoding.
    BadSource {
        source: String,
        problem: String,
    },
    TopicMissing {
        topic: String,
        partition: i32,
        partitions: Option<usize>,
        bootstrap: String,
    },
    TopicRemade {
        topic: String,
        pinned: String,
        now: String,
    },
    WrongCluster {
        pinned: String,
        now: String,
    },
    Truncated {
        topic: String,
        partition: i32,
        log_end: i64,
        expected: i64,
    },
    TailDeleted {
        topic: String,
        partition: i32,
        from: i64,
        log_start: i64,
    },
    RowsDeleted {
        topic: String,
        partition: i32,
        first_offset: i64,
        log_start: i64,
    },
    /// The partition holds our records in an order that the protocol excludes.
    TailBroken {
        topic: String,
        partition: i32,
        offset: i64,
        expected: u64,
        found: u64,
    },
    OffsetWentBack {
        topic: String,
        partition: i32,
        confirmed: i64,
        answered: i64,
    },
    RecordRefused {
        topic: String,
        record: u64,
        bytes: usize,
    },
    Overwritten {
        job_id: String,
        missing: &'static str,
    },
    NoSuchJob {
        job_id: String,
    },
    /// What was loaded under other rules can not be compared under ours.
    OtherRules {
        job_id: String,
        rules: u64,
        version: String,
    },
    NothingToAdopt {
        job_id: String,
        last_line: u64,
        topic: String,
        partition: i32,
    },
    ClockWrong {
        peer: Peer,
        skew_seconds: i64,
    },
    /// A final refusal by a peer, with what it said and what to do.
    Refused {
        peer: Peer,
        problem: String,
        advice: String,
    },

    // --- 75 ---
    Interrupted {
        by: &'static str,
    },
    HeldBy {
        job_id: String,
        run_id: String,
        host: String,
    },
    NotYetComplete {
        job_id: String,
        status: &'static str,
    },
    Superseded {
        job_id: String,
        run_id: String,
    },
    /// The partition took somebody else's records under our identity.
    Contended {
        topic: String,
        partition: i32,
    },
    GaveUp {
        peer: Peer,
        attempts: u32,
        seconds: u64,
        problem: String,
    },
}

impl Stop {
    pub fn exit_code(&self) -> u8 {
        match self {
            Stop::Complete { .. } | Stop::AlreadyComplete { .. } | Stop::RowsReached { .. } => {
                EXIT_COMPLETE
            }
            Stop::Interrupted { .. }
            | Stop::HeldBy { .. }
            | Stop::NotYetComplete { .. }
            | Stop::Superseded { .. }
            | Stop::Contended { .. }
            | Stop::GaveUp { .. } => EXIT_AGAIN,
            _ => EXIT_MEND,
        }
    }

    pub fn refused(peer: Peer, problem: impl Into<String>, advice: impl Into<String>) -> Stop {
        Stop::Refused { peer, problem: problem.into(), advice: advice.into() }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Broker => "Kafka",
            Peer::Source => "the source",
            Peer::Ledger => "the checkpoint store",
        })
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRow::FieldCount { expected, found } => {
                write!(f, "{found} fields, the header has {expected}")
            }
            BadRow::TooManyFields { expected } => {
                write!(f, "more than the {expected} fields of the header")
            }
            BadRow::NotUtf8 { column_index } => {
                write!(f, "field {} is not UTF-8", column_index + 1)
            }
            BadRow::RecordTooLarge { bytes, bytes_max } => write!(
                f,
                "its record has {bytes} bytes, the topic's max.message.bytes leaves {bytes_max}"
            ),
        }
    }
}

impl fmt::Display for Stop {
    #[expect(clippy::too_many_lines, reason = "one arm for each way to end, nothing else")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Complete { rows } => write!(f, "complete: {rows} rows, each once, in order"),
            Stop::AlreadyComplete { job_id, rows } => write!(
                f,
                "job {job_id} is already complete with {rows} rows; nothing was sent. To load the source again, give it a new JOB_ID"
            ),
            Stop::RowsReached { rows } => {
                write!(
                    f,
                    "stopped after {rows} rows, as asked; the same command without --rows goes on"
                )
            }
            Stop::Settings(problems) => {
                write!(f, "{} in the settings:", count(problems.len(), "problem"))?;
                problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
            Stop::PinsDiffer { job_id, differences } => {
                write!(f, "job {job_id} was begun with other settings; nothing was sent:")?;
                for Difference { name, pinned, now } in differences {
                    write!(f, "\n  - {name}: begun with {pinned}, now {now}")?;
                }
                write!(f, "\nStart again with the first values, or give a new JOB_ID to a new load")
            }
            Stop::SourceReplaced { source, pinned, now, version_id } => {
                write!(
                    f,
                    "{source} was replaced since the job began: its ETag was {pinned}, now it is {now}. Nothing was sent from the new one. Load it under a new JOB_ID, or "
                )?;
                match version_id {
                    None => f.write_str("restore the old version"),
                    Some(version_id) => write!(
                        f,
                        "go on with the old version, if the bucket keeps it: S3_VERSION_ID={version_id}"
                    ),
                }
            }
            Stop::BadRow { row, byte_offset, why, aside } => {
                write!(
                    f,
                    "row {row} at byte {byte_offset} is bad: {why}. All rows before it are confirmed. "
                )?;
                match aside {
                    None => f.write_str("Start again with ON_BAD_ROW=dlq and KAFKA_DLQ_TOPIC to set it aside, or load a corrected object under a new JOB_ID"),
                    Some(count) => write!(f, "{count} bad rows are set aside already, and MAX_BAD_ROWS allows no more: raise it and start again, or load a corrected object under a new JOB_ID"),
                }
            }
            Stop::RowTooLong { row, byte_offset, bytes_max } => write!(
                f,
                "row {row}, which begins at byte {byte_offset}, is longer than {bytes_max} bytes (ROW_BYTES_MAX): almost surely a quote that is never closed. All rows before it are confirmed. Look at that byte; load a corrected object under a new JOB_ID"
            ),
            Stop::OpenQuote { row, byte_offset } => write!(
                f,
                "row {row}, which begins at byte {byte_offset}, has a quote that is still open at the end of the file: it is cut short, or a quote is too many. All rows before it are confirmed. Load a corrected object under a new JOB_ID"
            ),
            Stop::BadSource { source, problem } => {
                write!(f, "{source}: {problem}. Nothing was sent")
            }
            Stop::TopicMissing { topic, partition, partitions, bootstrap } => match partitions {
                None => write!(
                    f,
                    "topic {topic} does not exist (or may not be seen). Create it: kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {topic} --partitions {} --replication-factor 3 --config min.insync.replicas=2",
                    partition + 1
                ),
                Some(found) => write!(
                    f,
                    "topic {topic} has no partition {partition}: it has {found}. Set KAFKA_PARTITION, or: kafka-topics.sh --bootstrap-server {bootstrap} --alter --topic {topic} --partitions {}",
                    partition + 1
                ),
            },
            Stop::TopicRemade { topic, pinned, now } => write!(
                f,
                "topic {topic} was deleted and made again since the job began (topic id was {pinned}, now {now}); the rows that it held are gone. Load the source under a new JOB_ID"
            ),
            Stop::WrongCluster { pinned, now } => write!(
                f,
                "this is another Kafka cluster than the one that the job was begun on (cluster id was {pinned}, now {now}). Nothing was sent. Mend KAFKA_BOOTSTRAP_SERVERS, or give a new JOB_ID to a new load"
            ),
            Stop::Truncated { topic, partition, log_end, expected } => write!(
                f,
                "{topic}/{partition} ends at offset {log_end}, but it reached offset {expected} when the checkpoint was written: the partition was truncated or made again (unclean leader election?). Load the source under a new JOB_ID"
            ),
            Stop::TailDeleted { topic, partition, from, log_start } => write!(
                f,
                "{topic}/{partition} begins at offset {log_start} now, what came after the checkpoint (offset {from}) is deleted: retention.ms or retention.bytes of the topic is shorter than the job. Raise it and load the source under a new JOB_ID"
            ),
            Stop::RowsDeleted { topic, partition, first_offset, log_start } => write!(
                f,
                "all rows were sent, but the first of them are deleted already: they begin at offset {first_offset}, {topic}/{partition} begins at {log_start} now. Raise retention.ms and retention.bytes of the topic and load the source under a new JOB_ID"
            ),
            Stop::TailBroken { topic, partition, offset, expected, found } => write!(
                f,
                "{topic}/{partition} holds at offset {offset} record {found} of this job where record {expected} belongs: the partition is damaged, or another program used this job's producer id, or (compatibility client) two runs wrote at once or a request came very late. Do not go on with this job; load the source under a new JOB_ID into a new topic"
            ),
            Stop::OffsetWentBack { topic, partition, confirmed, answered } => write!(
                f,
                "{topic}/{partition} answered offset {answered} after it had confirmed {confirmed}: the topic was made again in mid-run. Load the source under a new JOB_ID"
            ),
            Stop::RecordRefused { topic, record, bytes } => write!(
                f,
                "topic {topic} refuses record {record} of this job ({bytes} bytes) as too large: max.message.bytes was lowered since the job began. Raise it again and start again"
            ),
            Stop::Overwritten { job_id, missing } => write!(
                f,
                "the checkpoint of job {job_id} has lost its {missing}: another program (the Python processor?) has overwritten it. Stop that program; then load the source under a new JOB_ID"
            ),
            Stop::NoSuchJob { job_id } => write!(
                f,
                "the checkpoint store holds no job {job_id}. Mend JOB_ID, or the place of the checkpoint (DYNAMODB_TABLE and AWS_REGION, or CHECKPOINT)"
            ),
            Stop::OtherRules { job_id, rules, version } => write!(
                f,
                "job {job_id} was loaded by version {version}, whose rules for rows have number {rules}: compare it with that version, for this one reads some rows differently"
            ),
            Stop::NothingToAdopt { job_id, last_line, topic, partition } => write!(
                f,
                "the checkpoint of job {job_id} says that {last_line} rows were sent, but {topic}/{partition} holds no record of this source. Mend KAFKA_TOPIC or KAFKA_PARTITION, or give a new JOB_ID to a new load"
            ),
            Stop::ClockWrong { peer, skew_seconds } => write!(
                f,
                "this machine's clock differs from that of {peer} by {skew_seconds} s. Records would carry wrong times and Kafka would forget the producer. Set the clock (chrony, systemd-timesyncd) and start again"
            ),
            Stop::Refused { problem, advice, .. } => write!(f, "{problem}. {advice}"),
            Stop::Interrupted { by } => {
                write!(f, "stopped by {by}; progress is saved, the same command goes on from there")
            }
            Stop::HeldBy { job_id, run_id, host } => write!(
                f,
                "another run holds job {job_id} and is alive: run {run_id} on {host}. Let it finish, or stop it; then start again"
            ),
            Stop::NotYetComplete { job_id, status } => write!(
                f,
                "job {job_id} is not complete yet, its status is {status}: there is nothing to prove before it is. Try again when it is complete"
            ),
            Stop::Superseded { job_id, run_id } => write!(
                f,
                "run {run_id} has taken over job {job_id}; this one stops. Nothing is lost or repeated"
            ),
            Stop::Contended { topic, partition } => write!(
                f,
                "another live run of this job writes to {topic}/{partition}; this one stops. Nothing is lost or repeated; start again when the other has ended"
            ),
            Stop::GaveUp { peer, attempts, seconds, problem } => write!(
                f,
                "gave up on {peer} for now, after {} in {seconds} s: {problem}. Progress is saved; start again when it is back",
                count(*attempts as usize, "attempt")
            ),
        }
    }
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_code() {
        let again = Stop::Interrupted { by: "SIGTERM" };
        let mend = Stop::OpenQuote { row: 3, byte_offset: 9 };
        let done = Stop::Complete { rows: 1 };
        assert_eq!(
            [done.exit_code(), mend.exit_code(), again.exit_code()],
            [EXIT_COMPLETE, EXIT_MEND, EXIT_AGAIN]
        );
    }

    #[test]
    fn settings_name_every_problem() {
        let stop = Stop::Settings(vec!["A is missing".into(), "B is not a number".into()]);
        assert_eq!(
            stop.to_string(),
            "2 problems in the settings:\n  - A is missing\n  - B is not a number"
        );
    }
}
