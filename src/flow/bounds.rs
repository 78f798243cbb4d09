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
