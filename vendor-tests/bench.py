"""How fast, beside others, on one broker of this machine: see docs/performance.md.

    vendor-tests/bench
"""

import json
import os
import time
from statistics import median

import pytest

from lab import contest, csvgen, performance
from lab.consumer import log_range
from lab.distance import Distance
from lab.httpproxy import HttpProxy
from lab.job import BINARY
from lab.paced import Paced

TURNS = 5


@pytest.fixture(scope="module")
def warm(own_cluster):
    """A broker as one would run it: with its optimizing compiler, which needs some rows to wake up."""
    return own_cluster(heap="1g", java=[])


@pytest.fixture
def quick(request):
    return request.config.getoption("--quick")


def rows_for(quick: bool, rows: int) -> int:
    return max(1000, rows // 100) if quick else rows


def turn(contestant, warm, lab):
    topic = lab.topic(warm)
    try:
        return contest.take_turn(contestant, warm, topic, lab.dir)
    finally:
        warm.delete_topic(topic)


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_peers(lab, warm, quick, figure):
    """All contestants take turns; the first turn of each wakes the broker and is not counted."""
    before = performance.machine()

    def plain(name: str, rows: int):
        return csvgen.plain(lab.dir / f"{name}.csv", rows).path

    few, some, more, rows = (rows_for(quick, count) for count in (3_000, 100_000, 300_000, 2_000_000))
    csv, csv_more, csv_some, csv_few = plain("in", rows), plain("more", more), plain("some", some), plain("few", few)
    json_rows = rows_for(quick, 1_000_000)
    lines = lab.dir / "in.json"
    with open(lines, "w") as out:
        for number, row in enumerate(records_of(csv, json_rows), 1):
            out.write(json.dumps(row | {"_source_line": number, "_source_file": f"file:{csv}"}, separators=(",", ":")) + "\n")

    s3 = {"SOURCE": None, "CHECKPOINT": None, "S3_BUCKET": lab.bucket, "S3_KEY": lab.put(csv), "DYNAMODB_TABLE": lab.table,
          "AWS_ACCESS_KEY_ID": lab.identity.access_key, "AWS_SECRET_ACCESS_KEY": lab.identity.secret_key,
          "AWS_ENDPOINT_URL_S3": lab.s3.endpoint, "AWS_ENDPOINT_URL_DYNAMODB": lab.dynamodb.endpoint}
    contestants = [
        *(contest.ours(f"csv-to-kafka, {name}", rows, csv, warm, name) for name in ("gzip", "zstd", "lz4", "snappy", "none")),
        contest.ours("csv-to-kafka, gzip, S3 and DynamoDB", rows, csv, warm, "gzip", **s3),
        *(contest.light(rows, csv, warm, name) for name in ("gzip", "zstd", "lz4")),
        *(contest.kcat(json_rows, lines, warm, name) for name in ("gzip", "lz4")),
        contest.performance(json_rows, lines, warm, "gzip", 1),
        contest.performance(json_rows, lines, warm, "lz4", 1),
        contest.performance(json_rows, lines, warm, "lz4", 5),
        contest.bento(more, csv_more, warm),
        contest.python(some, csv_some, warm, "librdkafka", "Python on librdkafka"),
        contest.python(some, csv_some, warm, "generous", "Python, kafka-python, generous"),
        contest.python(few, csv_few, warm, "row", "Python, waiting per row"),
    ]
    began = time.monotonic()
    for number in range(1 + (1 if quick else TURNS)):
        for one in contestants:
            taken = turn(one, warm, lab)
            if number > 0:
                one.turns.append(taken)
    for one in contestants:
        figure(f"{one.name}: {', '.join(f'{rate:,.0f}' for rate in one.rates())} rows/s; {one.cpu_per_million():.2f} CPU s/M")
    what = f"{before}. {TURNS} turns each, all in one go of {time.monotonic() - began:.0f} s."
    text = performance.table(contestants)
    goals = performance.goals(contestants, os.path.getsize(BINARY))
    if quick:
        print(f"\n{text}\n{goals}")
        return
    performance.write("goals", goals)
    performance.write("peers", f"{what}\n\n{text}")
    performance.PICTURE.write_text(performance.picture(
        contestants, "80-byte rows of 10 columns, one partition, acks=all, one broker on the same machine; bar: median, line: least to most.\n"
        "Beside it CPU seconds per million rows. Peers begin with ready-made JSON or records where the table says so."))


def records_of(csv, rows):
    import csv as reader
    with open(csv, newline="") as file:
        for _, row in zip(range(rows), reader.DictReader(file)):
            yield row


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_distance(lab, warm, quick, figure):
    """Rows per second with so much of a round trip between us and the broker."""
    before = performance.machine()
    rows = rows_for(quick, 2_000_000)
    csv = csvgen.plain(lab.dir / "in.csv", rows).path
    node = warm.nodes[0]
    round_trips_ms = [0, 1, 5, 20]
    names = ["gzip", "zstd", "lz4"]
    rates = {(name, ms): [] for name in names for ms in round_trips_ms}
    with Distance(node.proxy_port, node.proxied_port) as distance:
        for _ in range(1 if quick else 3):
            for (name, ms), found in rates.items():
                distance.round_trip_seconds = ms / 1000
                one = contest.ours(name, rows, csv, warm, name, KAFKA_BOOTSTRAP_SERVERS=warm.bootstrap_proxied)
                taken = turn(one, warm, lab)
                found.append(rows / (taken.seconds - taken.first_seconds))
    lines = ["| | " + " | ".join(f"{ms} ms" for ms in round_trips_ms) + " | 5 ms of 0 ms |", "|---|" + "---|" * (len(round_trips_ms) + 1)]
    for name in names:
        at = {ms: median(rates[name, ms]) for ms in round_trips_ms}
        lines.append(f"| {name} | " + " | ".join(f"{at[ms]:,.0f}" for ms in round_trips_ms) + f" | {at[5] / at[0]:.0%} |")
    for line in lines:
        figure(line)
    if not quick:
        performance.write("distance", f"{before}. Median of 3.\n\n" + "\n".join(lines))


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_ahead(lab, warm, quick, figure):
    """Rows per second from a server that gives each connection so much: over one, and with reading ahead."""
    before = performance.machine()
    rows = rows_for(quick, 3_000_000)
    csv = csvgen.plain(lab.dir / "in.csv", rows).path
    s3 = {"SOURCE": None, "S3_BUCKET": lab.bucket, "S3_KEY": lab.put(csv), "AWS_ACCESS_KEY_ID": lab.identity.access_key,
          "AWS_SECRET_ACCESS_KEY": lab.identity.secret_key}
    ways = {"90 MB/s": 90e6, "25 MB/s": 25e6}
    turns = {(pace, name, ahead): [] for pace in ways for name in ("gzip", "zstd", "lz4") for ahead in ("off", "auto")}
    for _ in range(1 if quick else 3):
        for (pace, name, ahead), found in turns.items():
            way = Paced(lab.s3.port, ways[pace], first_byte_seconds=0.02)
            found.append(turn(contest.ours(name, rows, csv, warm, name, AWS_ENDPOINT_URL_S3=f"http://{way.address}",
                                           S3_READ_AHEAD=ahead, **s3), warm, lab))
            way.close()
    lines = ["| a connection brings | | over one, rows/s | reading ahead, rows/s | gain | peak RSS, MiB |", "|---|---|---|---|---|---|"]
    for pace in ways:
        for name in ("gzip", "zstd", "lz4"):
            one, several = (median(t.rows / t.seconds for t in turns[pace, name, ahead]) for ahead in ("off", "auto"))
            peaks = [median(t.peak_kib for t in turns[pace, name, ahead]) / 1024 for ahead in ("off", "auto")]
            lines.append(f"| {pace} | {name} | {one:,.0f} | {several:,.0f} | {several / one - 1:+.0%} | {peaks[0]:.1f} and {peaks[1]:.1f} |")
    for line in lines:
        figure(line)
    if not quick:
        performance.write("ahead", f"{before}. Median of 3.\n\n" + "\n".join(lines))


@pytest.mark.bench
def test_proof_by_headers(lab, warm, quick, figure):
    """`verify --headers` of a loaded job: the batch headers of all its rows, and no value."""
    rows = rows_for(quick, 5_000_000)
    table = csvgen.plain(lab.dir / "in.csv", rows)
    topic = lab.topic(warm)
    job = lab.job(None, topic, warm, SOURCE=str(table.path))
    job.run(seconds=900)
    run = job.start("verify", "--headers", measure=True)
    assert run.wait(300) == 0, run.said
    assert f"{rows:,}" in run.out, run.out
    figure(f"verify --headers: {rows} rows in {run.elapsed:.2f} s; {run.cpu_seconds:.2f} s of CPU; peak {run.peak_kib / 1024:.1f} MiB")
    warm.delete_topic(topic)


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_scale(lab, warm, full, quick, figure):
    """--full: 100,000,000 rows (8 GB) from S3, killed at 99 % and started again. Otherwise a hundredth."""
    before = performance.machine()
    rows = 100_000_000 if full else 1_000_000
    csv = csvgen.plain(lab.dir / "in.csv", rows).path
    source_bytes = csv.stat().st_size
    key = lab.name("in") + ".csv"
    lab.s3.take(lab.bucket, key, csv)
    topic = lab.topic(warm)
    log = warm.nodes[0].dir / "log" / f"{topic}-0"
    with HttpProxy(lab.s3.endpoint) as s3:
        job = lab.job(key, topic, warm)
        run = job.start(measure=True)
        steps, began = [(0, 0.0, 0)], time.monotonic()
        while run.alive() and steps[-1][0] < rows * 99 // 100:
            end = log_range(warm.bootstrap, topic)[1]
            if end >= min(steps[-1][0] + rows // 10, rows * 99 // 100):
                steps.append((end, time.monotonic() - began, run.status("VmRSS") or 0))
            time.sleep(0.02 if full else 0.001)
        run.kill()
        first_seconds, first_cpu = time.monotonic() - began, run.cpu_seconds
        item = lab.item(job)
        held = log_bytes(log)
        began = time.monotonic()
        run = job.start(measure=True, AWS_ENDPOINT_URL_S3=s3.endpoint)
        while run.alive() and log_bytes(log) == held:
            time.sleep(0.0005)
        resumed = time.monotonic() - began
        assert run.wait(600) == 0, run.said
        second_seconds = run.elapsed
        asked = int(item["header_bytes"]) + source_bytes - int(item["next_byte"])
        requests = [request for request in s3.requests if request.method == "GET"]
        # The header, the rest, and what is read ahead of it over several connections.
        first_bytes = sorted(request.range[0] for request in requests)
        assert first_bytes[0] == 0 and first_bytes[1] == int(item["next_byte"]), first_bytes[:3]
    assert log_range(warm.bootstrap, topic) == (0, rows)
    done = lab.item(job)
    began = time.monotonic()
    proof = job.start("verify", "--headers", measure=True)
    assert proof.wait(600) == 0, proof.said
    proved = time.monotonic() - began
    lines = ["| rows | seconds | rows/s since the line before | RSS, MiB |", "|---|---|---|---|"]
    for (row, seconds, _), (next_row, next_seconds, rss) in zip(steps, steps[1:]):
        lines.append(f"| {next_row:,} | {next_seconds:.1f} | {(next_row - row) / (next_seconds - seconds):,.0f} | {rss / 1024:.1f} |")
    lines += ["", f"Killed there, after {first_seconds:.1f} s, and started again: the first new record was there after "
              f"{resumed * 1000:.0f} ms, {asked / 1e6:.0f} of {source_bytes / 1e6:,.0f} MB were asked of S3 in {len(requests)} requests, "
              f"the rest took {second_seconds:.1f} s: {first_seconds + second_seconds:.0f} s in all, {first_cpu + run.cpu_seconds:.0f} s of "
              f"CPU. {int(done['revision']):,} writes of the "
              f"checkpoint in all; peak of the second run {run.peak_kib / 1024:.1f} MiB; {log_bytes(log) / rows:.1f} bytes a row in the log. "
              f"`verify --headers` proved it in {proved:.1f} s."]
    for line in lines:
        figure(line)
    warm.delete_topic(topic)
    lab.s3.api.delete_object(Bucket=lab.bucket, Key=key)
    if full:
        performance.write("scale", f"{before}.\n\n" + "\n".join(lines))


def log_bytes(log) -> int:
    return sum(segment.stat().st_size for segment in log.glob("*.log"))
