"""The product as a user runs it: a process with environment variables, watched and harmed from outside."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from .ground import CACHE, die_with_parent
from .s3 import REGION

BINARY = os.environ.get("CSV_TO_KAFKA_BIN", "")

COMPLETE, MEND, AGAIN = 0, 1, 75


class Run:
    """One process."""

    def __init__(self, arguments: list[str], env: dict, directory: Path, number: int, measure: bool = False):
        self.directory, self.number = directory, number
        self._out, self._err = directory / f"{number}.out", directory / f"{number}.err"
        self._report = directory / f"{number}.peak"
        command = [BINARY, *map(str, arguments)]
        if measure:
            command = [str(CACHE / "bin" / "peak"), str(self._report), *command]
        self.started = time.monotonic()
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env,
                                            cwd=directory, preexec_fn=die_with_parent)
        self.pid = self._child() if measure else self.process.pid
        self.elapsed = None

    def _child(self) -> int:
        for _ in range(2000):
            found = re.search(r"pid (\d+)\n", self._report.read_text() if self._report.exists() else "")
            if found:
                return int(found[1])
            time.sleep(0.001)
        raise RuntimeError("the launcher did not start")

    @property
    def out(self) -> str:
        return self._out.read_bytes().decode(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_bytes().decode(errors="replace")

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def peak_kib(self) -> int:
        return int(re.search(r"peak_kib (\d+)", self._report.read_text())[1])

    @property
    def cpu_seconds(self) -> float:
        return int(re.search(r"cpu_ms (\d+)", self._report.read_text())[1]) / 1000

    def wait(self, seconds: float = 300) -> int:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            said = self.said[-3000:]
            self.kill()
            raise AssertionError(f"run {self.number} did not end within {seconds} s:\n{said}") from None
        if self.elapsed is None:
            self.elapsed = time.monotonic() - self.started
        return code

    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int):
        if self.alive():
            os.kill(self.pid, number)

    def kill(self) -> int:
        """SIGKILL, at whatever instruction it is; the exit code if it was already over."""
        self.signal(signal.SIGKILL)
        return self.process.wait(30)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def is_product(self) -> bool:
        try:
            return os.readlink(f"/proc/{self.pid}/exe") == BINARY
        except OSError:
            return False

    def status(self, name: str) -> int | None:
        """A number of /proc/<pid>/status, such as Threads, VmRSS, VmHWM."""
        try:
            found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.M)
        except OSError:
            return None
        return int(found[1]) if found else None


class Watch:
    """Samples /proc/<pid>/status from beside until the process is gone."""

    def __init__(self, run: Run, every: float = 0.005):
        self.run, self.every = run, every
        self.threads: set[int] = set()
        self.samples = 0
        self.rss_kib_max = 0
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self):
        while True:
            threads = self.run.status("Threads")
            if threads is None:
                return
            rss = self.run.status("VmRSS")
            if rss is None:  # a zombie has no memory
                return
            # Between fork and exec the process still is the test's own.
            if self.run.is_product():
                self.threads.add(threads)
                self.rss_kib_max = max(self.rss_kib_max, rss)
                self.samples += 1
            time.sleep(self.every)

    def join(self):
        self._thread.join(10)
        return self


class Job:
    """One source into one partition. Every start() is a new process of the same job."""

    def __init__(self, directory: Path, **settings):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.settings = {
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **settings,
        }
        self.runs: list[Run] = []

    def start(self, *arguments, measure: bool = False, **settings) -> Run:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.directory)}
        for key, value in (self.settings | settings).items():
            if value is not None:
                env[key] = str(value)
        run = Run(list(arguments) or ["run"], env, self.directory, len(self.runs) + 1, measure)
        self.runs.append(run)
        return run

    def run(self, *arguments, expect: int | tuple | None = COMPLETE, seconds: float = 300, **settings) -> Run:
        """Starts it, waits for its end, and holds it to an exit code."""
        run = self.start(*arguments, **settings)
        run.code = run.wait(seconds)
        if expect is not None:
            codes = expect if isinstance(expect, tuple) else (expect,)
            assert run.code in codes, f"exit {run.code}, expected {expect}; it said:\n{run.said[-4000:]}"
        return run

    def until_complete(self, starts_max: int = 20, seconds: float = 300, **settings) -> Run:
        """What Batch and the user-data script do: start again after 75 and after a crash."""
        for _ in range(starts_max):
            run = self.run(expect=None, seconds=seconds, **settings)
            if run.code == COMPLETE:
                return run
            assert run.code == AGAIN, f"exit {run.code}; it said:\n{run.said[-4000:]}"
        raise AssertionError(f"not complete after {starts_max} starts; the last one said:\n{run.said[-4000:]}")

    def stop_all(self):
        for run in self.runs:
            if run.alive():
                run.thaw()
                run.kill()
