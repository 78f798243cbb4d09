//! Whole runs as a text: each thing that is told with its moment, then the item and the batches
//! of the partition, against a golden file.

use super::clockwork::{Act, NEVER, Play};
use super::golden::golden;
use super::lab::{Reply, Script};
use crate::flow::ports::{Described, Fault, Guard, Mark, Missing, ReadTo, TopicSettings, Trouble};
use crate::settings::OnBadRow;
use crate::wire::checkpoint::{Checkpoint, Status};

/// So many rows, of which those that are named are bad.
fn rows(count: u64, bad: &[u64]) -> String {
    let row = |number: u64| {
        let more = if bad.contains(&number) { ",more" } else { "" };
        format!("{number},name of {number}{more}\n")
    };
    "id,name\n".to_owned() + &(1..=count).map(row).collect::<String>()
}

fn replies(replies: &[Reply]) -> Script {
    Script { replies: replies.to_vec(), ..Script::default() }
}

/// So many answers to reading, then what the log says.
fn read(mut answers: Vec<ReadTo>) -> Script {
    let read = move |_| (!answers.is_empty()).then(|| Ok(answers.remove(0)));
    Script { read: Some(Box::new(read)), ..Script::default() }
}

fn aside(job: &mut crate::flow::job::Job) {
    job.on_bad_row = OnBadRow::SetAside { topic: "d".into() };
    job.bad_rows_max = 3;
}

fn late(looks: u32) -> Reply {
    Reply::Late { looks, error_code: 0 }
}

const LOST: Reply = Reply::Lost { appended: true };
/// More than an item keeps.
const LONG: &str = "word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; word after word, of which the last are lost; ";
const NO_TOPIC: Reply = Reply::Refused { error_code: 3 };
const DROPPED: Reply = Reply::Lost { appended: false };

#[test]
fn sends() {
    let appended = |error_code, throttle_ms| Reply::Appended { error_code, throttle_ms };
    let refused = |error_code| Reply::Refused { error_code };
    let plays = vec![
        Play::new("a job without a fault", &rows(200, &[])).with_metrics().run(),
        Play::new("a job without a fault, and what it writes down", &rows(100, &[3]))
            .job(aside)
            .telling_writes()
            .run(),
        Play::new("a job of no rows", "id,name\n").run(),
        Play::new("the compatibility client", &rows(100, &[]))
            .main(Script { guard: Some(Guard::TailOnly), ..Script::default() })
            .run(),
        Play::new("a complete job, again", &rows(3, &[])).run().run(),
        Play::new("asked to stop, and again", &rows(300, &[])).stop_at(165).run().run(),
        Play::new("asked to stop while an answer is late", &rows(300, &[]))
            .main(replies(&[Reply::AsItIs, late(9)]))
            .stop_at(400)
            .run()
            .run(),
        Play::new("so many rows a second", &rows(200, &[]))
            .job(|job| job.rows_per_second_max = Some(70))
            .with_metrics()
            .run(),
        Play::new("the answers are lost", &rows(200, &[]))
            .main(replies(&[LOST, DROPPED, LOST, Reply::AsItIs, LOST]))
            .run(),
        Play::new("no answer is ever given", &rows(100, &[])).main(replies(&[DROPPED; 9])).run(),
        Play::new("a pause is asked for", &rows(200, &[]))
            .main(replies(&[appended(0, 700), appended(7, 300), appended(0, 100)]))
            .run(),
        Play::new("a late answer, and one that is too late", &rows(200, &[]))
            .main(replies(&[late(20), late(u32::MAX)]))
            .run(),
        Play::new("no answer in time, to the millisecond", &rows(3, &[]))
            .job(|job| job.lease_seconds = 100)
            .main(replies(&[late(u32::MAX)]))
            .run(),
        Play::new("asked to stop, and the last answer is an error", &rows(100, &[]))
            .main(replies(&[Reply::Late { looks: 1, error_code: 7 }]))
            .stop_at(147)
            .run()
            .run(),
        Play::new("out of order, and it is there", &rows(200, &[]))
            .main(replies(&[Reply::AsItIs, appended(45, 0), Reply::AsItIs, appended(46, 0)]))
            .run(),
        Play::new("the broker has forgotten us", &rows(200, &[]))
            .main(replies(&[Reply::AsItIs, refused(59), Reply::AsItIs, appended(59, 0)]))
            .run(),
        Play::new("too large", &rows(200, &[]))
            .main(replies(&[Reply::AsItIs, refused(10), refused(10)]))
            .run(),
        Play::new("too large after a lost answer", &rows(100, &[]))
            .main(replies(&[LOST, refused(10), LOST]))
            .run(),
        Play::new("refused for good", &rows(100, &[]))
            .main(replies(&[Reply::AsItIs, refused(29)]))
            .run()
            .run(),
        Play::new("connections fail, and a machine sleeps", &rows(300, &[]))
            .act("connect", 1, Act::Fail("no route"))
            .act("connect", 3, Act::Take(700_000))
            .act("connect", 6, Act::Fail("no route"))
            .run(),
        Play::new("a machine that sleeps at each connection", &rows(100, &[]))
            .act("connect", 1, Act::Take(700_000))
            .act("connect", 2, Act::Take(700_000))
            .act("connect", 3, Act::Take(700_000))
            .act("connect", 4, Act::Take(700_000))
            .act("connect", 5, Act::Take(700_000))
            .act("connect", 6, Act::Take(700_000))
            .act("connect", 7, Act::Take(700_000))
            .act("connect", 8, Act::Take(700_000))
            .run(),
        Play::new("fewer rows a second than a batch has", &rows(60, &[]))
            .job(|job| job.rows_per_second_max = Some(20))
            .run(),
    ];
    held("sends", plays);
}

