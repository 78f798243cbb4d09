//! A copy into the embedded log, then harm to the log, to the source or to the item, and what
//! the proof says of it.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use super::{Asked, Depth, Difference, Proof, Verdict, verify};
use crate::event::Event;
use crate::flow::job::{Job, Target};
use crate::flow::lookup::find;
use crate::flow::ports::{BatchVisitor, Broker, Ledger, Now, Ports, ReadTo, Visit, World};
use crate::flow::run;
use crate::port::embedded_log::EmbeddedLog;
use crate::port::file::File;
use crate::port::file_ledger::FileLedger;
use crate::settings::OnBadRow;
use crate::stop::{EXIT_AGAIN, EXIT_MEND, Stop};
use crate::wire::batch_writer::{Added, BatchWriter};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, OnlyIf, Status};
use crate::wire::compress::Compression;
use crate::wire::record_batch::{Batch, BatchHeader};

const TEN_ROWS: &str = "id,name\n1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n7,g\n8,h\n9,i\n10,j\n";
const OTHER: i64 = 999;

/// Time passes with each look at it, and nobody waits for it.
struct Hurry(u64);

impl World for Hurry {
    fn now(&mut self) -> Now {
        self.0 += 1;
        Now { monotonic_ms: self.0, wall_ms: 1_800_000_000_000 + self.0 }
    }

    fn random(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    fn wait(&mut self, wait_ms: u64) {
        self.0 += wait_ms;
    }

    fn stop_asked(&mut self) -> Option<&'static str> {
        None
    }

    fn is_gone(&mut self, _host: &str) -> bool {
        false
    }

    fn tell(&mut self, _event: &Event<'_>) {}
}

/// A source, a log and a ledger in a directory of their own.
struct Lab {
    dir: PathBuf,
    job: Job,
}

/// One record of a log, in a batch of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    producer_id: i64,
    sequence: i32,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
}

impl Entry {
    fn of_another(value: &[u8]) -> Entry {
        Entry { producer_id: OTHER, sequence: 0, key: None, value: value.to_vec() }
    }
}

