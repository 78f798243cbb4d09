//! One world: its clock, its events, what is true in it, and whose turn it is.
//!
//! ```text
//! process 0 ──call──┐   at most one runs; a call may kill it, freeze it, or hand over to the
//! process 1 ──call──┼─> one whose time comes first. Between two turns the events that are due
//! process 2 ──call──┘   happen: requests arrive, replicas fetch, leaders change.
//! ```
//!
//! Everything follows from the seed: the threads take turns, they never run side by side.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::events::{Conn, Event, Waiting};
use super::leader::Partition;
use super::oracle::Oracle;
use super::stores::{LedgerModel, ObjectStore};
use crate::wire::checkpoint::{Checkpoint, Status};

pub(super) const MAIN: usize = 0;
pub(super) const DEAD: usize = 1;
/// Wall clock at the beginning of every world.
pub(super) const WALL_MS: u64 = 1_800_000_000_000;

/// Small, fast, and the same everywhere (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to but without `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.next() % 1000 < per_mille
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len())) }
    }
}

/// How often what goes wrong, per mille of the calls (kills and freezes: per 100,000).
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) kill: u64,
    pub(super) freeze: u64,
    /// How long a freeze is at most.
    pub(super) freeze_ms: u64,
    pub(super) passing: u64,
    pub(super) slow: u64,
    pub(super) request_lost: u64,
    pub(super) request_late: u64,
    pub(super) late_ms: u64,
    pub(super) request_twice: u64,
    pub(super) answer_lost: u64,
    pub(super) cut: u64,
    pub(super) throttle: u64,
    pub(super) ledger: u64,
    pub(super) source: u64,
    pub(super) terminate: u64,
    pub(super) stale_metadata: u64,
    /// Starts that cut batches in another way, as other settings of a run may.
    pub(super) varied: u64,
    /// Starts during which the leader changes: what took the process took a broker too.
    pub(super) shaken: u64,
    /// Starts with other settings.
    pub(super) strange: u64,
}

/// A process, and the machine that it runs on.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) wake_at: u64,
    pub(super) done: bool,
    /// Wakes early when this connection has something.
    pub(super) listens: Option<u64>,
    pub(super) wall_offset_ms: i64,
    /// What the monotonic clock has missed.
    pub(super) slept_ms: u64,
    pub(super) start: u32,
    pub(super) alive: bool,
    pub(super) terminated_at: Option<u64>,
    pub(super) machine: usize,
    /// For each lane: has asked a topic that was made again what it is, or sent to it and got an
    /// answer, since it was last made.
    pub(super) met_remade: [bool; 2],
    /// First sequence and bytes of what was sent last, until the partition was read again.
    pub(super) sent: Option<(usize, i32, Arc<[u8]>)>,
    /// This start runs with a setting that the job is not pinned to.
    pub(super) strange: bool,
}

impl Process {
    pub(super) fn new(machine: usize) -> Process {
        Process {
            wake_at: 0,
            done: false,
            listens: None,
            wall_offset_ms: 0,
            slept_ms: 0,
            start: 0,
            alive: false,
            terminated_at: None,
            machine,
            met_remade: [false; 2],
            sent: None,
            strange: false,
        }
    }
}

/// What the model knows of our records in one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Checked {
    /// Our records up to and with each batch of the log.
    counts: Vec<usize>,
    /// Our records before the log's first batch.
    pub(super) before: usize,
    /// The topic was made again: what it holds proves nothing any more.
    pub(super) remade: bool,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: u64,
    pub(super) queue: BTreeMap<(u64, u64), Event>,
    order: u64,
    pub(super) parts: Vec<Partition>,
    pub(super) down_until: Vec<u64>,
    pub(super) replicating: Vec<bool>,
    pub(super) checked: Vec<Checked>,
    pub(super) store: ObjectStore,
    pub(super) ledger: LedgerModel,
    pub(super) oracle: Oracle,
    pub(super) faults: Faults,
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) serial: u64,
    pub(super) processes: Vec<Process>,
    running: usize,
    pub(super) trace: Option<Vec<String>>,
    pub(super) failure: Option<String>,
    pub(super) calls: u64,
    pub(super) calls_max: u64,
    /// Snapshots at each port call, before and after it, when somebody wants them.
    pub(super) snapshots: Option<Vec<Snapshot>>,
    /// No snapshots once the main log has more batches than this.
    pub(super) snapshot_batches_max: usize,
    /// What arrives just before this port call, however much time has passed.
    pub(super) held: Option<(u64, Vec<Event>)>,
    pub(super) features: Features,
}

