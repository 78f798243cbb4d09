//! What is found, case by case, over ports that are made up; a good world first, then one
//! change to it at a time.

mod edges;

use super::{Asked, Report, check};
use crate::event::Event;
use crate::finding::{Finding, Grade};
use crate::flow::job::{Job, RULES, Target};
use crate::flow::ports::{
    Account, Broker, Caller, Confirmed, Described, Fault, Ledger, LedgerPage, Mark, Missing, Now,
    Opened, Pin, Ports, ProducerIdentity, Read, ReadTo, Source, Stored, TopicSettings, Trouble,
    Visit, World,
};
use crate::flow::tests::golden::golden;
use crate::settings::OnBadRow;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, OnlyIf, Producer, Status};
use crate::wire::compress::Compression;
use crate::wire::kafka::answers::Rights;
use crate::wire::record_batch::Batch;

const NOW_SECONDS: u64 = 1_800_000_000;
const ETAG: &str = "\"e\"";

/// All that there is. Whatever would change it panics.
struct Stage {
    source: Result<Vec<u8>, Fault>,
    described: Result<Described, Fault>,
    settings: TopicSettings,
    dead: Result<Described, Fault>,
    log: (i64, i64),
    last_value: Option<String>,
    item: Option<Checkpoint>,
    load: Option<Fault>,
    store: Option<Fault>,
    is_lax: bool,
    keys: Result<&'static str, Fault>,
    caller: Result<Option<Caller>, Fault>,
    skew_ms: Option<i64>,
    gone: bool,
    job: Job,
    warnings: Vec<String>,
}

fn refused(problem: &str) -> Fault {
    Fault::last(Stop::refused(Peer::Broker, problem, "Mend it"))
}

fn described() -> Described {
    Described {
        cluster_id: Some("c".into()),
        topic_id: Some("t".into()),
        partition_count: 3,
        leader: "b:9092".into(),
        leader_epoch: 0,
        replica_count: 3,
        in_sync_count: 3,
        rights: Some(Rights { read: true, write: true, describe_configs: true }),
    }
}

fn rows(count: u64) -> Vec<u8> {
    let header = "id,name\n".to_owned();
    (1..=count).fold(header, |rows, n| rows + &format!("{n},name {n}\n")).into_bytes()
}

fn good() -> Stage {
    let job = Job {
        source: "s3://b/k".into(),
        target: Target { topic: "orders".into(), partition: 0 },
        compression: Compression::Gzip,
        batch_bytes_max: 1024 * 1024,
        checkpoint_interval_rows: 10_000,
        lease_seconds: 15,
        ..Job::reader("j".into(), "b:9092".into(), 9)
    };
    Stage {
        source: Ok(rows(100)),
        described: Ok(described()),
        settings: TopicSettings {
            max_message_bytes: Some(1_048_588),
            min_insync_replicas: Some(2),
            cleanup_policy: Some("delete".into()),
            retention_ms: Some(604_800_000),
            retention_bytes: Some(-1),
            unclean_leader_election: Some(false),
        },
        dead: Ok(described()),
        log: (0, 0),
        last_value: None,
        item: None,
        load: None,
        store: None,
        is_lax: false,
        keys: Ok("environment"),
        caller: Ok(Some(Caller { account: "1".into(), arn: "arn:aws:iam::1:user/u".into() })),
        skew_ms: Some(0),
        gone: false,
        job,
        warnings: Vec::new(),
    }
}

/// The item of a job that was begun and let go.
fn begun(stage: &Stage) -> Checkpoint {
    let mut item = Checkpoint {
        job_id: "j".into(),
        last_line: Some(40),
        total_sent: Some(40),
        timestamp: Some(NOW_SECONDS - 5),
        status: Some(Status::Interrupted),
        next_byte: Some(500),
        header_bytes: Some(8),
        source: Some("s3://b/k".into()),
        etag: Some(ETAG.into()),
        source_bytes: Some(rows(100).len() as u64),
        cluster_id: Some("c".into()),
        settings: Some(stage.job.pinned_settings()),
        rules: Some(RULES),
        run_id: Some("r".into()),
        revision: Some(3),
        lease_seconds: Some(15),
        host: Some("h".into()),
        format: Some(1),
        ..Checkpoint::default()
    };
    item.main.topic = Some("orders".into());
    item.main.topic_id = Some("t".into());
    item.main.partition = Some(0);
    item.main.kafka_offset = Some(39);
    item.main.producers = Some(vec![Producer { id: 1, epoch: 0, base_record: 0, first_offset: 0 }]);
    item
}

