//! The ports of a run, into a world (the ledger's is in `ledger`). Each call is a point at which its process can be
//! killed or frozen, before and after the effect.

use std::sync::Arc;

use super::decode::{Stored as Batched, decode};
use super::defects::{Defect, on};
use super::events::{Conn, Event, IDLE_MS};
use super::leader::{Partition, Unknown};
use super::world::{MAIN, Rng, Stage, Turn, WALL_MS, World};
use crate::event::Event as Told;
use crate::flow::ports::{
    Answer, Broker, Confirmed, Described, Fault, Guard, Mark, Metrics, Now, Obstacle, Opened, Pin,
    ProducerIdentity, Read, ReadTo, Source, TopicSettings, Trouble, Unsent, Visit,
    World as WorldPort,
};
use crate::limits::{CALL_TIMEOUT_MS, METRICS_HURRIED_MS};
use crate::wire::metrics::Figures;
use crate::wire::record_batch::Batch;

/// A process's way into its world.
#[derive(Clone)]
pub(super) struct Hand {
    pub(super) stage: Arc<Stage>,
    pub(super) me: usize,
}

impl Hand {
    pub(super) fn call<T>(&self, name: &str, body: impl FnOnce(&mut World, usize) -> T) -> T {
        let mut world = self.stage.begin(self.me, name);
        let out = body(&mut world, self.me);
        self.stage.end(world, self.me, name);
        out
    }

    fn sleep(&self, ms: u64) {
        let world = self.stage.lock();
        let until = world.now + ms;
        drop(self.stage.sleep(world, self.me, until));
    }
}

pub(super) fn trouble(problem: &str) -> Fault {
    Fault::passing(problem)
}

// --- Source -----------------------------------------------------------------------------

pub(super) struct SimSource {
    hand: Hand,
    open: Option<Body>,
}

struct Body {
    bytes: Arc<[u8]>,
    at: usize,
    to: usize,
}

impl SimSource {
    pub(super) fn new(hand: Hand) -> SimSource {
        SimSource { hand, open: None }
    }
}

impl Source for SimSource {
    fn open(&mut self, from: u64, to: Option<u64>, pinned: Option<&Pin>) -> Result<Opened, Fault> {
        self.open = None;
        let (opened, body) = self.hand.call("source.open", |world, me| {
            let often = world.faults.source;
            if world.rng.chance(often) {
                world.note(Some(me), || "source.open: 503".into());
                return (Err(trouble("503 SlowDown")), None);
            }
            let now = world.store.pin();
            if pinned.is_some_and(|pinned| *pinned != now) {
                world.note(Some(me), || "source.open: replaced".into());
                return (Ok(Opened::Replaced), None);
            }
            world.note(Some(me), || format!("source.open {from}..{to:?}"));
            let bytes = world.store.bytes.clone();
            let end = to.map_or(bytes.len(), |to| usize::try_from(to).unwrap().min(bytes.len()));
            let at = usize::try_from(from).unwrap().min(end);
            (Ok(Opened::Open(now)), Some(Body { bytes, at, to: end }))
        });
        self.open = body;
        opened
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Fault> {
        let Some(body) = &mut self.open else { return Err(trouble("nothing is open")) };
        assert!(!buffer.is_empty(), "a read into an empty buffer");
        let read = self.hand.call("source.read", |world, me| {
            let often = world.faults.source;
            if world.rng.chance(often / 2) {
                world.note(Some(me), || "source.read: cut".into());
                return Err(trouble("the body was cut"));
            }
            if world.rng.chance(often) {
                return Ok(Read::NotYet);
            }
            let left = body.to - body.at;
            if left == 0 {
                return Ok(Read::End);
            }
            let most = left.min(buffer.len());
            let bytes =
                if world.rng.chance(often * 2) { 1 + world.rng.below(most.min(50)) } else { most };
            let bytes = bytes.min(most);
            buffer[..bytes].copy_from_slice(&body.bytes[body.at..body.at + bytes]);
            body.at += bytes;
            Ok(Read::Bytes(bytes))
        });
        match &read {
            Err(_) => self.open = None,
            Ok(Read::NotYet) => self.hand.sleep(100),
            Ok(_) => {}
        }
        read
    }
}

// --- Broker -----------------------------------------------------------------------------

pub(super) struct SimBroker {
    hand: Hand,
    lane: usize,
    described: Option<(usize, Option<String>)>,
    conn: Option<u64>,
    flying: Option<Batch>,
    highest: i64,
}

impl SimBroker {
    pub(super) fn new(hand: Hand, lane: usize) -> SimBroker {
        SimBroker { hand, lane, described: None, conn: None, flying: None, highest: -1 }
    }

