"""HTTPS_PROXY, NO_PROXY and AWS_CA_BUNDLE together: S3 and DynamoDB behind TLS of an authority of our own, under
names that a proxy alone knows, so that whoever goes beside it arrives nowhere.
"""

import base64
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from lab import csvgen
from lab.connect import NEVER, ConnectProxy
from lab.consumer import log_range
from lab.job import MEND
from lab.listener import Tls
from lab.s3 import REGION, client
from lab.secured import Authority
from test_credentials import CSV, Account

S3, DYNAMODB = "s3.lab.invalid:443", "dynamodb.lab.invalid:8443"
# As ministack hears them from a run without any endpoint.
AWS = {f"lab-credentials.s3.{REGION}.amazonaws.com:443", f"dynamodb.{REGION}.amazonaws.com:443"}
STS = f"sts.{REGION}.amazonaws.com:443"
NAME, PASSWORD = "CORP\\lab user@corp", "p@ss:w/rd?100%+é"


def url(proxy: ConnectProxy, login: str = f"{quote(NAME, safe='')}:{quote(PASSWORD, safe='')}", scheme: str = "http") -> str:
    return f"{scheme}://{login}@{proxy.address}"


def tells_no_password(said: str):
    for secret in [PASSWORD, quote(PASSWORD, safe=""), base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()]:
        assert secret not in said, "the password of the proxy is in the output"


class Front:
    """TLS before both services."""

    def __init__(self, lab):
        self.lab, self.authority = lab, Authority(lab.dir / "authority", "lab")
        names = "DNS:s3.lab.invalid,DNS:dynamodb.lab.invalid,DNS:localhost,IP:127.0.0.1"
        self.certificate = self.authority.certificate("host", names)
        self.s3, self.dynamodb = (Tls(self.certificate, port_of(endpoint)) for endpoint in (lab.s3.endpoint, lab.dynamodb.endpoint))

    def __enter__(self):
        self.s3.__enter__()
        self.dynamodb.__enter__()
        return self

    def __exit__(self, *_):
        self.s3.__exit__()
        self.dynamodb.__exit__()

    def proxy(self, **more) -> ConnectProxy:
        routes = {S3: self.s3.port, DYNAMODB: self.dynamodb.port}
        for host in ("127.0.0.1", "localhost"):
            routes |= {f"{host}:{tls.port}": tls.port for tls in (self.s3, self.dynamodb)}
        return ConnectProxy(routes, **more)

    def job(self, source: Path, **settings):
        return self.lab.job(self.lab.put(source), self.lab.topic(), **{
            "AWS_ENDPOINT_URL_S3": f"https://{S3}", "AWS_ENDPOINT_URL_DYNAMODB": f"https://{DYNAMODB}",
            "AWS_CA_BUNDLE": self.authority.pem, **settings})


def port_of(endpoint: str) -> int:
    return int(endpoint.rstrip("/").rpartition(":")[2])


@pytest.fixture
def front(lab):
    with Front(lab) as front:
        yield front


@pytest.fixture
def rows(lab):
    return csvgen.varied(lab.dir / "in.csv", 5_000, seed=83)


def test_the_names_lead_nowhere_without_the_proxy():
    for place in (S3, DYNAMODB):
        with pytest.raises(OSError):
            socket.getaddrinfo(place.partition(":")[0], 443)


@pytest.mark.parametrize("variable, scheme", [("HTTPS_PROXY", "http"), ("https_proxy", "http"), ("HTTPS_PROXY", "https")])
def test_a_copy_through_the_proxy(lab, front, rows, variable, scheme):
    """With name and password, also where the proxy itself speaks TLS; `verify` and `status` go the same way."""
    with front.proxy(login=f"{NAME}:{PASSWORD}") as proxy, Tls(front.certificate, proxy.port) as over_tls:
        if scheme == "https":
            proxy.address = f"127.0.0.1:{over_tls.port}"
        job = front.job(rows.path, LOG_LEVEL="trace", RUST_LOG="trace", **{variable: url(proxy, scheme=scheme)})
        for command in [[], ["verify", job.settings["JOB_ID"]], ["status", job.settings["JOB_ID"]]]:
            proxy.asked.clear()
            tells_no_password(job.run(*command).said)
            assert proxy.targets == ({DYNAMODB} if command[:1] == ["status"] else {S3, DYNAMODB}), proxy.asked
            for asked in proxy.asked.values():
                assert (asked.method, asked.login, asked.status) == ("CONNECT", f"{NAME}:{PASSWORD}", 200), asked
    lab.proved(job, rows)
    assert lab.item(job)["status"] == "COMPLETED"


@pytest.mark.parametrize("variable, host, value, through", [
    ("NO_PROXY", "127.0.0.1", "127.0.0.1", []),
    ("no_proxy", "127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", []),
    ("NO_PROXY", "localhost", ".LOCALHOST", []),
    ("NO_PROXY", "localhost", "*", []),
    ("NO_PROXY", "127.0.0.1", "127.0.0.1:{s3}", ["dynamodb"]),
    ("NO_PROXY", "localhost", "local,host,127.0.0.1", ["s3", "dynamodb"]),
    ("NO_PROXY", "127.0.0.1", "128.0.0.0/8", ["s3", "dynamodb"]),
])
def test_no_proxy(lab, front, rows, variable, host, value, through):
    ports = {"s3": front.s3.port, "dynamodb": front.dynamodb.port}
    with front.proxy() as proxy:
        job = front.job(rows.path, AWS_ENDPOINT_URL_S3=f"https://{host}:{ports['s3']}", HTTPS_PROXY=f"http://{proxy.address}",
                        AWS_ENDPOINT_URL_DYNAMODB=f"https://{host}:{ports['dynamodb']}", **{variable: value.format(**ports)})
        job.run()
        assert proxy.targets == {f"{host}:{ports[name]}" for name in through}, proxy.asked
    lab.proved(job, rows)


