//! The report of a job as one page: no script, nothing from elsewhere, light and dark, wide and
//! narrow. Its style is `report.css`; its pictures are `chart.rs`.
//!
//! ```text
//! title, verdict, last words
//! tiles      rows, time, pace, bytes, …
//! pictures   rows, rows a second, latency; below them what happened when
//! tables     where the time went, runs, what happened, cost
//! ```
//!
//! Whatever the log says is escaped before it is in the page.

use super::chart::{Axis, Chart, Stretches, push};
use super::figures::{bytes, count, counted, duration, money, per_second, percent, ratio, utc};
use crate::flow::cost::{ASSUMPTIONS, Cost, Used};
use crate::flow::report::{How, MarkKind, Note, Point, Report, RunSeen};

const STYLE: &str = include_str!("report.css");
/// Stretches that a line of a picture has at most.
const LINE_PARTS: u64 = 240;
/// Beginnings of runs that are drawn.
const BOUNDS_MAX: usize = 240;
/// Marks beside each other.
const MARK_PARTS: u64 = 120;

/// The whole page. `version`: of the program that makes it.
pub fn page(report: &Report, version: &str) -> String {
    let spans: Vec<(u64, u64)> =
        report.runs.iter().map(|run| (run.began_ms, run.ended_ms)).collect();
    let axis = Axis::new(&spans);
    let title = match report.job_ids.as_slice() {
        [] => "A job".to_owned(),
        [job_id] => format!("Job {}", escaped(job_id)),
        job_ids => {
            let job_ids: Vec<String> = job_ids.iter().map(|job_id| escaped(job_id)).collect();
            format!("Jobs {}", job_ids.join(", "))
        }
    };
    [
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        ),
        head(report, &title),
        tiles(report),
        pictures(report, &axis),
        spent(report),
        runs(report),
        notes(report),
        cost(report),
        foot(report, version),
        "</body>\n</html>\n".to_owned(),
    ]
    .concat()
}

fn head(report: &Report, title: &str) -> String {
    let last = report.runs.last();
    let (class, word) = last.map_or(("unknown", "nothing of it in this log"), verdict);
    let mut html = format!("<h1>{title} <span class=\"badge {class}\">{word}</span></h1>\n");
    let place = match (&report.topic, &report.partition) {
        (Some(topic), Some(partition)) => format!(" → {}/{}", escaped(topic), escaped(partition)),
        _ => String::new(),
    };
    let source = report.source.as_deref().map(escaped).unwrap_or_default();
    push(&mut html, format_args!("<p class=\"soft\">{source}{place}"));
    if let Some((first_ms, last_ms)) = report.span_ms {
        let (first, last) = (time(first_ms), time(last_ms));
        push(&mut html, format_args!("<br>{first} to {last}, all times UTC"));
    }
    html.push_str("</p>\n");
    if let Some(run) = last.filter(|run| !run.text.is_empty()) {
        let text = escaped(&run.text);
        push(&mut html, format_args!("<p class=\"last {class}\"><span>{text}</span></p>\n"));
    }
    html
}

fn verdict(run: &RunSeen) -> (&'static str, &'static str) {
    match run.how {
        How::Complete => ("complete", "complete"),
        How::Again => ("again", "interrupted"),
        How::Mend => ("mend", "a person must act"),
        How::Unknown => ("unknown", "running or killed"),
    }
}

