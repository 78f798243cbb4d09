//! What the ledger says of a job, for the commands that only look.

use super::job::Job;
use super::patience::insist;
use super::ports::{Ledger, Listed, World};
use super::run::Run;
use super::take::damaged;
use crate::limits::LIST_JOBS_MAX;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, FORMAT};

/// The item of a job that must be there, and say nothing that can not be.
pub fn find(job: &Job, ledger: &mut dyn Ledger, world: &mut dyn World) -> Result<Checkpoint, Stop> {
    let item = look(job, ledger, world)?;
    let item = item.ok_or_else(|| Stop::NoSuchJob { job_id: job.job_id.clone() })?;
    match item.flaw() {
        Some(flaw) => Err(damaged(&job.job_id, &flaw)),
        None => Ok(item),
    }
}

/// The item of a job, if there is one; repeated as the job's patience allows.
pub fn look(
    job: &Job,
    ledger: &mut dyn Ledger,
    world: &mut dyn World,
) -> Result<Option<Checkpoint>, Stop> {
    let mut run = Run::of_ledger(job, ledger, world);
    let item = insist(&mut run, Peer::Ledger, |run| run.ledger().load(&job.job_id))?;
    match item.as_ref().and_then(newer) {
        Some(problem) => Err(Stop::refused(
            Peer::Ledger,
            format!("the checkpoint of job {}: {problem}", job.job_id),
            "Use the version that began the job, or a later one",
        )),
        None => Ok(item),
    }
}

/// All jobs of the ledger, in the order of their names; `job` lends its patience.
pub fn list(
    job: &Job,
    ledger: &mut dyn Ledger,
    world: &mut dyn World,
) -> Result<Vec<Listed>, Stop> {
    let mut run = Run::of_ledger(job, ledger, world);
    let mut jobs: Vec<Listed> = Vec::new();
    let mut after: Option<String> = None;
    // A page may be empty, though another follows.
    for _ in 0..LIST_JOBS_MAX {
        run.stop_asked()?;
        let page = insist(&mut run, Peer::Ledger, |run| run.ledger().list(after.as_deref()))?;
        jobs.extend(page.jobs);
        after = page.next;
        if after.is_none() || jobs.len() > LIST_JOBS_MAX {
            break;
        }
    }
    if after.is_some() || jobs.len() > LIST_JOBS_MAX {
        return Err(Stop::refused(
            Peer::Ledger,
            format!("the checkpoint store holds more than {LIST_JOBS_MAX} jobs"),
            "Name the jobs that you mean",
        ));
    }
    for job in &mut jobs {
        if let Some(problem) = job.item.as_ref().ok().and_then(newer) {
            job.item = Err(problem);
        }
    }
    jobs.sort_by(|one, other| one.job_id.cmp(&other.job_id));
    Ok(jobs)
}

/// That a later version wrote it.
fn newer(item: &Checkpoint) -> Option<String> {
    let format = item.format.filter(|format| *format > FORMAT)?;
    Some(format!("it has format {format}, this version reads {FORMAT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::ports::{Fault, LedgerPage, Stored};
    use crate::flow::tests::lab::Hurry;
    use crate::wire::checkpoint::OnlyIf;

    /// So many jobs a page, and so many pages.
    struct Pages {
        jobs: usize,
        left: usize,
        calls: usize,
    }

    impl Ledger for Pages {
        fn load(&mut self, _job_id: &str) -> Result<Option<Checkpoint>, Fault> {
            panic!("a list loads nothing")
        }

        fn list(&mut self, _after: Option<&str>) -> Result<LedgerPage, Fault> {
            self.calls += 1;
            self.left -= 1;
            let job = || Listed { job_id: "j".into(), item: Ok(Checkpoint::default()) };
            let jobs = std::iter::repeat_with(job).take(self.jobs).collect();
            Ok(LedgerPage { jobs, next: (self.left > 0).then(|| "more".to_owned()) })
        }

        fn store(&mut self, _: &Checkpoint, _: &OnlyIf) -> Result<Stored, Fault> {
            panic!("a list writes nothing")
        }
    }

    #[test]
    fn a_table_is_listed_to_its_end_or_refused() {
        for (jobs, pages, calls, listed) in [
            (0, 1, 1, Some(0)),
            (3, 2, 2, Some(6)),
            (0, LIST_JOBS_MAX, LIST_JOBS_MAX, Some(0)),
            (0, LIST_JOBS_MAX + 1, LIST_JOBS_MAX, None),
            (LIST_JOBS_MAX, 1, 1, Some(LIST_JOBS_MAX)),
            (LIST_JOBS_MAX / 2, 2, 2, Some(LIST_JOBS_MAX)),
            (LIST_JOBS_MAX, 2, 2, None),
            (LIST_JOBS_MAX + 1, 1, 1, None),
            (LIST_JOBS_MAX + 1, 5, 1, None),
        ] {
            let mut ledger = Pages { jobs, left: pages, calls: 0 };
            let reader = Job::reader(String::new(), String::new(), 0);
            let found = list(&reader, &mut ledger, &mut Hurry::default());
            assert_eq!(found.ok().map(|found| found.len()), listed, "{jobs} on {pages} pages");
            assert_eq!(ledger.calls, calls, "{jobs} on {pages} pages");
        }
    }
}
