"""Crashes, lost answers, failovers and second runs against real brokers: missing 0, repeated 0, misordered 0."""

import signal
import time

import pytest

from conftest import VERSIONS
from lab import csvgen, proxy
from lab.consumer import log_range
from lab.job import AGAIN, COMPLETE, MEND

KILLED = -signal.SIGKILL
pytestmark = pytest.mark.timeout(3600)  # the long counts; each wait inside has its own, shorter limit


def counts(short: int, long: int):
    """A fixture value: the count for every push, or the long one with --full."""
    return pytest.mark.parametrize("count", [(short, long)], ids=[f"{short} or {long}"], indirect=True)


@pytest.fixture
def count(request, full):
    return request.param[full]


def still_running(job, run):
    """The harm goes on, so a run that gave up for now is started again."""
    if run.alive():
        return run
    code = run.wait()
    assert code != COMPLETE, "the job ended before the harm did: give it more rows"
    assert code == AGAIN, f"exit {code}: {run.said}"
    return job.start()


def finish(job, run):
    """The harm is over: without the brake, to the end."""
    run.terminate()
    code = run.wait(60)
    assert code in (COMPLETE, AGAIN), f"exit {code}: {run.said}"
    if code == AGAIN:
        job.until_complete(MAX_ROWS_PER_SECOND=None)


def first_row_confirmed(lab, job, run, cluster=None):
    while run.alive() and log_range((cluster or lab.kafka).bootstrap, job.settings["KAFKA_TOPIC"])[1] == 0:
        time.sleep(0.05)


@pytest.mark.parametrize("version", VERSIONS)
@counts(30, 300)
def test_sigkill_at_random_moments(lab, brokers, version, count, rng, figure):
    """Killed at random instructions again and again, each time started anew."""
    cluster = brokers(version)
    # Each life sends a second's worth of rows at once and then waits, so that the job outlives the kills.
    rate = 5_000
    rows = 2_000_000 if count == 300 else 250_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=71)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, LEASE_SECONDS=1, CHECKPOINT_INTERVAL=5000)
    kills, progress = 0, 0
    while kills < count:
        run = job.start(MAX_ROWS_PER_SECOND=rate)
        time.sleep(rng.choice([rng.uniform(0, 0.1), rng.uniform(0, 0.8)]))
        code = run.kill()
        assert code in (KILLED, AGAIN), f"exit {code}: {run.said}"
        kills += code == KILLED
        progress += log_range(cluster.bootstrap, job.settings["KAFKA_TOPIC"])[1] > 0
    assert lab.item(job)["last_line"] < rows, "the job ended before the kills did: lower the rate"
    job.until_complete(MAX_ROWS_PER_SECOND=None)
    verdict = lab.proved(job, table, cluster)
    assert lab.item(job)["total_sent"] == rows
    assert progress > count // 4, "the kills came before the first row"
    figure(f"{kills} kills over {rows} rows on {version}: {verdict}")


