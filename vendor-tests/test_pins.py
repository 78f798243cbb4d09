"""What a job is pinned to: a run that differs sends nothing, changes nothing and prints both values."""

import time

import pytest

from lab import csvgen
from lab.consumer import log_range
from lab.job import AGAIN, COMPLETE, MEND


def interrupted(lab, table, **settings):
    """A job that was stopped somewhere in the middle."""
    job = lab.job(lab.put(table.path), lab.topic(partitions=2), **settings)
    run = job.start(MAX_ROWS_PER_SECOND=20_000)
    while run.alive() and (lab.item(job) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.terminate()
    assert run.wait() == AGAIN, run.said
    item = lab.item(job)
    assert item["status"] == "INTERRUPTED" and 0 < item["last_line"] < table.row_count
    return job


@pytest.mark.parametrize("state", ["interrupted", "completed"])
def test_a_changed_pin(lab, brokers, state):
    """Topic, partition, delimiter, quote, columns, key column, object and cluster: exit 1, both values, nothing sent or written."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, columns=3, seed=31)
    job = interrupted(lab, table)
    if state == "completed":
        job.run()
    item = lab.item(job)
    topic, other_topic = job.settings["KAFKA_TOPIC"], lab.topic(partitions=2)
    other_key = lab.put(table.path)
    cluster = brokers("3.9.1")
    cluster.create_topic(topic, partitions=2)
    ends = [log_range(lab.kafka.bootstrap, topic, n) for n in (0, 1)]
    changes = [
        ({"KAFKA_TOPIC": other_topic}, [topic, other_topic]),
        ({"KAFKA_PARTITION": 1}, ["0", "1"]),
        ({"CSV_DELIMITER": ";"}, ["CSV_DELIMITER: begun with ,, now ;"]),
        ({"CSV_QUOTE": "'"}, ["CSV_QUOTE: begun with \", now '"]),
        ({"CSV_COLUMNS": "one,two,three"}, ["CSV_COLUMNS: begun with none, now [\"one\""]),
        ({"KAFKA_KEY_COLUMN": "id"}, ["KAFKA_KEY_COLUMN", "id"]),
        ({"S3_KEY": other_key}, [job.settings["S3_KEY"], other_key]),
        ({"KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap}, [item["cluster_id"]]),
    ]
    problems = []
    for settings, values in changes:
        run = job.run(expect=None, **settings)
        if state == "completed" and "KAFKA_BOOTSTRAP_SERVERS" in settings and run.code == COMPLETE:
            pass  # a completed job needs no broker to say that it is complete
        elif run.code != MEND:
            problems.append(f"{settings}: exit {run.code}: {run.said[-500:]}")
        elif missing := [value for value in values if value not in run.said]:
            problems.append(f"{settings}: {missing} not in: {run.said[-800:]}")
        if lab.item(job) != item:
            if "KAFKA_BOOTSTRAP_SERVERS" in settings:
                continue  # the cluster is known only after the job was taken, and the refusal is recorded
            problems.append(f"{settings}: the item was changed")
            item = lab.item(job)
    assert not problems, "\n\n".join(problems)
    assert ends == [log_range(lab.kafka.bootstrap, topic, n) for n in (0, 1)]
    assert log_range(lab.kafka.bootstrap, other_topic) == (0, 0)
    assert log_range(cluster.bootstrap, topic) == (0, 0)
    job.run()
    lab.proved(job, table)


@pytest.mark.parametrize("state", ["interrupted", "completed"])
def test_a_replaced_object(lab, state):
    """The object under the same key was replaced: exit 1, both ETags, nothing sent."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, columns=3, seed=32)
    other = csvgen.varied(lab.dir / "other.csv", 60_000, columns=3, seed=33)
    job = interrupted(lab, table)
    if state == "completed":
        job.run()
    item = lab.item(job)
    end = log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"])
    new_etag = lab.s3.put(lab.bucket, job.settings["S3_KEY"], other.path)
    run = job.run(expect=(MEND, COMPLETE) if state == "completed" else MEND)
    if run.code == MEND:
        assert item["etag"].strip('"') in run.said and new_etag.strip('"') in run.said and "JOB_ID" in run.said, run.said
    assert log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == end
    assert lab.item(job)["last_line"] == item["last_line"]


def test_what_may_change(lab):
    """Compression, checkpoint interval, lease, log level and rate are not pinned."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, columns=3, seed=34)
    job = interrupted(lab, table, KAFKA_COMPRESSION="gzip")
    job.run(KAFKA_COMPRESSION="zstd", CHECKPOINT_INTERVAL=500, LEASE_SECONDS=5, LOG_LEVEL="debug")
    lab.proved(job, table)
