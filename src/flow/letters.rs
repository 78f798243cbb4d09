//! The dead letters of a job, read from their topic under the identities that the job had
//! there. The job may still be running.
//!
//! ```text
//! item ──> identities, first offset ──> batches of ours up to the log end ──> letter by letter
//!      └─> a record in the main partition ──> the columns' names (the ledger has none)
//! ```

use std::ops::ControlFlow;

use super::job::{Job, Target};
use super::patience::insist;
use super::ports::{BatchVisitor, Broker, Fault, Ledger, Mark, ReadTo, Visit, World};
use super::resume::place;
use super::run::Run;
use super::tail::settled_end;
use crate::event::Lane as Which;
use crate::settings::OnBadRow;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Producer};
use crate::wire::provenance::{dead_letter_row, source_line};
use crate::wire::record::columns_of;
use crate::wire::record::dead_letter::Letter;
use crate::wire::record_batch::BatchHeader;

/// What reads a job's partitions.
pub struct Sides<'a> {
    pub main: &'a mut dyn Broker,
    pub dead: &'a mut dyn Broker,
    pub ledger: &'a mut dyn Ledger,
    pub world: &'a mut dyn World,
}

/// Is shown a letter, and how it lies in the topic; may have seen enough.
pub type Show<'a> = dyn FnMut(&Letter, &[u8]) -> Result<ControlFlow<()>, Stop> + 'a;

/// What there was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub letters: u64,
    /// Letters that the checkpoint counts and the topic has no more: retention.
    pub deleted: u64,
    /// Records under our identity that are no dead letters.
    pub odd: u64,
}

/// The partitions of a job that set rows aside, or may have: main and dead letters.
pub fn targets(item: &Checkpoint) -> Option<(Target, Target)> {
    let main = Target { topic: item.main.topic.clone()?, partition: item.main.partition? };
    Some((main, Target { topic: item.dlq.topic.clone()?, partition: 0 }))
}

/// `job`: a reader. What it needs to know of its partitions is put in.
pub fn job_of(job: Job, main: &Target, dead: &Target) -> Job {
    let on_bad_row = OnBadRow::SetAside { topic: dead.topic.clone() };
    Job { target: main.clone(), on_bad_row, ..job }
}

/// Shows each dead letter, in their order.
pub fn letters(
    job: &Job,
    item: &Checkpoint,
    sides: &mut Sides<'_>,
    show: &mut Show<'_>,
) -> Result<Found, Stop> {
    let lost = |missing| Stop::Overwritten { job_id: item.job_id.clone(), missing };
    let target = job.dead_target().ok_or_else(|| lost("dlq_topic"))?;
    let bytes_max = item.dlq.record_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes_max = bytes_max.ok_or_else(|| lost("dlq_record_bytes_max"))?;
    let mut run = Run::of_partitions(job, sides);
    let place = place(Which::Dead, target, item, &item.dlq, item.dlq_rows);
    let first = place.producers.first().ok_or_else(|| lost("dlq_producers"))?.first_offset;
    let end = settled_end(&mut run, &place)?;
    let start = insist(&mut run, Peer::Broker, |run| run.broker(Which::Dead).offset(Mark::Start))?;
    let mut found = Found::default();
    let from = first.max(start.unwrap_or(0));
    let ours = Ours::new(Which::Dead, &place.producers, item);
    let seen = read_own(&mut run, ours, from, end, &mut |value| {
        if let Some(letter) = Letter::parse(value, bytes_max) {
            found.letters += 1;
            show(&letter, value)
        } else {
            found.odd += 1;
            Ok(ControlFlow::Continue(()))
        }
    })?;
    if seen.is_continue() {
        let counted = item.dlq_rows.unwrap_or(0);
        found.deleted = counted.saturating_sub(found.letters + found.odd);
    }
    Ok(found)
}

