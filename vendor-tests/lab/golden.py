"""What a command prints, compared as a whole; LAB_WRITE_GOLDEN=1 writes it anew."""

import difflib
import os
import re
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"


def normalised(text: str, lab, job) -> str:
    """Without what differs from run to run."""
    for value, name in [(job.settings["KAFKA_TOPIC"], "TOPIC"), (job.settings["JOB_ID"], "JOB"), (lab.bucket, "BUCKET"),
                        (job.settings["S3_KEY"], "KEY"), (lab.table, "TABLE")]:
        text = text.replace(value, name)
    text = re.sub(r'ETag "[0-9a-f-]+"', "ETag ETAG", text)
    text = re.sub(r"((?:took|rate|seen) +).*", r"\1VARIES", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "BROKER", text)
    text = re.sub(r"(under )?\$[\d.]+", "$N", text)
    return re.sub(r"(volume +(?:about )?)[\d.,]+ \w+ in the log(, [\d.]+ times less than in the source)?", r"\1SIZE in the log", text)


def golden(name: str, text: str):
    path = GOLDEN / name
    if os.environ.get("LAB_WRITE_GOLDEN"):
        path.write_text(text)
    expected = path.read_text()
    assert text == expected, "".join(difflib.unified_diff(expected.splitlines(True), text.splitlines(True), "golden", "now"))
