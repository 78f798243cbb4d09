//! A line of the log, read back: the text form and the JSON form, whatever was put before it.
//!
//! ```text
//! 2026-11-21T13:04:55.123Z INFO  took the job  event=taken job_id=j1 before="a \"b\"" last_line=0
//! ├─ time, 24 bytes ─────┤ ├────┤ ├─ text ──┤  ├── name ──┤├─ facts, values as words or quoted
//!
//! {"time":"2026-11-21T13:04:55.123Z","level":"info","event":"taken","text":"took the job",…}
//!
//! job-1  | <a line>        <17>Nov 21 13:04:55 web-1 csv-to-kafka[7]: <a line>       prefixes
//! {"log":"<a line>\n","stream":"stderr","time":"…"}                                  wrappings
//! ```
//!
//! Both forms come to the same [`LogLine`]: values are kept as texts, a number's as it is
//! written.

use serde_json::{Map, Value};

use crate::settings::Level;
use crate::wire::http::unix_seconds_rfc3339;

/// One line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Unix milliseconds.
    pub at_ms: u64,
    pub level: Level,
    pub event: String,
    pub text: String,
    pub facts: Vec<(String, String)>,
}

const TIME_BYTES: usize = 24;
/// The level, padded, and the blanks around it.
const LEVEL_BYTES: usize = 7;
const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];
/// Where collectors of logs put the line that they were given.
const WRAPPINGS: [&str; 5] = ["log", "message", "msg", "MESSAGE", "line"];
/// Wrappings in wrappings.
const DEPTH_MAX: u32 = 3;
/// What is larger counts nothing of ours, and could not be added up.
const NUMBER_MAX: u64 = 1 << 53;

impl LogLine {
    /// `None`: not a line of ours.
    pub fn parse(line: &str) -> Option<LogLine> {
        parse(line, DEPTH_MAX)
    }

    pub fn fact(&self, name: &str) -> Option<&str> {
        let found = self.facts.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.fact(name)?.parse().ok().filter(|number| *number <= NUMBER_MAX)
    }
}

fn parse(line: &str, depth: u32) -> Option<LogLine> {
    let plain = without_colour(line);
    // What is wrapped looks like the text form too, with too many backslashes.
    let found = object_in(&plain).and_then(|object| {
        let unwrapped = |depth: u32| {
            WRAPPINGS.iter().find_map(|name| parse(object.get(*name)?.as_str()?, depth))
        };
        of_object(&object).or_else(|| unwrapped(depth.checked_sub(1)?))
    });
    found.or_else(|| of_text(&plain))
}

/// The form for people.
fn of_text(line: &str) -> Option<LogLine> {
    // A collector's own time may come before ours; ours is followed by a level.
    line.match_indices("Z ").find_map(|(at, _)| {
        let time = line.get((at + 1).checked_sub(TIME_BYTES)?..=at)?;
        let at_ms = milliseconds(time)?;
        let level = line.get(at + 1..at + 1 + LEVEL_BYTES)?.to_ascii_lowercase();
        let level = level_of(level.trim())?;
        let said = line.get(at + 1 + LEVEL_BYTES..)?.trim_end();
        // A text may hold what looks like the beginning of the facts; these reach to the end.
        said.match_indices("  event=").find_map(|(end, _)| {
            let text = said.get(..end)?.trim_end().to_owned();
            let mut facts = facts_of(said.get(end + 2..)?)?;
            let (_, event) = facts.remove(0);
            if event.is_empty() {
                return None;
            }
            Some(LogLine { at_ms, level, event, text, facts })
        })
    })
}

/// `name=word name="quoted" …`, at least one.
fn facts_of(text: &str) -> Option<Vec<(String, String)>> {
    let mut facts = Vec::new();
    let mut rest = text;
    // Each turn takes a fact.
    loop {
        let (name, after) = rest.split_once('=')?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        let value_bytes = if after.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
            facts.push((name.to_owned(), values.next()?.ok()?));
            values.byte_offset()
        } else {
            let value = after.split(' ').next()?;
            facts.push((name.to_owned(), value.to_owned()));
            value.len()
        };
        rest = after.get(value_bytes..)?;
        if rest.is_empty() {
            return Some(facts);
        }
        rest = rest.strip_prefix(' ')?;
    }
}

