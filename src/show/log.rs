//! Events as log lines: text for people that ends in `key=value`, or one JSON object a line.
//!
//! Both are renderings of one [`Line`], so that whoever reads one can read the other:
//!
//! ```text
//! 2026-11-21T13:04:55.123Z INFO  took the job  event=taken job_id=j1 run_id=5f3a last_line=0
//! {"time":"2026-11-21T13:04:55.123Z","level":"info","event":"taken","text":"took the job",…}
//! ```

use super::figures::{bytes, count, counted, duration, per_second, percent, ratio, utc};
use super::findings::wording;
use crate::event::{Because, Event, Lane, Progress, Summary};
use crate::settings::Level;
use crate::stop::{EXIT_AGAIN, EXIT_COMPLETE, Peer, Stop};

/// What is said, before it is text or JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub event: &'static str,
    pub text: String,
    pub facts: Vec<(&'static str, Fact)>,
}

/// A value that a program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Text(String),
    Number(i128),
    /// As a JSON number is written.
    Decimal(String),
    Flag(bool),
}

impl Line {
    /// The line of an event.
    #[expect(clippy::too_many_lines, reason = "one arm for each event, nothing else")]
    pub fn of(event: &Event<'_>) -> Line {
        match *event {
            Event::Taken { job_id, run_id, before, last_line } => {
                let text = match before {
                    None => "took the job; it begins at its first row".to_owned(),
                    Some(_) => format!("took the job; {} done before", counted(last_line, "row")),
                };
                Line::new(Level::Info, "taken", text)
                    .fact("job_id", job_id)
                    .fact("run_id", run_id)
                    .maybe("before", before)
                    .fact("last_line", last_line)
            }
            Event::Watching { run_id, host, lease_ms } => Line::new(
                Level::Info,
                "watching",
                format!("another run holds the job; watching it for {}", duration(lease_ms)),
            )
            .fact("run_id", run_id)
            .fact("host", host)
            .fact("lease_ms", lease_ms),
            Event::Adopting { last_line, found_line } => Line::new(
                Level::Info,
                "adopting",
                format!(
                    "the checkpoint is the Python processor's and says {}; the partition holds {}",
                    counted(last_line, "row"),
                    count(found_line)
                ),
            )
            .fact("last_line", last_line)
            .fact("found_line", found_line),
            Event::SourceOpen { source, source_bytes, etag, columns } => Line::new(
                Level::Info,
                "source_open",
                format!("{source}: {}, {}", bytes(source_bytes), counted(columns as u64, "column")),
            )
            .fact("source", source)
            .fact("source_bytes", source_bytes)
            .fact("etag", etag)
            .fact("columns", columns as u64),
            Event::Tail { lane, topic, partition, log_end, checkpointed, found } => Line::new(
                Level::Info,
                "tail",
                format!(
                    "{topic}/{partition} holds {} of this job, {} of them after the checkpoint",
                    counted(found, "record"),
                    count(found.saturating_sub(checkpointed))
                ),
            )
            .fact("lane", lane_name(lane))
            .fact("topic", topic)
            .fact("partition", partition)
            .fact("log_end", log_end)
            .fact("checkpointed", checkpointed)
            .fact("found", found),
            Event::Identity { lane, producer_id, producer_epoch, base_record } => Line::new(
                Level::Debug,
                "identity",
                format!("records go out under producer id {producer_id}"),
            )
            .fact("lane", lane_name(lane))
            .fact("producer_id", producer_id)
            .fact("producer_epoch", producer_epoch)
            .fact("base_record", base_record),
            Event::IdentityRenewed { lane, producer_id, base_record } => Line::new(
                Level::Warn,
                "identity_renewed",
                format!(
                    "the broker has forgotten this job's producer id; going on under {producer_id} after the partition was read. This one step is not guarded by the broker"
                ),
            )
            .fact("lane", lane_name(lane))
            .fact("producer_id", producer_id)
            .fact("base_record", base_record),
            Event::Sending {
                row,
                byte_offset,
                because,
                checkpointed_row,
                producer_id,
                producer_epoch,
            } => Line::new(
                Level::Info,
                "sending",
                format!(
                    "sending from row {}, byte {}: {}",
                    count(row),
                    count(byte_offset),
                    reason_to_begin(because, row, checkpointed_row)
                ),
            )
            .fact("row", row)
            .fact("byte_offset", byte_offset)
            .fact("because", because_name(because))
            .fact("checkpointed_row", checkpointed_row)
            .fact("producer_id", producer_id)
            .fact("producer_epoch", producer_epoch),
            Event::Progress(progress) => Line::new(Level::Info, "progress", progressed(&progress))
                .progress(&progress),
            Event::Checkpointed { row, ordinal, byte_offset, took_ms } => Line::new(
                Level::Debug,
                "checkpointed",
                format!("checkpoint at row {}", count(row)),
            )
            .fact("row", row)
            .fact("ordinal", ordinal)
            .fact("byte_offset", byte_offset)
            .fact("took_ms", took_ms),
            Event::CheckpointMissed { problem } => Line::new(
                Level::Warn,
                "checkpoint_missed",
                "a checkpoint could not be written; the run goes on, for the partition knows what it holds",
            )
            .fact("problem", problem),
            Event::Retry { peer, attempt, delay_ms, problem } => Line::new(
                Level::Warn,
                "retry",
                format!("{peer}: trying again in {} (attempt {attempt})", duration(delay_ms)),
            )
            .fact("peer", peer_name(peer))
            .fact("attempt", attempt)
            .fact("delay_ms", delay_ms)
            .fact("problem", problem),
            Event::Settled { lane, landed, ordinal } => Line::new(
                Level::Info,
                "settled",
                if landed {
                    "a batch whose answer was lost is in the partition"
                } else {
                    "a batch whose answer was lost is not in the partition; it is sent again"
                },
            )
            .fact("lane", lane_name(lane))
            .fact("landed", landed)
            .fact("ordinal", ordinal),
            Event::Throttled { pause_ms } => Line::new(
                Level::Debug,
                "throttled",
                format!("the broker asks for a pause of {}", duration(pause_ms)),
            )
            .fact("pause_ms", pause_ms),
            Event::Silence { seconds } => Line::new(
                Level::Info,
                "silence",
                format!(
                    "{} without an answer (a suspended machine?); reading the partition before anything is sent",
                    duration(seconds.saturating_mul(1_000))
                ),
            )
            .fact("seconds", seconds),
            Event::MetricsMissed { problem } => Line::new(
                Level::Warn,
                "metrics_missed",
                "metrics did not arrive; the run goes on, and tries again later without another word",
            )
            .fact("problem", problem),
            Event::SetAside { row, byte_offset } => Line::new(
                Level::Warn,
                "set_aside",
                format!("row {} is bad and goes to the dead letters", count(row)),
            )
            .fact("row", row)
            .fact("byte_offset", byte_offset),
            Event::Warning { text } => Line::warning(text),
            Event::Totals(summary) => Line::new(Level::Info, "totals", totals(&summary)),
            Event::Found { finding } => {
                Line::warning(&wording(finding)).fact("code", finding.code())
            }
            Event::Ended { stop, summary } => {
                Line::stopped(stop).progress(&summary.progress).summary(&summary)
            }
        }
    }

