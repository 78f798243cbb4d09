"""The compatibility client: Kafka 0.10.2, where it is chosen by itself, and 3.9, where it is asked for.

No broker checks the order of what it sends, so every resume and every lost answer waits out the request's
time-out (10 s) before the partition is read: these tests take their time.
"""

import signal
import time

import pytest

from conftest import ANCIENT_VERSION
from lab import csvgen, proxy
from lab.consumer import log_range
from lab.job import AGAIN, COMPLETE, MEND

KILLED = -signal.SIGKILL
WAIT_SECONDS = 10
SAYS_SO = "the compatibility client sends"
CLIENTS = pytest.mark.parametrize("version, client", [(ANCIENT_VERSION, None), (ANCIENT_VERSION, "compat"), ("3.9.1", "compat")],
                                  ids=["0.10.2 by itself", "0.10.2 asked for", "3.9 asked for"])
BOTH = pytest.mark.parametrize("version", [ANCIENT_VERSION, "3.9.1"])
pytestmark = pytest.mark.timeout(3600)


@CLIENTS
def test_a_copy_and_its_proof(lab, brokers, version, client, figure):
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 60_000, seed=91)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, KAFKA_CLIENT=client)
    run = job.run()
    assert SAYS_SO in run.said and "two runs of this job at once" in run.said
    verdict = lab.proved(job, table, cluster)
    item = lab.item(job)
    assert (item["status"], item["last_line"], item["total_sent"]) == ("COMPLETED", 60_000, 60_000)
    assert [producer["id"] for producer in item["producers"]] == [-1]
    assert "already" in job.run().said
    job.run("verify")
    said = job.run("verify", "--headers", expect=MEND).said
    assert "verify without --headers" in said, said
    figure(f"{version}: {verdict}; {run.elapsed:.1f} s")


@BOTH
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_the_other_compressions(lab, brokers, version, compression):
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 20_000, seed=92)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, KAFKA_CLIENT="compat", KAFKA_COMPRESSION=compression,
                  KAFKA_KEY_COLUMN="id")
    job.run()
    assert lab.proved(job, table, cluster).records == 20_000
    job.run("verify")


@pytest.mark.parametrize("settings, words", [
    ({"KAFKA_COMPRESSION": "zstd"}, "KAFKA_COMPRESSION to gzip, snappy or none"),
    ({"KAFKA_CLIENT": "compat", "KAFKA_COMPRESSION": "lz4"}, "KAFKA_CLIENT=compat has no lz4"),
    ({"KAFKA_CLIENT": "compat", "KAFKA_SECURITY_PROTOCOL": "SSL"}, "neither TLS nor a login"),
    ({"KAFKA_CLIENT": "native"}, "it offers Produce 0 to 2"),
], ids=["zstd", "lz4", "TLS", "native"])
def test_what_0_10_can_not_have(lab, brokers, settings, words):
    cluster = brokers(ANCIENT_VERSION)
    job = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(cluster), cluster, **settings)
    said = job.run(expect=MEND).said
    assert words in said, said
    assert log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, 0)


def test_kafka_4_refuses_it(lab):
    job = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(), KAFKA_CLIENT="compat")
    said = job.run(expect=MEND).said
    assert "does not take the requests of the compatibility client" in said and "KIP-896" in said, said


@pytest.mark.parametrize("partition, words", [(None, "--create"), (3, "--alter")], ids=["no topic", "no partition"])
def test_a_topic_or_partition_that_does_not_exist(lab, brokers, partition, words):
    cluster = brokers(ANCIENT_VERSION)
    topic = lab.name("absent") if partition is None else lab.topic(cluster)
    job = lab.job(lab.put(b"a,b\n1,2\n"), topic, cluster, KAFKA_PARTITION=partition)
    said = job.run(expect=MEND).said
    assert words in said and topic in said, said


@BOTH
def test_sigkill_at_random_moments(lab, brokers, version, full, rng, figure):
    """Killed while it waits, reads or sends; each time started anew, and counted by a reader that is not ours."""
    cluster = brokers(version)
    count = 50 if full else 8
    rows = count * 20_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=93)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, KAFKA_CLIENT="compat", LEASE_SECONDS=1,
                  CHECKPOINT_INTERVAL=2000)
    kills, ends = 0, set()
    while kills < count:
        end = log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1]
        run = job.start(MAX_ROWS_PER_SECOND=3_000)
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, WAIT_SECONDS))
        else:  # soon after it has begun to send
            while run.alive() and log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1] == end:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1.5))
        code = run.kill()
        assert code in (KILLED, AGAIN), f"exit {code}: {run.said}"
        kills += code == KILLED
        ends.add(log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1])
    assert lab.item(job)["last_line"] < rows, "the job ended before the kills did: lower the rate"
    job.until_complete(seconds=1800, MAX_ROWS_PER_SECOND=None)
    verdict = lab.proved(job, table, cluster)
    assert lab.item(job)["total_sent"] == rows
    assert len(ends) > count // 4, "too few kills came while it sent"
    job.run("verify")
    figure(f"{kills} kills over {rows} rows on {version}, {len(ends)} log ends: {verdict}")


