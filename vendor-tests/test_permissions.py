"""The tables of "Permissions" in docs/operations.md, line by line: with all of them a command works, with
one less it says which. ACLs on a real broker, IAM on ministack, which checks each action; what KMS says,
which no stand-in does, by answers as AWS documents them.
"""

import json
import os
import re
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from lab import csvgen
from lab.consumer import log_range
from lab.httpproxy import Answer, HttpProxy
from lab.job import MEND, Job
from lab.moto import Moto
from lab.s3 import Identity, client
from lab.secured import PASSWORDS, Secured
from test_credentials import Account

DOCUMENT = Path(__file__).parent.parent / "docs" / "operations.md"
ROWS = 500
BAD = b"id,name\n1,a\n2,b,too many\n3,c\n"
GOOD = "".join(["id,name\n"] + [f"{n},name {n}\n" for n in range(ROWS)]).encode()


def lines(heading: str, columns: int) -> list[list[str]]:
    """The table of so many columns under a heading, without its head and code signs."""
    section = DOCUMENT.read_text().split(f"\n### {heading}\n")[1].split("\n### ")[0]
    rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("|")]
    table = [row for row in rows if len(row) == columns][2:]
    assert table, f"no table under {heading}"
    return table


ACLS = lines("Kafka: ACLs", 4)
ACTIONS = [line for line in lines("AWS: IAM actions", 4)]
MSK = lines("Kafka: MSK with IAM", 3)
# What only some settings need: where, action, on.
ELSEWHERE = {line[1].split(",")[0]: line[2] for line in lines("AWS: IAM actions", 3)}


def test_the_tables_are_whole():
    """Nothing that a message asks for is missing here, and no more is granted."""
    three, main, dead = ["Write", "Read", "DescribeConfigs"], "topic KAFKA_TOPIC", "topic KAFKA_DLQ_TOPIC"
    assert [tuple(line[:3]) for line in ACLS] == [
        *[("run", main, operation) for operation in three], *[("run with ON_BAD_ROW=dlq", dead, operation) for operation in three],
        *[("check", main, operation) for operation in three],
        *[("check with ON_BAD_ROW=dlq", dead, operation) for operation in three],
        ("verify", main, "Read"), ("verify with dead letters", dead, "Read"), ("dlq", dead, "Read"), ("dlq --csv", main, "Read")]
    assert {line[1] for line in ACTIONS} == {"s3:GetObject", "dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:Scan"}
    assert set(ELSEWHERE) == {"s3:ListBucket", "s3:GetObjectVersion", "secretsmanager:GetSecretValue", "kms:Decrypt",
                              "cloudwatch:PutMetricData", "sts:AssumeRole"}
    commands = {command for line in ACTIONS for command in line[0].split(", ")}
    assert commands == {"run", "rehearse", "check", "verify", "dlq", "status", "status --all"}


def test_msk_asks_for_the_same():
    """No broker outside AWS knows these actions; each stands for an operation of the ACLs."""
    words = {"Write": "WriteData", "Read": "ReadData", "DescribeConfigs": "DescribeTopicDynamicConfiguration"}
    assert [line[0] for line in MSK] == ["run", "check", "verify", "dlq"]
    for command, on_cluster, on_topic in MSK:
        operations = [line[2] for line in ACLS if line[0] == command]
        assert on_topic.split(", ") == ["DescribeTopic", *[words[operation] for operation in operations]], command
        # A producer id is asked for by a run alone.
        idempotent = ["WriteDataIdempotently"] if command == "run" else []
        assert on_cluster.split(", ") == ["Connect", "DescribeCluster", *idempotent], command


# -- Kafka ---------------------------------------------------------------------------------

OPERATIONS = {"Write": "WRITE", "Read": "READ", "DescribeConfigs": "DESCRIBE_CONFIGS"}


@pytest.fixture(scope="module")
def broker(ground):
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB"):
        pytest.skip("needs a broker of its own")
    secured = Secured("4.1.0", ground / "permissions")
    yield secured.start()
    secured.stop()


def kafka_job(lab, broker, source: bytes, **settings) -> Job:
    path = lab.dir / f"{lab.name('in')}.csv"
    path.write_bytes(source)
    return lab.job(None, lab.topic(broker), broker, DYNAMODB_TABLE=None, **{
        "SOURCE": path, "CHECKPOINT": f"file:{path}.ledger", "KAFKA_BOOTSTRAP_SERVERS": broker.at("SASLPLAIN"),
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "exact",
        "KAFKA_SASL_PASSWORD": PASSWORDS["exact"], **settings})