fn tiles(report: &Report) -> String {
    let totals = &report.totals;
    let share = match report.source_bytes {
        0 => String::new(),
        all => {
            let done = percent(totals.byte_offset, all).min(100);
            format!("{done} % of {}", bytes(all))
        }
    };
    let smaller = ratio(totals.bytes_raw, totals.bytes_sent)
        .map_or_else(String::new, |ratio| format!("compressed {ratio} times"));
    let runs = counted(totals.runs, "run");
    let restarts = totals.runs.saturating_sub(1);
    let killed = match totals.killed {
        0 => "none killed".to_owned(),
        killed => format!("{} without an end", counted(killed, "run")),
    };
    let pace = count(per_second(totals.rows_here, totals.active_ms));
    let tiles = [
        (count(totals.rows), one_or(totals.rows, "row", "rows"), share),
        (duration(totals.active_ms), "at work", runs),
        (pace, "rows a second", "while at work".to_owned()),
        (bytes(totals.bytes_sent), "sent", smaller),
        (count(restarts), one_or(restarts, "restart", "restarts"), killed),
        (
            count(totals.retries),
            one_or(totals.retries, "retry", "retries"),
            "of all peers".to_owned(),
        ),
        (
            count(totals.dead_letters),
            one_or(totals.dead_letters, "bad row", "bad rows"),
            "set aside".to_owned(),
        ),
        (money(cost_of(report).sum()), "at AWS", "estimated, see below".to_owned()),
    ];
    let tiles = tiles.map(|(figure, what, aside)| {
        format!("<div><b>{figure}</b>{what}<br><span class=\"soft\">{aside}</span></div>\n")
    });
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.concat())
}

fn one_or<'w>(number: u64, one: &'w str, more: &'w str) -> &'w str {
    if number == 1 { one } else { more }
}

fn pictures(report: &Report, axis: &Axis) -> String {
    let points: Vec<&Point> = report.points.iter().collect();
    if points.len() < 2 {
        return String::new();
    }
    let bounds: Vec<u64> =
        report.runs.iter().skip(1).map(|run| run.began_ms).take(BOUNDS_MAX).collect();
    let rows: Stretches = vec![points.iter().map(|point| (point.at_ms, point.row)).collect()];
    let near_ms = axis.part_ms(LINE_PARTS);
    let pace = stepped(&points, near_ms, |from, to, lasted_ms| {
        Some(per_second(to.row.saturating_sub(from.row), lasted_ms))
    });
    let latency = stepped(&points, near_ms, |from, to, _| {
        let (answers, answers_ms) = to.answers?;
        let before = from.answers.filter(|(before, _)| *before <= answers).unwrap_or((0, 0));
        answers_ms.saturating_sub(before.1).checked_div(answers - before.0)
    });
    let best = |stretches: &Stretches| stretches.iter().flatten().map(|(_, value)| *value).max();
    let said_rows = format!("{} in the partition", counted(report.totals.rows, "row"));
    let said_pace = format!("at best {}", count(best(&pace).unwrap_or(0)));
    let said_latency = format!("at most {} ms on average", count(best(&latency).unwrap_or(0)));
    let mut html = String::from("<section>\n");
    for (title, said, stretches) in [
        ("Rows", &said_rows, &rows),
        ("Rows a second", &said_pace, &pace),
        ("Milliseconds until Kafka confirms", &said_latency, &latency),
    ] {
        if best(stretches).is_some() {
            html.push_str(&Chart { title, said, axis, stretches, bounds: &bounds }.html());
        }
    }
    html + &marks(report, axis) + "</section>\n"
}

/// The mean between points that are far enough from each other to be told apart, as steps;
/// nothing leads from one run to the next.
fn stepped(
    points: &[&Point],
    near_ms: u64,
    mean: impl Fn(&Point, &Point, u64) -> Option<u64>,
) -> Stretches {
    let mut stretches: Stretches = Vec::new();
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut from: Option<&Point> = None;
    for (index, point) in points.iter().enumerate() {
        let Some(before) = from.filter(|_| !point.is_first) else {
            stretches.push(std::mem::take(&mut steps));
            from = Some(point);
            continue;
        };
        let lasted_ms = point.at_ms.saturating_sub(before.at_ms);
        let is_last = points.get(index + 1).is_none_or(|next| next.is_first);
        if lasted_ms == 0 || lasted_ms < near_ms && !is_last {
            continue;
        }
        if let Some(value) = mean(before, point, lasted_ms) {
            // A rest that is too short says nothing of a pace.
            let value = match steps.last() {
                Some((_, last)) if lasted_ms < near_ms / 2 => *last,
                _ => value,
            };
            steps.extend([(before.at_ms, value), (point.at_ms, value)]);
        }
        from = Some(point);
    }
    stretches.push(steps);
    stretches.retain(|steps| !steps.is_empty());
    stretches
}

