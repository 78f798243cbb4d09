//! The compatibility client's half that sends: one batch at a time, through the `kafka` crate.
//!
//! The crate speaks version 0 of Produce, whose messages carry no producer id. All else (who
//! leads, where the log ends, what is in it) is asked as everywhere, on a connection of our own,
//! for these reasons:
//!
//! - It ends the process where a broker that is just starting names a partition but not those
//!   before it: asked for one topic only, and only once all of that are known (`cluster`).
//! - Its fetch drops the plain messages before a compressed one, and can not read the snappy
//!   that it writes.
//! - It neither checks the number of an answer nor closes a connection that failed; so after
//!   any error its connections are dropped, here, and what it was told late is never heard.
//! - It waits up to 120 s for an answer, as long as the system likes for a connection, and can
//!   be told neither; a request that a signal cuts short in mid-write is waited for as well. It
//!   sizes a buffer by the length that the broker claims. It has no threads, and what it repeats
//!   (requests about consumer groups) is not used.
//!
//! ```text
//! send ──> connect, ask who leads (Metadata 0) ──> Produce 0, acks -1 ──> answer ──> confirm
//!          └────────── all of it in one call that blocks ──────────┘
//! ```

use std::time::Duration;

use ::kafka::client::{Compression as Codec, KafkaClient as Client, ProduceMessage, RequiredAcks};

use crate::flow::ports::{Answer, Fault, Trouble};
use crate::limits::PRODUCE_TIMEOUT_MS;
use crate::wire::compress::Compression;
use crate::wire::kafka::show_server;
use crate::wire::record_batch::{Batch, BatchHeader, records};

use super::cluster::Leader;
use super::connection::Ready;
use super::{KafkaConfig, verdict};

#[derive(Default)]
pub(super) struct Compat {
    /// And to whom it is connected.
    client: Option<(Client, String)>,
    /// The batch that was sent last, and what came of it.
    sent: Option<(Batch, Result<Answer, Trouble>)>,
}

/// Why a broker that is sent to by this client can not be, with these settings.
pub(super) fn objection(ready: &Ready, config: &KafkaConfig) -> Option<Fault> {
    let server = ready.link.server();
    if config.security.tls.is_some() || config.security.login.is_some() {
        Some(verdict::compat_in_plaintext(server))
    } else if codec(config.compression).is_none() {
        Some(verdict::compat_compression(server, config.compression))
    } else {
        None
    }
}

impl Compat {
    pub(super) fn is_idle(&self) -> bool {
        self.sent.is_none()
    }

    /// Sends, and waits for what the broker says.
    pub(super) fn send(&mut self, config: &KafkaConfig, leader: &Leader, batch: Batch) {
        let outcome = self.produce(config, leader, &batch);
        if !outcome.as_ref().is_ok_and(|answer| answer.error_code == 0) {
            self.client = None;
        }
        self.sent = Some((batch, outcome));
    }

    pub(super) fn take(&mut self) -> Option<(Batch, Result<Answer, Trouble>)> {
        self.sent.take()
    }

    pub(super) fn hang_up(&mut self) -> Option<Batch> {
        self.client = None;
        self.sent.take().map(|(batch, _)| batch)
    }

    fn produce(
        &mut self,
        config: &KafkaConfig,
        leader: &Leader,
        batch: &Batch,
    ) -> Result<Answer, Trouble> {
        let KafkaConfig { topic, partition, .. } = config;
        let server = show_server(&leader.host, leader.port);
        let failed = |why: &dyn std::fmt::Display| Trouble {
            problem: format!("Produce at {server} (compatibility client): {why}"),
            missing: None,
            pause_ms: 0,
        };
        let mut scratch = Vec::new();
        let messages = messages(batch, topic, *partition, &mut scratch);
        let client = self.client(config, &server).map_err(|why| failed(&why))?;
        let wait = Duration::from_millis(PRODUCE_TIMEOUT_MS);
        let confirms = client
            .produce_messages(RequiredAcks::All, wait, messages)
            .map_err(|why| failed(&why))?;
        let ours = confirms
            .iter()
            .filter(|confirm| confirm.topic == *topic)
            .flat_map(|confirm| &confirm.partition_confirms)
            .find(|confirm| confirm.partition == *partition)
            .ok_or_else(|| failed(&"the answer is not about this partition"))?;
        Ok(match ours.offset {
            Ok(base_offset) => Answer { error_code: 0, base_offset, throttle_ms: 0 },
            Err(code) => Answer { error_code: code as i16, base_offset: -1, throttle_ms: 0 },
        })
    }

    /// The one that is open, if it is to this server.
    fn client(
        &mut self,
        config: &KafkaConfig,
        server: &str,
    ) -> Result<&mut Client, ::kafka::Error> {
        let open = self.client.take().filter(|(_, open_to)| open_to == server);
        let client = if let Some((client, _)) = open {
            client
        } else {
            let mut client = Client::new(vec![server.to_owned()]);
            client.set_client_id(config.client_id.clone());
            client.set_compression(codec(config.compression).unwrap_or(Codec::NONE));
            // By its name it could be created, but it was there a moment ago; and about the
            // others the crate may be told what it can not take (see above).
            client.load_metadata(&[&config.topic])?;
            client
        };
        Ok(&mut self.client.insert((client, server.to_owned())).0)
    }
}

/// The records of a batch that was made for this client: not compressed yet.
#[expect(clippy::expect_used, reason = "what we wrote we can read, or it is our own bug")]
fn messages<'a>(
    batch: &'a Batch,
    topic: &'a str,
    partition: i32,
    scratch: &'a mut Vec<u8>,
) -> Vec<ProduceMessage<'a, 'a>> {
    assert_eq!(batch.compression(), Compression::None, "the crate compresses by itself");
    let header = BatchHeader::parse(batch.as_bytes()).expect("our own batch has a header");
    records(&header, batch.as_bytes(), batch.raw_bytes(), scratch)
        .expect("our own batch is whole")
        .map(|record| {
            let record = record.expect("our own records are whole");
            ProduceMessage { topic, partition, key: record.key, value: record.value }
        })
        .collect()
}

/// `None`: younger than the crate.
fn codec(compression: Compression) -> Option<Codec> {
    match compression {
        Compression::None => Some(Codec::NONE),
        Compression::Gzip => Some(Codec::GZIP),
        Compression::Snappy => Some(Codec::SNAPPY),
        Compression::Lz4 | Compression::Zstd => None,
    }
}
