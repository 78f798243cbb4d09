//! What `check` found: a line a finding, then the plan; the same as one JSON document.
//!
//! The document is described by `docs/check.schema.json`.

use serde_json::{Value, json};

use super::figures::{bytes, count, counted, duration, money, ratio};
use super::findings::wording;
use crate::finding::{Finding, Grade};
use crate::flow::check::plan::{Pace, Plan, ROWS_PER_SECOND, SOURCE_BYTES_PER_SECOND};
use crate::flow::check::{Report, Shown};
use crate::flow::cost::{Cost, Used};

/// What is counted, and by which prices: those of `flow/cost`.
const PRICES: &str = "list prices of us-east-1, 2025";

pub fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{:<6}{}", finding.grade().name(), wording(finding)))
        .collect();
    if let Some(plan) = &report.plan {
        lines.push(String::new());
        lines.push("Plan".to_owned());
        let figures = figures(plan);
        lines.extend(figures.into_iter().map(|(name, what)| format!("  {name:<10}{what}")));
    }
    if let Some(shown) = &report.shown {
        lines.push(String::new());
        lines.extend(shown_lines(shown));
    }
    lines.push(String::new());
    lines.push(verdict(&report.findings));
    lines.join("\n") + "\n"
}

fn verdict(findings: &[Finding]) -> String {
    let graded = |grade| findings.iter().filter(|f| f.grade() == grade).count() as u64;
    let warnings = match graded(Grade::Warn) {
        0 => String::new(),
        warnings => format!(", {}", counted(warnings, "warning")),
    };
    match graded(Grade::Fail) {
        0 => format!("A run can do its work{warnings}. Nothing was changed."),
        failures => format!(
            "A run would not do its work: {}{warnings}. Nothing was changed.",
            counted(failures, "failure")
        ),
    }
}

fn figures(plan: &Plan) -> Vec<(&'static str, String)> {
    let about = if plan.is_counted { "" } else { "about " };
    let mut rows = format!("{about}{}", counted(plan.rows, "row"));
    if !plan.is_counted {
        rows = format!(
            "{rows}, by the first {} ({})",
            counted(plan.sample_rows, "row"),
            bytes(plan.sample_bytes)
        );
    }
    let mut lines = vec![("rows", rows)];
    if plan.rows_done > 0 {
        lines.push(("done", format!("{} of them", count(plan.rows_done))));
    }
    let smaller = ratio(plan.left_bytes, plan.log_bytes)
        .filter(|_| plan.log_bytes < plan.left_bytes)
        .map_or_else(String::new, |ratio| format!(", {ratio} times less than in the source"));
    lines.push((
        "volume",
        format!(
            "{about}{} in the log{smaller}; what a sample came to, compressed",
            bytes(plan.log_bytes)
        ),
    ));
    lines.push((
        "records",
        format!("up to {} in the sample", counted(plan.largest_record_bytes, "byte")),
    ));
    lines.push((
        "duration",
        format!(
            "about {} at {} rows/s, {}",
            duration(plan.seconds.saturating_mul(1000)),
            count(plan.rows_per_second),
            pace(plan.pace)
        ),
    ));
    lines.push(("cost", cost(plan)));
    lines
}

fn pace(pace: Pace) -> String {
    match pace {
        Pace::Rows => "which is assumed".to_owned(),
        Pace::Bytes => {
            format!("assuming {} a second from the source", bytes(SOURCE_BYTES_PER_SECOND))
        }
        Pace::Brake => format!("as MAX_ROWS_PER_SECOND says, below {}", count(ROWS_PER_SECOND)),
    }
}

fn cost(plan: &Plan) -> String {
    let Cost { compute, checkpoints, network, .. } = costs(plan);
    let writes = plan.ledger_writes.map_or_else(String::new, |writes| {
        format!(", {} for up to {} of DynamoDB", money(checkpoints), counted(writes, "write"))
    });
    format!(
        "{} ({PRICES}): {} for the smallest Fargate task{writes}, {} for the volume into another zone; Kafka itself is not counted",
        money(costs(plan).sum()),
        money(compute),
        money(network)
    )
}

fn costs(plan: &Plan) -> Cost {
    Cost::of(&Used {
        active_ms: plan.seconds.saturating_mul(1000),
        checkpoints: plan.ledger_writes.unwrap_or(0),
        bytes_sent: plan.log_bytes,
        log_bytes: 0,
    })
}

fn shown_lines(shown: &Shown) -> Vec<String> {
    let mut lines = vec![format!("Columns: {}", shown.columns.join(", "))];
    lines.push("First records, as they would be sent:".to_owned());
    lines.extend(shown.records.iter().cloned());
    lines
}

pub fn json(report: &Report, job_id: Option<&str>, version: &str) -> String {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "level": finding.grade().name(),
            "code": finding.code(),
            "text": wording(finding),
        })
    });
    let document = json!({
        "job_id": job_id,
        "exit_code": report.exit_code(),
        "findings": findings.collect::<Vec<_>>(),
        "plan": report.plan.as_ref().map(plan_json),
        "columns": report.shown.as_ref().map(|shown| &shown.columns),
        "records": report.shown.as_ref().map(|shown| &shown.records),
        "version": version,
    });
    format!("{document:#}\n")
}

