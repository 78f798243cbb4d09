//! Texts to types: parsed once, and what is wrong is said in the words of who set it.

use std::collections::BTreeMap;

use super::bootstrap::parse_bootstrap;
use super::given::{Value, Values};
use super::shown;
use crate::limits::{COLUMNS_MAX, METRICS_LEASE_SECONDS_MIN};
use crate::settings::{
    Aws, AwsVariables, CheckpointAt, Csv, Group, Header, KafkaClient, KafkaSecurity, Level, Log,
    LogFormat, Metrics, MetricsTo, OnBadRow, Server, Setting, Settings, SourceAt, TABLE, Verify,
};
use crate::wire::aws_endpoint::{Variant, endpoint as endpoint_of, is_region};
use crate::wire::compress::Compression;
use crate::wire::csv::header::RESERVED_NAMES;
use crate::wire::metrics::{DIMENSION_CHARS_MAX, is_dimension};

/// From where and to where; a run and a rehearsal differ in these.
pub(super) struct Places {
    pub source: Option<SourceAt>,
    pub checkpoint: Option<CheckpointAt>,
    pub bootstrap_servers: Option<Vec<Server>>,
    pub topic: Option<String>,
    pub security: Option<KafkaSecurity>,
    pub job_id: String,
}

/// Kafka's default port.
const KAFKA_PORT: u16 = 9092;
/// Kafka's bound on the name of a topic.
const TOPIC_CHARS_MAX: usize = 249;
/// DynamoDB's bound on a partition key.
const JOB_ID_BYTES_MAX: usize = 2048;

/// All settings, or `None` if there is a problem.
pub(super) fn settings(values: &mut Values, places: Places) -> Option<Settings> {
    let csv = csv(values);
    let key_column = key_column(values, csv.as_ref());
    let on_bad_row = on_bad_row(values, places.topic.as_deref());
    check_job_id(values, &places.job_id);
    let metrics = metrics(values, &places.job_id);
    let compression = Compression::parse(&values.text_or_default("KAFKA_COMPRESSION"));
    let client = client(values, places.security.as_ref(), compression);
    let uses_s3 = matches!(places.source, Some(SourceAt::S3 { .. }));
    let logs_in_with_aws = places.security.as_ref().is_some_and(KafkaSecurity::takes_aws);
    let uses_aws = uses_s3
        || logs_in_with_aws
        || matches!(places.checkpoint, Some(CheckpointAt::DynamoDb { .. }))
        || metrics.to == MetricsTo::CloudWatch;
    let aws = uses_aws.then(|| aws(values, places.security.as_ref()));
    if !values.problems().is_empty() {
        return None;
    }
    Some(Settings {
        source: places.source?,
        checkpoint: places.checkpoint?,
        job_id: places.job_id,
        bootstrap_servers: places.bootstrap_servers?,
        topic: places.topic?,
        partition: i32::try_from(values.whole("KAFKA_PARTITION")?).ok()?,
        security: places.security?,
        client,
        compression: compression?,
        key_column,
        csv: csv?,
        on_bad_row: on_bad_row?,
        max_bad_rows: values.whole("MAX_BAD_ROWS")?,
        checkpoint_interval_rows: values.whole("CHECKPOINT_INTERVAL")?,
        lease_seconds: values.whole("LEASE_SECONDS")?,
        max_retries: u32::try_from(values.whole("MAX_RETRIES")?).ok()?,
        max_rows_per_second: values.whole("MAX_ROWS_PER_SECOND"),
        verify: match &*values.text_or_default("VERIFY") {
            "headers" => Verify::Headers,
            "full" => Verify::Full,
            _ => Verify::Off,
        },
        metrics,
        log: log(values),
        aws,
    })
}

