//! Who runs in a world, and what their ends must mean.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use super::defects;
use super::events::Event;
use super::ledger::SimLedger;
use super::oracle::SOURCE;
use super::ports::{Hand, SimBroker, SimMetrics, SimSource, SimWorld};
use super::world::{DEAD, Faults, Killed, MAIN, Rng, Stage, World};
use crate::flow;
use crate::flow::job::{Job, Target};
use crate::flow::ports::Ports;
use crate::settings::{Csv, Header, OnBadRow};
use crate::stop::Stop;
use crate::wire::checkpoint::Status;
use crate::wire::compress::Compression;

/// Starts that a job may need once nothing fails any more: a late write of a dead run may
/// still take the job away once, and the lease is waited for.
const CALM_STARTS_MAX: usize = 6;
/// Port calls that these may need, beyond a few for each row.
const CALM_CALLS_MAX: u64 = 4_000;

/// SIGTERM ends a run within this, whatever broker, source and ledger do.
const STOP_MS_MAX: u64 = 10_000;

/// How one start ended.
#[derive(Debug)]
pub(super) enum End {
    Killed,
    Stopped(Stop),
}

pub(super) fn job(aside: Option<u64>, key_column: Option<&str>) -> Job {
    Job {
        job_id: "job".into(),
        source: SOURCE.into(),
        target: Target { topic: "orders".into(), partition: 0 },
        bootstrap: "broker:9092".into(),
        csv: Csv {
            delimiter: b',',
            delimiter_given: true,
            quote: Some(b'"'),
            header: Header::First,
            columns: Vec::new(),
            row_bytes_max: 16 * 1024,
        },
        key_column: key_column.map(str::to_owned),
        on_bad_row: match aside {
            None => OnBadRow::Stop,
            Some(_) => OnBadRow::SetAside { topic: "orders-bad".into() },
        },
        bad_rows_max: aside.unwrap_or(0),
        compression: Compression::None,
        batch_bytes_max: 8 * 1024,
        checkpoint_interval_rows: 20,
        lease_seconds: 15,
        retries_max: 5,
        rows_per_second_max: None,
        rows_max: None,
        source_version: None,
        host: String::new(),
        identity: "simulation".into(),
        version: "0".into(),
    }
}

/// Another value of something that decides what the rows are.
fn make_strange(job: &mut Job, rng: &mut Rng) {
    match rng.below(5) {
        0 => job.csv.delimiter = b';',
        1 => job.csv.quote = None,
        2 => job.csv.columns = ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        3 => job.key_column = if job.key_column.is_some() { None } else { Some("note".into()) },
        _ => job.csv.row_bytes_max = 64,
    }
}

/// The same job with dead letters from now on.
fn with_aside(job: &Job) -> Job {
    let on_bad_row = OnBadRow::SetAside { topic: "orders-bad".into() };
    Job { on_bad_row, bad_rows_max: 1000, ..job.clone() }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IN_WORLD: RefCell<bool> = const { RefCell::new(false) };
}

/// Panics inside a world are its findings, not the test's output.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IN_WORLD.with_borrow(|inside| *inside) {
                PANIC.with_borrow_mut(|text| *text = Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let said = PANIC.with_borrow_mut(Option::take);
    let fallback = || payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into());
    said.unwrap_or_else(fallback)
}

/// One start of one process, to its end.
pub(super) fn start(stage: &Arc<Stage>, me: usize, job: &Job) -> End {
    hush();
    let mut job = job.clone();
    {
        let mut world = stage.lock();
        // Only once there is something to differ from.
        let pinned = world.ledger.item.as_ref().is_some_and(|item| item.etag.is_some());
        let often = world.faults.strange;
        let strange = pinned && world.rng.chance(often);
        world.processes[me].strange = strange;
        let often = world.faults.shaken;
        if world.rng.chance(often) {
            for lane in 0..world.parts.len() {
                let (delay_ms, unaware) = (world.rng.between(0, 60), world.rng.chance(500));
                world.after(delay_ms, Event::ChangeLeader { lane, unaware });
            }
        }
        let often = world.faults.varied;
        if world.rng.chance(often) {
            job.rows_per_second_max = Some(world.rng.between(2, 40));
        }
        if strange {
            make_strange(&mut job, &mut world.rng);
        }
        let process = &mut world.processes[me];
        process.start += 1;
        process.alive = true;
        process.terminated_at = None;
        process.met_remade = [false; 2];
        process.sent = None;
        job.host = format!("machine-{}/{me}.{}", process.machine, process.start);
        world.note(Some(me), || "STARTS".into());
    }
    // Some starts have to tell their figures too; no draw of the world's is spent on which.
    let with_metrics = stage.lock().rng.0.is_multiple_of(4);
    let hand = Hand { stage: stage.clone(), me };
    let mut source = SimSource::new(hand.clone());
    let mut main = SimBroker::new(hand.clone(), MAIN);
    let mut dead = SimBroker::new(hand.clone(), DEAD);
    let mut ledger = SimLedger::new(hand.clone());
    let mut metrics = SimMetrics(hand.clone());
    let mut outer = SimWorld(hand);
    let mut ports = Ports {
        source: &mut source,
        main: &mut main,
        dead: matches!(job.on_bad_row, OnBadRow::SetAside { .. }).then_some(&mut dead as _),
        ledger: &mut ledger,
        metrics: with_metrics.then_some(&mut metrics as _),
        world: &mut outer,
    };
    IN_WORLD.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| flow::run(&job, &mut ports)));
    IN_WORLD.set(false);
    let mut world = stage.lock();
    world.processes[me].alive = false;
    match outcome {
        Ok(outcome) => {
            world.note(Some(me), || {
                format!("ENDS {}: {:?}", outcome.stop.exit_code(), outcome.stop)
            });
            let lawful = !world.features.python;
            if let Some(problem) = world.outcome_problem(me, &outcome.stop).filter(|_| lawful) {
                world.fail(problem);
            }
            End::Stopped(outcome.stop)
        }
        Err(payload) if payload.is::<Killed>() => End::Killed,
        Err(payload) => {
            let text = panic_text(&*payload);
            world.fail(format!("the flow panicked: {text}"));
            End::Killed
        }
    }
}

