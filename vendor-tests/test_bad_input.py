"""Bad input, bad addresses, bad rights: the exit code, what the message names, and that nothing is lost or sent that should not be."""

import re

import pytest

from lab import csvgen
from lab.consumer import log_range
from lab.ground import free_port
from lab.httpproxy import HttpProxy, ShiftDate, s3_error
from lab.job import AGAIN, MEND
from lab.stubs import TLS_ALERT, Stub


def says(run, *fragments):
    """Every fragment (a regular expression, any case) is in what the run said."""
    for fragment in fragments:
        assert re.search(fragment, run.said, re.I | re.S), f"nothing about {fragment!r} in:\n{run.said[-3000:]}"


def nothing_sent(lab, topic):
    assert log_range(lab.kafka.bootstrap, topic) == (0, 0)


GZIP = bytes.fromhex("1f8b0800000000000003") + b"x" * 100
MAGIC = [
    ("gzip", GZIP, "gzip"),
    ("zstd", bytes.fromhex("28b52ffd0458") + b"x" * 100, "zstd|zstandard"),
    ("zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + b"x" * 100, "zip"),
    ("xz", bytes.fromhex("fd377a585a000004") + b"x" * 100, "xz"),
    ("parquet", b"PAR1\x15\x04\x15" + b"x" * 100 + b"PAR1", "parquet"),
    ("xlsx", b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00\x21\x00" + b"\x00" * 12 + b"\x13\x00\x00\x00[Content_Types].xml", "xlsx|excel"),
]
HEADERS = [
    ("empty object", b"", "empty"),
    ("only a byte order mark", b"\xef\xbb\xbf", "empty|no header"),
    ("two columns of one name", b"a,b,a\n1,2,3\n", r"\ba\b.*CSV_COLUMNS|CSV_COLUMNS.*\ba\b"),
    ("an empty column name", b"a,,c\n1,2,3\n", "CSV_COLUMNS"),
    ("a column named _source_line", b"a,_source_line\n1,2\n", "_source_line"),
    ("a column named _source_file", b"_source_file,b\n1,2\n", "_source_file"),
    ("invalid UTF-8 in the header", b"a,b\xff\n1,2\n", "utf-8"),
    ("NUL in the header", b"a,b\x00\n1,2\n", "nul"),
    ("UTF-16, little end first", "a,b\n1,2\n".encode("utf-16"), "utf-16"),
    ("UTF-16, big end first", b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"), "utf-16"),
    ("semicolons", b"a;b;c\n1;2;3\n", "CSV_DELIMITER.*;|;.*CSV_DELIMITER"),
    ("tabs", b"a\tb\tc\n1\t2\t3\n", "CSV_DELIMITER.*tab|tab.*CSV_DELIMITER"),
    ("bars", b"a|b|c\n1|2|3\n", r"CSV_DELIMITER.*\||\|.*CSV_DELIMITER"),
]


@pytest.mark.parametrize("name, content, fragment", MAGIC + HEADERS, ids=[case[0] for case in MAGIC + HEADERS])
def test_not_a_csv_that_can_be_loaded(lab, name, content, fragment):
    """Wrong formats and wrong headers stop the run before anything is sent, exit 1, and are named."""
    topic = lab.topic()
    job = lab.job(lab.put(content), topic)
    says(job.run(expect=MEND), fragment)
    nothing_sent(lab, topic)


def bad_rows():
    long = "x" * 600_000
    yield "too few fields", b"1,2\n", {}, {}, "2 fields|field", True
    yield "too many fields", b"1,2,3,4\n", {}, {}, "field", True
    yield "invalid UTF-8", b"1,\xff\xfe,3\n", {}, {}, "utf-8", True
    yield "a record above the topic's limit", b"1," + b"y" * 30_000 + b",3\n", {}, {"max_message_bytes": 20_000}, "max.message.bytes", True
    yield "a row above ROW_BYTES_MAX", f'1,"{long}\n{long}",3\n'.encode(), {}, {}, "ROW_BYTES_MAX", True
    yield "a quote that stays open", b'1,"and so on to the end,3\n', {}, {}, "quote", False


@pytest.mark.parametrize("name, bad, settings, config, fragment, goes_on", list(bad_rows()), ids=lambda v: v if isinstance(v, str) and " " in v else "")
def test_a_bad_row(lab, name, bad, settings, config, fragment, goes_on):
    """All rows before the bad one are confirmed and checkpointed, exit 1 names row and byte, a second start adds nothing."""
    good = 30_000
    table = csvgen.varied(lab.dir / "good.csv", good, columns=3, seed=21)
    before = table.path.read_bytes()
    after = b"".join(b"%d,after,x\n" % n for n in range(1000)) if goes_on else b""
    job = lab.job(lab.put(before + bad + after), lab.topic(**config), **settings)
    for _ in range(2):
        says(job.run(expect=MEND), rf"row {good + 1}\b", rf"\b{len(before)}\b", fragment, "JOB_ID")
        assert lab.proved(job, table).records == good
        item = lab.item(job)
        assert (item["last_line"], item["total_sent"], item["next_byte"]) == (good, good, len(before))
        assert item["status"] == "FAILED"


def test_the_first_row_is_bad(lab):
    """Nothing is sent, and the message names row 1."""
    topic = lab.topic()
    says(lab.job(lab.put(b"a,b\n1\n2,3\n"), topic).run(expect=MEND), r"row 1\b", "byte 4")
    nothing_sent(lab, topic)


# -- S3 ----------------------------------------------------------------------------------------
def test_an_object_that_is_missing(lab):
    """Bucket, key and S3's code in one message."""
    topic = lab.topic()
    says(lab.job("nowhere/to-be-found.csv", topic).run(expect=MEND), "NoSuchKey|404", lab.bucket, "nowhere/to-be-found.csv")
    nothing_sent(lab, topic)


def test_a_bucket_that_is_missing(lab):
    """The bucket is named."""
    says(lab.job("x.csv", lab.topic(), S3_BUCKET="no-such-bucket-here").run(expect=MEND), "NoSuchBucket|404", "no-such-bucket-here")


@pytest.mark.parametrize("name, answer, fragments", [
    ("forbidden", s3_error(403, "AccessDenied", "Access Denied"), ["AccessDenied|Access Denied", "s3:GetObject|permission"]),
    ("forbidden by KMS", s3_error(403, "AccessDenied", "User: arn:aws:iam::1:role/r is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:us-east-1:1:key/k"), ["kms"]),
    ("archived", s3_error(403, "InvalidObjectState", "The operation is not valid for the object's storage class"), ["InvalidObjectState|archive|Glacier", "restore"]),
], ids=lambda v: v if isinstance(v, str) else "")
def test_s3_refuses(lab, name, answer, fragments):
    """Refusals that only AWS gives, answered by a stand-in: one message with bucket, key, code and what to do."""
    key = lab.put(b"a,b\n1,2\n")
    with HttpProxy(lab.s3.endpoint, lambda request: answer) as proxy:
        run = lab.job(key, lab.topic(), AWS_ENDPOINT_URL_S3=proxy.endpoint).run(expect=MEND)
    says(run, lab.bucket, key, *fragments)


def test_a_bucket_in_another_region(lab):
    """The region that S3 names is told."""
    key = lab.put(b"a,b\n1,2\n")
    answer = s3_error(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.")
    answer.headers["x-amz-bucket-region"] = "eu-central-1"
    with HttpProxy(lab.s3.endpoint, lambda request: answer) as proxy:
        run = lab.job(key, lab.topic(), AWS_ENDPOINT_URL_S3=proxy.endpoint).run(expect=MEND)
    says(run, lab.bucket, "eu-central-1")


def test_the_wrong_secret(lab):
    """A refused signature is a person's business, exit 1, and the secret is not printed."""
    run = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), AWS_SECRET_ACCESS_KEY="not-the-secret-at-all").run(expect=MEND)
    says(run, "signature|credential|AccessDenied|AWS_SECRET_ACCESS_KEY")
    assert "not-the-secret-at-all" not in run.said


@pytest.mark.parametrize("which", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_DYNAMODB"])
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_wrong(lab, which, hours):
    """A clock further than ten minutes from S3's or DynamoDB's stops the run before it sends."""
    topic = lab.topic()
    upstream = lab.s3.endpoint if which.endswith("S3") else lab.dynamodb.endpoint
    with HttpProxy(upstream, lambda request: ShiftDate(hours * 3600)) as proxy:
        says(lab.job(lab.put(b"a,b\n1,2\n"), topic, **{which: proxy.endpoint}).run(expect=MEND), "clock")
    nothing_sent(lab, topic)


# -- Kafka -------------------------------------------------------------------------------------
def test_a_topic_that_is_missing(lab):
    """Retried, since it may be new, then exit 1 with the command that creates it."""
    says(lab.job(lab.put(b"a,b\n1,2\n"), "no-such-topic").run(expect=MEND), "no-such-topic", "--create", lab.kafka.bootstrap)


def test_a_topic_that_comes_late(lab):
    """A topic that is created within the first seconds is found."""
    name = lab.name("late")
    job = lab.job(lab.put(b"a,b\n1,2\n"), name)
    run = job.start()
    lab.kafka.create_topic(name)
    assert run.wait() == 0, run.said
    lab.proved(job, [["a", "b"], ["1", "2"]])


def test_a_partition_that_is_missing(lab):
    """Names the partition and how many there are."""
    topic = lab.topic()
    says(lab.job(lab.put(b"a,b\n1,2\n"), topic, KAFKA_PARTITION=7).run(expect=MEND), topic, r"\b7\b")
    nothing_sent(lab, topic)


def test_no_broker(lab):
    """Nothing listens: retried, then exit 75."""
    address = f"127.0.0.1:{free_port()}"
    says(lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), KAFKA_BOOTSTRAP_SERVERS=address, MAX_RETRIES=2).run(expect=AGAIN), address)


def test_a_port_that_speaks_tls(lab):
    """Named as such at once, exit 1."""
    with Stub(TLS_ALERT) as stub:
        run = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), KAFKA_BOOTSTRAP_SERVERS=stub.address).run(expect=MEND)
    says(run, "TLS", "KAFKA_SECURITY_PROTOCOL")


