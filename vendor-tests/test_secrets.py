"""Secrets stay secret: markers in passwords, keys, tokens and row values, and a search of all that leaves the program
at `trace`, of the libraries too: both streams, the checkpoint, metrics, and what `verify` and `status` say."""

import json
import os
import re

import pytest

from lab import consumer
from lab.ground import free_port
from lab.httpproxy import Answer, HttpProxy, dynamodb_error
from lab.job import AGAIN, COMPLETE, MEND
from lab.s3 import Identity, client
from lab.secured import PASSWORDS, Secured
from test_metrics import ended

LOUD = {"LOG_LEVEL": "trace", "RUST_LOG": "trace"}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
PROXY_PASSWORD = "marker-proxy-password"
CONTAINER_TOKEN = "Bearer marker-container-token"
# In values of good rows, in the key, in rows with too many fields, and beside a byte that is not UTF-8.
ROWS = b"".join(b"%d,marker-key-%d,marker-good-value\n" % (n, n) for n in range(1, 2001))
FEW = b"2001,marker-too-few\n"
MANY = b"2002,marker-key,marker-too-many,marker-field\n"
INVALID = b"2003,marker-key,marker-invalid-\xff-utf8\n"
HEADER = b"id,name,note\n"


@pytest.fixture(scope="module")
def broker(ground):
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB"):
        pytest.skip("needs a broker of its own")
    secured = Secured("4.1.0", ground / "secrets")
    yield secured.start()
    secured.stop()


@pytest.fixture(scope="module")
def session(dynamodb):
    """Credentials of a role: key, secret and token, as ministack checks them."""
    identity = dynamodb.identity
    iam = client("iam", dynamodb.endpoint, Identity("test", "test"))
    role = iam.create_role(RoleName="secrets", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="secrets", PolicyName="all", PolicyDocument=json.dumps(ALL))
    sts = client("sts", dynamodb.endpoint, identity)
    return sts.assume_role(RoleArn=role, RoleSessionName="lab")["Credentials"]