const KINDS: [(MarkKind, &str, &str); 10] = [
    (MarkKind::Start, "start", "a run begins"),
    (MarkKind::Complete, "done", "complete"),
    (MarkKind::Stopped, "stopped", "stopped, to be started again"),
    (MarkKind::Failed, "failed", "stopped, a person must act"),
    (MarkKind::Vanished, "vanished", "not heard of again"),
    (MarkKind::Retry, "retry", "retry"),
    (MarkKind::Warning, "warning", "warning"),
    (MarkKind::SetAside, "aside", "bad row set aside"),
    (MarkKind::Settled, "settled", "lost answer settled"),
    (MarkKind::Throttled, "throttled", "throttled by the broker"),
];

fn class_of(kind: MarkKind) -> &'static str {
    KINDS.iter().find(|(known, ..)| *known == kind).map_or("", |(_, class, _)| class)
}

fn marks(report: &Report, axis: &Axis) -> String {
    let marks = report.marks.merged(axis.part_ms(MARK_PARTS));
    let placed = marks.iter().fold(String::new(), |mut html, mark| {
        let (class, left) = (class_of(mark.kind), axis.left(mark.at_ms));
        let what = KINDS.iter().find(|(kind, ..)| *kind == mark.kind).map_or("", |kind| kind.2);
        let times =
            if mark.count > 1 { format!("{} × ", count(mark.count)) } else { String::new() };
        let at = time(mark.at_ms);
        push(
            &mut html,
            format_args!(
                "<u class=\"{class}\" style=\"left:{left}\" title=\"{at}: {times}{what}\"></u>"
            ),
        );
        html
    });
    let legend = KINDS.iter().fold(String::new(), |mut html, (kind, class, what)| {
        let found = report.marks.count(*kind);
        if found > 0 {
            let found = count(found);
            push(&mut html, format_args!("<li><u class=\"{class}\"></u>{what}: {found}</li>\n"));
        }
        html
    });
    format!("<div class=\"marks\">{placed}</div>\n<ul class=\"legend\">\n{legend}</ul>\n")
}

fn spent(report: &Report) -> String {
    let spent = &report.totals.spent;
    let untold_ms = report.totals.active_ms.saturating_sub(spent.sum_ms());
    if spent.sum_ms() == 0 {
        return String::new();
    }
    let all_ms = spent.sum_ms() + untold_ms;
    let parts = [
        ("waiting for the source", spent.source_ms),
        ("waiting for Kafka", spent.broker_ms),
        ("waiting for the checkpoint store", spent.ledger_ms),
        ("held back by MAX_ROWS_PER_SECOND", spent.braked_ms),
        ("sending metrics", spent.metrics_ms),
        ("computing", spent.own_ms),
        ("not told", untold_ms),
    ];
    let (mut bar, mut legend) = (String::new(), String::new());
    for (index, (what, ms)) in parts.iter().enumerate() {
        let tenths = per_second(*ms, all_ms);
        if tenths == 0 {
            continue;
        }
        let (whole, tenth) = (tenths / 10, tenths % 10);
        push(
            &mut bar,
            format_args!(
                "<span class=\"s{index}\" style=\"width:{whole}.{tenth}%\" title=\"{what}\"></span>"
            ),
        );
        let lasted = duration(*ms);
        push(
            &mut legend,
            format_args!("<li><u class=\"s{index}\"></u>{what}: {whole} %, {lasted}</li>\n"),
        );
    }
    format!(
        "<section>\n<h2>Where the time went</h2>\n<div class=\"bar\">{bar}</div>\n<ul class=\"legend\">\n{legend}</ul>\n</section>\n"
    )
}

