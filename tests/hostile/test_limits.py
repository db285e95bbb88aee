"""Files past their limits are refused by name and setting, in bounded memory; formulas and traversals stay text."""

import csv
import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.classification.domain.table import read
from functions.classification.files import score_file
from functions.classification.learn import TrainingService
from functions.classification.simulate import customers
from functions.clustering.domain.table import RideFile
from functions.forecasting.domain import table as sales
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import history_key
from layers.runtime.errors import InputError, LimitError
from layers.runtime.files import Limits
from layers.runtime.settings import Settings
from tests.classification import Cloud
from tests.clustering import DAY, World, key, rides
from tests.forecasting import House, made
from tests.hostile.files import packed, refused
from tests.hostile.readers import read_rides
from tests.tables import as_csv, as_parquet

BOMB = 64 << 20
SALES = b"series_id,ds,y\n"
LONG = b"1," + b"x" * 1_000 + b"\n"


class Zeros(io.RawIOBase):
    """A file of zeros without end, which counts what is read of it."""

    def __init__(self, start: bytes) -> None:
        self.start, self.read_bytes = start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.read_bytes = offset if whence == 0 else self.read_bytes + offset
        return self.read_bytes

    def readinto(self, buffer: Any) -> int:
        at = self.read_bytes
        chunk = (self.start[at : at + len(buffer)] if at < len(self.start) else b"").ljust(len(buffer), b"0")
        buffer[:] = chunk
        self.read_bytes += len(chunk)
        return len(chunk)


def table(columns: int, rows: int) -> bytes:
    header = ["series_id", "ds", "y", *(f"r{i}" for i in range(columns - 3))]
    line = ",".join(["s", "2024-01-{:02}", *["1"] * (columns - 2)])
    return "\n".join([",".join(header), *(line.format(i + 1) for i in range(rows))]).encode()


def parquet(columns: int, rows: int) -> bytes:
    body: dict[str, Any] = {
        "series_id": ["s"] * rows,
        "ds": np.arange(rows).astype("datetime64[D]"),
        "y": np.zeros(rows),
    }
    drawn = np.random.default_rng(0).normal(size=(columns, rows))
    return as_parquet(pa.table(body | {f"r{i}": drawn[i] for i in range(columns - 3)}))


def read_sales(body: Any, name: str, limits: Limits) -> None:
    sales.read(io.BytesIO(body) if isinstance(body, bytes) else body, name, limits=limits)


def read_customers(body: Any, name: str, limits: Limits) -> None:
    read(io.BytesIO(body) if isinstance(body, bytes) else body, name, limits=limits)


