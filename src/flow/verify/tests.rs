//! A copy into the embedded log, then harm to the log, to the source or to the item, and what
//! the proof says of it.

mod items;

use std::fs;

use super::{Asked, Depth, Difference, Found, Verdict, is_deleted};
use crate::flow::job::Job;
use crate::flow::ports::{Fault, Guard, Ledger, Mark, ReadTo};
use crate::flow::run;
use crate::flow::tests::golden::golden;
use crate::flow::tests::lab::{Entry, Hurry, Lab, Script, TEN_ROWS};
use crate::limits::{PROGRESS_MS, SHORT_LOG_PATIENCE_MS};
use crate::settings::OnBadRow;
use crate::stop::{EXIT_AGAIN, EXIT_MEND, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, LaneItem, OnlyIf, Status};

fn many_rows(count: usize) -> String {
    let rows = (1..=count).map(|row| format!("{row},\"na\"\"me\n{row}\",\n"));
    "id,name,empty\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn a_copy_is_proved_both_ways() {
    for (text, rows) in [(many_rows(2_000), 2_000), (TEN_ROWS.to_owned(), 10), ("a\n".into(), 0)] {
        let lab = Lab::new(&text).load();
        let batches = lab.entries("t").len();
        assert_eq!(batches as u64, rows);
        for depth in [Depth::Full, Depth::Headers] {
            let proof = lab.verify(depth, true).unwrap();
            assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
            assert_eq!((proof.rows, proof.main.records, proof.main.others), (rows, rows, 0));
            let last = (rows > 0).then(|| i64::try_from(rows).unwrap() - 1);
            assert_eq!(proof.main.first_offset, (rows > 0).then_some(0));
            assert_eq!(proof.main.last_offset, last);
            assert_eq!(proof.not_stored, None);
        }
    }
}

/// What any other tool makes of the values: `(cat values; each with a line feed) | sha256sum`.
#[test]
fn the_digest_is_that_of_the_values() {
    use sha2::{Digest as _, Sha256};
    let lab = Lab::new(TEN_ROWS).load();
    let mut text = Vec::new();
    for entry in lab.entries("t") {
        text.extend_from_slice(&entry.value);
        text.push(b'\n');
    }
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    let digest = Sha256::digest(&text).iter().fold("sha256:".to_owned(), hex);
    assert_eq!(lab.full().main.digest, Some(digest));
}

#[test]
fn the_result_goes_into_the_item_and_nothing_else_changes() {
    let lab = Lab::new(TEN_ROWS).load();
    let before = lab.item();
    let proof = lab.full();
    let expected = Checkpoint {
        digest: proof.main.digest.clone(),
        verified_at: Some(proof.verified_at),
        ..before.clone()
    };
    assert_eq!(lab.item(), expected);
    assert!(before.digest.is_none() && before.verified_at.is_none());
    assert!((1_800_000_000..1_800_000_060).contains(&proof.verified_at), "{proof:?}");
    assert!(expected.digest.is_some());
}

#[test]
fn a_difference_is_not_written_down() {
    let lab = Lab::new(TEN_ROWS).load();
    let before = lab.item();
    lab.edit(|entries| entries[3].value[1] ^= 1);
    assert_eq!(lab.full().verdict(), Verdict::Differs);
    assert_eq!(lab.item(), before);
}