    /// What a defective client makes of an answer.
    fn misread(&mut self, error_code: i16, base_offset: i64) -> (i16, i64) {
        if error_code == 0 && on(Defect::OldOffsetIsDuplicate) {
            let item = self.hand.stage.lock().ledger.item.clone();
            let known = item.and_then(|item| item.main.kafka_offset).unwrap_or(-1);
            self.highest = base_offset.max(known + 1).max(self.highest + 1);
            return (0, self.highest);
        }
        (error_code, base_offset)
    }

    /// A side call to the leader that was described last.
    fn ask<T>(
        &mut self,
        name: &str,
        body: impl FnOnce(&mut Partition, usize, u64) -> Result<T, i16>,
    ) -> Result<T, Fault>
    where
        T: std::fmt::Debug,
    {
        assert!(self.flying.is_none(), "{name} while a batch is in flight");
        let (lane, described) = (self.lane, self.described.as_ref().map(|known| known.0));
        self.hand.call(name, |world, me| {
            if let Some(fault) = unreachable_now(world, lane) {
                world.note(Some(me), || format!("{name}[{lane}]: {fault:?}"));
                return Err(fault);
            }
            let replica = described.unwrap_or(world.parts[lane].leader);
            let wall_ms = world.wall_ms();
            let answer = body(&mut world.parts[lane], replica, wall_ms);
            world.note(Some(me), || format!("{name}[{lane}] at replica {replica}: {answer:?}"));
            answer.map_err(|code| trouble(&format!("error {code}")))
        })
    }
}

fn unreachable_now(world: &mut World, lane: usize) -> Option<Fault> {
    let passing = world.faults.passing;
    if world.now < world.down_until[lane] {
        return Some(trouble("the broker is down"));
    }
    world.rng.chance(passing).then(|| trouble("a passing fault"))
}

impl Broker for SimBroker {
    fn guard(&self) -> Guard {
        match self.hand.stage.lock().parts[self.lane].nature.unknown {
            Unknown::KnowsNone => Guard::TailOnly,
            Unknown::Accepts | Unknown::Refuses(_) => Guard::Sequence,
        }
    }

