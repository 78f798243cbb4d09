"""ministack as DynamoDB: it checks signatures and conditions as AWS does.

With AUTH=true it checks the signatures of users, but not those of its root key `test`, so
the lab works as a user that it makes first. It listens on all interfaces and has no switch against that, so `run` puts the whole lab into
a network namespace of its own where it can.
"""

import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from .ground import Server, free_port, wait_until
from .s3 import REGION, Identity, client

_from_wire, _to_wire = TypeDeserializer().deserialize, TypeSerializer().serialize


class DynamoDb:
    def __init__(self, directory: Path):
        self.dir, self.server = directory, None
        self.endpoint = os.environ.get("DYNAMODB_ENDPOINT_LAB")

    def start(self):
        if self.endpoint is None:
            self.port = free_port()
            self.dir.mkdir(parents=True)
            self.server = Server(
                "ministack", [Path(sys.executable).parent / "ministack"], self.dir / "server.log",
                env={"PATH": os.environ["PATH"], "HOME": str(self.dir), "AUTH": "true", "GATEWAY_PORT": str(self.port),
                     "MINISTACK_REGION": REGION, "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=self.dir,
            )
            self.server.start()
            self.server.wait_port(self.port)
            self.endpoint = f"http://127.0.0.1:{self.port}"
            wait_until("ministack", lambda: urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2).status == 200)
            self.identity = self._make_user()
        else:
            self.identity = Identity(os.environ.get("AWS_ACCESS_KEY_ID", "test"), os.environ.get("AWS_SECRET_ACCESS_KEY", "test"))
        self.api = client("dynamodb", self.endpoint, self.identity)
        return self

    def _make_user(self) -> Identity:
        iam = client("iam", self.endpoint, Identity("test", "test"))
        iam.create_user(UserName="lab")
        iam.put_user_policy(UserName="lab", PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
        key = iam.create_access_key(UserName="lab")["AccessKey"]
        return Identity(key["AccessKeyId"], key["SecretAccessKey"])

    def stop(self):
        if self.server is not None:
            self.server.kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    def create_table(self, name: str) -> str:
        self.api.create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
        )
        self.api.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return name

    def item(self, table: str, job_id: str) -> dict | None:
        found = self.api.get_item(TableName=table, Key={"job_id": {"S": job_id}}, ConsistentRead=True).get("Item")
        return {k: _from_wire(v) for k, v in found.items()} if found else None

    def put(self, table: str, item: dict):
        self.api.put_item(TableName=table, Item={k: _to_wire(v) for k, v in item.items()})
