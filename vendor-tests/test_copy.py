"""A whole copy: S3 to Kafka with the ledger in DynamoDB, read back by a client that is not ours."""

import csv
import time

import pytest

from conftest import VERSIONS
from lab import csvgen
from lab.job import COMPLETE


@pytest.mark.parametrize("version", VERSIONS)
def test_a_million_varied_rows(lab, brokers, version, figure):
    """1,000,000 rows with quoted newlines arrive once each, in order, every value as Python's csv module reads it."""
    cluster = brokers(version)
    table = csvgen.varied(lab.dir / "in.csv", 1_000_000, seed=11)
    topic = lab.topic(cluster)
    job = lab.job(lab.put(table.path), topic, cluster)
    before = time.time()
    run = job.run()
    verdict = lab.proved(job, table, cluster)
    assert verdict.records == 1_000_000
    item = lab.item(job)
    assert (item["status"], item["last_line"], item["total_sent"]) == ("COMPLETED", 1_000_000, 1_000_000)
    assert item["topic"] == topic and item["first_offset"] == 0 and item["last_offset"] == 999_999
    assert before - 1 <= item["timestamp"] <= time.time() + 1
    figure(f"{verdict}; {run.elapsed:.1f} s")

    again = job.run()
    assert again.code == COMPLETE and "already" in again.said
    assert lab.proved(job, table, cluster).records == 1_000_000


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression(lab, compression):
    """A consumer reads each of the five compressions."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, seed=12)
    job = lab.job(lab.put(table.path), lab.topic(), KAFKA_COMPRESSION=compression)
    job.run()
    assert lab.proved(job, table).records == 60_000


@pytest.mark.parametrize("columns, rows", [(1, 50_000), (2, 50_000), (2_000, 1_500)])
def test_narrow_and_wide_rows(lab, columns, rows):
    """One column, two columns and two thousand."""
    table = csvgen.varied(lab.dir / "in.csv", rows, columns=columns, seed=13)
    job = lab.job(lab.put(table.path), lab.topic())
    job.run()
    assert lab.proved(job, table).records == rows


@pytest.mark.parametrize("name, text, rows", [
    ("header only", "a,b\n", 0),
    ("header without a newline", "a,b", 0),
    ("header and blank lines", "a,b\n\n\r\n\n", 0),
    ("one row", "a,b\n1,2\n", 1),
    ("one row without a newline", "a,b\n1,2", 1),
    ("byte order mark", "\ufeffa,b\n1,2\n", 1),
    ("a row that begins with a byte order mark", "a,b\n\ufeff1,2\n\ufeff3,4\n", 2),
    ("blank lines between", "a,b\n\n1,2\n\r\n\r\n3,4\n\n", 2),
    ("CR alone", "a,b\r1,2\r3,4\r", 2),
    ("CRLF", "a,b\r\n1,2\r\n3,4\r\n", 2),
    ("CRLF inside quotes", 'a,b\r\n"1\r\n1","2\r2"\r\n3,4\r\n', 2),
    ("a quote in an unquoted field", 'a,b\n5" pipe,x"y"z\n', 1),
    ("text after a closing quote", 'a,b\n"x"y,"z" w\n', 1),
    ("an empty field at each place", "a,b,c\n,,\n\"\",,x\n,\"\",\n", 3),
    ("a single column with an empty quoted field", 'a\n""\nx\n""\n', 3),
    ("NUL inside a row", "a,b\nx\x00y,\x00\n", 1),
    ("control characters", "a,b\n\x01\x02\x1f\x7f,\x08\x0c\n", 1),
    ("quoted header", '"a,1","b\n2"\n1,2\n', 1),
    ("last row ends with an empty field", "a,b\n1,", 1),
    ("last row ends with a closing quote", 'a,b\n1,"2"', 1),
], ids=lambda value: value if isinstance(value, str) and len(value) < 60 and "\n" not in value else "")
def test_small_files(lab, name, text, rows):
    """What csv readers disagree about least: the result is what Python's csv module reads."""
    path = lab.dir / "in.csv"
    path.write_bytes(text.encode())
    table = csvgen.Table(path, rows)
    assert len(list(table.rows())) == rows + 1
    job = lab.job(lab.put(path), lab.topic())
    job.run()
    assert lab.proved(job, table).records == rows
    assert lab.item(job)["last_line"] == rows and lab.item(job)["status"] == "COMPLETED"