#[test]
fn clients() {
    let compat = || Script { guard: Some(Guard::TailOnly), ..Script::default() };
    let plays = vec![
        Play::new("from the compatibility client to ours", &rows(100, &[]))
            .main(compat())
            .stop_at(149)
            .run()
            .run(),
        Play::new("from our client to the other one", &rows(100, &[]))
            .stop_at(149)
            .run()
            .main(compat())
            .run(),
    ];
    held("clients", plays);
}

#[test]
fn figures() {
    let with_metrics = |name, count| Play::new(name, &rows(count, &[])).with_metrics();
    let plays = vec![
        Play::new("dead letters of an earlier run", &rows(200, &[1, 199]))
            .job(aside)
            .with_metrics()
            .stop_at(238)
            .run()
            .run(),
        Play::new("a dead letter whose batch did not land", &rows(200, &[1, 120]))
            .job(aside)
            .with_metrics()
            .stop_at(238)
            .run()
            .run(),
        Play::new("a dead letter whose batch comes in parts", &rows(200, &[1, 120]))
            .job(aside)
            .with_metrics()
            .stop_at(238)
            .run()
            .job(|job| job.rows_per_second_max = Some(40))
            .run(),
        with_metrics("refused before a row is sent", 3).act("describe", 1, Act::Refuse).run(),
        with_metrics("given up before a row is sent", 3)
            .act("open", 1, Act::Fail("reset"))
            .act("open", 2, Act::Fail("reset"))
            .act("open", 3, Act::Fail("reset"))
            .act("open", 4, Act::Fail("reset"))
            .run(),
        with_metrics("asked to stop", 300).stop_at(165).run(),
        with_metrics("asked to stop after figures were lost", 300)
            .main(replies(&[late(1)]))
            .act("metrics", 1, Act::Fail(""))
            .stop_at(165)
            .run(),
        with_metrics("complete after figures were lost", 100)
            .main(replies(&[late(1)]))
            .act("metrics", 1, Act::Fail(""))
            .run(),
        (3..40)
            .fold(
                with_metrics("a source that is slow to open, then silent", 600).act(
                    "open",
                    1,
                    Act::Take(2_000),
                ),
                |play, read| play.act("read", read, Act::NotYet),
            )
            .run(),
    ];
    held("figures", plays);
}

