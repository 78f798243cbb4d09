//! The ports of a command: the source, the ledger, the login of AWS, as its settings name them.

use std::ffi::OsString;

use csv_to_kafka::cli::Reading;
use csv_to_kafka::flow::job::Target;
use csv_to_kafka::flow::ports::{Broker, Ledger, Metrics, Ports, Source};
use csv_to_kafka::port::cloudwatch::{CloudWatch, Lines};
use csv_to_kafka::port::credentials::{self, AwsAccount, Credentials};
use csv_to_kafka::port::dynamodb::DynamoDb;
use csv_to_kafka::port::embedded_log::EmbeddedLog;
use csv_to_kafka::port::file::File;
use csv_to_kafka::port::file_ledger::FileLedger;
use csv_to_kafka::port::http::Http;
use csv_to_kafka::port::kafka::{AwsLogin, Security};
use csv_to_kafka::port::machine::Machine;
use csv_to_kafka::port::s3::S3;
use csv_to_kafka::port::secrets_manager::SecretLogin;
use csv_to_kafka::settings::{
    Aws, CheckpointAt, KafkaClient, KafkaSecurity, Metrics as MetricsSetting, MetricsTo, Settings,
    SourceAt,
};
use csv_to_kafka::stop::Stop;
use csv_to_kafka::wire::compress::Compression;
use csv_to_kafka::wire::dynamodb::Table;
use csv_to_kafka::wire::s3::Place;
use csv_to_kafka::wire::secrets_manager::SecretArn;

use super::{Variables, kafka, log_in, one_problem};

/// The two ends that a run and a rehearsal have in common.
pub(crate) struct Places {
    pub(crate) source: Box<dyn Source>,
    ledger: Box<dyn Ledger>,
    metrics: Option<Box<dyn Metrics>>,
    /// Where the brokers take a role of AWS.
    pub(crate) aws: Option<AwsLogin>,
    /// Where anything of AWS is used.
    pub(crate) account: Option<AwsAccount>,
}

impl Places {
    pub(crate) fn open(settings: &Settings, variables: &Variables) -> Result<Places, Box<Stop>> {
        let mut services = Lazy { aws: settings.aws.as_ref(), variables, services: None };
        let source = services.source(&settings.source)?;
        let ledger = services.ledger(&settings.checkpoint)?;
        let aws = services.login(&settings.security)?;
        let metrics = services.metrics(&settings.metrics)?;
        let account = services.services.as_ref().map(|services| services.account(settings));
        Ok(Places { source, ledger, metrics, aws, account })
    }

    pub(crate) fn ports<'p, B: Broker>(
        &'p mut self,
        main: &'p mut B,
        dead: Option<&'p mut B>,
        world: &'p mut Machine<'_>,
    ) -> Ports<'p> {
        Ports {
            source: &mut *self.source,
            main,
            dead: dead.map(|dead| dead as &mut dyn Broker),
            ledger: &mut *self.ledger,
            metrics: match &mut self.metrics {
                Some(metrics) => Some(&mut **metrics),
                None => None,
            },
            world,
        }
    }
}

/// Credentials are looked for only where anything of AWS is used.
pub(crate) struct Lazy<'a> {
    pub(crate) aws: Option<&'a Aws>,
    pub(crate) variables: &'a Variables,
    pub(crate) services: Option<Services<'a>>,
}

impl<'a> Lazy<'a> {
    pub(crate) fn source(&mut self, source: &SourceAt) -> Result<Box<dyn Source>, Box<Stop>> {
        Ok(match source {
            SourceAt::S3 { bucket, key } => Box::new(self.services()?.s3(bucket, key)),
            SourceAt::File(path) => Box::new(File::new(path)),
        })
    }

    pub(crate) fn ledger(
        &mut self,
        checkpoint: &CheckpointAt,
    ) -> Result<Box<dyn Ledger>, Box<Stop>> {
        Ok(match checkpoint {
            CheckpointAt::DynamoDb { table } => Box::new(self.services()?.dynamodb(table)),
            CheckpointAt::File { path } => Box::new(FileLedger::new(path)),
        })
    }

    fn metrics(&mut self, metrics: &MetricsSetting) -> Result<Option<Box<dyn Metrics>>, Box<Stop>> {
        let interval_ms = metrics.interval_seconds.saturating_mul(1_000);
        Ok(match metrics.to {
            MetricsTo::Nowhere => None,
            MetricsTo::Lines => Some(Box::new(Lines { interval_ms })),
            MetricsTo::CloudWatch => Some(Box::new(self.services()?.cloudwatch(interval_ms)?)),
        })
    }

    /// What logs in at Kafka with a role of AWS, or with a password that AWS keeps.
    pub(crate) fn login(
        &mut self,
        security: &KafkaSecurity,
    ) -> Result<Option<AwsLogin>, Box<Stop>> {
        if !security.takes_aws() {
            return Ok(None);
        }
        let services = self.services()?;
        let credentials = services.credentials.clone();
        Ok(Some(match security.secret() {
            Some(arn) => AwsLogin::Secret(services.secret(arn)),
            None => AwsLogin::Role { credentials, region: services.region.clone() },
        }))
    }

