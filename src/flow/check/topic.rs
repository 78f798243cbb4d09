//! A topic: how safe a row is in it, for how long, and what we may do there. What a run warns
//! of at its start, it judges here too.

use super::plan::Plan;
use crate::finding::Finding;
use crate::flow::bounds::Bounds;
use crate::flow::ports::{Described, TopicSettings};
use crate::limits::BATCH_BYTES_MAX_UNKNOWN;

/// Retention below so many times the expected duration is short: consumers have to read it
/// too, and an estimate is an estimate.
const RETENTION_TIMES: u64 = 10;
/// The same for bytes: other records count as well.
const RETENTION_BYTES_TIMES: u64 = 2;

/// Whether a confirmed row stays.
pub fn durability(topic: &str, described: &Described, settings: &TopicSettings) -> Vec<Finding> {
    let topic = || topic.to_owned();
    let mut found = Vec::new();
    if let Some(policy) = settings.cleanup_policy.as_ref().filter(|text| text.contains("compact")) {
        found.push(Finding::Compacted { topic: topic(), policy: policy.clone() });
    }
    // A log in a directory is no cluster: that there is one of it is what was asked for.
    let is_cluster = described.cluster_id.is_some();
    let (replicas, in_sync) = (described.replica_count, described.in_sync_count);
    if is_cluster && replicas < 2 {
        found.push(Finding::FewReplicas { topic: topic(), replicas });
    }
    match settings.min_insync_replicas {
        Some(min_insync) if is_cluster && (in_sync as u64) < min_insync => {
            found.push(Finding::TooFewInSync { topic: topic(), in_sync, min_insync });
        }
        Some(min_insync) if min_insync < 2 => {
            found.push(Finding::LowMinInsync { topic: topic(), min_insync });
        }
        Some(min_insync) if replicas >= 2 => {
            found.push(Finding::Durable { topic: topic(), min_insync, replicas });
        }
        _ => {}
    }
    if settings.unclean_leader_election == Some(true) {
        found.push(Finding::UncleanElection { topic: topic() });
    }
    found
}

/// Whether it stays long enough. `plan`: what is to be kept, where that is known.
pub fn retention(topic: &str, settings: &TopicSettings, plan: Option<&Plan>) -> Vec<Finding> {
    let mut found = Vec::new();
    // -1: for ever.
    let limit = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    if let Some((retention_ms, plan)) = limit(settings.retention_ms).zip(plan) {
        let expected_seconds = plan.seconds;
        if retention_ms < expected_seconds.saturating_mul(1000 * RETENTION_TIMES) {
            let topic = topic.to_owned();
            found.push(Finding::ShortRetention { topic, retention_ms, expected_seconds });
        }
    }
    if let Some((retention_bytes, plan)) = limit(settings.retention_bytes).zip(plan) {
        let expected_bytes = plan.log_bytes;
        if retention_bytes < expected_bytes.saturating_mul(RETENTION_BYTES_TIMES) {
            let topic = topic.to_owned();
            found.push(Finding::SmallRetention { topic, retention_bytes, expected_bytes });
        }
    }
    let is_known = settings.retention_ms.is_some() || settings.retention_bytes.is_some();
    if found.is_empty() && is_known {
        found.push(Finding::Retained {
            topic: topic.to_owned(),
            retention_ms: settings.retention_ms,
            retention_bytes: settings.retention_bytes,
        });
    }
    found
}

/// What a record may have.
pub fn record_limit(topic: &str, settings: &TopicSettings, bounds: Bounds) -> Finding {
    let Bounds { batch_bytes_max, record_bytes_max } = bounds;
    match settings.max_message_bytes {
        Some(max_message_bytes) if max_message_bytes < BATCH_BYTES_MAX_UNKNOWN as u64 => {
            let topic = topic.to_owned();
            Finding::SmallRecordLimit { topic, max_message_bytes, record_bytes_max }
        }
        _ => Finding::RecordLimit { topic: topic.to_owned(), batch_bytes_max, record_bytes_max },
    }
}

