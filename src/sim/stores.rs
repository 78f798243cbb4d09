//! The model object store and the model ledger: what is true in them. The faults on the way to
//! them are the world's.

use std::sync::Arc;

use super::defects::{Defect, on};
use crate::flow::ports::Pin;
use crate::wire::checkpoint::{Checkpoint, OnlyIf, Status};

/// One object under one name; replacing it changes its etag.
#[derive(Debug, Clone)]
pub(super) struct ObjectStore {
    pub(super) bytes: Arc<[u8]>,
    pub(super) version: u32,
}

impl ObjectStore {
    pub(super) fn pin(&self) -> Pin {
        Pin {
            etag: format!("\"etag-{}\"", self.version),
            version_id: None,
            source_bytes: u64::try_from(self.bytes.len()).unwrap(),
        }
    }

    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.bytes = Arc::from(bytes);
        self.version += 1;
    }
}

/// The one item of the job, and how often it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct LedgerModel {
    pub(super) item: Option<Checkpoint>,
    pub(super) writes: u64,
}

impl LedgerModel {
    /// A write that arrives. `Err`: the condition does not hold; the item as it is.
    pub(super) fn write(
        &mut self,
        change: &Checkpoint,
        only_if: &OnlyIf,
    ) -> Result<Box<Checkpoint>, Option<Box<Checkpoint>>> {
        let names = change.main.producers.is_some() || change.dlq.producers.is_some();
        let forced = on(Defect::UnconditionalCheckpoint)
            || (on(Defect::IdentityUnconditional) && names && self.item.is_some());
        if !only_if.holds(self.item.as_ref()) && !forced {
            return Err(self.item.clone().map(Box::new));
        }
        let item = self.item.get_or_insert_with(Checkpoint::default);
        item.merge(change);
        self.writes += 1;
        Ok(Box::new(item.clone()))
    }

    /// What the Python processor does: it puts its own four or five attributes and no others.
    pub(super) fn overwrite(&mut self, last_line: u64, with_status: bool, unix_seconds: u64) {
        let job_id = self.item.as_ref().map_or_else(|| "job".into(), |item| item.job_id.clone());
        self.item = Some(Checkpoint {
            job_id,
            last_line: Some(last_line),
            total_sent: Some(last_line),
            timestamp: Some(unix_seconds),
            status: with_status.then_some(Status::InProgress),
            ..Checkpoint::default()
        });
        self.writes += 1;
    }
}