impl World {
    /// What is wrong with a run ending so, in this world.
    fn outcome_problem(&self, me: usize, stop: &Stop) -> Option<String> {
        let process = &self.processes[me];
        if let Some(at) = process.terminated_at
            && self.faults.freeze == 0
            && self.now > at + STOP_MS_MAX
        {
            return Some(format!("it took {} ms to stop", self.now - at));
        }
        if process.strange {
            let refused = matches!(stop, Stop::PinsDiffer { .. }) || stop.exit_code() == 75;
            return (!refused).then(|| format!("a run with other settings ends so: {stop:?}"));
        }
        if matches!(stop, Stop::Contended { .. }) && self.features.lonely && !self.features.remade {
            return Some(format!("there is no other run: {stop:?}"));
        }
        match stop.exit_code() {
            0 => self.completed_problem().or_else(|| self.item_problem()),
            75 => None,
            _ => self.mend_problem(stop),
        }
    }

    /// Nobody but the one run, now and before, can have sent anything.
    fn is_lonely(&self) -> bool {
        let Faults { request_late, request_twice, stale_metadata, .. } = self.faults;
        let quiet = request_late + request_twice + stale_metadata == 0;
        quiet && self.processes.len() == 1
    }

    fn item_problem(&self) -> Option<String> {
        let Some(item) = &self.ledger.item else { return Some("complete without an item".into()) };
        let sent = self.oracle.rows_before + self.oracle.records.len() as u64;
        let facts = [
            ("status", item.status == Some(Status::Completed)),
            ("last_line", item.last_line == Some(self.oracle.rows())),
            ("total_sent", item.total_sent == Some(sent)),
            (
                "dlq_rows",
                self.features.aside.is_none()
                    || item.dlq_rows == Some(self.oracle.bad().len() as u64),
            ),
        ];
        if let Some((name, _)) = facts.iter().find(|(_, right)| !right) {
            return Some(format!("complete, but {name} is wrong: {item:?}"));
        }
        if self.features.remade || self.features.deleted {
            return None;
        }
        let part = &self.parts[MAIN];
        let mut ours = part.log.iter().filter(|stored| stored.header.producer_id >= 0);
        let last = ours.next_back().map(|stored| stored.end() - 1);
        (item.main.last_offset != last && last.is_some() && !self.features.adopts).then(|| {
            format!(
                "last_offset is {:?}, and the last record lies at {last:?}",
                item.main.last_offset
            )
        })
    }

    /// Whether a person must really act.
    fn mend_problem(&self, stop: &Stop) -> Option<String> {
        let features = &self.features;
        let right = match stop {
            Stop::BadRow { row, .. } => {
                let bad_index = usize::try_from(features.aside.unwrap_or(0)).unwrap();
                let bad_index = if features.aside_later { 0 } else { bad_index };
                let bad_row = self.oracle.bad_row(bad_index);
                bad_row == Some(*row)
            }
            Stop::SourceReplaced { .. } => features.replaced,
            Stop::TopicRemade { .. }
            | Stop::OffsetWentBack { .. }
            | Stop::Truncated { .. }
            | Stop::TailBroken { .. } => features.remade,
            Stop::RowsDeleted { .. } | Stop::TailDeleted { .. } => {
                features.deleted || features.remade
            }
            // Nothing was sent, and the checkpoint names the row that failed.
            Stop::NothingToAdopt { .. } => {
                features.remade
                    || (features.adopts && (features.deleted || self.checked[MAIN].before == 0))
            }
            Stop::Overwritten { .. } => features.python,
            Stop::RecordRefused { .. } | Stop::Refused { .. } => features.limit_lowered,
            _ => false,
        };
        (!right).then(|| format!("exit 1 without a reason: {stop:?}"))
    }

