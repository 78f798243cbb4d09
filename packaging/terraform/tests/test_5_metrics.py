"""Dashboard and alarms name only what the program emits, and ring only when they should."""

import json
import re

from lab.job import Job
from stand import ROOT

NAMESPACE = "CSVToKafka"


def emitted() -> dict[str, str]:
    """Metric to statistic: the table of docs/metrics.md, which the program's own tests compare with its code."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    return dict(re.findall(r"^\| `([A-Z][A-Za-z]+)` \| [\w/]+ \| (\w+) \|", text, re.M))


def test_the_dashboard_names_what_is_emitted(fargate):
    names = emitted()
    assert len(names) >= 15
    body = json.loads(fargate.one("aws_cloudwatch_dashboard")["dashboard_body"])
    drawn = [metric for widget in body["widgets"] if widget["type"] == "metric" for metric in widget["properties"]["metrics"]]
    for namespace, name, dimension, job_id, options in drawn:
        assert namespace == NAMESPACE and names[name] == options["stat"] and (dimension, job_id) == ("JobId", "orders-2026-01")
    # Minutes are seconds, drawn once.
    assert {metric[1] for metric in drawn} == set(names) - {"ETAMinutes"}
    places = [(w["x"], w["y"]) for w in body["widgets"]]
    assert len(set(places)) == len(places), "widgets lie on each other"


def test_the_alarms_name_what_is_emitted(fargate, batch, spot):
    for applied in (fargate, batch, spot):
        alarms = applied.planned("aws_cloudwatch_metric_alarm")
        filtered = applied.one("aws_cloudwatch_log_metric_filter")["metric_transformation"][0]
        kinds = set()
        topic = applied.one("aws_sns_topic")["arn"]
        assert all(set(alarm["alarm_actions"]) == {topic} for alarm in applied.all("aws_cloudwatch_metric_alarm"))
        for alarm in alarms:
            assert alarm["treat_missing_data"] == "notBreaching", "rings while no job runs"
            if alarm["namespace"] == NAMESPACE:
                assert emitted()[alarm["metric_name"]] == alarm["statistic"] and alarm["dimensions"] == {"JobId": "orders-2026-01"}
            elif alarm["namespace"] == "AWS/States":
                assert alarm["metric_name"] in {"ExecutionsFailed", "ExecutionsTimedOut"}
            else:
                assert (alarm["namespace"], alarm["metric_name"]) == (filtered["namespace"], filtered["name"])
            kinds.add(alarm["metric_name"])
        assert {"SecondsSinceProgress", "ErrorCount", filtered["name"]} <= kinds


def counts(line: str) -> bool:
    """The filter's pattern, read by hand: ($.event = "ended" && $.exit_code = 1) || $.event = "gave_up"."""
    said = json.loads(line) if line.startswith("{") else {}
    return (said.get("event") == "ended" and said.get("exit_code") == 1) or said.get("event") == "gave_up"


def test_the_failed_alarm_finds_the_last_line(fargate, tmp_path):
    """The program's own lines: one with exit code 1 is counted, those with 0 and 75 are not."""
    pattern = fargate.one("aws_cloudwatch_log_metric_filter")["pattern"]
    assert pattern == '{ ($.event = "ended" && $.exit_code = 1) || $.event = "gave_up" }'
    source = tmp_path / "in.csv"
    source.write_text("a,b\n1,2\n")
    job = Job(tmp_path / "job", LOG_FORMAT="json")
    for arguments, code, found in [
        (["rehearse", str(source)], 0, 0),
        (["rehearse", str(tmp_path / "absent.csv")], 1, 1),
        (["run"], 1, 1),
    ]:
        lines = job.run(*arguments, expect=code).err.splitlines()
        assert lines and sum(map(counts, lines)) == found, lines
    again = Job(tmp_path / "again", LOG_FORMAT="json", SOURCE=str(source), CHECKPOINT=f"file:{tmp_path}/c", KAFKA_TOPIC="t",
                KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", MAX_RETRIES=0)
    lines = again.run(expect=75).err.splitlines()
    assert sum(map(counts, lines)) == 0 and '"exit_code":75' in lines[-1]
