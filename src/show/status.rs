//! How jobs stand, as a person reads it and as a program does.
//!
//! `docs/status.schema.json` says what is in the document.

use serde_json::{Value, json};

use super::figures::{bytes, count, counted, duration, percent, utc};
use super::progress::cells;
use super::terminal::one_line;
use crate::flow::status::{Sight, Standing, exit_code};

/// All of them, one after the other.
pub fn text(sights: &[Sight]) -> String {
    sights.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Of a whole ledger: how many there are of each kind, then one line for each.
pub fn table(sights: &[Sight]) -> String {
    let mut kinds: Vec<(Standing, u64)> = Vec::new();
    for sight in sights {
        match kinds.last_mut() {
            Some((standing, jobs)) if *standing == sight.standing => *jobs += 1,
            _ => kinds.push((sight.standing, 1)),
        }
    }
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(standing, jobs)| format!("{} {}", count(jobs), standing.name()))
        .collect();
    let head = counted(sights.len() as u64, "job");
    if sights.is_empty() {
        return format!("{head}\n");
    }
    let rows: Vec<[String; 7]> = sights.iter().map(cells_of).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).enumerate().map(|(index, (cell, width))| match index {
            2..=4 => format!("  {cell:>width$}"),
            _ => format!("  {cell:<width$}"),
        });
        format!("{}\n", cells.collect::<String>().trim_end())
    });
    format!("{head}: {}\n\n{}", kinds.join(", "), lines.collect::<String>())
}

/// Job, standing, share, rows, pace, age, error.
fn cells_of(sight: &Sight) -> [String; 7] {
    let item = &sight.item;
    let or_none = |text: Option<String>| text.unwrap_or_default();
    let is_running = sight.standing == Standing::Running;
    let pace = sight.rows_per_second.filter(|_| is_running);
    [
        one_line(sight.job_id.as_bytes()),
        sight.standing.name().to_owned(),
        or_none(share(sight).map(|done| format!("{done} %"))),
        or_none(item.last_line.map(|rows| counted(rows, "row"))),
        or_none(pace.map(|rate| format!("{} rows/s", count(rate)))),
        or_none(
            sight.age_seconds.map(|age| format!("{} ago", duration(age.saturating_mul(1_000)))),
        ),
        or_none(item.error.as_ref().map(|error| one_line(error.as_bytes()))),
    ]
}

fn one(sight: &Sight) -> String {
    let job_id = one_line(sight.job_id.as_bytes());
    let mut lines = vec![format!("Job {job_id}: {}", how(sight))];
    // The item may have been written by anybody.
    let line = |(name, what): (_, String)| format!("  {name:<10}{}", one_line(what.as_bytes()));
    lines.extend(figures(sight).into_iter().map(line));
    lines.join("\n") + "\n"
}

fn how(sight: &Sight) -> String {
    match sight.standing {
        Standing::Absent => {
            "the checkpoint store holds no such job; --all lists its jobs".to_owned()
        }
        Standing::Damaged => "its checkpoint can not be used".to_owned(),
        Standing::Silent => "in progress, but without a sign of life; start it again".to_owned(),
        Standing::Interrupted => "interrupted; start it again, it goes on from there".to_owned(),
        Standing::Failed => "failed; a person must act".to_owned(),
        standing => standing.name().to_owned(),
    }
}