#[test]
fn dead_letters() {
    let plays = vec![
        Play::new("a bad row", &rows(100, &[70])).run(),
        Play::new("bad rows, set aside", &rows(200, &[1, 120, 200])).job(aside).run(),
        Play::new("one bad row too many", &rows(200, &[1, 5, 7, 150])).job(aside).run().run(),
        Play::new("bad rows from the middle on", &rows(200, &[120, 121]))
            .run()
            .job(aside)
            .stop_at(130)
            .run()
            .run(),
        Play::new("nothing but bad rows", &rows(3, &[1, 2, 3])).job(aside).run(),
    ];
    held("dead_letters", plays);
}

#[test]
fn ledgers() {
    let taken = |host: &str, revision: u64| Checkpoint {
        job_id: "j".into(),
        run_id: Some("they".into()),
        revision: Some(revision),
        host: Some(host.into()),
        last_line: Some(0),
        total_sent: Some(0),
        status: Some(Status::InProgress),
        lease_seconds: Some(20),
        started_at: Some(1),
        format: Some(1),
        ..Checkpoint::default()
    };
    let plays = vec![
        Play::new("checkpoints fail in mid-run", &rows(900, &[]))
            .act("store", 3, Act::Fail("throttled"))
            .act("store", 4, Act::Lose)
            .act("store", 5, Act::Fail("throttled"))
            .with_metrics()
            .act("metrics", 2, Act::Fail(""))
            .act("metrics", 3, Act::Fail(""))
            .job(|job| job.rows_per_second_max = Some(100))
            .run(),
        Play::new("each answer of the ledger is lost once", &rows(100, &[]))
            .act("load", 1, Act::Fail("throttled"))
            .act("store", 1, Act::Lose)
            .act("store", 3, Act::Lose)
            .act("store", 5, Act::Lose)
            .run(),
        Play::new("the ledger fails at the end", &rows(100, &[]))
            .act("store", 3, Act::Fail("throttled"))
            .act("store", 4, Act::Pause(5_000))
            .act("store", 5, Act::Fail("throttled"))
            .act("store", 6, Act::Fail("throttled"))
            .act("store", 7, Act::Fail("throttled"))
            .run()
            .run(),
        Play::new("a long word about why", &rows(100, &[]))
            .act("store", 3, Act::Fail(LONG))
            .act("store", 4, Act::Fail(LONG))
            .act("store", 5, Act::Fail(LONG))
            .act("store", 6, Act::Fail(LONG))
            .run(),
        Play::new("the ledger refuses at the end", &rows(100, &[]))
            .act("store", 3, Act::Refuse)
            .run(),
        Play::new("somebody writes the item in mid-run", &rows(200, &[]))
            .job(|job| job.lease_seconds = 1)
            .act("store", 3, Act::Edit(|item| item.run_id = None))
            .run(),
        Play::new("another run takes the job in mid-run", &rows(200, &[]))
            .act("store", 3, Act::Edit(|item| item.run_id = Some("they".into())))
            .run(),
        Play::new("another run is silent", &rows(3, &[])).item(taken("far", 7)).run(),
        Play::new("another run is silent, and the clock stands still", &rows(3, &[]))
            .item(taken("far", 7))
            .standing_still()
            .run(),
        Play::new("an item that has lost its producers", &rows(3, &[]))
            .item(Checkpoint { total_sent: Some(5), ..taken("gone", 7) })
            .run(),
        Play::new("another run of this machine is gone", &rows(3, &[]))
            .item(taken("gone", 7))
            .run(),
        Play::new("another run is at work", &rows(3, &[]))
            .item(taken("far", 7))
            .act("load", 3, Act::Edit(|item| item.revision = Some(8)))
            .run(),
        Play::new("another run begins while a silent one is watched", &rows(3, &[]))
            .item(taken("far", 7))
            .act("load", 4, Act::Edit(|item| item.run_id = Some("others".into())))
            .run(),
        Play::new("another run lets go", &rows(3, &[]))
            .item(taken("far", 7))
            .act("load", 4, Act::Edit(|item| item.status = Some(Status::Interrupted)))
            .run(),
        Play::new("another run lets go, with a last word", &rows(3, &[]))
            .item(taken("far", 7))
            .act(
                "load",
                4,
                Act::Edit(|item| {
                    item.status = Some(Status::Interrupted);
                    item.revision = Some(8);
                }),
            )
            .run(),
        Play::new("others are always faster", &rows(3, &[]))
            .act("store", 1, Act::Edit(|item| item.run_id = Some("one".into())))
            .act("store", 2, Act::Edit(|item| item.run_id = Some("two".into())))
            .act("store", 3, Act::Edit(|item| item.run_id = Some("three".into())))
            .act("store", 4, Act::Edit(|item| item.run_id = Some("four".into())))
            .run(),
        Play::new("a later version's item", &rows(3, &[]))
            .item(Checkpoint { format: Some(2), ..taken("gone", 7) })
            .run(),
    ];
    held("ledgers", plays);
}

