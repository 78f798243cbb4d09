"""An EC2 instance as user data sees one: its metadata, where its binary comes from, and a root of its own."""

import json
import os
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab.ground import die_with_parent
from lab.s3 import REGION
from place import ROOT

# Where it is on EC2. The loopback of the network that the tests have for themselves takes it.
METADATA = "169.254.169.254"
SESSION = "a-session=="
ROLE = "load"
# What belongs to the system, from this one; all else is the instance's own.
SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl", "/etc/alternatives", "/proc", "/dev"]


class Served:
    """A handler that asks a function for each answer: method, path, headers -> (status, body)."""

    def __init__(self, address: str, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, text = answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = do

            def log_message(self, *_):
                pass

        host, _, port = address.partition(":")
        self.server = ThreadingHTTPServer((host, int(port or 0)), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Instance:
    """One machine. start() runs the user data on it as cloud-init does; it ends when it shuts itself down."""

    def __init__(self, directory: Path, identity, settings: dict):
        self.dir, self.identity = directory, identity
        self.id = f"i-{time.time_ns():017x}"
        self.notice, self.asked = None, []
        self.root = directory / "root"
        for name in [*SYSTEM, "/usr/local/sbin", "/etc", "/var/log", "/tmp", "/run"]:
            (self.root / name[1:]).mkdir(parents=True, exist_ok=True)
        self.local = directory / "local"
        for name in ["bin", "sbin"]:
            (self.local / name).mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        for name, account in [("passwd", "root:x:0:0::/:/bin/sh\n"), ("group", "root:x:0:\n"), ("hosts", "127.0.0.1 localhost\n")]:
            (self.root / "etc" / name).write_text(account)
        # What would end this machine.
        shutdown = self.local / "sbin" / "shutdown"
        shutdown.write_text('#!/bin/sh\necho "$@" >>/var/shutdown\n')
        shutdown.chmod(0o755)
        lines = [f"{key}='{value}'\n" for key, value in settings.items()]
        (self.root / "etc" / "csv-to-kafka.env").write_text("".join(lines))

    def _metadata(self, method, path, headers, _body):
        self.asked.append((method, path))
        if (method, path) == ("PUT", "/latest/api/token"):
            good = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit()
            return (200, SESSION.encode()) if good else (400, b"")
        if headers.get("X-aws-ec2-metadata-token") != SESSION:
            return 401, b""
        known = {
            "instance-id": self.id, "placement/region": REGION, "iam/security-credentials/": ROLE,
            f"iam/security-credentials/{ROLE}": json.dumps({
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": self.identity.access_key,
                "SecretAccessKey": self.identity.secret_key, "Token": self.identity.token,
                "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2094-01-01T00:00:00Z"}, indent=1),
            "spot/instance-action": self.notice and json.dumps({"action": "terminate", "time": self.notice}),
        }
        text = known.get(path.removeprefix("/latest/meta-data/"))
        return (200, text.encode()) if text else (404, b"")

    def start(self, user_data: str):
        (self.root / "user-data").write_text(user_data)
        mounts = [f'mount --rbind {name} "{self.root}{name}"' for name in SYSTEM]
        mounts += [f'mount --bind "{self.local}/{name}" "{self.root}/usr/local/{name}"' for name in ["bin", "sbin"]]
        script = f"set -e; {'; '.join(mounts)}; exec chroot {self.root} /bin/bash /user-data"
        self.metadata = Served(f"{METADATA}:80", self._metadata)
        with open(self.dir / "console", "wb") as console:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                preexec_fn=die_with_parent, start_new_session=True,
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
        return self

    def wait(self, seconds: float = 180):
        """Until it has ended itself; answers how the user data ended."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"the instance did not end within {seconds} s:\n{self.console[-4000:]}") from None
        self.metadata.close()
        ended = self.root / "var" / "shutdown"
        assert ended.exists() and ended.read_text() == "-h now\n", f"exit {code}, no shutdown:\n{self.console[-4000:]}"
        # What is on the console is in the file, and the other way round but for what came after the file was sent.
        assert self.log and self.console.startswith(self.log), self.console[-4000:]
        return code

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait(30)
            self.metadata.close()

    @property
    def console(self) -> str:
        return (self.dir / "console").read_text(errors="replace")

    @property
    def log(self) -> str:
        path = self.root / "var" / "log" / "csv-processor.log"
        return path.read_text(errors="replace") if path.exists() else ""


def render(env: dict) -> str:
    """The user data that launch-spot.sh hands to EC2."""
    done = subprocess.run([ROOT / "userdata" / "launch-spot.sh", "--dry-run"], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"]} | env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n--- user data ---\n", 1)[1]


def clear(directory: Path):
    shutil.rmtree(directory, ignore_errors=True)
