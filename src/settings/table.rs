//! The one table of all settings: from it come the flags, the help, the tables of the
//! documentation and the nearest known name of a mistyped one.

use crate::limits::{LEASE_SECONDS_MAX, ROW_BYTES_CEILING};

/// One setting, as a person finds it in the environment, as a flag, in the help.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub group: Group,
    pub takes: Takes,
    /// As a person would write it; empty: there is none.
    pub default: &'static str,
    /// In a few words.
    pub meaning: &'static str,
    /// Never a flag, which other users of the machine can see: the variable, or its name with
    /// `_FILE` for a file that holds it.
    pub secret: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Job,
    Rows,
    Kafka,
    Security,
    Pace,
    Log,
    Aws,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Text, shaped like this.
    Text(&'static str),
    /// A whole number between these two.
    Whole { min: u64, max: u64 },
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// Every setting, in the order in which a reader meets them.
pub const TABLE: &[Setting] = &[
    plain(
        "SOURCE",
        Group::Job,
        Takes::Text("s3://bucket/key or a path"),
        "",
        "The CSV, in place of the next two",
    ),
    plain("S3_BUCKET", Group::Job, Takes::Text("name"), "", "The bucket that holds the CSV"),
    plain("S3_KEY", Group::Job, Takes::Text("key"), "", "Its key in the bucket"),
    plain(
        "S3_VERSION_ID",
        Group::Job,
        Takes::Text("id"),
        "",
        "A version of it, where the bucket keeps them (latest)",
    ),
    plain(
        "CHECKPOINT",
        Group::Job,
        Takes::Text("dynamodb://table or file:path"),
        "",
        "The ledger, in place of the next",
    ),
    plain(
        "DYNAMODB_TABLE",
        Group::Job,
        Takes::Text("name"),
        "",
        "The ledger's table; it keeps the progress",
    ),
    plain("JOB_ID", Group::Job, Takes::Text("name"), "csv-job-1", "One source into one partition"),
    plain(
        "KAFKA_BOOTSTRAP_SERVERS",
        Group::Kafka,
        Takes::Text("host:port,…"),
        "",
        "Brokers to ask first",
    ),
    plain("KAFKA_TOPIC", Group::Kafka, Takes::Text("name"), "", "The topic; never created here"),
    plain(
        "KAFKA_PARTITION",
        Group::Kafka,
        Takes::Whole { min: 0, max: i32::MAX as u64 },
        "0",
        "Its partition",
    ),
    plain(
        "KAFKA_KEY_COLUMN",
        Group::Kafka,
        Takes::Text("column"),
        "",
        "Its value is the record's key",
    ),
    plain(
        "KAFKA_COMPRESSION",
        Group::Kafka,
        Takes::OneOf(&["gzip", "none", "snappy", "lz4", "zstd"]),
        "gzip",
        "Of the batches",
    ),
    plain(
        "KAFKA_CLIENT",
        Group::Kafka,
        Takes::OneOf(&["auto", "native", "compat"]),
        "auto",
        "compat for brokers older than 0.11",
    ),
    plain(
        "KAFKA_SECURITY_PROTOCOL",
        Group::Kafka,
        Takes::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        "PLAINTEXT",
        "TLS and login",
    ),
    plain(
        "KAFKA_SASL_MECHANISM",
        Group::Security,
        Takes::OneOf(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"]),
        "",
        "How we log in",
    ),
    plain("KAFKA_SASL_USERNAME", Group::Security, Takes::Text("name"), "", "Who logs in"),
    secret("KAFKA_SASL_PASSWORD", Group::Security, Takes::Text("password"), "Its password"),
    plain(
        "KAFKA_SASL_SECRET_ARN",
        Group::Security,
        Takes::Text("ARN"),
        "",
        "The secret that holds both, in Secrets Manager",
    ),
    plain(
        "KAFKA_SSL_CA_FILE",
        Group::Security,
        Takes::Text("path"),
        "",
        "Authorities to trust (PEM), in place of the public ones",
    ),
    plain("KAFKA_SSL_CA_PEM", Group::Security, Takes::Text("PEM"), "", "The same as text"),
    plain(
        "KAFKA_SSL_CERT_FILE",
        Group::Security,
        Takes::Text("path"),
        "",
        "Our certificate and its chain (PEM)",
    ),
    plain("KAFKA_SSL_CERT_PEM", Group::Security, Takes::Text("PEM"), "", "The same as text"),
    plain("KAFKA_SSL_KEY_FILE", Group::Security, Takes::Text("path"), "", "Its private key (PEM)"),
    secret("KAFKA_SSL_KEY_PEM", Group::Security, Takes::Text("PEM"), "The same as text"),
    plain("CSV_DELIMITER", Group::Rows, Takes::Text("one byte, or tab"), ",", "Between the fields"),
    plain("CSV_QUOTE", Group::Rows, Takes::Text("one byte, or none"), "\"", "Around a field"),
    plain(
        "CSV_HEADER",
        Group::Rows,
        Takes::OneOf(&["first", "none"]),
        "first",
        "The first row names the columns, or none does",
    ),
    plain(
        "CSV_COLUMNS",
        Group::Rows,
        Takes::Text("name,…"),
        "",
        "Replace the header's names, or stand in for it",
    ),
    plain(
        "ROW_BYTES_MAX",
        Group::Rows,
        Takes::Whole { min: 1, max: ROW_BYTES_CEILING as u64 },
        "1048576",
        "A longer row stops the job",
    ),
    plain(
        "ON_BAD_ROW",
        Group::Rows,
        Takes::OneOf(&["stop", "dlq"]),
        "stop",
        "Stop at a bad row, or set it aside",
    ),
    plain(
        "KAFKA_DLQ_TOPIC",
        Group::Rows,
        Takes::Text("name"),
        "",
        "Where dlq sets them aside (partition 0)",
    ),
    plain(
        "MAX_BAD_ROWS",
        Group::Rows,
        Takes::Whole { min: 0, max: u64::MAX },
        "1000",
        "One more than these stops the job",
    ),
    plain(
        "CHECKPOINT_INTERVAL",
        Group::Pace,
        Takes::Whole { min: 1, max: u64::MAX },
        "10000",
        "Rows between two checkpoints",
    ),
    plain(
        "LEASE_SECONDS",
        Group::Pace,
        Takes::Whole { min: 1, max: LEASE_SECONDS_MAX },
        "15",
        "A run without a sign of life for so long is taken over",
    ),
    plain(
        "MAX_RETRIES",
        Group::Pace,
        Takes::Whole { min: 0, max: 1_000 },
        "5",
        "In a row without progress, for each peer",
    ),
    plain(
        "MAX_ROWS_PER_SECOND",
        Group::Pace,
        Takes::Whole { min: 1, max: u64::MAX },
        "",
        "A brake for shared clusters",
    ),
    plain(
        "VERIFY",
        Group::Pace,
        Takes::OneOf(&["off", "headers", "full"]),
        "off",
        "A proof at the end of the run",
    ),
    plain(
        "LOG_LEVEL",
        Group::Log,
        Takes::OneOf(&["error", "warn", "info", "debug", "trace", "off"]),
        "info",
        "How much is told",
    ),
    plain("LOG_FORMAT", Group::Log, Takes::OneOf(&["text", "json"]), "text", "Of the log"),
    plain(
        "METRICS",
        Group::Log,
        Takes::OneOf(&["off", "emf", "cloudwatch"]),
        "off",
        "Lines of EMF, or calls of CloudWatch",
    ),
    plain(
        "METRICS_INTERVAL_SECONDS",
        Group::Log,
        Takes::Whole { min: 1, max: 3_600 },
        "60",
        "Between two lines, or calls",
    ),
    plain(
        "ENABLE_METRICS",
        Group::Log,
        Takes::OneOf(&["false", "true"]),
        "false",
        "true: METRICS=cloudwatch, unless that is set",
    ),
    plain(
        "AWS_REGION",
        Group::Aws,
        Takes::Text("region"),
        "",
        "Of bucket and table (AWS_DEFAULT_REGION, profile, EC2)",
    ),
    secret(
        "AWS_ACCESS_KEY_ID",
        Group::Aws,
        Takes::Text("id"),
        "Credentials; without them those of a profile or a role",
    ),
    secret("AWS_SECRET_ACCESS_KEY", Group::Aws, Takes::Text("key"), "Their secret half"),
    secret("AWS_SESSION_TOKEN", Group::Aws, Takes::Text("token"), "For temporary credentials"),
    plain(
        "AWS_PROFILE",
        Group::Aws,
        Takes::Text("name"),
        "",
        "A profile of the AWS tools' files (default)",
    ),
    plain("AWS_CONFIG_FILE", Group::Aws, Takes::Text("path"), "", "Instead of ~/.aws/config"),
    plain(
        "AWS_SHARED_CREDENTIALS_FILE",
        Group::Aws,
        Takes::Text("path"),
        "",
        "Instead of ~/.aws/credentials",
    ),
    plain(
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        Group::Aws,
        Takes::Text("path"),
        "",
        "A token that stands for a role; EKS sets it",
    ),
    plain("AWS_ROLE_ARN", Group::Aws, Takes::Text("ARN"), "", "The role of that token"),
    plain(
        "AWS_ROLE_SESSION_NAME",
        Group::Aws,
        Takes::Text("name"),
        "",
        "How its session is called (csv-to-kafka)",
    ),
    plain(
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        Group::Aws,
        Takes::Text("path"),
        "",
        "Where a container has its role; ECS sets it",
    ),
    plain(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        Group::Aws,
        Takes::Text("URL"),
        "",
        "The same; EKS Pod Identity sets it",
    ),
    plain(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        Group::Aws,
        Takes::Text("path"),
        "",
        "The token for that URL; read again each time",
    ),
    secret(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        Group::Aws,
        Takes::Text("token"),
        "The token itself, where there is no file",
    ),
    plain(
        "AWS_EC2_METADATA_DISABLED",
        Group::Aws,
        Takes::OneOf(&["false", "true"]),
        "false",
        "Do not ask for the role of the instance",
    ),
    plain(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        Group::Aws,
        Takes::Text("URL"),
        "",
        "Instead of http://169.254.169.254",
    ),
    plain(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        Group::Aws,
        Takes::OneOf(&["IPv4", "IPv6"]),
        "IPv4",
        "Which of its addresses",
    ),
    plain(
        "SPOT_NOTICE",
        Group::Aws,
        Takes::OneOf(&["auto", "off"]),
        "auto",
        "On EC2, end in good order at the Spot notice",
    ),
    plain(
        "AWS_CA_BUNDLE",
        Group::Aws,
        Takes::Text("path"),
        "",
        "Trust these authorities only (PEM)",
    ),
    plain(
        "AWS_USE_FIPS_ENDPOINT",
        Group::Aws,
        Takes::OneOf(&["false", "true"]),
        "false",
        "The FIPS endpoints of AWS",
    ),
    plain(
        "AWS_USE_DUALSTACK_ENDPOINT",
        Group::Aws,
        Takes::OneOf(&["false", "true"]),
        "false",
        "Those with IPv6 addresses too",
    ),
    plain(
        "S3_REQUEST_PAYER",
        Group::Aws,
        Takes::OneOf(&["owner", "requester"]),
        "owner",
        "Who pays for reading the bucket",
    ),
    plain(
        "S3_READ_AHEAD",
        Group::Aws,
        Takes::OneOf(&["auto", "off"]),
        "auto",
        "More connections where one is too slow",
    ),
    plain("AWS_ENDPOINT_URL", Group::Aws, Takes::Text("URL"), "", "In place of AWS's own"),
    plain("AWS_ENDPOINT_URL_S3", Group::Aws, Takes::Text("URL"), "", "The same for S3 alone"),
    plain(
        "AWS_ENDPOINT_URL_DYNAMODB",
        Group::Aws,
        Takes::Text("URL"),
        "",
        "The same for DynamoDB alone",
    ),
    plain(
        "AWS_ENDPOINT_URL_CLOUDWATCH",
        Group::Aws,
        Takes::Text("URL"),
        "",
        "The same for metrics alone",
    ),
    plain("AWS_ENDPOINT_URL_STS", Group::Aws, Takes::Text("URL"), "", "The same for roles alone"),
    plain(
        "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        Group::Aws,
        Takes::Text("URL"),
        "",
        "The same for Secrets Manager alone",
    ),
    plain(
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        Group::Aws,
        Takes::OneOf(&["false", "true"]),
        "false",
        "Ignore these and a profile's, not flags",
    ),
];

/// How a secret may also be given: the name of a file that holds it.
pub const FILE_SUFFIX: &str = "_FILE";

impl Setting {
    pub fn find(name: &str) -> Option<&'static Setting> {
        TABLE.iter().find(|setting| setting.name == name)
    }

    /// `KAFKA_TOPIC` is `--kafka-topic`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.to_ascii_lowercase().replace('_', "-"))
    }

    /// Whether this is its flag.
    pub fn has_flag(&self, flag: &str) -> bool {
        let letter = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        flag.strip_prefix("--").is_some_and(|word| word.bytes().eq(self.name.bytes().map(letter)))
    }

    /// What it takes, in words.
    pub fn values(&self) -> String {
        match self.takes {
            Takes::Text(shape) => shape.to_owned(),
            Takes::Whole { min, max } if max >= i32::MAX as u64 => format!("{min} or more"),
            Takes::Whole { min, max } => format!("{min} to {max}"),
            Takes::OneOf(words) => words.join(", "),
        }
    }
}

const fn plain(
    name: &'static str,
    group: Group,
    takes: Takes,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, group, takes, default, meaning, secret: false }
}

const fn secret(name: &'static str, group: Group, takes: Takes, meaning: &'static str) -> Setting {
    Setting { name, group, takes, default: "", meaning, secret: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (index, setting) in TABLE.iter().enumerate() {
            let name = setting.name;
            assert!(TABLE[..index].iter().all(|other| other.name != name), "{name} is there twice");
            assert!(!setting.meaning.is_empty(), "{name} has a meaning");
            assert!(setting.has_flag(&setting.flag()) && !setting.has_flag(name), "{name}");
            assert!(setting.meaning.len() <= 60, "{name}: a few words");
            assert!(
                !matches!(setting.takes, Takes::OneOf(words)
                    if !setting.default.is_empty() && !words.contains(&setting.default)),
                "{name}: its default is one of its values"
            );
        }
    }

    #[test]
    fn the_default_row_is_that_of_the_limits() {
        let setting = Setting::find("ROW_BYTES_MAX").expect("a setting");
        assert_eq!(setting.default, crate::limits::ROW_BYTES_MAX.to_string());
    }
}