struct Bytes<'a>(&'a Stage, usize);

impl Source for Bytes<'_> {
    fn open(&mut self, from: u64, _: Option<u64>, _: Option<&Pin>) -> Result<Opened, Fault> {
        self.1 = usize::try_from(from).unwrap();
        let bytes = self.0.source.as_ref().map_err(Clone::clone)?;
        let source_bytes = bytes.len() as u64;
        Ok(Opened::Open(Pin { etag: ETAG.into(), version_id: None, source_bytes }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        let left = &self.0.source.as_ref().unwrap()[self.1..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.1 += count;
        Ok(if count == 0 { Read::End } else { Read::Bytes(count) })
    }
}

struct Partition<'a>(&'a Stage, &'a Result<Described, Fault>);

impl Broker for Partition<'_> {
    fn describe(&mut self) -> Result<Described, Fault> {
        self.1.clone()
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        Ok(self.0.settings.clone())
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        panic!("it uses up a producer id")
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        Ok(Some(if mark == Mark::Start { self.0.log.0 } else { self.0.log.1 }))
    }

    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault> {
        assert!(to - from <= 1, "one record is enough");
        assert!(self.1.as_ref().is_ok_and(|d| d.rights.is_none_or(|rights| rights.read)));
        let Visit::Records(visit) = visit else { panic!() };
        if let Some(value) = self.0.last_value.as_ref().filter(|_| from < to) {
            visit(from, None, Some(value.as_bytes()));
        }
        Ok(ReadTo::Offset(to))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        panic!("nothing is sent")
    }

    fn send(&mut self, _: Batch) {
        panic!("nothing is sent")
    }

    fn confirm(&mut self, _: u64) -> Confirmed {
        panic!("nothing is sent")
    }

    fn hang_up(&mut self) -> Option<Batch> {
        None
    }
}

struct Items<'a>(&'a Stage);

impl Ledger for Items<'_> {
    fn load(&mut self, job_id: &str) -> Result<Option<Checkpoint>, Fault> {
        assert_eq!(job_id, "j");
        self.0.load.clone().map_or_else(|| Ok(self.0.item.clone()), Err)
    }

    fn list(&mut self, _: Option<&str>) -> Result<LedgerPage, Fault> {
        panic!("the other jobs are nobody's business")
    }

    fn store(&mut self, change: &Checkpoint, only_if: &OnlyIf) -> Result<Stored, Fault> {
        assert_eq!(only_if.holder, Holder::Never, "nothing is written");
        assert_eq!(*change, Checkpoint { job_id: "j".into(), ..Checkpoint::default() });
        if let Some(fault) = &self.0.store {
            return Err(fault.clone());
        }
        let item = self.0.item.clone().map(Box::new);
        Ok(if self.0.is_lax {
            Stored::Done(Box::new(change.clone()))
        } else {
            Stored::Refused(item)
        })
    }
}

struct Keys<'a>(&'a Stage);

impl Account for Keys<'_> {
    fn credentials(&mut self) -> Result<&'static str, Fault> {
        self.0.keys.clone()
    }

    fn caller(&mut self) -> Result<Option<Caller>, Fault> {
        self.0.caller.clone()
    }

    fn skew_ms(&mut self) -> Option<i64> {
        self.0.skew_ms
    }
}

/// Nobody waits; how long it would have been is counted.
struct Hurry {
    waited_ms: u64,
    /// How much passes with a look at the clock.
    look_ms: u64,
    gone: bool,
}

impl World for Hurry {
    fn now(&mut self) -> Now {
        self.waited_ms += self.look_ms;
        let wall_ms = NOW_SECONDS * 1000 + self.waited_ms;
        Now { monotonic_ms: self.waited_ms, wall_ms }
    }

    fn random(&mut self) -> u64 {
        4
    }

    fn wait(&mut self, wait_ms: u64) {
        self.waited_ms += wait_ms;
    }

    fn stop_asked(&mut self) -> Option<&'static str> {
        None
    }

    fn is_gone(&mut self, _: &str) -> bool {
        self.gone
    }

    fn tell(&mut self, _: &Event<'_>) {}
}