@BOTH
def test_lost_acknowledgements(lab, brokers, version, full, rng, figure):
    """The answer is lost, torn or late, or the request is: the partition decides what is sent again."""
    cluster = brokers(version)
    node = lab.own_node(cluster)
    count = 30 if full else 6
    # Enough batches for all of that.
    table = csvgen.varied(lab.dir / "in.csv", 120_000 if full else 60_000, seed=94)
    harmed = {}

    def on_produce(_frame):
        if sum(harmed.values()) >= count or rng.random() < 0.6:
            return proxy.PASS
        what = proxy.LOSE_ANSWER if rng.random() < 0.5 else rng.choice(proxy.PRODUCE_FAULTS)
        harmed[what] = harmed.get(what, 0) + 1
        # Within the time-out; what comes later than that is not covered.
        link.late_seconds = rng.choice([0.0, 0.5, 3.0])
        return what

    with proxy.Proxy(node.proxy_port, node.proxied_port, on_produce) as link:
        job = lab.job(lab.put(table.path), lab.topic(cluster, max_message_bytes=30_000), cluster, KAFKA_CLIENT="compat",
                      KAFKA_COMPRESSION="none", LEASE_SECONDS=1, KAFKA_BOOTSTRAP_SERVERS=cluster.bootstrap_proxied)
        job.until_complete(starts_max=count, seconds=1800, MAX_RETRIES=12)
    verdict = lab.proved(job, table, cluster)
    assert sum(harmed.values()) == count, harmed
    figure(f"{harmed} on {version}: {verdict}")


@BOTH
def test_stop_and_go_with_dead_letters(lab, brokers, version, rng):
    """SIGTERM a few times, rows set aside among them: both topics hold each row once."""
    cluster = brokers(version)
    rows, text = 12_000, ["id,v\n"]
    for n in range(1, rows + 1):
        text.append(f"{n},x{n}\n" if n % 50 else f"{n},bad,row\n")
    aside = lab.topic(cluster)
    job = lab.job(lab.put("".join(text).encode()), lab.topic(cluster), cluster, KAFKA_CLIENT="compat", ON_BAD_ROW="dlq",
                  KAFKA_DLQ_TOPIC=aside, CHECKPOINT_INTERVAL=100, LEASE_SECONDS=1)
    for attempt in range(3):
        run = job.start(MAX_ROWS_PER_SECOND=1_000)
        time.sleep((WAIT_SECONDS if attempt else 0) + rng.uniform(0.5, 2))
        run.terminate()
        assert run.wait(30) == AGAIN, run.said
    job.until_complete()
    import json
    good = [json.loads(record.value)["_source_line"] for record in lab.records(job, cluster)]
    assert good == [n for n in range(1, rows + 1) if n % 50]
    bad = [json.loads(record.value)["row"] for record in lab.records(job, cluster, aside)]
    assert bad == list(range(50, rows + 1, 50))
    job.run("verify")


def test_one_client_goes_on_where_the_other_was(lab, brokers):
    """Begun with one client, gone on with the other, and back: the partition tells each how far it is."""
    cluster = brokers("3.9.1")
    table = csvgen.varied(lab.dir / "in.csv", 30_000, seed=95)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, LEASE_SECONDS=1)
    for client in ("native", "compat", "native", "compat"):
        end = log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1]
        run = job.start(MAX_ROWS_PER_SECOND=2_000, KAFKA_CLIENT=client)
        while run.alive() and log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1] <= end:
            time.sleep(0.05)
        code = run.kill()
        assert code == KILLED, f"exit {code}: {run.said}"
    job.run(KAFKA_CLIENT="native")
    assert lab.proved(job, table, cluster).records == 30_000
    assert [producer["id"] < 0 for producer in lab.item(job)["producers"]] == [False, True, False, True, False]
    job.run("verify")


def test_a_broker_that_is_killed_in_mid_job(lab, own_cluster):
    cluster = own_cluster(ANCIENT_VERSION)
    table = csvgen.varied(lab.dir / "in.csv", 40_000, seed=96)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, LEASE_SECONDS=1)
    run = job.start(MAX_ROWS_PER_SECOND=4_000)
    while run.alive() and log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1] < 8_000:
        time.sleep(0.05)
    cluster.kill(cluster.nodes[0])
    cluster.restart(cluster.nodes[0])
    code = run.wait(300)
    assert code in (COMPLETE, AGAIN), f"exit {code}: {run.said}"
    if code == AGAIN:
        job.until_complete()
    assert lab.proved(job, table, cluster).records == 40_000
    cluster.stop()
