//! What an error of the protocol means for a call: passing or final, and in which words.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, Error};

use crate::flow::ports::{Fault, Missing, Trouble};
use crate::port::tls::{Distrust, tls_error};
use crate::stop::{Peer, Stop};
use crate::wire::kafka::errors::{
    CLUSTER_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED, INVALID_TOPIC,
    TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION, is_final, show_error,
};
use crate::wire::kafka::frame::{BadFrame, Foreign};
use crate::wire::kafka::show_server;
use crate::wire::kafka::versions::Lacks;

use crate::settings::{Login, SaslMechanism};
use crate::wire::compress::Compression;
use crate::wire::sasl::name;
use crate::wire::sasl::scram::BadScram;

use super::KafkaConfig;

/// How much of what a broker says is repeated.
const SAID_CHARS_MAX: usize = 300;
const MECHANISMS_MAX: usize = 16;
/// What commands need that send nothing.
const READS_ONLY: &str = "To look at a job (verify, dlq) takes Read alone, with MSK IAM Connect, DescribeCluster, DescribeTopic and ReadData";

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
            let missing = missing_right(request, topic);
            let problem = format!("{problem}: this user lacks {missing}");
            let advice = match request {
                "Produce" | "InitProducerId" => grant(config),
                // A run needs all of it; nobody shall be given more than he needs.
                _ => format!("{}. {READS_ONLY}", grant(config)),
            };
            Fault::last(Stop::refused(Peer::Broker, problem, advice))
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

/// The broker is too old, too new, or no Kafka broker in full.
pub(super) fn lacking(server: &str, lacks: &Lacks) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!(
            "the broker {server} can not take part in exactly once: it offers {}",
            lacks.what.join(", ")
        ),
        if lacks.is_newer {
            "The broker has given up what this version speaks: use a later version of csv-to-kafka, or an older broker"
        } else {
            "Use Kafka 0.11 or later, or a broker that offers idempotent producers (InitProducerId, record batches of format 2)"
        },
    ))
}

/// The compatibility client was asked for, and the broker does not take its requests.
pub(super) fn no_compat(server: &str, lacks: &Lacks) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!(
            "the broker {server} does not take the requests of the compatibility client: it offers {}",
            lacks.what.join(", ")
        ),
        "Kafka 4 has removed them (KIP-896), and before 0.10.1 some are not there yet: leave KAFKA_CLIENT at auto",
    ))
}

/// zstd came with Kafka 2.1.
pub(super) fn no_zstd(server: &str) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!("the broker {server} is from before Kafka 2.1 and does not know zstd"),
        "Set KAFKA_COMPRESSION to gzip, snappy, lz4 or none",
    ))
}

/// The compatibility client has neither TLS nor a login.
pub(super) fn compat_in_plaintext(server: &str) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!(
            "the broker {server} needs the compatibility client, which has neither TLS nor a login"
        ),
        "Set KAFKA_SECURITY_PROTOCOL to PLAINTEXT and name a port that takes it, or use Kafka 0.11 or later",
    ))
}

/// The compatibility client knows the oldest compressions only.
pub(super) fn compat_compression(server: &str, compression: Compression) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!("the broker {server} needs the compatibility client, which has no {compression}"),
        "Set KAFKA_COMPRESSION to gzip, snappy or none",
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

/// There is no way to a broker. Whoever has never typed its name must learn where it comes from.
pub(super) fn unreached(config: &KafkaConfig, host: &str, port: u16, why: String) -> String {
    if config.bootstrap.iter().any(|(known, at)| known == host && *at == port) {
        return why;
    }
    format!(
        "{why} (the cluster itself names this broker so: its advertised.listeners must be where this machine can reach it)"
    )
}

/// A connection that ended or fell silent. One that never answered anything may be of the wrong kind.
pub(super) fn lost(server: &str, doing: &str, why: &io::Error, has_answered: bool) -> String {
    let why = why_lost(why);
    let hint = if has_answered {
        ""
    } else {
        " (is it a Kafka port? if it wants TLS or SASL, KAFKA_SECURITY_PROTOCOL must say so)"
    };
    format!("{doing} at {server}: {why}{hint}")
}

fn why_lost(why: &io::Error) -> String {
    match why.kind() {
        ErrorKind::UnexpectedEof => "it hung up without an answer".into(),
        ErrorKind::TimedOut => "no answer in time".into(),
        _ => why.to_string(),
    }
}

/// The TLS handshake came to nothing.
pub(super) fn no_handshake(server: &str, why: &io::Error) -> Fault {
    tls(server, why).unwrap_or_else(|| {
        let why = why_lost(why);
        Fault::passing(format!(
            "no TLS with {server}: {why} (does this port speak TLS? if not, KAFKA_SECURITY_PROTOCOL must say so)"
        ))
    })
}

