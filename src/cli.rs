//! Arguments and environment in, a command with typed settings out; every problem at once.
//!
//! ```text
//! arguments ──> arguments::split ─┐
//! variables ──────────────────────┴─> given::Values ──check──> typed ──> Command
//!                                         └──────── problems ────────> Stop::Settings
//! ```
//!
//! The environment is handed in: nothing here reads it.

mod arguments;
mod bootstrap;
mod given;
mod look;
mod near;
mod security;
mod typed;

use std::collections::BTreeMap;
use std::ffi::OsString;

use self::arguments::Arguments;
use self::given::Values;
pub use self::look::{Collecting, Form, Looking, Proving, Reading};
use self::near::nearest;
use crate::settings::{KafkaSecurity, Level, Log, LogFormat, MetricsTo, Settings, SourceAt};
use crate::stop::Stop;

/// What a process is started with.
pub struct Given<'a> {
    /// Without the program's name.
    pub arguments: &'a [OsString],
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// Reads a small file whole, or says in words why not.
    pub read_file: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
}

/// What the process is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Run(Box<Settings>),
    Check(Box<Checking>),
    Rehearse(Box<Rehearsal>),
    Verify(Box<Proving>),
    Dlq(Box<Collecting>),
    Status(Box<Looking>),
    Report(Reporting),
    Help(Topic),
    Version,
    /// Neither a command nor a setting: the short help, and exit 1.
    Nothing,
}

/// A page out of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporting {
    /// `None`: standard input.
    pub path: Option<String>,
}

/// All that a run would need is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checking {
    /// Those of the run, or what is wrong with them, which is a finding like any other.
    pub settings: Result<Box<Settings>, Vec<String>>,
    /// What reading the settings warned of.
    pub warnings: Vec<String>,
    /// Values of rows may be shown.
    pub show_rows: bool,
    pub json: bool,
}

/// A run without a broker: the embedded log and the file ledger in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    pub settings: Settings,
    pub directory: String,
    /// Only the first rows.
    pub rows: Option<u64>,
    /// The records go to standard output.
    pub print: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Overview,
    Run,
    Check,
    Rehearse,
    Verify,
    Dlq,
    Status,
    Report,
    Settings,
}

/// The command, or why there is none; and how to speak in either case.
#[derive(Debug)]
pub struct Parsed {
    pub command: Result<Command, Stop>,
    pub warnings: Vec<String>,
    pub log: Log,
}

/// Understands what the process was started with.
pub fn parse(given: &Given<'_>) -> Parsed {
    let mut problems = Vec::new();
    let mut arguments = arguments::split(given.arguments, &mut problems);
    if arguments.help || arguments.version {
        return Parsed { command: Ok(asked(&arguments)), warnings: Vec::new(), log: DEFAULT_LOG };
    }
    let flags = std::mem::take(&mut arguments.settings);
    let mut values = Values::read(given, flags, problems);
    let command = command(&arguments, &mut values, given);
    let log = typed::log(&values);
    let warnings = values.take_warnings();
    let problems = values.take_problems();
    let command = match command {
        Some(command) if problems.is_empty() => Ok(command),
        _ => Err(Stop::Settings(problems)),
    };
    Parsed { command, warnings, log }
}

/// The job of a rehearsal that is given no name.
const REHEARSAL_JOB: &str = "rehearsal";

const DEFAULT_LOG: Log = Log { level: Level::Info, format: LogFormat::Text };

fn asked(arguments: &Arguments) -> Command {
    if arguments.version && !arguments.help {
        return Command::Version;
    }
    let command = arguments.command.as_deref();
    let word =
        if command == Some("help") { arguments.words.first().map(String::as_str) } else { command };
    Command::Help(word.and_then(topic).unwrap_or(Topic::Overview))
}