/// Each kind of harm to a partition: what the whole comparison finds, and whether the batch
/// headers alone show it.
#[test]
fn each_harm_is_found() {
    type Edit = fn(&mut Vec<Entry>);
    let value = |row, byte_offset, offset, at, holds| Difference::Value {
        row,
        byte_offset,
        offset,
        at: Some(at),
        holds,
    };
    let missing = |first, last, before_offset| Difference::Missing {
        rows: Some((first, last)),
        count: last - first + 1,
        before_offset,
    };
    let table: [(&str, Edit, Vec<Difference>, Verdict); 11] = [
        ("nothing", |_| {}, vec![], Verdict::Proved),
        (
            "a row missing",
            |entries| drop(entries.remove(4)),
            vec![missing(5, 5, Some(4))],
            Verdict::Differs,
        ),
        (
            "the first row missing",
            |entries| drop(entries.remove(0)),
            vec![missing(1, 1, Some(0))],
            Verdict::Differs,
        ),
        (
            "a row repeated",
            |entries| entries.insert(5, entries[4].clone()),
            vec![Difference::Repeated { record: 5, count: 1, row: Some(5), offset: 5 }],
            Verdict::Differs,
        ),
        (
            "two rows swapped, their numbers with them",
            |entries| entries.swap(2, 3),
            vec![
                missing(3, 3, Some(2)),
                Difference::Repeated { record: 3, count: 1, row: Some(3), offset: 3 },
            ],
            Verdict::Differs,
        ),
        (
            "two values swapped",
            |entries| {
                let value = entries[2].value.clone();
                entries[2].value = std::mem::replace(&mut entries[3].value, value);
            },
            vec![value(3, 16, 2, 7, Some(4)), value(4, 20, 3, 7, Some(3))],
            Verdict::Proved,
        ),
        (
            "a byte altered",
            |entries| entries[8].value[17] ^= 1,
            vec![value(9, 40, 8, 17, None)],
            Verdict::Proved,
        ),
        (
            "a key where there was none",
            |entries| entries[8].key = Some(b"k".to_vec()),
            vec![Difference::Key { row: 9, byte_offset: 40, offset: 8 }],
            Verdict::Proved,
        ),
        (
            "a record of another producer in between",
            |entries| entries.insert(3, Entry::of_another(b"theirs")),
            vec![],
            Verdict::Proved,
        ),
        (
            "a truncated partition",
            |entries| entries.truncate(7),
            vec![missing(8, 10, None)],
            Verdict::Differs,
        ),
        (
            "a record too many",
            |entries| entries.push(Entry { sequence: 10, ..entries[9].clone() }),
            vec![Difference::Extra { record: 11, offset: 10 }],
            Verdict::Differs,
        ),
    ];
    for (name, edit, expected, by_headers) in table {
        let lab = Lab::new(TEN_ROWS).load();
        lab.edit(edit);
        let proof = lab.full();
        assert_eq!(proof.main.differences, expected, "{name}");
        let verdict = if expected.is_empty() { Verdict::Proved } else { Verdict::Differs };
        assert_eq!(proof.verdict(), verdict, "{name}");
        let proof = lab.verify(Depth::Headers, false).unwrap();
        assert_eq!(proof.verdict(), by_headers, "{name}: {:?}", proof.main.differences);
    }
}

#[test]
fn others_are_counted_and_matter_only_where_asked() {
    let lab = Lab::new(TEN_ROWS).load();
    let again = lab.entries("t")[0].value.clone();
    lab.edit(|entries| {
        entries.insert(3, Entry::of_another(b"theirs"));
        entries.push(Entry::of_another(&again));
    });
    for (depth, of_source) in [(Depth::Full, 1), (Depth::Headers, 0)] {
        let proof = lab.verify(depth, false).unwrap();
        assert_eq!(proof.verdict(), Verdict::Proved);
        assert_eq!((proof.main.others, proof.main.others_of_source), (2, of_source));
        let proof = lab.verify(depth, true).unwrap();
        assert_eq!(proof.main.differences, [Difference::Others { count: 2, offset: 3 }]);
        assert_eq!(proof.verdict().exit_code(), EXIT_MEND);
    }
}

#[test]
fn what_retention_has_deleted_is_not_missing() {
    let lab = Lab::new(TEN_ROWS).load();
    let entries = lab.entries("t");
    for (kept, deleted) in [(4, 4), (9, 9)] {
        lab.forge("t", kept, &entries[kept..]);
        for depth in [Depth::Full, Depth::Headers] {
            let proof = lab.verify(depth, false).unwrap();
            assert_eq!(proof.verdict(), Verdict::Undecided, "{depth:?} {kept}: {proof:?}");
            assert_eq!((proof.main.deleted, proof.main.difference_count), (deleted, 0));
            assert_eq!(proof.verdict().exit_code(), EXIT_AGAIN);
        }
    }
    // What begins no later than the job is whole: what is not there is missing.
    for start in [2, 3] {
        let lab = Lab::new(TEN_ROWS);
        drop(lab.log("t"));
        lab.forge("t", 0, &[(); 3].map(|()| Entry::of_another(b"theirs")));
        let lab = lab.load();
        let mut entries = lab.entries("t");
        entries.remove(3);
        lab.forge("t", start, &entries[start..]);
        for depth in [Depth::Full, Depth::Headers] {
            let proof = lab.verify(depth, false).unwrap();
            assert_eq!(proof.verdict(), Verdict::Differs, "{depth:?} {start}: {proof:?}");
            assert_eq!(proof.main.deleted, 0);
        }
    }
    // A difference in what is left is one all the same.
    let mut left = entries[4..].to_vec();
    left[2].value[3] ^= 1;
    lab.forge("t", 4, &left);
    assert_eq!(lab.full().verdict(), Verdict::Differs);
    // All of the job is deleted; what is there is another's.
    lab.forge("t", 10, &[Entry::of_another(b"theirs")]);
    for depth in [Depth::Full, Depth::Headers] {
        let proof = lab.verify(depth, false).unwrap();
        assert_eq!((proof.verdict(), proof.main.deleted), (Verdict::Undecided, 10), "{depth:?}");
    }
}

