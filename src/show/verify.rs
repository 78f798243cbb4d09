//! A proof, as a person reads it and as the audit record that a program keeps.
//!
//! The record is one JSON object; `docs/verify.schema.json` says what is in it.

use serde_json::{Value, json};

use super::figures::{bytes, count, counted, duration, per_second, utc};
use super::terminal::one_line;
use crate::flow::verify::{Depth, Difference, Found, Proof, Verdict};
use crate::stop::Stop;

/// The result, for a person.
pub fn text(proof: &Proof) -> String {
    let found_in = || proof.dead.iter().chain([&proof.main]);
    let differences: u64 = found_in().map(|found| found.difference_count).sum();
    let deleted: u64 = found_in().map(|found| found.deleted).sum();
    let head = match proof.verdict() {
        Verdict::Proved => "proved".to_owned(),
        Verdict::Differs => counted(differences, "difference"),
        Verdict::Undecided if deleted > 0 => format!(
            "not to be decided: {} deleted by retention since",
            counted_are(deleted, "record")
        ),
        Verdict::Undecided => format!(
            "not to be decided by headers: {} of the Python processor; leave --headers out",
            counted(proof.unproved, "record")
        ),
    };
    let job_id = one_line(proof.job_id.as_bytes());
    let mut lines = vec![format!("Job {job_id}: {head}"), String::new()];
    let line = |(name, what): (_, String)| format!("  {name:<10}{}", one_line(what.as_bytes()));
    lines.extend(figures(proof).into_iter().map(line));
    for found in [Some(&proof.main), proof.dead.as_ref()].into_iter().flatten() {
        if found.difference_count > 0 {
            lines.push(String::new());
            lines.push(difference_head(found));
            lines.extend(found.differences.iter().map(|one| format!("  {}", wording(one))));
        }
    }
    lines.join("\n") + "\n"
}

fn difference_head(found: &Found) -> String {
    let Found { topic, partition, difference_count, differences, .. } = found;
    let shown = differences.len() as u64;
    let first = match *difference_count {
        all if all > shown => format!(", the first {shown} of {}", count(all)),
        _ => String::new(),
    };
    format!("Differences in {topic}/{partition}{first}:")
}

fn figures(proof: &Proof) -> Vec<(&'static str, String)> {
    let Proof { main, etag, .. } = proof;
    let what = match proof.asked.depth {
        Depth::Full => "every value, byte for byte, with its place",
        Depth::Headers => "completeness and order, by batch headers; no value was read",
    };
    let rate = counted(per_second(main.records, proof.elapsed_ms), "record");
    let mut lines = vec![
        ("source", proof.source.clone()),
        ("", format!("{}, {}, ETag {etag}", counted(proof.rows, "row"), bytes(proof.source_bytes))),
        ("partition", place(main)),
        ("compared", what.to_owned()),
    ];
    if let Some(dead) = &proof.dead {
        lines.push(("bad rows", place(dead)));
    }
    if main.adopted > 0 {
        lines.push((
            "adopted",
            format!("{} of the Python processor, as parsed JSON", counted(main.adopted, "record")),
        ));
    }
    if main.others > 0 {
        let same = match main.others_of_source {
            0 => String::new(),
            same => format!(
                "; {} of them of this very source: it was loaded more than once",
                count(same)
            ),
        };
        lines.push((
            "others",
            format!(
                "{} of other producers since the job began{same}",
                counted(main.others, "record")
            ),
        ));
    }
    if let Some(digest) = &main.digest {
        lines.push(("digest", digest.clone()));
    }
    lines.push(("took", format!("{}, {rate} a second", duration(proof.elapsed_ms))));
    if let Some(problem) = &proof.not_stored {
        lines.push(("note", format!("the checkpoint does not have this result: {problem}")));
    }
    lines
}

fn place(found: &Found) -> String {
    let Found { topic, partition, records, .. } = found;
    match found.first_offset.zip(found.last_offset) {
        None => format!("{topic}/{partition}, no record of the job"),
        Some((first, last)) => format!(
            "{topic}/{partition}, {}, offsets {first} to {last}",
            counted(*records, "record")
        ),
    }
}

fn counted_are(number: u64, thing: &str) -> String {
    format!("{} {}", counted(number, thing), if number == 1 { "is" } else { "are" })
}

