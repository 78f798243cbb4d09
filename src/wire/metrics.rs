//! The metrics of a run: names, units, and numbers with three decimals.
//!
//! Names and units are the Python processor's, where it had them; `docs/metrics.md` repeats the
//! table, and dashboards stand on it.

use std::fmt;

/// The namespace, as the Python processor had it.
pub const NAMESPACE: &str = "CSVToKafka";
/// The one dimension.
pub const DIMENSION: &str = "JobId";
/// Characters of a dimension's value; CloudWatch takes printable ASCII alone.
pub const DIMENSION_CHARS_MAX: usize = 1_024;

/// What a number counts, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    CountPerSecond,
    Percent,
    Seconds,
    Milliseconds,
    Bytes,
    None,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::CountPerSecond => "Count/Second",
            Unit::Percent => "Percent",
            Unit::Seconds => "Seconds",
            Unit::Milliseconds => "Milliseconds",
            Unit::Bytes => "Bytes",
            Unit::None => "None",
        }
    }
}

/// How several numbers of a metric become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// How it stands now: the last one is true, so is the largest or smallest.
    Maximum,
    Average,
    /// What came since the call before: they add up.
    Sum,
}

impl Statistic {
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Maximum => "Maximum",
            Statistic::Average => "Average",
            Statistic::Sum => "Sum",
        }
    }
}

macro_rules! metrics {
    ($($name:ident, $unit:ident, $statistic:ident, $meaning:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Metric {
            $($name,)+
        }

        impl Metric {
            pub const ALL: &[Metric] = &[$(Metric::$name,)+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Metric::$name => stringify!($name),)+
                }
            }

            pub fn unit(self) -> Unit {
                match self {
                    $(Metric::$name => Unit::$unit,)+
                }
            }

            pub fn statistic(self) -> Statistic {
                match self {
                    $(Metric::$name => Statistic::$statistic,)+
                }
            }

            pub fn meaning(self) -> &'static str {
                match self {
                    $(Metric::$name => $meaning,)+
                }
            }
        }
    };
}

metrics! {
    RecordsPerSecond, CountPerSecond, Average, "Rows confirmed a second, since the call before";
    ProgressPercentage, Percent, Maximum, "Of the source's bytes";
    RecordsProcessed, Count, Maximum, "Rows of the job that are confirmed, earlier runs included";
    RecordsRemaining, Count, Maximum, "Rows still to come: an estimate by bytes";
    KafkaLatency, Milliseconds, Average, "From sending a batch to its confirmation, on average";
    ErrorCount, Count, Sum, "Checkpoints that could not be written; 1 at an end with exit code 1";
    RetryCount, Count, Sum, "Attempts that were repeated, at source, broker and ledger";
    ETASeconds, Seconds, Maximum, "Time left at the pace of this run";
    ETAMinutes, None, Maximum, "The same in minutes, for which CloudWatch has no unit";
    CheckpointCount, Count, Sum, "Checkpoints that were written";
    BytesRead, Bytes, Sum, "From the source, what was read twice too";
    DeadLetters, Count, Sum, "Bad rows that were set aside";
    SourceLatency, Milliseconds, Average, "What a read of the source takes, on average";
    CompressionRatio, None, Average, "How many times smaller the records went out";
    SecondsSinceProgress, Seconds, Maximum, "Since the last row was confirmed";
}

/// A number with three decimals, as no sum of ours needs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thousandths(u64);

impl Thousandths {
    pub fn whole(number: u64) -> Thousandths {
        Thousandths(number.saturating_mul(1_000))
    }

    /// `None`: nothing can be divided by 0.
    pub fn ratio(number: u64, divisor: u64) -> Option<Thousandths> {
        let scaled = (u128::from(number) * 1_000).checked_div(u128::from(divisor))?;
        Some(Thousandths(u64::try_from(scaled).unwrap_or(u64::MAX)))
    }
}

/// As JSON and CloudWatch write it: `12`, `0.5`, `7.125`.
impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{rest:03}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// The metrics at one moment; what can not be told yet is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures<'a> {
    pub job_id: &'a str,
    pub wall_ms: u64,
    pub values: &'a [(Metric, Thousandths)],
}

/// Whether CloudWatch takes a job by this name as the value of a dimension.
pub fn is_dimension(job_id: &str) -> bool {
    job_id.len() <= DIMENSION_CHARS_MAX
        && !job_id.starts_with(':')
        && job_id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && job_id.bytes().any(|byte| byte != b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, divisor, expected) in [
            (12, 1, Some("12")),
            (1, 2, Some("0.5")),
            (1, 3, Some("0.333")),
            (57, 8, Some("7.125")),
            (1_001, 1_000, Some("1.001")),
            (u64::MAX, 1, Some("18446744073709551.615")),
            (1, 0, None),
        ] {
            let found = Thousandths::ratio(number, divisor).map(|number| number.to_string());
            assert_eq!(found.as_deref(), expected, "{number}/{divisor}");
        }
        assert_eq!(Thousandths::whole(7).to_string(), "7");
    }

    #[test]
    fn names_of_jobs() {
        for (job_id, expected) in [
            ("csv-job-1", true),
            ("a b:c/2026", true),
            ("", false),
            ("  ", false),
            (":a", false),
            ("jöb", false),
            ("a\tb", false),
            (&"a".repeat(DIMENSION_CHARS_MAX), true),
            (&"a".repeat(DIMENSION_CHARS_MAX + 1), false),
        ] {
            assert_eq!(is_dimension(job_id), expected, "{job_id}");
        }
    }
}