    /// The last line of a process that ends so.
    pub fn stopped(stop: &Stop) -> Line {
        let level = match stop.exit_code() {
            EXIT_COMPLETE => Level::Info,
            EXIT_AGAIN => Level::Warn,
            _ => Level::Error,
        };
        Line::new(level, "ended", stop.to_string())
            .fact("reason", reason(stop))
            .fact("exit_code", stop.exit_code())
    }

    /// A library's words.
    pub fn library(level: Level, target: &str, said: &str) -> Line {
        Line::new(level, "library", said).fact("target", target)
    }

    /// This machine tells beforehand when it has to go, and somebody listens.
    pub fn spot_watch() -> Line {
        Line::new(Level::Info, "spot_watch", "an EC2 instance: its Spot notice ends the run")
    }

    /// A warning that is no event of the flow.
    pub fn warning(text: &str) -> Line {
        Line::new(Level::Warn, "warning", text)
    }

    pub fn text(&self, wall_ms: u64, colour: bool) -> String {
        let (paint, dim, plain) =
            if colour { (colour_of(self.level), "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        // The facts belong to the first line; a list that comes after it stays readable.
        let said = printable(&self.text);
        let (first, rest) = said.split_at(said.find('\n').unwrap_or(said.len()));
        let mut line = format!(
            "{dim}{}{plain} {paint}{:<5}{plain} {first} {dim} event={}",
            utc(wall_ms),
            level_name(self.level).to_ascii_uppercase(),
            self.event
        );
        for (name, fact) in &self.facts {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            line.push_str(&fact.as_word());
        }
        line.push_str(plain);
        line.push_str(rest);
        line
    }

    pub fn json(&self, wall_ms: u64) -> String {
        let facts: String = self.facts.iter().fold(String::new(), |facts, (name, fact)| {
            facts + ",\"" + name + "\":" + &fact.as_json()
        });
        format!(
            r#"{{"time":"{}","level":"{}","event":"{}","text":{}{facts}}}"#,
            utc(wall_ms),
            level_name(self.level),
            self.event,
            quoted(&self.text)
        )
    }

    /// A line that is no event of the flow.
    pub(super) fn info(event: &'static str, text: String) -> Line {
        Line::new(Level::Info, event, text)
    }

    fn new(level: Level, event: &'static str, text: impl Into<String>) -> Line {
        Line { level, event, text: text.into(), facts: Vec::new() }
    }

    pub(super) fn fact(mut self, name: &'static str, fact: impl Into<Fact>) -> Line {
        self.facts.push((name, fact.into()));
        self
    }

    pub(super) fn maybe(self, name: &'static str, fact: Option<impl Into<Fact>>) -> Line {
        match fact {
            Some(fact) => self.fact(name, fact),
            None => self,
        }
    }

    fn progress(self, progress: &Progress) -> Line {
        let rows_per_second = per_second(progress.rows_here, progress.elapsed_ms);
        self.fact("row", progress.row)
            .fact("rows_here", progress.rows_here)
            .fact("dead_letters", progress.dead_letters)
            .fact("byte_offset", progress.byte_offset)
            .fact("source_bytes", progress.source_bytes)
            .fact("elapsed_ms", progress.elapsed_ms)
            .fact("rows_per_second", rows_per_second)
            .maybe("percent", done(progress))
            .maybe("left_ms", progress.left_ms())
            .fact("bytes_raw", progress.bytes_raw)
            .fact("bytes_sent", progress.bytes_sent)
            .maybe(
                "compression_ratio",
                ratio(progress.bytes_raw, progress.bytes_sent).map(Fact::Decimal),
            )
            .fact("retries", progress.retries)
            .fact("answers", progress.answers)
            .fact("answers_ms", progress.answers_ms)
    }

    fn summary(self, summary: &Summary) -> Line {
        let elapsed_ms = summary.progress.elapsed_ms;
        let mut line = self
            .fact("batches", summary.batches)
            .fact("checkpoints", summary.checkpoints)
            .fact("checkpoints_missed", summary.checkpoints_missed)
            .fact("bytes_read", summary.bytes_read)
            .maybe(
                "broker_latency_ms",
                summary.progress.answers_ms.checked_div(summary.progress.answers),
            )
            .fact("throttled_ms", summary.throttled_ms)
            .fact("metrics_missed", summary.metrics_missed);
        for (ms_name, percent_name, spent_ms) in [
            ("waited_source_ms", "waited_source_percent", summary.waited_source_ms),
            ("waited_broker_ms", "waited_broker_percent", summary.waited_broker_ms),
            ("waited_ledger_ms", "waited_ledger_percent", summary.waited_ledger_ms),
            ("braked_ms", "braked_percent", summary.braked_ms),
            ("metrics_ms", "metrics_percent", summary.metrics_ms),
            ("cpu_ms", "cpu_percent", summary.own_ms()),
        ] {
            line = line.fact(ms_name, spent_ms).fact(percent_name, percent(spent_ms, elapsed_ms));
        }
        line
    }
}

/// How far, how fast, how long still.
fn progressed(progress: &Progress) -> String {
    let mut parts = vec![
        format!("row {}", count(progress.row)),
        format!("{} % of the source", percent(progress.byte_offset, progress.source_bytes)),
        format!("{} rows/s", count(per_second(progress.rows_here, progress.elapsed_ms))),
    ];
    parts.extend(progress.left_ms().map(|left_ms| format!("{} left", duration(left_ms))));
    parts.extend(compressed(progress));
    parts.extend(asides(progress));
    parts.join(", ")
}

/// What the run did: rows, bytes, pace; on what its time went; what did not go smoothly.
fn totals(summary: &Summary) -> String {
    let progress = &summary.progress;
    let elapsed_ms = progress.elapsed_ms;
    let mut parts = vec![
        format!("this run sent {}", counted(progress.rows_here, "row")),
        format!("{} in all", duration(elapsed_ms)),
        format!("{} rows/s", count(per_second(progress.rows_here, elapsed_ms))),
        format!("{} read, {} sent", bytes(summary.bytes_read), bytes(progress.bytes_sent)),
    ];
    parts.extend(compressed(progress));
    let share = |spent_ms| percent(spent_ms, elapsed_ms);
    let mut shares = vec![
        format!("source {} %", share(summary.waited_source_ms)),
        format!("broker {} %", share(summary.waited_broker_ms)),
        format!("ledger {} %", share(summary.waited_ledger_ms)),
    ];
    if summary.braked_ms > 0 {
        shares.push(format!("brake {} %", share(summary.braked_ms)));
    }
    shares.push(format!("CPU {} %", share(summary.own_ms())));
    let mut events = vec![counted(summary.checkpoints, "checkpoint")];
    if summary.checkpoints_missed > 0 {
        events.push(format!("{} missed", count(summary.checkpoints_missed)));
    }
    if summary.throttled_ms > 0 {
        events.push(format!("throttled for {}", duration(summary.throttled_ms)));
    }
    events.extend(asides(progress));
    format!("{}; waited for {}; {}", parts.join(", "), shares.join(", "), events.join(", "))
}

fn compressed(progress: &Progress) -> Option<String> {
    let ratio = ratio(progress.bytes_raw, progress.bytes_sent)?;
    Some(format!("compressed {ratio} times"))
}

fn asides(progress: &Progress) -> Vec<String> {
    let mut said = Vec::new();
    if progress.dead_letters > 0 {
        said.push(format!("{} set aside", count(progress.dead_letters)));
    }
    if progress.retries > 0 {
        said.push(counted(progress.retries, "retry"));
    }
    said
}

/// Whole percents of the source, where its size is known.
fn done(progress: &Progress) -> Option<u64> {
    let has_size = progress.source_bytes > 0;
    has_size.then(|| percent(progress.byte_offset, progress.source_bytes))
}

fn reason_to_begin(because: Because, row: u64, checkpointed_row: u64) -> String {
    match because {
        Because::Fresh => "the partition holds nothing of this job".to_owned(),
        Because::Checkpoint => {
            "so says the checkpoint, and the partition holds nothing after it".to_owned()
        }
        Because::Tail => format!(
            "the checkpoint says {}, and the partition holds {} after it",
            counted(checkpointed_row, "row"),
            counted((row - 1).saturating_sub(checkpointed_row), "row")
        ),
        Because::Adopted => "the rows before it are the Python processor's".to_owned(),
    }
}

fn because_name(because: Because) -> &'static str {
    match because {
        Because::Fresh => "fresh",
        Because::Checkpoint => "checkpoint",
        Because::Tail => "tail",
        Because::Adopted => "adopted",
    }
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Main => "main",
        Lane::Dead => "dead",
    }
}

