//! The world of a seed: what is in it, what goes wrong in it, and when.

use std::sync::Arc;

use super::decode::Stored;
use super::drive::job;
use super::events::Event;
use super::leader::{Nature, Partition, Unknown};
use super::oracle::{Oracle, SOURCE, Shape};
use super::world::{Faults, Rng, WALL_MS, World};
use crate::flow::job::{Job, RULES};
use crate::limits::BATCH_OVERHEAD_BYTES;
use crate::wire::checkpoint::{Checkpoint, FORMAT, LaneItem, Producer, Status};
use crate::wire::compress::Compression;

/// `max.message.bytes`: small, so that few rows make many batches.
const TOPIC_BYTES: usize = 4096 + 64;
const DAY_MS: u64 = 86_400_000;

/// What is special about a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// The sequence numbers wrap.
    Wraps,
    /// The Python processor began the job.
    Adopts,
    /// `ON_BAD_ROW` goes from `stop` to `dlq` within the job.
    AsideLater,
    /// Some starts have other settings.
    Strange,
    /// Machines sleep for a day, while others work.
    Sleeps,
    /// Runs die often, and their requests arrive late.
    Late,
    /// For a while the leader alone is in sync, and runs die.
    Thin,
    /// Several runs at once, that freeze for longer than the lease and wake.
    Rivals,
    /// One run at a time, and a cluster whose leaders change; nothing is late.
    Lonely,
    /// The topic is made again.
    Remade,
    /// Leaders change all the time, and replicas lag.
    Unsteady,
    /// An old broker: it refuses a producer that it has forgotten.
    Forgets(i16),
}

pub(super) const KINDS: [Kind; 19] = [
    Kind::Thin,
    Kind::Rivals,
    Kind::Rivals,
    Kind::Late,
    Kind::Lonely,
    Kind::Sleeps,
    Kind::Unsteady,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Plain,
    Kind::Wraps,
    Kind::Adopts,
    Kind::AsideLater,
    Kind::Strange,
    Kind::Forgets(59),
];

/// The world of a job that is billions of rows old: its first row here is its last settled one.
fn past(world: &mut World, job: &Job) {
    let (Some(record), Some(end)) =
        (world.oracle.records.first().cloned(), world.oracle.ends.first())
    else {
        return;
    };
    if world.oracle.record_rows[0] != world.oracle.rows_before + 1 {
        return;
    }
    let ordinal = world.oracle.rows_before + 1;
    let mut stored = Stored::foreign(vec![record.1.clone()], WALL_MS);
    stored.records = Arc::new(vec![record]);
    stored.header.producer_id = 1000;
    stored.header.producer_epoch = 0;
    stored.header.base_sequence = i32::try_from((ordinal - 1) % (1 << 31)).unwrap();
    let part = &mut world.parts[0];
    let first_offset = part.log_end();
    let offset = part.append(stored).end() - 1;
    part.replicate();
    let pin = world.store.pin();
    let (topic_id, limit) =
        (part.topic_id.clone(), part.max_message_bytes.min(job.batch_bytes_max));
    world.ledger.item = Some(Checkpoint {
        job_id: job.job_id.clone(),
        last_line: Some(ordinal),
        total_sent: Some(ordinal),
        timestamp: Some(WALL_MS / 1000),
        status: Some(Status::Interrupted),
        next_byte: Some(*end),
        header_bytes: Some(world.oracle.header_bytes),
        source: Some(job.source.clone()),
        etag: Some(pin.etag),
        source_bytes: Some(pin.source_bytes),
        cluster_id: Some("cluster".into()),
        main: LaneItem {
            topic: Some(job.target.topic.clone()),
            topic_id: part.nature.offers_topic_id.then_some(topic_id),
            partition: Some(0),
            first_offset: Some(first_offset),
            last_offset: Some(offset),
            kafka_offset: Some(offset),
            producers: Some(vec![Producer { id: 1000, epoch: 0, base_record: 0, first_offset }]),
            record_bytes_max: Some((limit - BATCH_OVERHEAD_BYTES) as u64),
        },
        settings: Some(job.pinned_settings()),
        rules: Some(RULES),
        run_id: Some("an earlier run".into()),
        revision: Some(77),
        lease_seconds: Some(15),
        host: Some("machine-9/9.9".into()),
        format: Some(FORMAT),
        ..Checkpoint::default()
    });
    world.check_log(0);
}

