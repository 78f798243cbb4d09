"""moto: a second S3 and a second DynamoDB, written by others than the first ones.

It checks signatures and policies after the first few calls, with which the lab makes its user.
It lives in a Python environment of its own, since it and ministack want different versions of
one library.
"""

import json
import shutil
import urllib.request
from pathlib import Path

from .ground import CACHE, Server, free_port, wait_until
from .s3 import REGION, Identity, client


class Moto:
    def __init__(self, directory: Path):
        directory.mkdir(parents=True)
        self.dir, self.port = directory, free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        python = CACHE / "venv-moto" / "bin"
        self.server = Server(
            "moto", [python / "moto_server", "-H", "127.0.0.1", "-p", self.port], directory / "server.log",
            env={"PATH": str(python), "HOME": str(directory), "INITIAL_NO_AUTH_ACTION_COUNT": "3",
                 "AWS_DEFAULT_REGION": REGION, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=directory,
        )

    def start(self):
        self.server.start()
        self.server.wait_port(self.port)
        wait_until("moto", lambda: urllib.request.urlopen(f"{self.endpoint}/moto-api/data.json", timeout=5).status == 200)
        iam = client("iam", self.endpoint, Identity("test", "test"))
        iam.create_user(UserName="lab")
        iam.put_user_policy(UserName="lab", PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
        key = iam.create_access_key(UserName="lab")["AccessKey"]
        self.identity = Identity(key["AccessKeyId"], key["SecretAccessKey"])
        self.s3, self.dynamodb = (client(name, self.endpoint, self.identity) for name in ("s3", "dynamodb"))
        return self

    def stop(self):
        self.server.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
