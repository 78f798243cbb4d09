"""`report` in a real browser: nothing runs over the edge of a phone, no script, nothing fetched; pictures for a person to look at."""

import html
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lab import csvgen
from lab.ground import CACHE, die_with_parent, wait_until
from lab.job import MEND, Job

FIXTURE = Path(__file__).resolve().parent.parent / "src" / "show" / "testdata" / "report.log"
PICTURES = CACHE / "report"
PHONE, DESKTOP = (390, 844), (1280, 2200)
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
POLICY = '''<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">'''
# Tells the page around it how wide the page is, and what of it is beyond the edge.
MEASURE = """<script>addEventListener('load', () => {
  const width = document.documentElement.clientWidth;
  const beyond = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg'))
    .filter(e => e.getBoundingClientRect().right > width + 1 || e.getBoundingClientRect().left < -1)
    .map(e => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`);
  const small = [...document.querySelectorAll('td, th, p, li, b, i')]
    .filter(e => e.textContent && parseFloat(getComputedStyle(e).fontSize) < 11).length;
  parent.postMessage(JSON.stringify({width, scroll: document.documentElement.scrollWidth, beyond, small,
    back: getComputedStyle(document.body).backgroundColor, height: document.documentElement.scrollHeight}), '*');
});</script>"""


def browser(directory: Path, *arguments) -> str:
    profile = directory / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    done = subprocess.run(["chromium", *QUIET, f"--user-data-dir={profile}", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, preexec_fn=die_with_parent,
                          env={"PATH": os.environ["PATH"], "HOME": str(directory)})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def framed(page: Path, width: int, height: int) -> Path:
    """A window can not be as narrow as a phone; a frame can."""
    frame = page.with_name(f"frame-{page.name}")
    frame.write_text(f"<!doctype html><style>body{{margin:0}}iframe{{border:0;width:{width}px;height:{height}px;display:block}}</style>"
                     "<script>addEventListener('message', e => document.documentElement.dataset.measured = e.data)</script>"
                     f'<iframe src="{page.name}"></iframe>')
    return frame


def measured(page: Path, width: int, *arguments) -> dict:
    inside = page.with_name("measured.html")
    text = page.read_text()
    assert POLICY in text
    inside.write_text(text.replace(POLICY, "").replace("</body>", MEASURE + "</body>"))
    dom = browser(page.parent, *arguments, "--window-size=1400,900", "--virtual-time-budget=4000", "--dump-dom",
                  framed(inside, width, 900).as_uri())
    return json.loads(html.unescape(re.search(r'data-measured="([^"]*)"', dom)[1]))


def picture(page: Path, name: str, size: tuple[int, int], *arguments) -> Path:
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    path.unlink(missing_ok=True)
    browser(page.parent, *arguments, f"--window-size={size[0]},{size[1]}", f"--screenshot={path}", framed(page, *size).as_uri())
    assert struct.unpack(">II", path.read_bytes()[16:24]) == size
    return path


@pytest.fixture
def page(tmp_path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(Job(tmp_path / "job").run("report", FIXTURE).out)
    return path


def test_nothing_runs_over_the_edge(page):
    """On a phone, a tablet and a desktop; the text stays large enough to read."""
    for width in (320, 390, 768, 1280):
        found = measured(page, width)
        assert found["width"] == width and found["scroll"] == width, found
        assert not found["beyond"] and not found["small"], found


def test_long_words_do_not_run_over_the_edge_either(tmp_path):
    """Names and problems without a blank in them, and markup in all of them."""
    long = "<b>" + "x" * 700
    page = tmp_path / "report.html"
    (tmp_path / "job.log").write_text("\n".join([
        f'2026-01-01T00:00:00.001Z INFO  x  event=starting job_id="{long}" source="s3://{long}" kafka_topic="{long}" kafka_partition=0',
        "2026-01-01T00:00:01.001Z INFO  x  event=sending row=1 byte_offset=0",
        f'2026-01-01T00:00:02.001Z WARN  x  event=retry problem="{long}"',
        f'2026-01-01T00:00:03.001Z ERROR {long}  event=ended reason=refused exit_code=1 row=18446744073709551615 rows_here=18446744073709551615 elapsed_ms=3000',
    ]))
    page.write_text(Job(tmp_path / "job").run("report", tmp_path / "job.log").out)
    assert "<b>x" not in page.read_text()
    found = measured(page, 390)
    assert found["scroll"] == 390 and not found["beyond"], found


def test_no_script_and_nothing_from_elsewhere(page):
    """One file: no script, no address, no attribute that acts."""
    text = page.read_text()
    assert POLICY in text
    for pattern in (r"<script", r"\bhttps?:", r"\bsrc=", r"\bhref=", r"@import", r"url\(", r"\bon\w+=", r"<link", r"<img"):
        assert not re.search(pattern, text), pattern


def test_pictures(page, figure):
    """Light and dark, phone and desktop, to be looked at; the two schemes differ."""
    light, dark = measured(page, 390), measured(page, 390, "--force-dark-mode")
    assert light["back"] != dark["back"], (light, dark)
    for name, size, arguments in [
        ("phone-light", PHONE, []), ("phone-dark", PHONE, ["--force-dark-mode"]),
        ("desktop-light", DESKTOP, []), ("desktop-dark", DESKTOP, ["--force-dark-mode"]),
        ("phone-whole", (390, light["height"]), []),
    ]:
        path = picture(page, name, size, *arguments)
        figure(f"{path.name}: {path.stat().st_size // 1024} kB in {PICTURES}")


def test_the_log_of_a_real_job(tmp_path):
    """Runs of a rehearsal, killed in between, text and JSON in one log, through a pipe."""
    table = csvgen.varied(tmp_path / "in.csv", 30_000, seed=91)
    job = Job(tmp_path / "job", LEASE_SECONDS=1)
    arguments = ["rehearse", table.path, "--directory", "log"]
    job.run(*arguments, "--rows", 10_000)
    job.run(*arguments, "--rows", 20_000, LOG_FORMAT="json")
    job.run(*arguments)
    log = "".join(run.err for run in job.runs)
    path = tmp_path / "job.log"
    path.write_text(log)
    text = job.run("report", path).out
    assert text.count('<td class="n" data-is="Run">') == 3 and '<span class="badge complete">complete</span>' in text
    assert "<b>30,000</b>rows" in text and "<b>2</b>restarts" in text, text[:6000]
    assert "holds no run" in job.run("report", table.path, expect=MEND).err


def test_a_copy_that_was_killed(lab, figure):
    """A real copy, killed after its first line of progress and started again: drawn with latency, pace and where it was killed."""
    table = csvgen.varied(lab.dir / "in.csv", 60_000, seed=92)
    job = lab.job(lab.put(table.path), lab.topic(), LEASE_SECONDS=1)
    run = job.start(MAX_ROWS_PER_SECOND=2_000)
    wait_until("two lines of progress", lambda: run.err.count("event=progress") > 1 or not run.alive(), seconds=60)
    run.kill()
    job.run()
    log = lab.dir / "job.log"
    log.write_text("".join(run.err for run in job.runs))
    text = job.run("report", log).out
    for part in ("Milliseconds until Kafka confirms", "Rows a second", "not heard of again: 1", "a run begins: 2", "Where the time went"):
        assert part in text, part
    page = lab.dir / "report.html"
    page.write_text(text)
    figure(f"{picture(page, 'real', PHONE).name} in {PICTURES}")
