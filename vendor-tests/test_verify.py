"""`verify` and `status` on real brokers: what was copied is proved, and each harm to it is found and named."""

import hashlib
import json
import re
import time
from pathlib import Path

import pytest

from conftest import VERSIONS
from lab import csvgen
from lab.job import AGAIN, COMPLETE, MEND
from lab.golden import golden, normalised

DOCS = Path(__file__).resolve().parent.parent / "docs"


def looked(job, *arguments, expect=COMPLETE, **settings):
    """A command that only looks: it is given the ledger, the brokers and the credentials, nothing of the job."""
    nothing = dict.fromkeys(["S3_BUCKET", "S3_KEY", "SOURCE", "KAFKA_TOPIC", "KAFKA_PARTITION", "KAFKA_KEY_COLUMN",
                             "CSV_DELIMITER", "CSV_QUOTE", "CSV_HEADER", "ON_BAD_ROW", "KAFKA_DLQ_TOPIC", "VERIFY"])
    return job.run(*arguments, expect=expect, **(nothing | settings))


def record_of(job, *arguments, expect=COMPLETE) -> dict:
    """The audit record, held to its schema."""
    return shaped(json.loads(looked(job, "verify", "--json", *arguments, expect=expect).out), "verify")


def shaped(document: dict, name: str) -> dict:
    """As much of JSON schema as our two use, so that no other package is needed."""
    schema = json.loads((DOCS / f"{name}.schema.json").read_text())
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}

    def check(value, rule, place):
        if "$ref" in rule:
            rule = schema["$defs"][rule["$ref"].rsplit("/", 1)[1]]
        if "oneOf" in rule:
            rule = next(r for r in rule["oneOf"] if (r.get("type") == "null") == (value is None))
            return check(value, rule, place)
        types = rule.get("type", [])
        types = [types] if isinstance(types, str) else types
        assert not types or any(type(value) is kinds[kind] for kind in types), f"{place}: {value!r} is not {types}"
        assert value in rule.get("enum", [value]), f"{place}: {value!r}"
        if isinstance(value, dict):
            missing = set(rule.get("required", [])) - set(value)
            unknown = set(value) - set(rule["properties"])
            assert not missing and not unknown, f"{place}: without {missing}, with {unknown}"
            for key, inner in value.items():
                check(inner, rule["properties"][key], f"{place}.{key}")
        if isinstance(value, list):
            for index, inner in enumerate(value):
                check(inner, rule["items"], f"{place}[{index}]")

    check(document, schema, name)
    return document


def test_what_people_read(lab):
    """`status` and `verify` of a complete job, word for word."""
    rows = "".join(f"{n},name {n}\n" for n in range(1, 101))
    job = lab.job(lab.put(f"id,name\n{rows}".encode()), lab.topic())
    job.run()
    golden("status-complete.txt", normalised(looked(job, "status").out, lab, job))
    golden("verify-proved.txt", re.sub("sha256:[0-9a-f]{64}", "sha256:DIGEST", normalised(looked(job, "verify").out, lab, job)))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_copy_is_proved(lab, brokers, version, figure):
    """Every value and, apart, every header; the digest is the one that Python makes of what another client reads."""
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 300_000, seed=81)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, KAFKA_KEY_COLUMN=None)
    job.run()
    before = lab.item(job)
    headers = record_of(job, "--headers", "--exclusive")
    assert (headers["verdict"], headers["partition"]["records"]) == ("proved", 300_000)
    assert headers["partition"]["digest"] is None
    proof = record_of(job)
    figure(f"headers {headers['elapsed_ms']} ms, values {proof['elapsed_ms']} ms")
    assert (proof["verdict"], proof["partition"]["records"]) == ("proved", 300_000)
    digest = hashlib.sha256()
    for record in lab.records(job, cluster):
        digest.update(record.value + b"\n")
    assert proof["partition"]["digest"] == f"sha256:{digest.hexdigest()}"
    after = lab.item(job)
    assert after["digest"] == proof["partition"]["digest"] and after["verified_at"] >= before["timestamp"]
    assert {k: v for k, v in after.items() if k not in ("digest", "verified_at")} == before


def test_a_run_that_proves_at_its_end(lab):
    """VERIFY=full, and once more after the fact where the first run was not asked to."""
    table = csvgen.varied(lab.dir / "in.csv", 20_000, seed=82)
    job = lab.job(lab.put(table.path), lab.topic())
    run = job.run(VERIFY="full")
    assert ": proved" in run.out and lab.item(job)["digest"] in run.out
    other = lab.job(lab.put(table.path), lab.topic())
    other.run()
    assert "digest" not in lab.item(other)
    assert ": proved" in other.run(VERIFY="headers").out
    assert "verified_at" in lab.item(other)
    assert "proved" not in other.run(VERIFY="headers").out


