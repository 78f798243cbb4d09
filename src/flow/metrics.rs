//! What is told while a run goes on, and when: progress to whoever watches, figures to whoever
//! collects metrics.
//!
//! ```text
//! begin ── first call ── a batch in flight, interval over ── call ── … ── end ── last call
//!                                │
//!                                └ failed: later, and later still; warned once for each kind
//! ```
//!
//! Metrics never hold a job up: a call is made while a batch is in flight, takes at most a
//! hundredth of the time however slow it is, and waits where it could cost the lease.

use super::ports::{Obstacle, Unsent};
use super::run::Run;
use super::spent::On;
use crate::event::{Event, Progress, Summary};
use crate::limits::{METRICS_LATE_MS, METRICS_MISSES_MAX, METRICS_PAUSE_PARTS, PROGRESS_MS};
use crate::stop::{EXIT_MEND, Stop};
use crate::wire::metrics::{Figures, Metric, Thousandths};

/// What was told last, and when there is something to tell again.
#[derive(Debug, Default)]
pub struct Meter {
    /// When progress was told.
    told_ms: Option<u64>,
    /// When figures are due; `None`: no row was sent yet.
    due_ms: Option<u64>,
    /// As it was at the last call that arrived.
    before: Summary,
    /// The last row that was confirmed, and when.
    row: u64,
    moved_ms: u64,
    /// Calls in a row that did not arrive.
    misses: u32,
    warned: Vec<Obstacle>,
}

impl Run<'_, '_> {
    /// From here on progress is told.
    pub fn watch_progress(&mut self) {
        self.meter.told_ms = Some(self.now().monotonic_ms);
    }

    /// Whether rows are this run's own work by now.
    pub fn has_begun(&self) -> bool {
        self.began_row.is_some()
    }

    /// From here on rows are this run's own work.
    pub fn begin_counting(&mut self, row: u64) {
        self.began_row = Some(row);
        let Progress { dead_letters, elapsed_ms, .. } = self.progress();
        let now_ms = self.now().monotonic_ms;
        let meter = &mut self.meter;
        (meter.row, meter.moved_ms, meter.due_ms) = (row, now_ms, Some(now_ms));
        // What it took to come here counts; dead letters of earlier runs and the time do not.
        meter.before.progress = Progress { dead_letters, elapsed_ms, ..Progress::default() };
    }

    /// Tells what is due. `in_flight`: nothing else could be done meanwhile.
    pub fn pulse(&mut self, in_flight: bool) {
        let Some(told_ms) = self.meter.told_ms else { return };
        let now_ms = self.now().monotonic_ms;
        if now_ms.saturating_sub(told_ms) >= PROGRESS_MS {
            self.meter.told_ms = Some(now_ms);
            let progress = self.progress();
            self.tell(&Event::Progress(progress));
        }
        let row = self.keeper.settled().row;
        if row > self.meter.row {
            (self.meter.row, self.meter.moved_ms) = (row, now_ms);
        }
        let Some(metrics) = &self.metrics else { return };
        let call_ms_max = metrics.call_ms_max();
        let is_due = self.meter.due_ms.is_some_and(|due_ms| {
            now_ms >= due_ms && (in_flight || now_ms - due_ms >= METRICS_LATE_MS)
        });
        if is_due && !self.keeper.endangers_lease(now_ms, call_ms_max) {
            self.put_figures(None);
        }
    }

    /// The last figures, once all else is done. A run that was asked to stop has time for them
    /// only if it is sure to be short.
    pub fn put_last_figures(&mut self, stop: &Stop) {
        let is_hurried = matches!(stop, Stop::Interrupted { .. });
        let is_worth = self.meter.due_ms.is_some() || stop.exit_code() == EXIT_MEND;
        if is_worth && !(is_hurried && self.meter.misses > 0) {
            self.put_figures(Some(stop));
        }
    }

    fn put_figures(&mut self, stop: Option<&Stop>) {
        let Some(metrics) = self.metrics.take() else { return };
        let summary = self.summary();
        let now = self.now();
        let values = self.meter.values(&summary, now.monotonic_ms, stop);
        let job_id = &self.job.job_id;
        let figures = Figures { job_id, wall_ms: now.wall_ms, values: &values };
        let is_hurried = matches!(stop, Some(Stop::Interrupted { .. }));
        let put = self.spend(On::Metrics, |_| metrics.put(&figures, is_hurried));
        let took_ms = self.now().monotonic_ms.saturating_sub(now.monotonic_ms);
        let interval_ms = metrics.interval_ms();
        self.metrics = Some(metrics);
        match put {
            Ok(()) => {
                self.meter.before = summary;
                self.meter.misses = 0;
            }
            Err(unsent) => self.missed(&unsent),
        }
        let pause_ms = interval_ms << self.meter.misses.min(METRICS_MISSES_MAX);
        let pause_ms = pause_ms.max(took_ms.saturating_mul(METRICS_PAUSE_PARTS));
        let due_ms = &mut self.meter.due_ms;
        *due_ms = due_ms.map(|_| now.monotonic_ms.saturating_add(pause_ms));
    }

    fn missed(&mut self, unsent: &Unsent) {
        self.counts.metrics_missed += 1;
        self.meter.misses = self.meter.misses.saturating_add(1);
        if !self.meter.warned.contains(&unsent.obstacle) {
            self.meter.warned.push(unsent.obstacle);
            self.tell(&Event::MetricsMissed { problem: &unsent.problem });
        }
    }
}

