//! The flow over an embedded log: places that a simulated world reaches seldom or never.

mod clockwork;
pub(super) mod golden;
pub(super) mod lab;
mod told;

use self::lab::{Entry, Hurry, Lab, Reply, Script, TEN_ROWS};
use crate::flow::ports::{BatchVisitor, Broker, Fault, Missing, ReadTo, Trouble, Visit};
use crate::limits::{
    ANSWER_TIMEOUT_MS, FIRST_BATCH_RECORDS_MAX, NEW_TOPIC_PATIENCE_MS, PRODUCE_TIMEOUT_MS,
    PROGRESS_MS, READ_BYTES, RETRY_DELAY_MS,
};
use crate::settings::{Header, OnBadRow};
use crate::stop::{EXIT_AGAIN, Stop};
use crate::wire::checkpoint::Status;
use crate::wire::compress::Compression;
use crate::wire::record_batch::{BatchHeader, HEADER_BYTES};

#[test]
fn a_row_after_which_nothing_can_be_trusted_is_named() {
    let long = format!("id,name\n1,a\n2,{}\n3,c\n", "x".repeat(200));
    let open = "id,name\n1,a\n2,b\n3,\"c\n4,d\n";
    let (row, byte_offset) = (2, 12);
    let too_long = Stop::RowTooLong { row, byte_offset, bytes_max: 100 };
    let open_quote = Stop::OpenQuote { row: 3, byte_offset: 16 };
    for (text, expected, before) in [(long.as_str(), too_long, 1), (open, open_quote, 2)] {
        let lab = Lab::new(text).with(|job| job.csv.row_bytes_max = 100);
        assert_eq!(lab.run(), expected);
        assert_eq!(lab.entries("t").len(), before);
        assert_eq!(lab.item().last_line, Some(before as u64));
    }
}

/// The buffer is as long as the longest row and one read: what is done with makes room.
#[test]
fn a_source_that_is_longer_than_its_buffer() {
    let row = "1,abcdefghijklmnopqrstuvwxyz\n";
    let count = 3 * READ_BYTES / row.len();
    let lab = Lab::new(&("id,name\n".to_owned() + &row.repeat(count)))
        .with(|job| (job.csv.row_bytes_max, job.batch_bytes_max) = (40, 1 << 20));
    assert_eq!(lab.run(), Stop::Complete { rows: count as u64 });
}

/// The first batch of a run is small: it tells soon that all is well.
#[test]
fn the_first_batch_of_a_run() {
    struct Counts(Vec<i32>);
    impl BatchVisitor for Counts {
        fn batch(&mut self, header: &BatchHeader) -> bool {
            self.0.push(header.record_count);
            false
        }
        fn record(&mut self, _: i64, _: Option<&[u8]>, _: Option<&[u8]>) {}
    }
    let text = "id,name\n".to_owned() + &"1,abcdefgh\n".repeat(5_000);
    let lab = Lab::new(&text).with(|job| job.batch_bytes_max = 1 << 20);
    assert_eq!(lab.run(), Stop::Complete { rows: 5_000 });
    let mut counts = Counts(Vec::new());
    let (mut log, mut next) = (lab.log("t"), 0);
    while next < 5_000 {
        let Ok(ReadTo::Offset(to)) = log.read(next, 5_000, Visit::Batches(&mut counts)) else {
            panic!("nothing at {next}")
        };
        next = to;
    }
    let first = FIRST_BATCH_RECORDS_MAX.cast_signed();
    assert_eq!(counts.0, [first, 5_000 - first]);
}

fn missing(missing: Missing) -> Fault {
    Fault::Passing(Trouble { problem: "not there".into(), missing: Some(missing), pause_ms: 0 })
}