fn peer_name(peer: Peer) -> &'static str {
    match peer {
        Peer::Broker => "broker",
        Peer::Source => "source",
        Peer::Ledger => "ledger",
    }
}

fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::Complete { .. } => "complete",
        Stop::AlreadyComplete { .. } => "already_complete",
        Stop::NoSuchJob { .. } => "no_such_job",
        Stop::OtherRules { .. } => "other_rules",
        Stop::NotYetComplete { .. } => "not_yet_complete",
        Stop::RowsReached { .. } => "rows_reached",
        Stop::Settings(_) => "settings",
        Stop::PinsDiffer { .. } => "pins_differ",
        Stop::SourceReplaced { .. } => "source_replaced",
        Stop::BadRow { .. } => "bad_row",
        Stop::RowTooLong { .. } => "row_too_long",
        Stop::OpenQuote { .. } => "open_quote",
        Stop::BadSource { .. } => "bad_source",
        Stop::TopicMissing { .. } => "topic_missing",
        Stop::TopicRemade { .. } => "topic_remade",
        Stop::WrongCluster { .. } => "wrong_cluster",
        Stop::Truncated { .. } => "truncated",
        Stop::TailDeleted { .. } => "tail_deleted",
        Stop::RowsDeleted { .. } => "rows_deleted",
        Stop::TailBroken { .. } => "tail_broken",
        Stop::OffsetWentBack { .. } => "offset_went_back",
        Stop::RecordRefused { .. } => "record_refused",
        Stop::Overwritten { .. } => "overwritten",
        Stop::NothingToAdopt { .. } => "nothing_to_adopt",
        Stop::ClockWrong { .. } => "clock_wrong",
        Stop::Refused { .. } => "refused",
        Stop::Interrupted { .. } => "interrupted",
        Stop::HeldBy { .. } => "held_by",
        Stop::Superseded { .. } => "superseded",
        Stop::Contended { .. } => "contended",
        Stop::GaveUp { .. } => "gave_up",
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Off => "off",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Off | Level::Debug | Level::Trace => "\x1b[2m",
    }
}

