"""Every reader of files: what came out of one, and what was rejected with its reason."""

import io
import json
import math
from typing import Any

from functions.classification.contracts import Feature
from functions.classification.domain import table
from functions.classification.domain.schema import encode
from functions.clustering import simulate
from functions.clustering.domain.fit import fit
from functions.clustering.domain.labelling import Labeller
from functions.clustering.domain.model import NAMED, Model
from functions.clustering.domain.table import Format, RideFile
from functions.forecasting.domain import table as sales
from layers.runtime.errors import InputError


def _model() -> Model:
    drawn = simulate.rides(2_000, 0)
    return fit(drawn["ride_dist"].to_numpy(), drawn["ride_time"].to_numpy(), NAMED["robust"])


MODEL = _model()


Found = tuple[list[str], dict[int, str]]


def read_rides(body: bytes, name: str, preset: Any = None) -> Found:
    """Ids labelled, and rows rejected with their reason."""
    labeller = Labeller(MODEL, "v", "r")
    labelled: list[Any] = []
    rejected: dict[int, str] = {}
    for rows, bad in labeller.label(RideFile(io.BytesIO(body), name, Format(preset))):
        labelled += rows.to_pylist()
        rejected |= {row["row"]: row["reason"] for row in bad.to_pylist()}
    assert all(math.isfinite(row["severity"]) for row in labelled)
    assert labeller.report.rides == len(labelled)
    assert labeller.report.rejected == len(rejected)
    json.dumps(labeller.report.model_dump(mode="json"), allow_nan=False)
    return [row["ride_id"] for row in labelled], rejected


def read_taxis(body: bytes, name: str) -> Found:
    return read_rides(body, name, "tlc")


def read_sales(body: bytes, name: str) -> Found:
    """Days of each series that a row was taken for, and rows rejected with their reason."""
    parsed = sales.read(io.BytesIO(body), name, stamp=1)
    for one in parsed.series:
        for values in (one.y, *one.regressors.values()):
            assert not any(map(math.isinf, values.tolist()))
    known = [f"{one.series_id}/{day}" for one in parsed.series for day in one.times[one.stamps["y"] == 1]]
    return known, {r.row: r.reason for r in parsed.rejected}


FEATURES = (Feature(name="age", kind="number"), Feature(name="job", kind="category", categories=("a", "b")))


def read_customers(body: bytes, name: str) -> Found:
    """Ids of rows that can be scored, and rows that cannot with their reason."""
    read = table.read(io.BytesIO(body), name)
    if not {"id", "age", "job"} <= read.values.keys():
        raise InputError("lacks a column", file=name)
    x, wrong = encode(read.values, FEATURES)
    assert all(not math.isinf(x[i, 0]) for i in range(len(read.rows)) if i not in wrong)
    found = [str(read.values["id"][i]) for i in range(len(read.rows)) if i not in wrong]
    bad = {read.rows[i]: reason for i, reason in wrong.items()} | {one.row: one.reason for one in read.ragged}
    return found, bad