/// What a world may hold that changes the verdict.
#[derive(Debug, Clone, Default)]
pub(super) struct Features {
    pub(super) replaced: bool,
    pub(super) remade: bool,
    pub(super) deleted: bool,
    pub(super) python: bool,
    pub(super) limit_lowered: bool,
    /// `ON_BAD_ROW=dlq`, up to so many.
    pub(super) aside: Option<u64>,
    pub(super) adopts: bool,
    /// There is one run at a time, and nothing of an earlier one is late.
    pub(super) lonely: bool,
    /// The first runs stop at a bad row, the later ones set it aside.
    pub(super) aside_later: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) world: Box<World>,
    pub(super) call: String,
}

/// How a process ends that is killed: nothing of it runs any more.
pub(super) struct Killed;

impl World {
    pub(super) fn new(rng: Rng, oracle: Oracle, parts: Vec<Partition>, processes: usize) -> World {
        let lanes = parts.len();
        World {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            order: 0,
            parts,
            down_until: vec![0; lanes],
            replicating: vec![false; lanes],
            checked: vec![Checked::default(); lanes],
            store: ObjectStore { bytes: oracle.source.clone(), version: 1 },
            ledger: LedgerModel::default(),
            oracle,
            faults: Faults::default(),
            conns: BTreeMap::new(),
            waiting: Vec::new(),
            serial: 0,
            processes: (0..processes).map(Process::new).collect(),
            running: 0,
            trace: None,
            failure: None,
            calls: 0,
            calls_max: 200_000,
            snapshots: None,
            snapshot_batches_max: usize::MAX,
            held: None,
            features: Features::default(),
        }
    }

    pub(super) fn wall_ms(&self) -> u64 {
        WALL_MS + self.now
    }

