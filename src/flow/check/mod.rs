//! `check`: everything that a run would need, touched once and changed never.
//!
//! ```text
//! account ──> who we are                    ledger ──item──> standing: what a run would do with it
//! source ───> look: pin, header, sample ──┐    └──a write that can not take effect
//! topics ───> look: leader, settings, …  ─┴──> plan ──> topic: durable? kept long enough?
//! ```
//!
//! Each peer gets two attempts. What fails is a finding, and the rest is looked at all the
//! same.

pub mod plan;
pub mod sample;
pub mod topic;

mod look;
mod standing;
#[cfg(test)]
mod tests;

use self::look::Seen;
use self::plan::{Done, Plan};
use super::bounds::Bounds;
use super::job::Job;
use super::patience::insist;
use super::ports::{Account, Ports, Stored};
use super::run::Run;
use crate::event::Lane as Which;
use crate::finding::{Finding, Grade, Subject};
use crate::limits::{BATCH_BYTES_MAX_UNKNOWN, BATCH_OVERHEAD_BYTES};
use crate::stop::{EXIT_COMPLETE, EXIT_MEND, Peer, Stop};
use crate::wire::checkpoint::{Checkpoint, Holder, Identities, OnlyIf};

/// One more attempt at each peer, and no more.
const RETRIES: u32 = 1;
/// Records that `--show-rows` shows.
const SHOWN_ROWS: usize = 3;

/// What is asked, beyond the job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each thing that AWS may be needed for")]
pub struct Asked {
    /// As messages call it.
    pub ledger: String,
    pub source_takes_aws: bool,
    pub ledger_takes_aws: bool,
    pub brokers_take_aws: bool,
    /// Values of rows may be shown.
    pub show_rows: bool,
    /// What reading the settings warned of.
    pub warnings: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub plan: Option<Plan>,
    /// Names of the columns and first records, if they were asked for.
    pub shown: Option<Shown>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    pub columns: Vec<String>,
    pub records: Vec<String>,
}

impl Report {
    /// Nothing could be looked at.
    pub fn of_problems(problems: &[String], warnings: &[String]) -> Report {
        let problems = problems.iter().cloned().map(|problem| Finding::BadSetting { problem });
        let warnings = warnings.iter().cloned().map(|text| Finding::Doubtful { text });
        Report { findings: problems.chain(warnings).collect(), ..Report::default() }
    }

    pub fn grade(&self) -> Grade {
        self.findings.iter().map(Finding::grade).max().unwrap_or(Grade::Ok)
    }

    pub fn exit_code(&self) -> u8 {
        if self.grade() == Grade::Fail { EXIT_MEND } else { EXIT_COMPLETE }
    }
}

