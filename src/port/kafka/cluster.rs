//! Finding the partition's leader: any broker tells, the leader is followed.
//!
//! One connection is kept, to the leader. A broker that is only asked for Metadata is let go
//! again, unless it is the leader itself.

use std::time::Duration;

use crate::flow::ports::{Fault, Missing, Trouble};
use crate::limits::CONNECT_MS_MIN;
use crate::port::stream::Deadline;
use crate::settings::KafkaClient;
use crate::stop::Stop;
use crate::wire::compress::Compression;
use crate::wire::kafka::answers::{self, Metadata, PartitionState};
use crate::wire::kafka::errors::{LEADER_NOT_AVAILABLE, show_error};
use crate::wire::kafka::requests::Ask;
use crate::wire::kafka::show_server;
use crate::wire::kafka::versions::PRODUCE_WITH_ZSTD;

use super::connection::{Connected, Failure, Ready, dial};
use super::{KafkaConfig, KafkaPartition, compat, show_topic_id, verdict};

/// How many unreachable brokers one message names.
const NAMED_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) epoch: i32,
}

impl Leader {
    pub(super) fn show(&self) -> String {
        show_server(&self.host, self.port)
    }
}

impl KafkaPartition {
    /// Asks brokers until one answers, and follows the leader that it names.
    pub(super) fn locate(
        &mut self,
        deadline: &mut Deadline,
    ) -> Result<(Metadata, PartitionState), Fault> {
        let metadata = self.ask_any(deadline)?;
        self.known.clone_from(&metadata.brokers);
        let state = self.judge(&metadata)?;
        let leader = metadata
            .brokers
            .iter()
            .find(|node| node.id == state.leader_id)
            .ok_or_else(|| Fault::passing(format!("{} has no leader now", self.show())))?;
        if let Some(ready) = &self.ready
            && !ready.link.is_to(&leader.host, leader.port)
        {
            self.ready = None;
        }
        let (host, port) = (leader.host.clone(), leader.port);
        self.leader = Some(Leader { host, port, epoch: state.leader_epoch });
        self.is_leader_doubted = false;
        Ok((metadata, state))
    }

    /// Sees to a connection to the leader; `true` if it had been open before.
    pub(super) fn reach_leader(&mut self, deadline: &mut Deadline) -> Result<bool, Fault> {
        if self.is_leader_doubted || self.leader.is_none() {
            self.locate_again(deadline)?;
        }
        if let Some(ready) = &mut self.ready {
            if ready.is_fresh() {
                return Ok(true);
            }
            self.ready = None;
        }
        let Err(fault) = self.open_leader(deadline) else { return Ok(false) };
        let before = self.leader.clone();
        if matches!(fault, Fault::Final(_)) || deadline.has_passed() {
            return Err(fault);
        }
        // It may be gone for good: has another one taken over?
        self.locate_again(deadline)?;
        if self.ready.is_some() {
            return Ok(false);
        }
        if self.leader == before {
            return Err(fault);
        }
        self.open_leader(deadline).map(|()| false)
    }

    /// [`locate`](KafkaPartition::locate) where nobody sees the answer: a topic that was made
    /// again in the meantime must not be taken for the one that was described.
    fn locate_again(&mut self, deadline: &mut Deadline) -> Result<(), Fault> {
        let (metadata, _) = self.locate(deadline)?;
        match (self.topic_id, metadata.topic_id) {
            (Some(pinned), Some(now)) if pinned != now => {
                self.ready = None;
                self.leader = None;
                Err(Fault::last(Stop::TopicRemade {
                    topic: self.config.topic.clone(),
                    pinned: show_topic_id(pinned),
                    now: show_topic_id(now),
                }))
            }
            _ => Ok(()),
        }
    }

    fn open_leader(&mut self, deadline: &mut Deadline) -> Result<(), Fault> {
        let Some(leader) = &self.leader else {
            return Err(Fault::passing(format!("{} has no leader now", self.show())));
        };
        // Half of what is left, so that the others can still be asked.
        let half = deadline.left() / 2;
        let mut share = deadline.within(half.max(Duration::from_millis(CONNECT_MS_MIN)));
        let opened = open(&leader.host, leader.port, &self.config, &mut share);
        let ready = opened.map_err(|failure| failure.fault)?;
        self.settle(ready);
        Ok(())
    }

    /// The first broker decides; another one that is older, or younger, changes nothing.
    fn settle(&mut self, ready: Ready) {
        self.config.client =
            if ready.versions.is_compat { KafkaClient::Compat } else { KafkaClient::Native };
        self.note_throttle(ready.throttle_ms);
        self.ready = Some(ready);
    }

