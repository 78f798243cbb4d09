//! What a run is asked to do, and which of it may never change within a job.

use super::ports::Pin;
use crate::limits::{ROW_BYTES_CEILING, ROW_BYTES_MAX};
use crate::settings::{Csv, Header, OnBadRow};
use crate::stop::{Difference, Stop};
use crate::wire::checkpoint::{Checkpoint, LaneItem, Status};
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
    /// The version of the object that was asked for; `None`: the latest.
    pub source_version: Option<String>,
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
    /// There is another source now in the place of the pinned one.
    pub(super) fn source_replaced(&self, pin: &Pin, now: String) -> Stop {
        Stop::SourceReplaced {
            source: self.source.clone(),
            pinned: pin.etag.clone(),
            now,
            version_id: pin.version_id.clone().filter(|_| self.source_version.is_none()),
        }
    }

    pub fn dialect(&self) -> Dialect {
        Dialect { delimiter: self.csv.delimiter, quote: self.csv.quote }
    }

    pub fn dead_target(&self) -> Option<Target> {
        match &self.on_bad_row {
            OnBadRow::Stop => None,
            OnBadRow::SetAside { topic } => Some(Target { topic: topic.clone(), partition: 0 }),
        }
    }

    /// For what reads about a job: what is copied from where is in its item, see
    /// [`Job::of_item`].
    pub fn reader(job_id: String, bootstrap: String, retries_max: u32) -> Job {
        Job {
            job_id,
            source: String::new(),
            source_version: None,
            target: Target { topic: String::new(), partition: 0 },
            bootstrap,
            csv: Csv {
                delimiter: b',',
                delimiter_given: true,
                quote: Some(b'"'),
                header: Header::First,
                columns: Vec::new(),
                row_bytes_max: ROW_BYTES_MAX,
            },
            key_column: None,
            on_bad_row: OnBadRow::Stop,
            bad_rows_max: u64::MAX,
            compression: Compression::None,
            batch_bytes_max: 0,
            checkpoint_interval_rows: u64::MAX,
            lease_seconds: 0,
            retries_max,
            rows_per_second_max: None,
            rows_max: None,
            host: String::new(),
            identity: String::new(),
            version: String::new(),
        }
    }

    /// The job as its item pins it, the reverse of [`Job::pinned_settings`]. `columns` are the
    /// names of `CSV_COLUMNS`, which are needed only where the item has but their digest.
    pub fn of_item(self, item: &Checkpoint, columns: Vec<String>) -> Result<Job, Stop> {
        // One that was taken and has sent nothing pins nothing: it has lost nothing either.
        complete(item)?;
        let lost = |missing| Stop::Overwritten { job_id: item.job_id.clone(), missing };
        if let Some(rules) = item.rules.filter(|rules| *rules != RULES) {
            let version = item.version.clone().unwrap_or_default();
            return Err(Stop::OtherRules { job_id: item.job_id.clone(), rules, version });
        }
        let pin = |name: &str| pinned(item, name);
        let dialect = pinned_dialect(item)?;
        let key_column = pin("key_column")?;
        let bytes_max = pin("row_bytes_max")?.parse::<usize>().ok();
        let pinned_columns = pin("columns")?;
        let columns = match pinned_columns {
            "" => Vec::new(),
            text if text.starts_with('[') => {
                serde_json::from_str(text).map_err(|_| lost("settings"))?
            }
            _ => columns,
        };
        let job = Job {
            source: item.source.clone().ok_or_else(|| lost("source"))?,
            target: Target {
                topic: item.main.topic.clone().ok_or_else(|| lost("topic"))?,
                partition: item.main.partition.ok_or_else(|| lost("partition"))?,
            },
            csv: Csv {
                delimiter: dialect.delimiter,
                delimiter_given: true,
                quote: dialect.quote,
                header: pinned_header(item)?,
                columns,
                row_bytes_max: bytes_max
                    .filter(|bytes_max| (1..=ROW_BYTES_CEILING).contains(bytes_max))
                    .ok_or_else(|| lost("settings"))?,
            },
            key_column: Some(key_column.to_owned()).filter(|name| !name.is_empty()),
            on_bad_row: match &item.dlq.topic {
                Some(topic) => OnBadRow::SetAside { topic: topic.clone() },
                None => OnBadRow::Stop,
            },
            ..self
        };
        let differences = job.differences(item);
        if differences.is_empty() {
            Ok(job)
        } else {
            Err(Stop::PinsDiffer { job_id: job.job_id, differences })
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
                found.push(Difference { name, pinned: in_words(&pinned), now: in_words(&now) });
            }
        };
        compare("source", item.source.clone(), self.source.clone());
        // Asked for by its version, the object has to be the one that the job was begun with.
        if let Some(now) = self.source_version.clone().filter(|_| item.etag.is_some()) {
            compare("S3_VERSION_ID", Some(version_of(item).to_owned()), now);
        }
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