@pytest.mark.parametrize("version", VERSIONS)
@counts(30, 300)
def test_lost_acknowledgements(lab, brokers, version, count, rng, figure):
    """The broker has appended, the answer is lost, and other harm around a Produce: torn requests and answers, requests that arrive late."""
    cluster = brokers(version)
    node = lab.own_node(cluster)
    # Each answer that is lost costs a reconnect and a delay, more so in a row, so batches are small and many.
    rows = count * 9_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=72)
    harmed = {}
    last = [0]

    def on_produce(frame):
        last[0] += 1
        if sum(harmed.values()) >= count or rng.random() < 0.65:
            return proxy.PASS
        what = proxy.LOSE_ANSWER if rng.random() < 0.6 else rng.choice(proxy.PRODUCE_FAULTS)
        harmed[what] = harmed.get(what, 0) + 1
        # A late request may arrive before its own repetition, after it, or after the batch that follows.
        link.late_seconds = rng.choice([0.0, 0.1, 1.5, 4.0])
        return what

    with proxy.Proxy(node.proxy_port, node.proxied_port, on_produce) as link:
        job = lab.job(lab.put(table.path), lab.topic(cluster, max_message_bytes=30_000), cluster, LEASE_SECONDS=1,
                      KAFKA_BOOTSTRAP_SERVERS=cluster.bootstrap_proxied)
        job.until_complete(starts_max=count, seconds=1500, MAX_RETRIES=12)
        connections = link.connections
    verdict = lab.proved(job, table, cluster)
    assert sum(harmed.values()) >= min(count, last[0] // 4)
    figure(f"{harmed} on {version}, {connections} connections: {verdict}")


@counts(40, 400)
def test_connections_cut_at_random_bytes(lab, count, rng, figure):
    """Connections that end after any number of bytes, in either direction, by FIN and by RST, handshake included."""
    node = lab.own_node()
    rows = count * 5_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=73)

    def cut_after(connection):
        if connection > count:
            return None, None
        link.rst = rng.random() < 0.5
        # Mostly far enough for a batch or two, so that the job moves on between the cuts.
        to_server = rng.choice([rng.randint(1, 400), rng.randint(400, 30_000), rng.randint(30_000, 120_000)])
        return (to_server, None) if rng.random() < 0.7 else (None, rng.randint(1, 1_500))

    with proxy.Proxy(node.proxy_port, node.proxied_port) as link:
        link.cut_after = cut_after
        job = lab.job(lab.put(table.path), lab.topic(max_message_bytes=30_000), LEASE_SECONDS=1,
                      KAFKA_BOOTSTRAP_SERVERS=lab.kafka.bootstrap_proxied)
        job.until_complete(starts_max=count, seconds=1500, MAX_RETRIES=12)
        harm = link.harm
    verdict = lab.proved(job, table)
    figure(f"{harm} connections cut: {verdict}")


def test_killed_behind_a_lost_answer(lab, rng, figure):
    """The process dies just after the broker has appended what nobody has confirmed, and what it sent arrives even later."""
    node = lab.own_node()
    table = csvgen.varied(lab.dir / "in.csv", 100_000, seed=74)
    state = {"run": None, "kills": 0}

    def on_produce(frame):
        if state["kills"] >= 10 or rng.random() < 0.5:
            return proxy.PASS
        state["kills"] += 1
        state["run"].kill()
        return rng.choice([proxy.LATE, proxy.CUT_AT_ONCE, proxy.TORN_REQUEST])

    with proxy.Proxy(node.proxy_port, node.proxied_port, on_produce, late_seconds=0.3):
        job = lab.job(lab.put(table.path), lab.topic(max_message_bytes=60_000), LEASE_SECONDS=1,
                      KAFKA_BOOTSTRAP_SERVERS=lab.kafka.bootstrap_proxied)
        for _ in range(60):
            state["run"] = job.start()
            code = state["run"].wait(120)
            assert code in (KILLED, AGAIN, COMPLETE), state["run"].said
            if code == COMPLETE:
                break
    verdict = lab.proved(job, table)
    figure(f"{state['kills']} kills behind a request: {verdict}")


@pytest.mark.parametrize("version", VERSIONS)
@counts(2, 10)
def test_broker_killed_and_restarted(lab, own_cluster, version, count, rng, figure):
    """The only broker dies in mid-stream and comes back."""
    cluster = own_cluster(version)
    node = cluster.nodes[0]
    rows = count * 150_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=75)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, LEASE_SECONDS=1, MAX_ROWS_PER_SECOND=10_000)
    run = job.start()
    first_row_confirmed(lab, job, run, cluster)
    for _ in range(count):
        run = still_running(job, run)
        time.sleep(rng.uniform(0.3, 1.5))
        cluster.kill(node)
        time.sleep(rng.uniform(0, 1))
        cluster.restart(node)
    finish(job, run)
    verdict = lab.proved(job, table, cluster)
    figure(f"{count} broker kills on {version}, {len(job.runs)} runs: {verdict}")
    cluster.stop()


