//! What must come out: rows to records, computed without the product's code.
//!
//! The rows are read by the `csv` crate, their text is made by `serde_json`, and where a row
//! lies in the source is known to the generator that wrote it there.

use std::sync::Arc;

use super::decode::Record;
use super::world::Rng;

pub(super) const SOURCE: &str = "s3://bucket/orders.csv";

/// A dead letter may hold a part of a row only if that part has more bytes than this.
const LONG_BYTES: usize = 1_500;

/// What a row becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Good(Record),
    /// Row, where it begins, its bytes with the line end, its bytes without.
    Bad {
        row: u64,
        byte_offset: u64,
        row_bytes: u64,
        raw: Vec<u8>,
    },
}

/// A source, and what it must become.
#[derive(Debug, Clone)]
pub(super) struct Oracle {
    pub(super) source: Arc<[u8]>,
    pub(super) header_bytes: u64,
    pub(super) fates: Arc<Vec<Fate>>,
    pub(super) records: Arc<Vec<Record>>,
    /// Row of each record.
    pub(super) record_rows: Arc<Vec<u64>>,
    pub(super) key_column: Option<&'static str>,
    /// The byte after each row.
    pub(super) ends: Arc<Vec<u64>>,
    /// Rows before the first one of this source's bytes: a past that is not simulated.
    pub(super) rows_before: u64,
}

/// What to make up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) row_bytes: usize,
    pub(super) bad_per_mille: u64,
    pub(super) keyed: bool,
    pub(super) record_bytes_max: usize,
    pub(super) rows_before: u64,
}

impl Oracle {
    pub(super) fn make(rng: &mut Rng, shape: &Shape) -> Oracle {
        let names = ["id", "name", "town, or so", "note"];
        let line_end: &[u8] = rng.pick(&[&b"\n"[..], b"\r\n"]).unwrap();
        let mut source = Vec::new();
        csv_line(&mut source, &names.map(|name| name.as_bytes().to_vec()), line_end);
        let header_bytes = source.len();
        let mut places = Vec::new();
        for index in 0..shape.rows {
            let begin = source.len();
            let mut fields = vec![
                format!("{}", index + 1).into_bytes(),
                word(rng, shape.row_bytes / 3),
                word(rng, shape.row_bytes / 3),
                word(rng, shape.row_bytes / 3),
            ];
            if rng.chance(shape.bad_per_mille) {
                match rng.below(4) {
                    0 => fields.push(b"one too many".to_vec()),
                    1 => drop(fields.pop()),
                    2 => fields[1] = b"not \xff UTF-8".to_vec(),
                    _ => fields[2] = vec![b'x'; shape.record_bytes_max],
                }
            }
            csv_line(&mut source, &fields, line_end);
            places.push((begin, source.len()));
        }
        // The last row counts without its line end too.
        if shape.rows > 0 && rng.chance(300) {
            let bytes = source.len() - line_end.len();
            source.truncate(bytes);
            places.last_mut().unwrap().1 = bytes;
        }
        let key_column = if shape.keyed { Some("name") } else { None };
        Oracle::read(source, header_bytes, &places, line_end, key_column, shape)
    }

