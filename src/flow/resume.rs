//! From the checkpoint to the first row that is sent, step by step.
//!
//! ```text
//! 1, 2  take      the job is ours; all goes on from the item that the take returned
//! 3     describe  same cluster, same topic, the partition is there
//! 4, 5  read_tail the log end, and our last record below it; by what the records say where
//!                 they carry no sequence (the compatibility client)
//! 6     begin     no identity yet: store one, with all pins, before anything is sent
//! 7     open      the header's bytes, then from next_byte on
//! ```

use super::adopt::{last_line_between, rows_sent};
use super::bounds::Bounds;
use super::check;
use super::check::plan::{Done, Plan};
use super::check::sample::Sample;
use super::copy::Course;
use super::flight::End;
use super::identity::store_new;
use super::job::{RULES, Target, lane_item};
use super::keeper::Offsets;
use super::lane::Lane;
use super::opening::{Opening, open_begun, open_fresh};
use super::patience::insist;
use super::ports::{Fault, Guard, TopicSettings};
use super::run::Run;
use super::tail::{Place, describe, log_end, read_tail};
use super::take::{pin_of, take};
use crate::event::{Event, Lane as Which};
use crate::finding::{Finding, Grade};
use crate::limits::PRODUCE_TIMEOUT_MS;
use crate::stop::{Peer, Stop};
use crate::wire::batch_writer::BatchWriter;
use crate::wire::checkpoint::{Checkpoint, FORMAT, LaneItem};
use crate::wire::compress::Compression;
use crate::wire::record::RowTemplate;
use crate::wire::record_batch::Batch;

/// Takes the job and finds the place where it goes on.
pub fn resume(run: &mut Run<'_, '_>) -> Result<Course, Stop> {
    let item = take(run)?;
    let target = run.job.target.clone();
    let main = place(Which::Main, target, &item, &item.main, item.total_sent);
    if !main.producers.is_empty() {
        return go_on(run, &item, main);
    }
    // Our own format, rows sent, and no identity: beginning anew would send them again.
    if item.format.is_some() && item.total_sent.is_some_and(|sent| sent > 0) {
        return Err(Stop::Overwritten { job_id: item.job_id, missing: "producers" });
    }
    begin(run, &item, main)
}

/// A job that has an identity: what does the partition hold of it?
fn go_on(run: &mut Run<'_, '_>, item: &Checkpoint, mut main: Place) -> Result<Course, Stop> {
    let dead = run.job.dead_target();
    let mut dead = dead.map(|target| place(Which::Dead, target, item, &item.dlq, item.dlq_rows));
    await_late_requests(run, &main)?;
    read_guarded_tail(run, &mut main)?;
    if let Some(dead) = dead.as_mut().filter(|dead| !dead.producers.is_empty()) {
        read_guarded_tail(run, dead)?;
    }
    warn_of_guard(run, &main);
    let settings = topic_settings(run, &main)?;
    let guard = run.broker(Which::Main).guard();
    let pinned = item.main.record_bytes_max;
    let bounds = Bounds::of(run.job, &main.target.topic, &settings, pinned, guard)?;
    let dead = match dead {
        Some(dead) => Some(open_dead(run, item, dead)?),
        None => None,
    };
    let lost = |missing| Stop::Overwritten { job_id: run.job.job_id.clone(), missing };
    let pin = pin_of(item).ok_or_else(|| lost("etag"))?;
    let header_bytes = item.header_bytes.ok_or_else(|| lost("header_bytes"))?;
    // Nothing of it is settled yet: the rows are walked from the first one.
    let from = match item.next_byte.filter(|next_byte| *next_byte > header_bytes) {
        Some(next_byte) => End {
            row: item.last_line.unwrap_or(0),
            next_byte,
            ordinal: item.total_sent.unwrap_or(0),
            dead_ordinal: item.dlq_rows.unwrap_or(0),
        },
        None => End { row: 0, next_byte: header_bytes, ordinal: 0, dead_ordinal: 0 },
    };
    let opening = run.wait_for(Peer::Source, |run| {
        open_begun(run, pin, header_bytes, from.row, from.next_byte)
    })?;
    Ok(course(run, opening, from, (main, bounds), dead))
}

/// Without the broker's check a request that an earlier run left behind may land until its
/// time-out: only then the tail is what it will be.
fn await_late_requests(run: &mut Run<'_, '_>, place: &Place) -> Result<(), Stop> {
    let unguarded = run.broker(place.which).guard() == Guard::TailOnly;
    if unguarded || place.is_unnumbered() { run.wait(PRODUCE_TIMEOUT_MS) } else { Ok(()) }
}