@counts(2, 10)
def test_leader_killed_and_frozen(lab, own_cluster, count, rng, figure):
    """Three nodes, min.insync.replicas=2: the leader is killed, and frozen until another has taken over, then thawed."""
    cluster = own_cluster(nodes=3)
    freezes_max = max(1, count // 2)
    rows = (count + freezes_max) * 200_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=76)
    topic = lab.topic(cluster)
    job = lab.job(lab.put(table.path), topic, cluster, LEASE_SECONDS=1, MAX_ROWS_PER_SECOND=5_000)
    plan = ["kill"] * count + ["freeze"] * freezes_max
    rng.shuffle(plan)
    run = job.start()
    first_row_confirmed(lab, job, run, cluster)
    for what in plan:
        run = still_running(job, run)
        time.sleep(rng.uniform(0.3, 1.5))
        leader = cluster.leader(topic)
        if what == "kill":
            cluster.kill(leader)
        else:
            leader.server.freeze()
        cluster.wait_leader_other_than(leader, topic)
        time.sleep(rng.uniform(0, 2))
        if what == "kill":
            cluster.restart(leader)
        else:
            leader.server.thaw()
        cluster.wait_isr(topic, 3)
    finish(job, run)
    verdict = lab.proved(job, table, cluster)
    figure(f"{count} leader kills, {freezes_max} freezes, {len(job.runs)} runs: {verdict}")
    cluster.stop()


@counts(6, 50)
def test_two_runs_at_once(lab, count, rng, figure):
    """Two processes start for the same job at the same time, with equal and with unequal settings."""
    outcomes, rates = {}, [None, 5_000, 7_000]
    for n in range(count):
        table = csvgen.varied(lab.dir / "in.csv", 20_000, columns=4, seed=770 + n)
        job = lab.job(lab.put(table.path), lab.topic(), LEASE_SECONDS=1)
        runs = [job.start(MAX_ROWS_PER_SECOND=rng.choice(rates), KAFKA_COMPRESSION=rng.choice(["gzip", "none"]))]
        time.sleep(rng.choice([0, 0, rng.uniform(0, 0.1)]))
        runs.append(job.start(MAX_ROWS_PER_SECOND=rng.choice(rates), KAFKA_COMPRESSION=rng.choice(["gzip", "none"])))
        codes = tuple(sorted(run.wait(60) for run in runs))
        assert set(codes) <= {COMPLETE, AGAIN}, "\n".join(run.said for run in runs)
        outcomes[codes] = outcomes.get(codes, 0) + 1
        if COMPLETE not in codes:
            job.until_complete()
        lab.proved(job, table)
        assert lab.item(job)["status"] == "COMPLETED" and lab.item(job)["total_sent"] == 20_000
    figure(f"{count} pairs, exit codes {outcomes}: nothing missing, repeated or misordered")


@counts(4, 20)
def test_a_frozen_run_is_superseded(lab, count, rng, figure):
    """SIGSTOP, another run takes the job over after the lease, then SIGCONT: the old run stops with 75 and has done no harm."""
    ends = {}
    for n in range(count):
        table = csvgen.varied(lab.dir / "in.csv", 30_000, columns=4, seed=780 + n)
        job = lab.job(lab.put(table.path), lab.topic(), LEASE_SECONDS=1)
        old = job.start(MAX_ROWS_PER_SECOND=5_000)
        time.sleep(rng.uniform(0.2, 1.0))
        first_row_confirmed(lab, job, old)
        old.freeze()
        new = job.start(MAX_ROWS_PER_SECOND=6_000)
        # Wake it while the new one waits, while it works, or when it has ended.
        wake = rng.choice(["after it took over", "in mid-run", "at the end"])
        if wake == "at the end":
            assert new.wait(60) in (COMPLETE, AGAIN), new.said
        else:
            time.sleep(1.3 if wake == "after it took over" else rng.uniform(1.5, 2.5))
        old.thaw()
        codes = (old.wait(60), new.wait(60))
        assert set(codes) <= {COMPLETE, AGAIN}, old.said + new.said
        assert wake != "at the end" or codes[0] == AGAIN or new.code != COMPLETE, old.said
        ends[codes] = ends.get(codes, 0) + 1
        if COMPLETE not in codes:
            job.until_complete()
        lab.proved(job, table)
    figure(f"{count} frozen runs, exit codes of old and new: {ends}: nothing missing, repeated or misordered")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_topic_is_made_again_in_mid_run(lab, brokers, version, figure):
    """Deleted and created under the same name while rows are on their way: exit 1, and the new topic stays as good as empty."""
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 200_000, seed=79)
    topic = lab.topic(cluster)
    job = lab.job(lab.put(table.path), topic, cluster, MAX_ROWS_PER_SECOND=20_000)
    run = job.start()
    first_row_confirmed(lab, job, run, cluster)
    cluster.delete_topic(topic)
    cluster.create_topic(topic)
    code = run.wait(120)
    assert code == MEND, f"exit {code}: {run.said}"
    end = log_range(cluster.bootstrap, topic)[1]
    # Where Produce can not carry the topic's id, the broker takes one batch before its answer tells.
    assert end == 0 if version.startswith("4") else end < 25_000, end
    job.run(expect=MEND)
    assert log_range(cluster.bootstrap, topic)[1] == end
    figure(f"{version}: exit {code}, {end} records in the new topic")


