"""Stopped in good order and started again: nothing lost, nothing repeated, nothing read twice."""

import json
import signal
import subprocess
import time

from lab import csvgen
from lab.consumer import log_range, read_all
from lab.httpproxy import HttpProxy
from lab.job import AGAIN, COMPLETE


def test_twenty_stops(lab, rng, figure):
    """SIGTERM twenty times at random moments; each resume asks S3 only for the header and from next_byte on."""
    rows, stops = 400_000, 20
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=41)
    waits, done = [], 0
    with HttpProxy(lab.s3.endpoint) as s3:
        job = lab.job(lab.put(table.path), lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint, MAX_ROWS_PER_SECOND=8_000)
        while done < stops:
            item = lab.item(job)
            s3.requests.clear()
            run = job.start()
            time.sleep(rng.uniform(0, 0.5))
            asked = time.monotonic()
            run.signal(rng.choice([signal.SIGTERM, signal.SIGINT]))
            code = run.wait(30)
            waits.append(time.monotonic() - asked)
            # A signal before the handler stands ends the process as signals do.
            assert code in (AGAIN, -signal.SIGTERM, -signal.SIGINT), f"exit {code}: {run.said}"
            done += 1
            only_what_is_needed(s3.requests, item)
            assert item is None or lab.item(job)["last_line"] >= item["last_line"]
        item = lab.item(job)
        s3.requests.clear()
        job.run(MAX_ROWS_PER_SECOND=None)
        only_what_is_needed(s3.requests, item)
    verdict = lab.proved(job, table)
    assert lab.item(job)["total_sent"] == rows
    figure(f"{stops} stops, slowest {max(waits):.2f} s; {verdict}")


def only_what_is_needed(requests, item):
    gets = [request for request in requests if request.method == "GET"]
    if item is None or "etag" not in item:
        return
    # Before the first row is through, the next byte is that behind the header.
    rest = {item["next_byte"], max(item["next_byte"], item["header_bytes"])}
    allowed = {(0, item["header_bytes"] - 1)} | {(begin, end) for begin in rest for end in (None, item["source_bytes"] - 1)}
    for request in gets:
        assert request.range in allowed, f"asked for {request.range}, needed only {allowed}"
        assert request.headers.get("if-match") == item["etag"]
    assert len(gets) <= 2, [request.range for request in gets]