def topics_of(job) -> dict:
    return {"topic KAFKA_TOPIC": job.settings["KAFKA_TOPIC"], "topic KAFKA_DLQ_TOPIC": job.settings.get("KAFKA_DLQ_TOPIC")}


def grant(broker, job, wanted):
    broker.forbid("exact")
    for _, on, operation, _ in wanted:
        broker.allow("exact", topics_of(job)[on], OPERATIONS[operation])
    # The authorizer hears of it a moment later than whoever asked.
    time.sleep(0.3)


def wanted_by(command: str):
    return [line for line in ACLS if line[0] == command or command.startswith(line[0] + " ")]


def test_acls_of_a_run(lab, broker):
    for missing in [None, *wanted_by("run")]:
        job = kafka_job(lab, broker, GOOD)
        grant(broker, job, [line for line in wanted_by("run") if line is not missing])
        topic = job.settings["KAFKA_TOPIC"]
        if missing is None or "warning" in missing[3]:
            run = job.run()
            assert log_range(broker.bootstrap, topic) == (0, ROWS)
            continue
        run = job.run(expect=MEND, seconds=60)
        for word in ["AUTHORIZATION_FAILED", f"this user lacks {missing[2]} on topic {topic}", f"--operation {missing[2]}"]:
            assert word in run.said, f"{missing}: {word} is not in:\n{run.said}"
        assert log_range(broker.bootstrap, topic) == (0, 0), missing


def test_acls_of_dead_letters(lab, broker):
    of_both = wanted_by("run with ON_BAD_ROW=dlq")
    of_dlq = [line for line in of_both if "DLQ" in line[1]]
    for missing in [None, *of_dlq]:
        job = kafka_job(lab, broker, BAD, ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=lab.topic(broker))
        grant(broker, job, [line for line in of_both if line is not missing])
        dead = job.settings["KAFKA_DLQ_TOPIC"]
        if missing is None or "warning" in missing[3]:
            job.run()
            assert log_range(broker.bootstrap, dead) == (0, 1)
            continue
        run = job.run(expect=MEND, seconds=60)
        # A user that may write to some topic gets a producer id: here the first bad row finds out.
        words = f"this user lacks Read on topic {dead}" if missing[2] == "Read" else f"{dead}/0: no permission to write"
        assert words in run.said, f"{missing}: {words} is not in:\n{run.said}"
        assert log_range(broker.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, 0), missing


@pytest.mark.parametrize("command, says", [
    ("verify with dead letters", "proved"), ("dlq", "too many"), ("dlq --csv", "too many")])
def test_acls_of_reading(lab, broker, command, says):
    """What only reads a job, one that has set rows aside."""
    job = kafka_job(lab, broker, BAD, ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=lab.topic(broker))
    grant(broker, job, wanted_by("run with ON_BAD_ROW=dlq"))
    job.run()
    wanted = wanted_by(command)
    assert len(wanted) == (1 if command == "dlq" else 2)
    name, *flags = command.removesuffix(" with dead letters").split()
    for missing in [None, *wanted]:
        grant(broker, job, [line for line in wanted if line is not missing])
        run = job.run(name, job.settings["JOB_ID"], *flags, expect=0 if missing is None else MEND, seconds=60)
        if missing is None:
            assert says in run.out, run.said
            continue
        # Without Read there is no Describe either.
        for word in ["TOPIC_AUTHORIZATION_FAILED", f"on topic {topics_of(job)[missing[1]]}", "takes Read alone"]:
            assert word in run.said, f"{missing}: {word} is not in:\n{run.said}"


@pytest.mark.parametrize("command", ["check", "check with ON_BAD_ROW=dlq"])
def test_acls_of_check(lab, broker, command):
    aside = {} if command == "check" else {"ON_BAD_ROW": "dlq", "KAFKA_DLQ_TOPIC": lab.topic(broker)}
    job = kafka_job(lab, broker, GOOD, **aside)
    wanted = wanted_by(command)
    assert len(wanted) == (3 if command == "check" else 6)
    for missing in [None, *wanted]:
        grant(broker, job, [line for line in wanted if line is not missing])
        goes_on = missing is None or "warning" in missing[3]
        run = job.run("check", "--json", expect=0 if goes_on else MEND, seconds=60)
        found = [(finding["level"], finding["text"]) for finding in json.loads(run.out)["findings"]
                 if finding["code"] == "missing_right"]
        if missing is None:
            assert not found, found
            continue
        (level, text), = found
        assert level == ("warn" if goes_on else "fail"), missing
        for word in [f"{missing[2]} on topic {topics_of(job)[missing[1]]}", f"--operation {missing[2]}", "kafka-cluster:"]:
            assert word in text, f"{missing}: {word} is not in {text}"
    # With nothing it can not even see the topic.
    grant(broker, job, [])
    document = json.loads(job.run("check", "--json", expect=MEND, seconds=60).out)
    assert any(f["code"] == "broker_refused" and "lacks Describe on topic" in f["text"] for f in document["findings"]), document


