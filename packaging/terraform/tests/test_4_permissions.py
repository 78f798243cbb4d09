"""A real job with exactly the permissions of the module; and once more without each.

The policy is the one that was applied to the task's role, read from the account.
"""

import json
import urllib.parse

import pytest

from lab.ground import wait_until
from stand import REGION

CSV = b"order_id,city\n" + b"".join(b"%d,Berlin\n" % n for n in range(1, 2001))
BUCKET, KEY = "my-bucket", "exports/orders.csv"  # those of the examples' tfvars


@pytest.fixture(scope="module")
def policy(account, fargate) -> dict:
    role = fargate.one("aws_iam_role", "job")["name"]
    found = account.client("iam").get_role_policy(RoleName=role, PolicyName="job")["PolicyDocument"]
    return json.loads(urllib.parse.unquote(found)) if isinstance(found, str) else found


@pytest.fixture(scope="module")
def place(account, fargate, policy):
    """Bucket with versions, the source in it, and the user that the job is."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=CSV)
    return account.user("task", policy)


@pytest.fixture
def job(lab, account, place, fargate):
    """A job of the lab's, in that account."""
    def make(**settings):
        return lab.job(KEY, lab.topic(), **{
            "S3_BUCKET": BUCKET, "AWS_REGION": REGION, "DYNAMODB_TABLE": fargate.one("aws_dynamodb_table")["name"],
            "AWS_ACCESS_KEY_ID": place.access_key, "AWS_SECRET_ACCESS_KEY": place.secret_key,
            "AWS_ENDPOINT_URL_S3": account.endpoint, "AWS_ENDPOINT_URL_DYNAMODB": account.endpoint, "MAX_RETRIES": 1, **settings})
    return make


def without(policy: dict, action: str) -> dict:
    statements = [{**s, "Action": [a for a in s["Action"] if a != action]} for s in policy["Statement"]]
    return {**policy, "Statement": [s for s in statements if s["Action"]]}


def test_the_job_passes(account, policy, job, lab):
    """Stopped on its way, so that a resume's permissions are used too; then proved."""
    account.allow("task", policy)
    first = job(MAX_ROWS_PER_SECOND=400, CHECKPOINT_INTERVAL=1)
    run = first.start()
    table_api = account.client("dynamodb")
    table, job_id = first.settings["DYNAMODB_TABLE"], first.settings["JOB_ID"]
    wait_until("a checkpoint", lambda: int(table_api.get_item(TableName=table, Key={"job_id": {"S": job_id}})["Item"]["last_line"]["N"]) > 0)
    run.terminate()
    assert run.wait(60) == 75, run.said
    first.run(MAX_ROWS_PER_SECOND=None)
    assert len(list(lab.records(first))) == 2000
    first.run("verify")
    first.run("status")


NEEDED = ["s3:GetObject", "dynamodb:GetItem", "dynamodb:UpdateItem"]


@pytest.mark.parametrize("action", NEEDED)
def test_each_action_is_needed(account, policy, job, action):
    """Without it the job ends with 1, and what it says names the action."""
    assert any(action in s["Action"] for s in policy["Statement"])
    account.allow("task", without(policy, action))
    try:
        said = job().run("run", expect=1).said
        assert action in said, said
    finally:
        account.allow("task", policy)


def test_missing_and_forbidden_are_told_apart(account, policy, job):
    """s3:ListBucket is there for the message alone."""
    account.allow("task", policy)
    here = job(S3_KEY="exports/orders.csv.gone").run("run", expect=1).said
    account.allow("task", without(policy, "s3:ListBucket"))
    try:
        gone = job(S3_KEY="exports/orders.csv.gone").run("run", expect=1).said
        assert "s3:ListBucket" in gone and here != gone, gone
    finally:
        account.allow("task", policy)


def test_no_other_object_or_table(account, policy, job, place):
    """The policy reaches this object and this table only."""
    account.allow("task", policy)
    account.client("s3").put_object(Bucket=BUCKET, Key="exports/salaries.csv", Body=CSV)
    assert "s3:GetObject" in job(S3_KEY="exports/salaries.csv").run("run", expect=1).said
    account.client("dynamodb").create_table(TableName="another-table", BillingMode="PAY_PER_REQUEST",
                                            AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
                                            KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}])
    assert "dynamodb:GetItem" in job(DYNAMODB_TABLE="another-table").run("run", expect=1).said


def test_every_action_has_its_use(policy):
    """Nothing is granted that no test or document accounts for."""
    granted = {a for s in policy["Statement"] for a in s["Action"]}
    optional = {"s3:ListBucket"}
    msk = {"kafka-cluster:" + a for a in ("Connect", "DescribeCluster", "WriteDataIdempotently", "DescribeTopic",
                                          "DescribeTopicDynamicConfiguration", "WriteData", "ReadData")}
    assert granted == set(NEEDED) | optional | msk
    assert all("*" not in resource.split(":")[-1] or resource.endswith("*") for s in policy["Statement"] for resource in s["Resource"])
