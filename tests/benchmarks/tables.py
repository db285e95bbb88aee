"""Speed of the one reader, beside an older tree if TREFOIL_OLD names one, and of times beside ISO's.

Seconds are of the processor: on one idle core they are what a clock shows.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from layers.tables import TimeStyle, to_times
from tests.benchmarks.runner import Row, measured, row
from tests.conftest import ROOT

OLD = os.environ.get("TREFOIL_OLD", "")
DAYS = 1_000
INGEST = """
import sys, time
from functions.forecasting.domain import table
start = time.process_time()
with open(sys.argv[1], "rb") as stream:
    parsed = table.read(stream, sys.argv[1])
assert len(parsed.series) == int(sys.argv[2])
print(time.process_time() - start)
"""


def rows(quick: bool) -> Iterator[Row]:
    """Every figure of the reader."""
    count = 100_000 if quick else 1_000_000
    limit = 1 + 8 * count / 1_000_000  # imports do not shrink with rows
    for dialect in ("ISO", "German"):
        ours = [ingest_sales(count, dialect, str(ROOT)) for _ in range(3)]
        theirs = [ingest_sales(count, dialect, OLD) for _ in range(3)] if OLD else None
        yield row(
            f"{count:,} sales rows, {dialect}, to series",
            ours,
            "s",
            "not slower than the old one" if OLD else f"under {limit:g} s",
            lambda value, ratio: value < limit and (ratio is None or ratio >= 0.95),
            peer=theirs,
            peer_name=f"s, {Path(OLD).name}" if OLD else "",
        )
    for name, pattern in (("day first", "%d.%m.%Y %H:%M:%S"), ("month first, AM and PM", "%m/%d/%Y %I:%M:%S %p")):
        yield row(
            f"{count:,} different times, {name}",
            [measured(read_times, count, pattern).value for _ in range(3)],
            "s",
            "under 2 s a million",
            lambda value, _: value < 2 * count / 1_000_000,
        )


def ingest_sales(count: int, dialect: str, tree: str) -> float:
    """CPU seconds of the code in `tree` from a file of sales to its series."""
    days = (np.datetime64("2020-01-01") + np.arange(DAYS)).astype(object)
    pattern, comma, point = ("%Y-%m-%d", ",", ".") if dialect == "ISO" else ("%d.%m.%Y", ";", ",")
    written = [day.strftime(pattern) for day in days]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sales.csv"
        with path.open("w") as stream:
            stream.write(comma.join(("series_id", "ds", "y", "promo")) + "\n")
            for i in range(count // DAYS):
                stream.writelines(
                    f"s{i}{comma}{day}{comma}{(7 * i + j) % 100}{point}5{comma}{j % 2}\n"
                    for j, day in enumerate(written)
                )
        command = [sys.executable, "-c", INGEST, str(path), str(count // DAYS)]
        return float(subprocess.run(command, check=True, capture_output=True, cwd=tree, text=True).stdout)


def read_times(count: int, pattern: str) -> float:
    """CPU seconds to read as many different texts of one layout."""
    times = pa.array((np.datetime64("2020-01-01T00:00:00") + 37 * np.arange(count)).astype("datetime64[s]"))
    texts = pc.strftime(times, pattern)
    start = time.process_time()
    read, _ = to_times(texts, TimeStyle("month-first" if pattern.startswith("%m") else "day-first"))
    seconds = time.process_time() - start
    assert np.array_equal(read.astype("datetime64[s]"), times.to_numpy())
    return seconds
