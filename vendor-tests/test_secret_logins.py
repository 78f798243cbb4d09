"""Logins whose name and password are in Secrets Manager: ministack, which checks signatures and policies."""

import json
import os
import time

import pytest

from lab import compare, csvgen
from lab.ground import wait_until
from lab.job import COMPLETE, MEND
from lab.s3 import client
from lab.secured import LISTENERS, PASSWORDS, Secured
from test_credentials import Account

ROWS = 2_000


@pytest.fixture(scope="module")
def broker(ground):
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB"):
        pytest.skip("needs a broker of its own")
    secured = Secured("4.1.0", ground / "secrets-broker")
    yield secured.start()
    secured.stop()


@pytest.fixture(scope="module")
def account(ground):
    account = Account(ground / "secrets", AUTH="true")
    account.secrets = client("secretsmanager", account.endpoint, account.user)
    yield account
    account.server.kill()


def stored(account, text: str, **more) -> str:
    name = f"AmazonMSK_lab-{time.time_ns():x}"
    value = {"SecretBinary": text.encode()} if more.get("binary") else {"SecretString": text}
    return account.secrets.create_secret(Name=name, **value)["ARN"]


def login(username: str, password: str) -> str:
    return json.dumps({"username": username, "password": password})


def job_of(lab, broker, account, arn, listener="SASLSSL", rows=ROWS, **settings):
    lab.table_of_rows = csvgen.plain(lab.dir / "in.csv", rows, row_bytes=100)
    return lab.job(None, lab.topic(broker), broker, DYNAMODB_TABLE=None, **{
        "SOURCE": lab.table_of_rows.path, "CHECKPOINT": f"file:{lab.dir}/{lab.name('ledger')}.json",
        "KAFKA_BOOTSTRAP_SERVERS": broker.at(listener), "KAFKA_SECURITY_PROTOCOL": LISTENERS[listener],
        "KAFKA_SSL_CA_FILE": broker.authority.pem, "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_SECRET_ARN": arn,
        "AWS_REGION": None, "AWS_ENDPOINT_URL_SECRETS_MANAGER": account.endpoint, "AWS_ENDPOINT_URL_S3": None,
        "AWS_ENDPOINT_URL_DYNAMODB": None, "AWS_ACCESS_KEY_ID": account.user.access_key,
        "AWS_SECRET_ACCESS_KEY": account.user.secret_key, "LOG_LEVEL": "trace", "RUST_LOG": "trace", **settings})


def proved(lab, job, broker):
    verdict = compare.judge(lab.table_of_rows.rows(), lab.records(job, broker), f"file:{job.settings['SOURCE']}")
    assert verdict.clean, str(verdict)


def test_a_login_from_a_secret_copies(lab, broker, account):
    """The region is the ARN's; nothing of the secret is in the output."""
    arn = stored(account, login("scram512", PASSWORDS["scram512"]))
    job = job_of(lab, broker, account, arn)
    run = job.run()
    proved(lab, job, broker)
    assert PASSWORDS["scram512"] not in run.said and account.user.secret_key not in run.said
    job.run("verify", job.settings["JOB_ID"])


@pytest.mark.parametrize("secret_too", [True, False])
def test_a_password_is_rotated_in_mid_run(lab, broker, account, secret_too):
    """Logins last three seconds there, and the run many of them. After the rotation the broker
    refuses the password that the run has, so that the secret is fetched again: the run goes on with
    what it holds now, or ends if that is the old one still."""
    old, new = "marker-before-the-rotation", "marker-after-the-rotation"
    broker.set_password("rotated", old)
    arn = stored(account, login("rotated", old))
    job = job_of(lab, broker, account, arn, "SHORT", rows=3_000, MAX_ROWS_PER_SECOND=150)
    run = job.start()
    wait_until("sending begins", lambda: "event=sending" in run.err or not run.alive())
    assert run.alive(), run.said[-2000:]
    # As MSK's users do it: the secret first, then the cluster takes it over.
    if secret_too:
        account.secrets.put_secret_value(SecretId=arn, SecretString=login("rotated", new))
    broker.set_password("rotated", new)
    code = run.wait(120)
    assert old not in run.said and new not in run.said
    if secret_too:
        assert code == COMPLETE, run.said[-3000:]
        proved(lab, job, broker)
    else:
        assert code == MEND, run.said[-3000:]
        assert "Mend what the secret of KAFKA_SASL_SECRET_ARN holds" in run.said, run.said[-3000:]
        # All rows before that are there, and the next run goes on behind them.
        account.secrets.put_secret_value(SecretId=arn, SecretString=login("rotated", new))
        job.run(MAX_ROWS_PER_SECOND=None)
        proved(lab, job, broker)


@pytest.mark.parametrize("text, words", [
    ("marker-plain-text", "is not a JSON object"),
    ('{"username": "marker"}', "has no password"),
    ('{"password": "marker", "user": "x"}', "has no username"),
    ('{"username": "marker", "password": 7}', "has no password"),
    ('{"username": "scram512", "password": "marker-wrong"}', "Mend what the secret of KAFKA_SASL_SECRET_ARN holds"),
])
def test_secrets_that_do_not_fit(lab, broker, account, text, words):
    arn = stored(account, text)
    run = job_of(lab, broker, account, arn).run(expect=MEND, seconds=60)
    assert words in run.said and "marker" not in run.said, run.said[-2000:]


def test_a_binary_secret(lab, broker, account):
    run = job_of(lab, broker, account, stored(account, "marker", binary=True)).run(expect=MEND)
    assert "is binary" in run.said and "marker" not in run.said, run.said[-2000:]


def test_secrets_that_are_not_there(lab, broker, account):
    arn = stored(account, login("scram512", "x"))
    missing = arn.replace("AmazonMSK_lab", "AmazonMSK_none")
    run = job_of(lab, broker, account, missing).run(expect=MEND)
    assert "There is no such secret" in run.said and missing in run.said, run.said[-2000:]
    account.secrets.delete_secret(SecretId=arn)
    run = job_of(lab, broker, account, arn).run(expect=MEND)
    assert "deletion" in run.said and "restore-secret" in run.said and arn in run.said, run.said[-2000:]


def test_the_wrong_aws_secret(lab, broker, account):
    arn = stored(account, login("scram512", "x"))
    run = job_of(lab, broker, account, arn, AWS_SECRET_ACCESS_KEY="marker-wrong").run(expect=MEND)
    assert "does not belong to AWS_ACCESS_KEY_ID" in run.said and "marker" not in run.said, run.said[-2000:]