fn found(stage: &Stage) -> Report {
    let report = looked(stage, false);
    assert_eq!(report.shown, None);
    report
}

fn looked(stage: &Stage, show_rows: bool) -> Report {
    let mut world = Hurry { waited_ms: 0, look_ms: 0, gone: stage.gone };
    let report = looked_through(stage, show_rows, &mut Bytes(stage, 0), &mut world);
    assert!(world.waited_ms <= 6_000, "it waited for {} ms", world.waited_ms);
    report
}

fn looked_through(
    stage: &Stage,
    show_rows: bool,
    source: &mut dyn Source,
    world: &mut Hurry,
) -> Report {
    let mut main = Partition(stage, &stage.described);
    let mut dead = Partition(stage, &stage.dead);
    let mut ledger = Items(stage);
    let mut keys = Keys(stage);
    let mut ports = Ports {
        source,
        main: &mut main,
        dead: Some(&mut dead),
        ledger: &mut ledger,
        world,
        metrics: None,
    };
    let asked = Asked {
        ledger: "dynamodb://jobs".into(),
        source_takes_aws: true,
        ledger_takes_aws: true,
        brokers_take_aws: false,
        show_rows,
        warnings: stage.warnings.clone(),
    };
    check(&stage.job, &asked, &mut ports, Some(&mut keys)).unwrap()
}

/// All of a report, a finding a line.
fn whole(name: &str, report: &Report) -> String {
    let mut lines = vec![format!("=== {name}")];
    lines.extend(
        report
            .findings
            .iter()
            .map(|finding| format!("{} {}: {finding:?}", finding.grade().name(), finding.code())),
    );
    lines.push(format!("{:?}\n{:?}\nexit {}\n", report.plan, report.shown, report.exit_code()));
    lines.join("\n")
}

/// The codes of all that is not `ok`, the grade before each.
fn told(report: &Report) -> String {
    let words = report.findings.iter().filter(|finding| finding.grade() != Grade::Ok);
    let words = words.map(|finding| format!("{} {}", finding.grade().name(), finding.code()));
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_good_world() {
    let report = found(&good());
    let codes: Vec<&str> = report.findings.iter().map(Finding::code).collect();
    assert_eq!(told(&report), "");
    assert_eq!(report.exit_code(), 0);
    assert_eq!(
        codes,
        [
            "settings",
            "credentials",
            "source",
            "topic",
            "rights",
            "durability",
            "record_limit",
            "retention",
            "ledger",
            "new_job",
            "clock"
        ]
    );
    let plan = report.plan.unwrap();
    assert_eq!((plan.rows, plan.is_counted, plan.rows_done, plan.seconds), (100, true, 0, 1));
    assert!(plan.log_bytes > 100 && plan.log_bytes < plan.source_bytes * 5, "{plan:?}");
}

type Change = fn(&mut Stage);

#[test]
fn sources_topics_and_credentials() {
    let cases: [(Change, &str); 24] = [
        (|s| s.warnings = vec!["w".into()], "warn settings"),
        (|s| s.source = Err(Fault::passing("503")), "fail source_unreachable"),
        (|s| s.source = Err(refused("NoSuchKey")), "fail source_refused"),
        (
            |s| s.source = Ok(b"\x1f\x8b\x08gzip, which is long enough to tell".to_vec()),
            "fail bad_source",
        ),
        (|s| s.source = Ok(b"a,b,a\n1,2,3\n".to_vec()), "fail bad_source"),
        (|s| s.job.key_column = Some("none".into()), "fail bad_source"),
        (|s| s.source = Ok(b"a,b\n1,2\n3\n".to_vec()), "fail bad_rows"),
        (|s| s.source = Ok(b"a,b\n1,2\n3,\"4\n".to_vec()), "fail open_quote"),
        (
            |s| {
                s.job.csv.row_bytes_max = 20;
                s.source = Ok(b"a,b\n1,234567890123456789012345\n".to_vec());
            },
            "fail row_too_long",
        ),
        (
            |s| {
                s.source = Ok(b"a,b\n1,2\n3\n".to_vec());
                s.job.on_bad_row = OnBadRow::SetAside { topic: "bad".into() };
            },
            "warn bad_rows",
        ),
        (
            |s| {
                s.source = Ok(b"a,b\n1,2\n3\n".to_vec());
                s.job.on_bad_row = OnBadRow::SetAside { topic: "bad".into() };
                s.job.bad_rows_max = 0;
            },
            "fail bad_rows",
        ),
        (|s| s.described = Err(Fault::passing("refused")), "fail broker_unreachable"),
        (|s| s.described = Err(refused("wrong password")), "fail broker_refused"),
        (
            |s| {
                let missing = Some(Missing::Partition { partition_count: 1 });
                s.described =
                    Err(Fault::Passing(Trouble { problem: String::new(), missing, pause_ms: 0 }));
            },
            "fail topic_missing",
        ),
        (
            |s| {
                s.described = Err(Fault::passing("refused"));
                s.job.on_bad_row = OnBadRow::SetAside { topic: "bad".into() };
            },
            "fail broker_unreachable, warn skipped",
        ),
        (
            |s| {
                s.dead = Err(refused("no"));
                s.job.on_bad_row = OnBadRow::SetAside { topic: "bad".into() };
            },
            "fail dead_letters_refused",
        ),
        (|s| s.settings.max_message_bytes = Some(1_000), "fail broker_refused"),
        (|s| s.settings.max_message_bytes = Some(20_000), "warn small_record_limit"),
        (
            |s| {
                s.described.as_mut().unwrap().rights =
                    Some(Rights { read: false, write: true, describe_configs: true });
            },
            "fail missing_right",
        ),
        (|s| s.settings.retention_ms = Some(500), "fail short_retention"),
        (|s| s.settings.retention_bytes = Some(50), "fail small_retention"),
        (|s| s.keys = Err(refused("none")), "fail no_credentials, warn skipped, warn skipped"),
        (|s| s.caller = Err(Fault::passing("no STS")), "warn caller_unknown"),
        (|s| s.skew_ms = Some(-120_000), "warn clock"),
    ];
    let mut reports = String::new();
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut stage = good();
        change(&mut stage);
        assert_eq!(told(&found(&stage)), expected, "case {index}");
        reports += &whole(&format!("{index}: {expected}"), &looked(&stage, true));
        // The same for a job with dead letters, whose topic is as it should be, or not there.
        stage.job.on_bad_row = OnBadRow::SetAside { topic: "bad".into() };
        reports += &whole(&format!("{index}, with dead letters"), &looked(&stage, false));
        stage.dead = Err(refused("no such topic"));
        reports += &whole(&format!("{index}, with none for them"), &looked(&stage, false));
    }
    golden("check_world", &reports);
}

