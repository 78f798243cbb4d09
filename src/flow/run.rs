//! One run of a job: what it holds, how it waits, what it answers.

use super::copy::copy;
use super::finish::finish;
use super::job::Job;
use super::keeper::Keeper;
use super::letters::Sides;
use super::metrics::Meter;
use super::ports::{Broker, Ledger, Metrics, Now, Ports, Source, World};
use super::resume::resume;
use super::spent::Spent;
use crate::event::{Event, Lane as Which, Progress, Summary};
use crate::limits::{BROKER_PATIENCE_MS, WAIT_SLICE_MS};
use crate::stop::Stop;

#[derive(Debug)]
pub struct Outcome {
    pub stop: Stop,
    pub summary: Summary,
}

/// Runs the job until it is complete or can not go on.
pub fn run(job: &Job, ports: &mut Ports<'_>) -> Outcome {
    let mut run = Run::new(job, ports);
    let stop = match resume(&mut run) {
        Ok(mut course) => {
            let stop = copy(&mut run, &mut course);
            let stop = finish(&mut run, Some(&course), stop);
            run.put_last_figures(&stop);
            let summary = run.summary();
            run.tell(&Event::Totals(summary));
            stop
        }
        Err(stop) => {
            let stop = finish(&mut run, None, stop);
            run.put_last_figures(&stop);
            stop
        }
    };
    let summary = run.summary();
    run.tell(&Event::Ended { stop: &stop, summary });
    Outcome { stop, summary }
}

/// What every step of the flow has at hand.
pub struct Run<'a, 'p> {
    pub job: &'a Job,
    /// A run that only reads the ledger has neither source nor partitions.
    source: Option<&'a mut (dyn Source + 'p)>,
    main: Option<&'a mut (dyn Broker + 'p)>,
    dead: Option<&'a mut (dyn Broker + 'p)>,
    ledger: &'a mut (dyn Ledger + 'p),
    pub(super) metrics: Option<&'a mut (dyn Metrics + 'p)>,
    world: &'a mut (dyn World + 'p),
    pub keeper: Keeper,
    pub counts: Summary,
    pub(super) spent: Spent,
    pub(super) meter: Meter,
    pub source_bytes: u64,
    /// At least this long a broker is asked again.
    pub broker_patience_ms: u64,
    began_ms: u64,
    pub(super) began_row: Option<u64>,
}

impl<'a, 'p> Run<'a, 'p> {
    pub(super) fn new(job: &'a Job, ports: &'a mut Ports<'p>) -> Run<'a, 'p> {
        let mut run = Run::of_ledger(job, &mut *ports.ledger, &mut *ports.world);
        run.source = Some(&mut *ports.source);
        run.main = Some(&mut *ports.main);
        run.dead = match &mut ports.dead {
            Some(dead) => Some(&mut **dead),
            None => None,
        };
        run.metrics = match &mut ports.metrics {
            Some(metrics) => Some(&mut **metrics),
            None => None,
        };
        run
    }

    /// For what reads both partitions, and no source.
    pub(super) fn of_partitions(job: &'a Job, sides: &'a mut Sides<'p>) -> Run<'a, 'p> {
        let mut run = Run::of_ledger(job, &mut *sides.ledger, &mut *sides.world);
        run.main = Some(&mut *sides.main);
        run.dead = Some(&mut *sides.dead);
        run
    }

    /// For what only reads the ledger.
    pub(super) fn of_ledger(
        job: &'a Job,
        ledger: &'a mut (dyn Ledger + 'p),
        world: &'a mut (dyn World + 'p),
    ) -> Run<'a, 'p> {
        let began_ms = world.now().monotonic_ms;
        let run_id = format!("{:016x}{:016x}", world.random(), world.random());
        Run {
            job,
            keeper: Keeper::new(job, run_id, began_ms),
            source: None,
            main: None,
            dead: None,
            ledger,
            metrics: None,
            world,
            counts: Summary::default(),
            spent: Spent::new(began_ms),
            meter: Meter::default(),
            source_bytes: 0,
            broker_patience_ms: BROKER_PATIENCE_MS,
            began_ms,
            began_row: None,
        }
    }

    pub fn source(&mut self) -> &mut dyn Source {
        match &mut self.source {
            Some(source) => &mut **source,
            None => unreachable!("a run of the ledger alone opens no source"),
        }
    }

    pub fn ledger(&mut self) -> &mut dyn Ledger {
        self.ledger
    }

    pub fn broker(&mut self, which: Which) -> &mut dyn Broker {
        match self.place_of(which) {
            Some(broker) => &mut **broker,
            None => unreachable!("a lane without its port, or parted with"),
        }
    }

    /// The port apart from the run, for a visitor that needs the run while the port reads; the
    /// run does without it from then on.
    pub fn part_with(&mut self, which: Which) -> &'a mut (dyn Broker + 'p) {
        match self.place_of(which).take() {
            Some(broker) => broker,
            None => unreachable!("a lane without its port, or parted with twice"),
        }
    }

    fn place_of(&mut self, which: Which) -> &mut Option<&'a mut (dyn Broker + 'p)> {
        match which {
            Which::Main => &mut self.main,
            Which::Dead => &mut self.dead,
        }
    }

    pub fn now(&mut self) -> Now {
        self.world.now()
    }

    pub fn random(&mut self) -> u64 {
        self.world.random()
    }

    pub fn is_gone(&mut self, host: &str) -> bool {
        self.world.is_gone(host)
    }

    pub fn tell(&mut self, event: &Event<'_>) {
        self.world.tell(event);
    }

    pub fn stop_asked(&mut self) -> Result<(), Stop> {
        match self.world.stop_asked() {
            Some(by) => Err(Stop::Interrupted { by }),
            None => Ok(()),
        }
    }

    /// Waits, and meanwhile renews the lease and looks for a request to stop.
    pub fn wait(&mut self, wait_ms: u64) -> Result<(), Stop> {
        let mut left_ms = wait_ms;
        // A clock that stands still must not make this endless: the slices count, not the time.
        loop {
            self.stop_asked()?;
            if left_ms == 0 {
                return Ok(());
            }
            let slice_ms = left_ms.min(WAIT_SLICE_MS);
            self.world.wait(slice_ms);
            left_ms -= slice_ms;
            self.tend()?;
            self.pulse(true);
        }
    }

    /// Writes the checkpoint if it is due. That it can not be written is no reason to stop.
    pub fn tend(&mut self) -> Result<(), Stop> {
        let now = self.now();
        if self.keeper.is_due(now.monotonic_ms) { super::keeper::checkpoint(self) } else { Ok(()) }
    }

    pub fn progress(&mut self) -> Progress {
        let elapsed_ms = self.now().monotonic_ms.saturating_sub(self.began_ms);
        let settled = self.keeper.settled();
        let began_row = self.began_row.unwrap_or(settled.row);
        Progress {
            row: settled.row,
            rows_here: settled.row.saturating_sub(began_row),
            dead_letters: settled.dead_ordinal,
            byte_offset: settled.next_byte,
            source_bytes: self.source_bytes,
            elapsed_ms,
            ..self.counts.progress
        }
    }

    pub(super) fn summary(&mut self) -> Summary {
        Summary { progress: self.progress(), ..self.counts }
    }
}