/// The tail; and where another client than before goes on, what its records carry is stored.
fn read_guarded_tail(run: &mut Run<'_, '_>, place: &mut Place) -> Result<(), Stop> {
    let tail = read_tail(run, place)?;
    let unguarded = run.broker(place.which).guard() == Guard::TailOnly;
    if unguarded == place.is_unnumbered() {
        return Ok(());
    }
    store_new(run, place, tail.log_end, Checkpoint::default())
}

fn warn_of_guard(run: &mut Run<'_, '_>, place: &Place) {
    if run.broker(place.which).guard() == Guard::TailOnly {
        let text = "the compatibility client sends: the broker does not check the order of our batches. After a crash or a lost answer the partition is read before anything is sent again, so one run at a time repeats and loses nothing, unless a request arrives later than its time-out. Not covered: two runs of this job at once, the memory figures, the time that a stop takes";
        run.tell(&Event::Warning { text });
    }
}

/// A job without an identity: nothing of ours was sent, at most the Python processor's rows.
fn begin(run: &mut Run<'_, '_>, item: &Checkpoint, mut main: Place) -> Result<Course, Stop> {
    let described = describe(run, &main)?;
    main.cluster_id.clone_from(&described.cluster_id);
    main.topic_id.clone_from(&described.topic_id);
    main.described = Some(described);
    warn_of_guard(run, &main);
    let guard = run.broker(Which::Main).guard();
    let settings = topic_settings(run, &main)?;
    let bounds = Bounds::of(run.job, &main.target.topic, &settings, None, guard)?;
    let opening = run.wait_for(Peer::Source, open_fresh)?;
    warn_of_retention(run, &settings, bounds, &opening);
    main.answered = Some(run.now());
    let log_end = readable_end(run, &main)?;
    let adopting = item.format.is_none();
    if adopting {
        main.landed = rows_sent(run, &main, log_end, item.last_line.unwrap_or(0))?;
    }
    // Reading must be allowed before the first row is sent, not after the first crash.
    let last = last_line_between(run, Which::Main, (log_end - 1).max(0), log_end);
    if let Some(line) = last?.filter(|_| !adopting) {
        let Target { topic, partition } = main.target.clone();
        warn(run, &[Finding::LoadedBefore { topic, partition, row: line }]);
    }
    let pins = Checkpoint {
        last_line: adopting.then_some(main.landed),
        total_sent: adopting.then_some(main.landed),
        source: Some(run.job.source.clone()),
        etag: Some(opening.pin.etag.clone()),
        version_id: opening.pin.version_id.clone(),
        source_bytes: Some(opening.pin.source_bytes),
        header_bytes: Some(opening.header_bytes),
        cluster_id: main.cluster_id.clone(),
        main: LaneItem {
            record_bytes_max: Some(bounds.record_bytes_max as u64),
            ..lane_item(&main.target)
        },
        settings: Some(run.job.pinned_settings()),
        rules: Some(RULES),
        format: Some(FORMAT),
        ..Checkpoint::default()
    };
    store_new(run, &mut main, log_end, pins)?;
    let dead = match run.job.dead_target() {
        Some(target) => {
            let dead = place(Which::Dead, target, item, &item.dlq, item.dlq_rows);
            Some(open_dead(run, item, dead)?)
        }
        None => None,
    };
    let from = End { row: 0, next_byte: opening.header_bytes, ordinal: 0, dead_ordinal: 0 };
    Ok(course(run, opening, from, (main, bounds), dead))
}

/// The dead letters' partition is there, may be read and written, and has its identity, before
/// the first row is sent.
fn open_dead(
    run: &mut Run<'_, '_>,
    item: &Checkpoint,
    mut dead: Place,
) -> Result<(Place, Bounds), Stop> {
    let begun = !dead.producers.is_empty();
    if !begun {
        let described = describe(run, &dead)?;
        dead.cluster_id.clone_from(&described.cluster_id);
        dead.topic_id.clone_from(&described.topic_id);
        dead.described = Some(described);
    }
    let settings = topic_settings(run, &dead)?;
    let pinned = item.dlq.record_bytes_max.filter(|_| begun);
    let guard = run.broker(Which::Dead).guard();
    let bounds = Bounds::of(run.job, &dead.target.topic, &settings, pinned, guard)?;
    if !begun {
        dead.answered = Some(run.now());
        let log_end = readable_end(run, &dead)?;
        last_line_between(run, Which::Dead, (log_end - 1).max(0), log_end)?;
        let pins = Checkpoint {
            dlq: LaneItem {
                record_bytes_max: Some(bounds.record_bytes_max as u64),
                ..LaneItem::default()
            },
            ..Checkpoint::default()
        };
        store_new(run, &mut dead, log_end, pins)?;
    }
    Ok((dead, bounds))
}

