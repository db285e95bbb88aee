"""Every reader of files: valid rows come out, the rest is counted with its reasons, or an InputError names the file."""

import io
import re
from collections.abc import Callable
from typing import Any

import pyarrow.csv as arrow_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layers.runtime.errors import InputError
from tests.hostile.files import DIALECTS, damaged, junk, packed, parquet_of, refused
from tests.hostile.readers import Found, read_customers, read_rides, read_sales, read_taxis
from tests.tables import as_parquet

QUICK = settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
NAMES = ("a.csv", "a.csv.gz", "a.parquet")

Read = Callable[[bytes, str], Found]
RIDES = ("ride_id,ride_dist,ride_time", [f"r{i},{i + 1}.5,0.{i + 1}" for i in range(9)])
SALES = ("series_id,ds,y,open,promo", [f"s{i % 2},2024-01-{i + 1:02},{i + 1},1,{i % 2}" for i in range(9)])
STORES = ("Store,Date,Sales,Open,Promo,StateHoliday", [f"{i % 2},2024-01-{i + 1:02},{i},1,0,a" for i in range(9)])
TAXIS = (
    "lpep_pickup_datetime,lpep_dropoff_datetime,trip_distance,ride_id",
    [f"2024-01-01 10:0{i}:00,2024-01-01 10:1{i}:00,{i + 1}.1,r{i}" for i in range(9)],
)
CUSTOMERS = ("id,age,job", [f"c{i},{20 + i},{'ab'[i % 2]}" for i in range(9)])
READERS: dict[str, tuple[Read, str, list[str]]] = {
    "rides": (read_rides, *RIDES),
    "taxis": (read_taxis, *TAXIS),
    "sales": (read_sales, *SALES),
    "stores": (read_sales, *STORES),
    "customers": (read_customers, *CUSTOMERS),
}


def text(header: str, lines: list[str]) -> bytes:
    return "\n".join([header, *lines, ""]).encode()


def as_file(header: str, lines: list[str], name: str) -> bytes:
    if not name.endswith(".parquet"):
        return packed(text(header, lines), name)
    return as_parquet(arrow_csv.read_csv(io.BytesIO(text(header, lines))))


@pytest.mark.parametrize("word", ["1_000", "\u0661\u0662", "0x10", "1.5.2"])
@pytest.mark.parametrize(("leaf", "column"), [("rides", 1), ("taxis", 2), ("sales", 2), ("customers", 1)])
def test_what_is_no_number_in_one_leaf_is_none_in_another(leaf: str, column: int, word: str) -> None:
    read, header, lines = READERS[leaf]
    cells = lines[0].split(",")
    known, rejected = read(text(header, [",".join([*cells[:column], word, *cells[column + 1 :]]), *lines[1:]]), "a.csv")
    assert len(known) == len(lines) - 1
    assert "number" in rejected[0]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("leaf", READERS)
def test_every_leaf_reads_every_dialect_whatever_the_name(leaf: str, dialect: str) -> None:
    read, header, lines = READERS[leaf]
    rows = [[*header.split(","), "Größe"], *([*line.split(","), "süß"] for line in lines)]
    expected, _ = read(text(header, lines), "a.csv")
    assert read(DIALECTS[dialect](rows), "a.data") == (expected, {})


@pytest.mark.parametrize("leaf", ["taxis", "sales", "stores"])
@pytest.mark.parametrize("written", [r"\3/\2/\1", r"\3.\2.\1", r"\2-\3-\1"])
def test_dates_of_two_readings_are_refused_by_every_leaf_and_both_named(leaf: str, written: str) -> None:
    read, header, lines = READERS[leaf]
    body = text(header, lines).decode().replace("-01-", "-02-")
    body = re.sub(r"(\d{4})-(\d\d)-(\d\d)", written, body)
    error = refused(read, body.encode(), "a.csv")
    assert isinstance(error, InputError)
    assert "a.csv" in str(error)
    assert "--dates day-first or --dates month-first" in str(error)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leaf", READERS)
def test_a_damaged_file_is_read_or_refused_by_name(leaf: str, name: str) -> None:
    read, header, lines = READERS[leaf]

    @QUICK
    @given(damaged(as_file(header, lines, name)))
    def holds(body: bytes) -> None:
        error = refused(read, body, name)
        assert error is None or (isinstance(error, InputError) and name in str(error))

    holds()


@pytest.mark.parametrize("leaf", READERS)
def test_parquet_of_any_types_is_read_or_refused_by_name(leaf: str) -> None:
    read, header, _ = READERS[leaf]

    @QUICK
    @given(parquet_of(tuple(header.split(","))))
    def holds(body: bytes) -> None:
        error = refused(read, body, "a.parquet")
        assert error is None or (isinstance(error, InputError) and error.file is not None)

    holds()


@st.composite
def mixed(draw: Any, header: str, lines: list[str]) -> list[str]:
    """Known rows in their order, among rows of junk, some of them of another width."""
    width = header.count(",") + 1
    made = list(lines)
    for i in range(draw(st.integers(1, 6))):
        cells = draw(st.lists(junk, min_size=width, max_size=width))
        if draw(st.booleans()):
            cells = cells[: draw(st.integers(2, width))] if draw(st.booleans()) else [*cells, f"more-{i}"]
        made.insert(draw(st.integers(0, len(made))), ",".join(cells))
    return made


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("leaf", READERS)
def test_every_valid_row_is_found_among_junk_and_the_junk_is_counted(leaf: str, name: str) -> None:
    read, header, lines = READERS[leaf]
    expected, _ = read(as_file(header, lines, name), name)
    assert len(expected) == len(lines)

    @QUICK
    @given(mixed(header, lines))
    def holds(made: list[str]) -> None:
        found, rejected = read(packed(text(header, made), name), name)
        assert set(expected) <= set(found)
        assert all(rejected.values())
        junk_rows = {i for i, line in enumerate(made) if line not in lines}
        assert set(rejected) <= junk_rows
        assert len(found) + len(rejected) == len(made)

    holds()