#[test]
fn sources() {
    let plays = vec![
        Play::new("a source with pauses", &rows(600, &[]))
            .act("read", 1, Act::NotYet)
            .act("read", 3, Act::NotYet)
            .act("read", 4, Act::Fail("reset"))
            .act("open", 2, Act::Fail("slow down"))
            .act("open", 3, Act::Pause(3_000))
            .act("read", 6, Act::Short)
            .run(),
        Play::new("a source with pauses while an answer is late", &rows(600, &[]))
            .main(replies(&[
                late(1),
                Reply::AsItIs,
                Reply::AsItIs,
                late(9),
                Reply::AsItIs,
                late(3),
            ]))
            .act("read", 2, Act::NotYet)
            .act("read", 3, Act::NotYet)
            .act("read", 5, Act::Fail("reset"))
            .run(),
        Play::new("a source that fails while answers are late", &rows(600, &[]))
            .main(replies(&[late(9); 20]))
            .act("read", 3, Act::Fail("reset"))
            .act("read", 5, Act::Fail("reset"))
            .run(),
        Play::new("a source that is replaced", &rows(300, &[]))
            .act("read", 3, Act::Fail("reset"))
            .act("open", 2, Act::Replace)
            .run(),
        Play::new("a source that is gone", &rows(300, &[]))
            .act("open", 1, Act::Fail("reset"))
            .act("read", 3, Act::Fail("reset"))
            .act("open", 3, Act::Fail("reset"))
            .act("open", 4, Act::Fail("reset"))
            .act("open", 5, Act::Fail("reset"))
            .run(),
        Play::new("a source that may not be read", &rows(300, &[]))
            .act("read", 3, Act::Refuse)
            .run(),
        Play::new("a header that comes late", &rows(3, &[]))
            .act("read", 1, Act::Fail("reset"))
            .act("open", 2, Act::Fail("reset"))
            .act("read", 2, Act::NotYet)
            .run(),
    ];
    held("sources", plays);
}

#[test]
fn versions() {
    let stopped = |name| Play::new(name, &rows(300, &[])).stop_at(165).run();
    let plays = vec![
        stopped("another version of the source than the one begun with")
            .job(|job| job.source_version = Some("w".into()))
            .run(),
        stopped("the version of the source that was begun with")
            .job(|job| job.source_version = Some("v".into()))
            .run(),
        stopped("a source that is replaced, though its version was named")
            .job(|job| job.source_version = Some("v".into()))
            .act("open", 1, Act::Replace)
            .run(),
    ];
    held("versions", plays);
}

#[test]
fn topics() {
    let settings = |min_insync_replicas| TopicSettings {
        min_insync_replicas,
        max_message_bytes: Some(1_000_000),
        retention_ms: Some(60_000),
        cleanup_policy: Some("compact".into()),
        unclean_leader_election: Some(true),
        ..TopicSettings::default()
    };
    let keeps = |bytes| TopicSettings {
        retention_bytes: Some(bytes),
        retention_ms: Some(1),
        min_insync_replicas: Some(1),
        ..TopicSettings::default()
    };
    let named = || Described {
        cluster_id: Some("c".into()),
        topic_id: None,
        partition_count: 1,
        leader: "b:9092".into(),
        leader_epoch: 0,
        replica_count: 3,
        in_sync_count: 3,
        rights: None,
    };
    let plays = vec![
        Play::new("a topic with strange settings", &rows(100, &[]))
            .main(Script { settings: Some(settings(Some(1))), ..Script::default() })
            .run(),
        Play::new("a topic that keeps less than the source", &rows(100, &[]))
            .main(Script { settings: Some(keeps(500)), ..Script::default() })
            .run(),
        Play::new("a topic that keeps less than a long source", &rows(600, &[]))
            .main(Script { settings: Some(keeps(500)), ..Script::default() })
            .run(),
        Play::new(
            "a topic that keeps less than a source whose last line is open",
            "id,name\n1,a\n2,b",
        )
        .main(Script { settings: Some(keeps(20)), ..Script::default() })
        .run(),
        Play::new("a cluster that has a name", &rows(3, &[]))
            .main(Script {
                describe: Some(Box::new(move |()| Some(Ok(named())))),
                ..Script::default()
            })
            .run(),
        Play::new("the same source under another job", &rows(3, &[])).run().without_item().run(),
    ];
    held("topics", plays);
}

