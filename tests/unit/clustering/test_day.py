"""A day through fit, label and publish, over stores in memory."""

import io
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from functions.clustering.contracts import DayRequest, Paths
from tests.unit.clustering.day import DAY, World, key, rides


def test_a_day_is_fitted_on_the_days_before_it_labelled_and_published() -> None:
    world = World()
    world.lake.put(key(DAY - timedelta(days=1)), rides(2_000, seed=1))
    world.lake.put(key(DAY), rides(1_500))
    ended = world.run()
    assert ended["status"] == "published"
    truth = world.truth()
    assert truth is not None
    manifest, rows = truth
    assert manifest.rides == rows.num_rows == 1_500
    assert manifest.anomalies == sum(rows["is_anomaly"].to_pylist()) > 0
    assert manifest.sampled_from == "window"
    assert set(rows["run_id"].to_pylist()) == {manifest.run_id}
    assert set(rows["model_version"].to_pylist()) == {manifest.model_version}
    reports = {o.key.rsplit("/", 1)[-1] for o in world.lake.list(Paths(DAY, manifest.run_id).reports)}
    assert reports == {"rejected.parquet", "summary.json", "plot.png"}
