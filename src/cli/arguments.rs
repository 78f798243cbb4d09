//! The command line, split: a command, its own flags, flags of settings, and what is left.
//!
//! ```text
//! csv-to-kafka [run | check | rehearse [SOURCE] | verify [JOB] | dlq [JOB] | status [JOB … | --all] | report [LOG] | help [TOPIC]] [--setting value | --setting=value …]
//! ```

use std::ffi::OsString;

use super::near::nearest;
use super::shown;
use crate::settings::{FILE_SUFFIX, Setting, TABLE};

/// What the words of the command line are, before any of them is understood.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag without a value")]
pub(super) struct Arguments {
    /// The first word that is no flag.
    pub command: Option<String>,
    /// The words after it.
    pub words: Vec<String>,
    /// Flags of settings, each once.
    pub settings: Vec<(&'static Setting, String)>,
    /// Flags of `rehearse`.
    pub rows: Option<String>,
    pub directory: Option<String>,
    pub print: bool,
    /// Flags of the commands that only look.
    pub headers: bool,
    pub exclusive: bool,
    pub json: bool,
    pub csv: bool,
    pub show_rows: bool,
    pub watch: bool,
    pub all: bool,
    pub stale: Option<String>,
    pub help: bool,
    pub version: bool,
}

/// Splits the command line; what is wrong with it goes to `problems`.
pub(super) fn split(arguments: &[OsString], problems: &mut Vec<String>) -> Arguments {
    let mut split = Arguments::default();
    let mut rest = arguments.iter().enumerate().peekable();
    while let Some((index, argument)) = rest.next() {
        let Some(argument) = argument.to_str() else {
            problems.push(format!("argument {} is not UTF-8", index + 1));
            continue;
        };
        if !argument.starts_with('-') || argument == "-" {
            split.word(argument);
            continue;
        }
        if is_pem(argument) {
            // Perhaps a key: it is not repeated.
            problems.push(format!(
                "argument {} is the text of a certificate or a key; set KAFKA_SSL_CA_PEM, KAFKA_SSL_CERT_PEM or KAFKA_SSL_KEY_PEM to it",
                index + 1
            ));
            continue;
        }
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument, None),
        };
        match (flag, &attached) {
            ("--help" | "-h", None) => split.help = true,
            ("--version" | "-V", None) => split.version = true,
            ("--print", None) => split.print = true,
            ("--headers", None) => split.headers = true,
            ("--exclusive", None) => split.exclusive = true,
            ("--json", None) => split.json = true,
            ("--csv", None) => split.csv = true,
            ("--show-rows", None) => split.show_rows = true,
            ("--watch", None) => split.watch = true,
            ("--all", None) => split.all = true,
            (
                "--help" | "-h" | "--version" | "-V" | "--print" | "--headers" | "--exclusive"
                | "--json" | "--csv" | "--watch" | "--all" | "--show-rows",
                Some(_),
            ) => {
                problems.push(format!("{flag} takes no value"));
            }
            _ => {
                let target = Target::of(flag, problems);
                if matches!(target, Target::None) {
                    continue;
                }
                // A value that looks like a flag is one that was forgotten.
                let next = || {
                    let value = rest.peek()?.1.to_str()?;
                    if value.starts_with("--") && !is_pem(value) {
                        return None;
                    }
                    rest.next()?.1.to_str().map(str::to_owned)
                };
                match attached.or_else(next) {
                    None => problems.push(format!("{flag} needs a value")),
                    Some(value) if value.is_empty() => {
                        problems.push(format!("{flag} is given an empty value"));
                    }
                    Some(value) => split.flag(flag, &target, value, problems),
                }
            }
        }
    }
    split
}

/// Whether it begins as PEM does, which looks like a flag.
fn is_pem(argument: &str) -> bool {
    argument.starts_with("-----BEGIN ")
}

