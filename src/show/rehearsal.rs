//! What a rehearsal has done, where it lies, and what to do next.

use super::figures::{bytes, count, counted, duration, per_second, ratio};
use crate::event::Summary;
use crate::wire::shell::word as shell_word;

/// What a rehearsal came to.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsed<'a> {
    /// How it was called, for the commands.
    pub program: &'a str,
    /// As it was given, for the same.
    pub source: &'a str,
    pub directory: &'a str,
    /// The directory of the partition's log.
    pub log: &'a str,
    /// Rows of the job so far.
    pub rows: u64,
    pub is_complete: bool,
    pub summary: Summary,
}

/// The result, for a person.
pub fn text(rehearsed: &Rehearsed<'_>) -> String {
    let Rehearsed { program, source, directory, log, is_complete, summary, .. } = rehearsed;
    let progress = &summary.progress;
    let how_far = match (is_complete, progress.rows_here) {
        (true, 0) => "complete already: nothing was left to do",
        (true, _) => "complete",
        (false, _) => "not complete yet",
    };
    let mut lines = vec![String::new(), format!("Rehearsal of {source}: {how_far}"), String::new()];
    lines.extend(figures(rehearsed).map(|(name, what)| format!("  {name:<10}{what}")));
    let (program, source) = (shell_word(program), shell_word(source));
    let segment = shell_word(&format!("{log}/00000000000000000000.log"));
    let next = if *is_complete {
        (
            "Begin anew (stopped in the middle, the same command resumes)",
            format!("rm -r {}", shell_word(directory)),
        )
    } else {
        (
            "Go on from here",
            format!("{program} rehearse {source} --directory {}", shell_word(directory)),
        )
    };
    let prove = ("Prove it", format!("{program} verify --directory {}", shell_word(directory)));
    let hints = is_complete.then_some(prove).into_iter().chain([
        (
            "See a record",
            format!("{program} rehearse {source} --rows 1 --print --directory \"$(mktemp -d)\""),
        ),
        (
            "Look into the log with Kafka's own tool",
            format!("kafka-dump-log.sh --print-data-log --files {segment}"),
        ),
        next,
    ]);
    lines.extend(hints.map(|(what, command)| format!("\n{what}\n  {command}")));
    lines.join("\n") + "\n"
}

/// Names and values, each with its unit; those that say nothing are left out.
fn figures(rehearsed: &Rehearsed<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let Rehearsed { log, rows, is_complete, summary, .. } = *rehearsed;
    let progress = summary.progress;
    let here = progress.rows_here;
    let some = |is_there: bool, name, what: String| is_there.then_some((name, what));
    let in_this_call = match here {
        _ if here == rows || (is_complete && here == 0) => String::new(),
        _ => format!(", {here} of them in this call", here = count(here)),
    };
    let smaller = ratio(progress.bytes_raw, progress.bytes_sent)
        .map_or_else(String::new, |ratio| format!(", {ratio} times smaller than their records"));
    let rate = counted(per_second(here, progress.elapsed_ms), "row");
    let row_bytes = counted(progress.bytes_raw.checked_div(here).unwrap_or(0), "byte");
    [
        Some(("rows", format!("{}{in_this_call}", counted(rows, "row")))),
        some(
            progress.dead_letters > 0,
            "bad rows",
            format!("{} set aside", counted(progress.dead_letters, "row")),
        ),
        some(
            here > 0,
            "rate",
            format!("{rate} a second, {} in all", duration(progress.elapsed_ms)),
        ),
        some(here > 0, "batches", format!("{}{smaller}", counted(summary.batches, "batch"))),
        some(
            here > 0,
            "bytes",
            format!("{row_bytes} a row as JSON, {} in the log", bytes(progress.bytes_sent)),
        ),
        Some(("log", log.to_owned())),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;

    fn half() -> Rehearsed<'static> {
        Rehearsed {
            program: "csv-to-kafka",
            source: "my data/orders.csv",
            directory: "rehearsal-orders.csv",
            log: "rehearsal-orders.csv/rehearsal-0",
            rows: 2_500,
            is_complete: false,
            summary: Summary {
                progress: Progress {
                    row: 2_500,
                    rows_here: 1_500,
                    dead_letters: 1,
                    byte_offset: 0,
                    source_bytes: 0,
                    elapsed_ms: 500,
                    bytes_raw: 300_000,
                    bytes_sent: 30_000,
                    ..Progress::default()
                },
                batches: 2,
                checkpoints: 2,
                ..Summary::default()
            },
        }
    }

    #[test]
    fn a_rehearsal_that_goes_on() {
        let expected = r#"
Rehearsal of my data/orders.csv: not complete yet

  rows      2,500 rows, 1,500 of them in this call
  bad rows  1 row set aside
  rate      3,000 rows a second, 500 ms in all
  batches   2 batches, 10.0 times smaller than their records
  bytes     200 bytes a row as JSON, 30 kB in the log
  log       rehearsal-orders.csv/rehearsal-0

See a record
  csv-to-kafka rehearse 'my data/orders.csv' --rows 1 --print --directory "$(mktemp -d)"

Look into the log with Kafka's own tool
  kafka-dump-log.sh --print-data-log --files rehearsal-orders.csv/rehearsal-0/00000000000000000000.log

Go on from here
  csv-to-kafka rehearse 'my data/orders.csv' --directory rehearsal-orders.csv
"#;
        assert_eq!(text(&half()), expected);
    }

    #[test]
    fn a_rehearsal_that_was_complete() {
        let done = Rehearsed { is_complete: true, summary: Summary::default(), ..half() };
        let text = text(&done);
        assert!(text.contains("complete already: nothing was left to do"), "{text}");
        assert!(
            text.contains("\nProve it\n  csv-to-kafka verify --directory rehearsal-orders.csv\n"),
            "{text}"
        );
        assert!(text.ends_with("Begin anew (stopped in the middle, the same command resumes)\n  rm -r rehearsal-orders.csv\n"), "{text}");
        assert!(!text.contains("rate"), "{text}");
    }

    #[test]
    fn words_for_a_shell() {
        for (word, expected) in [
            ("a/b-c.csv", "a/b-c.csv"),
            ("s3://b/k", "s3://b/k"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
