//! What is said while a command runs: the console, and the words for it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::rc::Rc;

use csv_to_kafka::flow::job::Job;
use csv_to_kafka::flow::ports::Broker;
use csv_to_kafka::flow::{self, Outcome};
use csv_to_kafka::port::console::Console;
use csv_to_kafka::port::machine::{self, Machine};
use csv_to_kafka::port::spot::Spot;
use csv_to_kafka::settings::{Aws, Level, Log, LogFormat};
use csv_to_kafka::show::log::Line;
use csv_to_kafka::show::teller::{Said, Teller};
use csv_to_kafka::stop::Stop;

use super::places::Places;
use super::{Variables, one_problem};

/// The console, and the words for it.
pub(crate) struct Voice {
    console: Console,
    teller: Rc<RefCell<Teller>>,
    /// What ends a run besides a signal.
    spot: RefCell<Spot>,
}

impl Voice {
    pub(crate) fn new(log: Log, variables: &Variables) -> Result<Voice, String> {
        let text = |name: &str| variables.get(&OsString::from(name)).and_then(|v| v.to_str());
        let no_colour = text("NO_COLOR").is_some_and(|value| !value.is_empty());
        let library_line = match log.format {
            LogFormat::Text => |level: Level, target: &str, said: &str| {
                Line::library(level, target, said).text(machine::wall_ms(), false)
            },
            LogFormat::Json => |level: Level, target: &str, said: &str| {
                Line::library(level, target, said).json(machine::wall_ms())
            },
        };
        let console = Console::start(log.level, text("RUST_LOG"), no_colour, library_line)?;
        let teller = Teller::new(log.format, console.is_terminal(), console.colour());
        Ok(Voice { console, teller: Rc::new(RefCell::new(teller)), spot: RefCell::default() })
    }

    pub(crate) fn line(&self, line: &Line) {
        self.write(self.teller.borrow().line(line, machine::wall_ms()));
    }

    pub(crate) fn write(&self, said: Said) {
        match said {
            Said::Line(level, text) => self.console.line(level, &text),
            Said::Bar(text) => self.console.bar(&text),
            Said::Nothing => {}
        }
    }

    /// On an EC2 instance, worlds from here on end at its Spot notice.
    pub(crate) fn watch_spot(&self, aws: &Aws) {
        if !aws.spot_notice {
            return;
        }
        let spot = Spot::probe(&aws.variables);
        if spot.is_watched() {
            self.line(&Line::spot_watch());
        }
        self.spot.replace(spot);
    }

    /// The machine, which tells its events through this voice.
    pub(crate) fn world(&self) -> Result<Machine<'_>, Box<Stop>> {
        let tell = |event: &csv_to_kafka::event::Event<'_>, now: flow::ports::Now| {
            self.write(self.teller.borrow_mut().say(event, now.monotonic_ms, now.wall_ms));
        };
        let spot = self.spot.borrow().clone();
        Ok(Machine::new(Box::new(tell), spot).map_err(one_problem)?)
    }

    /// Runs the job, and says what becomes of it.
    pub(crate) fn follow<B: Broker>(
        &self,
        job: &Job,
        places: &mut Places,
        main: &mut B,
        dead: Option<&mut B>,
    ) -> Result<Outcome, Box<Stop>> {
        let mut world = self.world()?;
        let mut ports = places.ports(main, dead, &mut world);
        Ok(flow::run(job, &mut ports))
    }
}
