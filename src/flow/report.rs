//! What the log of a job tells, gathered line by line in bounded memory: its runs, its points,
//! its marks.
//!
//! ```text
//! lines ──parse──> starting, taken ──> a run begins      sending, progress, ended ──> a point
//!                  ended ──────────> a run ends          retry, warning, …  ──> a mark, a note
//! ```
//!
//! A run that says nothing at its end was killed. However long the log is, there are at most
//! some thousand points and marks: neighbours become one.

mod thin;

pub use thin::{Mark, MarkKind, Marks, Note, Notes, Point, Points};

use crate::limits::{REPORT_JOBS_MAX, REPORT_RUNS_MAX, REPORT_TEXT_CHARS_MAX};
use crate::settings::Level;
use crate::stop::{EXIT_AGAIN, EXIT_COMPLETE};
use crate::wire::log_line::LogLine;

/// All that is known of a job by its log.
#[derive(Debug, Default)]
pub struct Report {
    /// More than one, where the log is of more than one.
    pub job_ids: Vec<String>,
    pub source: Option<String>,
    pub source_bytes: u64,
    pub topic: Option<String>,
    pub partition: Option<String>,
    pub version: Option<String>,
    /// In the order in which they began.
    pub runs: Vec<RunSeen>,
    /// Runs beyond those.
    pub runs_more: u64,
    pub points: Points,
    pub marks: Marks,
    pub notes: Notes,
    /// Unix milliseconds of the first and the last line.
    pub span_ms: Option<(u64, u64)>,
    pub lines: u64,
    /// Lines that are none of ours.
    pub foreign_lines: u64,
    pub log_bytes: u64,
    /// The list of an end may go on over several lines.
    is_after_end: bool,
    /// Totals of all runs, those that are not listed too.
    pub totals: Totals,
}

/// Sums over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub runs: u64,
    /// Runs that did not say how they ended.
    pub killed: u64,
    pub rows: u64,
    /// Rows that the runs confirmed, as far as they told.
    pub rows_here: u64,
    pub byte_offset: u64,
    pub dead_letters: u64,
    pub active_ms: u64,
    pub retries: u64,
    pub bytes_raw: u64,
    pub bytes_sent: u64,
    pub bytes_read: u64,
    pub checkpoints: u64,
    pub spent: Spent,
}

/// What the time of runs went to, as far as they told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub source_ms: u64,
    pub broker_ms: u64,
    pub ledger_ms: u64,
    pub braked_ms: u64,
    pub metrics_ms: u64,
    pub own_ms: u64,
}

