//! The broker port against scripted peers: what they answer, cut, garble or leave out.

mod compat;
mod login;
mod messages;
mod peer;

use super::connection::{Connected, Failure, dial};
use super::*;
use crate::flow::ports::Missing;
use crate::limits::STRANGER_MS;
use crate::port::stream::Deadline;
use crate::wire::batch_writer::BatchWriter;
use crate::wire::compress::Compression;
use peer::{
    ALL_WELL, Act, OFFERS, OFFERS_WITH_IDS, Peer, Told, batch, bytes, closed_port, configs,
    epoch_end, fetch, init_producer_id, list_offsets, metadata, metadata_with_id, offers,
    offers_of, one, partition_at, produced, produced_by_id, stored, text,
};

/// Kafka 1.1: idempotent producers, but Produce ends at 5.
const OFFERS_BEFORE_ZSTD: [(i16, i16, i16); 7] =
    [(0, 0, 5), (1, 0, 7), (2, 0, 2), (3, 0, 5), (22, 0, 0), (23, 0, 0), (32, 0, 1)];

fn passing(fault: Fault) -> Trouble {
    match fault {
        Fault::Passing(trouble) => trouble,
        Fault::Final(stop) => panic!("final: {stop}"),
    }
}

fn stopped(fault: Fault) -> String {
    match fault {
        Fault::Final(stop) => {
            assert_eq!(stop.exit_code(), crate::stop::EXIT_MEND);
            stop.to_string()
        }
        Fault::Passing(trouble) => panic!("passing: {trouble:?}"),
    }
}

/// Looks until there is something else than "pending".
fn settle(partition: &mut KafkaPartition) -> Confirmed {
    for _ in 0..20 {
        match partition.confirm(1_000) {
            Confirmed::Pending => {}
            settled => return settled,
        }
    }
    panic!("no answer");
}

// --- Finding the partition --------------------------------------------------------------

#[test]
fn the_first_server_that_answers_describes_the_partition() {
    let peer = Peer::start(|port| vec![vec![offers(), metadata(port, &ALL_WELL)]]);
    let mut partition = partition_at(&[closed_port(), peer.port]);
    let described = partition.describe().unwrap();
    assert_eq!(described.cluster_id.as_deref(), Some("cluster"));
    assert_eq!(described.topic_id, None);
    assert_eq!(described.leader_epoch, 5);
    assert_eq!((described.replica_count, described.in_sync_count), (1, 1));
    drop(partition);
    assert_eq!(peer.requests().len(), 2);
}

#[test]
fn what_metadata_says_of_a_partition_that_can_not_be_used() {
    let told = |topic_error, leader, partition_index| Told { topic_error, leader, partition_index };
    let one_partition = Some(Missing::Partition { partition_count: 1 });
    let cases = [
        ("no topic", told(3, 7, 0), Ok((Some(Missing::Topic), "UNKNOWN_TOPIC_OR_PARTITION (3)"))),
        ("no partition", told(0, 7, 4), Ok((one_partition, "has 1 partitions"))),
        ("no leader", told(0, -1, 0), Ok((None, "t/0 has no leader now"))),
        ("unknown leader", told(0, 8, 0), Ok((None, "t/0 has no leader now"))),
        ("topic is coming", told(5, 7, 0), Ok((None, "LEADER_NOT_AVAILABLE (5)"))),
        ("no right", told(29, 7, 0), Err("Grant WRITE, READ and DESCRIBE_CONFIGS")),
        ("no name", told(17, 7, 0), Err("INVALID_TOPIC_EXCEPTION (17)")),
    ];
    for (name, told, expected) in cases {
        let peer = Peer::start(|port| vec![vec![offers(), metadata(port, &told)]]);
        let fault = peer.partition().describe().unwrap_err();
        match expected {
            Ok((missing, words)) => {
                let trouble = passing(fault);
                assert_eq!(trouble.missing, missing, "{name}");
                assert!(trouble.problem.contains(words), "{name}: {}", trouble.problem);
            }
            Err(words) => assert!(stopped(fault).contains(words), "{name}"),
        }
        peer.requests();
    }
}

