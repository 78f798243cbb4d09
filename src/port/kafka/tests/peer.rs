//! A scripted peer, and the answers that it gives: those of Kafka 2.1, which have no varints.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::super::{KafkaConfig, KafkaPartition, Security};
use crate::wire::batch_writer::BatchWriter;
use crate::wire::compress::Compression;
use crate::wire::record_batch::Batch;

/// What a peer does with one request, after it has read it.
#[derive(Clone)]
pub(super) enum Act {
    /// Answers with this body.
    Say(Vec<u8>),
    /// Writes these bytes as they are, and ends.
    Raw(&'static [u8]),
    /// Answers under another correlation id.
    Mix(Vec<u8>),
    /// Writes so many bytes of the answer, and ends.
    Cut(Vec<u8>, usize),
    /// Waits for the end of a line, writes these bytes, and ends.
    AfterLine(&'static [u8]),
    /// Ends without a word.
    HangUp,
    /// Says nothing until the client leaves.
    Silence,
}

/// A listener that serves one connection after the other, each by its own script.
pub(super) struct Peer {
    pub(super) port: u16,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Peer {
    /// `script` gets the peer's own port, which Metadata names.
    pub(super) fn start(script: impl FnOnce(u16) -> Vec<Vec<Act>>) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = script(port);
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for acts in script {
                let (mut stream, _) = listener.accept().unwrap();
                serve(&mut stream, acts, &mut requests);
            }
            requests
        });
        Peer { port, thread }
    }

    pub(super) fn partition(&self) -> KafkaPartition {
        partition_at(&[self.port])
    }

    /// All that was asked, as whole frames.
    pub(super) fn requests(self) -> Vec<Vec<u8>> {
        self.thread.join().unwrap()
    }
}

pub(super) fn serve(stream: &mut TcpStream, acts: Vec<Act>, requests: &mut Vec<Vec<u8>>) {
    for act in acts {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).unwrap();
        let id = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        requests.push(frame);
        match act {
            Act::Say(body) => stream.write_all(&framed(id, &body)).unwrap(),
            Act::Raw(bytes) => return stream.write_all(bytes).unwrap(),
            Act::Mix(body) => stream.write_all(&framed(id + 1, &body)).unwrap(),
            Act::Cut(body, bytes) => {
                return stream.write_all(&framed(id, &body)[..bytes]).unwrap();
            }
            Act::HangUp => return,
            Act::Silence => {
                assert!(stream.read(&mut [0]).is_ok_and(|count| count == 0));
                return;
            }
            Act::AfterLine(bytes) => {
                let mut line = [0; 4];
                stream.read_exact(&mut line).unwrap();
                assert_eq!(&line, b"\r\n\r\n");
                return stream.write_all(bytes).unwrap();
            }
        }
    }
}

pub(super) fn framed(id: i32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &id.to_be_bytes(), body].concat()
}

pub(super) fn partition_at(ports: &[u16]) -> KafkaPartition {
    KafkaPartition::new(KafkaConfig {
        bootstrap: ports.iter().map(|port| ("127.0.0.1".into(), *port)).collect(),
        topic: "t".into(),
        partition: 0,
        client_id: "test".into(),
        security: Security::default(),
        client: crate::settings::KafkaClient::Auto,
        compression: crate::wire::compress::Compression::None,
    })
}

/// A port that nobody listens on.
pub(super) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

// --- Answers, in versions without varints: Kafka 2.1's ----------------------------------

pub(super) const OFFERS: [(i16, i16, i16); 7] =
    [(0, 0, 7), (1, 0, 10), (2, 0, 4), (3, 0, 7), (22, 0, 1), (23, 0, 2), (32, 0, 2)];

pub(super) fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    bytes(&[&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()])
}

pub(super) fn one() -> [u8; 4] {
    1i32.to_be_bytes()
}

/// In the form of version 3, with the offers of Kafka 2.1.
pub(super) fn offers() -> Act {
    offers_of(&OFFERS)
}

pub(super) fn offers_of(offers: &[(i16, i16, i16)]) -> Act {
    let mut body = vec![0, 0, u8::try_from(offers.len() + 1).unwrap()];
    for (key, min, max) in offers {
        body.extend(bytes(&[&key.to_be_bytes(), &min.to_be_bytes(), &max.to_be_bytes(), &[0]]));
    }
    body.extend([0, 0, 0, 0, 0]);
    Act::Say(body)
}

pub(super) struct Told {
    pub(super) topic_error: i16,
    pub(super) leader: i32,
    pub(super) partition_index: i32,
}

pub(super) const ALL_WELL: Told = Told { topic_error: 0, leader: 7, partition_index: 0 };

/// Metadata 7: one broker, number 7, at this port.
pub(super) fn metadata(port: u16, told: &Told) -> Act {
    Act::Say(bytes(&[
        &[0; 4],
        &one(),
        &7i32.to_be_bytes(),
        &text("127.0.0.1"),
        &i32::from(port).to_be_bytes(),
        &[0xFF, 0xFF],
        &text("cluster"),
        &7i32.to_be_bytes(),
        &one(),
        &told.topic_error.to_be_bytes(),
        &text("t"),
        &[0],
        &one(),
        &[0, 0],
        &told.partition_index.to_be_bytes(),
        &told.leader.to_be_bytes(),
        &5i32.to_be_bytes(),
        &bytes(&[&one(), &one(), &one(), &one(), &[0; 4]]),
    ]))
}

