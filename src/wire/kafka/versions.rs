//! Which version of each request is spoken with a broker.
//!
//! Chosen by the maximum on both sides, never by the minimum: Kafka 4 advertises Produce from
//! version 0 and closes the connection at 0 to 2.
//!
//! There are two ways to speak. The native one needs record batches of format 2 and producer
//! ids. What lacks them is spoken to by the compatibility client: it sends with the `kafka`
//! crate, which knows version 0 of Produce and Metadata alone, and does all else as the native
//! one does, in older versions.

use kafka_protocol::messages::ApiKey;

use super::old_fetch::OLD_FETCH;

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
    /// Batches are sent by the compatibility client.
    pub is_compat: bool,
}

/// What the broker lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    pub what: Vec<String>,
    /// All of it was there once: the broker begins after the last version that is spoken here.
    pub is_newer: bool,
}

/// The first Metadata that can be told not to create the topic that it asks for.
pub const METADATA_BY_NAME: i16 = 4;
/// Brokers that offer less answer zstd with `UNKNOWN_SERVER_ERROR`.
pub const PRODUCE_WITH_ZSTD: i16 = 7;
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

// Produce 3 and Fetch 4 are the first with record batches of format 2.
const PRODUCE: Spoken = spoken(ApiKey::Produce, "Produce", 3, PRODUCE_BY_ID);
const FETCH: Spoken = spoken(ApiKey::Fetch, "Fetch", 4, 11);
const LIST_OFFSETS: Spoken = spoken(ApiKey::ListOffsets, "ListOffsets", 1, 4);
const METADATA: Spoken = spoken(ApiKey::Metadata, "Metadata", METADATA_BY_NAME, 12);
const INIT_PRODUCER_ID: Spoken = spoken(ApiKey::InitProducerId, "InitProducerId", 0, 4);
const EPOCH_END: Spoken = spoken(ApiKey::OffsetForLeaderEpoch, "OffsetForLeaderEpoch", 2, 4);
const DESCRIBE_CONFIGS: Spoken = spoken(ApiKey::DescribeConfigs, "DescribeConfigs", 1, 4);
const SASL_HANDSHAKE: Spoken = spoken(ApiKey::SaslHandshake, "SaslHandshake", 1, 1);
// What the compatibility client needs. ListOffsets 0 is not asked for: Kafka 4 advertises
// Produce 0 though it hangs up at it, but no longer ListOffsets 0, which tells it apart.
const COMPAT_PRODUCE: Spoken = spoken(ApiKey::Produce, "Produce", 0, 0);
const COMPAT_FETCH: Spoken = spoken(ApiKey::Fetch, "Fetch", OLD_FETCH, OLD_FETCH);
const COMPAT_LIST_OFFSETS: Spoken = spoken(ApiKey::ListOffsets, "ListOffsets", 0, 0);
const COMPAT_METADATA: Spoken = spoken(ApiKey::Metadata, "Metadata", 1, 12);
const COMPAT_ROUTES: Spoken = spoken(ApiKey::Metadata, "Metadata", 0, 0);
// From version 1 on the answer says how long the login lasts.
const SASL_AUTHENTICATE: Spoken = spoken(ApiKey::SaslAuthenticate, "SaslAuthenticate", 0, 1);

