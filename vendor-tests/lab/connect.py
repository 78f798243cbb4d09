"""The proxy that HTTPS_PROXY names: it takes CONNECT, and it alone knows the names that it leads to.

    client ──> CONNECT s3.lab.invalid:443, Proxy-Authorization ──> proxy
    client <── 200, then what TLS says, unread, both ways      <── 127.0.0.1:port of `routes`
"""

import base64
import socket
from dataclasses import dataclass

from .ground import free_port
from .httpproxy import Reader, parse
from .proxy import Proxy

# Bytes to the server after which a connection is cut. With a number here, Proxy looks for no frames of Kafka.
NEVER = 1 << 62


@dataclass
class Asked:
    method: str
    target: str
    # Name and password as they were sent.
    login: str | None
    status: int


class ConnectProxy(Proxy):
    """`routes`: host and port to a port of this machine. Without `login` everybody may come."""

    def __init__(self, routes: dict[str, int], login: str | None = None, rst: bool = False):
        super().__init__(free_port(), 0, rst=rst)
        self.routes, self.login = routes, login
        self.address = f"127.0.0.1:{self.port}"
        # Whatever came, by the number of its connection.
        self.asked: dict[int, Asked] = {}
        self.cut_after = lambda connection: (NEVER, None)

    @property
    def targets(self) -> set[str]:
        return {asked.target for asked in self.asked.values()}

    def _reach(self, client: socket.socket, number: int) -> socket.socket | None:
        head = Reader(client).head()
        if head is None:
            return None
        first, headers = parse(head)
        method, target, _ = first.split(" ", 2)
        kind, _, sent = headers.get("proxy-authorization", "").partition(" ")
        login = base64.b64decode(sent).decode() if kind == "Basic" else None
        if self.login is not None and login != self.login:
            status = "407 Proxy Authentication Required"
        elif method != "CONNECT" or target not in self.routes:
            status = "403 Forbidden"
        else:
            status = "200 Connection established"
        self.asked[number] = Asked(method, target, login, int(status[:3]))
        server = None
        if status.startswith("200"):
            server = socket.create_connection(("127.0.0.1", self.routes[target]), timeout=10)
        client.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
        return server
