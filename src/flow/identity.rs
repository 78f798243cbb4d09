//! The producer identity: stored before the first record that carries it is sent.

use super::keeper::insist_store;
use super::patience::insist;
use super::ports::{Guard, ProducerIdentity};
use super::run::Run;
use super::tail::{Place, Tail};
use crate::event::Event;
use crate::limits::PRODUCERS_MAX;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, LaneItem, OnlyIf, Producer, Status};

/// What stands for an identity where records carry none: it is stored all the same, so that the
/// item tells from where on nothing but the rows themselves can be read back.
const UNNUMBERED: ProducerIdentity = ProducerIdentity { id: -1, epoch: -1 };

/// Asks for an identity and stores it, with all that `pins` holds, on condition that the
/// ledger has just the identities that we know. Its first record will be `place.landed` + 1.
pub fn store_new(
    run: &mut Run<'_, '_>,
    place: &mut Place,
    log_end: i64,
    pins: Checkpoint,
) -> Result<(), Stop> {
    let which = place.which;
    if place.producers.len() >= PRODUCERS_MAX {
        return Err(Stop::refused(
            Peer::Broker,
            format!("the broker has forgotten this job's producer {PRODUCERS_MAX} times"),
            "Raise producer.id.expiration.ms of the brokers",
        ));
    }
    let identity = match run.broker(which).guard() {
        Guard::Sequence => {
            let identity = insist(run, Peer::Broker, |run| run.broker(which).new_producer())?;
            assert!(identity.id >= 0, "a batch with a negative producer id is not checked at all");
            identity
        }
        Guard::TailOnly => UNNUMBERED,
    };
    let known = place.producers.len();
    let mut producers = place.producers.clone();
    producers.push(Producer {
        id: identity.id,
        epoch: identity.epoch,
        base_record: place.landed,
        first_offset: log_end,
    });
    let lane = LaneItem {
        topic: Some(place.target.topic.clone()),
        partition: Some(place.target.partition),
        topic_id: place.topic_id.clone(),
        producers: Some(producers.clone()),
        kafka_offset: Some(log_end - 1),
        ..LaneItem::default()
    };
    let wall_ms = run.now().wall_ms;
    let mut change = run.keeper.change(Status::InProgress, wall_ms);
    let adopted_row = pins.last_line;
    change.merge(&Checkpoint { job_id: change.job_id.clone(), ..pins });
    let identities = if which == crate::event::Lane::Main {
        change.main = merged(&change.main, &lane);
        Identities::Main(known)
    } else {
        change.dlq = merged(&change.dlq, &lane);
        Identities::Dlq(known)
    };
    let mut holder = run.keeper.ours(&change);
    if let (Holder::Us { last_line, .. }, Some(row)) = (&mut holder, adopted_row) {
        // The Python processor's number may be one that failed: the partition's is true, and
        // may be lower. From here on no write of ours says otherwise, whether or not an answer
        // to this one comes.
        *last_line = u64::MAX;
        run.keeper.adopted(row);
    }
    insist_store(run, &change, &OnlyIf { holder, identities })?;
    place.producers = producers;
    place.offsets.settled = Some(log_end - 1);
    if identity != UNNUMBERED {
        run.tell(&Event::Identity {
            lane: which,
            producer_id: identity.id,
            producer_epoch: identity.epoch,
            base_record: place.landed,
        });
    }
    Ok(())
}

fn merged(before: &LaneItem, change: &LaneItem) -> LaneItem {
    let mut whole = Checkpoint { main: before.clone(), ..Checkpoint::default() };
    whole.merge(&Checkpoint { main: change.clone(), ..Checkpoint::default() });
    whole.main
}

/// The broker does not know our producer any more, and the tail was just read. A new identity
/// goes on where the tail ends; a request of ours that is still on its way would not be
/// recognised. This is the one path that the broker does not guard.
pub fn renew(run: &mut Run<'_, '_>, place: &mut Place, tail: &Tail) -> Result<(), Stop> {
    store_new(run, place, tail.log_end, Checkpoint::default())?;
    let Producer { id: producer_id, base_record, .. } = *place.producer();
    run.tell(&Event::IdentityRenewed { lane: place.which, producer_id, base_record });
    Ok(())
}
