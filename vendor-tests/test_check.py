"""`check` against real brokers: a good world as a golden file, then one thing wrong at a time; nothing is ever changed."""

import json
import os
import re
import time

import pytest

from conftest import VERSIONS
from lab import csvgen
from lab.consumer import log_range
from lab.golden import golden, normalised
from lab.ground import free_port
from lab.httpproxy import Answer, HttpProxy, ShiftDate, dynamodb_error, s3_error
from lab.job import AGAIN, COMPLETE, MEND
from lab.secured import LISTENERS, PASSWORDS, Secured
from lab.stubs import TLS_ALERT, Stub
from test_bad_input import GZIP
from test_python_checkpoint import written_by_python
from test_verify import shaped

SMALL = b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(1, 101))


def found(job, *arguments, expect=None, **settings) -> dict:
    """The document, held to its schema and to the exit code that it names."""
    run = job.run("check", "--json", *arguments, expect=expect, seconds=60, **settings)
    document = shaped(json.loads(run.out), "check")
    assert run.code == document["exit_code"], run.said
    failed = any(finding["level"] == "fail" for finding in document["findings"])
    assert document["exit_code"] == (MEND if failed else COMPLETE), run.said
    for name in ["KAFKA_SASL_PASSWORD", "AWS_SECRET_ACCESS_KEY"]:
        secret = (job.settings | settings).get(name)
        assert secret is None or str(secret) not in run.said
    return document


def wrong(document: dict) -> dict:
    """Code to level and text of all that is not ok; what a single broker always has is left out."""
    alone = {"few_replicas", "low_min_insync"}
    bad = [finding for finding in document["findings"] if finding["level"] != "ok" and finding["code"] not in alone]
    return {finding["code"]: (finding["level"], finding["text"]) for finding in bad}


def says(document: dict, *expected):
    """Exactly these are not ok: (level, code, what its text matches)."""
    bad = wrong(document)
    assert {(level, code) for code, (level, _) in bad.items()} == {(level, code) for level, code, _ in expected}, bad
    for _, code, words in expected:
        assert re.search(words, bad[code][1], re.I), f"{words!r} is not in: {bad[code][1]}"


# -- a good world ------------------------------------------------------------------------------
def test_a_good_world(lab, own_cluster):
    """Three brokers, a durable topic, a new job: every finding is ok, word for word."""
    cluster = own_cluster(nodes=3)
    table = csvgen.plain(lab.dir / "in.csv", 50_000)
    job = lab.job(lab.put(table.path), lab.topic(cluster, partitions=3), cluster, AWS_ENDPOINT_URL_STS=lab.dynamodb.endpoint,
                  MAX_ROWS_PER_SECOND=1_000)
    run = job.run("check")
    golden("check-good.txt", normalised(run.out, lab, job))
    document = found(job)
    assert not wrong(document) and {finding["level"] for finding in document["findings"]} == {"ok"}
    plan = document["plan"]
    assert abs(plan["rows"] - 50_000) < 500 and plan["pace"] == "brake" and abs(plan["seconds"] - 50) <= 1
    unchanged(lab, job, cluster)
    # What was foretold is what comes.
    job.run(MAX_ROWS_PER_SECOND=None)
    sizes = sum(file.stat().st_size for file in cluster.nodes[0].dir.glob(f"log/{job.settings['KAFKA_TOPIC']}-0/*.log"))
    assert abs(plan["log_bytes"] - sizes) < sizes / 10, (plan["log_bytes"], sizes)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_single_broker(lab, brokers, version):
    """Both versions; two warnings, exit 0, word for word; a topic for bad rows too."""
    cluster = brokers(version)
    job = lab.job(lab.put(SMALL, "in.csv"), lab.topic(cluster), cluster, ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=lab.topic(cluster))
    run = job.run("check")
    text = normalised(run.out.replace(job.settings["KAFKA_DLQ_TOPIC"], "BAD"), lab, job)
    golden("check-one-broker.txt", text)
    unchanged(lab, job, cluster)


