//! What brokers say: frames, answers, batches, logins.

use bytes::Bytes;
use csv_to_kafka::limits::BROKERS_MAX;
use csv_to_kafka::settings::{Password, Secret};
use csv_to_kafka::wire::compress::Compression;
use csv_to_kafka::wire::decompress::decompress;
use csv_to_kafka::wire::kafka::frame::{FrameReader, correlation_id};
use csv_to_kafka::wire::kafka::old_fetch::OLD_FETCH;
use csv_to_kafka::wire::kafka::versions::{Versions, sasl};
use csv_to_kafka::wire::kafka::{answers, produce};
use csv_to_kafka::wire::old_messages::visit_message;
use csv_to_kafka::wire::provenance::source_line;
use csv_to_kafka::wire::record_batch::{Batches, is_checksum_right, records};
use csv_to_kafka::wire::sasl::msk_iam::region_of;
use csv_to_kafka::wire::sasl::scram::Hash;
use csv_to_kafka::wire::sasl::{Conversation, Turn};

use super::{Decoder, assert_fit_for_a_line, choice};

pub(super) const DECODERS: &[Decoder] = &[
    ("kafka_frame", frame),
    ("kafka_api_versions", api_versions),
    ("kafka_metadata", metadata),
    ("kafka_init_producer_id", init_producer_id),
    ("kafka_list_offsets", list_offsets),
    ("kafka_epoch_end", epoch_end),
    ("kafka_fetch", fetch),
    ("kafka_describe_configs", describe_configs),
    ("kafka_produce", produced),
    ("kafka_sasl_handshake", sasl_handshake),
    ("kafka_sasl_authenticate", sasl_authenticate),
    ("kafka_broker_name", broker_name),
    ("kafka_old_answers", old_answers),
    ("batches", batches),
    ("old_messages", old_messages),
    ("gzip", |bytes| inflate(Compression::Gzip, bytes)),
    ("snappy", |bytes| inflate(Compression::Snappy, bytes)),
    ("lz4", |bytes| inflate(Compression::Lz4, bytes)),
    ("zstd", |bytes| inflate(Compression::Zstd, bytes)),
    ("provenance", provenance),
    ("scram", scram),
];

const INFLATED_BYTES_MAX: usize = 64 * 1024;
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// A frame from pieces of any size; the first byte is the size.
fn frame(bytes: &[u8]) {
    let (piece, mut bytes) = choice(bytes);
    let mut reader = FrameReader::new();
    reader.start(FRAME_BYTES_MAX);
    while let Ok(false) = reader.is_complete() {
        let space = reader.space();
        assert!(!space.is_empty() && space.len() <= FRAME_BYTES_MAX);
        let count = space.len().min(piece.max(1)).min(bytes.len());
        if count == 0 {
            return;
        }
        let (now, later) = bytes.split_at(count);
        space[..count].copy_from_slice(now);
        bytes = later;
        reader.filled(count);
    }
    if let Err(bad) = reader.is_complete() {
        assert_fit_for_a_line(&bad.to_string());
        return;
    }
    assert!(correlation_id(reader.frame()).is_ok());
    assert_eq!(reader.frame().to_vec(), reader.take());
}

/// The version, between the oldest and the newest that is spoken, and the answer.
fn answer(bytes: &[u8], oldest: i16, newest: i16) -> (i16, &[u8]) {
    let (choice, frame) = choice(bytes);
    let versions = usize::from((newest - oldest).unsigned_abs()) + 1;
    (oldest + i16::try_from(choice % versions).unwrap_or(0), frame)
}

fn api_versions(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 0, 3);
    if let Ok(Some(offered)) = answers::api_versions(frame, version) {
        let offers = offered.offers;
        assert!(offers.len() <= frame.len());
        let spoken = Versions::negotiate(&offers);
        assert!(spoken.is_err() || offers.len() >= 5);
        if let Some((handshake, authenticate)) = sasl(&offers) {
            assert!(handshake == 1 && authenticate <= 1);
        }
    }
}

fn metadata(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 4, 12);
    match answers::metadata(frame, version, "t2", 0) {
        Ok(found) => assert!(found.brokers.len() <= BROKERS_MAX + 1),
        Err(garbled) => assert!(garbled.what.len() < 1_000),
    }
}

/// Of brokers that the compatibility client sends to: Metadata 1 to 3, and Fetch 3.
fn old_answers(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 1, 4);
    if version < 4 {
        if let Ok(found) = answers::metadata(frame, version, "t2", 0) {
            assert!(found.brokers.len() <= BROKERS_MAX + 1);
        }
        return;
    }
    let frame = Bytes::copy_from_slice(frame);
    if let Ok(found) = answers::fetch(&frame, OLD_FETCH, 0) {
        assert!(found.batches.len() <= frame.len());
    }
}

fn init_producer_id(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 0, 4);
    drop(answers::init_producer_id(frame, version));
}

fn list_offsets(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 1, 4);
    drop(answers::list_offsets(frame, version, 0));
}

fn epoch_end(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 2, 4);
    drop(answers::epoch_end(frame, version, 0));
}

fn fetch(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 4, 11);
    let frame = Bytes::copy_from_slice(frame);
    if let Ok(found) = answers::fetch(&frame, version, 0) {
        assert!(found.batches.len() <= frame.len());
        batches(&found.batches);
    }
}

