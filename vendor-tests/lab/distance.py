"""A way to the broker that takes time and is as wide as the loopback: what comes in goes out half a
round trip later, however much is under way.

The kernel's own means for this (tc netem) is not there on every machine.
"""

import collections
import socket
import threading
import time

from .listener import Listener

CHUNK_BYTES = 1 << 18


class Distance(Listener):
    def __init__(self, port: int, upstream: int):
        self.port, self.upstream = port, upstream
        self.round_trip_seconds = 0.0

    def _serve(self, near: socket.socket):
        far = socket.create_connection(("127.0.0.1", self.upstream))
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for from_sock, to_sock in ((near, far), (far, near)):
            way = _Way(from_sock, to_sock, self.round_trip_seconds / 2)
            threading.Thread(target=way.take, daemon=True).start()
            threading.Thread(target=way.give, daemon=True).start()


class _Way:
    """One direction. None is the end."""

    def __init__(self, from_sock: socket.socket, to_sock: socket.socket, seconds: float):
        self.from_sock, self.to_sock, self.seconds = from_sock, to_sock, seconds
        self.under_way = collections.deque()
        self.more = threading.Semaphore(0)

    def take(self):
        while True:
            try:
                data = self.from_sock.recv(CHUNK_BYTES)
            except OSError:
                data = b""
            self.under_way.append((time.monotonic() + self.seconds, data))
            self.more.release()
            if not data:
                return

    def give(self):
        while True:
            self.more.acquire()
            due, data = self.under_way.popleft()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                if not data:
                    self.to_sock.shutdown(socket.SHUT_WR)
                    return
                self.to_sock.sendall(data)
            except OSError:
                return