impl Fact {
    /// Quoted where a blank or a quote would blur its bounds.
    fn as_word(&self) -> String {
        match self {
            Fact::Text(text) => {
                let is_word = |letter: char| letter.is_ascii_graphic() && !"\"\\=".contains(letter);
                if !text.is_empty() && text.chars().all(is_word) {
                    text.clone()
                } else {
                    quoted(text)
                }
            }
            other => other.as_json(),
        }
    }

    fn as_json(&self) -> String {
        match self {
            Fact::Text(text) => quoted(text),
            Fact::Number(number) => number.to_string(),
            Fact::Decimal(number) => number.clone(),
            Fact::Flag(flag) => flag.to_string(),
        }
    }
}

/// A text in which nothing can steer a terminal or begin a line of its own, but ours may have
/// several lines.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escape = letter.is_control() && letter != '\n';
            let escaped = escape.then(|| letter.escape_default());
            escaped.into_iter().flatten().chain((!escape).then_some(letter))
        })
        .collect()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl From<&str> for Fact {
    fn from(text: &str) -> Fact {
        Fact::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Fact {
        Fact::Text(text)
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Fact {
        Fact::Flag(flag)
    }
}

macro_rules! number_facts {
    ($($number:ty),+) => {
        $(impl From<$number> for Fact {
            fn from(number: $number) -> Fact {
                Fact::Number(i128::from(number))
            }
        })+
    };
}
number_facts!(u8, i16, i32, u32, i64, u64);

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_767_225_600_001;

    #[test]
    fn one_line_two_ways() {
        let line = Line::of(&Event::Retry {
            peer: Peer::Broker,
            attempt: 2,
            delay_ms: 1_500,
            problem: "connection \"refused\"\nby b:1",
        });
        assert_eq!(
            line.text(AT, false),
            r#"2026-01-01T00:00:00.001Z WARN  Kafka: trying again in 1.5 s (attempt 2)  event=retry peer=broker attempt=2 delay_ms=1500 problem="connection \"refused\"\nby b:1""#
        );
        let json: serde_json::Value = serde_json::from_str(&line.json(AT)).unwrap();
        let expected = serde_json::json!({
            "time": "2026-01-01T00:00:00.001Z", "level": "warn", "event": "retry",
            "text": "Kafka: trying again in 1.5 s (attempt 2)", "peer": "broker", "attempt": 2,
            "delay_ms": 1500, "problem": "connection \"refused\"\nby b:1",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_list_comes_after_the_facts() {
        let stop = Stop::Settings(vec!["A is missing".to_owned()]);
        assert_eq!(
            Line::stopped(&stop).text(AT, false),
            "2026-01-01T00:00:00.001Z ERROR 1 problem in the settings:  event=ended reason=settings exit_code=1\n  - A is missing"
        );
    }

    #[test]
    fn the_end_says_what_the_run_did() {
        let summary = Summary {
            progress: Progress {
                row: 1_000,
                rows_here: 400,
                byte_offset: 90,
                source_bytes: 100,
                elapsed_ms: 2_000,
                bytes_raw: 800,
                bytes_sent: 100,
                ..Progress::default()
            },
            batches: 3,
            waited_source_ms: 200,
            waited_broker_ms: 1_000,
            ..Summary::default()
        };
        let text = Line::of(&Event::Ended { stop: &Stop::Interrupted { by: "SIGTERM" }, summary })
            .text(AT, false);
        for part in [
            "WARN  stopped by SIGTERM; progress is saved",
            " reason=interrupted exit_code=75 row=1000 rows_here=400 ",
            " rows_per_second=200 ",
            " batches=3 ",
            " waited_source_ms=200 waited_source_percent=10 waited_broker_ms=1000 waited_broker_percent=50 waited_ledger_ms=0 waited_ledger_percent=0 braked_ms=0 braked_percent=0 metrics_ms=0 metrics_percent=0 cpu_ms=800 cpu_percent=40",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_log_line_can_not_steer_a_terminal() {
        let text = Line::of(&Event::Warning { text: "a\x1b[2Jb\rc" }).text(AT, false);
        assert!(text.contains(r"a\u{1b}[2Jb\rc"), "{text}");
        assert!(!text.contains('\x1b'));
    }
}
