//! `report`: the log of a job as a page.

use csv_to_kafka::cli::Reporting;
use csv_to_kafka::flow::report::Report;
use csv_to_kafka::limits::REPORT_LINE_BYTES_MAX;
use csv_to_kafka::port::lines::each_line;
use csv_to_kafka::show::report::page;
use csv_to_kafka::stop::{Peer, Stop};

use super::{Ended, VERSION, print};

const ADVICE: &str = "Name a file, or pipe the log in: csv-to-kafka report job.log > report.html";

pub(crate) fn report(asked: &Reporting) -> Ended {
    let mut report = Report::default();
    let path = asked.path.as_deref();
    each_line(path, REPORT_LINE_BYTES_MAX, &mut |line| report.line(line))
        .map_err(|problem| Stop::refused(Peer::Source, problem, ADVICE))?;
    report.finish();
    if report.runs.is_empty() {
        let place = path.unwrap_or("standard input");
        let problem = format!("{place} holds no run of csv-to-kafka");
        return Err(Box::new(Stop::refused(Peer::Source, problem, ADVICE)));
    }
    print(&page(&report, VERSION))
}