/// A topic may be new: it gets some seconds before it counts as missing.
#[test]
fn a_topic_that_is_not_there() {
    let looks = NEW_TOPIC_PATIENCE_MS / RETRY_DELAY_MS;
    let absent_for = |looks: u64, what: Missing| {
        let mut left = looks;
        let describe = move |()| {
            let there = left == 0;
            left = left.saturating_sub(1);
            (!there).then(|| Err(missing(what.clone())))
        };
        Script { describe: Some(Box::new(describe)), ..Script::default() }
    };
    let lab = Lab::new(TEN_ROWS);
    let stop = lab.run_beside(absent_for(looks - 1, Missing::Topic), &mut Hurry::default()).stop;
    assert_eq!(stop, Stop::Complete { rows: 10 });
    for (what, partitions) in
        [(Missing::Topic, None), (Missing::Partition { partition_count: 3 }, Some(3))]
    {
        let lab = Lab::new(TEN_ROWS);
        let mut world = Hurry::default();
        let stop = lab.run_beside(absent_for(u64::MAX, what), &mut world).stop;
        let expected = Stop::TopicMissing {
            topic: "t".into(),
            partition: 0,
            partitions,
            bootstrap: "b:9092".into(),
        };
        assert_eq!(stop, expected);
        assert!(world.ms < NEW_TOPIC_PATIENCE_MS + 2 * RETRY_DELAY_MS, "{}", world.ms);
    }
}

/// What a run says of itself: where it begins to send, how far it is, what it did.
#[test]
fn what_a_run_tells() {
    let text = "id,name\n".to_owned() + &"1,abcdefgh\n".repeat(500);
    let lab = Lab::new(&text).with(|job| {
        job.compression = Compression::None;
        job.rows_max = Some(200);
    });
    let told = |world: &Hurry, name: &str| -> Vec<String> {
        world.told.iter().filter(|event| event.starts_with(name)).cloned().collect()
    };
    let mut world = Hurry::default();
    let first = lab.run_beside(Script::default(), &mut world);
    assert_eq!(first.stop, Stop::RowsReached { rows: 200 });
    assert_eq!(told(&world, "Sending { row: 1, byte_offset: 8,").len(), 1);
    let settled = lab.item();
    assert_eq!(settled.last_line, Some(200));

    let lab = lab.with(|job| job.rows_max = None);
    let mut world = Hurry { look_ms: PROGRESS_MS, ..Hurry::default() };
    let second = lab.run_beside(Script::default(), &mut world);
    assert_eq!(second.stop, Stop::Complete { rows: 500 });
    let sending = format!("Sending {{ row: 201, byte_offset: {},", 8 + 200 * 11);
    assert_eq!(told(&world, &sending).len(), 1);
    assert!(!told(&world, "Progress").is_empty());

    let log_bytes: u64 = std::fs::read_dir(lab.log_dir("t"))
        .unwrap()
        .map(|file| file.unwrap())
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "log"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let (one, two) = (first.summary, second.summary);
    assert!(one.batches > 1 && two.batches > one.batches, "{one:?} {two:?}");
    assert_eq!((one.progress.row, one.progress.rows_here), (200, 200));
    assert_eq!((two.progress.row, two.progress.rows_here), (500, 300));
    assert_eq!(one.progress.bytes_sent + two.progress.bytes_sent, log_bytes);
    for summary in [one, two] {
        let progress = summary.progress;
        let headers = summary.batches * HEADER_BYTES as u64;
        assert_eq!(progress.bytes_raw + headers, progress.bytes_sent);
        assert_eq!(progress.source_bytes, text.len() as u64);
    }
    assert_eq!(one.progress.byte_offset, 8 + 200 * 11);
}

/// A run of few rows a second is not done sooner than its brake says; one without a brake, or
/// with nothing to send, does not wait.
#[test]
fn the_brake() {
    let text = "id,name\n".to_owned() + &"1,abcdefgh\n".repeat(100);
    for (rate, seconds) in [(None, 0..1), (Some(10), 9..12), (Some(1_000_000), 0..1)] {
        let lab = Lab::new(&text).with(|job| job.rows_per_second_max = rate);
        let mut world = Hurry::default();
        assert_eq!(
            lab.run_beside(Script::default(), &mut world).stop,
            Stop::Complete { rows: 100 }
        );
        assert!(seconds.contains(&(world.ms / 1000)), "{rate:?}: {} ms", world.ms);
    }
}