fn course(
    run: &mut Run<'_, '_>,
    opening: Opening,
    from: End,
    (main, bounds): (Place, Bounds),
    dead: Option<(Place, Bounds)>,
) -> Course {
    let Opening { rows, columns, key_index, pin, .. } = opening;
    let source = run.job.source.clone();
    run.source_bytes = pin.source_bytes;
    run.tell(&Event::SourceOpen {
        source: &source,
        source_bytes: pin.source_bytes,
        etag: &pin.etag,
        columns: columns.len(),
    });
    let adopted_rows = main.producers.first().map_or(0, |producer| producer.base_record);
    let adopted_rows = if from.row == 0 { adopted_rows } else { 0 };
    let lane = |(place, bounds): (Place, Bounds), ordinal| {
        // The compatibility client compresses by itself.
        let compression =
            if place.is_unnumbered() { Compression::None } else { run.job.compression };
        let writer = BatchWriter::new(compression, bounds.batch_bytes_max, bounds.record_bytes_max);
        let buffers = [(); 2].map(|()| Batch::with_capacity(bounds.batch_bytes_max));
        Lane::new(place, writer, buffers, ordinal)
    };
    let mut main = lane((main, bounds), from.ordinal.max(adopted_rows));
    if let Some(rate) = run.job.rows_per_second_max {
        main.set_records_max(u32::try_from(rate).unwrap_or(u32::MAX));
    }
    Course {
        rows,
        template: RowTemplate::new(&columns, &source),
        key_index,
        main,
        dead: dead.map(|dead| lane(dead, from.dead_ordinal)),
        checkpointed_row: from.row,
        adopted_rows,
        filled: from,
        ended: None,
    }
}

/// What an item says of a lane. Its identity may have begun beyond what is settled.
pub(super) fn place(
    which: Which,
    target: Target,
    item: &Checkpoint,
    lane: &LaneItem,
    settled: Option<u64>,
) -> Place {
    let producers = lane.producers.clone().unwrap_or_default();
    let begun = producers.last().map_or(0, |producer| producer.base_record);
    Place {
        which,
        target,
        cluster_id: item.cluster_id.clone(),
        topic_id: lane.topic_id.clone(),
        landed: settled.unwrap_or(0).max(begun),
        producers,
        offsets: Offsets {
            first: lane.first_offset,
            last: lane.last_offset,
            settled: lane.kafka_offset,
        },
        answered: None,
        // Whether an earlier run was told so, or found them, is not written down.
        adopted: settled.is_some_and(|settled| settled > 0),
        described: None,
    }
}

fn readable_end(run: &mut Run<'_, '_>, place: &Place) -> Result<i64, Stop> {
    insist(run, Peer::Broker, |run| {
        let described = describe(run, place).map_err(Fault::last)?;
        log_end(run, place.which, described.leader_epoch)
    })
}

/// The topic's settings, and what is to be warned of them.
fn topic_settings(run: &mut Run<'_, '_>, place: &Place) -> Result<TopicSettings, Stop> {
    let which = place.which;
    let settings = insist(run, Peer::Broker, |run| run.broker(which).topic_settings())?;
    if let Some(described) = &place.described {
        warn(run, &check::topic::durability(&place.target.topic, described, &settings));
    }
    Ok(settings)
}

/// Whether the topic keeps what this run is about to send, by the rows that came with the
/// header.
fn warn_of_retention(
    run: &mut Run<'_, '_>,
    settings: &TopicSettings,
    bounds: Bounds,
    opening: &Opening,
) {
    let Opening { pin, header_bytes, columns, key_index, rows } = opening;
    let bytes = rows.ahead();
    let at_end = header_bytes + bytes.len() as u64 == pin.source_bytes;
    let (key_index, byte_offset) = (*key_index, *header_bytes);
    let rows = check::sample::Rows { columns, key_index, byte_offset, bytes, at_end };
    let sample = Sample::take(run.job, bounds, &rows);
    let done = Done::default();
    let plan = Plan::of(run.job, &sample, pin.source_bytes, byte_offset, done);
    warn(run, &check::topic::retention(&run.job.target.topic, settings, plan.as_ref()));
}

fn warn(run: &mut Run<'_, '_>, findings: &[Finding]) {
    for finding in findings.iter().filter(|finding| finding.grade() != Grade::Ok) {
        run.tell(&Event::Found { finding });
    }
}
