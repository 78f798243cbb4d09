"""Who we are for AWS: each place that may know, against ministack, which checks signatures and session tokens.

A rehearsal needs S3 alone; the credentials are the same for DynamoDB.
"""

import base64
import json
import os
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from lab.ground import Server, free_port, wait_until
from lab.job import Job
from lab.listener import Tls
from lab.s3 import REGION, Identity, client
from lab.secured import Authority

CSV = b"name,city\nAda,London\nEmmy,Erlangen\n"
RECORDS = ["Ada", "Emmy"]
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
PROVIDER = "arn:aws:iam::000000000000:oidc-provider/issuer.example"


class Account:
    """A ministack with a bucket, a user, and roles for the user and for a web identity."""

    def __init__(self, directory: Path, **env):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        directory.mkdir()
        self.server = Server(
            "ministack", [Path(sys.executable).parent / "ministack"], directory / "server.log",
            env={"PATH": os.environ["PATH"], "HOME": str(directory), "GATEWAY_PORT": str(self.port),
                 "MINISTACK_REGION": REGION, "PYTHONDONTWRITEBYTECODE": "1", **env},
            cwd=directory,
        )
        self.server.start()
        self.server.wait_port(self.port)
        wait_until("ministack", lambda: urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2).status == 200)
        iam = client("iam", self.endpoint, Identity("test", "test"))
        iam.create_user(UserName="lab")
        iam.put_user_policy(UserName="lab", PolicyName="all", PolicyDocument=json.dumps(ALL))
        key = iam.create_access_key(UserName="lab")["AccessKey"]
        self.user = Identity(key["AccessKeyId"], key["SecretAccessKey"])
        self.role = self._role(iam, "load", {"AWS": "*"}, "sts:AssumeRole")
        self.web_role = self._role(iam, "web", {"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity")
        s3 = client("s3", self.endpoint, self.user)
        s3.create_bucket(Bucket="lab-credentials")
        s3.put_object(Bucket="lab-credentials", Key="in.csv", Body=CSV)

    @staticmethod
    def _role(iam, name: str, principal: dict, action: str) -> str:
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": action}]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(ALL))
        return arn

    def profiles(self, job: Job):
        home = job.directory / ".aws"
        home.mkdir()
        (home / "credentials").write_text(
            f"[user]\naws_access_key_id = {self.user.access_key}\naws_secret_access_key = {self.user.secret_key}\n")
        (home / "config").write_text(
            f"[profile user]\nregion = {REGION}\n[profile role]\nrole_arn = {self.role}\nsource_profile = user\n"
            f"region = {REGION}\n[profile sso]\nsso_session = corporate\nregion = {REGION}\n")


@pytest.fixture(scope="module")
def account(ground):
    account = Account(ground / "credentials", AUTH="true")
    yield account
    account.server.kill()


@pytest.fixture(scope="module")
def machine(ground):
    """One that is an instance and a container too; the keys that it hands out it can not check."""
    machine = Account(ground / "machine", MINISTACK_IMDS_V2_REQUIRED="1")
    yield machine
    machine.server.kill()


def job_of(account: Account, directory: Path, **settings) -> Job:
    settings = {"AWS_ENDPOINT_URL": account.endpoint, "LOG_LEVEL": "trace", "RUST_LOG": "trace", **settings}
    return Job(directory / "job", **settings)


def rehearse(job: Job, expect: int = 0, secrets=(), **settings):
    run = job.run("rehearse", "s3://lab-credentials/in.csv", "--print", expect=expect, **settings)
    for secret in secrets:
        assert secret not in run.said, "a secret is in the output"
    if expect == 0:
        names = [json.loads(line)["name"] for line in run.said.splitlines() if line.startswith('{"name"')]
        assert names == RECORDS, run.said
    return run


def token(**claims) -> str:
    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    claims = {"iss": "https://issuer.example", "sub": "pod", "aud": "sts.amazonaws.com", "exp": int(time.time()) + 3600, **claims}
    return ".".join([part({"alg": "none"}), part(claims), "c2lnbmF0dXJl"])


@pytest.mark.parametrize("profile", ["user", "role"])
def test_profiles(tmp_path, account, profile):
    """Keys of a profile, and a role that they may assume; the region is the profile's too."""
    job = job_of(account, tmp_path, AWS_PROFILE=profile, AWS_REGION=None)
    account.profiles(job)
    rehearse(job, secrets=[account.user.secret_key])


def test_environment(tmp_path, account):
    job = job_of(account, tmp_path, AWS_ACCESS_KEY_ID=account.user.access_key, AWS_SECRET_ACCESS_KEY=account.user.secret_key)
    rehearse(job, secrets=[account.user.secret_key])


def test_web_identity(tmp_path, account):
    file = tmp_path / "token"
    file.write_text(token())
    job = job_of(account, tmp_path, AWS_WEB_IDENTITY_TOKEN_FILE=file, AWS_ROLE_ARN=account.web_role)
    rehearse(job, secrets=[file.read_text(), "c2lnbmF0dXJl"])


def test_instance(tmp_path, machine):
    """Role and region of an EC2 instance that insists on IMDSv2."""
    job = job_of(machine, tmp_path, AWS_REGION=None, AWS_EC2_METADATA_DISABLED=None,
                 AWS_EC2_METADATA_SERVICE_ENDPOINT=machine.endpoint)
    rehearse(job)


def test_container(tmp_path, machine):
    file = tmp_path / "token"
    file.write_text("whispered-token")
    job = job_of(machine, tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{machine.endpoint}/v2/credentials/task",
                 AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=file)
    rehearse(job, secrets=["whispered-token"])


@pytest.mark.parametrize("settings, words", [
    ({"AWS_PROFILE": "sso"}, ["signs in by SSO", "aws configure export-credentials --profile 'sso' --format env"]),
    ({"AWS_PROFILE": "none"}, ["there is no profile none", "AWS_PROFILE"]),
    ({}, ["environment: AWS_ACCESS_KEY_ID is not set; profile: ", "web identity: ", "container: ", "instance: "]),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "arn:x"}, ["the token file /none is not there"]),
    ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://collector.example/"}, ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]),
    ({"AWS_ACCESS_KEY_ID": "half"}, ["AWS_SECRET_ACCESS_KEY is missing"]),
])
def test_nobody_knows(tmp_path, account, settings, words):
    """One message that names each place and why it has none."""
    job = job_of(account, tmp_path, LOG_LEVEL="info", RUST_LOG=None, **settings)
    account.profiles(job)
    said = rehearse(job, expect=1, secrets=[account.user.secret_key]).said
    for word in words:
        assert word in said, said


