//! The settings: one table of all of them, and what they are once they are read.
//!
//! From the table come the flags (`KAFKA_TOPIC` is also `--kafka-topic`), `--help`, the tables
//! of the documentation and the nearest known name of a mistyped one. `cli` turns arguments
//! and environment into [`Settings`]; nobody else reads a setting.
//!
//! ```text
//! TABLE ──flags, help, docs, near names
//!   └── cli ──> Settings ──> main, flow, port
//! ```

use std::collections::BTreeMap;
use std::fmt;

use crate::wire::aws_endpoint::Variant;
use crate::wire::compress::Compression;
use crate::wire::kafka::show_server;
use crate::wire::pem::{Certificates, PrivateKey};
use crate::wire::sasl::scram::Hash;
use crate::wire::secrets_manager::SecretArn;

mod table;

pub use table::{FILE_SUFFIX, Group, Setting, TABLE, Takes};

/// All settings of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub source: SourceAt,
    pub checkpoint: CheckpointAt,
    pub job_id: String,
    /// In the order given. Empty for a rehearsal, which has no broker.
    pub bootstrap_servers: Vec<Server>,
    pub topic: String,
    pub partition: i32,
    pub security: KafkaSecurity,
    pub client: KafkaClient,
    pub compression: Compression,
    pub key_column: Option<String>,
    pub csv: Csv,
    pub on_bad_row: OnBadRow,
    pub max_bad_rows: u64,
    pub checkpoint_interval_rows: u64,
    pub lease_seconds: u64,
    pub max_retries: u32,
    pub max_rows_per_second: Option<u64>,
    pub verify: Verify,
    pub metrics: Metrics,
    pub log: Log,
    /// Only where S3, DynamoDB or CloudWatch is used.
    pub aws: Option<Aws>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceAt {
    S3 { bucket: String, key: String },
    File(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointAt {
    DynamoDb { table: String },
    File { path: String },
}

/// One of the bootstrap servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

/// Which client sends the batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KafkaClient {
    /// The native one, and the other where the brokers offer no idempotent producers.
    #[default]
    Auto,
    Native,
    /// The `kafka` crate's, for brokers from before 0.11 and what resembles them.
    Compat,
}

/// How the brokers are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// `None`: without TLS.
    pub tls: Option<KafkaTls>,
    /// `None`: without SASL.
    pub login: Option<SaslMechanism>,
}

/// How we log in, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain(Login),
    Scram(Hash, Login),
    AwsMskIam,
}

/// Where name and password are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    Password(Password),
    /// In Secrets Manager.
    Secret(SecretArn),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    pub username: String,
    pub password: Secret,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaTls {
    /// `None`: the public ones.
    pub roots: Option<Certificates>,
    pub client: Option<ClientCertificate>,
}

/// Who we are, for brokers that want to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub chain: Certificates,
    pub key: PrivateKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csv {
    pub delimiter: u8,
    /// Somebody chose the delimiter: it is not questioned.
    pub delimiter_given: bool,
    pub quote: Option<u8>,
    pub header: Header,
    /// They replace the header's names; never empty with [`Header::None`].
    pub columns: Vec<String>,
    pub row_bytes_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    First,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnBadRow {
    Stop,
    SetAside { topic: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    Off,
    Headers,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    pub to: MetricsTo,
    pub interval_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsTo {
    Nowhere,
    /// Standard output, in CloudWatch's embedded metric format.
    Lines,
    CloudWatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// `None`: the profile's, or the instance's.
    pub region: Option<String>,
    /// `None`: AWS's own.
    pub s3_endpoint: Option<String>,
    pub dynamodb_endpoint: Option<String>,
    pub cloudwatch_endpoint: Option<String>,
    pub secrets_endpoint: Option<String>,
    /// By the names of their services, for a profile that has all but the flags ignored.
    pub flag_endpoints: BTreeMap<&'static str, String>,
    pub variant: Variant,
    pub requester_pays: bool,
    /// `None`: the object's latest.
    pub s3_version_id: Option<String>,
    /// Whether several connections may read the object, where one brings too little.
    pub read_ahead: bool,
    /// Whether to watch for the notice that a Spot instance has to go.
    pub spot_notice: bool,
    pub variables: AwsVariables,
}

/// Those of the AWS tools' own variables that are set, for whoever looks for credentials:
/// under their names, as many of them as there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsVariables {
    by_name: BTreeMap<String, Secret>,
}

impl AwsVariables {
    /// An empty value counts as none.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.trim().is_empty() {
            self.by_name.remove(name);
        } else {
            self.by_name.insert(name.to_owned(), Secret::new(value.trim().to_owned()));
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(Secret::reveal)
    }
}

/// A text that no log and no message may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl KafkaSecurity {
    /// Whether the login is made of AWS credentials, or found with them.
    pub fn takes_aws(&self) -> bool {
        matches!(self.login, Some(SaslMechanism::AwsMskIam)) || self.secret().is_some()
    }

    /// Where name and password are, if it is Secrets Manager.
    pub fn secret(&self) -> Option<&SecretArn> {
        match &self.login {
            Some(SaslMechanism::Plain(login) | SaslMechanism::Scram(_, login)) => match login {
                Login::Secret(arn) => Some(arn),
                Login::Password(_) => None,
            },
            _ => None,
        }
    }
}

impl SourceAt {
    /// What records and checkpoints name, which is what it displays as.
    pub fn of_name(name: &str) -> Option<SourceAt> {
        if let Some(path) = name.strip_prefix("file:") {
            return Some(SourceAt::File(path.to_owned()));
        }
        let (bucket, key) = name.strip_prefix("s3://")?.split_once('/')?;
        Some(SourceAt::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl fmt::Display for SourceAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceAt::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            SourceAt::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl fmt::Display for CheckpointAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointAt::DynamoDb { table } => write!(f, "dynamodb://{table}"),
            CheckpointAt::File { path } => write!(f, "file:{path}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_server(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_by_its_name() {
        for name in ["s3://b/k/l.csv", "file:/a b/c.csv"] {
            assert_eq!(SourceAt::of_name(name).expect(name).to_string(), name);
        }
        assert_eq!(SourceAt::of_name("s3://b"), None);
    }

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2".into()))), "Some((secret))");
    }
}
