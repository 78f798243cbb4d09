"""Bad rows that are set aside: both topics exactly once and in order under kills, `dlq` reads them back, and what it prints can be mended and loaded."""

import base64
import json
import signal
import time
from pathlib import Path

import pytest

from lab import csvgen
from lab.consumer import log_range
from lab.job import AGAIN, COMPLETE, MEND
from test_verify import looked, record_of, shaped

pytestmark = pytest.mark.timeout(3600)

KILLED = -signal.SIGKILL
HEADER = b"id,name,note\n"
FIELDS = 3
# The main topic takes batches up to this; a row that is longer, compressed or not, is too large for a record.
SMALL_BATCH = 20_000


def bad_row(number: int, kind: int) -> tuple[bytes, str]:
    """A row that can not become a record, and what its reason begins with."""
    return [
        (b"%d,only two" % number, "too_few_fields"),
        (b"%d,four,fields,here" % number, "too_many_fields"),
        (b"%d,caf\xe9 \xff,latin" % number, "not_utf8"),
        (b"%d,%s,large" % (number, b"x" * (SMALL_BATCH + 5_000)), "record_too_large"),
        (b'%d,"quoted, with\na line and ""quotes"""' % number, "too_few_fields"),
    ][kind % 5]


class Mixed:
    """A file with good rows and bad ones; which is where is known."""

    def __init__(self, path: Path, rows: int, bad_count: int, rng):
        self.path, self.row_count = path, rows
        numbers = sorted(rng.sample(range(1, rows + 1), bad_count))
        self.bad: list[dict] = []
        bad = {number: bad_row(number, index) for index, number in enumerate(numbers)}
        ends = [b"\n", b"\n", b"\r\n"]
        at = len(HEADER)
        with open(path, "wb") as out:
            out.write(HEADER)
            for number in range(1, rows + 1):
                raw, reason = bad.get(number, (b"%d,n%d,x" % (number, number % 977), None))
                line = raw + ends[number % 3]
                if reason:
                    self.bad.append({"row": number, "byte_offset": at, "reason": reason, "raw": raw, "row_bytes": len(line)})
                out.write(line)
                at += len(line)
        self.bad_numbers = set(numbers)

    def good_numbers(self):
        return (number for number in range(1, self.row_count + 1) if number not in self.bad_numbers)


def dead_letter(value: bytes) -> dict:
    letter = json.loads(value)
    raw = letter["raw"].encode() if "raw" in letter else base64.b64decode(letter["raw_base64"])
    return {"row": letter["row"], "byte_offset": letter["byte_offset"], "reason": letter["reason"].split(":")[0],
            "raw": raw, "row_bytes": letter["row_bytes"]}


def judged(lab, job, mixed, dead) -> tuple[int, int]:
    """What another client reads in both topics is every row, each once, in order, in the topic where it belongs."""
    source = lab.source(job)
    good = mixed.good_numbers()
    records = 0
    for record in lab.records(job):
        number = next(good, None)
        expected = {"id": str(number), "name": f"n{number % 977}", "note": "x", "_source_line": number, "_source_file": source}
        assert json.loads(record.value) == expected, f"offset {record.offset}: {record.value[:200]!r} is not row {number}"
        records += 1
    assert next(good, None) is None, "good rows are missing at the end"
    letters = [dead_letter(record.value) for record in lab.records(job, topic=dead)]
    assert letters == mixed.bad
    return records, len(letters)


def test_killed_again_and_again(lab, full, rng, figure):
    """SIGKILL at random moments: main and dead-letter topic are exactly once, in order, and together hold every row."""
    rows, bad_count, kills_wanted = (1_000_000, 1_000, 50) if full else (120_000, 200, 8)
    mixed = Mixed(lab.dir / "in.csv", rows, bad_count, rng)
    dead = lab.topic()
    job = lab.job(lab.put(mixed.path), lab.topic(max_message_bytes=SMALL_BATCH), LEASE_SECONDS=1, CHECKPOINT_INTERVAL=2_000,
                  ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=dead, MAX_BAD_ROWS=bad_count)
    rate = rows // kills_wanted // 2
    topics = (job.settings["KAFKA_TOPIC"], dead)

    def ends():
        return [log_range(lab.kafka.bootstrap, topic)[1] for topic in topics]

    kills = moved = 0
    while kills < kills_wanted:
        before = ends()
        run = job.start(MAX_ROWS_PER_SECOND=rate)
        # Some while they start, most around the first batches of both topics.
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, 0.3))
        else:
            while run.alive() and ends()[1] == before[1]:
                time.sleep(0.005)
            time.sleep(rng.choice([0, rng.uniform(0, 0.1), rng.uniform(0, 0.8)]))
        code = run.kill()
        assert code in (KILLED, AGAIN), f"exit {code}: {run.said}"
        kills += code == KILLED
        moved += ends()[1] > before[1]
    assert lab.item(job)["last_line"] < rows, "the job ended before the kills did: lower the rate"
    assert moved > kills_wanted // 2, "the kills came before the first bad row"
    started = time.monotonic()
    job.until_complete()
    records, letters = judged(lab, job, mixed, dead)
    item = lab.item(job)
    assert (item["last_line"], item["total_sent"], item["dlq_rows"]) == (rows, rows - bad_count, bad_count)
    proof, headers = record_of(job), record_of(job, "--headers")
    for found in (proof, headers):
        assert found["verdict"] == "proved"
        assert (found["partition"]["records"], found["dead_letters"]["records"]) == (rows - bad_count, bad_count)
    figure(f"{kills} kills, {moved} of them in lives that wrote to both topics: {records} records and {letters} dead letters, each once and in "
           f"order; the rest took {time.monotonic() - started:.0f} s with all proofs: values {proof['elapsed_ms']} ms, "
           f"headers {headers['elapsed_ms']} ms")


