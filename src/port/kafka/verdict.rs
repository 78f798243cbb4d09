//! What an error of the protocol means for a call: passing or final, and in which words.

use crate::flow::ports::{Fault, Missing, Trouble};
use crate::stop::{Peer, Stop};
use crate::wire::kafka::errors::{
    CLUSTER_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, INVALID_TOPIC,
    TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION, is_final, show_error,
};
use crate::wire::kafka::frame::{BadFrame, Foreign};
use crate::wire::kafka::show_server;
use crate::wire::kafka::versions::Lacks;

use super::KafkaConfig;

/// The broker answered a request about our partition with an error.
pub(super) fn refusal(config: &KafkaConfig, request: &str, error_code: i16) -> Fault {
    let KafkaConfig { topic, partition, .. } = config;
    let problem =
        format!("Kafka answers {request} for {topic}/{partition}: {}", show_error(error_code));
    match error_code {
        UNKNOWN_TOPIC_OR_PARTITION => {
            Fault::Passing(Trouble { problem, missing: Some(Missing::Topic), pause_ms: 0 })
        }
        TOPIC_AUTHORIZATION_FAILED | GROUP_AUTHORIZATION_FAILED | CLUSTER_AUTHORIZATION_FAILED => {
            Fault::last(Stop::refused(Peer::Broker, problem, grant(config)))
        }
        INVALID_TOPIC => Fault::last(Stop::refused(Peer::Broker, problem, "Mend KAFKA_TOPIC")),
        code if is_final(code) => Fault::last(Stop::refused(
            Peer::Broker,
            problem,
            "Look into the broker's log for the reason",
        )),
        _ => Fault::passing(problem),
    }
}

/// The broker is too old, or no Kafka broker in full.
pub(super) fn lacking(server: &str, lacks: &Lacks) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!(
            "the broker {server} can not take part in exactly once: it offers {}",
            lacks.what.join(", ")
        ),
        "Use Kafka 0.11 or later, or a broker that offers idempotent producers (InitProducerId, record batches of format 2)",
    ))
}

/// Something came that is no frame of an answer.
pub(super) fn bad_frame(server: &str, bad: BadFrame, has_answered: bool) -> Fault {
    let advice = match bad {
        BadFrame::Foreign(Foreign::Tls) => {
            "Set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL, or name the cluster's plaintext port in KAFKA_BOOTSTRAP_SERVERS"
        }
        BadFrame::Foreign(Foreign::Http | Foreign::Ssh) => {
            "Mend the port in KAFKA_BOOTSTRAP_SERVERS"
        }
        BadFrame::Length { .. } if has_answered => {
            "If the topic holds such large batches, lower its max.message.bytes"
        }
        BadFrame::Length { .. } => "This is no Kafka port: mend KAFKA_BOOTSTRAP_SERVERS",
    };
    Fault::last(Stop::refused(
        Peer::Broker,
        format!("{server} does not answer as Kafka does: {bad}"),
        advice,
    ))
}

/// A connection that ended or fell silent. One that never answered anything may be of the wrong kind.
pub(super) fn lost(server: &str, doing: &str, why: &std::io::Error, has_answered: bool) -> String {
    use std::io::ErrorKind;
    let why = match why.kind() {
        ErrorKind::UnexpectedEof => "it hung up without an answer".into(),
        ErrorKind::TimedOut => "no answer in time".into(),
        _ => why.to_string(),
    };
    let hint = if has_answered {
        ""
    } else {
        " (is it a Kafka port? if it wants TLS or SASL, KAFKA_SECURITY_PROTOCOL must say so)"
    };
    format!("{doing} at {server}: {why}{hint}")
}

pub(super) fn show_bootstrap(config: &KafkaConfig) -> String {
    let servers: Vec<String> =
        config.bootstrap.iter().map(|(host, port)| show_server(host, *port)).collect();
    servers.join(",")
}

fn grant(config: &KafkaConfig) -> String {
    format!(
        "Grant WRITE, READ and DESCRIBE_CONFIGS on the topic: kafka-acls.sh --bootstrap-server {} --add --allow-principal User:NAME --operation Write --operation Read --operation DescribeConfigs --topic {}. With MSK IAM: Connect, DescribeCluster and WriteDataIdempotently on the cluster, DescribeTopic, WriteData, ReadData and DescribeTopicDynamicConfiguration on the topic (each kafka-cluster:…)",
        show_bootstrap(config),
        config.topic
    )
}