impl Versions {
    pub fn negotiate(offers: &[Offer]) -> Result<Versions, Lacks> {
        let mut lacks = Vec::new();
        let mut is_newer = true;
        let mut need = |spoken: &Spoken| {
            pick(offers, spoken).unwrap_or_else(|| {
                lacks.push(lack(offers, spoken));
                is_newer &= begins_after(offers, spoken);
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
            is_compat: false,
        };
        if lacks.is_empty() { Ok(versions) } else { Err(Lacks { what: lacks, is_newer }) }
    }

    /// What is spoken where the compatibility client sends.
    pub fn negotiate_compat(offers: &[Offer]) -> Result<Versions, Lacks> {
        let mut lacks: Vec<String> = [&COMPAT_PRODUCE, &COMPAT_LIST_OFFSETS, &COMPAT_ROUTES]
            .into_iter()
            .filter(|spoken| pick(offers, spoken).is_none())
            .map(|spoken| lack(offers, spoken))
            .collect();
        let mut need = |younger: &Spoken, older: &Spoken| {
            let found = pick(offers, younger).or_else(|| pick(offers, older));
            found.unwrap_or_else(|| {
                lacks.push(lack(offers, older));
                older.min
            })
        };
        let versions = Versions {
            produce: COMPAT_PRODUCE.max,
            fetch: need(&FETCH, &COMPAT_FETCH),
            list_offsets: need(&LIST_OFFSETS, &LIST_OFFSETS),
            metadata: need(&COMPAT_METADATA, &COMPAT_METADATA),
            init_producer_id: 0,
            epoch_end: pick(offers, &EPOCH_END),
            describe_configs: pick(offers, &DESCRIBE_CONFIGS),
            is_compat: true,
        };
        if lacks.is_empty() { Ok(versions) } else { Err(Lacks { what: lacks, is_newer: false }) }
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

fn begins_after(offers: &[Offer], spoken: &Spoken) -> bool {
    offers.iter().any(|offer| offer.api_key == spoken.key as i16 && offer.min > spoken.max)
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
    use crate::wire::kafka::requests::API_VERSIONS;

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
        assert!(!lacks.is_newer);

        let mut future = full;
        future[1] = Some((12, 20));
        let lacks = Versions::negotiate(&offers(future)).unwrap_err();
        assert_eq!(lacks.what, ["Fetch 12 to 20 (this program speaks 4 to 11)"]);
        assert!(lacks.is_newer);
        future[4] = None;
        assert!(!Versions::negotiate(&offers(future)).unwrap_err().is_newer);
    }

    /// Redpanda 24.3, as it answers `ApiVersions`: nothing beyond its ranges may be spoken, and
    /// nothing of Kafka 4's is needed.
    #[test]
    fn redpanda_is_spoken_to_within_its_ranges() {
        let redpanda = [
            (ApiKey::Produce, 0, 7),
            (ApiKey::Fetch, 4, 11),
            (ApiKey::ListOffsets, 0, 4),
            (ApiKey::Metadata, 0, 8),
            (ApiKey::SaslHandshake, 0, 1),
            (ApiKey::ApiVersions, 0, 3),
            (ApiKey::InitProducerId, 0, 3),
            (ApiKey::OffsetForLeaderEpoch, 0, 3),
            (ApiKey::DescribeConfigs, 0, 4),
            (ApiKey::SaslAuthenticate, 0, 1),
        ];
        let offers = redpanda.map(|(key, min, max)| Offer { api_key: key as i16, min, max });
        let versions = Versions::negotiate(&offers).unwrap();
        let spoken = [
            (ApiKey::Produce, Some(versions.produce_with(Some([7; 16])))),
            (ApiKey::Produce, Some(versions.produce_with(None))),
            (ApiKey::Fetch, Some(versions.fetch)),
            (ApiKey::ListOffsets, Some(versions.list_offsets)),
            (ApiKey::Metadata, Some(versions.metadata)),
            (ApiKey::InitProducerId, Some(versions.init_producer_id)),
            (ApiKey::OffsetForLeaderEpoch, versions.epoch_end),
            (ApiKey::DescribeConfigs, versions.describe_configs),
            (ApiKey::SaslHandshake, sasl(&offers).map(|versions| versions.0)),
            (ApiKey::SaslAuthenticate, sasl(&offers).map(|versions| versions.1)),
            (ApiKey::ApiVersions, Some(API_VERSIONS)),
        ];
        let pinned = [7, 7, 11, 4, 8, 3, 3, 4, 1, 1, 3];
        for ((key, version), pinned) in spoken.into_iter().zip(pinned) {
            assert_eq!(version, Some(pinned), "{key:?}");
            let (_, min, max) = redpanda.iter().find(|offer| offer.0 == key).unwrap();
            assert!((*min..=*max).contains(&pinned), "{key:?} {pinned}");
        }
    }

    #[test]
    fn where_the_compatibility_client_can_send() {
        // Produce, Fetch, ListOffsets, Metadata, InitProducerId, OffsetForLeaderEpoch,
        // DescribeConfigs; what is chosen of Fetch, ListOffsets, Metadata, or what is lacking.
        type Ranges = [Option<(i16, i16)>; 7];
        type Chosen = Result<[i16; 3], &'static str>;
        let kafka_4_1 = [(0, 13), (4, 18), (1, 10), (0, 13), (0, 5), (2, 4), (1, 4)].map(Some);
        let kafka_4_0 = [(3, 12), (4, 17), (1, 10), (0, 13), (0, 5), (2, 4), (1, 4)].map(Some);
        let kafka_3_9 = [(0, 11), (0, 17), (0, 9), (0, 12), (0, 5), (0, 4), (0, 4)].map(Some);
        let mut kafka_0_10_2: Ranges = [None; 7];
        kafka_0_10_2[..4].copy_from_slice(&[(0, 2), (0, 3), (0, 1), (0, 2)].map(Some));
        let mut kafka_0_10_0 = kafka_0_10_2;
        kafka_0_10_0[1] = Some((0, 2));
        kafka_0_10_0[2] = Some((0, 0));
        let cases: [(&str, Ranges, Chosen); 5] = [
            ("Kafka 0.10.2", kafka_0_10_2, Ok([3, 1, 2])),
            ("Kafka 3.9", kafka_3_9, Ok([11, 4, 12])),
            ("Kafka 4.1", kafka_4_1, Err("ListOffsets 1 to 10 (this program speaks 0 to 0)")),
            ("Kafka 4.0", kafka_4_0, Err("Produce 3 to 12 (this program speaks 0 to 0)")),
            ("Kafka 0.10.0", kafka_0_10_0, Err("Fetch 0 to 2 (this program speaks 3 to 3)")),
        ];
        for (name, ranges, expected) in cases {
            let found = Versions::negotiate_compat(&offers(ranges));
            let found = found.map(|chosen| [chosen.fetch, chosen.list_offsets, chosen.metadata]);
            let found = found.map_err(|lacks| lacks.what.first().unwrap().clone());
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        }
        kafka_0_10_2[2] = None;
        assert!(Versions::negotiate_compat(&offers(kafka_0_10_2)).is_err());
    }
}
