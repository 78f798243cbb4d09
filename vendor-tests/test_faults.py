"""S3 and DynamoDB misbehave: the run goes on or stops as it should, and never loses a row."""

import time

import pytest

from lab import csvgen
from lab.consumer import log_range
from lab.httpproxy import CutBody, HttpProxy, LoseAnswer, LoseRequest, StallBody, Wait, dynamodb_error, s3_error
from lab.job import AGAIN, MEND

ROWS = 150_000


@pytest.fixture
def rows(lab):
    return csvgen.varied(lab.dir / "in.csv", ROWS, seed=51)


def body_requests(requests):
    """The GETs of the rows, not of the header alone."""
    return [r for r in requests if r.method == "GET" and (r.range[1] is None or r.range[1] - r.range[0] > 1000)]


@pytest.mark.parametrize("rst", [False, True], ids=["FIN", "RST"])
def test_bodies_cut_at_random_bytes(lab, rows, rng, full, rst, figure):
    """Every cut is followed by a request for just the byte that is missing, and all rows arrive."""
    cuts = 60 if full else 12
    size = rows.path.stat().st_size
    planned = []

    def rule(request):
        if len(planned) < cuts and size - request.range[0] > 200_000:
            planned.append(rng.choice([1, 100, rng.randint(1, 200_000), rng.randint(1, size // cuts)]))
            return CutBody(planned[-1], rst)
        return None

    with HttpProxy(lab.s3.endpoint, rule) as s3:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint)
        job.run(seconds=600)
        gets = body_requests(s3.requests)
    lab.proved(job, rows)
    if not rst:  # a reset may discard what was already on its way
        starts = [r.range[0] for r in gets]
        for (request, cut), following in zip(s3.faults, starts[1:]):
            assert following == request.range[0] + cut.after, f"asked for {following} after {request.range[0]} + {cut.after}"
    assert all(r.headers.get("if-match") for r in gets[1:])
    figure(f"{len(planned)} cuts")


@pytest.mark.parametrize("answer", [s3_error(503, "SlowDown"), s3_error(500, "InternalError"), s3_error(503, "ServiceUnavailable"),
                                    LoseRequest()], ids=["503 SlowDown", "500", "503", "hang up"])
def test_s3_is_in_trouble_for_a_while(lab, rows, answer):
    """Two refusals of each request kind, then it goes on."""
    seen = {}

    def rule(request):
        kind = (request.method, request.range[0])
        seen[kind] = seen.get(kind, 0) + 1
        return answer if seen[kind] <= 2 else None

    with HttpProxy(lab.s3.endpoint, rule) as s3:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint)
        job.run()
        assert s3.faults
    lab.proved(job, rows)


def test_s3_is_in_trouble_for_good(lab, rows):
    """In mid-file S3 answers 503 only: exit 75 with the progress saved; when it is back the next run completes."""
    half = rows.path.stat().st_size // 2
    with HttpProxy(lab.s3.endpoint) as s3:
        def rule(request):
            start, end = request.range
            if start >= half:
                return s3_error(503, "SlowDown")
            return CutBody(half - start) if end is None or end > half else None

        s3.rule = rule
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint)
        job.run(expect=AGAIN, MAX_RETRIES=2)
        item = lab.item(job)
        assert item["status"] == "INTERRUPTED" and item["last_line"] > ROWS // 4
        lab.proved(job, rows, up_to=item["last_line"])
        s3.rule = None
        job.run()
    lab.proved(job, rows)


def test_a_short_stall(lab, rows):
    """A body that pauses for a few seconds goes on where it was: no second request."""
    half = rows.path.stat().st_size // 2
    with HttpProxy(lab.s3.endpoint, lambda r: StallBody(half, 4)) as s3:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint)
        job.run()
        assert len(body_requests(s3.requests)) == 1
    lab.proved(job, rows)


def test_a_long_stall(lab, rows):
    """A body that is silent for half a minute is dropped and asked for again at the failing byte."""
    half = rows.path.stat().st_size // 2
    stalled = []

    def rule(request):
        if not stalled and (request.range[1] is None or request.range[1] > half):
            stalled.append(request)
            return StallBody(half, 60)
        return None

    with HttpProxy(lab.s3.endpoint, rule) as s3:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint)
        job.run()
        assert body_requests(s3.requests)[1].range[0] == stalled[0].range[0] + half
    lab.proved(job, rows)