    fn describe(&mut self) -> Result<Described, Fault> {
        assert!(self.flying.is_none(), "describe while a batch is in flight");
        let lane = self.lane;
        let (answer, leader) = self.hand.call("describe", |world, me| {
            if let Some(fault) = unreachable_now(world, lane) {
                world.note(Some(me), || format!("describe[{lane}]: {fault:?}"));
                return (Err(fault), None);
            }
            let stale = world.faults.stale_metadata;
            let stale = world.rng.chance(stale);
            world.processes[me].met_remade[lane] |=
                world.checked[lane].remade && world.parts[lane].nature.offers_topic_id;
            let part = &world.parts[lane];
            let (leader, leader_epoch) = match &part.deposed {
                Some(old) if stale => (old.replica, old.epoch),
                _ => (part.leader, part.epoch),
            };
            let described = Described {
                cluster_id: Some("cluster".into()),
                topic_id: part.nature.offers_topic_id.then(|| part.topic_id.clone()),
                partition_count: 1,
                leader: format!("replica {leader}"),
                rights: None,
                leader_epoch,
                replica_count: part.nature.replicas,
                in_sync_count: if on(Defect::CompleteOnOneReplica) {
                    part.nature.replicas
                } else {
                    part.in_sync_count()
                },
            };
            world.note(Some(me), || format!("describe[{lane}]: leader {leader}, {described:?}"));
            let leader = (leader, described.topic_id.clone());
            (Ok(described), Some(leader))
        });
        if let Some(leader) = leader {
            if self.described.as_ref().is_some_and(|before| before.0 != leader.0) {
                self.conn = None;
            }
            self.described = Some(leader);
        }
        answer
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        self.ask("topic_settings", |part, _, _| Ok(part.settings()))
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        self.ask("new_producer", |part, _, _| {
            part.new_producer().map(|id| ProducerIdentity { id, epoch: 0 }).ok_or(14)
        })
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        let name = match mark {
            Mark::Start => "offset.start",
            Mark::VisibleEnd => "offset.visible_end",
            Mark::EpochEnd { .. } => "offset.epoch_end",
        };
        let blind = on(Defect::TrustListOffsets) || on(Defect::TrustFetchWatermark);
        if blind && matches!(mark, Mark::EpochEnd { .. }) {
            return Ok(None);
        }
        // Where the partition is looked at, an earlier attempt is settled.
        self.hand.stage.lock().processes[self.hand.me].sent = None;
        self.ask(name, |part, replica, _| part.offset(replica, mark))
    }

    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault> {
        if on(Defect::SkipTail) && matches!(visit, Visit::Headers(_)) {
            return Ok(ReadTo::Offset(to));
        }
        let max = self.hand.stage.lock().rng.below(6);
        let fetched = self.ask("read", |part, replica, _| part.fetch(replica, from, max));
        let log_start = self.hand.stage.lock().parts[self.lane].log_start;
        let batches = match fetched {
            Ok(batches) => batches,
            Err(_) if from < log_start => return Ok(ReadTo::Deleted { log_start }),
            Err(fault) => return Err(fault),
        };
        let batches: Vec<_> =
            batches.into_iter().filter(|batch| batch.header.base_offset < to).collect();
        let reached = batches.last().map_or(from, Batched::end);
        match visit {
            Visit::Headers(visit) => {
                for batch in &batches {
                    let mut header = batch.header;
                    if on(Defect::TrustRecordCount) {
                        header.last_offset_delta = header.record_count - 1;
                    }
                    visit(&header);
                }
            }
            Visit::Records(visit) => {
                for batch in &batches {
                    batch.visit(from, to, visit);
                }
            }
            Visit::Batches(visitor) => {
                for batch in &batches {
                    if visitor.batch(&batch.header) {
                        batch.visit(from, to, &mut |offset, key, value| {
                            visitor.record(offset, key, value);
                        });
                    }
                }
            }
        }
        Ok(ReadTo::Offset(reached))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        let lane = self.lane;
        let (known, open) = (self.described.as_ref().map(|known| known.0), self.conn);
        let answer = self.hand.call("connect", |world, me| {
            let usable =
                |world: &World, id: u64| world.conns.get(&id).is_some_and(|conn| !conn.cut);
            if let Some(id) = open.filter(|id| usable(world, *id)) {
                return Ok(id);
            }
            if let Some(fault) = unreachable_now(world, lane) {
                world.note(Some(me), || format!("connect[{lane}]: {fault:?}"));
                return Err(fault);
            }
            let replica = known.unwrap_or(world.parts[lane].leader);
            let id = world.serial();
            let used_at = world.now;
            world.conns.insert(id, Conn { lane, replica, answer: None, cut: false, used_at });
            world.note(Some(me), || format!("connect[{lane}]: {id} to replica {replica}"));
            Ok(id)
        });
        answer.map(|id| self.conn = Some(id))
    }

    fn send(&mut self, batch: Batch) {
        assert!(self.flying.is_none(), "two batches in flight");
        let id = self.conn.expect("send without a connection");
        let bytes: Arc<[u8]> = Arc::from(batch.as_bytes());
        self.flying = Some(batch);
        let topic_id = self.described.as_ref().and_then(|known| known.1.clone());
        self.hand.call("send", |world, me| launch(world, me, id, topic_id.as_deref(), &bytes));
    }

