//! Deliberate defects: each is switched on by a test, and the simulation has to find it.

use std::cell::Cell;

/// What can be broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Progress is written down before the broker has confirmed it.
    RecordBeforeConfirm,
    /// A resume trusts the checkpoint and does not read the partition.
    SkipTail,
    /// The end of a batch is taken from its record count.
    TrustRecordCount,
    /// The tail ends where Fetch says that it ends.
    TrustFetchWatermark,
    /// A refused sequence is answered by a higher epoch.
    BumpEpoch,
    /// A refused sequence is answered by a new producer id.
    RenewOnOutOfOrder,
    /// The ledger takes every write.
    UnconditionalCheckpoint,
    /// Records go out before the identity is stored.
    IdentityNotFirst,
    /// The identity is stored whether or not one is stored already.
    IdentityUnconditional,
    /// A resume goes on from what it read before it took the job.
    GoOnFromRead,
    /// Batch boundaries depend on the clock.
    TimedBatches,
    /// A batch runs over the end of the sequence numbers.
    StraddledWrap,
    /// The tail is read from the last confirmed offset, not from after it.
    OffsetOffByOne,
    /// A resume sends the last confirmed row again.
    ResumeAtLastLine,
    /// A batch that is sent again is cut again.
    RetryDifferently,
    /// A base offset below the last confirmed one counts as a duplicate.
    OldOffsetIsDuplicate,
    /// After a long silence the next send goes out at once.
    NoReadAfterSilence,
    /// The same before the first send of a run.
    NoReadBeforeFirstSend,
    /// The log end is what `ListOffsets` says.
    TrustListOffsets,
    /// `COMPLETED` is written for adopted rows that one replica holds.
    CompleteOnOneReplica,
    /// A setting that decides which rows are good is not pinned.
    UnpinnedSetting,
}

thread_local! {
    static DEFECT: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Whether this defect is switched on, in this thread.
pub(crate) fn on(defect: Defect) -> bool {
    current() == Some(defect)
}

pub(super) fn current() -> Option<Defect> {
    DEFECT.with(Cell::get)
}

pub(super) fn switch(defect: Option<Defect>) {
    DEFECT.with(|cell| cell.set(defect));
}

#[cfg(test)]
mod tests {
    use super::super::crash_matrix::boundaries;
    use super::super::random_worlds::{run, search};
    use super::super::seeds::Kind;
    use super::*;

    /// Worlds that may pass before one has to fail.
    const WORLDS_MAX: u64 = 6_000;

    /// The defect, and the kind of world that provokes it.
    #[rustfmt::skip]
    const DEFECTS: [(Defect, Option<Kind>); 20] = [
        (Defect::RecordBeforeConfirm, None),
        (Defect::SkipTail, None),
        (Defect::TrustRecordCount, None),
        (Defect::TrustFetchWatermark, Some(Kind::Lonely)),
        (Defect::BumpEpoch, Some(Kind::Late)),
        (Defect::RenewOnOutOfOrder, Some(Kind::Late)),
        (Defect::UnconditionalCheckpoint, None),
        (Defect::IdentityNotFirst, None),
        (Defect::IdentityUnconditional, None),
        (Defect::StraddledWrap, Some(Kind::Wraps)),
        (Defect::GoOnFromRead, Some(Kind::Rivals)),
        (Defect::OffsetOffByOne, None),
        (Defect::ResumeAtLastLine, None),
        (Defect::RetryDifferently, None),
        (Defect::OldOffsetIsDuplicate, Some(Kind::Remade)),
        (Defect::NoReadAfterSilence, Some(Kind::Sleeps)),
        (Defect::NoReadBeforeFirstSend, Some(Kind::Sleeps)),
        (Defect::TrustListOffsets, Some(Kind::Lonely)),
        (Defect::CompleteOnOneReplica, Some(Kind::Thin)),
        (Defect::UnpinnedSetting, Some(Kind::Strange)),
    ];

    #[test]
    fn each_defect_is_found() {
        let mut hidden = Vec::new();
        for (defect, focus) in DEFECTS {
            switch(Some(defect));
            let found = search(1, WORLDS_MAX, focus);
            switch(None);
            match found {
                None => hidden.push(defect),
                Some(failure) => {
                    eprintln!("{defect:?}: world {}: {:.100}", failure.seed, failure.text);
                    let sound = run(failure.seed, false, focus).failure;
                    assert_eq!(sound, None, "{defect:?}: world {} fails without it", failure.seed);
                }
            }
        }
        assert!(hidden.is_empty(), "not found: {hidden:?}");
    }

    #[test]
    fn batches_follow_from_the_source() {
        let calm = boundaries(1);
        assert!((2..8).all(|seed| boundaries(seed) == calm));
        switch(Some(Defect::TimedBatches));
        let timed = (2..8).any(|seed| boundaries(seed) != calm);
        switch(None);
        assert!(timed, "batches that depend on time are not found");
    }
}
