//! Worlds from seeds: source, settings, faults, one to three runs at a time.
//!
//! ```sh
//! cargo test --lib sim::random_worlds                              # 10,000 worlds
//! SIM_WORLDS=1000000 SIM_FIRST_SEED=1 cargo test --lib sim::random_worlds
//! SIM_SURVEY=1 cargo test --lib sim::random_worlds -- --nocapture  # all that fail, by kind
//! SIM_SEED=4711 cargo test --lib sim::random_worlds -- --nocapture # one, with its trace
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use super::defects;
use super::drive::{job, play};
use super::events::Event;
use super::leader::{Nature, Partition, Unknown};
use super::oracle::{Oracle, Shape};
use super::world::{Faults, Rng, World};
use crate::flow::job::Job;
use crate::limits::BATCH_OVERHEAD_BYTES;
use crate::wire::compress::Compression;

/// Enough worlds for a test run.
const WORLDS: u64 = 10_000;
/// `max.message.bytes`: small, so that few rows make many batches.
const TOPIC_BYTES: usize = 4096 + 64;
const DAY_MS: u64 = 86_400_000;

/// A world that broke a promise.
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) text: String,
}

#[test]
fn no_world_breaks_the_promise() {
    if let Some(seed) = number("SIM_SEED") {
        let world = run(seed, true);
        for line in world.trace.iter().flatten() {
            eprintln!("{line}");
        }
        assert_eq!(world.failure, None, "seed {seed}");
        return;
    }
    let first = number("SIM_FIRST_SEED").unwrap_or(1);
    let count = number("SIM_WORLDS").unwrap_or(WORLDS);
    if number("SIM_SURVEY").is_some() {
        survey(first, count);
        return;
    }
    if let Some(failure) = search(first, count) {
        let trace = run(failure.seed, true).trace.unwrap_or_default();
        let tail = trace.len().saturating_sub(80);
        panic!(
            "world {}: {}\n{}\nthe whole trace: SIM_SEED={} cargo test --lib sim::random_worlds -- --nocapture",
            failure.seed,
            failure.text,
            trace[tail..].join("\n"),
            failure.seed
        );
    }
}