/// What the compatibility client does not have is refused before anything is sent; where it is
/// chosen by what a broker offers, it is refused then.
fn client(
    values: &mut Values,
    security: Option<&KafkaSecurity>,
    compression: Option<Compression>,
) -> KafkaClient {
    match &*values.text_or_default("KAFKA_CLIENT") {
        "native" => return KafkaClient::Native,
        "compat" => {}
        _ => return KafkaClient::Auto,
    }
    if security.is_some_and(|security| *security != KafkaSecurity::default()) {
        values.problem("KAFKA_CLIENT=compat has neither TLS nor a login: it needs KAFKA_SECURITY_PROTOCOL=PLAINTEXT");
    }
    if let Some(compression @ (Compression::Lz4 | Compression::Zstd)) = compression {
        values.problem(format!(
            "KAFKA_CLIENT=compat has no {compression}: it takes KAFKA_COMPRESSION gzip, snappy or none"
        ));
    }
    KafkaClient::Compat
}

/// How to speak: needed even where everything else is wrong.
pub(super) fn log(values: &Values) -> Log {
    let level = match &*values.text_or_default("LOG_LEVEL") {
        "off" => Level::Off,
        "error" => Level::Error,
        "warn" => Level::Warn,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        _ => Level::Info,
    };
    let format = match &*values.text_or_default("LOG_FORMAT") {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    };
    Log { level, format }
}

/// `SOURCE`, or `S3_BUCKET` and `S3_KEY`.
pub(super) fn source(values: &mut Values) -> Option<SourceAt> {
    let whole = values.get("SOURCE").cloned();
    let parts = (values.get("S3_BUCKET").cloned(), values.get("S3_KEY").cloned());
    let from_parts = match &parts {
        (Some(bucket), Some(key)) => bucket_and_key(bucket, &key.text, values),
        (Some(bucket), None) if whole.is_none() => {
            values.problem(format!("S3_KEY is missing; {} is set", bucket.origin));
            return None;
        }
        (None, Some(key)) if whole.is_none() => {
            values.problem(format!("S3_BUCKET is missing; {} is set", key.origin));
            return None;
        }
        _ => None,
    };
    let Some(whole) = whole else {
        if matches!(parts, (None, None)) {
            values.problem("the source is missing: set S3_BUCKET and S3_KEY, or SOURCE");
        }
        return from_parts;
    };
    let source = source_at(&whole.origin, &whole.text, values)?;
    if let (SourceAt::File(_), Some(version)) = (&source, values.get("S3_VERSION_ID")) {
        let origin = &version.origin;
        values.problem(format!(
            "{origin} is set, and {}={} is no object of S3; unset one of them",
            whole.origin,
            shown(&whole.text)
        ));
    }
    let (bucket, key) = match &source {
        SourceAt::S3 { bucket, key } => (bucket.as_str(), key.as_str()),
        SourceAt::File(_) => ("", ""),
    };
    for (part, same) in [(&parts.0, bucket), (&parts.1, key)] {
        if let Some(part) = part.as_ref().filter(|part| part.text != same) {
            values.problem(format!(
                "{}={} and {}={} name different sources; unset one of them",
                whole.origin,
                shown(&whole.text),
                part.origin,
                shown(&part.text)
            ));
        }
    }
    Some(source)
}

/// `s3://bucket/key`, `file:path` or a path.
pub(super) fn source_at(origin: &str, text: &str, values: &mut Values) -> Option<SourceAt> {
    let given = shown(text);
    if let Some(rest) = text.strip_prefix("s3://") {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(why) = other_than_a_bucket(bucket) {
            values.problem(format!("{origin}={given}: {why}"));
            return None;
        }
        if bucket.is_empty() || key.is_empty() {
            values.problem(format!("{origin}={given}: an object is named s3://bucket/key"));
            return None;
        }
        return Some(SourceAt::S3 { bucket: bucket.to_owned(), key: key.to_owned() });
    }
    let path = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:")).unwrap_or(text);
    if path == "-" || path == "/dev/stdin" {
        values.problem(format!(
            "{origin}={given}: standard input can not be read a second time after a crash; write it to a file first"
        ));
        return None;
    }
    if path.contains("://") {
        values.problem(format!("{origin}={given}: takes s3://bucket/key or the path of a file"));
        return None;
    }
    if path.is_empty() {
        values.problem(format!("{origin}={given}: the path is empty"));
        return None;
    }
    Some(SourceAt::File(path.to_owned()))
}

