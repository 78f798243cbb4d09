//! The console: log lines and the progress bar on standard error, results on standard output.
//!
//! ```text
//! events ──words──> log::log! ─┐
//! libraries ──────> log::log! ─┴─> Capped ─> env_logger ─> standard error
//! results ──────────────────────────────────────────────> standard output
//! ```
//!
//! All lines pass the one logger, so that `LOG_LEVEL` and `RUST_LOG` hold for all of them, and
//! so that a bar on the terminal is wiped before a line is written over it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use log::LevelFilter;

use crate::settings::Level;

/// Our own lines go by this name; `RUST_LOG=csv_to_kafka=debug` means them.
const OWN: &str = "csv_to_kafka";
/// What a library may say at most, whatever `RUST_LOG` asks for: below this level the HTTP
/// client writes out what it sends, credentials among it.
const LIBRARIES_MAX: log::Level = log::Level::Info;

/// Wipes the line; then text that runs over the terminal's edge is cut, not wrapped.
const BAR_BEGIN: &str = "\r\x1b[K\x1b[?7l";
const BAR_END: &str = "\x1b[?7h";
const WIPE: &str = "\r\x1b[K";

static BAR_IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// Turns what a library says into one of our lines: level, who says it, what.
pub type LibraryLine = fn(Level, &str, &str) -> String;

pub struct Console {
    is_terminal: bool,
    colour: bool,
}

impl Console {
    /// Once in a process.
    pub fn start(
        level: Level,
        rust_log: Option<&str>,
        no_colour: bool,
        library_line: LibraryLine,
    ) -> Result<Console, String> {
        let mut builder = env_logger::Builder::new();
        builder.filter_level(filter(level).min(LevelFilter::Warn));
        builder.filter_module(OWN, filter(level));
        if let Some(filters) = rust_log {
            builder.parse_filters(filters);
        }
        builder.format(move |out, record| {
            if BAR_IS_DRAWN.swap(false, Ordering::Relaxed) {
                out.write_all(WIPE.as_bytes())?;
            }
            if is_own(record.target()) {
                return writeln!(out, "{}", record.args());
            }
            let said = record.args().to_string();
            writeln!(out, "{}", library_line(own_level(record.level()), record.target(), &said))
        });
        let logger = Capped(builder.build());
        log::set_max_level(logger.0.filter());
        log::set_boxed_logger(Box::new(logger)).map_err(|e| format!("there is a logger: {e}"))?;
        let is_terminal = io::stderr().is_terminal();
        Ok(Console { is_terminal, colour: is_terminal && !no_colour })
    }

    /// Somebody watches: a bar is of use.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub fn colour(&self) -> bool {
        self.colour
    }

    /// One line of the log, as it shall be written.
    pub fn line(&self, level: Level, line: &str) {
        let Some(level) = filter(level).to_level() else { return };
        log::log!(target: OWN, level, "{line}");
    }

    /// Writes the bar over the one before.
    #[expect(
        clippy::let_underscore_must_use,
        reason = "where nobody reads standard error any more, the copy goes on"
    )]
    pub fn bar(&self, bar: &str) {
        if self.is_terminal {
            BAR_IS_DRAWN.store(true, Ordering::Relaxed);
            let _ = write!(io::stderr().lock(), "{BAR_BEGIN}{bar}{BAR_END}");
        }
    }
}

/// Writes results to standard output. `Ok(false)`: nobody reads them any more.
pub fn result(bytes: &[u8]) -> Result<bool, String> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(format!("standard output can not be written: {e}")),
    }
}

/// Words for a person outside the log: a page of help, a result where standard output is
/// spoken for.
#[expect(
    clippy::let_underscore_must_use,
    reason = "where nobody reads standard error, there is nobody to tell"
)]
pub fn aside(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The libraries' part of the log, cut where it could hold a secret.
struct Capped(env_logger::Logger);

impl log::Log for Capped {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        (is_own(metadata.target()) || metadata.level() <= LIBRARIES_MAX) && self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_own(target: &str) -> bool {
    target == OWN || target.strip_prefix(OWN).is_some_and(|rest| rest.starts_with("::"))
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::Off,
        Level::Error => LevelFilter::Error,
        Level::Warn => LevelFilter::Warn,
        Level::Info => LevelFilter::Info,
        Level::Debug => LevelFilter::Debug,
        Level::Trace => LevelFilter::Trace,
    }
}

fn own_level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use log::Log as _;

    use super::*;

    #[test]
    fn libraries_are_cut_where_secrets_begin() {
        let mut builder = env_logger::Builder::new();
        builder.parse_filters("trace");
        let logger = Capped(builder.build());
        for (target, level, expected) in [
            ("csv_to_kafka", log::Level::Trace, true),
            ("csv_to_kafka::wire", log::Level::Trace, true),
            ("ureq", log::Level::Info, true),
            ("ureq", log::Level::Debug, false),
            ("ureq_proto::util", log::Level::Trace, false),
            ("csv_to_kafka_like", log::Level::Debug, false),
        ] {
            let metadata = log::Metadata::builder().target(target).level(level).build();
            assert_eq!(logger.enabled(&metadata), expected, "{target} {level}");
        }
    }
}
