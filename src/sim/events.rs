//! What happens in a world between the calls: requests arrive, replicas fetch, leaders change,
//! clocks and operators do what they do.

use std::sync::Arc;

use super::decode::{Stored, decode};
use super::leader::{Produced, Unknown};
use super::world::World;
use crate::limits::PRODUCE_TIMEOUT_MS;
use crate::wire::checkpoint::{Checkpoint, OnlyIf};

/// Idle connections are closed by the broker after this (`connections.max.idle.ms`).
pub(super) const IDLE_MS: u64 = 600_000;

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A produce request arrives, perhaps for the second time.
    Produce {
        conn: u64,
        lane: usize,
        replica: usize,
        topic_id: Option<String>,
        bytes: Arc<[u8]>,
        answered: bool,
    },
    Answer {
        conn: u64,
        code: i16,
        base: i64,
    },
    Cut {
        conn: u64,
    },
    /// The time-out of a produce request that waits for replicas.
    TimedOut {
        ticket: u64,
    },
    Replicate {
        lane: usize,
    },
    Store {
        change: Box<Checkpoint>,
        only_if: OnlyIf,
    },
    ChangeLeader {
        lane: usize,
        unaware: bool,
    },
    Learn {
        lane: usize,
    },
    Restart {
        lane: usize,
    },
    /// A follower stops fetching.
    Lag {
        lane: usize,
    },
    /// Who lags is not in sync any more.
    Shrink {
        lane: usize,
    },
    /// All followers fetch again.
    Recover {
        lane: usize,
    },
    Foreign {
        lane: usize,
        count: usize,
    },
    Remake {
        lane: usize,
    },
    /// Retention deletes this share of the log, in per mille.
    Delete {
        lane: usize,
        per_mille: usize,
    },
    LowerLimit {
        lane: usize,
        bytes: usize,
    },
    ReplaceSource,
    Python {
        behind: u64,
        with_status: bool,
    },
}

/// A connection, as the broker's side and the wire between see it.
#[derive(Debug, Clone)]
pub(super) struct Conn {
    pub(super) lane: usize,
    pub(super) replica: usize,
    pub(super) answer: Option<(i16, i64)>,
    pub(super) cut: bool,
    pub(super) used_at: u64,
}

