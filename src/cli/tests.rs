//! What the command line and the environment say, and what is understood: one line a case.

#[path = "tests/buckets.rs"]
mod buckets;
#[path = "tests/endpoints.rs"]
mod endpoints;
#[path = "tests/hostile.rs"]
mod hostile;
#[path = "tests/logins.rs"]
mod logins;

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::*;
use crate::settings::{Aws, AwsVariables, CheckpointAt, Header, OnBadRow, Server};
use crate::wire::aws_endpoint::Variant;
use crate::wire::compress::Compression;

#[path = "tests/metrics.rs"]
mod metrics;

/// What a run needs, with files on both ends.
const LOCAL: &str =
    "SOURCE=orders.csv KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPIC=orders CHECKPOINT=file:c";
const REMOTE: &str = "S3_BUCKET=b S3_KEY=k/o.csv KAFKA_BOOTSTRAP_SERVERS=b-1,b-2:9093 \
    KAFKA_TOPIC=orders DYNAMODB_TABLE=t AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=A AWS_SECRET_ACCESS_KEY=S";

/// Parses words split at blanks; a `_` alone inside a value stays, `%20` is a blank.
fn parsed(variables: &str, arguments: &str) -> Parsed {
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace().map(|word| word.replace("%20", " ")).collect()
    };
    let variables: BTreeMap<OsString, OsString> = words(variables)
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').expect("NAME=value");
            (name.into(), value.into())
        })
        .collect();
    let arguments: Vec<OsString> = words(arguments).iter().map(OsString::from).collect();
    let read_file = |path: &str| match path {
        "/secret" => Ok(b"hunter2\n".to_vec()),
        "/crlf" => Ok(b"hunter2\r\n".to_vec()),
        "/two" => Ok(b"hunter2\n\n".to_vec()),
        "/empty" => Ok(b"\n".to_vec()),
        "/bytes" => Ok(vec![0xff]),
        _ => Err("No such file or directory".to_owned()),
    };
    parse(&Given { arguments: &arguments, variables: &variables, read_file: &read_file })
}