fn topic(word: &str) -> Option<Topic> {
    match word {
        "run" => Some(Topic::Run),
        "check" => Some(Topic::Check),
        "rehearse" => Some(Topic::Rehearse),
        "verify" => Some(Topic::Verify),
        "dlq" => Some(Topic::Dlq),
        "status" => Some(Topic::Status),
        "report" => Some(Topic::Report),
        "settings" => Some(Topic::Settings),
        "help" => Some(Topic::Overview),
        _ => None,
    }
}

/// `None`: there are problems.
fn command(arguments: &Arguments, values: &mut Values, given: &Given<'_>) -> Option<Command> {
    let words = arguments.words.as_slice();
    match (arguments.command.as_deref(), words) {
        (None, _) if is_bare(arguments, values) => Some(Command::Nothing),
        (None | Some("run"), []) => run(arguments, values, given),
        (Some("run"), _) => {
            values.problem(format!(
                "run takes no argument, but {} is given; the source is a setting: --source {}",
                shown(&words.join(" ")),
                shown(words.first().map_or("", String::as_str))
            ));
            run(arguments, values, given)
        }
        (Some("check"), _) => Some(check(arguments, values, given)),
        (Some("rehearse"), _) => rehearse(arguments, values),
        (Some("verify"), _) => {
            refuse_flags("verify", arguments, values);
            let proving = look::verify(arguments, values, given);
            proving.map(|proving| Command::Verify(Box::new(proving)))
        }
        (Some("dlq"), _) => {
            refuse_flags("dlq", arguments, values);
            let collecting = look::dlq(arguments, values, given);
            collecting.map(|collecting| Command::Dlq(Box::new(collecting)))
        }
        (Some("status"), _) => {
            refuse_flags("status", arguments, values);
            let looking = look::status(arguments, values);
            looking.map(|looking| Command::Status(Box::new(looking)))
        }
        (Some("report"), _) => {
            refuse_flags("report", arguments, values);
            report(words, values).map(Command::Report)
        }
        (Some("help"), []) => Some(Command::Help(Topic::Overview)),
        (Some("help"), [word, ..]) => {
            let found = topic(word);
            if found.is_none() {
                values.problem(format!(
                    "there is no help on {}; there is on: run, check, rehearse, verify, dlq, status, report, settings",
                    shown(word)
                ));
            }
            found.map(Command::Help)
        }
        (Some("version"), _) => Some(Command::Version),
        (Some(word), _) => {
            values.problem(no_such_command(word));
            None
        }
        (None, [_, ..]) => None,
    }
}

/// Nothing was asked for, by no argument and by no setting that a job can not do without.
fn is_bare(arguments: &Arguments, values: &Values) -> bool {
    let required = [
        "SOURCE",
        "S3_BUCKET",
        "S3_KEY",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_TOPIC",
        "CHECKPOINT",
        "DYNAMODB_TABLE",
    ];
    arguments.command.is_none()
        && values.problems().is_empty()
        && required.iter().all(|name| values.get(name).is_none())
}

fn no_such_command(word: &str) -> String {
    let known =
        ["run", "check", "rehearse", "verify", "dlq", "status", "report", "help", "version"]
            .map(str::to_owned);
    match nearest(word, known.into_iter()) {
        Some(near) => format!("there is no command {}; is {near} meant?", shown(word)),
        None => format!(
            "there is no command {}; there are: run, check, rehearse, verify, dlq, status, report, help",
            shown(word)
        ),
    }
}

fn run(arguments: &Arguments, values: &mut Values, given: &Given<'_>) -> Option<Command> {
    refuse_flags("run", arguments, values);
    run_settings(values, given).map(|settings| Command::Run(Box::new(settings)))
}

fn run_settings(values: &mut Values, given: &Given<'_>) -> Option<Settings> {
    values.check();
    let source = typed::source(values);
    let checkpoint = typed::checkpoint(values);
    let bootstrap_servers = typed::bootstrap_servers(values);
    let security = security::security(values, bootstrap_servers.as_deref(), given.read_file);
    let topic = typed::topic(values, "KAFKA_TOPIC");
    if topic.is_none() && values.get("KAFKA_TOPIC").is_none() {
        values.problem("KAFKA_TOPIC is missing: the topic to copy to");
    }
    let job_id = values.text_or_default("JOB_ID").into_owned();
    let places = typed::Places { source, checkpoint, bootstrap_servers, topic, security, job_id };
    typed::settings(values, places)
}

