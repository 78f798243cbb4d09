//! Answers as this program needs them; decoded by the `kafka-protocol` crate after
//! [`shape`](super::shape) has walked them.

use bytes::Bytes;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeConfigsResponse, FetchResponse, InitProducerIdResponse,
    ListOffsetsResponse, MetadataResponse, OffsetForLeaderEpochResponse, ResponseHeader,
    SaslAuthenticateResponse, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use super::Garbled;
use super::errors::{UNKNOWN_TOPIC_OR_PARTITION, UNSUPPORTED_VERSION};
use super::old_fetch::{self, OLD_FETCH};
use super::shape::{self, Shape};
use super::versions::{METADATA_BY_NAME, Offer};
use crate::limits::BROKERS_MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub throttle_ms: u64,
    pub offers: Vec<Offer>,
}

/// `ApiVersions`: what the broker offers, or `None` if it does not know the version asked in.
pub fn api_versions(frame: &[u8], version: i16) -> Result<Option<Offered>, Garbled> {
    // A refusal comes in the form of version 0, whatever was asked for.
    let refused = frame.get(4..6) == Some(&UNSUPPORTED_VERSION.to_be_bytes());
    if refused && version > 0 {
        return Ok(None);
    }
    let answer: ApiVersionsResponse = decode(&shape::API_VERSIONS, version, frame)?;
    if answer.error_code != 0 {
        return Err(Garbled::new(format!("ApiVersions: error {}", answer.error_code)));
    }
    let offer = |key: &kafka_protocol::messages::api_versions_response::ApiVersion| Offer {
        api_key: key.api_key,
        min: key.min_version,
        max: key.max_version,
    };
    Ok(Some(Offered {
        throttle_ms: throttle_ms(answer.throttle_time_ms),
        offers: answer.api_keys.iter().map(offer).collect(),
    }))
}

/// A broker as Metadata names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub throttle_ms: u64,
    pub cluster_id: Option<String>,
    /// At most [`BROKERS_MAX`], and always the leader if it is named.
    pub brokers: Vec<Node>,
    pub topic_error: i16,
    pub topic_id: Option<[u8; 16]>,
    pub partition_count: usize,
    /// Of the partitions that are named none has a number beyond their count.
    pub is_whole: bool,
    pub partition: Option<PartitionState>,
    /// `None` where the broker does not tell.
    pub rights: Option<Rights>,
}

/// What we may do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    pub read: bool,
    pub write: bool,
    pub describe_configs: bool,
}

