"""What every server of the lab stands on: the cache, free ports, processes that end with us."""

import ctypes
import os
import random
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

CACHE = Path(os.environ.get("CSV_TO_KAFKA_CACHE", Path(__file__).parent.parent / ".cache"))

# Ports stay below the range from which the kernel takes ports for outgoing connections
# (32768 on Linux): inside it any connection may hold the port that a server then fails to
# bind, and a loop that connects to a closed loopback port can even meet itself.
PORT_MIN, PORT_MAX = 12000, 31999
_handed_out: set[int] = set()
_port_random = random.Random()


def free_port() -> int:
    for _ in range(1000):
        port = _port_random.randint(PORT_MIN, PORT_MAX)
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise RuntimeError("no free port found")


def loopback_up() -> None:
    """A fresh network namespace has its loopback down."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(sock, 0x8913, request))[1]
        if not flags & 1:
            fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", flags | 1 | 0x40))


_prctl = ctypes.CDLL(None).prctl


def die_with_parent() -> None:
    _prctl(1, signal.SIGKILL)


def wait_until(what: str, condition, seconds: float = 60, every: float = 0.05):
    """The first true answer of `condition`; an exception inside counts as not yet."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            answer = condition()
            if answer:
                return answer
            last = answer
        except Exception as error:  # the server is not there yet
            last = error
        time.sleep(every)
    raise TimeoutError(f"{what}: not within {seconds} s (last: {last!r})")


def port_open(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            return False
        return sock.getsockname() != sock.getpeername()


class Server:
    """A process that we started, with its output in a file."""

    def __init__(self, name: str, command: list, log: Path, env: dict | None = None, cwd: Path | None = None):
        self.name, self.command, self.log, self.env, self.cwd = name, [str(c) for c in command], log, env, cwd
        self.process: subprocess.Popen | None = None

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=self.env, cwd=self.cwd, preexec_fn=die_with_parent,
            )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_port(self, port: int, seconds: float = 300):
        def ready():
            if not self.alive():
                raise RuntimeError(f"{self.name} ended")
            return port_open(port)

        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: port {port} did not open within {seconds} s:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, bytes_max: int = 3000) -> str:
        try:
            return self.log.read_bytes()[-bytes_max:].decode(errors="replace")
        except OSError:
            return ""

    def signal(self, number: int):
        if self.alive():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self._reap(30)

    def stop(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._reap(60)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def _reap(self, seconds: float):
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
