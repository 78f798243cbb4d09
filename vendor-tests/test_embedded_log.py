"""`rehearse` without any server: its log is read by Kafka's own DumpLogSegments, not by our code."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from conftest import VERSIONS
from lab import csvgen, kafka
from lab.compare import judge
from lab.consumer import Record
from lab.job import COMPLETE, Job


def segment(job: Job) -> Path:
    """The one log that lies where the run said or below its working directory."""
    said = {Path(found) for found in re.findall(r"/[^\s'\"]+", job.runs[-1].said)}
    places = [job.directory, *(place for place in said if place.is_dir()), *(place.parent for place in said)]
    found = {log.resolve() for place in places if len(place.parts) > 2 for log in place.rglob("0" * 20 + ".log")}
    assert len(found) == 1, f"{found} after:\n{job.runs[-1].said}"
    return found.pop()


def dumped(version: str, log: Path) -> tuple[list[dict], list[Record]]:
    """Batches and records as Kafka's tool prints them."""
    text = kafka.tool(version, "kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", log)
    batches, records = [], []
    for line in text.split("\n"):
        if line.startswith("baseOffset:"):
            batches.append(dict(re.findall(r"(\w+): (\S+)", line)))
        elif line.lstrip().startswith("| offset:"):
            offset, payload = re.search(r"offset: (\d+) .*? payload: (.*)$", line).groups()
            records.append(Record(int(offset), None, payload.encode(), 0))
    return batches, records


@pytest.mark.parametrize(
    ("version", "compression"),
    [
        *((VERSIONS[0], name) for name in ("gzip", "zstd", "lz4", "snappy", "none")),
        # One compression is enough for the older readers.
        *((version, "gzip") for version in VERSIONS[1:]),
    ],
)
def test_kafka_reads_the_embedded_log(tmp_path, version, compression):
    """Every batch is valid, sequences go on without a gap, and every record is the row that it should be."""
    table = csvgen.varied(tmp_path / "in.csv", 5_000, seed=61)
    job = Job(tmp_path / "job", KAFKA_COMPRESSION=compression)
    job.run("rehearse", table.path)
    batches, records = dumped(version, segment(job))
    assert batches and {b["isvalid"] for b in batches} == {"true"}
    assert {b["compresscodec"].lower() for b in batches} == {compression}
    assert len({(b["producerId"], b["producerEpoch"]) for b in batches}) == 1
    following = 0
    for batch in batches:
        assert int(batch["baseSequence"]) == following
        following = int(batch["lastSequence"]) + 1
    verdict = judge(table.rows(), records, f"file:{table.path}")
    assert verdict.clean and verdict.records == 5_000, str(verdict)


def test_a_rehearsal_killed_and_resumed(tmp_path, rng):
    """Killed at random moments, the second call resumes, and Kafka's tool finds each row once."""
    table = csvgen.varied(tmp_path / "in.csv", 30_000, seed=62)
    job = Job(tmp_path / "job", MAX_ROWS_PER_SECOND=20_000, LEASE_SECONDS=1)
    for _ in range(5):
        run = job.start("rehearse", table.path)
        try:
            run.process.wait(rng.uniform(0.05, 0.4))
        except subprocess.TimeoutExpired:
            run.kill()
    job.run("rehearse", table.path, MAX_ROWS_PER_SECOND=None)
    _, records = dumped(VERSIONS[0], segment(job))
    verdict = judge(table.rows(), records, f"file:{table.path}")
    assert verdict.clean and verdict.records == 30_000, str(verdict)


def test_the_first_rows_and_print(tmp_path):
    """--rows stops after that many; --print writes to standard output exactly what would be sent."""
    table = csvgen.varied(tmp_path / "in.csv", 1_000, seed=63)
    job = Job(tmp_path / "job")
    run = job.run("rehearse", table.path, "--rows", 10, "--print")
    assert run.wait() == COMPLETE
    values = [line for line in run.out.split("\n") if line.startswith("{")]
    records = [Record(n, None, value.encode(), 0) for n, value in enumerate(values)]
    verdict = judge(table.rows(), records, f"file:{table.path}", up_to=10)
    assert verdict.clean and verdict.records == 10, str(verdict)
    assert all(json.loads(value) for value in values)
