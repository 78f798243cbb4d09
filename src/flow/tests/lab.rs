//! For the tests of the flow: a job over a file, an embedded log and a ledger in a directory of
//! their own, with a broker that answers from a script before it asks the log.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::event::Event;
use crate::flow::job::{Job, Target};
use crate::flow::lookup::find;
use crate::flow::ports::{
    Answer, BatchVisitor, Broker, Confirmed, Described, Fault, Guard, Ledger, Mark, Now, Ports,
    ProducerIdentity, ReadTo, TopicSettings, Trouble, Visit, World,
};
use crate::flow::run::{Outcome, run};
use crate::flow::verify::{Asked, Depth, Proof, verify};
use crate::port::embedded_log::EmbeddedLog;
use crate::port::file::File;
use crate::port::file_ledger::FileLedger;
use crate::stop::{EXIT_MEND, Stop};
use crate::wire::batch_writer::{Added, BatchWriter};
use crate::wire::checkpoint::Checkpoint;
use crate::wire::compress::Compression;
use crate::wire::record_batch::{Batch, BatchHeader};

pub(in crate::flow) const TEN_ROWS: &str =
    "id,name\n1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n7,g\n8,h\n9,i\n10,j\n";
const OTHER: i64 = 999;

/// Time passes with each look at it, and nobody waits for it.
#[derive(Default)]
pub(in crate::flow) struct Hurry {
    pub(in crate::flow) ms: u64,
    /// How much passes with a look, beyond the first millisecond.
    pub(in crate::flow) look_ms: u64,
    /// A stop is asked for from then on.
    pub(in crate::flow) stop_at_ms: Option<u64>,
    pub(in crate::flow) told: Vec<String>,
}

impl World for Hurry {
    fn now(&mut self) -> Now {
        self.ms += 1 + self.look_ms;
        Now { monotonic_ms: self.ms, wall_ms: 1_800_000_000_000 + self.ms }
    }

    fn random(&mut self) -> u64 {
        self.ms += 1;
        self.ms
    }

    fn wait(&mut self, wait_ms: u64) {
        self.ms += wait_ms;
    }

    fn stop_asked(&mut self) -> Option<&'static str> {
        self.stop_at_ms.filter(|at_ms| self.ms >= *at_ms).map(|_| "SIGTERM")
    }

    fn is_gone(&mut self, _host: &str) -> bool {
        false
    }

    fn tell(&mut self, event: &Event<'_>) {
        self.told.push(format!("{event:?}"));
    }
}

/// What becomes of a batch that is sent.
#[derive(Debug, Clone, Copy)]
pub(in crate::flow) enum Reply {
    /// The log takes it or not, and that is the answer.
    AsItIs,
    /// The log does as it does, but this is the answer, with this pause.
    Appended { error_code: i16, throttle_ms: u64 },
    /// It is refused, and the log never sees it.
    Refused { error_code: i16 },
    /// No answer for so many looks; then it is taken, and this is the answer.
    Late { looks: u32, error_code: i16 },
    /// Success, at this offset.
    At { base_offset: i64 },
    /// The connection is cut before an answer.
    Lost { appended: bool },
}

type Instead<A, T> = Option<Box<dyn FnMut(A) -> Option<T>>>;

/// What a broker answers instead of what the log says; `None` of a call: what the log says.
#[derive(Default)]
pub(in crate::flow) struct Script {
    pub(in crate::flow) describe: Instead<(), Result<Described, Fault>>,
    pub(in crate::flow) settings: Option<TopicSettings>,
    pub(in crate::flow) guard: Option<Guard>,
    pub(in crate::flow) offset: Instead<Mark, i64>,
    pub(in crate::flow) read: Instead<i64, Result<ReadTo, Fault>>,
    /// What becomes of the log's own answer, once its records were shown.
    pub(in crate::flow) read_after: Instead<(), Fault>,
    /// One for each batch that is sent; then all goes as it is.
    pub(in crate::flow) replies: Vec<Reply>,
}

