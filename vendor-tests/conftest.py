"""The servers, started once for all tests, and a short way to describe a job."""

import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from lab import compare, consumer, kafka
from lab.dynamodb import DynamoDb
from lab.ground import loopback_up
from lab.job import BINARY, Job
from lab.s3 import S3

VERSIONS = ["4.1.0", "3.9.1"]
# Native, but their leaders check less: an unknown producer id, a deleted topic, the log end.
OLD_VERSIONS = ["2.8.2", "2.4.1", "1.1.1"]
# No idempotent producers at all.
ANCIENT_VERSION = "0.10.2.2"


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the long counts instead of those for every push")
    parser.addoption("--quick", action="store_true", help="bench: a hundredth of the rows, two turns, nothing written")
    parser.addoption("--lab-seed", type=int, default=None, help="the seed of all random moments of an earlier run")


def pytest_configure(config):
    if not BINARY:
        raise pytest.UsageError("CSV_TO_KAFKA_BIN is not set; use vendor-tests/run")
    seed = config.getoption("--lab-seed")
    config.lab_seed = seed if seed is not None else int(time.time())
    try:
        loopback_up()
    except OSError:
        pass  # the machine's own network has it up


# Several processes share the tests (run --processes): a file belongs to the one that comes to it
# first. The longest files come first, so that all end at about the same time.
LONG = ["test_old_brokers.py", "test_exactly_once.py", "test_compat.py", "test_security.py", "test_copy.py", "test_faults.py"]
CLAIMS = os.environ.get("VENDOR_TESTS_CLAIMS")


def is_ours(file: Path, claimed: dict = {}) -> bool:
    """Whether this process is the one that runs the tests of this file."""
    if file not in claimed:
        try:
            os.close(os.open(f"{CLAIMS}/{file.name}", os.O_CREAT | os.O_EXCL))
            claimed[file] = True
        except FileExistsError:
            claimed[file] = False
    return claimed[file]


def pytest_collection_modifyitems(items):
    if CLAIMS:
        items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    """True: there is nothing left to do for this test."""
    return True if CLAIMS and not is_ours(item.path) else None


def pytest_report_header(config):
    return [f"product: {os.path.basename(BINARY)}", f"random moments: --lab-seed {config.lab_seed}",
            f"counts: {'--full' if config.getoption('--full') else 'short'}"]


def pytest_terminal_summary(terminalreporter, config):
    figures = getattr(config, "lab_figures", [])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def full(request) -> bool:
    return request.config.getoption("--full")


@pytest.fixture
def figure(request):
    """Keeps a line for the end of the report."""
    lines = request.config.__dict__.setdefault("lab_figures", [])

    def keep(text: str):
        lines.append(f"{request.node.name}: {text}")
        print(text)
    return keep


@pytest.fixture
def rng(request) -> random.Random:
    """Random moments: the same for a test and a seed, whatever other tests run."""
    return random.Random(f"{request.config.lab_seed} {request.node.name}")