def test_status_asks_no_broker(lab, broker):
    job = kafka_job(lab, broker, GOOD)
    grant(broker, job, wanted_by("run"))
    job.run()
    broker.forbid("exact")
    job.run("status", job.settings["JOB_ID"])


# -- AWS -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def account(ground):
    account = Account(ground / "iam", AUTH="true")
    root = client("iam", account.endpoint, Identity("test", "test"))
    root.create_user(UserName="exact")
    key = root.create_access_key(UserName="exact")["AccessKey"]
    account.exact = Identity(key["AccessKeyId"], key["SecretAccessKey"])

    def allow(*statements):
        # A policy may not be empty.
        none = [{"Effect": "Allow", "Action": ["iam:ListUsers"], "Resource": ["*"]}]
        document = {"Version": "2012-10-17", "Statement": list(statements) or none}
        root.put_user_policy(UserName="exact", PolicyName="exact", PolicyDocument=json.dumps(document))
    account.allow = allow
    account.s3 = client("s3", account.endpoint, account.user)
    client("dynamodb", account.endpoint, account.user).create_table(
        TableName="ledger", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}])
    account.s3.put_object(Bucket="lab-credentials", Key="exact.csv", Body=GOOD)
    yield account
    account.server.kill()


def aws_job(lab, account, **settings) -> Job:
    return lab.job(None, lab.topic(), **{
        "S3_BUCKET": "lab-credentials", "S3_KEY": "exact.csv", "DYNAMODB_TABLE": "ledger",
        "AWS_ENDPOINT_URL": account.endpoint, "AWS_ENDPOINT_URL_S3": None, "AWS_ENDPOINT_URL_DYNAMODB": None,
        "AWS_ACCESS_KEY_ID": account.exact.access_key, "AWS_SECRET_ACCESS_KEY": account.exact.secret_key, **settings})


def statement(line) -> dict:
    arn = (line[2].replace("BUCKET/KEY", "lab-credentials/exact.csv").replace("REGION", "us-east-1")
           .replace("ACCOUNT", "000000000000").replace("TABLE", "ledger"))
    return {"Effect": "Allow", "Action": [line[1]], "Resource": [arn]}


def actions_of(command: str):
    return [line for line in ACTIONS if command in re.split(r", ", line[0])]


def named(said: str, line) -> bool:
    arn = statement(line)["Resource"][0].replace("000000000000", "<account>")
    return line[1] in said and arn in said


def test_actions_of_a_run(lab, account):
    wanted = actions_of("run")
    for missing in [None, *wanted]:
        job = aws_job(lab, account)
        account.allow(*[statement(line) for line in wanted if line is not missing])
        run = job.run(expect=0 if missing is None else MEND, seconds=60)
        rows = (0, ROWS if missing is None else 0)
        assert log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == rows, missing
        assert missing is None or named(run.said, missing), f"{missing}:\n{run.said}"


def test_actions_of_a_rehearsal(lab, account):
    """Its log and its checkpoint are files: the object is all that it asks for."""
    wanted = actions_of("rehearse")
    for missing in [None, *wanted]:
        job = aws_job(lab, account, S3_BUCKET=None, S3_KEY=None, KAFKA_TOPIC=None, KAFKA_BOOTSTRAP_SERVERS=None, DYNAMODB_TABLE=None)
        account.allow(*[statement(line) for line in wanted if line is not missing])
        run = job.run("rehearse", "s3://lab-credentials/exact.csv", "--directory", job.directory / "log",
                      expect=0 if missing is None else MEND, seconds=60)
        assert missing is None or named(run.said, missing), f"{missing}:\n{run.said}"


