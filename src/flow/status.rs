//! How a job stands, by its checkpoint alone: nothing is touched but the ledger.
//!
//! ```text
//! no item ──> absent (1)          COMPLETED ──> complete (0)     INTERRUPTED ──> interrupted (75)
//! IN_PROGRESS, sign of life ──> running (75)     none for long ──> silent (1)    FAILED ──> failed (1)
//! an item that can not be read, or says what can not be ──> damaged (1)
//! ```

use super::job::Job;
use super::lookup::{list, look};
use super::ports::{Ledger, Listed, World};
use crate::limits::{LEASE_SECONDS, SILENT_LEASES, WAIT_SLICE_MS, WATCH_MS};
use crate::stop::{EXIT_AGAIN, EXIT_COMPLETE, EXIT_MEND, Stop};
use crate::wire::checkpoint::{Checkpoint, Status};

/// Those that ask for a person come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Failed,
    /// Its item can not be read, and the item of the [`Sight`] has but the error; or it says what
    /// can not be, and the error names that.
    Damaged,
    /// In progress by its item, but without a sign of life.
    Silent,
    Absent,
    Interrupted,
    Running,
    Complete,
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Absent => "absent",
            Standing::Running => "running",
            Standing::Silent => "silent",
            Standing::Interrupted => "interrupted",
            Standing::Failed => "failed",
            Standing::Damaged => "damaged",
            Standing::Complete => "complete",
        }
    }

    pub fn exit_code(self) -> u8 {
        match self {
            Standing::Complete => EXIT_COMPLETE,
            Standing::Running | Standing::Interrupted => EXIT_AGAIN,
            Standing::Absent | Standing::Silent | Standing::Failed | Standing::Damaged => EXIT_MEND,
        }
    }

    /// Nothing more comes of it by itself.
    fn has_ended(self) -> bool {
        match self {
            Standing::Complete | Standing::Failed | Standing::Absent | Standing::Damaged => true,
            Standing::Running | Standing::Silent | Standing::Interrupted => false,
        }
    }
}

/// One job, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    pub job_id: String,
    pub standing: Standing,
    pub item: Checkpoint,
    /// Since the item was last written.
    pub age_seconds: Option<u64>,
    pub rows_per_second: Option<u64>,
    /// Of a job that runs.
    pub left_seconds: Option<u64>,
}

/// The worst of them: a person must act, start again, nothing.
pub fn exit_code(sights: &[Sight]) -> u8 {
    let codes = || sights.iter().map(|sight| sight.standing.exit_code());
    [EXIT_MEND, EXIT_AGAIN]
        .into_iter()
        .find(|code| codes().any(|found| found == *code))
        .unwrap_or(EXIT_COMPLETE)
}

/// Which jobs are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    These(&'a [Job]),
    /// All that the ledger holds; the reader lends its patience.
    All(&'a Job),
}

/// Looks once at each job. `stale_seconds`: after so long without a sign of life a job is
/// silent; `None`: after some of its own leases.
pub fn status(
    whose: Whose<'_>,
    stale_seconds: Option<u64>,
    ledger: &mut dyn Ledger,
    world: &mut dyn World,
) -> Result<Vec<Sight>, Stop> {
    let mut sights = Vec::new();
    match whose {
        Whose::These(jobs) => {
            for job in jobs {
                let item = look(job, ledger, world)?;
                let now_seconds = world.now().wall_ms / 1000;
                sights.push(judge(&job.job_id, item, now_seconds, stale_seconds));
            }
        }
        Whose::All(reader) => {
            let found = list(reader, ledger, world)?;
            let now_seconds = world.now().wall_ms / 1000;
            sights.extend(found.into_iter().map(|Listed { job_id, item }| match item {
                Ok(item) => judge(&job_id, Some(item), now_seconds, stale_seconds),
                Err(problem) => damaged(&job_id, problem),
            }));
            // They come in the order of their names.
            sights.sort_by_key(|sight| sight.standing);
        }
    }
    Ok(sights)
}

