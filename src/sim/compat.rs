//! A broker that knows nothing of producers, as the compatibility client meets it: every crash
//! of a job, and random worlds of lost answers, cuts and leader changes; one run at a time, and
//! no request later than its time-out. Beyond that nothing is promised, and the last test shows
//! why.

use super::crash_matrix::{build, matrix};
use super::drive::play;
use super::leader::Unknown;
use super::random_worlds::number;
use super::seeds::adopted;
use super::world::{Faults, Rng, World};
use crate::flow::job::Job;
use crate::limits::PRODUCE_TIMEOUT_MS;

const WORLDS: u64 = 400;

fn unguarded(aside: Option<u64>) -> (World, Job) {
    let (mut world, job) = build(aside);
    for part in &mut world.parts {
        part.nature.unknown = Unknown::KnowsNone;
    }
    (world, job)
}

#[test]
fn every_crash_of_a_job() {
    let (world, job) = unguarded(None);
    let count = matrix(world, &job);
    assert!(count.batches >= 38, "{count:?}");
    assert!(count.first > 300 && count.late > 300 && count.second > 200, "{count:?}");
}

#[test]
fn every_crash_of_a_job_with_dead_letters() {
    let (world, job) = unguarded(Some(1000));
    let count = matrix(world, &job);
    assert!(count.batches >= 38, "{count:?}");
    assert!(count.first > 300 && count.second > 200, "{count:?}");
}

#[test]
fn every_crash_of_an_adopted_job() {
    let (mut world, job) = unguarded(None);
    let sent = world.oracle.records.len() / 2;
    adopted(&mut Rng(13), &mut world, sent, sent + 1);
    let count = matrix(world, &job);
    assert!(count.first > 200 && count.second > 150, "{count:?}");
}

/// ```sh
/// SIM_WORLDS=100000 cargo test --lib sim::compat
/// ```
#[test]
fn lost_answers_and_kills() {
    let mut harmed = 0;
    for seed in 1..=number("SIM_WORLDS").unwrap_or(WORLDS) {
        let world = harmful(seed, PRODUCE_TIMEOUT_MS / 2, false);
        assert_eq!(world.failure, None, "seed {seed}: {}", trace(seed));
        harmed += u64::from(world.processes[0].start > 1);
    }
    assert!(harmed > WORLDS / 4, "only {harmed} worlds had a run that died");
}

/// A request that lands after its time-out, when the partition was read already, is repeated:
/// the one thing that only a broker with sequences prevents.
#[test]
fn a_request_later_than_its_time_out_is_not_covered() {
    let broken =
        (1..200).find(|seed| harmful(*seed, 20 * PRODUCE_TIMEOUT_MS, false).failure.is_some());
    assert!(broken.is_some(), "the model has lost the harm that this client can not ward off");
}

fn trace(seed: u64) -> String {
    harmful(seed, PRODUCE_TIMEOUT_MS / 2, true).trace.unwrap_or_default().join("\n")
}

/// One run at a time that dies, and a network and a cluster that harm it.
fn harmful(seed: u64, late_ms: u64, with_trace: bool) -> World {
    let mut rng = Rng(seed);
    let (mut world, job) = unguarded(rng.chance(300).then_some(1000));
    let mut often = |choices: &[u64]| if rng.chance(500) { 0 } else { *rng.pick(choices).unwrap() };
    world.faults = Faults {
        kill: often(&[100, 400]),
        passing: often(&[5, 30, 150]),
        request_lost: often(&[5, 50, 200]),
        request_late: often(&[20, 100, 400]),
        late_ms,
        answer_lost: often(&[10, 50, 200]),
        cut: often(&[10, 50, 200]),
        ledger: often(&[10, 60]),
        source: often(&[10, 60]),
        terminate: often(&[10, 100]),
        shaken: often(&[100, 400]),
        ..Faults::default()
    };
    world.rng = Rng(seed);
    world.calls_max = 1_000_000;
    if with_trace {
        world.trace = Some(Vec::new());
    }
    let job = Job { rows_per_second_max: None, ..job };
    play(world, &job, 20)
}
