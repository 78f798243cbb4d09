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