def test_a_role_that_may_not_be_assumed(tmp_path, account):
    job = job_of(account, tmp_path, AWS_PROFILE="role")
    account.profiles(job)
    config = job.directory / ".aws" / "config"
    config.write_text(config.read_text().replace(account.role, account.role + "-of-nobody"))
    said = rehearse(job, expect=1, secrets=[account.user.secret_key]).said
    assert f"role {account.role}-of-nobody: STS answers" in said, said


def test_a_bucket_in_another_region(tmp_path, account):
    job = job_of(account, tmp_path, AWS_PROFILE="user", AWS_REGION="eu-west-3")
    account.profiles(job)
    said = rehearse(job).said
    assert f"bucket lab-credentials is in region {REGION}, not in eu-west-3" in said, said


def test_own_authorities(tmp_path, account):
    """Trusted with AWS_CA_BUNDLE, refused by name without it."""
    authority = Authority(tmp_path, "lab")
    with Tls(authority.certificate("host", "IP:127.0.0.1"), account.port) as tls:
        job = job_of(account, tmp_path, AWS_ENDPOINT_URL=tls.endpoint, AWS_PROFILE="user")
        account.profiles(job)
        said = rehearse(job, expect=1).said
        assert "certificate" in said and "AWS_CA_BUNDLE" in said, said
        rehearse(job, secrets=[account.user.secret_key], AWS_CA_BUNDLE=authority.pem)
