//! `status`: how jobs stand, once or until they end.

use std::io::{self, IsTerminal as _};

use csv_to_kafka::cli::Looking;
use csv_to_kafka::flow;
use csv_to_kafka::flow::job::Job;
use csv_to_kafka::flow::status::{Sight, Whose};
use csv_to_kafka::show::status;
use csv_to_kafka::show::terminal::cut;

use super::places::Lazy;
use super::voice::Voice;
use super::{Ended, Variables, print};

pub(crate) fn look(asked: &Looking, variables: &Variables, voice: &Voice) -> Ended {
    let mut services = Lazy { aws: asked.aws.as_ref(), variables, services: None };
    let mut ledger = services.ledger(&asked.checkpoint)?;
    let mut world = voice.world()?;
    let reader = |job_id: &str| Job::reader(job_id.to_owned(), String::new(), asked.max_retries);
    let jobs: Vec<Job> = asked.job_ids.iter().map(|job_id| reader(job_id)).collect();
    let any = reader("");
    let whose = if jobs.is_empty() { Whose::All(&any) } else { Whose::These(&jobs) };
    let is_terminal = io::stdout().is_terminal();
    let text = |sights: &[Sight]| {
        let text = if jobs.is_empty() { status::table(sights) } else { status::text(sights) };
        if is_terminal { cut(&text) } else { text }
    };
    let stale_seconds = asked.stale_seconds;
    if !asked.watch {
        let sights = flow::status::status(whose, stale_seconds, &mut *ledger, &mut world)?;
        print(&if asked.json { format!("{:#}\n", status::json(&sights)) } else { text(&sights) })?;
        return Ok(flow::status::exit_code(&sights));
    }
    let mut drawn = String::new();
    let mut show = |sights: &[Sight]| {
        let text = if asked.json { format!("{}\n", status::json(sights)) } else { text(sights) };
        let redrawn = match drawn.lines().count() {
            lines @ 1.. if is_terminal && !asked.json => format!("\x1b[{lines}A\x1b[J{text}"),
            _ => text.clone(),
        };
        drawn = text;
        print(&redrawn).map_err(|stop| *stop)?;
        Ok(())
    };
    let sights = flow::status::watch(whose, stale_seconds, &mut *ledger, &mut world, &mut show)?;
    Ok(flow::status::exit_code(&sights))
}
