"""A relay to a server that gives each connection so many bytes a second, and takes its time to the first one.

    client ──request──> waits ──> server
    client <── so many bytes a second ── server
"""

import random
import socket
import threading
import time

# What is passed on at once, and so how even the pace is.
PIECE_BYTES = 64 * 1024


class Paced:
    """Cuts a connection now and then, where `cuts` is above 0: so many of a hundred answers."""

    def __init__(self, port: int, bytes_per_second: float, first_byte_seconds: float = 0, cuts: int = 0, seed: int = 1):
        self.port, self.pace, self.delay, self.cuts = port, bytes_per_second, first_byte_seconds, cuts
        self.rng = random.Random(seed)
        self.connections = self.requests = self.cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for each in list(self.open):
            _shut(each)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            self.connections += 1
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.open.add(each)
            life = Life()
            threading.Thread(target=self._requests, args=(client, server, life), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server, life), daemon=True).start()

    def _requests(self, client, server, life):
        try:
            while data := client.recv(PIECE_BYTES):
                self.requests += 1
                life.left = self.rng.randrange(1, 600_000) if self.rng.randrange(100) < self.cuts else None
                time.sleep(self.delay)
                life.began, life.passed = time.monotonic(), 0
                server.sendall(data)
        except OSError:
            pass
        _shut(client, server)

    def _answers(self, client, server, life):
        piece = bytearray(PIECE_BYTES)
        try:
            while count := server.recv_into(piece):
                if life.left is not None:
                    count = min(count, life.left)
                    life.left -= count
                client.sendall(memoryview(piece)[:count])
                if life.left == 0:
                    self.cut += 1
                    break
                life.passed += count
                ahead = life.passed / self.pace - (time.monotonic() - life.began)
                if ahead > 0:
                    time.sleep(ahead)
        except OSError:
            pass
        _shut(client, server)


class Life:
    """Of one connection: when its answer began, what passed of it, where it is cut."""

    began, passed, left = 0.0, 0, None


def _shut(*sockets):
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()