    pub(crate) fn services(&mut self) -> Result<&Services<'a>, Box<Stop>> {
        let Some(aws) = self.aws else {
            unreachable!("the settings of S3 and DynamoDB come with those of AWS")
        };
        if self.services.is_none() {
            self.services = Some(Services::new(aws, self.variables)?);
        }
        match &self.services {
            Some(services) => Ok(services),
            None => unreachable!("they were made just now"),
        }
    }
}

/// The partitions of a job that is only read: at brokers, or in a rehearsal's directory.
pub(crate) struct Brokers<'a> {
    reading: &'a Reading,
    job_id: &'a str,
    security: Security,
}

impl<'a> Brokers<'a> {
    pub(crate) fn new(
        reading: &'a Reading,
        job_id: &'a str,
        services: &mut Lazy<'_>,
    ) -> Result<Brokers<'a>, Box<Stop>> {
        let login = services.login(&reading.security)?;
        let security = Security::new(&reading.security, login).map_err(one_problem)?;
        Ok(Brokers { reading, job_id, security })
    }

    pub(crate) fn open(&self, target: &Target) -> Result<Box<dyn Broker>, Box<Stop>> {
        let servers = &self.reading.bootstrap_servers;
        // Whoever only reads takes the client that fits.
        let client = (KafkaClient::Auto, Compression::None);
        Ok(match &self.reading.directory {
            Some(directory) => Box::new(EmbeddedLog::open(&log_in(directory, target))?),
            None => Box::new(kafka(servers, &self.security, client, self.job_id, target)),
        })
    }
}

/// What S3 and `DynamoDB` share.
pub(crate) struct Services<'a> {
    aws: Aws,
    variables: &'a Variables,
    region: String,
    http: Http,
    credentials: Credentials,
}

impl<'a> Services<'a> {
    pub(crate) fn new(aws: &Aws, variables: &'a Variables) -> Result<Services<'a>, Box<Stop>> {
        let aws = credentials::with_profile(aws).map_err(Box::new)?;
        let lookup = |name: &str| looked_up(&aws, variables, name);
        let http = Http::new(&lookup).map_err(one_problem)?;
        let region =
            credentials::region(aws.region.as_deref(), &aws.variables).map_err(Box::new)?;
        let credentials = Credentials::find(&aws.variables, &http, &region, aws.variant);
        Ok(Services { aws, variables, region, http, credentials })
    }

    pub(crate) fn s3(&self, bucket: &str, key: &str) -> S3 {
        let place = Place {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: self.aws.s3_version_id.clone(),
            region: self.region.clone(),
            endpoint: self.aws.s3_endpoint.clone(),
            variant: self.aws.variant,
            requester_pays: self.aws.requester_pays,
        };
        S3::new(self.http.clone(), place, self.credentials.clone(), self.aws.read_ahead)
    }

    fn cloudwatch(&self, interval_ms: u64) -> Result<CloudWatch, Box<Stop>> {
        let lookup = |name: &str| looked_up(&self.aws, self.variables, name);
        let endpoint = self.aws.cloudwatch_endpoint.as_deref();
        let region = self.region.clone();
        let credentials = self.credentials.clone();
        CloudWatch::new(&lookup, region, endpoint, self.aws.variant, credentials, interval_ms)
            .map_err(|problem| one_problem(problem).into())
    }

    pub(crate) fn account(&self, settings: &Settings) -> AwsAccount {
        let Aws { s3_endpoint, dynamodb_endpoint, variant, variables, .. } = &self.aws;
        // Keys of a store that is not AWS's are not shown to AWS.
        let asks = settings.security.takes_aws()
            || (matches!(settings.source, SourceAt::S3 { .. }) && s3_endpoint.is_none())
            || (matches!(settings.checkpoint, CheckpointAt::DynamoDb { .. })
                && dynamodb_endpoint.is_none());
        let (credentials, http) = (self.credentials.clone(), self.http.clone());
        AwsAccount::new(credentials, http, &self.region, *variant, variables, asks)
    }

    fn secret(&self, arn: &SecretArn) -> SecretLogin {
        let endpoint = self.aws.secrets_endpoint.as_deref();
        let credentials = self.credentials.clone();
        SecretLogin::new(self.http.clone(), credentials, arn.clone(), endpoint, self.aws.variant)
    }

    pub(crate) fn dynamodb(&self, table: &str) -> DynamoDb {
        let table = Table { name: table.to_owned(), region: self.region.clone() };
        let endpoint = self.aws.dynamodb_endpoint.as_deref();
        let credentials = self.credentials.clone();
        DynamoDb::new(self.http.clone(), table, endpoint, self.aws.variant, credentials)
    }
}

fn looked_up(aws: &Aws, variables: &Variables, name: &str) -> Option<String> {
    match aws.variables.get(name) {
        Some(value) => Some(value.to_owned()),
        // Those of the proxy.
        None => variables.get(&OsString::from(name))?.to_str().map(str::to_owned),
    }
}
