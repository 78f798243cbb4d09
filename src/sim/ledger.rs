//! The ledger's port into a world: a write takes effect at once, late or never, once or twice,
//! and its answer may be lost. Defects that a wrapper can show are shown here.

use super::defects::{Defect, on};
use super::events::Event;
use super::ports::{Hand, trouble};
use super::world::World;
use crate::flow::ports::{Fault, Ledger, LedgerPage, Stored};
use crate::wire::checkpoint::{Checkpoint, Holder, OnlyIf};

pub(super) struct SimLedger {
    hand: Hand,
    loaded: Option<Checkpoint>,
}

impl SimLedger {
    pub(super) fn new(hand: Hand) -> SimLedger {
        SimLedger { hand, loaded: None }
    }

    /// What a defective program would write, and under which condition.
    fn spoiled(world: &World, change: &Checkpoint, only_if: &OnlyIf) -> (Checkpoint, OnlyIf) {
        let (mut change, mut only_if) = (change.clone(), only_if.clone());
        let item = world.ledger.item.as_ref();
        if on(Defect::OffsetOffByOne) && change.main.producers.is_none() {
            change.main.kafka_offset = change.main.kafka_offset.map(|offset| offset + 1);
        }
        if on(Defect::UnpinnedSetting) {
            change.settings = None;
        }
        if on(Defect::GoOnFromRead)
            && let Holder::Unchanged { revision, .. } = &mut only_if.holder
        {
            *revision = item.and_then(|item| item.revision);
        }
        (change, only_if)
    }

    /// What a defective program would go on from.
    fn misread(
        &self,
        world: &World,
        change: &Checkpoint,
        mut item: Box<Checkpoint>,
    ) -> Box<Checkpoint> {
        if change.run_id.is_none() {
            return item;
        }
        if let (true, Some(read)) = (on(Defect::GoOnFromRead), &self.loaded) {
            let mut read = read.clone();
            read.merge(change);
            return Box::new(read);
        }
        if on(Defect::ResumeAtLastLine)
            && let Some(row) = item.last_line.filter(|row| *row > world.oracle.rows_before + 1)
        {
            let index = usize::try_from(row - world.oracle.rows_before).unwrap();
            item.last_line = Some(row - 1);
            item.next_byte = Some(world.oracle.ends[index - 2]);
        }
        item
    }
}

impl Ledger for SimLedger {
    fn load(&mut self, _job_id: &str) -> Result<Option<Checkpoint>, Fault> {
        let loaded = self.hand.call("ledger.load", |world, me| {
            let often = world.faults.ledger;
            if world.rng.chance(often) {
                world.note(Some(me), || "ledger.load: throttled".into());
                return Err(trouble("throttled"));
            }
            let item = world.ledger.item.clone();
            world.note(Some(me), || format!("ledger.load: {}", item_shown(item.as_ref())));
            Ok(item)
        });
        if let Ok(item) = &loaded {
            self.loaded.clone_from(item);
        }
        loaded
    }

    fn list(&mut self, _after: Option<&str>) -> Result<LedgerPage, Fault> {
        unreachable!("no run asks for other jobs")
    }

    fn store(&mut self, change: &Checkpoint, only_if: &OnlyIf) -> Result<Stored, Fault> {
        self.hand.call("ledger.store", |world, me| {
            let (change, only_if) = &SimLedger::spoiled(world, change, only_if);
            let often = world.faults.ledger;
            let late_ms = world.faults.late_ms.max(1);
            let bad = world.rng.chance(often);
            let kind = if bad { world.rng.below(5) } else { 5 };
            let text = || format!("ledger.store {} if {only_if:?}", item_shown(Some(change)));
            match kind {
                0 => {
                    world.note(Some(me), || format!("{}: throttled", text()));
                    return Err(trouble("throttled"));
                }
                1 => {
                    let ms = world.rng.between(1, late_ms);
                    world.note(Some(me), || format!("{}: after {ms} ms, no answer", text()));
                    let change = Box::new(change.clone());
                    world.after(ms, Event::Store { change, only_if: only_if.clone() });
                    return Err(trouble("no answer"));
                }
                2 => {
                    let ms = world.rng.between(1, late_ms);
                    let change = Box::new(change.clone());
                    world.after(ms, Event::Store { change, only_if: only_if.clone() });
                }
                _ => {}
            }
            let names = change.main.producers.is_some() || change.dlq.producers.is_some();
            if names && on(Defect::IdentityNotFirst) {
                let mut item = world.ledger.item.clone().unwrap_or_default();
                item.merge(change);
                let ms = world.rng.between(100, 5_000);
                let change = Box::new(change.clone());
                world.after(ms, Event::Store { change, only_if: only_if.clone() });
                return Ok(Stored::Done(Box::new(item)));
            }
            let written = world.ledger.write(change, only_if);
            world.note(Some(me), || {
                let outcome = match &written {
                    Ok(_) => "done".to_owned(),
                    Err(item) => format!("refused, the item is {}", item_shown(item.as_deref())),
                };
                let answer = if kind == 3 { ", no answer" } else { "" };
                format!("{}: {outcome}{answer}", text())
            });
            world.check_ledger();
            if kind == 3 {
                return Err(trouble("no answer"));
            }
            Ok(match written {
                Ok(item) => Stored::Done(self.misread(world, change, item)),
                Err(item) => Stored::Refused(item),
            })
        })
    }
}

fn item_shown(item: Option<&Checkpoint>) -> String {
    let Some(item) = item else { return "none".into() };
    format!(
        "{{run {:?} rev {:?} {:?} row {:?} sent {:?} byte {:?} offset {:?} ids {:?} dlq {:?} {:?}}}",
        item.run_id.as_deref().map(|id| &id[..id.len().min(6)]),
        item.revision,
        item.status.map(crate::wire::checkpoint::Status::name),
        item.last_line,
        item.total_sent,
        item.next_byte,
        item.main.kafka_offset,
        item.main.producers.as_ref().map(Vec::len),
        item.dlq_rows,
        item.dlq.kafka_offset,
    )
}