/// What S3 takes in the place of a bucket, and we do not.
fn other_than_a_bucket(bucket: &str) -> Option<&'static str> {
    if bucket.starts_with("arn:") {
        return Some(
            "an access point goes by its alias here, which ends in -s3alias, not by its ARN (aws s3control get-access-point shows it)",
        );
    }
    bucket.ends_with("--x-s3").then_some(
        "a directory bucket (S3 Express One Zone) has a login of its own, which csv-to-kafka does not speak: copy the object to a general purpose bucket",
    )
}

fn bucket_and_key(bucket: &Value, key: &str, values: &mut Values) -> Option<SourceAt> {
    if let Some(why) = other_than_a_bucket(&bucket.text) {
        values.problem(format!("{}={}: {why}", bucket.origin, shown(&bucket.text)));
        return None;
    }
    if bucket.text.contains('/') {
        values.problem(format!(
            "{}={}: takes the bucket's name alone, without s3:// and without a path",
            bucket.origin,
            shown(&bucket.text)
        ));
        return None;
    }
    Some(SourceAt::S3 { bucket: bucket.text.clone(), key: key.to_owned() })
}

/// `CHECKPOINT`, or `DYNAMODB_TABLE`.
pub(super) fn checkpoint(values: &mut Values) -> Option<CheckpointAt> {
    let table = values.get("DYNAMODB_TABLE").cloned();
    let Some(whole) = values.get("CHECKPOINT").cloned() else {
        if table.is_none() {
            values.problem(
                "the place for the checkpoint is missing: set DYNAMODB_TABLE, or CHECKPOINT",
            );
        }
        return table.map(|table| CheckpointAt::DynamoDb { table: table.text });
    };
    let found = if let Some(table) = whole.text.strip_prefix("dynamodb://") {
        CheckpointAt::DynamoDb { table: table.to_owned() }
    } else if let Some(path) = whole.text.strip_prefix("file:") {
        CheckpointAt::File { path: path.strip_prefix("//").unwrap_or(path).to_owned() }
    } else {
        values.problem(format!(
            "{}={}: takes dynamodb://table or file:path",
            whole.origin,
            shown(&whole.text)
        ));
        return None;
    };
    let (CheckpointAt::DynamoDb { table: name } | CheckpointAt::File { path: name }) = &found;
    if name.is_empty() || (name.contains('/') && matches!(found, CheckpointAt::DynamoDb { .. })) {
        values.problem(format!(
            "{}={}: takes dynamodb://table or file:path",
            whole.origin,
            shown(&whole.text)
        ));
        return None;
    }
    let differs = |table: &Value| CheckpointAt::DynamoDb { table: table.text.clone() } != found;
    if let Some(table) = table.filter(differs) {
        values.problem(format!(
            "{}={} and {}={} name different places for the checkpoint; unset one of them",
            whole.origin,
            shown(&whole.text),
            table.origin,
            shown(&table.text)
        ));
    }
    Some(found)
}

/// The ledger of a rehearsal.
pub(super) fn file_in(directory: &str) -> CheckpointAt {
    CheckpointAt::File { path: format!("{}/checkpoint.json", directory.trim_end_matches('/')) }
}

pub(super) fn bootstrap_servers(values: &mut Values) -> Option<Vec<Server>> {
    let Some(value) = values.get("KAFKA_BOOTSTRAP_SERVERS").cloned() else {
        values.problem("KAFKA_BOOTSTRAP_SERVERS is missing: the brokers to ask first, host:port,…");
        return None;
    };
    // The Python processor's client took Kafka's port where none was given.
    let entries = value.text.split(',').map(str::trim).map(|entry| {
        let has_none = !entry.is_empty() && (!entry.contains(':') || entry.ends_with(']'));
        if has_none { format!("{entry}:{KAFKA_PORT}") } else { entry.to_owned() }
    });
    match parse_bootstrap(&entries.collect::<Vec<_>>().join(",")) {
        Ok(servers) => {
            Some(servers.into_iter().map(|(host, port)| Server { host, port }).collect())
        }
        Err(problems) => {
            for problem in problems {
                values.problem(format!("{}: {}", value.origin, shown(&problem)));
            }
            None
        }
    }
}

