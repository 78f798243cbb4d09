"""A server that gives each connection little: several read ahead, and the rows are the same."""

import re

import pytest

from lab import compare, csvgen
from lab.ground import wait_until
from lab.paced import Paced

# More than is read over one connection before it is judged, and time enough to see what changes.
ROWS = 700_000
# Slow enough for a busy machine to wait for it.
PACE = 4e6


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """More than 16 MiB, after which the source is judged."""
    return csvgen.varied(tmp_path_factory.mktemp("wide") / "in.csv", ROWS, seed=61)


@pytest.fixture
def relay(lab):
    """To the S3 server, which checks the signature of each request."""
    relays = []

    def make(**settings):
        relays.append(Paced(lab.s3.port, PACE, first_byte_seconds=0.02, **settings))
        return relays[-1]

    yield make
    for each in relays:
        each.close()


def test_several_connections_read_one_object(lab, wide, relay, figure):
    way = relay()
    job = lab.job(lab.put(wide.path), lab.topic(), AWS_ENDPOINT_URL_S3=f"http://{way.address}")
    run = job.run(seconds=300)
    assert "one connection brings less than can be taken" in run.err
    lab.proved(job, wide)
    assert way.connections >= 7, "the first one, and six that read ahead"
    rate = wide.path.stat().st_size / run.elapsed / 1e6
    figure(f"{way.connections} connections, {way.requests} requests: {rate:.1f} MB/s where one brings {PACE / 1e6:.0f}")


def test_a_version_is_read_ahead_too(lab, wide, relay):
    """Each request names it: the object that has taken its place since is not even of its length."""
    bucket = lab.name("versions")
    lab.s3.api.create_bucket(Bucket=bucket)
    lab.s3.api.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = lab.s3.api.put_object(Bucket=bucket, Key="in.csv", Body=wide.path.read_bytes())["VersionId"]
    lab.s3.api.put_object(Bucket=bucket, Key="in.csv", Body=b"id\n1\n")
    way = relay()
    job = lab.job("in.csv", lab.topic(), S3_BUCKET=bucket, S3_VERSION_ID=old, AWS_ENDPOINT_URL_S3=f"http://{way.address}")
    run = job.run(seconds=300)
    assert "one connection brings less than can be taken" in run.err and way.connections >= 7
    verdict = compare.judge(wide.rows(), lab.records(job), f"s3://{bucket}/in.csv")
    assert verdict.clean, str(verdict)


def test_switched_off(lab, wide, relay):
    way = relay()
    job = lab.job(lab.put(wide.path), lab.topic(), AWS_ENDPOINT_URL_S3=f"http://{way.address}", S3_READ_AHEAD="off")
    run = job.run(seconds=300)
    assert "one connection brings less" not in run.err
    assert way.connections == 1
    lab.proved(job, wide)


def test_connections_that_break_while_reading_ahead(lab, wide, relay, rng, figure):
    """Four answers in ten are cut; each time the run goes on, on one connection, at the byte that it has reached."""
    way = relay(cuts=40, seed=rng.randrange(1 << 30))
    job = lab.job(lab.put(wide.path), lab.topic(), AWS_ENDPOINT_URL_S3=f"http://{way.address}")
    run = job.run(seconds=300)
    lab.proved(job, wide)
    assert way.cut > 0
    figure(f"{way.cut} of {way.requests} answers cut, {len(re.findall('read from byte', run.err))} times read ahead")


def test_killed_while_reading_ahead(lab, wide, relay, rng):
    way = relay()
    job = lab.job(lab.put(wide.path), lab.topic(), AWS_ENDPOINT_URL_S3=f"http://{way.address}")
    for _ in range(2):
        run = job.start()
        wait_until("the run reads ahead", lambda: "one connection brings less" in run.err, 60)
        run.kill()
    job.until_complete()
    lab.proved(job, wide)