impl Lab {
    fn new(text: &str) -> Lab {
        thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
        let count = COUNT.replace(COUNT.get() + 1);
        let thread = format!("{:?}", std::thread::current().id());
        let name = format!("csv-to-kafka-proof-{}-{thread}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        fs::create_dir_all(&dir).unwrap();
        let source = dir.join("in.csv");
        fs::write(&source, text).unwrap();
        let job = Job {
            source: format!("file:{}", source.display()),
            target: Target { topic: "t".into(), partition: 0 },
            batch_bytes_max: 4_096,
            compression: Compression::Gzip,
            checkpoint_interval_rows: 100,
            lease_seconds: 15,
            bad_rows_max: 1_000,
            host: "h".into(),
            version: "1".into(),
            ..Job::reader("j".into(), "b:9092".into(), 2)
        };
        Lab { dir, job }
    }

    fn with(mut self, change: impl FnOnce(&mut Job)) -> Lab {
        change(&mut self.job);
        self
    }

    fn log_dir(&self, topic: &str) -> PathBuf {
        self.dir.join(topic)
    }

    fn log(&self, topic: &str) -> EmbeddedLog {
        EmbeddedLog::open(&self.log_dir(topic)).unwrap()
    }

    fn ledger(&self) -> FileLedger {
        FileLedger::new(self.dir.join("ledger.json"))
    }

    fn with_ports<T>(&self, call: impl FnOnce(&mut Ports<'_>) -> T) -> T {
        let mut main = self.log("t");
        let mut dead = self.job.dead_target().map(|target| self.log(&target.topic));
        let mut ports = Ports {
            source: &mut File::new(self.dir.join("in.csv")),
            main: &mut main,
            dead: dead.as_mut().map(|dead| dead as &mut dyn Broker),
            ledger: &mut self.ledger(),
            metrics: None,
            world: &mut Hurry(0),
        };
        call(&mut ports)
    }

    fn load(self) -> Lab {
        let outcome = self.with_ports(|ports| run(&self.job, ports));
        assert!(matches!(outcome.stop, Stop::Complete { .. }), "{:?}", outcome.stop);
        self
    }

    fn item(&self) -> Checkpoint {
        self.ledger().load("j").unwrap().unwrap()
    }

    fn verify(&self, depth: Depth, exclusive: bool) -> Result<Proof, Stop> {
        let reader = Job::reader("j".into(), "b:9092".into(), 2);
        let item = find(&reader, &mut self.ledger(), &mut Hurry(0))?;
        let job = reader.of_item(&item, Vec::new())?;
        self.with_ports(|ports| verify(&job, &item, Asked { depth, exclusive }, ports))
    }

    fn full(&self) -> Proof {
        self.verify(Depth::Full, false).unwrap()
    }

    fn entries(&self, topic: &str) -> Vec<Entry> {
        struct Collect(Vec<Entry>, Option<BatchHeader>);
        impl BatchVisitor for Collect {
            fn batch(&mut self, header: &BatchHeader) -> bool {
                self.1 = Some(*header);
                true
            }
            fn record(&mut self, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
                let header = self.1.unwrap();
                let delta = i32::try_from(offset - header.base_offset).unwrap();
                self.0.push(Entry {
                    producer_id: header.producer_id,
                    sequence: header.base_sequence + delta,
                    key: key.map(<[u8]>::to_vec),
                    value: value.unwrap().to_vec(),
                });
            }
        }
        let mut log = self.log(topic);
        let mut found = Collect(Vec::new(), None);
        let mut next = 0;
        while found.1.is_none_or(|header| header.last_offset() + 1 == next) || next == 0 {
            match log.read(next, i64::MAX, Visit::Batches(&mut found)).unwrap() {
                ReadTo::Offset(to) if to > next => next = to,
                _ => break,
            }
        }
        found.0
    }

    /// Puts a log in the place of the one that is there; `start`: the first offset.
    fn forge(&self, topic: &str, start: usize, entries: &[Entry]) {
        let mut bytes = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let mut writer = BatchWriter::new(Compression::None, 16_384, 8_192);
            writer.restart(Batch::with_capacity(16_384));
            let added = writer.add(entry.key.as_deref(), |out| out.extend_from_slice(&entry.value));
            assert_eq!(added, Added::Yes);
            let mut batch = writer.finish();
            batch.seal(entry.producer_id, 0, entry.sequence, 0);
            let mut batch = batch.as_bytes().to_vec();
            batch[..8].copy_from_slice(&u64::try_from(start + index).unwrap().to_be_bytes());
            bytes.extend_from_slice(&batch);
        }
        for file in fs::read_dir(self.log_dir(topic)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                fs::remove_file(path).unwrap();
            }
        }
        fs::write(self.log_dir(topic).join(format!("{start:020}.log")), bytes).unwrap();
    }

    fn edit(&self, edit: impl FnOnce(&mut Vec<Entry>)) {
        let mut entries = self.entries("t");
        edit(&mut entries);
        self.forge("t", 0, &entries);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

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
        digest: proof.main.digest,
        verified_at: Some(proof.verified_at),
        ..before.clone()
    };
    assert_eq!(lab.item(), expected);
    assert!(before.digest.is_none() && before.verified_at.is_none());
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

    let entries = lab.entries("t");
    let mut altered = entries.clone();
    altered[2].value = python(2, "B").value;
    lab.forge("t", 0, &altered);
    let differs = Difference::Value { row: 2, byte_offset: 12, offset: 2, at: None, holds: None };
    assert_eq!(lab.full().main.differences, [differs]);
    let mut lost = entries;
    lost.remove(2);
    lab.forge("t", 0, &lost);
    let missing = Difference::Missing { rows: Some((2, 2)), count: 1, before_offset: Some(2) };
    assert_eq!(lab.full().main.differences, [missing]);
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