def test_stopped_then_set_aside(lab, rng):
    """A job that stopped on a bad row goes on with dead letters, and never back."""
    mixed = Mixed(lab.dir / "in.csv", 20_000, 7, rng)
    dead = lab.topic()
    job = lab.job(lab.put(mixed.path), lab.topic(max_message_bytes=SMALL_BATCH))
    run = job.run(expect=MEND)
    first = mixed.bad[0]
    assert f"row {first['row']}" in run.said.replace(",", "") and f"byte {first['byte_offset']}" in run.said.replace(",", "")
    assert lab.item(job)["last_line"] == first["row"] - 1
    assert "has no dead letters" in looked(job, "dlq").out
    aside = {"ON_BAD_ROW": "dlq", "KAFKA_DLQ_TOPIC": dead}
    job.run(**aside)
    assert judged(lab, job, mixed, dead) == (19_993, 7)
    assert record_of(job)["verdict"] == "proved"
    assert "KAFKA_DLQ_TOPIC" in job.run(expect=MEND).said


def test_too_many_bad_rows(lab, rng):
    """MAX_BAD_ROWS: the one after stops the job, and is not set aside; a larger number lets it go on."""
    mixed = Mixed(lab.dir / "in.csv", 20_000, 20, rng)
    dead = lab.topic()
    job = lab.job(lab.put(mixed.path), lab.topic(max_message_bytes=SMALL_BATCH), ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=dead, MAX_BAD_ROWS=12)
    for _ in range(2):
        run = job.run(expect=MEND)
        assert "MAX_BAD_ROWS" in run.said and f"row {mixed.bad[12]['row']}" in run.said.replace(",", "")
        assert [dead_letter(record.value) for record in lab.records(job, topic=dead)] == mixed.bad[:12]
    # A job that is not complete has its letters printed too.
    assert len(looked(job, "dlq", "--json").out.splitlines()) == 12
    job.run(MAX_BAD_ROWS=20)
    assert judged(lab, job, mixed, dead) == (19_980, 20)


SOURCE = (b'"id;",name,note\r\n'
          b"1,good,row\r\n"
          b"2,too few\r\n"
          b'3,"with, a comma\nand a line",x,one too many\n'
          b"4,good,too\n"
          b"5,caf\xe9,latin\n"
          b'6,"tab\there \x1b[2J"\n')
TABLE = """\
row  byte  reason                                                 raw row
  2    29  too_few_fields: 2 fields, the header has 3             2,too few
  3    40  too_many_fields: more than the 3 fields of the header  3,"with, a comma\\nand a line",x,one too many
  5    95  not_utf8: field 2 is not UTF-8                         5,caf\\xe9,latin
  6   108  too_few_fields: 2 fields, the header has 3             6,"tab\\there \\u{1b}[2J"

4 dead letters of job JOB in DEAD/0
"""
FILE = (b'id;,name,note\n'
        b"2,too few\n"
        b'3,"with, a comma\nand a line",x,one too many\n'
        b"5,caf\xe9,latin\n"
        b'6,"tab\there \x1b[2J"\n')
MENDED = (b'id;,name,note\n'
          b"2,too few,mended\n"
          b'3,"with, a comma\nand a line",x\n'
          b"5,caf\xc3\xa9,latin\n"
          b'6,"tab\there \x1b[2J",mended\n')


def test_printed_mended_and_loaded(lab):
    """The table and the file as a whole; the file, mended, is a source of its own."""
    dead = lab.topic()
    job = lab.job(lab.put(SOURCE), lab.topic(), ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=dead)
    job.run()
    name = job.settings["JOB_ID"]
    table = looked(job, "dlq").out
    assert table == TABLE.replace("JOB", name).replace("DEAD", dead), table
    assert looked(job, "dlq", name, JOB_ID=None).out == table
    run = looked(job, "dlq", "--csv")
    file = (run.directory / f"{run.number}.out").read_bytes()
    assert file == FILE, file
    letters = [record.value.decode() for record in lab.records(job, topic=dead)]
    lines = looked(job, "dlq", "--json").out.splitlines()
    assert lines == letters
    for line in lines:
        assert len({"raw", "raw_base64"} & set(shaped(json.loads(line), "dlq"))) == 1, line
    # As it is, each row is bad again; mended, each is a record.
    again = lab.job(lab.put(file), lab.topic())
    again.run(expect=MEND)
    mended = lab.job(lab.put(MENDED), lab.topic())
    mended.run()
    records = [json.loads(record.value) for record in lab.records(mended)]
    assert [record["id;"] for record in records] == ["2", "3", "5", "6"]
    assert [record["note"] for record in records] == ["mended", "x", "latin", "mended"]


