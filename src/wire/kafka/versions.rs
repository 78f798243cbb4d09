//! Which version of each request is spoken with a broker.
//!
//! Chosen by the maximum on both sides, never by the minimum: Kafka 4 advertises Produce from
//! version 0 and closes the connection at 0 to 2.

use kafka_protocol::messages::ApiKey;

/// What a broker says it understands of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub api_key: i16,
    pub min: i16,
    pub max: i16,
}

/// The versions that are spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// 13 only together with a topic id: see [`Versions::produce_with`].
    produce: i16,
    pub fetch: i16,
    pub list_offsets: i16,
    pub metadata: i16,
    pub init_producer_id: i16,
    pub epoch_end: Option<i16>,
    pub describe_configs: Option<i16>,
}

/// What the broker lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    pub what: Vec<String>,
}

/// The first Produce that names its topic by id.
pub const PRODUCE_BY_ID: i16 = 13;

struct Spoken {
    key: ApiKey,
    name: &'static str,
    min: i16,
    max: i16,
}

const fn spoken(key: ApiKey, name: &'static str, min: i16, max: i16) -> Spoken {
    Spoken { key, name, min, max }
}

// Produce 3 and Fetch 4 are the first with record batches of format 2, Metadata 4 the first
// that can be told not to create the topic.
const PRODUCE: Spoken = spoken(ApiKey::Produce, "Produce", 3, PRODUCE_BY_ID);
const FETCH: Spoken = spoken(ApiKey::Fetch, "Fetch", 4, 11);
const LIST_OFFSETS: Spoken = spoken(ApiKey::ListOffsets, "ListOffsets", 1, 4);
const METADATA: Spoken = spoken(ApiKey::Metadata, "Metadata", 4, 12);
const INIT_PRODUCER_ID: Spoken = spoken(ApiKey::InitProducerId, "InitProducerId", 0, 4);
const EPOCH_END: Spoken = spoken(ApiKey::OffsetForLeaderEpoch, "OffsetForLeaderEpoch", 2, 4);
const DESCRIBE_CONFIGS: Spoken = spoken(ApiKey::DescribeConfigs, "DescribeConfigs", 1, 4);
const SASL_HANDSHAKE: Spoken = spoken(ApiKey::SaslHandshake, "SaslHandshake", 1, 1);
// From version 1 on the answer says how long the login lasts.
const SASL_AUTHENTICATE: Spoken = spoken(ApiKey::SaslAuthenticate, "SaslAuthenticate", 0, 1);

impl Versions {
    pub fn negotiate(offers: &[Offer]) -> Result<Versions, Lacks> {
        let mut lacks = Vec::new();
        let mut need = |spoken: &Spoken| {
            pick(offers, spoken).unwrap_or_else(|| {
                lacks.push(lack(offers, spoken));
                spoken.min
            })
        };
        let versions = Versions {
            produce: need(&PRODUCE),
            fetch: need(&FETCH),
            list_offsets: need(&LIST_OFFSETS),
            metadata: need(&METADATA),
            init_producer_id: need(&INIT_PRODUCER_ID),
            epoch_end: pick(offers, &EPOCH_END),
            describe_configs: pick(offers, &DESCRIBE_CONFIGS),
        };
        if lacks.is_empty() { Ok(versions) } else { Err(Lacks { what: lacks }) }
    }

    /// The version of Produce: by id where offered and the id is known, else by name.
    pub fn produce_with(&self, topic_id: Option<[u8; 16]>) -> i16 {
        if topic_id.is_some() { self.produce } else { self.produce.min(PRODUCE_BY_ID - 1) }
    }
}

/// The versions of `SaslHandshake` and `SaslAuthenticate`; `None` where a broker is too old to
/// take a login as requests (before Kafka 1.0).
pub fn sasl(offers: &[Offer]) -> Option<(i16, i16)> {
    Some((pick(offers, &SASL_HANDSHAKE)?, pick(offers, &SASL_AUTHENTICATE)?))
}

fn pick(offers: &[Offer], spoken: &Spoken) -> Option<i16> {
    let offer = offers.iter().find(|offer| offer.api_key == spoken.key as i16)?;
    let version = offer.max.min(spoken.max);
    (version >= spoken.min && version >= offer.min).then_some(version)
}

