//! `verify`, and `VERIFY` at the end of a run.

use csv_to_kafka::cli::Proving;
use csv_to_kafka::flow;
use csv_to_kafka::flow::job::{Job, Target};
use csv_to_kafka::flow::ports::{Broker, Ports};
use csv_to_kafka::flow::verify::{Asked, Depth, Proof};
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::kafka::Security;
use csv_to_kafka::settings::{LogFormat, Settings, SourceAt, Verify};
use csv_to_kafka::show::verify;
use csv_to_kafka::stop::Stop;

use super::places::Lazy;
use super::voice::Voice;
use super::{Ended, VERSION, Variables, kafka, log_in, one_problem, print};

/// `VERIFY`: a run that is complete, or finds the job so and not proved yet, proves it. Answers
/// the exit code of the whole.
pub(crate) fn prove_end(
    settings: &Settings,
    job: &Job,
    stop: &Stop,
    ports: &mut Ports<'_>,
) -> Result<(u8, Option<String>), Box<Stop>> {
    let depth = match (settings.verify, stop) {
        (Verify::Headers, Stop::Complete { .. } | Stop::AlreadyComplete { .. }) => Depth::Headers,
        (Verify::Full, Stop::Complete { .. } | Stop::AlreadyComplete { .. }) => Depth::Full,
        _ => return Ok((stop.exit_code(), None)),
    };
    let item = flow::find(job, ports.ledger, ports.world)?;
    let is_proved = match depth {
        Depth::Headers => item.verified_at.is_some(),
        Depth::Full => item.digest.is_some(),
    };
    if is_proved {
        return Ok((stop.exit_code(), None));
    }
    let proof = flow::verify(job, &item, Asked { depth, exclusive: false }, ports)?;
    let text = match settings.log.format {
        LogFormat::Text => verify::text(&proof),
        LogFormat::Json => verify::json(&proof, VERSION),
    };
    Ok((proof.verdict().exit_code(), Some(text)))
}

pub(crate) fn prove(asked: &Proving, variables: &Variables, voice: &Voice) -> Ended {
    let proof = compare(asked, variables, voice);
    let text = match &proof {
        Ok(proof) if asked.json => verify::json(proof, VERSION),
        Ok(proof) => verify::text(proof),
        Err(stop) if asked.json => verify::failed_json(&asked.job_id, stop, VERSION),
        Err(_) => String::new(),
    };
    print(&text)?;
    Ok(proof?.verdict().exit_code())
}

pub(crate) fn compare(
    asked: &Proving,
    variables: &Variables,
    voice: &Voice,
) -> Result<Proof, Box<Stop>> {
    let mut services = Lazy { aws: Some(&asked.aws), variables, services: None };
    let mut ledger = services.ledger(&asked.checkpoint)?;
    let mut world = voice.world()?;
    let servers: Vec<String> = asked.bootstrap_servers.iter().map(ToString::to_string).collect();
    let reader = Job::reader(asked.job_id.clone(), servers.join(","), asked.max_retries);
    let item = flow::find(&reader, &mut *ledger, &mut world)?;
    let job = reader.of_item(&item, asked.columns.clone())?;
    let source = SourceAt::of_name(&job.source)
        .ok_or_else(|| one_problem(format!("the checkpoint names the source {}", job.source)))?;
    let mut source = services.source(&source)?;
    let login = services.login(&asked.security)?;
    let security = Security::new(&asked.security, login).map_err(one_problem)?;
    let partition = |target: &Target| -> Result<Box<dyn Broker>, Box<Stop>> {
        Ok(match &asked.directory {
            Some(directory) => Box::new(EmbeddedLog::open(&log_in(directory, target))?),
            None => Box::new(kafka(&asked.bootstrap_servers, &security, &job.job_id, target)),
        })
    };
    let mut main = partition(&job.target)?;
    let mut dead = job.dead_target().as_ref().map(partition).transpose()?;
    let depth = if asked.headers { Depth::Headers } else { Depth::Full };
    let mut ports = Ports {
        source: &mut *source,
        main: &mut *main,
        dead: match &mut dead {
            Some(dead) => Some(&mut **dead),
            None => None,
        },
        ledger: &mut *ledger,
        world: &mut world,
    };
    let exclusive = asked.exclusive;
    Ok(flow::verify(&job, &item, Asked { depth, exclusive }, &mut ports)?)
}