#[test]
fn a_partition_that_begins_behind_the_job() {
    for (first_offset, adopted, start, deleted) in [
        (Some(3), 0, 3, false),
        (Some(3), 0, 4, true),
        // Where the item does not say it: from the identity on.
        (None, 0, 5, false),
        (None, 0, 6, true),
        // Where the Python processor's first row lay is not known.
        (Some(9), 1, 2, true),
    ] {
        let lane = LaneItem { first_offset, ..LaneItem::default() };
        assert_eq!(is_deleted(&lane, adopted, start, 5), deleted, "{first_offset:?} {start}");
    }
}

#[test]
fn a_source_that_is_another_one_is_refused() {
    let lab = Lab::new(TEN_ROWS).load();
    fs::write(lab.dir.join("in.csv"), TEN_ROWS.replace("3,c", "3,x")).unwrap();
    let stop = lab.verify(Depth::Full, false).unwrap_err();
    assert!(matches!(stop, Stop::SourceReplaced { .. }), "{stop:?}");
    assert_eq!(stop.exit_code(), EXIT_MEND);
    // The headers need no source.
    assert_eq!(lab.verify(Depth::Headers, false).unwrap().verdict(), Verdict::Proved);
}

/// A local file is pinned by its size and both ends: a change in its middle is found here.
#[test]
fn a_change_in_the_middle_of_a_file_is_found() {
    let text = many_rows(20_000);
    let lab = Lab::new(&text).load();
    let row = text.find("\n10000,").unwrap() + 1;
    let mut changed = text.into_bytes();
    changed[row + 8] = b'X';
    fs::write(lab.dir.join("in.csv"), changed).unwrap();
    let proof = lab.full();
    let [Difference::Value { row: 10_000, byte_offset, offset: 9_999, .. }] =
        proof.main.differences[..]
    else {
        panic!("{:?}", proof.main.differences)
    };
    assert_eq!(byte_offset, row as u64);
}

#[test]
fn dead_letters_are_looked_up_in_their_topic() {
    let text = "id,name\n1,a\n2\n3,c\n4,d,e\n5,e\n6\n";
    let set_aside =
        |job: &mut Job| job.on_bad_row = OnBadRow::SetAside { topic: "dead".to_owned() };
    let lab = Lab::new(text).with(set_aside).load();
    for depth in [Depth::Full, Depth::Headers] {
        let proof = lab.verify(depth, true).unwrap();
        let dead = proof.dead.as_ref().unwrap();
        assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
        assert_eq!((proof.rows, proof.main.records, dead.records), (6, 3, 3));
        assert_eq!((dead.topic.as_str(), dead.last_offset), ("dead", Some(2)));
    }
    let mut entries = lab.entries("dead");
    entries.remove(1);
    lab.forge("dead", 0, &entries);
    let proof = lab.full();
    assert_eq!(proof.main.differences, []);
    let missing = Difference::Missing { rows: Some((4, 4)), count: 1, before_offset: Some(1) };
    assert_eq!(proof.dead.as_ref().unwrap().differences, [missing]);
    assert_eq!(proof.verdict(), Verdict::Differs);
    assert_eq!(lab.verify(Depth::Headers, false).unwrap().verdict(), Verdict::Differs);
}

#[test]
fn keys_are_compared() {
    let key = |job: &mut Job| job.key_column = Some("name".to_owned());
    let lab = Lab::new(TEN_ROWS).with(key).load();
    assert_eq!(lab.full().verdict(), Verdict::Proved);
    lab.edit(|entries| entries[1].key = Some(b"B".to_vec()));
    assert_eq!(
        lab.full().main.differences,
        [Difference::Key { row: 2, byte_offset: 12, offset: 1 }]
    );
}

