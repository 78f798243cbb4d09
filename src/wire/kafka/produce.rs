//! Produce: a head, the batch's bytes as they are, a tail.
//!
//! ```text
//! i32 length | i16 0 | i16 version | i32 correlation id | i16 n, client id | [tags 0]
//! transactional id null | i16 acks -1 | i32 timeout
//! 1 topic: i16 n, name (to 12) or 16 bytes, id (13)
//! 1 partition: i32 index | length of the batch          <- the head ends
//! the batch
//! [tags 0 of the partition] [of the topic] [of the body] <- the tail, from version 9 on
//! ```
//! To version 8 lengths and counts are i32 or i16 and null is -1; from 9 on they are varints of
//! one more, and null is 0.

use kafka_protocol::messages::ProduceResponse;

use super::versions::PRODUCE_BY_ID;
use super::{Garbled, answers, shape};
use crate::limits::PRODUCE_TIMEOUT_MS;

const FLEXIBLE: i16 = 9;
const ACKS_ALL: i16 = -1;

/// Where a batch goes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub client_id: &'a str,
    pub topic: &'a str,
    /// Needed for version 13.
    pub topic_id: [u8; 16],
    pub partition: i32,
}

/// Writes the head over `out` and returns the tail. Fails on what is too long for the protocol.
pub fn encode_head(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    place: &Place<'_>,
    batch_bytes: usize,
) -> Result<&'static [u8], String> {
    let flexible = version >= FLEXIBLE;
    let tail: &[u8] = if flexible { &[0, 0, 0] } else { &[] };
    out.clear();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&0i16.to_be_bytes());
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&correlation_id.to_be_bytes());
    put_text(out, false, place.client_id)?;
    if flexible {
        out.push(0);
        out.push(0);
    } else {
        out.extend_from_slice(&(-1i16).to_be_bytes());
    }
    out.extend_from_slice(&ACKS_ALL.to_be_bytes());
    out.extend_from_slice(&timeout_ms().to_be_bytes());
    put_length(out, flexible, 1)?;
    if version >= PRODUCE_BY_ID {
        out.extend_from_slice(&place.topic_id);
    } else {
        put_text(out, flexible, place.topic)?;
    }
    put_length(out, flexible, 1)?;
    out.extend_from_slice(&place.partition.to_be_bytes());
    put_length(out, flexible, batch_bytes)?;
    let frame_bytes = out.len() - 4 + batch_bytes + tail.len();
    let length = i32::try_from(frame_bytes).map_err(|why| why.to_string())?;
    if let Some(start) = out.first_chunk_mut() {
        *start = length.to_be_bytes();
    }
    Ok(tail)
}

/// What the broker says of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    pub error_code: i16,
    pub base_offset: i64,
    pub throttle_ms: u64,
}

/// Reads the answer to a request for this partition.
pub fn decode(frame: &[u8], version: i16, partition: i32) -> Result<Produced, Garbled> {
    let answer: ProduceResponse = answers::decode(&shape::PRODUCE, version, frame)?;
    let mut found = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    match (found.next(), found.next()) {
        (Some(only), None) if only.index == partition => Ok(Produced {
            error_code: only.error_code,
            base_offset: only.base_offset,
            throttle_ms: answers::throttle_ms(answer.throttle_time_ms),
        }),
        _ => Err(Garbled::new("Produce: not about the one partition that was asked for")),
    }
}

/// Below 2^31, as limits.rs asserts.
fn timeout_ms() -> i32 {
    i32::try_from(PRODUCE_TIMEOUT_MS).unwrap_or(i32::MAX)
}

fn put_text(out: &mut Vec<u8>, flexible: bool, text: &str) -> Result<(), String> {
    if flexible {
        put_length(out, true, text.len())?;
    } else {
        let length = i16::try_from(text.len()).map_err(|_| format!("\"{text}\" is too long"))?;
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn put_length(out: &mut Vec<u8>, flexible: bool, length: usize) -> Result<(), String> {
    let length = i32::try_from(length).map_err(|why| why.to_string())?;
    if flexible {
        let mut left = length.unsigned_abs() + 1;
        while left >= 0x80 {
            out.push((left & 0x7F) as u8 | 0x80);
            left >>= 7;
        }
        out.push((left & 0x7F) as u8);
    } else {
        out.extend_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestHeader, TopicName};
    use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

    use super::*;

    const ID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    const ID_TEXT: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";

    fn by_the_crate(version: i16, topic: &str, batch: &[u8]) -> Vec<u8> {
        let header = RequestHeader::default()
            .with_request_api_key(ApiKey::Produce as i16)
            .with_request_api_version(version)
            .with_correlation_id(-77)
            .with_client_id(Some(StrBytes::from_static_str("csv-to-kafka")));
        let partition = PartitionProduceData::default()
            .with_index(3)
            .with_records(Some(bytes::Bytes::copy_from_slice(batch)));
        let mut data = TopicProduceData::default().with_partition_data(vec![partition]);
        if version >= PRODUCE_BY_ID {
            data = data.with_topic_id(ID_TEXT.parse().unwrap());
        } else {
            data = data.with_name(TopicName(StrBytes::from_string(topic.into())));
        }
        let body = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(timeout_ms())
            .with_topic_data(vec![data]);
        let mut out = vec![0; 4];
        header.encode(&mut out, ProduceRequest::header_version(version)).unwrap();
        body.encode(&mut out, version).unwrap();
        let length = u32::try_from(out.len() - 4).unwrap();
        out[..4].copy_from_slice(&length.to_be_bytes());
        out
    }

    #[test]
    fn every_version_is_byte_for_byte_what_the_crate_writes() {
        let long = "t".repeat(249);
        for version in 3..=13 {
            for topic in ["t", "orders.v1", &long] {
                for batch_bytes in [0, 1, 126, 127, 128, 16_382, 16_383, 100_000, 2_097_151] {
                    let batch = vec![0xAB; batch_bytes];
                    let place =
                        Place { client_id: "csv-to-kafka", topic, topic_id: ID, partition: 3 };
                    let mut frame = vec![9; 300];
                    let tail = encode_head(&mut frame, version, -77, &place, batch_bytes).unwrap();
                    frame.extend_from_slice(&batch);
                    frame.extend_from_slice(tail);
                    let same = frame == by_the_crate(version, topic, &batch);
                    assert!(same, "version {version}, topic {topic}, {batch_bytes} bytes");
                }
            }
        }
    }

    #[test]
    fn what_the_protocol_can_not_carry_is_refused() {
        let topic = "t".repeat(40_000);
        let place = Place { client_id: "c", topic: &topic, topic_id: ID, partition: 0 };
        let mut out = Vec::new();
        assert!(encode_head(&mut out, 3, 1, &place, 10).unwrap_err().contains("too long"));
        assert!(encode_head(&mut out, 13, 1, &place, 1 << 31).is_err());
        assert!(encode_head(&mut out, 13, 1, &place, (1 << 31) - 1).is_err());
    }
}
