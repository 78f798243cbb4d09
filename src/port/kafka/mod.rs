//! The broker port: Apache Kafka and what speaks its protocol, over one connection.
//!
//! ```text
//! mod         the calls of the Broker trait, each one attempt with one deadline
//! cluster     which broker leads the partition
//! login       SASL
//! security    TLS, and who we are
//! connection  socket -> versions known -> authenticated -> ready
//! flight      the batch in flight
//! compat      the same through the `kafka` crate, for brokers from before 0.11
//! verdict     error codes to passing and final faults
//! ```

mod cluster;
mod compat;
mod connection;
mod flight;
mod login;
mod security;
mod verdict;

use std::time::{Duration, Instant};

use cluster::Leader;
use compat::Compat;
use connection::Ready;
use flight::Flight;
pub use security::{AwsLogin, Security};

use crate::flow::ports::{
    Answer, Broker, Confirmed, Described, Fault, Guard, Mark, ProducerIdentity, ReadTo,
    RecordVisitor, TopicSettings, Trouble, Visit,
};
use crate::limits::{CALL_TIMEOUT_MS, FETCH_UNCOMPRESSED_BYTES_MAX, FETCH_WAIT_MS};
use crate::port::stream::Deadline;
use crate::settings::KafkaClient;
use crate::stop::{Peer, Stop};
use crate::wire::compress::Compression;
use crate::wire::kafka::answers::{self, Configs, Fetched, Node};
use crate::wire::kafka::errors::{
    CLUSTER_AUTHORIZATION_FAILED, OFFSET_OUT_OF_RANGE, TOPIC_AUTHORIZATION_FAILED, doubts_leader,
};
use crate::wire::kafka::requests::{Ask, EARLIEST, LATEST, LOG_END};
use crate::wire::kafka::versions::Versions;
use crate::wire::old_messages::visit_message;
use crate::wire::record_batch::{BadBatch, Batch, BatchHeader, Batches, records};

/// Which partition, and where and how to ask for it.
#[derive(Clone)]
pub struct KafkaConfig {
    pub bootstrap: Vec<(String, u16)>,
    pub topic: String,
    pub partition: i32,
    pub client_id: String,
    pub security: Security,
    /// Once a broker has said what it offers, never `Auto`.
    pub client: KafkaClient,
    /// For the compatibility client, which compresses by itself.
    pub compression: Compression,
}

/// One partition of one topic, and the connection to its leader.
pub struct KafkaPartition {
    config: KafkaConfig,
    /// The brokers that Metadata named last.
    known: Vec<Node>,
    next_candidate: usize,
    leader: Option<Leader>,
    /// A broker said that another one leads.
    is_leader_doubted: bool,
    topic_id: Option<[u8; 16]>,
    ready: Option<Ready>,
    flight: Option<Flight>,
    compat: Compat,
    head: Vec<u8>,
    /// Until then the broker answers nothing: it throttles us.
    muted_until: Option<Instant>,
}

const CONFIG_NAMES: [&str; 6] = [
    "max.message.bytes",
    "min.insync.replicas",
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "unclean.leader.election.enable",
];

impl KafkaPartition {
    /// Connects to nobody yet.
    pub fn new(config: KafkaConfig) -> KafkaPartition {
        assert!(!config.bootstrap.is_empty(), "the settings promise at least one server");
        KafkaPartition {
            config,
            known: Vec::new(),
            next_candidate: 0,
            leader: None,
            is_leader_doubted: false,
            topic_id: None,
            ready: None,
            flight: None,
            compat: Compat::default(),
            head: Vec::new(),
            muted_until: None,
        }
    }

    /// One request to the leader and its answer. `None`: this broker does not offer it.
    ///
    /// A connection that was open before may have been closed since: one more attempt then.
    fn exchange<T>(
        &mut self,
        deadline: &mut Deadline,
        pick_version: fn(&Versions) -> Option<i16>,
        ask: impl Fn(&KafkaConfig, i32) -> Ask<'_>,
        read: impl Fn(&mut Ready, i16, i32) -> Result<T, crate::wire::kafka::Garbled>,
    ) -> Result<Option<T>, Fault> {
        self.assert_idle();
        self.mind_the_throttle()?;
        for attempt in 0..2 {
            let was_open = self.reach_leader(deadline)?;
            self.mind_the_throttle()?;
            let leader_epoch = self.leader.as_ref().map_or(-1, |leader| leader.epoch);
            let Some(ready) = &mut self.ready else { break };
            let Some(version) = pick_version(&ready.versions) else { return Ok(None) };
            let ask = ask(&self.config, leader_epoch);
            let answer = ready.link.exchange(&ask, version, *deadline).and_then(|()| {
                read(ready, version, self.config.partition)
                    .map_err(|garbled| ready.link.garbled(&garbled))
            });
            match answer {
                Ok(answer) => return Ok(Some(answer)),
                Err(failure) => {
                    self.ready = None;
                    if attempt > 0 || !was_open || !failure.hung_up {
                        return Err(failure.fault);
                    }
                }
            }
        }
        Err(Fault::passing(format!("no connection to the leader of {}", self.show())))
    }