def test_actions_of_check(lab, account):
    """Each is a finding of its own, and the others are looked at all the same."""
    job = aws_job(lab, account)
    wanted = actions_of("check")
    assert len(wanted) == 3
    for missing in [None, *wanted]:
        account.allow(*[statement(line) for line in wanted if line is not missing])
        run = job.run("check", "--json", expect=0 if missing is None else MEND, seconds=60)
        failed = [finding["text"] for finding in json.loads(run.out)["findings"] if finding["level"] == "fail"]
        assert len(failed) == (0 if missing is None else 1), f"{missing}: {failed}"
        assert missing is None or named(failed[0], missing), f"{missing}: {failed}"


def allow_one(account, action: str, resource: str, *others):
    account.allow({"Effect": "Allow", "Action": [action], "Resource": [resource]}, *others)


def test_the_secret_of_a_login(lab, account, broker):
    secrets = client("secretsmanager", account.endpoint, account.user)
    arn = secrets.create_secret(Name=lab.name("AmazonMSK_exact"), SecretString=json.dumps(
        {"username": "scram512", "password": PASSWORDS["scram512"]}))["ARN"]
    path = lab.dir / "in.csv"
    path.write_bytes(GOOD)
    for granted in [False, True]:
        action = "secretsmanager:GetSecretValue"
        allow_one(account, action if granted else "iam:ListUsers", arn)
        assert ELSEWHERE[action] == "the secret"
        job = lab.job(None, lab.topic(broker), broker, DYNAMODB_TABLE=None, **{
            "SOURCE": path, "CHECKPOINT": f"file:{path}.{granted}", "KAFKA_BOOTSTRAP_SERVERS": broker.at("SASLSSL"),
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_CA_FILE": broker.authority.pem,
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_SECRET_ARN": arn,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": account.endpoint, "AWS_ENDPOINT_URL_S3": None, "AWS_ENDPOINT_URL_DYNAMODB": None,
            "AWS_ACCESS_KEY_ID": account.exact.access_key, "AWS_SECRET_ACCESS_KEY": account.exact.secret_key})
        run = job.run(expect=0 if granted else MEND, seconds=60)
        assert granted or f"Allow {action} on {arn}" in run.said, run.said


def test_metrics_by_calls(lab, account):
    """Without the permission the run goes on, and says what is missing."""
    wanted = [statement(line) for line in actions_of("run")]
    assert ELSEWHERE["cloudwatch:PutMetricData"] == "*, with the condition cloudwatch:namespace"
    for granted in [False, True]:
        account.allow(*wanted, *([{"Effect": "Allow", "Action": ["cloudwatch:PutMetricData"], "Resource": ["*"]}] if granted else []))
        run = aws_job(lab, account, METRICS="cloudwatch").run()
        assert ("cloudwatch:PutMetricData" in run.said) != granted, run.said
        assert ("event=metrics_missed" in run.said) != granted, run.said


def elsewhere(action: str, *, on: str, arn: str) -> dict:
    """What only some settings need; the table says of it what it is on."""
    assert ELSEWHERE[action] == on
    return {"Effect": "Allow", "Action": [action], "Resource": [arn]}


def test_an_object_that_is_not_there(lab, account):
    """S3 tells it from a forbidden one to whoever may list the bucket. ministack says it to all; it checks who may
    list, though, and so decides here which of the two answers of S3 comes."""
    may_list = elsewhere("s3:ListBucket", on="the bucket", arn="arn:aws:s3:::lab-credentials")
    api = client("s3", account.endpoint, account.exact)

    def as_s3(request):
        try:
            api.list_objects_v2(Bucket="lab-credentials", MaxKeys=1)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied", error
            return s3_says("AccessDenied", f"User: {ROLE} is not authorized to perform: s3:ListBucket on resource: "
                           '"arn:aws:s3:::lab-credentials" because no identity-based policy allows the s3:ListBucket action')
        return None

    wanted = [{**statement(line), "Resource": ["arn:aws:s3:::lab-credentials/*"] if line[1] == "s3:GetObject" else "*"}
              for line in actions_of("run")]
    with HttpProxy(account.endpoint, as_s3) as s3:
        for granted in [False, True]:
            account.allow(*wanted, *([may_list] if granted else []))
            for command in ["run", "check"]:
                job = aws_job(lab, account, S3_KEY="none.csv", AWS_ENDPOINT_URL_S3=s3.endpoint)
                said = job.run(command, expect=MEND, seconds=60).said
                assert ("s3:ListBucket on the bucket: without it a missing object looks forbidden too" in said) != granted, said
                assert ("There is no such object (any more): mend S3_KEY" in said) == granted, said


