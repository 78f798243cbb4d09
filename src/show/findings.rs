//! A finding in words: what it is, and what to do. `check` prints them, a run's log has the
//! same ones as warnings.

use super::figures::{bytes, count, counted, duration, percent};
use crate::finding::{Finding, SKEW_MS_FINE, Subject};
use crate::stop::Stop;

/// One line.
pub fn wording(finding: &Finding) -> String {
    let text = match finding {
        Finding::Unreachable { .. }
        | Finding::Refused { .. }
        | Finding::Skipped { .. }
        | Finding::SettingsRead
        | Finding::BadSetting { .. }
        | Finding::Doubtful { .. } => general(finding),
        Finding::Caller { .. }
        | Finding::CallerNotAsked { .. }
        | Finding::CallerUnknown { .. }
        | Finding::Clock { .. } => account(finding),
        Finding::Source { .. }
        | Finding::BadRows { .. }
        | Finding::RowTooLong { .. }
        | Finding::OpenQuote { .. } => source(finding),
        Finding::Ledger { .. }
        | Finding::LaxLedger { .. }
        | Finding::NewJob { .. }
        | Finding::Resumes { .. }
        | Finding::Complete { .. }
        | Finding::Held { .. }
        | Finding::LongRest { .. }
        | Finding::PythonJob { .. } => job(finding),
        _ => topic(finding),
    };
    in_one_line(&text)
}

/// Lists become sentences, and nothing steers a terminal.
fn in_one_line(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().map(|line| line.trim_start_matches("  - ").trim()).collect();
    lines.join("; ").replace(":; ", ": ").replace(char::is_control, " ")
}

fn subject_name(subject: Subject) -> &'static str {
    match subject {
        Subject::Settings => "the settings",
        Subject::Credentials => "AWS credentials",
        Subject::Source => "the source",
        Subject::Topic => "the topic",
        Subject::DeadLetters => "the dead letters' topic",
        Subject::Ledger => "the checkpoint store",
        Subject::Job => "the job",
    }
}

fn general(finding: &Finding) -> String {
    match finding {
        Finding::Unreachable { subject, problem } => {
            let mend = match subject {
                Subject::Source => {
                    "Mend S3_BUCKET, AWS_REGION and AWS_ENDPOINT_URL_S3, or the way there"
                }
                Subject::Topic | Subject::DeadLetters => {
                    "Mend KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL, or the way there"
                }
                Subject::Ledger | Subject::Job => {
                    "Mend DYNAMODB_TABLE, AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB, or the way there"
                }
                Subject::Settings | Subject::Credentials => "See whether the role can be reached",
            };
            format!("{} can not be reached: {problem}. {mend}", subject_name(*subject))
        }
        Finding::Refused { stop: Stop::ClockWrong { skew_seconds, .. }, .. } => format!(
            "this machine's clock is {} {} {}. Set it (chrony, systemd-timesyncd)",
            duration(skew_seconds.unsigned_abs().saturating_mul(1000)),
            if *skew_seconds > 0 { "ahead of" } else { "behind" },
            "the services': a run would stop"
        ),
        Finding::Refused { stop, .. } => stop.to_string(),
        Finding::Skipped { subject, needs } => {
            let why = match needs {
                Subject::Credentials => "there are no AWS credentials",
                _ => "no broker answered",
            };
            format!("{} was not looked at: {why}", subject_name(*subject))
        }
        Finding::BadSetting { problem } => problem.clone(),
        Finding::Doubtful { text } => text.clone(),
        _ => "the settings are complete, and each has a value that it takes".to_owned(),
    }
}

fn account(finding: &Finding) -> String {
    match finding {
        Finding::Caller { from, account, arn } => {
            format!("AWS knows us as {arn}, account {account}; the credentials come from: {from}")
        }
        Finding::CallerNotAsked { from } => format!(
            "the AWS credentials come from: {from}; whose they are was not asked, since all endpoints are other than AWS's own (set AWS_ENDPOINT_URL_STS to ask)"
        ),
        Finding::CallerUnknown { from, problem } => format!(
            "the AWS credentials come from: {from}; whose they are is not known: {problem}. A run does not need to know"
        ),
        Finding::Clock { skew_ms } => {
            let skew = duration(skew_ms.unsigned_abs() / 1000 * 1000);
            if skew_ms.unsigned_abs() <= SKEW_MS_FINE {
                let fine = duration(SKEW_MS_FINE);
                format!("this machine's clock is within {fine} of the services'")
            } else {
                let side = if *skew_ms > 0 { "ahead of" } else { "behind" };
                format!(
                    "this machine's clock is {skew} {side} the services'; from 10 min on a run stops. Set it (chrony, systemd-timesyncd)"
                )
            }
        }
        _ => String::new(),
    }
}

