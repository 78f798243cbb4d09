"""The lab itself: a judge that can not say no proves nothing, and a proxy must do the harm it promises."""

import csv
import json
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Producer

from lab import compare, csvgen, httpproxy, proxy
from lab.consumer import Record, read_all
from lab.s3 import Identity, client

ROWS = [["a", "b"], ["1", "x"], ["2", "y,\n"], ["3", ""], ["4", "é"]]


def record(offset, line, **changes):
    value = {"a": ROWS[line][0], "b": ROWS[line][1], "_source_line": line, "_source_file": "s3://b/k"} | changes
    return Record(offset, None, json.dumps(value).encode(), 0)


@pytest.mark.parametrize("name, records, expected", [
    ("all in order", [record(n - 1, n) for n in (1, 2, 3, 4)], (0, 0, 0, 0)),
    ("one missing", [record(n, n) for n in (1, 2, 4)], (1, 0, 0, 0)),
    ("the first missing", [record(n, n) for n in (2, 3, 4)], (1, 0, 0, 0)),
    ("the last missing", [record(n, n) for n in (1, 2, 3)], (1, 0, 0, 0)),
    ("one repeated at once", [record(n, n) for n in (1, 2, 2, 3, 4)], (0, 1, 0, 0)),
    ("all repeated", [record(n, n) for n in (1, 2, 3, 4, 1, 2, 3, 4)], (0, 4, 0, 0)),
    ("two exchanged", [record(n, n) for n in (1, 3, 2, 4)], (0, 0, 1, 0)),
    ("another value", [record(1, 1), record(2, 2, b="y"), record(3, 3), record(4, 4)], (0, 0, 0, 1)),
    ("a number for a string", [record(1, 1, a=1), record(2, 2), record(3, 3), record(4, 4)], (0, 0, 0, 1)),
    ("another file", [record(1, 1, _source_file="s3://b/l"), record(2, 2), record(3, 3), record(4, 4)], (0, 0, 0, 1)),
    ("one more column", [record(1, 1, c=""), record(2, 2), record(3, 3), record(4, 4)], (0, 0, 0, 1)),
    ("a row that the source has not", [*(record(n, n) for n in (1, 2, 3, 4)), record(5, 4, _source_line=5)], (0, 0, 0, 1)),
    ("nothing at all", [], (4, 0, 0, 0)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_judge_finds_each_kind_of_defect(name, records, expected):
    """Missing, repeated, misordered and different records are each counted as what they are."""
    verdict = compare.judge(ROWS, records, "s3://b/k")
    assert (verdict.missing, verdict.repeated, verdict.misordered, verdict.different) == expected, str(verdict)
    assert verdict.clean == (expected == (0, 0, 0, 0))


def test_the_judge_minds_the_order_of_columns():
    """A record whose columns are not in the header's order is different."""
    turned = json.dumps({"b": "x", "a": "1", "_source_line": 1, "_source_file": "s3://b/k"}).encode()
    assert compare.judge(ROWS[:2], [Record(0, None, turned, 0)], "s3://b/k").different == 1


def test_generated_files_hold_what_they_promise(tmp_path):
    """Varied rows contain quoted newlines, quotes, commas, empty fields and Unicode, and have the promised count."""
    table = csvgen.varied(tmp_path / "v.csv", 20000, seed=3)
    rows = list(table.rows())
    assert len(rows) == 20001 and all(len(row) == 6 for row in rows)
    text = "".join("".join(row[1:]) for row in rows)
    assert all(piece in text for piece in ("\n", "\r\n", '"', ",", "東", "🦀"))
    assert any("" in row for row in rows)
    assert (tmp_path / "v.csv").read_bytes().count(b"\n") > 21000
    plain = csvgen.plain(tmp_path / "p.csv", 1000)
    assert {len(line) for line in (tmp_path / "p.csv").read_bytes().splitlines(True)[1:]} == {80}
    assert all(len(row) == 10 for row in csv.reader(open(plain.path, newline="")))


def test_signatures_hold_through_the_proxy(lab):
    """S3 and DynamoDB accept requests that were signed for the proxy's own address, and its faults arrive."""
    key = lab.put(b"0123456789" * 1000)
    with httpproxy.HttpProxy(lab.s3.endpoint) as s3, httpproxy.HttpProxy(lab.dynamodb.endpoint) as dynamodb:
        answer = client("s3", s3.endpoint, lab.identity).get_object(Bucket=lab.bucket, Key=key, Range="bytes=10-19")
        assert answer["Body"].read() == b"0123456789"
        assert s3.requests[-1].range == (10, 19)
        api = client("dynamodb", dynamodb.endpoint, lab.identity)
        api.put_item(TableName=lab.table, Item={"job_id": {"S": "x"}})
        assert dynamodb.requests[-1].operation == "PutItem"

        dynamodb.rule = lambda request: httpproxy.dynamodb_error("ProvisionedThroughputExceededException")
        with pytest.raises(api.exceptions.ProvisionedThroughputExceededException):
            api.put_item(TableName=lab.table, Item={"job_id": {"S": "x"}})
        s3.rule = lambda request: httpproxy.CutBody(100)
        with pytest.raises(Exception, match="(?i)incomplete|ended|broken|100 bytes"):
            client("s3", s3.endpoint, lab.identity).get_object(Bucket=lab.bucket, Key=key)["Body"].read()
        s3.rule = lambda request: httpproxy.s3_error(503, "SlowDown")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{s3.endpoint}/{lab.bucket}/{key}")


def test_the_signature_of_another_secret_is_refused(lab):
    """The stand-ins check signatures, so a run that they serve has signed right."""
    for service, endpoint in (("s3", lab.s3.endpoint), ("dynamodb", lab.dynamodb.endpoint)):
        api = client(service, endpoint, Identity(lab.identity.access_key, "wrong"))
        with pytest.raises(Exception, match="SignatureDoesNotMatch|InvalidSignature|signature"):
            api.list_buckets() if service == "s3" else api.list_tables()


@pytest.mark.parametrize("what", [proxy.LOSE_ANSWER, proxy.LOSE_REQUEST, proxy.TORN_REQUEST, proxy.TORN_ANSWER, proxy.LATE])
def test_the_proxy_does_its_harm(lab, what):
    """A client without idempotence repeats or keeps its records just as the fault says."""
    node = lab.own_node()
    topic = lab.topic()
    harmed = []

    def once(frame):
        if harmed:
            return proxy.PASS
        harmed.append(frame)
        return what

    with proxy.Proxy(node.proxy_port, node.proxied_port, once) as link:
        producer = Producer({"bootstrap.servers": lab.kafka.bootstrap_proxied, "acks": "all", "log_level": 0,
                             "enable.idempotence": False, "retry.backoff.ms": 300, "max.in.flight": 1})
        producer.produce(topic, b"hello", partition=0)
        assert producer.flush(20) == 0
        assert link.harm == 1 and harmed[0].api_key == proxy.PRODUCE
    found = [r.value for r in read_all(lab.kafka.bootstrap, topic)]
    assert len(found) == (1 if what in (proxy.LOSE_REQUEST, proxy.TORN_REQUEST) else 2)


def test_topic_ids_tell_a_remade_topic(lab):
    """Deleting and creating a topic works, and what it held is gone."""
    topic = lab.topic()
    producer = Producer({"bootstrap.servers": lab.kafka.bootstrap})
    producer.produce(topic, b"old", partition=0)
    producer.flush(10)
    lab.kafka.delete_topic(topic)
    lab.kafka.create_topic(topic)
    assert list(read_all(lab.kafka.bootstrap, topic)) == []