/// Looks again and again until no job is left that something may come of, or a stop is asked
/// for; shows what it sees each time, the last time too.
pub fn watch(
    whose: Whose<'_>,
    stale_seconds: Option<u64>,
    ledger: &mut dyn Ledger,
    world: &mut dyn World,
    show: &mut dyn FnMut(&[Sight]) -> Result<(), Stop>,
) -> Result<Vec<Sight>, Stop> {
    let mut before: Vec<Sight> = Vec::new();
    // A job that somebody starts again and again is watched for as long as that goes on.
    loop {
        let mut sights = status(whose, stale_seconds, ledger, world)?;
        for sight in &mut sights {
            if let Some(before) = before.iter().find(|before| before.job_id == sight.job_id) {
                sight.pace_since(before);
            }
        }
        show(&sights)?;
        let mut left_ms = WATCH_MS;
        while left_ms > 0 && world.stop_asked().is_none() {
            world.wait(WAIT_SLICE_MS.min(left_ms));
            left_ms = left_ms.saturating_sub(WAIT_SLICE_MS);
            if sights.iter().all(|sight| sight.standing.has_ended()) {
                return Ok(sights);
            }
        }
        if world.stop_asked().is_some() {
            return Ok(sights);
        }
        before = sights;
    }
}

fn damaged(job_id: &str, problem: String) -> Sight {
    let item = Checkpoint { error: Some(problem), ..Checkpoint::default() };
    Sight { standing: Standing::Damaged, item, ..judge(job_id, None, 0, None) }
}

pub(super) fn judge(
    job_id: &str,
    item: Option<Checkpoint>,
    now_seconds: u64,
    stale_seconds: Option<u64>,
) -> Sight {
    let is_absent = item.is_none();
    let mut item = item.unwrap_or_default();
    let flaw = item.flaw();
    let age_seconds = item.timestamp.map(|at| now_seconds.saturating_sub(at));
    let lease_seconds = item.lease_seconds.unwrap_or(LEASE_SECONDS);
    let stale_seconds = stale_seconds.unwrap_or(lease_seconds.saturating_mul(SILENT_LEASES));
    let standing = match item.status {
        _ if is_absent => Standing::Absent,
        // No run would go on from it, nor say of it that all is done.
        _ if flaw.is_some() => Standing::Damaged,
        Some(Status::Completed) => Standing::Complete,
        Some(Status::Failed) => Standing::Failed,
        Some(Status::Interrupted) => Standing::Interrupted,
        // The Python processor may write no status.
        Some(Status::InProgress) | None => match age_seconds {
            Some(age_seconds) if age_seconds <= stale_seconds => Standing::Running,
            _ => Standing::Silent,
        },
    };
    if let Some(flaw) = flaw {
        item.error = Some(format!("the item is damaged: {flaw}"));
    }
    let lasted = item.timestamp.zip(item.started_at);
    let lasted_seconds = lasted.map(|(at, started_at)| at.saturating_sub(started_at));
    let rows_per_second = item
        .rows_per_second
        .filter(|_| standing == Standing::Complete)
        .or_else(|| item.last_line?.checked_div(lasted_seconds?).filter(|rate| *rate > 0));
    let mut sight = Sight {
        job_id: job_id.to_owned(),
        standing,
        item,
        age_seconds,
        rows_per_second,
        left_seconds: None,
    };
    sight.left_seconds = sight.left_at(rows_per_second);
    sight
}

impl Sight {
    /// The pace between two looks says more than that since the job began.
    fn pace_since(&mut self, before: &Sight) {
        let rows = |sight: &Sight| sight.item.last_line.unwrap_or(0);
        let seconds = |sight: &Sight| sight.item.timestamp.unwrap_or(0);
        let gained = rows(self).saturating_sub(rows(before));
        let took = seconds(self).saturating_sub(seconds(before));
        if self.standing != Standing::Running {
            return;
        }
        self.rows_per_second = match gained.checked_div(took) {
            Some(pace) if pace > 0 => Some(pace),
            _ => before.rows_per_second.or(self.rows_per_second),
        };
        self.left_seconds = self.left_at(self.rows_per_second);
    }