/// What the broker says that we may do.
pub fn rights(topic: &str, described: &Described, settings: &TopicSettings) -> Vec<Finding> {
    let topic = || topic.to_owned();
    let Some(rights) = described.rights else {
        let mut found = vec![Finding::RightsUnknown { topic: topic() }];
        if *settings == TopicSettings::default() {
            found.push(Finding::HiddenSettings { topic: topic() });
        }
        return found;
    };
    let operations = [
        ("Write", rights.write),
        ("Read", rights.read),
        ("DescribeConfigs", rights.describe_configs),
    ];
    let missing = operations.into_iter().filter(|(_, has)| !has);
    let mut found: Vec<Finding> =
        missing.map(|(operation, _)| Finding::MissingRight { topic: topic(), operation }).collect();
    if found.is_empty() {
        found.push(Finding::Rights { topic: topic() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Grade;
    use crate::wire::kafka::answers::Rights;

    pub(super) fn described() -> Described {
        Described {
            cluster_id: Some("c".into()),
            topic_id: None,
            partition_count: 1,
            leader: "b:1".into(),
            leader_epoch: 0,
            replica_count: 3,
            in_sync_count: 3,
            rights: Some(Rights { read: true, write: true, describe_configs: true }),
        }
    }

    fn settings() -> TopicSettings {
        TopicSettings {
            max_message_bytes: Some(1_048_588),
            min_insync_replicas: Some(2),
            cleanup_policy: Some("delete".into()),
            retention_ms: Some(604_800_000),
            retention_bytes: Some(-1),
            unclean_leader_election: Some(false),
        }
    }

    /// `grade code`, in order.
    fn told(found: &[Finding]) -> String {
        let words = found.iter().map(|f| format!("{} {}", f.grade().name(), f.code()));
        words.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn durability_case_by_case() {
        type Change = fn(&mut Described, &mut TopicSettings);
        let cases: [(Change, &str); 10] = [
            (|_, _| {}, "ok durability"),
            (|d, _| d.replica_count = 2, "ok durability"),
            (|_, s| s.min_insync_replicas = Some(1), "warn low_min_insync"),
            (
                |d, _| (d.replica_count, d.in_sync_count) = (1, 1),
                "warn few_replicas, fail too_few_in_sync",
            ),
            (
                |d, s| {
                    (d.replica_count, d.in_sync_count) = (1, 1);
                    s.min_insync_replicas = Some(1);
                },
                "warn few_replicas, warn low_min_insync",
            ),
            (|d, _| d.in_sync_count = 1, "fail too_few_in_sync"),
            (|_, s| s.unclean_leader_election = Some(true), "ok durability, warn unclean_election"),
            (
                |_, s| s.cleanup_policy = Some("compact,delete".into()),
                "fail compacted, ok durability",
            ),
            (|_, s| *s = TopicSettings::default(), ""),
            (
                |d, s| {
                    (d.cluster_id, d.replica_count, d.in_sync_count) = (None, 1, 1);
                    s.min_insync_replicas = None;
                },
                "",
            ),
        ];
        for (change, expected) in cases {
            let (mut described, mut settings) = (described(), settings());
            change(&mut described, &mut settings);
            assert_eq!(told(&durability("t", &described, &settings)), expected);
        }
    }

    #[test]
    fn retention_against_what_is_expected() {
        let plan = |seconds, log_bytes| {
            let job = crate::flow::job::Job::reader("j".into(), String::new(), 1);
            let sample = super::super::sample::Sample { is_whole: true, ..Default::default() };
            let plan = Plan::of(&job, &sample, 1, 1, super::super::plan::Done::default());
            Plan { log_bytes, seconds, ..plan.unwrap() }
        };
        for (retention_ms, retention_bytes, expected) in [
            (Some(-1), Some(-1), "ok retention"),
            (Some(1_000_000), Some(2_000), "ok retention"),
            (Some(999_999), Some(-1), "warn short_retention"),
            (Some(100_000), Some(-1), "warn short_retention"),
            (Some(99_999), Some(-1), "fail short_retention"),
            (Some(-1), Some(1_999), "warn small_retention"),
            (Some(-1), Some(999), "fail small_retention"),
            (Some(0), Some(0), "fail short_retention, fail small_retention"),
            (None, Some(999), "fail small_retention"),
            (None, None, ""),
        ] {
            let settings = TopicSettings { retention_ms, retention_bytes, ..settings() };
            let found = retention("t", &settings, Some(&plan(100, 1_000)));
            assert_eq!(told(&found), expected, "{retention_ms:?} {retention_bytes:?}");
        }
        assert_eq!(told(&retention("t", &settings(), None)), "ok retention");
    }

    #[test]
    fn records_and_rights() {
        let bounds = Bounds { batch_bytes_max: 20_000, record_bytes_max: 19_488 };
        for (max_message_bytes, expected) in
            [(Some(1_048_588), Grade::Ok), (Some(20_000), Grade::Warn), (None, Grade::Ok)]
        {
            let settings = TopicSettings { max_message_bytes, ..settings() };
            assert_eq!(record_limit("t", &settings, bounds).grade(), expected);
        }
        let all = (true, true, true);
        for (rights_told, settings, expected) in [
            (Some(all), settings(), "ok rights"),
            (Some((false, true, true)), settings(), "fail missing_right"),
            (Some((true, false, true)), settings(), "fail missing_right"),
            (Some((true, true, false)), settings(), "warn missing_right"),
            (Some((false, false, true)), settings(), "fail missing_right, fail missing_right"),
            (None, settings(), "warn rights_unknown"),
            (None, TopicSettings::default(), "warn rights_unknown, warn hidden_settings"),
        ] {
            let rights_told = rights_told.map(|(read, write, describe_configs)| Rights {
                read,
                write,
                describe_configs,
            });
            let described = Described { rights: rights_told, ..described() };
            assert_eq!(told(&rights("t", &described, &settings)), expected);
        }
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        let lonely = Described { replica_count: 1, cluster_id: None, ..described() };
        assert_eq!(told(&durability("t", &lonely, &settings())), "");
        let none = TopicSettings::default();
        assert_eq!(told(&retention("t", &none, None)), "");
        for known in [
            TopicSettings { retention_ms: Some(1), ..none.clone() },
            TopicSettings { retention_bytes: Some(1), ..none.clone() },
        ] {
            assert_eq!(told(&retention("t", &known, None)), "ok retention");
        }
        let bounds = Bounds { batch_bytes_max: 9, record_bytes_max: 8 };
        for (bytes, expected) in
            [(999_999, "warn small_record_limit"), (1_000_000, "ok record_limit")]
        {
            let limited = TopicSettings { max_message_bytes: Some(bytes), ..none.clone() };
            assert_eq!(told(&[record_limit("t", &limited, bounds)]), expected);
        }
    }
}