/// The form for machines.
fn of_object(object: &Map<String, Value>) -> Option<LogLine> {
    let text = |name: &str| object.get(name)?.as_str();
    let known = ["time", "level", "event", "text"];
    let facts = object.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    Some(LogLine {
        at_ms: milliseconds(text("time")?)?,
        level: level_of(text("level")?)?,
        event: text("event")?.to_owned(),
        text: text("text")?.to_owned(),
        facts: facts.map(|(name, value)| (name.clone(), plain(value))).collect(),
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The object that a line holds, behind whatever prefix.
fn object_in(line: &str) -> Option<Map<String, Value>> {
    line.match_indices("{\"").take(DEPTH_MAX as usize).find_map(|(at, _)| {
        let mut values =
            serde_json::Deserializer::from_str(line.get(at..)?).into_iter::<Map<String, Value>>();
        values.next()?.ok()
    })
}

fn milliseconds(time: &str) -> Option<u64> {
    let seconds = u64::try_from(unix_seconds_rfc3339(time)?).ok()?;
    let fraction = time.get(20..23).filter(|_| time.len() == TIME_BYTES)?;
    Some(seconds * 1_000 + fraction.parse::<u64>().ok()?)
}

fn level_of(name: &str) -> Option<Level> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// Without `\x1b[…m`.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut parts = line.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let coded = part.find(|letter: char| !letter.is_ascii_digit() && letter != ';');
        let coded = coded.filter(|at| part.get(*at..).is_some_and(|rest| rest.starts_with('m')));
        plain.push_str(coded.and_then(|at| part.get(at + 1..)).unwrap_or(part));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"2026-01-01T00:00:00.001Z WARN  Kafka: trying again in 1.5 s (attempt 2)  event=retry peer=broker attempt=2 problem="a \"b\"  event=x\n=c" ratio=7.9 landed=true"#;
    const JSON: &str = r#"{"time":"2026-01-01T00:00:00.001Z","level":"warn","event":"retry","text":"Kafka: trying again in 1.5 s (attempt 2)","peer":"broker","attempt":2,"problem":"a \"b\"  event=x\n=c","ratio":7.9,"landed":true}"#;

    fn line() -> LogLine {
        let facts = [
            ("peer", "broker"),
            ("attempt", "2"),
            ("problem", "a \"b\"  event=x\n=c"),
            ("ratio", "7.9"),
            ("landed", "true"),
        ];
        LogLine {
            at_ms: 1_767_225_600_001,
            level: Level::Warn,
            event: "retry".into(),
            text: "Kafka: trying again in 1.5 s (attempt 2)".into(),
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    fn sorted(mut line: LogLine) -> LogLine {
        line.facts.sort();
        line
    }

    #[test]
    fn both_forms_behind_anything() {
        let wrapped = |inner: &str, name: &str| {
            let inner = Value::from(format!("{inner}\n"));
            format!(r#"{{"time":"2026-01-01T00:00:09Z","{name}":{inner},"stream":"stderr"}}"#)
        };
        for form in [TEXT, JSON] {
            for (name, line) in [
                ("bare", form.to_owned()),
                ("line ends", format!("{form} \r\n")),
                ("aws logs tail", format!("2026-01-01T00:00:00.001000+00:00 job/c/5f3a {form}")),
                ("docker logs -t", format!("2026-01-01T00:00:00.001234567Z {form}")),
                ("kubectl", format!("2026-01-01T00:00:00.001Z stderr F {form}")),
                ("compose", format!("\x1b[36mjob-1  |\x1b[0m {form}")),
                ("journald", format!("Jan 01 00:00:00 web-1 csv-to-kafka[4711]: {form}")),
                ("a json-file of docker", wrapped(form, "log")),
                ("journald -o json", wrapped(form, "MESSAGE")),
                ("wrapped twice", wrapped(&wrapped(form, "log"), "message")),
            ] {
                let found = LogLine::parse(&line).map(sorted);
                assert_eq!(found, Some(sorted(self::line())), "{name}: {line}");
            }
        }
        assert_eq!((line().number("attempt"), line().number("peer")), (Some(2), None));
    }

    #[test]
    fn numbers_that_count_nothing() {
        for (value, expected) in [
            ("0", Some(0)),
            ("9007199254740992", Some(1 << 53)),
            ("9007199254740993", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("7.9", None),
        ] {
            let facts = vec![("row".to_owned(), value.to_owned())];
            assert_eq!(LogLine { facts, ..line() }.number("row"), expected, "{value}");
        }
    }

    #[test]
    fn colours_are_no_text() {
        let line = "\x1b[2m2026-01-01T00:00:00.001Z\x1b[0m \x1b[1;31mERROR\x1b[0m said \x1b[2m event=ended a=1\x1b[0m";
        let found = LogLine::parse(line).unwrap();
        assert_eq!((found.text.as_str(), found.fact("a")), ("said", Some("1")));
        assert_eq!(found.level, Level::Error);
    }

    #[test]
    fn other_lines() {
        for line in [
            "",
            "Z INFO  x  event=a",
            "2026-01-01T00:00:00.001Z INFO  said, without facts",
            "2026-01-01T00:00:00.001Z INFO  said  event=",
            "2026-01-01T00:00:00.001Z INFO  said  event=a b",
            "2026-01-01T00:00:00.001Z LOUD  said  event=a",
            "2026-13-01T00:00:00.001Z INFO  said  event=a",
            r#"{"time":"2026-01-01T00:00:00.001Z","level":"info"}"#,
            r#"{"_aws":{"Timestamp":1},"RecordsPerSecond":7}"#,
            r#"{"log":"{\"log\":\"{\\\"log\\\":\\\"x\\\"}\"}"}"#,
            "{\"log\":",
            "äöü\u{1b}[31",
        ] {
            assert_eq!(LogLine::parse(line), None, "{line}");
        }
    }
}