fn runs(report: &Report) -> String {
    let rows = report.runs.iter().enumerate().fold(String::new(), |mut html, (index, run)| {
        let (class, _) = verdict(run);
        let number = index as u64 + 1;
        let number = match report.runs_more {
            more @ 1.. if index + 1 == report.runs.len() => number + more,
            _ => number,
        };
        let from = run.from_row.map_or_else(|| "–".to_owned(), |row| count(row + 1));
        let to = run.row.filter(|_| run.from_row.is_some());
        let to = to.map_or_else(String::new, |row| format!(" to {}", count(row)));
        let pace = count(per_second(run.rows_here, run.lasted_ms()));
        let how = match run.how {
            How::Unknown => "no last line: killed, or still running".to_owned(),
            _ => escaped(run.text.lines().next().unwrap_or_default()),
        };
        let (began, lasted) = (time(run.began_ms), duration(run.lasted_ms()));
        let retries = count(run.retries);
        push(&mut html, format_args!(
            "<tr><td class=\"n\" data-is=\"Run\">{number}</td><td class=\"t\">{began}</td><td class=\"n\" data-is=\"lasted\">{lasted}</td><td class=\"n\" data-is=\"rows\">{from}{to}</td><td class=\"n\" data-is=\"rows a second\">{pace}</td><td class=\"n\" data-is=\"retries\">{retries}</td><td class=\"{class}\">{how}</td></tr>\n"
        ));
        html
    });
    let more = match report.runs_more {
        0 => String::new(),
        more => format!(
            "<p class=\"soft\">{} before the last one are not listed; they are in the totals.</p>\n",
            counted(more, "run")
        ),
    };
    format!(
        "<section>\n<h2>Runs</h2>\n<table class=\"wide\">\n<thead><tr><th class=\"n\">#</th><th>began</th><th class=\"n\">lasted</th><th class=\"n\">rows</th><th class=\"n\">rows/s</th><th class=\"n\">retries</th><th>how it ended</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n{more}</section>\n"
    )
}

fn notes(report: &Report) -> String {
    let row = |note: &Note| {
        let times =
            if note.times > 1 { format!(" ({} times)", count(note.times)) } else { String::new() };
        let (at, class, text) = (time(note.at_ms), class_of(note.kind), escaped(&note.text));
        format!(
            "<tr><td class=\"t\"><u class=\"{class}\"></u>{at}</td><td>{text}{times}</td></tr>\n"
        )
    };
    let notes = &report.notes;
    if notes.first.is_empty() {
        return String::new();
    }
    let between = match notes.left_out {
        0 => String::new(),
        more => format!("<tr><td></td><td class=\"soft\">… {} more …</td></tr>\n", count(more)),
    };
    let first: String = notes.first.iter().map(row).collect();
    let last: String = notes.last.iter().map(row).collect();
    format!(
        "<section>\n<h2>What happened</h2>\n<table class=\"wide\">\n<tbody>\n{first}{between}{last}</tbody>\n</table>\n</section>\n"
    )
}

fn cost_of(report: &Report) -> Cost {
    let totals = &report.totals;
    Cost::of(&Used {
        active_ms: totals.active_ms,
        checkpoints: totals.checkpoints,
        bytes_sent: totals.bytes_sent,
        log_bytes: report.log_bytes,
    })
}

fn cost(report: &Report) -> String {
    let totals = &report.totals;
    let cost = cost_of(report);
    let rows = [
        ("Compute", duration(totals.active_ms), cost.compute),
        ("Checkpoints", count(totals.checkpoints), cost.checkpoints),
        ("Network between zones", bytes(totals.bytes_sent), cost.network),
        ("Log", bytes(report.log_bytes), cost.log),
        ("Together", String::new(), cost.sum()),
    ];
    let rows = rows.map(|(what, used, price)| {
        let price = money(price);
        format!("<tr><td>{what}</td><td class=\"n\">{used}</td><td class=\"n\">{price}</td></tr>\n")
    });
    let rows = rows.concat();
    format!(
        "<section>\n<h2>Cost, estimated</h2>\n<table>\n<tbody>\n{rows}</tbody>\n</table>\n<p class=\"soft\">By {ASSUMPTIONS}.</p>\n</section>\n"
    )
}