    /// Turns an error code of an answer into a fault.
    fn check(&mut self, request: &str, error_code: i16) -> Result<(), Fault> {
        if error_code == 0 {
            return Ok(());
        }
        self.is_leader_doubted |= doubts_leader(error_code);
        Err(verdict::refusal(&self.config, request, error_code))
    }

    fn list_offset(&mut self, deadline: &mut Deadline, timestamp: i64) -> Result<i64, Fault> {
        let answer = self.exchange(
            deadline,
            |versions| Some(versions.list_offsets),
            |KafkaConfig { topic, partition, .. }, leader_epoch| Ask::ListOffsets {
                topic,
                partition: *partition,
                leader_epoch,
                timestamp,
            },
            |ready, version, partition| {
                answers::list_offsets(ready.link.frame(), version, partition)
            },
        )?;
        let answer = answer.ok_or_else(|| self.unanswered("ListOffsets"))?;
        self.note_throttle(answer.throttle_ms);
        self.check("ListOffsets", answer.error_code)?;
        if answer.offset < 0 {
            return Err(Fault::passing(format!("{} names no offset yet", self.show())));
        }
        Ok(answer.offset)
    }

    fn epoch_end(&mut self, asked_epoch: i32) -> Result<Option<i64>, Fault> {
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        if asked_epoch < 0 {
            return self.list_offset(&mut deadline, LOG_END).map(Some);
        }
        let answer = self.exchange(
            &mut deadline,
            |versions| versions.epoch_end,
            |KafkaConfig { topic, partition, .. }, _| Ask::EpochEnd {
                topic,
                partition: *partition,
                leader_epoch: asked_epoch,
            },
            |ready, version, partition| answers::epoch_end(ready.link.frame(), version, partition),
        )?;
        let Some(answer) = answer else {
            return self.list_offset(&mut deadline, LOG_END).map(Some);
        };
        self.note_throttle(answer.throttle_ms);
        self.check("OffsetForLeaderEpoch", answer.error_code)?;
        if answer.offset < 0 || answer.leader_epoch != asked_epoch {
            return Err(Fault::passing(format!(
                "the leader of {} does not know the end of its epoch {asked_epoch} yet",
                self.show()
            )));
        }
        Ok(Some(answer.offset))
    }

    fn fetch(&mut self, deadline: &mut Deadline, from: i64, to: i64) -> Result<Fetched, Fault> {
        // At the end there is nothing to wait for.
        let wait_ms = if from < to { FETCH_WAIT_MS } else { 0 };
        let answer = self.exchange(
            deadline,
            |versions| Some(versions.fetch),
            |KafkaConfig { topic, partition, .. }, leader_epoch| Ask::Fetch {
                topic,
                partition: *partition,
                leader_epoch,
                offset: from,
                wait_ms,
            },
            |ready, version, partition| {
                answers::fetch(&ready.link.take_frame(), version, partition)
            },
        )?;
        let fetched = answer.ok_or_else(|| self.unanswered("Fetch"))?;
        self.note_throttle(fetched.throttle_ms);
        Ok(fetched)
    }

    fn out_of_range(
        &mut self,
        deadline: &mut Deadline,
        from: i64,
        told: i64,
    ) -> Result<ReadTo, Fault> {
        let log_start = if told >= 0 { told } else { self.list_offset(deadline, EARLIEST)? };
        if from < log_start {
            return Ok(ReadTo::Deleted { log_start });
        }
        // Past its end: a leader that has not caught up, or one that was.
        self.is_leader_doubted = true;
        Err(Fault::passing(format!("{} does not reach offset {from}", self.show())))
    }