/// An append whose answer waits for the replicas.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    ticket: u64,
    conn: u64,
    lane: usize,
    replica: usize,
    epoch: i32,
    base: i64,
    end: i64,
    answered: bool,
}

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Produce { conn, lane, replica, topic_id, bytes, answered } => {
                self.arrive(conn, lane, replica, topic_id.as_deref(), &bytes, answered);
            }
            Event::Answer { conn, code, base } => {
                if let Some(open) = self.conns.get_mut(&conn) {
                    open.answer = Some((code, base));
                }
                self.wake(conn);
            }
            Event::Cut { conn } => {
                if let Some(open) = self.conns.get_mut(&conn) {
                    open.cut = true;
                }
                self.wake(conn);
            }
            Event::TimedOut { ticket } => self.time_out(ticket),
            Event::Replicate { lane } => {
                self.replicating[lane] = false;
                self.parts[lane].replicate();
                self.settle(lane);
            }
            Event::Store { change, only_if } => {
                let done = self.ledger.write(&change, &only_if).is_ok();
                self.note(None, || {
                    let outcome = if done { "takes effect" } else { "is refused" };
                    format!("a late ledger write, revision {:?}, {outcome}", change.revision)
                });
                self.check_ledger();
            }
            Event::ChangeLeader { lane, unaware } => self.change_leader(lane, unaware),
            Event::Learn { lane } => self.learn(lane),
            Event::Restart { lane } => self.restart(lane),
            Event::Lag { lane } => {
                let part = &mut self.parts[lane];
                for replica in 0..part.nature.replicas {
                    part.lagging[replica] |= replica != part.leader;
                }
                self.note(None, || format!("lane {lane}: the followers lag"));
            }
            Event::Shrink { lane } => {
                self.parts[lane].shrink();
                let count = self.parts[lane].in_sync_count();
                self.note(None, || format!("lane {lane}: {count} in sync"));
                self.settle(lane);
            }
            Event::Recover { lane } => {
                if self.parts[lane].deposed.is_some() {
                    self.learn(lane);
                }
                self.parts[lane].heal();
                self.note(None, || format!("lane {lane}: all replicas are back"));
                self.settle(lane);
            }
            Event::Foreign { lane, count } => {
                let wall_ms = self.wall_ms();
                let values =
                    (0..count).map(|i| format!("{{\"other\":{i}}}").into_bytes()).collect();
                let stored = self.parts[lane].append(Stored::foreign(values, wall_ms));
                self.note(None, || {
                    format!(
                        "lane {lane}: somebody else appends {count} at {}",
                        stored.header.base_offset
                    )
                });
                self.check_log(lane);
                self.replicate_soon(lane);
            }
            Event::Remake { lane } => self.remake(lane),
            // The Python processor's records are all that tells how far it came, until that is
            // stored with an identity.
            Event::Delete { .. } if self.features.adopts && !self.is_taken_over() => {}
            Event::Delete { lane, per_mille } => self.delete(lane, per_mille),
            Event::LowerLimit { lane, bytes } => {
                self.parts[lane].max_message_bytes = bytes;
                self.features.limit_lowered = true;
                self.note(None, || format!("lane {lane}: max.message.bytes is {bytes}"));
            }
            // Before the job has pinned it, the new object is simply the source.
            Event::ReplaceSource
                if self.ledger.item.as_ref().is_none_or(|item| item.etag.is_none()) => {}
            Event::ReplaceSource => {
                let bytes = [&self.oracle.source[..], b"9,new,row,here\n"].concat();
                self.store.replace(&bytes);
                self.features.replaced = true;
                self.note(None, || "the object is replaced".into());
            }
            Event::Python { behind, with_status } => self.python(behind, with_status),
        }
    }

    fn wake(&mut self, conn: u64) {
        for process in &mut self.processes {
            if process.listens == Some(conn) {
                process.wake_at = process.wake_at.min(self.now);
            }
        }
    }

    fn arrive(
        &mut self,
        conn: u64,
        lane: usize,
        replica: usize,
        topic_id: Option<&str>,
        bytes: &[u8],
        answered: bool,
    ) {
        if self.now < self.down_until[lane] {
            self.note(None, || {
                format!("lane {lane}: a produce request is lost, the broker is down")
            });
            return self.happen(Event::Cut { conn });
        }
        match decode(bytes) {
            Err(problem) => return self.fail(format!("a batch was sent that is none: {problem}")),
            Ok(stored)
                if stored.header.producer_id < 0
                    && self.parts[lane].nature.unknown != Unknown::KnowsNone =>
            {
                return self.fail("a batch was sent with a negative producer id");
            }
            Ok(stored)
                if i64::from(stored.header.base_sequence)
                    + i64::from(stored.header.last_offset_delta)
                    > i64::from(i32::MAX) =>
            {
                return self.fail("a batch was sent that straddles the last sequence number");
            }
            Ok(_) => {}
        }
        let wall_ms = self.wall_ms();
        let produced = self.parts[lane].produce(replica, topic_id, bytes, wall_ms);
        self.note(None, || {
            format!("lane {lane}: produce at replica {replica} of {}: {produced:?}", shown(bytes))
        });
        self.check_log(lane);
        match produced {
            Produced::Now { code, base } => {
                if answered {
                    let delay_ms = self.rng.between(0, 3);
                    self.after(delay_ms, Event::Answer { conn, code, base });
                }
            }
            Produced::Waits { epoch, base, end } => {
                let ticket = self.serial();
                self.waiting.push(Waiting {
                    ticket,
                    conn,
                    lane,
                    replica,
                    epoch,
                    base,
                    end,
                    answered,
                });
                self.after(PRODUCE_TIMEOUT_MS, Event::TimedOut { ticket });
                self.replicate_soon(lane);
                self.settle(lane);
            }
        }
    }

    pub(super) fn replicate_soon(&mut self, lane: usize) {
        if !std::mem::replace(&mut self.replicating[lane], true) {
            let delay_ms = self.rng.between(0, 4);
            self.after(delay_ms, Event::Replicate { lane });
        }
    }

    /// Answers the appends that the replicas have now.
    fn settle(&mut self, lane: usize) {
        let part = &self.parts[lane];
        let mut done = Vec::new();
        self.waiting.retain(|waiting| {
            let code = (waiting.lane == lane && waiting.replica == part.leader)
                .then(|| part.settled(waiting.epoch, waiting.end))
                .flatten();
            if let (Some(code), true) = (code, waiting.answered) {
                done.push((waiting.conn, code, waiting.base));
            }
            code.is_none()
        });
        for (conn, code, base) in done {
            let delay_ms = self.rng.between(0, 3);
            self.after(delay_ms, Event::Answer { conn, code, base });
        }
    }

    fn time_out(&mut self, ticket: u64) {
        let Some(index) = self.waiting.iter().position(|waiting| waiting.ticket == ticket) else {
            return;
        };
        let waiting = self.waiting.remove(index);
        if waiting.answered {
            self.after(0, Event::Answer { conn: waiting.conn, code: 7, base: waiting.base });
        }
    }

    /// What waits at a broker that is gone is never answered.
    fn drop_waiting(&mut self, lane: usize, replica: usize) {
        self.waiting.retain(|waiting| waiting.lane != lane || waiting.replica != replica);
        let cut: Vec<u64> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.lane == lane && conn.replica == replica)
            .map(|(id, _)| *id)
            .collect();
        for conn in cut {
            self.happen(Event::Cut { conn });
        }
    }

    fn change_leader(&mut self, lane: usize, unaware: bool) {
        let (old, end) = (self.parts[lane].leader, self.parts[lane].log_end());
        let unaware = unaware && self.parts[lane].deposed.is_none();
        if !self.parts[lane].change_leader(&mut self.rng, unaware) {
            // Nobody may follow: the same broker comes back after a while.
            return self.restart(lane);
        }
        let (leader, now_end) = (self.parts[lane].leader, self.parts[lane].log_end());
        self.note(None, || {
            format!("lane {lane}: leader {old} -> {leader}, log end {end} -> {now_end}, unaware {unaware}")
        });
        self.check_log(lane);
        if unaware {
            let delay_ms = self.rng.between(10, 15_000);
            self.after(delay_ms, Event::Learn { lane });
        } else {
            self.drop_waiting(lane, old);
            let delay_ms = self.rng.between(10, 10_000);
            self.down_until[lane] = self.down_until[lane].max(self.now + delay_ms);
            let back_ms = delay_ms + self.rng.between(0, 20_000);
            self.after(back_ms, Event::Recover { lane });
        }
        // The watermark of the new leader stays behind for a while.
        self.replicating[lane] = true;
        let delay_ms = self.rng.between(1, 2_000);
        self.after(delay_ms, Event::Replicate { lane });
    }

    fn learn(&mut self, lane: usize) {
        let Some(old) = self.parts[lane].deposed.as_ref() else { return };
        let (replica, old_epoch) = (old.replica, old.epoch);
        self.parts[lane].learn();
        self.note(None, || format!("lane {lane}: replica {replica} learns that it leads no more"));
        let mut unanswered = Vec::new();
        self.waiting.retain(|waiting| {
            let gone =
                waiting.lane == lane && waiting.replica == replica && waiting.epoch == old_epoch;
            if gone && waiting.answered {
                unanswered.push((waiting.conn, waiting.base));
            }
            !gone
        });
        for (conn, base) in unanswered {
            let base = if self.rng.chance(500) { base } else { -1 };
            self.after(0, Event::Answer { conn, code: 6, base });
        }
        self.replicate_soon(lane);
    }

    fn restart(&mut self, lane: usize) {
        let wall_ms = self.wall_ms();
        self.parts[lane].restart(wall_ms);
        let leader = self.parts[lane].leader;
        self.drop_waiting(lane, leader);
        let delay_ms = self.rng.between(10, 8_000);
        self.down_until[lane] = self.now + delay_ms;
        self.note(None, || format!("lane {lane}: the broker restarts, {delay_ms} ms"));
    }

    fn remake(&mut self, lane: usize) {
        self.waiting.retain(|waiting| waiting.lane != lane);
        self.parts[lane].remake();
        let checked = &mut self.checked[lane];
        *checked = super::world::Checked::default();
        checked.remade = true;
        self.features.remade = true;
        for process in &mut self.processes {
            process.met_remade[lane] = false;
        }
        self.note(None, || format!("lane {lane}: the topic is made again"));
    }

    fn delete(&mut self, lane: usize, per_mille: usize) {
        self.check_log(lane);
        let part = &mut self.parts[lane];
        let before = part.log.len();
        let keep_from = before * per_mille.min(1000) / 1000;
        let Some(offset) = part.log.get(keep_from).map(|stored| stored.header.base_offset) else {
            return;
        };
        part.delete_below(offset);
        let gone = before - part.log.len();
        let log_start = part.log_start;
        self.features.deleted |= gone > 0;
        self.forget_front(lane, gone);
        self.note(None, || format!("lane {lane}: retention deletes up to {log_start}"));
    }

    fn is_taken_over(&self) -> bool {
        self.ledger.item.as_ref().is_some_and(|item| item.main.producers.is_some())
    }

    fn python(&mut self, behind: u64, with_status: bool) {
        let seconds = self.wall_ms() / 1000;
        let row = self.ledger.item.as_ref().and_then(|item| item.last_line).unwrap_or(0);
        self.ledger.overwrite(row.saturating_sub(behind), with_status, seconds);
        self.features.python = true;
        for checked in &mut self.checked {
            checked.remade = true;
        }
        self.note(None, || "the Python program overwrites the item".into());
    }
}

fn shown(bytes: &[u8]) -> String {
    match decode(bytes) {
        Ok(stored) => {
            let header = stored.header;
            let first = i64::from(header.base_sequence);
            let last = first + i64::from(header.last_offset_delta);
            format!("{}/{} {first}..={last}", header.producer_id, header.producer_epoch)
        }
        Err(problem) => problem,
    }
}