/// Also where the settings are wrong: that is what it is to find.
fn check(arguments: &Arguments, values: &mut Values, given: &Given<'_>) -> Command {
    if let Some(word) = arguments.words.first() {
        values.problem(format!(
            "check takes no argument, but {} is given; the source is a setting: --source {0}",
            shown(word)
        ));
    }
    refuse_flags("check", arguments, values);
    let settings = run_settings(values, given);
    let problems = values.take_problems();
    let settings = match settings {
        Some(settings) if problems.is_empty() => Ok(Box::new(settings)),
        _ => Err(problems),
    };
    let warnings = values.take_warnings();
    let Arguments { show_rows, json, .. } = *arguments;
    Command::Check(Box::new(Checking { settings, warnings, show_rows, json }))
}

fn report(words: &[String], values: &mut Values) -> Option<Reporting> {
    match words {
        [] => Some(Reporting { path: None }),
        [path] => Some(Reporting { path: Some(path.clone()).filter(|path| path != "-") }),
        [_, extra, ..] => {
            values.problem(format!("report takes one log; {} is too many", shown(extra)));
            None
        }
    }
}

fn refuse_flags(command: &str, arguments: &Arguments, values: &mut Values) {
    for problem in arguments.foreign_flags(command) {
        values.problem(problem);
    }
}

fn rehearse(arguments: &Arguments, values: &mut Values) -> Option<Command> {
    refuse_flags("rehearse", arguments, values);
    values.check();
    let source = match arguments.words.as_slice() {
        [] => typed::source(values),
        [word] => typed::source_at("rehearse", word, values),
        [_, extra, ..] => {
            values.problem(format!("rehearse takes one source; {} is too many", shown(extra)));
            None
        }
    };
    let rows = arguments.rows.as_ref().and_then(|text| match text.parse::<u64>() {
        Ok(rows) if rows > 0 => Some(rows),
        _ => {
            values.problem(format!("--rows={} is not a whole number, 1 or more", shown(text)));
            None
        }
    });
    let directory = arguments
        .directory
        .clone()
        .or_else(|| source.as_ref().map(default_directory))
        .unwrap_or_default();
    let topic = match values.get("KAFKA_TOPIC") {
        Some(_) => typed::topic(values, "KAFKA_TOPIC"),
        None => Some("rehearsal".to_owned()),
    };
    let places = typed::Places {
        source,
        checkpoint: Some(typed::file_in(&directory)),
        bootstrap_servers: Some(Vec::new()),
        topic,
        security: Some(KafkaSecurity::default()),
        job_id: values.text("JOB_ID").unwrap_or(REHEARSAL_JOB).to_owned(),
    };
    let settings = typed::settings(values, places)?;
    let print = arguments.print;
    if print && settings.metrics.to == MetricsTo::Lines {
        values.problem("METRICS=emf and --print both write to standard output; set METRICS=off");
        return None;
    }
    Some(Command::Rehearse(Box::new(Rehearsal { settings, directory, rows, print })))
}

/// `orders.csv` is rehearsed in `./rehearsal-orders.csv`.
fn default_directory(source: &SourceAt) -> String {
    let whole = match source {
        SourceAt::S3 { key, .. } => key,
        SourceAt::File(path) => path,
    };
    let name = whole.rsplit('/').find(|part| !part.is_empty()).unwrap_or("source");
    format!("rehearsal-{name}")
}

/// What somebody wrote, not endless. A message that repeats it is made [`printable`] as a whole.
fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 120;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters as their names, so that a message is one line and steers no terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

#[cfg(test)]
#[path = "cli/tests.rs"]
mod tests;