/// The world of a job that the Python processor began: its records lie in the partition, its
/// checkpoint lags behind them, or names the row that failed.
fn python_past(rng: &mut Rng, world: &mut World) {
    let sent = rng.below(world.oracle.records.len() + 1);
    let last_line = match rng.below(4) {
        0 => sent.saturating_sub(rng.below(30)),
        1 if sent > 0 => sent + 1,
        _ => sent,
    };
    adopted(rng, world, sent, last_line);
}

/// The Python processor sent so many rows, and its checkpoint says another number.
pub(super) fn adopted(rng: &mut Rng, world: &mut World, sent: usize, last_line: usize) {
    let values = |from: usize, to: usize| -> Vec<Vec<u8>> {
        (from..to)
            .map(|row| {
                format!(
                    "{{\"id\": \"{row}\", \"_source_line\": {row}, \"_source_file\": \"{SOURCE}\"}}"
                )
                .into_bytes()
            })
            .collect()
    };
    // That program sent each row alone.
    for row in 1..=sent {
        world.parts[0].append(Stored::foreign(values(row, row + 1), WALL_MS));
        if rng.chance(20) {
            world.parts[0].append(Stored::foreign(vec![b"other".to_vec()], WALL_MS));
        }
    }
    world.parts[0].replicate();
    world.checked[0].before = sent;
    world.check_log(0);
    world.ledger.overwrite(last_line as u64, rng.chance(500), WALL_MS / 1000);
    world.features.adopts = true;
}

pub(super) fn build(seed: u64, focus: Option<Kind>) -> (World, Job, u32) {
    let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
    let kind = *rng.pick(&KINDS).unwrap();
    let kind = focus.unwrap_or(kind);
    let aside = rng.chance(350).then(|| if rng.chance(900) { 1000 } else { rng.between(0, 3) });
    let mut nature = nature(&mut rng, "orders");
    if let Kind::Forgets(code) = kind {
        nature.unknown = Unknown::Refuses(code);
    }
    let aside = aside.filter(|_| !matches!(kind, Kind::Adopts | Kind::AsideLater));
    let batch_bytes_max = *rng.pick(&[TOPIC_BYTES, 8192]).unwrap();
    let topic_bytes = if nature.shows_settings { TOPIC_BYTES } else { 1_048_588 };
    let record_bytes_max = topic_bytes.min(batch_bytes_max) - BATCH_OVERHEAD_BYTES;
    let shape = shape(&mut rng, kind, aside.is_some(), record_bytes_max);
    let oracle = Oracle::make(&mut rng, &shape);
    let mut job = job(aside, oracle.key_column);
    job.checkpoint_interval_rows = rng.between(1, 60);
    job.lease_seconds = *rng.pick(&[1, 5, 15]).unwrap();
    job.retries_max = *rng.pick(&[1_u32, 5, 5]).unwrap();
    job.batch_bytes_max = batch_bytes_max;
    if rng.chance(100) {
        job.compression = Compression::Gzip;
    }
    // A job that takes its time meets more of what happens around it.
    if rng.chance(500) {
        job.rows_per_second_max = Some(rng.between(2, 40));
    }
    let mut parts = vec![Partition::new(nature.clone(), topic_bytes)];
    if aside.is_some() || kind == Kind::AsideLater {
        parts.push(Partition::new(Nature { topic: "orders-bad", ..nature }, topic_bytes));
    }
    for part in &mut parts {
        if rng.chance(300) {
            let values = (0..=rng.below(40)).map(|i| format!("before {i}").into_bytes()).collect();
            part.append(Stored::foreign(values, WALL_MS));
            part.replicate();
        }
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
        if rng.chance(200) {
            process.wall_offset_ms = *rng.pick(&[-300_000, -7_000, 12_000, 290_000]).unwrap();
        }
        if rng.chance(300) {
            process.machine = 0;
        }
    }
    world.features.aside_later = kind == Kind::AsideLater;
    provoke(kind, &mut rng, &mut world, &mut job);
    for lane in 0..world.parts.len() {
        world.check_log(lane);
    }
    events(&mut rng, &mut world);
    (world, job, u32::try_from(starts_max).unwrap())
}

