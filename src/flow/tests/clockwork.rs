//! A world in which time passes with calls alone: each takes as long as its kind, and a play
//! says which of them fails, how, and what somebody else does meanwhile. All that is told is
//! written down with its moment, so that a whole run is a text.
//!
//! ```text
//! play ─ acts: (call, which one of its kind, what becomes of it)
//!   run ──> ports ── each call ──> clock ──> transcript
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::lab::{Lab, Script, Scripted};
use crate::event::{Event, Progress, Summary};
use crate::flow::job::Job;
use crate::flow::ports::{
    Broker, Confirmed, Described, Fault, Guard, Ledger, LedgerPage, Mark, Metrics, Now, Obstacle,
    Opened, Pin, Ports, ProducerIdentity, Read, ReadTo, Source, Stored, TopicSettings, Trouble,
    Unsent, Visit, World,
};
use crate::flow::run::run;
use crate::limits::SOURCE_READ_MS;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, OnlyIf};
use crate::wire::checkpoint_json::to_plain;
use crate::wire::metrics::Figures;
use crate::wire::record_batch::{Batch, BatchHeader};

/// A run that looks at its clock more often than this does not end by itself.
const LOOKS_MAX: u64 = 200_000;
/// What a play says of an act that nothing came of: then it tests less than it means to.
pub(super) const NEVER: &str = "never came";
/// What one read of the source brings at most.
const READ_BYTES: usize = 3_000;

/// What becomes of a call.
pub(super) enum Act {
    /// It fails, and may be tried again.
    Fail(&'static str),
    /// The same, and the peer asks for a pause.
    Pause(u64),
    /// It fails for good.
    Refuse,
    /// It is done, and nobody is told.
    Lose,
    /// It takes so long, and is done.
    Take(u64),
    /// The source has nothing yet, or ends before its end.
    NotYet,
    Short,
    /// Somebody writes the item, then the call is served.
    Edit(fn(&mut Checkpoint)),
    /// There is another object in the place of this one.
    Replace,
}

#[derive(Default)]
struct Clock {
    ms: Cell<u64>,
    looks: Cell<u64>,
    randoms: Cell<u64>,
    stop_at_ms: Cell<Option<u64>>,
    stands_still: Cell<bool>,
    /// Each write to the ledger is told too.
    tells_writes: Cell<bool>,
    calls: RefCell<BTreeMap<String, u32>>,
    acts: RefCell<Vec<(&'static str, u32, Act)>>,
    transcript: RefCell<String>,
    progress: Cell<Option<Progress>>,
    totals: Cell<Option<Summary>>,
}

impl Clock {
    fn pass(&self, ms: u64) {
        self.ms.set(self.ms.get() + ms);
    }

    fn note(&self, text: &str) {
        let line = format!("{:>8} {text}\n", self.ms.get());
        self.transcript.borrow_mut().push_str(&line);
    }

    /// What happens just before the next call of this name, if such a thing does.
    fn before(&self, call: &str, is_meant: fn(&Act) -> bool) -> Option<Act> {
        let number = self.calls.borrow().get(call).copied().unwrap_or(0) + 1;
        let mut acts = self.acts.borrow_mut();
        let index = acts
            .iter()
            .position(|(name, which, act)| *name == call && *which == number && is_meant(act))?;
        Some(acts.remove(index).2)
    }

    /// The call of this name that comes now takes its time; what becomes of it?
    fn begin(&self, call: &str, takes_ms: u64) -> Option<Act> {
        self.pass(takes_ms);
        let number = {
            let mut calls = self.calls.borrow_mut();
            let number = calls.entry(call.to_owned()).or_default();
            *number += 1;
            *number
        };
        let mut acts = self.acts.borrow_mut();
        let index = acts.iter().position(|(name, which, _)| *name == call && *which == number)?;
        Some(acts.remove(index).2)
    }

    fn call<T>(
        &self,
        call: &str,
        takes_ms: u64,
        serve: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let trouble = |problem: &str, pause_ms| {
            Err(Fault::Passing(Trouble { problem: problem.to_owned(), missing: None, pause_ms }))
        };
        match self.begin(call, takes_ms) {
            None => serve(),
            Some(Act::Fail(problem)) => trouble(problem, 0),
            Some(Act::Pause(pause_ms)) => trouble("slow down", pause_ms),
            Some(Act::Refuse) => Err(Fault::last(Stop::refused(Peer::Broker, "no", "Ask"))),
            Some(Act::Lose) => serve().and_then(|_| trouble("the answer is lost", 0)),
            Some(Act::Take(ms)) => {
                self.pass(ms);
                serve()
            }
            Some(_) => panic!("{call} has no such act"),
        }
    }
}

struct TimedWorld(Rc<Clock>);

impl World for TimedWorld {
    fn now(&mut self) -> Now {
        self.0.looks.set(self.0.looks.get() + 1);
        assert!(self.0.looks.get() < LOOKS_MAX, "the run does not end");
        let monotonic_ms = if self.0.stands_still.get() { 0 } else { self.0.ms.get() };
        Now { monotonic_ms, wall_ms: 1_800_000_000_000 + monotonic_ms }
    }

