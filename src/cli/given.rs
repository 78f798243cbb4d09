//! The values that flags, variables and files give to the settings of the table, checked
//! against what the table says they take.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::near::nearest;
use super::{Given, printable, shown};
use crate::settings::{FILE_SUFFIX, Group, Setting, TABLE, Takes};

/// Prefixes of variables that are ours, among others' of the same prefix.
const PREFIXES: [&str; 4] = ["KAFKA_", "CSV_", "CHECKPOINT_", "S3_"];

/// A value and where it came from, as the messages name it.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub text: String,
    /// `KAFKA_TOPIC`, `--kafka-topic` or `KAFKA_SASL_PASSWORD_FILE`.
    pub origin: String,
    pub is_flag: bool,
}

/// The value of each setting that has one, and what is wrong so far.
pub(super) struct Values {
    by_name: BTreeMap<&'static str, Value>,
    /// Where a person's files are; no setting of ours.
    pub home: Option<String>,
    /// What goes in here is made printable first: it may repeat what somebody wrote.
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Values {
    /// A flag wins over the environment; an empty variable counts as not set.
    pub(super) fn read(
        given: &Given<'_>,
        flags: Vec<(&'static Setting, String)>,
        problems: Vec<String>,
    ) -> Values {
        let home = given.variables.get(&OsString::from("HOME")).and_then(|home| home.to_str());
        let mut values = Values {
            by_name: BTreeMap::new(),
            home: home.map(str::to_owned),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        for problem in problems {
            values.problem(problem);
        }
        for setting in TABLE {
            if let Some(value) = values.of_environment(setting, given) {
                values.by_name.insert(setting.name, value);
            }
        }
        // The older of the two names; AWS's own tools read it in this order too.
        if let Some(text) = values.variable("AWS_DEFAULT_REGION", given.variables) {
            let origin = "AWS_DEFAULT_REGION".to_owned();
            let value = Value { text, origin, is_flag: false };
            values.by_name.entry("AWS_REGION").or_insert(value);
        }
        for (setting, text) in flags {
            values
                .by_name
                .insert(setting.name, Value { text, origin: setting.flag(), is_flag: true });
        }
        values.warn_of_near_names(given.variables);
        values
    }

    /// Checks each value against the table.
    pub(super) fn check(&mut self) {
        // In the environment, whether those of AWS matter depends on the use of AWS.
        self.check_those(|setting, value| setting.group != Group::Aws || value.is_flag);
    }

    /// What [`Values::check`] has left out.
    pub(super) fn check_aws(&mut self) {
        self.check_those(|setting, value| setting.group == Group::Aws && !value.is_flag);
    }

    fn check_those(&mut self, is_meant: impl Fn(&Setting, &Value) -> bool) {
        for setting in TABLE {
            let Some(value) = self.by_name.get_mut(setting.name) else { continue };
            if !is_meant(setting, value) {
                continue;
            }
            let origin = value.origin.clone();
            let problem = match setting.takes {
                Takes::Text(_) => None,
                Takes::Whole { min, max } => match value.text.parse::<u64>() {
                    Ok(number) if (min..=max).contains(&number) => None,
                    _ => Some(format!(
                        "{origin}={} is not a whole number, {}",
                        shown(&value.text),
                        setting.values()
                    )),
                },
                Takes::OneOf(words) => choose(setting, words, value),
            };
            if let Some(problem) = problem {
                self.problem(problem);
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        assert!(Setting::find(name).is_some(), "{name} is in the table");
        self.by_name.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|value| value.text.as_str())
    }

    /// The value, or else the default of the table.
    pub(super) fn text_or_default(&self, name: &str) -> Cow<'_, str> {
        match (self.text(name), Setting::find(name)) {
            (Some(text), _) => Cow::Borrowed(text),
            (None, found) => Cow::Borrowed(found.map_or("", |setting| setting.default)),
        }
    }

    /// A number that [`Values::check`] has passed, or has complained about already.
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.text_or_default(name).parse().ok()
    }

    pub(super) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(printable(&problem.into()));
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(printable(&warning.into()));
    }

    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Given, but in a way that is a problem already: it is not missing.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.starts_with(name))
    }

    pub(super) fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn of_environment(&mut self, setting: &Setting, given: &Given<'_>) -> Option<Value> {
        let name = setting.name;
        let direct = self.variable(name, given.variables);
        if !setting.secret {
            return direct.map(|text| Value { text, origin: name.to_owned(), is_flag: false });
        }
        let file_name = format!("{name}{FILE_SUFFIX}");
        // A file that is read again and again is a setting of its own.
        let path = match Setting::find(&file_name) {
            Some(_) => None,
            None => self.variable(&file_name, given.variables),
        };
        match (direct, path) {
            (Some(_), Some(_)) => {
                self.problem(format!("{name} and {file_name} are both set; one of them is enough"));
                None
            }
            (Some(text), None) => Some(Value { text, origin: name.to_owned(), is_flag: false }),
            (None, Some(path)) => {
                let text = self.secret_in_file(&file_name, &path, given)?;
                Some(Value { text, origin: file_name, is_flag: false })
            }
            (None, None) => None,
        }
    }

    /// The contents without the line end that an editor leaves; nothing of it is ever shown.
    fn secret_in_file(&mut self, file_name: &str, path: &str, given: &Given<'_>) -> Option<String> {
        let bytes = match (given.read_file)(path) {
            Ok(bytes) => bytes,
            Err(problem) => {
                self.problem(format!("{file_name}={}: {problem}", shown(path)));
                return None;
            }
        };
        let Ok(mut text) = String::from_utf8(bytes) else {
            self.problem(format!("{file_name}={}: the file is not UTF-8", shown(path)));
            return None;
        };
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            self.problem(format!("{file_name}={}: the file is empty", shown(path)));
            return None;
        }
        Some(text)
    }

    fn variable(&mut self, name: &str, variables: &BTreeMap<OsString, OsString>) -> Option<String> {
        let value = variables.get(OsStr::new(name))?;
        if value.is_empty() {
            return None;
        }
        if value.to_str().is_none() {
            self.problem(format!("{name} is not UTF-8"));
        }
        value.to_str().map(str::to_owned)
    }

    /// Other systems put variables with our prefixes into the environment too (Kubernetes:
    /// `KAFKA_PORT`), so that only a name near to one of ours is worth a word.
    fn warn_of_near_names(&mut self, variables: &BTreeMap<OsString, OsString>) {
        for name in variables.keys().filter_map(|name| name.to_str()) {
            let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            if !ours || is_known(name) {
                continue;
            }
            let known = TABLE.iter().map(|setting| setting.name.to_owned());
            if let Some(near) = nearest(name, known) {
                self.warn(format!(
                    "the variable {} is not known and is ignored; is {near} meant?",
                    shown(name)
                ));
            }
        }
    }
}

fn is_known(name: &str) -> bool {
    let secret = name.strip_suffix(FILE_SUFFIX).and_then(Setting::find);
    Setting::find(name).is_some() || secret.is_some_and(|setting| setting.secret)
}

/// Puts the word of the table in place of what was written in other letters.
fn choose(setting: &Setting, words: &[&'static str], value: &mut Value) -> Option<String> {
    // Python's word for it.
    let alias = setting.name == "LOG_LEVEL" && value.text.eq_ignore_ascii_case("WARNING");
    let text = if alias { "warn" } else { value.text.as_str() };
    // What scripts write for a yes.
    let text = match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" if setting.name == "ENABLE_METRICS" => "true",
        "0" | "no" | "off" if setting.name == "ENABLE_METRICS" => "false",
        _ => text,
    };
    match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => {
            (*word).clone_into(&mut value.text);
            None
        }
        None => Some(format!(
            "{}={} is none of: {}",
            value.origin,
            shown(&value.text),
            words.join(", ")
        )),
    }
}
