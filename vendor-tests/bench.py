"""Rows per second, end to end, on this machine. Prints figures, asserts nothing about time.

    vendor-tests/run bench.py
"""

import os
import re

import pytest

from lab import csvgen
from lab.consumer import log_range

ROWS = int(os.environ.get("BENCH_ROWS", 5_000_000))


@pytest.fixture(scope="module")
def warm(own_cluster):
    """A broker as one would run it: with its optimizing compiler, which needs some rows to wake up."""
    return own_cluster(heap="1g", java=[])


@pytest.mark.bench
@pytest.mark.parametrize(
    ("source", "compression"),
    [("file", "gzip"), *(("s3", name) for name in ("gzip", "none", "lz4", "snappy", "zstd"))],
)
def test_rows_per_second(lab, warm, source, compression, figure):
    """80-byte rows, 10 columns, one local broker."""
    table = csvgen.plain(lab.dir / "in.csv", ROWS)
    key = lab.put(table.path)
    # The first round wakes the broker's compiler.
    for _ in range(2):
        topic = lab.topic(warm)
        job = (lab.job(key, topic, warm, KAFKA_COMPRESSION=compression) if source == "s3"
               else lab.job(None, topic, warm, SOURCE=str(table.path), KAFKA_COMPRESSION=compression))
        run = job.start(measure=True)
        assert run.wait(600) == 0, run.said
        assert log_range(warm.bootstrap, topic) == (0, ROWS)
        warm.delete_topic(topic)
    lab.s3.api.delete_object(Bucket=lab.bucket, Key=key)
    waited = re.search(r"waited_broker_percent=(\d+)", run.said)
    figure(f"{source}, {compression}: {ROWS} rows of 80 bytes in {run.elapsed:.2f} s: {ROWS / run.elapsed:,.0f} rows/s; "
           f"{run.cpu_seconds:.2f} s of CPU: {ROWS / run.cpu_seconds:,.0f} rows/s of CPU; "
           f"waited for the broker {waited[1] if waited else '?'} % of the time; peak {run.peak_kib / 1024:.1f} MiB")


@pytest.mark.bench
def test_proof_by_headers(lab, warm, figure):
    """`verify --headers` of a loaded job: the batch headers of all its rows, and no value."""
    table = csvgen.plain(lab.dir / "in.csv", ROWS)
    topic = lab.topic(warm)
    job = lab.job(None, topic, warm, SOURCE=str(table.path))
    job.run(seconds=900)
    run = job.start("verify", "--headers", measure=True)
    assert run.wait(300) == 0, run.said
    assert f"{ROWS:,}" in run.out, run.out
    figure(f"verify --headers: {ROWS} rows in {run.elapsed:.2f} s; {run.cpu_seconds:.2f} s of CPU; peak {run.peak_kib / 1024:.1f} MiB")
    warm.delete_topic(topic)