/// Puts an item there that was begun, for a change to it.
fn item(stage: &mut Stage) -> &mut Checkpoint {
    let begun = begun(stage);
    stage.log = (0, 40);
    stage.item.insert(begun)
}

const RECORD: &str = r#"{"a":"1","_source_line":7,"_source_file":"s3://b/k"}"#;

/// Begun with version v of this object, and now this version of it is asked for.
fn versions(stage: &mut Stage, etag: &str, asked_for: Option<&str>) {
    stage.job.source_version = asked_for.map(str::to_owned);
    let item = item(stage);
    (item.etag, item.version_id) = (Some(etag.into()), Some("v".into()));
}

#[test]
fn what_a_run_would_do_with_the_item() {
    let cases: [(Change, &str, &str); 24] = [
        (|s| s.load = Some(refused("AccessDenied")), "fail ledger_refused", ""),
        (|s| s.load = Some(Fault::passing("503")), "fail ledger_unreachable", ""),
        (|s| s.store = Some(refused("UpdateItem")), "fail ledger_refused", "new_job"),
        (|s| s.is_lax = true, "fail lax_ledger", "new_job"),
        (|s| _ = item(s), "", "resumes"),
        (|s| item(s).timestamp = Some(NOW_SECONDS - 100_000), "warn long_rest", "resumes"),
        (|s| item(s).status = Some(Status::Completed), "", "complete"),
        (|s| item(s).status = Some(Status::InProgress), "fail held", "resumes"),
        (
            |s| {
                item(s).status = Some(Status::InProgress);
                s.gone = true;
            },
            "",
            "resumes",
        ),
        (
            |s| {
                let item = item(s);
                item.status = Some(Status::InProgress);
                item.timestamp = Some(NOW_SECONDS - 46);
            },
            "warn held",
            "resumes",
        ),
        (|s| item(s).source = Some("s3://b/other".into()), "fail pins_differ", ""),
        (|s| item(s).etag = Some("\"f\"".into()), "fail source_replaced", ""),
        (|s| versions(s, "\"f\"", None), "fail source_replaced", ""),
        (|s| versions(s, ETAG, Some("w")), "fail pins_differ", ""),
        (
            |s| {
                let item = item(s);
                item.status = Some(Status::Completed);
                item.etag = Some("\"f\"".into());
            },
            "fail source_replaced",
            "",
        ),
        (|s| item(s).cluster_id = Some("d".into()), "fail wrong_cluster", ""),
        (|s| item(s).main.topic_id = Some("u".into()), "fail topic_remade", ""),
        (
            |s| {
                item(s);
                s.log = (0, 39);
            },
            "fail truncated",
            "",
        ),
        (
            |s| {
                item(s);
                s.log = (41, 50);
            },
            "fail tail_deleted",
            "",
        ),
        (|s| item(s).main.producers = None, "fail overwritten", ""),
        (|s| item(s).header_bytes = None, "fail overwritten", ""),
        (|s| item(s).format = Some(99), "fail ledger_refused", ""),
        (
            |s| {
                let item = item(s);
                *item = Checkpoint {
                    job_id: "j".into(),
                    last_line: Some(40),
                    timestamp: Some(NOW_SECONDS),
                    status: Some(Status::InProgress),
                    ..Checkpoint::default()
                };
            },
            "warn python_job",
            "",
        ),
        (
            |s| {
                item(s);
                s.item = None;
                s.last_value = Some(RECORD.into());
            },
            "warn loaded_before",
            "new_job",
        ),
    ];
    let mut reports = String::new();
    for (index, (change, expected, expected_ok)) in cases.into_iter().enumerate() {
        let mut stage = good();
        change(&mut stage);
        let report = found(&stage);
        assert_eq!(told(&report), expected, "case {index}");
        assert_eq!(stands(&report), expected_ok, "case {index}");
        reports += &whole(&format!("{index}: {expected}"), &report);
    }
    golden("check_item", &reports);
    // A job of its own that has its records there already was not loaded before.
    let mut stage = good();
    item(&mut stage);
    stage.last_value = Some(RECORD.into());
    assert_eq!(told(&found(&stage)), "");
}

