//! A broker from before 0.11: our own requests in their old versions, and batches through the
//! `kafka` crate.

use std::net::TcpListener;

use super::peer::{Act, Peer, bytes, offers_of, one, partition_at, serve, text};
use super::{passing, settle, stopped};
use crate::flow::ports::{Broker, Confirmed, Guard, Mark, ReadTo, Visit};
use crate::port::kafka::KafkaPartition;
use crate::settings::KafkaClient;
use crate::wire::batch_writer::BatchWriter;
use crate::wire::compress::Compression;
use crate::wire::record_batch::Batch;

/// What Kafka 0.10.2 offers of what is asked for.
const OLD_OFFERS: [(i16, i16, i16); 5] = [(0, 0, 2), (1, 0, 3), (2, 0, 1), (3, 0, 2), (18, 0, 0)];

/// One broker, number 7, at this port, that leads `t`/0; version 2, or 0, which the crate asks.
fn metadata(port: u16, version: i16) -> Act {
    let since_2 = |part: &[u8]| if version >= 2 { part.to_vec() } else { Vec::new() };
    Act::Say(bytes(&[
        &one(),
        &7i32.to_be_bytes(),
        &text("127.0.0.1"),
        &i32::from(port).to_be_bytes(),
        &since_2(&[0xFF, 0xFF]),
        &since_2(&text("cluster")),
        &since_2(&7i32.to_be_bytes()),
        &one(),
        &[0, 0],
        &text("t"),
        &since_2(&[0]),
        &one(),
        &[0, 0],
        &0i32.to_be_bytes(),
        &7i32.to_be_bytes(),
        &bytes(&[&one(), &7i32.to_be_bytes(), &one(), &7i32.to_be_bytes()]),
    ]))
}

/// `ListOffsets` 1.
fn list_offsets(offset: i64) -> Act {
    let answer = bytes(&[&[0; 4], &[0; 2], &(-1i64).to_be_bytes(), &offset.to_be_bytes()]);
    Act::Say(bytes(&[&one(), &text("t"), &one(), &answer]))
}

/// Produce 0.
fn produced(error: i16, offset: i64) -> Act {
    let answer = bytes(&[&[0; 4], &error.to_be_bytes(), &offset.to_be_bytes()]);
    Act::Say(bytes(&[&one(), &text("t"), &one(), &answer]))
}

fn message(offset: i64, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let body = bytes(&[&[1, 0], &[0; 8], &[0xFF; 4], &length, value]);
    let crc = crc32fast::hash(&body);
    let size = u32::try_from(body.len() + 4).unwrap();
    bytes(&[&offset.to_be_bytes(), &size.to_be_bytes(), &crc.to_be_bytes(), &body])
}

fn fetched(messages: &[u8]) -> Act {
    let length = u32::try_from(messages.len()).unwrap().to_be_bytes();
    let answer = bytes(&[&[0; 4], &[0; 2], &9i64.to_be_bytes(), &length, messages]);
    Act::Say(bytes(&[&[0; 4], &one(), &text("t"), &one(), &answer]))
}

fn unnumbered(record_count: u32) -> Batch {
    let mut writer = BatchWriter::new(Compression::None, 1_000_000, 900_000);
    writer.restart(Batch::with_capacity(1_000_000));
    for number in 0..record_count {
        writer.add(Some(b"key"), |out| out.extend_from_slice(format!("value {number}").as_bytes()));
    }
    let mut batch = writer.finish();
    batch.seal_unnumbered(1_700_000_000_000);
    batch
}

fn partition(peer: &Peer, client: KafkaClient, compression: Compression) -> KafkaPartition {
    let mut partition = peer.partition();
    (partition.config.client, partition.config.compression) = (client, compression);
    partition
}

/// A broker with a connection of our own, which stays open, and then one of the crate's.
fn send(act: Act, compression: Compression) -> (Confirmed, Vec<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = std::thread::spawn(move || {
        let mut requests = Vec::new();
        let (mut own, _) = listener.accept().unwrap();
        serve(&mut own, vec![offers_of(&OLD_OFFERS), metadata(port, 2)], &mut requests);
        let (mut theirs, _) = listener.accept().unwrap();
        serve(&mut theirs, vec![metadata(port, 0), act], &mut requests);
        requests
    });
    let mut partition = partition_at(&[port]);
    partition.config.compression = compression;
    partition.describe().unwrap();
    assert_eq!(partition.guard(), Guard::TailOnly);
    partition.connect().unwrap();
    partition.send(unnumbered(3));
    let confirmed = settle(&mut partition);
    assert!(matches!(partition.confirm(0), Confirmed::Idle));
    drop(partition);
    (confirmed, broker.join().unwrap())
}

