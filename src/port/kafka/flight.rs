//! A batch on its way: written piece by piece around the caller's other work.
//!
//! ```text
//! head (ours) | the batch's own bytes | tail (three zeros or nothing)
//! ```

use std::io::IoSlice;

use crate::flow::ports::{Answer, Trouble};
use crate::port::stream::{Deadline, Moved};
use crate::wire::kafka::produce::{self, Place};
use crate::wire::record_batch::{Batch, BatchHeader};

use super::connection::{Failure, Ready};

pub(super) struct Flight {
    pub(super) batch: Batch,
    tail: &'static [u8],
    written_bytes: usize,
    version: i16,
    partition: i32,
    correlation_id: i32,
    /// What went wrong in `send`, which has no way to say it.
    broken: Option<Trouble>,
}

impl Flight {
    /// Takes off: nothing is written yet. `head` is a buffer that is used again and again.
    pub(super) fn begin(
        ready: &mut Ready,
        head: &mut Vec<u8>,
        topic: &str,
        topic_id: Option<[u8; 16]>,
        partition: i32,
        batch: Batch,
    ) -> Flight {
        let header = BatchHeader::parse(batch.as_bytes());
        // A broker appends a batch without identity unchecked: it must never leave.
        assert!(
            header.is_ok_and(|header| header.producer_id >= 0 && header.base_sequence >= 0),
            "a batch without a producer's identity"
        );
        let version = ready.versions.produce_with(topic_id);
        let correlation_id = ready.link.begin();
        let place = Place {
            client_id: ready.link.client_id(),
            topic,
            topic_id: topic_id.unwrap_or_default(),
            partition,
        };
        let bytes = batch.as_bytes().len();
        let (tail, broken) =
            match produce::encode_head(head, version, correlation_id, &place, bytes) {
                Ok(tail) => (tail, None),
                Err(problem) => {
                    let tail: &'static [u8] = &[];
                    (tail, Some(Trouble { problem, missing: None, pause_ms: 0 }))
                }
            };
        Flight { batch, tail, written_bytes: 0, version, partition, correlation_id, broken }
    }

    /// Writes what the socket takes now.
    pub(super) fn push(&mut self, ready: &mut Ready, head: &[u8]) {
        if self.broken.is_none()
            && let Err(failure) = self.write(ready, head, None)
        {
            self.broken = Some(failure.into_trouble());
        }
    }

    /// Writes on, and looks for the answer; both within the deadline, or only now.
    pub(super) fn step(
        &mut self,
        ready: &mut Ready,
        head: &[u8],
        deadline: Option<Deadline>,
    ) -> Result<Option<Answer>, Trouble> {
        if let Some(trouble) = self.broken.take() {
            return Err(trouble);
        }
        self.advance(ready, head, deadline).map_err(Failure::into_trouble)
    }

    fn advance(
        &mut self,
        ready: &mut Ready,
        head: &[u8],
        deadline: Option<Deadline>,
    ) -> Result<Option<Answer>, Failure> {
        let is_written = self.write(ready, head, deadline)?;
        if !is_written || !ready.link.look(self.correlation_id, deadline)? {
            return Ok(None);
        }
        let produced = produce::decode(ready.link.frame(), self.version, self.partition)
            .map_err(|garbled| ready.link.garbled(&garbled))?;
        Ok(Some(Answer {
            error_code: produced.error_code,
            base_offset: produced.base_offset,
            throttle_ms: produced.throttle_ms,
        }))
    }

    /// Whether all is written.
    fn write(
        &mut self,
        ready: &mut Ready,
        head: &[u8],
        deadline: Option<Deadline>,
    ) -> Result<bool, Failure> {
        let body = self.batch.as_bytes();
        let all_bytes = head.len() + body.len() + self.tail.len();
        while self.written_bytes < all_bytes {
            let parts = unwritten([head, body, self.tail], self.written_bytes);
            match ready.link.write(&parts, deadline)? {
                Moved::Bytes(count) => self.written_bytes += count,
                Moved::NothingYet => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// What is left of the parts after so many bytes.
fn unwritten(parts: [&[u8]; 3], written_bytes: usize) -> [IoSlice<'_>; 3] {
    let mut skip = written_bytes;
    parts.map(|part| {
        let left = part.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(part.len());
        IoSlice::new(left)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_three_parts() {
        let parts: [&[u8]; 3] = [b"head", b"the body", b"end"];
        let all = parts.concat();
        for written_bytes in 0..=all.len() {
            let left: Vec<u8> =
                unwritten(parts, written_bytes).iter().flat_map(|part| part.to_vec()).collect();
            assert_eq!(left, all[written_bytes..], "{written_bytes}");
        }
    }
}