/// Rows that the Python processor sent, in its order of members and with its spaces.
#[test]
fn adopted_rows_are_compared_as_json() {
    let lab = Lab::new(TEN_ROWS);
    let source = lab.job.source.clone();
    let python = |row: usize, name: &str| {
        Entry::of_another(
            format!(
                r#"{{"_source_file": "{source}", "_source_line": {row}, "name": "{name}", "id": "{row}"}}"#
            )
            .as_bytes(),
        )
    };
    drop(lab.log("t"));
    lab.forge("t", 0, &[Entry::of_another(b"x"), python(1, "a"), python(2, "b"), python(3, "c")]);
    let item = Checkpoint {
        job_id: "j".to_owned(),
        last_line: Some(2),
        total_sent: Some(2),
        timestamp: Some(1),
        ..Checkpoint::default()
    };
    let nobody = OnlyIf { holder: Holder::Nobody, identities: Identities::Any };
    lab.ledger().store(&item, &nobody).unwrap();
    let lab = lab.load();
    let proof = lab.full();
    assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
    assert_eq!((proof.rows, proof.main.records, proof.main.adopted), (10, 10, 3));
    assert_eq!((proof.main.others, proof.main.first_offset), (1, Some(1)));
    // Headers tell nothing of rows without a sequence.
    let proof = lab.verify(Depth::Headers, false).unwrap();
    assert_eq!((proof.verdict(), proof.unproved), (Verdict::Undecided, 3));
    assert_eq!((proof.main.records, proof.main.others), (7, 0));

    let entries = lab.entries("t");
    let mut altered = entries.clone();
    altered[2].value = python(2, "B").value;
    lab.forge("t", 0, &altered);
    let differs = Difference::Value { row: 2, byte_offset: 12, offset: 2, at: None, holds: None };
    assert_eq!(lab.full().main.differences, [differs]);
    for row in [1, 2] {
        let mut lost = entries.clone();
        lost.remove(row);
        lab.forge("t", 0, &lost);
        let rows = Some((row as u64, row as u64));
        let before_offset = Some(i64::try_from(row).unwrap());
        let missing = Difference::Missing { rows, count: 1, before_offset };
        assert_eq!(lab.full().main.differences, [missing]);
    }
}

#[test]
fn only_the_first_differences_are_told_one_by_one() {
    let lab = Lab::new(&many_rows(50)).load();
    lab.edit(|entries| entries.iter_mut().for_each(|entry| entry.value[2] ^= 1));
    let proof = lab.full();
    assert_eq!((proof.main.differences.len(), proof.main.difference_count), (20, 50));
}

#[test]
fn a_job_that_is_not_there_or_not_complete() {
    let lab = Lab::new(TEN_ROWS);
    let stop = lab.verify(Depth::Full, false).unwrap_err();
    assert_eq!(stop, Stop::NoSuchJob { job_id: "j".to_owned() });
    assert_eq!(stop.exit_code(), EXIT_MEND);
    let lab = lab.with(|job| job.rows_max = Some(3));
    let outcome = lab.with_ports(|ports| run(&lab.job, ports));
    assert!(matches!(outcome.stop, Stop::RowsReached { .. }), "{:?}", outcome.stop);
    let stop = lab.verify(Depth::Full, false).unwrap_err();
    assert!(matches!(stop, Stop::NotYetComplete { .. }), "{stop:?}");
    assert_eq!(stop.exit_code(), EXIT_AGAIN);
}

#[test]
fn a_partition_that_was_made_again() {
    let lab = Lab::new(TEN_ROWS).load();
    let entries = lab.entries("t");
    fs::remove_dir_all(lab.log_dir("t")).unwrap();
    drop(lab.log("t"));
    lab.forge("t", 0, &entries);
    let stop = lab.verify(Depth::Full, false).unwrap_err();
    assert!(matches!(stop, Stop::WrongCluster { .. } | Stop::TopicRemade { .. }), "{stop:?}");
}