def unchanged(lab, job, cluster=None, item=None, end=0):
    assert lab.item(job) == item
    topics = [job.settings["KAFKA_TOPIC"], job.settings.get("KAFKA_DLQ_TOPIC")]
    for topic in filter(None, topics):
        assert log_range((cluster or lab.kafka).bootstrap, topic)[1] == (end if topic == topics[0] else 0)


def test_values_only_when_asked(lab):
    """No value and no column name without --show-rows; both with it."""
    job = lab.job(lab.put(b"secret_column,b\nsecret_value,2\n"), lab.topic())
    for arguments in [("check",), ("check", "--json")]:
        said = job.run(*arguments).said
        assert "secret_value" not in said and "secret_column" not in said
    document = found(job, "--show-rows")
    assert document["columns"] == ["secret_column", "b"] and json.loads(document["records"][0])["secret_column"] == "secret_value"
    assert "secret_value" in job.run("check", "--show-rows").out


def test_dry_run_names_it(lab):
    assert "check" in lab.job("k", "t").run("run", "--dry-run", expect=MEND).said


# -- one thing wrong at a time -----------------------------------------------------------------
def small(lab, **settings):
    return lab.job(lab.put(SMALL), lab.topic(), **settings)


def with_rows(content: bytes, **settings):
    return lambda lab: found(lab.job(lab.put(content), lab.topic(), **settings))


def with_topic(rows=SMALL, settings=None, **config):
    return lambda lab: found(lab.job(lab.put(rows), lab.topic(**config), **(settings or {})))


def with_settings(**settings):
    return lambda lab: found(small(lab, **{k: v(lab) if callable(v) else v for k, v in settings.items()}))


def behind_s3(rule):
    def case(lab):
        with HttpProxy(lab.s3.endpoint, lambda request: rule) as proxy:
            return found(small(lab, AWS_ENDPOINT_URL_S3=proxy.endpoint))
    return case


def behind_dynamodb(rule):
    def case(lab):
        with HttpProxy(lab.dynamodb.endpoint, rule) as proxy:
            return found(small(lab, AWS_ENDPOINT_URL_DYNAMODB=proxy.endpoint))
    return case


def stub(answer: bytes):
    def case(lab):
        with Stub(answer) as port:
            return found(small(lab, KAFKA_BOOTSTRAP_SERVERS=port.address))
    return case


