import json
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from functions.classification.contracts import Feature, Reference
from functions.classification.domain import drift, metrics, schema
from functions.classification.simulate import customers, events
from functions.classification.watch import REPORT
from tests.classification import NOW, Cloud, Started, records, score, tell_outcomes, watch


def test_a_steady_population_starts_nothing(cloud):
    score(cloud, 0.0)
    trainer = Started()
    report = watch(cloud, trainer)
    assert report["events"] == 600
    assert max(report["drift"].values()) < 0.25
    assert not report["training_started"]
    assert trainer.reasons == []


def test_a_moved_population_starts_training_once_a_day(cloud):
    score(cloud, 1.0)
    trainer = Started()
    assert watch(cloud, trainer)["training_started"]
    assert not watch(cloud, trainer)["training_started"]
    assert len(trainer.reasons) == 1
    assert trainer.reasons[0].startswith("drift")
    cloud.now += timedelta(days=1)
    score(cloud, 1.0, seed=12)
    assert watch(cloud, trainer)["training_started"]


def test_few_events_say_nothing(cloud):
    score(cloud, 1.0, rows=100)
    assert watch(cloud)["reason"] is None


def test_categories_that_training_never_saw_start_training(cloud):
    table = customers(400, 3)
    bodies = [json.loads(body) for body in events(table, start=NOW - timedelta(hours=1))]
    for body in bodies[:40]:
        body["features"]["job"] = "astronaut"
    cloud.scoring().score(records([json.dumps(body) for body in bodies]), lambda: 60.0)
    report = watch(cloud, drift_index=100.0)
    assert report["unknown"]["job"] == pytest.approx(0.1, abs=0.01)
    assert "unknown categories" in report["reason"]


def test_outcomes_give_realised_quality_per_model_and_week(cloud, package):
    table, start = score(cloud, 0.0)
    tell_outcomes(cloud, table, start, 500)
    report = watch(cloud, retrain_outcomes=10_000)
    (week,) = report["realised"][package.version]
    assert week == "2024-W23"
    found = report["realised"][package.version][week]
    assert found["events"] == 500
    assert found["positives"] == table["y"].to_pylist()[:500].count("yes")
    assert 0 < found["precision"] <= 1
    assert 0 < found["recall"] <= 1
    assert found["calibration_error"] < 0.1


def test_realised_quality_is_computed_again_only_when_outcomes_change(cloud, package):
    table, start = score(cloud, 0.0)
    tell_outcomes(cloud, table, start, 100)
    first = watch(cloud)["realised"]
    gets = []
    cloud.lake.get = lambda key: gets.append(key) or b"{}"
    assert watch(cloud)["realised"] == first
    assert gets == [REPORT]


def test_enough_new_outcomes_start_training(cloud):
    table, start = score(cloud, 0.0)
    tell_outcomes(cloud, table, start, 500)
    assert "500 outcomes" in watch(cloud, retrain_outcomes=500)["reason"]


def test_without_a_champion_there_is_nothing_to_watch():
    assert watch(Cloud())["training_started"] is False


def test_the_stability_index_is_zero_for_the_same_shares_and_grows_with_the_move():
    shares = [0.25, 0.25, 0.5]
    shares = [250, 250, 500]
    assert drift.stability_index(shares, [25, 25, 50]) == pytest.approx(0, abs=1e-3)
    small, large = drift.stability_index(shares, [30, 25, 45]), drift.stability_index(shares, [80, 10, 10])
    assert 0 < small < 0.1 < 0.25 < large


def test_every_value_has_a_bin():
    numbers = np.array([1.0, 2.0, 3.0, np.nan, -9e9, 9e9], dtype=np.float32)
    known = drift.reference(numbers, Feature(name="x", kind="number", nullable=True))
    assert sum(known.shares) == pytest.approx(1)
    for categories, bins in {("a", "b"): [1, 1, 1, 1], ("", "a", "b"): [0, 1, 1, 1, 1]}.items():
        feature = Feature(name="w", kind="category", nullable=True, categories=categories)
        x, _ = schema.encode({"w": ["a", "b", "", "new"]}, [feature])
        assert drift.bin_counts(x[:, 0], feature, ()).tolist() == bins
    assert Reference(shares=(1.0,)).edges == ()


def test_average_precision_of_a_moved_population_falls_without_retraining(package):
    from functions.classification.domain.schema import encode

    def ap(moved: float) -> float:
        table = customers(3_000, 21, moved)
        features = package.trained.model.specification.features
        inputs, _ = encode({f.name: table[f.name].to_pylist() for f in features}, features)
        y = np.array(table["y"].to_pylist()) == "yes"
        return roc_auc_score(y, package.trained.model.score(inputs))

    assert ap(1.0) < ap(0.0) - 0.05


def test_expected_quality_is_what_came_true_where_probabilities_are_right():
    rng = np.random.default_rng(0)
    p = rng.beta(0.6, 4, 40_000)
    y = rng.random(40_000) < p
    edges = tuple(np.quantile(p, np.linspace(0, 1, 11)[1:-1]).tolist())
    known = SimpleNamespace(
        threshold=0.3,
        segments=[SimpleNamespace(name="target", low=0.0)],
        score_reference=SimpleNamespace(edges=edges),
        references=[],
        features=[],
    )
    totals: Counter[str] = Counter()
    for start in range(0, 40_000, 1_000):
        users = [f"u{i}" for i in range(start, start + 1_000)]
        totals.update(drift.counters(np.empty((1_000, 0)), p[start : start + 1_000], users, known, 0))
    expected = metrics.expected_quality(totals, edges)
    called = p >= 0.3
    assert expected["positives"] == pytest.approx(y.sum(), rel=0.03)
    assert expected["precision"] == pytest.approx(y[called].mean(), abs=0.02)
    assert expected["recall"] == pytest.approx(y[called].sum() / y.sum(), abs=0.02)
    assert expected["average_precision"] == pytest.approx(metrics.average_precision(p, p), abs=0.01)
    assert metrics.expected_quality({}, edges) is None


def test_expected_quality_stands_beside_the_realised_and_is_withdrawn_when_the_population_moves(cloud):
    table, start = score(cloud, 0.0)
    tell_outcomes(cloud, table, start, 500)
    report = watch(cloud)
    assert report["expected_withdrawn"] is None
    (week,) = report["realised"][report["version"]].values()
    assert not week["contradicted"]
    assert report["expected"]["precision"] == pytest.approx(week["precision"], abs=0.25)
    score(cloud, 1.0, seed=12, rows=2_000)
    moved = watch(cloud)
    assert moved["expected"] is None
    assert moved["expected_withdrawn"] == "the population has moved"


def test_expected_quality_is_withdrawn_when_outcomes_contradict_it_and_not_given_for_a_few_events(cloud):
    table, start = score(cloud, 0.0)
    labels = table.column_names.index("y")
    tell_outcomes(cloud, table.set_column(labels, "y", pa.array(["yes"] * len(table))), start, 500)
    report = watch(cloud)
    assert report["expected"] is None
    assert report["expected_withdrawn"] == "outcomes contradict the probabilities"
    assert watch(cloud, watch_events=5_000)["expected_withdrawn"] == "fewer than 5,000 events"
