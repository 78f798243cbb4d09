"""The speed of light: sends batches that are made already, one in flight, acks=all. Nothing is
parsed, encoded or compressed; what remains is a socket and the broker.

    replay.py HOST:PORT TOPIC LOG...        LOG: segments that `csv-to-kafka rehearse` wrote

    size i32, api key 0 i16, version 7 i16, correlation i32, client id i16 -1,
    transactional id i16 -1, acks i16 -1, timeout i32, 1 i32, topic, 1 i32, partition 0 i32, bytes i32, batch
"""

import socket
import struct
import sys

VERSION = 7
LENGTH_END = 12


def batches(paths):
    for path in paths:
        with open(path, "rb") as file:
            log = memoryview(file.read())
        at = 0
        while at < len(log):
            end = at + LENGTH_END + struct.unpack_from(">i", log, at + 8)[0]
            # The offset is the leader's to give.
            yield bytes(8), log[at + 8:end]
            at = end


def send(sock, parts):
    parts = [memoryview(part) for part in parts]
    while parts:
        sent = sock.sendmsg(parts)
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][sent:]


def receive(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            sys.exit("the broker hung up")
        data += part
    return data


def main(address, topic, *paths):
    host, port = address.rsplit(":", 1)
    topic = topic.encode()
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number, (offset, batch) in enumerate(batches(paths)):
        body = struct.pack(f">hhihhhiih{len(topic)}siii", 0, VERSION, number, -1, -1, -1, 10_000, 1, len(topic), topic, 1, 0,
                           len(offset) + len(batch))
        send(sock, [struct.pack(">i", len(body) + len(offset) + len(batch)), body, offset, batch])
        answer = receive(sock, struct.unpack(">i", receive(sock, 4))[0])
        correlation, _, name_bytes = struct.unpack_from(">iih", answer)
        error = struct.unpack_from(">h", answer, 10 + name_bytes + 8)[0]
        if (correlation, error) != (number, 0):
            sys.exit(f"batch {number} was answered with error {error}")


main(*sys.argv[1:])