    fn read(
        source: Vec<u8>,
        header_bytes: usize,
        places: &[(usize, usize)],
        line_end: &[u8],
        key_column: Option<&'static str>,
        shape: &Shape,
    ) -> Oracle {
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(&source[..]);
        let mut rows = reader.byte_records().map(Result::unwrap);
        let names: Vec<String> = rows
            .next()
            .unwrap()
            .iter()
            .map(|name| String::from_utf8(name.into()).unwrap())
            .collect();
        let key_index = key_column.map(|key| names.iter().position(|name| name == key).unwrap());
        let mut fates = Vec::new();
        for (index, row) in rows.enumerate() {
            let number = shape.rows_before + index as u64 + 1;
            let (begin, end) = places[index];
            let fields: Vec<&[u8]> = row.iter().collect();
            let fate = record(&names, &fields, number, key_index)
                .filter(|record| record_bytes(record) <= shape.record_bytes_max)
                .map_or_else(
                    || Fate::Bad {
                        row: number,
                        byte_offset: begin as u64,
                        row_bytes: (end - begin) as u64,
                        raw: source[begin..end]
                            .strip_suffix(line_end)
                            .unwrap_or(&source[begin..end])
                            .into(),
                    },
                    Fate::Good,
                );
            fates.push(fate);
        }
        assert_eq!(fates.len(), places.len(), "the csv crate reads the rows that were written");
        let good = |(index, fate): (usize, &Fate)| match fate {
            Fate::Good(record) => Some((shape.rows_before + index as u64 + 1, record.clone())),
            Fate::Bad { .. } => None,
        };
        let (record_rows, records) = fates.iter().enumerate().filter_map(good).unzip();
        Oracle {
            source: Arc::from(source),
            header_bytes: header_bytes as u64,
            fates: Arc::new(fates),
            records: Arc::new(records),
            record_rows: Arc::new(record_rows),
            key_column,
            ends: Arc::new(places.iter().map(|place| place.1 as u64).collect()),
            rows_before: shape.rows_before,
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows_before + self.fates.len() as u64
    }

    pub(super) fn bad(&self) -> Vec<&Fate> {
        self.fates.iter().filter(|fate| matches!(fate, Fate::Bad { .. })).collect()
    }

    /// The row of a bad one; the first has index 0.
    pub(super) fn bad_row(&self, bad_index: usize) -> Option<u64> {
        match self.bad().get(bad_index) {
            Some(Fate::Bad { row, .. }) => Some(*row),
            _ => None,
        }
    }

    /// What is wrong with a record that takes the given place, from 0.
    pub(super) fn record_problem(&self, index: usize, found: &Record) -> Option<String> {
        match self.records.get(index) {
            Some(expected) if expected == found => None,
            Some(expected) => Some(format!(
                "record {} should be {} and is {}",
                index + 1,
                shown(expected),
                shown(found)
            )),
            None => {
                Some(format!("a record {} of {}: {}", index + 1, self.records.len(), shown(found)))
            }
        }
    }

    pub(super) fn dead_letter_problem(&self, index: usize, found: &Record) -> Option<String> {
        let bad = self.bad();
        let Some(Fate::Bad { row, byte_offset, row_bytes, raw }) = bad.get(index) else {
            return Some(format!("a dead letter {} of {}: {}", index + 1, bad.len(), shown(found)));
        };
        let value: serde_json::Value = match serde_json::from_slice(&found.1) {
            Ok(value) => value,
            Err(error) => return Some(format!("a dead letter that is no JSON: {error}")),
        };
        let text = std::str::from_utf8(raw).ok();
        let right = value["row"] == *row
            && value["byte_offset"] == *byte_offset
            && value["source"] == SOURCE
            && value["row_bytes"] == *row_bytes
            && value["reason"].as_str().is_some_and(|reason| !reason.is_empty())
            && match text {
                // A long one is cut to what a record of its topic takes.
                Some(text) => value["raw"].as_str().is_some_and(|raw| {
                    raw == text || (raw.len() > LONG_BYTES && text.starts_with(raw))
                }),
                None => value["raw_base64"].is_string() && value.get("raw").is_none(),
            };
        (!right).then(|| {
            format!("dead letter {} should be of row {row} at {byte_offset}, {row_bytes} bytes, and is {}", index + 1, shown(found))
        })
    }
}

fn shown(record: &Record) -> String {
    let text: String = String::from_utf8_lossy(&record.1).chars().take(120).collect();
    match &record.0 {
        Some(key) => format!("{} -> {text}", String::from_utf8_lossy(key)),
        None => text,
    }
}

fn record_bytes(record: &Record) -> usize {
    record.1.len() + record.0.as_ref().map_or(0, Vec::len)
}

fn record(names: &[String], fields: &[&[u8]], row: u64, key: Option<usize>) -> Option<Record> {
    if fields.len() != names.len() {
        return None;
    }
    let mut members = Vec::new();
    for (name, field) in names.iter().zip(fields) {
        let text = std::str::from_utf8(field).ok()?;
        members.push(format!(
            "{}:{}",
            serde_json::to_string(name).unwrap(),
            serde_json::to_string(text).unwrap()
        ));
    }
    members.push(format!("\"_source_line\":{row}"));
    members.push(format!("\"_source_file\":{}", serde_json::to_string(SOURCE).unwrap()));
    let value = format!("{{{}}}", members.join(","));
    Some((key.map(|index| fields[index].to_vec()), value.into_bytes()))
}

fn word(rng: &mut Rng, bytes_max: usize) -> Vec<u8> {
    let pieces =
        ["a", "straße", ",", "\"", "\n", "\r\n", "\\", "7", " ", "\t", "零", "xyz", "\u{1f}"];
    let bytes = rng.below(bytes_max.max(1) + 1);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(rng.pick(&pieces).unwrap());
    }
    text.into_bytes()
}

fn csv_line(to: &mut Vec<u8>, fields: &[Vec<u8>], line_end: &[u8]) {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        if field.iter().any(|byte| b",\"\r\n".contains(byte)) {
            to.push(b'"');
            for byte in field {
                to.extend_from_slice(if *byte == b'"' {
                    b"\"\""
                } else {
                    std::slice::from_ref(byte)
                });
            }
            to.push(b'"');
        } else {
            to.extend_from_slice(field);
        }
    }
    to.extend_from_slice(line_end);
}
