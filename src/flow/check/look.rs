//! One look at each end: the source's first bytes, a topic as its leader tells it.

use super::plan::{Done, Plan};
use super::sample::{Rows, Sample};
use super::{Asked, Notes, Shown};
use crate::event::Lane as Which;
use crate::finding::{Finding, Subject};
use crate::flow::adopt::last_line_between;
use crate::flow::bounds::Bounds;
use crate::flow::job::{Job, Target};
use crate::flow::opening::key_index;
use crate::flow::patience::insist;
use crate::flow::ports::{Described, Fault, Mark, Pin, Read, TopicSettings};
use crate::flow::run::Run;
use crate::flow::tail::missing;
use crate::limits::{COLUMNS_MAX, READ_BYTES, SAMPLE_BYTES, SAMPLE_MS_MAX};
use crate::settings::OnBadRow;
use crate::stop::{Peer, Stop};
use crate::wire::csv::header;
use crate::wire::csv::{Parser, Row, Step};
use crate::wire::record::RowTemplate;

// --- Source -----------------------------------------------------------------------------

/// A source as it was seen.
pub(super) struct Opened {
    pub(super) pin: Pin,
    columns: Vec<String>,
    header_bytes: usize,
    bytes: Vec<u8>,
    sample: Sample,
    job: Job,
}

pub(super) fn source(
    run: &mut Run<'_, '_>,
    bounds: Bounds,
    notes: &mut Notes,
) -> Result<Option<Opened>, Stop> {
    let began = first_bytes(run);
    let Some((pin, bytes)) = notes.keep(Subject::Source, began)? else { return Ok(None) };
    let at_end = bytes.len() as u64 == pin.source_bytes;
    let columns = columns(run, &bytes, at_end);
    let Some((columns, header_bytes)) = notes.keep(Subject::Source, columns)? else {
        return Ok(None);
    };
    let key_index = key_index(run, &columns);
    let Some(key_index) = notes.keep(Subject::Source, key_index)? else { return Ok(None) };
    let rows = Rows {
        columns: &columns,
        key_index,
        byte_offset: header_bytes as u64,
        bytes: bytes.get(header_bytes..).unwrap_or(&[]),
        at_end,
    };
    let sample = Sample::take(run.job, bounds, &rows);
    let opened = Opened { pin, columns, header_bytes, bytes, sample, job: run.job.clone() };
    notes.findings.extend(opened.findings());
    Ok(Some(opened))
}

/// The source as it is now, and as many of its bytes as a sample has, or as came in time.
fn first_bytes(run: &mut Run<'_, '_>) -> Result<(Pin, Vec<u8>), Stop> {
    use crate::flow::ports::Opened as Port;
    let bytes_max = SAMPLE_BYTES.max(run.job.csv.row_bytes_max + 2);
    insist(run, Peer::Source, |run| {
        let pin = match run.source().open(0, None, None)? {
            Port::Open(pin) => pin,
            Port::Replaced => unreachable!("nothing was pinned that could be replaced"),
        };
        let mut bytes = Vec::new();
        let began_ms = run.now().monotonic_ms;
        // A read that brings nothing takes its time, and that is bounded.
        while bytes.len() < bytes_max {
            let before = bytes.len();
            bytes.resize(before + READ_BYTES.min(bytes_max - before), 0);
            let read = run.source().read(&mut bytes[before..]);
            bytes.truncate(before + if let Ok(Read::Bytes(count)) = read { count } else { 0 });
            match read? {
                Read::Bytes(_) => {}
                Read::End => break,
                Read::NotYet => run.stop_asked().map_err(Fault::last)?,
            }
            if run.now().monotonic_ms.saturating_sub(began_ms) >= SAMPLE_MS_MAX {
                break;
            }
        }
        if bytes.is_empty() && pin.source_bytes > 0 {
            let seconds = SAMPLE_MS_MAX / 1000;
            return Err(Fault::passing(format!("it opens, but sends nothing for {seconds} s")));
        }
        Ok((pin, bytes))
    })
}

fn columns(run: &Run<'_, '_>, bytes: &[u8], at_end: bool) -> Result<(Vec<String>, usize), Stop> {
    let job = run.job;
    let mut row = Row::with_capacity(job.csv.row_bytes_max, COLUMNS_MAX);
    let problem = match header::read(bytes, at_end, &job.csv, &mut row) {
        Ok(Some(header)) => return Ok((header.columns, header.header_bytes)),
        Ok(None) => {
            format!("only {} bytes of it came in time, too few for its header", bytes.len())
        }
        Err(problem) => problem.to_string(),
    };
    Err(Stop::BadSource { source: job.source.clone(), problem })
}

