//! The ledger in one local file: a JSON object, job id to item, as people read it.
//!
//! ```text
//! jobs.json        {"csv-job-1": {"job_id": "csv-job-1", "last_line": 7, …}, …}
//! jobs.json.lock   held while the file is compared and replaced; never removed
//! jobs.json.tmp    the next version: written, synced, renamed over the file, directory synced
//! ```
//!
//! A crash leaves the old version or the new one, and at most a `.tmp` that the next write
//! replaces. The lock goes with the process that holds it, however that ends.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::flow::ports::{Fault, Ledger, LedgerPage, Listed, Stored};
use crate::limits::{ITEM_BYTES_MAX, LEDGER_FILE_BYTES_MAX};
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, OnlyIf};
use crate::wire::checkpoint_json::{from_plain, to_plain};

pub struct FileLedger {
    path: PathBuf,
}

/// An item as it lies in the file, and what it says.
type Item = (Map<String, Value>, Checkpoint);

impl FileLedger {
    pub fn new(path: impl Into<PathBuf>) -> FileLedger {
        FileLedger { path: path.into() }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(ending);
        PathBuf::from(name)
    }

    fn read(&self) -> Result<Map<String, Value>, Fault> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(fault(&self.path, &error)),
        };
        let bytes_max = u64::try_from(LEDGER_FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let mut text = Vec::new();
        let read = file.take(bytes_max + 1).read_to_end(&mut text);
        read.map_err(|error| fault(&self.path, &error))?;
        if text.len() > LEDGER_FILE_BYTES_MAX {
            return Err(self.damaged(&format!("it is longer than {LEDGER_FILE_BYTES_MAX} bytes")));
        }
        match serde_json::from_slice(&text) {
            Ok(Value::Object(jobs)) => Ok(jobs),
            Ok(_) => Err(self.damaged("it is not a JSON object")),
            Err(error) => Err(self.damaged(&format!("it is not JSON: {error}"))),
        }
    }

    fn item(&self, jobs: &Map<String, Value>, job_id: &str) -> Result<Option<Item>, Fault> {
        let Some(item) = jobs.get(job_id) else { return Ok(None) };
        let Value::Object(item) = item else {
            return Err(self.damaged(&format!("what it holds for job {job_id} is not an object")));
        };
        let checkpoint = from_plain(item)
            .map_err(|damaged| self.damaged(&format!("of the item of job {job_id}, {damaged}")))?;
        if checkpoint.job_id != job_id {
            return Err(self.damaged(&format!(
                "the item of job {job_id} says that its job is {}",
                checkpoint.job_id
            )));
        }
        Ok(Some((item.clone(), checkpoint)))
    }

    /// Until the file is dropped, no other process changes the ledger.
    fn lock(&self) -> Result<File, Fault> {
        let path = self.beside(".lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| fault(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(Fault::passing(format!("{}: another process holds the lock", path.display())))
            }
            Err(TryLockError::Error(error)) => Err(fault(&path, &error)),
        }
    }

    /// Whether a write would find its place; not even the lock's file is made.
    fn try_out(&self, job_id: &str) -> Result<Stored, Fault> {
        let directory = self.directory();
        let found = std::fs::metadata(directory).map_err(|error| fault(&self.path, &error))?;
        if found.permissions().readonly() {
            let error = io::Error::from(io::ErrorKind::PermissionDenied);
            return Err(fault(directory, &error));
        }
        match OpenOptions::new().write(true).open(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(fault(&self.path, &error));
            }
            Ok(_) | Err(_) => {}
        }
        let found = self.item(&self.read()?, job_id)?;
        Ok(Stored::Refused(found.map(|(_, checkpoint)| Box::new(checkpoint))))
    }

    fn directory(&self) -> &Path {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }

    fn replace(&self, jobs: Map<String, Value>) -> Result<(), Fault> {
        let mut text = format!("{:#}", Value::Object(jobs)).into_bytes();
        text.push(b'\n');
        if text.len() > LEDGER_FILE_BYTES_MAX {
            return Err(Fault::last(Stop::refused(
                Peer::Ledger,
                format!(
                    "{} would become longer than {LEDGER_FILE_BYTES_MAX} bytes",
                    self.path.display()
                ),
                "Set CHECKPOINT to another file, or move jobs that are complete out of this one",
            )));
        }
        let next = self.beside(".tmp");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(&text)?;
            file.sync_all()
        };
        write().map_err(|error| fault(&next, &error))?;
        let directory = self.directory();
        let rename = || {
            std::fs::rename(&next, &self.path)?;
            File::open(directory)?.sync_all()
        };
        rename().map_err(|error| fault(&self.path, &error))
    }

    fn damaged(&self, problem: &str) -> Fault {
        Fault::last(Stop::refused(
            Peer::Ledger,
            format!("the ledger file {} is damaged: {problem}", self.path.display()),
            "Mend it, or move it away and load the source under a new JOB_ID",
        ))
    }
}

