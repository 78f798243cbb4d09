"""Contestants of the bench, and what one run of each is measured by.

All read the same file of 80-byte rows, or JSON or batches made from it beforehand, and write to a
new topic of one partition on the same broker.
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .consumer import log_range
from .ground import CACHE, die_with_parent
from .job import BINARY
from .kafka import JAVA, Cluster, class_path

PEERS = Path(__file__).parent.parent / "peers"
PYTHON = CACHE / "venv-peers" / "bin" / "python"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Turn:
    """One process from its start to its end."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_kib: int
    # Until the partition's log held a byte, and what the process had used of the CPU by then.
    first_seconds: float
    first_cpu_seconds: float
    wire_bytes: int
    log_bytes: int
    said: str


@dataclass
class Contestant:
    name: str
    rows: int
    # From a topic to the command that fills it.
    command: object
    # A peer's start is not counted (its time and CPU until the first record); ours is.
    is_ours: bool = False
    # What the log must hold, where that is not `rows`.
    compression: str = ""
    note: str = ""
    environment: dict = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)

    def rates(self) -> list[float]:
        """Rows per second."""
        return sorted(t.rows / (t.seconds if self.is_ours else t.seconds - t.first_seconds) for t in self.turns)

    def cpu_per_million(self) -> float:
        return median((t.cpu_seconds if self.is_ours else t.cpu_seconds - t.first_cpu_seconds) / t.rows * 1e6
                      for t in self.turns)

    def median(self, what) -> float:
        return median(what(turn) for turn in self.turns)


def loopback_bytes() -> int:
    """All that went over the loopback of this network namespace, headers included."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


def take_turn(contestant: Contestant, cluster: Cluster, topic: str, directory: Path, seconds_max: float = 120) -> Turn:
    report = directory / f"{topic}.peak"
    log = cluster.nodes[0].dir / "log" / f"{topic}-0"
    first_segment = log / f"{0:020d}.log"
    wire_before = loopback_bytes()
    began = time.monotonic()
    program, *arguments = map(str, contestant.command(topic))
    with open(directory / f"{topic}.said", "w+b") as said:
        process = subprocess.Popen([CACHE / "bin" / "peak", report, shutil.which(program), *arguments],
                                   stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=directory,
                                   env={"PATH": os.environ["PATH"], "HOME": str(directory), **contestant.environment},
                                   preexec_fn=die_with_parent)
        first_seconds = first_cpu = None
        while process.poll() is None and time.monotonic() - began < seconds_max:
            if first_seconds is None and first_segment.exists() and first_segment.stat().st_size > 0:
                first_seconds = time.monotonic() - began
                first_cpu = _cpu_seconds(int(re.search(r"pid (\d+)", report.read_text())[1]))
            time.sleep(0.0005 if first_seconds is None else 0.002)
        seconds = time.monotonic() - began
        if process.poll() is None:
            process.kill()
        said.seek(0)
        text = said.read().decode(errors="replace")
    if first_seconds is None:
        first_seconds, first_cpu = seconds, 0.0
    assert process.wait() == 0, f"{contestant.name}: exit {process.returncode}\n{text[-3000:]}"
    wire_bytes = loopback_bytes() - wire_before
    assert log_range(cluster.bootstrap, topic) == (0, contestant.rows), f"{contestant.name}: the log has {log_range(cluster.bootstrap, topic)}"
    used = report.read_text()
    return Turn(
        rows=contestant.rows, seconds=seconds, cpu_seconds=int(re.search(r"cpu_ms (\d+)", used)[1]) / 1000,
        peak_kib=int(re.search(r"peak_kib (\d+)", used)[1]), first_seconds=first_seconds, first_cpu_seconds=first_cpu,
        wire_bytes=wire_bytes, log_bytes=sum(segment.stat().st_size for segment in log.glob("*.log")), said=text)


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:  # it was that quick
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


# -- the contestants -------------------------------------------------------------------------

def ours(name: str, rows: int, csv: Path, cluster: Cluster, compression: str, **settings) -> Contestant:
    """The product, as a user runs it."""
    def command(topic):
        given = {"SOURCE": csv, "CHECKPOINT": f"file:{csv.parent / topic}.checkpoint", "KAFKA_TOPIC": topic,
                 "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap, "KAFKA_COMPRESSION": compression, "JOB_ID": topic, **settings}
        return ["env", *(f"{key}={value}" for key, value in given.items() if value is not None), BINARY, "run"]
    return Contestant(name, rows, command, is_ours=True, compression=compression,
                      environment={"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"})


def light(rows: int, csv: Path, cluster: Cluster, compression: str) -> Contestant:
    """Replays the batches that `rehearse` writes."""
    directory = csv.parent / f"made-{compression}"
    subprocess.run([BINARY, "rehearse", csv, "--directory", directory, "--kafka-compression", compression],
                   check=True, stdin=subprocess.DEVNULL, capture_output=True, cwd=csv.parent)
    segments = sorted(directory.glob("**/*.log"))
    return Contestant(f"speed of light, {compression}", rows,
                      lambda topic: [PYTHON, PEERS / "replay.py", cluster.bootstrap, topic, *segments],
                      compression=compression, note="ready-made batches, one in flight")


def kcat(rows: int, lines: Path, cluster: Cluster, compression: str) -> Contestant:
    return Contestant(f"kcat, {compression}", rows,
                      lambda topic: ["kcat", "-P", "-b", cluster.bootstrap, "-t", topic, "-p", "0", "-z", compression,
                                     "-X", "acks=all", "-X", "batch.size=1000000", "-l", lines],
                      compression=compression, note="ready-made JSON")


def performance(rows: int, lines: Path, cluster: Cluster, compression: str, in_flight: int) -> Contestant:
    """Kafka's own ProducerPerformance, with batches as large as ours."""
    command = [*JAVA, "-Xmx512m", "-cp", class_path(cluster.version), "org.apache.kafka.tools.ProducerPerformance"]
    return Contestant(f"ProducerPerformance, {compression}, {in_flight} in flight", rows,
                      lambda topic: [*command, "--topic", topic, "--num-records", rows, "--throughput", "-1",
                                     "--payload-file", lines, "--producer-props", f"bootstrap.servers={cluster.bootstrap}",
                                     "acks=all", f"max.in.flight.requests.per.connection={in_flight}",
                                     f"compression.type={compression}", "batch.size=1000000", "linger.ms=5"],
                      compression=compression, note="ready-made records")


def python(rows: int, csv: Path, cluster: Cluster, how: str, name: str) -> Contestant:
    return Contestant(name, rows, lambda topic: [PYTHON, PEERS / "processor.py", how, cluster.bootstrap, topic, csv],
                      compression="lz4" if how == "librdkafka" else "none")


def bento(rows: int, csv: Path, cluster: Cluster) -> Contestant:
    return Contestant("Bento 1.4.1", rows,
                      lambda topic: ["env", f"CSV={csv}", f"BOOTSTRAP={cluster.bootstrap}", f"TOPIC={topic}",
                                     CACHE / "bin" / "bento", "-c", PEERS / "bento" / "peer.yaml"],
                      compression="lz4")