    /// The rows to come being as long as those before.
    fn left_at(&self, rows_per_second: Option<u64>) -> Option<u64> {
        if self.standing != Standing::Running {
            return None;
        }
        let rows = u128::from(self.item.last_line?);
        let done_bytes = u128::from(self.item.next_byte?);
        let left_bytes = u128::from(self.item.source_bytes?).checked_sub(done_bytes)?;
        let left_rows = (left_bytes * rows).checked_div(done_bytes)?;
        u64::try_from(left_rows.checked_div(u128::from(rows_per_second?))?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::flow::ports::{Fault, LedgerPage, Now, Stored};
    use crate::wire::checkpoint::OnlyIf;

    fn item(status: Option<Status>, timestamp: u64) -> Checkpoint {
        Checkpoint {
            job_id: "j".into(),
            status,
            timestamp: Some(timestamp),
            started_at: Some(900),
            last_line: Some(1_000),
            next_byte: Some(2_000),
            source_bytes: Some(10_000),
            lease_seconds: Some(10),
            ..Checkpoint::default()
        }
    }

    #[test]
    fn standings() {
        let progress = Some(Status::InProgress);
        let complete = Some(Status::Completed);
        for (item, stale_seconds, standing, code) in [
            (None, None, Standing::Absent, 1),
            (Some(item(complete, 5)), None, Standing::Complete, 0),
            (Some(item(Some(Status::Failed), 999)), None, Standing::Failed, 1),
            (Some(item(Some(Status::Interrupted), 5)), None, Standing::Interrupted, 75),
            (Some(item(progress, 1_000)), None, Standing::Running, 75),
            (Some(item(progress, 970)), None, Standing::Running, 75),
            (Some(item(progress, 969)), None, Standing::Silent, 1),
            (Some(item(progress, 969)), Some(31), Standing::Running, 75),
            (Some(item(progress, 999)), Some(0), Standing::Silent, 1),
            // A clock that is behind.
            (Some(item(progress, 1_500)), None, Standing::Running, 75),
            (Some(item(None, 1_000)), None, Standing::Running, 75),
        ] {
            let sight = judge("j", item.clone(), 1_000, stale_seconds);
            assert_eq!(sight.standing, standing, "{item:?} {stale_seconds:?}");
            assert_eq!(exit_code(&[sight]), code);
        }
    }

    /// What the item says is shown all the same.
    #[test]
    fn a_damaged_item_is_named() {
        for status in [Status::InProgress, Status::Completed, Status::Interrupted] {
            let far = Checkpoint { last_line: Some(u64::MAX), ..item(Some(status), 990) };
            let sight = judge("j", Some(far), 1_000, None);
            assert_eq!(exit_code(std::slice::from_ref(&sight)), 1);
            let Sight { standing, age_seconds, item, .. } = sight;
            assert_eq!((standing, age_seconds), (Standing::Damaged, Some(10)));
            let told = "the item is damaged: last_line is 18446744073709551615";
            assert_eq!(item.error.as_deref(), Some(told));
            assert_eq!((item.status, item.next_byte), (Some(status), Some(2_000)));
        }
    }

    /// Whatever the numbers are.
    #[test]
    fn no_number_is_too_much() {
        let numbers = [None, Some(0), Some(1), Some((1 << 62) - 1), Some(u64::MAX)];
        let mut sights: Vec<Sight> = Vec::new();
        for a in numbers {
            for (b, seen) in numbers.into_iter().flat_map(|b| [(b, b), (b, Some(1_000))]) {
                let item = |status| Checkpoint {
                    job_id: "j".into(),
                    status,
                    last_line: a,
                    next_byte: b,
                    source_bytes: a,
                    timestamp: seen,
                    started_at: a,
                    rows_per_second: a,
                    lease_seconds: b,
                    ..Checkpoint::default()
                };
                for status in [None, Some(Status::InProgress), Some(Status::Completed)] {
                    let mut sight = judge("j", Some(item(status)), 1_000, None);
                    if let Some(before) = sights.last() {
                        sight.pace_since(before);
                    }
                    sights.push(sight);
                }
            }
        }
        assert!(sights.iter().any(|sight| sight.standing == Standing::Running));
        assert!(sights.iter().any(|sight| sight.standing == Standing::Damaged));
    }

    #[test]
    fn the_worst_of_several() {
        let sight = |standing| Sight { standing, ..judge("j", None, 0, None) };
        for (standings, code) in [
            (&[][..], 0),
            (&[Standing::Complete, Standing::Complete], 0),
            (&[Standing::Complete, Standing::Running], 75),
            (&[Standing::Failed, Standing::Running, Standing::Complete], 1),
        ] {
            let sights: Vec<Sight> = standings.iter().copied().map(sight).collect();
            assert_eq!(exit_code(&sights), code, "{standings:?}");
        }
    }

    #[test]
    fn pace_and_time_left() {
        let seen = judge("j", Some(item(Some(Status::InProgress), 1_000)), 1_000, None);
        // 1,000 rows in 100 s; 2,000 of 10,000 bytes.
        assert_eq!((seen.rows_per_second, seen.left_seconds), (Some(10), Some(400)));
        let mut later = item(Some(Status::InProgress), 1_002);
        later.last_line = Some(2_000);
        later.next_byte = Some(4_000);
        let mut later = judge("j", Some(later), 1_002, None);
        later.pace_since(&seen);
        assert_eq!((later.rows_per_second, later.left_seconds), (Some(500), Some(6)));
        let mut same = later.clone();
        same.pace_since(&later);
        assert_eq!(same.rows_per_second, Some(500));
        // A new sign of life without a row: the pace is what it was.
        same.item.timestamp = Some(1_004);
        same.rows_per_second = None;
        same.pace_since(&later);
        assert_eq!(same.rows_per_second, Some(500));
        let told = |status| Checkpoint { rows_per_second: Some(7), ..item(Some(status), 1_000) };
        let done = judge("j", Some(told(Status::Completed)), 1_000, None);
        assert_eq!((done.rows_per_second, done.left_seconds), (Some(7), None));
        // The pace of an earlier end is none of a job that runs.
        let again = judge("j", Some(told(Status::InProgress)), 1_000, None);
        assert_eq!(again.rows_per_second, Some(10));
        let slow = Checkpoint { last_line: Some(99), ..item(Some(Status::InProgress), 1_000) };
        assert_eq!(judge("j", Some(slow), 1_000, None).rows_per_second, None);
        let nothing = judge("j", Some(Checkpoint::default()), 1_000, None);
        assert_eq!((nothing.rows_per_second, nothing.left_seconds), (None, None));
    }

    /// Each look finds the next item.
    struct Items(Vec<Checkpoint>);

    impl Ledger for Items {
        fn load(&mut self, _job_id: &str) -> Result<Option<Checkpoint>, Fault> {
            Ok(Some(self.0.remove(0)))
        }

        fn list(&mut self, after: Option<&str>) -> Result<LedgerPage, Fault> {
            assert_eq!(after.is_some(), self.0.len() < 3);
            let item = self.0.remove(0);
            let next = (!self.0.is_empty()).then(|| item.job_id.clone());
            let is_readable = item.last_line.is_some();
            let job_id = item.job_id.clone();
            let item = if is_readable { Ok(item) } else { Err("no item".to_owned()) };
            Ok(LedgerPage { jobs: vec![Listed { job_id, item }], next })
        }

        fn store(&mut self, _: &Checkpoint, _: &OnlyIf) -> Result<Stored, Fault> {
            panic!("status writes nothing")
        }
    }

    struct Clock(u64, Option<u64>);

    impl World for Clock {
        fn now(&mut self) -> Now {
            Now { monotonic_ms: self.0, wall_ms: self.0 }
        }
        fn random(&mut self) -> u64 {
            4
        }
        fn wait(&mut self, wait_ms: u64) {
            assert!(wait_ms <= WAIT_SLICE_MS);
            self.0 += wait_ms;
        }
        fn stop_asked(&mut self) -> Option<&'static str> {
            self.1.filter(|at| self.0 >= *at).map(|_| "SIGINT")
        }
        fn is_gone(&mut self, _host: &str) -> bool {
            false
        }
        fn tell(&mut self, _event: &Event<'_>) {}
    }

    #[test]
    fn a_watch_ends_with_the_job_or_with_the_watcher() {
        let running = || item(Some(Status::InProgress), 1_000);
        let interrupted = item(Some(Status::Interrupted), 1_000);
        let done = item(Some(Status::Completed), 1_004);
        for (stop_at, looks, code) in [(None, 4, 0), (Some(1_003_000), 2, 75)] {
            let mut ledger =
                Items(vec![running(), interrupted.clone(), running(), done.clone(), running()]);
            let mut seen = Vec::new();
            let jobs = [Job::reader("j".into(), String::new(), 1)];
            let mut show = |sights: &[Sight]| {
                seen.push((sights[0].standing, sights[0].age_seconds));
                Ok(())
            };
            let mut world = Clock(1_000_000, stop_at);
            let last =
                watch(Whose::These(&jobs), None, &mut ledger, &mut world, &mut show).unwrap();
            assert_eq!((seen.len(), exit_code(&last)), (looks, code), "{seen:?}");
            let ages: Vec<u64> = seen.iter().map(|(_, age)| age.unwrap()).collect();
            assert_eq!(ages, [0, 2, 4, 2][..looks], "of an item of 4 s later, at last");
        }
    }

    /// Each of two jobs has a pace of its own.
    #[test]
    fn a_watch_measures_each_job_by_itself() {
        let at = |job_id: &str, timestamp, last_line| Checkpoint {
            job_id: job_id.into(),
            last_line: Some(last_line),
            ..item(Some(Status::InProgress), timestamp)
        };
        let mut ledger = Items(vec![
            at("a", 1_000, 1_000),
            at("b", 1_000, 5_000),
            at("a", 1_002, 1_200),
            at("b", 1_002, 6_000),
        ]);
        let jobs = ["a", "b"].map(|id| Job::reader(id.into(), String::new(), 1));
        let mut paces = Vec::new();
        let mut show = |sights: &[Sight]| {
            paces.push(sights.iter().map(|sight| sight.rows_per_second).collect::<Vec<_>>());
            Ok(())
        };
        let mut world = Clock(1_000_000, Some(1_003_000));
        watch(Whose::These(&jobs), None, &mut ledger, &mut world, &mut show).unwrap();
        assert_eq!(paces, [[Some(10), Some(50)], [Some(100), Some(500)]]);
    }

    #[test]
    fn all_jobs_the_ones_to_act_on_first() {
        let of = |job_id: &str, item: Checkpoint| Checkpoint { job_id: job_id.into(), ..item };
        let newer = Checkpoint { format: Some(99), ..item(Some(Status::Completed), 5) };
        for (items, expected) in [
            (
                vec![
                    of("b", item(Some(Status::Completed), 5)),
                    of("c", Checkpoint::default()),
                    of("a", item(Some(Status::Completed), 5)),
                ],
                "c damagedno item, a complete 995 s, b complete 995 s",
            ),
            (
                vec![
                    of("x", item(Some(Status::InProgress), 1_000)),
                    of("y", newer),
                    of("z", item(Some(Status::Failed), 5)),
                ],
                "z failed 995 s, y damagedit has format 99, this version reads 1, x running 0 s",
            ),
        ] {
            let reader = Job::reader(String::new(), String::new(), 1);
            let mut world = Clock(1_000_000, None);
            let seen = status(Whose::All(&reader), None, &mut Items(items), &mut world).unwrap();
            let told: Vec<String> = seen
                .iter()
                .map(|sight| {
                    let Sight { age_seconds, item, .. } = sight;
                    let error = item.error.as_deref().unwrap_or_default();
                    let age = age_seconds.map_or(String::new(), |age| format!(" {age} s"));
                    format!("{} {}{age}{error}", sight.job_id, sight.standing.name())
                })
                .collect();
            assert_eq!(told.join(", "), expected);
        }
    }
}