def test_a_port_that_speaks_http(lab):
    """Named as such at once, exit 1."""
    with Stub(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as stub:
        run = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), KAFKA_BOOTSTRAP_SERVERS=stub.address).run(expect=MEND)
    says(run, "HTTP")


def test_a_port_that_speaks_something_else(lab):
    """A greeting of another protocol is not believed as a length, exit 1."""
    with Stub(b"220 mail.example.com ESMTP ready to take your letters\r\n") as stub:
        lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), KAFKA_BOOTSTRAP_SERVERS=stub.address).run(expect=MEND)


@pytest.mark.parametrize("hang_up", [True, False], ids=["hangs up", "says nothing"])
def test_a_port_that_only(lab, hang_up):
    """Retried, then exit 75, and the message names the setting that is likely wrong."""
    with Stub(b"", hang_up) as stub:
        run = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), KAFKA_BOOTSTRAP_SERVERS=stub.address, MAX_RETRIES=2).run(expect=AGAIN)
        says(run, "KAFKA_SECURITY_PROTOCOL")
        assert stub.connections > 1


def test_too_few_replicas_is_a_warning(lab):
    """min.insync.replicas or replicas below 2: the run warns and copies."""
    run = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic()).run()
    says(run, "min.insync.replicas|replica")


def test_a_compacted_topic(lab):
    """A record without a key is refused there: exit 1, nothing is there."""
    topic = lab.topic(cleanup_policy="compact")
    says(lab.job(lab.put(b"a,b\n1,2\n"), topic).run(expect=MEND), "compact|cleanup.policy")
    nothing_sent(lab, topic)