/// The names of the source's columns, by any record of the job that is still there.
pub fn columns(
    job: &Job,
    item: &Checkpoint,
    sides: &mut Sides<'_>,
) -> Result<Option<Vec<String>>, Stop> {
    let mut run = Run::of_partitions(job, sides);
    let producers = item.main.producers.clone().unwrap_or_default();
    let (Some(first), Some(last)) = (producers.first(), item.main.last_offset) else {
        return Ok(None);
    };
    let from = item.main.first_offset.unwrap_or(first.first_offset);
    let mut columns = None;
    let _: ControlFlow<()> = read_own(
        &mut run,
        Ours::new(Which::Main, &producers, item),
        from,
        last + 1,
        &mut |value| {
            columns = columns_of(value);
            let is_found = columns.is_some();
            Ok(if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    )?;
    Ok(columns)
}

type Take<'a> = dyn FnMut(&[u8]) -> Result<ControlFlow<()>, Stop> + 'a;

/// Shows the value of each record under these identities, each once, until there are no more
/// or `take` has enough.
fn read_own(
    run: &mut Run<'_, '_>,
    ours: Ours<'_>,
    from: i64,
    end: i64,
    take: &mut Take<'_>,
) -> Result<ControlFlow<()>, Stop> {
    let which = ours.which;
    let outcome = Ok(ControlFlow::Continue(()));
    let mut own = Own { ours, next_offset: from, is_numbered: true, take, outcome };
    let mut next = from;
    // Each answer moves on, up to the end.
    while next < end {
        run.stop_asked()?;
        next = insist(run, Peer::Broker, |run| {
            match run.broker(which).read(next, end, Visit::Batches(&mut own))? {
                ReadTo::Offset(to) if to > next => Ok(to),
                ReadTo::Offset(_) => {
                    Err(Fault::passing(format!("Fetch at offset {next} brought nothing")))
                }
                ReadTo::Deleted { log_start } => Ok(log_start.max(next + 1)),
            }
        })?;
        if !matches!(own.outcome, Ok(ControlFlow::Continue(()))) {
            break;
        }
    }
    own.outcome
}

/// Which records are the job's.
struct Ours<'a> {
    which: Which,
    producers: &'a [Producer],
    source: &'a str,
}

impl<'a> Ours<'a> {
    fn new(which: Which, producers: &'a [Producer], item: &'a Checkpoint) -> Ours<'a> {
        Ours { which, producers, source: item.source.as_deref().unwrap_or("") }
    }

    /// What the compatibility client sent carries no identity: the source that it names tells.
    fn names_source(&self, value: Option<&[u8]>) -> bool {
        let row = value.and_then(|value| match self.which {
            Which::Main => source_line(value, self.source),
            Which::Dead => dead_letter_row(value, self.source),
        });
        row.is_some()
    }
}

struct Own<'a, 't> {
    ours: Ours<'a>,
    /// All below this has been shown; a read that failed in the middle is made again.
    next_offset: i64,
    /// The batch in progress carries an identity.
    is_numbered: bool,
    take: &'a mut Take<'t>,
    outcome: Result<ControlFlow<()>, Stop>,
}

impl BatchVisitor for Own<'_, '_> {
    fn batch(&mut self, header: &BatchHeader) -> bool {
        self.is_numbered = header.base_sequence >= 0;
        let is_ours = self.ours.producers.iter().any(|producer| {
            let is_numbered = producer.id >= 0;
            is_numbered == self.is_numbered
                && header.producer_id == producer.id
                && header.producer_epoch == producer.epoch
        });
        is_ours && !header.is_control()
    }