def test_others_between_ours(lab):
    """Records of other producers are counted, a difference with --exclusive only, and told apart when they name our source."""
    from confluent_kafka import Producer
    topic = lab.topic()
    table = csvgen.varied(lab.dir / "in.csv", 5_000, seed=83)
    key = lab.put(table.path)
    job = lab.job(key, topic)
    job.run()
    producer = Producer({"bootstrap.servers": lab.kafka.bootstrap})
    for _ in range(7):
        producer.produce(topic, b"theirs", partition=0)
    producer.flush(10)
    assert record_of(job)["partition"]["others"] == 7
    refused = record_of(job, "--exclusive", expect=MEND)
    assert refused["partition"]["differences"][0]["kind"] == "others"
    again = lab.job(key, topic)
    again.run()
    found = record_of(job)["partition"]
    assert (found["others"], found["others_of_this_source"]) == (5_007, 5_000)
    assert record_of(again)["partition"]["records"] == 5_000


def test_bad_rows_are_looked_up_in_their_topic(lab):
    """Dead letters are compared too, in their topic."""
    rows = "".join(f"{n},x\n" if n % 10 else f"{n}\n" for n in range(1, 2_001))
    dead = lab.topic()
    job = lab.job(lab.put(b"id,v\n" + rows.encode()), lab.topic(), ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=dead)
    job.run()
    proof = record_of(job)
    assert (proof["source"]["rows"], proof["partition"]["records"]) == (2_000, 1_800)
    assert (proof["dead_letters"]["topic"], proof["dead_letters"]["records"]) == (dead, 200)
    assert record_of(job, "--headers")["dead_letters"]["records"] == 200


def test_a_source_that_was_replaced(lab):
    """The pinned object is gone: named, exit 1; the headers need no source."""
    table = csvgen.varied(lab.dir / "in.csv", 1_000, seed=84)
    key = lab.put(table.path)
    job = lab.job(key, lab.topic())
    job.run()
    lab.put(b"a,b\n1,2\n", key)
    run = looked(job, "verify", expect=MEND)
    assert "was replaced" in run.said
    assert record_of(job, "--headers")["verdict"] == "proved"


def test_records_deleted_by_retention(lab):
    """They are called deleted, never missing, and nothing is decided."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient
    table = csvgen.varied(lab.dir / "in.csv", 20_000, seed=85)
    topic = lab.topic()
    job = lab.job(lab.put(table.path), topic, MAX_ROWS_PER_SECOND=10_000)
    job.run()
    admin = AdminClient({"bootstrap.servers": lab.kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, 4_321)]).values():
        future.result(20)
    for arguments in [(), ("--headers",)]:
        proof = record_of(job, *arguments, expect=AGAIN)
        found = proof["partition"]
        assert (proof["verdict"], found["deleted_by_retention"], found["difference_count"]) == ("undecided", 4_321, 0)
    assert "deleted by retention" in looked(job, "verify", expect=AGAIN).out
    assert "verified_at" not in lab.item(job)


def test_what_can_not_be_proved_yet(lab):
    """No such job: 1. Not complete, or no broker: 75."""
    job = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic())
    assert "no job" in looked(job, "verify", expect=MEND).said
    assert looked(job, "status", expect=MEND)
    bad = lab.job(lab.put(b"a,b\n1,2\n3\n"), lab.topic())
    bad.run(expect=MEND)
    assert "not complete yet" in looked(bad, "verify", expect=AGAIN).said
    assert "row 2" in looked(bad, "status", expect=MEND).out
    job.run()
    from lab.ground import free_port
    looked(job, "verify", expect=AGAIN, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}", MAX_RETRIES=0)


def test_status_of_a_job_that_runs(lab):
    """Running, then complete; --watch sees it end; several jobs have the worst code."""
    table = csvgen.varied(lab.dir / "in.csv", 30_000, seed=86)
    job = lab.job(lab.put(table.path), lab.topic(), MAX_ROWS_PER_SECOND=8_000, CHECKPOINT_INTERVAL=1_000)
    run = job.start()
    for _ in range(100):
        if (lab.item(job) or {}).get("last_line", 0) > 0:
            break
        time.sleep(0.1)
    seen = shaped(json.loads(looked(job, "status", "--json", expect=AGAIN).out), "status")["jobs"][0]
    assert seen["standing"] == "running" and 0 < seen["rows"] < 30_000 and 0 < seen["percent"] < 100
    lines = looked(job, "status", "--watch", "--json").out.splitlines()
    assert run.wait() == COMPLETE
    standings = [shaped(json.loads(line), "status")["jobs"][0]["standing"] for line in lines]
    assert standings[0] == "running" and standings[-1] == "complete"
    name = job.settings["JOB_ID"]
    assert "complete" in looked(job, "status", name).out
    looked(job, "status", name, "no-such-job", expect=MEND)


def test_a_rehearsal_is_proved(tmp_path):
    """No server at all; a byte altered in the source is found."""
    from lab.job import Job
    table = csvgen.varied(tmp_path / "in.csv", 20_000, seed=87)
    job = Job(tmp_path / "job")
    run = job.run("rehearse", table.path, "--directory", "log")
    assert "verify --directory log" in run.out
    assert ": proved" in job.run("verify", "--directory", "log").out
    assert "complete" in job.run("status", "--directory", "log").out
    text = bytearray(table.path.read_bytes())
    at = next(n for n in range(len(text) // 2, len(text)) if text[n:n + 1].isalpha() and text[n] < 128)
    text[at] ^= 1
    table.path.write_bytes(text)
    run = job.run("verify", "--directory", "log", expect=MEND)
    assert "1 difference" in run.out and "from byte" in run.out
