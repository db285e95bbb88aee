"""A file that is refused, or no ground for a model, says so without a cell of it: what is raised is logged."""

import io
import traceback
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.forecasting.domain import table as sales
from layers.runtime.errors import TrefoilError
from tests.classification import Cloud
from tests.hostile.files import damaged, refused
from tests.hostile.readers import read_customers, read_rides, read_sales
from tests.tables import as_csv, as_parquet

# What is planted stands in the bytes as it is, so that they can be damaged around it.
plain_parquet = partial(as_parquet, compression="none")

WORD, NUMBER = "planted-7731", 77_319_931.25
TRACES = (WORD, "lanted-7731", "77319931", "7.7319")
CUSTOMERS = pa.table({"id": ["a", "b"] * 4, "age": [NUMBER, 1.5] * 4, "job": [WORD, "x"] * 4, "y": ["yes", "no"] * 4})
RIDES = pa.table({"ride_id": ["a", "b"], "ride_dist": [NUMBER, 1.0], "ride_time": [1.0, 2.0], "passenger": [WORD, "x"]})
SALES = pa.table(
    {"series_id": ["a", "a"], "ds": ["2024-01-01", "2024-01-02"], "y": [1.0, NUMBER], "buyer": [WORD, "x"]}
)


def silent(error: Exception | None) -> bool:
    """Whether nothing planted shows in what a function logs of an error that it ends with."""
    text = "".join(traceback.format_exception(error)) if error else ""
    return not any(trace in text for trace in TRACES)


READERS = {"customers": (read_customers, CUSTOMERS), "rides": (read_rides, RIDES), "sales": (read_sales, SALES)}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("leaf", READERS)
def test_what_is_said_of_a_damaged_file_shows_no_cell(leaf: str, name: str) -> None:
    read, table = READERS[leaf]
    # Names of columns are told, so the header stays whole.
    header, rows = as_csv(table).split(b"\n", 1) if name == "a.csv" else (b"", plain_parquet(table))

    @settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(damaged(rows))
    def holds(body: bytes) -> None:
        assert silent(refused(read, header + b"\n" * bool(header) + body, name))

    holds()


ROW = f'"c",{NUMBER},"{WORD}","yes"\n'.encode()
LATIN = f"{WORD}\u00e9,{NUMBER}\n".encode("latin-1")
BAD = {
    "latin.csv": as_csv(CUSTOMERS) + LATIN,
    "quotes.csv": as_csv(CUSTOMERS) + f'"{WORD}"{NUMBER}\n"'.encode() + b"x" * 200_000,
    "nul.csv": as_csv(CUSTOMERS) + ROW.replace(b"yes", b"\x00"),
    "lie.parquet": plain_parquet(CUSTOMERS).replace(WORD.encode(), b"\xff" + WORD[1:].encode()),
    "years.parquet": plain_parquet(pa.table({"job": [WORD], "when": pa.array([2**60], pa.timestamp("us"))})),
    "nested.parquet": plain_parquet(pa.table({"job": [[WORD]], "y": [{WORD: NUMBER}]})),
    "target.csv": f"job,y\n{WORD},yes\n{WORD},{WORD}\n".encode(),
    "few.csv": b"",
    "columns.csv": f"{NUMBER},{WORD},{WORD}\n1,2,3\n".encode() * 3,
}


@pytest.mark.parametrize("name", BAD)
def test_a_training_that_fails_shows_no_cell_in_its_error_nor_in_its_run(name: str) -> None:
    cloud = Cloud()
    cloud.lake.put("customers/good.csv", as_csv(CUSTOMERS))
    cloud.lake.put(f"customers/{name}", BAD[name])
    service = TrainingService(
        cloud.lake, cloud.registry, cloud.ledger, ClassificationSettings(iterations=1), lambda: cloud.now
    )
    error = refused(service.train, "test", 60.0)
    assert isinstance(error, TrefoilError)
    assert silent(error)
    (run,) = cloud.ledger.history("classification-train")
    assert run.outcome == "failed"
    assert not any(trace in run.model_dump_json() for trace in TRACES)


@settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([WORD, str(NUMBER), f"{WORD}\x01", "", "2024-01-01", "1"]), min_size=4, max_size=4))
def test_a_rejected_row_of_sales_is_told_by_number_and_column_only(cells: Any) -> None:
    line = ",".join(["a", *cells[1:]])
    parsed = sales.read(io.BytesIO(as_csv(SALES) + f"{line}\n".encode()), "a.csv")
    assert not any(trace in rejection.reason for rejection in parsed.rejected for trace in TRACES)
