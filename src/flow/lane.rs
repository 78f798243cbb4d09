//! A lane: a batch being filled and a batch in flight, for one partition.
//!
//! ```text
//!  add ─> writer (slice by slice) ─launch─> flight ─poll─> landed
//!           ^                                  │
//!           └────────── spare buffer ──────────┘
//! ```

use super::flight::{End, Flight, Landed};
use super::run::Run;
use super::tail::Place;
use crate::limits::{BATCH_RECORDS_MAX, FIRST_BATCH_RECORDS_MAX};
use crate::stop::{Peer, Stop};
use crate::wire::batch_writer::{Added, BatchWriter};
use crate::wire::record_batch::Batch;
use crate::wire::sequence;

pub struct Lane {
    pub place: Place,
    writer: BatchWriter,
    spare: Option<Batch>,
    flight: Option<Flight>,
    /// The ordinal of the last record that was counted: landed, in flight, or being filled.
    ordinal: u64,
    /// The brake's part of a batch.
    records_max: u32,
    full: bool,
    /// The broker asked for a pause until then.
    pub not_before_ms: u64,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is in the batch that is being filled.
    Taken,
    /// The partition holds it already; nothing is sent.
    Landed,
    /// Not taken: the slice is compressed now. Offer it again.
    Sliced,
    /// Not taken: the batch has to be launched first. Offer it again.
    Full,
    /// Not taken: no batch of this topic takes so many bytes.
    TooLarge { bytes: usize },
}

impl Lane {
    /// `ordinal`: of the last record that the checkpoint covers.
    pub fn new(place: Place, mut writer: BatchWriter, buffers: [Batch; 2], ordinal: u64) -> Lane {
        let [filling, spare] = buffers;
        writer.restart(filling);
        writer.limit_records(FIRST_BATCH_RECORDS_MAX);
        let mut lane = Lane {
            place,
            writer,
            spare: Some(spare),
            flight: None,
            ordinal,
            records_max: BATCH_RECORDS_MAX,
            full: false,
            not_before_ms: 0,
        };
        lane.bound_batch();
        lane
    }

    /// No batch holds more than this many records.
    pub fn set_records_max(&mut self, records_max: u32) {
        self.records_max = records_max.clamp(1, BATCH_RECORDS_MAX);
        self.bound_batch();
    }

    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    pub fn has_rows(&self) -> bool {
        !self.writer.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.full
    }

    pub fn is_idle(&self) -> bool {
        self.flight.is_none()
    }

    /// All records that were counted are in the partition.
    pub fn is_settled(&self) -> bool {
        self.is_idle() && !self.has_rows() && self.ordinal >= self.place.landed
    }

    /// Counts the next record, and takes it unless the partition holds it already.
    /// `bytes_bound`: key and value have no more bytes than this.
    pub fn offer(
        &mut self,
        bytes_bound: usize,
        key: Option<&[u8]>,
        value: impl Fn(&mut Vec<u8>),
    ) -> Offered {
        if self.ordinal < self.place.landed {
            // A record that is too large is a bad row also when it is only counted.
            if bytes_bound > self.writer.record_bytes_max()
                && let Some(bytes) = self.writer.too_large(key, &value)
            {
                return Offered::TooLarge { bytes };
            }
            self.ordinal += 1;
            if self.ordinal == self.place.landed {
                self.bound_batch();
            }
            return Offered::Landed;
        }
        match self.writer.add(key, value) {
            Added::Yes => {
                self.ordinal += 1;
                Offered::Taken
            }
            Added::SliceFull => {
                self.writer.compress_slice();
                Offered::Sliced
            }
            Added::BatchFull => {
                self.full = true;
                Offered::Full
            }
            Added::TooLarge { bytes } => Offered::TooLarge { bytes },
        }
    }

    /// Sends what was filled. `end` is what is settled once it has landed.
    pub fn launch(&mut self, run: &mut Run<'_, '_>, end: Option<End>) -> Result<(), Stop> {
        assert!(self.is_idle(), "one batch in flight, never two");
        let batch = self.writer.finish();
        let Some(spare) = self.spare.take() else {
            unreachable!("an idle lane has its second buffer")
        };
        let last = self.ordinal;
        let first = last + 1 - u64::from(batch.record_count());
        assert_eq!(first, self.place.landed + 1, "a batch begins where the partition ends");
        self.writer.restart(spare);
        self.full = false;
        self.bound_batch();
        let mut flight = Flight::new(first, last, end);
        run.wait_for(Peer::Broker, |run| flight.launch(run, &mut self.place, batch))?;
        self.flight = Some(flight);
        Ok(())
    }

    /// Looks for the answer, for at most `wait_ms`.
    pub fn poll(&mut self, run: &mut Run<'_, '_>, wait_ms: u64) -> Result<Option<Landed>, Stop> {
        let Some(flight) = &mut self.flight else { return Ok(None) };
        let Some((landed, buffer)) = flight.poll(run, &mut self.place, wait_ms)? else {
            return Ok(None);
        };
        self.flight = None;
        self.spare = Some(buffer);
        self.not_before_ms = run.now().monotonic_ms.saturating_add(landed.throttle_ms);
        Ok(Some(landed))
    }

    /// One look at the answer, and nothing else: the run is ending.
    pub fn confirm_once(&mut self, run: &mut Run<'_, '_>, wait_ms: u64) -> Option<Landed> {
        let mut flight = self.flight.take()?;
        run.wait_for(Peer::Broker, |run| flight.confirm_once(run, &mut self.place, wait_ms))
    }

    pub fn record_bytes_max(&self) -> usize {
        self.writer.record_bytes_max()
    }

    /// Cuts the batch before the sequence wraps, and where the brake says.
    fn bound_batch(&mut self) {
        let Some(producer) = self.place.producers.last() else { return };
        // What the partition holds already may lie before this identity's first record.
        let next = self.ordinal.max(self.place.landed) + 1;
        let wrap = sequence::records_until_wrap(next, producer.base_record);
        let wrap = if defect!(StraddledWrap) { u32::MAX } else { wrap };
        self.writer.limit_records(self.records_max.min(wrap));
    }
}
