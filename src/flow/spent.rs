//! Where a run's time goes. Each moment belongs to one purpose, so that the shares add up.
//!
//! ```text
//!   own ──┬─ source.read ─┬── own ──┬─ broker.confirm ─┬─ ledger.store ─┬─ broker ─┬── own
//!         └ switch ───────┘         └ switch           └ switch ────────┘          │
//! ```
//!
//! The clock is read where the purpose changes, never for a row. Milliseconds that are cut off
//! at one switch are found at the next one: nothing is lost on the way.

use super::run::Run;
use crate::event::Summary;
use crate::stop::Peer;

/// What time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Computing, or waiting for a processor.
    Own,
    /// Its answer, or the moment at which it is asked again.
    Peer(Peer),
    Brake,
    Metrics,
}

#[derive(Debug)]
pub struct Spent {
    on: On,
    since_ms: u64,
}

impl Spent {
    pub fn new(now_ms: u64) -> Spent {
        Spent { on: On::Own, since_ms: now_ms }
    }

    /// Books the time since the last switch, and answers what it was spent on.
    fn switch(&mut self, on: On, now_ms: u64, counts: &mut Summary) -> On {
        let spent_ms = now_ms.saturating_sub(self.since_ms);
        match self.on {
            // The rest of the whole.
            On::Own => {}
            On::Peer(Peer::Source) => counts.waited_source_ms += spent_ms,
            On::Peer(Peer::Broker) => counts.waited_broker_ms += spent_ms,
            On::Peer(Peer::Ledger) => counts.waited_ledger_ms += spent_ms,
            On::Brake => counts.braked_ms += spent_ms,
            On::Metrics => counts.metrics_ms += spent_ms,
        }
        self.since_ms = now_ms;
        std::mem::replace(&mut self.on, on)
    }
}

impl Run<'_, '_> {
    /// The time that `body` takes is spent on this, but for what it spends on something else.
    pub fn spend<T>(&mut self, on: On, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.switch(on);
        let out = body(self);
        self.switch(before);
        out
    }

    pub fn wait_for<T>(&mut self, peer: Peer, body: impl FnOnce(&mut Self) -> T) -> T {
        self.spend(On::Peer(peer), body)
    }

    fn switch(&mut self, on: On) -> On {
        let now_ms = self.now().monotonic_ms;
        self.spent.switch(on, now_ms, &mut self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_is_booked_once() {
        let (mut spent, mut counts) = (Spent::new(100), Summary::default());
        let broker = On::Peer(Peer::Broker);
        // At 110 the run turns to the broker, in whose midst the ledger has its turn.
        for (now_ms, on, expected) in [
            (110, broker, On::Own),
            (140, On::Peer(Peer::Ledger), broker),
            (145, broker, On::Peer(Peer::Ledger)),
            (150, On::Own, broker),
            (151, On::Peer(Peer::Source), On::Own),
            (160, On::Brake, On::Peer(Peer::Source)),
            (200, On::Own, On::Brake),
        ] {
            assert_eq!(spent.switch(on, now_ms, &mut counts), expected, "at {now_ms}");
        }
        counts.progress.elapsed_ms = 105;
        let Summary { waited_source_ms, waited_broker_ms, waited_ledger_ms, braked_ms, .. } =
            counts;
        assert_eq!([waited_source_ms, waited_broker_ms, waited_ledger_ms], [9, 35, 5]);
        assert_eq!((braked_ms, counts.own_ms()), (40, 16));
    }
}
