"""One broker that speaks every security protocol, each on a port of its own, with ACLs.

PLAINTEXT is the lab's own; who comes there, or over TLS without a certificate, is ANONYMOUS
and may do everything. So what may not be done is asked by SASL users.
"""

import subprocess
from pathlib import Path

from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType,
                                   ResourcePatternType, ResourceType, ScramCredentialInfo, ScramMechanism,
                                   UserScramCredentialUpsertion)

from .ground import free_port
from .kafka import Cluster

# name: (protocol, what KAFKA_SECURITY_PROTOCOL must say)
LISTENERS = {
    "SSL": "SSL", "MTLS": "SSL", "OTHERNAME": "SSL",
    "SASLPLAIN": "SASL_PLAINTEXT", "SASLSSL": "SASL_SSL", "SHORT": "SASL_SSL",
}
PASSWORDS = {name: f"marker-{name}-secret" for name in
             ["full", "nobody", "writer", "reader", "exact", "scram256", "scram512"]}
PASSWORDS["scram512"] = "märker-scram512-s€cret"
# How long a login lasts on SHORT.
SESSION_MS = 3000


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL, capture_output=True)


class Authority:
    """Signs certificates, as PEM files in a directory."""

    def __init__(self, directory: Path, name: str):
        directory.mkdir(parents=True, exist_ok=True)
        self.dir, self.pem, self._key = directory, directory / f"{name}-ca.pem", directory / f"{name}-ca.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:true", "-keyout", self._key, "-out", self.pem)

    def certificate(self, name: str, san: str) -> tuple[Path, Path]:
        """Certificate and key."""
        cert, key, request, extra = (self.dir / f"{name}.{end}" for end in ("crt", "key", "csr", "ext"))
        extra.write_text(f"subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self._key, "-CAcreateserial",
                "-days", 30, "-extfile", extra, "-out", cert)
        return cert, key

    def store(self, name: str, san: str) -> Path:
        """Key and certificate in one file, as brokers take it."""
        cert, key = self.certificate(name, san)
        store = self.dir / f"{name}-store.pem"
        store.write_text(key.read_text() + cert.read_text())
        return store


class Secured(Cluster):
    def __init__(self, version: str, directory: Path):
        super().__init__(version, directory)
        node = self.nodes[0]
        self.ports = {name: free_port() for name in LISTENERS}
        self.authority = Authority(directory / "certs", "lab")
        self.client = self.authority.certificate("client", "DNS:client")
        self.stranger = Authority(directory / "certs", "stranger")
        self.strange_client = self.stranger.certificate("strange", "DNS:strange")
        addresses = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        plain = f"PLAINTEXT://127.0.0.1:{node.port}"
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items())
        self.settings |= {
            "listeners": f"{plain},{addresses},CONTROLLER://127.0.0.1:{node.controller_port}",
            "advertised.listeners": f"{plain},{addresses}",
            "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{protocols}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.authority.store("server", "DNS:localhost,IP:127.0.0.1"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.pem,
            "ssl.client.auth": "none",
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.othername.ssl.keystore.type": "PEM",
            "listener.name.othername.ssl.keystore.location": self.authority.store("other", "DNS:elsewhere.example"),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.short.plain.connections.max.reauth.ms": SESSION_MS,
            "listener.name.short.scram-sha-512.connections.max.reauth.ms": SESSION_MS,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:CN=client;User:scram256;User:scram512;User:rotated",
        }
        users = "".join(f' user_{name}="{password}"' for name, password in PASSWORDS.items()
                        if not name.startswith("scram"))
        login = "org.apache.kafka.common.security"
        for name in ["saslplain", "saslssl", "short"]:
            self.settings |= {
                f"listener.name.{name}.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required{users};",
                f"listener.name.{name}.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
                f"listener.name.{name}.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            }
        self.format_arguments = [
            "--add-scram", f"SCRAM-SHA-256=[name=scram256,password={PASSWORDS['scram256']}]",
            "--add-scram", f"SCRAM-SHA-512=[name=scram512,iterations=8192,password={PASSWORDS['scram512']}]",
        ]

    def at(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def set_password(self, user: str, password: str):
        """For SCRAM-SHA-512; who has one already can not log in with it any more."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(user, info, password.encode())
        for future in self.admin().alter_user_scram_credentials([change]).values():
            future.result(60)

    def allow(self, user: str, topic: str, *operations: str):
        bindings = [AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{user}", "*",
                               AclOperation[operation], AclPermissionType.ALLOW) for operation in operations]
        for future in self.admin().create_acls(bindings).values():
            future.result(60)

    def forbid(self, user: str):
        """Takes away all that was allowed."""
        everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None,
                                      AclOperation.ANY, AclPermissionType.ANY)
        for future in self.admin().delete_acls([everything]).values():
            future.result(60)