impl Ledger for FileLedger {
    fn load(&mut self, job_id: &str) -> Result<Option<Checkpoint>, Fault> {
        // A rename is seen whole or not at all: no lock is needed to read.
        let jobs = self.read()?;
        Ok(self.item(&jobs, job_id)?.map(|(_, checkpoint)| checkpoint))
    }

    /// The file is one page.
    fn list(&mut self, _after: Option<&str>) -> Result<LedgerPage, Fault> {
        let found = self.read()?;
        let mut jobs = Vec::with_capacity(found.len());
        for job_id in found.keys() {
            let item = match self.item(&found, job_id) {
                Ok(item) => Ok(item.map(|(_, item)| item).unwrap_or_default()),
                Err(fault) => Err(fault.into_stop(Peer::Ledger).to_string()),
            };
            jobs.push(Listed { job_id: job_id.clone(), item });
        }
        Ok(LedgerPage { jobs, next: None })
    }

    fn store(&mut self, change: &Checkpoint, only_if: &OnlyIf) -> Result<Stored, Fault> {
        if only_if.holder == Holder::Never {
            return self.try_out(&change.job_id);
        }
        let lock = self.lock()?;
        let mut jobs = self.read()?;
        let found = self.item(&jobs, &change.job_id)?;
        if !only_if.holds(found.as_ref().map(|(_, checkpoint)| checkpoint)) {
            return Ok(Stored::Refused(found.map(|(_, checkpoint)| Box::new(checkpoint))));
        }
        // What we do not know of the item stays as it is.
        let mut item = found.map(|(item, _)| item).unwrap_or_default();
        item.extend(to_plain(change));
        if change.error.as_deref() == Some("") {
            item.remove("error");
        }
        let bytes = Value::Object(item.clone()).to_string().len();
        if bytes > ITEM_BYTES_MAX {
            return Err(Fault::last(Stop::refused(
                Peer::Ledger,
                format!(
                    "the checkpoint of job {} has {bytes} bytes, the limit is {ITEM_BYTES_MAX}",
                    change.job_id
                ),
                "Shorten the longest of its settings (CSV_COLUMNS?)",
            )));
        }
        let stored = from_plain(&item)
            .map_err(|damaged| self.damaged(&format!("after the change, {damaged}")))?;
        jobs.insert(change.job_id.clone(), Value::Object(item));
        self.replace(jobs)?;
        drop(lock);
        Ok(Stored::Done(Box::new(stored)))
    }
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    let problem = format!("{}: {error}", path.display());
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "Create the directory, or mend CHECKPOINT",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Allow this user to write into that directory, or mend CHECKPOINT"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            "CHECKPOINT must name a file in an existing directory"
        }
        _ => return Fault::passing(problem),
    };
    Fault::last(Stop::refused(Peer::Ledger, problem, advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checkpoint::{Identities, Producer, Status};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A ledger in a directory that goes with the test.
    struct Scratch(FileLedger);

    impl Scratch {
        fn new() -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("csv-ledger-{}-{count}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Scratch(FileLedger::new(path.join("jobs.json")))
        }

        fn again(&self) -> FileLedger {
            FileLedger::new(&self.0.path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(self.0.path.parent().unwrap()).unwrap();
        }
    }

    fn change(job_id: &str, revision: u64) -> Checkpoint {
        Checkpoint {
            job_id: job_id.into(),
            run_id: Some("r".into()),
            revision: Some(revision),
            last_line: Some(revision * 10),
            ..Checkpoint::default()
        }
    }

    fn nobody() -> OnlyIf {
        OnlyIf { holder: Holder::Nobody, identities: Identities::Any }
    }

    #[test]
    fn jobs_share_a_file_and_keep_what_we_do_not_know() {
        let mut scratch = Scratch::new();
        assert_eq!(scratch.0.load("a"), Ok(None));
        let done = scratch.0.store(&change("a", 1), &nobody());
        assert_eq!(done, Ok(Stored::Done(Box::new(change("a", 1)))));
        let done = scratch.0.store(&change("b", 1), &nobody());
        assert_eq!(done, Ok(Stored::Done(Box::new(change("b", 1)))));
        let text = std::fs::read_to_string(&scratch.0.path).unwrap();
        let text = text.replacen("\"job_id\"", "\"note\": [true], \"error\": \"e\", \"job_id\"", 1);
        std::fs::write(&scratch.0.path, text).unwrap();
        assert_eq!(scratch.0.load("a").unwrap().unwrap().error, Some("e".into()));
        let mut next = change("a", 2);
        next.error = Some(String::new());
        let holder = Holder::Us { run_id: "r".into(), revision: 2, last_line: 20 };
        let only_if = OnlyIf { holder, identities: Identities::Main(0) };
        let done = scratch.0.store(&next, &only_if);
        assert_eq!(done, Ok(Stored::Done(Box::new(change("a", 2)))));
        assert_eq!(scratch.again().load("a"), Ok(Some(change("a", 2))));
        assert_eq!(scratch.again().load("b"), Ok(Some(change("b", 1))));
        let text = std::fs::read_to_string(&scratch.0.path).unwrap();
        assert!(text.contains("\"note\": ["), "{text}");
    }

    #[test]
    fn all_jobs_of_a_file() {
        let mut scratch = Scratch::new();
        assert_eq!(scratch.0.list(None), Ok(LedgerPage::default()));
        for job_id in ["b", "a"] {
            scratch.0.store(&change(job_id, 1), &nobody()).unwrap();
        }
        let text = std::fs::read_to_string(&scratch.0.path).unwrap();
        std::fs::write(&scratch.0.path, text.replacen('{', "{\"c\": 7, ", 1)).unwrap();
        let page = scratch.0.list(None).unwrap();
        let [a, b, c] = page.jobs.as_slice() else { panic!("{page:?}") };
        assert_eq!((&a.item, &b.item), (&Ok(change("a", 1)), &Ok(change("b", 1))));
        let problem = c.item.as_ref().unwrap_err();
        assert!(c.job_id == "c" && problem.contains("is not an object"), "{problem}");
        assert_eq!(page.next, None);
    }

    #[test]
    fn a_second_process_waits_its_turn() {
        let mut scratch = Scratch::new();
        let lock = scratch.0.lock().unwrap();
        let store = scratch.again().store(&change("a", 1), &nobody());
        let Err(Fault::Passing(trouble)) = store else { panic!("{store:?}") };
        assert!(trouble.problem.contains("holds the lock"), "{trouble:?}");
        assert_eq!(scratch.again().load("a"), Ok(None));
        drop(lock);
        assert!(matches!(scratch.0.store(&change("a", 1), &nobody()), Ok(Stored::Done(_))));
    }

    #[test]
    fn what_a_crash_leaves_does_no_harm() {
        let mut scratch = Scratch::new();
        scratch.0.store(&change("a", 1), &nobody()).unwrap();
        for leftover in ["", "{\"a\": {\"job_id\"", "\0\0\0\0"] {
            std::fs::write(scratch.0.beside(".tmp"), leftover).unwrap();
            std::fs::write(scratch.0.beside(".lock"), leftover).unwrap();
            assert_eq!(scratch.0.load("a"), Ok(Some(change("a", 1))));
            let refused = Stored::Refused(Some(Box::new(change("a", 1))));
            assert_eq!(scratch.0.store(&change("a", 2), &nobody()), Ok(refused));
            scratch.0.store(&change(leftover, 1), &nobody()).unwrap();
            assert!(!scratch.0.beside(".tmp").exists());
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_named_and_left_alone() {
        let mut scratch = Scratch::new();
        let long = format!("\"{}\"", "x".repeat(LEDGER_FILE_BYTES_MAX));
        let cases = [
            ("", "not JSON"),
            ("{\"a\": {\"job_id\": \"a\"", "not JSON"),
            ("[]", "not a JSON object"),
            ("{\"a\": 7}", "not an object"),
            ("{\"a\": {\"job_id\": \"b\"}}", "its job is b"),
            ("{\"a\": {\"job_id\": \"a\", \"revision\": -1}}", "revision"),
            (long.as_str(), "longer than"),
        ];
        for (text, words) in cases {
            std::fs::write(&scratch.0.path, text).unwrap();
            for fault in [
                scratch.0.load("a").unwrap_err(),
                scratch.0.store(&change("a", 1), &nobody()).unwrap_err(),
            ] {
                let Fault::Final(stop) = fault else { panic!("{fault:?}") };
                let stop = stop.to_string();
                assert!(stop.contains(words) && stop.contains("jobs.json"), "{stop}");
            }
            assert_eq!(std::fs::read_to_string(&scratch.0.path).unwrap(), text);
        }
    }

    #[test]
    fn a_place_that_can_not_be_written() {
        let scratch = Scratch::new();
        let directory = scratch.0.path.parent().unwrap().to_owned();
        for path in [directory.join("none/jobs.json"), directory] {
            let stored = FileLedger::new(&path).store(&change("a", 1), &nobody());
            let Err(Fault::Final(stop)) = stored else { panic!("{stored:?}") };
            assert!(stop.to_string().contains("CHECKPOINT"), "{stop}");
        }
    }

    #[test]
    fn an_item_has_a_bound() {
        let mut scratch = Scratch::new();
        let mut large = change("a", 1);
        large.error = Some("e".repeat(ITEM_BYTES_MAX));
        assert!(matches!(scratch.0.store(&large, &nobody()), Err(Fault::Final(_))));
        assert_eq!(scratch.0.load("a"), Ok(None));
    }

    fn any_only_if() -> impl Strategy<Value = OnlyIf> {
        let run_id = || proptest::sample::select(vec!["r", "s"]).prop_map(str::to_owned);
        let unchanged = (proptest::option::of(run_id()), proptest::option::of(0..3_u64))
            .prop_map(|(run_id, revision)| Holder::Unchanged { run_id, revision });
        let us = (run_id(), 0..4_u64, 0..4_u64)
            .prop_map(|(run_id, revision, last_line)| Holder::Us { run_id, revision, last_line });
        let finished = (proptest::option::of(run_id()), proptest::option::of(0..3_u64))
            .prop_map(|(run_id, revision)| Holder::Finished { run_id, revision });
        let holder = prop_oneof![Just(Holder::Nobody), unchanged, us, finished];
        let identities = proptest::sample::select(vec![
            Identities::Any,
            Identities::Main(0),
            Identities::Main(1),
            Identities::Dlq(0),
        ]);
        (holder, identities).prop_map(|(holder, identities)| OnlyIf { holder, identities })
    }

    fn any_change() -> impl Strategy<Value = Checkpoint> {
        let status = proptest::option::of(proptest::sample::select(vec![
            Status::InProgress,
            Status::Interrupted,
            Status::Completed,
        ]));
        let texts = proptest::collection::vec(proptest::sample::select(vec!["r", "s", ""]), 3);
        (any::<bool>(), texts, any::<[bool; 4]>(), status, 0..3_u64, 0..3_u64).prop_map(
            |(is_a, texts, has, status, revision, last_line)| {
                let mut change = Checkpoint {
                    job_id: if is_a { "a" } else { "b" }.into(),
                    run_id: has[0].then(|| texts[0].to_owned()),
                    revision: has[1].then_some(revision),
                    last_line: has[2].then_some(last_line),
                    error: Some(texts[1].to_owned()),
                    status,
                    ..Checkpoint::default()
                };
                let producer = Producer { id: 1, epoch: 0, base_record: 0, first_offset: 0 };
                change.main.producers = has[3].then(|| vec![producer]);
                change
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_ledger_does_what_its_conditions_say(
            writes in proptest::collection::vec((any_change(), any_only_if()), 1..12),
        ) {
            let mut scratch = Scratch::new();
            let mut model: BTreeMap<String, Checkpoint> = BTreeMap::new();
            for (change, only_if) in writes {
                let found = model.get(&change.job_id);
                let expected = if only_if.holds(found) {
                    let mut item = found.cloned().unwrap_or_default();
                    item.merge(&change);
                    model.insert(change.job_id.clone(), item.clone());
                    Stored::Done(Box::new(item))
                } else {
                    Stored::Refused(found.cloned().map(Box::new))
                };
                prop_assert_eq!(scratch.0.store(&change, &only_if), Ok(expected));
                for job_id in ["a", "b"] {
                    prop_assert_eq!(scratch.again().load(job_id), Ok(model.get(job_id).cloned()));
                }
            }
        }
    }
}