/// A difference, with the row, the byte and the offset that it has.
pub fn wording(difference: &Difference) -> String {
    match difference {
        Difference::Missing { rows, count: number, before_offset } => {
            let what = match rows {
                Some((first, last)) if first == last => format!("row {first} is missing"),
                Some((first, last)) => {
                    let all = if last - first + 1 == *number { "" } else { " that have records" };
                    format!("rows {first} to {last}{all} are missing")
                }
                None => format!("{} missing", counted_are(*number, "record")),
            };
            match before_offset {
                Some(offset) => format!("{what} before offset {offset}"),
                None => format!("{what} at the end"),
            }
        }
        Difference::Repeated { record, count: 1, row, offset } => {
            let row = row.map_or_else(String::new, |row| format!(" (row {row})"));
            format!("offset {offset} holds record {record}{row} of the job again")
        }
        Difference::Repeated { record, count: number, offset, .. } => format!(
            "from offset {offset} on records {record} to {} of the job are there again",
            record + number - 1
        ),
        Difference::Extra { record, offset } => {
            format!("offset {offset} holds record {record} of the job, which the source has not")
        }
        Difference::Value { row, byte_offset, offset, at, holds } => {
            let from = at.map_or_else(String::new, |at| format!(" from byte {at} of the value on"));
            let holds = holds.map_or_else(String::new, |line| format!("; it holds row {line}"));
            format!("row {row} (byte {byte_offset}) is another at offset {offset}{from}{holds}")
        }
        Difference::Key { row, byte_offset, offset } => {
            format!("row {row} (byte {byte_offset}) has another key at offset {offset}")
        }
        Difference::Emptied { offset, count: number } => format!(
            "the batch at offset {offset} lost {}, as compaction does",
            counted(*number, "record")
        ),
        Difference::Others { count: number, offset } => format!(
            "{} of other producers, the first at offset {offset}",
            counted(*number, "record")
        ),
        Difference::Total { item, found } => format!(
            "the checkpoint says {}, but there are {}",
            counted(*item, "record"),
            count(*found)
        ),
    }
}

/// The audit record.
pub fn json(proof: &Proof, version: &str) -> String {
    let document = json!({
        "job_id": proof.job_id,
        "verdict": verdict_name(proof.verdict()),
        "exit_code": proof.verdict().exit_code(),
        "compared": match proof.asked.depth {
            Depth::Full => "values",
            Depth::Headers => "headers",
        },
        "exclusive": proof.asked.exclusive,
        "source": {
            "name": proof.source,
            "etag": proof.etag,
            "version_id": proof.version_id,
            "bytes": proof.source_bytes,
            "rows": proof.rows,
        },
        "cluster_id": proof.cluster_id,
        "topic_id": proof.topic_id,
        "partition": found(&proof.main),
        "dead_letters": proof.dead.as_ref().map(found),
        "not_proved": proof.unproved,
        "verified_at": utc(proof.verified_at.saturating_mul(1_000)),
        "elapsed_ms": proof.elapsed_ms,
        "stored": proof.verdict() == Verdict::Proved && proof.not_stored.is_none(),
        "version": version,
    });
    format!("{document:#}\n")
}

/// The record where nothing could be compared.
pub fn failed_json(job_id: &str, stop: &Stop, version: &str) -> String {
    let document = json!({
        "job_id": job_id,
        "verdict": verdict_name(Verdict::Undecided),
        "exit_code": stop.exit_code(),
        "error": stop.to_string(),
        "version": version,
    });
    format!("{document:#}\n")
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proved => "proved",
        Verdict::Differs => "differs",
        Verdict::Undecided => "undecided",
    }
}

