//! `check`: what a run would meet, found out beforehand.

use csv_to_kafka::cli::Checking;
use csv_to_kafka::flow::check::{Asked, Report};
use csv_to_kafka::flow::{self, job::Target, ports::Account};
use csv_to_kafka::port::kafka::Security;
use csv_to_kafka::settings::{CheckpointAt, Settings, SourceAt};
use csv_to_kafka::show::check;
use csv_to_kafka::stop::Stop;

use super::places::Places;
use super::run::job;
use super::voice::Voice;
use super::{Ended, VERSION, Variables, kafka, one_problem, print};

pub(crate) fn check(asked: &Checking, variables: &Variables, voice: &Voice) -> Ended {
    let report = match &asked.settings {
        Ok(settings) => look(settings, asked, variables, voice).or_else(|stop| match *stop {
            Stop::Settings(problems) => Ok(Report::of_problems(&problems, &asked.warnings)),
            stop => Err(Box::new(stop)),
        })?,
        Err(problems) => Report::of_problems(problems, &asked.warnings),
    };
    let job_id = asked.settings.as_ref().ok().map(|settings| settings.job_id.as_str());
    let text =
        if asked.json { check::json(&report, job_id, VERSION) } else { check::text(&report) };
    print(&text)?;
    Ok(report.exit_code())
}

fn look(
    settings: &Settings,
    asked: &Checking,
    variables: &Variables,
    voice: &Voice,
) -> Result<Report, Box<Stop>> {
    let mut places = Places::open(settings, variables)?;
    let job = job(settings, None)?;
    let security = Security::new(&settings.security, places.aws.take()).map_err(one_problem)?;
    let servers = &settings.bootstrap_servers;
    let client = (settings.client, settings.compression);
    let partition = |target: &Target| kafka(servers, &security, client, &job.job_id, target);
    let mut main = partition(&job.target);
    let mut dead = job.dead_target().as_ref().map(partition);
    let mut world = voice.world()?;
    let mut account = places.account.take();
    let mut ports = places.ports(&mut main, dead.as_mut(), &mut world);
    let asked = Asked {
        ledger: settings.checkpoint.to_string(),
        source_takes_aws: matches!(settings.source, SourceAt::S3 { .. }),
        ledger_takes_aws: matches!(settings.checkpoint, CheckpointAt::DynamoDb { .. }),
        brokers_take_aws: settings.security.takes_aws(),
        show_rows: asked.show_rows,
        warnings: asked.warnings.clone(),
    };
    let account = account.as_mut().map(|account| account as &mut dyn Account);
    Ok(flow::check(&job, &asked, &mut ports, account)?)
}