    fn random(&mut self) -> u64 {
        self.0.randoms.set(self.0.randoms.get() + 1);
        self.0.randoms.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn wait(&mut self, wait_ms: u64) {
        self.0.pass(wait_ms);
    }

    fn stop_asked(&mut self) -> Option<&'static str> {
        self.0.stop_at_ms.get().filter(|at_ms| self.0.ms.get() >= *at_ms).map(|_| "SIGTERM")
    }

    fn is_gone(&mut self, host: &str) -> bool {
        host == "gone"
    }

    fn tell(&mut self, event: &Event<'_>) {
        match event {
            // Only what it says beyond the time that passes.
            Event::Progress(progress) => {
                let still = Progress { elapsed_ms: 0, ..*progress };
                if self.0.progress.replace(Some(still)) != Some(still) {
                    self.0.note(&without_zeros(&format!("{progress:?}")));
                }
            }
            Event::Totals(summary) => {
                self.0.totals.set(Some(*summary));
                self.0.note(&without_zeros(&format!("{summary:?}")));
            }
            Event::Ended { stop, summary } if self.0.totals.get() == Some(*summary) => {
                self.0.note(&format!("Ended, {stop:?}"));
            }
            _ => self.0.note(&without_zeros(&format!("{event:?}"))),
        }
    }
}

/// Figures that are 0 are left out: most are.
fn without_zeros(text: &str) -> String {
    let is_zero = |part: &&str| {
        let name = part.strip_suffix(": 0").unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    };
    text.split(", ").filter(|part| !is_zero(part)).collect::<Vec<_>>().join(", ")
}

struct TimedSource {
    clock: Rc<Clock>,
    text: Vec<u8>,
    etag: &'static str,
    at: usize,
    to: usize,
}

impl Source for TimedSource {
    fn open(&mut self, from: u64, to: Option<u64>, pinned: Option<&Pin>) -> Result<Opened, Fault> {
        if self.clock.before("open", |act| matches!(act, Act::Replace)).is_some() {
            self.etag = "e2";
        }
        let (clock, source_bytes) = (self.clock.clone(), self.text.len() as u64);
        let open = || {
            let pin = Pin { etag: self.etag.into(), version_id: Some("v".into()), source_bytes };
            if pinned.is_some_and(|pinned| *pinned != pin) {
                return Ok(Opened::Replaced);
            }
            self.at = usize::try_from(from).unwrap();
            self.to = to.map_or(self.text.len(), |to| usize::try_from(to).unwrap());
            Ok(Opened::Open(pin))
        };
        clock.call("open", 11, open)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        let bytes = (self.to - self.at).min(buffer.len()).min(READ_BYTES);
        match self.clock.begin("read", 13) {
            Some(Act::NotYet) => {
                self.clock.pass(SOURCE_READ_MS);
                Ok(Read::NotYet)
            }
            Some(Act::Short) => Ok(Read::End),
            Some(Act::Fail(problem)) => Err(Fault::passing(problem)),
            Some(Act::Refuse) => Err(Fault::last(Stop::refused(Peer::Source, "no", "Ask"))),
            Some(_) => panic!("a read has no such act"),
            None if bytes == 0 => Ok(Read::End),
            None => {
                buffer[..bytes].copy_from_slice(&self.text[self.at..self.at + bytes]);
                self.at += bytes;
                Ok(Read::Bytes(bytes))
            }
        }
    }
}

struct TimedBroker {
    clock: Rc<Clock>,
    /// What its calls are called after.
    prefix: &'static str,
    inner: Scripted,
}

impl TimedBroker {
    fn call<T>(
        &mut self,
        call: &str,
        takes_ms: u64,
        serve: impl FnOnce(&mut Scripted) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let call = format!("{}{call}", self.prefix);
        self.clock.call(&call, takes_ms, || serve(&mut self.inner))
    }
}

impl Broker for TimedBroker {
    fn guard(&self) -> Guard {
        self.inner.guard()
    }

