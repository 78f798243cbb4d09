//! What a run is asked to do, and which of it may never change within a job.

use crate::settings::{Csv, Header, OnBadRow};
use crate::stop::Difference;
use crate::wire::checkpoint::{Checkpoint, LaneItem};
use crate::wire::compress::Compression;
use crate::wire::csv::Dialect;

/// Raised whenever this code changes which rows are good, or what their records are.
pub const RULES: u64 = 1;

/// A pinned list of columns longer than this is pinned by its digest.
const PINNED_TEXT_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub topic: String,
    pub partition: i32,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub job_id: String,
    /// As records name it: `s3://bucket/key`, or `file:` and an absolute path.
    pub source: String,
    pub target: Target,
    /// Only for the command that a message suggests.
    pub bootstrap: String,

    pub csv: Csv,
    pub key_column: Option<String>,
    pub on_bad_row: OnBadRow,
    pub bad_rows_max: u64,

    pub compression: Compression,
    pub batch_bytes_max: usize,
    pub checkpoint_interval_rows: u64,
    pub lease_seconds: u64,
    pub retries_max: u32,
    pub rows_per_second_max: Option<u64>,
    /// End in good order after this row (`rehearse --rows`).
    pub rows_max: Option<u64>,

    pub host: String,
    pub identity: String,
    pub version: String,
}

impl Job {
    pub fn dialect(&self) -> Dialect {
        Dialect { delimiter: self.csv.delimiter, quote: self.csv.quote }
    }

    pub fn dead_target(&self) -> Option<Target> {
        match &self.on_bad_row {
            OnBadRow::Stop => None,
            OnBadRow::SetAside { topic } => Some(Target { topic: topic.clone(), partition: 0 }),
        }
    }

    /// The settings that decide which rows are good and what their records are.
    pub fn pinned_settings(&self) -> Vec<(String, String)> {
        let byte = |byte: u8| format!("0x{byte:02x}");
        let names = serde_json::Value::from(self.csv.columns.clone()).to_string();
        let columns = match names.len() {
            _ if self.csv.columns.is_empty() => String::new(),
            0..=PINNED_TEXT_BYTES_MAX => names,
            _ => digest(names.as_bytes()),
        };
        [
            ("columns", columns),
            ("delimiter", byte(self.csv.delimiter)),
            ("header", if self.csv.header == Header::First { "first" } else { "none" }.to_owned()),
            ("key_column", self.key_column.clone().unwrap_or_default()),
            ("quote", self.csv.quote.map_or_else(|| "none".to_owned(), byte)),
            ("row_bytes_max", self.csv.row_bytes_max.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Where this run differs from what the job is pinned to. What an item does not hold (a
    /// job that was taken but not begun, the Python processor's) is not pinned yet.
    pub fn differences(&self, item: &Checkpoint) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut compare = |name: &'static str, pinned: Option<String>, now: String| {
            if let Some(pinned) = pinned.filter(|pinned| *pinned != now) {
                found.push(Difference { name, pinned, now });
            }
        };
        compare("source", item.source.clone(), self.source.clone());
        compare("KAFKA_TOPIC", item.main.topic.clone(), self.target.topic.clone());
        compare(
            "KAFKA_PARTITION",
            item.main.partition.map(|partition| partition.to_string()),
            self.target.partition.to_string(),
        );
        // `stop` may become `dlq` within a job: every row that was sent was good. Never back.
        if let Some(pinned) = &item.dlq.topic {
            let now = self.dead_target().map_or_else(|| "none".to_owned(), |target| target.topic);
            compare("KAFKA_DLQ_TOPIC", Some(pinned.clone()), now);
        }
        compare("rules", item.rules.map(|rules| rules.to_string()), RULES.to_string());
        let pinned = item.settings.as_deref().unwrap_or(&[]);
        for (name, now) in self.pinned_settings() {
            let stored = pinned.iter().find(|(stored, _)| *stored == name);
            compare(setting_name(&name), stored.map(|(_, value)| value.clone()), now);
        }
        found
    }
}

/// The variable that a pinned setting comes from.
fn setting_name(pin: &str) -> &'static str {
    match pin {
        "columns" => "CSV_COLUMNS",
        "delimiter" => "CSV_DELIMITER",
        "header" => "CSV_HEADER",
        "key_column" => "KAFKA_KEY_COLUMN",
        "quote" => "CSV_QUOTE",
        _ => "ROW_BYTES_MAX",
    }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The lane's part of an item with a target filled in.
pub fn lane_item(target: &Target) -> LaneItem {
    LaneItem {
        topic: Some(target.topic.clone()),
        partition: Some(target.partition),
        ..LaneItem::default()
    }
}
