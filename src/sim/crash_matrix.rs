//! Every crash there is: a job of some 40 batches is killed at every port call, before and
//! after its effect; it is started again, and killed at every call of that recovery too.
//!
//! ```text
//! first run    ──┬──┬──┬──┬──┬──┬──> 0      a snapshot of the world at each call
//! recovery       └──┬──┬──┬──> 0            from each of them, with what was on its way
//! second             └──> 0                 arriving at once, never, or at a later call
//! ```
//!
//! A process that is killed leaves nothing but the world; so a snapshot is a crash. Of the
//! second crashes those are played that leave another world than all before them did:
//! another log, another item, other requests on their way. `SIM_MATRIX=1` plays all of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::drive::{finish, job};
use super::events::Event;
use super::leader::{Nature, Partition, Unknown};
use super::oracle::{Oracle, Shape};
use super::random_worlds::number;
use super::seeds::adopted;
use super::world::{Rng, Snapshot, World};
use crate::flow::job::Job;
use crate::limits::BATCH_OVERHEAD_BYTES;
use crate::wire::checkpoint::Checkpoint;

const TOPIC_BYTES: usize = 4096 + 64;
/// A recovery is over when so many new batches are in the partition.
const RECOVERY_BATCHES: usize = 2;

#[test]
fn every_crash_of_a_job() {
    let (world, job) = build(None);
    let count = matrix(world, &job);
    assert!(count.batches >= 38, "{count:?}");
    assert!(count.first > 300 && count.second > 200, "{count:?}");
}

#[test]
fn every_crash_of_a_job_with_dead_letters() {
    let (world, job) = build(Some(1000));
    let count = matrix(world, &job);
    assert!(count.batches >= 38, "{count:?}");
    assert!(count.first > 300 && count.second > 200, "{count:?}");
}

/// Its checkpoint names the row that failed: one more than the partition holds.
#[test]
fn every_crash_of_an_adopted_job() {
    let (mut world, job) = build(None);
    let sent = world.oracle.records.len() / 2;
    adopted(&mut Rng(13), &mut world, sent, sent + 1);
    let count = matrix(world, &job);
    assert!(count.first > 200 && count.second > 200, "{count:?}");
}

#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) batches: usize,
    pub(super) first: usize,
    pub(super) late: usize,
    pub(super) second: usize,
}

/// What becomes of the requests that are on their way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnTheirWay {
    Arrive,
    Vanish,
    /// They arrive just before this call of the recovery.
    Late(u64),
}

pub(super) fn matrix(mut whole: World, job: &Job) -> Count {
    let all = number("SIM_MATRIX").is_some();
    let mut count = Count::default();
    whole.snapshots = Some(Vec::new());
    let mut whole = finish(whole, job);
    assert_eq!(whole.failure, None, "the undisturbed run");
    count.batches = whole.parts.iter().map(|part| part.log.len()).sum();
    let mut seen = BTreeSet::new();
    for (index, crash) in whole.snapshots.take().unwrap().into_iter().enumerate() {
        let first = format!("killed {}, call {}", crash.call, crash.world.calls);
        let mut fates = vec![OnTheirWay::Arrive];
        if flying(&crash.world) > 0 {
            fates.push(OnTheirWay::Vanish);
            fates.extend((1..40).map(OnTheirWay::Late));
        }
        for fate in fates {
            match fate {
                OnTheirWay::Late(_) => count.late += 1,
                _ => count.first += 1,
            }
            let label = format!("{first}, requests {fate:?}");
            // Half of the crashes take the machine with them: then the lease is waited for.
            let mut world = crashed(&crash, fate, index % 2 == 1);
            world.snapshots = (!matches!(fate, OnTheirWay::Late(_))).then(Vec::new);
            world.snapshot_batches_max = world.parts[0].log.len() + RECOVERY_BATCHES;
            let mut recovered = play(world, job, &label);
            for again in recovered.snapshots.take().unwrap_or_default() {
                for fate in [OnTheirWay::Arrive, OnTheirWay::Vanish] {
                    if fate == OnTheirWay::Vanish && flying(&again.world) == 0 {
                        continue;
                    }
                    let world = crashed(&again, fate, index % 3 == 1);
                    if seen.insert(durable(&world)) || all {
                        count.second += 1;
                        let label = format!(
                            "{label}; again {}, call {}, requests {fate:?}",
                            again.call, again.world.calls
                        );
                        play(world, job, &label);
                    }
                }
            }
        }
    }
    count
}

