"""What a job asks of S3 and DynamoDB, against two independent stand-ins of each, which check signatures:
versitygw and moto as S3, ministack and moto as DynamoDB.
"""

import json
import time

import pytest
from boto3.dynamodb.types import TypeDeserializer

from lab import compare, csvgen
from lab.consumer import log_range
from lab.httpproxy import Answer, HttpProxy, LoseAnswer
from lab.job import AGAIN, MEND
from lab.moto import Moto
from lab.s3 import client

_plain = TypeDeserializer().deserialize


class Aws:
    """Both services, wherever they are."""

    def __init__(self, name, s3, dynamodb, identity, s3_endpoint, dynamodb_endpoint):
        self.name, self.s3, self.dynamodb, self.identity = name, s3, dynamodb, identity
        self.s3_endpoint, self.dynamodb_endpoint = s3_endpoint, dynamodb_endpoint
        self.bucket, self.table = f"stand-in-{time.time_ns():x}", f"stand-in-{time.time_ns():x}"
        s3.create_bucket(Bucket=self.bucket)
        self.make_table(self.table)

    def make_table(self, name, key="job_id", kind="S", sort=None):
        keys = [{"AttributeName": key, "KeyType": "HASH"}]
        kinds = [{"AttributeName": key, "AttributeType": kind}]
        if sort:
            keys.append({"AttributeName": sort, "KeyType": "RANGE"})
            kinds.append({"AttributeName": sort, "AttributeType": "S"})
        self.dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=kinds, KeySchema=keys)

    def item(self, job):
        found = self.dynamodb.get_item(TableName=job.settings["DYNAMODB_TABLE"], ConsistentRead=True,
                                       Key={"job_id": {"S": job.settings["JOB_ID"]}}).get("Item")
        return {name: _plain(value) for name, value in found.items()} if found else None


@pytest.fixture(scope="module")
def moto(ground):
    server = Moto(ground / "moto").start()
    yield Aws("moto", server.s3, server.dynamodb, server.identity, server.endpoint, server.endpoint)
    server.stop()


@pytest.fixture(scope="module")
def first(s3, dynamodb):
    return Aws("versitygw and ministack", s3.api, dynamodb.api, dynamodb.identity, s3.endpoint, dynamodb.endpoint)