/// A topic that Kafka would take, if one is set.
pub(super) fn topic(values: &mut Values, name: &str) -> Option<String> {
    let value = values.get(name)?.clone();
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let is_good = value.text.len() <= TOPIC_CHARS_MAX
        && value.text.chars().all(letters)
        && value.text != "."
        && value.text != "..";
    if !is_good {
        values.problem(format!(
            "{}={}: a topic's name has letters, digits, dots, underscores and hyphens, at most {TOPIC_CHARS_MAX}",
            value.origin,
            shown(&value.text)
        ));
        return None;
    }
    Some(value.text)
}

fn check_job_id(values: &mut Values, job_id: &str) {
    if job_id.len() > JOB_ID_BYTES_MAX || job_id.chars().any(char::is_control) {
        values.problem(format!(
            "JOB_ID={}: takes at most {JOB_ID_BYTES_MAX} bytes, without control characters",
            shown(job_id)
        ));
    }
}

/// `METRICS`, or the Python processor's `ENABLE_METRICS`.
fn metrics(values: &mut Values, job_id: &str) -> Metrics {
    let is_enabled = values.text_or_default("ENABLE_METRICS") == "true";
    let to = match (values.text("METRICS"), is_enabled) {
        (None, true) | (Some("cloudwatch"), _) => MetricsTo::CloudWatch,
        (Some("emf"), _) => MetricsTo::Lines,
        _ => MetricsTo::Nowhere,
    };
    let is_off = values.get("METRICS").is_some() && to == MetricsTo::Nowhere;
    let is_disabled = values.get("ENABLE_METRICS").is_some() && !is_enabled;
    if (is_off && is_enabled) || (is_disabled && to != MetricsTo::Nowhere) {
        values.problem("METRICS and ENABLE_METRICS contradict each other; unset one of them");
    }
    if to != MetricsTo::Nowhere && !is_dimension(job_id) {
        values.problem(format!(
            "JOB_ID={}: metrics go by it, so that it takes at most {DIMENSION_CHARS_MAX} characters, of printable ASCII, and does not begin with a colon; or set METRICS=off",
            shown(job_id)
        ));
    }
    let lease_seconds = values.whole("LEASE_SECONDS").unwrap_or(METRICS_LEASE_SECONDS_MIN);
    if to == MetricsTo::CloudWatch && lease_seconds < METRICS_LEASE_SECONDS_MIN {
        values.problem(format!(
            "METRICS=cloudwatch needs LEASE_SECONDS={METRICS_LEASE_SECONDS_MIN} or more: its calls take their time"
        ));
    }
    let interval_seconds = values.whole("METRICS_INTERVAL_SECONDS").unwrap_or(0);
    Metrics { to, interval_seconds }
}

fn csv(values: &mut Values) -> Option<Csv> {
    let delimiter = byte_or(values, "CSV_DELIMITER", ("tab", Some(b'\t'))).flatten();
    let quote = byte_or(values, "CSV_QUOTE", ("none", None));
    if let (Some(delimiter), Some(Some(quote))) = (delimiter, quote)
        && delimiter == quote
    {
        values.problem("CSV_DELIMITER and CSV_QUOTE are the same byte");
    }
    let header = match &*values.text_or_default("CSV_HEADER") {
        "none" => Header::None,
        _ => Header::First,
    };
    let columns = columns(values);
    if header == Header::None && columns.as_ref().is_some_and(Vec::is_empty) {
        values.problem("CSV_HEADER=none needs CSV_COLUMNS, the names of the columns");
    }
    Some(Csv {
        delimiter: delimiter?,
        delimiter_given: values.get("CSV_DELIMITER").is_some(),
        quote: quote?,
        header,
        columns: columns?,
        row_bytes_max: usize::try_from(values.whole("ROW_BYTES_MAX")?).ok()?,
    })
}