/// The job that is read back from an item is the one that was pinned.
#[test]
fn the_pins_are_read_back() {
    let changes: [fn(&mut Job); 4] = [
        |_| {},
        |job| {
            job.csv.delimiter = b'\t';
            job.csv.quote = None;
            job.csv.row_bytes_max = 500;
        },
        |job| {
            job.csv.header = crate::settings::Header::None;
            job.csv.columns = vec!["a,\"1\"".to_owned(), "é".to_owned()];
            job.key_column = Some("é".to_owned());
        },
        |job| job.on_bad_row = OnBadRow::SetAside { topic: "dead".to_owned() },
    ];
    for change in changes {
        let lab = Lab::new(TEN_ROWS).with(change);
        let job = &lab.job;
        let item = Checkpoint {
            job_id: "j".to_owned(),
            source: Some(job.source.clone()),
            main: crate::flow::job::lane_item(&job.target),
            dlq: job.dead_target().as_ref().map(crate::flow::job::lane_item).unwrap_or_default(),
            settings: Some(job.pinned_settings()),
            status: Some(Status::Completed),
            ..Checkpoint::default()
        };
        let read = Job::reader("j".into(), String::new(), 1).of_item(&item, Vec::new()).unwrap();
        assert_eq!(read.csv, crate::settings::Csv { delimiter_given: true, ..job.csv.clone() });
        // Where the item has their names, or that there are none, others do not matter.
        let others = vec!["x".to_owned()];
        let again = Job::reader("j".into(), String::new(), 1).of_item(&item, others).unwrap();
        assert_eq!(again.csv, read.csv);
        assert_eq!((&read.key_column, &read.on_bad_row), (&job.key_column, &job.on_bad_row));
        assert_eq!((&read.source, &read.target), (&job.source, &job.target));
        // Columns of which only the digest is pinned must be given again.
        let long: Vec<String> = (0..500).map(|n| format!("column{n}")).collect();
        let mut job = job.clone();
        job.csv.columns.clone_from(&long);
        let item = Checkpoint { settings: Some(job.pinned_settings()), ..item };
        let reader = || Job::reader("j".into(), String::new(), 1);
        assert!(matches!(
            reader().of_item(&item, Vec::new()).unwrap_err(),
            Stop::PinsDiffer { .. }
        ));
        assert_eq!(reader().of_item(&item, long.clone()).unwrap().csv.columns, long);
    }
}

#[test]
fn records_from_before_the_job_are_not_among_the_others() {
    let lab = Lab::new(TEN_ROWS);
    drop(lab.log("t"));
    lab.forge("t", 0, &[Entry::of_another(b"theirs"), Entry::of_another(b"theirs too")]);
    let lab = lab.load();
    for depth in [Depth::Full, Depth::Headers] {
        let proof = lab.verify(depth, true).unwrap();
        assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
        assert_eq!((proof.main.others, proof.main.first_offset), (0, Some(2)));
    }
}

const FULL: Asked = Asked { depth: Depth::Full, exclusive: false };

/// A leader that does not have the last record yet is waited for, and not for ever.
#[test]
fn a_log_that_is_short_for_a_while() {
    let lab = Lab::new(TEN_ROWS).load();
    let short_for = |looks: u32| {
        let mut left = looks;
        let offset = move |mark| match mark {
            Mark::Start => None,
            Mark::EpochEnd { .. } => Some(9),
            Mark::VisibleEnd => {
                let is_short = left > 0;
                left = left.saturating_sub(1);
                is_short.then_some(9)
            }
        };
        Script { offset: Some(Box::new(offset)), ..Script::default() }
    };
    let mut world = Hurry::default();
    let proof = lab.verify_beside(FULL, short_for(3), &mut world).unwrap();
    assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
    assert!((3_000..6_000).contains(&world.ms), "{}", world.ms);
    let mut world = Hurry::default();
    let proof = lab.verify_beside(FULL, short_for(u32::MAX), &mut world).unwrap();
    let missing = Difference::Missing { rows: Some((10, 10)), count: 1, before_offset: None };
    assert_eq!(proof.main.differences, [missing]);
    let waited = SHORT_LOG_PATIENCE_MS..SHORT_LOG_PATIENCE_MS + 2_000;
    assert!(waited.contains(&world.ms), "{}", world.ms);
}

#[test]
fn a_whole_log_is_not_waited_for() {
    let lab = Lab::new(TEN_ROWS).load();
    let mut world = Hurry::default();
    lab.verify_beside(FULL, Script::default(), &mut world).unwrap();
    assert!(world.ms < 100, "{}", world.ms);
}