fn shape(rng: &mut Rng, kind: Kind, aside: bool, record_bytes_max: usize) -> Shape {
    Shape {
        rows: match rng.below(10) {
            0 if kind != Kind::Wraps => rng.below(4),
            1 => 400,
            _ => 1 + rng.below(150),
        },
        row_bytes: *rng.pick(&[12, 60, 200, 600]).unwrap(),
        bad_per_mille: if matches!(kind, Kind::Adopts | Kind::Wraps) {
            0
        } else if kind == Kind::AsideLater || aside || rng.chance(100) {
            *rng.pick(&[5, 30, 300]).unwrap()
        } else {
            0
        },
        keyed: rng.chance(300),
        record_bytes_max,
        rows_before: if kind == Kind::Wraps { (1 << 31) - rng.between(1, 200) } else { 0 },
    }
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
        varied: often(&[200, 700]),
        shaken: often(&[100, 500]),
        strange: 0,
    }
}

fn thin(rng: &mut Rng, world: &mut World) {
    world.faults.kill = 4_000;
    for lane in 0..world.parts.len() {
        if world.parts[lane].nature.replicas > 1 {
            let at = rng.between(0, 3_000);
            world.after(at, Event::Lag { lane });
            world.after(at + rng.between(5, 3_000), Event::Shrink { lane });
            world.after(at + rng.between(60_000, 120_000), Event::Recover { lane });
        }
    }
}

fn rivals(rng: &mut Rng, world: &mut World) {
    if world.processes.len() == 1 {
        let another = world.processes[0].clone();
        world.processes.push(another);
    }
    for process in &mut world.processes {
        process.wake_at = rng.between(0, 3_000);
    }
    world.faults.freeze = 1_500;
    world.faults.freeze_ms = *rng.pick(&[5_000, 60_000, 600_000]).unwrap();
    world.faults.varied = 700;
    // A run that can not write its checkpoint does not learn that it was superseded.
    world.faults.ledger = *rng.pick(&[0, 250, 600]).unwrap();
    world.faults.request_late = *rng.pick(&[0, 100, 400]).unwrap();
    world.faults.late_ms = *rng.pick(&[2_000, 20_000]).unwrap();
}

fn unsteady(rng: &mut Rng, world: &mut World) {
    world.faults.shaken = 800;
    world.faults.stale_metadata = 500;
    for lane in 0..world.parts.len() {
        if world.parts[lane].nature.replicas == 1 {
            continue;
        }
        for _ in 0..rng.between(2, 12) {
            let at = rng.between(0, 20_000);
            world.after(at, Event::Lag { lane });
            if rng.chance(500) {
                world.after(at + rng.between(10, 20_000), Event::Shrink { lane });
            }
            world.after(
                at + rng.between(10, 30_000),
                Event::ChangeLeader { lane, unaware: rng.chance(500) },
            );
            world.after(at + rng.between(20, 60_000), Event::Recover { lane });
        }
    }
}

/// What the kind of a world adds to it.
fn provoke(kind: Kind, rng: &mut Rng, world: &mut World, job: &mut Job) {
    match kind {
        Kind::Wraps => past(world, job),
        Kind::Adopts => {
            python_past(rng, world);
            if rng.chance(300) {
                for _ in 0..3 {
                    let per_mille = rng.below(1001);
                    world.after(rng.between(0, 8_000), Event::Delete { lane: 0, per_mille });
                }
            }
        }
        Kind::Strange => world.faults.strange = 400,
        // The one path that the broker does not guard: a request that is late by more than its
        // time-out is not covered, nor is one that arrives twice.
        Kind::Forgets(_) => {
            world.faults.late_ms = world.faults.late_ms.min(5_000);
            world.faults.request_twice = 0;
            world.faults.freeze = 400;
            world.faults.freeze_ms = 26 * 3_600_000;
        }
        Kind::Sleeps => {
            world.faults.freeze = world.faults.freeze.max(800);
            world.faults.freeze_ms = 50 * 3_600_000;
        }
        Kind::Remade => {
            for _ in 0..3 {
                world.after(rng.between(0, 3_000), Event::Remake { lane: 0 });
            }
        }
        Kind::Late => {
            world.faults.kill = 1_500;
            world.faults.request_late = 400;
            world.faults.late_ms = 60_000;
            world.faults.varied = 700;
        }
        Kind::Thin => thin(rng, world),
        Kind::Rivals => {
            rivals(rng, world);
            job.lease_seconds = 1;
            job.rows_per_second_max = Some(rng.between(3, 20));
        }
        Kind::Lonely => {
            world.processes.truncate(1);
            world.faults.request_late = 0;
            world.faults.request_twice = 0;
            world.faults.kill = 1_500;
            unsteady(rng, world);
            world.faults.stale_metadata = 0;
        }
        Kind::Unsteady => {
            unsteady(rng, world);
            world.faults.kill = 1_500;
        }
        Kind::Plain | Kind::AsideLater => {}
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