fn play(world: World, job: &Job, label: &str) -> World {
    let before = world.clone();
    let played = finish(world, job);
    if let Some(text) = &played.failure {
        let mut traced = before;
        traced.trace = Some(Vec::new());
        traced.snapshots = None;
        let trace = finish(traced, job).trace.unwrap().join("\n");
        panic!("{label}: {text}\n{trace}");
    }
    played
}

fn crashed(crash: &Snapshot, fate: OnTheirWay, other_machine: bool) -> World {
    let mut world = (*crash.world).clone();
    world.processes[0].alive = false;
    if other_machine {
        world.processes[0].machine += 1;
    }
    if fate != OnTheirWay::Arrive {
        let flying: Vec<_> = world
            .queue
            .extract_if(.., |_, event| matches!(event, Event::Produce { .. }))
            .map(|(_, event)| event)
            .collect();
        if let OnTheirWay::Late(calls) = fate {
            world.held = Some((world.calls + calls, flying));
        }
    }
    world
}

fn flying(world: &World) -> usize {
    world.queue.values().filter(|event| matches!(event, Event::Produce { .. })).count()
}

/// All that a start finds, but for clocks and names.
fn durable(world: &World) -> String {
    let mut text = String::new();
    for part in &world.parts {
        for stored in &part.log {
            let header = &stored.header;
            write!(
                text,
                "{}/{}+{} ",
                header.producer_id, header.base_sequence, header.last_offset_delta
            )
            .unwrap();
        }
        text.push('|');
    }
    let item = world.ledger.item.clone().map(|item| Checkpoint {
        timestamp: None,
        run_id: item.run_id.map(|_| String::new()),
        revision: None,
        host: None,
        started_at: None,
        ..item
    });
    let flying: Vec<_> = world
        .queue
        .values()
        .filter(|event| matches!(event, Event::Produce { .. } | Event::Store { .. }))
        .collect();
    write!(text, "{item:?} {} {}", flying.len(), world.processes[0].machine).unwrap();
    text
}

pub(super) fn build(aside: Option<u64>) -> (World, Job) {
    let mut rng = Rng(11);
    let shape = Shape {
        rows: if aside.is_some() { 100 } else { 118 },
        row_bytes: 1200,
        bad_per_mille: if aside.is_some() { 150 } else { 0 },
        keyed: true,
        record_bytes_max: TOPIC_BYTES - BATCH_OVERHEAD_BYTES,
        rows_before: 0,
    };
    let oracle = Oracle::make(&mut rng, &shape);
    let mut job = job(aside, oracle.key_column);
    job.checkpoint_interval_rows = 10;
    // A second must pass between two checkpoints: a brake makes the job last.
    job.rows_per_second_max = Some(10);
    let nature = Nature {
        topic: "orders",
        replicas: 3,
        min_insync: 2,
        unknown: Unknown::Accepts,
        refuses_straddle: true,
        offers_topic_id: true,
        offers_epoch_end: true,
        shows_settings: true,
        expiry_ms: 86_400_000,
        thinned: false,
    };
    let mut parts = vec![Partition::new(nature.clone(), TOPIC_BYTES)];
    if aside.is_some() {
        parts.push(Partition::new(Nature { topic: "orders-bad", ..nature }, TOPIC_BYTES));
    }
    let mut world = World::new(Rng(12), oracle, parts, 1);
    world.features.aside = aside;
    (world, job)
}

/// First sequence and last delta of each batch, in a world where only time differs.
pub(super) fn boundaries(seed: u64) -> Vec<(i32, i32)> {
    let (mut world, job) = build(None);
    world.rng = Rng(seed);
    let world = finish(world, &job);
    assert_eq!(world.failure, None);
    let header = |stored: &super::decode::Stored| {
        (stored.header.base_sequence, stored.header.last_offset_delta)
    };
    world.parts[0].log.iter().map(header).collect()
}