/// Where the value of a flag goes.
enum Target {
    Rows,
    Directory,
    Stale,
    Setting(&'static Setting),
    /// A secret on the command line: it is refused, and shown in no message.
    Nowhere,
    /// An unknown flag: whether it has a value is not known.
    None,
}

impl Target {
    fn of(flag: &str, problems: &mut Vec<String>) -> Target {
        match flag {
            "--rows" => return Target::Rows,
            "--directory" => return Target::Directory,
            "--stale" => return Target::Stale,
            "--dry-run" => {
                problems.push(
                    "there is no --dry-run: the command `check` looks at all that a run needs and changes nothing; `rehearse` copies the source with no Kafka at all"
                        .to_owned(),
                );
                return Target::None;
            }
            _ => {}
        }
        if let Some(setting) = TABLE.iter().find(|setting| setting.has_flag(flag)) {
            if !setting.secret {
                return Target::Setting(setting);
            }
            let name = setting.name;
            problems.push(format!(
                "{flag}: a secret is never an argument, which other users of the machine can see; set the variable {name}, or {name}{FILE_SUFFIX} to a file that holds it"
            ));
            return Target::Nowhere;
        }
        let own = ["--help", "--version"].into_iter().chain(OWN_FLAGS.map(|(flag, _)| flag));
        let known = TABLE.iter().map(Setting::flag).chain(own.map(str::to_owned));
        let Some(near) = nearest(flag, known) else {
            problems.push(format!("unknown flag {}; see csv-to-kafka help settings", shown(flag)));
            return Target::None;
        };
        let meant = TABLE.iter().find(|setting| setting.secret && setting.has_flag(&near));
        if let Some(Setting { name, .. }) = meant {
            problems.push(format!(
                "unknown flag {}; if a secret is meant, it is never an argument: set the variable {name}, or {name}{FILE_SUFFIX} to a file that holds it",
                shown(flag)
            ));
            return Target::Nowhere;
        }
        problems.push(format!("unknown flag {}; {near} is the nearest known one", shown(flag)));
        Target::None
    }
}

/// The commands' own flags, and whose each is.
const OWN_FLAGS: [(&str, &[&str]); 11] = [
    ("--rows", &["rehearse"]),
    ("--directory", &["rehearse", "verify", "dlq", "status"]),
    ("--print", &["rehearse"]),
    ("--headers", &["verify"]),
    ("--exclusive", &["verify"]),
    ("--json", &["check", "verify", "dlq", "status"]),
    ("--csv", &["dlq"]),
    ("--show-rows", &["check"]),
    ("--watch", &["status"]),
    ("--all", &["status"]),
    ("--stale", &["status"]),
];

impl Arguments {
    /// Flags that are given and that this command does not have.
    pub(super) fn foreign_flags(&self, command: &str) -> Vec<String> {
        let given = [
            self.rows.is_some(),
            self.directory.is_some(),
            self.print,
            self.headers,
            self.exclusive,
            self.json,
            self.csv,
            self.show_rows,
            self.watch,
            self.all,
            self.stale.is_some(),
        ];
        OWN_FLAGS
            .iter()
            .zip(given)
            .filter(|((_, commands), given)| *given && !commands.contains(&command))
            .map(|((flag, commands), _)| {
                format!("{flag} is a flag of {} only", commands.join(", "))
            })
            .collect()
    }

    fn word(&mut self, word: &str) {
        if self.command.is_none() {
            self.command = Some(word.to_owned());
        } else {
            self.words.push(word.to_owned());
        }
    }

    fn flag(&mut self, flag: &str, target: &Target, value: String, problems: &mut Vec<String>) {
        let before = match target {
            Target::Rows => self.rows.replace(value),
            Target::Directory => self.directory.replace(value),
            Target::Stale => self.stale.replace(value),
            Target::Setting(setting) => {
                let before = self.settings.iter().position(|(other, _)| other.name == setting.name);
                let before = before.map(|index| self.settings.remove(index).1);
                self.settings.push((setting, value));
                before
            }
            Target::Nowhere | Target::None => None,
        };
        if before.is_some() {
            problems.push(format!("{flag} is given twice"));
        }
    }
}