fn instead<A, T>(script: &mut Instead<A, T>, asked: A) -> Option<T> {
    script.as_mut().and_then(|script| script(asked))
}

fn cut() -> Trouble {
    Trouble { problem: "the connection is cut".into(), missing: None, pause_ms: 0 }
}

/// A log behind a script.
pub(in crate::flow) struct Scripted {
    log: EmbeddedLog,
    script: Script,
    reply: Reply,
    /// A batch that the log has not been shown.
    held: Option<Batch>,
}

impl Broker for Scripted {
    fn guard(&self) -> Guard {
        self.script.guard.unwrap_or(Guard::Sequence)
    }

    fn describe(&mut self) -> Result<Described, Fault> {
        instead(&mut self.script.describe, ()).unwrap_or_else(|| self.log.describe())
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        self.script.settings.clone().map_or_else(|| self.log.topic_settings(), Ok)
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        self.log.new_producer()
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        match instead(&mut self.script.offset, mark) {
            Some(offset) => Ok(Some(offset)),
            None => self.log.offset(mark),
        }
    }

    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault> {
        if let Some(answer) = instead(&mut self.script.read, from) {
            return answer;
        }
        let read = self.log.read(from, to, visit);
        instead(&mut self.script.read_after, ()).map_or(read, Err)
    }

    fn connect(&mut self) -> Result<(), Fault> {
        self.log.connect()
    }

    fn send(&mut self, batch: Batch) {
        let replies = &mut self.script.replies;
        self.reply = if replies.is_empty() { Reply::AsItIs } else { replies.remove(0) };
        match self.reply {
            Reply::Refused { .. } | Reply::Late { .. } | Reply::Lost { appended: false } => {
                self.held = Some(batch);
            }
            _ => self.log.send(batch),
        }
    }

    fn confirm(&mut self, wait_ms: u64) -> Confirmed {
        let answer = |error_code| Answer { error_code, base_offset: -1, throttle_ms: 0 };
        match (&mut self.reply, self.held.take()) {
            (Reply::Late { looks: looks @ 1.., .. }, held) => {
                *looks -= 1;
                self.held = held;
                return Confirmed::Pending;
            }
            (Reply::Refused { error_code }, Some(batch)) => {
                return Confirmed::Answered(batch, answer(*error_code));
            }
            (Reply::Lost { .. }, Some(batch)) => return Confirmed::Lost(batch, cut()),
            (_, Some(batch)) => self.log.send(batch),
            (_, None) => {}
        }
        match (self.log.confirm(wait_ms), self.reply) {
            (Confirmed::Answered(batch, found), Reply::Appended { error_code, throttle_ms }) => {
                Confirmed::Answered(batch, Answer { error_code, throttle_ms, ..found })
            }
            (Confirmed::Answered(batch, found), Reply::Late { error_code, .. }) => {
                Confirmed::Answered(batch, Answer { error_code, ..found })
            }
            (Confirmed::Answered(batch, found), Reply::At { base_offset }) => {
                Confirmed::Answered(batch, Answer { base_offset, ..found })
            }
            (Confirmed::Answered(batch, _), Reply::Lost { .. }) => Confirmed::Lost(batch, cut()),
            (confirmed, _) => confirmed,
        }
    }

    fn hang_up(&mut self) -> Option<Batch> {
        self.held.take().or_else(|| self.log.hang_up())
    }
}

/// A source, a log and a ledger in a directory of their own.
pub(in crate::flow) struct Lab {
    pub(in crate::flow) dir: PathBuf,
    pub(in crate::flow) job: Job,
}

/// One record of a log, in a batch of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::flow) struct Entry {
    pub(in crate::flow) producer_id: i64,
    pub(in crate::flow) sequence: i32,
    pub(in crate::flow) key: Option<Vec<u8>>,
    pub(in crate::flow) value: Vec<u8>,
}