fn lack(offers: &[Offer], spoken: &Spoken) -> String {
    match offers.iter().find(|offer| offer.api_key == spoken.key as i16) {
        None => format!("no {}", spoken.name),
        Some(Offer { min, max, .. }) => format!(
            "{} {min} to {max} (this program speaks {} to {})",
            spoken.name, spoken.min, spoken.max
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [i16; 7] = [0, 1, 2, 3, 22, 23, 32];

    fn offers(ranges: [Option<(i16, i16)>; 7]) -> Vec<Offer> {
        let offer = |(key, range): (i16, Option<(i16, i16)>)| {
            range.map(|(min, max)| Offer { api_key: key, min, max })
        };
        KEYS.into_iter().zip(ranges).filter_map(offer).collect()
    }

    #[test]
    fn what_is_spoken_with_whom() {
        // Produce, Fetch, ListOffsets, Metadata, InitProducerId, OffsetForLeaderEpoch,
        // DescribeConfigs: what they offer, and what is chosen (Produce with and without id).
        type Ranges = [(i16, i16); 7];
        let cases: &[(&str, Ranges, [i16; 8])] = &[
            (
                "Kafka 3.9",
                [(0, 11), (0, 17), (0, 9), (0, 12), (0, 5), (0, 4), (0, 4)],
                [11, 11, 11, 4, 12, 4, 4, 4],
            ),
            (
                "Kafka 4.0",
                [(3, 12), (4, 17), (1, 10), (0, 13), (0, 5), (2, 4), (1, 4)],
                [12, 12, 11, 4, 12, 4, 4, 4],
            ),
            (
                "Kafka 4.1",
                [(0, 13), (4, 18), (1, 10), (0, 13), (0, 5), (2, 4), (1, 4)],
                [13, 12, 11, 4, 12, 4, 4, 4],
            ),
            (
                "Kafka 4.4",
                [(3, 13), (4, 18), (1, 11), (0, 13), (0, 6), (2, 4), (1, 4)],
                [13, 12, 11, 4, 12, 4, 4, 4],
            ),
            (
                "Redpanda 24.3",
                [(0, 7), (4, 11), (0, 4), (0, 8), (0, 3), (0, 3), (0, 4)],
                [7, 7, 11, 4, 8, 3, 3, 4],
            ),
            (
                "Kafka 2.4",
                [(0, 8), (0, 11), (0, 5), (0, 9), (0, 2), (0, 3), (0, 2)],
                [8, 8, 11, 4, 9, 2, 3, 2],
            ),
        ];
        for (name, ranges, chosen) in cases {
            let versions = Versions::negotiate(&offers(ranges.map(Some))).unwrap();
            let found = [
                versions.produce_with(Some([7; 16])),
                versions.produce_with(None),
                versions.fetch,
                versions.list_offsets,
                versions.metadata,
                versions.init_producer_id,
                versions.epoch_end.unwrap(),
                versions.describe_configs.unwrap(),
            ];
            assert_eq!(found, *chosen, "{name}");
        }
    }

    #[test]
    fn what_may_be_lacking_and_what_may_not() {
        let full = [(0, 11), (0, 17), (0, 9), (0, 12), (0, 5), (0, 4), (0, 4)].map(Some);
        let mut bare = full;
        bare[5] = Some((0, 1));
        bare[6] = None;
        let versions = Versions::negotiate(&offers(bare)).unwrap();
        assert_eq!((versions.epoch_end, versions.describe_configs), (None, None));

        let mut kafka_0_10 = [(0, 2), (0, 3), (0, 1), (0, 2), (0, 0), (0, 0), (0, 0)].map(Some);
        kafka_0_10[4] = None;
        let lacks = Versions::negotiate(&offers(kafka_0_10)).unwrap_err();
        let first = "Produce 0 to 2 (this program speaks 3 to 13)";
        assert_eq!(lacks.what.first().unwrap(), first);
        assert_eq!(lacks.what.last().unwrap(), "no InitProducerId");

        let mut future = full;
        future[1] = Some((12, 20));
        let lacks = Versions::negotiate(&offers(future)).unwrap_err();
        assert_eq!(lacks.what, ["Fetch 12 to 20 (this program speaks 4 to 11)"]);
    }
}