def test_the_topic_is_made_again_between_runs(lab):
    """The second run finds another topic id: exit 1, nothing sent."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, seed=80)
    topic = lab.topic()
    job = lab.job(lab.put(table.path), topic)
    run = job.start(MAX_ROWS_PER_SECOND=20_000)
    first_row_confirmed(lab, job, run)
    run.terminate()
    assert run.wait() == AGAIN, run.said
    lab.kafka.delete_topic(topic)
    lab.kafka.create_topic(topic)
    job.run(expect=MEND)
    assert log_range(lab.kafka.bootstrap, topic) == (0, 0)


def test_the_tail_was_deleted(lab):
    """Records after the checkpoint are gone when the run comes back: exit 1, retention is named."""
    from confluent_kafka import TopicPartition
    table = csvgen.varied(lab.dir / "in.csv", 100_000, seed=81)
    topic = lab.topic()
    job = lab.job(lab.put(table.path), topic, CHECKPOINT_INTERVAL=1_000_000)
    run = job.start(MAX_ROWS_PER_SECOND=20_000, LEASE_SECONDS=60)
    while log_range(lab.kafka.bootstrap, topic)[1] < 30_000:
        time.sleep(0.05)
    run.kill()
    end = log_range(lab.kafka.bootstrap, topic)[1]
    lab.kafka.admin().delete_records([TopicPartition(topic, 0, end)])[TopicPartition(topic, 0, end)].result(30)
    run = job.run(expect=MEND)
    assert "retention" in run.said, run.said
    assert log_range(lab.kafka.bootstrap, topic) == (end, end)


@counts(3, 20)
def test_the_producer_state_expired(lab, own_cluster, count, figure):
    """The broker has forgotten the producer between two runs; the tail decides, nothing is repeated."""
    cluster = own_cluster(producer_id_expiration_ms=2000, producer_id_expiration_check_interval_ms=500)
    rows = count * 25_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=82)
    job = lab.job(lab.put(table.path), lab.topic(cluster), cluster, LEASE_SECONDS=1)
    for _ in range(count):
        run = job.start(MAX_ROWS_PER_SECOND=20_000)
        time.sleep(0.6)
        run.kill()
        time.sleep(3.5)
    job.until_complete()
    verdict = lab.proved(job, table, cluster)
    figure(f"{count} expiries: {verdict}")
    cluster.stop()


def test_resume_after_the_whole_machine_is_gone(lab):
    """The holder's machine is another one, so nobody can tell that it is dead: the next run waits for the lease, then goes on."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, seed=83)
    job = lab.job(lab.put(table.path), lab.topic(), LEASE_SECONDS=2)
    run = job.start(MAX_ROWS_PER_SECOND=20_000)
    first_row_confirmed(lab, job, run)
    run.kill()
    item = lab.item(job)
    lab.dynamodb.put(lab.table, item | {"host": "another machine, boot id, pid namespace and pid"})
    job.run()
    lab.proved(job, table)


def test_the_holder_is_named(lab):
    """A run that finds the job alive in other hands ends with 75 and says whose."""
    table = csvgen.varied(lab.dir / "in.csv", 200_000, seed=84)
    job = lab.job(lab.put(table.path), lab.topic(), LEASE_SECONDS=3)
    first = job.start(MAX_ROWS_PER_SECOND=20_000)
    first_row_confirmed(lab, job, first)
    second = job.run(expect=AGAIN)
    assert lab.item(job)["run_id"] in second.said, second.said
    assert first.wait() == COMPLETE, first.said
    lab.proved(job, table)