impl Meter {
    fn values(
        &self,
        now: &Summary,
        now_ms: u64,
        stop: Option<&Stop>,
    ) -> Vec<(Metric, Thousandths)> {
        let before = &self.before;
        let (progress, earlier) = (&now.progress, &before.progress);
        let since = |figure: fn(&Summary) -> u64| figure(now).saturating_sub(figure(before));
        let whole = |number| Some(Thousandths::whole(number));
        let failed = u64::from(stop.is_some_and(|stop| stop.exit_code() == EXIT_MEND));
        let errors = since(|summary| summary.checkpoints_missed) + failed;
        let retries = since(|summary| summary.progress.retries);
        let mut values =
            vec![(Metric::ErrorCount, whole(errors)), (Metric::RetryCount, whole(retries))];
        if self.due_ms.is_some() {
            let left_ms = progress.left_ms();
            let left_bytes = progress.source_bytes.saturating_sub(progress.byte_offset);
            let elapsed_ms = progress.elapsed_ms.saturating_sub(earlier.elapsed_ms);
            let rows = since(|summary| summary.progress.rows_here);
            values.extend([
                (
                    Metric::RecordsPerSecond,
                    Thousandths::ratio(rows.saturating_mul(1_000), elapsed_ms),
                ),
                (
                    Metric::ProgressPercentage,
                    Thousandths::ratio(
                        progress.byte_offset.saturating_mul(100),
                        progress.source_bytes,
                    ),
                ),
                (Metric::RecordsProcessed, whole(progress.row)),
                (
                    Metric::RecordsRemaining,
                    rows_left(progress.row, left_bytes, progress.byte_offset),
                ),
                (
                    Metric::KafkaLatency,
                    Thousandths::ratio(
                        since(|summary| summary.progress.answers_ms),
                        since(|summary| summary.progress.answers),
                    ),
                ),
                (Metric::ETASeconds, left_ms.and_then(|ms| Thousandths::ratio(ms, 1_000))),
                (Metric::ETAMinutes, left_ms.and_then(|ms| Thousandths::ratio(ms, 60_000))),
                (Metric::CheckpointCount, whole(since(|summary| summary.checkpoints))),
                (Metric::BytesRead, whole(since(|summary| summary.bytes_read))),
                (Metric::DeadLetters, whole(since(|summary| summary.progress.dead_letters))),
                (
                    Metric::SourceLatency,
                    Thousandths::ratio(
                        since(|summary| summary.waited_source_ms),
                        since(|summary| summary.reads),
                    ),
                ),
                (
                    Metric::CompressionRatio,
                    Thousandths::ratio(
                        since(|summary| summary.progress.bytes_raw),
                        since(|summary| summary.progress.bytes_sent),
                    ),
                ),
                (
                    Metric::SecondsSinceProgress,
                    Thousandths::ratio(now_ms.saturating_sub(self.moved_ms), 1_000),
                ),
            ]);
        }
        values.into_iter().filter_map(|(metric, value)| Some((metric, value?))).collect()
    }
}

/// The rows to come being as long as those before; none once the source is at its end.
fn rows_left(row: u64, left_bytes: u64, done_bytes: u64) -> Option<Thousandths> {
    let left = u128::from(row) * u128::from(left_bytes);
    let left = left.checked_div(u128::from(done_bytes))?;
    Some(Thousandths::whole(u64::try_from(left).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[(Metric, Thousandths)]) -> String {
        let words = values.iter().map(|(metric, number)| format!("{}={number}", metric.name()));
        words.collect::<Vec<_>>().join(" ")
    }

    fn summary(row: u64, elapsed_ms: u64) -> Summary {
        Summary {
            progress: Progress {
                row,
                rows_here: row,
                dead_letters: 1,
                byte_offset: row * 10,
                source_bytes: 1_000,
                elapsed_ms,
                bytes_raw: row * 20,
                bytes_sent: row * 5,
                retries: 2,
                answers: row / 5,
                answers_ms: row,
            },
            checkpoints: row / 10,
            bytes_read: row * 12,
            reads: row,
            waited_source_ms: row / 2,
            ..Summary::default()
        }
    }

    #[test]
    fn figures_are_of_the_time_since_the_call_before() {
        let mut meter = Meter { moved_ms: 900, ..Meter::default() };
        let failed = Stop::BadSource { source: "s".into(), problem: "no".into() };
        let at = |meter: &Meter, now: Summary, stop: Option<&Stop>| {
            told(&meter.values(&now, 1_000, stop))
        };
        assert_eq!(at(&meter, summary(0, 0), Some(&failed)), "ErrorCount=1 RetryCount=2");
        meter.due_ms = Some(0);
        assert_eq!(
            at(&meter, summary(0, 0), None),
            "ErrorCount=0 RetryCount=2 ProgressPercentage=0 RecordsProcessed=0 CheckpointCount=0 BytesRead=0 DeadLetters=1 SecondsSinceProgress=0.1"
        );
        meter.before = summary(20, 1_000);
        assert_eq!(
            at(&meter, summary(50, 2_500), None),
            "ErrorCount=0 RetryCount=0 RecordsPerSecond=20 ProgressPercentage=50 RecordsProcessed=50 RecordsRemaining=50 KafkaLatency=5 ETASeconds=2.5 ETAMinutes=0.041 CheckpointCount=3 BytesRead=360 DeadLetters=0 SourceLatency=0.5 CompressionRatio=4 SecondsSinceProgress=0.1"
        );
        let complete = Stop::Complete { rows: 100 };
        let end = at(&meter, summary(100, 2_500), Some(&complete));
        assert!(end.contains("RecordsRemaining=0 ") && end.contains("ETASeconds=0 "), "{end}");
        // Each of the table's metrics can be told.
        for metric in Metric::ALL {
            assert!(end.contains(&format!("{}=", metric.name())), "{}: {end}", metric.name());
        }
    }
}