def test_a_resume_near_the_end_of_a_long_file(lab, full, figure):
    """At 99 % of a long object a resume begins producing at once, having read only the header and the rest."""
    rows = 100_000_000 if full else 3_000_000
    path = lab.dir / "long.csv"
    with open(path, "w") as out:
        out.write("id,v\n")
        for start in range(1, rows + 1, 100_000):
            out.write("".join(f"{n},{n % 97}\n" for n in range(start, start + 100_000)))
    size = path.stat().st_size
    key = lab.put(path)
    path.unlink()
    topic = lab.topic()
    with HttpProxy(lab.s3.endpoint) as s3:
        job = lab.job(key, topic, AWS_ENDPOINT_URL_S3=s3.endpoint)
        # Not so fast that it is done before somebody looks: on a busy machine that takes a second.
        for part, rate in ((0.7, rows // 5), (0.95, rows // 25), (0.99, rows // 150)):
            run = job.start(MAX_ROWS_PER_SECOND=rate)
            while run.alive() and log_range(lab.kafka.bootstrap, topic)[1] < rows * part:
                time.sleep(0.02)
            run.terminate()
            assert run.wait(30) == AGAIN, run.said
        item = lab.item(job)
        end = log_range(lab.kafka.bootstrap, topic)[1]
        assert rows * 0.9 < item["last_line"] == end < rows
        s3.requests.clear()
        started = time.monotonic()
        run = job.start(MAX_ROWS_PER_SECOND=rows // 200)
        while run.alive() and log_range(lab.kafka.bootstrap, topic)[1] == end:
            pass
        began = time.monotonic() - started
        assert run.wait(120) == COMPLETE, run.said
        only_what_is_needed(s3.requests, item)
    assert log_range(lab.kafka.bootstrap, topic) == (0, rows)
    last = list(read_all(lab.kafka.bootstrap, topic, offset=end - 1))
    assert [json.loads(r.value)["_source_line"] for r in last] == list(range(end, rows + 1))
    lab.kafka.delete_topic(topic)
    figure(f"resumed at row {end + 1} of {rows} ({size / 1e6:.0f} MB): the first new record was there after {began:.2f} s")


def test_a_resume_at_row_99_of_100_million(lab, full, figure):
    """What a resume costs does not grow with what is behind it: the checkpoint of a job that has just begun is moved to 99 % of the
    object, under an identity that begins as many rows later, so that nothing has to be loaded before."""
    rows = 100_000_000 if full else 10_000_000
    done = rows - rows // 100
    path = lab.dir / "very-long.csv"
    with open(path, "wb") as out:
        out.write(b"id\n")
        out.flush()
        subprocess.run(["seq", str(10**9 + 1), str(10**9 + rows)], stdout=out, check=True)
    size, row_bytes = path.stat().st_size, 11
    assert size == 3 + rows * row_bytes
    key = lab.put(path)
    path.unlink()
    topic = lab.topic()
    with HttpProxy(lab.s3.endpoint) as s3:
        job = lab.job(key, topic, AWS_ENDPOINT_URL_S3=s3.endpoint)
        run = job.start(MAX_ROWS_PER_SECOND=1_000)
        while run.alive() and log_range(lab.kafka.bootstrap, topic)[1] == 0:
            time.sleep(0.02)
        run.terminate()
        assert run.wait(30) == AGAIN, run.said
        item = lab.item(job)
        end = log_range(lab.kafka.bootstrap, topic)[1]
        assert 0 < item["last_line"] == end
        item |= {"last_line": done, "total_sent": done, "next_byte": 3 + done * row_bytes}
        item["producers"][-1]["base_record"] = done - end
        lab.dynamodb.put(lab.table, item)
        s3.requests.clear()
        started = time.monotonic()
        run = job.start()
        while run.alive() and log_range(lab.kafka.bootstrap, topic)[1] == end:
            pass
        began = time.monotonic() - started
        assert run.wait(600) == COMPLETE, run.said
        only_what_is_needed(s3.requests, item)
    assert log_range(lab.kafka.bootstrap, topic) == (0, end + rows - done)
    first = next(iter(read_all(lab.kafka.bootstrap, topic, offset=end)))
    assert json.loads(first.value)["_source_line"] == done + 1
    asked = int(item["header_bytes"]) + size - int(item["next_byte"])
    lab.s3.api.delete_object(Bucket=lab.bucket, Key=key)
    figure(f"resumed at row {done + 1} of {rows} ({size / 1e6:.0f} MB): the first new record was there after {began:.2f} s, "
           f"with {asked / 1e6:.1f} MB asked of S3 in all")


def test_a_stop_while_the_broker_is_frozen(lab, own_cluster):
    """With a broker that does not answer, SIGTERM still ends the run, and the next one settles what had landed."""
    cluster = own_cluster()
    table = csvgen.varied(lab.dir / "in.csv", 300_000, seed=42)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, MAX_ROWS_PER_SECOND=60_000)
    run = job.start()
    while (lab.item(job) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    cluster.nodes[0].server.freeze()
    time.sleep(0.5)
    run.terminate()
    try:
        assert run.wait(30) == AGAIN, run.said
    finally:
        cluster.nodes[0].server.thaw()
    job.run(MAX_ROWS_PER_SECOND=None)
    lab.proved(job, table, cluster)
    cluster.stop()


def test_a_second_signal(lab):
    """Two signals end the run at once, and starting again is safe."""
    table = csvgen.varied(lab.dir / "in.csv", 100_000, seed=43)
    job = lab.job(lab.put(table.path), lab.topic())
    run = job.start(MAX_ROWS_PER_SECOND=20_000)
    while (lab.item(job) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.terminate()
    run.terminate()
    assert run.wait(10) != COMPLETE
    job.until_complete(LEASE_SECONDS=1)
    lab.proved(job, table)


def test_a_complete_job_started_again(lab):
    """A job that is complete stays so: a start sends nothing and changes nothing."""
    table = csvgen.varied(lab.dir / "in.csv", 1000, seed=44)
    job = lab.job(lab.put(table.path), lab.topic())
    job.run()
    item = lab.item(job)
    job.run()
    assert lab.item(job) == item
    lab.proved(job, table)