fn plan_json(plan: &Plan) -> Value {
    json!({
        "rows": plan.rows,
        "rows_are_counted": plan.is_counted,
        "rows_done": plan.rows_done,
        "source_bytes": plan.source_bytes,
        "sample_rows": plan.sample_rows,
        "sample_bytes": plan.sample_bytes,
        "largest_record_bytes": plan.largest_record_bytes,
        "log_bytes": plan.log_bytes,
        "rows_per_second": plan.rows_per_second,
        "pace": match plan.pace {
            Pace::Rows => "assumed_rows",
            Pace::Bytes => "assumed_bytes",
            Pace::Brake => "brake",
        },
        "seconds": plan.seconds,
        "ledger_writes": plan.ledger_writes,
        "cost_nanodollars": costs(plan).sum(),
        "prices": PRICES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            findings: vec![
                Finding::NewJob { job_id: "j".into() },
                Finding::LowMinInsync { topic: "t".into(), min_insync: 1 },
                Finding::ShortRetention {
                    topic: "t".into(),
                    retention_ms: 3_600_000,
                    expected_seconds: 4_000,
                },
            ],
            plan: Some(Plan {
                rows: 800_000_000,
                is_counted: false,
                source_bytes: 64_000_000_050,
                sample_rows: 13_107,
                sample_bytes: 1_048_560,
                largest_record_bytes: 150,
                rows_done: 1_000,
                log_bytes: 20_000_000_000,
                left_bytes: 64_000_000_000,
                rows_per_second: 200_000,
                pace: Pace::Rows,
                seconds: 4_000,
                ledger_writes: Some(4_803),
            }),
            shown: None,
        }
    }

    #[test]
    fn a_report() {
        let expected = "ok    job j is new: a run begins at row 1
warn  topic t has min.insync.replicas=1: a confirmed row may be lost with one broker. Set it to 2, with 3 replicas
fail  topic t keeps records for 1 h 00 min (retention.ms=3600000), and the run is expected to take 1 h 06 min. Raise retention.ms to ten times that at least, so that consumers find every row

Plan
  rows      about 800,000,000 rows, by the first 13,107 rows (1.0 MB)
  done      1,000 of them
  volume    about 20 GB in the log, 3.2 times less than in the source; what a sample came to, compressed
  records   up to 150 bytes in the sample
  duration  about 1 h 06 min at 200,000 rows/s, which is assumed
  cost      $0.4227 (list prices of us-east-1, 2025): $0.0137 for the smallest Fargate task, $0.0090 for up to 4,803 writes of DynamoDB, $0.4000 for the volume into another zone; Kafka itself is not counted

A run would not do its work: 1 failure, 1 warning. Nothing was changed.
";
        assert_eq!(text(&report()), expected);
    }

    #[test]
    fn a_document() {
        let document: Value = serde_json::from_str(&json(&report(), Some("j"), "9")).unwrap();
        assert_eq!((&document["exit_code"], &document["job_id"]), (&json!(1), &json!("j")));
        assert_eq!(document["findings"][1]["level"], "warn");
        assert_eq!(document["findings"][2]["code"], "short_retention");
        assert_eq!(document["plan"]["cost_nanodollars"], 422_719_513);
        assert_eq!(document["records"], Value::Null);
    }

    #[test]
    fn rows_that_were_asked_for() {
        let shown = Shown { columns: vec!["a".into(), "b".into()], records: vec!["{}".into()] };
        let report = Report { shown: Some(shown), ..Report::default() };
        let expected =
            "\nColumns: a, b\nFirst records, as they would be sent:\n{}\n\nA run can do its work.";
        assert!(text(&report).starts_with(expected), "{}", text(&report));
    }

    /// Each code is in the schema and in the documentation, and none that is not there.
    #[test]
    fn the_codes_are_documented() {
        let source = include_str!("../finding.rs");
        let (_, source) = source.split_once("pub fn code(").unwrap();
        let (source, _) = source.split_once("pub fn grade(").unwrap();
        let mut codes: Vec<&str> = source.split('"').skip(1).step_by(2).collect();
        codes.sort_unstable();
        codes.dedup();
        let schema: Value =
            serde_json::from_str(include_str!("../../docs/check.schema.json")).unwrap();
        let documented = schema["$defs"]["code"]["enum"].as_array().unwrap();
        let mut documented: Vec<&str> =
            documented.iter().map(|code| code.as_str().unwrap()).collect();
        documented.sort_unstable();
        assert_eq!(codes, documented);
        let text = include_str!("../../docs/check.md");
        let missing: Vec<&&str> =
            codes.iter().filter(|code| !text.contains(&format!("`{code}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// Nothing is made in its directory, so nothing is said of being allowed to.
    #[test]
    fn of_a_file_as_a_checkpoint_no_more_is_said_than_is_known() {
        let finding = Finding::Ledger { ledger: "file:c".into(), is_tried: false };
        let report = Report { findings: vec![finding], ..Report::default() };
        let text = text(&report);
        assert!(text.contains("whether this user may write into it shows in a run only"), "{text}");
    }
}
