"""Roots of their own: directories that a process has for its whole file system, read-only or with this system's tools."""

import os
import shutil
import subprocess
from pathlib import Path

from lab.ground import die_with_parent

HERE = Path(__file__).resolve().parent
PACKAGING = HERE.parent
ROOT = PACKAGING.parent
DIST = Path(os.environ.get("CSV_TO_KAFKA_DIST", PACKAGING / "dist"))
ARCHITECTURES = ["x86_64", "aarch64"]
# Docker's names for them.
DOCKER = {"x86_64": "amd64", "aarch64": "arm64"}
NOBODY = "65532:65532"


def binary(architecture: str) -> Path:
    return DIST / f"csv-to-kafka-{architecture}"


def emulator(architecture: str) -> list[str]:
    return ["qemu-aarch64-static"] if architecture == "aarch64" and os.uname().machine != "aarch64" else []


class Inside:
    """A process that is number 1, in a root that it can not write to. It has no /proc, no /dev and no /etc of ours."""

    def __init__(self, root: Path, architecture: str, command: list, env: dict, log: Path):
        runner = emulator(architecture)
        for program in runner:
            shutil.copy(shutil.which(program), root / program)
        # The shell becomes the process itself: it is number 1 from the start.
        script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
        call = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", str(root),
                "chroot", f"--userspec={NOBODY}", str(root), *[f"/{program}" for program in runner], *map(str, command)]
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent,
                                            env={"PATH": os.environ["PATH"]} | {k: str(v) for k, v in env.items() if v is not None})

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = 200) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {seconds} s:\n{self.said[-3000:]}") from None

    def pid(self) -> int:
        """As this system sees it."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def kill(self):
        if self.process.poll() is None:
            try:
                os.kill(self.pid(), 9)
            except (OSError, IndexError):
                self.process.kill()
            self.process.wait(30)


def job_settings(lab, key: str, topic: str, **settings) -> dict:
    """Those of a job of the lab, for a process that is started in another way."""
    job = lab.job(key, topic, **settings)
    return job, {key: value for key, value in job.settings.items() if value is not None}
