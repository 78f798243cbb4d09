"""The binaries: static, small, and at work in a root that holds nothing but them."""

import json
import os
import re
import signal
import subprocess
import zlib

import pytest

from lab import csvgen
from lab.ground import wait_until
from lab.job import AGAIN, COMPLETE
from place import ARCHITECTURES, DIST, ROOT, Inside, binary, emulator, job_settings

BINARY_BYTES_MAX = 4_000_000
# 64-bit ELF: where the table of sections is, its entries' size and number, the names' index.
SECTION_TABLE, SECTION_BYTES = 0x28, 64


def said_by(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_static_stripped_and_small(architecture, figure):
    path = binary(architecture)
    kind = said_by("file", "-b", path)
    assert "statically linked" in kind or "static-pie linked" in kind, kind
    assert re.search(r", stripped", kind) and {"x86_64": "x86-64", "aarch64": "ARM aarch64"}[architecture] in kind, kind
    if not emulator(architecture):
        linked = said_by("ldd", path)
        assert "statically linked" in linked or "not a dynamic executable" in linked, linked
    size = path.stat().st_size
    figure(f"{size} bytes")
    assert size <= BINARY_BYTES_MAX


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_names_version_commit_and_target(architecture):
    sbom = json.loads((DIST / "sbom.cdx.json").read_text())["metadata"]["component"]
    commit = sbom["properties"][0]["value"]
    said = said_by(*emulator(architecture), binary(architecture), "--version")
    assert said == f"csv-to-kafka {sbom['version']} ({commit}) {architecture}-unknown-linux-musl\n"


def section(path, wanted: bytes) -> bytes:
    data = path.read_bytes()
    number = lambda at, size: int.from_bytes(data[at: at + size], "little")
    table, count, names_index = number(SECTION_TABLE, 8), number(0x3C, 2), number(0x3E, 2)
    headers = [table + index * SECTION_BYTES for index in range(count)]
    names = number(headers[names_index] + 0x18, 8)
    for header in headers:
        name = names + number(header, 4)
        if data[name: data.index(b"\0", name)] == wanted:
            offset, size = number(header + 0x18, 8), number(header + 0x20, 8)
            return data[offset: offset + size]
    raise AssertionError(f"{path.name} has no section {wanted.decode()}")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_holds_the_list_of_its_dependencies(architecture):
    """What cargo-auditable wrote into it is what the SBOM names, but for what only the build needs."""
    embedded = json.loads(zlib.decompress(section(binary(architecture), b".dep-v0")))["packages"]
    inside = {(part["name"], part["version"]) for part in embedded
              if part.get("kind") != "build" and not part.get("root")}
    components = json.loads((DIST / "sbom.cdx.json").read_text())["components"]
    listed = {(part["name"], part["version"]) for part in components}
    assert len(listed) > 50
    assert listed <= inside, f"not in the binary: {sorted(listed - inside)}"


def test_no_path_of_the_building_machine():
    """Neither of the usual places nor of this checkout."""
    here = re.escape(str(ROOT).encode())
    for architecture in ARCHITECTURES:
        found = re.findall(rb"(?:/(?:root|home|work|builds)/|" + here + rb")[\w./-]+", binary(architecture).read_bytes())
        assert not found, found[:5]


def test_each_dependency_has_its_licence():
    text = (DIST / "THIRD-PARTY-LICENSES.txt").read_text()
    components = json.loads((DIST / "sbom.cdx.json").read_text())["components"]
    for part in components:
        assert f"\n{part['name']} {part['version']}: {part['licenses'][0]['expression']}\n" in text
    for words in ["Permission is hereby granted, free of charge", "TERMS AND CONDITIONS FOR USE", "Zstandard", "BoringSSL"]:
        assert words in text


def test_the_sums_are_those_of_the_files():
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=DIST, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == 4


def empty_root(lab, architecture):
    root = lab.dir / "root"
    root.mkdir()
    os.link(binary(architecture), root / "csv-to-kafka") if os.stat(DIST).st_dev == os.stat(root).st_dev else \
        (root / "csv-to-kafka").write_bytes(binary(architecture).read_bytes())
    (root / "csv-to-kafka").chmod(0o755)
    return root


@pytest.mark.parametrize("architecture, rows", [("x86_64", 50_000), ("aarch64", 5_000)])
def test_in_an_empty_root_it_copies_from_s3_to_kafka(lab, architecture, rows, figure):
    """As process 1, read-only, as nobody, without /proc, /dev, /etc and names: signed requests to S3 and DynamoDB."""
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=31)
    job, settings = job_settings(lab, lab.put(table.path), lab.topic())
    run = Inside(empty_root(lab, architecture), architecture, ["/csv-to-kafka", "run"], settings, lab.dir / "log")
    assert run.wait() == COMPLETE, run.said[-3000:]
    assert lab.proved(job, table).records == rows
    assert lab.item(job)["status"] == "COMPLETED"
    figure(f"{rows} rows")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_as_process_1_it_ends_at_sigterm(lab, architecture):
    """SIGTERM in mid-run: 75 and the progress; the next start goes on from there."""
    table = csvgen.varied(lab.dir / "in.csv", 6_000, seed=32)
    job, settings = job_settings(lab, lab.put(table.path), lab.topic())
    root = empty_root(lab, architecture)
    run = Inside(root, architecture, ["/csv-to-kafka", "run"], settings | {"MAX_ROWS_PER_SECOND": 500}, lab.dir / "log")
    try:
        wait_until("the first records", lambda: any(True for _ in lab.records(job)), 120, 0.3)
        os.kill(run.pid(), signal.SIGTERM)
        assert run.wait() == AGAIN, run.said[-3000:]
    finally:
        run.kill()
    assert "SIGTERM" in run.said
    item = lab.item(job)
    assert item["status"] == "INTERRUPTED" and 0 < item["last_line"] < 6_000
    again = Inside(root, architecture, ["/csv-to-kafka", "run"], settings, lab.dir / "log2")
    assert again.wait() == COMPLETE, again.said[-3000:]
    assert lab.proved(job, table).records == 6_000
