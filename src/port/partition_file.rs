//! `partition.json` beside the embedded log: which cluster and topic it is.
//!
//! ```text
//! {"format":1,"cluster_id":"…","topic_id":"…","next_producer_id":0}
//! ```
//!
//! Written anew as a whole: draft, sync, rename, sync the directory.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::port::embedded_log::{unusable, unusable_log};
use crate::port::segments::sync_dir;
use crate::stop::Stop;

pub(super) const PARTITION_NAME: &str = "partition.json";
const FORMAT: u64 = 1;

/// What makes this partition this one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "named as they are stored")]
pub(super) struct Identity {
    pub(super) cluster_id: String,
    pub(super) topic_id: String,
    pub(super) next_producer_id: i64,
}

impl Identity {
    pub(super) fn fresh() -> Result<Identity, Box<Stop>> {
        Ok(Identity { cluster_id: random_uuid()?, topic_id: random_uuid()?, next_producer_id: 0 })
    }

    pub(super) fn load(dir: &Path) -> Result<Option<Identity>, Box<Stop>> {
        let path = dir.join(PARTITION_NAME);
        let unreadable = |problem: &dyn Display| {
            Box::new(unusable(&format!("reading {}: {problem}", path.display())))
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        };
        let value = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        let identity = Identity::of_json(&value);
        identity.map(Some).ok_or_else(|| unreadable(&format!("it is not of format {FORMAT}")))
    }

    fn of_json(value: &Value) -> Option<Identity> {
        (value["format"].as_u64()? == FORMAT).then_some(())?;
        Some(Identity {
            cluster_id: value["cluster_id"].as_str()?.to_owned(),
            topic_id: value["topic_id"].as_str()?.to_owned(),
            next_producer_id: value["next_producer_id"].as_i64().filter(|id| *id >= 0)?,
        })
    }

    pub(super) fn store(&self, dir: &Path) -> Result<(), Box<Stop>> {
        let text = json!({
            "format": FORMAT,
            "cluster_id": self.cluster_id,
            "topic_id": self.topic_id,
            "next_producer_id": self.next_producer_id,
        });
        let path = dir.join(PARTITION_NAME);
        let draft = dir.join(format!("{PARTITION_NAME}.new"));
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().map_err(|error| unusable(&format!("writing {}: {error}", path.display())))?;
        Ok(sync_dir(dir).map_err(|fault| unusable_log(&fault))?)
    }
}

/// As Kafka writes its ids: 16 random bytes (version 4) in base64 for URLs, without padding.
fn random_uuid() -> Result<String, Box<Stop>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| unusable(&format!("the machine has no randomness: {error}")))?;
    // No leading dash, which command lines would take for a flag.
    bytes[0] &= 0x7f;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    // 22 characters of six bits are 132 bits: the last four are zero.
    let character = |index: u32| match 122_u32.checked_sub(6 * index) {
        Some(shift) => number >> shift,
        None => number << 4,
    };
    Ok((0..22).map(|index| char::from(ALPHABET[(character(index) & 63) as usize])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_kafkas() {
        for _ in 0..100 {
            let id = random_uuid().unwrap();
            assert_eq!(id.len(), 22, "{id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert!(!id.starts_with('-'), "{id}");
            // 128 bits fill two of the last character's six.
            assert!("AQgw".contains(&id[21..]), "{id}");
        }
    }
}