@pytest.fixture(scope="session")
def ground():
    """A directory for the servers' data; on failure of a server its log is printed, so nothing is kept."""
    directory = Path(tempfile.mkdtemp(prefix="csv-to-kafka-lab-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def brokers(ground):
    """One broker for each version, started when first asked for."""
    running = {}

    def of(version: str):
        if version not in running:
            elsewhere = os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB")
            running[version] = (kafka.Elsewhere(elsewhere) if elsewhere
                                else kafka.make(version, ground / f"kafka-{version}").start())
        return running[version]

    yield of
    for cluster in running.values():
        cluster.stop()


@pytest.fixture(scope="session")
def own_cluster(ground):
    """Clusters that a test may harm."""
    made = []

    def make(version: str = "4.1.0", nodes: int = 1, **settings):  # heap and java too
        if os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB"):
            pytest.skip("needs brokers of its own")
        cluster = kafka.make(version, ground / f"own-{len(made)}", nodes, **settings)
        made.append(cluster)
        return cluster.start()

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture(scope="session")
def s3(ground, dynamodb):
    server = S3(ground / "s3", dynamodb.identity).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bucket(s3):
    name = f"lab-{time.time_ns():x}"
    s3.api.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def dynamodb(ground):
    server = DynamoDb(ground / "dynamodb").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def table(dynamodb):
    return dynamodb.create_table(f"lab-{time.time_ns():x}")


class Lab:
    """What nearly every test needs: an object, a topic, a job over them, and the judgement at the end."""

    def __init__(self, request, tmp_path, brokers, s3, bucket, dynamodb, table):
        self.request, self.dir, self.brokers = request, tmp_path, brokers
        self.s3, self.bucket, self.dynamodb, self.table = s3, bucket, dynamodb, table
        self.identity = dynamodb.identity
        self.kafka = brokers("4.1.0")
        self.jobs: list[Job] = []
        self._names = 0

    def name(self, what: str) -> str:
        self._names += 1
        return f"{what}-{time.time_ns():x}-{self._names}"

    def topic(self, cluster=None, **config) -> str:
        return (cluster or self.kafka).create_topic(self.name("t"), **config)

    def put(self, source: Path | bytes, key: str | None = None) -> str:
        """Stores an object, answers its key."""
        key = key or self.name("in") + ".csv"
        self.s3.put(self.bucket, key, source)
        return key

    def job(self, key: str | None, topic: str, cluster=None, **settings) -> Job:
        settings = {
            "S3_BUCKET": self.bucket if key else None,
            "S3_KEY": key,
            "KAFKA_BOOTSTRAP_SERVERS": (cluster or self.kafka).bootstrap,
            "KAFKA_TOPIC": topic,
            "DYNAMODB_TABLE": self.table,
            "JOB_ID": self.name("job"),
            "AWS_ACCESS_KEY_ID": self.identity.access_key,
            "AWS_SECRET_ACCESS_KEY": self.identity.secret_key,
            "AWS_ENDPOINT_URL_S3": self.s3.endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb.endpoint,
            **settings,
        }
        job = Job(self.dir / settings["JOB_ID"], **settings)
        self.jobs.append(job)
        return job

    def own_node(self, cluster=None) -> kafka.Node:
        """A node that a proxy can stand before."""
        nodes = (cluster or self.kafka).nodes
        if not nodes:
            pytest.skip("needs a broker of its own")
        return nodes[0]

    def item(self, job: Job) -> dict | None:
        return self.dynamodb.item(self.table, job.settings["JOB_ID"])

    def source(self, job: Job) -> str:
        return f"s3://{job.settings['S3_BUCKET']}/{job.settings['S3_KEY']}"

    def records(self, job: Job, cluster=None, topic: str | None = None):
        return consumer.read_all((cluster or self.kafka).bootstrap, topic or job.settings["KAFKA_TOPIC"],
                                 int(job.settings.get("KAFKA_PARTITION", 0)))

    def judge(self, job: Job, rows, cluster=None, up_to: int | None = None) -> compare.Verdict:
        """`rows`: a Table, or the header and the rows."""
        rows = rows.rows() if hasattr(rows, "rows") else rows
        return compare.judge(rows, self.records(job, cluster), self.source(job), up_to)

    def proved(self, job: Job, rows, cluster=None, up_to: int | None = None) -> compare.Verdict:
        verdict = self.judge(job, rows, cluster, up_to)
        assert verdict.clean, str(verdict)
        return verdict


@pytest.fixture
def lab(request, tmp_path, brokers, s3, bucket, dynamodb, table):
    lab = Lab(request, tmp_path, brokers, s3, bucket, dynamodb, table)
    yield lab
    for job in lab.jobs:
        job.stop_all()
    # Tests write gigabytes; what pytest would keep of them is of no use.
    shutil.rmtree(tmp_path, ignore_errors=True)