    fn show(&self) -> String {
        format!("{}/{}", self.config.topic, self.config.partition)
    }

    fn unanswered(&self, request: &str) -> Fault {
        Fault::passing(format!("{request} is not offered for {}", self.show()))
    }

    fn assert_idle(&self) {
        let is_idle = self.flight.is_none() && self.compat.is_idle();
        assert!(is_idle, "a request while a batch is in flight");
    }

    fn note_throttle(&mut self, throttle_ms: u64) {
        if throttle_ms > 0 {
            let until = Instant::now() + Duration::from_millis(throttle_ms);
            self.muted_until = self.muted_until.max(Some(until));
        }
    }

    /// A throttled connection is answered late. What fits into a call is waited for there.
    fn mind_the_throttle(&mut self) -> Result<(), Fault> {
        let Some(until) = self.muted_until else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left <= Duration::from_millis(CALL_TIMEOUT_MS / 2) {
            self.muted_until = None;
            return Ok(());
        }
        let pause_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let problem = "the broker throttles this client (quota)".into();
        Err(Fault::Passing(Trouble { problem, missing: None, pause_ms }))
    }
}

impl Broker for KafkaPartition {
    fn guard(&self) -> Guard {
        if self.config.client == KafkaClient::Compat { Guard::TailOnly } else { Guard::Sequence }
    }

    fn describe(&mut self) -> Result<Described, Fault> {
        self.assert_idle();
        self.mind_the_throttle()?;
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        let (metadata, state) = self.locate(&mut deadline)?;
        self.topic_id = metadata.topic_id;
        Ok(Described {
            cluster_id: metadata.cluster_id,
            topic_id: metadata.topic_id.map(show_topic_id),
            partition_count: metadata.partition_count,
            leader: self.leader.as_ref().map_or_else(String::new, Leader::show),
            rights: metadata.rights,
            leader_epoch: state.leader_epoch,
            replica_count: state.replica_count,
            in_sync_count: state.in_sync_count,
        })
    }

    fn topic_settings(&mut self) -> Result<TopicSettings, Fault> {
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        let answer = self.exchange(
            &mut deadline,
            |versions| versions.describe_configs,
            |config, _| Ask::DescribeConfigs { topic: &config.topic, names: &CONFIG_NAMES },
            |ready, version, _| answers::describe_configs(ready.link.frame(), version),
        )?;
        let Some(configs) = answer else { return Ok(TopicSettings::default()) };
        self.note_throttle(configs.throttle_ms);
        match configs.error_code {
            TOPIC_AUTHORIZATION_FAILED | CLUSTER_AUTHORIZATION_FAILED => {
                Ok(TopicSettings::default())
            }
            error_code => {
                self.check("DescribeConfigs", error_code)?;
                settings_of(&configs)
            }
        }
    }

    fn new_producer(&mut self) -> Result<ProducerIdentity, Fault> {
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        let answer = self.exchange(
            &mut deadline,
            |versions| Some(versions.init_producer_id),
            |_, _| Ask::InitProducerId,
            |ready, version, _| answers::init_producer_id(ready.link.frame(), version),
        )?;
        let answer = answer.ok_or_else(|| self.unanswered("InitProducerId"))?;
        self.note_throttle(answer.throttle_ms);
        self.check("InitProducerId", answer.error_code)?;
        if answer.id < 0 || answer.epoch < 0 {
            return Err(Fault::passing("the broker hands out no producer id yet"));
        }
        Ok(ProducerIdentity { id: answer.id, epoch: answer.epoch })
    }

    fn offset(&mut self, mark: Mark) -> Result<Option<i64>, Fault> {
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        match mark {
            Mark::Start => self.list_offset(&mut deadline, EARLIEST).map(Some),
            Mark::VisibleEnd => self.list_offset(&mut deadline, LATEST).map(Some),
            Mark::EpochEnd { leader_epoch } => self.epoch_end(leader_epoch),
        }
    }