fn found(found: &Found) -> Value {
    json!({
        "topic": found.topic,
        "partition": found.partition,
        "records": found.records,
        "first_offset": found.first_offset,
        "last_offset": found.last_offset,
        "digest": found.digest,
        "adopted": found.adopted,
        "deleted_by_retention": found.deleted,
        "others": found.others,
        "others_of_this_source": found.others_of_source,
        "difference_count": found.difference_count,
        "differences": found.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(difference: &Difference) -> Value {
    let mut document = match difference {
        Difference::Missing { rows, count, before_offset } => json!({
            "kind": "missing",
            "row": rows.map(|(first, _)| first),
            "last_row": rows.map(|(_, last)| last),
            "count": count,
            "offset": before_offset,
        }),
        Difference::Repeated { record, count, row, offset } => json!({
            "kind": "repeated", "record": record, "count": count, "row": row, "offset": offset,
        }),
        Difference::Extra { record, offset } => {
            json!({"kind": "extra", "record": record, "offset": offset})
        }
        Difference::Value { row, byte_offset, offset, at, holds } => json!({
            "kind": "value",
            "row": row,
            "byte": byte_offset,
            "offset": offset,
            "value_byte": at,
            "holds_row": holds,
        }),
        Difference::Key { row, byte_offset, offset } => {
            json!({"kind": "key", "row": row, "byte": byte_offset, "offset": offset})
        }
        Difference::Emptied { offset, count } => {
            json!({"kind": "emptied", "offset": offset, "count": count})
        }
        Difference::Others { count, offset } => {
            json!({"kind": "others", "offset": offset, "count": count})
        }
        Difference::Total { item, found } => {
            json!({"kind": "total", "checkpoint": item, "count": found})
        }
    };
    document["text"] = wording(difference).into();
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::verify::Asked;

    fn proof(differences: Vec<Difference>) -> Proof {
        Proof {
            job_id: "orders-7".into(),
            asked: Asked { depth: Depth::Full, exclusive: false },
            source: "s3://b/orders.csv".into(),
            etag: "\"e\"".into(),
            version_id: None,
            source_bytes: 1_234_567,
            cluster_id: Some("c".into()),
            topic_id: None,
            rows: 10_002,
            main: Found {
                topic: "orders".into(),
                partition: 0,
                records: 10_000,
                first_offset: Some(5),
                last_offset: Some(10_007),
                others: 3,
                difference_count: differences.len() as u64,
                differences,
                digest: Some("sha256:00ff".into()),
                ..Found::default()
            },
            dead: Some(Found {
                topic: "bad".into(),
                records: 2,
                first_offset: Some(0),
                last_offset: Some(1),
                ..Found::default()
            }),
            unproved: 0,
            verified_at: 1_767_225_599,
            elapsed_ms: 500,
            not_stored: None,
        }
    }

    #[test]
    fn a_proof() {
        let expected = r#"Job orders-7: proved

  source    s3://b/orders.csv
            10,002 rows, 1.2 MB, ETag "e"
  partition orders/0, 10,000 records, offsets 5 to 10007
  compared  every value, byte for byte, with its place
  bad rows  bad/0, 2 records, offsets 0 to 1
  others    3 records of other producers since the job began
  digest    sha256:00ff
  took      500 ms, 20,000 records a second
"#;
        assert_eq!(text(&proof(Vec::new())), expected);
    }

    #[test]
    fn a_proof_steers_no_terminal() {
        let hostile =
            Proof { job_id: "a\x1b[2J".into(), source: "s3://b/\r".into(), ..proof(vec![]) };
        let text = text(&hostile);
        assert!(text.contains(r"Job a\u{1b}[2J: proved") && text.contains(r"s3://b/\r"), "{text}");
        assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    }

    #[test]
    fn differences() {
        let all = vec![
            Difference::Missing { rows: Some((5, 5)), count: 1, before_offset: Some(4) },
            Difference::Missing { rows: Some((5, 9)), count: 4, before_offset: None },
            Difference::Missing { rows: None, count: 2, before_offset: None },
            Difference::Repeated { record: 5, count: 1, row: Some(6), offset: 7 },
            Difference::Repeated { record: 5, count: 3, row: None, offset: 7 },
            Difference::Extra { record: 11, offset: 12 },
            Difference::Value { row: 3, byte_offset: 16, offset: 2, at: Some(7), holds: Some(4) },
            Difference::Value { row: 3, byte_offset: 16, offset: 2, at: None, holds: None },
            Difference::Key { row: 2, byte_offset: 12, offset: 1 },
            Difference::Emptied { offset: 9, count: 1 },
            Difference::Others { count: 1, offset: 3 },
            Difference::Total { item: 10, found: 11 },
        ];
        let expected = "
Differences in orders/0:
  row 5 is missing before offset 4
  rows 5 to 9 that have records are missing at the end
  2 records are missing at the end
  offset 7 holds record 5 (row 6) of the job again
  from offset 7 on records 5 to 7 of the job are there again
  offset 12 holds record 11 of the job, which the source has not
  row 3 (byte 16) is another at offset 2 from byte 7 of the value on; it holds row 4
  row 3 (byte 16) is another at offset 2
  row 2 (byte 12) has another key at offset 1
  the batch at offset 9 lost 1 record, as compaction does
  1 record of other producers, the first at offset 3
  the checkpoint says 10 records, but there are 11
";
        let text = text(&proof(all));
        assert!(text.starts_with("Job orders-7: 12 differences\n"), "{text}");
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn what_can_not_be_decided() {
        let mut undecided = proof(Vec::new());
        undecided.unproved = 1;
        let head = "Job orders-7: not to be decided by headers: 1 record of the Python processor; leave --headers out\n";
        assert!(text(&undecided).starts_with(head), "{}", text(&undecided));
        undecided.main.deleted = 4;
        let head = "Job orders-7: not to be decided: 4 records are deleted by retention since\n";
        assert!(text(&undecided).starts_with(head), "{}", text(&undecided));
    }

    #[test]
    fn the_audit_record() {
        let one =
            Difference::Value { row: 3, byte_offset: 16, offset: 2, at: Some(7), holds: None };
        let document: Value = serde_json::from_str(&json(&proof(vec![one]), "1.2.3")).unwrap();
        let partition = json!({
            "topic": "orders", "partition": 0, "records": 10_000,
            "first_offset": 5, "last_offset": 10_007, "digest": "sha256:00ff",
            "adopted": 0, "deleted_by_retention": 0, "others": 3, "others_of_this_source": 0,
            "difference_count": 1,
            "differences": [{
                "kind": "value", "row": 3, "byte": 16, "offset": 2, "value_byte": 7,
                "holds_row": null,
                "text": "row 3 (byte 16) is another at offset 2 from byte 7 of the value on",
            }],
        });
        assert_eq!(document["partition"], partition);
        assert_eq!(document["verdict"], "differs");
        assert_eq!(document["exit_code"], 1);
        assert_eq!(document["verified_at"], "2025-12-31T23:59:59.000Z");
        assert_eq!(document["stored"], false);
        assert_eq!(document["dead_letters"]["records"], 2);
    }
}
