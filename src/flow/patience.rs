//! Attempts, delays, deadlines: all repeating has its ceiling here.

use super::ports::{Fault, Trouble};
use super::run::Run;
use crate::event::Event;
use crate::limits::{RETRY_DELAY_MS, RETRY_DELAY_MS_MAX, THROTTLES_MAX};
use crate::stop::{Peer, Stop};

/// Attempts in a row without progress, at one peer.
#[derive(Debug)]
pub struct Patience {
    peer: Peer,
    attempts: u32,
    since_ms: Option<u64>,
}

impl Patience {
    pub fn new(peer: Peer) -> Patience {
        Patience { peer, attempts: 0, since_ms: None }
    }

    /// Something worked: the next fault is the first one again.
    pub fn progress(&mut self) {
        self.attempts = 0;
        self.since_ms = None;
    }

    /// How long to wait after this fault, or that it was one too many.
    pub fn delay_ms(&mut self, run: &mut Run<'_, '_>, trouble: &Trouble) -> Result<u64, Stop> {
        let now_ms = run.now().monotonic_ms;
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let elapsed_ms = now_ms.saturating_sub(since_ms);
        self.attempts += 1;
        // A leader change takes 4 to 10 s: with few retries set, the broker gets its time.
        let floor_ms = if self.peer == Peer::Broker { run.broker_patience_ms } else { 0 };
        if self.attempts > run.job.retries_max && elapsed_ms >= floor_ms {
            return Err(Stop::GaveUp {
                peer: self.peer,
                attempts: self.attempts,
                seconds: elapsed_ms / 1000,
                problem: trouble.problem.clone(),
            });
        }
        let doubled_ms = RETRY_DELAY_MS.saturating_mul(1 << (self.attempts - 1).min(16));
        let full_ms = doubled_ms.min(RETRY_DELAY_MS_MAX);
        let jitter_ms = run.random() % (full_ms / 4 + 1);
        let delay_ms = (full_ms - jitter_ms).max(trouble.pause_ms);
        run.counts.progress.retries += 1;
        run.tell(&Event::Retry {
            peer: self.peer,
            attempt: self.attempts,
            delay_ms,
            problem: &trouble.problem,
        });
        Ok(delay_ms)
    }

    /// Waits after a fault, or gives up.
    pub fn wait(&mut self, run: &mut Run<'_, '_>, trouble: &Trouble) -> Result<(), Stop> {
        let delay_ms = self.delay_ms(run, trouble)?;
        run.wait_for(self.peer, |run| run.wait(delay_ms))
    }
}

/// Asks the broker again while it throttles us. It has refused nothing, so no attempt has failed;
/// and to begin anew with what was asked before would only ask for more than it gives.
pub fn unthrottled<T>(
    run: &mut Run<'_, '_>,
    mut ask: impl FnMut(&mut Run<'_, '_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    for _ in 0..THROTTLES_MAX {
        match ask(run) {
            Err(Fault::Passing(Trouble { pause_ms, .. })) if pause_ms > 0 => {
                run.counts.throttled_ms += pause_ms;
                run.tell(&Event::Throttled { pause_ms });
                run.wait(pause_ms).map_err(Fault::last)?;
            }
            settled => return settled,
        }
    }
    ask(run)
}

/// Repeats `attempt` until it is done, fails for good, or patience ends.
pub fn insist<T>(
    run: &mut Run<'_, '_>,
    peer: Peer,
    mut attempt: impl FnMut(&mut Run<'_, '_>) -> Result<T, Fault>,
) -> Result<T, Stop> {
    let mut patience = Patience::new(peer);
    loop {
        let outcome = run.wait_for(peer, |run| match peer {
            Peer::Broker => unthrottled(run, &mut attempt),
            Peer::Source | Peer::Ledger => attempt(run),
        });
        match outcome {
            Ok(done) => return Ok(done),
            Err(Fault::Final(stop)) => return Err(*stop),
            Err(Fault::Passing(trouble)) => patience.wait(run, &trouble)?,
        }
    }
}
