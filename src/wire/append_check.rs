//! What a partition's leader remembers of its producers, and what it answers to a batch.
//!
//! The rules of Kafka 3.9 and 4.1 for producers without transactions, as measured on both:
//!
//! ```text
//! no producer id (-1)                             appended, unchecked
//! negative sequence with an id; delta not count   87
//! epoch below the known one                       47
//! epoch above it                                  appended if it begins at 0, else 45
//! one of the last five, same epoch, first, last   0 at the original offset, not appended
//! unknown id                                      appended, whatever its epoch and sequence
//! next sequence, or 0 after 2^31 - 1              appended
//! anything else                                   45
//! ```
//!
//! The embedded log and the simulation's leader share it.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::record_batch::BatchHeader;

/// Batches of one producer whose replay is recognised.
const WINDOW_BATCHES: usize = 5;

pub const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
pub const INVALID_PRODUCER_EPOCH: i16 = 47;
pub const INVALID_RECORD: i16 = 87;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Append,
    /// It is there already; nothing is appended.
    Duplicate {
        base_offset: i64,
    },
    Refuse {
        error_code: i16,
    },
}

/// The producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<i64, Producer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// The oldest first; never empty.
    batches: VecDeque<Appended>,
    last_timestamp_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Appended {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

impl ProducerStates {
    pub fn check(&self, header: &BatchHeader) -> Verdict {
        let is_count_right =
            i64::from(header.last_offset_delta) + 1 == i64::from(header.record_count);
        let is_numbered = header.producer_id >= 0;
        if !is_count_right || (is_numbered && header.base_sequence < 0) {
            return Verdict::Refuse { error_code: INVALID_RECORD };
        }
        let Some(known) = self.producers.get(&header.producer_id).filter(|_| is_numbered) else {
            return Verdict::Append;
        };
        if header.producer_epoch < known.epoch {
            return Verdict::Refuse { error_code: INVALID_PRODUCER_EPOCH };
        }
        let is_next = if header.producer_epoch > known.epoch {
            header.base_sequence == 0
        } else if let Some(original) = known.find(header) {
            return Verdict::Duplicate { base_offset: original.base_offset };
        } else {
            known.next_sequence() == header.base_sequence
        };
        if is_next {
            Verdict::Append
        } else {
            Verdict::Refuse { error_code: OUT_OF_ORDER_SEQUENCE_NUMBER }
        }
    }

    /// Remembers a batch that was appended at `base_offset`.
    pub fn appended(&mut self, header: &BatchHeader, base_offset: i64) {
        if header.producer_id < 0 {
            return;
        }
        let batch = Appended {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
        };
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::with_capacity(WINDOW_BATCHES),
            last_timestamp_ms: header.max_timestamp_ms,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == WINDOW_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(batch);
        producer.last_timestamp_ms = header.max_timestamp_ms;
    }

    /// What a restart or a new leader leaves: the last batch of each producer.
    pub fn forget_to_one(&mut self) {
        for producer in self.producers.values_mut() {
            let older = producer.batches.len().saturating_sub(1);
            producer.batches.drain(..older);
        }
    }

    /// Forgets who has not written for so long, by the time stamps of the records.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            now_ms.saturating_sub(producer.last_timestamp_ms) < expiration_ms
        });
    }

    /// What a topic knows that was made again.
    pub fn clear(&mut self) {
        self.producers.clear();
    }
}

impl Producer {
    fn find(&self, header: &BatchHeader) -> Option<&Appended> {
        self.batches.iter().find(|batch| {
            batch.first_sequence == header.base_sequence
                && batch.last_sequence == header.last_sequence()
        })
    }