    fn record(&mut self, offset: i64, _key: Option<&[u8]>, value: Option<&[u8]>) {
        let goes_on = matches!(self.outcome, Ok(ControlFlow::Continue(())));
        let is_ours = self.is_numbered || self.ours.names_source(value);
        if offset >= self.next_offset && goes_on && is_ours {
            self.next_offset = offset + 1;
            self.outcome = (self.take)(value.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::find;
    use crate::flow::ports::Trouble;
    use crate::flow::tests::lab::{Entry, Hurry, Lab, Script, is_counted, is_far, tells};
    use crate::stop::EXIT_COMPLETE;
    use crate::wire::checkpoint::LaneItem;

    const BAD_ROWS: &str = "id,name\n1,a\n2,b,x\n3,c\n4,d\n5,e,y\n6,f\n";

    fn lab() -> Lab {
        let aside = OnBadRow::SetAside { topic: "d".to_owned() };
        Lab::new(BAD_ROWS).with(|job| job.on_bad_row = aside).load()
    }

    /// `enough`: after so many letters. The script is that of the dead letters' broker.
    fn shown(
        lab: &Lab,
        item: &Checkpoint,
        script: Script,
        enough: usize,
    ) -> Result<(Found, Vec<u64>), Stop> {
        let (main, dead) = targets(item).unwrap();
        let job = job_of(Job::reader("j".into(), "b:9092".into(), 2), &main, &dead);
        let (mut main, mut dead) = (lab.log("t"), lab.scripted("d", script));
        let (ledger, world) = (&mut lab.ledger(), &mut Hurry::default());
        let mut sides = Sides { main: &mut main, dead: &mut dead, ledger, world };
        let mut rows = Vec::new();
        let found = letters(&job, item, &mut sides, &mut |letter, value| {
            assert_eq!(dead_letter_row(value, &lab.job.source), Some(letter.row_number));
            rows.push(letter.row_number);
            let is_enough = rows.len() == enough;
            Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok((found, rows))
    }

    fn found(letters: u64, deleted: u64, odd: u64) -> Found {
        Found { letters, deleted, odd }
    }

    #[test]
    fn what_lies_in_the_topic() {
        type Edit = fn(&mut Vec<Entry>);
        let odd = |entry: &Entry| Entry { sequence: 2, value: b"odd".to_vec(), ..entry.clone() };
        let table: [(&str, Edit, usize, Found, &[u64]); 6] = [
            ("as it is", |_| (), 0, found(2, 0, 0), &[2, 5]),
            ("enough is enough", |_| (), 1, found(1, 0, 0), &[2]),
            ("only the first", |entries| entries.truncate(1), 0, found(1, 1, 0), &[2]),
            ("nothing", Vec::clear, 0, found(0, 2, 0), &[]),
            (
                "others too",
                |entries| entries.insert(1, Entry::of_another(b"{}")),
                0,
                found(2, 0, 0),
                &[2, 5],
            ),
            ("no letter", |entries| entries.truncate(2), 0, found(2, 0, 1), &[2, 5]),
        ];
        for (name, edit, enough, expected, rows) in table {
            let lab = lab();
            let mut entries = lab.entries("d");
            edit(&mut entries);
            if name == "no letter" {
                entries.push(odd(&entries[0]));
            }
            lab.forge("d", 0, &entries);
            // A log end that lies before the last letter would be waited for.
            let item = Checkpoint { dlq: lane(&lab, entries.len()), ..lab.item() };
            let (found, seen) = shown(&lab, &item, Script::default(), enough).unwrap();
            assert_eq!((found, seen.as_slice()), (expected, rows), "{name}");
        }
        let lab = lab();
        let entries = lab.entries("d");
        lab.forge("d", 1, &entries[1..]);
        let outcome = shown(&lab, &lab.item(), Script::default(), 0).unwrap();
        assert_eq!(outcome, (found(1, 1, 0), vec![5]), "the front is deleted");
    }

    fn lane(lab: &Lab, count: usize) -> LaneItem {
        let last_offset = i64::try_from(count).unwrap().checked_sub(1);
        LaneItem { last_offset, ..lab.item().dlq }
    }

    #[test]
    fn reads_that_do_not_bring_all_at_once() {
        let passing =
            || Fault::Passing(Trouble { problem: "cut".into(), missing: None, pause_ms: 0 });
        let mut left = 2;
        let nothing = move |from| {
            left -= 1;
            (left >= 0).then_some(Ok(ReadTo::Offset(from)))
        };
        let mut cuts = 1;
        let cut_after = move |()| {
            cuts -= 1;
            (cuts >= 0).then(passing)
        };
        // It says of the first offset that it is deleted, however often it is asked.
        let gone = |from| (from == 0).then_some(Ok(ReadTo::Deleted { log_start: 0 }));
        for (name, script, expected, rows) in [
            (
                "nothing, for a while",
                Script { read: Some(Box::new(nothing)), ..Script::default() },
                found(2, 0, 0),
                vec![2, 5],
            ),
            (
                "cut after its records",
                Script { read_after: Some(Box::new(cut_after)), ..Script::default() },
                found(2, 0, 0),
                vec![2, 5],
            ),
            (
                "deleted meanwhile",
                Script { read: Some(Box::new(gone)), ..Script::default() },
                found(1, 1, 0),
                vec![5],
            ),
        ] {
            let lab = lab();
            let entries = lab.entries("d");
            lab.forge("d", 0, &entries);
            assert_eq!(shown(&lab, &lab.item(), script, 0).unwrap(), (expected, rows), "{name}");
        }
    }

    #[test]
    fn a_read_that_never_moves_on_is_given_up() {
        let lab = lab();
        let mut reads = 0;
        let never = move |from| {
            reads += 1;
            assert!(reads < 100, "it is asked for ever");
            Some(Ok(ReadTo::Offset(from)))
        };
        let script = Script { read: Some(Box::new(never)), ..Script::default() };
        let stop = shown(&lab, &lab.item(), script, 0).unwrap_err();
        let Stop::GaveUp { problem, .. } = stop else { panic!("{stop:?}") };
        assert_eq!(problem, "Fetch at offset 0 brought nothing");
    }

    #[test]
    fn a_reader_is_told_both_partitions() {
        let main = Target { topic: "t".into(), partition: 7 };
        let dead = Target { topic: "d".into(), partition: 0 };
        let job = job_of(Job::reader("j".into(), "b:9092".into(), 2), &main, &dead);
        assert_eq!((&job.target, job.dead_target()), (&main, Some(dead)));
    }

    #[test]
    fn an_item_that_lacks_something() {
        type Take = fn(&mut Checkpoint);
        let lab = lab();
        let lost: [(Take, &str); 2] = [
            (|item| item.dlq.record_bytes_max = None, "dlq_record_bytes_max"),
            (|item| item.dlq.producers = None, "dlq_producers"),
        ];
        for (take, missing) in lost {
            let mut item = lab.item();
            take(&mut item);
            let stop = shown(&lab, &item, Script::default(), 0).unwrap_err();
            assert_eq!(stop, Stop::Overwritten { job_id: "j".into(), missing });
        }
        let item = Checkpoint { dlq: LaneItem::default(), ..lab.item() };
        assert_eq!(targets(&item), None);
    }

    /// Whose a batch is: by identity, or, where it has none, by what its records name.
    #[test]
    fn which_batches_are_ours() {
        let producer = |id, epoch| Producer { id, epoch, base_record: 0, first_offset: 0 };
        let producers = [producer(7, 1), producer(-1, -1)];
        let source = "s";
        let letter = br#"{"row":3,"source":"s"}"#;
        let foreign = br#"{"row":3,"source":"other"}"#;
        for (producer_id, producer_epoch, base_sequence, attributes, value, expected) in [
            (7, 1, 0, 0, letter.as_slice(), true),
            (7, 1, 0, 0, foreign, true),
            (7, 1, 0, 1 << 5, letter, false),
            (7, 1, -1, 0, letter, false),
            (7, 2, 0, 0, letter, false),
            (8, 1, 0, 0, letter, false),
            (-1, -1, -1, 0, letter, true),
            (-1, -1, -1, 0, foreign, false),
            (-1, -1, 0, 0, letter, false),
        ] {
            let header = BatchHeader {
                base_offset: 5,
                batch_bytes: 100,
                attributes,
                last_offset_delta: 0,
                max_timestamp_ms: 0,
                producer_id,
                producer_epoch,
                base_sequence,
                record_count: 1,
            };
            let mut taken = 0;
            let mut take = |_: &[u8]| {
                taken += 1;
                Ok(ControlFlow::Continue(()))
            };
            let ours = Ours { which: Which::Dead, producers: &producers, source };
            let outcome = Ok(ControlFlow::Continue(()));
            let mut own = Own { ours, next_offset: 5, is_numbered: true, take: &mut take, outcome };
            if own.batch(&header) {
                own.record(4, None, Some(value));
                own.record(5, None, Some(value));
                // A read that failed in the middle is made again.
                own.record(5, None, Some(value));
            }
            assert_eq!(taken, u32::from(expected), "{header:?}");
        }
    }

    fn names(lab: &Lab, item: &Checkpoint) -> Result<Option<Vec<String>>, Stop> {
        let (main, dead) = targets(item).unwrap();
        let job = job_of(Job::reader("j".into(), "b:9092".into(), 2), &main, &dead);
        let (mut main, mut dead) = (lab.log("t"), lab.log("d"));
        let (ledger, world) = (&mut lab.ledger(), &mut Hurry::default());
        let mut sides = Sides { main: &mut main, dead: &mut dead, ledger, world };
        columns(&job, item, &mut sides)
    }

    #[test]
    fn the_columns_are_those_of_any_record() {
        let names = |lab: &Lab, item: &Checkpoint| names(lab, item).unwrap();
        let expected = Some(vec!["id".to_owned(), "name".to_owned()]);
        let lab = lab();
        let mut item = lab.item();
        assert_eq!(names(&lab, &item), expected);
        item.main.first_offset = None;
        assert_eq!(names(&lab, &item), expected);
        item.main.last_offset = None;
        assert_eq!(names(&lab, &item), None);
        // The last record alone is ours.
        let last = lab.entries("t").pop().unwrap();
        let others = [(); 3].map(|()| Entry::of_another(b"{\"x\":1}"));
        lab.forge("t", 0, &[others.as_slice(), &[last]].concat());
        (item.main.first_offset, item.main.last_offset) = (Some(0), Some(3));
        assert_eq!(names(&lab, &item), expected);
    }

    /// It is refused where a number can not be; where it can, what is there is shown.
    #[test]
    fn a_damaged_item() {
        let lab = lab();
        for (path, value, item) in lab.damages() {
            lab.put(&item);
            let reader = Job::reader("j".into(), "b:9092".into(), 2);
            let found = find(&reader, &mut lab.ledger(), &mut Hurry::default());
            let looked = found.and_then(|item| {
                // The command says that there are none.
                if targets(&item).is_none() || item.dlq.producers.is_none() {
                    return Ok(Vec::new());
                }
                names(&lab, &item)?;
                Ok(shown(&lab, &item, Script::default(), 0)?.1)
            });
            if is_far(&value) && is_counted(&path) {
                let stop = looked.unwrap_err();
                assert!(tells(&stop, &path), "{path} = {value}: {stop}");
            } else if let Err(stop) = looked {
                assert_ne!(stop.exit_code(), EXIT_COMPLETE, "{path} = {value}: {stop}");
            }
        }
    }
}