def other_key(lab) -> str:
    name = lab.name("table")
    lab.dynamodb.api.create_table(TableName=name, BillingMode="PAY_PER_REQUEST",
                                  AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                                  KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    return name


def the_same_topic(lab):
    job = small(lab)
    return found(job, ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=job.settings["KAFKA_TOPIC"])


def dead(_) -> str:
    return f"http://127.0.0.1:{free_port()}"


EARLIER = time.time() - 3_000
NO_BROKER = ("fail", "broker_unreachable", "KAFKA_BOOTSTRAP_SERVERS")
RANDOM = b"id,v\n" + b"".join(b"%d,%s\n" % (n, os.urandom(20).hex().encode()) for n in range(1_000))
CASES = {
    # settings
    "nothing is set": (
        lambda lab: found(lab.job(None, None, KAFKA_BOOTSTRAP_SERVERS=None, DYNAMODB_TABLE=None)), [("fail", "settings", "missing")]),
    "bad rows go to the topic of the good ones": (the_same_topic, [("fail", "settings", "same topic")]),
    # source
    "a bucket that is missing": (
        with_settings(S3_BUCKET="no-such-bucket-here"), [("fail", "source_refused", "no bucket no-such-bucket-here.*S3_BUCKET")]),
    "an object that is missing": (with_settings(S3_KEY="nowhere.csv"), [("fail", "source_refused", "NoSuchKey.*S3_KEY")]),
    "an object that is forbidden": (behind_s3(s3_error(403, "AccessDenied")), [("fail", "source_refused", "s3:GetObject")]),
    "S3 is away": (with_settings(AWS_ENDPOINT_URL_S3=dead), [("fail", "source_unreachable", "AWS_ENDPOINT_URL_S3")]),
    "gzip": (with_rows(GZIP), [("fail", "bad_source", "gzip")]),
    "two columns of one name": (with_rows(b"a,b,a\n1,2,3\n"), [("fail", "bad_source", "CSV_COLUMNS")]),
    "another delimiter": (with_rows(b"a;b;c\n1;2;3\n"), [("fail", "bad_source", "CSV_DELIMITER")]),
    "a reserved column": (with_rows(b"a,_source_line\n1,2\n"), [("fail", "bad_source", "_source_line")]),
    "no such key column": (with_rows(SMALL, KAFKA_KEY_COLUMN="nope"), [("fail", "bad_source", "KAFKA_KEY_COLUMN")]),
    "a bad row": (with_rows(b"a,b\n1,2\n3\n"), [("fail", "bad_rows", "row 2 at byte 8.*ON_BAD_ROW=dlq")]),
    "a quote that stays open": (with_rows(b'a,b\n1,2\n3,"4\n'), [("fail", "open_quote", "row 2")]),
    "a row that is too long": (with_rows(SMALL, ROW_BYTES_MAX=10), [("fail", "row_too_long", "ROW_BYTES_MAX")]),
    # topic
    "a topic that is missing": (with_settings(KAFKA_TOPIC="no-such-topic"), [("fail", "topic_missing", "--create --topic no-such-topic")]),
    "a partition that is missing": (with_settings(KAFKA_PARTITION=7), [("fail", "topic_missing", "no partition 7")]),
    "the dead letters' topic is missing": (
        with_settings(ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC="no-such-topic"), [("fail", "topic_missing", "no-such-topic")]),
    "a compacted topic": (with_topic(cleanup_policy="compact"), [("fail", "compacted", "cleanup.policy=delete")]),
    "unclean elections": (with_topic(unclean_leader_election_enable="true"), [("warn", "unclean_election", "enable=false")]),
    "more replicas wanted than are there": (with_topic(min_insync_replicas=2), [("fail", "too_few_in_sync", "min.insync.replicas=2")]),
    "retention below the duration": (
        with_topic(settings={"MAX_ROWS_PER_SECOND": 1}, retention_ms=50_000), [("fail", "short_retention", "retention.ms=50000.* 1 min")]),
    "retention near the duration": (
        with_topic(settings={"MAX_ROWS_PER_SECOND": 1}, retention_ms=500_000), [("warn", "short_retention", "ten times")]),
    "retention below the volume": (with_topic(RANDOM, retention_bytes=10_000), [("fail", "small_retention", "retention.bytes=10000")]),
    "small messages only": (with_topic(max_message_bytes=20_000), [("warn", "small_record_limit", "max.message.bytes=20000")]),
    "hardly any messages": (with_topic(max_message_bytes=2_000), [("fail", "broker_refused", "max.message.bytes")]),
    "a record above the topic's limit": (
        with_topic(b"a,b\n1," + b"y" * 30_000 + b"\n", max_message_bytes=20_000),
        [("fail", "bad_rows", "max.message.bytes leaves 19488"), ("warn", "small_record_limit", "19,488")]),
    "no broker": (lambda lab: found(small(lab, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")), [NO_BROKER]),
    "a port that speaks TLS": (stub(TLS_ALERT), [("fail", "broker_refused", "KAFKA_SECURITY_PROTOCOL")]),
    "a port that speaks HTTP": (stub(b"HTTP/1.1 400 Bad Request\r\n\r\n"), [("fail", "broker_refused", "HTTP")]),
    "plain text to another machine": (
        with_settings(KAFKA_BOOTSTRAP_SERVERS="broker.invalid:9092"), [("warn", "settings", "plain text"), NO_BROKER]),
    # ledger
    "a table that is missing": (with_settings(DYNAMODB_TABLE="no-such-table"), [("fail", "ledger_refused", "create-table.*no-such-table")]),
    "a table with another key": (with_settings(DYNAMODB_TABLE=other_key), [("fail", "ledger_refused", "job_id")]),
    "DynamoDB is away": (with_settings(AWS_ENDPOINT_URL_DYNAMODB=dead), [("fail", "ledger_unreachable", "AWS_ENDPOINT_URL_DYNAMODB")]),
    "no permission to read": (
        behind_dynamodb(lambda r: dynamodb_error("AccessDeniedException") if r.operation == "GetItem" else None),
        [("fail", "ledger_refused", "dynamodb:GetItem")]),
    "no permission to write": (
        behind_dynamodb(lambda r: dynamodb_error("AccessDeniedException") if r.operation == "UpdateItem" else None),
        [("fail", "ledger_refused", "dynamodb:UpdateItem")]),
    "conditions that are not checked": (
        behind_dynamodb(lambda r: Answer(200, b'{"Attributes":{"job_id":{"S":"x"}}}') if r.operation == "UpdateItem" else None),
        [("fail", "lax_ledger", "condition")]),
    # AWS
    "a wrong secret": (
        with_settings(AWS_SECRET_ACCESS_KEY="not-the-secret-at-all"),
        [("fail", "source_refused", "AWS_SECRET_ACCESS_KEY"), ("fail", "ledger_refused", "AWS_SECRET_ACCESS_KEY|credentials")]),
    "no credentials": (
        with_settings(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None),
        [("fail", "no_credentials", "AWS_ACCESS_KEY_ID"), ("warn", "skipped", "no AWS credentials")]),
    "STS is away": (with_settings(AWS_ENDPOINT_URL_STS=dead), [("warn", "caller_unknown", "environment")]),
    "a clock that is wrong": (behind_s3(ShiftDate(7_200)), [("fail", "clock_wrong", "behind.*chrony")]),
}


@pytest.mark.parametrize("name", CASES)
def test_one_thing_wrong(lab, name):
    """It is found, named with what to do, and nothing else is."""
    case, expected = CASES[name]
    says(case(lab), *expected)


def test_a_clock_that_is_nearly_wrong(lab):
    """Five minutes off: a run works, and it is said."""
    with HttpProxy(lab.s3.endpoint, lambda r: ShiftDate(-300)) as s3, HttpProxy(lab.dynamodb.endpoint, lambda r: ShiftDate(-300)) as db:
        document = found(small(lab, AWS_ENDPOINT_URL_S3=s3.endpoint, AWS_ENDPOINT_URL_DYNAMODB=db.endpoint))
    says(document, ("warn", "clock", "ahead"))


def test_everything_is_away(lab):
    """Every dead end is named, in less than a minute."""
    port = f"127.0.0.1:{free_port()}"
    document = found(small(lab, KAFKA_BOOTSTRAP_SERVERS=port, AWS_ENDPOINT_URL=dead(lab), AWS_ENDPOINT_URL_S3=dead(lab),
                           AWS_ENDPOINT_URL_DYNAMODB=dead(lab), AWS_ENDPOINT_URL_STS=dead(lab), ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC="bad"))
    says(document, ("fail", "source_unreachable", "s3://"), NO_BROKER, ("fail", "ledger_unreachable", "DynamoDB"),
         ("warn", "caller_unknown", "STS"), ("warn", "skipped", "dead letters"))


# -- a job that is there already ---------------------------------------------------------------
@pytest.fixture
def interrupted(lab):
    """A job that was stopped in the middle, its item and its partition's end."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, columns=3, seed=171)
    job = lab.job(lab.put(table.path), lab.topic(partitions=2))
    run = job.start(MAX_ROWS_PER_SECOND=20_000)
    while run.alive() and (lab.item(job) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.terminate()
    assert run.wait() == AGAIN, run.said
    return job, lab.item(job), log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"])[1]


def test_a_job_in_the_middle(lab, interrupted):
    """Where it goes on, what is wrong if a pin differs, and that nothing of it is touched."""
    job, item, end = interrupted
    document = found(job)
    says(document)
    [resumes] = [f["text"] for f in document["findings"] if f["code"] == "resumes"]
    assert f"row {item['last_line'] + 1:,}," in resumes and "INTERRUPTED" in resumes
    assert document["plan"]["rows_done"] == item["last_line"]
    other = lab.topic()
    for settings, words in [({"CSV_DELIMITER": ";", "CSV_COLUMNS": "a"}, "CSV_DELIMITER: begun with"), ({"KAFKA_TOPIC": other}, other),
                            ({"KAFKA_PARTITION": 1}, "KAFKA_PARTITION"), ({"KAFKA_KEY_COLUMN": "id"}, "KAFKA_KEY_COLUMN")]:
        bad = wrong(found(job, **settings))
        assert bad["pins_differ"][0] == "fail" and words in bad["pins_differ"][1], bad
    unchanged(lab, job, item=item, end=end)


def test_a_job_whose_ends_have_changed(lab, brokers, interrupted):
    """A replaced object, another cluster, a topic that was made again, a tail that is deleted."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient
    job, item, _ = interrupted
    topic = job.settings["KAFKA_TOPIC"]
    cluster = brokers("3.9.1")
    cluster.create_topic(topic, partitions=2)
    assert "fail" == wrong(found(job, KAFKA_BOOTSTRAP_SERVERS=cluster.bootstrap))["wrong_cluster"][0]
    tail_begins = int(item["kafka_offset"]) + 1
    job.run()
    lab.dynamodb.put(lab.table, item)
    admin = AdminClient({"bootstrap.servers": lab.kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, tail_begins + 10)]).values():
        future.result(20)
    assert wrong(found(job))["tail_deleted"][0] == "fail"
    lab.kafka.delete_topic(topic)
    lab.kafka.create_topic(topic, partitions=2)
    assert wrong(found(job))["topic_remade"][0] == "fail"
    lab.put(SMALL, job.settings["S3_KEY"])
    bad = wrong(found(job))
    assert item["etag"].strip('"') in bad["source_replaced"][1]
    assert lab.item(job) == item


def test_a_job_that_is_complete(lab):
    """Exit 0, and said so; under another name it is asked whether it was loaded before."""
    job = small(lab)
    job.run()
    item = lab.item(job)
    document = found(job)
    says(document)
    assert "complete" in {f["code"] for f in document["findings"]} and document["plan"]["rows_done"] == 100
    unchanged(lab, job, item=item, end=100)
    says(found(job, JOB_ID=lab.name("other")), ("warn", "loaded_before", "row 100 of this very source"))


def test_a_job_that_is_held(lab):
    """Another run is at it: what holds it is named. Killed on this machine, it is not held any more."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, columns=3, seed=172)
    job = lab.job(lab.put(table.path), lab.topic(), MAX_ROWS_PER_SECOND=2_000, CHECKPOINT_INTERVAL=500)
    run = job.start()
    while run.alive() and (lab.item(job) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    says(found(job), ("fail", "held", lab.item(job)["run_id"]))
    run.kill()
    document = found(job)
    says(document)
    assert "resumes" in {f["code"] for f in document["findings"]}


def test_a_job_of_the_python_processor(lab):
    """Its checkpoint is known for what it is, and the partition's last row is told."""
    table = csvgen.varied(lab.dir / "in.csv", 2_000, seed=173)
    job = lab.job(lab.put(table.path), lab.topic())
    written_by_python(lab, job, table, 700)
    item = {"job_id": job.settings["JOB_ID"], "last_line": 650, "total_sent": 650, "timestamp": int(time.time()), "status": "IN_PROGRESS"}
    lab.dynamodb.put(lab.table, item)
    says(found(job), ("warn", "python_job", "650 rows; .* row 700.*stop that program"))
    unchanged(lab, job, item=item, end=700)


# -- who may do what ---------------------------------------------------------------------------
@pytest.fixture(scope="module")
def secured(ground):
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB"):
        pytest.skip("needs a broker of its own")
    cluster = Secured("4.1.0", ground / "secured-check")
    yield cluster.start()
    cluster.stop()


def at(lab, secured, listener, user, *operations, **settings):
    topic = lab.topic(secured)
    if operations:
        secured.allow(user, topic, *operations)
    return lab.job(lab.put(SMALL), topic, secured, **{
        "KAFKA_BOOTSTRAP_SERVERS": secured.at(listener), "KAFKA_SECURITY_PROTOCOL": LISTENERS[listener],
        "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": PASSWORDS[user], **settings})


@pytest.mark.parametrize("name, user, operations, expected", [
    ("all", "full", ["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"], []),
    ("no settings", "full", ["READ", "WRITE", "DESCRIBE"],
     [("warn", "missing_right", "DescribeConfigs")]),
    ("no write", "reader", ["READ", "DESCRIBE", "DESCRIBE_CONFIGS"], [("fail", "missing_right", "Write")]),
    ("no read", "writer", ["WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"], [("fail", "missing_right", "Read")]),
    ("nothing", "nobody", [], []),
], ids=lambda value: value if isinstance(value, str) and value.islower() else "")
def test_permissions(lab, secured, name, user, operations, expected):
    """What the broker says that we may do, without a write."""
    document = found(at(lab, secured, "SASLPLAIN", user, *operations))
    if name == "nothing":
        [(code, (level, _))] = wrong(document).items()
        assert level == "fail" and code in ("topic_missing", "broker_refused")
    else:
        says(document, *expected)


@pytest.mark.parametrize("settings, code, words", [
    ({"KAFKA_SASL_PASSWORD": "not-the-password"}, "broker_refused", "KAFKA_SASL_PASSWORD"),
    ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", "KAFKA_SASL_USERNAME": "no-such-user"}, "broker_refused", "KAFKA_SASL_USERNAME|user"),
], ids=["wrong password", "unknown user"])
def test_logins(lab, secured, settings, code, words):
    """Named, and the password is in no output."""
    says(found(at(lab, secured, "SASLPLAIN", "full", "READ", **settings)), ("fail", code, words))


def test_a_tls_port_without_tls(lab, secured):
    """A real broker's TLS listener, spoken to in plain text."""
    job = lab.job(lab.put(SMALL), lab.topic(secured), secured, KAFKA_BOOTSTRAP_SERVERS=secured.at("SSL"))
    [(code, (level, text))] = wrong(found(job)).items()
    assert level == "fail" and code in ("broker_refused", "broker_unreachable") and "KAFKA_SECURITY_PROTOCOL" in text


# -- the run's own warnings --------------------------------------------------------------------
def test_a_run_warns_of_the_same(lab):
    """Durability and retention at its start, by the code that check has."""
    job = lab.job(lab.put(SMALL), lab.topic(retention_ms=500_000, retention_bytes=600), MAX_ROWS_PER_SECOND=1_000, LOG_FORMAT="json")
    said = wrong(found(job, MAX_ROWS_PER_SECOND=1))
    run = job.start(MAX_ROWS_PER_SECOND=1)
    while run.alive() and '"sending"' not in run.err:
        time.sleep(0.05)
    run.terminate()
    assert run.wait() == AGAIN, run.said
    lines = [json.loads(line) for line in run.err.splitlines()]
    warned = {line["code"]: line["text"] for line in lines if line["event"] == "warning"}
    assert {"few_replicas", "low_min_insync", "short_retention", "small_retention"} == set(warned)
    assert warned["short_retention"] == said["short_retention"][1]
