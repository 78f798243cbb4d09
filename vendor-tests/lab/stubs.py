"""Ports that are not what a setting says they are."""

import socket
import threading
import time

from .ground import free_port

# What a TLS listener sends to a client that speaks plaintext: one alert record.
TLS_ALERT = bytes.fromhex("15030300020228")


class Stub:
    """Takes connections and does one thing with each: says `answer` after the first bytes, hangs up, or stays silent."""

    def __init__(self, answer: bytes = b"", hang_up: bool = True):
        self.answer, self.hang_up = answer, hang_up
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.connections = 0

    def __enter__(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket):
        try:
            if not client.recv(4096):
                return
            client.sendall(self.answer)
            if not self.hang_up:
                while client.recv(4096):
                    pass
            time.sleep(0.05)
        except OSError:
            pass
        finally:
            client.close()
