"""TLS, client certificates, SASL and ACLs, on one broker of each version that has a port for each."""

import os
import re

import pytest

from lab import csvgen
from lab.consumer import log_range
from lab.job import AGAIN, COMPLETE, MEND, Watch
from lab.secured import LISTENERS, PASSWORDS, Secured

VERSIONS = ["4.1.0", "3.9.1"]
ROWS = 3_000
PEAK_KIB_MAX = 24 * 1024


@pytest.fixture(scope="module", params=VERSIONS)
def broker(request, ground):
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS_LAB"):
        pytest.skip("needs a broker of its own")
    secured = Secured(request.param, ground / f"secured-{request.param}")
    yield secured.start()
    secured.stop()


@pytest.fixture
def job(lab, broker):
    """A job of ROWS rows at one of the broker's listeners."""

    def make(listener: str, rows: int = ROWS, topic: str | None = None, **settings):
        lab.table_of_rows = csvgen.plain(lab.dir / "in.csv", rows, row_bytes=100)
        if LISTENERS[listener] in ("SSL", "SASL_SSL"):
            settings = {"KAFKA_SSL_CA_FILE": broker.authority.pem, **settings}
        return lab.job(lab.put(lab.table_of_rows.path), topic or lab.topic(broker), broker, **{
            "KAFKA_BOOTSTRAP_SERVERS": broker.at(listener),
            "KAFKA_SECURITY_PROTOCOL": LISTENERS[listener],
            **settings})
    return make


def client_of(pair, **settings):
    cert, key = pair
    return {"KAFKA_SSL_CERT_FILE": cert, "KAFKA_SSL_KEY_FILE": key, **settings}


def copies(lab, broker, job):
    job.run(LOG_LEVEL="trace")
    lab.proved(job, lab.table_of_rows, broker)


def refused(job, *words, expect=MEND, **settings):
    run = job.run(expect=expect, seconds=120, LOG_LEVEL="trace", **settings)
    for word in words:
        assert word in run.said, f"{word!r} is not in:\n{run.said[-3000:]}"
    return run


# -- TLS -----------------------------------------------------------------------------------

def test_tls_copies(lab, broker, job):
    copies(lab, broker, job("SSL"))


def test_tls_with_the_authority_as_text(lab, broker, job):
    """As an empty image has it: in a variable, its line ends written as backslash and n."""
    text = broker.authority.pem.read_text()
    copies(lab, broker, job("SSL", KAFKA_SSL_CA_FILE=None, KAFKA_SSL_CA_PEM=text.replace("\n", "\\n")))


def test_client_certificate_copies(lab, broker, job):
    copies(lab, broker, job("MTLS", **client_of(broker.client)))
    cert, key = broker.client
    copies(lab, broker, job("MTLS", KAFKA_SSL_CERT_PEM=cert.read_text(), KAFKA_SSL_KEY_PEM=key.read_text()))


def test_certificate_that_nobody_trusts(broker, job):
    """Neither the public authorities nor a stranger have signed the broker's certificate."""
    refused(job("SSL", KAFKA_SSL_CA_FILE=None), "is not trusted", "KAFKA_SSL_CA_FILE")
    refused(job("SSL", KAFKA_SSL_CA_FILE=broker.stranger.pem), "is not trusted", "KAFKA_SSL_CA_FILE")


def test_certificate_for_another_name(job):
    refused(job("OTHERNAME"), "is for another host name", "elsewhere.example", "advertised.listeners")


def test_client_certificate_missing_or_strange(broker, job):
    refused(job("MTLS"), "wants a client certificate", "KAFKA_SSL_CERT_FILE")
    refused(job("MTLS", **client_of(broker.strange_client)), "wants a client certificate", "KAFKA_SSL_CERT_FILE")


def test_key_that_is_not_the_certificates(broker, job):
    refused(job("MTLS", **client_of((broker.client[0], broker.strange_client[1]))), "can not be used", "KAFKA_SSL_KEY_")


def test_tls_to_a_plaintext_port_and_back(broker, job):
    refused(job("SSL", KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap, MAX_RETRIES=0),
            "KAFKA_SECURITY_PROTOCOL must say so", expect=AGAIN)
    refused(job("SSL", KAFKA_SECURITY_PROTOCOL="PLAINTEXT", KAFKA_SSL_CA_FILE=None), "speaks TLS", "KAFKA_SECURITY_PROTOCOL")


def test_what_is_no_pem_is_named_with_its_conversion(lab, broker, job):
    encrypted = lab.dir / "encrypted.key"
    store = lab.dir / "store.p12"
    from lab.secured import openssl
    openssl("pkcs8", "-topk8", "-in", broker.client[1], "-passout", "pass:x", "-out", encrypted)
    openssl("pkcs12", "-export", "-in", broker.client[0], "-inkey", broker.client[1], "-passout", "pass:x", "-out", store)
    refused(job("MTLS", **client_of((broker.client[0], encrypted))), "an encrypted key", "openssl pkey -in")
    refused(job("MTLS", **client_of((store, broker.client[1]))), "PKCS#12", "openssl pkcs12 -in")
    refused(job("SSL", KAFKA_SSL_CA_FILE=store), "PKCS#12", "openssl pkcs12 -in")