pub(super) fn list_offsets(error: i16, offset: i64) -> Act {
    Act::Say(bytes(&[
        &[0; 4],
        &one(),
        &text("t"),
        &one(),
        &[0; 4],
        &error.to_be_bytes(),
        &(-1i64).to_be_bytes(),
        &offset.to_be_bytes(),
        &5i32.to_be_bytes(),
    ]))
}

pub(super) fn epoch_end(error: i16, epoch: i32, offset: i64) -> Act {
    Act::Say(bytes(&[
        &[0; 4],
        &one(),
        &text("t"),
        &one(),
        &error.to_be_bytes(),
        &[0; 4],
        &epoch.to_be_bytes(),
        &offset.to_be_bytes(),
    ]))
}

pub(super) fn init_producer_id(error: i16, id: i64, epoch: i16) -> Act {
    Act::Say(bytes(&[&[0; 4], &error.to_be_bytes(), &id.to_be_bytes(), &epoch.to_be_bytes()]))
}

pub(super) fn fetch(error: i16, log_start: i64, batches: &[u8]) -> Act {
    Act::Say(bytes(&[
        &[0; 10],
        &one(),
        &text("t"),
        &one(),
        &[0; 4],
        &error.to_be_bytes(),
        &[0; 16],
        &log_start.to_be_bytes(),
        &[0xFF; 4],
        &u32::try_from(batches.len()).unwrap().to_be_bytes(),
        batches,
    ]))
}

pub(super) fn produced(error: i16, offset: i64, throttle_ms: i32) -> Vec<u8> {
    bytes(&[
        &one(),
        &text("t"),
        &one(),
        &[0; 4],
        &error.to_be_bytes(),
        &offset.to_be_bytes(),
        &(-1i64).to_be_bytes(),
        &0i64.to_be_bytes(),
        &throttle_ms.to_be_bytes(),
    ])
}

pub(super) fn batch(base_sequence: i32, record_count: u32, value_bytes: usize) -> Batch {
    let mut writer = BatchWriter::new(Compression::None, 1_000_000, 900_000);
    writer.restart(Batch::with_capacity(1_000_000));
    for number in 0..record_count {
        writer.add(None, |out| {
            out.extend_from_slice(format!("v{number}").as_bytes());
            out.resize(out.len() + value_bytes, b'.');
        });
        writer.compress_slice();
    }
    let mut batch = writer.finish();
    batch.seal(9, 0, base_sequence, 1_700_000_000_000);
    batch
}

/// The same as a broker would hand it out.
pub(super) fn stored(base_offset: i64, record_count: u32) -> Vec<u8> {
    let mut bytes = batch(0, record_count, 0).as_bytes().to_vec();
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes
}

// --- Answers of Kafka 4.1: varints, and topics that have ids ----------------------------

pub(super) const OFFERS_WITH_IDS: [(i16, i16, i16); 7] =
    [(0, 0, 13), (1, 4, 18), (2, 1, 10), (3, 0, 13), (22, 0, 5), (23, 2, 4), (32, 1, 4)];

/// A count or a length, which goes over the wire as one more.
fn compact(number: usize) -> [u8; 1] {
    [u8::try_from(number + 1).unwrap()]
}

/// Metadata 12: the same as [`metadata`] with [`ALL_WELL`], and an id.
pub(super) fn metadata_with_id(port: u16, topic_id: [u8; 16]) -> Act {
    let one_node = bytes(&[&compact(1), &7i32.to_be_bytes()]);
    Act::Say(bytes(&[
        &[0; 5],
        &one_node,
        &compact(9),
        b"127.0.0.1",
        &i32::from(port).to_be_bytes(),
        &[0, 0],
        &compact(7),
        b"cluster",
        &7i32.to_be_bytes(),
        &compact(1),
        &[0, 0],
        &compact(1),
        b"t",
        &topic_id,
        &[0],
        &compact(1),
        &[0; 6],
        &7i32.to_be_bytes(),
        &5i32.to_be_bytes(),
        &one_node,
        &one_node,
        &compact(0),
        &[0; 7],
    ]))
}

/// Produce 13.
pub(super) fn produced_by_id(topic_id: [u8; 16], error: i16) -> Act {
    Act::Say(bytes(&[
        &[0],
        &compact(1),
        &topic_id,
        &compact(1),
        &[0; 4],
        &error.to_be_bytes(),
        &[0xFF; 24],
        &compact(0),
        &[0; 8],
    ]))
}

/// `DescribeConfigs` 2.
pub(super) fn configs(error: i16, values: &[(&str, Option<&str>)]) -> Act {
    let mut body = bytes(&[
        &[0; 4],
        &one(),
        &error.to_be_bytes(),
        &[0xFF, 0xFF, 2],
        &text("t"),
        &u32::try_from(values.len()).unwrap().to_be_bytes(),
    ]);
    for (name, value) in values {
        body.extend(text(name));
        body.extend(value.map_or(vec![0xFF, 0xFF], text));
        body.extend([0; 7]);
    }
    Act::Say(body)
}
