//! Requests as frames, Produce excepted. Each is about one partition at most.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, BrokerId, DescribeConfigsRequest, FetchRequest,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
    RequestHeader, SaslAuthenticateRequest, SaslHandshakeRequest, TopicName,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use super::old_fetch::{self, OLD_FETCH};
use super::versions::METADATA_BY_NAME;
use crate::limits::FETCH_BYTES;
use crate::wire::sasl::Word;

/// The newest `ApiVersions` that is spoken; a broker that does not know it answers
/// `UNSUPPORTED_VERSION` in the form of version 0.
pub const API_VERSIONS: i16 = 3;

/// `ListOffsets`: the first offset that is there.
pub const EARLIEST: i64 = -2;
/// `ListOffsets`: the end of what consumers may see.
pub const LATEST: i64 = -1;
/// `ListOffsets`: the end of what the leader holds, replicated or not. On the wire it is
/// `LATEST`, asked as Kafka's own debugging tools do, which are shown all of the log.
pub const LOG_END: i64 = i64::MIN;
const CONSUMER: BrokerId = BrokerId(-1);
const DEBUGGING_CONSUMER: BrokerId = BrokerId(-2);
/// The request header that every version before the flexible ones has.
const HEADER_WITH_CLIENT_ID: i16 = 1;

/// One request, and all that is needed to read its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    ApiVersions,
    /// About one topic; before version 4 about all of them, since asking for one by its name
    /// could create it there.
    Metadata {
        topic: &'a str,
    },
    InitProducerId,
    ListOffsets {
        topic: &'a str,
        partition: i32,
        leader_epoch: i32,
        timestamp: i64,
    },
    EpochEnd {
        topic: &'a str,
        partition: i32,
        leader_epoch: i32,
    },
    /// Isolation 0, from this offset on; waits so long for data at most.
    Fetch {
        topic: &'a str,
        partition: i32,
        leader_epoch: i32,
        offset: i64,
        wait_ms: u32,
    },
    DescribeConfigs {
        topic: &'a str,
        names: &'static [&'static str],
    },
    SaslHandshake {
        mechanism: &'static str,
    },
    SaslAuthenticate {
        word: &'a Word,
    },
}