# -- ledger ------------------------------------------------------------------------------------
def test_a_table_that_is_missing(lab):
    """The table is named, nothing is sent."""
    topic = lab.topic()
    says(lab.job(lab.put(b"a,b\n1,2\n"), topic, DYNAMODB_TABLE="no-such-table").run(expect=MEND), "no-such-table")
    nothing_sent(lab, topic)


def test_a_ledger_that_is_away(lab):
    """Nothing listens at DynamoDB's address: nothing may be sent, exit 75."""
    topic = lab.topic()
    endpoint = f"http://127.0.0.1:{free_port()}"
    lab.job(lab.put(b"a,b\n1,2\n"), topic, AWS_ENDPOINT_URL_DYNAMODB=endpoint, MAX_RETRIES=2).run(expect=AGAIN)
    nothing_sent(lab, topic)


# -- settings ----------------------------------------------------------------------------------
def test_all_missing_settings_at_once(lab):
    """One message names every missing setting."""
    job = lab.job("k", "t")
    run = job.run(expect=MEND, S3_BUCKET=None, S3_KEY=None, KAFKA_BOOTSTRAP_SERVERS=None, KAFKA_TOPIC=None, DYNAMODB_TABLE=None)
    says(run, "S3_BUCKET", "S3_KEY", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "DYNAMODB_TABLE")


@pytest.mark.parametrize("settings, fragments", [
    ({"KAFKA_COMPRESSION": "brotli", "KAFKA_PARTITION": "minus one", "CSV_DELIMITER": "ab", "LEASE_SECONDS": "0"},
     ["KAFKA_COMPRESSION", "KAFKA_PARTITION", "CSV_DELIMITER", "LEASE_SECONDS"]),
    ({"SOURCE": "s3://another/object"}, ["SOURCE", "S3_BUCKET|S3_KEY"]),
    ({"CHECKPOINT": "dynamodb://another"}, ["CHECKPOINT", "DYNAMODB_TABLE"]),
    ({"CSV_HEADER": "none"}, ["CSV_COLUMNS"]),
], ids=["wrong values", "two sources", "two ledgers", "no names"])
def test_wrong_settings(lab, settings, fragments):
    """Every wrong value is named in one message, exit 1."""
    says(lab.job("k", "t").run(expect=MEND, **settings), *fragments)


def test_an_unknown_flag(lab):
    """Exit 1; --dry-run is answered with the command that does it."""
    says(lab.job("k", "t").run("run", "--no-such-flag", expect=MEND), "no-such-flag")
    says(lab.job("k", "t").run("run", "--dry-run", expect=MEND), "check")