def test_http_goes_beside_the_proxy(lab, front, rows):
    """An endpoint that speaks no TLS is near; other variables of proxies are none of ours."""
    with front.proxy() as proxy:
        address = f"http://{proxy.address}"
        job = front.job(rows.path, AWS_ENDPOINT_URL_S3=lab.s3.endpoint, HTTPS_PROXY=address, HTTP_PROXY=address,
                        http_proxy=address, ALL_PROXY=address)
        job.run()
        assert proxy.targets == {DYNAMODB}, proxy.asked
    lab.proved(job, rows)


# -- who we are ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def machine(ground):
    """An instance and a container; the keys that it hands out it can not check."""
    machine = Account(ground / "proxied-machine", MINISTACK_IMDS_V2_REQUIRED="1")
    client("dynamodb", machine.endpoint, machine.user).create_table(
        TableName="ledger", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}])
    yield machine
    machine.server.kill()


@pytest.mark.parametrize("place", ["instance", "container", "role"])
def test_credentials(lab, machine, place):
    """Metadata and containers are asked beside the proxy, for the region and the notice of Spot too; STS is asked
    through it. There is no endpoint here: the names are AWS's own."""
    authority = Authority(lab.dir / "authority", "lab")
    certificate = authority.certificate("host", f"DNS:*.s3.{REGION}.amazonaws.com,DNS:*.{REGION}.amazonaws.com")
    with Tls(certificate, machine.port) as tls, ConnectProxy({name: tls.port for name in {*AWS, STS}}) as proxy:
        settings = {name: f"http://{proxy.address}" for name in
                    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]}
        if place == "instance":
            settings |= {"AWS_REGION": None, "AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.endpoint}
        elif place == "container":
            settings |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{machine.endpoint}/v2/credentials/task",
                         "AWS_CONTAINER_AUTHORIZATION_TOKEN": "whispered-token"}
        else:
            settings |= {"AWS_PROFILE": "role"}
        job = lab.job(None, lab.topic(), **{
            "S3_BUCKET": "lab-credentials", "S3_KEY": "in.csv", "DYNAMODB_TABLE": "ledger", "AWS_CA_BUNDLE": authority.pem,
            "AWS_ENDPOINT_URL_S3": None, "AWS_ENDPOINT_URL_DYNAMODB": None, "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None, **settings})
        machine.profiles(job)
        said = job.run().said
        assert proxy.targets == AWS | ({STS} if place == "role" else set()), proxy.asked
        assert {(asked.method, asked.status) for asked in proxy.asked.values()} == {("CONNECT", 200)}, proxy.asked
    assert "whispered-token" not in said
    lab.proved(job, [line.split(",") for line in CSV.decode().splitlines()])


# -- what goes wrong -------------------------------------------------------------------------

@pytest.mark.parametrize("rst", [False, True], ids=["FIN", "RST"])
def test_the_proxy_cuts_connections_in_mid_object(lab, front, rng, rst, figure):
    rows = csvgen.varied(lab.dir / "large.csv", 60_000, seed=84)
    planned = [rng.randint(50_000, rows.path.stat().st_size // 8) for _ in range(6)]
    cuts = list(planned)
    with front.proxy(rst=rst) as proxy:
        def cut_after(number):
            is_s3 = proxy.asked[number].target == S3
            return NEVER, cuts.pop() if is_s3 and cuts else None

        proxy.cut_after = cut_after
        job = front.job(rows.path, HTTPS_PROXY=f"http://{proxy.address}")
        job.run()
        assert proxy.harm == len(planned), f"{proxy.harm} of {len(planned)} cuts"
        connections = [asked.target for asked in proxy.asked.values()].count(S3)
        assert connections == len(planned) + 1, f"{connections} connections"
    lab.proved(job, rows)
    figure(f"{len(planned)} cuts, {connections} connections")


def refused(lab, front, rows, proxy, *words, **settings):
    job = front.job(rows.path, **{"HTTPS_PROXY": url(proxy), **settings})
    run = job.run(expect=MEND, seconds=60)
    for word in [*words, f"through the proxy {proxy.address}, HTTPS_PROXY"]:
        assert word in run.said, f"{word!r} is not in:\n{run.said}"
    tells_no_password(run.said)
    assert log_range(lab.kafka.bootstrap, job.settings["KAFKA_TOPIC"]) == (0, 0)


@pytest.mark.parametrize("bundle", ["another's", None])
def test_an_authority_that_is_not_trusted(lab, front, rows, bundle):
    """The proxy works, and is not what is wrong."""
    stranger = Authority(lab.dir / "stranger", "stranger")
    with front.proxy(login=f"{NAME}:{PASSWORD}") as proxy:
        refused(lab, front, rows, proxy, "the certificate is not trusted", "AWS_CA_BUNDLE", "lab.invalid",
                AWS_CA_BUNDLE=stranger.pem if bundle else None)
        assert {asked.status for asked in proxy.asked.values()} == {200}, proxy.asked


def test_a_wrong_password(lab, front, rows):
    with front.proxy(login=f"{NAME}:another") as proxy:
        refused(lab, front, rows, proxy, "407", "The proxy wants a name and a password that it knows")
        assert {asked.status for asked in proxy.asked.values()} == {407}, proxy.asked


def test_a_host_that_the_proxy_does_not_let_through(lab, front, rows):
    with front.proxy() as proxy:
        del proxy.routes[S3]
        refused(lab, front, rows, proxy, "403", "s3.lab.invalid", "name the host in NO_PROXY")
        assert (S3, 403) in {(asked.target, asked.status) for asked in proxy.asked.values()}, proxy.asked
