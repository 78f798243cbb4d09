//! The first line of a run: what it is about to do, for whom, under which settings.
//!
//! Settings go by their names in lower case, as they turned out, defaults too. A secret is none
//! of them: not a password, not a key, not what a file or a variable with one holds.

use super::log::{Fact, Line};
use crate::settings::{
    Header, KafkaClient, KafkaSecurity, MetricsTo, OnBadRow, SaslMechanism, Settings, Verify,
};
use crate::wire::sasl::scram::Hash;

/// A run that begins.
pub struct Start<'a> {
    /// `copies`, `rehearses`.
    pub doing: &'a str,
    pub version: &'a str,
    /// This process on this machine, and who runs it.
    pub host: &'a str,
    pub identity: &'a str,
    /// As records name it.
    pub source: &'a str,
    pub settings: &'a Settings,
}

pub fn line(start: &Start<'_>) -> Line {
    let Start { doing, version, host, identity, source, settings } = start;
    let Settings { topic, partition, job_id, .. } = settings;
    let text =
        format!("csv-to-kafka {version} {doing} {source} to {topic}/{partition} (job {job_id})");
    let mut line = Line::info("starting", text)
        .fact("version", *version)
        .fact("host", *host)
        .fact("identity", *identity);
    for (name, fact) in facts(source, settings) {
        line = line.maybe(name, fact);
    }
    line
}

fn facts(source: &str, settings: &Settings) -> Vec<(&'static str, Option<Fact>)> {
    let (on_bad_row, dead_topic) = match &settings.on_bad_row {
        OnBadRow::Stop => ("stop", None),
        OnBadRow::SetAside { topic } => ("dlq", Some(topic)),
    };
    let csv = &settings.csv;
    let servers: Vec<String> = settings.bootstrap_servers.iter().map(ToString::to_string).collect();
    let verify = match settings.verify {
        Verify::Off => "off",
        Verify::Headers => "headers",
        Verify::Full => "full",
    };
    let metrics = match settings.metrics.to {
        MetricsTo::Nowhere => "off",
        MetricsTo::Lines => "emf",
        MetricsTo::CloudWatch => "cloudwatch",
    };
    let interval = (metrics != "off").then_some(settings.metrics.interval_seconds);
    let aws = settings.aws.as_ref();
    vec![
        text("job_id", &settings.job_id),
        text("source", source),
        ("s3_version_id", aws.and_then(|aws| aws.s3_version_id.as_deref()).map(Fact::from)),
        text("checkpoint", &settings.checkpoint.to_string()),
        text("kafka_bootstrap_servers", &servers.join(",")),
        text("kafka_topic", &settings.topic),
        ("kafka_partition", Some(settings.partition.into())),
        text("kafka_security_protocol", protocol(&settings.security)),
        ("kafka_sasl_mechanism", settings.security.login.as_ref().map(|it| mechanism(it).into())),
        (
            "kafka_client",
            match settings.client {
                // Which it is, the brokers decide; a warning tells where it is not the native one.
                KafkaClient::Auto => None,
                KafkaClient::Native => Some("native".into()),
                KafkaClient::Compat => Some("compat".into()),
            },
        ),
        text("kafka_compression", settings.compression.name()),
        ("kafka_key_column", settings.key_column.as_deref().map(Fact::from)),
        text("csv_delimiter", &byte(csv.delimiter)),
        text("csv_quote", &csv.quote.map_or_else(|| "none".to_owned(), byte)),
        text("csv_header", if csv.header == Header::First { "first" } else { "none" }),
        ("csv_columns", (!csv.columns.is_empty()).then(|| Fact::from(csv.columns.len() as u64))),
        ("row_bytes_max", Some(Fact::from(csv.row_bytes_max as u64))),
        text("on_bad_row", on_bad_row),
        ("kafka_dlq_topic", dead_topic.map(|topic| topic.as_str().into())),
        ("max_bad_rows", dead_topic.map(|_| settings.max_bad_rows.into())),
        ("checkpoint_interval", Some(settings.checkpoint_interval_rows.into())),
        ("lease_seconds", Some(settings.lease_seconds.into())),
        ("max_retries", Some(settings.max_retries.into())),
        ("max_rows_per_second", settings.max_rows_per_second.map(Fact::from)),
        text("verify", verify),
        text("metrics", metrics),
        ("metrics_interval_seconds", interval.map(Fact::from)),
        ("aws_region", aws.and_then(|aws| aws.region.as_deref()).map(Fact::from)),
        ("aws_endpoint_url_s3", aws.and_then(|aws| aws.s3_endpoint.as_deref()).map(Fact::from)),
        (
            "aws_endpoint_url_dynamodb",
            aws.and_then(|aws| aws.dynamodb_endpoint.as_deref()).map(Fact::from),
        ),
    ]
}

/// Without one where there is nothing to tell.
fn text(name: &'static str, text: &str) -> (&'static str, Option<Fact>) {
    (name, (!text.is_empty()).then(|| Fact::from(text)))
}

fn protocol(security: &KafkaSecurity) -> &'static str {
    match (&security.tls, &security.login) {
        (None, None) => "PLAINTEXT",
        (Some(_), None) => "SSL",
        (None, Some(_)) => "SASL_PLAINTEXT",
        (Some(_), Some(_)) => "SASL_SSL",
    }
}

fn mechanism(login: &SaslMechanism) -> &'static str {
    match login {
        SaslMechanism::Plain(_) => "PLAIN",
        SaslMechanism::Scram(Hash::Sha256, _) => "SCRAM-SHA-256",
        SaslMechanism::Scram(Hash::Sha512, _) => "SCRAM-SHA-512",
        SaslMechanism::AwsMskIam => "AWS_MSK_IAM",
    }
}

fn byte(byte: u8) -> String {
    match byte {
        b'\t' => "tab".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("0x{byte:02x}"),
    }
}