/// Looks at everything; fails only when somebody asks it to stop.
pub fn check(
    job: &Job,
    asked: &Asked,
    ports: &mut Ports<'_>,
    mut account: Option<&mut dyn Account>,
) -> Result<Report, Stop> {
    let job = Job { retries_max: RETRIES, ..job.clone() };
    let mut run = Run::new(&job, ports);
    run.broker_patience_ms = 0;
    let mut findings: Vec<Finding> =
        asked.warnings.iter().cloned().map(|text| Finding::Doubtful { text }).collect();
    if findings.is_empty() {
        findings.push(Finding::SettingsRead);
    }
    let mut notes = Notes::default();
    let has_keys = match &mut account {
        Some(account) => credentials(&mut run, *account, &mut notes)?,
        None => true,
    };
    findings.append(&mut notes.findings);

    let may = |takes_aws: bool| has_keys || !takes_aws;
    let (main, mut of_main) = topic(&mut run, Which::Main, may(asked.brokers_take_aws))?;
    let (dead, mut of_dead) = match job.dead_target() {
        // The same brokers: they are not asked again in vain.
        Some(_) => topic(&mut run, Which::Dead, main.answered)?,
        None => (Topic::default(), Vec::new()),
    };
    let bounds = main.bounds.unwrap_or(BOUNDS_UNKNOWN);
    let mut opened = None;
    if may(asked.source_takes_aws) {
        opened = look::source(&mut run, bounds, &mut notes)?;
    } else {
        notes.skipped(Subject::Source, Subject::Credentials);
    }
    findings.append(&mut notes.findings);

    let pin = opened.as_ref().map(|opened| &opened.pin);
    let mut of_ledger = Vec::new();
    let mut done = Done::default();
    if may(asked.ledger_takes_aws) {
        if let Some(item) = ledger(&mut run, asked, &mut notes)? {
            (of_ledger, done) = standing::judge(&mut run, item.as_ref(), pin, main.seen.as_ref());
            of_ledger.extend(loaded_before(&job, item.as_ref(), main.seen.as_ref()));
        }
    } else {
        notes.skipped(Subject::Ledger, Subject::Credentials);
    }

    let plan = opened.as_ref().and_then(|opened| opened.plan(&job, asked, done));
    let kept = |topic: &Topic, plan: Option<&Plan>| {
        let settings = topic.seen.as_ref().map(|seen| &seen.settings);
        settings.map_or_else(Vec::new, |settings| topic::retention(&topic.name, settings, plan))
    };
    of_main.extend(kept(&main, plan.as_ref()));
    of_dead.extend(kept(&dead, None));
    // What keeps us from the brokers is said once.
    of_dead.retain(|finding| !of_main.iter().any(|main| is_same_refusal(main, finding)));
    findings.append(&mut of_main);
    findings.append(&mut of_dead);
    findings.append(&mut notes.findings);
    findings.append(&mut of_ledger);
    if let Some(skew_ms) = account.and_then(Account::skew_ms) {
        findings.push(Finding::Clock { skew_ms });
    }
    let shown = opened.filter(|_| asked.show_rows).map(|opened| opened.shown(SHOWN_ROWS));
    Ok(Report { findings, plan, shown })
}

fn is_same_refusal(main: &Finding, dead: &Finding) -> bool {
    match (main, dead) {
        (Finding::Refused { stop: main, .. }, Finding::Refused { stop: dead, .. }) => main == dead,
        _ => false,
    }
}

/// Where the topic's limit is not known.
const BOUNDS_UNKNOWN: Bounds = Bounds {
    batch_bytes_max: BATCH_BYTES_MAX_UNKNOWN,
    record_bytes_max: BATCH_BYTES_MAX_UNKNOWN - BATCH_OVERHEAD_BYTES,
};

/// What is found on the way.
#[derive(Default)]
struct Notes {
    findings: Vec<Finding>,
}

impl Notes {
    /// Keeps what came of it; a failure is a finding, unless somebody asks us to stop.
    fn keep<T>(&mut self, subject: Subject, came: Result<T, Stop>) -> Result<Option<T>, Stop> {
        match came {
            Ok(value) => Ok(Some(value)),
            Err(stop @ Stop::Interrupted { .. }) => Err(stop),
            Err(stop) => {
                self.findings.push(match stop {
                    Stop::GaveUp { problem, .. } => Finding::Unreachable { subject, problem },
                    stop => Finding::Refused { subject, stop },
                });
                Ok(None)
            }
        }
    }

    fn skipped(&mut self, subject: Subject, needs: Subject) {
        self.findings.push(Finding::Skipped { subject, needs });
    }
}

/// Whether there are credentials.
fn credentials(
    run: &mut Run<'_, '_>,
    account: &mut dyn Account,
    notes: &mut Notes,
) -> Result<bool, Stop> {
    let from = insist(run, Peer::Ledger, |_| account.credentials());
    let Some(from) = notes.keep(Subject::Credentials, from)? else { return Ok(false) };
    // One attempt: nothing depends on it.
    notes.findings.push(match account.caller() {
        Ok(Some(caller)) => Finding::Caller { from, account: caller.account, arn: caller.arn },
        Ok(None) => Finding::CallerNotAsked { from },
        Err(fault) => {
            let problem = match fault.into_stop(Peer::Ledger) {
                Stop::GaveUp { problem, .. } | Stop::Refused { problem, .. } => problem,
                stop => stop.to_string(),
            };
            Finding::CallerUnknown { from, problem }
        }
    });
    Ok(true)
}

