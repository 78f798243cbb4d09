//! What a run will come to: an estimate from a sample, with every assumption in a field.

use super::sample::Sample;
use crate::flow::job::Job;
use crate::limits::LEASE_PARTS;

/// What a run is expected to do where nothing holds it up. A machine of two cores, broker
/// included, does more: `vendor-tests/run bench.py` measures it.
pub const ROWS_PER_SECOND: u64 = 200_000;
/// The same for wide rows, where it is the source that sets the pace: one connection to S3.
pub const SOURCE_BYTES_PER_SECOND: u64 = 40_000_000;

/// What sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// [`ROWS_PER_SECOND`].
    Rows,
    /// [`SOURCE_BYTES_PER_SECOND`].
    Bytes,
    /// `MAX_ROWS_PER_SECOND`.
    Brake,
}

/// A run from where the job stands to the end of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Of the whole source.
    pub rows: u64,
    /// All rows were counted, none is estimated.
    pub is_counted: bool,
    pub source_bytes: u64,
    pub sample_rows: u64,
    pub sample_bytes: u64,
    pub largest_record_bytes: u64,
    /// Done before.
    pub rows_done: u64,
    /// What is to come, as it will lie in the log.
    pub log_bytes: u64,
    /// The same as it is in the source.
    pub left_bytes: u64,
    pub rows_per_second: u64,
    pub pace: Pace,
    pub seconds: u64,
    /// At most; `None`: the ledger is a file.
    pub ledger_writes: Option<u64>,
}

/// Where the job stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    pub rows: u64,
    /// Rows begin at this byte, or go on at it.
    pub byte_offset: u64,
}

impl Plan {
    /// `header_bytes`: where the rows begin. `None`: not a row is there to go by.
    pub fn of(
        job: &Job,
        sample: &Sample,
        source_bytes: u64,
        header_bytes: u64,
        done: Done,
    ) -> Option<Plan> {
        if sample.is_whole && sample.rows == 0 {
            return Some(Plan::empty(source_bytes));
        }
        let all_bytes = source_bytes.saturating_sub(header_bytes);
        let left_bytes = source_bytes.saturating_sub(done.byte_offset.max(header_bytes));
        let rows_in = |bytes: u64| scale(sample.rows, bytes, sample.bytes);
        let rows = if sample.is_whole { sample.rows } else { rows_in(all_bytes)? };
        let rows_left = rows_in(left_bytes)?;
        let (rows_per_second, pace) = pace(job, sample)?;
        let seconds = rows_left.div_ceil(rows_per_second.max(1));
        Some(Plan {
            rows,
            is_counted: sample.is_whole,
            source_bytes,
            sample_rows: sample.rows,
            sample_bytes: sample.bytes,
            largest_record_bytes: sample.largest_record_bytes,
            rows_done: done.rows,
            log_bytes: scale(sample.log_bytes, left_bytes, sample.bytes)?,
            left_bytes,
            rows_per_second,
            pace,
            seconds,
            // At most one a second for rows, one for each part of a lease without, and those
            // at both ends.
            ledger_writes: Some(
                seconds.min(rows_left / job.checkpoint_interval_rows.max(1))
                    + seconds.saturating_mul(LEASE_PARTS) / job.lease_seconds.max(1)
                    + 3,
            ),
        })
    }

    fn empty(source_bytes: u64) -> Plan {
        Plan {
            rows: 0,
            is_counted: true,
            source_bytes,
            sample_rows: 0,
            sample_bytes: 0,
            largest_record_bytes: 0,
            rows_done: 0,
            log_bytes: 0,
            left_bytes: 0,
            rows_per_second: ROWS_PER_SECOND,
            pace: Pace::Rows,
            seconds: 0,
            ledger_writes: Some(3),
        }
    }
}

/// The slowest of what may set the pace.
fn pace(job: &Job, sample: &Sample) -> Option<(u64, Pace)> {
    let by_bytes = scale(sample.rows, SOURCE_BYTES_PER_SECOND, sample.bytes)?.max(1);
    let paces = [
        (job.rows_per_second_max.unwrap_or(u64::MAX), Pace::Brake),
        (by_bytes, Pace::Bytes),
        (ROWS_PER_SECOND, Pace::Rows),
    ];
    paces.into_iter().min_by_key(|(rows_per_second, _)| *rows_per_second)
}

/// `number * factor / divisor`; `None` of nothing.
fn scale(number: u64, factor: u64, divisor: u64) -> Option<u64> {
    let scaled = (u128::from(number) * u128::from(factor)).checked_div(u128::from(divisor))?;
    Some(u64::try_from(scaled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(brake: Option<u64>) -> Job {
        Job {
            checkpoint_interval_rows: 10_000,
            lease_seconds: 15,
            rows_per_second_max: brake,
            ..Job::reader("j".into(), String::new(), 1)
        }
    }

    /// 1,000 rows of so many bytes, a tenth of it in the log.
    fn sample(row_bytes: u64) -> Sample {
        Sample {
            bytes: 1_000 * row_bytes,
            rows: 1_000,
            log_bytes: 100 * row_bytes,
            ..Sample::default()
        }
    }

    #[test]
    fn the_slowest_sets_the_pace() {
        for (brake, row_bytes, expected) in [
            (None, 80, (200_000, Pace::Rows)),
            (None, 40_000, (1_000, Pace::Bytes)),
            (None, 80_000_000, (1, Pace::Bytes)),
            (Some(500), 80, (500, Pace::Brake)),
            (Some(500_000), 80, (200_000, Pace::Rows)),
        ] {
            assert_eq!(pace(&job(brake), &sample(row_bytes)), Some(expected), "{row_bytes}");
        }
    }

    #[test]
    fn a_plan_is_in_proportion() {
        let plan = Plan::of(&job(None), &sample(100), 100_000_050, 50, Done::default()).unwrap();
        assert_eq!((plan.rows, plan.log_bytes, plan.seconds), (1_000_000, 10_000_000, 5));
        // 5 of rows, 1 of the lease, 3 at the ends.
        assert_eq!(plan.ledger_writes, Some(9));
        let half = Done { rows: 500_000, byte_offset: 50_000_050 };
        let rest = Plan::of(&job(None), &sample(100), 100_000_050, 50, half).unwrap();
        assert_eq!((rest.rows, rest.rows_done), (1_000_000, 500_000));
        assert_eq!((rest.log_bytes, rest.seconds), (5_000_000, 3));
    }

    #[test]
    fn sources_that_say_little() {
        let whole = Sample { is_whole: true, ..sample(100) };
        let plan = Plan::of(&job(None), &whole, 100_010, 10, Done::default()).unwrap();
        assert_eq!((plan.rows, plan.is_counted, plan.seconds), (1_000, true, 1));
        let empty = Sample { is_whole: true, ..Sample::default() };
        let plan = Plan::of(&job(None), &empty, 10, 10, Done::default()).unwrap();
        assert_eq!((plan.rows, plan.seconds, plan.log_bytes), (0, 0, 0));
        // A first row longer than the sample.
        assert_eq!(Plan::of(&job(None), &Sample::default(), 9, 1, Done::default()), None);
    }
}
