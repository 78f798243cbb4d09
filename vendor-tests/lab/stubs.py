"""Ports that are not what a setting says they are."""

import socket
import time

from .ground import free_port
from .listener import Listener

# What a TLS listener sends to a client that speaks plaintext: one alert record.
TLS_ALERT = bytes.fromhex("15030300020228")


class Stub(Listener):
    """Takes connections and does one thing with each: says `answer` after the first bytes, hangs up, or stays silent."""

    def __init__(self, answer: bytes = b"", hang_up: bool = True):
        self.answer, self.hang_up = answer, hang_up
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.connections = 0

    def _serve(self, client: socket.socket):
        self.connections += 1
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