fn figures(sight: &Sight) -> Vec<(&'static str, String)> {
    let item = &sight.item;
    let mut lines = Vec::new();
    let mut line = |name, what: Option<String>| lines.extend(what.map(|what| (name, what)));
    let done = share(sight);
    line(
        "progress",
        item.last_line.map(|rows| {
            let of = done.zip(item.source_bytes).map_or_else(String::new, |(done, all)| {
                format!("{} {done:>3} % of {}, ", cells(done), bytes(all))
            });
            format!("{of}{}", counted(rows, "row"))
        }),
    );
    line(
        "rate",
        sight.rows_per_second.map(|rate| {
            let left = sight.left_seconds.map_or_else(String::new, |left| {
                format!(", about {} left", duration(left.saturating_mul(1_000)))
            });
            format!("{} a second{left}", counted(rate, "row"))
        }),
    );
    line(
        "bad rows",
        item.dlq_rows.filter(|rows| *rows > 0).map(|rows| {
            format!("{} set aside in {}", count(rows), item.dlq.topic.as_deref().unwrap_or("?"))
        }),
    );
    line("source", item.source.clone());
    line(
        "partition",
        item.main.topic.as_ref().zip(item.main.partition).map(|(topic, partition)| {
            let last = item.main.last_offset;
            let last = last.map_or_else(String::new, |last| format!(", last offset {last}"));
            format!("{topic}/{partition}{last}")
        }),
    );
    let is_held = matches!(sight.standing, Standing::Running | Standing::Silent);
    line(
        "holder",
        item.run_id.as_ref().filter(|_| is_held).map(|run_id| {
            format!("run {run_id} on {}", item.host.as_deref().unwrap_or("an unknown machine"))
        }),
    );
    line(
        "seen",
        sight.age_seconds.map(|age| {
            let at = utc(item.timestamp.unwrap_or(0).saturating_mul(1_000));
            format!("{} ago, {at}", duration(age.saturating_mul(1_000)))
        }),
    );
    line(
        "verified",
        item.verified_at.map(|at| {
            let digest =
                item.digest.as_ref().map_or_else(String::new, |digest| format!(", {digest}"));
            format!("{}{digest}", utc(at.saturating_mul(1_000)))
        }),
    );
    line("error", item.error.clone());
    lines
}

/// Percent of the source's bytes.
fn share(sight: &Sight) -> Option<u64> {
    let item = &sight.item;
    if sight.standing == Standing::Complete {
        return Some(100);
    }
    item.next_byte.zip(item.source_bytes).map(|(done, all)| percent(done, all).min(100))
}

/// One document for all of them.
pub fn json(sights: &[Sight]) -> Value {
    json!({
        "exit_code": exit_code(sights),
        "jobs": sights.iter().map(one_json).collect::<Vec<_>>(),
    })
}