    pub(super) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn after(&mut self, delay_ms: u64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + delay_ms, self.order), event);
    }

    pub(super) fn note(&mut self, who: Option<usize>, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let mut line = format!("{:>9}.{:03} ", self.now / 1000, self.now % 1000);
            match who {
                Some(process) => {
                    let start = self.processes[process].start;
                    write!(line, "p{process}.{start} ").unwrap();
                }
                None => line.push_str("  ~  "),
            }
            line.push_str(&text());
            trace.push(line);
        }
    }

    pub(super) fn fail(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note(None, || format!("VIOLATED: {text}"));
        self.failure.get_or_insert(text);
    }

    // --- What must always be true -------------------------------------------------------

    /// Looks at what was appended to a leader's log, or cut off it, since the last time.
    pub(super) fn check_log(&mut self, lane: usize) {
        let Checked { counts, before, remade } = &mut self.checked[lane];
        let log = &self.parts[lane].log;
        counts.truncate(log.len());
        let mut problem = None;
        for stored in &log[counts.len()..] {
            let mut count = counts.last().copied().unwrap_or(*before);
            if stored.header.producer_id >= 0 {
                for record in stored.records.iter() {
                    let found = if lane == MAIN {
                        self.oracle.record_problem(count, record)
                    } else {
                        self.oracle.dead_letter_problem(count, record)
                    };
                    if let (Some(text), false) = (found, *remade) {
                        let offset = stored.header.base_offset;
                        problem.get_or_insert(format!("batch at {offset}: {text}"));
                    }
                    count += 1;
                }
            }
            counts.push(count);
        }
        if let Some(text) = problem {
            self.fail(text);
        }
    }

    /// Our records that can not be lost any more.
    pub(super) fn committed(&self, lane: usize) -> usize {
        let part = &self.parts[lane];
        let batches = part.log.iter().take_while(|b| b.end() <= part.committed).count();
        self.counted(lane, batches)
    }

    /// Our records in the leader's log.
    pub(super) fn appended(&self, lane: usize) -> usize {
        self.counted(lane, self.parts[lane].log.len())
    }

    fn counted(&self, lane: usize, batches: usize) -> usize {
        let Checked { counts, before, .. } = &self.checked[lane];
        batches.checked_sub(1).map_or(*before, |last| counts[last])
    }

    /// Retention took the first batches of the log.
    pub(super) fn forget_front(&mut self, lane: usize, batches: usize) {
        let checked = &mut self.checked[lane];
        if batches > 0 {
            checked.before = checked.counts[batches - 1];
            checked.counts.drain(..batches);
        }
    }

    /// What the ledger says after a write must be true already.
    pub(super) fn check_ledger(&mut self) {
        let Some(item) = self.ledger.item.clone() else { return };
        if item.main.producers.is_none() || self.features.remade || self.features.python {
            return;
        }
        if let Some(text) = self.ledger_problem(&item) {
            self.fail(format!("the ledger says what is not so: {text}"));
        }
    }

    fn ledger_problem(&self, item: &Checkpoint) -> Option<String> {
        let past = self.oracle.rows_before;
        let sent = item.total_sent?.saturating_sub(past);
        let committed = self.committed(MAIN) as u64;
        if sent > committed {
            return Some(format!("{sent} records, the partition has {committed}"));
        }
        let row = item.last_line?;
        let needed = self.oracle.record_rows.partition_point(|have| *have <= row) as u64;
        if needed > committed {
            return Some(format!("row {row} is confirmed, and is not in the partition"));
        }
        let dead = item.dlq_rows.unwrap_or(0);
        if self.parts.len() > DEAD && dead > self.committed(DEAD) as u64 {
            return Some(format!("{dead} dead letters are not in their partition"));
        }
        if item.status == Some(Status::Completed) {
            return self.completed_problem();
        }
        None
    }

    /// What is wrong with calling the job complete now.
    pub(super) fn completed_problem(&self) -> Option<String> {
        let lanes = [(MAIN, self.oracle.records.len()), (DEAD, self.oracle.bad().len())];
        for (lane, expected) in lanes {
            if lane == DEAD && (self.parts.len() <= DEAD || self.features.aside.is_none()) {
                continue;
            }
            let (part, checked) = (&self.parts[lane], &self.checked[lane]);
            let found = self.appended(lane);
            if checked.remade && !self.remade_is_whole(lane) {
                return Some(format!("complete, and lane {lane} was made again"));
            }
            if found != expected && !checked.remade {
                return Some(format!("complete with {found} of {expected} records in lane {lane}"));
            }
            let last = part.log.iter().rev().find(|b| b.header.producer_id >= 0);
            let copies = last.map_or(usize::MAX, |last| part.copies(last.end()));
            if copies < part.nature.min_insync.min(part.nature.replicas) {
                return Some(format!(
                    "complete, and the last batch of lane {lane} has {copies} copy"
                ));
            }
        }
        None
    }

    /// A topic that was made again may hold all records all the same: nothing was there before.
    /// Nobody is to blame who had no way to see it.
    fn remade_is_whole(&self, lane: usize) -> bool {
        let ours = self.parts[lane].log.iter().filter(|stored| stored.header.producer_id >= 0);
        let records: Vec<_> = ours.flat_map(|stored| stored.records.iter()).collect();
        let problem = |(index, record): (usize, &&super::decode::Record)| {
            if lane == MAIN {
                self.oracle.record_problem(index, record)
            } else {
                self.oracle.dead_letter_problem(index, record)
            }
        };
        let expected =
            if lane == MAIN { self.oracle.records.len() } else { self.oracle.bad().len() };
        let whole = records.len() == expected
            && records.iter().enumerate().all(|pair| problem(pair).is_none());
        whole || !self.processes[self.running].met_remade[lane]
    }

    // --- Turns --------------------------------------------------------------------------

    /// From here on this process is alone.
    pub(super) fn only(&mut self, me: usize) {
        for process in &mut self.processes {
            process.done = true;
        }
        self.running = me;
        self.processes[me].done = false;
        self.processes[me].wake_at = self.now;
    }

    /// Whose turn it is now; all events before that have happened.
    fn next_turn(&mut self) -> Option<usize> {
        loop {
            let (next, wake_at) = self
                .processes
                .iter()
                .enumerate()
                .filter(|(_, process)| !process.done)
                .map(|(index, process)| (index, process.wake_at))
                .min_by_key(|(index, wake_at)| (*wake_at, *index))?;
            match self.queue.first_key_value() {
                Some((&(at, _), _)) if at <= wake_at => {
                    let (_, event) = self.queue.pop_first().unwrap();
                    self.now = self.now.max(at);
                    self.happen(event);
                }
                _ => {
                    self.now = self.now.max(wake_at);
                    self.processes[next].listens = None;
                    return Some(next);
                }
            }
        }
    }
}