/// S3 calls `null` what is from before the bucket kept versions.
fn version_of(item: &Checkpoint) -> &str {
    item.version_id.as_deref().unwrap_or("null")
}

/// Whether all of it was sent, which is what can be proved.
pub fn complete(item: &Checkpoint) -> Result<(), Stop> {
    if item.status == Some(Status::Completed) {
        return Ok(());
    }
    let status = item.status.map_or("unknown", Status::name);
    Err(Stop::NotYetComplete { job_id: item.job_id.clone(), status })
}

fn pinned<'a>(item: &'a Checkpoint, name: &str) -> Result<&'a str, Stop> {
    let settings = item.settings.as_deref().unwrap_or(&[]);
    let found = settings.iter().find(|(stored, _)| stored == name);
    found.map(|(_, value)| value.as_str()).ok_or_else(|| lost_settings(item))
}

fn lost_settings(item: &Checkpoint) -> Stop {
    Stop::Overwritten { job_id: item.job_id.clone(), missing: "settings" }
}

/// How the rows of a job are written, as its item pins it.
pub fn pinned_dialect(item: &Checkpoint) -> Result<Dialect, Stop> {
    let byte = |text: &str| {
        let digits = text.strip_prefix("0x");
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.ok_or_else(|| lost_settings(item))
    };
    Ok(Dialect {
        delimiter: byte(pinned(item, "delimiter")?)?,
        quote: match pinned(item, "quote")? {
            "none" => None,
            text => Some(byte(text)?),
        },
    })
}

/// Whether the source has one.
pub fn pinned_header(item: &Checkpoint) -> Result<Header, Stop> {
    Ok(if pinned(item, "header")? == "none" { Header::None } else { Header::First })
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

/// A pinned value as it would be set: for messages, not to compare.
fn in_words(value: &str) -> String {
    let byte = value.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
    match byte {
        Some(b'\t') => "tab".to_owned(),
        Some(byte) if byte.is_ascii_graphic() => char::from(byte).to_string(),
        _ if value.is_empty() => "none".to_owned(),
        _ => value.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_has_the_name_of_its_setting() {
        for (pin, name) in [
            ("columns", "CSV_COLUMNS"),
            ("delimiter", "CSV_DELIMITER"),
            ("header", "CSV_HEADER"),
            ("key_column", "KAFKA_KEY_COLUMN"),
            ("quote", "CSV_QUOTE"),
            ("row_bytes_max", "ROW_BYTES_MAX"),
        ] {
            assert_eq!(setting_name(pin), name);
        }
        // As `printf abc | sha256sum` has it.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), format!("sha256:{sum}"));
    }

    #[test]
    fn a_version_that_is_asked_for_is_the_one_that_the_job_was_begun_with() {
        // Asked for, begun with (`None`: nothing was), refused.
        let cases = [
            (None, Some(Some("v")), false),
            (None, Some(None), false),
            (Some("v"), Some(Some("v")), false),
            (Some("v"), Some(Some("w")), true),
            (Some("v"), Some(None), true),
            (Some("v"), None, false),
            (Some("null"), Some(None), false),
            (Some("null"), Some(Some("v")), true),
        ];
        for (asked_for, begun_with, refused) in cases {
            let job = Job {
                source_version: asked_for.map(str::to_owned),
                ..Job::reader("j".into(), String::new(), 1)
            };
            let item = Checkpoint {
                etag: begun_with.map(|_| "e".into()),
                version_id: begun_with.flatten().map(str::to_owned),
                ..Checkpoint::default()
            };
            let found = job.differences(&item);
            let names: Vec<&str> = found.iter().map(|difference| difference.name).collect();
            let expected: &[&str] = if refused { &["S3_VERSION_ID"] } else { &[] };
            assert_eq!(names, expected, "{asked_for:?} {begun_with:?}");
        }
    }

    #[test]
    fn pins_are_shown_as_they_are_set() {
        for (pinned, shown) in [
            ("0x2c", ","),
            ("0x09", "tab"),
            ("0x01", "0x01"),
            ("none", "none"),
            ("", "none"),
            ("1048576", "1048576"),
            ("[\"a\",\"b\"]", "[\"a\",\"b\"]"),
        ] {
            assert_eq!(in_words(pinned), shown);
        }
    }
}