impl Rights {
    /// Bits by the number of the operation (KIP-430); the lowest number: not told.
    fn of_operations(operations: i32) -> Option<Rights> {
        const READ: u32 = 3;
        const WRITE: u32 = 4;
        const DESCRIBE_CONFIGS: u32 = 10;
        let has = |operation: u32| operations.cast_unsigned() & (1 << operation) != 0;
        (operations != i32::MIN).then(|| Rights {
            read: has(READ),
            write: has(WRITE),
            describe_configs: has(DESCRIBE_CONFIGS),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    pub error_code: i16,
    /// -1: none.
    pub leader_id: i32,
    /// -1 where the broker does not tell.
    pub leader_epoch: i32,
    pub replica_count: usize,
    pub in_sync_count: usize,
}

pub fn metadata(
    frame: &[u8],
    version: i16,
    topic: &str,
    partition: i32,
) -> Result<Metadata, Garbled> {
    let answer: MetadataResponse = decode(&shape::METADATA, version, frame)?;
    let found = answer
        .topics
        .iter()
        .find(|found| found.name.as_ref().is_some_and(|name| name.as_str() == topic));
    // Who is asked about all topics says nothing about one that is not there.
    let absent = MetadataResponseTopic::default().with_error_code(UNKNOWN_TOPIC_OR_PARTITION);
    let found = match found {
        Some(found) => found,
        None if version < METADATA_BY_NAME => &absent,
        None => return Err(Garbled::new(format!("Metadata: nothing about topic {topic}"))),
    };
    let state = |found: &MetadataResponsePartition| PartitionState {
        error_code: found.error_code,
        leader_id: found.leader_id.0,
        leader_epoch: found.leader_epoch,
        replica_count: found.replica_nodes.len(),
        in_sync_count: found.isr_nodes.len(),
    };
    let partition_state =
        found.partitions.iter().find(|found| found.partition_index == partition).map(state);
    let leader_id = partition_state.map_or(-1, |found| found.leader_id);
    let mut brokers = Vec::new();
    for broker in &answer.brokers {
        let port = u16::try_from(broker.port)
            .map_err(|_| Garbled::new(format!("Metadata: port {}", broker.port)))?;
        if brokers.len() < BROKERS_MAX || broker.node_id.0 == leader_id {
            brokers.push(Node { id: broker.node_id.0, host: broker.host.to_string(), port });
        }
    }
    let topic_id = *found.topic_id.as_bytes();
    Ok(Metadata {
        throttle_ms: throttle_ms(answer.throttle_time_ms),
        cluster_id: answer.cluster_id.map(|id| id.to_string()),
        brokers,
        topic_error: found.error_code,
        topic_id: (topic_id != [0; 16]).then_some(topic_id),
        partition_count: found.partitions.len(),
        is_whole: found.partitions.iter().all(|known| {
            usize::try_from(known.partition_index).is_ok_and(|index| index < found.partitions.len())
        }),
        partition: partition_state,
        rights: Rights::of_operations(found.topic_authorized_operations),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewProducer {
    pub throttle_ms: u64,
    pub error_code: i16,
    pub id: i64,
    pub epoch: i16,
}

pub fn init_producer_id(frame: &[u8], version: i16) -> Result<NewProducer, Garbled> {
    let answer: InitProducerIdResponse = decode(&shape::INIT_PRODUCER_ID, version, frame)?;
    Ok(NewProducer {
        throttle_ms: throttle_ms(answer.throttle_time_ms),
        error_code: answer.error_code,
        id: answer.producer_id.0,
        epoch: answer.producer_epoch,
    })
}

/// The answer to `ListOffsets` and `OffsetForLeaderEpoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAnswer {
    pub throttle_ms: u64,
    pub error_code: i16,
    /// -1: not known.
    pub leader_epoch: i32,
    /// -1: not known.
    pub offset: i64,
}

pub fn list_offsets(frame: &[u8], version: i16, partition: i32) -> Result<OffsetAnswer, Garbled> {
    let answer: ListOffsetsResponse = decode(&shape::LIST_OFFSETS, version, frame)?;
    let mut found = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found = found
        .find(|found| found.partition_index == partition)
        .ok_or_else(|| Garbled::new("ListOffsets: nothing about the partition"))?;
    Ok(OffsetAnswer {
        throttle_ms: throttle_ms(answer.throttle_time_ms),
        error_code: found.error_code,
        leader_epoch: found.leader_epoch,
        offset: found.offset,
    })
}

pub fn epoch_end(frame: &[u8], version: i16, partition: i32) -> Result<OffsetAnswer, Garbled> {
    let answer: OffsetForLeaderEpochResponse = decode(&shape::EPOCH_END, version, frame)?;
    let mut found = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found = found
        .find(|found| found.partition == partition)
        .ok_or_else(|| Garbled::new("OffsetForLeaderEpoch: nothing about the partition"))?;
    Ok(OffsetAnswer {
        throttle_ms: throttle_ms(answer.throttle_time_ms),
        error_code: found.error_code,
        leader_epoch: found.leader_epoch,
        offset: found.end_offset,
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub throttle_ms: u64,
    pub error_code: i16,
    /// -1 where the broker does not tell.
    pub log_start: i64,
    /// Whole batches; the last one may be cut.
    pub batches: Bytes,
}

/// The batches are a view into the frame.
pub fn fetch(frame: &Bytes, version: i16, partition: i32) -> Result<Fetched, Garbled> {
    if version == OLD_FETCH {
        return old_fetch::decode(frame, partition);
    }
    let answer: FetchResponse = decode_shared(&shape::FETCH, version, frame)?;
    let throttle_ms = throttle_ms(answer.throttle_time_ms);
    if answer.error_code != 0 {
        let error_code = answer.error_code;
        return Ok(Fetched { throttle_ms, error_code, log_start: -1, batches: Bytes::new() });
    }
    let mut found = answer.responses.into_iter().flat_map(|topic| topic.partitions);
    let found = found
        .find(|found| found.partition_index == partition)
        .ok_or_else(|| Garbled::new("Fetch: nothing about the partition"))?;
    Ok(Fetched {
        throttle_ms,
        error_code: found.error_code,
        log_start: found.log_start_offset,
        // Null and empty both mean: nothing there yet.
        batches: found.records.unwrap_or_default(),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configs {
    pub throttle_ms: u64,
    pub error_code: i16,
    /// Names and values; those without a value left out.
    pub values: Vec<(String, String)>,
}

pub fn describe_configs(frame: &[u8], version: i16) -> Result<Configs, Garbled> {
    let answer: DescribeConfigsResponse = decode(&shape::DESCRIBE_CONFIGS, version, frame)?;
    let result = answer
        .results
        .first()
        .ok_or_else(|| Garbled::new("DescribeConfigs: nothing about the topic"))?;
    Ok(Configs {
        throttle_ms: throttle_ms(answer.throttle_time_ms),
        error_code: result.error_code,
        values: told_values(result),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshaken {
    pub error_code: i16,
    /// Those that the broker offers.
    pub mechanisms: Vec<String>,
}

pub fn sasl_handshake(frame: &[u8], version: i16) -> Result<Handshaken, Garbled> {
    let answer: SaslHandshakeResponse = decode(&shape::SASL_HANDSHAKE, version, frame)?;
    let mechanisms = answer.mechanisms.iter().map(ToString::to_string).collect();
    Ok(Handshaken { error_code: answer.error_code, mechanisms })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub heard: Bytes,
    /// 0: for as long as the connection lasts.
    pub session_lifetime_ms: u64,
}

pub fn sasl_authenticate(frame: &[u8], version: i16) -> Result<Authenticated, Garbled> {
    let answer: SaslAuthenticateResponse = decode(&shape::SASL_AUTHENTICATE, version, frame)?;
    Ok(Authenticated {
        error_code: answer.error_code,
        error_message: answer.error_message.map(|text| text.to_string()),
        heard: answer.auth_bytes,
        session_lifetime_ms: u64::try_from(answer.session_lifetime_ms).unwrap_or(0),
    })
}

fn told_values(result: &DescribeConfigsResult) -> Vec<(String, String)> {
    let told = result.configs.iter().filter_map(|config| {
        let value = config.value.as_ref()?;
        Some((config.name.to_string(), value.to_string()))
    });
    told.collect()
}

pub(super) fn throttle_ms(told: i32) -> u64 {
    u64::try_from(told).unwrap_or(0)
}

/// Decodes a frame, correlation id included.
pub(super) fn decode<A: Decodable + HeaderVersion>(
    shape: &Shape,
    version: i16,
    frame: &[u8],
) -> Result<A, Garbled> {
    shape::check(shape, version, frame)?;
    let mut left = frame;
    let garbled = |why: String| Garbled::new(format!("{} {version}: {why}", shape.name));
    ResponseHeader::decode(&mut left, A::header_version(version))
        .map_err(|why| garbled(why.to_string()))?;
    A::decode(&mut left, version).map_err(|why| garbled(why.to_string()))
}

/// The same, with views into the frame instead of copies.
fn decode_shared<A: Decodable + HeaderVersion>(
    shape: &Shape,
    version: i16,
    frame: &Bytes,
) -> Result<A, Garbled> {
    shape::check(shape, version, frame)?;
    let mut left = frame.clone();
    let garbled = |why: String| Garbled::new(format!("{} {version}: {why}", shape.name));
    ResponseHeader::decode(&mut left, A::header_version(version))
        .map_err(|why| garbled(why.to_string()))?;
    A::decode(&mut left, version).map_err(|why| garbled(why.to_string()))
}

/// Answers of real brokers, in every version that is spoken: `request version frame`, a line
/// each. The topic `t2` held nothing until Produce wrote one record in each of its versions.
#[cfg(test)]
mod tests {
    use super::super::produce;
    use super::*;

    const KAFKA_3_9: &str = include_str!("golden/kafka-3.9.1.txt");
    const KAFKA_4_1: &str = include_str!("golden/kafka-4.1.0.txt");

    fn frames(text: &'static str) -> Vec<(&'static str, i16, Vec<u8>)> {
        let line = |line: &'static str| {
            let mut words = line.split(' ');
            let (name, version, hex) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes = (0..hex.len()).step_by(2).map(byte).collect();
            (name, version.parse().unwrap(), bytes)
        };
        text.lines().map(line).collect()
    }

    /// What was read, in a few words.
    fn read(name: &str, version: i16, frame: &[u8]) -> Result<String, Garbled> {
        let found = match name {
            "ApiVersions" => {
                let offered = api_versions(frame, version)?;
                offered.map_or("refused".into(), |found| format!("{} offers", found.offers.len()))
            }
            "Metadata" => {
                let Metadata { cluster_id, brokers, topic_id, partition_count, partition, .. } =
                    metadata(frame, version, "t2", 0)?;
                let brokers: Vec<_> =
                    brokers.iter().map(|node| format!("{}={}", node.id, node.host)).collect();
                let state = partition.map(|state| {
                    let PartitionState { leader_id, leader_epoch, .. } = state;
                    (leader_id, leader_epoch, state.replica_count, state.in_sync_count)
                });
                format!(
                    "{cluster_id:?} {brokers:?} id {} of {partition_count}: {state:?}",
                    topic_id.is_some()
                )
            }
            "InitProducerId" => {
                let NewProducer { error_code, id, epoch, .. } = init_producer_id(frame, version)?;
                format!("error {error_code}, id above 0 {}, epoch {epoch}", id > 0)
            }
            "ListOffsets" => {
                let OffsetAnswer { error_code, leader_epoch, offset, .. } =
                    list_offsets(frame, version, 0)?;
                format!("error {error_code}, epoch {leader_epoch}, offset {offset}")
            }
            "OffsetForLeaderEpoch" => {
                let OffsetAnswer { error_code, leader_epoch, offset, .. } =
                    epoch_end(frame, version, 0)?;
                format!("error {error_code}, epoch {leader_epoch}, offset {offset}")
            }
            "Fetch" => {
                let frame = Bytes::copy_from_slice(frame);
                let Fetched { error_code, log_start, batches, .. } = fetch(&frame, version, 0)?;
                format!("error {error_code}, from {log_start}, {} bytes", batches.len())
            }
            "DescribeConfigs" => format!("{:?}", describe_configs(frame, version)?.values),
            "Produce" => {
                let produced = produce::decode(frame, version, 0)?;
                format!("error {}, offset {}", produced.error_code, produced.base_offset)
            }
            other => panic!("{other}?"),
        };
        Ok(found)
    }

    #[test]
    fn real_answers_are_read_in_every_version() {
        for (text, offers, begin) in [(KAFKA_3_9, 61, 9), (KAFKA_4_1, 73, 11)] {
            let frames = frames(text);
            for (name, version, frame) in &frames {
                let version = *version;
                let expected = match *name {
                    "ApiVersions" if version == 9 => "refused".into(),
                    "ApiVersions" => format!("{offers} offers"),
                    "Metadata" => format!(
                        "Some(\"4L6g3nShT-eMCtK--X86sw\") [\"1=127.0.0.1\"] id {} of 1: Some((1, {}, 1, 1))",
                        version >= 10,
                        if version >= 7 { 0 } else { -1 }
                    ),
                    "InitProducerId" => "error 0, id above 0 true, epoch 0".into(),
                    "ListOffsets" => {
                        let epoch = if version >= 4 { 0 } else { -1 };
                        format!("error 0, epoch {epoch}, offset {begin}")
                    }
                    "OffsetForLeaderEpoch" => format!("error 0, epoch 0, offset {begin}"),
                    "Fetch" => {
                        // From the record before on: all that Produce wrote, 77 bytes each.
                        let from = if version >= 5 { 0 } else { -1 };
                        format!("error 0, from {from}, {} bytes", 77 * (begin + 1))
                    }
                    "DescribeConfigs" => {
                        r#"[("cleanup.policy", "delete"), ("max.message.bytes", "1048588"), ("retention.ms", "604800000")]"#.into()
                    }
                    _ => format!("error 0, offset {}", begin + version - 3),
                };
                assert_eq!(read(name, version, frame), Ok(expected), "{name} {version}");
            }
            let produced = frames.iter().filter(|(name, ..)| *name == "Produce").count();
            assert_eq!(produced, if offers == 61 { 9 } else { 11 });
        }
    }

    #[test]
    fn no_part_of_an_answer_is_an_answer() {
        for (name, version, frame) in frames(KAFKA_3_9).into_iter().chain(frames(KAFKA_4_1)) {
            if (name, version) == ("ApiVersions", 9) {
                continue;
            }
            for end in 0..frame.len() {
                assert!(read(name, version, &frame[..end]).is_err(), "{name} {version}: {end}");
            }
            let longer = [frame.as_slice(), &[0]].concat();
            assert!(read(name, version, &longer).is_err(), "{name} {version}: too long");
        }
    }

    /// A count that is believed here would ask for hundreds of gigabytes and end the process.
    #[test]
    fn no_answer_is_believed_beyond_its_bytes() {
        for (name, version, frame) in frames(KAFKA_3_9).into_iter().chain(frames(KAFKA_4_1)) {
            // The first and the last of ApiVersions' sixty entries tell as much as all of them.
            let places = (0..frame.len()).filter(|at| *at < 150 || *at + 150 > frame.len());
            for at in places {
                for lie in [&[0x7F][..], &[0x80], &[0xFF], &[0x7F, 0xFF, 0xFF, 0xFF], &[0xFF; 5]] {
                    let mut frame = frame.clone();
                    for (byte, lie) in frame[at..].iter_mut().zip(lie) {
                        *byte = *lie;
                    }
                    // Many a lie is a legal answer, some are not text or number.
                    if let Ok(found) = read(name, version, &frame) {
                        assert!(found.len() < 4_000, "{name} {version} at {at}: {found}");
                    }
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn noise_is_read_or_refused(
            noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            at in 0..96_usize,
        ) {
            let all: Vec<_> = frames(KAFKA_3_9).into_iter().chain(frames(KAFKA_4_1)).collect();
            let (name, version, frame) = &all[at % all.len()];
            let mut noisy = frame[..frame.len() / 2].to_vec();
            noisy.extend_from_slice(&noise);
            for frame in [&noise, &noisy] {
                if let Ok(found) = read(name, *version, frame) {
                    proptest::prop_assert!(found.len() < 4_000);
                }
            }
        }
    }
}
