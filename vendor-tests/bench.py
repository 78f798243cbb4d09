"""Rows per second, end to end, on this machine. Prints figures, asserts nothing about time.

    vendor-tests/run bench.py
"""

import os

import pytest

from lab import csvgen
from lab.consumer import log_range

ROWS = int(os.environ.get("BENCH_ROWS", 5_000_000))


@pytest.mark.bench
@pytest.mark.parametrize("compression", ["gzip", "none", "lz4", "snappy", "zstd"])
@pytest.mark.parametrize("source", ["s3", "file"])
def test_rows_per_second(lab, source, compression, figure):
    """80-byte rows, 10 columns, one local broker."""
    if source == "file" and compression != "gzip":
        pytest.skip("one is enough")
    table = csvgen.plain(lab.dir / "in.csv", ROWS)
    topic = lab.topic()
    if source == "s3":
        job = lab.job(lab.put(table.path), topic, KAFKA_COMPRESSION=compression)
    else:
        job = lab.job(None, topic, SOURCE=str(table.path), KAFKA_COMPRESSION=compression)
    run = job.start(measure=True)
    assert run.wait(600) == 0, run.said
    assert log_range(lab.kafka.bootstrap, topic) == (0, ROWS)
    lab.kafka.delete_topic(topic)
    figure(f"{source}, {compression}: {ROWS} rows of 80 bytes in {run.elapsed:.2f} s: {ROWS / run.elapsed:,.0f} rows/s; "
           f"{run.cpu_seconds:.2f} s of CPU: {ROWS / run.cpu_seconds:,.0f} rows/s of CPU; peak {run.peak_kib / 1024:.1f} MiB")