fn source(finding: &Finding) -> String {
    match finding {
        Finding::Source { source, source_bytes, etag, columns, rows, is_counted } => format!(
            "{source}: {}, ETag {etag}, {}, {}{}",
            bytes(*source_bytes),
            counted(*columns as u64, "column"),
            if *is_counted { "" } else { "about " },
            counted(*rows, "row")
        ),
        Finding::BadRows { count: bad, of_rows, row, byte_offset, why, aside_max } => {
            let head = format!(
                "{} of the first {}, the first one row {row} at byte {byte_offset}: {why}",
                counted(*bad, "bad row"),
                counted(*of_rows, "row")
            );
            match aside_max {
                None => format!(
                    "{head}. A run stops there: correct the source, or set ON_BAD_ROW=dlq and KAFKA_DLQ_TOPIC"
                ),
                Some(max) if bad > max => format!(
                    "{head}. A run stops after MAX_BAD_ROWS={max}: correct the source, or raise it"
                ),
                Some(max) => format!("{head}. A run sets up to {} aside", count(*max)),
            }
        }
        Finding::RowTooLong { row, byte_offset, bytes_max } => format!(
            "row {row}, which begins at byte {byte_offset}, is longer than ROW_BYTES_MAX={bytes_max}: almost surely a quote that is never closed. A run stops there: look at that byte, mend the source, or set CSV_QUOTE"
        ),
        Finding::OpenQuote { row, byte_offset } => format!(
            "row {row}, which begins at byte {byte_offset}, has a quote that is still open at the end: the source is cut short, or a quote is too many. A run stops there: mend the source, or set CSV_QUOTE"
        ),
        _ => String::new(),
    }
}

fn topic(finding: &Finding) -> String {
    match finding {
        Finding::Topic { topic, partition, partition_count, leader, log_start, log_end } => {
            let others = match partition_count - 1 {
                0 => "the only one".to_owned(),
                others => format!("{others} others get nothing"),
            };
            format!(
                "{topic}/{partition} ({others}) is led by {leader} and holds {}",
                match (log_end - log_start).unsigned_abs() {
                    0 => "no record".to_owned(),
                    records =>
                        format!("{}, up to offset {}", counted(records, "offset"), log_end - 1),
                }
            )
        }
        Finding::Durable { topic, min_insync, replicas } => format!(
            "topic {topic} confirms a row when {min_insync} of {replicas} replicas have it (min.insync.replicas={min_insync})"
        ),
        Finding::FewReplicas { topic, replicas } => format!(
            "topic {topic} has {}: a confirmed row may be lost with one broker. Give it 3, with min.insync.replicas=2",
            counted(*replicas as u64, "replica")
        ),
        Finding::LowMinInsync { topic, min_insync } => format!(
            "topic {topic} has min.insync.replicas={min_insync}: a confirmed row may be lost with one broker. Set it to 2, with 3 replicas"
        ),
        Finding::TooFewInSync { topic, in_sync, min_insync } => format!(
            "topic {topic} takes no row now: min.insync.replicas={min_insync}, and {} in sync. Bring the brokers back, or mend the topic's replicas",
            match in_sync {
                1 => "1 replica is".to_owned(),
                _ => format!("{in_sync} replicas are"),
            }
        ),
        Finding::UncleanElection { topic } => format!(
            "topic {topic} allows unclean leader election: confirmed rows may be lost. Set unclean.leader.election.enable=false"
        ),
        Finding::Compacted { topic, policy } => format!(
            "topic {topic} is compacted (cleanup.policy={policy}): Kafka will remove records of the job, and refuses those without a key. Set cleanup.policy=delete"
        ),
        Finding::HiddenSettings { topic } => format!(
            "the settings of topic {topic} may not be read: whether it is durable, not compacted and keeps records long enough is not known. Allow DescribeConfigs on it"
        ),
        Finding::Retained { topic, retention_ms, retention_bytes } => {
            let kept = |limit: Option<i64>, words: fn(u64) -> String| match limit {
                None => "not known".to_owned(),
                Some(limit) => u64::try_from(limit).map_or_else(|_| "no limit".into(), words),
            };
            format!(
                "topic {topic} keeps records long enough (retention.ms: {}, retention.bytes: {})",
                kept(*retention_ms, days),
                kept(*retention_bytes, bytes)
            )
        }
        Finding::ShortRetention { topic, retention_ms, expected_seconds } => format!(
            "topic {topic} keeps records for {} (retention.ms={retention_ms}), and the run is expected to take {}. Raise retention.ms to ten times that at least, so that consumers find every row",
            days(*retention_ms),
            duration(expected_seconds.saturating_mul(1000))
        ),
        Finding::SmallRetention { topic, retention_bytes, expected_bytes } => format!(
            "topic {topic} keeps {} a partition (retention.bytes={retention_bytes}), and the run is expected to bring {}. Raise retention.bytes to twice that at least",
            bytes(*retention_bytes),
            bytes(*expected_bytes)
        ),
        Finding::RecordLimit { topic, batch_bytes_max, record_bytes_max } => format!(
            "topic {topic} takes batches of {} and records of {}",
            counted(*batch_bytes_max as u64, "byte"),
            counted(*record_bytes_max as u64, "byte")
        ),
        Finding::SmallRecordLimit { topic, max_message_bytes, record_bytes_max } => format!(
            "topic {topic} has max.message.bytes={max_message_bytes}: a row whose record has more than {} is a bad row, and batches are smaller than they could be. Raise it to 1048588, Kafka's default",
            counted(*record_bytes_max as u64, "byte")
        ),
        Finding::Rights { topic } => format!(
            "we may write to topic {topic}, read it and its settings, says the broker; nothing was written"
        ),
        Finding::MissingRight { topic, operation } => format!(
            "the broker does not allow us {operation} on topic {topic}. Add it: kafka-acls.sh --bootstrap-server HOST:PORT --add --allow-principal User:NAME --operation {operation} --topic {topic}; with MSK IAM, kafka-cluster:{}",
            in_msk(operation)
        ),
        Finding::RightsUnknown { topic } => format!(
            "whether we may write to topic {topic} is not known: this broker does not tell, and nothing was written to find out"
        ),
        Finding::LoadedBefore { topic, partition, row } => format!(
            "the last record of {topic}/{partition} is row {row} of this very source: was it loaded before under another JOB_ID? Then a run puts every row there once more"
        ),
        _ => String::new(),
    }
}