#[test]
fn strangers_are_named_and_final() {
    let cases: [(&'static [u8], &str); 5] = [
        (&[0x15, 3, 3, 0, 2, 2, 0x50], "it speaks TLS. Set KAFKA_SECURITY_PROTOCOL"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP. Mend the port"),
        (b"<html>bad gateway</html>", "it speaks HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it speaks SSH"),
        (b"-ERR unknown command\r\n", "This is no Kafka port"),
    ];
    for (bytes, words) in cases {
        let peer = Peer::start(|_| vec![vec![Act::Raw(bytes)]]);
        let message = stopped(peer.partition().describe().unwrap_err());
        assert!(message.contains(words), "{message}");
        peer.requests();
    }
}

/// He says nothing before the call's time is almost over; what he gets then is a line end.
#[test]
fn a_stranger_who_waits_for_a_line_is_named() {
    for (bytes, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Ok("it speaks HTTP. Mend the port")),
        (b"<!DOCTYPE HTML>", Ok("it speaks HTTP. Mend the port")),
        (b"-ERR unknown command\r\n", Ok("This is no Kafka port")),
        (b"", Err("no answer in time (is it a Kafka port?")),
    ] {
        let peer = Peer::start(|_| vec![vec![Act::AfterLine(bytes)]]);
        let mut deadline = Deadline::after_ms(2 * STRANGER_MS);
        let security = Security::default();
        let stream = dial("127.0.0.1", peer.port, &mut deadline).unwrap();
        let opened = Connected::open(stream, "127.0.0.1", peer.port, "test", &security, deadline);
        let Err(Failure { fault, .. }) = opened else { panic!("nobody answered") };
        match words {
            Ok(words) => {
                let message = stopped(fault);
                assert!(message.contains(words), "{message}");
            }
            Err(words) => {
                let trouble = passing(fault);
                assert!(trouble.problem.contains(words), "{trouble:?}");
            }
        }
        peer.requests();
    }
}

/// For a connection to this port.
type Script = fn(u16) -> Vec<Act>;

#[test]
fn a_port_that_only_hangs_up_is_asked_again_later() {
    let well = |port| metadata(port, &ALL_WELL);
    let scripts: [(&str, Script); 3] = [
        ("at once", |_| vec![Act::HangUp]),
        ("in mid-answer", |_| vec![Act::Cut(vec![0; 40], 11)]),
        ("as a SASL port does", |_| vec![offers(), Act::HangUp]),
    ];
    for (name, script) in scripts {
        let peer = Peer::start(|port| vec![script(port), vec![offers(), well(port)]]);
        let mut partition = peer.partition();
        let trouble = passing(partition.describe().unwrap_err());
        assert!(trouble.problem.contains("KAFKA_SECURITY_PROTOCOL"), "{name}: {trouble:?}");
        partition.describe().unwrap();
        drop(partition);
        peer.requests();
    }
}

#[test]
fn a_broker_that_lacks_what_is_needed_is_final() {
    let old = [(0, 0, 2), (1, 0, 3), (2, 0, 1), (3, 0, 2)];
    let peer = Peer::start(|_| vec![vec![offers_of(&old)]]);
    let mut partition = peer.partition();
    partition.config.client = KafkaClient::Native;
    let message = stopped(partition.describe().unwrap_err());
    assert!(message.contains("Produce 0 to 2 (this program speaks 3 to 13)"), "{message}");
    assert!(message.contains("no InitProducerId"), "{message}");
    peer.requests();
}

#[test]
fn an_old_broker_is_asked_for_its_versions_again_in_the_oldest_form() {
    let refused = Act::Say(vec![0, 35, 0, 0, 0, 0]);
    let mut plain = vec![0, 0, 0, 0, 0, u8::try_from(OFFERS.len()).unwrap()];
    for (key, min, max) in OFFERS {
        plain.extend(bytes(&[&key.to_be_bytes(), &min.to_be_bytes(), &max.to_be_bytes()]));
    }
    let peer = Peer::start(|port| vec![vec![refused, Act::Say(plain), metadata(port, &ALL_WELL)]]);
    let mut partition = peer.partition();
    partition.describe().unwrap();
    drop(partition);
    let versions: Vec<_> = peer.requests().iter().map(|frame| frame[..4].to_vec()).collect();
    assert_eq!(versions, [[0, 18, 0, 3], [0, 18, 0, 0], [0, 3, 0, 7]]);
}

// --- Questions --------------------------------------------------------------------------

/// A peer that describes its partition and then does this.
fn described(acts: Vec<Act>) -> (Peer, KafkaPartition) {
    let peer = Peer::start(|port| vec![[vec![offers(), metadata(port, &ALL_WELL)], acts].concat()]);
    let mut partition = peer.partition();
    partition.describe().unwrap();
    (peer, partition)
}

#[test]
fn offsets_and_what_is_no_offset() {
    let epoch = Mark::EpochEnd { leader_epoch: 5 };
    let cases = [
        ("start", Mark::Start, list_offsets(0, 3), Ok(Some(3))),
        ("end", Mark::VisibleEnd, list_offsets(0, 12), Ok(Some(12))),
        ("not yet", Mark::VisibleEnd, list_offsets(5, -1), Err("LEADER_NOT_AVAILABLE (5)")),
        ("not it", Mark::VisibleEnd, list_offsets(6, -1), Err("NOT_LEADER_OR_FOLLOWER (6)")),
        ("not yet 78", Mark::VisibleEnd, list_offsets(78, -1), Err("OFFSET_NOT_AVAILABLE (78)")),
        ("no offset", Mark::VisibleEnd, list_offsets(0, -1), Err("names no offset")),
        ("epoch's end", epoch, epoch_end(0, 5, 40), Ok(Some(40))),
        ("epoch unknown", epoch, epoch_end(0, -1, -1), Err("does not know the end")),
        ("older epoch", epoch, epoch_end(0, 4, 30), Err("does not know the end")),
        ("fenced", epoch, epoch_end(74, -1, -1), Err("FENCED_LEADER_EPOCH (74)")),
        ("ahead", epoch, epoch_end(75, -1, -1), Err("UNKNOWN_LEADER_EPOCH (75)")),
    ];
    for (name, mark, act, expected) in cases {
        let (peer, mut partition) = described(vec![act]);
        match (partition.offset(mark), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
            (Err(fault), Err(words)) => {
                let problem = passing(fault).problem;
                assert!(problem.contains(words), "{name}: {problem}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
        drop(partition);
        peer.requests();
    }
}

#[test]
fn a_broker_without_epoch_ends_is_asked_as_a_debugging_tool_does() {
    let without: Vec<_> = OFFERS.into_iter().filter(|(key, ..)| *key != 23).collect();
    let peer = Peer::start(|port| {
        vec![vec![offers_of(&without), metadata(port, &ALL_WELL), list_offsets(0, 77)]]
    });
    let mut partition = peer.partition();
    partition.describe().unwrap();
    assert_eq!(partition.offset(Mark::EpochEnd { leader_epoch: 5 }), Ok(Some(77)));
    drop(partition);
    let replica = &peer.requests()[2][4 + 4 + 2 + "test".len()..][..4];
    assert_eq!(replica, (-2i32).to_be_bytes());
}

#[test]
fn an_identity_is_never_negative() {
    let cases = [
        (init_producer_id(0, 4_000, 0), Ok(4_000)),
        (init_producer_id(14, -1, -1), Err("COORDINATOR_LOAD_IN_PROGRESS (14)")),
        (init_producer_id(15, -1, -1), Err("COORDINATOR_NOT_AVAILABLE (15)")),
        (init_producer_id(0, -1, -1), Err("no producer id yet")),
    ];
    for (act, expected) in cases {
        let (peer, mut partition) = described(vec![act]);
        match (partition.new_producer(), expected) {
            (Ok(found), Ok(id)) => assert_eq!(found, ProducerIdentity { id, epoch: 0 }),
            (Err(fault), Err(words)) => {
                let problem = passing(fault).problem;
                assert!(problem.contains(words), "{problem}");
            }
            (found, _) => panic!("{found:?}"),
        }
        drop(partition);
        peer.requests();
    }
    let (peer, mut partition) = described(vec![init_producer_id(31, -1, -1)]);
    assert!(stopped(partition.new_producer().unwrap_err()).contains("Grant WRITE"));
    drop(partition);
    peer.requests();
}

type ReadCase = (i64, i64, &'static [i64], &'static [i64], i64);

#[test]
fn a_read_visits_what_is_asked_for() {
    // Offsets 10 to 12, 13 to 14, 20 (a gap before it), and a cut batch.
    let mut log = [stored(10, 3), stored(13, 2), stored(20, 1)].concat();
    log.extend_from_slice(&stored(21, 4)[..70]);
    // From, to, the batches and the records that are visited, and how far that is.
    let cases: [ReadCase; 6] = [
        (10, 100, &[10, 13, 20], &[10, 11, 12, 13, 14, 20], 21),
        (11, 100, &[10, 13, 20], &[11, 12, 13, 14, 20], 21),
        (13, 100, &[13, 20], &[13, 14, 20], 21),
        (10, 14, &[10, 13], &[10, 11, 12, 13], 14),
        (12, 12, &[], &[], 12),
        (15, 20, &[], &[], 20),
    ];
    for (from, to, headers, records, reached) in cases {
        let act = fetch(0, 0, &log);
        let (peer, mut partition) = described(vec![act.clone(), act]);
        let mut found = Vec::new();
        let visit = Visit::Headers(&mut |header| found.push(header.base_offset));
        assert_eq!(partition.read(from, to, visit), Ok(ReadTo::Offset(reached)));
        assert_eq!(found, headers, "{from} to {to}");
        let mut found = Vec::new();
        let visit = Visit::Records(&mut |offset, _, value| {
            assert!(value.unwrap().starts_with(b"v"));
            found.push(offset);
        });
        assert_eq!(partition.read(from, to, visit), Ok(ReadTo::Offset(reached)));
        assert_eq!(found, records, "{from} to {to}");
        drop(partition);
        peer.requests();
    }
}

#[test]
fn a_read_of_what_is_not_there() {
    let read = |partition: &mut KafkaPartition, to| {
        partition.read(10, to, Visit::Headers(&mut |_| panic!("nothing to visit")))
    };
    let (peer, mut partition) = described(vec![
        fetch(0, 0, &[]),
        fetch(1, 50, &[]),
        fetch(1, -1, &[]),
        list_offsets(0, 60),
        fetch(1, 0, &[]),
    ]);
    assert_eq!(read(&mut partition, 10), Ok(ReadTo::Offset(10)));
    assert_eq!(read(&mut partition, 20), Ok(ReadTo::Deleted { log_start: 50 }));
    assert_eq!(read(&mut partition, 20), Ok(ReadTo::Deleted { log_start: 60 }));
    let trouble = passing(read(&mut partition, 20).unwrap_err());
    assert!(trouble.problem.contains("does not reach offset 10"), "{trouble:?}");
    drop(partition);
    peer.requests();
}

#[test]
fn an_idle_connection_that_was_closed_is_opened_again_within_the_call() {
    let peer = Peer::start(|port| {
        vec![
            vec![offers(), metadata(port, &ALL_WELL), Act::HangUp],
            vec![offers(), list_offsets(0, 12)],
        ]
    });
    let mut partition = peer.partition();
    partition.describe().unwrap();
    assert_eq!(partition.offset(Mark::VisibleEnd), Ok(Some(12)));
    drop(partition);
    peer.requests();
}

#[test]
fn a_broker_that_does_not_lead_is_not_asked_again_before_metadata() {
    let (peer, mut partition) = described(vec![list_offsets(6, -1), list_offsets(0, 12)]);
    passing(partition.offset(Mark::VisibleEnd).unwrap_err());
    assert!(partition.is_leader_doubted);
    // The only broker there is: it is asked for Metadata, and does not know the script.
    passing(partition.offset(Mark::VisibleEnd).unwrap_err());
    drop(partition);
    let asked: Vec<u8> = peer.requests().iter().map(|frame| frame[1]).collect();
    assert_eq!(asked, [18, 3, 2, 3]);
}

#[test]
fn the_leader_is_followed_to_another_broker() {
    let leader = Peer::start(|_| vec![vec![offers(), list_offsets(0, 12)]]);
    let leader_port = leader.port;
    let other = Peer::start(|_| vec![vec![offers(), metadata(leader_port, &ALL_WELL)]]);
    let mut partition = other.partition();
    partition.describe().unwrap();
    assert_eq!(partition.offset(Mark::VisibleEnd), Ok(Some(12)));
    drop(partition);
    assert_eq!((leader.requests().len(), other.requests().len()), (2, 2));
}

/// In a container a broker often names itself by a name that is known there alone.
#[test]
fn a_leader_that_can_not_be_reached_is_said_to_be_named_by_the_cluster() {
    let nobody = closed_port();
    let peer = Peer::start(|_| {
        let answers = || metadata(nobody, &ALL_WELL);
        vec![vec![offers(), answers()], vec![offers(), answers()]]
    });
    let mut partition = peer.partition();
    partition.describe().unwrap();
    let trouble = passing(partition.offset(Mark::VisibleEnd).unwrap_err());
    let server = format!("no connection to 127.0.0.1:{nobody}");
    assert!(trouble.problem.starts_with(&server), "{trouble:?}");
    assert!(trouble.problem.contains("advertised.listeners"), "{trouble:?}");
    drop(partition);
    peer.requests();
    let trouble = passing(partition_at(&[nobody]).describe().unwrap_err());
    assert!(!trouble.problem.contains("advertised.listeners"), "{trouble:?}");
}

#[test]
fn answers_that_make_no_sense_are_passing_and_end_the_connection() {
    let cases = [
        ("another id", Act::Mix(vec![0; 20]), "it answers request"),
        ("noise", Act::Say(vec![0x7F; 30]), "makes no sense"),
        ("nothing", Act::Say(vec![]), "ends too early"),
    ];
    for (name, act, words) in cases {
        let (peer, mut partition) = described(vec![act]);
        let trouble = passing(partition.offset(Mark::Start).unwrap_err());
        assert!(trouble.problem.contains(words), "{name}: {}", trouble.problem);
        assert!(partition.ready.is_none(), "{name}");
        peer.requests();
    }
}

/// The same answer, which asks for a pause of a minute; the four bytes begin here.
fn throttled(act: Act, at: usize) -> Act {
    let Act::Say(mut body) = act else { panic!("only what is said can ask for a pause") };
    body[at..at + 4].copy_from_slice(&60_000i32.to_be_bytes());
    Act::Say(body)
}

fn assert_pause<T: std::fmt::Debug>(outcome: Result<T, Fault>) {
    let trouble = passing(outcome.unwrap_err());
    assert!((50_000..=60_000).contains(&trouble.pause_ms), "{trouble:?}");
}

#[test]
fn a_throttled_client_is_told_to_pause() {
    let (peer, mut partition) = described(vec![throttled(list_offsets(0, 12), 0)]);
    assert_eq!(partition.offset(Mark::VisibleEnd), Ok(Some(12)));
    assert_pause(partition.offset(Mark::VisibleEnd));
    drop(partition);
    assert_eq!(peer.requests().len(), 3);
}

/// Whatever comes next would be answered too late, a batch too; and an answer that is of no use
/// may ask for a pause like any other.
#[test]
fn metadata_may_ask_for_a_pause() {
    let coming = Told { topic_error: 5, ..ALL_WELL };
    for (told, is_well) in [(ALL_WELL, true), (coming, false)] {
        let peer = Peer::start(|port| vec![vec![offers(), throttled(metadata(port, &told), 0)]]);
        let mut partition = peer.partition();
        assert_eq!(partition.describe().is_ok(), is_well);
        assert_pause(partition.connect());
        assert_pause(partition.describe());
        drop(partition);
        assert_eq!(peer.requests().len(), 2);
    }
}

/// And when it is over, the connection that waited for it is the one that is used.
#[test]
fn a_broker_may_ask_for_a_pause_before_anything_else() {
    for is_leader_doubted in [false, true] {
        let peer = Peer::start(|port| {
            let Act::Say(body) = offers() else { panic!("the offers are said") };
            let at = body.len() - 5;
            vec![vec![throttled(Act::Say(body), at), metadata(port, &ALL_WELL)]]
        });
        let mut partition = peer.partition();
        partition.is_leader_doubted = is_leader_doubted;
        assert_pause(partition.describe());
        assert_pause(partition.describe());
        partition.muted_until = None;
        partition.describe().unwrap();
        drop(partition);
        assert_eq!(peer.requests().len(), 2);
    }
}

// --- A batch ----------------------------------------------------------------------------

#[test]
fn a_batch_goes_out_as_it_is_and_comes_back_with_its_answer() {
    let (peer, mut partition) =
        described(vec![Act::Say(produced(0, 500, 0)), Act::Say(produced(45, -1, 30))]);
    assert!(matches!(partition.confirm(0), Confirmed::Idle));
    let first = batch(0, 20, 40_000);
    let sent = first.as_bytes().to_vec();
    partition.connect().unwrap();
    partition.send(first);
    let Confirmed::Answered(first, answer) = settle(&mut partition) else { panic!("no answer") };
    assert_eq!(answer, Answer { error_code: 0, base_offset: 500, throttle_ms: 0 });
    assert!(first.as_bytes() == sent, "the batch has changed on its way");
    partition.connect().unwrap();
    partition.send(first);
    let Confirmed::Answered(_, answer) = settle(&mut partition) else { panic!("no answer") };
    assert_eq!(answer, Answer { error_code: 45, base_offset: -1, throttle_ms: 30 });
    drop(partition);
    let requests = peer.requests();
    // Key 0, version 7 by name, acks -1, ten seconds, one topic, partition 0, and the batch.
    let head = &requests[2][..requests[2].len() - sent.len()];
    assert_eq!(head[..4], [0, 0, 0, 7]);
    let expected = bytes(&[
        &text("test"),
        &[0xFF; 4],
        &10_000i32.to_be_bytes(),
        &one(),
        &text("t"),
        &one(),
        &[0; 4],
        &u32::try_from(sent.len()).unwrap().to_be_bytes(),
    ]);
    assert_eq!(head[8..], expected);
    assert!(requests[2].ends_with(&sent) && requests[3].ends_with(&sent));
}

#[test]
fn a_batch_whose_answer_is_lost_comes_back_unchanged() {
    let answer = || produced(0, 500, 0);
    let cases = [
        ("hung up", Act::HangUp, "hung up without an answer"),
        ("cut in the length", Act::Cut(answer(), 2), "hung up without an answer"),
        ("cut in the answer", Act::Cut(answer(), 20), "hung up without an answer"),
        ("another id", Act::Mix(answer()), "it answers request"),
        ("noise", Act::Say(vec![0x7F; 50]), "makes no sense"),
        ("a length beyond all", Act::Raw(&[0x7F, 0, 0, 0]), "an answer of 2130706432 bytes"),
    ];
    for (name, act, words) in cases {
        let (peer, mut partition) = described(vec![act]);
        let first = batch(0, 20, 40_000);
        let sent = first.as_bytes().to_vec();
        partition.connect().unwrap();
        partition.send(first);
        let Confirmed::Lost(back, trouble) = settle(&mut partition) else { panic!("{name}") };
        assert!(trouble.problem.contains(words), "{name}: {}", trouble.problem);
        assert!(back.as_bytes() == sent, "{name}: the batch has changed");
        assert!(partition.ready.is_none(), "{name}");
        assert!(matches!(partition.confirm(0), Confirmed::Idle), "{name}");
        peer.requests();
    }
}

#[test]
fn silence_is_pending_and_a_hang_up_gives_the_batch_back() {
    let (peer, mut partition) = described(vec![Act::Silence]);
    let first = batch(0, 3, 10);
    let sent = first.as_bytes().to_vec();
    partition.connect().unwrap();
    partition.send(first);
    assert!(matches!(partition.confirm(0), Confirmed::Pending));
    assert!(matches!(partition.confirm(5), Confirmed::Pending));
    let back = partition.hang_up().unwrap();
    assert!(back.as_bytes() == sent);
    assert!(partition.hang_up().is_none());
    peer.requests();
}

#[test]
#[should_panic(expected = "a request while a batch is in flight")]
fn nothing_is_asked_while_a_batch_is_in_flight() {
    let (_peer, mut partition) = described(vec![Act::Silence]);
    partition.connect().unwrap();
    partition.send(batch(0, 1, 1));
    drop(partition.offset(Mark::Start));
}

#[test]
#[should_panic(expected = "a batch without a producer's identity")]
fn a_batch_without_identity_never_leaves() {
    let (_peer, mut partition) = described(vec![Act::Silence]);
    partition.connect().unwrap();
    // Never sealed: its header is empty.
    let mut writer = BatchWriter::new(Compression::None, 10_000, 5_000);
    writer.restart(Batch::with_capacity(10_000));
    writer.add(None, |out| out.push(1));
    partition.send(writer.finish());
}

/// By id the broker refuses a topic that was made again; and no look at Metadata that the caller
/// does not see may take the new one for the old one.
#[test]
fn a_topic_that_was_made_again_is_not_written_to() {
    let (before, after) = ([1; 16], [2; 16]);
    let peer = Peer::start(|port| {
        vec![vec![
            offers_of(&OFFERS_WITH_IDS),
            metadata_with_id(port, before),
            produced_by_id(before, 100),
            metadata_with_id(port, after),
        ]]
    });
    let mut partition = peer.partition();
    assert_eq!(partition.describe().unwrap().topic_id, Some(show_topic_id(before)));
    partition.connect().unwrap();
    partition.send(batch(0, 1, 1));
    let Confirmed::Answered(_, answer) = settle(&mut partition) else { panic!("no answer") };
    assert_eq!(answer.error_code, 100);
    let message = stopped(partition.connect().unwrap_err());
    assert!(message.contains("topic t was deleted and made again"), "{message}");
    drop(partition);
    let produce = &peer.requests()[2];
    assert_eq!(produce[..4], [0, 0, 0, 13]);
    assert!(produce.windows(16).any(|bytes| bytes == before));
}

#[test]
fn settings_are_told_where_they_may_be() {
    let nothing = TopicSettings::default();
    let some = TopicSettings {
        max_message_bytes: Some(1_048_588),
        cleanup_policy: Some("compact,delete".into()),
        retention_ms: Some(-1),
        unclean_leader_election: Some(false),
        ..TopicSettings::default()
    };
    let values = [
        ("max.message.bytes", Some("1048588")),
        ("min.insync.replicas", None),
        ("cleanup.policy", Some("compact,delete")),
        ("retention.ms", Some("-1")),
        ("unclean.leader.election.enable", Some("false")),
    ];
    let cases = [
        ("told", configs(0, &values), Ok(some)),
        ("not allowed", configs(29, &[]), Ok(nothing)),
        ("no topic", configs(3, &[]), Err("UNKNOWN_TOPIC_OR_PARTITION (3)")),
        ("no number", configs(0, &[("retention.ms", Some("1 week"))]), Err("\"1 week\"")),
    ];
    for (name, act, expected) in cases {
        let (peer, mut partition) = described(vec![act]);
        match (partition.topic_settings(), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
            (Err(fault), Err(words)) => {
                let problem = passing(fault).problem;
                assert!(problem.contains(words), "{name}: {problem}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
        drop(partition);
        peer.requests();
    }
}

#[test]
fn topic_ids_are_shown_as_kafka_shows_them() {
    let id = [171, 99, 222, 190, 10, 19, 78, 250, 163, 106, 13, 120, 118, 38, 195, 8];
    assert_eq!(show_topic_id(id), "q2PevgoTTvqjag14dibDCA");
    assert_eq!(show_topic_id([0xFF; 16]), "_____________________w");
    assert_eq!(show_topic_id([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
}