impl Ask<'_> {
    pub fn name(&self) -> &'static str {
        match self {
            Ask::ApiVersions => "ApiVersions",
            Ask::Metadata { .. } => "Metadata",
            Ask::InitProducerId => "InitProducerId",
            Ask::ListOffsets { .. } => "ListOffsets",
            Ask::EpochEnd { .. } => "OffsetForLeaderEpoch",
            Ask::Fetch { .. } => "Fetch",
            Ask::DescribeConfigs { .. } => "DescribeConfigs",
            Ask::SaslHandshake { .. } => "SaslHandshake",
            Ask::SaslAuthenticate { .. } => "SaslAuthenticate",
        }
    }

    /// Writes the frame over `out`. Fails on a name that is too long for the protocol only.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        version: i16,
        correlation_id: i32,
        client_id: &str,
    ) -> Result<(), String> {
        out.clear();
        let head = |key: ApiKey| {
            RequestHeader::default()
                .with_request_api_key(key as i16)
                .with_request_api_version(version)
                .with_correlation_id(correlation_id)
                .with_client_id(Some(text(client_id)))
        };
        match *self {
            Ask::ApiVersions => frame(out, &head(ApiKey::ApiVersions), &api_versions()),
            Ask::Metadata { topic } => {
                frame(out, &head(ApiKey::Metadata), &metadata(topic, version))
            }
            Ask::InitProducerId => {
                frame(out, &head(ApiKey::InitProducerId), &init_producer_id(version))
            }
            Ask::ListOffsets { topic, partition, leader_epoch, timestamp } => {
                let (timestamp, replica) = match timestamp {
                    LOG_END => (LATEST, DEBUGGING_CONSUMER),
                    timestamp => (timestamp, CONSUMER),
                };
                let partition = ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_current_leader_epoch(leader_epoch)
                    .with_timestamp(timestamp);
                let topic = ListOffsetsTopic::default()
                    .with_name(topic_name(topic))
                    .with_partitions(vec![partition]);
                let body =
                    ListOffsetsRequest::default().with_replica_id(replica).with_topics(vec![topic]);
                frame(out, &head(ApiKey::ListOffsets), &body)
            }
            Ask::EpochEnd { topic, partition, leader_epoch } => {
                let partition = OffsetForLeaderPartition::default()
                    .with_partition(partition)
                    .with_current_leader_epoch(leader_epoch)
                    .with_leader_epoch(leader_epoch);
                let topic = OffsetForLeaderTopic::default()
                    .with_topic(topic_name(topic))
                    .with_partitions(vec![partition]);
                let body = OffsetForLeaderEpochRequest::default()
                    // Before version 3 there is no such field, and the crate refuses any other
                    // value than its default there.
                    .with_replica_id(BrokerId(if version >= 3 { -1 } else { -2 }))
                    .with_topics(vec![topic]);
                frame(out, &head(ApiKey::OffsetForLeaderEpoch), &body)
            }
            Ask::Fetch { topic, partition, offset, wait_ms, .. } if version == OLD_FETCH => {
                framed(out, &head(ApiKey::Fetch), HEADER_WITH_CLIENT_ID, |out| {
                    old_fetch::encode_body(out, topic, partition, offset, wait_ms, fetch_bytes())
                })
            }
            Ask::Fetch { topic, partition, leader_epoch, offset, wait_ms } => {
                let body = fetch(topic, partition, leader_epoch, offset, wait_ms);
                frame(out, &head(ApiKey::Fetch), &body)
            }
            Ask::DescribeConfigs { topic, names } => {
                let resource = DescribeConfigsResource::default()
                    .with_resource_type(TOPIC_RESOURCE)
                    .with_resource_name(text(topic))
                    .with_configuration_keys(Some(names.iter().map(|name| text(name)).collect()));
                let body = DescribeConfigsRequest::default().with_resources(vec![resource]);
                frame(out, &head(ApiKey::DescribeConfigs), &body)
            }
            Ask::SaslHandshake { mechanism } => {
                let body = SaslHandshakeRequest::default().with_mechanism(text(mechanism));
                frame(out, &head(ApiKey::SaslHandshake), &body)
            }
            Ask::SaslAuthenticate { word } => {
                let word = bytes::Bytes::copy_from_slice(word.reveal());
                let body = SaslAuthenticateRequest::default().with_auth_bytes(word);
                frame(out, &head(ApiKey::SaslAuthenticate), &body)
            }
        }
    }
}

const TOPIC_RESOURCE: i8 = 2;

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text(env!("CARGO_PKG_NAME")))
        .with_client_software_version(text(env!("CARGO_PKG_VERSION")))
}

fn metadata(topic: &str, version: i16) -> MetadataRequest {
    if version < METADATA_BY_NAME {
        return MetadataRequest::default().with_topics(None);
    }
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false)
        .with_include_topic_authorized_operations(version >= 8)
}

/// Without a transactional id the time-out means nothing; the Java client sends this one.
fn init_producer_id(version: i16) -> InitProducerIdRequest {
    let body = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX);
    if version < 3 {
        return body;
    }
    body.with_producer_id((-1).into()).with_producer_epoch(-1)
}

fn fetch(
    topic: &str,
    partition: i32,
    leader_epoch: i32,
    offset: i64,
    wait_ms: u32,
) -> FetchRequest {
    let fetch_bytes = fetch_bytes();
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(leader_epoch)
        .with_fetch_offset(offset)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(fetch_bytes);
    let topic =
        FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait_ms.cast_signed())
        .with_min_bytes(1)
        .with_max_bytes(fetch_bytes)
        .with_isolation_level(0)
        // No fetch session: each request stands alone.
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// Below 2^31, as limits.rs asserts.
fn fetch_bytes() -> i32 {
    i32::try_from(FETCH_BYTES).unwrap_or(i32::MAX)
}

fn frame<B: Encodable + HeaderVersion>(
    out: &mut Vec<u8>,
    header: &RequestHeader,
    body: &B,
) -> Result<(), String> {
    let version = header.request_api_version;
    framed(out, header, B::header_version(version), |out| {
        body.encode(out, version).map_err(|why| why.to_string())
    })
}

fn framed(
    out: &mut Vec<u8>,
    header: &RequestHeader,
    header_version: i16,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.extend_from_slice(&[0; 4]);
    header.encode(out, header_version).map_err(|why| why.to_string())?;
    body(out)?;
    let length = i32::try_from(out.len() - 4).map_err(|why| why.to_string())?;
    if let Some(place) = out.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    Ok(())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
