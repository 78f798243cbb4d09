"""AWS_MSK_IAM against a server of our own that recomputes the signature, in front of a real broker."""

import datetime
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab import compare, csvgen
from lab.consumer import log_range
from lab.ground import free_port
from lab.job import MEND
from lab.mskiam import MskIam, signature, why_not
from lab.s3 import REGION
from lab.secured import Authority

KEY, SECRET, TOKEN = "AKIALABIAM0000000000", "lab-iam-marker/secret+key", "lab-iam-marker-token/+=="
ROWS = 3_000


@pytest.fixture(scope="module")
def certificate(ground):
    authority = Authority(ground / f"iam-{free_port()}", "iam")
    return authority, authority.certificate("broker", "DNS:localhost,IP:127.0.0.1")


@pytest.fixture
def iam(lab, certificate):
    """The server, and a job that logs in there. The keys are for Kafka alone: source and ledger are files."""

    def make(rows=ROWS, users=None, region=REGION, session_ms=0, clock=0.0, **settings):
        authority, pair = certificate
        server = MskIam(lab.own_node(), pair, users or {KEY: (SECRET, None)}, region, session_ms, clock)
        lab.table_of_rows = csvgen.plain(lab.dir / "in.csv", rows, row_bytes=100)
        job = lab.job(None, lab.topic(), DYNAMODB_TABLE=None, **{
            "SOURCE": lab.table_of_rows.path, "CHECKPOINT": f"file:{lab.dir}/ledger.json",
            "KAFKA_BOOTSTRAP_SERVERS": server.address, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM", "KAFKA_SSL_CA_FILE": authority.pem,
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "LOG_LEVEL": "trace", **settings})
        return server, job
    return make


def copied(lab, job):
    run = job.run()
    assert SECRET not in run.said and TOKEN not in run.said, "a secret is in the output"
    verdict = compare.judge(lab.table_of_rows.rows(), lab.records(job), f"file:{job.settings['SOURCE']}")
    assert verdict.clean, str(verdict)
    return run


def test_the_server_computes_what_botocore_does():
    """The judge is no worse than Amazon's own library."""
    for token in [None, TOKEN]:
        request = AWSRequest("GET", "https://b-1.demo.example/?Action=kafka-cluster%3AConnect")
        auth = SigV4QueryAuth(Credentials(KEY, SECRET, token), "kafka-cluster", "eu-west-1", expires=900)
        auth.add_auth(request)
        query = {name.lower(): value[0] for name, value in parse_qs(urlsplit(request.url).query).items()}
        payload = {"version": "2020_10_22", "host": "b-1.demo.example", "user-agent": "x", **query}
        assert signature(payload, SECRET) == payload["x-amz-signature"]
        now = datetime.datetime.now(datetime.timezone.utc)
        assert why_not(payload, {KEY: (SECRET, token)}, "eu-west-1", now) is None
        assert "does not match" in why_not(payload, {KEY: ("other", token)}, "eu-west-1", now)
        assert "expired" in why_not(payload, {KEY: (SECRET, token)}, "eu-west-1", now + datetime.timedelta(hours=1))


@pytest.mark.parametrize("token", [None, TOKEN], ids=["user", "role"])
def test_a_job_copies(lab, iam, token):
    server, job = iam(users={KEY: (SECRET, token)}, AWS_SESSION_TOKEN=token)
    with server:
        copied(lab, job)
    assert server.payloads and not server.refusals
    payload = server.payloads[0]
    assert payload["host"] == "127.0.0.1" and payload["x-amz-expires"] == "900"
    assert payload["user-agent"].startswith("csv-to-kafka/")
    assert f"/{REGION}/kafka-cluster/aws4_request" in payload["x-amz-credential"]
    assert SECRET not in json.dumps(server.payloads)


@pytest.mark.parametrize("name, server_has, job_has, words", [
    ("wrong secret", {}, {"AWS_SECRET_ACCESS_KEY": "another"}, "signature we calculated does not match"),
    ("unknown key", {}, {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "security token included in the request is invalid"),
    ("no token", {"users": {KEY: (SECRET, TOKEN)}}, {}, "is missing or invalid"),
    ("wrong region", {"region": "eu-north-1"}, {}, "scoped to a valid region, not us-east-1"),
    ("slow clock", {"clock": 3600.0}, {}, "Signature expired"),
    ("fast clock", {"clock": -3600.0}, {}, "not yet current"),
], ids=lambda value: value if isinstance(value, str) and " " in value and len(value) < 15 else None)
def test_refusals(lab, iam, name, server_has, job_has, words):
    """The broker's words come through, with what to look at; nothing was sent."""
    server, job = iam(**server_has)
    with server:
        run = job.run(expect=MEND, seconds=60, **job_has)
    assert len(server.refusals) >= 1 and words in server.refusals[0], server.refusals
    for part in [words, "refuses the login with AWS_MSK_IAM", "kafka-cluster:Connect", "clock", "AWS_REGION", server.address]:
        assert part in run.said, f"{part!r} is not in:\n{run.said[-2000:]}"
    assert SECRET not in run.said and log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, 0)


def test_a_session_that_ends(lab, iam, figure):
    """Logins of 3 s, a job of many times that: it logs in again in time, and never notices."""
    server, job = iam(rows=5_000, session_ms=3_000, MAX_ROWS_PER_SECOND=500)
    with server:
        run = copied(lab, job)
    assert run.elapsed > 8 and len(server.payloads) >= 3, (run.elapsed, len(server.payloads))
    assert "retry" not in run.said.lower(), run.said[-3000:]
    assert len({p["x-amz-date"] for p in server.payloads}) >= 3, "each login is signed anew"
    figure(f"5,000 rows in {run.elapsed:.1f} s over {len(server.payloads)} logins of 3 s")