MANY = SALES + b"".join(b"s%d,2024-01-01,1\n" % i for i in range(20))
PAST: dict[str, tuple[Callable[..., None], Any, str, Limits, str]] = {
    "sales without end": (read_sales, io.BufferedReader(Zeros(SALES)), "a.csv", Limits(object_mb=8), "OBJECT_MB"),
    "a bomb of sales": (
        read_sales,
        gzip.compress(SALES + LONG * (BOMB // len(LONG)), mtime=0),
        "a.csv.gz",
        Limits(object_mb=8),
        "OBJECT_MB",
    ),
    "many columns of sales": (read_sales, table(600, 2), "a.csv", Limits(table_columns=500), "TABLE_COLUMNS"),
    "many cells of sales": (read_sales, table(5, 30), "a.csv", Limits(table_cells=100), "TABLE_CELLS"),
    "many series": (read_sales, MANY, "a.csv", Limits(file_series=10), "FILE_SERIES"),
    "wide Parquet of sales": (read_sales, parquet(60, 3), "a.parquet", Limits(table_columns=50), "TABLE_COLUMNS"),
    "long Parquet of sales": (read_sales, parquet(3, 500), "a.parquet", Limits(table_cells=900), "TABLE_CELLS"),
    "heavy Parquet of sales": (read_sales, parquet(60, 9_000), "a.parquet", Limits(object_mb=1), "OBJECT_MB"),
    "customers without end": (read_customers, io.BufferedReader(Zeros(b"a,b\n")), "a.csv", Limits(object_mb=8), ""),
    "a bomb of customers": (
        read_customers,
        gzip.compress(b"a,b\n" + LONG * (BOMB // len(LONG)), mtime=0),
        "a.gz",
        Limits(8),
        "",
    ),
    "many cells of customers": (read_customers, table(5, 30), "a.csv", Limits(table_cells=100), "TABLE_CELLS"),
    "many columns of customers": (read_customers, table(60, 3), "a.csv", Limits(table_columns=50), "TABLE_COLUMNS"),
    "long Parquet of customers": (read_customers, parquet(3, 500), "a.parquet", Limits(table_cells=900), "TABLE_CELLS"),
}


@pytest.mark.parametrize("name", PAST)
def test_past_a_limit_is_refused_by_name_in_little_memory(name: str) -> None:
    read, body, file, limits, setting = PAST[name]
    tracemalloc.start()
    error = refused(read, body, file, limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(error, InputError)
    assert error.file == file
    if setting:
        assert isinstance(error, LimitError)
        assert f"(TREFOIL_{setting})" in str(error)
    assert peak < 40 << 20


def test_rides_of_one_piece_are_limited_and_many_pieces_are_not() -> None:
    body = b"ride_id,ride_dist,ride_time\n" + b"".join(b"r%d,3,0.2\n" % i for i in range(50))
    limits = Limits(piece_rides=40)
    for name in ("a.csv", "a.csv.gz"):
        error = refused(lambda n: list(RideFile(io.BytesIO(packed(body, n)), n, limits=limits).ids()), name)
        assert isinstance(error, LimitError)
        assert "50 rides, more than 40 (TREFOIL_PIECE_RIDES)" in str(error)
    sink = io.BytesIO()
    pq.write_table(pa.table({"ride_id": np.arange(50), "ride_dist": np.ones(50), "ride_time": np.ones(50)}), sink, 25)
    whole = RideFile(sink, "a.parquet", limits=limits)
    assert isinstance(refused(lambda: list(whole.rides())), LimitError)
    piece = RideFile(sink, "a.parquet", row_groups=(1, 2), first_row=25, limits=limits)
    assert sum(len(rides) for rides in piece.rides()) == 25


def test_a_day_with_an_object_past_its_limit_is_published_without_it_and_says_so() -> None:
    world = World(piece_rides=1_600)
    world.lake.put(key(DAY), rides(1_500))
    world.lake.put(key(DAY, "big.parquet"), rides(1_700, seed=1))
    assert world.run()["status"] == "published"
    manifest, rows = world.truth() or pytest.fail("no truth")
    assert (manifest.rides + manifest.rejected, rows.num_rows) == (1_501, manifest.rides)


def test_sales_past_a_limit_are_a_failed_run_that_names_it() -> None:
    house = House()
    house.ingestion = house.intake(table_cells=1_000)
    answer = house.put(made(300))
    run = house.ledger.get("forecasting-ingest", "sales/a.csv")
    assert answer.status == "failed"
    assert run is not None
    assert run.outcome == "failed"
    assert "TREFOIL_TABLE_CELLS" in run.detail
    assert house.put(made(15), key="sales/b.csv").status == "done"


def test_customers_past_a_limit_are_a_failed_run_that_names_it(cloud: Cloud) -> None:
    body = as_csv(customers(200, 0))
    cloud.lake.put("customers/a.csv", body)
    cloud.lake.put("customers/b.csv", body)
    for limit, setting in (({"table_cells": 4_000}, "TABLE_CELLS"), ({"table_columns": 5}, "TABLE_COLUMNS")):
        cloud.settings = cloud.settings.model_copy(update=limit)
        service = TrainingService(cloud.lake, cloud.registry, cloud.ledger, cloud.settings, lambda: cloud.now)
        error = refused(service.train, "test", 100.0)
        assert isinstance(error, LimitError)
        runs = list(cloud.ledger.history("classification-train"))
        assert all(run.outcome == "failed" for run in runs)
        assert any(setting in run.detail for run in runs)


def test_every_limit_is_a_setting_with_a_default() -> None:
    limits = ForecastingSettings(object_mb=1, file_series=2).limits
    assert (limits.object_mb, limits.file_series) == (1, 2)
    assert limits.table_cells == Settings().limits.table_cells == Settings.model_fields["table_cells"].default


IMPOSSIBLE = ("\x00", "a\nb", "a\n", "a\rb", "\x7f", "", "x" * 129)


@pytest.mark.parametrize("series_id", IMPOSSIBLE)
def test_an_id_is_of_characters_that_a_line_can_hold(series_id: str) -> None:
    with pytest.raises(InputError, match="none a control character"):
        history_key(series_id)


def test_series_with_odd_names_land_in_their_own_objects_only() -> None:
    house = House()
    names = ["..", ".", "%2e%2e%2fx", "e\u0301", "\u00e9", "=1+1", "a b", "x" * 128, "catalog", "\u202e"]
    names += ["a/b", "a%2Fb", "../catalog", "../../etc/passwd", "/", "//"]
    answer = house.put(*(made(30, name=name) for name in names))
    assert answer.series == len(names)
    stored = {key for key in house.lake.bodies if key.startswith("history/")}
    assert stored == {f"history/{name.replace('%', '%25').replace('/', '%2F')}.json.gz" for name in names}
    assert house.train()["trained"] == len(names)
    models = [key.split("/models/")[1] for key in house.models.bodies if "/models/" in key]
    assert len(models) == len(names)
    assert not any("/" in name for name in models)


def test_cells_of_a_scored_file_come_back_as_they_are_and_added_ones_are_no_formulas(
    package: Any, tmp_path: Path
) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(customers(8, 3)).decode())))
    cells = ["=1+1", "@SUM(A1)", "+1", "-1", '=cmd|"/c calc"!A1', "a\r\nb", "\t=1", "-0.5"]
    rows[0].append("note")
    for row, cell in zip(rows[1:], cells, strict=True):
        row.append(cell)
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (tmp_path / "in.csv").write_text(text.getvalue(), newline="")
    list(score_file(package.trained.model, tmp_path / "in.csv", tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(newline="") as file:
        out = list(csv.reader(file))
    width = len(rows[0])
    assert [row[:width] for row in out] == rows
    assert out[0][width:] == ["probability", "segment", "explanation"]
    assert all(0 <= float(row[width]) <= 1 and row[width + 1].isalpha() and row[-1][0] == "{" for row in out[1:])


def test_a_ride_id_that_is_a_formula_or_a_path_is_only_text() -> None:
    ids = ["=1+1", "@x", "../../a", "-1", "\u202e", "{0}", "%s"]
    body = "ride_id,ride_dist,ride_time\n" + "".join(f"{name},3,0.2\n" for name in ids)
    found, rejected = read_rides(body.encode(), "a.csv")
    assert (found, rejected) == (ids, {})
