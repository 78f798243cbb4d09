"""A job that the Python processor began: its rows are found in the partition, and ours follow them."""

import json
import time

import pytest
from confluent_kafka import Producer

from lab import csvgen
from lab.consumer import log_range
from lab.job import MEND

ROWS, THEIRS = 20_000, 7_000


def written_by_python(lab, job, table, count):
    """What the processor sent: kafka-python, one JSON object a row, non-ASCII escaped, spaces after separators."""
    producer = Producer({"bootstrap.servers": lab.kafka.bootstrap, "compression.type": "gzip", "linger.ms": 5})
    rows = table.rows()
    header = next(rows)
    for line, row in zip(range(1, count + 1), rows):
        value = dict(zip(header, row)) | {"_source_line": line, "_source_file": lab.source(job)}
        producer.produce(job.settings["KAFKA_TOPIC"], json.dumps(value).encode(), partition=0)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("name, last_line, status, strangers", [
    ("the item is right", THEIRS, None, 0),
    ("the item lags behind", THEIRS - 650, "IN_PROGRESS", 0),
    ("the item has the row that failed", THEIRS + 1, "FAILED", 0),
    ("others have written since", THEIRS - 1, "IN_PROGRESS", 3_000),
], ids=lambda value: value if isinstance(value, str) and " " in value else "")
def test_its_rows_are_not_sent_again(lab, name, last_line, status, strangers):
    """Whatever its checkpoint says, the last record in the partition decides, and each row is there once."""
    table = csvgen.varied(lab.dir / "in.csv", ROWS, seed=91)
    job = lab.job(lab.put(table.path), lab.topic())
    written_by_python(lab, job, table, THEIRS)
    producer = Producer({"bootstrap.servers": lab.kafka.bootstrap})
    for _ in range(strangers):
        producer.produce(job.settings["KAFKA_TOPIC"], b'{"_source_file": "s3://another/file", "_source_line": 9}', partition=0)
    producer.flush(30)
    item = {"job_id": job.settings["JOB_ID"], "last_line": last_line, "total_sent": last_line, "timestamp": int(time.time())}
    lab.dynamodb.put(lab.table, item | ({"status": status} if status else {}))
    run = job.start(MAX_ROWS_PER_SECOND=5_000)
    time.sleep(1)
    run.kill()  # the same holds for a crash of ours on top of that
    job.until_complete(LEASE_SECONDS=1)
    from lab.compare import judge
    records = (record for record in lab.records(job) if b"s3://another/file" not in record.value)
    verdict = judge(table.rows(), records, lab.source(job))
    assert verdict.clean and verdict.records == ROWS, str(verdict)
    assert lab.item(job)["last_line"] == ROWS and lab.item(job)["status"] == "COMPLETED"


def test_a_checkpoint_without_its_records(lab):
    """The item says that rows were sent, the partition holds none of them: exit 1, nothing sent."""
    table = csvgen.varied(lab.dir / "in.csv", 1_000, seed=92)
    topic = lab.topic()
    job = lab.job(lab.put(table.path), topic)
    lab.dynamodb.put(lab.table, {"job_id": job.settings["JOB_ID"], "last_line": 500, "total_sent": 500, "timestamp": 1})
    run = job.run(expect=MEND)
    assert "500" in run.said and topic in run.said
    assert log_range(lab.kafka.bootstrap, topic) == (0, 0)