@pytest.fixture(params=["first", "moto"])
def aws(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def job(lab, aws):
    def make(source: bytes | None = None, key: str | None = None, **settings):
        key = key or f"{lab.name('in')}.csv"
        if source is not None:
            aws.s3.put_object(Bucket=aws.bucket, Key=key, Body=source)
        return lab.job(None, lab.topic(), **{
            "S3_BUCKET": aws.bucket, "S3_KEY": key, "DYNAMODB_TABLE": aws.table,
            "AWS_ACCESS_KEY_ID": aws.identity.access_key, "AWS_SECRET_ACCESS_KEY": aws.identity.secret_key,
            "AWS_ENDPOINT_URL_S3": aws.s3_endpoint, "AWS_ENDPOINT_URL_DYNAMODB": aws.dynamodb_endpoint, **settings})
    return make


def proved(lab, job, table):
    verdict = compare.judge(table.rows(), lab.records(job), f"s3://{job.settings['S3_BUCKET']}/{job.settings['S3_KEY']}")
    assert verdict.clean, str(verdict)


def says(run, *words):
    for word in words:
        assert word in run.said, f"{word!r} is not in:\n{run.said[-3000:]}"


def end_of(lab, job):
    return log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"])[1]


def test_copy_stop_resume_verify(lab, aws, job):
    table = csvgen.varied(lab.dir / "in.csv", 40_000, columns=3, seed=71)
    task = job(table.path.read_bytes())
    run = task.start(MAX_ROWS_PER_SECOND=10_000)
    while run.alive() and (aws.item(task) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.terminate()
    assert run.wait() == AGAIN, run.said
    item = aws.item(task)
    assert item["status"] == "INTERRUPTED" and 0 < item["last_line"] < 40_000
    task.run()
    proved(lab, task, table)
    task.run("verify", task.settings["JOB_ID"])
    task.run("status", task.settings["JOB_ID"])
    assert aws.item(task)["status"] == "COMPLETED"
    says(task.run(), "already complete")


@pytest.mark.parametrize("key", ["a b+c%.csv", "größe/🦀.csv", "a//b/./c.csv", "x&y=z?#;,'\"(!)*.csv", "%2F%20.csv", "~-_.csv"])
def test_odd_keys(lab, aws, job, key):
    """Byte for byte: what a URL would read otherwise is an object's name here."""
    # A server over a directory can not hold a path that the directory reads otherwise.
    if aws.name != "moto" and key == "a//b/./c.csv":
        key = "a/b+/c.csv"
    task = job(b"id\n1\n2\n", key)
    task.run()
    assert end_of(lab, task) == 2
    assert aws.item(task)["source"] == f"s3://{aws.bucket}/{key}"


def test_a_version_is_recorded_and_a_replaced_object_refused(lab, aws, job):
    """The pin is the ETag, also where the bucket keeps the old version."""
    aws.s3.put_bucket_versioning(Bucket=aws.bucket, VersioningConfiguration={"Status": "Enabled"})
    table = csvgen.varied(lab.dir / "in.csv", 30_000, columns=3, seed=72)
    task = job(table.path.read_bytes())
    run = task.start(MAX_ROWS_PER_SECOND=5_000)
    while run.alive() and (aws.item(task) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.kill()
    before = aws.item(task)
    head = aws.s3.head_object(Bucket=aws.bucket, Key=task.settings["S3_KEY"])
    assert before["etag"] == head["ETag"] and before["version_id"] == head["VersionId"]
    sent = end_of(lab, task)
    changed = aws.s3.put_object(Bucket=aws.bucket, Key=task.settings["S3_KEY"], Body=b"id\n7\n")
    says(task.run(expect=MEND), head["ETag"].strip('"'), changed["ETag"].strip('"'), "JOB_ID")
    assert end_of(lab, task) == sent
    # The old version back under the key: the same ETag, and the job goes on.
    aws.s3.copy_object(Bucket=aws.bucket, Key=task.settings["S3_KEY"],
                       CopySource={"Bucket": aws.bucket, "Key": task.settings["S3_KEY"], "VersionId": head["VersionId"]})
    if aws.s3.head_object(Bucket=aws.bucket, Key=task.settings["S3_KEY"])["ETag"] == head["ETag"]:
        task.run()
        proved(lab, task, table)


def versioned(aws, key, *bodies, bucket=None):
    """The names that the versions of an object have, in their order."""
    bucket = bucket or aws.bucket
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return [aws.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"] for body in bodies]


def test_a_job_goes_on_with_the_version_that_it_was_begun_with(lab, aws, job, figure):
    """Killed in its middle, and the object replaced: the message names the setting, and with it the old bytes come."""
    table = csvgen.varied(lab.dir / "in.csv", 30_000, columns=3, seed=73)
    key = f"{lab.name('in')}.csv"
    old, = versioned(aws, key, table.path.read_bytes())
    task = job(None, key)
    run = task.start(MAX_ROWS_PER_SECOND=5_000, LEASE_SECONDS=1)
    while run.alive() and (aws.item(task) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.kill()
    new, = versioned(aws, key, b"id\n7\n")
    sent = end_of(lab, task)
    assert 0 < sent < 30_000
    says(task.run(expect=MEND), "was replaced", f"S3_VERSION_ID={old}")
    says(task.run(S3_VERSION_ID=new, expect=MEND), f"S3_VERSION_ID: begun with {old}, now {new}")
    assert end_of(lab, task) == sent
    seen = []
    with HttpProxy(aws.s3_endpoint, lambda request: seen.append(request.path)) as s3:
        task.run(S3_VERSION_ID=old, AWS_ENDPOINT_URL_S3=s3.endpoint)
    assert seen and all(path.endswith(f"?versionId={old}") for path in seen), seen
    proved(lab, task, table)
    item = aws.item(task)
    assert (item["status"], item["version_id"]) == ("COMPLETED", old)
    says(task.run("verify", expect=MEND), f"S3_VERSION_ID={old}")
    task.run("verify", S3_VERSION_ID=old)
    says(task.run(S3_VERSION_ID=old), "already complete")
    figure(f"{aws.name}: killed after {sent} rows, {len(seen)} requests for the old version: {item['total_sent']} rows")


def test_one_version_of_an_object(lab, aws, job):
    """The one that is asked for, from the first row on."""
    key = f"{lab.name('in')}.csv"
    old, new = versioned(aws, key, b"id\n1\n", b"id\n1\n2\n")
    for version, rows in [(old, 1), (new, 2)]:
        task = job(None, key, S3_VERSION_ID=version)
        says(task.run("check"), f"s3://{aws.bucket}/{key}")
        task.run()
        assert end_of(lab, task) == rows and aws.item(task)["version_id"] == version


def test_what_is_from_before_the_bucket_kept_versions(lab, aws, job):
    """It is called null, and a job that was begun with it then goes on with it."""
    bucket, key = f"before-{time.time_ns():x}", "in.csv"
    aws.s3.create_bucket(Bucket=bucket)
    table = csvgen.varied(lab.dir / "in.csv", 20_000, columns=3, seed=74)
    aws.s3.put_object(Bucket=bucket, Key=key, Body=table.path.read_bytes())
    task = job(None, key, S3_BUCKET=bucket, CHECKPOINT_INTERVAL=1000)
    run = task.start(MAX_ROWS_PER_SECOND=5_000)
    while run.alive() and (aws.item(task) or {}).get("last_line", 0) == 0:
        time.sleep(0.05)
    run.terminate()
    assert run.wait() == AGAIN, run.said
    new, = versioned(aws, key, b"id\n1\n", bucket=bucket)
    says(task.run(expect=MEND), "was replaced", "restore the old version")
    says(task.run(S3_VERSION_ID=new, expect=MEND), "S3_VERSION_ID: begun with null")
    task.run(S3_VERSION_ID="null")
    proved(lab, task, table)
    assert aws.item(task)["status"] == "COMPLETED"


def test_versions_that_can_not_be_read(lab, aws, job):
    key = f"{lab.name('in')}.csv"
    old, = versioned(aws, key, b"id\n1\n")
    other, = versioned(aws, f"{lab.name('in')}.csv", b"id\n1\n")
    mark = aws.s3.delete_object(Bucket=aws.bucket, Key=key)["VersionId"]
    # To moto a delete marker is no version.
    of_mark = "no such version" if aws.name == "moto" else "delete marker"
    for version, words in [(other, "no such version"), ("no-such-version", "version"), (mark, of_mark)]:
        says(job(None, key, S3_VERSION_ID=version).run(expect=MEND), f"{key}?versionId={version}: S3 answers", words,
             "set S3_VERSION_ID to one that aws s3api list-object-versions")
    # Deleted, and yet there.
    says(job(None, key).run(expect=MEND), "NoSuchKey", "S3_VERSION_ID")
    task = job(None, key, S3_VERSION_ID=old)
    task.run()
    assert end_of(lab, task) == 1


@pytest.mark.parametrize("aws", ["moto"], indirect=True)
def test_a_version_needs_its_own_permission(lab, aws, job):
    """The one that docs/operations.md names, in place of the other."""
    key = f"{lab.name('in')}.csv"
    version, = versioned(aws, key, b"id\n1\n")
    iam = client("iam", aws.s3_endpoint, aws.identity)
    iam.create_user(UserName="narrow")
    keys = iam.create_access_key(UserName="narrow")["AccessKey"]
    for action, settings, other in [("s3:GetObject", {"S3_VERSION_ID": version}, "s3:GetObjectVersion"),
                                    ("s3:GetObjectVersion", {}, "s3:GetObject")]:
        iam.put_user_policy(UserName="narrow", PolicyName="narrow", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": [action, "dynamodb:*"], "Resource": "*"}]}))
        narrow = {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}
        says(job(None, key, **narrow, **settings).run(expect=MEND), f"Allow {other} on arn:aws:s3:::{aws.bucket}/{key}")
        task = job(None, key, **narrow, **({} if settings else {"S3_VERSION_ID": version}))
        task.run()
        assert end_of(lab, task) == 1


def test_what_is_not_there(lab, aws, job):
    says(job(key="nowhere.csv").run(expect=MEND), "NoSuchKey", f"s3://{aws.bucket}/nowhere.csv", "S3_KEY")
    says(job(b"id\n1\n", S3_BUCKET="no-such-bucket-here").run(expect=MEND), "NoSuchBucket", "S3_BUCKET")
    says(job(b"id\n1\n", DYNAMODB_TABLE="no-such-table").run(expect=MEND), "ResourceNotFoundException",
         "no-such-table", "aws dynamodb create-table")


def test_a_table_with_another_key(lab, aws, job):
    for name, schema in [("wrong-name", {"key": "id"}), ("wrong-kind", {"kind": "N"}), ("two-keys", {"sort": "part"})]:
        table = f"{name}-{time.time_ns():x}"
        aws.make_table(table, **schema)
        task = job(b"id\n1\n", DYNAMODB_TABLE=table)
        says(task.run(expect=MEND), "ValidationException", "must be job_id (type S, partition key) and nothing else")
        assert end_of(lab, task) == 0


@pytest.mark.parametrize("name, change", [
    ("wrong secret", {"AWS_SECRET_ACCESS_KEY": "marker-wrong"}),
    ("unknown key", {"AWS_ACCESS_KEY_ID": "AKIANOBODYKNOWS0000"}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_credentials(lab, aws, job, name, change):
    """Refused by each service in its words, and never with the secret."""
    for where in [{"CHECKPOINT": f"file:{lab.dir}/l.json", "DYNAMODB_TABLE": None},
                  {"SOURCE": str(lab.dir / "in.csv"), "S3_BUCKET": None, "S3_KEY": None}]:
        (lab.dir / "in.csv").write_bytes(b"id\n1\n")
        run = job(b"id\n1\n", **where, **change).run(expect=MEND)
        says(run, "AWS_ACCESS_KEY_ID")
        assert "marker" not in run.said


def test_a_condition_that_fails_after_a_lost_answer(lab, aws, job):
    """A write whose answer is lost has happened: the run finds its own words there and goes on."""
    table = csvgen.varied(lab.dir / "in.csv", 20_000, columns=3, seed=73)
    lost = []

    def rule(request):
        if request.operation == "UpdateItem" and len(lost) < 3:
            lost.append(request)
            return LoseAnswer()
        return None

    with HttpProxy(aws.dynamodb_endpoint, rule) as dynamodb:
        task = job(table.path.read_bytes(), AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint, CHECKPOINT_INTERVAL=1)
        task.run(seconds=120)
    assert len(lost) == 3
    proved(lab, task, table)


def test_requester_pays(lab, aws, job):
    """The header is there where it is asked for, signed, and not elsewhere."""
    seen = []

    def rule(request):
        seen.append(request.headers)
        return None

    with HttpProxy(aws.s3_endpoint, rule) as s3:
        task = job(b"id\n1\n", AWS_ENDPOINT_URL_S3=s3.endpoint, S3_REQUEST_PAYER="requester")
        task.run()
        assert seen and all(headers["x-amz-request-payer"] == "requester" for headers in seen)
        assert all("x-amz-request-payer" in headers["authorization"] for headers in seen)
        seen.clear()
        job(b"id\n1\n", AWS_ENDPOINT_URL_S3=s3.endpoint).run()
        assert seen and not any("x-amz-request-payer" in headers for headers in seen)


def test_a_damaged_answer_of_the_table_is_asked_again(lab, aws, job):
    """x-amz-crc32 does not fit: the answer is not believed."""
    damaged = []

    def rule(request):
        if request.operation == "GetItem" and len(damaged) < 2:
            damaged.append(request)
            return Answer(200, b'{"Item": {"job_id": {"S": "x"}}}', {"x-amz-crc32": "1"})
        return None

    with HttpProxy(aws.dynamodb_endpoint, rule) as dynamodb:
        task = job(b"id\n1\n", AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint)
        run = task.run()
    assert len(damaged) == 2 and "its CRC-32 does not fit" in run.said, run.said
    assert end_of(lab, task) == 1
