"""`METRICS=emf` and `METRICS=cloudwatch`: lines by Amazon's specification, calls that a CloudWatch which checks
signatures takes; and a job that does not mind whatever becomes of them."""

import datetime
import json
import re
from pathlib import Path

import pytest

from lab import compare, csvgen
from lab.ground import free_port, wait_until
from lab.httpproxy import Answer, HttpProxy, LoseAnswer, StallBody, Wait
from lab.job import AGAIN, COMPLETE, MEND, Job
from lab.s3 import Identity, client

HERE = Path(__file__).resolve().parent
NAMESPACE = "CSVToKafka"
# Slow enough that several intervals of a second pass.
SLOW = {"METRICS_INTERVAL_SECONDS": 1, "MAX_ROWS_PER_SECOND": 1_000}
ROWS = 5_000


def documented() -> dict[str, tuple[str, str]]:
    """Name, unit and statistic of each metric, as dashboards find them in docs/metrics.md."""
    text = (HERE.parent / "docs" / "metrics.md").read_text()
    found = re.findall(r"^\| `(\w+)` \| (\S+) \| (\w+) \|", text, re.M)
    assert len(found) == 15
    return {name: (unit, statistic) for name, unit, statistic in found}


def hold(value, rule: dict, place: str = "line"):
    """As much of JSON schema as emf.schema.json uses."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    if "anyOf" in rule:
        problems = []
        for choice in rule["anyOf"]:
            try:
                return hold(value, choice, place)
            except AssertionError as problem:
                problems.append(str(problem))
        raise AssertionError("; ".join(problems))
    assert not isinstance(value, bool) and isinstance(value, kinds[rule["type"]]), f"{place}: {value!r} is no {rule['type']}"
    assert value in rule.get("enum", [value]), f"{place}: {value!r}"
    if isinstance(value, int):
        assert value >= rule.get("minimum", value), f"{place}: {value}"
    if isinstance(value, str):
        assert rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value)), f"{place}: {value!r}"
    if isinstance(value, list):
        assert rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)), f"{place}: {len(value)} items"
        for index, item in enumerate(value):
            hold(item, rule["items"], f"{place}[{index}]")
    if isinstance(value, dict):
        missing = set(rule.get("required", [])) - set(value)
        assert not missing, f"{place}: without {missing}"
        for key, inner in value.items():
            other = rule.get("additionalProperties", {})
            found = rule.get("properties", {}).get(key, other)
            assert found is not False, f"{place}: {key} is unknown"
            if found:
                hold(inner, found, f"{place}.{key}")


def emf(run, job_id: str) -> list[dict]:
    """The lines, each held to the specification and to the list of metrics."""
    schema = json.loads((HERE / "emf.schema.json").read_text())
    lines = [json.loads(line) for line in run.out.splitlines() if line.startswith('{"_aws"')]
    names = documented()
    for line in lines:
        hold(line, schema)
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == (NAMESPACE, [["JobId"]])
        assert line["JobId"] == job_id
        declared = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
        assert declared == {name: names[name][0] for name in declared}
        # All that is declared is there, and nothing else.
        assert set(line) == {"_aws", "JobId", *declared}
    return lines


def ended(run) -> dict:
    """The facts of the last line."""
    return json.loads([line for line in run.err.splitlines() if '"event":"ended"' in line][-1])


def missed(run) -> list[str]:
    return [line for line in run.err.splitlines() if "metrics_missed" in line and "ended" not in line]


def test_lines_are_by_the_specification(tmp_path):
    table = csvgen.plain(tmp_path / "in.csv", ROWS, row_bytes=100)
    job = Job(tmp_path / "job", METRICS="emf", LOG_FORMAT="json", JOB_ID='a "job"', **SLOW)
    run = job.run("rehearse", table.path)
    lines = emf(run, 'a "job"')
    assert 3 <= len(lines) <= run.elapsed + 2
    stamps = [line["_aws"]["Timestamp"] for line in lines]
    assert all(after - before >= 990 for before, after in zip(stamps, stamps[1:-1])), stamps
    # Every metric of the list came; at the end all is done.
    assert set().union(*lines) - {"_aws", "JobId"} == set(documented())
    last = lines[-1]
    assert (last["RecordsProcessed"], last["RecordsRemaining"]) == (ROWS, 0)
    assert (last["ProgressPercentage"], last["ETASeconds"], last["ETAMinutes"]) == (100, 0, 0)
    summary = ended(run)
    for metric, expected in [("BytesRead", summary["bytes_read"]), ("BytesRead", table.path.stat().st_size),
                             ("CheckpointCount", summary["checkpoints"]), ("RetryCount", 0), ("ErrorCount", 0)]:
        assert sum(line.get(metric, 0) for line in lines) == expected, metric


def test_lines_and_records_do_not_mix(tmp_path):
    table = csvgen.plain(tmp_path / "in.csv", 10, row_bytes=100)
    job = Job(tmp_path / "job", METRICS="emf")
    run = job.run("rehearse", table.path, "--print", expect=MEND)
    assert "METRICS=emf and --print both write to standard output" in run.err


def test_a_run_that_fails_counts_as_an_error(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n1,2,3\n")
    job = Job(tmp_path / "job", METRICS="emf")
    lines = emf(job.run("rehearse", tmp_path / "in.csv", expect=MEND), "rehearsal")
    assert lines[-1]["ErrorCount"] == 1 and lines[-1]["RecordsProcessed"] == 1


# -- CloudWatch ----------------------------------------------------------------------------

def cloudwatch(lab):
    return client("cloudwatch", lab.dynamodb.endpoint, lab.identity)


def task(lab, endpoint: str, rows: int = ROWS, **settings):
    """A job that meets nothing of AWS but CloudWatch."""
    lab.rows = csvgen.plain(lab.dir / "in.csv", rows, row_bytes=100)
    return lab.job(None, lab.topic(), SOURCE=lab.rows.path, CHECKPOINT="file:checkpoint", DYNAMODB_TABLE=None, **{
        "METRICS": "cloudwatch", "AWS_ENDPOINT_URL_CLOUDWATCH": endpoint, "LOG_FORMAT": "json", **SLOW, **settings})


def proved(lab, job):
    verdict = compare.judge(lab.rows.rows(), lab.records(job), f"file:{lab.rows.path}")
    assert verdict.clean, str(verdict)


@pytest.mark.parametrize("how", [{"METRICS": "cloudwatch"}, {"METRICS": None, "ENABLE_METRICS": "true"}])
def test_cloudwatch_takes_them(lab, how):
    """Read back from a CloudWatch that has checked the signatures: names, dimension, units, values."""
    with HttpProxy(lab.dynamodb.endpoint) as proxy:
        job = task(lab, proxy.endpoint, **how)
        run = job.run()
    assert not missed(run) and ended(run)["metrics_missed"] == 0
    # A call that takes long is followed by a longer pause, so that on a busy machine there may be but two.
    assert 2 <= len(proxy.requests) <= run.elapsed + 2
    assert {request.headers["authorization"].split("/")[3] for request in proxy.requests} == {"monitoring"}
    api, job_id = cloudwatch(lab), job.settings["JOB_ID"]
    dimensions = [{"Name": "JobId", "Value": job_id}]
    found = api.list_metrics(Namespace=NAMESPACE, Dimensions=dimensions)["Metrics"]
    assert {metric["MetricName"] for metric in found} == set(documented())
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    for name, (unit, statistic) in documented().items():
        points = api.get_metric_statistics(
            Namespace=NAMESPACE, MetricName=name, Dimensions=dimensions, StartTime=now - hour, EndTime=now + hour,
            Period=7200, Statistics=[statistic])["Datapoints"]
        assert points and {point["Unit"] for point in points} == {unit}, name
        if name == "RecordsProcessed":
            assert max(point[statistic] for point in points) == ROWS
        if name == "ProgressPercentage":
            assert max(point[statistic] for point in points) == 100
        if name == "BytesRead":
            assert sum(point[statistic] for point in points) <= ended(run)["bytes_read"]


OBSTACLES = {
    "an error": Answer(500, b"<html>"),
    "throttled": Answer(400, b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"),
    "a lost answer": LoseAnswer(),
    "silence": Wait(30),
    "an answer that stops": StallBody(10, 30),
}


@pytest.mark.parametrize("obstacle", list(OBSTACLES))
def test_a_job_does_not_mind_an_obstacle(lab, obstacle):
    """It completes with one warning, and asks seldom: no call while the pause after a failure lasts, and one at the end."""
    with HttpProxy(lab.dynamodb.endpoint, lambda _: OBSTACLES[obstacle]) as proxy:
        job = task(lab, proxy.endpoint)
        run = job.run()
    assert len(missed(run)) == 1, run.err
    asked = len(proxy.requests)
    assert ended(run)["metrics_missed"] == asked
    # At 0, 2, 6, 14 s, and at the end; after one that took its whole time not before minutes.
    assert 2 <= asked <= (2 if isinstance(OBSTACLES[obstacle], (Wait, StallBody)) else 5)
    proved(lab, job)


def test_a_job_does_not_mind_a_closed_port(lab):
    job = task(lab, f"http://127.0.0.1:{free_port()}")
    run = job.run()
    assert len(missed(run)) == 1, run.err
    proved(lab, job)


def test_a_job_does_not_mind_a_wrong_secret(lab):
    """Nor credentials that nobody has."""
    strange = Identity(lab.identity.access_key, "wrong")
    for keys, said in [
        ({"AWS_SECRET_ACCESS_KEY": strange.secret_key}, "SignatureDoesNotMatch"),
        ({"AWS_SECRET_ACCESS_KEY": None, "AWS_ACCESS_KEY_ID": None}, "no AWS credentials were found"),
    ]:
        job = task(lab, lab.dynamodb.endpoint, rows=2_000, **keys)
        run = job.run()
        [warning] = missed(run)
        assert said in warning, warning
        proved(lab, job)


def test_a_stop_does_not_wait_for_metrics(lab):
    """After a call that failed there is none at the end; where calls arrive, the last one comes too."""
    for rule, calls in [(lambda _: Wait(30), 1), (None, 2)]:
        with HttpProxy(lab.dynamodb.endpoint, rule) as proxy:
            job = task(lab, proxy.endpoint, rows=100_000, METRICS_INTERVAL_SECONDS=3600)
            run = job.start()
            wait_until("the first call", lambda: proxy.requests)
            run.terminate()
            assert run.wait(30) == AGAIN
        assert len(proxy.requests) == calls, run.err
        job.settings.update(METRICS="off", MAX_ROWS_PER_SECOND=None)
        job.run(expect=COMPLETE)
        proved(lab, job)
