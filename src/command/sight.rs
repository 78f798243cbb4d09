//! `status`: how jobs stand, once or until they end.

use std::io::{self, IsTerminal as _};

use csv_to_kafka::cli::Looking;
use csv_to_kafka::flow;
use csv_to_kafka::flow::job::Job;
use csv_to_kafka::flow::status::Sight;
use csv_to_kafka::show::status;

use super::places::Lazy;
use super::voice::Voice;
use super::{Ended, Variables, print};

pub(crate) fn look(asked: &Looking, variables: &Variables, voice: &Voice) -> Ended {
    let mut services = Lazy { aws: asked.aws.as_ref(), variables, services: None };
    let mut ledger = services.ledger(&asked.checkpoint)?;
    let mut world = voice.world()?;
    let reader = |job_id: &String| Job::reader(job_id.clone(), String::new(), asked.max_retries);
    let jobs: Vec<Job> = asked.job_ids.iter().map(reader).collect();
    let stale_seconds = asked.stale_seconds;
    if !asked.watch {
        let sights = flow::status::status(&jobs, stale_seconds, &mut *ledger, &mut world)?;
        let text = if asked.json {
            format!("{:#}\n", status::json(&sights))
        } else {
            status::text(&sights)
        };
        print(&text)?;
        return Ok(flow::status::exit_code(&sights));
    }
    let is_terminal = io::stdout().is_terminal();
    let mut drawn = String::new();
    let mut show = |sights: &[Sight]| {
        let text =
            if asked.json { format!("{}\n", status::json(sights)) } else { status::text(sights) };
        let redrawn = match drawn.lines().count() {
            lines @ 1.. if is_terminal && !asked.json => format!("\x1b[{lines}A\x1b[J{text}"),
            _ => text.clone(),
        };
        drawn = text;
        print(&redrawn).map_err(|stop| *stop)?;
        Ok(())
    };
    let sights = flow::status::watch(&jobs, stale_seconds, &mut *ledger, &mut world, &mut show)?;
    Ok(flow::status::exit_code(&sights))
}