    fn confirm(&mut self, wait_ms: u64) -> Confirmed {
        let Some(id) = self.conn else {
            return match self.flying.take() {
                Some(batch) => Confirmed::Lost(batch, lost()),
                None => Confirmed::Idle,
            };
        };
        if self.flying.is_none() {
            return Confirmed::Idle;
        }
        let stage = &self.hand.stage;
        let me = self.hand.me;
        let mut world = stage.begin(me, "confirm");
        let deadline = world.now + wait_ms;
        let heard = |world: &Turn<'_>| {
            let conn = &world.conns[&id];
            conn.answer.is_some() || conn.cut
        };
        while !heard(&world) && world.now < deadline {
            world.processes[me].listens = Some(id);
            world = stage.sleep(world, me, deadline);
        }
        let throttled = world.faults.throttle;
        let outcome = match &world.conns[&id] {
            Conn { answer: Some(answer), .. } => Some(Ok(*answer)),
            Conn { cut: true, .. } => Some(Err(())),
            Conn { .. } => None,
        };
        let throttle_ms =
            if world.rng.chance(throttled) { world.rng.between(1, 30_000) } else { 0 };
        let lane = self.lane;
        if let Some(outcome) = outcome {
            world.note(Some(me), || match outcome {
                Ok((code, base)) => format!("confirm[{lane}]: {code} @ {base}"),
                Err(()) => format!("confirm[{lane}]: the connection is gone"),
            });
            let now = world.now;
            let conn = world.conns.get_mut(&id).unwrap();
            conn.answer = None;
            conn.used_at = now;
            if let Ok((code, base)) = outcome {
                let known = world.ledger.item.as_ref().and_then(|item| {
                    let lane = if lane == MAIN { &item.main } else { &item.dlq };
                    lane.kafka_offset
                });
                let went_back = code == 0 && known.is_some_and(|known| base <= known);
                world.processes[me].met_remade[lane] |= world.checked[lane].remade && went_back;
                if code == 10 {
                    world.processes[me].sent = None;
                }
            }
        }
        stage.end(world, me, "confirm");
        match outcome {
            None => Confirmed::Pending,
            Some(Ok((error_code, base_offset))) => {
                let (error_code, base_offset) = self.misread(error_code, base_offset);
                let batch = self.flying.take().expect("checked above");
                Confirmed::Answered(batch, Answer { error_code, base_offset, throttle_ms })
            }
            Some(Err(())) => {
                self.conn = None;
                let batch = self.flying.take().expect("checked above");
                Confirmed::Lost(batch, lost())
            }
        }
    }

    fn hang_up(&mut self) -> Option<Batch> {
        let lane = self.lane;
        if self.conn.take().is_some() {
            self.hand
                .call("hang_up", |world, me| world.note(Some(me), || format!("hang_up[{lane}]")));
        }
        self.flying.take()
    }
}

fn lost() -> Trouble {
    Trouble { problem: "the connection is gone".into(), missing: None, pause_ms: 0 }
}

/// What the network does with a produce request: at once, late or never, once or twice.
fn launch(world: &mut World, me: usize, id: u64, topic_id: Option<&str>, bytes: &Arc<[u8]>) {
    let faults = world.faults.clone();
    let first = decode(bytes).map_or(-1, |stored| stored.header.base_sequence);
    let lane = world.conns[&id].lane;
    match &world.processes[me].sent {
        Some((before_lane, before_first, before))
            if first >= 0
                && *before_lane == lane
                && *before_first == first
                && before[..] != bytes[..] =>
        {
            world.fail("a batch was sent again with other bytes, and the partition was not read");
        }
        _ => world.processes[me].sent = Some((lane, first, bytes.clone())),
    }
    let conn = world.conns.get_mut(&id).expect("a connection that was made");
    let (lane, replica) = (conn.lane, conn.replica);
    let idle = world.now - conn.used_at;
    conn.used_at = world.now;
    conn.answer = None;
    if conn.cut || idle > IDLE_MS {
        conn.cut = true;
        world.note(Some(me), || format!("send[{lane}]: on a closed connection"));
        return;
    }
    let rng = &mut world.rng;
    let lost = rng.chance(faults.request_lost);
    let late_ms = if rng.chance(faults.request_late) {
        let most_ms = faults.late_ms >> (rng.below(4) * 3);
        rng.between(5, most_ms.max(5))
    } else {
        rng.between(0, 2)
    };
    let twice = rng.chance(faults.request_twice).then(|| rng.between(0, faults.late_ms.max(1)));
    let cut = rng.chance(faults.cut).then(|| rng.between(0, 10));
    let answered = !rng.chance(faults.answer_lost);
    world.note(Some(me), || {
        let when = if lost { "never".into() } else { format!("after {late_ms} ms") };
        let twice = twice.map_or_else(String::new, |ms| format!(", again after {ms} ms"));
        let cut = cut.map_or_else(String::new, |ms| format!(", cut after {ms} ms"));
        let answer = if answered { "" } else { ", no answer" };
        format!("send[{lane}] on {id}: arrives {when}{twice}{cut}{answer}")
    });
    let produce = |answered| Event::Produce {
        conn: id,
        lane,
        replica,
        topic_id: topic_id.map(str::to_owned),
        bytes: bytes.clone(),
        answered,
    };
    if !lost {
        if late_ms == 0 {
            world.happen(produce(answered));
        } else {
            world.after(late_ms, produce(answered));
        }
    }
    if let Some(ms) = twice {
        world.after(late_ms + ms, produce(false));
    }
    if let Some(ms) = cut {
        world.after(ms, Event::Cut { conn: id });
    }
}

