//! The program: runs a command and turns how it ended into an exit code. It and its commands
//! (`command/`) are the only ones that know all layers.
//!
//! ```text
//! run        S3 or file ─> flow ─> Kafka          checkpoint in DynamoDB or a file
//! check      all of these ─> flow ─> findings     nothing is changed
//! rehearse   S3 or file ─> flow ─> embedded log   checkpoint in a file beside it
//! verify     both ends of either ─> flow          what is where, the checkpoint says
//! dlq        Kafka or embedded log ─> flow       where, the checkpoint says
//! status     checkpoint ─> flow
//! report     a log ─> flow ─> a page
//! ```

#![forbid(unsafe_code)]

mod command;

use std::ffi::OsString;
use std::process::ExitCode;

use csv_to_kafka::cli::{self, Command, Given, Topic};
use csv_to_kafka::port::{console, machine};
use csv_to_kafka::show::help;
use csv_to_kafka::show::log::Line;
use csv_to_kafka::stop::EXIT_MEND;

use command::voice::Voice;
use command::{VERSION, Variables, check, letters, print, proof, report, run, sight};

/// The commit may be handed over by whoever builds: there is no build script to ask for it.
const COMMIT: Option<&str> = option_env!("CSV_TO_KAFKA_COMMIT");

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let variables: Variables = std::env::vars_os().collect();
    let parsed = cli::parse(&Given {
        arguments: &arguments,
        variables: &variables,
        read_file: &machine::read_small_file,
    });
    let voice = match Voice::new(parsed.log, &variables) {
        Ok(voice) => voice,
        Err(problem) => {
            console::aside(&problem);
            return ExitCode::from(EXIT_MEND);
        }
    };
    for warning in &parsed.warnings {
        voice.line(&Line::warning(warning));
    }
    let ended = match parsed.command {
        Ok(Command::Run(settings)) => run::run(&settings, &variables, &voice),
        Ok(Command::Check(asked)) => check::check(&asked, &variables, &voice),
        Ok(Command::Rehearse(asked)) => run::rehearse(&asked, &variables, &voice),
        Ok(Command::Verify(asked)) => proof::prove(&asked, &variables, &voice),
        Ok(Command::Dlq(asked)) => letters::collect(&asked, &variables, &voice),
        Ok(Command::Status(asked)) => sight::look(&asked, &variables, &voice),
        Ok(Command::Report(asked)) => report::report(&asked),
        Ok(Command::Help(topic)) => print(&page(topic)),
        Ok(Command::Version) => print(&version()),
        Ok(Command::Nothing) => {
            console::aside(help::SHORT.trim_end());
            Ok(EXIT_MEND)
        }
        Err(stop) => Err(Box::new(stop)),
    };
    ExitCode::from(ended.unwrap_or_else(|stop| {
        voice.line(&Line::stopped(&stop));
        stop.exit_code()
    }))
}

fn page(topic: Topic) -> String {
    match topic {
        Topic::Overview => help::OVERVIEW.to_owned(),
        Topic::Run => help::RUN.to_owned(),
        Topic::Check => help::CHECK.to_owned(),
        Topic::Rehearse => help::REHEARSE.to_owned(),
        Topic::Verify => help::VERIFY.to_owned(),
        Topic::Dlq => help::DLQ.to_owned(),
        Topic::Report => help::REPORT.to_owned(),
        Topic::Status => help::STATUS.to_owned(),
        Topic::Settings => help::settings(),
    }
}

fn version() -> String {
    let commit = COMMIT.map_or_else(String::new, |commit| format!(" ({commit})"));
    format!("csv-to-kafka {VERSION}{commit} {}\n", target())
}

/// The target triple; only a build script could ask for its name.
fn target() -> String {
    let vendor = if cfg!(target_vendor = "apple") { "apple" } else { "unknown" };
    let libc = if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "gnu") {
        "-gnu"
    } else {
        ""
    };
    format!("{}-{vendor}-{}{libc}", std::env::consts::ARCH, std::env::consts::OS)
}
