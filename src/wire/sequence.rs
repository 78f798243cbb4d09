//! From a record's number within the job to its sequence number, and back.
//!
//! ```text
//! ordinal     base + 1   base + 2   …   base + 2^31   base + 2^31 + 1   …
//! sequence           0          1   …    2^31 - 1                   0   …
//! ```
//!
//! `base_record` is the ordinal that the job had reached when its producer identity was made.
//! Kafka counts sequences modulo 2^31, so the way back needs an ordinal that is known to be
//! reached; a tail is always far shorter than 2^31 records.

/// How many sequences there are.
const SEQUENCES: u64 = 1 << 31;

/// The sequence of record number `ordinal`.
pub fn sequence_of(ordinal: u64, base_record: u64) -> i32 {
    assert!(ordinal > base_record, "a record's ordinal is above the base of its identity");
    let sequence = (ordinal - 1 - base_record) % SEQUENCES;
    i32::try_from(sequence).unwrap_or_else(|_| unreachable!("a remainder of 2^31 fits"))
}

/// The smallest ordinal at or above `known_ordinal` that has this sequence.
pub fn ordinal_at_or_after(known_ordinal: u64, base_record: u64, sequence: i32) -> u64 {
    let from = known_ordinal.max(base_record + 1);
    let from_sequence = u64::from(sequence_of(from, base_record).unsigned_abs());
    assert!(sequence >= 0, "a sequence is not negative");
    let ahead = (u64::from(sequence.unsigned_abs()) + SEQUENCES - from_sequence) % SEQUENCES;
    from + ahead
}

/// The ordinal with this sequence that is nearest to one that is known: a tail may begin a
/// little before it.
pub fn ordinal_near(known_ordinal: u64, base_record: u64, sequence: i32) -> u64 {
    let above = ordinal_at_or_after(known_ordinal, base_record, sequence);
    let below = above.saturating_sub(SEQUENCES);
    if below > base_record && known_ordinal - below < above - known_ordinal { below } else { above }
}

/// How many records a batch that begins with `ordinal` may hold before the sequence goes back
/// to 0: no batch straddles the wrap.
pub fn records_until_wrap(ordinal: u64, base_record: u64) -> u32 {
    (1 << 31) - sequence_of(ordinal, base_record).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WRAP: u64 = 1 << 31;

    #[test]
    fn the_nearest_ordinal_may_lie_before_the_known_one() {
        for (known, base_record, sequence, ordinal) in [
            (101, 0, 100, 101),
            (101, 0, 99, 100),
            (101, 0, 0, 1),
            (101, 0, 101, 102),
            (1, 0, i32::MAX, WRAP),
            (WRAP + 1, 0, i32::MAX, WRAP),
            (WRAP + 1, 0, 0, WRAP + 1),
            (WRAP, 0, 0, WRAP + 1),
            (51, 50, 0, 51),
            (WRAP + 100, 0, 50, WRAP + 51),
            // Four above it, and nearly a whole round below.
            (3 * (WRAP / 2), 0, (1 << 30) + 3, 3 * (WRAP / 2) + 4),
            // As far from the one as from the other.
            (WRAP / 2 + 1, 0, 0, WRAP + 1),
        ] {
            assert_eq!(ordinal_near(known, base_record, sequence), ordinal, "{known} {sequence}");
        }
    }

    #[test]
    fn sequences_at_the_edges() {
        for (ordinal, base_record, sequence, until_wrap) in [
            (1, 0, 0, 1 << 31),
            (2, 0, 1, (1 << 31) - 1),
            (WRAP - 1, 0, i32::MAX - 1, 2),
            (WRAP, 0, i32::MAX, 1),
            (WRAP + 1, 0, 0, 1 << 31),
            (2 * WRAP, 0, i32::MAX, 1),
            (101, 100, 0, 1 << 31),
            (100 + WRAP, 100, i32::MAX, 1),
            (u64::MAX, u64::MAX - 1, 0, 1 << 31),
        ] {
            assert_eq!(sequence_of(ordinal, base_record), sequence, "{ordinal} of {base_record}");
            assert_eq!(
                records_until_wrap(ordinal, base_record),
                until_wrap,
                "{ordinal} of {base_record}"
            );
        }
    }

    #[test]
    fn ordinals_at_the_edges() {
        for (known, base_record, sequence, ordinal) in [
            (0, 0, 0, 1),
            (0, 0, 9, 10),
            (1, 0, 0, 1),
            (2, 0, 0, WRAP + 1),
            (10, 0, 9, 10),
            (WRAP, 0, i32::MAX, WRAP),
            (WRAP, 0, 0, WRAP + 1),
            (WRAP + 1, 0, i32::MAX, 2 * WRAP),
            (100, 100, 0, 101),
            (7, 100, 3, 104),
        ] {
            assert_eq!(
                ordinal_at_or_after(known, base_record, sequence),
                ordinal,
                "{sequence} from {known} of {base_record}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "above the base")]
    fn no_sequence_at_the_base() {
        sequence_of(100, 100);
    }

    proptest! {
        #[test]
        fn there_and_back(base in 0..u64::MAX / 4, sent in 1..u64::MAX / 4, ahead in 0..WRAP) {
            let known = base + sent;
            let ordinal = known + ahead;
            prop_assert_eq!(ordinal_at_or_after(known, base, sequence_of(ordinal, base)), ordinal);
        }
    }
}