impl Entry {
    pub(in crate::flow) fn of_another(value: &[u8]) -> Entry {
        Entry { producer_id: OTHER, sequence: 0, key: None, value: value.to_vec() }
    }
}

impl Lab {
    pub(in crate::flow) fn new(text: &str) -> Lab {
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

    pub(in crate::flow) fn with(mut self, change: impl FnOnce(&mut Job)) -> Lab {
        change(&mut self.job);
        self
    }

    pub(in crate::flow) fn log_dir(&self, topic: &str) -> PathBuf {
        self.dir.join(topic)
    }

    pub(in crate::flow) fn log(&self, topic: &str) -> EmbeddedLog {
        EmbeddedLog::open(&self.log_dir(topic)).unwrap()
    }

    pub(in crate::flow) fn scripted(&self, topic: &str, script: Script) -> Scripted {
        Scripted { log: self.log(topic), script, reply: Reply::AsItIs, held: None }
    }

    pub(in crate::flow) fn ledger(&self) -> FileLedger {
        FileLedger::new(self.dir.join("ledger.json"))
    }

    pub(in crate::flow) fn with_ports<T>(&self, call: impl FnOnce(&mut Ports<'_>) -> T) -> T {
        self.beside(Script::default(), &mut Hurry::default(), call)
    }

    /// The same, with a broker that answers from a script and a world that is looked at.
    pub(in crate::flow) fn beside<T>(
        &self,
        script: Script,
        world: &mut Hurry,
        call: impl FnOnce(&mut Ports<'_>) -> T,
    ) -> T {
        let mut main = self.scripted("t", script);
        let mut dead = self.job.dead_target().map(|target| self.log(&target.topic));
        let mut ports = Ports {
            source: &mut File::new(self.dir.join("in.csv")),
            main: &mut main,
            dead: dead.as_mut().map(|dead| dead as &mut dyn Broker),
            ledger: &mut self.ledger(),
            metrics: None,
            world,
        };
        call(&mut ports)
    }

    pub(in crate::flow) fn run(&self) -> Stop {
        self.run_beside(Script::default(), &mut Hurry::default()).stop
    }

    pub(in crate::flow) fn run_beside(&self, script: Script, world: &mut Hurry) -> Outcome {
        self.beside(script, world, |ports| run(&self.job, ports))
    }

    pub(in crate::flow) fn load(self) -> Lab {
        let outcome = self.with_ports(|ports| run(&self.job, ports));
        assert!(matches!(outcome.stop, Stop::Complete { .. }), "{:?}", outcome.stop);
        self
    }

    pub(in crate::flow) fn item(&self) -> Checkpoint {
        self.ledger().load("j").unwrap().unwrap()
    }

    pub(in crate::flow) fn verify(&self, depth: Depth, exclusive: bool) -> Result<Proof, Stop> {
        let asked = Asked { depth, exclusive };
        self.verify_beside(asked, Script::default(), &mut Hurry::default())
    }

    pub(in crate::flow) fn verify_beside(
        &self,
        asked: Asked,
        script: Script,
        world: &mut Hurry,
    ) -> Result<Proof, Stop> {
        let reader = Job::reader("j".into(), "b:9092".into(), 2);
        let item = find(&reader, &mut self.ledger(), &mut Hurry::default())?;
        let job = reader.of_item(&item, Vec::new())?;
        self.beside(script, world, |ports| verify(&job, &item, asked, ports))
    }

    pub(in crate::flow) fn full(&self) -> Proof {
        self.verify(Depth::Full, false).unwrap()
    }

    pub(in crate::flow) fn entries(&self, topic: &str) -> Vec<Entry> {
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

    /// Somebody else writes into a log, under an epoch that is ours too.
    pub(in crate::flow) fn append_of_another(&self, topic: &str) {
        let mut writer = BatchWriter::new(Compression::None, 16_384, 8_192);
        writer.restart(Batch::with_capacity(16_384));
        assert_eq!(writer.add(None, |out| out.extend_from_slice(b"{}")), Added::Yes);
        let mut batch = writer.finish();
        batch.seal(OTHER, 0, 0, 1_800_000_000_000);
        let mut log = self.log(topic);
        log.connect().unwrap();
        log.send(batch);
        assert!(matches!(log.confirm(0), Confirmed::Answered(_, Answer { error_code: 0, .. })));
    }

    /// Puts a log in the place of the one that is there; `start`: the first offset.
    pub(in crate::flow) fn forge(&self, topic: &str, start: usize, entries: &[Entry]) {
        let mut bytes = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let mut writer = BatchWriter::new(Compression::None, 16_384, 8_192);
            writer.restart(Batch::with_capacity(16_384));
            let added = writer.add(entry.key.as_deref(), |out| out.extend_from_slice(&entry.value));
            assert_eq!(added, Added::Yes);
            let mut batch = writer.finish();
            if entry.producer_id < 0 {
                batch.seal_unnumbered(0);
            } else {
                batch.seal(entry.producer_id, 0, entry.sequence, 0);
            }
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

    pub(in crate::flow) fn edit(&self, edit: impl FnOnce(&mut Vec<Entry>)) {
        let mut entries = self.entries("t");
        edit(&mut entries);
        self.forge("t", 0, &entries);
    }
}

impl Lab {
    /// The whole ledger with one attribute damaged at a time: which, how, and all of it.
    pub(in crate::flow) fn damages(&self) -> impl Iterator<Item = (String, Value, Value)> {
        let bytes = fs::read(self.dir.join("ledger.json")).unwrap();
        let good: Value = serde_json::from_slice(&bytes).unwrap();
        let paths = good["j"].as_object().unwrap().iter().flat_map(|(name, value)| {
            let parts: &[&str] = match value {
                Value::Array(_) => &["", "/0/id", "/0/epoch", "/0/base_record", "/0/first_offset"],
                _ => &[""],
            };
            parts.iter().map(move |part| format!("/j/{name}{part}"))
        });
        let paths: Vec<String> = paths.collect();
        let numbers = || {
            let great = [0, 1, u64::from(u32::MAX), i64::MAX as u64, u64::MAX].map(Value::from);
            great.into_iter().chain([-1, i64::MIN].map(Value::from))
        };
        paths.into_iter().flat_map(move |path| {
            let is_number = good.pointer(&path).unwrap().is_number();
            let good = good.clone();
            let values = [Value::Null].into_iter().chain(numbers().filter(move |_| is_number));
            values.map(move |value| {
                let mut item = good.clone();
                if value.is_null() && !path.contains("/0/") {
                    item["j"].as_object_mut().unwrap().remove(path.trim_start_matches("/j/"));
                } else {
                    *item.pointer_mut(&path).unwrap() = value.clone();
                }
                (path.clone(), value, item)
            })
        })
    }

    pub(in crate::flow) fn put(&self, ledger: &Value) {
        fs::write(self.dir.join("ledger.json"), ledger.to_string()).unwrap();
    }
}

/// No row, byte or offset is so far on, or so far back.
pub(in crate::flow) fn is_far(value: &Value) -> bool {
    [i64::MAX as u64, u64::MAX].map(Value::from).contains(value) || *value == i64::MIN
}

/// A number of rows, bytes, offsets or writes, and not a time, say.
pub(in crate::flow) fn is_counted(path: &str) -> bool {
    let names = ["_line", "_sent", "_rows", "_byte", "_bytes", "_offset", "_record", "revision"];
    names.iter().any(|name| path.ends_with(name)) || path.ends_with("_bytes_max")
}

/// The message names the attribute.
pub(in crate::flow) fn tells(stop: &Stop, path: &str) -> bool {
    let name = path.trim_start_matches("/j/").split('/').next().unwrap();
    stop.exit_code() == EXIT_MEND && stop.to_string().contains(name)
}

impl Drop for Lab {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}
