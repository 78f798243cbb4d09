"""An HTTP proxy in front of S3 and DynamoDB that forwards bytes unchanged until a rule asks for harm.

The product signs the Host it connects to, and the servers check the signature against the Host
they are told, so nothing in a request may change; what comes back is not signed.
"""

import json
import re
import socket
import struct
import threading
import time
import zlib
from dataclasses import dataclass, field
from email.utils import formatdate

from .ground import free_port


@dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def range(self) -> tuple[int, int | None]:
        """First and last byte that are asked for; None: to the end."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "bytes=0-"))
        return int(found[1]), int(found[2]) if found[2] else None

    @property
    def operation(self) -> str:
        """DynamoDB's: GetItem, PutItem, UpdateItem."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def json(self) -> dict:
        return json.loads(self.body)


# What a rule may answer; None forwards faithfully.
@dataclass
class Answer:
    """The server is not asked."""
    status: int
    body: bytes
    headers: dict = field(default_factory=dict)


@dataclass
class CutBody:
    after: int
    rst: bool = False


@dataclass
class StallBody:
    after: int
    seconds: float


@dataclass
class LoseAnswer:
    """The server does what it is asked, nobody hears of it."""


@dataclass
class LoseRequest:
    """The connection ends before the server hears anything."""


@dataclass
class Wait:
    """Before the request is handed on."""
    seconds: float


@dataclass
class ShiftDate:
    seconds: float


def s3_error(status: int, code: str, message: str = "by the lab") -> Answer:
    body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
            f"<RequestId>LAB</RequestId></Error>").encode()
    return Answer(status, body, {"Content-Type": "application/xml"})


def dynamodb_error(code: str, status: int = 400, message: str = "by the lab") -> Answer:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}).encode()
    return Answer(status, body, {"Content-Type": "application/x-amz-json-1.0", "x-amz-crc32": str(zlib.crc32(body))})


REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 412: "Precondition Failed", 500: "Internal Server Error",
           503: "Slow Down"}


class HttpProxy:
    def __init__(self, upstream: str, rule=None):
        host, _, port = upstream.removeprefix("http://").rstrip("/").partition(":")
        self.upstream = (host, int(port or 80))
        self.rule = rule
        self.requests: list[Request] = []
        self.faults: list[tuple[Request, object]] = []
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
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

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket):
        server = None
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            incoming, outgoing = Reader(client), None
            while True:
                head = incoming.head()
                if head is None:
                    return
                first, headers = parse(head)
                body = incoming.exactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ", 2)
                request = Request(method, path, headers, body)
                self.requests.append(request)
                fault = self.rule(request) if self.rule else None
                if fault is not None:
                    self.faults.append((request, fault))
                if isinstance(fault, LoseRequest):
                    return
                if isinstance(fault, Wait):
                    time.sleep(fault.seconds)
                if isinstance(fault, Answer):
                    client.sendall(_answer(fault, method))
                    continue
                if server is None:
                    server = socket.create_connection(self.upstream, timeout=60)
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    outgoing = Reader(server)
                server.sendall(head + body)
                if not self._answer(client, outgoing, method, fault):
                    return
        except OSError:
            pass
        finally:
            for sock in (client, server):
                if sock is not None:
                    try:
                        sock.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                    sock.close()

    def _answer(self, client, outgoing: "Reader", method: str, fault) -> bool:
        """Hands the server's answer on; false when the connection must not be used again."""
        head = outgoing.head()
        if head is None:
            return False
        first, headers = parse(head)
        if isinstance(fault, LoseAnswer):
            # Take the whole answer first, so that the server is surely done.
            outgoing.exactly(int(headers.get("content-length", 0)))
            return False
        if isinstance(fault, ShiftDate):
            date = b"Date: " + formatdate(time.time() + fault.seconds, usegmt=True).encode()
            head = re.sub(rb"(?im)^date:[^\r]*", date, head)
        client.sendall(head)
        status = int(first.split(" ")[1])
        if method == "HEAD" or status in (204, 304) or status < 200:
            return True
        if "chunked" in headers.get("transfer-encoding", ""):
            return outgoing.chunked(client)
        length = int(headers.get("content-length", 0))
        sent = 0
        while sent < length:
            stop_at = length
            if isinstance(fault, (CutBody, StallBody)):
                stop_at = min(length, max(sent, fault.after))
            if sent < stop_at:
                piece = outgoing.some(min(1 << 18, stop_at - sent))
                if not piece:
                    return False
                client.sendall(piece)
                sent += len(piece)
                continue
            if isinstance(fault, CutBody):
                if fault.rst:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                return False
            time.sleep(fault.seconds)
            fault = None
        return "close" not in headers.get("connection", "").lower()


class Reader:
    def __init__(self, sock: socket.socket):
        self.sock, self.buffer = sock, b""

    def head(self) -> bytes | None:
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(1 << 16)
            if not data:
                return None
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def some(self, bytes_max: int) -> bytes:
        if not self.buffer:
            return self.sock.recv(bytes_max)
        piece, self.buffer = self.buffer[:bytes_max], self.buffer[bytes_max:]
        return piece

    def exactly(self, count: int) -> bytes:
        parts = []
        while count:
            piece = self.some(count)
            if not piece:
                raise OSError("the peer hung up")
            parts.append(piece)
            count -= len(piece)
        return b"".join(parts)

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            data = self.sock.recv(1 << 16)
            if not data:
                raise OSError("the peer hung up")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line + b"\r\n"

    def chunked(self, client: socket.socket) -> bool:
        while True:
            line = self.line()
            size = int(line.split(b";")[0], 16)
            client.sendall(line + self.exactly(size + 2))
            if size == 0:
                return True


def parse(head: bytes) -> tuple[str, dict]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return first, headers


def _answer(answer: Answer, method: str) -> bytes:
    headers = {"Date": formatdate(usegmt=True), "x-amz-request-id": "LAB", "x-amzn-requestid": "LAB",
               **answer.headers, "Content-Length": str(len(answer.body))}
    head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Lab')}\r\n"
    head += "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    return head.encode() + (b"" if method == "HEAD" else answer.body)