class Ear:
    """Hears all that a job says, and what it writes to AWS."""

    def __init__(self, lab, broker, session, source: bytes, **settings):
        self.lab, self.session, self.bucket = lab, session, lab.name("secrets")
        identity = lab.identity
        s3 = client("s3", lab.dynamodb.endpoint, identity)
        s3.create_bucket(Bucket=self.bucket)
        s3.put_object(Bucket=self.bucket, Key="in.csv", Body=source)
        self.aws = HttpProxy(lab.dynamodb.endpoint).start()
        cert, key = broker.client
        self.key_pem = key.read_text()
        self.job = lab.job("in.csv", lab.topic(broker), broker, **{
            "S3_BUCKET": self.bucket,
            "KAFKA_BOOTSTRAP_SERVERS": broker.at("SASLSSL"), "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SSL_CA_FILE": broker.authority.pem, "KAFKA_SSL_CERT_FILE": cert, "KAFKA_SSL_KEY_PEM": self.key_pem,
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "scram512",
            "KAFKA_SASL_PASSWORD": PASSWORDS["scram512"], "KAFKA_KEY_COLUMN": "name",
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"], "AWS_ENDPOINT_URL_S3": self.aws.endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": self.aws.endpoint, "AWS_ENDPOINT_URL_CLOUDWATCH": self.aws.endpoint,
            "HTTPS_PROXY": f"http://user:{PROXY_PASSWORD}@127.0.0.1:{free_port()}", **LOUD, **settings})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.aws.stop()

    def heard(self) -> bytes:
        said = b"".join(run._out.read_bytes() + run._err.read_bytes() for run in self.job.runs)
        # What signs a request has to carry the token; it goes in a header, which nobody keeps.
        sent = b"".join(request.path.encode() + request.body for request in self.aws.requests)
        return said + sent + repr(self.lab.item(self.job)).encode()

    def secrets(self) -> dict[str, list[str]]:
        """What may not be seen, by the setting that holds it."""
        key = [line for line in self.key_pem.splitlines() if len(line) > 40 and "-----" not in line]
        return {"KAFKA_SASL_PASSWORD": list(PASSWORDS.values()), "KAFKA_SSL_KEY_PEM": key,
                "AWS_ACCESS_KEY_ID": [self.session["AccessKeyId"]], "AWS_SECRET_ACCESS_KEY": [self.session["SecretAccessKey"]],
                "AWS_SESSION_TOKEN": [self.session["SessionToken"]],
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": [CONTAINER_TOKEN.removeprefix("Bearer ")]}

    def marks(self) -> list[bytes]:
        secrets = [secret for secrets in self.secrets().values() for secret in secrets]
        return [mark.encode() for mark in [
            *secrets, PROXY_PASSWORD,
            # Any part of a row's value.
            "marker-good", "marker-key", "marker-too", "marker-field", "marker-invalid", "marker-"]]

    def nothing_leaks(self):
        heard = self.heard()
        # The search can find: this is no secret.
        assert self.job.settings["JOB_ID"].encode() in heard
        for mark in self.marks():
            at = heard.find(mark)
            assert at < 0, f"{mark!r} in {heard[max(0, at - 300):at + 100]!r}"
        # Signatures and authorizations belong on the wire alone.
        assert b"Signature=" not in heard and b"X-Amz-Security-Token" not in heard


def test_no_secret_setting_is_forgotten(lab, broker, session):
    """The program's own table of settings says which are secrets: each has its marker here."""
    with Ear(lab, broker, session, HEADER + ROWS) as ear:
        settings = ear.job.run("help", "settings").out
        named = set(re.findall(r"^  (\w+) \(\*\)", settings, re.M))
        assert named == set(ear.secrets()) and len(named) >= 6, named
        # No flag takes one, and the message does not repeat it.
        for name, secrets in ear.secrets().items():
            for arguments in [(f"--{name.lower().replace('_', '-')}", secrets[0]), (f"--{name.lower().replace('_', '-')}={secrets[0]}",)]:
                run = ear.job.run("run", *arguments, expect=MEND)
                assert "a secret is never an argument" in run.said, run.said
        # Nor one whose name is mistyped.
        ear.job.run("run", f"--kafka-sasl-pasword={PASSWORDS['full']}", expect=MEND)
        ear.job.run("run", "--kafka-sasl-pasword", PASSWORDS["full"], expect=MEND)
        ear.job.run("run", "--kafka-ssl-key-pen", ear.key_pem, expect=MEND)
        ear.job.run("run", KAFKA_SSL_KEY_PEM=None, KAFKA_SSL_KEY_FILE=ear.key_pem, expect=MEND)
        ear.job.run("status", expect=MEND)
        ear.nothing_leaks()


def both(*choices):
    return pytest.mark.parametrize("settings", choices, ids=lambda settings: " ".join(settings.values()))


@both({"METRICS": "emf", "LOG_FORMAT": "text"}, {"METRICS": "cloudwatch", "LOG_FORMAT": "json"})
def test_a_run_that_completes(lab, broker, session, settings):
    """And its proof, and how it stands, in both forms."""
    with Ear(lab, broker, session, HEADER + ROWS, METRICS_INTERVAL_SECONDS=1, MAX_ROWS_PER_SECOND=1000, VERIFY="full",
             **settings) as ear:
        run = ear.job.run()
        values = b"".join(record.value for record in lab.records(ear.job, broker))
        assert values.count(b"marker-good-value") == 2000
        if settings["METRICS"] == "emf":
            assert run.out.count('{"_aws"') >= 2
        else:
            assert sum(b"PutMetricData" in request.body for request in ear.aws.requests) >= 2
            assert ended(run)["metrics_missed"] == 0
        for arguments in [("verify",), ("verify", "--json"), ("verify", "--headers"), ("status",), ("status", "--json")]:
            ear.job.run(*arguments, S3_BUCKET=None, S3_KEY=None, KAFKA_TOPIC=None, KAFKA_KEY_COLUMN=None, VERIFY=None)
        assert "DEBUG" in run.err or '"level":"debug"' in run.err
        ear.job.run("check")
        ear.job.run("check", "--json")
        ear.job.run("status", "--all", expect=(COMPLETE, MEND, AGAIN))
        ear.job.run("dlq")
        assert "<svg" in ear.job.run("report", run._err).out
        ear.nothing_leaks()


@pytest.mark.parametrize("bad", [FEW, MANY, INVALID], ids=["too few fields", "too many fields", "invalid UTF-8"])
def test_a_bad_row_that_stops(lab, broker, session, bad):
    with Ear(lab, broker, session, HEADER + ROWS + bad, METRICS="emf") as ear:
        run = ear.job.run(expect=MEND)
        assert "row 2001" in run.err.replace("2,001", "2001"), run.err[-2000:]
        ear.job.run("status", expect=MEND)
        ear.nothing_leaks()


def test_bad_rows_that_are_set_aside(lab, broker, session):
    """Their topic has them, and nothing else does."""
    dead = lab.topic(broker)
    with Ear(lab, broker, session, HEADER + ROWS + FEW + MANY + INVALID, METRICS="cloudwatch", ON_BAD_ROW="dlq",
             KAFKA_DLQ_TOPIC=dead) as ear:
        ear.job.run()
        letters = b"".join(record.value for record in consumer.read_all(broker.bootstrap, dead, 0))
        assert b"marker-too-few" in letters and b"marker-too-many" in letters and b"raw_base64" in letters
        ear.job.run("verify", "--json", S3_BUCKET=None, S3_KEY=None, KAFKA_TOPIC=None, KAFKA_KEY_COLUMN=None,
                    ON_BAD_ROW=None, KAFKA_DLQ_TOPIC=None)
        ear.nothing_leaks()


def test_a_difference_that_verify_finds(lab, broker, session):
    """It is named by row, byte and offset, not by what stands there."""
    with Ear(lab, broker, session, HEADER + ROWS) as ear:
        ear.job.run()
        other = ROWS.replace(b"7,marker-key-7,marker-good-value", b"7,marker-key-7,marker-other-value", 1)
        s3 = client("s3", lab.dynamodb.endpoint, lab.identity)
        etag = s3.put_object(Bucket=ear.bucket, Key="in.csv", Body=HEADER + other)["ETag"]
        item = lab.item(ear.job)
        lab.dynamodb.put(lab.table, {**item, "etag": etag, "source_bytes": len(HEADER + other)})
        run = ear.job.run("verify", expect=(MEND, AGAIN), S3_BUCKET=None, S3_KEY=None, KAFKA_TOPIC=None, KAFKA_KEY_COLUMN=None)
        assert re.search(r"row.*\b7\b", run.said), run.said[-2000:]
        ear.nothing_leaks()


@pytest.mark.parametrize("wrong", ["", "refused", "without the secret half"])
def test_credentials_of_a_container(lab, broker, session, wrong):
    """The token that the container's endpoint is asked with, and what that answers."""
    keys = {"AccessKeyId": session["AccessKeyId"], "SecretAccessKey": session["SecretAccessKey"],
            "Token": session["SessionToken"], "Expiration": "2099-01-01T00:00:00Z"}
    if wrong == "without the secret half":
        del keys["SecretAccessKey"]

    def endpoint(request):
        assert request.headers["authorization"] == CONTAINER_TOKEN
        body = {"code": "AccessDenied", "message": "no"} if wrong == "refused" else keys
        return Answer(403 if wrong == "refused" else 200, json.dumps(body).encode())
    with HttpProxy(lab.dynamodb.endpoint, endpoint) as container, Ear(
            lab, broker, session, HEADER + ROWS, MAX_RETRIES=0, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None,
            AWS_SESSION_TOKEN=None, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{container.endpoint}/keys",
            AWS_CONTAINER_AUTHORIZATION_TOKEN=CONTAINER_TOKEN) as ear:
        for arguments in [("check", "--json"), ("run",)]:
            ear.job.run(*arguments, expect=(MEND, AGAIN) if wrong else COMPLETE)
        assert len(container.requests) >= 2
        ear.nothing_leaks()


@pytest.mark.parametrize("wrong", ["refused", "unreachable", "no URL"])
def test_a_proxy_with_a_password(lab, broker, session, wrong):
    """Only https goes through it; whatever becomes of that, its password is not told."""
    def refuse(request):
        assert request.method == "CONNECT" and "proxy-authorization" in request.headers
        return Answer(407, b"no", {"Proxy-Authenticate": "Basic"})
    with HttpProxy(lab.dynamodb.endpoint, refuse) as proxy, Ear(lab, broker, session, HEADER + ROWS, MAX_RETRIES=0) as ear:
        place = f"127.0.0.1:{proxy.port if wrong == 'refused' else free_port()}"
        url = f"http://user:{PROXY_PASSWORD}@{place}" if wrong != "no URL" else f"ftp://user:{PROXY_PASSWORD}@{place}"
        for arguments in [("check", "--json"), ("run",)]:
            run = ear.job.run(*arguments, expect=(MEND, AGAIN), HTTPS_PROXY=url, AWS_ENDPOINT_URL_S3=None,
                              AWS_ENDPOINT_URL_DYNAMODB=None, AWS_ENDPOINT_URL_CLOUDWATCH=None)
            words = "HTTPS_PROXY is not the URL" if wrong == "no URL" else f"through the proxy {place}, HTTPS_PROXY"
            assert words in run.said, run.said
        assert wrong != "refused" or proxy.requests
        ear.nothing_leaks()


@pytest.mark.parametrize("wrong", ["a password", "an AWS secret", "a token", "DynamoDB", "CloudWatch", "S3"])
def test_what_goes_wrong(lab, broker, session, wrong):
    """Whoever refuses us is quoted without what we tried."""
    with Ear(lab, broker, session, HEADER + ROWS, METRICS="cloudwatch", MAX_RETRIES=0) as ear:
        settings, expect = {}, MEND
        if wrong == "a password":
            settings = {"KAFKA_SASL_PASSWORD": PASSWORDS["full"]}
        elif wrong == "an AWS secret":
            settings = {"AWS_SECRET_ACCESS_KEY": PASSWORDS["full"]}
        elif wrong == "a token":
            settings = {"AWS_SESSION_TOKEN": PASSWORDS["full"]}
        elif wrong == "DynamoDB":
            ear.aws.rule = lambda r: dynamodb_error("AccessDeniedException") if r.operation else None
        elif wrong == "CloudWatch":
            ear.aws.rule = lambda r: Answer(403, b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message>"
                                            b"</Error></ErrorResponse>") if b"PutMetricData" in r.body else None
            expect = COMPLETE
        elif wrong == "S3":
            ear.aws.rule = lambda r: Answer(403, b"<Error><Code>AccessDenied</Code></Error>") if r.method == "GET" else None
        ear.job.run(expect=expect, **settings)
        ear.nothing_leaks()
