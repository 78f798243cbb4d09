//! `dlq`: the dead letters of a job, as a table, as the records they are, or as a CSV to mend.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;

use csv_to_kafka::cli::{Collecting, Form};
use csv_to_kafka::flow;
use csv_to_kafka::flow::job::{Job, pinned_dialect, pinned_header};
use csv_to_kafka::flow::letters::{self, Sides};
use csv_to_kafka::port::console;
use csv_to_kafka::settings::Header;
use csv_to_kafka::show::letters::{NO_HEADER, Table, lacking, left_out, none};
use csv_to_kafka::show::log::Line;
use csv_to_kafka::stop::{EXIT_COMPLETE, EXIT_MEND, Stop};
use csv_to_kafka::wire::csv::header;

use super::places::{Brokers, Lazy};
use super::voice::Voice;
use super::{Ended, Variables, not_printed, print};

pub(crate) fn collect(asked: &Collecting, variables: &Variables, voice: &Voice) -> Ended {
    let reading = &asked.reading;
    let mut services = Lazy { aws: Some(&reading.aws), variables, services: None };
    let mut ledger = services.ledger(&reading.checkpoint)?;
    let mut world = voice.world()?;
    let (job_id, servers) = (reading.job_id.clone(), reading.servers());
    let reader = Job::reader(job_id, servers, reading.max_retries);
    let item = flow::find(&reader, &mut *ledger, &mut world)?;
    let mut page = Page::default();
    let targets = letters::targets(&item).filter(|_| item.dlq.producers.is_some());
    let Some((main_target, dead_target)) = targets else {
        if asked.form == Form::Table {
            return print(&none(&item.job_id));
        }
        return Ok(EXIT_COMPLETE);
    };
    let job = letters::job_of(reader, &main_target, &dead_target);
    let brokers = Brokers::new(reading, &job.job_id, &mut services)?;
    let mut main = brokers.open(&main_target)?;
    let mut dead = brokers.open(&dead_target)?;
    let mut sides =
        Sides { main: &mut *main, dead: &mut *dead, ledger: &mut *ledger, world: &mut world };
    let table = Table::new(&item, io::stdout().is_terminal());
    let mut is_all = true;
    let mut warn = |text: &str| {
        is_all = false;
        voice.line(&Line::warning(text));
    };
    match asked.form {
        Form::Table => page.bytes.extend_from_slice(table.head().as_bytes()),
        Form::Csv if pinned_header(&item)? == Header::First => {
            let dialect = pinned_dialect(&item)?;
            match letters::columns(&job, &item, &mut sides)? {
                Some(columns) => header::write(&columns, dialect, &mut page.bytes),
                None => warn(NO_HEADER),
            }
        }
        Form::Csv | Form::Json => {}
    }
    let found = letters::letters(&job, &item, &mut sides, &mut |letter, value| {
        match asked.form {
            Form::Table => page.put(table.row(letter).as_bytes()),
            Form::Json => page.put(&[value, b"\n"].concat()),
            // What is cut could swallow the rows after it.
            Form::Csv if letter.is_whole => page.put(&[letter.raw.as_slice(), b"\n"].concat()),
            Form::Csv => {
                warn(&left_out(letter));
                Ok(ControlFlow::Continue(()))
            }
        }
    })?;
    if asked.form == Form::Table {
        page.bytes.extend_from_slice(table.foot(&found).as_bytes());
    }
    // Whether somebody reads it does not matter any more.
    let _: ControlFlow<()> = page.flush()?;
    for text in lacking(&found) {
        warn(&text);
    }
    Ok(if is_all { EXIT_COMPLETE } else { EXIT_MEND })
}

/// Standard output, a good piece at a time.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
}

impl Page {
    const PIECE_BYTES: usize = 64 * 1024;

    fn put(&mut self, bytes: &[u8]) -> Result<ControlFlow<()>, Stop> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < Page::PIECE_BYTES {
            return Ok(ControlFlow::Continue(()));
        }
        self.flush()
    }

    /// Enough is shown when nobody reads it any more.
    fn flush(&mut self) -> Result<ControlFlow<()>, Stop> {
        let is_read = console::result(&self.bytes).map_err(not_printed)?;
        self.bytes.clear();
        Ok(if is_read { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}