fn foot(report: &Report, version: &str) -> String {
    let foreign = match report.foreign_lines {
        0 => String::new(),
        lines => format!(", {} of other programs left out", counted(lines, "line")),
    };
    let lines = counted(report.lines, "line");
    let ran = report.version.as_deref().map_or_else(String::new, |version| {
        format!(" The last run was of csv-to-kafka {}.", escaped(version))
    });
    format!(
        "<p class=\"soft\">Made by csv-to-kafka {} from {lines} of log{foreign}.{ran}</p>\n",
        escaped(version)
    )
}

/// `2026-11-21 13:04:55`.
fn time(at_ms: u64) -> String {
    let utc = utc(at_ms);
    utc.get(..19).unwrap_or_default().replace('T', " ")
}

/// As text and as a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('\n'),
            letter if letter.is_control() => safe.extend(letter.escape_default()),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_log_is_markup() {
        let mut report = Report::default();
        let bad = "<script>alert(1)</script>";
        for line in [
            format!(
                r#"2026-01-01T00:00:00.001Z INFO  x  event=starting job_id="{bad}" source="'{bad}" kafka_topic="&" kafka_partition=0 version="{bad}""#
            ),
            format!(r#"2026-01-01T00:00:01.001Z WARN  {bad}  event=retry problem="{bad}""#),
            format!(
                r#"2026-01-01T00:00:02.001Z ERROR {bad}  event=ended reason="{bad}" exit_code=1"#
            ),
        ] {
            report.line(&line);
        }
        report.finish();
        let page = page(&report, bad);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 10);
        assert!(page.contains("→ &amp;/0"));
    }

    fn made_of(log: &str) -> String {
        let mut report = Report::default();
        log.lines().for_each(|line| report.line(line));
        report.finish();
        page(&report, "0.1.0")
    }

    /// Made anew by `csv-to-kafka report src/show/testdata/report.log`.
    #[test]
    fn the_page_of_a_job_is_the_golden_one() {
        let found = made_of(include_str!("testdata/report.log"));
        let golden = include_str!("testdata/report.html");
        let differs = golden.lines().zip(found.lines()).find(|(golden, found)| golden != found);
        assert!(golden == found, "{differs:#?}");
    }

    /// A week of progress, a crash every ten minutes.
    #[test]
    fn a_long_log_makes_no_long_page() {
        let mut report = Report::default();
        for tick in 0..60_480_u64 {
            let at = utc(1_767_225_600_000 + tick * 10_000);
            if tick % 60 == 0 {
                report.line(&format!("{at} INFO  x  event=starting job_id=j"));
                report.line(&format!("{at} INFO  x  event=sending row={} byte_offset=0", tick + 1));
            }
            report.line(&format!(
                "{at} INFO  x  event=progress row={} rows_here=7 byte_offset=0",
                tick * 10
            ));
            report.line(&format!("{at} WARN  x  event=retry problem=\"{tick}\""));
        }
        report.finish();
        let page = page(&report, "0");
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        assert!(page.contains("<b>604,790</b>rows") && page.contains("retry: 60,480"));
        assert!(
            page.contains("508 runs before the last one are not listed"),
            "{}",
            report.runs_more
        );
    }

    #[test]
    fn an_empty_log_is_a_page_too() {
        let mut report = Report::default();
        report.line("not ours");
        report.finish();
        let page = page(&report, "0");
        assert!(page.contains("nothing of it in this log") && page.ends_with("</html>\n"));
        assert!(page.contains("1 line of other programs left out"), "{page}");
    }

    #[test]
    fn prices() {
        for (nano_dollars, expected) in
            [(99_999, "under $0.0001"), (12_345_678, "$0.0123"), (1_234_000_100_000, "$1,234.0001")]
        {
            assert_eq!(money(nano_dollars), expected);
        }
    }
}
