"""versitygw: a real S3 server over a directory. It checks signatures, ranges, If-Match and versions."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from .ground import CACHE, Server, free_port, wait_until

REGION = "us-east-1"


@dataclass
class Identity:
    """One for both AWS stand-ins, since a run has one."""

    access_key: str
    secret_key: str


def client(service: str, endpoint: str, identity: Identity):
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION,
        aws_access_key_id=identity.access_key, aws_secret_access_key=identity.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 8, "mode": "standard"},
                      request_checksum_calculation="when_required", response_checksum_validation="when_required",
                      read_timeout=300),
    )


class S3:
    def __init__(self, directory: Path, identity: Identity):
        self.dir, self.server, self.identity = directory, None, identity
        self.endpoint = os.environ.get("S3_ENDPOINT_LAB")

    def start(self):
        if self.endpoint is None:
            self.port = free_port()
            folders = [self.dir / name for name in ("iam", "versions", "data")]
            for folder in folders:
                folder.mkdir(parents=True)
            iam, versions, data = folders
            self.server = Server(
                "versitygw",
                [CACHE / "bin" / "versitygw", "--port", f"127.0.0.1:{self.port}", "--region", REGION, "--quiet",
                 "--iam-dir", iam, "posix", "--versioning-dir", versions, data],
                self.dir / "server.log",
                env={"PATH": os.environ["PATH"], "ROOT_ACCESS_KEY": self.identity.access_key,
                     "ROOT_SECRET_KEY": self.identity.secret_key},
                cwd=self.dir,
            )
            self.server.start()
            self.server.wait_port(self.port)
            self.endpoint = f"http://127.0.0.1:{self.port}"
        self.api = client("s3", self.endpoint, self.identity)
        wait_until("S3", lambda: self.api.list_buckets()["Buckets"] is not None)
        return self

    def stop(self):
        if self.server is not None:
            self.server.kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    def take(self, bucket: str, key: str, source: Path):
        """Moves a large file to where versitygw keeps its objects, with an ETag as it notes one: an upload
        of gigabytes takes minutes, and twice the disk."""
        os.setxattr(source, "user.etag", b'"%032x"' % source.stat().st_size)
        source.rename(self.dir / "data" / bucket / key)

    def put(self, bucket: str, key: str, source: Path | bytes) -> str:
        """Stores one object in one request and answers its ETag."""
        if isinstance(source, bytes):
            return self.api.put_object(Bucket=bucket, Key=key, Body=source)["ETag"]
        with open(source, "rb") as body:
            return self.api.put_object(Bucket=bucket, Key=key, Body=body)["ETag"]