#[test]
fn it_is_asked_in_old_words() {
    let messages = [message(5, b"five"), message(6, b"six"), message(7, b"seven")].concat();
    let peer = Peer::start(|port| {
        vec![vec![
            offers_of(&OLD_OFFERS),
            metadata(port, 2),
            list_offsets(9),
            list_offsets(8),
            fetched(&messages[..messages.len() - 1]),
        ]]
    });
    let mut partition = partition(&peer, KafkaClient::Auto, Compression::Gzip);
    let described = partition.describe().unwrap();
    assert_eq!(described.cluster_id.as_deref(), Some("cluster"));
    assert_eq!((described.leader_epoch, described.replica_count), (-1, 1));
    assert_eq!(partition.guard(), Guard::TailOnly);
    assert_eq!(partition.offset(Mark::EpochEnd { leader_epoch: -1 }), Ok(Some(9)));
    assert_eq!(partition.offset(Mark::VisibleEnd), Ok(Some(8)));
    let mut seen = Vec::new();
    let mut visit = |offset, _key: Option<&[u8]>, value: Option<&[u8]>| {
        seen.push((offset, value.unwrap().to_vec()));
    };
    let to = partition.read(6, 9, Visit::Records(&mut visit));
    // The last message is cut: it is asked for again.
    assert_eq!((to, seen), (Ok(ReadTo::Offset(7)), vec![(6, b"six".to_vec())]));
    drop(partition);
    let requests = peer.requests();
    let body = |index: usize| &requests[index][4 + 4 + 2 + "test".len()..];
    assert_eq!(body(1), [0xFF; 4], "all topics: one by its name could be created");
    assert_eq!(
        body(2)[..4],
        (-2i32).to_be_bytes(),
        "as a debugging tool, which sees the log's end"
    );
    assert_eq!(body(3)[..4], (-1i32).to_be_bytes(), "as a consumer");
}

#[test]
fn a_batch_goes_through_the_crate() {
    let (confirmed, requests) = send(produced(0, 40), Compression::None);
    let Confirmed::Answered(batch, answer) = confirmed else { panic!("no answer") };
    assert_eq!((answer.error_code, answer.base_offset), (0, 40));
    assert_eq!(batch.record_count(), 3);
    let produce = requests.last().unwrap();
    assert_eq!(produce[..4], [0; 4], "Produce 0");
    let body = &produce[4 + 4 + 2 + "test".len()..];
    assert_eq!(body[..2], (-1i16).to_be_bytes(), "acks=all");
    for expected in ["value 0", "value 1", "value 2", "key"] {
        assert!(memchr::memmem::find(body, expected.as_bytes()).is_some(), "{expected}");
    }
}

#[test]
fn what_the_crate_meets_is_an_answer_or_nothing() {
    let (refused, _) = send(produced(7, -1), Compression::Gzip);
    assert!(matches!(refused, Confirmed::Answered(_, answer) if answer.error_code == 7));
    for (name, act) in [("hang up", Act::HangUp), ("cut", Act::Cut(vec![0; 30], 20))] {
        let (lost, _) = send(act, Compression::Snappy);
        let Confirmed::Lost(batch, trouble) = lost else { panic!("{name}: an answer") };
        assert_eq!(batch.record_count(), 3);
        assert!(trouble.problem.contains("(compatibility client)"), "{}", trouble.problem);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    type Offers<'a> = &'a [(i16, i16, i16)];
    let kafka_4: Offers<'_> = &[(0, 0, 13), (1, 4, 18), (2, 1, 10), (3, 0, 13), (22, 0, 5)];
    let cases: [(&str, Offers<'_>, KafkaClient, Compression, &str); 4] = [
        ("lz4", &OLD_OFFERS, KafkaClient::Auto, Compression::Lz4, "which has no lz4"),
        ("native", &OLD_OFFERS, KafkaClient::Native, Compression::Gzip, "no InitProducerId"),
        ("Kafka 4", kafka_4, KafkaClient::Compat, Compression::Gzip, "ListOffsets 1 to 10"),
        (
            "zstd",
            &super::OFFERS_BEFORE_ZSTD,
            KafkaClient::Auto,
            Compression::Zstd,
            "before Kafka 2.1",
        ),
    ];
    for (name, offers, client, compression, words) in cases {
        let peer = Peer::start(|_| vec![vec![offers_of(offers)]]);
        let said = stopped(partition(&peer, client, compression).describe().unwrap_err());
        assert!(said.contains(words), "{name}: {said}");
    }
    let peer = Peer::start(|_| vec![vec![Act::HangUp]]);
    passing(partition(&peer, KafkaClient::Compat, Compression::Gzip).describe().unwrap_err());
}