    fn describe(&mut self) -> Result<Described, Fault> {
        self.call("describe", 2, Scripted::describe)
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        self.call("settings", 5, Scripted::topic_settings)
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        self.call("producer", 7, Scripted::new_producer)
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        self.call("offset", 3, |inner| inner.offset(mark))
    }

    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault> {
        self.call("fetch", 19, |inner| inner.read(from, to, visit))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        self.call("connect", 1, Scripted::connect)
    }

    fn send(&mut self, batch: Batch) {
        self.inner.send(batch);
    }

    fn confirm(&mut self, wait_ms: u64) -> Confirmed {
        let confirmed = self.inner.confirm(wait_ms);
        let late = matches!(confirmed, Confirmed::Pending);
        self.clock.pass(if late { wait_ms } else { wait_ms.min(17) });
        confirmed
    }

    fn hang_up(&mut self) -> Option<Batch> {
        self.inner.hang_up()
    }
}

struct TimedLedger {
    clock: Rc<Clock>,
    item: Rc<RefCell<Option<Checkpoint>>>,
}

impl TimedLedger {
    fn call<T>(
        &mut self,
        call: &'static str,
        takes_ms: u64,
        serve: impl FnOnce(&mut Option<Checkpoint>) -> T,
    ) -> Result<T, Fault> {
        if let Some(Act::Edit(edit)) = self.clock.before(call, |act| matches!(act, Act::Edit(_))) {
            edit(self.item.borrow_mut().get_or_insert_default());
        }
        self.clock.call(call, takes_ms, || Ok(serve(&mut self.item.borrow_mut())))
    }
}

impl Ledger for TimedLedger {
    fn load(&mut self, _job_id: &str) -> Result<Option<Checkpoint>, Fault> {
        self.call("load", 23, |item| item.clone())
    }

    fn list(&mut self, _after: Option<&str>) -> Result<LedgerPage, Fault> {
        unreachable!("a run lists nothing")
    }

    fn store(&mut self, change: &Checkpoint, only_if: &OnlyIf) -> Result<Stored, Fault> {
        if self.clock.tells_writes.get() {
            let plain = serde_json::Value::from(shown(change));
            self.clock.note(&format!("write {plain} if {only_if:?}"));
        }
        self.call("store", 29, |item| {
            if !only_if.holds(item.as_ref()) {
                return Stored::Refused(item.clone().map(Box::new));
            }
            let item = item.get_or_insert_default();
            item.merge(change);
            Stored::Done(Box::new(item.clone()))
        })
    }
}

struct TimedMetrics(Rc<Clock>);

impl Metrics for TimedMetrics {
    fn interval_ms(&self) -> u64 {
        300
    }

    fn call_ms_max(&self) -> u64 {
        2_000
    }

    fn put(&mut self, figures: &Figures<'_>, hurried: bool) -> Result<(), Unsent> {
        let clock = self.0.clone();
        let hurried = if hurried { ", hurried" } else { "" };
        let values = figures.values.iter().map(|(name, value)| format!("{}={value}", name.name()));
        clock.note(&format!("metrics{hurried}: {}", values.collect::<Vec<_>>().join(" ")));
        clock
            .call("metrics", 2, || Ok(()))
            .map_err(|_| Unsent { obstacle: Obstacle::Unreachable, problem: "no answer".into() })
    }
}

fn shown(item: &Checkpoint) -> serde_json::Map<String, serde_json::Value> {
    let mut plain = to_plain(item);
    // These are made up anew for each log.
    for name in ["topic_id", "dlq_topic_id"] {
        if let Some(value) = plain.get_mut(name) {
            *value = name.into();
        }
    }
    plain
}

/// Runs of one job, one after the other, and what came of each.
pub(super) struct Play {
    lab: Lab,
    text: String,
    item: Rc<RefCell<Option<Checkpoint>>>,
    acts: Vec<(&'static str, u32, Act)>,
    main: Script,
    stop_at_ms: Option<u64>,
    with_metrics: bool,
    stands_still: bool,
    tells_writes: bool,
    transcript: String,
}

impl Play {
    pub(super) fn new(name: &str, text: &str) -> Play {
        let lab = Lab::new("").with(|job| {
            job.source = "s3://b/in.csv".into();
            job.compression = crate::wire::compress::Compression::None;
            job.checkpoint_interval_rows = 60;
            job.identity = "who".into();
            job.retries_max = 3;
        });
        Play {
            lab,
            text: text.to_owned(),
            item: Rc::default(),
            acts: Vec::new(),
            main: Script::default(),
            stop_at_ms: None,
            with_metrics: false,
            stands_still: false,
            tells_writes: false,
            transcript: format!("=== {name}\n"),
        }
    }