/// One byte, or what a word stands for; the outer `None` is a problem.
#[expect(clippy::option_option, reason = "the word `none` is a good value that is no byte")]
fn byte_or(
    values: &mut Values,
    name: &str,
    (word, meaning): (&str, Option<u8>),
) -> Option<Option<u8>> {
    let text = values.text_or_default(name).into_owned();
    match text.as_bytes() {
        _ if text.eq_ignore_ascii_case(word) => Some(meaning),
        [byte] if !matches!(byte, b'\r' | b'\n') => Some(Some(*byte)),
        _ => {
            let origin = values.get(name).map_or(name.to_owned(), |value| value.origin.clone());
            values.problem(format!("{origin}={}: takes one byte, or {word}", shown(&text)));
            None
        }
    }
}

/// The names, as a row of a CSV: one that holds a comma is quoted.
pub(super) fn columns(values: &mut Values) -> Option<Vec<String>> {
    let Some(value) = values.get("CSV_COLUMNS").cloned() else {
        return Some(Vec::new());
    };
    let Some(names) = fields(&value.text) else {
        values.problem(format!(
            "{}={}: takes names with commas between them; one that holds a comma is quoted",
            value.origin,
            shown(&value.text)
        ));
        return None;
    };
    let count_before = values.problems().len();
    if names.len() > COLUMNS_MAX {
        values.problem(format!("{}: more than {COLUMNS_MAX} names", value.origin));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let what = if name.is_empty() {
            "is empty"
        } else if RESERVED_NAMES.contains(&name.as_str()) {
            "is the name of a column that every record has anyway"
        } else if !seen.insert(name) {
            "is there twice"
        } else {
            continue;
        };
        values.problem(format!(
            "{}: name {}, \"{}\", {what}",
            value.origin,
            index + 1,
            shown(name)
        ));
    }
    (values.problems().len() == count_before).then_some(names)
}

/// The fields of one row, or `None` if it is not one whole row.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut reader = csv_core::Reader::new();
    let mut output = vec![0; text.len() + 1];
    let mut ends = vec![0; text.len() + 1];
    let (_, read, written, count) = reader.read_record(text.as_bytes(), &mut output, &mut ends);
    // The end of the input is told apart by an empty one.
    let (_, _, more_written, more_count) =
        reader.read_record(&[], output.get_mut(written..)?, ends.get_mut(count..)?);
    let rest = text.as_bytes().get(read..)?;
    if !rest.is_empty() || text.contains(['\r', '\n']) {
        return None;
    }
    output.truncate(written + more_written);
    let mut start = 0;
    ends.iter()
        .take(count + more_count)
        .map(|&end| {
            let field = output.get(start..end)?;
            start = end;
            String::from_utf8(field.to_vec()).ok()
        })
        .collect()
}

fn key_column(values: &mut Values, csv: Option<&Csv>) -> Option<String> {
    let value = values.get("KAFKA_KEY_COLUMN")?.clone();
    let columns = csv.map_or(&[][..], |csv| &csv.columns);
    if !columns.is_empty() && !columns.contains(&value.text) {
        values.problem(format!(
            "{}={}: CSV_COLUMNS has no column of this name",
            value.origin,
            shown(&value.text)
        ));
    }
    Some(value.text)
}

fn on_bad_row(values: &mut Values, main: Option<&str>) -> Option<OnBadRow> {
    let topic = topic(values, "KAFKA_DLQ_TOPIC");
    if values.text_or_default("ON_BAD_ROW") != "dlq" {
        return Some(OnBadRow::Stop);
    }
    if topic.is_none() && values.get("KAFKA_DLQ_TOPIC").is_none() {
        values.problem("ON_BAD_ROW=dlq needs KAFKA_DLQ_TOPIC, the topic of the bad rows");
    }
    if topic.is_some() && topic.as_deref() == main {
        values
            .problem("KAFKA_DLQ_TOPIC and KAFKA_TOPIC are the same topic; bad rows need their own");
    }
    Some(OnBadRow::SetAside { topic: topic? })
}

