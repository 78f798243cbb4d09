//! Every line of the log, as text and as JSON, against two golden files. Whoever changes a line
//! changes what `report` and people's own tools read: the files show it.

use std::collections::BTreeMap;

use super::log::{Fact, Line};
use super::start::{self, Start};
use crate::event::{Because, Event, Lane, Progress, Summary};
use crate::settings::{
    Aws, AwsVariables, CheckpointAt, Csv, Header, KafkaClient, KafkaSecurity, KafkaTls, Level, Log,
    LogFormat, Login, Metrics, MetricsTo, OnBadRow, Password, SaslMechanism, Secret, Server,
    Settings, SourceAt, Verify,
};
use crate::stop::{BadRow, Peer, Stop};
use crate::wire::aws_endpoint::Variant;
use crate::wire::compress::Compression;
use crate::wire::log_line::LogLine;
use crate::wire::sasl::scram::Hash;

const AT: u64 = 1_767_225_600_001;

const PROGRESS: Progress = Progress {
    row: 1_500_000,
    rows_here: 1_000_000,
    dead_letters: 2,
    byte_offset: 150_000_000,
    source_bytes: 200_000_000,
    elapsed_ms: 4_000,
    bytes_raw: 158_000_000,
    bytes_sent: 20_000_000,
    retries: 1,
    answers: 60,
    answers_ms: 660,
};

const SUMMARY: Summary = Summary {
    progress: PROGRESS,
    batches: 60,
    checkpoints: 5,
    checkpoints_missed: 1,
    bytes_read: 100_100_000,
    reads: 800,
    waited_source_ms: 400,
    waited_broker_ms: 1_000,
    waited_ledger_ms: 50,
    braked_ms: 0,
    metrics_ms: 30,
    metrics_missed: 1,
    throttled_ms: 120,
};

fn settings() -> Settings {
    let secret = || Secret::new("marker-of-a-secret".to_owned());
    let mut variables = AwsVariables::default();
    variables.set("AWS_SECRET_ACCESS_KEY", "marker-of-a-secret");
    Settings {
        source: SourceAt::S3 { bucket: "b".into(), key: "in.csv".into() },
        checkpoint: CheckpointAt::DynamoDb { table: "jobs".into() },
        job_id: "j1".into(),
        bootstrap_servers: vec![Server { host: "b-1".into(), port: 9092 }],
        topic: "orders".into(),
        partition: 3,
        security: KafkaSecurity {
            tls: Some(KafkaTls::default()),
            login: Some(SaslMechanism::Scram(
                Hash::Sha512,
                Login::Password(Password { username: "u".into(), password: secret() }),
            )),
        },
        client: KafkaClient::Auto,
        compression: Compression::Zstd,
        key_column: Some("id".into()),
        csv: Csv {
            delimiter: b'\t',
            delimiter_given: true,
            quote: None,
            header: Header::None,
            columns: vec!["id".into(), "city".into()],
            row_bytes_max: 1024,
        },
        on_bad_row: OnBadRow::SetAside { topic: "orders-bad".into() },
        max_bad_rows: 7,
        checkpoint_interval_rows: 10_000,
        lease_seconds: 15,
        max_retries: 5,
        max_rows_per_second: Some(50_000),
        verify: Verify::Headers,
        metrics: Metrics { to: MetricsTo::CloudWatch, interval_seconds: 60 },
        log: Log { level: Level::Info, format: LogFormat::Text },
        aws: Some(Aws {
            region: Some("eu-west-1".into()),
            s3_endpoint: Some("http://127.0.0.1:9000".into()),
            dynamodb_endpoint: None,
            cloudwatch_endpoint: None,
            secrets_endpoint: None,
            flag_endpoints: BTreeMap::new(),
            variant: Variant::default(),
            requester_pays: false,
            s3_version_id: None,
            read_ahead: true,
            spot_notice: true,
            variables,
        }),
    }
}