def test_tls_memory_and_threads(lab, broker, job, figure):
    """One thread, also while a name is looked up, and at most 24 MiB."""
    task = job("SSL", rows=200_000, KAFKA_BOOTSTRAP_SERVERS=f"localhost:{broker.ports['SSL']}")
    run = task.start(measure=True)
    watch = Watch(run)
    assert run.wait(300) == COMPLETE, run.said[-3000:]
    watch.join()
    assert log_range(broker.bootstrap, task.settings["KAFKA_TOPIC"]) == (0, 200_000)
    figures = f"200,000 rows over TLS in {run.elapsed:.1f} s: peak {run.peak_kib / 1024:.1f} MiB, threads {watch.threads} in {watch.samples} samples"
    assert watch.threads == {1} and watch.samples > 10, figures
    assert run.peak_kib <= PEAK_KIB_MAX, figures
    figure(figures)


# -- Logins --------------------------------------------------------------------------------

MECHANISM = {"full": "PLAIN", "scram256": "SCRAM-SHA-256", "scram512": "SCRAM-SHA-512"}


def login(user: str, **settings):
    return {"KAFKA_SASL_MECHANISM": MECHANISM.get(user, "PLAIN"), "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": PASSWORDS[user], **settings}


@pytest.mark.parametrize("listener", ["SASLPLAIN", "SASLSSL"])
@pytest.mark.parametrize("user", list(MECHANISM))
def test_login_copies(lab, broker, job, listener, user):
    """And at the loudest level nothing of the password is said, nor of what is made of it."""
    task = job(listener, **login(user))
    broker.allow(user, task.settings["KAFKA_TOPIC"], "WRITE", "READ", "DESCRIBE_CONFIGS")
    run = task.run(LOG_LEVEL="trace", RUST_LOG="trace")
    lab.proved(task, lab.table_of_rows, broker)
    no_secret(run, lab.item(task))


def test_password_in_a_file(lab, broker, job):
    secret = lab.dir / "password"
    secret.write_text(PASSWORDS["scram512"] + "\n")
    copies(lab, broker, job("SASLSSL", **login("scram512", KAFKA_SASL_PASSWORD=None, KAFKA_SASL_PASSWORD_FILE=secret)))


def no_secret(run, item=None):
    said = run.said + repr(item)
    for password in PASSWORDS.values():
        assert password not in said and password.split("-")[0] + "-" not in said, "a password is in the output"
    assert "hunter2" not in said


@pytest.mark.parametrize("user", list(MECHANISM))
def test_wrong_password(job, user):
    run = refused(job("SASLSSL", **login(user, KAFKA_SASL_PASSWORD="hunter2-wrong")),
                  f"refuses the login with {MECHANISM[user]}", "SASL_AUTHENTICATION_FAILED (58)", "KAFKA_SASL_PASSWORD")
    no_secret(run)


def test_unknown_user(job):
    for mechanism in ["PLAIN", "SCRAM-SHA-256"]:
        refused(job("SASLPLAIN", KAFKA_SASL_MECHANISM=mechanism, KAFKA_SASL_USERNAME="stranger",
                    KAFKA_SASL_PASSWORD="hunter2"), "refuses the login", "KAFKA_SASL_USERNAME")


def test_mechanism_that_is_not_offered(job):
    run = refused(job("SASLSSL", KAFKA_SASL_MECHANISM="AWS_MSK_IAM"), "does not take AWS_MSK_IAM",
                  "UNSUPPORTED_SASL_MECHANISM (33)")
    offered = re.search(r"It offers (.*)", run.said)
    assert offered and set(re.findall(r"[A-Z0-9-]{5,}", offered[1])) == {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}


def test_login_where_none_is_taken_and_none_where_one_is(broker, job):
    refused(job("SSL", KAFKA_SECURITY_PROTOCOL="SASL_SSL", **login("full")), "takes no login on this port",
            "KAFKA_SECURITY_PROTOCOL")
    refused(job("SASLSSL", KAFKA_SECURITY_PROTOCOL="SSL", MAX_RETRIES=0), "KAFKA_SECURITY_PROTOCOL must say so",
            expect=AGAIN)


def test_login_is_renewed_in_time(lab, broker, job, figure):
    """The broker ends a login after 3 s; the job takes many times as long and never meets that."""
    task = job("SHORT", rows=6_000, **login("full", MAX_ROWS_PER_SECOND=500))
    broker.allow("full", task.settings["KAFKA_TOPIC"], "WRITE", "READ", "DESCRIBE_CONFIGS")
    run = task.run(LOG_LEVEL="debug")
    assert run.elapsed > 9, "too short to be of use"
    assert "retry" not in run.said.lower(), run.said[-3000:]
    lab.proved(task, lab.table_of_rows, broker)
    figure(f"6,000 rows in {run.elapsed:.1f} s over logins of 3 s")


# -- Permissions ---------------------------------------------------------------------------

def test_missing_permissions_are_named(lab, broker, job):
    """WRITE or READ alone, or nothing: found before the first row is sent."""
    for user, operations in [("nobody", []), ("writer", ["WRITE"]), ("reader", ["READ"])]:
        task = job("SASLPLAIN", **login(user))
        topic = task.settings["KAFKA_TOPIC"]
        if operations:
            broker.allow(user, topic, *operations)
        run = refused(task, "AUTHORIZATION_FAILED", "Grant WRITE, READ and DESCRIBE_CONFIGS", topic)
        assert log_range(broker.bootstrap, topic) == (0, 0), user
        no_secret(run)


def test_least_permissions(lab, broker, job):
    task = job("SASLPLAIN", **login("writer"))
    broker.allow("writer", task.settings["KAFKA_TOPIC"], "WRITE", "READ")
    copies(lab, broker, task)