impl Opened {
    fn findings(&self) -> Vec<Finding> {
        let Opened { sample, job, .. } = self;
        let header_bytes = self.header_bytes as u64;
        let plan = Plan::of(job, sample, self.pin.source_bytes, header_bytes, Done::default());
        let mut found = vec![Finding::Source {
            source: job.source.clone(),
            source_bytes: self.pin.source_bytes,
            etag: self.pin.etag.clone(),
            columns: self.columns.len(),
            rows: plan.map_or(0, |plan| plan.rows),
            is_counted: sample.is_whole,
        }];
        if let Some((row, byte_offset, why)) = sample.first_bad.clone() {
            found.push(Finding::BadRows {
                count: sample.bad_rows,
                of_rows: sample.rows,
                row,
                byte_offset,
                why,
                aside_max: match job.on_bad_row {
                    OnBadRow::Stop => None,
                    OnBadRow::SetAside { .. } => Some(job.bad_rows_max),
                },
            });
        }
        match sample.fatal {
            Some(Stop::RowTooLong { row, byte_offset, bytes_max }) => {
                found.push(Finding::RowTooLong { row, byte_offset, bytes_max });
            }
            Some(Stop::OpenQuote { row, byte_offset }) => {
                found.push(Finding::OpenQuote { row, byte_offset });
            }
            _ => {}
        }
        found
    }

    /// What is left to do.
    pub(super) fn plan(&self, job: &Job, asked: &Asked, done: Done) -> Option<Plan> {
        let source_bytes = self.pin.source_bytes;
        let mut plan = Plan::of(job, &self.sample, source_bytes, self.header_bytes as u64, done)?;
        plan.ledger_writes = plan.ledger_writes.filter(|_| asked.ledger_takes_aws);
        Some(plan)
    }

    /// The first records, as they would be sent.
    pub(super) fn shown(self, rows_max: usize) -> Shown {
        let Opened { columns, bytes, header_bytes, job, pin, .. } = self;
        let at_end = bytes.len() as u64 == pin.source_bytes;
        let mut rest = bytes.get(header_bytes..).unwrap_or(&[]);
        let row_bytes_max = job.csv.row_bytes_max;
        let mut parser = Parser::new(job.dialect(), row_bytes_max, Some(columns.len()));
        let mut row = Row::with_capacity(row_bytes_max, COLUMNS_MAX);
        let template = RowTemplate::new(&columns, &job.source);
        let mut records = Vec::new();
        let mut row_number = 0;
        while records.len() < rows_max {
            let bytes = match parser.step(rest, at_end, &mut row) {
                Step::Blank(blank_bytes) => blank_bytes,
                Step::Bad { row_bytes, .. } => {
                    row_number += 1;
                    row_bytes
                }
                Step::Row { row_bytes } => {
                    row_number += 1;
                    let mut record = Vec::new();
                    template.write(&row, row_number, &mut record);
                    records.push(String::from_utf8_lossy(&record).into_owned());
                    row_bytes
                }
                Step::NeedInput | Step::TooLong | Step::OpenQuote | Step::End => break,
            };
            rest = rest.get(bytes..).unwrap_or(&[]);
        }
        Shown { columns, records }
    }
}

// --- Topic ------------------------------------------------------------------------------

/// A partition as its leader told it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) described: Described,
    pub(super) settings: TopicSettings,
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    /// The row that its last record is, if that is of our source.
    pub(super) last_line: Option<u64>,
}

pub(super) fn topic(
    run: &mut Run<'_, '_>,
    which: Which,
    subject: Subject,
    target: &Target,
    notes: &mut Notes,
) -> Result<Option<Seen>, Stop> {
    let described = describe(run, which, target);
    let Some(described) = notes.keep(subject, described)? else { return Ok(None) };
    let settings = insist(run, Peer::Broker, |run| run.broker(which).topic_settings());
    let Some(settings) = notes.keep(subject, settings)? else { return Ok(None) };
    let mut offset = |mark| insist(run, Peer::Broker, |run| run.broker(which).offset(mark));
    let ends = offset(Mark::Start).and_then(|start| Ok((start, offset(Mark::VisibleEnd)?)));
    let Some((log_start, log_end)) = notes.keep(subject, ends)? else { return Ok(None) };
    let (log_start, log_end) = (log_start.unwrap_or(0), log_end.unwrap_or(0));
    let mut last_line = None;
    // Where reading is forbidden, that is said already.
    if described.rights.is_none_or(|rights| rights.read) {
        let read = last_line_between(run, which, (log_end - 1).max(0), log_end);
        last_line = notes.keep(subject, read)?.flatten();
    }
    Ok(Some(Seen { described, settings, log_start, log_end, last_line }))
}

/// A run waits a while for a topic that is not there; here it is a finding at once.
fn describe(run: &mut Run<'_, '_>, which: Which, target: &Target) -> Result<Described, Stop> {
    insist(run, Peer::Broker, |run| match run.broker(which).describe() {
        Err(Fault::Passing(trouble)) if trouble.missing.is_some() => {
            Err(Fault::last(missing(run.job, target, trouble.missing.as_ref())))
        }
        described => described,
    })
}
