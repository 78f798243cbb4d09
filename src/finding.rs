//! What `check` finds, and what a run warns of at its start: one closed enum, facts in fields.
//!
//! | grade | what it means |
//! |---|---|
//! | `ok` | looked at, as it should be |
//! | `warn` | a run works, but something endangers it, or could not be looked at |
//! | `fail` | a run would not do its work; a person must act |
//!
//! The wording is in `show/findings`.

use crate::stop::{BadRow, Stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Grade {
    pub fn name(self) -> &'static str {
        match self {
            Grade::Ok => "ok",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Settings,
    Credentials,
    Source,
    Topic,
    DeadLetters,
    Ledger,
    /// What the ledger holds of this job.
    Job,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    // --- anything ---
    /// Nothing answers there, or not in time.
    Unreachable {
        subject: Subject,
        problem: String,
    },
    /// A run would end with this.
    Refused {
        subject: Subject,
        stop: Stop,
    },
    /// Not looked at, since what it needs failed.
    Skipped {
        subject: Subject,
        needs: Subject,
    },

    // --- settings ---
    SettingsRead,
    BadSetting {
        problem: String,
    },
    /// What reading the settings warns of.
    Doubtful {
        text: String,
    },

    // --- AWS ---
    Caller {
        from: &'static str,
        account: String,
        arn: String,
    },
    /// Nothing of AWS itself is spoken to.
    CallerNotAsked {
        from: &'static str,
    },
    CallerUnknown {
        from: &'static str,
        problem: String,
    },
    Clock {
        skew_ms: i64,
    },

    // --- source ---
    Source {
        source: String,
        source_bytes: u64,
        etag: String,
        columns: usize,
        rows: u64,
        /// All of it was read: the number of rows is no estimate.
        is_counted: bool,
    },
    BadRows {
        count: u64,
        of_rows: u64,
        row: u64,
        byte_offset: u64,
        why: BadRow,
        /// How many may be set aside; `None`: the first one stops the run.
        aside_max: Option<u64>,
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

    // --- topic ---
    Topic {
        topic: String,
        partition: i32,
        partition_count: usize,
        leader: String,
        log_start: i64,
        log_end: i64,
    },
    Durable {
        topic: String,
        min_insync: u64,
        replicas: usize,
    },
    FewReplicas {
        topic: String,
        replicas: usize,
    },
    LowMinInsync {
        topic: String,
        min_insync: u64,
    },
    /// The broker refuses to append now.
    TooFewInSync {
        topic: String,
        in_sync: usize,
        min_insync: u64,
    },
    UncleanElection {
        topic: String,
    },
    Compacted {
        topic: String,
        policy: String,
    },
    HiddenSettings {
        topic: String,
    },
    Retained {
        topic: String,
        retention_ms: Option<i64>,
        retention_bytes: Option<i64>,
    },
    ShortRetention {
        topic: String,
        retention_ms: u64,
        expected_seconds: u64,
    },
    SmallRetention {
        topic: String,
        retention_bytes: u64,
        expected_bytes: u64,
    },
    RecordLimit {
        topic: String,
        batch_bytes_max: usize,
        record_bytes_max: usize,
    },
    SmallRecordLimit {
        topic: String,
        max_message_bytes: u64,
        record_bytes_max: usize,
    },
    Rights {
        topic: String,
    },
    MissingRight {
        topic: String,
        operation: &'static str,
    },
    RightsUnknown {
        topic: String,
    },
    LoadedBefore {
        topic: String,
        partition: i32,
        row: u64,
    },

    // --- ledger ---
    Ledger {
        ledger: String,
        /// A write was tried that could not take effect; a file's place was only looked at.
        is_tried: bool,
    },
    /// It took a write on a condition that can not hold.
    LaxLedger {
        ledger: String,
    },
    NewJob {
        job_id: String,
    },
    Resumes {
        job_id: String,
        row: u64,
        byte_offset: u64,
        source_bytes: u64,
        status: &'static str,
    },
    Complete {
        job_id: String,
        rows: u64,
    },
    /// By its item another run is at work.
    Held {
        job_id: String,
        run_id: String,
        host: String,
        age_seconds: u64,
        lease_seconds: u64,
        /// No sign of life for several leases.
        is_silent: bool,
    },
    /// Brokers may have forgotten its producer.
    LongRest {
        job_id: String,
        rest_seconds: u64,
    },
    PythonJob {
        job_id: String,
        last_line: u64,
        /// What the last record of the partition says, if it is one of this source.
        found_line: Option<u64>,
    },
}

/// Clocks differ by the time that an answer is on its way.
pub const SKEW_MS_FINE: u64 = 60 * 1000;

impl Finding {
    /// For programs; a name once given keeps its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Finding::Unreachable { subject, .. } => match subject {
                Subject::Settings | Subject::Credentials => "credentials_unreachable",
                Subject::Source => "source_unreachable",
                Subject::Topic => "broker_unreachable",
                Subject::DeadLetters => "dead_letters_unreachable",
                Subject::Ledger | Subject::Job => "ledger_unreachable",
            },
            Finding::Refused { subject, stop } => match (subject, stop) {
                (_, Stop::ClockWrong { .. }) => "clock_wrong",
                (_, Stop::TopicMissing { .. }) => "topic_missing",
                (_, Stop::BadSource { .. }) => "bad_source",
                (_, Stop::SourceReplaced { .. }) => "source_replaced",
                (_, Stop::PinsDiffer { .. }) => "pins_differ",
                (_, Stop::TopicRemade { .. }) => "topic_remade",
                (_, Stop::WrongCluster { .. }) => "wrong_cluster",
                (_, Stop::Truncated { .. }) => "truncated",
                (_, Stop::TailDeleted { .. }) => "tail_deleted",
                (_, Stop::Overwritten { .. }) => "overwritten",
                (Subject::Settings, _) => "settings",
                (Subject::Credentials, _) => "no_credentials",
                (Subject::Source, _) => "source_refused",
                (Subject::Topic, _) => "broker_refused",
                (Subject::DeadLetters, _) => "dead_letters_refused",
                (Subject::Ledger | Subject::Job, _) => "ledger_refused",
            },
            Finding::Skipped { .. } => "skipped",
            Finding::SettingsRead | Finding::BadSetting { .. } | Finding::Doubtful { .. } => {
                "settings"
            }
            Finding::Caller { .. } | Finding::CallerNotAsked { .. } => "credentials",
            Finding::CallerUnknown { .. } => "caller_unknown",
            Finding::Clock { .. } => "clock",
            Finding::Source { .. } => "source",
            Finding::BadRows { .. } => "bad_rows",
            Finding::RowTooLong { .. } => "row_too_long",
            Finding::OpenQuote { .. } => "open_quote",
            Finding::Topic { .. } => "topic",
            Finding::Durable { .. } => "durability",
            Finding::FewReplicas { .. } => "few_replicas",
            Finding::LowMinInsync { .. } => "low_min_insync",
            Finding::TooFewInSync { .. } => "too_few_in_sync",
            Finding::UncleanElection { .. } => "unclean_election",
            Finding::Compacted { .. } => "compacted",
            Finding::HiddenSettings { .. } => "hidden_settings",
            Finding::Retained { .. } => "retention",
            Finding::ShortRetention { .. } => "short_retention",
            Finding::SmallRetention { .. } => "small_retention",
            Finding::RecordLimit { .. } => "record_limit",
            Finding::SmallRecordLimit { .. } => "small_record_limit",
            Finding::Rights { .. } => "rights",
            Finding::MissingRight { .. } => "missing_right",
            Finding::RightsUnknown { .. } => "rights_unknown",
            Finding::LoadedBefore { .. } => "loaded_before",
            Finding::Ledger { .. } => "ledger",
            Finding::LaxLedger { .. } => "lax_ledger",
            Finding::NewJob { .. } => "new_job",
            Finding::Resumes { .. } => "resumes",
            Finding::Complete { .. } => "complete",
            Finding::Held { .. } => "held",
            Finding::LongRest { .. } => "long_rest",
            Finding::PythonJob { .. } => "python_job",
        }
    }

    pub fn grade(&self) -> Grade {
        match self {
            Finding::BadRows { count, aside_max, .. } => match aside_max {
                Some(aside_max) if count <= aside_max => Grade::Warn,
                _ => Grade::Fail,
            },
            Finding::ShortRetention { retention_ms, expected_seconds, .. } => {
                fail_below(*retention_ms, expected_seconds.saturating_mul(1000))
            }
            Finding::SmallRetention { retention_bytes, expected_bytes, .. } => {
                fail_below(*retention_bytes, *expected_bytes)
            }
            Finding::Clock { skew_ms } if skew_ms.unsigned_abs() <= SKEW_MS_FINE => Grade::Ok,

            Finding::SettingsRead
            | Finding::Caller { .. }
            | Finding::CallerNotAsked { .. }
            | Finding::Source { .. }
            | Finding::Topic { .. }
            | Finding::Durable { .. }
            | Finding::Retained { .. }
            | Finding::RecordLimit { .. }
            | Finding::Rights { .. }
            | Finding::Ledger { .. }
            | Finding::NewJob { .. }
            | Finding::Resumes { .. }
            | Finding::Complete { .. } => Grade::Ok,

            Finding::Skipped { .. }
            | Finding::Doubtful { .. }
            | Finding::CallerUnknown { .. }
            | Finding::Clock { .. }
            | Finding::FewReplicas { .. }
            | Finding::LowMinInsync { .. }
            | Finding::UncleanElection { .. }
            | Finding::HiddenSettings { .. }
            | Finding::SmallRecordLimit { .. }
            // Without it, a run goes on blindfold; without the others not at all.
            | Finding::MissingRight { operation: "DescribeConfigs", .. }
            | Finding::RightsUnknown { .. }
            | Finding::LoadedBefore { .. }
            | Finding::Held { is_silent: true, .. }
            | Finding::LongRest { .. }
            | Finding::PythonJob { .. } => Grade::Warn,

            Finding::Unreachable { .. }
            | Finding::Refused { .. }
            | Finding::BadSetting { .. }
            | Finding::RowTooLong { .. }
            | Finding::OpenQuote { .. }
            | Finding::TooFewInSync { .. }
            | Finding::Compacted { .. }
            | Finding::MissingRight { .. }
            | Finding::LaxLedger { .. }
            | Finding::Held { .. } => Grade::Fail,
        }
    }
}

/// What is kept, and what a run needs.
fn fail_below(kept: u64, needed: u64) -> Grade {
    if kept < needed { Grade::Fail } else { Grade::Warn }
}
