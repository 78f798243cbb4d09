"""MSK's IAM listener, made by ourselves: TLS and AWS_MSK_IAM in front of a plaintext listener of Kafka.

It recomputes each signature from the published description of SigV4, with nothing of the product
and nothing of a library; `test_msk_iam.py` holds it against botocore. What comes after a good
login goes to the broker unchanged. A login ends after `session_ms`: the connection is closed then,
as MSK does with clients that do not log in again.
"""

import hashlib
import hmac
import json
import socket
import ssl
import struct
import time
from datetime import datetime, timezone
from urllib.parse import quote

from .listener import Listener, both_ways

SASL_HANDSHAKE, SASL_AUTHENTICATE = 17, 36
UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 33, 58
FIELDS = {"version", "host", "user-agent", "action", "x-amz-algorithm", "x-amz-credential", "x-amz-date",
          "x-amz-signedheaders", "x-amz-expires", "x-amz-signature"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(payload: dict, secret: str) -> str:
    """Of `GET https://HOST/?Action=…&X-Amz-…` with an empty body and the one header `host`."""
    _, day, region, service, end = payload["x-amz-credential"].split("/")
    query = {"Action": payload["action"], "X-Amz-Algorithm": payload["x-amz-algorithm"],
             "X-Amz-Credential": payload["x-amz-credential"], "X-Amz-Date": payload["x-amz-date"],
             "X-Amz-Expires": payload["x-amz-expires"], "X-Amz-SignedHeaders": payload["x-amz-signedheaders"]}
    if "x-amz-security-token" in payload:
        query["X-Amz-Security-Token"] = payload["x-amz-security-token"]
    canonical_query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
    canonical = "\n".join(["GET", "/", canonical_query, f"host:{payload['host']}", "", "host",
                           hashlib.sha256(b"").hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", payload["x-amz-date"], f"{day}/{region}/{service}/{end}",
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = _hmac(_hmac(_hmac(_hmac(b"AWS4" + secret.encode(), day), region), service), end)
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def why_not(payload: dict, users: dict, region: str, now: datetime) -> str | None:
    """`users`: access key to secret and token. None: he may come in."""
    missing = FIELDS - payload.keys()
    strange = payload.keys() - FIELDS - {"x-amz-security-token"}
    if missing or strange:
        return f"Malformed payload: {sorted(missing)} missing, {sorted(strange)} unknown"
    if payload["version"] != "2020_10_22" or payload["action"] != "kafka-cluster:Connect":
        return "Unknown version or action"
    if payload["x-amz-algorithm"] != "AWS4-HMAC-SHA256" or payload["x-amz-signedheaders"] != "host":
        return "Unknown algorithm"
    try:
        key, day, signed_region, service, end = payload["x-amz-credential"].split("/")
        signed_at = datetime.strptime(payload["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        expires = int(payload["x-amz-expires"])
    except ValueError:
        return "Malformed credential, date or expiry"
    if (service, end) != ("kafka-cluster", "aws4_request") or day != payload["x-amz-date"][:8]:
        return "Credential should be scoped to service kafka-cluster"
    if signed_region != region:
        return f"Credential should be scoped to a valid region, not {signed_region}"
    age = (now - signed_at).total_seconds()
    if age > expires:
        return f"Signature expired: {payload['x-amz-date']} is now earlier than {now:%Y%m%dT%H%M%SZ}"
    if age < -300:
        return f"Signature not yet current: {payload['x-amz-date']}"
    if key not in users:
        return "The security token included in the request is invalid"
    secret, token = users[key]
    if payload.get("x-amz-security-token") != token:
        return "The security token included in the request is missing or invalid"
    if not hmac.compare_digest(signature(payload, secret), payload["x-amz-signature"]):
        return "The request signature we calculated does not match the signature you provided"
    return None


def _exactly(sock, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _frame(sock) -> bytes:
    return _exactly(sock, struct.unpack(">i", _exactly(sock, 4))[0])


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()


class MskIam(Listener):
    """Stands before a node's PROXIED listener, on the port that the broker advertises for it."""

    def __init__(self, node, certificate, users: dict, region: str, session_ms: int = 0, clock=0.0):
        self.node, self.users, self.region, self.session_ms, self.clock = node, users, region, session_ms, clock
        self.port = node.proxy_port
        self.address = f"127.0.0.1:{self.port}"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.payloads: list[dict] = []
        self.refusals: list[str] = []

    def _serve(self, plain: socket.socket):
        far = None
        try:
            near = self.context.wrap_socket(plain, server_side=True)
            far = socket.create_connection(("127.0.0.1", self.node.proxied_port))
            if self._log_in(near, far):
                both_ways(near, far, self.session_ms / 1000)
        except (ssl.SSLError, OSError, struct.error):
            pass
        finally:
            plain.close()
            if far is not None:
                far.close()

    def _log_in(self, near, far) -> bool:
        """Until the login is done, only ApiVersions reaches the broker."""
        handshaken = False
        while True:
            request = _frame(near)
            key, version, correlation = struct.unpack_from(">hhi", request)
            head = struct.pack(">i", correlation)
            if key == 18:
                far.sendall(struct.pack(">i", len(request)) + request)
                answer = _frame(far)
            elif key == SASL_HANDSHAKE:
                at = 8 + 2 + struct.unpack_from(">h", request, 8)[0]
                name = request[at + 2:at + 2 + struct.unpack_from(">h", request, at)[0]].decode()
                handshaken = name == "AWS_MSK_IAM"
                error = 0 if handshaken else UNSUPPORTED_MECHANISM
                answer = head + struct.pack(">hi", error, 1) + _text("AWS_MSK_IAM")
            elif key == SASL_AUTHENTICATE and handshaken:
                at = 8 + 2 + struct.unpack_from(">h", request, 8)[0]
                length = struct.unpack_from(">i", request, at)[0]
                payload = json.loads(request[at + 4:at + 4 + length])
                self.payloads.append(payload)
                now = datetime.fromtimestamp(time.time() + self.clock, timezone.utc)
                why = why_not(payload, self.users, self.region, now)
                session = struct.pack(">q", self.session_ms) if version > 0 else b""
                if why is not None:
                    self.refusals.append(why)
                    answer = head + struct.pack(">h", AUTHENTICATION_FAILED) + _text(f"[lab]: {why}") + struct.pack(">i", 0) + session
                else:
                    said = json.dumps({"version": "2020_10_22", "request-id": "lab"}).encode()
                    answer = head + struct.pack(">hh", 0, -1) + struct.pack(">i", len(said)) + said + session
                near.sendall(struct.pack(">i", len(answer)) + answer)
                return why is None
            else:
                return False
            near.sendall(struct.pack(">i", len(answer)) + answer)
