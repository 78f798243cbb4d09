//! What the ledger says of a job, for the commands that only look.

use super::job::Job;
use super::patience::insist;
use super::ports::{Ledger, World};
use super::run::Run;
use crate::stop::{Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, FORMAT};

/// The item of a job that must be there.
pub fn find(job: &Job, ledger: &mut dyn Ledger, world: &mut dyn World) -> Result<Checkpoint, Stop> {
    look(job, ledger, world)?.ok_or_else(|| Stop::NoSuchJob { job_id: job.job_id.clone() })
}

/// The item of a job, if there is one; repeated as the job's patience allows.
pub fn look(
    job: &Job,
    ledger: &mut dyn Ledger,
    world: &mut dyn World,
) -> Result<Option<Checkpoint>, Stop> {
    let mut run = Run::of_ledger(job, ledger, world);
    let item = insist(&mut run, Peer::Ledger, |run| run.ledger().load(&job.job_id))?;
    match item.as_ref().and_then(|item| item.format).filter(|format| *format > FORMAT) {
        Some(format) => Err(Stop::refused(
            Peer::Ledger,
            format!(
                "the checkpoint of job {} has format {format}, this version reads {FORMAT}",
                job.job_id
            ),
            "Use the version that began the job, or a later one",
        )),
        None => Ok(item),
    }
}