/// What it is that a run would do.
fn stands(report: &Report) -> &'static str {
    let mut codes = report.findings.iter().map(Finding::code);
    codes.find(|code| ["new_job", "resumes", "complete"].contains(code)).unwrap_or("")
}

#[test]
fn where_settings_are_wrong_nothing_is_looked_at() {
    let report = Report::of_problems(&["p".into(), "q".into()], &["w".into()]);
    assert_eq!(told(&report), "fail settings, fail settings, warn settings");
    assert_eq!((report.exit_code(), report.plan), (1, None));
}

#[test]
fn a_plan_is_for_the_rest() {
    let mut stage = good();
    stage.source = Ok(rows(200_000));
    let whole = found(&stage).plan.unwrap();
    assert!(!whole.is_counted && whole.sample_rows < 100_000, "{whole:?}");
    // Later rows are longer than those of the sample.
    assert!((200_000..220_000).contains(&whole.rows), "{}", whole.rows);
    let mut item = begun(&stage);
    let source_bytes = rows(200_000).len() as u64;
    item.source_bytes = Some(source_bytes);
    item.next_byte = Some(source_bytes / 2);
    (item.last_line, item.total_sent) = (Some(100_000), Some(100_000));
    stage.item = Some(item);
    stage.log = (0, 100_000);
    let rest = found(&stage).plan.unwrap();
    assert_eq!((rest.rows, rest.rows_done), (whole.rows, 100_000));
    assert!(rest.log_bytes.abs_diff(whole.log_bytes / 2) < whole.log_bytes / 20, "{rest:?}");
}

#[test]
fn each_finding_is_one_line_with_a_code() {
    let mut stage = good();
    stage.described = Err(refused("two\nlines\x1b[2J"));
    stage.item = Some(Checkpoint { source: Some("s3://b/other".into()), ..begun(&stage) });
    for finding in found(&stage).findings {
        let text = crate::show::findings::wording(&finding);
        assert!(!text.contains(char::is_control) && text.len() > 20, "{text:?}");
        assert!(
            !finding.code().contains(|letter: char| !letter.is_ascii_lowercase() && letter != '_')
        );
    }
}