    fn read(&mut self, from: i64, to: i64, visit: Visit<'_>) -> Result<ReadTo, Fault> {
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        let fetched = self.fetch(&mut deadline, from, to)?;
        if fetched.error_code == OFFSET_OUT_OF_RANGE {
            return self.out_of_range(&mut deadline, from, fetched.log_start);
        }
        self.check("Fetch", fetched.error_code)?;
        let mut walk = Walk { from, to, reached: from, scratch: Vec::new() };
        walk.batches(&fetched.batches, visit).map_err(|(offset, bad)| {
            Fault::last(Stop::refused(
                Peer::Broker,
                format!("{} can not be read at offset {offset}: {bad}", self.show()),
                "Load the source under a new JOB_ID into a new topic",
            ))
        })?;
        Ok(ReadTo::Offset(walk.reached))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        self.assert_idle();
        self.mind_the_throttle()?;
        let mut deadline = Deadline::after_ms(CALL_TIMEOUT_MS);
        self.reach_leader(&mut deadline)?;
        // A batch that is sent now would be answered too late.
        self.mind_the_throttle()?;
        assert!(self.ready.is_some(), "a leader that was reached has a connection");
        Ok(())
    }

    fn send(&mut self, batch: Batch) {
        self.assert_idle();
        let KafkaConfig { topic, partition, .. } = &self.config;
        assert!(self.ready.is_some(), "a batch without a connection");
        if self.guard() == Guard::TailOnly {
            let Some(leader) = &self.leader else { unreachable!("connected to nobody") };
            return self.compat.send(&self.config, leader, batch);
        }
        if let Some(ready) = &mut self.ready {
            let head = &mut self.head;
            let mut flight = Flight::begin(ready, head, topic, self.topic_id, *partition, batch);
            flight.push(ready, head);
            self.flight = Some(flight);
        }
    }

    fn confirm(&mut self, wait_ms: u64) -> Confirmed {
        if let Some((batch, outcome)) = self.compat.take() {
            return match outcome {
                Ok(answer) => self.landed(batch, answer),
                Err(trouble) => {
                    self.ready = None;
                    Confirmed::Lost(batch, trouble)
                }
            };
        }
        let Some(mut flight) = self.flight.take() else { return Confirmed::Idle };
        let wait_ms = wait_ms.min(CALL_TIMEOUT_MS);
        let deadline = (wait_ms > 0).then(|| Deadline::after_ms(wait_ms));
        let Some(ready) = &mut self.ready else {
            let problem = "the connection is gone".into();
            let trouble = Trouble { problem, missing: None, pause_ms: 0 };
            return Confirmed::Lost(flight.batch, trouble);
        };
        match flight.step(ready, &self.head, deadline) {
            Ok(None) => {
                self.flight = Some(flight);
                Confirmed::Pending
            }
            Ok(Some(answer)) => self.landed(flight.batch, answer),
            Err(trouble) => {
                self.ready = None;
                Confirmed::Lost(flight.batch, trouble)
            }
        }
    }

    fn hang_up(&mut self) -> Option<Batch> {
        self.ready = None;
        let compat = self.compat.hang_up();
        self.flight.take().map(|flight| flight.batch).or(compat)
    }
}

impl KafkaPartition {
    fn landed(&mut self, batch: Batch, answer: Answer) -> Confirmed {
        self.is_leader_doubted |= doubts_leader(answer.error_code);
        self.note_throttle(answer.throttle_ms);
        Confirmed::Answered(batch, answer)
    }
}

/// A walk over what one Fetch answered.
struct Walk {
    from: i64,
    to: i64,
    /// Everything below is visited.
    reached: i64,
    scratch: Vec<u8>,
}

impl Walk {
    /// On failure, the offset from which on it can not be read.
    fn batches(&mut self, bytes: &[u8], mut visit: Visit<'_>) -> Result<(), (i64, BadBatch)> {
        let mut batches = Batches::new(bytes);
        loop {
            let begin_bytes = batches.whole_bytes();
            let (header, batch) = match batches.next() {
                None => return Ok(()),
                Some(Ok(found)) => found,
                Some(Err(BadBatch::Magic(0 | 1))) => {
                    let message = bytes.get(begin_bytes..batches.whole_bytes());
                    self.old_message(message.unwrap_or_default(), &mut visit)
                        .map_err(|bad| (self.reached, bad))?;
                    continue;
                }
                Some(Err(bad)) => return Err((self.reached, bad)),
            };
            let is_wanted = self.from < self.to
                && header.last_offset() >= self.from
                && header.base_offset < self.to;
            if is_wanted {
                match &mut visit {
                    Visit::Headers(visit) => visit(&header),
                    Visit::Records(_) if header.is_control() => {}
                    Visit::Records(visit) => self
                        .records(&header, batch, visit)
                        .map_err(|bad| (header.base_offset, bad))?,
                    Visit::Batches(visitor) => {
                        let are_wanted = visitor.batch(&header);
                        if are_wanted && !header.is_control() {
                            let mut visit = |offset, key: Option<&[u8]>, value: Option<&[u8]>| {
                                visitor.record(offset, key, value);
                            };
                            self.records(&header, batch, &mut visit)
                                .map_err(|bad| (header.base_offset, bad))?;
                        }
                    }
                }
            }
            self.pass(header.last_offset());
        }
    }