/// An operation of Kafka's, in the words of MSK IAM.
fn in_msk(operation: &str) -> &'static str {
    match operation {
        "Write" => "WriteData",
        "Read" => "ReadData",
        _ => "DescribeTopicDynamicConfiguration",
    }
}

fn job(finding: &Finding) -> String {
    match finding {
        Finding::Ledger { ledger, is_tried: true } => format!(
            "{ledger} can be read and written: a write on a condition that can not hold was refused for that reason alone"
        ),
        Finding::Ledger { ledger, .. } => {
            format!(
                "{ledger} can be read, and its directory is there; whether this user may write into it shows in a run only"
            )
        }
        Finding::LaxLedger { ledger } => format!(
            "{ledger} took a write on a condition that can not hold: it does not check conditions, so two runs at once would not see each other. Use DynamoDB itself, or a store that does"
        ),
        Finding::NewJob { job_id } => {
            format!("job {job_id} is new: a run begins at row 1")
        }
        Finding::Resumes { job_id, row, byte_offset, source_bytes, status } => format!(
            "job {job_id} goes on at row {}, byte {} ({} % of the source), or later if the partition holds more; its status is {status}",
            count(*row),
            count(*byte_offset),
            percent(*byte_offset, *source_bytes)
        ),
        Finding::Complete { job_id, rows } => format!(
            "job {job_id} is complete with {}: a run sends nothing. To load the source again, give it a new JOB_ID",
            counted(*rows, "row")
        ),
        Finding::Held { job_id, run_id, host, age_seconds, lease_seconds, is_silent } => {
            let age = duration(age_seconds.saturating_mul(1000));
            let head =
                format!("job {job_id} is held by run {run_id} on {host}, last heard of {age} ago");
            if *is_silent {
                format!(
                    "{head}: a run watches it for {lease_seconds} s and takes over if nothing moves"
                )
            } else {
                format!(
                    "{head}: a run started now would end with 75. Let that one finish, or stop it"
                )
            }
        }
        Finding::LongRest { job_id, rest_seconds } => format!(
            "job {job_id} rests since {}: brokers forget a producer after a day (producer.id.expiration.ms), so its first batch is guarded by reading the partition alone. See that no other run of it is alive",
            days(rest_seconds.saturating_mul(1000))
        ),
        Finding::PythonJob { job_id, last_line, found_line } => format!(
            "job {job_id} has a checkpoint of the Python processor, which says {}; {}. A run takes it over by what the partition holds: stop that program first",
            counted(*last_line, "row"),
            match found_line {
                Some(row) => format!("the partition's last record is row {row}"),
                None => "the partition's last record is not of this source".to_owned(),
            }
        ),
        _ => String::new(),
    }
}

/// Days from two of them on.
fn days(duration_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    match duration_ms / DAY_MS {
        0 | 1 => duration(duration_ms),
        days => counted(days, "day"),
    }
}
