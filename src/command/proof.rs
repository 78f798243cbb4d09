//! `verify`, and `VERIFY` at the end of a run.

use csv_to_kafka::cli::Proving;
use csv_to_kafka::flow;
use csv_to_kafka::flow::job::Job;
use csv_to_kafka::flow::ports::Ports;
use csv_to_kafka::flow::verify::{Asked, Depth, Proof};
use csv_to_kafka::settings::{LogFormat, Settings, SourceAt, Verify};
use csv_to_kafka::show::verify;
use csv_to_kafka::stop::Stop;

use super::places::{Brokers, Lazy};
use super::voice::Voice;
use super::{Ended, VERSION, Variables, one_problem, print};

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
        Err(stop) if asked.json => verify::failed_json(&asked.reading.job_id, stop, VERSION),
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
    let reading = &asked.reading;
    let mut services = Lazy { aws: Some(&reading.aws), variables, services: None };
    let mut ledger = services.ledger(&reading.checkpoint)?;
    let mut world = voice.world()?;
    let (job_id, servers) = (reading.job_id.clone(), reading.servers());
    let reader = Job::reader(job_id, servers, reading.max_retries);
    let item = flow::find(&reader, &mut *ledger, &mut world)?;
    let job = reader.of_item(&item, asked.columns.clone())?;
    let source = SourceAt::of_name(&job.source)
        .ok_or_else(|| one_problem(format!("the checkpoint names the source {}", job.source)))?;
    let mut source = services.source(&source)?;
    let brokers = Brokers::new(reading, &job.job_id, &mut services)?;
    let mut main = brokers.open(&job.target)?;
    let mut dead = job.dead_target().map(|target| brokers.open(&target)).transpose()?;
    let depth = if asked.headers { Depth::Headers } else { Depth::Full };
    let mut ports = Ports {
        source: &mut *source,
        main: &mut *main,
        dead: match &mut dead {
            Some(dead) => Some(&mut **dead),
            None => None,
        },
        ledger: &mut *ledger,
        metrics: None,
        world: &mut world,
    };
    let exclusive = asked.exclusive;
    Ok(flow::verify(&job, &item, Asked { depth, exclusive }, &mut ports)?)
}