fn describe_configs(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 1, 4);
    if let Ok(found) = answers::describe_configs(frame, version) {
        assert!(found.values.len() <= frame.len());
    }
}

fn produced(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 3, 13);
    drop(produce::decode(frame, version, 0));
}

fn sasl_handshake(bytes: &[u8]) {
    if let Ok(found) = answers::sasl_handshake(bytes, 1) {
        assert!(found.mechanisms.len() <= bytes.len());
    }
}

fn sasl_authenticate(bytes: &[u8]) {
    let (version, frame) = answer(bytes, 0, 1);
    if let Ok(found) = answers::sasl_authenticate(frame, version) {
        assert!(found.heard.len() <= frame.len());
    }
}

fn broker_name(bytes: &[u8]) {
    let host = String::from_utf8_lossy(bytes);
    if let Some(region) = region_of(&host) {
        assert!(!region.is_empty() && host.contains(region));
    }
}

/// A piece of log: headers, checksums, records.
fn batches(bytes: &[u8]) {
    let mut walk = Batches::new(bytes);
    let mut scratch = Vec::new();
    let mut before = 0;
    while let Some(found) = walk.next() {
        assert!(walk.whole_bytes() <= bytes.len());
        let Ok((header, batch)) = found else { continue };
        assert!(walk.whole_bytes() > before, "each batch takes bytes");
        before = walk.whole_bytes();
        assert_eq!(header.batch_bytes, batch.len());
        assert!(header.last_offset() >= header.base_offset);
        assert!(header.last_sequence() >= -1);
        let _ = is_checksum_right(batch);
        let Ok(found) = records(&header, batch, INFLATED_BYTES_MAX, &mut scratch) else { continue };
        let mut record_count = 0;
        for record in found {
            record_count += i32::from(record.is_ok());
        }
        assert!(record_count <= header.record_count);
    }
}

/// Bodies of old messages, a length byte before each; size and checksum are put right, which no
/// change at random would do. The first byte: all of them within one that is compressed, or each
/// by itself; and what is as it came.
fn old_messages(bytes: &[u8]) {
    let (how, mut bytes) = choice(bytes);
    if how & 2 != 0 {
        walk_messages(bytes);
        return;
    }
    let mut messages = Vec::new();
    while let [length, rest @ ..] = bytes {
        let (body, later) = rest.split_at(rest.len().min(usize::from(*length)));
        messages.extend(message(body));
        bytes = later;
    }
    if how & 1 != 0 {
        // A block of snappy that holds one literal, in a message of format 0 or 1 without a key.
        let short = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
        messages.truncate(usize::from(u8::MAX));
        // Its length as a varint of two bytes, the literal's less one in a byte.
        let (low, high) = (short(messages.len()) | 0x80, short(messages.len() >> 7));
        let mut snappy = vec![low, high, 60 << 2, short(messages.len().saturating_sub(1))];
        snappy.extend_from_slice(&messages);
        let magic = u8::from(how & 4 != 0);
        let mut body = vec![magic, 2];
        body.extend_from_slice(&[0; 8][..usize::from(magic) * 8]);
        body.extend_from_slice(&[0xFF; 4]);
        body.extend_from_slice(&u32::try_from(snappy.len()).unwrap_or(0).to_be_bytes());
        body.extend_from_slice(&snappy);
        messages = message(&body);
    }
    walk_messages(&messages);
}

fn message(body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 4).unwrap_or(0);
    let offset = 7_i64.to_be_bytes();
    let checksum = crc32fast::hash(body).to_be_bytes();
    [&offset[..], &size.to_be_bytes(), &checksum, body].concat()
}

fn walk_messages(bytes: &[u8]) {
    let (mut scratch, mut shown) = (Vec::new(), 0);
    let found = visit_message(bytes, INFLATED_BYTES_MAX, &mut scratch, &mut |_, key, value| {
        shown += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    });
    assert!(shown <= bytes.len() + scratch.len());
    assert!(scratch.len() <= INFLATED_BYTES_MAX);
    assert!(found.is_err() || !bytes.is_empty());
}

fn inflate(compression: Compression, bytes: &[u8]) {
    let mut out = Vec::new();
    if decompress(compression, bytes, INFLATED_BYTES_MAX, &mut out).is_ok() {
        assert!(out.len() <= INFLATED_BYTES_MAX);
    }
    assert!(out.capacity() <= 2 * INFLATED_BYTES_MAX, "{}", out.capacity());
}

fn provenance(bytes: &[u8]) {
    let line = source_line(bytes, "s3://b/k");
    assert!(line.is_none() || bytes.len() > 40);
}

/// Both messages of a server, with a line feed between them. Our nonce is `AAAA`.
fn scram(bytes: &[u8]) {
    let (choice, bytes) = choice(bytes);
    let hash = if choice.is_multiple_of(2) { Hash::Sha256 } else { Hash::Sha512 };
    let login = Password { username: "me".into(), password: Secret::new("hush".into()) };
    let mut scram = Conversation::scram(hash, &login, &[0; 3]);
    for heard in bytes.splitn(2, |byte| *byte == b'\n') {
        match scram.hear(heard) {
            Ok(Turn::Say(_)) => {}
            Ok(Turn::Done) => return,
            Err(bad) => {
                assert_fit_for_a_line(&bad.to_string());
                return;
            }
        }
    }
}