def test_other_delimiter_quote_and_names(lab):
    """CSV_DELIMITER, CSV_QUOTE and CSV_COLUMNS give what Python reads with the same dialect."""
    path = lab.dir / "in.csv"
    path.write_text("x;y\n'a;b';c,d\n'it''s';\"q\"\n", newline="")
    job = lab.job(lab.put(path), lab.topic(), CSV_DELIMITER=";", CSV_QUOTE="'", CSV_COLUMNS="first,second")
    job.run()
    rows = list(csv.reader(open(path, newline=""), delimiter=";", quotechar="'"))
    lab.proved(job, [["first", "second"], *rows[1:]])


def test_no_header(lab):
    """With CSV_HEADER=none the first line is a row, under the names that were given."""
    job = lab.job(lab.put(b"1,2\n3,4\n"), lab.topic(), CSV_HEADER="none", CSV_COLUMNS="a,b")
    job.run()
    lab.proved(job, [["a", "b"], ["1", "2"], ["3", "4"]])


def test_tab_separated(lab):
    """CSV_DELIMITER=tab, quotes off."""
    job = lab.job(lab.put(b'a\tb\n"1\t2"\n'), lab.topic(), CSV_DELIMITER="tab", CSV_QUOTE="none")
    job.run()
    lab.proved(job, [["a", "b"], ['"1', '2"']])


def test_keys_and_partition(lab):
    """The key column gives the key, an empty field an empty key, and the partition is the one that was asked for."""
    topic = lab.topic(partitions=3)
    job = lab.job(lab.put("id,k\n1,x\n2,\n3,é\n".encode()), topic, KAFKA_KEY_COLUMN="k", KAFKA_PARTITION=2)
    job.run()
    assert [r.key for r in lab.records(job)] == [b"x", b"", "é".encode()]
    lab.proved(job, [["id", "k"], ["1", "x"], ["2", ""], ["3", "é"]])


def test_timestamps_are_now(lab):
    """Records carry the wall clock of their sending, never a time of the data."""
    before = time.time() * 1000
    job = lab.job(lab.put(b"date,b\n1999-01-01,2\n2999-01-01,4\n"), lab.topic())
    job.run()
    stamps = [r.timestamp_ms for r in lab.records(job)]
    assert len(stamps) == 2 and all(before - 1000 <= stamp <= time.time() * 1000 + 1000 for stamp in stamps)


def test_a_partition_that_others_write_to(lab):
    """Records of other programs before and between ours do no harm: offsets are not row numbers."""
    from confluent_kafka import Producer
    topic = lab.topic()
    producer = Producer({"bootstrap.servers": lab.kafka.bootstrap})
    for n in range(7):
        producer.produce(topic, b"theirs", partition=0)
    producer.flush(10)
    table = csvgen.varied(lab.dir / "in.csv", 50_000, seed=14)
    job = lab.job(lab.put(table.path), topic, MAX_ROWS_PER_SECOND=20_000)
    run = job.start()
    while run.alive():
        producer.produce(topic, b"theirs", partition=0)
        producer.flush(10)
        time.sleep(0.05)
    assert run.wait() == COMPLETE, run.said
    ours = [r for r in lab.records(job) if r.value != b"theirs"]
    from lab.compare import judge
    verdict = judge(table.rows(), ours, lab.source(job))
    assert verdict.clean, str(verdict)
    assert 7 <= lab.item(job)["first_offset"] <= ours[0].offset


def test_a_local_file_and_a_file_checkpoint(lab):
    """A file in, a file as ledger: no AWS at all."""
    table = csvgen.varied(lab.dir / "local.csv", 30_000, seed=15)
    job = lab.job(None, lab.topic(), SOURCE=str(table.path), DYNAMODB_TABLE=None, CHECKPOINT=f"file:{lab.dir}/checkpoint",
                  AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    job.run()
    from lab.compare import judge
    verdict = judge(table.rows(), lab.records(job), f"file:{table.path}")
    assert verdict.clean and verdict.records == 30_000, str(verdict)


def test_several_bootstrap_servers(lab):
    """A dead address in the list is no harm."""
    from lab.ground import free_port
    job = lab.job(lab.put(b"a,b\n1,2\n"), lab.topic(),
                  KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()},{lab.kafka.bootstrap}")
    job.run()
    lab.proved(job, [["a", "b"], ["1", "2"]])
