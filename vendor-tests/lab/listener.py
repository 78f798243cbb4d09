"""A port of the loopback that takes connections for as long as it is entered."""

import socket
import ssl
import threading
import time

from .ground import free_port


class Listener:
    """Whoever inherits has a `port` and a `_serve`, which gets each connection on a thread of its own."""

    port: int

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket):
        raise NotImplementedError


class Tls(Listener):
    """TLS in front of a server of this machine. `certificate`: that and its key."""

    def __init__(self, certificate, upstream: int):
        self.upstream, self.port = upstream, free_port()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.endpoint = f"https://127.0.0.1:{self.port}"

    def _serve(self, plain: socket.socket):
        far = None
        try:
            near = self.context.wrap_socket(plain, server_side=True)
            far = socket.create_connection(("127.0.0.1", self.upstream))
            both_ways(near, far)
            near.close()
        except OSError:
            pass
        finally:
            plain.close()
            if far is not None:
                far.close()


def both_ways(near: socket.socket, far: socket.socket, seconds: float | None = None):
    """Hands bytes on until one side ends, both ways in turn: one TLS object is not for two threads."""
    end = time.monotonic() + seconds if seconds else None
    near.setblocking(False)
    far.setblocking(False)
    idle = 0.0005
    while end is None or time.monotonic() < end:
        moved = False
        for source, sink in [(near, far), (far, near)]:
            try:
                data = source.recv(1 << 18)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                continue
            if not data:
                return
            sink.setblocking(True)
            sink.sendall(data)
            sink.setblocking(False)
            moved = True
        idle = 0.0005 if moved else min(idle * 2, 0.01)
        if not moved:
            time.sleep(idle)