def test_the_object_is_replaced_in_mid_run(lab, rows):
    """The connection breaks and S3 then answers 412: exit 1, both ETags, and what was sent is the old object's beginning."""
    other = csvgen.varied(lab.dir / "other.csv", ROWS, seed=52)
    key = lab.put(rows.path)
    half = rows.path.stat().st_size // 2
    etags = []

    cut = []

    def cut_then_replace(request):
        """The first body is cut; the object is another one before the next request is handed on."""
        if request.range[1] is None or request.range[1] > half:
            if not cut:
                cut.append(request)
                return CutBody(half)
            if not etags:
                etags.append(lab.s3.put(lab.bucket, key, other.path))
        return None

    with HttpProxy(lab.s3.endpoint, cut_then_replace) as s3:
        job = lab.job(key, lab.topic(), AWS_ENDPOINT_URL_S3=s3.endpoint)
        run = job.run(expect=MEND)
    item = lab.item(job)
    assert item["etag"].strip('"') in run.said and etags[0].strip('"') in run.said, run.said
    verdict = lab.proved(job, rows, up_to=item["last_line"])
    assert 0 < verdict.records < ROWS
    assert item["status"] == "FAILED"


# -- DynamoDB ----------------------------------------------------------------------------------
@pytest.mark.parametrize("fault", [dynamodb_error("ProvisionedThroughputExceededException"), dynamodb_error("ThrottlingException"),
                                   dynamodb_error("InternalServerError", 500), LoseRequest(), LoseAnswer(), Wait(2)],
                         ids=["throttled", "throttling", "500", "hang up", "lost answer", "slow"])
def test_dynamodb_fails_every_second_time(lab, rows, fault, rng):
    """Half of all requests fail, reads and writes: the job completes, at most with another start."""
    with HttpProxy(lab.dynamodb.endpoint, lambda request: fault if rng.random() < 0.5 else None) as ledger:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_DYNAMODB=ledger.endpoint,
                      CHECKPOINT_INTERVAL=1000, MAX_ROWS_PER_SECOND=40_000, LEASE_SECONDS=1)
        job.until_complete(MAX_RETRIES=8)
        assert ledger.faults
    lab.proved(job, rows)
    item = lab.item(job)
    assert item["status"] == "COMPLETED" and item["total_sent"] == ROWS


def test_dynamodb_fails_for_good(lab, rows):
    """From mid-run on every request is throttled: rows go on, the end can not be recorded, exit 75; the next run repeats nothing."""
    writes = []

    def rule(request):
        if request.operation in ("UpdateItem", "PutItem"):
            writes.append(request)
        return dynamodb_error("ProvisionedThroughputExceededException") if len(writes) > 3 else None

    with HttpProxy(lab.dynamodb.endpoint, rule) as ledger:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_DYNAMODB=ledger.endpoint, MAX_ROWS_PER_SECOND=40_000)
        job.run(expect=AGAIN, MAX_RETRIES=2)
        behind = lab.item(job)
        end = log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"])[1]
        assert behind["status"] != "COMPLETED" and behind["last_line"] < end == ROWS
        ledger.rule = None
        job.until_complete(LEASE_SECONDS=1)
    assert lab.proved(job, rows).records == ROWS
    assert lab.item(job)["total_sent"] == ROWS


def test_dynamodb_is_gone_before_the_first_row(lab, rows):
    """Nothing may be sent before the identity is stored."""
    with HttpProxy(lab.dynamodb.endpoint, lambda r: dynamodb_error("ProvisionedThroughputExceededException")
                   if r.operation != "GetItem" else None) as ledger:
        job = lab.job(lab.put(rows.path), lab.topic(), AWS_ENDPOINT_URL_DYNAMODB=ledger.endpoint)
        job.run(expect=AGAIN, MAX_RETRIES=2)
    assert log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, 0)
    job.until_complete(AWS_ENDPOINT_URL_DYNAMODB=lab.dynamodb.endpoint)
    lab.proved(job, rows)


def test_an_item_that_another_program_overwrote(lab, rows):
    """The Python processor has written over the item in mid-job: the run finds out and stops, exit 1."""
    job = lab.job(lab.put(rows.path), lab.topic())
    run = job.start(MAX_ROWS_PER_SECOND=20_000, CHECKPOINT_INTERVAL=1000)
    while (lab.item(job) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    lab.dynamodb.put(lab.table, {"job_id": job.settings["JOB_ID"], "last_line": 5, "total_sent": 5, "timestamp": int(time.time())})
    code = run.wait(60)
    assert code == MEND, f"exit {code}: {run.said}"
