"""A TCP proxy between the product and a broker that forwards faithfully until a test asks for harm.

It reads the frames that go to the broker (length, api key, version, correlation id), so that a
test can say "the answer to this Produce is lost" and not only "cut at this byte".

    client ──> [size 4][api_key 2][version 2][correlation 4]... ──> broker
    client <── [size 4][correlation 4]...                       <── broker
"""

import socket
import struct
import threading
import time
from dataclasses import dataclass, field

PRODUCE = 0

# What a test may answer for a Produce frame.
PASS = "pass"
LOSE_REQUEST = "lose the request"        # the client is cut off, the broker never sees it
TORN_REQUEST = "tear the request"        # the broker gets the first half, then both are cut off
LOSE_ANSWER = "lose the answer"          # the broker gets it all and answers, nobody hears
CUT_AT_ONCE = "cut at once"              # the broker gets it all, the client is cut off before any answer
TORN_ANSWER = "tear the answer"          # half of the answer arrives
LATE = "late"                            # the client is cut off; the broker gets it later, from a second connection
STALL = "stall"                          # nothing more in either direction, connection left open
PRODUCE_FAULTS = [LOSE_REQUEST, TORN_REQUEST, LOSE_ANSWER, CUT_AT_ONCE, TORN_ANSWER, LATE]


@dataclass
class Frame:
    connection: int
    api_key: int
    version: int
    correlation: int
    size: int
    at: float = field(default_factory=time.monotonic)


class Proxy:
    """`on_produce(frame)` decides about each Produce, `cut_after(connection)` about each connection."""

    def __init__(self, port: int, upstream: int, on_produce=None, rst: bool = False, late_seconds: float = 0.05):
        self.port, self.upstream = port, upstream
        self.on_produce = on_produce
        self.rst, self.late_seconds = rst, late_seconds
        # Per connection, from its number: (bytes to the server, bytes to the client) after which it is cut; None for never.
        self.cut_after = lambda connection: (None, None)
        self.delay_seconds = 0.0
        self.frames: list[Frame] = []
        self.connections = 0
        self.harm = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False

    def start(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        self._closing = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.cut_all()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def cut_all(self):
        with self._lock:
            for sock in list(self._open):
                self._close(sock)
            self._open.clear()

    # -- inside ----------------------------------------------------------------------------
    def _accept(self):
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client, self.connections), daemon=True).start()

    def _serve(self, client: socket.socket, number: int):
        try:
            server = self._reach(client, number)
        except OSError:
            server = None
        if server is None:
            self._close(client)
            return
        server.settimeout(None)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        link = _Link(self, client, server, number)
        threading.Thread(target=link.answers, daemon=True).start()
        link.requests()

    def _reach(self, client: socket.socket, number: int) -> socket.socket | None:
        """The server that this client is brought to."""
        return socket.create_connection(("127.0.0.1", self.upstream), timeout=10)

    def _close(self, sock: socket.socket, in_order: bool = False):
        rst = self.rst and not in_order
        try:
            if rst:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # close() alone would leave a reader in another thread waiting. SHUT_RD tells the peer nothing, so that
            # what it sees is the reset.
            sock.shutdown(socket.SHUT_RD if rst else socket.SHUT_RDWR)
        except OSError:
            pass
        try:
            sock.close()
        except OSError:
            pass


class _Link:
    """One connection of the client with its connection to the broker."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket, number: int):
        self.proxy, self.client, self.server, self.number = proxy, client, server, number
        self.to_server_max, self.to_client_max = proxy.cut_after(number)
        self.to_server = self.to_client = 0
        self.answer = PASS
        self.dead = False

    def cut(self, in_order: bool = False):
        self.dead = True
        with self.proxy._lock:
            for sock in (self.client, self.server):
                self.proxy._close(sock, in_order)
                self.proxy._open.discard(sock)

    def requests(self):
        """From the client to the broker, frame by frame where it looks like Kafka."""
        buffer = b""
        try:
            while not self.dead:
                data = self.client.recv(1 << 18)
                if not data:
                    break
                if self.answer == STALL:
                    continue
                if self.proxy.delay_seconds:
                    time.sleep(self.proxy.delay_seconds)
                if self.to_server_max is not None:
                    # A cut at a byte needs no frames.
                    room = self.to_server_max - self.to_server
                    self.to_server += min(room, len(data))
                    self.server.sendall(data[:room])
                    if len(data) >= room:
                        self.proxy.harm += 1
                        self._drain()
                        break
                    continue
                buffer += data
                buffer = self._frames(buffer)
        except OSError:
            pass
        self.cut()

    def _drain(self):
        # Give the kernel the time to hand over what was sent: a reset would discard it.
        time.sleep(0.01)

    def _frames(self, buffer: bytes) -> bytes:
        while len(buffer) >= 4 and not self.dead:
            size = struct.unpack_from(">i", buffer)[0]
            if len(buffer) < 4 + size:
                break
            frame, buffer = buffer[: 4 + size], buffer[4 + size:]
            api_key, version, correlation = struct.unpack_from(">hhi", frame, 4)
            seen = Frame(self.number, api_key, version, correlation, size)
            self.proxy.frames.append(seen)
            what = PASS
            if api_key == PRODUCE and self.proxy.on_produce is not None:
                what = self.proxy.on_produce(seen)
            if what != PASS:
                self.proxy.harm += 1
            if what == LOSE_REQUEST:
                self.cut()
            elif what == TORN_REQUEST:
                self.server.sendall(frame[: len(frame) // 2])
                self._drain()
                self.cut()
            elif what == CUT_AT_ONCE:
                self.server.sendall(frame)
                self._drain()
                self.cut()
            elif what == LATE:
                threading.Thread(target=self._later, args=(frame,), daemon=True).start()
                self.cut()
            elif what == STALL:
                self.answer = STALL
            else:
                self.answer = what
                self.server.sendall(frame)
        return buffer

    def _later(self, frame: bytes):
        time.sleep(self.proxy.late_seconds)
        try:
            with socket.create_connection(("127.0.0.1", self.proxy.upstream), timeout=10) as second:
                second.sendall(frame)
                second.recv(1 << 16)
        except OSError:
            pass

    def answers(self):
        """From the broker to the client."""
        in_order = False
        try:
            while not self.dead:
                data = self.server.recv(1 << 18)
                if not data:
                    # A reset would destroy what is on its way.
                    in_order = True
                    break
                if self.answer == STALL:
                    continue
                if self.answer == LOSE_ANSWER:
                    break
                if self.answer == TORN_ANSWER:
                    self.client.sendall(data[: len(data) // 2])
                    self._drain()
                    break
                if self.to_client_max is not None:
                    room = self.to_client_max - self.to_client
                    self.to_client += min(room, len(data))
                    self.client.sendall(data[:room])
                    if len(data) >= room:
                        self.proxy.harm += 1
                        self._drain()
                        break
                    continue
                self.client.sendall(data)
        except OSError:
            pass
        self.cut(in_order)