/// What TLS itself has against the peer, or the peer against us. All of it needs a person.
pub(super) fn tls(server: &str, why: &io::Error) -> Option<Fault> {
    let said = tls_error(why)?;
    if let Some(distrust) = Distrust::of(said) {
        let problem = format!("the certificate of {server} {}: {said}", distrust.words());
        let advice = distrust.advice(
            "Name the broker as its certificate does in KAFKA_BOOTSTRAP_SERVERS (and in the brokers' advertised.listeners), or give it a certificate for this name; the check can not be switched off",
            "Set KAFKA_SSL_CA_FILE (or KAFKA_SSL_CA_PEM) to the certificate of the authority that signed it, as PEM; without it the public authorities are trusted",
        );
        return Some(Fault::last(Stop::refused(Peer::Broker, problem, advice)));
    }
    let (problem, advice) = match said {
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => (
            format!("{server} wants a client certificate that it trusts ({said})"),
            "Set KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE (or …_PEM) to one that the brokers' truststore accepts, or name a listener that asks for none",
        ),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => (
            format!("{server} knows of no server of this name ({said})"),
            "Name the broker in KAFKA_BOOTSTRAP_SERVERS as whoever answers there knows it: where a proxy chooses the broker by its name, an address or another name for it does not do",
        ),
        Error::InvalidMessage(_) => (
            format!("{server} does not answer as TLS does: {said}"),
            "Set KAFKA_SECURITY_PROTOCOL to what this port speaks, or mend the port in KAFKA_BOOTSTRAP_SERVERS",
        ),
        // A broker that is going down says such things too, and on its way anything may be damaged.
        Error::AlertReceived(
            AlertDescription::InternalError
            | AlertDescription::UserCanceled
            | AlertDescription::BadRecordMac,
        )
        | Error::DecryptError => {
            return Some(Fault::passing(format!("TLS with {server} ended: {said}")));
        }
        _ => (
            format!("TLS with {server} came to nothing: {said}"),
            "Compare the broker's ssl.enabled.protocols and ssl.cipher.suites: TLS 1.2 and 1.3 are spoken here, with forward secrecy and authenticated encryption only; some listeners say this where they want a client certificate too (KAFKA_SSL_CERT_FILE)",
        ),
    };
    Some(Fault::last(Stop::refused(Peer::Broker, problem, advice)))
}

/// The broker does not take this mechanism, or no login at all.
pub(super) fn no_mechanism(
    server: &str,
    mechanism: &str,
    error_code: i16,
    offered: &[String],
) -> Fault {
    let error = show_error(error_code);
    let (problem, advice) = if offered.is_empty() {
        (
            format!("{server} takes no login on this port: {error}"),
            "Set KAFKA_SECURITY_PROTOCOL to SSL or PLAINTEXT, or name the cluster's SASL port in KAFKA_BOOTSTRAP_SERVERS".to_owned(),
        )
    } else {
        let offered = offered.iter().take(MECHANISMS_MAX).map(|name| quoted(name));
        let offered = offered.collect::<Vec<_>>().join(", ");
        (
            format!("{server} does not take {mechanism} as KAFKA_SASL_MECHANISM: {error}"),
            format!("It offers {offered}"),
        )
    };
    Fault::last(Stop::refused(Peer::Broker, problem, advice))
}

/// The broker does not know us.
pub(super) fn no_login(
    server: &str,
    mechanism: &SaslMechanism,
    error_code: i16,
    said: &str,
) -> Fault {
    let advice = match mechanism {
        SaslMechanism::Plain(Login::Secret(_)) | SaslMechanism::Scram(_, Login::Secret(_)) => {
            "Mend what the secret of KAFKA_SASL_SECRET_ARN holds; the user must be known for this mechanism (MSK: associate the secret with the cluster)"
        }
        SaslMechanism::Plain(_) | SaslMechanism::Scram(..) => {
            "Mend KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE); the user must be known for this mechanism"
        }
        SaslMechanism::AwsMskIam => {
            "Grant kafka-cluster:Connect on the cluster to the AWS identity of this run; its credentials, the region (in the broker's name, else AWS_REGION) and the machine's clock must be right too"
        }
    };
    let problem = format!(
        "{server} refuses the login with {}: {said} ({})",
        name(mechanism),
        show_error(error_code)
    );
    Fault::last(Stop::refused(Peer::Broker, problem, advice))
}

/// The broker does not keep to SCRAM, or does not prove that it knows the password too.
pub(super) fn stranger(server: &str, mechanism: &str, bad: &BadScram) -> Fault {
    Fault::last(Stop::refused(
        Peer::Broker,
        format!("the login at {server} ({mechanism}) ends: {bad}"),
        "Look whether KAFKA_BOOTSTRAP_SERVERS names the right cluster: this broker may be a stranger",
    ))
}

/// What a broker says, fit for a message: no control characters, not endless.
pub(super) fn quoted(said: &str) -> String {
    said.chars().filter(|letter| !letter.is_control()).take(SAID_CHARS_MAX).collect()
}

pub(super) fn show_bootstrap(config: &KafkaConfig) -> String {
    let servers: Vec<String> =
        config.bootstrap.iter().map(|(host, port)| show_server(host, *port)).collect();
    servers.join(",")
}

/// What of the ACLs a request stands on.
fn missing_right(request: &str, topic: &str) -> String {
    match request {
        "Fetch" => format!("Read on topic {topic}"),
        "Produce" => format!("Write on topic {topic}"),
        "InitProducerId" => {
            format!("Write on topic {topic} (before Kafka 2.8: IdempotentWrite on the cluster)")
        }
        "DescribeConfigs" => format!("DescribeConfigs on topic {topic}"),
        _ => format!("Describe on topic {topic}, which Read and Write bring"),
    }
}

fn grant(config: &KafkaConfig) -> String {
    format!(
        "Grant WRITE, READ and DESCRIBE_CONFIGS on the topic: kafka-acls.sh --bootstrap-server {} --add --allow-principal User:NAME --operation Write --operation Read --operation DescribeConfigs --topic {}. With MSK IAM: Connect, DescribeCluster and WriteDataIdempotently on the cluster, DescribeTopic, WriteData, ReadData and DescribeTopicDynamicConfiguration on the topic (each kafka-cluster:…)",
        show_bootstrap(config),
        config.topic
    )
}