#[test]
fn partitions() {
    let missing = |times: u32| {
        let mut left = times;
        Script {
            describe: Some(Box::new(move |()| {
                left = left.checked_sub(1)?;
                Some(Err(Fault::Passing(Trouble {
                    problem: "no leader".into(),
                    missing: left.is_multiple_of(2).then_some(Missing::Topic),
                    pause_ms: 0,
                })))
            })),
            ..Script::default()
        }
    };
    // After so many looks it is not there, for so many.
    let gone = |after: u32, looks: u32| {
        let mut look = 0;
        Script {
            describe: Some(Box::new(move |()| {
                look += 1;
                let trouble = Trouble {
                    problem: "no such topic (3)".into(),
                    missing: Some(Missing::Topic),
                    pause_ms: 0,
                };
                let is_gone = look > after && look - after <= looks;
                is_gone.then_some(Err(Fault::Passing(trouble)))
            })),
            ..Script::default()
        }
    };
    // The end of the log as its leader knows it, and as it is shown: so many looks later.
    let lagging = |looks: u32| {
        let mut left = looks;
        Script {
            offset: Some(Box::new(move |mark| match mark {
                Mark::VisibleEnd => {
                    left = left.checked_sub(1)?;
                    Some(0)
                }
                _ => None,
            })),
            ..Script::default()
        }
    };
    let log_start = |at: i64| Script {
        offset: Some(Box::new(move |mark| (mark == Mark::Start).then_some(at))),
        ..Script::default()
    };
    // One batch is confirmed, one is there and nobody told us.
    let stopped = |name| {
        Play::new(name, &rows(300, &[])).main(replies(&[Reply::AsItIs, LOST])).stop_at(200).run()
    };
    let ends_at = |end: i64| Script {
        offset: Some(Box::new(move |mark| (mark != Mark::Start).then_some(end))),
        ..Script::default()
    };
    let plays = vec![
        stopped("others write before a resume").others_write("t").run(),
        Play::new("a topic that comes and goes", &rows(100, &[])).main(missing(5)).run(),
        Play::new("a topic that was never there", &rows(100, &[])).main(gone(0, u32::MAX)).run(),
        Play::new("a topic that goes before an identity is stored", &rows(100, &[]))
            .main(gone(1, u32::MAX))
            .run(),
        Play::new("a topic that goes in mid-run", &rows(100, &[]))
            .main(Script { replies: vec![Reply::AsItIs, NO_TOPIC], ..gone(2, u32::MAX) })
            .run(),
        stopped("a topic that the broker does not know yet").main(gone(0, 5)).run(),
        stopped("a topic that is gone in mid-job").main(gone(0, u32::MAX)).run(),
        Play::new("a log end that is shown late", &rows(100, &[]))
            .stop_at(165)
            .run()
            .main(lagging(13))
            .run(),
        stopped("a log end that is never shown").main(lagging(u32::MAX)).run(),
        stopped("a log that is cut off").main(ends_at(44)).run(),
        stopped("a log that is cut off behind what was confirmed").main(ends_at(45)).run(),
        stopped("reading brings nothing, for a while")
            .main(read(vec![ReadTo::Offset(45), ReadTo::Offset(45)]))
            .run(),
        stopped("a tail that is deleted").main(read(vec![ReadTo::Deleted { log_start: 90 }])).run(),
        stopped("a log whose first records are deleted").main(log_start(1)).run(),
        stopped("a log that begins with the job").main(log_start(0)).run(),
        stopped("reading fails")
            .act("fetch", 1, Act::Fail("reset"))
            .act("offset", 1, Act::Fail("reset"))
            .act("settings", 1, Act::Fail("reset"))
            .run(),
        Play::new("beginning fails", &rows(100, &[]))
            .act("describe", 1, Act::Fail("reset"))
            .act("settings", 1, Act::Fail("reset"))
            .act("offset", 1, Act::Fail("reset"))
            .act("fetch", 1, Act::Fail("reset"))
            .act("producer", 1, Act::Fail("reset"))
            .run(),
    ];
    held("partitions", plays);
}