/// What a read may answer beside records, and what the proof makes of it.
#[test]
fn reads_that_bring_no_records() {
    let lab = Lab::new(TEN_ROWS).load();
    let once = |answer: Result<ReadTo, Fault>| {
        let mut answer = Some(answer);
        Script { read: Some(Box::new(move |_| answer.take())), ..Script::default() }
    };
    let deleted = |log_start| once(Ok(ReadTo::Deleted { log_start }));
    for depth in [Depth::Full, Depth::Headers] {
        let asked = Asked { depth, exclusive: false };
        // Retention moves on while it is read; at least by one record.
        for (log_start, gone) in [(4, 4), (0, 1)] {
            let mut world = Hurry::default();
            let proof = lab.verify_beside(asked, deleted(log_start), &mut world).unwrap();
            assert_eq!((proof.main.deleted, proof.main.difference_count), (gone, 0), "{proof:?}");
            assert_eq!(proof.verdict(), Verdict::Undecided);
        }
        let mut world = Hurry::default();
        let nothing = once(Ok(ReadTo::Offset(0)));
        let proof = lab.verify_beside(asked, nothing, &mut world).unwrap();
        assert_eq!(proof.verdict(), Verdict::Proved);
        assert!(world.told.iter().any(|event| event.starts_with("Retry")), "{:?}", world.told);
    }
    let mut reads = 0;
    let never = move |from| {
        reads += 1;
        assert!(reads < 100, "it is asked for ever");
        Some(Ok(ReadTo::Offset(from)))
    };
    let script = Script { read: Some(Box::new(never)), ..Script::default() };
    let stop = lab.verify_beside(FULL, script, &mut Hurry::default()).unwrap_err();
    assert!(matches!(stop, Stop::GaveUp { .. }), "{stop:?}");
}

#[test]
fn a_long_proof_tells_how_far_it_is() {
    let lab = Lab::new(TEN_ROWS).load();
    for (look_ms, times) in [(0, 0), (PROGRESS_MS, 1)] {
        let mut world = Hurry { look_ms, ..Hurry::default() };
        lab.verify_beside(FULL, Script::default(), &mut world).unwrap();
        let told: Vec<_> =
            world.told.iter().filter(|event| event.starts_with("Progress")).collect();
        assert_eq!(told.len(), times, "{told:?}");
        for event in told {
            for part in ["row: 10,", "rows_here: 10,", "byte_offset: 10,", "source_bytes: 10,"] {
                assert!(event.contains(part), "{part} {event}");
            }
            assert!(!event.contains("elapsed_ms: 0"), "{event}");
        }
    }
}

/// What was shown before a read failed is not counted again when it is read again.
#[test]
fn a_read_that_fails_after_its_records() {
    let lab = Lab::new(TEN_ROWS).load();
    for depth in [Depth::Full, Depth::Headers] {
        let mut fault = Some(Fault::passing("cut"));
        let read_after: Option<Box<dyn FnMut(()) -> Option<Fault>>> =
            Some(Box::new(move |()| fault.take()));
        let script = Script { read_after, ..Script::default() };
        let asked = Asked { depth, exclusive: true };
        let proof = lab.verify_beside(asked, script, &mut Hurry::default()).unwrap();
        assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
        assert_eq!((proof.main.records, proof.main.last_offset), (10, Some(9)));
        assert_eq!(proof.main.digest, lab.verify(depth, true).unwrap().main.digest);
    }
}

/// A bad row that the Python processor took is a record there, and no dead letter here; what it
/// made of it is not compared. Its rows after ours began are others.
#[test]
fn a_bad_row_among_the_adopted_ones() {
    let set_aside =
        |job: &mut Job| job.on_bad_row = OnBadRow::SetAside { topic: "dead".to_owned() };
    let lab = Lab::new("id,name\n1,a\n2\n3,c\n4,d\n5\n6,f\n").with(set_aside);
    let source = lab.job.source.clone();
    let python = |row: usize, name: &str| {
        let value = format!(
            r#"{{"id":"{row}","name":"{name}","_source_line":{row},"_source_file":"{source}"}}"#
        );
        Entry::of_another(value.as_bytes())
    };
    drop(lab.log("t"));
    lab.forge("t", 0, &[python(1, "a"), python(2, "?"), python(3, "c")]);
    let item = Checkpoint {
        job_id: "j".to_owned(),
        last_line: Some(3),
        total_sent: Some(3),
        timestamp: Some(1),
        ..Checkpoint::default()
    };
    let nobody = OnlyIf { holder: Holder::Nobody, identities: Identities::Any };
    lab.ledger().store(&item, &nobody).unwrap();
    let lab = lab.load();
    let proof = lab.full();
    assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
    assert_eq!((proof.main.records, proof.main.adopted, proof.main.others), (5, 3, 0));
    assert_eq!(proof.dead.as_ref().map(|dead| dead.records), Some(1));
    lab.edit(|entries| {
        entries.insert(3, python(2, "?"));
        entries.push(python(1, "a"));
    });
    let proof = lab.full();
    assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
    assert_eq!((proof.main.records, proof.main.others, proof.main.others_of_source), (5, 2, 2));
}