fn lines() -> Vec<Line> {
    let sending = |because, row, checkpointed_row| Event::Sending {
        row,
        byte_offset: row * 100,
        because,
        checkpointed_row,
        producer_id: 4_711,
        producer_epoch: 0,
    };
    let bad_row = Stop::BadRow {
        row: 7,
        byte_offset: 612,
        why: BadRow::FieldCount { expected: 4, found: 3 },
        aside: None,
    };
    let interrupted = Stop::Interrupted { by: "SIGTERM" };
    let complete = Stop::Complete { rows: 1_500_000 };
    let settings = settings();
    let start = Start {
        doing: "copies",
        version: "0.1.0",
        host: "web-1 pid=4711",
        identity: "uid 0",
        source: "s3://b/in.csv",
        settings: &settings,
    };
    let events = [
        Event::Taken { job_id: "j1", run_id: "5f3a", before: None, last_line: 0 },
        Event::Taken { job_id: "j1", run_id: "5f3a", before: Some("11aa"), last_line: 1_000 },
        Event::Watching { run_id: "11aa", host: "web-1 pid=7", lease_ms: 15_000 },
        Event::Adopting { last_line: 40, found_line: 41 },
        Event::SourceOpen {
            source: "s3://b/in.csv",
            source_bytes: 200_000_000,
            etag: "\"e\"",
            columns: 4,
        },
        Event::Tail {
            lane: Lane::Main,
            topic: "orders",
            partition: 3,
            log_end: 90,
            checkpointed: 40,
            found: 60,
        },
        Event::Identity { lane: Lane::Dead, producer_id: 4_712, producer_epoch: 0, base_record: 0 },
        Event::IdentityRenewed { lane: Lane::Main, producer_id: 4_713, base_record: 60 },
        sending(Because::Fresh, 1, 0),
        sending(Because::Checkpoint, 1_001, 1_000),
        sending(Because::Tail, 1_501, 1_000),
        sending(Because::Adopted, 42, 0),
        Event::Progress(PROGRESS),
        Event::Progress(Progress::default()),
        Event::Checkpointed { row: 1_000, ordinal: 998, byte_offset: 100_000, took_ms: 12 },
        Event::CheckpointMissed { problem: "DynamoDB: throttled" },
        Event::Retry { peer: Peer::Source, attempt: 2, delay_ms: 1_500, problem: "a\nreset" },
        Event::Settled { lane: Lane::Main, landed: true, ordinal: 998 },
        Event::Settled { lane: Lane::Dead, landed: false, ordinal: 2 },
        Event::Throttled { pause_ms: 120 },
        Event::Silence { seconds: 700 },
        Event::MetricsMissed { problem: "CloudWatch in eu-west-1: no answer in time" },
        Event::SetAside { row: 7, byte_offset: 612 },
        Event::Warning { text: "topic orders is compacted" },
        Event::Totals(SUMMARY),
        Event::Totals(Summary { braked_ms: 2_000, ..Summary::default() }),
        Event::Ended { stop: &complete, summary: SUMMARY },
        Event::Ended { stop: &interrupted, summary: Summary::default() },
        Event::Ended { stop: &bad_row, summary: SUMMARY },
    ];
    let mut lines = vec![start::line(&start)];
    lines.extend(events.iter().map(Line::of));
    lines.push(Line::library(Level::Warn, "aws", "words"));
    lines
}

fn held(file: &str, found: &[String]) {
    let path = format!("{}/src/show/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(&path).expect(file);
    let found = found.join("\n") + "\n";
    assert!(!found.contains("marker-of-a-secret"), "{found}");
    let differs = golden.lines().zip(found.lines()).find(|(golden, found)| golden != found);
    assert!(golden == found, "{file}: {differs:#?}; all of it:\n{found}");
}

#[test]
fn the_text_log_is_the_golden_one() {
    let found: Vec<String> = lines().iter().map(|line| line.text(AT, false)).collect();
    held("log.txt", &found);
}

#[test]
fn the_json_log_is_the_golden_one() {
    let found: Vec<String> = lines().iter().map(|line| line.json(AT)).collect();
    held("log.jsonl", &found);
}

/// Whoever reads one rendering can read the other: the same names, the same values.
#[test]
fn both_say_the_same() {
    for line in lines() {
        let parsed: serde_json::Value = serde_json::from_str(&line.json(AT)).expect("JSON");
        let text = line.text(AT, false);
        for (name, value) in parsed.as_object().expect("an object") {
            if ["time", "level", "text"].contains(&name.as_str()) {
                continue;
            }
            let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let is_there =
                [format!(" {name}={plain}"), format!(" {name}={value}")].iter().any(|word| {
                    text.contains(&format!("{word} "))
                        || text.contains(&format!("{word}\n"))
                        || text.ends_with(word.as_str())
                });
            assert!(is_there, "{name}={plain} is not in {text}");
        }
    }
}

/// What `report` reads is what is written here, in both forms.
#[test]
fn each_line_is_read_back() {
    for line in lines() {
        let facts = line.facts.iter().map(|(name, fact)| {
            let value = match fact {
                Fact::Text(text) | Fact::Decimal(text) => text.clone(),
                Fact::Number(number) => number.to_string(),
                Fact::Flag(flag) => flag.to_string(),
            };
            ((*name).to_owned(), value)
        });
        let mut expected = LogLine {
            at_ms: AT,
            level: line.level,
            event: line.event.to_owned(),
            text: line.text.clone(),
            facts: facts.collect(),
        };
        expected.facts.sort();
        let read = |text: &str| {
            let mut found = LogLine::parse(text).expect(text);
            found.facts.sort();
            found
        };
        assert_eq!(read(&line.json(AT)), expected);
        // A list comes after the first line; a report puts it there again.
        let (first, _) = line.text.split_once('\n').unwrap_or((&line.text, ""));
        first.clone_into(&mut expected.text);
        for colour in [false, true] {
            let text = line.text(AT, colour);
            assert_eq!(read(text.lines().next().unwrap_or_default()), expected);
        }
    }
}