/// A world that several threads share, one at a time.
pub(super) struct Stage {
    world: Mutex<World>,
    turns: Vec<Condvar>,
}

pub(super) type Turn<'a> = MutexGuard<'a, World>;

impl Stage {
    pub(super) fn new(world: World) -> Stage {
        let turns = world.processes.iter().map(|_| Condvar::new()).collect();
        Stage { world: Mutex::new(world), turns }
    }

    pub(super) fn lock(&self) -> Turn<'_> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn into_world(self) -> World {
        self.world.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first turn of a process.
    pub(super) fn enter(&self, me: usize) {
        drop(self.wait_for(self.lock(), me));
    }

    /// The last turn of a process.
    pub(super) fn leave(&self, me: usize) {
        let mut world = self.lock();
        world.processes[me].done = true;
        if let Some(next) = world.next_turn() {
            world.running = next;
            self.turns[next].notify_one();
        }
    }

    fn wait_for<'a>(&self, turn: Turn<'a>, me: usize) -> Turn<'a> {
        self.turns[me]
            .wait_while(turn, |world| world.running != me)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass for a process, and others run meanwhile.
    pub(super) fn sleep<'a>(&'a self, mut world: Turn<'a>, me: usize, until: u64) -> Turn<'a> {
        world.processes[me].wake_at = until;
        let next = world.next_turn().unwrap_or(me);
        if next != me {
            world.running = next;
            self.turns[next].notify_one();
            world = self.wait_for(world, me);
        }
        if world.failure.is_some() {
            die(world);
        }
        world
    }

    /// A port call begins: it may never happen, or much later.
    pub(super) fn begin<'a>(&'a self, me: usize, name: &str) -> Turn<'a> {
        let mut world = self.lock();
        world.calls += 1;
        if world.calls > world.calls_max {
            let calls_max = world.calls_max;
            world.fail(format!("no end after {calls_max} port calls"));
        }
        let calls = world.calls;
        if let Some((_, events)) = world.held.take_if(|(call, _)| *call <= calls) {
            for event in events {
                world.happen(event);
            }
        }
        if world.failure.is_some() {
            die(world);
        }
        world.snap(|| format!("before {name}"));
        self.meddle(world, me, "before", name)
    }

    /// A port call has had its effect: its caller may never learn of it, or much later.
    pub(super) fn end(&self, world: Turn<'_>, me: usize, name: &str) {
        let mut world = world;
        if world.failure.is_some() {
            die(world);
        }
        world.snap(|| format!("after {name}"));
        let mut world = self.meddle(world, me, "after", name);
        let slow = world.faults.slow;
        let took_ms = if world.rng.chance(slow) {
            world.rng.between(100, 4_000)
        } else {
            world.rng.between(0, 3)
        };
        let until = world.now + took_ms;
        drop(self.sleep(world, me, until));
    }

    fn meddle<'a>(&'a self, mut world: Turn<'a>, me: usize, when: &str, name: &str) -> Turn<'a> {
        let (kill, freeze) = (world.faults.kill, world.faults.freeze);
        if kill == 0 && freeze == 0 {
            return world;
        }
        let dice = world.rng.next() % 200_000;
        if dice < kill {
            world.note(Some(me), || format!("KILLED {when} {name}"));
            die(world);
        }
        if dice < kill + freeze {
            let most_ms = world.faults.freeze_ms;
            // Most are short; the longest are as likely as the middle ones.
            let most_ms = most_ms >> (world.rng.below(4) * 3);
            let ms = world.rng.between(1, most_ms.max(1));
            let suspended = world.rng.chance(500);
            world.note(Some(me), || {
                let how = if suspended { "SUSPENDED" } else { "FROZEN" };
                format!("{how} for {ms} ms {when} {name}")
            });
            let until = world.now + ms;
            if suspended {
                world.processes[me].slept_ms += ms;
            }
            world = self.sleep(world, me, until);
        }
        world
    }
}

impl World {
    fn snap(&mut self, call: impl FnOnce() -> String) {
        if self.parts[MAIN].log.len() > self.snapshot_batches_max {
            return;
        }
        let Some(mut snapshots) = self.snapshots.take() else { return };
        snapshots.push(Snapshot { world: Box::new(self.clone()), call: call() });
        self.snapshots = Some(snapshots);
    }
}

fn die(world: Turn<'_>) -> ! {
    drop(world);
    resume_unwind(Box::new(Killed))
}
