//! `run` and `rehearse`: the job itself, into a broker or into a log of our own.

use std::io;
use std::path::Path;

use csv_to_kafka::cli::Rehearsal;
use csv_to_kafka::flow::Outcome;
use csv_to_kafka::flow::job::{Job, Target};
use csv_to_kafka::limits::BATCH_BYTES_MAX;
use csv_to_kafka::port::console;
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::kafka::Security;
use csv_to_kafka::port::machine;
use csv_to_kafka::settings::{Settings, SourceAt};
use csv_to_kafka::show::log::Line;
use csv_to_kafka::show::rehearsal::{self, Rehearsed};
use csv_to_kafka::show::start::{self, Start};
use csv_to_kafka::stop::{Peer, Stop};

use super::places::Places;
use super::proof::prove_end;
use super::voice::Voice;
use super::{Ended, VERSION, Variables, kafka, log_in, one_problem, print};

pub(crate) fn run(settings: &Settings, variables: &Variables, voice: &Voice) -> Ended {
    let mut places = Places::open(settings, variables)?;
    if let Some(aws) = &settings.aws {
        voice.watch_spot(aws);
    }
    let job = job(settings, None)?;
    let security = Security::new(&settings.security, places.aws.take()).map_err(one_problem)?;
    let servers = &settings.bootstrap_servers;
    let client = (settings.client, settings.compression);
    let partition = |target: &Target| kafka(servers, &security, client, &job.job_id, target);
    let mut main = partition(&job.target);
    let mut dead = job.dead_target().as_ref().map(partition);
    voice.line(&begin("copies", &job, settings));
    let outcome = voice.follow(&job, &mut places, &mut main, dead.as_mut())?;
    let mut world = voice.world()?;
    let mut ports = places.ports(&mut main, dead.as_mut(), &mut world);
    let (exit_code, proof) = prove_end(settings, &job, &outcome.stop, &mut ports)?;
    print(proof.as_deref().unwrap_or(""))?;
    Ok(exit_code)
}

pub(crate) fn rehearse(asked: &Rehearsal, variables: &Variables, voice: &Voice) -> Ended {
    let settings = &asked.settings;
    let directory = Path::new(&asked.directory);
    let mut places = Places::open(settings, variables)?;
    // A mistyped path leaves no directory behind.
    if let SourceAt::File(_) = settings.source {
        places.source.open(0, None, None).map_err(|fault| fault.into_stop(Peer::Source))?;
    }
    machine::make_directory(directory).map_err(one_problem)?;
    let job = job(settings, asked.rows)?;
    let log = log_in(&asked.directory, &job.target);
    let mut main = EmbeddedLog::open(&log)?;
    if asked.print {
        main.print_to(Box::new(io::BufWriter::new(io::stdout())));
    }
    let mut dead = match job.dead_target() {
        Some(target) => Some(EmbeddedLog::open(&log_in(&asked.directory, &target))?),
        None => None,
    };
    voice.line(&begin("rehearses", &job, settings));
    let Outcome { stop, summary } = voice.follow(&job, &mut places, &mut main, dead.as_mut())?;
    let rows = match stop {
        Stop::Complete { rows }
        | Stop::AlreadyComplete { rows, .. }
        | Stop::RowsReached { rows } => rows,
        stop => return Ok(stop.exit_code()),
    };
    let source = match &settings.source {
        SourceAt::File(path) => path.clone(),
        object @ SourceAt::S3 { .. } => object.to_string(),
    };
    let program = std::env::args().next();
    let text = rehearsal::text(&Rehearsed {
        program: program.as_deref().unwrap_or("csv-to-kafka"),
        source: &source,
        directory: &asked.directory,
        log: &log.display().to_string(),
        rows,
        is_complete: !matches!(stop, Stop::RowsReached { .. }),
        summary,
    });
    let mut world = voice.world()?;
    let mut ports = places.ports(&mut main, dead.as_mut(), &mut world);
    let (exit_code, proof) = prove_end(settings, &job, &stop, &mut ports)?;
    let text = text + proof.as_deref().unwrap_or("");
    // Standard output is the records' alone.
    if asked.print {
        console::aside(text.trim_end());
    } else {
        print(&text)?;
    }
    Ok(exit_code)
}
fn begin(doing: &str, job: &Job, settings: &Settings) -> Line {
    let Job { version, host, identity, source, .. } = job;
    start::line(&Start { doing, version, host, identity, source, settings })
}

pub(crate) fn job(settings: &Settings, rows_max: Option<u64>) -> Result<Job, Box<Stop>> {
    let servers: Vec<String> = settings.bootstrap_servers.iter().map(ToString::to_string).collect();
    Ok(Job {
        job_id: settings.job_id.clone(),
        source: source_name(&settings.source)?,
        source_version: settings.aws.as_ref().and_then(|aws| aws.s3_version_id.clone()),
        target: Target { topic: settings.topic.clone(), partition: settings.partition },
        bootstrap: servers.join(","),
        csv: settings.csv.clone(),
        key_column: settings.key_column.clone(),
        on_bad_row: settings.on_bad_row.clone(),
        bad_rows_max: settings.max_bad_rows,
        compression: settings.compression,
        batch_bytes_max: BATCH_BYTES_MAX,
        checkpoint_interval_rows: settings.checkpoint_interval_rows,
        lease_seconds: settings.lease_seconds,
        retries_max: settings.max_retries,
        rows_per_second_max: settings.max_rows_per_second,
        rows_max,
        host: machine::host(),
        identity: machine::user(),
        version: VERSION.to_owned(),
    })
}

/// As records name it. A file has its absolute path, so that a run that was started in another
/// directory knows it again.
pub(crate) fn source_name(source: &SourceAt) -> Result<String, Box<Stop>> {
    let SourceAt::File(path) = source else { return Ok(source.to_string()) };
    let absolute = std::path::absolute(path)
        .map_err(|e| one_problem(format!("the source {path} has no absolute path: {e}")))?;
    let absolute = absolute.to_str().ok_or_else(|| {
        one_problem(format!("the absolute path of {path} is not UTF-8; records name it"))
    })?;
    Ok(SourceAt::File(absolute.to_owned()).to_string())
}
