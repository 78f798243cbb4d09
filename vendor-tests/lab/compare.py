"""Judges what a partition holds: each row once, in order, every value as Python's csv module reads it."""

import json
from dataclasses import dataclass

from .consumer import Record


@dataclass
class Verdict:
    records: int = 0
    missing: int = 0
    repeated: int = 0
    misordered: int = 0
    different: int = 0
    first_problem: str = ""

    @property
    def clean(self) -> bool:
        return not (self.missing or self.repeated or self.misordered or self.different)

    def __str__(self):
        return (f"{self.records} records: missing {self.missing}, repeated {self.repeated}, "
                f"misordered {self.misordered}, different {self.different}"
                + (f"; first: {self.first_problem}" if self.first_problem else ""))

    def problem(self, text: str):
        self.first_problem = self.first_problem or text


def judge(rows, records, source: str, up_to: int | None = None) -> Verdict:
    """`rows`: the header, then the rows. `up_to`: only rows 1 to this one are expected (a job that has stopped there)."""
    verdict = Verdict()
    rows = iter(rows)
    header = next(rows)
    expected_line = 0
    expected_row = None
    seen = bytearray()
    highest = 0

    def next_row():
        nonlocal expected_line, expected_row
        expected_line += 1
        expected_row = next(rows, None) if up_to is None or expected_line <= up_to else None

    next_row()
    record: Record
    for record in records:
        verdict.records += 1
        line = _line(record.value)
        if line is None:
            verdict.different += 1
            verdict.problem(f"offset {record.offset} has no _source_line: {record.value[:200]!r}")
            continue
        if line >= len(seen):
            seen.extend(bytes(max(4096, line + 1 - len(seen) + len(seen) // 2)))
        if seen[line]:
            verdict.repeated += 1
            verdict.problem(f"offset {record.offset} repeats row {line}")
        elif line < highest:
            verdict.misordered += 1
            verdict.problem(f"offset {record.offset} holds row {line} after row {highest}")
        seen[line] = 1
        highest = max(highest, line)
        while expected_row is not None and expected_line < line:
            next_row()
        if expected_row is not None and expected_line == line:
            if not _same(record.value, header, expected_row, line, source):
                verdict.different += 1
                verdict.problem(f"offset {record.offset}, row {line}: {record.value[:300]!r} is not {expected_row!r:.300}")
            next_row()
        elif line >= expected_line:
            verdict.different += 1
            verdict.problem(f"offset {record.offset}: row {line} is not in the source")
    while expected_row is not None:
        next_row()
    for line in range(1, expected_line):
        if line >= len(seen) or not seen[line]:
            verdict.missing += 1
            verdict.problem(f"row {line} is missing")
    return verdict


def _line(value: bytes) -> int | None:
    try:
        found = json.loads(value).get("_source_line")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def _same(value: bytes, header, row, line: int, source: str) -> bool:
    pairs = list(zip(header, row, strict=True)) + [("_source_line", line), ("_source_file", source)]
    if value == json.dumps(dict(pairs), ensure_ascii=False, separators=(",", ":")).encode():
        return True
    # Escapes may be written in more than one way; names, order, types and values may not differ.
    found = json.loads(value, object_pairs_hook=list)
    return found == pairs
