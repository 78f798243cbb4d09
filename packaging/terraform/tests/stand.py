"""An account that is a stand-in, and the examples applied to it as they lie in the repository.

Runs inside the vendor tests' environment (packaging/terraform/test), whose fixtures and servers
are here too.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import boto3

from lab.ground import CACHE, Server, free_port, wait_until
from lab.s3 import Identity

import executions

ROOT = Path(__file__).resolve().parents[3]
TERRAFORM = ROOT / "packaging" / "terraform"
EXAMPLES = ["fargate", "batch", "ec2-spot", "fargate-private"]
MODULES = ["shared", "container", "endpoints", "fargate", "batch", "ec2-spot"]
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
# That of the examples' tfvars.
REGION = "eu-west-1"
# Some minutes of a busy machine.
SECONDS_MAX = 840


class Account:
    """ministack, which checks signatures and policies, and executes state machines."""

    def __init__(self, directory: Path):
        directory.mkdir()
        self.dir = directory
        mocks = directory / "executions.json"
        mocks.write_text(json.dumps(executions.mocks("csv-to-kafka")))
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.server = Server(
            "ministack", [Path(sys.executable).parent / "ministack"], directory / "server.log",
            env={"PATH": os.environ["PATH"], "HOME": str(directory), "AUTH": "true", "GATEWAY_PORT": str(port),
                 "MINISTACK_REGION": REGION, "PYTHONDONTWRITEBYTECODE": "1",
                 # Pauses of the state machine take no time.
                 "SFN_MOCK_CONFIG": str(mocks), "SFN_WAIT_SCALE": "0"},
            cwd=directory,
        )
        self.server.start()
        self.server.wait_port(port)
        wait_until("ministack", lambda: self._as(Identity("test", "test"), "iam").list_users())
        self.admin = self.user("admin", ALL)
        self.look_around()

    def look_around(self):
        """The account's own network, and a security group of brokers."""
        ec2 = self.client("ec2")
        self.vpc = ec2.describe_vpcs()["Vpcs"][0]
        self.subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]][:2]
        self.routes = ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
        self.kafka_group = ec2.create_security_group(GroupName="brokers", Description="brokers", VpcId=self.vpc["VpcId"])["GroupId"]

    def _as(self, identity: Identity, service: str):
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION,
                            aws_access_key_id=identity.access_key, aws_secret_access_key=identity.secret_key)

    def client(self, service: str, identity: Identity | None = None):
        return self._as(identity or self.admin, service)

    def user(self, name: str, policy: dict | str) -> Identity:
        """A user with this policy and no other."""
        iam = self._as(Identity("test", "test"), "iam")
        iam.create_user(UserName=name)
        self.allow(name, policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Identity(key["AccessKeyId"], key["SecretAccessKey"])

    def allow(self, name: str, policy: dict | str):
        text = policy if isinstance(policy, str) else json.dumps(policy)
        self._as(Identity("test", "test"), "iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=text)

    def environment(self) -> dict:
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": self.admin.access_key,
            "AWS_SECRET_ACCESS_KEY": self.admin.secret_key, "AWS_EC2_METADATA_DISABLED": "true",
        }


class Moto(Account):
    """moto, which can delete what is in Batch, and whose Auto Scaling groups replace what is lost.

    It wants a service role for Batch, where AWS has its own.
    """

    def __init__(self, directory: Path):
        directory.mkdir()
        port = free_port()
        self.endpoint, self.admin = f"http://127.0.0.1:{port}", Identity("test", "test")
        self.server = Server("moto", [CACHE / "venv-moto" / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(port)], directory / "server.log",
                             env={"PATH": os.environ["PATH"], "HOME": str(directory), "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}, cwd=directory)
        self.server.start()
        self.server.wait_port(port)
        self.look_around()
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "batch.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        self.batch_role = self.client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


def terraform(directory: Path, *arguments, **env) -> str:
    """One command, held to exit code 0; what it printed."""
    done = subprocess.run(
        ["terraform", f"-chdir={directory}", *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS_MAX,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", **env},
    )
    assert done.returncode == 0, f"terraform {arguments[0]} in {directory.name}:\n{done.stdout[-6000:]}"
    return done.stdout


def init(directory: Path):
    terraform(directory, "init", "-no-color", "-input=false", "-backend=false", f"-plugin-dir={os.environ['TF_PLUGIN_DIR']}")


@dataclass
class Applied:
    """An example after apply: its state, by address."""

    name: str
    dir: Path
    resources: dict
    outputs: dict
    plan: dict = field(default_factory=dict)

    def planned(self, kind: str) -> list[dict]:
        """What was asked of AWS, where a stand-in does not say all of it again."""
        if not self.plan:
            self.plan.update(json.loads(terraform(self.dir, "show", "-json", "plan")))
        return [c["change"]["after"] for c in self.plan["resource_changes"] if c["type"] == kind]

    def one(self, kind: str, name: str | None = None) -> dict:
        found = self.all(kind, name)
        assert len(found) == 1, f"{self.name}: {kind} {name}: {len(found)}"
        return found[0]

    def all(self, kind: str, name: str | None = None) -> list[dict]:
        return [r["values"] for r in self.resources.values()
                if r["type"] == kind and r["mode"] == "managed" and (name is None or r["name"] == name)]


class Stack:
    """One example, applied in a thread of its own: most of the time Terraform waits."""

    def __init__(self, account: Account, tree: Path, example: str):
        self.account, self.example, self.dir = account, example, tree / "examples" / example
        self.problem = self.applied = None
        # The first has the names of the Python system; all others are second sets in the account.
        self.name = "csv-to-kafka" if example == "fargate" else f"second-{example}"
        self.variables = [
            f"-var=vpc_id={account.vpc['VpcId']}", f"-var=subnet_ids={json.dumps(account.subnets)}",
            f"-var=kafka_security_group_id={account.kafka_group}", f"-var=name={self.name}",
            "-var=table_deletion_protection=false",
        ]
        if example == "fargate-private":
            self.variables += [f"-var=route_table_ids={json.dumps([account.routes])}", f"-var=vpc_cidr={account.vpc['CidrBlock']}"]
        if isinstance(account, Moto):
            (self.dir / "stand_override.tf").write_text(f'module "job" {{\n  existing_service_role_arn = "{account.batch_role}"\n}}\n')
        self.thread = threading.Thread(target=self._guarded, args=(self._apply,), daemon=True)
        self.thread.start()

    def _guarded(self, step):
        try:
            step()
        except BaseException as problem:  # told by whoever waits for it
            self.problem = problem

    def _apply(self):
        init(self.dir)
        env = self.account.environment()
        terraform(self.dir, "plan", "-no-color", "-input=false", "-out=plan", *self.variables, **env)
        terraform(self.dir, "apply", "-no-color", "-input=false", "plan", **env)
        shown = json.loads(terraform(self.dir, "show", "-json", "-no-color", **env))["values"]
        resources = {}

        def visit(module):
            resources.update({r["address"]: r for r in module.get("resources", [])})
            for child in module.get("child_modules", []):
                visit(child)
        visit(shown["root_module"])
        self.applied = Applied(self.example, self.dir, resources, {k: v["value"] for k, v in shown["outputs"].items()})

    def _destroy(self):
        out = terraform(self.dir, "destroy", "-no-color", "-auto-approve", "-input=false", "-refresh=false", *self.variables,
                        **self.account.environment())
        assert f"{len([r for r in self.applied.resources.values() if r['mode'] == 'managed'])} destroyed" in out, out[-2000:]
        assert not json.loads((self.dir / "terraform.tfstate").read_text())["resources"]

    def wait(self):
        self.thread.join(SECONDS_MAX * 2)
        assert not self.thread.is_alive(), f"{self.example} is not through"
        if self.problem is not None:
            raise self.problem
        return self.applied

    def destroy(self):
        self.wait()
        self.thread = threading.Thread(target=self._guarded, args=(self._destroy,), daemon=True)
        self.thread.start()
