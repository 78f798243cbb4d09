//! Worlds from seeds: source, settings, faults, one to three runs at a time.
//!
//! ```sh
//! cargo test --lib sim::random_worlds                              # 10,000 worlds
//! SIM_WORLDS=1000000 SIM_FIRST_SEED=1 cargo test --lib sim::random_worlds
//! SIM_SURVEY=1 cargo test --lib sim::random_worlds -- --nocapture  # all that fail, by kind
//! SIM_KIND=3 …                                                    # only worlds of the fourth kind
//! SIM_SEED=4711 cargo test --lib sim::random_worlds -- --nocapture # one, with its trace
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use super::defects;
use super::drive::play;
use super::seeds::{KINDS, Kind, build};
use super::world::World;

/// Enough worlds for a test run.
const WORLDS: u64 = 10_000;

/// A world that broke a promise.
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) text: String,
}

#[test]
fn no_world_breaks_the_promise() {
    if let Some(seed) = number("SIM_SEED") {
        let world = run(seed, true, None);
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
    if let Some(failure) = search(first, count, None) {
        let trace = run(failure.seed, true, None).trace.unwrap_or_default();
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

/// Retention does not spare what the Python processor sent, nor what came after it.
#[test]
fn rows_that_were_taken_over_are_deleted_too() {
    let is_deleted = |seed| run(seed, false, Some(Kind::Adopts)).features.deleted;
    assert!((1..=500).any(is_deleted));
}

#[test]
fn a_world_is_a_function_of_its_seed() {
    for seed in 1..=20 {
        let (one, two) = (run(seed, true, None), run(seed, true, None));
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
        if let Some(text) = run(seed, false, None).failure {
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
pub(super) fn search(first: u64, count: u64, focus: Option<Kind>) -> Option<Failure> {
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
                        if let Some(text) = run(seed, false, focus).failure {
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
pub(super) fn run(seed: u64, trace: bool, focus: Option<Kind>) -> World {
    let focus =
        focus.or_else(|| number("SIM_KIND").map(|index| KINDS[usize::try_from(index).unwrap()]));
    let (mut world, job, starts_max) = build(seed, focus);
    if trace {
        world.trace = Some(Vec::new());
        let (faults, features) = (world.faults.clone(), world.features.clone());
        world.note(None, || format!("seed {seed}: {faults:?} {features:?} {job:?}"));
    }
    play(world, &job, starts_max)
}
