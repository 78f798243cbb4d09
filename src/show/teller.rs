//! What becomes of an event: a line of the log, the bar of a terminal, or nothing.
//!
//! The flow tells its progress several times a second. A terminal is drawn anew each time; a
//! log gets a line now and then.

use super::log::Line;
use super::progress::bar;
use crate::event::Event;
use crate::limits::PROGRESS_LOG_MS;
use crate::settings::{Level, LogFormat};

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Line(Level, String),
    Bar(String),
    Nothing,
}

pub struct Teller {
    pub format: LogFormat,
    /// A person watches a terminal.
    pub is_watched: bool,
    pub colour: bool,
    progress_at_ms: Option<u64>,
}

impl Teller {
    pub fn new(format: LogFormat, is_terminal: bool, colour: bool) -> Teller {
        let is_watched = is_terminal && format == LogFormat::Text;
        Teller { format, is_watched, colour, progress_at_ms: None }
    }

    pub fn say(&mut self, event: &Event<'_>, monotonic_ms: u64, wall_ms: u64) -> Said {
        if let Event::Progress(progress) = event {
            if self.is_watched {
                return Said::Bar(bar(progress));
            }
            let before = *self.progress_at_ms.get_or_insert(monotonic_ms);
            if monotonic_ms.saturating_sub(before) < PROGRESS_LOG_MS {
                return Said::Nothing;
            }
            self.progress_at_ms = Some(monotonic_ms);
        }
        self.line(&Line::of(event), wall_ms)
    }

    /// In the chosen format.
    pub fn line(&self, line: &Line, wall_ms: u64) -> Said {
        let text = match self.format {
            LogFormat::Text => line.text(wall_ms, self.colour),
            LogFormat::Json => line.json(wall_ms),
        };
        Said::Line(line.level, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;

    /// `.` nothing, `b` a bar, `l` a line.
    fn said(teller: &mut Teller, times_ms: &[u64]) -> String {
        let event = Event::Progress(Progress::default());
        times_ms
            .iter()
            .map(|at| match teller.say(&event, *at, 0) {
                Said::Line(..) => 'l',
                Said::Bar(_) => 'b',
                Said::Nothing => '.',
            })
            .collect()
    }

    #[test]
    fn progress_is_told_at_its_pace() {
        for (format, is_terminal, times_ms, expected) in [
            (LogFormat::Text, true, &[500, 700, 900][..], "bbb"),
            (LogFormat::Text, false, &[500, 10_499, 10_500, 10_600, 20_500], "..l.l"),
            (LogFormat::Json, true, &[0, 9_999, 10_000], "..l"),
        ] {
            let mut teller = Teller::new(format, is_terminal, false);
            assert_eq!(said(&mut teller, times_ms), expected, "{format:?} {is_terminal}");
        }
    }

    #[test]
    fn other_events_are_lines_at_once() {
        let mut teller = Teller::new(LogFormat::Text, true, false);
        let said = teller.say(&Event::Warning { text: "careful" }, 0, 0);
        let Said::Line(Level::Warn, text) = said else { panic!("{said:?}") };
        assert!(text.contains("careful"), "{text}");
    }
}