    fn records(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        visit: &mut RecordVisitor<'_>,
    ) -> Result<(), BadBatch> {
        for record in records(header, batch, FETCH_UNCOMPRESSED_BYTES_MAX, &mut self.scratch)? {
            let record = record?;
            let offset = header.base_offset.saturating_add(i64::from(record.offset_delta));
            if (self.from..self.to).contains(&offset) {
                visit(offset, record.key, record.value);
            }
        }
        Ok(())
    }

    /// A message of a format before ours, compressed or not, and its records. It has no header:
    /// whom it is shown to as a batch is told that nobody numbered it.
    fn old_message(&mut self, message: &[u8], visit: &mut Visit<'_>) -> Result<(), BadBatch> {
        let Some(offset) = message.first_chunk() else { return Err(BadBatch::Short) };
        let last_offset = i64::from_be_bytes(*offset);
        let (from, to) = (self.from, self.to);
        // In format 0 the records of a compressed message have offsets of their own.
        let mut reached = last_offset;
        if from < to && last_offset >= from {
            let nobodys = BatchHeader {
                base_offset: last_offset,
                batch_bytes: message.len(),
                attributes: 0,
                last_offset_delta: 0,
                max_timestamp_ms: -1,
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                record_count: 1,
            };
            let are_wanted = match &mut *visit {
                Visit::Headers(_) => false,
                Visit::Records(_) => true,
                Visit::Batches(visitor) => visitor.batch(&nobodys),
            };
            if !are_wanted {
                self.pass(last_offset);
                return Ok(());
            }
            let mut see = |offset, key: Option<&[u8]>, value: Option<&[u8]>| {
                reached = reached.max(offset);
                if (from..to).contains(&offset) {
                    match &mut *visit {
                        Visit::Headers(_) => {}
                        Visit::Records(visit) => visit(offset, key, value),
                        Visit::Batches(visitor) => visitor.record(offset, key, value),
                    }
                }
            };
            let bytes_max = FETCH_UNCOMPRESSED_BYTES_MAX;
            visit_message(message, bytes_max, &mut self.scratch, &mut see)?;
        }
        self.pass(reached);
        Ok(())
    }

    fn pass(&mut self, last_offset: i64) {
        let next = last_offset.saturating_add(1).min(self.to);
        self.reached = self.reached.max(next);
    }
}

/// As Kafka prints it: URL-safe base64 without padding.
fn show_topic_id(id: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(id);
    // 22 digits of six bits: 128 bits and four zeros at the end.
    (0..22u32)
        .map(|place| {
            let digit = if place < 21 { bits >> (122 - 6 * place) } else { bits << 4 };
            char::from(DIGITS[(digit & 63) as usize])
        })
        .collect()
}

fn settings_of(configs: &Configs) -> Result<TopicSettings, Fault> {
    let told = |name: &str| {
        configs.values.iter().find(|(told, _)| told == name).map(|(_, value)| value.as_str())
    };
    Ok(TopicSettings {
        max_message_bytes: number(told, CONFIG_NAMES[0])?,
        min_insync_replicas: number(told, CONFIG_NAMES[1])?,
        cleanup_policy: told(CONFIG_NAMES[2]).map(str::to_owned),
        retention_ms: number(told, CONFIG_NAMES[3])?,
        retention_bytes: number(told, CONFIG_NAMES[4])?,
        unclean_leader_election: number(told, CONFIG_NAMES[5])?,
    })
}

/// A value that can not be read is no value that may not be read.
fn number<'a, T: std::str::FromStr>(
    told: impl Fn(&str) -> Option<&'a str>,
    name: &str,
) -> Result<Option<T>, Fault> {
    told(name)
        .map(|value| {
            value
                .parse()
                .map_err(|_| Fault::passing(format!("the broker says that {name} is \"{value}\"")))
        })
        .transpose()
}

#[cfg(test)]
mod tests;
