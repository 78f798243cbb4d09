"""Writes what a bench found into docs/performance.md, and draws it."""

import os
import platform
import re
import subprocess
from html import escape
from math import log10
from pathlib import Path
from statistics import median

from .contest import Contestant
from .job import BINARY

ROOT = Path(__file__).parent.parent.parent
PAGE, PICTURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"


def machine() -> str:
    """What it ran on, and which code."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) >> 20
    product = subprocess.run([BINARY, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    busy = os.getloadavg()[0]
    return (f"{processor[1] if processor else platform.machine()}, {os.cpu_count()} cores, {memory} GiB, "
            f"Linux {platform.release().split('-')[0]}; `{product}`; load before it began {busy:.1f}")


def table(contestants: list[Contestant]) -> str:
    lines = ["| | rows | rows/s: min | median | max | CPU s per million rows | peak RSS, MiB | first record, ms "
             "| bytes a row on the wire | in the log |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for one in contestants:
        rates = one.rates()
        name = f"{one.name} ({one.note})" if one.note else one.name
        lines.append(
            f"| {'**' + name + '**' if one.is_ours else name} | {one.rows:,} | {rates[0]:,.0f} | {median(rates):,.0f} | {rates[-1]:,.0f} "
            f"| {one.cpu_per_million():.2f} | {one.median(lambda t: t.peak_kib) / 1024:.1f} "
            f"| {one.median(lambda t: t.first_seconds) * 1000:.0f} "
            f"| {one.median(lambda t: t.wire_bytes / t.rows):.1f} | {one.median(lambda t: t.log_bytes / t.rows):.1f} |")
    return "\n".join(lines)


def goals(contestants: list[Contestant], binary_bytes: int) -> str:
    """What was aimed at, and what came out. Against others: rows per CPU second, and per second."""
    by = {one.name: one for one in contestants}

    def us(compression: str) -> Contestant:
        return by[f"csv-to-kafka, {compression}"]

    def rate(one: Contestant) -> float:
        return median(one.rates())

    lines = ["| | goal | measured | |", "|---|---|---|---|"]

    def line(what: str, goal: str, measured: str, is_met: bool):
        lines.append(f"| {what} | {goal} | {measured} | {'met' if is_met else '**not met**'} |")

    for compression, least in (("gzip", 1_000_000), ("zstd", 1_200_000), ("lz4", 1_500_000)):
        line(f"rows/s, {compression}", f"{least:,}", f"{rate(us(compression)):,.0f}", rate(us(compression)) >= least)
    zstd_bytes = us("zstd").median(lambda t: t.log_bytes / t.rows)
    line("bytes a row in the log, zstd", "40", f"{zstd_bytes:.1f}", zstd_bytes <= 40)
    for compression, most in (("gzip", 0.9), ("zstd", 0.8), ("lz4", 0.55)):
        cpu = us(compression).cpu_per_million()
        line(f"CPU s per million rows, {compression}", f"{most}", f"{cpu:.2f}", cpu <= most)
    for compression, peer, least in (
            ("lz4", "kcat, lz4", 4), ("gzip", "kcat, gzip", 6), ("lz4", "ProducerPerformance, lz4, 1 in flight", 6),
            ("gzip", "ProducerPerformance, gzip, 1 in flight", 6), ("lz4", "Bento 1.4.1", 100), ("lz4", "Python on librdkafka", 20),
            ("gzip", "Python, kafka-python, generous", 60), ("gzip", "Python, waiting per row", 800)):
        cpu = by[peer].cpu_per_million() / us(compression).cpu_per_million()
        time = rate(us(compression)) / rate(by[peer])
        line(f"{compression} against {peer}: rows per CPU second (and per second)", f"{least} times", f"{cpu:,.1f} ({time:,.1f}) times", cpu >= least)
    peak = max(one.median(lambda t: t.peak_kib) for one in contestants if one.is_ours) / 1024
    line("peak RSS, plaintext, the largest of all compressions", "12 MiB", f"{peak:.1f} MiB", peak <= 12)
    first = us("gzip").median(lambda t: t.first_seconds) * 1000
    line("start to the first record, gzip", "50 ms", f"{first:.0f} ms", first <= 50)
    line("the binary", "4 MB", f"{binary_bytes / 1e6:.1f} MB", binary_bytes <= 4_000_000)
    return "\n".join(lines)


def write(section: str, text: str):
    """Replaces what stands between the two marks of a section."""
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    page = PAGE.read_text()
    assert begin in page and end in page, f"{PAGE.name} has no place for {section}"
    before, rest = page.split(begin, 1)
    PAGE.write_text(before + begin + "\n" + text.rstrip() + "\n" + end + rest.split(end, 1)[1])


def picture(contestants: list[Contestant], beneath: str) -> str:
    """Bars of rows per second, the least and the most as a whisker, on a logarithmic scale."""
    left, width, step, top = 300, 420, 24, 54
    floor = 10 ** int(log10(min(one.rates()[0] for one in contestants)))
    ceiling = max(one.rates()[-1] for one in contestants) * 1.1

    def x(rate: float) -> float:
        return left + width * log10(rate / floor) / log10(ceiling / floor)

    height = top + step * len(contestants) + 46
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 {height}" role="img" font-family="system-ui, sans-serif" font-size="13">',
             "<title>Rows per second of csv-to-kafka and others</title>",
             "<style>text{fill:#1f2328}.quiet{fill:#59636e}.grid{stroke:#d1d9e0}.ours{fill:#0969da}.peer{fill:#8c959f}"
             ".light{fill:#d4a72c}.whisker{stroke:#1f2328}@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.quiet{fill:#9198a1}"
             ".grid{stroke:#3d444d}.ours{fill:#4493f8}.peer{fill:#656c76}.light{fill:#d29922}.whisker{stroke:#f0f6fc}}</style>",
             '<text x="12" y="22" font-size="15" font-weight="600">Rows per second, end to end (logarithmic)</text>']
    mark = floor
    while mark <= ceiling:
        parts.append(f'<line class="grid" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{top - 10}" y2="{top + step * len(contestants)}"/>'
                     f'<text class="quiet" x="{x(mark):.1f}" y="{top - 14}" text-anchor="middle" font-size="11">{mark:,}</text>')
        mark *= 10
    for index, one in enumerate(contestants):
        y = top + step * index
        rates = one.rates()
        kind = "ours" if one.is_ours else "light" if one.name.startswith("speed of light") else "peer"
        parts.append(
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(one.name)}</text>'
            f'<rect class="{kind}" x="{left}" y="{y + 3}" width="{max(1, x(median(rates)) - left):.1f}" height="{step - 7}" rx="2"/>'
            f'<path class="whisker" d="M{x(rates[0]):.1f} {y + 11.5}H{x(rates[-1]):.1f}"/>'
            f'<text x="{max(x(rates[-1]), x(median(rates))) + 8:.1f}" y="{y + 15}">{median(rates):,.0f}'
            f'<tspan class="quiet" dx="8">{one.cpu_per_million():.2f} CPU s/M</tspan></text>')
    for number, line in enumerate(beneath.split("\n")):
        parts.append(f'<text class="quiet" x="12" y="{height - 24 + 15 * number}" font-size="11">{escape(line)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