#[test]
fn adopted() {
    let python = |rows: u64, with_status: bool| Checkpoint {
        job_id: "j".into(),
        last_line: Some(rows),
        total_sent: Some(rows),
        timestamp: Some(1),
        status: with_status.then_some(Status::InProgress),
        ..Checkpoint::default()
    };
    // It has sent a hundred rows; where the log begins once ours are sent too.
    let behind = |name, log_start| {
        let mut looks = 0;
        let offset = move |mark| {
            let is_start = matches!(mark, Mark::Start);
            looks += u32::from(is_start);
            (is_start && looks > 1).then_some(log_start)
        };
        Play::new(name, &rows(100, &[]))
            .run()
            .source(&rows(150, &[]))
            .item(python(100, false))
            .main(Script { offset: Some(Box::new(offset)), ..Script::default() })
    };
    let plays = vec![
        Play::new("nothing of the Python processor's is there", &rows(3, &[]))
            .item(python(2, true))
            .run(),
        Play::new("the Python processor has not begun", &rows(3, &[])).item(python(0, false)).run(),
        Play::new("the Python processor's rows", &rows(100, &[]))
            .run()
            .item(python(90, false))
            .run(),
        Play::new("reading back brings nothing, for a while", &rows(100, &[]))
            .run()
            .item(python(90, false))
            .main(read(vec![ReadTo::Offset(0), ReadTo::Offset(0)]))
            .run(),
        Play::new("reading back finds nothing at the front, for ever", &rows(100, &[]))
            .run()
            .item(python(90, false))
            .main(Script {
                read: Some(Box::new(|from| {
                    (from == 0).then_some(Ok(ReadTo::Deleted { log_start: 0 }))
                })),
                ..Script::default()
            })
            .run(),
        behind("the first of its own rows are deleted meanwhile", 101).run(),
        behind("only the Python processor's rows are deleted meanwhile", 100).run(),
        Play::new("more rows are there than the source has", &rows(100, &[]))
            .run()
            .source(&rows(90, &[]))
            .item(python(90, false))
            .run(),
    ];
    held("adopted", plays);
}

/// Who throttles us has refused nothing: each step is asked for again when the pause is over,
/// however many there are, and none before it.
#[test]
fn pauses_that_the_broker_asks_for_are_no_failures() {
    let play = Play::new("throttled", &rows(300, &[]))
        .main(replies(&[Reply::AsItIs, LOST]))
        .stop_at(200)
        .run();
    let steps = [("describe", 1), ("offset", 1), ("offset", 4), ("fetch", 1), ("connect", 1)];
    let pauses = steps.into_iter().flat_map(|(call, from)| [(call, from), (call, from + 1)]);
    let told = pauses.fold(play, |play, (call, number)| play.act(call, number, Act::Pause(60_000)));
    let told = told.run().told();
    assert!(!told.contains(NEVER) && told.contains("exit 0: complete: 300 rows"), "{told}");
    assert_eq!(told.matches("Throttled { pause_ms: 60000 }").count(), 10, "{told}");
    assert_eq!(told.matches("Retry").count(), 1, "the lost answer of the first run: {told}");
}

fn held(file: &str, plays: Vec<Play>) {
    let found: String = plays.into_iter().map(Play::told).collect();
    golden(file, &found);
    assert!(!found.contains(NEVER), "an act without its call");
}