/// Records around the largest that a batch takes, key included: the proof draws the line where
/// the copy drew it, to the byte.
#[test]
fn rows_too_large_to_be_records() {
    for (key_column, large) in [(Some("name"), 1_650..1_800), (None, 3_350..3_560)] {
        let lengths: Vec<usize> = (1..120).chain(large).collect();
        let rows = lengths.iter().enumerate();
        let rows = rows.map(|(row, length)| format!("{row},{}\n", "n".repeat(*length)));
        let text = "id,name\n".to_owned() + &rows.collect::<String>();
        let lab = Lab::new(&text)
            .with(|job| {
                job.on_bad_row = OnBadRow::SetAside { topic: "dead".to_owned() };
                job.key_column = key_column.map(str::to_owned);
            })
            .load();
        let proof = lab.full();
        assert_eq!(proof.verdict(), Verdict::Proved, "{proof:?}");
        let dead = proof.dead.as_ref().unwrap().records;
        assert!((10..200).contains(&dead), "{dead}");
        assert_eq!(proof.main.records + dead, lengths.len() as u64);
        let bytes = |entry: &Entry| entry.value.len() + entry.key.as_ref().map_or(0, Vec::len);
        let largest = lab.entries("t").iter().map(bytes).max().unwrap() as u64;
        let bytes_max = lab.item().main.record_bytes_max.unwrap();
        assert!(largest == bytes_max || key_column.is_some(), "{largest}");
    }
}

/// Records without a number: the row that each names tells its place.
#[test]
fn what_the_compatibility_client_sent() {
    type Edit = fn(&mut Vec<Entry>);
    let eleventh = |entries: &mut Vec<Entry>| {
        let mut entry = entries[9].clone();
        let text = String::from_utf8(entry.value).unwrap();
        entry.value = text.replace("_line\":10", "_line\":11").into_bytes();
        entries.push(entry);
    };
    let cases: [(&str, Edit); 11] = [
        ("as it is", |_| ()),
        ("a row is missing", |entries| drop(entries.remove(2))),
        ("two rows are missing", |entries| drop(entries.drain(2..4))),
        ("the first row is missing", |entries| drop(entries.remove(0))),
        ("the last row is missing", |entries| drop(entries.pop())),
        ("all rows are missing", Vec::clear),
        ("a row is there twice", |entries| entries.insert(3, entries[2].clone())),
        ("the first row is there twice", |entries| entries.insert(1, entries[0].clone())),
        ("the first row is there again at the end", |entries| entries.push(entries[0].clone())),
        ("two rows have changed places", |entries| entries.swap(4, 5)),
        ("somebody else writes too", |entries| entries.insert(4, Entry::of_another(b"{}"))),
    ];
    let mut text = String::new();
    for (name, edit) in cases.into_iter().chain([("a row too many", eleventh as Edit)]) {
        let lab = Lab::new(TEN_ROWS);
        let script = Script { guard: Some(Guard::TailOnly), ..Script::default() };
        let stop = lab.run_beside(script, &mut Hurry::default()).stop;
        assert_eq!(stop, Stop::Complete { rows: 10 });
        let by_headers = lab.verify(Depth::Headers, false);
        assert!(matches!(by_headers, Err(Stop::Refused { .. })), "{by_headers:?}");
        lab.edit(edit);
        let proof = lab.full();
        let Found { records, others, deleted, differences, .. } = &proof.main;
        let lines: Vec<String> = differences.iter().map(|found| format!("{found:?}\n")).collect();
        let counts = format!("{records} records, {others} of others, {deleted} deleted");
        let verdict = proof.verdict();
        text +=
            &["=== ", name, "\n", &format!("{verdict:?}: {counts}\n"), &lines.concat()].concat();
    }
    golden("verify_unnumbered", &text);
}
