"""One thread and fixed memory, whatever the size of the file."""

import pytest

from lab import csvgen
from lab.consumer import log_range
from lab.job import Watch

PEAK_KIB_MAX = 16 * 1024


@pytest.mark.parametrize("compression", ["gzip", "none", "snappy", "lz4", "zstd"])
def test_a_file_of_20_mb(lab, compression, figure):
    """Threads: 1 throughout, peak at most 16 MiB, for each compression."""
    figure(measured(lab, 50_000, compression))


def test_a_file_of_2_gb(lab, figure):
    """A hundred times the file, the same memory."""
    figure(measured(lab, 5_000_000, "gzip", seconds=900))


def measured(lab, rows: int, compression: str, seconds: float = 300) -> str:
    table = csvgen.plain(lab.dir / "in.csv", rows, row_bytes=400)
    size = table.path.stat().st_size
    key = lab.put(table.path)
    table.path.unlink()
    # Records are deleted with the topic: 2 GB are not kept for the tests that follow.
    topic = lab.topic()
    job = lab.job(key, topic, KAFKA_COMPRESSION=compression)
    run = job.start(measure=True)
    watch = Watch(run)
    assert run.wait(seconds) == 0, run.said[-3000:]
    watch.join()
    assert log_range(lab.kafka.bootstrap, topic) == (0, rows)
    lab.kafka.delete_topic(topic)
    lab.s3.api.delete_object(Bucket=lab.bucket, Key=key)
    figures = f"{size / 1e6:.0f} MB, {compression}: peak {run.peak_kib / 1024:.1f} MiB, threads {watch.threads} in {watch.samples} samples"
    assert watch.threads == {1} and watch.samples > 10, figures
    assert run.peak_kib <= PEAK_KIB_MAX, figures
    return figures
