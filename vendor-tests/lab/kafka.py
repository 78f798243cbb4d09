"""Apache Kafka from the jars alone: one node or three, any version in the cache.

Kafka 3 and 4 run in KRaft mode, older ones beside a ZooKeeper of their own (WithZooKeeper).
Each node has two client listeners: PLAINTEXT, which the lab itself uses, and PROXIED, which
tells clients to come back through a port of our own, where a proxy may sit.
"""

import shutil
import subprocess
import uuid
import base64
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from .consumer import forget
from .ground import CACHE, Server, free_port, port_open, wait_until

# Quick to start rather than quick to run: most brokers live for seconds.
QUICK_START = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
JAVA = ["java", "-XX:-UsePerfData",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]


def class_path(version: str) -> str:
    jars = CACHE / f"kafka-{version}"
    if version.startswith(("0.", "1.", "2.")):
        return f"{jars}/*"
    # The binding that we want comes first: 3.9 brings another one.
    return f"{jars}/slf4j-simple-1.7.36.jar:{jars}/*"


def tool(version: str, *arguments: str, timeout: float = 120) -> str:
    """Runs a class of the distribution, such as kafka.tools.DumpLogSegments."""
    done = subprocess.run([*JAVA, *QUICK_START, "-Xmx512m", "-cp", class_path(version), *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


class Node:
    def __init__(self, cluster: "Cluster", node_id: int):
        self.cluster, self.id = cluster, node_id
        self.dir = cluster.dir / f"node-{node_id}"
        self.port, self.proxied_port, self.controller_port = free_port(), free_port(), free_port()
        # Where clients of the PROXIED listener are told to come; a proxy binds it when a test wants one.
        self.proxy_port = free_port()
        self.server = Server(f"kafka {cluster.version} node {node_id}",
                             [*JAVA, *cluster.java, f"-Xmx{cluster.heap}", "-cp", class_path(cluster.version), "kafka.Kafka",
                              self.dir / "server.properties"], self.dir / "server.log")

    def write(self, voters: str):
        self.dir.mkdir(parents=True, exist_ok=True)
        settings = {
            "process.roles": "broker,controller",
            "node.id": self.id,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{self.proxied_port},"
                         f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{self.proxy_port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.dir / "log",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            **self.cluster.settings,
        }
        (self.dir / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))


class Cluster:
    node_class = Node

    def __init__(self, version: str, directory: Path, nodes: int = 1, heap: str = "384m",
                 java: list | None = None, **settings):
        self.version, self.dir, self.heap = version, directory, heap
        self.format_arguments: list[str] = []
        self.java = QUICK_START if java is None else java
        many = nodes > 1
        self.settings = {
            "offsets.topic.replication.factor": 3 if many else 1,
            "transaction.state.log.replication.factor": 3 if many else 1,
            "transaction.state.log.min.isr": 2 if many else 1,
        }
        if many:
            self.settings |= {
                "min.insync.replicas": 2,
                "default.replication.factor": 3,
                "unclean.leader.election.enable": "false",
                # Failover within 3 to 6 s instead of 9.
                "broker.session.timeout.ms": 3000,
                "broker.heartbeat.interval.ms": 500,
                "controller.quorum.election.timeout.ms": 500,
                "controller.quorum.fetch.timeout.ms": 1000,
                "replica.lag.time.max.ms": 4000,
            }
        self.settings |= {k.replace("_", "."): v for k, v in settings.items()}
        directory.mkdir(parents=True, exist_ok=True)
        self.nodes = [self.node_class(self, n) for n in range(1, nodes + 1)]
        self._admin = None

    # -- life ------------------------------------------------------------------------------
    def start(self):
        voters = ",".join(f"{n.id}@127.0.0.1:{n.controller_port}" for n in self.nodes)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node in self.nodes:
            node.write(voters)
        formats = [subprocess.Popen([*JAVA, *QUICK_START, "-Xmx128m", "-cp", class_path(self.version), "kafka.tools.StorageTool",
                                     "format", "-t=" + cluster_id, "-c", str(node.dir / "server.properties"),
                                     *self.format_arguments],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                   for node in self.nodes]
        for process in formats:
            out, _ = process.communicate(timeout=120)
            if process.returncode != 0:
                raise RuntimeError(f"StorageTool: {out.decode(errors='replace')}")
        for node in self.nodes:
            node.server.start()
        for node in self.nodes:
            node.server.wait_port(node.port)
        wait_until("cluster metadata", lambda: len(self.admin().list_topics(timeout=5).brokers) == len(self.nodes))
        return self

    def stop(self):
        forget(self.bootstrap)
        for node in self.nodes:
            node.server.thaw()
            node.server.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self, node: Node):
        node.server.kill()

    def restart(self, node: Node, wait: bool = True):
        node.server.start()
        if wait:
            node.server.wait_port(node.port)

    # -- addresses -------------------------------------------------------------------------
    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{n.port}" for n in self.nodes)

    @property
    def bootstrap_proxied(self) -> str:
        """Goes through whatever listens on the proxy ports."""
        return ",".join(f"127.0.0.1:{n.proxy_port}" for n in self.nodes)

    # -- topics ----------------------------------------------------------------------------
    def admin(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def create_topic(self, name: str, partitions: int = 1, **config):
        replicas = min(3, len(self.nodes))
        topic = NewTopic(name, partitions, replicas, config={k.replace("_", "."): str(v) for k, v in config.items()})
        for attempts_left in (2, 1, 0):
            try:
                self.admin().create_topics([topic], operation_timeout=30)[name].result(60)
            except KafkaException as error:
                code = error.args[0].name()
                # librdkafka gave up the address that it had begun with, for it knows the brokers now.
                if code == "_DESTROY_BROKER" and attempts_left:
                    continue
                # The broker repeats a forwarded request within its first second and then finds its own topic.
                if code != "TOPIC_ALREADY_EXISTS":
                    raise
            break
        wait_until(f"leader of {name}", lambda: self.leader(name) is not None)
        return name

    def delete_topic(self, name: str):
        self.admin().delete_topics([name], operation_timeout=30)[name].result(60)
        wait_until(f"{name} gone", lambda: name not in self.admin().list_topics(timeout=10).topics)

    def alter_topic(self, name: str, **config):
        resource = ConfigResource(ResourceType.TOPIC, name)
        for key, value in config.items():
            from confluent_kafka.admin import AlterConfigOpType, ConfigEntry
            resource.add_incremental_config(
                ConfigEntry(key.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET))
        self.admin().incremental_alter_configs([resource])[resource].result(60)

    def partition(self, name: str, partition: int = 0):
        try:
            topic = self.admin().list_topics(name, timeout=5).topics[name]
        except KafkaException:
            self._admin = None  # it may have asked a frozen node, and would ask it again
            raise
        return topic.partitions.get(partition) if topic.error is None else None

    def leader(self, name: str, partition: int = 0) -> Node | None:
        found = self.partition(name, partition)
        if found is None or found.leader < 0:
            return None
        return next(n for n in self.nodes if n.id == found.leader)

    def wait_leader_other_than(self, node: Node, name: str, seconds: float = 60) -> Node:
        def other():
            leader = self.leader(name)
            return leader if leader is not None and leader is not node else None
        return wait_until(f"a leader of {name} other than {node.id}", other, seconds, every=0.2)

    def wait_isr(self, name: str, count: int, seconds: float = 90):
        wait_until(f"{count} in sync for {name}", lambda: len(self.partition(name).isrs) == count, seconds, every=0.2)


class OldNode(Node):
    def write(self, _voters: str):
        self.dir.mkdir(parents=True, exist_ok=True)
        settings = {
            "broker.id": self.id,
            "zookeeper.connect": f"127.0.0.1:{self.cluster.zookeeper_port}",
            "zookeeper.connection.timeout.ms": 60_000,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{self.proxied_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},PROXIED://127.0.0.1:{self.proxy_port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
            "log.dirs": self.dir / "log",
            "auto.create.topics.enable": "false",
            "delete.topic.enable": "true",
            **self.cluster.settings,
        }
        (self.dir / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))


class WithZooKeeper(Cluster):
    """Kafka before KRaft: 0.10 to 2.8, on the Java of today."""

    node_class = OldNode

    def __init__(self, version: str, directory: Path, nodes: int = 1, heap: str = "256m", **settings):
        super().__init__(version, directory, nodes, heap, **settings)
        for name in ("broker.session.timeout.ms", "broker.heartbeat.interval.ms",
                     "controller.quorum.election.timeout.ms", "controller.quorum.fetch.timeout.ms"):
            self.settings.pop(name, None)
        if version.startswith("0.10"):
            self.settings = {k: v for k, v in self.settings.items() if not k.startswith("transaction.")}
        if nodes > 1:
            self.settings["zookeeper.session.timeout.ms"] = 3000
        self.zookeeper_port = free_port()
        properties = directory / "zookeeper.properties"
        properties.write_text(f"dataDir={directory / 'zookeeper'}\nclientPort={self.zookeeper_port}\n"
                              "clientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n")
        self.zookeeper = Server(f"zookeeper of kafka {version}",
                                [*JAVA, *QUICK_START, "-Xmx128m", "-cp", class_path(version),
                                 "org.apache.zookeeper.server.quorum.QuorumPeerMain", properties], directory / "zookeeper.log")

    def start(self):
        self.zookeeper.start()
        self.zookeeper.wait_port(self.zookeeper_port)
        for node in self.nodes:
            node.write("")
            node.server.start()
        for node in self.nodes:
            node.server.wait_port(node.port)
        wait_until("cluster metadata", lambda: len(self.admin().list_topics(timeout=5).brokers) == len(self.nodes))
        return self

    def stop(self):
        super().stop()
        self.zookeeper.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def restart(self, node: Node, wait: bool = True):
        """Until ZooKeeper has forgotten a killed broker, another of its number ends at once."""
        def registered():
            if not node.server.alive():
                node.server.start()
            return port_open(node.port) and node.id in self.admin().list_topics(timeout=5).brokers

        node.server.start()
        if wait:
            wait_until(f"{node.server.name} again", registered, seconds=90, every=0.5)


def make(version: str, directory: Path, nodes: int = 1, **settings) -> Cluster:
    """A cluster of this version, of the kind that it can be."""
    old = version.startswith(("0.", "1.", "2."))
    return (WithZooKeeper if old else Cluster)(version, directory, nodes, **settings)


class Elsewhere:
    """A broker that somebody else runs (KAFKA_BOOTSTRAP_SERVERS_LAB); it can not be killed from here."""

    version = "elsewhere"
    nodes: list = []

    def __init__(self, bootstrap: str):
        self.bootstrap = bootstrap
        self._admin = None

    admin = Cluster.admin
    delete_topic = Cluster.delete_topic
    alter_topic = Cluster.alter_topic
    partition = Cluster.partition

    def create_topic(self, name: str, partitions: int = 1, **config):
        topic = NewTopic(name, partitions, 1, config={k.replace("_", "."): str(v) for k, v in config.items()})
        self.admin().create_topics([topic], operation_timeout=30)[name].result(60)
        wait_until(f"leader of {name}", lambda: self.partition(name).leader >= 0)
        return name

    def stop(self):
        pass
