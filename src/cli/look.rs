//! The commands that only look: `verify`, `dlq` and `status`. What they need beyond the job's
//! name is where its checkpoint is; all else is in the item.

use super::arguments::Arguments;
use super::given::Values;
use super::{Given, security, shown, typed};
use crate::limits::STATUS_JOBS_MAX;
use crate::settings::{Aws, CheckpointAt, KafkaSecurity, Server};

/// What every command needs that reads the partitions of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub job_id: String,
    pub checkpoint: CheckpointAt,
    /// Of a rehearsal: its log is in here, and there are no brokers.
    pub directory: Option<String>,
    pub bootstrap_servers: Vec<Server>,
    pub security: KafkaSecurity,
    /// Needed where the ledger is in `DynamoDB`, the source in S3, or the login of AWS.
    pub aws: Aws,
    pub max_retries: u32,
}

impl Reading {
    /// As they were given.
    pub fn servers(&self) -> String {
        let servers: Vec<String> = self.bootstrap_servers.iter().map(Server::to_string).collect();
        servers.join(",")
    }
}

/// What `verify` is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proving {
    pub reading: Reading,
    /// Needed where they are so many that the item has but their digest.
    pub columns: Vec<String>,
    /// By batch headers alone.
    pub headers: bool,
    pub exclusive: bool,
    pub json: bool,
}

/// What `dlq` is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collecting {
    pub reading: Reading,
    pub form: Form,
}

/// How dead letters are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// The rows as they were, to be mended and loaded.
    Csv,
    /// The records as they are, one a line.
    Json,
}

/// What `status` is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looking {
    /// At least one; none: all that the ledger holds.
    pub job_ids: Vec<String>,
    pub checkpoint: CheckpointAt,
    pub aws: Option<Aws>,
    pub max_retries: u32,
    pub stale_seconds: Option<u64>,
    pub watch: bool,
    pub json: bool,
}

pub(super) fn verify(
    arguments: &Arguments,
    values: &mut Values,
    given: &Given<'_>,
) -> Option<Proving> {
    let reading = reading("verify", arguments, values, given);
    let columns = typed::columns(values);
    Some(Proving {
        reading: reading?,
        columns: columns?,
        headers: arguments.headers,
        exclusive: arguments.exclusive,
        json: arguments.json,
    })
}

pub(super) fn dlq(
    arguments: &Arguments,
    values: &mut Values,
    given: &Given<'_>,
) -> Option<Collecting> {
    if arguments.csv && arguments.json {
        values.problem("--csv and --json are two forms of one thing; take one");
    }
    let reading = reading("dlq", arguments, values, given)?;
    let form = match (arguments.csv, arguments.json) {
        (true, _) => Form::Csv,
        (_, true) => Form::Json,
        _ => Form::Table,
    };
    Some(Collecting { reading, form })
}

fn reading(
    command: &str,
    arguments: &Arguments,
    values: &mut Values,
    given: &Given<'_>,
) -> Option<Reading> {
    values.check();
    let job_id = match arguments.words.as_slice() {
        [] => default_job(arguments, values),
        [job_id] => job_id.clone(),
        [_, extra, ..] => {
            values.problem(format!("{command} takes one job; {} is too many", shown(extra)));
            return None;
        }
    };
    let checkpoint = checkpoint(arguments, values);
    let bootstrap_servers = match arguments.directory {
        Some(_) => Some(Vec::new()),
        None => typed::bootstrap_servers(values),
    };
    let security = match arguments.directory {
        Some(_) => Some(KafkaSecurity::default()),
        None => security::security(values, bootstrap_servers.as_deref(), given.read_file),
    };
    let aws = typed::aws(values, security.as_ref());
    Some(Reading {
        job_id,
        checkpoint: checkpoint?,
        directory: arguments.directory.clone(),
        bootstrap_servers: bootstrap_servers?,
        security: security?,
        aws,
        max_retries: u32::try_from(values.whole("MAX_RETRIES")?).ok()?,
    })
}

pub(super) fn status(arguments: &Arguments, values: &mut Values) -> Option<Looking> {
    // Brokers are not spoken to.
    values.check();
    let mut job_ids = arguments.words.clone();
    if arguments.all && !job_ids.is_empty() {
        values.problem("--all means every job; name none beside it");
    }
    if job_ids.is_empty() && !arguments.all {
        job_ids.push(default_job(arguments, values));
    }
    if job_ids.len() > STATUS_JOBS_MAX {
        values.problem(format!("status takes at most {STATUS_JOBS_MAX} jobs"));
    }
    let stale_seconds = arguments.stale.as_ref().and_then(|text| {
        let seconds = text.parse::<u64>().ok();
        if seconds.is_none() {
            values.problem(format!("--stale={} is not a whole number of seconds", shown(text)));
        }
        seconds
    });
    let checkpoint = checkpoint(arguments, values)?;
    let uses_aws = matches!(checkpoint, CheckpointAt::DynamoDb { .. });
    Some(Looking {
        job_ids,
        checkpoint,
        aws: uses_aws.then(|| typed::aws(values, None)),
        max_retries: u32::try_from(values.whole("MAX_RETRIES")?).ok()?,
        stale_seconds,
        watch: arguments.watch,
        json: arguments.json,
    })
}

fn default_job(arguments: &Arguments, values: &Values) -> String {
    match arguments.directory {
        Some(_) => values.text("JOB_ID").unwrap_or(super::REHEARSAL_JOB).to_owned(),
        None => values.text_or_default("JOB_ID").into_owned(),
    }
}

fn checkpoint(arguments: &Arguments, values: &mut Values) -> Option<CheckpointAt> {
    match &arguments.directory {
        Some(directory) => Some(typed::file_in(directory)),
        None => typed::checkpoint(values),
    }
}