// --- World ------------------------------------------------------------------------------

/// Collects metrics: at once, late, or not at all, as the moment wants it.
pub(super) struct SimMetrics(pub(super) Hand);

impl Metrics for SimMetrics {
    fn interval_ms(&self) -> u64 {
        2_000
    }

    fn call_ms_max(&self) -> u64 {
        CALL_TIMEOUT_MS
    }

    fn put(&mut self, figures: &Figures<'_>, hurried: bool) -> Result<(), Unsent> {
        let (takes_ms, fails) = self.0.call("metrics.put", |world, me| {
            let mut moment = Rng(world.now);
            let most_ms = if hurried { METRICS_HURRIED_MS } else { CALL_TIMEOUT_MS };
            let is_slow = moment.chance(300);
            let takes_ms = if is_slow { most_ms } else { moment.between(0, 50) };
            let fails = is_slow || moment.chance(200);
            world.note(Some(me), || {
                format!(
                    "metrics.put: {takes_ms} ms, fails: {fails}, {} figures",
                    figures.values.len()
                )
            });
            (takes_ms, fails)
        });
        self.0.sleep(takes_ms);
        if fails {
            let problem = "the lab keeps no metrics".to_owned();
            return Err(Unsent { obstacle: Obstacle::Unreachable, problem });
        }
        Ok(())
    }
}

pub(super) struct SimWorld(pub(super) Hand);

impl SimWorld {
    fn turn(&self) -> Turn<'_> {
        self.0.stage.lock()
    }
}

impl WorldPort for SimWorld {
    fn now(&mut self) -> Now {
        let world = self.turn();
        let process = &world.processes[self.0.me];
        Now {
            monotonic_ms: 1_000_000 + world.now - process.slept_ms.min(world.now),
            wall_ms: (WALL_MS + world.now).checked_add_signed(process.wall_offset_ms).unwrap(),
        }
    }

    fn random(&mut self) -> u64 {
        self.turn().rng.next()
    }

    fn wait(&mut self, wait_ms: u64) {
        let world = self.0.stage.begin(self.0.me, "wait");
        let until = world.now + wait_ms;
        let world = self.0.stage.sleep(world, self.0.me, until);
        self.0.stage.end(world, self.0.me, "wait");
    }

    fn stop_asked(&mut self) -> Option<&'static str> {
        let mut world = self.turn();
        let (me, often) = (self.0.me, world.faults.terminate);
        if often > 0
            && world.processes[me].terminated_at.is_none()
            && world.rng.next() % 100_000 < often
        {
            world.processes[me].terminated_at = Some(world.now);
            world.note(Some(me), || "SIGTERM".into());
        }
        world.processes[me].terminated_at.map(|_| "SIGTERM")
    }

    /// Hosts are `machine-M/P.S`: the process P in its start S.
    fn is_gone(&mut self, host: &str) -> bool {
        let world = self.turn();
        let machine = world.processes[self.0.me].machine;
        let Some((on, which)) = host.split_once('/') else { return false };
        let Some((process, start)) = which.split_once('.') else { return false };
        if on != format!("machine-{machine}") {
            return false;
        }
        let process = &world.processes[process.parse::<usize>().unwrap()];
        !process.alive || process.start != start.parse::<u32>().unwrap()
    }

    fn tell(&mut self, event: &Told<'_>) {
        let mut world = self.turn();
        world.note(Some(self.0.me), || format!("    {event:?}"));
    }
}