pub(super) fn aws(values: &mut Values, security: Option<&KafkaSecurity>) -> Aws {
    values.check_aws();
    let region = values.text("AWS_REGION").map(str::to_owned);
    // Where all else is local, the secret's own is the only one that matters; S3 tells the
    // bucket's.
    let secret = security.and_then(KafkaSecurity::secret);
    let region = region.or_else(|| {
        let has_table = values.get("DYNAMODB_TABLE").is_some()
            || values.text("CHECKPOINT").is_some_and(|place| place.starts_with("dynamodb:"));
        secret.filter(|_| !has_table).map(|arn| arn.region().to_owned())
    });
    if let Some(value) = values.get("AWS_REGION").filter(|value| !is_region(&value.text)) {
        let (origin, text) = (value.origin.clone(), shown(&value.text));
        values.problem(format!("{origin}={text} is not the name of a region, like eu-west-1"));
    }
    check_keys(values);
    let is_ignoring = values.text("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some("true");
    let mut found = endpoints(values, is_ignoring);
    let flag_endpoints = endpoints(values, true);
    let is = |name: &str, word: &str| values.text_or_default(name) == word;
    let mut variables = AwsVariables::default();
    let is_endpoint = |setting: &Setting| setting.name.starts_with("AWS_ENDPOINT_URL");
    for setting in TABLE.iter().filter(|s| s.group == Group::Aws && !is_endpoint(s)) {
        variables.set(setting.name, values.text(setting.name).unwrap_or_default());
    }
    variables.set("AWS_ENDPOINT_URL_STS", found.get("sts").map_or("", String::as_str));
    variables.set("HOME", values.home.as_deref().unwrap_or_default());
    Aws {
        region,
        s3_endpoint: found.remove("s3"),
        dynamodb_endpoint: found.remove("dynamodb"),
        cloudwatch_endpoint: found.remove("cloudwatch"),
        secrets_endpoint: found.remove("secrets_manager"),
        flag_endpoints,
        variant: Variant {
            fips: is("AWS_USE_FIPS_ENDPOINT", "true"),
            dual_stack: is("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        },
        s3_version_id: values.text("S3_VERSION_ID").map(str::to_owned),
        requester_pays: is("S3_REQUEST_PAYER", "requester"),
        read_ahead: !is("S3_READ_AHEAD", "off"),
        spot_notice: !is("SPOT_NOTICE", "off"),
        variables,
    }
}

/// Half of a pair is a mistake, whatever other credentials there may be.
fn check_keys(values: &mut Values) {
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    let is_given = |name| values.get(name).is_some() || values.is_refused(name);
    match (is_given(id), is_given(secret)) {
        (false, true) => values.problem(format!("{secret} is set, but {id} is missing")),
        (true, false) => values.problem(format!("{id} is set, but {secret} is missing")),
        _ => {}
    }
}

/// Where the services are that are not at AWS's own endpoints, by the names that profiles have
/// for them; of flags alone, or of variables too.
fn endpoints(values: &mut Values, of_flags: bool) -> BTreeMap<&'static str, String> {
    let services = [
        ("s3", "AWS_ENDPOINT_URL_S3"),
        ("dynamodb", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("cloudwatch", "AWS_ENDPOINT_URL_CLOUDWATCH"),
        ("secrets_manager", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        ("sts", "AWS_ENDPOINT_URL_STS"),
    ];
    let mut found = BTreeMap::new();
    for (service, own) in services {
        let mut given = [own, "AWS_ENDPOINT_URL"].into_iter().filter_map(|name| values.get(name));
        let counting = given.find(|value| value.is_flag || !of_flags).cloned();
        if let Some(url) = counting.and_then(|value| endpoint(values, &value)) {
            found.insert(service, url);
        }
    }
    found
}

/// It is not shown, for it might hold a password.
fn endpoint(values: &mut Values, value: &Value) -> Option<String> {
    let found = endpoint_of(&value.text).map(str::to_owned);
    if found.is_none() {
        let problem = format!("{}: takes http://host:port or https://host:port", value.origin);
        if !values.problems().contains(&problem) {
            values.problem(problem);
        }
    }
    found
}