    /// Metadata from the connection that is open, or else from the brokers in turn.
    fn ask_any(&mut self, deadline: &mut Deadline) -> Result<Metadata, Fault> {
        let mut problems: Vec<String> = Vec::new();
        // Whoever gave a stale answer is asked last.
        let passed_over = if self.is_leader_doubted { self.ready.take() } else { None };
        if self.ready.is_some() {
            match self.ask_ready(*deadline) {
                Err(Fault::Passing(trouble)) => problems.push(trouble.problem),
                settled => return settled,
            }
        }
        let candidates = self.candidates();
        for turn in 0..candidates.len() {
            if deadline.has_passed() {
                break;
            }
            let place = self.next_candidate % candidates.len();
            self.next_candidate = place + 1;
            let Some((host, port)) = candidates.get(place) else { break };
            if passed_over.as_ref().is_some_and(|ready| ready.link.is_to(host, *port)) {
                continue;
            }
            let left = deadline.left();
            let still = u32::try_from(candidates.len() - turn).unwrap_or(u32::MAX);
            let share = (left / still).max(Duration::from_millis(CONNECT_MS_MIN));
            let mut share = deadline.within(share);
            match open(host, *port, &self.config, &mut share) {
                Err(Failure { fault: Fault::Passing(trouble), .. }) => {
                    problems.push(trouble.problem);
                    continue;
                }
                Err(failure) => return Err(failure.fault),
                Ok(ready) => self.settle(ready),
            }
            if let Err(throttled) = self.mind_the_throttle() {
                // Whom we are connected to now is asked first, once it hears us again.
                (self.is_leader_doubted, self.leader) = (false, None);
                return Err(throttled);
            }
            match self.ask_ready(share) {
                Err(Fault::Passing(trouble)) => problems.push(trouble.problem),
                settled => return settled,
            }
        }
        if passed_over.is_some() && !deadline.has_passed() {
            self.ready = passed_over;
            match self.ask_ready(*deadline) {
                Err(Fault::Passing(trouble)) => problems.push(trouble.problem),
                settled => return settled,
            }
        }
        Err(Fault::passing(no_broker(&problems)))
    }

    fn ask_ready(&mut self, deadline: Deadline) -> Result<Metadata, Fault> {
        let Some(ready) = &mut self.ready else {
            return Err(Fault::passing("no connection"));
        };
        let version = ready.versions.metadata;
        let topic = &self.config.topic;
        let answer =
            ready.link.exchange(&Ask::Metadata { topic }, version, deadline).and_then(|()| {
                answers::metadata(ready.link.frame(), version, topic, self.config.partition)
                    .map_err(|garbled| ready.link.garbled(&garbled))
            });
        match answer {
            Ok(metadata) => {
                self.note_throttle(metadata.throttle_ms);
                Ok(metadata)
            }
            Err(failure) => {
                self.ready = None;
                Err(failure.fault)
            }
        }
    }

    /// The brokers that Metadata named, then those of the settings.
    fn candidates(&self) -> Vec<(String, u16)> {
        let mut candidates: Vec<(String, u16)> =
            self.known.iter().map(|node| (node.host.clone(), node.port)).collect();
        for server in &self.config.bootstrap {
            if !candidates.contains(server) {
                candidates.push(server.clone());
            }
        }
        candidates
    }

    fn judge(&self, metadata: &Metadata) -> Result<PartitionState, Fault> {
        if metadata.topic_error != 0 {
            return Err(verdict::refusal(&self.config, "Metadata", metadata.topic_error));
        }
        let Some(state) = metadata.partition else {
            let partition_count = metadata.partition_count;
            return Err(Fault::Passing(Trouble {
                problem: format!("topic {} has {partition_count} partitions", self.config.topic),
                missing: Some(Missing::Partition { partition_count }),
                pause_ms: 0,
            }));
        };
        if state.error_code == LEADER_NOT_AVAILABLE || state.leader_id < 0 {
            return Err(Fault::passing(format!(
                "{} has no leader now: {}",
                self.show(),
                show_error(state.error_code)
            )));
        }
        // The kafka crate takes the number of a partition for its place among those named.
        if self.config.client == KafkaClient::Compat && !metadata.is_whole {
            return Err(Fault::passing(format!(
                "the brokers do not know all partitions of topic {} yet",
                self.config.topic
            )));
        }
        // Any other error here is about replicas that do not matter to the leader.
        Ok(state)
    }
}

pub(super) fn open(
    host: &str,
    port: u16,
    config: &KafkaConfig,
    deadline: &mut Deadline,
) -> Result<Ready, Failure> {
    let KafkaConfig { client_id, security, client, .. } = config;
    let stream = dial(host, port, deadline).map_err(|why| Failure {
        fault: Fault::passing(verdict::unreached(config, host, port, why)),
        hung_up: false,
    })?;
    let ready = Connected::open(stream, host, port, client_id, security, *deadline)?
        .authenticate(security, *deadline)?
        .ready(*client)?;
    match objection(&ready, config) {
        Some(fault) => Err(Failure { fault, hung_up: false }),
        None => Ok(ready),
    }
}

/// Why this broker can not be sent to with these settings.
fn objection(ready: &Ready, config: &KafkaConfig) -> Option<Fault> {
    if ready.versions.is_compat {
        return compat::objection(ready, config);
    }
    let knows_zstd = ready.versions.produce_with(None) >= PRODUCE_WITH_ZSTD;
    let objects = config.compression == Compression::Zstd && !knows_zstd;
    objects.then(|| verdict::no_zstd(ready.link.server()))
}

fn no_broker(problems: &[String]) -> String {
    let mut text = String::from("no broker answers");
    for (index, problem) in problems.iter().take(NAMED_MAX).enumerate() {
        text.push_str(if index == 0 { ": " } else { "; " });
        text.push_str(problem);
    }
    if problems.len() > NAMED_MAX {
        text.push_str("; and others");
    }
    text
}