/// A topic as it was seen, as far as it was.
#[derive(Default)]
struct Topic {
    name: String,
    seen: Option<Seen>,
    bounds: Option<Bounds>,
    /// A broker told something, if only a refusal.
    answered: bool,
}

fn topic(
    run: &mut Run<'_, '_>,
    which: Which,
    may_ask: bool,
) -> Result<(Topic, Vec<Finding>), Stop> {
    let mut notes = Notes::default();
    let job = run.job;
    let (subject, target) = match (which, job.dead_target()) {
        (Which::Dead, Some(target)) => (Subject::DeadLetters, target),
        _ => (Subject::Topic, job.target.clone()),
    };
    let mut topic = Topic { name: target.topic.clone(), ..Topic::default() };
    if !may_ask {
        let needs = if which == Which::Dead { Subject::Topic } else { Subject::Credentials };
        notes.skipped(subject, needs);
        return Ok((topic, notes.findings));
    }
    let Some(seen) = look::topic(run, which, subject, &target, &mut notes)? else {
        topic.answered = !matches!(notes.findings.last(), Some(Finding::Unreachable { .. }));
        return Ok((topic, notes.findings));
    };
    topic.answered = true;
    let mut found = vec![Finding::Topic {
        topic: target.topic.clone(),
        partition: target.partition,
        partition_count: seen.described.partition_count,
        leader: seen.described.leader.clone(),
        log_start: seen.log_start,
        log_end: seen.log_end,
    }];
    found.append(&mut notes.findings);
    found.extend(topic::rights(&target.topic, &seen.described, &seen.settings));
    found.extend(topic::durability(&target.topic, &seen.described, &seen.settings));
    let guard = run.broker(which).guard();
    let bounds = Bounds::of(job, &target.topic, &seen.settings, None, guard);
    if let Some(bounds) = notes.keep(subject, bounds)? {
        found.push(topic::record_limit(&target.topic, &seen.settings, bounds));
        topic.bounds = Some(bounds);
    }
    found.append(&mut notes.findings);
    topic.seen = Some(seen);
    Ok((topic, found))
}

/// The item, if there is one; nothing if the ledger can not be used. Also whether we may write.
#[expect(clippy::option_option, reason = "not to be had is not the same as not there")]
fn ledger(
    run: &mut Run<'_, '_>,
    asked: &Asked,
    notes: &mut Notes,
) -> Result<Option<Option<Checkpoint>>, Stop> {
    let job = run.job;
    let item = insist(run, Peer::Ledger, |run| run.ledger().load(&job.job_id));
    let Some(item) = notes.keep(Subject::Ledger, item)? else { return Ok(None) };
    let nothing = Checkpoint { job_id: run.job.job_id.clone(), ..Checkpoint::default() };
    let never = OnlyIf { holder: Holder::Never, identities: Identities::Any };
    let tried = insist(run, Peer::Ledger, |run| run.ledger().store(&nothing, &never));
    if let Some(stored) = notes.keep(Subject::Ledger, tried)? {
        let (ledger, is_tried) = (asked.ledger.clone(), asked.ledger_takes_aws);
        notes.findings.push(match stored {
            Stored::Refused(_) => Finding::Ledger { ledger, is_tried },
            Stored::Done(_) => Finding::LaxLedger { ledger },
        });
    }
    Ok(Some(item))
}

/// A first load that may not be the first one of this source.
fn loaded_before(job: &Job, item: Option<&Checkpoint>, main: Option<&Seen>) -> Option<Finding> {
    let is_new = item.is_none_or(|item| item.format.is_some() && item.main.producers.is_none());
    let row = main.and_then(|seen| seen.last_line).filter(|_| is_new)?;
    let (topic, partition) = (job.target.topic.clone(), job.target.partition);
    Some(Finding::LoadedBefore { topic, partition, row })
}
