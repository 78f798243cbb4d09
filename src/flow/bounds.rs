//! How large batches and records of a partition may be.

use super::job::Job;
use super::ports::{Guard, TopicSettings};
use crate::limits::{
    BATCH_BYTES_MAX_UNKNOWN, BATCH_BYTES_MIN, BATCH_OVERHEAD_BYTES, COMPAT_BATCH_BYTES_MAX,
};
use crate::stop::{Peer, Stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub batch_bytes_max: usize,
    /// Key and value of one record together.
    pub record_bytes_max: usize,
}

impl Bounds {
    /// `pinned`: what a record may have, as it was when the job began. It decides which rows
    /// are good, so the topic's limit of today does not touch it.
    pub fn of(
        job: &Job,
        topic: &str,
        settings: &TopicSettings,
        pinned: Option<u64>,
        guard: Guard,
    ) -> Result<Bounds, Stop> {
        let topic_bytes_max = settings
            .max_message_bytes
            .map_or(BATCH_BYTES_MAX_UNKNOWN, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let client_bytes_max = match guard {
            Guard::Sequence => job.batch_bytes_max,
            Guard::TailOnly => job.batch_bytes_max.min(COMPAT_BATCH_BYTES_MAX),
        };
        let batch_bytes_max = topic_bytes_max.min(client_bytes_max);
        if batch_bytes_max < BATCH_BYTES_MIN {
            return Err(Stop::refused(
                Peer::Broker,
                format!("topic {topic} takes only {topic_bytes_max} bytes a batch"),
                format!("Set its max.message.bytes to {BATCH_BYTES_MIN} or more"),
            ));
        }
        let record_bytes_max = pinned
            .and_then(|pinned| usize::try_from(pinned).ok())
            .unwrap_or(batch_bytes_max - BATCH_OVERHEAD_BYTES);
        let batch_bytes_max = batch_bytes_max.max(record_bytes_max + BATCH_OVERHEAD_BYTES);
        Ok(Bounds { batch_bytes_max, record_bytes_max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the topic takes, what the job asks for, what is pinned; and what comes of it.
    #[test]
    fn the_smallest_limit_counts_and_a_pinned_record_fits() {
        let (mi_b, spare) = (1 << 20, BATCH_OVERHEAD_BYTES);
        for (topic_max, job_max, pinned, guard, expected) in [
            (Some(2_000_000), mi_b, None, Guard::Sequence, Ok((mi_b, mi_b - spare))),
            (Some(10_000), mi_b, None, Guard::Sequence, Ok((10_000, 10_000 - spare))),
            (None, mi_b, None, Guard::Sequence, Ok((1_000_000, 1_000_000 - spare))),
            (None, 5_000, None, Guard::Sequence, Ok((5_000, 5_000 - spare))),
            (None, mi_b, None, Guard::TailOnly, Ok((262_144, 262_144 - spare))),
            (Some(10_000), mi_b, Some(20_000), Guard::Sequence, Ok((20_000 + spare, 20_000))),
            (Some(10_000), mi_b, Some(3_000), Guard::Sequence, Ok((10_000, 3_000))),
            (Some(4_096), mi_b, None, Guard::Sequence, Ok((4_096, 4_096 - spare))),
            (Some(4_095), mi_b, None, Guard::Sequence, Err(())),
        ] {
            let settings = TopicSettings { max_message_bytes: topic_max, ..Default::default() };
            let mut job = Job::reader("j".into(), String::new(), 0);
            job.batch_bytes_max = job_max;
            let found = Bounds::of(&job, "t", &settings, pinned, guard);
            let found = found.map(|found| (found.batch_bytes_max, found.record_bytes_max));
            assert_eq!(found.map_err(drop), expected, "{topic_max:?} {job_max} {pinned:?}");
        }
    }
}