    /// Nothing fails any more; what is on its way still arrives.
    pub(super) fn calm(&mut self) {
        self.faults = Faults::default();
        self.queue.retain(|_, event| {
            matches!(
                event,
                Event::Produce { .. }
                    | Event::Answer { .. }
                    | Event::Cut { .. }
                    | Event::TimedOut { .. }
                    | Event::Replicate { .. }
                    | Event::Store { .. }
            )
        });
        for lane in 0..self.parts.len() {
            self.down_until[lane] = self.now;
            self.parts[lane].heal();
        }
        self.note(None, || "from here on nothing fails".into());
    }
}

/// Runs the slots of a world, each in its own thread, until all have ended or used up their
/// starts; then what is left to do is done in a calm world.
pub(super) fn play(mut world: World, job: &Job, starts_max: u32) -> World {
    let slots = world.processes.len();
    // Judged now: what is late in a world still arrives when nothing fails any more.
    world.features.lonely = world.is_lonely();
    let job = job.clone();
    let stage = Arc::new(Stage::new(world));
    if slots == 1 {
        slot(&stage, 0, &job, starts_max);
    } else {
        let defect = defects::current();
        std::thread::scope(|scope| {
            for me in 0..slots {
                let (stage, job) = (&stage, &job);
                scope.spawn(move || {
                    defects::switch(defect);
                    slot(stage, me, job, starts_max);
                });
            }
        });
    }
    let world = Arc::into_inner(stage).expect("all threads have ended").into_world();
    finish(world, &job)
}

fn slot(stage: &Arc<Stage>, me: usize, job: &Job, starts_max: u32) {
    stage.enter(me);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..starts_max {
            match start(stage, me, job) {
                End::Stopped(Stop::PinsDiffer { .. }) => {}
                End::Stopped(stop) if stop.exit_code() != 75 => break,
                End::Stopped(_) | End::Killed => {}
            }
            let mut world = stage.lock();
            if world.failure.is_some() {
                break;
            }
            let pause_ms = world.rng.between(10, 5_000) << (world.rng.below(3) * 2);
            let until = world.now + pause_ms;
            drop(stage.sleep(world, me, until));
        }
    }));
    if let Err(payload) = ended
        && !payload.is::<Killed>()
    {
        stage.lock().fail(format!("the harness panicked: {}", panic_text(&*payload)));
    }
    // The others would wait for their turns for ever.
    if catch_unwind(AssertUnwindSafe(|| stage.leave(me))).is_err() {
        std::process::abort();
    }
}

/// A calm world: the job must come to its end in a bounded number of calls.
pub(super) fn finish(mut world: World, job: &Job) -> World {
    // What the Python program has overwritten is for a person to sort out.
    if world.failure.is_some() || world.features.python {
        return world;
    }
    world.calm();
    let aside_later = std::mem::take(&mut world.features.aside_later);
    if aside_later {
        world.features.aside = Some(1000);
    }
    world.only(0);
    world.calls_max = world.calls + CALM_CALLS_MAX + 40 * world.oracle.fates.len() as u64;
    let stage = Arc::new(Stage::new(world));
    let job = if aside_later { &with_aside(job) } else { job };
    let mut last = None;
    for _ in 0..CALM_STARTS_MAX {
        stage.enter(0);
        let end = start(&stage, 0, job);
        let mut world = stage.lock();
        if world.failure.is_some() {
            break;
        }
        match end {
            End::Stopped(stop) if stop.exit_code() != 75 => {
                last = Some(stop);
                break;
            }
            End::Stopped(stop) => last = Some(stop),
            End::Killed => world.fail("killed in a calm world"),
        }
        world.now += 20_000;
        let until = world.now;
        world.processes[0].wake_at = until;
    }
    let mut world = Arc::into_inner(stage).expect("one thread").into_world();
    if world.failure.is_some() {
        return world;
    }
    match last {
        Some(stop) if stop.exit_code() == 75 && !world.features.remade => {
            world.fail(format!("no end after {CALM_STARTS_MAX} starts in a calm world: {stop:?}"));
        }
        _ => {}
    }
    world.epilogue();
    world
}

impl World {
    /// All that is still on its way arrives; it must change nothing.
    fn epilogue(&mut self) {
        let complete =
            self.ledger.item.as_ref().is_some_and(|item| item.status == Some(Status::Completed));
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = self.now.max(at);
            self.happen(event);
        }
        if complete
            && self.failure.is_none()
            && let Some(problem) = self.completed_problem().or_else(|| self.item_problem())
        {
            self.fail(format!("after the end: {problem}"));
        }
    }
}
