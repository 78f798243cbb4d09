"""Brokers with idempotent producers that check less than those of today: Kafka 1.1, 2.4 and 2.8.

What they lack: 1.1 and 2.4 refuse a producer id that they do not know (59) and forget one with the
last of its records; 1.1 can not tell its log's end (OffsetForLeaderEpoch 2 came with 2.1); none has
topic ids. The promise is the same; the one path that no broker guards is logged.
"""

import signal
import time

import pytest

from conftest import OLD_VERSIONS, VERSIONS
from lab import csvgen, proxy
from lab.consumer import log_range
from lab.ground import free_port
from lab.job import AGAIN, COMPLETE, MEND

KILLED = -signal.SIGKILL
RENEWED = "the broker has forgotten this job's producer id"


@pytest.mark.parametrize("version", OLD_VERSIONS)
@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4"])
def test_a_copy(lab, brokers, version, compression):
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 60_000, seed=81)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, KAFKA_COMPRESSION=compression)
    run = job.run()
    assert "compatibility client" not in run.said
    assert lab.proved(job, table, cluster).records == 60_000
    for arguments in ([], ["--headers"]):
        job.run("verify", *arguments)


@pytest.mark.parametrize("version, exit_code, words", [("1.1.1", MEND, "KAFKA_COMPRESSION"), ("2.8.2", COMPLETE, "")])
def test_zstd_came_with_2_1(lab, brokers, version, exit_code, words):
    """A broker that does not know zstd says so, and so do we."""
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 1_000, seed=82)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, KAFKA_COMPRESSION="zstd")
    assert words in job.run(expect=exit_code).said


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_sigkill_at_random_moments(lab, brokers, version, full, rng, figure):
    cluster = brokers(version)
    count = 100 if full else 15
    rows = 1_000_000 if full else 150_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=83)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, LEASE_SECONDS=1, CHECKPOINT_INTERVAL=5000)
    kills = 0
    while kills < count:
        run = job.start(MAX_ROWS_PER_SECOND=5_000)
        time.sleep(rng.uniform(0, 0.8))
        kills += run.kill() == KILLED
    assert lab.item(job)["last_line"] < rows, "the job ended before the kills did: lower the rate"
    job.until_complete(MAX_ROWS_PER_SECOND=None)
    verdict = lab.proved(job, table, cluster)
    assert lab.item(job)["total_sent"] == rows
    figure(f"{kills} kills over {rows} rows on {version}: {verdict}")


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_lost_acknowledgements(lab, brokers, version, full, rng, figure):
    cluster = brokers(version)
    node = lab.own_node(cluster)
    count = 100 if full else 15
    table = csvgen.varied(lab.dir / "in.csv", count * 9_000, seed=84)
    harmed = {}

    def on_produce(_frame):
        if sum(harmed.values()) >= count or rng.random() < 0.65:
            return proxy.PASS
        what = proxy.LOSE_ANSWER if rng.random() < 0.6 else rng.choice(proxy.PRODUCE_FAULTS)
        harmed[what] = harmed.get(what, 0) + 1
        link.late_seconds = rng.choice([0.0, 0.1, 1.5])
        return what

    with proxy.Proxy(node.proxy_port, node.proxied_port, on_produce) as link:
        job = lab.job(lab.put(table.path), lab.topic(cluster, max_message_bytes=30_000), cluster, LEASE_SECONDS=1,
                      KAFKA_BOOTSTRAP_SERVERS=cluster.bootstrap_proxied)
        job.until_complete(starts_max=count, seconds=1500, MAX_RETRIES=12)
    verdict = lab.proved(job, table, cluster)
    assert harmed
    figure(f"{harmed} on {version}: {verdict}")


@pytest.mark.parametrize("version, is_renewed", [("1.1.1", True), ("2.4.1", True), ("2.8.2", False)])
def test_a_producer_that_the_broker_has_forgotten(lab, own_cluster, version, is_renewed, figure):
    """Stopped in mid-job until the producer's state has expired: 1.1 and 2.4 answer 59, the tail is read, another
    identity goes on, and that is logged as what it is. 2.8 takes the next number without a word."""
    cluster = own_cluster(version, transactional_id_expiration_ms=3000,
                          transaction_remove_expired_transaction_cleanup_interval_ms=1000)
    rows = 60_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=85)
    job = lab.job(lab.put(table.path), lab.topic(cluster, segment_ms=1000), cluster, LEASE_SECONDS=1)
    run = job.start(MAX_ROWS_PER_SECOND=10_000)
    while run.alive() and log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1] < 20_000:
        time.sleep(0.02)
    run.kill()
    time.sleep(5)
    # What had expired when the broker stopped is not loaded again.
    cluster.nodes[0].server.stop()
    cluster.restart(cluster.nodes[0])
    run = job.run()
    assert lab.proved(job, table, cluster).records == rows
    producers = len(lab.item(job)["producers"])
    figure(f"{version}: {producers} producers; {'renewed' if is_renewed else 'went on'}")
    assert (RENEWED in run.said) == is_renewed == (producers == 2), run.said
    job.run("verify")
    job.run("verify", "--headers")
    cluster.stop()


@pytest.mark.parametrize("version", VERSIONS + OLD_VERSIONS)
@pytest.mark.parametrize("partition, words", [(None, "--create"), (3, "--alter")], ids=["no topic", "no partition"])
def test_a_topic_or_partition_that_does_not_exist(lab, brokers, version, partition, words):
    """Waited for, then exit 1 with the command that makes it; no broker is made to create it."""
    cluster = brokers(version)
    topic = lab.name("absent") if partition is None else lab.topic(cluster)
    job = lab.job(lab.put(b"a,b\n1,2\n"), topic, cluster, KAFKA_PARTITION=partition)
    run = job.run(expect=MEND)
    assert words in run.said and topic in run.said, run.said
    if partition is None:
        assert topic not in cluster.admin().list_topics(timeout=10).topics


@pytest.mark.parametrize("version", VERSIONS + OLD_VERSIONS)
def test_the_first_bootstrap_server_is_unreachable(lab, brokers, version):
    """The next one is asked."""
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 2_000, seed=86)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster,
                  KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()},{cluster.bootstrap}")
    job.run()
    assert lab.proved(job, table, cluster).records == 2_000


@pytest.mark.parametrize("version", ["3.9.1", "1.1.1"])
def test_the_leader_is_not_the_bootstrap_server(lab, own_cluster, version):
    """Only a broker that does not lead the partition is named: it tells who does."""
    cluster = own_cluster(version, nodes=3)
    table = csvgen.varied(lab.dir / "in.csv", 2_000, seed=87)
    topic = lab.topic(cluster)
    leader = cluster.leader(topic)
    for node in cluster.nodes:
        if node is not leader:
            topic = lab.topic(cluster)
            while cluster.leader(topic) is node:
                topic = lab.topic(cluster)
            job = lab.job(lab.put(table.path), topic, cluster, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{node.port}")
            job.run()
            assert lab.proved(job, table, cluster).records == 2_000
    cluster.stop()