    fn next_sequence(&self) -> i32 {
        match self.batches.back() {
            Some(batch) if batch.last_sequence < i32::MAX => batch.last_sequence + 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPEND: Verdict = Verdict::Append;
    const GAP: Verdict = Verdict::Refuse { error_code: 45 };
    const OLD_EPOCH: Verdict = Verdict::Refuse { error_code: 47 };
    const INVALID: Verdict = Verdict::Refuse { error_code: 87 };

    fn at(base_offset: i64) -> Verdict {
        Verdict::Duplicate { base_offset }
    }

    fn batch(producer_id: i64, epoch: i16, base_sequence: i32, count: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_bytes: 100,
            attributes: 0,
            last_offset_delta: count - 1,
            max_timestamp_ms: 1_000,
            producer_id,
            producer_epoch: epoch,
            base_sequence,
            record_count: count,
        }
    }

    /// A partition whose offsets are given by what was appended.
    #[derive(Default)]
    struct Leader {
        states: ProducerStates,
        log_end: i64,
    }

    impl Leader {
        fn append(&mut self, header: &BatchHeader) -> Verdict {
            let verdict = self.states.check(header);
            if verdict == APPEND {
                self.states.appended(header, self.log_end);
                self.log_end += i64::from(header.record_count);
            }
            verdict
        }

        /// Producer 7, epoch 0, `batches` times ten records from 0 on.
        fn with_tens(batches: i32) -> Leader {
            let mut leader = Leader::default();
            for index in 0..batches {
                assert_eq!(leader.append(&batch(7, 0, index * 10, 10)), APPEND);
            }
            leader
        }
    }

    #[test]
    fn one_batch_after_seven_tens() {
        for (name, header, verdict) in [
            ("the next", batch(7, 0, 70, 10), APPEND),
            ("the next, of another size", batch(7, 0, 70, 1), APPEND),
            ("the last again", batch(7, 0, 60, 10), at(60)),
            ("the fifth-last again", batch(7, 0, 20, 10), at(20)),
            ("the sixth-last again", batch(7, 0, 10, 10), GAP),
            ("the first again", batch(7, 0, 0, 10), GAP),
            ("a gap", batch(7, 0, 71, 10), GAP),
            ("an overlap", batch(7, 0, 69, 10), GAP),
            ("the front of the last", batch(7, 0, 60, 9), GAP),
            ("the rear of the last", batch(7, 0, 61, 9), GAP),
            ("the last and more", batch(7, 0, 60, 11), GAP),
            ("two batches joined", batch(7, 0, 50, 20), GAP),
            ("from 0 with another size", batch(7, 0, 0, 5), GAP),
            ("a higher epoch in mid-sequence", batch(7, 1, 70, 10), GAP),
            ("a higher epoch from 0", batch(7, 1, 0, 10), APPEND),
            ("another id from 0", batch(8, 0, 0, 10), APPEND),
            ("another id in mid-sequence", batch(8, 0, 1_000, 10), APPEND),
            ("another id with an epoch", batch(8, 3, 5, 10), APPEND),
            ("no id", batch(-1, -1, -1, 10), APPEND),
            ("sequence -1 with an id", batch(7, 0, -1, 10), INVALID),
            ("sequence -5 with an id", batch(8, 0, -5, 10), INVALID),
            (
                "a delta that is not the count",
                BatchHeader { last_offset_delta: 8, ..batch(7, 0, 70, 10) },
                INVALID,
            ),
            (
                "the same without an id",
                BatchHeader { last_offset_delta: 8, ..batch(-1, -1, -1, 10) },
                INVALID,
            ),
            ("no records", BatchHeader { record_count: 0, ..batch(7, 0, 70, 1) }, INVALID),
        ] {
            assert_eq!(Leader::with_tens(7).append(&header), verdict, "{name}");
        }
    }

    /// Steps on one leader: producer id, epoch, base sequence, count, what is answered.
    type Step = (i64, i16, i32, i32, Verdict);

    #[test]
    fn sequences_of_batches() {
        const MAX: i32 = i32::MAX;
        let cases: &[(&str, &[Step])] = &[
            (
                "an epoch locks the lower one out",
                &[
                    (7, 0, 0, 10, APPEND),
                    (7, 1, 0, 10, APPEND),
                    (7, 0, 10, 10, OLD_EPOCH),
                    (7, 0, 0, 10, OLD_EPOCH),
                    (7, 1, 0, 10, at(10)),
                    (7, 1, 10, 10, APPEND),
                ],
            ),
            (
                "the first append brings the guard back",
                &[(7, 0, 1_000, 10, APPEND), (7, 0, 0, 10, GAP), (7, 0, 1_010, 1, APPEND)],
            ),
            (
                "after a refusal the next goes on",
                &[(7, 0, 0, 10, APPEND), (7, 0, 20, 10, GAP), (7, 0, 10, 10, APPEND)],
            ),
            (
                "the wrap between two batches",
                &[
                    (7, 0, MAX - 4, 5, APPEND),
                    (7, 0, 1, 9, GAP),
                    (7, 0, 0, 10, APPEND),
                    (7, 0, MAX - 4, 5, at(0)),
                    (7, 0, 10, 10, APPEND),
                ],
            ),
            (
                "0 before the last sequence is used",
                &[(7, 0, MAX - 5, 5, APPEND), (7, 0, 0, 1, GAP), (7, 0, MAX, 1, APPEND)],
            ),
            (
                "a batch across the wrap",
                &[
                    (7, 0, MAX - 4, 10, APPEND),
                    (7, 0, MAX - 4, 10, at(0)),
                    (7, 0, 0, 5, GAP),
                    (7, 0, 5, 10, APPEND),
                ],
            ),
            (
                "without an id nothing is checked",
                &[(-1, -1, -1, 10, APPEND), (-1, -1, -1, 10, APPEND), (7, 0, 0, 1, APPEND)],
            ),
            (
                "two producers take turns",
                &[
                    (7, 0, 0, 10, APPEND),
                    (8, 0, 0, 10, APPEND),
                    (7, 0, 10, 10, APPEND),
                    (8, 0, 0, 10, at(10)),
                    (7, 0, 0, 10, at(0)),
                ],
            ),
        ];
        for (name, steps) in cases {
            let mut leader = Leader::default();
            for (index, &(id, epoch, sequence, count, verdict)) in steps.iter().enumerate() {
                let header = batch(id, epoch, sequence, count);
                assert_eq!(leader.append(&header), verdict, "{name}, step {index}");
            }
        }
    }

    #[test]
    fn a_restart_leaves_a_window_of_one() {
        let mut leader = Leader::with_tens(5);
        leader.states.forget_to_one();
        assert_eq!(leader.append(&batch(7, 0, 40, 10)), at(40));
        assert_eq!(leader.append(&batch(7, 0, 30, 10)), GAP);
        assert_eq!(leader.append(&batch(7, 0, 50, 10)), APPEND);
        assert_eq!(leader.append(&batch(7, 0, 40, 10)), at(40), "the window fills again");
    }

    #[test]
    fn expiry_goes_by_record_time() {
        let mut leader = Leader::with_tens(1);
        leader.states.expire(5_999, 5_000);
        assert_eq!(leader.append(&batch(7, 0, 0, 10)), at(0), "one millisecond before");
        leader.states.expire(6_000, 5_000);
        assert_eq!(leader.append(&batch(7, 0, 0, 10)), APPEND, "a replay is appended again");
        leader.states.clear();
        assert_eq!(leader.append(&batch(7, 0, 40, 10)), APPEND, "without state no guard");
    }
}