impl Spent {
    pub fn sum_ms(&self) -> u64 {
        let waited = [self.source_ms, self.broker_ms, self.ledger_ms];
        let own = [self.braked_ms, self.metrics_ms, self.own_ms];
        waited.into_iter().chain(own).fold(0, u64::saturating_add)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum How {
    /// The log does not say: it goes on, or was killed.
    #[default]
    Unknown,
    Complete,
    Again,
    Mend,
}

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSeen {
    pub run_id: Option<String>,
    pub began_ms: u64,
    /// Of its last line.
    pub ended_ms: u64,
    /// The last row before it.
    pub from_row: Option<u64>,
    /// The last row that it confirmed.
    pub row: Option<u64>,
    pub rows_here: u64,
    pub retries: u64,
    pub how: How,
    pub reason: String,
    /// Its last words.
    pub text: String,
    bytes_raw: u64,
    bytes_sent: u64,
    bytes_read: u64,
    checkpoints: u64,
    spent: Spent,
    /// It is in the totals.
    is_counted: bool,
}

impl RunSeen {
    pub fn lasted_ms(&self) -> u64 {
        self.ended_ms.saturating_sub(self.began_ms)
    }
}

impl Report {
    /// One more line of the log.
    pub fn line(&mut self, text: &str) {
        self.lines += 1;
        self.log_bytes += text.len() as u64 + 1;
        let Some(line) = LogLine::parse(text) else {
            self.foreign(text);
            return;
        };
        self.is_after_end = false;
        let (first, last) = self.span_ms.unwrap_or((line.at_ms, line.at_ms));
        self.span_ms = Some((first.min(line.at_ms), last.max(line.at_ms)));
        match line.event.as_str() {
            "starting" => self.starting(&line),
            "taken" => self.taken(&line),
            "ended" => self.ended(&line),
            _ => self.in_mid_run(&line),
        }
        self.mark(&line);
        if let Some(run) = self.runs.last_mut() {
            run.ended_ms = run.ended_ms.max(line.at_ms);
        }
    }

    /// A line of somebody else, or one more of a list that an end had.
    fn foreign(&mut self, text: &str) {
        let item = text.find("  - ").and_then(|at| text.get(at..)).filter(|_| self.is_after_end);
        match (item, self.runs.last_mut()) {
            (Some(item), Some(run)) => {
                run.text = cut(&format!("{}\n{}", run.text, item.trim_end()));
            }
            _ => self.foreign_lines += 1,
        }
    }

    /// When no more lines come.
    pub fn finish(&mut self) {
        self.close();
        self.points.finish();
    }

    fn starting(&mut self, line: &LogLine) {
        self.close();
        self.begin(line);
        let text = |name: &str| line.fact(name).map(cut);
        self.source = text("source").or(self.source.take());
        self.topic = text("kafka_topic").or(self.topic.take());
        self.partition = text("kafka_partition").or(self.partition.take());
        self.version = text("version").or(self.version.take());
        self.job(line);
    }

    fn taken(&mut self, line: &LogLine) {
        // It is the first line of a run, or the first after "starting" and "watching".
        let is_new = self.current().is_none_or(|run| run.run_id.is_some());
        if is_new {
            self.close();
            self.begin(line);
        }
        if let Some(run) = self.runs.last_mut() {
            run.run_id = line.fact("run_id").map(cut);
        }
        self.job(line);
    }

    fn job(&mut self, line: &LogLine) {
        if let Some(job_id) = line.fact("job_id").map(cut)
            && !self.job_ids.contains(&job_id)
            && self.job_ids.len() < REPORT_JOBS_MAX
        {
            self.job_ids.push(job_id);
        }
    }

    /// The run that has not ended yet.
    fn current(&self) -> Option<&RunSeen> {
        self.runs.last().filter(|run| run.reason.is_empty())
    }

    fn begin(&mut self, line: &LogLine) {
        if let Some(run) = self.runs.last().filter(|run| run.how == How::Unknown) {
            self.marks.add(run.ended_ms, MarkKind::Vanished);
            self.notes.add(run.ended_ms, MarkKind::Vanished, VANISHED);
        }
        self.totals.runs += 1;
        if self.runs.len() == REPORT_RUNS_MAX {
            // The first ones and the last one are kept.
            self.runs.pop();
            self.runs_more += 1;
        }
        self.runs.push(RunSeen {
            began_ms: line.at_ms,
            ended_ms: line.at_ms,
            ..RunSeen::default()
        });
        self.points.run_begins();
        self.marks.add(line.at_ms, MarkKind::Start);
    }

    /// What the run did is added up once it is over.
    fn close(&mut self) {
        let Some(run) = self.runs.last_mut().filter(|run| !run.is_counted) else { return };
        run.is_counted = true;
        let lasted_ms = run.lasted_ms();
        let (totals, spent) = (&mut self.totals, run.spent);
        totals.killed += u64::from(run.how == How::Unknown);
        // What a log says is not believed to have an end.
        for (sum, more) in [
            (&mut totals.active_ms, lasted_ms),
            (&mut totals.rows_here, run.rows_here),
            (&mut totals.retries, run.retries),
            (&mut totals.bytes_raw, run.bytes_raw),
            (&mut totals.bytes_sent, run.bytes_sent),
            (&mut totals.bytes_read, run.bytes_read),
            (&mut totals.checkpoints, run.checkpoints),
            (&mut totals.spent.source_ms, spent.source_ms),
            (&mut totals.spent.broker_ms, spent.broker_ms),
            (&mut totals.spent.ledger_ms, spent.ledger_ms),
            (&mut totals.spent.braked_ms, spent.braked_ms),
            (&mut totals.spent.metrics_ms, spent.metrics_ms),
            (&mut totals.spent.own_ms, spent.own_ms),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    fn in_mid_run(&mut self, line: &LogLine) {
        let is_of_rows = ["sending", "progress", "checkpointed"].contains(&line.event.as_str());
        if is_of_rows && self.runs.is_empty() {
            // The log begins in the middle of a run.
            self.begin(line);
        }
        if is_of_rows && self.current().is_none() {
            // A proof at the end of a run tells its progress too.
            return;
        }
        match line.event.as_str() {
            "watching" if self.current().is_none() => {
                self.close();
                self.begin(line);
            }
            "source_open" => {
                self.source = line.fact("source").map(cut).or(self.source.take());
                self.source_bytes = line.number("source_bytes").unwrap_or(self.source_bytes);
            }
            "tail" if line.fact("lane") == Some("main") => {
                self.topic = line.fact("topic").map(cut).or(self.topic.take());
                self.partition = line.fact("partition").map(cut).or(self.partition.take());
            }
            "sending" => {
                let before = line.number("row").map(|row| row.saturating_sub(1));
                if let Some(run) = self.runs.last_mut() {
                    run.from_row = before;
                }
                self.point(line, before);
            }
            "progress" => {
                self.figures(line);
                let row = line.number("row");
                if let Some(run) = self.runs.last_mut() {
                    let from = row.zip(line.number("rows_here"));
                    run.from_row =
                        run.from_row.or(from.and_then(|(row, here)| row.checked_sub(here)));
                }
                self.point(line, row);
            }
            "checkpointed" => self.point(line, line.number("row")),
            _ => {}
        }
    }

    fn ended(&mut self, line: &LogLine) {
        if self.current().is_none() {
            // A command that ended before it began anything.
            self.close();
            self.begin(line);
        }
        self.figures(line);
        let row = line.number("row").filter(|_| self.began_to_send());
        self.point(line, row);
        let Some(run) = self.runs.last_mut() else { return };
        run.reason = cut(line.fact("reason").unwrap_or("unknown"));
        run.text = cut(&line.text);
        run.how = match line.number("exit_code") {
            Some(code) if code == u64::from(EXIT_COMPLETE) => How::Complete,
            Some(code) if code == u64::from(EXIT_AGAIN) => How::Again,
            _ => How::Mend,
        };
        self.is_after_end = true;
        let ms = |name: &str| line.number(name).unwrap_or(0);
        run.spent = Spent {
            source_ms: ms("waited_source_ms"),
            broker_ms: ms("waited_broker_ms"),
            ledger_ms: ms("waited_ledger_ms"),
            braked_ms: ms("braked_ms"),
            metrics_ms: ms("metrics_ms"),
            own_ms: ms("cpu_ms"),
        };
        run.checkpoints = ms("checkpoints");
        run.bytes_read = ms("bytes_read");
    }

    fn began_to_send(&self) -> bool {
        self.runs.last().is_some_and(|run| run.from_row.is_some())
    }

    /// What progress and end say of a run.
    fn figures(&mut self, line: &LogLine) {
        let number = |name: &str| line.number(name).unwrap_or(0);
        self.totals.dead_letters = self.totals.dead_letters.max(number("dead_letters"));
        self.source_bytes = self.source_bytes.max(number("source_bytes"));
        let Some(run) = self.runs.last_mut() else { return };
        run.rows_here = number("rows_here");
        run.retries = number("retries");
        run.bytes_raw = number("bytes_raw");
        run.bytes_sent = number("bytes_sent");
    }

    fn point(&mut self, line: &LogLine, row: Option<u64>) {
        let Some(row) = row else { return };
        let byte_offset = line.number("byte_offset").unwrap_or(0);
        self.totals.rows = self.totals.rows.max(row);
        self.totals.byte_offset = self.totals.byte_offset.max(byte_offset);
        if let Some(run) = self.runs.last_mut() {
            run.row = run.row.max(Some(row));
        }
        let answers = line.number("answers").zip(line.number("answers_ms"));
        let is_boundary = line.event != "progress" && line.event != "checkpointed";
        self.points.add(line.at_ms, row, answers, is_boundary);
    }

    fn mark(&mut self, line: &LogLine) {
        let kind = match line.event.as_str() {
            "ended" => match self.runs.last().map(|run| run.how) {
                Some(How::Complete) => Some(MarkKind::Complete),
                Some(How::Mend) => Some(MarkKind::Failed),
                _ => Some(MarkKind::Stopped),
            },
            "retry" => Some(MarkKind::Retry),
            "set_aside" => Some(MarkKind::SetAside),
            "settled" | "silence" => Some(MarkKind::Settled),
            "throttled" => Some(MarkKind::Throttled),
            _ if line.level <= Level::Warn => Some(MarkKind::Warning),
            _ => None,
        };
        if let Some(kind) = kind {
            self.marks.add(line.at_ms, kind);
            if kind != MarkKind::Throttled {
                self.notes.add(line.at_ms, kind, &said(line));
            }
        }
    }
}

const VANISHED: &str = "the run was not heard of again: it was killed, or its machine is gone";

/// The words of a line, with its problem where it has one.
fn said(line: &LogLine) -> String {
    match line.fact("problem") {
        Some(problem) => cut(&format!("{}: {problem}", line.text)),
        None => cut(&line.text),
    }
}

/// Not endless.
fn cut(text: &str) -> String {
    match text.char_indices().nth(REPORT_TEXT_CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tests::golden::golden;
    use crate::limits::REPORT_POINTS_MAX;

    /// Seconds and what is said then.
    fn made_of(lines: &[(u64, &str)]) -> Report {
        let mut report = Report::default();
        for (second, said) in lines {
            match said.strip_prefix('|') {
                Some(foreign) => report.line(foreign),
                None => report.line(&format!("2026-01-01T00:00:{second:02}.000Z INFO  {said}")),
            }
        }
        report.finish();
        report
    }

    const START: &str = "x  event=starting job_id=j source=s kafka_topic=t kafka_partition=3";
    const TAKEN: &str = "x  event=taken job_id=j run_id=r";
    const SENDING: &str = "x  event=sending row=8 byte_offset=70";
    const PROGRESS: &str = "x  event=progress row=20 rows_here=13 byte_offset=200 source_bytes=900";
    const DONE: &str = "done  event=ended reason=complete exit_code=0 row=30 rows_here=23 byte_offset=900 source_bytes=900 checkpoints=4 cpu_ms=7";
    const AGAIN: &str = "gone  event=ended reason=interrupted exit_code=75";

    #[test]
    fn runs() {
        type Case<'a> = (&'a str, &'a [(u64, &'a str)], &'a str);
        let cases: &[Case<'_>] = &[
            (
                "one",
                &[(0, START), (1, TAKEN), (2, SENDING), (4, PROGRESS), (9, DONE)],
                "0-9 7..30 Complete",
            ),
            ("killed", &[(0, START), (1, TAKEN), (2, SENDING), (4, PROGRESS)], "0-4 7..20 Unknown"),
            (
                "killed, and again",
                &[(0, START), (1, TAKEN), (3, SENDING), (5, START), (6, TAKEN), (7, AGAIN)],
                "0-3 7..7 Unknown, 5-7 Again",
            ),
            (
                "of a version that does not tell its start",
                &[
                    (1, "x  event=watching run_id=q"),
                    (2, TAKEN),
                    (3, AGAIN),
                    (5, TAKEN),
                    (6, TAKEN),
                ],
                "1-3 Again, 5-5 Unknown, 6-6 Unknown",
            ),
            (
                "wrong settings",
                &[(3, "2 problems:  event=ended reason=settings exit_code=1")],
                "3-3 Mend",
            ),
            ("begun before the log", &[(4, PROGRESS), (9, DONE)], "4-9 7..30 Complete"),
            (
                "proved at its end",
                &[(1, START), (2, SENDING), (3, DONE), (9, PROGRESS)],
                "1-9 7..30 Complete",
            ),
            ("nothing", &[(1, "|other"), (2, "|{}")], ""),
        ];
        for (name, lines, expected) in cases {
            let report = made_of(lines);
            let told = report.runs.iter().map(|run| {
                let second = |at_ms: u64| at_ms / 1_000 % 60;
                let rows = run.from_row.zip(run.row);
                let rows = rows.map_or_else(String::new, |(from, to)| format!(" {from}..{to}"));
                format!("{}-{}{rows} {:?}", second(run.began_ms), second(run.ended_ms), run.how)
            });
            assert_eq!(told.collect::<Vec<_>>().join(", "), *expected, "{name}");
        }
    }

    #[test]
    fn what_is_added_up() {
        let twice: Vec<(u64, &str)> = [START, TAKEN, SENDING, PROGRESS, DONE, "|noise"]
            .into_iter()
            .cycle()
            .take(12)
            .zip([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15])
            .map(|(said, second)| (second, said))
            .collect();
        let report = made_of(&twice);
        let totals = report.totals;
        assert_eq!((totals.runs, totals.killed, totals.rows), (2, 0, 30));
        assert_eq!((totals.rows_here, totals.checkpoints, totals.active_ms), (46, 8, 8_000));
        assert_eq!((totals.spent.own_ms, totals.byte_offset, report.source_bytes), (14, 900, 900));
        assert_eq!((report.lines, report.foreign_lines), (12, 2));
        assert_eq!((report.job_ids.len(), report.topic.as_deref()), (1, Some("t")));
        let points: Vec<u64> = report.points.iter().map(|point| point.row).collect();
        assert_eq!(points, [7, 20, 30, 7, 20, 30]);
    }

    /// All that is kept of a log, of every kind of line.
    #[test]
    fn the_whole_of_a_report() {
        let end = "gone  event=ended reason=interrupted exit_code=75 row=40 rows_here=32 retries=2 bytes_raw=70 bytes_sent=50 bytes_read=90 checkpoints=3 dead_letters=1 waited_source_ms=1 waited_broker_ms=2 waited_ledger_ms=3 braked_ms=4 metrics_ms=5 cpu_ms=6 source_bytes=950";
        let report = made_of(&[
            (0, START),
            (1, TAKEN),
            (2, "x  event=source_open source=s2 source_bytes=800"),
            (3, "x  event=tail lane=dead topic=d partition=0"),
            (4, "x  event=tail lane=main topic=t2 partition=4"),
            (5, SENDING),
            (6, "x  event=progress row=20 rows_here=13 byte_offset=200 answers=4 answers_ms=90"),
            (7, "x  event=checkpointed row=25 byte_offset=250"),
            (8, "x  event=checkpointed row=26 byte_offset=260"),
            (9, "x  event=retry peer=broker"),
            (10, "x  event=throttled pause_ms=5"),
            (11, "x  event=set_aside row=30"),
            (12, "x  event=settled landed=true"),
            (13, end),
            (20, START),
            (21, end),
            (30, TAKEN),
            (31, DONE),
        ]);
        let kept: Vec<_> = report.points.iter().collect();
        let text = format!("=== {report:#?}\n{kept:#?}\n");
        golden("report", &text);
    }

    /// More of them than fit into a number.
    #[test]
    fn sums_that_no_job_has() {
        let most = 1_u64 << 53;
        let end = format!(
            "x  event=ended reason=complete exit_code=0 row={most} rows_here={most} retries={most} bytes_sent={most} cpu_ms={most} waited_source_ms={most}"
        );
        let lines: Vec<(u64, &str)> =
            [(0, TAKEN), (1, SENDING), (2, end.as_str())].into_iter().cycle().take(7_500).collect();
        let totals = made_of(&lines).totals;
        assert_eq!((totals.rows_here, totals.spent.own_ms), (u64::MAX, u64::MAX));
        assert_eq!((totals.spent.sum_ms(), totals.rows), (u64::MAX, most));
    }

    #[test]
    fn a_list_belongs_to_the_end_before_it() {
        let report = made_of(&[
            (1, "2 problems:  event=ended reason=settings exit_code=1"),
            (1, "|web-1 csv-to-kafka[7]:   - A is missing"),
            (1, "|  - B is missing"),
            (2, "x  event=warning"),
            (3, "|  - no list any more"),
        ]);
        let text = report.runs.first().map(|run| run.text.as_str());
        assert_eq!(text, Some("2 problems:\n  - A is missing\n  - B is missing"));
        assert_eq!(report.foreign_lines, 1);
    }

    #[test]
    fn shares_of_time_add_up() {
        let spent = Spent {
            source_ms: 1,
            broker_ms: 2,
            ledger_ms: 4,
            braked_ms: 8,
            metrics_ms: 16,
            own_ms: 32,
        };
        assert_eq!(spent.sum_ms(), 63);
    }

    #[test]
    fn a_log_of_many_jobs() {
        let mut report = Report::default();
        for number in 0..2 * REPORT_JOBS_MAX {
            let said = format!("x  event=taken job_id=j{number} run_id=r");
            report.line(&format!("2026-01-01T00:00:00.000Z INFO  {said}"));
        }
        let first: Vec<String> = (0..REPORT_JOBS_MAX).map(|number| format!("j{number}")).collect();
        assert_eq!(report.job_ids, first);
    }

    /// The main lane's, whatever the other one says after it.
    #[test]
    fn the_source_and_the_partition_that_were_opened() {
        let report = made_of(&[
            (0, START),
            (1, "x  event=source_open source=s2 source_bytes=800"),
            (2, "x  event=tail lane=main topic=t2 partition=4"),
            (3, "x  event=tail lane=dead topic=d partition=0"),
        ]);
        assert_eq!((report.source.as_deref(), report.source_bytes), (Some("s2"), 800));
        let partition = (report.topic.as_deref(), report.partition.as_deref());
        assert_eq!(partition, (Some("t2"), Some("4")));
    }

    /// Where a run begins and ends is kept of a log that is thinned out.
    #[test]
    fn the_points_of_a_long_log() {
        let mut report = Report::default();
        let mut line = |event: &str, row: usize| {
            let said = format!("x  event={event} row={row} rows_here={row}");
            report.line(&format!("2026-01-01T00:00:00.000Z INFO  {said}"));
        };
        (1..=REPORT_POINTS_MAX).for_each(|row| line("progress", row));
        line("progress", 5_001);
        line("sending", 5_003);
        line("checkpointed", 5_004);
        line("progress", 5_005);
        line("progress", 5_006);
        line("ended", 5_007);
        report.finish();
        let rows = report.points.iter().map(|point| point.row);
        assert_eq!(rows.filter(|row| *row > 5_000).collect::<Vec<_>>(), [5_002, 5_005, 5_007]);
    }
}