def test_a_version_of_the_object(lab, ground):
    """A permission of its own, in place of the one for the object. At moto: ministack gives no part of a version."""
    moto = Moto(ground / "moto-versions").start()
    try:
        iam = client("iam", moto.endpoint, moto.identity)
        iam.create_user(UserName="exact")
        key = iam.create_access_key(UserName="exact")["AccessKey"]
        moto.s3.create_bucket(Bucket="versions")
        moto.s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        version = moto.s3.put_object(Bucket="versions", Key="in.csv", Body=GOOD)["VersionId"]
        moto.s3.put_object(Bucket="versions", Key="in.csv", Body=BAD)
        arn = "arn:aws:s3:::versions/in.csv"
        of_version = elsewhere("s3:GetObjectVersion", on="arn:aws:s3:::BUCKET/KEY", arn=arn)
        of_object = {**of_version, "Action": ["s3:GetObject"]}
        assert "s3:GetObjectVersion, in place of s3:GetObject" in DOCUMENT.read_text()
        for allowed, named, missing in [(of_object, version, "s3:GetObjectVersion"), (of_version, version, None),
                                        (of_version, None, "s3:GetObject")]:
            iam.put_user_policy(UserName="exact", PolicyName="exact", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [allowed]}))
            job = lab.job(None, lab.topic(), DYNAMODB_TABLE=None, CHECKPOINT=f"file:{lab.dir}/{lab.name('ledger')}", **{
                "S3_BUCKET": "versions", "S3_KEY": "in.csv", "S3_VERSION_ID": named, "AWS_ENDPOINT_URL_S3": moto.endpoint,
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]})
            for command in [["run"], ["check"] if missing else ["verify", job.settings["JOB_ID"]]]:
                said = job.run(*command, expect=MEND if missing else 0, seconds=60).said
                assert missing is None or f"Allow {missing} on {arn} " in said, said
            assert log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, 0 if missing else ROWS)
    finally:
        moto.stop()


def test_a_role_of_a_profile(lab, account):
    """Both must allow it: the policy of whoever asks for the role, and the role's own trust policy."""
    root = client("iam", account.endpoint, Identity("test", "test"))
    user = root.get_user(UserName="exact")["User"]["Arn"]

    def trusted(*principals):
        root.update_assume_role_policy(RoleName="load", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}]}))

    stranger = root.create_user(UserName="stranger")["User"]["Arn"]
    account_root = "arn:aws:iam::000000000000:root"
    may_assume = elsewhere("sts:AssumeRole", on="the role; its trust policy must allow it too", arn=account.role)
    for allowed, principal in [(True, user), (True, account_root), (False, account_root), (True, stranger)]:
        account.allow(*([may_assume] if allowed else []))
        trusted(principal)
        granted = allowed and principal != stranger
        job = aws_job(lab, account, AWS_PROFILE="role", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
        account.profiles(job)
        file = job.directory / ".aws" / "credentials"
        file.write_text(f"[user]\naws_access_key_id = {account.exact.access_key}\naws_secret_access_key = {account.exact.secret_key}\n")
        said = job.run(expect=0 if granted else MEND, seconds=60).said
        words = [] if granted else [f"Allow sts:AssumeRole on {account.role} to ", f"trust policy of {account.role}"]
        for word in words:
            assert word in said, f"{word!r} is not in:\n{said}"
        assert log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, ROWS if granted else 0)


def test_actions_of_reading_dead_letters(lab, account):
    account.s3.put_object(Bucket="lab-credentials", Key="exact.csv", Body=BAD)
    job = aws_job(lab, account, ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=lab.topic())
    account.allow(*[statement(line) for line in actions_of("run")])
    job.run()
    account.s3.put_object(Bucket="lab-credentials", Key="exact.csv", Body=GOOD)
    for flags in [[], ["--csv"], ["--json"]]:
        wanted = actions_of("dlq")
        for missing in [None, *wanted]:
            account.allow(*[statement(line) for line in wanted if line is not missing])
            run = job.run("dlq", job.settings["JOB_ID"], *flags, expect=0 if missing is None else MEND, seconds=60)
            assert "too many" in run.out if missing is None else named(run.said, missing), f"{missing}:\n{run.said}"