/// Answers to the first batches of ten rows, how the run ends, how many records are there
/// then, and what it told.
#[test]
fn answers_to_a_batch() {
    type Case<'a> = (&'a str, Vec<Reply>, &'a Stop, usize, &'a [&'a str]);
    let appended = |error_code| Reply::Appended { error_code, throttle_ms: 0 };
    let refused = |error_code| Reply::Refused { error_code };
    let complete = Stop::Complete { rows: 10 };
    let contended = Stop::Contended { topic: "t".into(), partition: 0 };
    let table: [Case<'_>; 11] = [
        ("nothing strange", vec![], &complete, 10, &[]),
        ("appended, and a passing error", vec![appended(7)], &complete, 10, &["Retry"]),
        ("not appended, and a passing error", vec![refused(7)], &complete, 10, &["Retry"]),
        ("out of order, but it is there", vec![appended(45)], &complete, 10, &["landed: true"]),
        ("a duplicate, and it is there", vec![appended(46)], &complete, 10, &["landed: true"]),
        ("out of order, and it is not there", vec![refused(45)], &contended, 0, &["landed: false"]),
        ("unknown, but it is there", vec![appended(59)], &complete, 10, &["landed: true"]),
        ("unknown, not there", vec![refused(59)], &complete, 10, &["IdentityRenewed"]),
        ("too large", vec![refused(10)], &complete, 10, &[]),
        (
            "too large, and half of it is there without an answer",
            vec![refused(10), appended(45)],
            &complete,
            10,
            &["landed: true, ordinal: 6"],
        ),
        (
            "too large, and half of it is out of order",
            vec![refused(10), Reply::AsItIs, refused(45)],
            &contended,
            6,
            &["landed: false, ordinal: 6"],
        ),
    ];
    for (name, replies, stop, records, told) in table {
        let lab = Lab::new(TEN_ROWS);
        let mut world = Hurry::default();
        let script = Script { replies, ..Script::default() };
        let outcome = lab.run_beside(script, &mut world);
        assert_eq!(outcome.stop, *stop, "{name}");
        let entries = lab.entries("t");
        assert_eq!(entries.len(), records, "{name}");
        for part in told {
            let is_told = world.told.iter().any(|event| event.contains(part));
            assert!(is_told, "{name}: {part}: {:#?}", world.told);
        }
        let item = lab.item();
        let producers = item.main.producers.unwrap();
        if name == "unknown, not there" {
            assert_eq!(producers.len(), 2);
            assert!(entries.iter().all(|entry| entry.producer_id == producers[1].id));
            assert!(world.ms >= PRODUCE_TIMEOUT_MS, "what is on its way is waited for");
        } else {
            assert_eq!(producers.len(), 1, "{name}");
        }
        let numbers: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
        let expected: Vec<_> = (0..).take(records).collect();
        assert_eq!(numbers, expected, "{name}");
    }
}

#[test]
fn an_offset_that_goes_back() {
    let text = "id,name\n".to_owned() + &"1,abcdefgh\n".repeat(200);
    for base_offset in [0, 5] {
        let lab = Lab::new(&text).with(|job| job.compression = Compression::None);
        let replies = vec![Reply::AsItIs, Reply::At { base_offset }];
        let script = Script { replies, ..Script::default() };
        let stop = lab.run_beside(script, &mut Hurry::default()).stop;
        let refused = matches!(stop, Stop::OffsetWentBack { .. });
        assert!(refused, "{base_offset}: {stop:?}");
    }
}

/// An answer that no log can give: what comes after it can not be counted.
#[test]
fn an_offset_beside_the_last_one_that_there_can_be() {
    let text = "id,name\n".to_owned() + &"1,abcdefgh\n".repeat(200);
    for base_offset in [i64::MAX, i64::MAX - 1] {
        let lab = Lab::new(&text).with(|job| job.compression = Compression::None);
        let replies = vec![Reply::At { base_offset }, Reply::Refused { error_code: 45 }];
        let script = Script { replies, ..Script::default() };
        let stop = lab.run_beside(script, &mut Hurry::default()).stop;
        let is_right = matches!(stop, Stop::Truncated { expected: i64::MAX, .. });
        assert!(is_right, "{base_offset}: {stop:?}");
    }
}

#[test]
fn a_pause_that_the_broker_asks_for() {
    for (throttle_ms, times) in [(0, 0), (700, 1)] {
        let lab = Lab::new(TEN_ROWS);
        let mut world = Hurry::default();
        let replies = vec![Reply::Appended { error_code: 0, throttle_ms }];
        let outcome = lab.run_beside(Script { replies, ..Script::default() }, &mut world);
        assert_eq!(outcome.stop, Stop::Complete { rows: 10 });
        assert_eq!(outcome.summary.throttled_ms, throttle_ms);
        let told = world.told.iter().filter(|event| event.starts_with("Throttled")).count();
        assert_eq!(told, times);
    }
}

/// An answer that does not come is waited for, then the batch is sent again.
#[test]
fn an_answer_that_is_late() {
    for (looks, retries) in [(20, 0), (u32::MAX, 1)] {
        let lab = Lab::new(TEN_ROWS);
        let mut world = Hurry { look_ms: 9, ..Hurry::default() };
        let script =
            Script { replies: vec![Reply::Late { looks, error_code: 0 }], ..Script::default() };
        let outcome = lab.run_beside(script, &mut world);
        assert_eq!(outcome.stop, Stop::Complete { rows: 10 });
        let said = format!("in {} s", ANSWER_TIMEOUT_MS / 1000);
        let told = world.told.iter().filter(|event| event.contains(&said)).count();
        assert_eq!(told, retries, "{:#?}", world.told);
        assert_eq!(world.ms > ANSWER_TIMEOUT_MS, retries > 0, "{}", world.ms);
        assert_eq!(lab.entries("t").len(), 10);
    }
}

/// A run that is asked to stop gives the batch in flight one more look.
#[test]
fn a_stop_with_a_batch_in_flight() {
    // At which look the answer is there, if the run looks only until then.
    let mut settled = std::collections::BTreeSet::new();
    for looks in 0..40 {
        let lab = Lab::new(TEN_ROWS);
        let mut world = Hurry { stop_at_ms: Some(100), ..Hurry::default() };
        let script =
            Script { replies: vec![Reply::Late { looks, error_code: 0 }], ..Script::default() };
        let stop = lab.run_beside(script, &mut world).stop;
        let item = lab.item();
        if stop != (Stop::Complete { rows: 10 }) {
            assert_eq!(stop, Stop::Interrupted { by: "SIGTERM" });
            assert_eq!(stop.exit_code(), EXIT_AGAIN);
            assert_eq!(item.status, Some(Status::Interrupted));
            assert_eq!(item.last_line, Some(lab.entries("t").len() as u64));
            settled.insert(item.last_line);
            // The next run goes on, with nothing repeated.
            assert_eq!(lab.run(), Stop::Complete { rows: 10 });
        }
        assert_eq!(lab.entries("t").len(), 10);
    }
    assert!(settled.contains(&Some(10)), "the last look brings an answer: {settled:?}");
    assert!(settled.contains(&Some(0)), "or none: {settled:?}");
}

/// An item that somebody has damaged: numbers that can not be, attributes that are gone. The run
/// says so, or copies what is missing; whatever it does, it ends in good order.
#[test]
fn a_damaged_item() {
    let text = "id,name\n1,a\n2\n3,c\n4,d\n5\n6,f\n7,g\n8\n9,i\n";
    let lab =
        || Lab::new(text).with(|job| job.on_bad_row = OnBadRow::SetAside { topic: "d".into() });
    let begun = lab().with(|job| job.rows_max = Some(5));
    assert_eq!(begun.run(), Stop::RowsReached { rows: 5 });
    let good: serde_json::Value =
        serde_json::from_slice(&std::fs::read(begun.dir.join("ledger.json")).unwrap()).unwrap();
    let paths: Vec<String> = good["j"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(name, value)| match value {
            serde_json::Value::Array(_) => ["id", "epoch", "base_record", "first_offset"]
                .map(|part| format!("/j/{name}/0/{part}"))
                .into_iter()
                .chain([format!("/j/{name}")])
                .collect(),
            _ => vec![format!("/j/{name}")],
        })
        .collect();
    let mut broken = Vec::new();
    // The source is the lab's own file.
    for path in paths.iter().filter(|path| *path != "/j/source") {
        let mut values = vec![serde_json::Value::Null];
        if good.pointer(path).unwrap().is_number() {
            values.extend(
                [
                    0,
                    1,
                    4,
                    6,
                    u64::from(u32::MAX),
                    1 << 32,
                    i64::MAX as u64 - 1,
                    i64::MAX as u64,
                    u64::MAX,
                ]
                .map(serde_json::Value::from),
            );
            values.extend([-1, -2, i64::MIN].map(serde_json::Value::from));
        }
        for value in values {
            let lab = lab();
            for topic in ["t", "d"] {
                std::fs::create_dir_all(lab.log_dir(topic)).unwrap();
                for file in std::fs::read_dir(begun.log_dir(topic)).unwrap() {
                    let file = file.unwrap();
                    std::fs::copy(file.path(), lab.log_dir(topic).join(file.file_name())).unwrap();
                }
            }
            let mut item = good.clone();
            if value.is_null() && !path.contains("/0/") {
                item["j"].as_object_mut().unwrap().remove(path.rsplit('/').next().unwrap());
            } else {
                *item.pointer_mut(path).unwrap() = value.clone();
            }
            item["j"]["source"] = lab.job.source.clone().into();
            std::fs::write(lab.dir.join("ledger.json"), item.to_string()).unwrap();
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab.run()));
            let entries = |topic: &str| {
                lab.entries(topic)
                    .into_iter()
                    .map(|entry| String::from_utf8(entry.value).unwrap())
                    .collect::<Vec<_>>()
            };
            match ran {
                Err(why) => {
                    broken.push(format!("{path} = {value}: {:?}", why.downcast_ref::<String>()));
                }
                Ok(stop @ Stop::Complete { .. }) => {
                    let lines: Vec<_> = entries("t")
                        .iter()
                        .map(|text| {
                            text.split("_source_line\":")
                                .nth(1)
                                .unwrap()
                                .split(',')
                                .next()
                                .unwrap()
                                .to_owned()
                        })
                        .collect();
                    if lines != ["1", "3", "4", "6", "7", "9"] || entries("d").len() != 3 {
                        broken.push(format!(
                            "{path} = {value}: {stop:?} {lines:?} {}",
                            entries("d").len()
                        ));
                    }
                }
                Ok(_) => {}
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A header that was cut short, or more than it: it is not read as the whole one.
#[test]
fn an_item_that_says_another_header() {
    for (text, header, right) in [
        ("id,name\n1,a\n2,b\n3,c\n", Header::First, 8..=8),
        // A header that ends between the two is whole all the same.
        ("id,name\r\n1,a\r\n2,b\r\n3,c\r\n", Header::First, 8..=9),
        ("id,name\r1,a\r2,b\r3,c", Header::First, 8..=8),
        ("\u{feff}\n\"i\nd\",name\n1,a\n2,b\n3,c\n", Header::First, 15..=15),
        ("1,a\n2,b\n3,c\n", Header::None, 0..=0),
        ("\u{feff}1,a\n2,b\n3,c\n", Header::None, 3..=3),
        ("id,name", Header::First, 7..=7),
        ("id,name\n", Header::First, 8..=8),
    ] {
        let lab = || {
            Lab::new(text).with(|job| {
                job.csv.header = header;
                job.on_bad_row = OnBadRow::SetAside { topic: "d".into() };
                if header == Header::None {
                    job.csv.columns = ["id", "name"].map(str::to_owned).to_vec();
                }
            })
        };
        let values = |lab: &Lab| {
            let source = lab.job.source.clone();
            let text = |entry: Entry| String::from_utf8(entry.value).unwrap();
            let texts = lab.entries("t").into_iter().map(text);
            texts.map(|text| text.replace(&source, "")).collect::<Vec<_>>()
        };
        let whole = lab().load();
        for header_bytes in 0..=text.len() as u64 {
            let lab = lab().with(|job| job.rows_max = Some(1));
            let rows = values(&whole).len() as u64;
            let begun = lab.run();
            if rows > 0 {
                assert_eq!(begun, Stop::RowsReached { rows: 1 });
            }
            let lab = lab.with(|job| job.rows_max = None);
            let ledger = lab.dir.join("ledger.json");
            let mut item: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&ledger).unwrap()).unwrap();
            assert!(right.contains(&item["j"]["header_bytes"].as_u64().unwrap()), "{text:?}");
            item["j"]["header_bytes"] = header_bytes.into();
            item["j"]["status"] = "INTERRUPTED".into();
            std::fs::write(&ledger, item.to_string()).unwrap();
            let stop = lab.run();
            // A byte order mark may be there or not: no row is read from its end here.
            let is_mark = header == Header::None && [0, 3].contains(&header_bytes);
            if right.contains(&header_bytes) || is_mark {
                assert_eq!(stop, Stop::Complete { rows }, "{text:?} {header_bytes}");
                assert_eq!(values(&lab), values(&whole), "{text:?} {header_bytes}");
            } else {
                let Stop::Refused { problem, .. } = stop else {
                    panic!("{text:?} {header_bytes}: {stop:?}")
                };
                let expected = format!("damaged: header_bytes is {header_bytes}, but");
                assert!(problem.contains(&expected), "{problem}");
                assert_eq!(lab.entries("d").len(), 0);
            }
        }
    }
}