#[test]
fn a_world_is_a_function_of_its_seed() {
    for seed in 1..=20 {
        let (one, two) = (run(seed, true), run(seed, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that is told which worlds to run")]
pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Every kind of failure, how often, and a seed for each.
fn survey(first: u64, count: u64) {
    let mut kinds = std::collections::BTreeMap::new();
    for seed in first..first.saturating_add(count) {
        if let Some(text) = run(seed, false).failure {
            let kind: String = text.chars().filter(|c| !c.is_ascii_digit()).take(110).collect();
            let (times, seeds) = kinds.entry(kind).or_insert((0, Vec::new()));
            *times += 1;
            seeds.push(seed);
        }
    }
    for (kind, (times, seeds)) in kinds {
        eprintln!("{times:>6} {kind} (seeds {:?})", &seeds[..seeds.len().min(6)]);
    }
}

/// The first world that fails, on all cores.
pub(super) fn search(first: u64, count: u64) -> Option<Failure> {
    let next = AtomicU64::new(first);
    let end = first.saturating_add(count);
    let worst = AtomicU64::new(u64::MAX);
    let defect = defects::current();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<Failure> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    defects::switch(defect);
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || seed > worst.load(Ordering::Relaxed) {
                            return None;
                        }
                        if let Some(text) = run(seed, false).failure {
                            worst.fetch_min(seed, Ordering::Relaxed);
                            return Some(Failure { seed, text });
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    });
    failures.into_iter().min_by_key(|failure| failure.seed)
}

/// Builds the world of a seed and plays it to its end.
pub(super) fn run(seed: u64, trace: bool) -> World {
    let (mut world, job, starts_max) = build(seed);
    if trace {
        world.trace = Some(Vec::new());
        let (faults, features) = (world.faults.clone(), world.features.clone());
        world.note(None, || format!("seed {seed}: {faults:?} {features:?} {job:?}"));
    }
    play(world, &job, starts_max)
}

fn build(seed: u64) -> (World, Job, u32) {
    let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
    let aside = rng.chance(350).then(|| if rng.chance(900) { 1000 } else { rng.between(0, 3) });
    let nature = nature(&mut rng, "orders");
    let batch_bytes_max = *rng.pick(&[TOPIC_BYTES, 8192]).unwrap();
    let topic_bytes = if nature.shows_settings { TOPIC_BYTES } else { 1_048_588 };
    let shape = Shape {
        rows: match rng.below(10) {
            0 => rng.below(4),
            1 => 400,
            _ => rng.below(150),
        },
        row_bytes: *rng.pick(&[12, 60, 200, 600]).unwrap(),
        bad_per_mille: if aside.is_some() || rng.chance(100) { *rng.pick(&[5, 30, 300]).unwrap() } else { 0 },
        keyed: rng.chance(300),
        record_bytes_max: topic_bytes.min(batch_bytes_max) - BATCH_OVERHEAD_BYTES,
        rows_before: 0,
    };
    let oracle = Oracle::make(&mut rng, &shape);
    let mut job = job(aside, oracle.key_column);
    job.checkpoint_interval_rows = rng.between(1, 60);
    job.lease_seconds = *rng.pick(&[1, 5, 15]).unwrap();
    job.retries_max = *rng.pick(&[1, 5, 5]).unwrap() as u32;
    job.batch_bytes_max = batch_bytes_max;
    if rng.chance(100) {
        job.compression = Compression::Gzip;
    }
    if rng.chance(150) {
        job.rows_per_second_max = Some(rng.between(2, 40));
    }
    let mut parts = vec![Partition::new(nature.clone(), topic_bytes)];
    if aside.is_some() {
        parts.push(Partition::new(Nature { topic: "orders-bad", ..nature }, topic_bytes));
    }
    let processes = *rng.pick(&[1, 1, 1, 2, 2, 3]).unwrap();
    let faults = faults(&mut rng);
    let starts_max = rng.between(1, 5);
    let world_rng = Rng(rng.next());
    let mut world = World::new(world_rng, oracle, parts, processes);
    world.faults = faults;
    world.features.aside = aside;
    for process in &mut world.processes {
        process.wake_at = if rng.chance(500) { 0 } else { rng.between(0, 20_000) };
        process.wall_offset_ms = if rng.chance(200) { rng.between(0, 600_000) as i64 - 300_000 } else { 0 };
        if rng.chance(300) {
            process.machine = 0;
        }
    }
    events(&mut rng, &mut world);
    (world, job, u32::try_from(starts_max).unwrap())
}

fn nature(rng: &mut Rng, topic: &'static str) -> Nature {
    let replicas = *rng.pick(&[1, 3, 3, 3]).unwrap();
    Nature {
        topic,
        replicas,
        min_insync: 2.min(replicas),
        unknown: Unknown::Accepts,
        refuses_straddle: rng.chance(200),
        offers_topic_id: rng.chance(700),
        offers_epoch_end: true,
        shows_settings: rng.chance(900),
        expiry_ms: DAY_MS,
        thinned: rng.chance(100),
    }
}

/// Each world has its own mixture, so that one kind of fault does not hide another.
fn faults(rng: &mut Rng) -> Faults {
    let mut often = |choices: &[u64]| if rng.chance(600) { 0 } else { *rng.pick(choices).unwrap() };
    Faults {
        kill: often(&[100, 400, 1500]),
        freeze: often(&[100, 400, 1500]),
        freeze_ms: often(&[1_000, 60_000, 3_600_000, 26 * 3_600_000]).max(500),
        passing: often(&[5, 30, 150]),
        slow: often(&[2, 20]),
        request_lost: often(&[5, 50, 200]),
        request_late: often(&[20, 100, 400]),
        late_ms: often(&[50, 2_000, 30_000, 240_000]).max(20),
        request_twice: often(&[10, 100]),
        answer_lost: often(&[10, 50, 200]),
        cut: often(&[10, 50, 200]),
        throttle: often(&[5, 50]),
        ledger: often(&[10, 60, 250]),
        source: often(&[10, 60, 250]),
        terminate: often(&[10, 100]),
        stale_metadata: often(&[300, 900]),
    }
}

/// What happens around the runs, and when.
fn events(rng: &mut Rng, world: &mut World) {
    let lanes = world.parts.len();
    let when = |rng: &mut Rng| rng.between(0, 8_000) << (rng.below(4) * 2) >> 4;
    for lane in 0..lanes {
        if rng.chance(300) {
            for _ in 0..rng.between(1, 6) {
                let unaware = rng.chance(400);
                world.after(when(rng), Event::ChangeLeader { lane, unaware });
            }
        }
        if rng.chance(150) {
            for _ in 0..rng.between(1, 3) {
                world.after(when(rng), Event::Restart { lane });
            }
        }
        if rng.chance(250) && world.parts[lane].nature.replicas > 1 {
            let at = when(rng);
            world.after(at, Event::Lag { lane });
            if rng.chance(600) {
                world.after(at + rng.between(10, 30_000), Event::Shrink { lane });
            }
            world.after(at + rng.between(20, 60_000), Event::Recover { lane });
        }
        if rng.chance(250) {
            for _ in 0..rng.between(1, 8) {
                let count = rng.below(5) + 1;
                world.after(when(rng), Event::Foreign { lane, count });
            }
        }
        if rng.chance(30) {
            world.after(when(rng), Event::Remake { lane });
        }
        if rng.chance(30) {
            let per_mille = rng.below(1001);
            world.after(when(rng), Event::Delete { lane, per_mille });
        }
        if rng.chance(40) {
            let bytes = *rng.pick(&[300, 1_000, 2_000, 3_000]).unwrap();
            world.after(when(rng), Event::LowerLimit { lane, bytes });
        }
    }
    if rng.chance(30) {
        world.after(when(rng), Event::ReplaceSource);
    }
    if rng.chance(20) {
        let (behind, with_status) = (rng.between(0, 30), rng.chance(500));
        world.after(when(rng), Event::Python { behind, with_status });
    }
}