def test_letters_that_can_not_be_printed(lab):
    """A row longer than a dead letter is left out of the file, by name; so is what retention has deleted. Exit 1."""
    from confluent_kafka import TopicPartition
    rows = b"id,v\n1\n" + b"2," + b"x" * 300_000 + b",z\n3\n4,y\n"
    dead = lab.topic()
    job = lab.job(lab.put(rows), lab.topic(), ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=dead)
    job.run()
    run = looked(job, "dlq", "--csv", expect=MEND)
    assert run.out == "id,v\n1\n3\n" and "row 2 is not in this file" in run.err and "from byte 7 on" in run.err
    assert "[262,144 of 300,005 bytes] 2,xxx" in looked(job, "dlq").out
    where = TopicPartition(dead, 0, 2)
    lab.kafka.admin().delete_records([where])[where].result(30)
    run = looked(job, "dlq", expect=MEND)
    assert "1 dead letter of job" in run.out and "2 dead letters of this job are not in the topic any more" in run.err


def test_others_in_the_topic(lab):
    """Two jobs and a stranger share a dead-letter topic: each job's letters are its own."""
    from confluent_kafka import Producer
    dead = lab.topic()
    jobs = []
    for number in (1, 2):
        job = lab.job(lab.put(b"id,v\n%d\n%d,x,y\n" % (number, number)), lab.topic(), ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC=dead)
        job.run()
        jobs.append(job)
        producer = Producer({"bootstrap.servers": lab.kafka.bootstrap})
        producer.produce(dead, b"theirs", partition=0)
        producer.flush(10)
    for number, job in zip((1, 2), jobs, strict=True):
        # There is no good row that could name the columns.
        run = looked(job, "dlq", "--csv", expect=MEND)
        assert run.out == f"{number}\n{number},x,y\n" and "no header line" in run.err


def test_a_rehearsal_has_dead_letters_too(tmp_path):
    """No server at all."""
    from lab.job import Job
    (tmp_path / "in.csv").write_bytes(SOURCE)
    job = Job(tmp_path / "job", ON_BAD_ROW="dlq", KAFKA_DLQ_TOPIC="bad")
    job.run("rehearse", tmp_path / "in.csv", "--directory", "log")
    assert job.run("dlq", "--directory", "log").out == TABLE.replace("JOB", "rehearsal").replace("DEAD", "bad")
    assert "1 job: 1 complete" in job.run("status", "--all", "--directory", "log").out


def test_all_jobs_of_a_table(lab):
    """Page by page; the ones to act on first; refused by name where a scan is not allowed."""
    table = lab.dynamodb.create_table(lab.name("all"))
    key, topic = lab.put(b"a,b\n1,2\n"), lab.topic()
    for number in range(3):
        lab.job(key, topic, DYNAMODB_TABLE=table, JOB_ID=f"done-{number}").run()
    bad = lab.job(lab.put(b"a,b\n1\n"), lab.topic(), DYNAMODB_TABLE=table, JOB_ID="bad")
    bad.run(expect=MEND)
    for number in range(90):
        lab.dynamodb.put(table, {"job_id": f"python-{number:02}", "last_line": 7, "total_sent": 7, "timestamp": 5, "status": "COMPLETED"})
    lab.dynamodb.put(table, {"job_id": "odd", "last_line": "seven"})
    run = looked(bad, "status", "--all", expect=MEND)
    lines = run.out.splitlines()
    assert lines[0] == "95 jobs: 1 failed, 1 damaged, 93 complete" and len(lines) == 97
    assert lines[2].startswith("  bad  ") and "row 1" in lines[2] and lines[3].startswith("  odd  ")
    document = shaped(json.loads(looked(bad, "status", "--all", "--json", expect=MEND).out), "status")
    names = [job["job_id"] for job in document["jobs"]]
    assert len(set(names)) == 95 and names[2:5] == ["done-0", "done-1", "done-2"]
    assert [line["exit_code"] for line in map(json.loads, looked(bad, "status", "--all", "--watch", "--json", expect=MEND).out.splitlines())] == [1]
    assert "no-such-table" in looked(bad, "status", "--all", expect=MEND, DYNAMODB_TABLE="no-such-table").said
    assert looked(bad, "status", "done-1", expect=COMPLETE)
