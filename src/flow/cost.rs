//! What a job costs at AWS, about: list prices of one region, and what they are applied to.
//! docs/deploy.md names where the prices are from.
//!
//! Sums are in billionths of a dollar, so that there is no rounding on the way.

/// Fargate in us-east-1, Linux on x86: a quarter of a processor (0.04048 an hour each) and half
/// a gigabyte (0.004445 an hour each). A Spot instance of that size costs a third of it.
const COMPUTE_HOUR: u64 = 12_342_500;
/// A write request unit of `DynamoDB`, on demand.
const WRITE_UNIT: u64 = 625;
/// An item has two to three kilobytes.
const WRITE_UNITS_PER_CHECKPOINT: u64 = 3;
/// Into another zone, paid on both sides: 0.01 each for a gigabyte.
const ZONE_GIGABYTE: u64 = 20_000_000;
/// Taken in by `CloudWatch` Logs.
const LOG_GIGABYTE: u64 = 500_000_000;
/// In another region than that, or at another time, it is another price.
pub const ASSUMPTIONS: &str = "list prices of us-east-1: Fargate with a quarter of a processor and 0.5 GB for as long as the runs lasted; DynamoDB on demand, 3 write units a checkpoint; every byte into another zone; the log into CloudWatch. Reading from S3 in its region costs next to nothing; Kafka itself is not counted";

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub active_ms: u64,
    pub checkpoints: u64,
    pub bytes_sent: u64,
    pub log_bytes: u64,
}

/// In billionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub compute: u64,
    pub checkpoints: u64,
    pub network: u64,
    pub log: u64,
}

impl Cost {
    pub fn of(used: &Used) -> Cost {
        Cost {
            compute: share(used.active_ms, COMPUTE_HOUR, 3_600_000),
            checkpoints: share(used.checkpoints, WRITE_UNIT * WRITE_UNITS_PER_CHECKPOINT, 1),
            network: share(used.bytes_sent, ZONE_GIGABYTE, 1_000_000_000),
            log: share(used.log_bytes, LOG_GIGABYTE, 1_000_000_000),
        }
    }

    pub fn sum(&self) -> u64 {
        [self.compute, self.checkpoints, self.network, self.log]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

fn share(number: u64, price: u64, per: u64) -> u64 {
    let sum = u128::from(number) * u128::from(price) / u128::from(per);
    u64::try_from(sum).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_ten_gigabytes() {
        let used = Used {
            active_ms: 3_600_000,
            checkpoints: 720,
            bytes_sent: 10_000_000_000,
            log_bytes: 2_000_000,
        };
        let cost = Cost::of(&used);
        let expected = Cost {
            compute: 12_342_500,
            checkpoints: 1_350_000,
            network: 200_000_000,
            log: 1_000_000,
        };
        assert_eq!((cost, cost.sum()), (expected, 214_692_500));
        assert_eq!(Cost::of(&Used { active_ms: u64::MAX, ..used }).sum(), u64::MAX);
    }
}
