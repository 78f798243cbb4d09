"""CSV files that look like the ones people have: quotes, commas, newlines inside quotes, Unicode, empty fields."""

import csv
import random
import sys
from dataclasses import dataclass
from pathlib import Path

csv.field_size_limit(sys.maxsize)

WORDS = ["alpha", "Straße", "naïve café", "東京", "Ω≈ç√", "🦀 crab", "emoji 👩‍👩‍👧", "", "", " leading", "trailing ",
         "O'Brien", "back\\slash", "tab\there", "0", "-1.5e10", "null", "true", "{\"a\":1}", "x" * 40, "\u2028sep", "\x7f",
         "semi;colon", "pipe|bar", "Ünïcödé", "\u0001control"]
RAW = ['5" pipe', 'a"b"c', '"text" after a quote', '""']  # odd but legal to every reader that is not strict
MUST_QUOTE = ["a,b", "say \"hi\"", "two\nlines", "crlf\r\ninside", "\"", ",", "\n", "a\rb", "\"\"", "ends with quote\"", "éa,ö\"\n"]


@dataclass
class Table:
    """A CSV file and how Python's csv module reads it."""

    path: Path
    row_count: int
    delimiter: str = ","

    def rows(self):
        """The header, then every row; a blank line is none."""
        with open(self.path, encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file, delimiter=self.delimiter):
                if row:
                    yield row


def _field(rng: random.Random) -> str:
    if rng.random() < 0.2:
        value = rng.choice(MUST_QUOTE)
        return '"' + value.replace('"', '""') + '"'
    if rng.random() < 0.05:
        return rng.choice(RAW)
    value = rng.choice(WORDS)
    if rng.random() < 0.15:
        return '"' + value.replace('"', '""') + '"'
    return value.replace('"', "'").replace(",", " ") if any(c in value for c in ',"') else value


def varied(path: Path, rows: int, columns: int = 6, seed: int = 1, end: str | None = None, last_newline: bool = True) -> Table:
    """Rows whose first column is the row's number, so that no two are alike (a single column is just that)."""
    rng = random.Random(seed)
    ends = [end] if end is not None else ["\n"] * 6 + ["\r\n"] * 3
    pool_size = min(rows, 9973 if columns <= 20 else 97)
    pool = ["".join("," + _field(rng) for _ in range(columns - 1)) for _ in range(max(1, pool_size))]
    line_ends = [rng.choice(ends) for _ in range(101)]
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(",".join(["id"] + [f"column {n}" for n in range(2, columns + 1)]) + line_ends[0])
        block = []
        for n in range(1, rows + 1):
            tail = line_ends[n % 101] if last_newline or n < rows else ""
            block.append(f"{n}{pool[n % len(pool)]}{tail}")
            if len(block) == 20000:
                out.write("".join(block))
                block.clear()
        out.write("".join(block))
    return Table(path, rows)


def plain(path: Path, rows: int, row_bytes: int = 80, columns: int = 10) -> Table:
    """Rows of one length without anything special, for speed; each is unlike the others."""
    rng = random.Random(7)
    width = (row_bytes - 10 - (columns - 1)) // (columns - 1)
    names = ["id"] + [f"c{n}" for n in range(2, columns + 1)]

    def word():
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(width))

    pool = ["," + ",".join(word() for _ in range(columns - 1)) for _ in range(4999)]
    pool = [p + "x" * (row_bytes - 10 - len(p)) for p in pool]
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(",".join(names) + "\n")
        for start in range(1, rows + 1, 20000):
            stop = min(rows + 1, start + 20000)
            out.write("".join(f"{n:09d}{pool[n % 4999]}\n" for n in range(start, stop)))
    return Table(path, rows)