fn run_of(variables: &str, arguments: &str) -> Settings {
    match parsed(variables, arguments).command {
        Ok(Command::Run(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

fn problems_of(variables: &str, arguments: &str) -> Vec<String> {
    match parsed(variables, arguments).command {
        Err(Stop::Settings(problems)) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_of_a_run() {
    let settings = run_of(LOCAL, "");
    let table = |name: &str| crate::settings::Setting::find(name).expect(name).default;
    assert_eq!(settings.source, SourceAt::File("orders.csv".into()));
    assert_eq!(settings.checkpoint, CheckpointAt::File { path: "c".into() });
    assert_eq!(settings.job_id, table("JOB_ID"));
    assert_eq!(settings.partition.to_string(), table("KAFKA_PARTITION"));
    assert_eq!(settings.compression, Compression::Gzip);
    assert_eq!(settings.key_column, None);
    assert_eq!((settings.csv.delimiter, settings.csv.quote), (b',', Some(b'"')));
    assert_eq!((settings.csv.header, settings.csv.delimiter_given), (Header::First, false));
    assert_eq!(settings.csv.row_bytes_max.to_string(), table("ROW_BYTES_MAX"));
    assert_eq!(settings.on_bad_row, OnBadRow::Stop);
    assert_eq!(settings.max_bad_rows.to_string(), table("MAX_BAD_ROWS"));
    assert_eq!(settings.checkpoint_interval_rows.to_string(), table("CHECKPOINT_INTERVAL"));
    assert_eq!(settings.lease_seconds.to_string(), table("LEASE_SECONDS"));
    assert_eq!(settings.max_retries.to_string(), table("MAX_RETRIES"));
    assert_eq!(settings.max_rows_per_second, None);
    assert_eq!(settings.aws, None);
}

#[test]
fn a_run_on_aws() {
    let settings = run_of(REMOTE, "run");
    assert_eq!(settings.source.to_string(), "s3://b/k/o.csv");
    assert_eq!(settings.checkpoint.to_string(), "dynamodb://t");
    let servers: Vec<String> = settings.bootstrap_servers.iter().map(Server::to_string).collect();
    assert_eq!(servers, ["b-1:9092", "b-2:9093"]);
    let mut expected = Aws {
        region: Some("eu-west-1".into()),
        s3_endpoint: None,
        dynamodb_endpoint: None,
        cloudwatch_endpoint: None,
        secrets_endpoint: None,
        flag_endpoints: BTreeMap::new(),
        variant: Variant::default(),
        requester_pays: false,
        s3_version_id: None,
        read_ahead: true,
        spot_notice: true,
        variables: AwsVariables::default(),
    };
    for (name, value) in
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "S")]
    {
        expected.variables.set(name, value);
    }
    assert_eq!(settings.aws, Some(expected));
}

#[test]
fn aws_without_a_region_and_keys_of_ours() {
    let bare = REMOTE.split(" AWS_REGION").next().expect("its start");
    let aws = |variables: &str, arguments: &str| {
        run_of(&format!("{bare} {variables}"), arguments).aws.expect("aws")
    };
    assert_eq!(aws("", "").region, None);
    let variables = "AWS_PROFILE=load HOME=/h AWS_USE_FIPS_ENDPOINT=TRUE AWS_USE_DUALSTACK_ENDPOINT=true \
        S3_REQUEST_PAYER=requester S3_VERSION_ID=v_1 AWS_ENDPOINT_URL=http://a:1 AWS_ENDPOINT_URL_STS=http://b:2/ \
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/secret";
    let found = aws(variables, "--aws-profile other");
    assert_eq!(found.variant, Variant { fips: true, dual_stack: true });
    assert!(found.requester_pays);
    assert_eq!(found.s3_version_id.as_deref(), Some("v_1"));
    for (name, value) in [
        ("AWS_PROFILE", "other"),
        ("HOME", "/h"),
        ("AWS_ENDPOINT_URL_STS", "http://b:2"),
        // It is read when it is needed, and again.
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/secret"),
    ] {
        assert_eq!(found.variables.get(name), Some(value));
    }
    assert_eq!(found.variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"), None);
    let token =
        "AWS_CONTAINER_AUTHORIZATION_TOKEN=hunter2 AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/t";
    let both = aws(token, "");
    assert_eq!(both.variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"), Some("hunter2"));
    assert!(!format!("{both:?}").contains("hunter2"));
    // Without AWS nobody minds what the variables of AWS are set to.
    assert_eq!(run_of(&format!("{LOCAL} AWS_USE_FIPS_ENDPOINT=perhaps"), "").aws, None);
}

#[test]
fn each_setting_takes_effect() {
    type Look = fn(&Settings) -> String;
    let cases: &[(&str, Look, &str)] = &[
        ("--job-id j7", |s| s.job_id.clone(), "j7"),
        ("--kafka-partition=3", |s| s.partition.to_string(), "3"),
        ("--kafka-compression ZSTD", |s| format!("{:?}", s.compression), "Zstd"),
        ("--kafka-compression none", |s| format!("{:?}", s.compression), "None"),
        ("--kafka-compression snappy", |s| format!("{:?}", s.compression), "Snappy"),
        ("--kafka-compression lz4", |s| format!("{:?}", s.compression), "Lz4"),
        ("--kafka-key-column id", |s| format!("{:?}", s.key_column), r#"Some("id")"#),
        ("--csv-delimiter tab", |s| format!("{:?}", s.csv.delimiter as char), r"'\t'"),
        ("--csv-delimiter ;", |s| s.csv.delimiter_given.to_string(), "true"),
        ("--csv-quote none", |s| format!("{:?}", s.csv.quote), "None"),
        ("--csv-quote '", |s| format!("{:?}", s.csv.quote), "Some(39)"),
        ("--csv-columns a,b --csv-header none", |s| format!("{:?}", s.csv.header), "None"),
        (r#"--csv-columns a,"b,c","d""e""#, |s| s.csv.columns.join("|"), r#"a|b,c|d"e"#),
        ("--row-bytes-max 4194304", |s| s.csv.row_bytes_max.to_string(), "4194304"),
        (
            "--on-bad-row dlq --kafka-dlq-topic d",
            |s| format!("{:?}", s.on_bad_row),
            "SetAside { topic: \"d\" }",
        ),
        ("--max-bad-rows 0", |s| s.max_bad_rows.to_string(), "0"),
        ("--checkpoint-interval 1", |s| s.checkpoint_interval_rows.to_string(), "1"),
        ("--lease-seconds 1", |s| s.lease_seconds.to_string(), "1"),
        ("--max-retries 0", |s| s.max_retries.to_string(), "0"),
        ("--max-rows-per-second 9", |s| format!("{:?}", s.max_rows_per_second), "Some(9)"),
        ("--log-level WARNING", |s| format!("{:?}", s.log.level), "Warn"),
        ("--log-level Debug", |s| format!("{:?}", s.log.level), "Debug"),
        ("--log-format json", |s| format!("{:?}", s.log.format), "Json"),
        ("--source file:/a/b.csv", |s| s.source.to_string(), "file:/a/b.csv"),
        ("--source file:///a/b.csv", |s| s.source.to_string(), "file:/a/b.csv"),
        (
            "--kafka-bootstrap-servers [::1]:1,[::2],h",
            |s| s.bootstrap_servers.iter().map(Server::to_string).collect(),
            "[::1]:1[::2]:9092h:9092",
        ),
        ("--kafka-client native", |s| s.topic.clone(), "orders"),
        (
            "--kafka-security-protocol plaintext --verify off --metrics off",
            |s| s.topic.clone(),
            "orders",
        ),
        (
            "--kafka-security-protocol ssl",
            |s| format!("{:?}", s.security),
            "KafkaSecurity { tls: Some(KafkaTls { roots: None, client: None }), login: None }",
        ),
        ("--enable-metrics False", |s| s.topic.clone(), "orders"),
    ];
    for (arguments, look, expected) in cases {
        assert_eq!(look(&run_of(LOCAL, arguments)), *expected, "{arguments}");
    }
}

#[test]
fn where_a_value_comes_from() {
    let topic =
        |variables: &str, arguments: &str| run_of(&format!("{LOCAL} {variables}"), arguments).topic;
    assert_eq!(topic("KAFKA_TOPIC=from-env", ""), "from-env");
    assert_eq!(topic("KAFKA_TOPIC=from-env", "--kafka-topic from-flag"), "from-flag");
    assert_eq!(topic("KAFKA_TOPIC=", "--kafka-topic=from-flag"), "from-flag");
    assert_eq!(run_of(&format!("{LOCAL} KAFKA_PARTITION="), "").partition, 0);
    assert_eq!(problems_of(&format!("{LOCAL} KAFKA_TOPIC="), "").len(), 1);

    let remote = REMOTE.replace("AWS_SECRET_ACCESS_KEY=S", "");
    for file in ["/secret", "/crlf", "/two"] {
        let variables = format!("{remote} AWS_SECRET_ACCESS_KEY_FILE={file}");
        let aws = run_of(&variables, "").aws.expect("aws");
        assert_eq!(aws.variables.get("AWS_SECRET_ACCESS_KEY"), Some("hunter2"), "{file}");
    }
    let older = REMOTE.replace("AWS_REGION", "AWS_DEFAULT_REGION");
    assert_eq!(run_of(&older, "").aws.expect("aws").region.as_deref(), Some("eu-west-1"));
    let both = format!("{REMOTE} AWS_DEFAULT_REGION=us-east-1");
    assert_eq!(run_of(&both, "").aws.expect("aws").region.as_deref(), Some("eu-west-1"));
    let endpoints = format!("{REMOTE} AWS_ENDPOINT_URL=http://a:1/ AWS_ENDPOINT_URL_S3=https://s3");
    let aws = run_of(&endpoints, "").aws.expect("aws");
    assert_eq!(aws.s3_endpoint.as_deref(), Some("https://s3"));
    assert_eq!(aws.dynamodb_endpoint.as_deref(), Some("http://a:1"));
    // Both forms with the same value.
    assert_eq!(run_of(&format!("{REMOTE} SOURCE=s3://b/k/o.csv"), "").topic, "orders");
    assert_eq!(run_of(&format!("{REMOTE} CHECKPOINT=dynamodb://t"), "").topic, "orders");
}

#[test]
fn what_is_missing_is_named_in_one_message() {
    assert_eq!(
        problems_of("", "run"),
        [
            "the source is missing: set S3_BUCKET and S3_KEY, or SOURCE",
            "the place for the checkpoint is missing: set DYNAMODB_TABLE, or CHECKPOINT",
            "KAFKA_BOOTSTRAP_SERVERS is missing: the brokers to ask first, host:port,…",
            "KAFKA_TOPIC is missing: the topic to copy to",
        ]
    );
    assert_eq!(
        problems_of("S3_BUCKET=b DYNAMODB_TABLE=t KAFKA_PARTITION=x", ""),
        [
            "KAFKA_PARTITION=x is not a whole number, 0 or more",
            "S3_KEY is missing; S3_BUCKET is set",
            "KAFKA_BOOTSTRAP_SERVERS is missing: the brokers to ask first, host:port,…",
            "KAFKA_TOPIC is missing: the topic to copy to",
        ]
    );
}

/// Variables on top of those that suffice, arguments, message.
type Wrong = (&'static str, &'static str, &'static str);

/// Each case is wrong in one way.
#[test]
#[expect(clippy::too_many_lines, reason = "a table, one line a case")]
fn what_is_wrong_is_said() {
    let local: &[Wrong] = &[
        (
            "",
            "--kafka-compression brotli",
            "--kafka-compression=brotli is none of: gzip, none, snappy, lz4, zstd",
        ),
        (
            "KAFKA_COMPRESSION=7",
            "",
            "KAFKA_COMPRESSION=7 is none of: gzip, none, snappy, lz4, zstd",
        ),
        ("LEASE_SECONDS=0", "", "LEASE_SECONDS=0 is not a whole number, 1 to 86400"),
        ("MAX_RETRIES=-1", "", "MAX_RETRIES=-1 is not a whole number, 0 to 1000"),
        ("ROW_BYTES_MAX=4194305", "", "ROW_BYTES_MAX=4194305 is not a whole number, 1 to 4194304"),
        ("CHECKPOINT_INTERVAL=0", "", "CHECKPOINT_INTERVAL=0 is not a whole number, 1 or more"),
        (
            "KAFKA_PARTITION=2147483648",
            "",
            "KAFKA_PARTITION=2147483648 is not a whole number, 0 or more",
        ),
        ("ON_BAD_ROW=skip", "", "ON_BAD_ROW=skip is none of: stop, dlq"),
        ("ON_BAD_ROW=dlq", "", "ON_BAD_ROW=dlq needs KAFKA_DLQ_TOPIC, the topic of the bad rows"),
        (
            "ON_BAD_ROW=dlq KAFKA_DLQ_TOPIC=orders",
            "",
            "KAFKA_DLQ_TOPIC and KAFKA_TOPIC are the same topic; bad rows need their own",
        ),
        ("CSV_DELIMITER=::", "", "CSV_DELIMITER=::: takes one byte, or tab"),
        ("CSV_DELIMITER=é", "", "CSV_DELIMITER=é: takes one byte, or tab"),
        ("CSV_QUOTE=ab", "", "CSV_QUOTE=ab: takes one byte, or none"),
        ("CSV_QUOTE=,", "", "CSV_DELIMITER and CSV_QUOTE are the same byte"),
        ("CSV_HEADER=none", "", "CSV_HEADER=none needs CSV_COLUMNS, the names of the columns"),
        ("CSV_COLUMNS=a,b,a", "", "CSV_COLUMNS: name 3, \"a\", is there twice"),
        ("CSV_COLUMNS=a,,b", "", "CSV_COLUMNS: name 2, \"\", is empty"),
        (
            "CSV_COLUMNS=_source_line",
            "",
            "CSV_COLUMNS: name 1, \"_source_line\", is the name of a column that every record has anyway",
        ),
        (
            "CSV_COLUMNS=a,b KAFKA_KEY_COLUMN=c",
            "",
            "KAFKA_KEY_COLUMN=c: CSV_COLUMNS has no column of this name",
        ),
        (
            "KAFKA_TOPIC=a/b",
            "",
            "KAFKA_TOPIC=a/b: a topic's name has letters, digits, dots, underscores and hyphens, at most 249",
        ),
        (
            "KAFKA_BOOTSTRAP_SERVERS=http://b:9092",
            "",
            "KAFKA_BOOTSTRAP_SERVERS: \"http://b:9092\" begins with http://: write b:9092 alone",
        ),
        (
            "KAFKA_BOOTSTRAP_SERVERS=b:0,c:9",
            "",
            "KAFKA_BOOTSTRAP_SERVERS: \"b:0\" has the port \"0\": it must be a number from 1 to 65535",
        ),
        (
            "KAFKA_BOOTSTRAP_SERVERS=,",
            "",
            "KAFKA_BOOTSTRAP_SERVERS: names no server: write host:port, several separated by commas",
        ),
        (
            "S3_KEY=k",
            "",
            "SOURCE=orders.csv and S3_KEY=k name different sources; unset one of them",
        ),
        (
            "S3_VERSION_ID=v",
            "",
            "S3_VERSION_ID is set, and SOURCE=orders.csv is no object of S3; unset one of them",
        ),
        (
            "DYNAMODB_TABLE=t",
            "",
            "CHECKPOINT=file:c and DYNAMODB_TABLE=t name different places for the checkpoint; unset one of them",
        ),
        ("CHECKPOINT=somewhere", "", "CHECKPOINT=somewhere: takes dynamodb://table or file:path"),
        ("CHECKPOINT=file:", "", "CHECKPOINT=file:: takes dynamodb://table or file:path"),
        ("SOURCE=s3://bucket", "", "SOURCE=s3://bucket: an object is named s3://bucket/key"),
        (
            "SOURCE=https://x/y.csv",
            "",
            "SOURCE=https://x/y.csv: takes s3://bucket/key or the path of a file",
        ),
        ("SOURCE=file:", "", "SOURCE=file:: the path is empty"),
        (
            "SOURCE=-",
            "",
            "SOURCE=-: standard input can not be read a second time after a crash; write it to a file first",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=TLS",
            "",
            "KAFKA_SECURITY_PROTOCOL=TLS is none of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=sasl_ssl",
            "",
            "KAFKA_SASL_MECHANISM is missing: KAFKA_SECURITY_PROTOCOL=SASL_SSL needs PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or AWS_MSK_IAM",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=plain KAFKA_SASL_USERNAME=me",
            "",
            "KAFKA_SASL_PASSWORD is missing: KAFKA_SASL_MECHANISM=PLAIN needs it, or KAFKA_SASL_SECRET_ARN",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=SCRAM-SHA-256 KAFKA_SASL_USERNAME=m\u{fc} KAFKA_SASL_PASSWORD=p",
            "",
            "KAFKA_SASL_USERNAME: SCRAM-SHA-256 takes a name in ASCII",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SSL KAFKA_SASL_USERNAME=me",
            "",
            "KAFKA_SASL_USERNAME is set, but KAFKA_SECURITY_PROTOCOL=SSL has no login",
        ),
        (
            "KAFKA_SASL_PASSWORD_FILE=/secret",
            "",
            "KAFKA_SASL_PASSWORD_FILE is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT has no login",
        ),
        (
            "KAFKA_SSL_CA_FILE=/ca",
            "",
            "KAFKA_SSL_CA_FILE is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT has no TLS",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SSL KAFKA_SSL_CA_FILE=/secret",
            "",
            "KAFKA_SSL_CA_FILE=/secret: no certificate is in it (-----BEGIN CERTIFICATE-----)",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SSL KAFKA_SSL_CA_FILE=/secret KAFKA_SSL_CA_PEM=x",
            "",
            "KAFKA_SSL_CA_FILE and KAFKA_SSL_CA_PEM are both set; one of them is enough",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SSL",
            "--kafka-ssl-ca-file /none",
            "--kafka-ssl-ca-file=/none: No such file or directory",
        ),
        (
            "KAFKA_SASL_SECRET_ARN=arn",
            "",
            "KAFKA_SASL_SECRET_ARN is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT has no login",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=AWS_MSK_IAM",
            "--kafka-sasl-secret-arn arn",
            "--kafka-sasl-secret-arn is set, but KAFKA_SECURITY_PROTOCOL=SASL_SSL with KAFKA_SASL_MECHANISM=AWS_MSK_IAM takes the AWS credentials",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=PLAIN KAFKA_SASL_PASSWORD=p KAFKA_SASL_SECRET_ARN=arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "",
            "KAFKA_SASL_PASSWORD and KAFKA_SASL_SECRET_ARN are both set; the secret holds name and password",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=PLAIN KAFKA_SASL_SECRET_ARN=arn:aws:kms:eu-west-1:1:key/x",
            "",
            "KAFKA_SASL_SECRET_ARN=arn:aws:kms:eu-west-1:1:key/x is not the ARN of a secret, like arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_loader-AbCdEf",
        ),
        (
            "KAFKA_CLIENT=compat KAFKA_SECURITY_PROTOCOL=SSL",
            "",
            "KAFKA_CLIENT=compat has neither TLS nor a login: it needs KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
        ),
        (
            "KAFKA_CLIENT=compat KAFKA_COMPRESSION=lz4",
            "",
            "KAFKA_CLIENT=compat has no lz4: it takes KAFKA_COMPRESSION gzip, snappy or none",
        ),
        ("VERIFY=all", "", "VERIFY=all is none of: off, headers, full"),
        ("", "run --headers", "--headers is a flag of verify only"),
        ("", "rehearse a --watch", "--watch is a flag of status only"),
        ("", "run --show-rows", "--show-rows is a flag of check only"),
        ("", "verify --stale 3", "--stale is a flag of status only"),
        ("", "verify --rows 3", "--rows is a flag of rehearse only"),
        ("", "verify a b", "verify takes one job; b is too many"),
        ("", "report a b", "report takes one log; b is too many"),
        ("", "report a --json", "--json is a flag of check, verify, dlq, status only"),
        ("", "dlq a b", "dlq takes one job; b is too many"),
        ("", "dlq --csv --json", "--csv and --json are two forms of one thing; take one"),
        ("", "status a --all", "--all means every job; name none beside it"),
        ("", "verify --csv", "--csv is a flag of dlq only"),
        ("", "status --stale x", "--stale=x is not a whole number of seconds"),
        ("", "status --json=1", "--json takes no value"),
        (
            "",
            "--dry-run",
            "there is no --dry-run: the command `check` looks at all that a run needs and changes nothing; `rehearse` copies the source with no Kafka at all",
        ),
        (
            "",
            "--kafka-topics x",
            "unknown flag --kafka-topics; --kafka-topic is the nearest known one",
        ),
        ("", "--verbose", "unknown flag --verbose; see csv-to-kafka help settings"),
        ("", "--kafka-topic", "--kafka-topic needs a value"),
        ("", "--kafka-topic --job-id=7", "--kafka-topic needs a value"),
        ("", "--kafka-topic=", "--kafka-topic is given an empty value"),
        ("", "--job-id 1 --job-id 2", "--job-id is given twice"),
        ("", "--print=yes rehearse x", "--print takes no value"),
        ("", "--rows 3", "--rows is a flag of rehearse only"),
        (
            "",
            "--kafka-sasl-password hunter2",
            "--kafka-sasl-password: a secret is never an argument, which other users of the machine can see; set the variable KAFKA_SASL_PASSWORD, or KAFKA_SASL_PASSWORD_FILE to a file that holds it",
        ),
        ("", "rum", "there is no command rum; is run meant?"),
        (
            "",
            "load",
            "there is no command load; there are: run, check, rehearse, verify, dlq, status, report, help",
        ),
        (
            "",
            "run orders.csv",
            "run takes no argument, but orders.csv is given; the source is a setting: --source orders.csv",
        ),
        ("", "rehearse a b", "rehearse takes one source; b is too many"),
        ("", "rehearse a --rows 0", "--rows=0 is not a whole number, 1 or more"),
        (
            "",
            "help me",
            "there is no help on me; there is on: run, check, rehearse, verify, dlq, status, report, settings",
        ),
    ];
    let remote: &[Wrong] = &[
        (
            "S3_BUCKET=s3://b",
            "",
            "S3_BUCKET=s3://b: takes the bucket's name alone, without s3:// and without a path",
        ),
        (
            "AWS_ENDPOINT_URL=localhost:4566",
            "",
            "AWS_ENDPOINT_URL: takes http://host:port or https://host:port",
        ),
        (
            "AWS_ENDPOINT_URL_S3=http://u:p@h",
            "",
            "AWS_ENDPOINT_URL_S3: takes http://host:port or https://host:port",
        ),
        (
            "AWS_SECRET_ACCESS_KEY_FILE=/secret",
            "",
            "AWS_SECRET_ACCESS_KEY and AWS_SECRET_ACCESS_KEY_FILE are both set; one of them is enough",
        ),
        (
            "AWS_SECRET_ACCESS_KEY= AWS_SECRET_ACCESS_KEY_FILE=/none",
            "",
            "AWS_SECRET_ACCESS_KEY_FILE=/none: No such file or directory",
        ),
        (
            "AWS_SECRET_ACCESS_KEY= AWS_SECRET_ACCESS_KEY_FILE=/empty",
            "",
            "AWS_SECRET_ACCESS_KEY_FILE=/empty: the file is empty",
        ),
        (
            "AWS_SECRET_ACCESS_KEY= AWS_SECRET_ACCESS_KEY_FILE=/bytes",
            "",
            "AWS_SECRET_ACCESS_KEY_FILE=/bytes: the file is not UTF-8",
        ),
        (
            "AWS_SECRET_ACCESS_KEY=",
            "",
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is missing",
        ),
        (
            "AWS_ACCESS_KEY_ID=",
            "",
            "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is missing",
        ),
        ("AWS_REGION=EU", "", "AWS_REGION=EU is not the name of a region, like eu-west-1"),
        (
            "AWS_USE_FIPS_ENDPOINT=perhaps",
            "",
            "AWS_USE_FIPS_ENDPOINT=perhaps is none of: false, true",
        ),
    ];
    for (base, cases) in [(LOCAL, local), (REMOTE, remote)] {
        for (variables, arguments, expected) in cases {
            let problems = problems_of(&format!("{base} {variables}"), arguments);
            assert_eq!(problems.first().map(String::as_str), Some(*expected));
            assert!(!problems.concat().contains("hunter2"), "{problems:?}");
        }
    }
}

#[test]
fn a_rehearsal_needs_a_source_only() {
    let rehearsal = |variables: &str, arguments: &str| match parsed(variables, arguments).command {
        Ok(Command::Rehearse(rehearsal)) => *rehearsal,
        other => panic!("{other:?}"),
    };
    let plain = rehearsal("", "rehearse data/orders.csv");
    assert_eq!(plain.directory, "rehearsal-orders.csv");
    assert_eq!((plain.rows, plain.print), (None, false));
    assert_eq!(plain.settings.topic, "rehearsal");
    assert_eq!(plain.settings.checkpoint.to_string(), "file:rehearsal-orders.csv/checkpoint.json");

    let full = rehearsal(
        "KAFKA_SECURITY_PROTOCOL=SASL_SSL",
        "rehearse x --rows 5 --print --directory /tmp/r/",
    );
    assert_eq!((full.rows, full.print), (Some(5), true));
    assert_eq!(full.settings.checkpoint.to_string(), "file:/tmp/r/checkpoint.json");

    // The source of the environment, and another one than that.
    assert_eq!(rehearsal(REMOTE, "rehearse").settings.source.to_string(), "s3://b/k/o.csv");
    assert_eq!(rehearsal(REMOTE, "rehearse x").settings.source.to_string(), "file:x");
    assert_eq!(
        problems_of("", "rehearse"),
        ["the source is missing: set S3_BUCKET and S3_KEY, or SOURCE"]
    );
}

#[test]
fn help_and_version_need_nothing() {
    for (arguments, expected) in [
        ("help", Command::Help(Topic::Overview)),
        ("--help", Command::Help(Topic::Overview)),
        ("-h --nonsense", Command::Help(Topic::Overview)),
        ("run --help", Command::Help(Topic::Run)),
        ("rehearse -h", Command::Help(Topic::Rehearse)),
        ("help settings", Command::Help(Topic::Settings)),
        ("help rehearse", Command::Help(Topic::Rehearse)),
        ("--version", Command::Version),
        ("-V", Command::Version),
        ("version", Command::Version),
        ("", Command::Nothing),
    ] {
        assert_eq!(parsed("JOB_ID=x", arguments).command, Ok(expected), "{arguments}");
    }
}

#[test]
fn a_mistyped_variable_is_a_warning() {
    let kubernetes = "KAFKA_PORT=tcp://10.0.0.1:9092 KAFKA_SERVICE_HOST=10.0.0.1 S3_ENDPOINT=x";
    let warnings =
        parsed(&format!("{LOCAL} {kubernetes} KAFKA_TOPICS=x OTHER_TOPIC=y"), "").warnings;
    assert_eq!(
        warnings,
        ["the variable KAFKA_TOPICS is not known and is ignored; is KAFKA_TOPIC meant?"]
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = OsString::from_vec(vec![b'a', 0xff]);
    let variables = BTreeMap::from([(OsString::from("JOB_ID"), bytes.clone())]);
    let read_file = |_: &str| Ok(Vec::new());
    let arguments = [OsString::from("rehearse"), bytes];
    let given = Given { arguments: &arguments, variables: &variables, read_file: &read_file };
    let Err(Stop::Settings(problems)) = parse(&given).command else { panic!("not refused") };
    assert_eq!(problems.first().map(String::as_str), Some("argument 2 is not UTF-8"));
    assert!(problems.contains(&"JOB_ID is not UTF-8".to_owned()), "{problems:?}");
}

#[test]
fn what_check_takes() {
    let Parsed { command: Ok(Command::Check(asked)), warnings, .. } =
        parsed(&LOCAL.replace("localhost", "b-1"), "check --json --show-rows")
    else {
        panic!()
    };
    assert!(asked.json && asked.show_rows && asked.settings.is_ok());
    // They are findings, and not told twice.
    assert_eq!((asked.warnings.len(), warnings.len()), (1, 0));
    assert!(asked.warnings[0].contains("plain text"), "{:?}", asked.warnings);
    for (variables, arguments, problems) in
        [("", "check", 4), (LOCAL, "check orders.csv", 1), (LOCAL, "check --rows 3", 1)]
    {
        let Ok(Command::Check(asked)) = parsed(variables, arguments).command else { panic!() };
        assert_eq!(asked.settings.unwrap_err().len(), problems, "{variables} {arguments}");
    }
}

#[test]
fn verify_and_status_need_little() {
    let local = "CHECKPOINT=file:c KAFKA_BOOTSTRAP_SERVERS=b";
    let Ok(Command::Verify(asked)) = parsed(local, "verify j --headers --exclusive --json").command
    else {
        panic!()
    };
    let reading = &asked.reading;
    assert_eq!((reading.job_id.as_str(), reading.servers()), ("j", "b:9092".to_owned()));
    assert!(asked.headers && asked.exclusive && asked.json && reading.directory.is_none());
    assert_eq!(
        problems_of("", "verify"),
        [
            "the place for the checkpoint is missing: set DYNAMODB_TABLE, or CHECKPOINT",
            "KAFKA_BOOTSTRAP_SERVERS is missing: the brokers to ask first, host:port,…"
        ]
    );
    let Ok(Command::Verify(asked)) = parsed("", "verify --directory d").command else { panic!() };
    let checkpoint = CheckpointAt::File { path: "d/checkpoint.json".into() };
    assert_eq!(
        (asked.reading.job_id.as_str(), asked.reading.checkpoint),
        ("rehearsal", checkpoint)
    );
    for (arguments, path) in [("report", None), ("report -", None), ("report l", Some("l"))] {
        let Ok(Command::Report(asked)) = parsed("", arguments).command else { panic!() };
        assert_eq!(asked.path.as_deref(), path, "{arguments}");
    }
    for (arguments, form) in
        [("dlq", Form::Table), ("dlq j --csv", Form::Csv), ("dlq --json", Form::Json)]
    {
        let Ok(Command::Dlq(asked)) = parsed(local, arguments).command else { panic!() };
        assert_eq!(asked.form, form, "{arguments}");
    }
    let Ok(Command::Status(asked)) =
        parsed("DYNAMODB_TABLE=t", "status a b --watch --stale 7").command
    else {
        panic!()
    };
    assert_eq!((asked.job_ids, asked.stale_seconds), (vec!["a".into(), "b".into()], Some(7)));
    assert!(asked.watch && !asked.json && asked.aws.is_some());
    let Ok(Command::Status(asked)) = parsed("CHECKPOINT=file:c JOB_ID=k", "status").command else {
        panic!()
    };
    assert_eq!((asked.job_ids, asked.aws), (vec!["k".to_owned()], None));
    let Ok(Command::Status(asked)) = parsed("CHECKPOINT=file:c JOB_ID=k", "status --all").command
    else {
        panic!()
    };
    assert_eq!(asked.job_ids, Vec::<String>::new());
    assert_eq!(problems_of("CHECKPOINT=file:c", "status --stale x").len(), 1);
    assert_eq!(run_of(&format!("{LOCAL} VERIFY=FULL"), "").verify, crate::settings::Verify::Full);
}