    pub(super) fn job(mut self, change: impl FnOnce(&mut Job)) -> Play {
        change(&mut self.lab.job);
        self
    }

    pub(super) fn item(self, item: Checkpoint) -> Play {
        *self.item.borrow_mut() = Some(item);
        self
    }

    pub(super) fn source(mut self, text: &str) -> Play {
        text.clone_into(&mut self.text);
        self
    }

    /// What becomes of the next run's calls; each kind of call is counted from 1.
    pub(super) fn act(mut self, call: &'static str, number: u32, act: Act) -> Play {
        self.acts.push((call, number, act));
        self
    }

    pub(super) fn main(mut self, script: Script) -> Play {
        self.main = script;
        self
    }

    pub(super) fn stop_at(mut self, ms: u64) -> Play {
        self.stop_at_ms = Some(ms);
        self
    }

    /// The clock that never goes back does not move either.
    pub(super) fn standing_still(mut self) -> Play {
        self.stands_still = true;
        self
    }

    pub(super) fn telling_writes(mut self) -> Play {
        self.tells_writes = true;
        self
    }

    pub(super) fn without_item(self) -> Play {
        self.item.borrow_mut().take();
        self
    }

    /// Between two runs.
    pub(super) fn others_write(self, topic: &str) -> Play {
        self.lab.append_of_another(topic);
        self
    }

    pub(super) fn with_metrics(mut self) -> Play {
        self.with_metrics = true;
        self
    }

    pub(super) fn run(mut self) -> Play {
        let clock = Rc::new(Clock::default());
        clock.acts.replace(std::mem::take(&mut self.acts));
        clock.stands_still.set(self.stands_still);
        clock.tells_writes.set(self.tells_writes);
        clock.stop_at_ms.set(self.stop_at_ms.take());
        let broker = |prefix, topic: &str, script| TimedBroker {
            clock: clock.clone(),
            prefix,
            inner: self.lab.scripted(topic, script),
        };
        let mut main = broker("", "t", std::mem::take(&mut self.main));
        let dead = self.lab.job.dead_target();
        let mut dead = dead.map(|target| broker("dead ", &target.topic, Script::default()));
        let mut source = TimedSource {
            clock: clock.clone(),
            text: self.text.clone().into_bytes(),
            etag: "e1",
            at: 0,
            to: 0,
        };
        let mut metrics = TimedMetrics(clock.clone());
        let mut ports = Ports {
            source: &mut source,
            main: &mut main,
            dead: dead.as_mut().map(|dead| dead as &mut dyn Broker),
            ledger: &mut TimedLedger { clock: clock.clone(), item: self.item.clone() },
            metrics: self.with_metrics.then_some(&mut metrics as _),
            world: &mut TimedWorld(clock.clone()),
        };
        let outcome = run(&self.lab.job, &mut ports);
        for (call, number, _) in clock.acts.borrow().iter() {
            clock.note(&format!("{NEVER}: {call} {number}"));
        }
        clock.note(&format!("exit {}: {}", outcome.stop.exit_code(), outcome.stop));
        self.transcript += &clock.transcript.borrow();
        drop((main, dead));
        self.show_item();
        self.show_log("t");
        if let Some(target) = self.lab.job.dead_target() {
            self.show_log(&target.topic);
        }
        self
    }

    pub(super) fn told(self) -> String {
        self.transcript
    }

    fn show_item(&mut self) {
        let Some(item) = self.item.borrow().clone() else { return };
        self.show(&format!("item {}", serde_json::Value::from(shown(&item))));
    }

    fn show_log(&mut self, topic: &str) {
        let mut log = self.lab.log(topic);
        let mut next = log.offset(Mark::Start).unwrap().unwrap();
        let end = log.offset(Mark::VisibleEnd).unwrap().unwrap();
        while next < end {
            let mut see = |header: &BatchHeader| {
                let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *header;
                self.show(&format!(
                    "{topic} {}..={} of {producer_id}/{producer_epoch} from {base_sequence}, {} bytes, at {}",
                    header.base_offset,
                    header.last_offset(),
                    header.batch_bytes,
                    header.max_timestamp_ms - 1_800_000_000_000,
                ));
            };
            match log.read(next, end, Visit::Headers(&mut see)).unwrap() {
                ReadTo::Offset(to) if to > next => next = to,
                other => panic!("{topic} can not be read: {other:?}"),
            }
        }
    }

    /// What stands at the end, below what was told.
    fn show(&mut self, line: &str) {
        self.transcript.push_str("         ");
        self.transcript.push_str(line);
        self.transcript.push('\n');
    }
}