def test_actions_of_verify_and_status(lab, account):
    job = aws_job(lab, account)
    account.allow(*[statement(line) for line in actions_of("run")])
    job.run()
    for command, arguments in [("verify", ["verify", job.settings["JOB_ID"]]), ("status", ["status", job.settings["JOB_ID"]]),
                               ("status --all", ["status", "--all"])]:
        wanted = actions_of(command)
        assert wanted, command
        for missing in [None, *wanted]:
            account.allow(*[statement(line) for line in wanted if line is not missing])
            goes_on = missing is None or "warning" in missing[3]
            # Other jobs of the table may have failed.
            code = MEND if not goes_on else (0, MEND) if command == "status --all" else 0
            run = job.run(*arguments, expect=code, seconds=60)
            assert missing is not None or "not authorized to perform: dynamodb" not in run.said, run.said
            assert missing is None or named(run.said, missing), f"{command}, {missing}:\n{run.said}"


# -- KMS, told apart from the service that asked it ----------------------------------------

ROLE = "arn:aws:sts::123456789012:assumed-role/loader/csv-to-kafka"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
NOT_ALLOWED = (f"User: {ROLE} is not authorized to perform: kms:Decrypt on resource: {KEY} because no identity-based "
               "policy allows the kms:Decrypt action")


def s3_says(code: str, message: str, status: int = 403) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(),
                  {"Content-Type": "application/xml"})


def json_says(code: str, message: str) -> Answer:
    return Answer(400, json.dumps({"__type": f"com.amazonaws#{code}", "message": message}).encode(),
                  {"Content-Type": "application/x-amz-json-1.0"})


@pytest.mark.parametrize("answer, asks_for", [
    (s3_says("AccessDenied", NOT_ALLOWED), "kms:Decrypt"),
    (s3_says("KMS.DisabledException", f"{KEY} is disabled.", 400), "kms:Decrypt"),
    (s3_says("KMS.KMSInvalidStateException", f"{KEY} is pending deletion.", 400), "kms:Decrypt"),
    (s3_says("AccessDenied", "Access Denied"), "s3:GetObject"),
], ids=["no kms:Decrypt", "disabled key", "deleted key", "no s3:GetObject"])
def test_kms_behind_s3(lab, account, answer, asks_for):
    with HttpProxy(account.endpoint, lambda request: answer) as s3:
        run = aws_job(lab, account, AWS_ENDPOINT_URL_S3=s3.endpoint, DYNAMODB_TABLE=None,
                      CHECKPOINT=f"file:{lab.dir}/ledger.json").run(expect=MEND)
    told_apart(run.said, asks_for, "s3:GetObject")


@pytest.mark.parametrize("answer, asks_for", [
    (json_says("AccessDeniedException", NOT_ALLOWED), "kms:Decrypt"),
    (json_says("ValidationException", "The table is inaccessible: its encryption credentials (KMS key) can not be used"), "kms:Decrypt"),
    (json_says("AccessDeniedException", f"User: {ROLE} is not authorized to perform: dynamodb:GetItem"), "dynamodb:GetItem"),
], ids=["no kms:Decrypt", "lost key", "no dynamodb:GetItem"])
def test_kms_behind_dynamodb(lab, account, answer, asks_for):
    with HttpProxy(account.endpoint, lambda request: answer) as dynamodb:
        run = aws_job(lab, account, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint).run(expect=MEND)
    told_apart(run.said, asks_for, "Allow dynamodb:GetItem")


@pytest.mark.parametrize("answer, asks_for", [
    (json_says("AccessDeniedException", "Access to KMS is not allowed"), "kms:Decrypt"),
    (json_says("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key."), "kms:Decrypt"),
    (json_says("AccessDeniedException", f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue"), "secretsmanager:GetSecretValue"),
], ids=["no kms:Decrypt", "decryption failure", "no GetSecretValue"])
def test_kms_behind_secrets_manager(lab, account, broker, answer, asks_for):
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:AmazonMSK_x-AbCdEf"
    with HttpProxy(account.endpoint, lambda request: answer) as secrets:
        job = kafka_job(lab, broker, GOOD, KAFKA_SASL_USERNAME=None, KAFKA_SASL_PASSWORD=None, KAFKA_SASL_SECRET_ARN=arn,
                        AWS_ENDPOINT_URL_SECRETS_MANAGER=secrets.endpoint)
        run = job.run(expect=MEND)
    told_apart(run.said, asks_for, "Allow secretsmanager:GetSecretValue")


def told_apart(said: str, asks_for: str, of_the_service: str):
    assert asks_for in said, said
    if asks_for == "kms:Decrypt":
        assert "allow kms:Decrypt on that key" in said and f"Allow {of_the_service}".replace("Allow Allow", "Allow") not in said, said