fn one_json(sight: &Sight) -> Value {
    let item = &sight.item;
    let time = |seconds: Option<u64>| seconds.map(|at| utc(at.saturating_mul(1_000)));
    json!({
        "job_id": sight.job_id,
        "standing": sight.standing.name(),
        "status": item.status.map(crate::wire::checkpoint::Status::name),
        "rows": item.last_line,
        "records": item.total_sent,
        "bad_rows": item.dlq_rows,
        "bytes": item.next_byte,
        "source_bytes": item.source_bytes,
        "percent": share(sight),
        "rows_per_second": sight.rows_per_second,
        "left_seconds": sight.left_seconds,
        "source": item.source,
        "topic": item.main.topic,
        "partition": item.main.partition,
        "last_offset": item.main.last_offset,
        "run_id": item.run_id,
        "host": item.host,
        "age_seconds": sight.age_seconds,
        "seen_at": time(item.timestamp),
        "started_at": time(item.started_at),
        "completed_at": time(item.completed_at),
        "verified_at": time(item.verified_at),
        "digest": item.digest,
        "error": item.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checkpoint::{Checkpoint, LaneItem, Status};

    fn running() -> Sight {
        Sight {
            job_id: "orders-7".into(),
            standing: Standing::Running,
            item: Checkpoint {
                job_id: "orders-7".into(),
                status: Some(Status::InProgress),
                last_line: Some(1_234_567),
                next_byte: Some(1_000),
                source_bytes: Some(2_000),
                timestamp: Some(1_767_225_599),
                source: Some("s3://b/k".into()),
                main: LaneItem {
                    topic: Some("orders".into()),
                    partition: Some(0),
                    last_offset: Some(1_234_570),
                    ..LaneItem::default()
                },
                dlq: LaneItem { topic: Some("bad".into()), ..LaneItem::default() },
                dlq_rows: Some(2),
                run_id: Some("5f3a".into()),
                host: Some("web-1 pid=7".into()),
                ..Checkpoint::default()
            },
            age_seconds: Some(3),
            rows_per_second: Some(400_000),
            left_seconds: Some(200),
        }
    }

    #[test]
    fn a_job_that_runs() {
        let expected = "Job orders-7: running
  progress  ████████████░░░░░░░░░░░░  50 % of 2.0 kB, 1,234,567 rows
  rate      400,000 rows a second, about 3 min 20 s left
  bad rows  2 set aside in bad
  source    s3://b/k
  partition orders/0, last offset 1234570
  holder    run 5f3a on web-1 pid=7
  seen      3.0 s ago, 2025-12-31T23:59:59.000Z
";
        assert_eq!(text(&[running()]), expected);
    }

    #[test]
    fn several_jobs() {
        let absent = Sight {
            job_id: "none".into(),
            standing: Standing::Absent,
            item: Checkpoint::default(),
            age_seconds: None,
            rows_per_second: None,
            left_seconds: None,
        };
        let failed = Sight {
            standing: Standing::Failed,
            item: Checkpoint { error: Some("row 7 is bad".into()), ..Checkpoint::default() },
            ..absent.clone()
        };
        let expected = "Job none: the checkpoint store holds no such job; --all lists its jobs

Job none: failed; a person must act
  error     row 7 is bad
";
        assert_eq!(text(&[absent, failed]), expected);
    }

    /// What a damaged item says is shown as far as it goes.
    #[test]
    fn no_number_is_too_much() {
        for number in [0, 1, i64::MAX.unsigned_abs(), u64::MAX] {
            let sight = |standing| Sight {
                standing,
                item: Checkpoint {
                    last_line: Some(number),
                    total_sent: Some(number),
                    next_byte: Some(number),
                    source_bytes: Some(number),
                    timestamp: Some(number),
                    verified_at: Some(number),
                    started_at: Some(number),
                    completed_at: Some(number),
                    dlq_rows: Some(number),
                    main: LaneItem { last_offset: Some(i64::MIN), ..running().item.main },
                    error: Some("the item is damaged: last_line is 7".into()),
                    ..running().item
                },
                age_seconds: Some(number),
                rows_per_second: Some(number),
                left_seconds: Some(number),
                ..running()
            };
            let sights = [sight(Standing::Running), sight(Standing::Damaged)];
            let (text, table) = (text(&sights), table(&sights));
            for part in [
                "Job orders-7: its checkpoint can not be used\n",
                &format!("{}\n", counted(number, "row")),
                "last offset -9223372036854775808\n",
                "  error     the item is damaged: last_line is 7\n",
            ] {
                assert!(text.contains(part), "{part} {text}");
            }
            assert!(table.contains("damaged: last_line is 7\n"), "{table}");
            assert_eq!(json(&sights)["jobs"][1]["rows"], number);
        }
    }

    #[test]
    fn an_item_steers_no_terminal() {
        let hostile = Sight {
            job_id: "a\x1b[2J".into(),
            item: Checkpoint {
                source: Some("s3://b/k\r".into()),
                error: Some("row 7\nJob b: complete".into()),
                ..running().item
            },
            ..running()
        };
        let text = text(&[hostile]);
        for part in [r"Job a\u{1b}[2J: running", r"s3://b/k\r", r"row 7\nJob b: complete"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    }

    #[test]
    fn a_whole_ledger() {
        let sight = |job_id: &str, standing, error: Option<&str>| Sight {
            job_id: job_id.into(),
            standing,
            item: Checkpoint { error: error.map(str::to_owned), ..running().item },
            ..running()
        };
        let sights = [
            sight("orders-10", Standing::Failed, Some("row 7 is bad:\nmore")),
            sight("a", Standing::Failed, None),
            Sight {
                item: Checkpoint::default(),
                age_seconds: None,
                ..sight("b", Standing::Damaged, None)
            },
            running(),
        ];
        let expected = r"4 jobs: 2 failed, 1 damaged, 1 running

  orders-10  failed   50 %  1,234,567 rows                  3.0 s ago  row 7 is bad:\nmore
  a          failed   50 %  1,234,567 rows                  3.0 s ago
  b          damaged
  orders-7   running  50 %  1,234,567 rows  400,000 rows/s  3.0 s ago
";
        assert_eq!(table(&sights), expected);
        assert_eq!(table(&[]), "0 jobs\n");
    }

    #[test]
    fn a_document() {
        let document = json(&[running()]);
        assert_eq!(document["exit_code"], 75);
        let job = &document["jobs"][0];
        for (name, expected) in [
            ("job_id", json!("orders-7")),
            ("standing", json!("running")),
            ("status", json!("IN_PROGRESS")),
            ("percent", json!(50)),
            ("seen_at", json!("2025-12-31T23:59:59.000Z")),
            ("error", Value::Null),
        ] {
            assert_eq!(job[name], expected, "{name}");
        }
    }
}
