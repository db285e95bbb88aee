import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.classification import learn as learning
from functions.classification.contracts import Calibration, Feature
from functions.classification.domain import export, metrics, pipelines, schema, splits, training
from functions.classification.domain.model import Model, calibrated, make_segments, segment_names
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import Target, read_target
from functions.classification.domain.training import Parameters
from functions.classification.simulate import customers, log_odds
from layers.runtime.errors import CorruptError, InputError
from tests.unit.classification.conftest import NOW, QUICK, columns_of, learn


@st.composite
def scored(draw):
    rows = draw(st.integers(4, 60))
    y = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    y[:2] = [True, False]
    levels = st.integers(0, 20).map(lambda level: level / 20)
    return y, np.array(draw(st.lists(levels, min_size=rows, max_size=rows)))


@given(scored())
@settings(deadline=None, max_examples=60)
def test_measures_equal_scikit_learn(pair):
    y, p = pair
    assert metrics.average_precision(y, p) == pytest.approx(sklearn.metrics.average_precision_score(y, p))
    assert metrics.roc_auc(y, p) == pytest.approx(sklearn.metrics.roc_auc_score(y, p))
    assert metrics.brier(y, p) == pytest.approx(sklearn.metrics.brier_score_loss(y, p))
    assert metrics.f1(y, p, 0.5) == pytest.approx(sklearn.metrics.f1_score(y, p >= 0.5, zero_division=0))


@given(scored())
@settings(deadline=None, max_examples=60)
def test_the_threshold_has_the_greatest_f1_of_all(pair):
    y, p = pair
    best = metrics.f1(y, p, metrics.best_f1_threshold(y, p))
    assert best >= max(metrics.f1(y, p, level) for level in [*p, 0.0]) - 1e-12


def test_a_weight_counts_a_row_that_often():
    y, p = np.array([True, False, True]), np.array([0.9, 0.5, 0.1])
    weights = np.array([1.0, 2.0, 3.0])
    often = np.repeat([0, 1, 2], [1, 2, 3])
    assert metrics.average_precision(y, p, weights) == pytest.approx(metrics.average_precision(y[often], p[often]))


@given(st.floats(0.05, 5), st.floats(-3, 3))
@settings(deadline=None, max_examples=20)
def test_calibration_finds_the_map_that_made_the_labels(slope, intercept):
    rng = np.random.default_rng(3)
    scores = rng.uniform(0.02, 0.98, 20_000)
    truth = Calibration(slope=slope, intercept=intercept)
    y = rng.random(20_000) < calibrated(scores, truth)
    if 200 < y.sum() < 19_800:
        found = calibrated(scores, training.calibrate(scores, y))
        assert np.abs(found - calibrated(scores, truth)).mean() < 0.02


@pytest.mark.parametrize(("threshold", "names"), [(0.4, ["leave", "nurture", "target"]), (0.1, ["leave", "target"])])
def test_segments_cover_every_probability(threshold, names):
    segments = make_segments(threshold, 0.2)
    assert [segment.name for segment in segments] == names
    assert segment_names(np.array([0.0, threshold, 1.0]), segments) == ["leave", "target", "target"]


def labelled(rows: int, times=None) -> Labelled:
    found, _ = splits.label(columns_of(customers(rows, 3)), "y", times=times)
    return found


def test_a_row_stays_in_its_part_when_rows_are_added():
    features, _ = schema.infer(labelled(3_000).columns)
    small, large = (splits.divide(labelled(3_000).take(np.arange(n)), features, seed=0) for n in (2_000, 3_000))
    assert set(small.test) == {row for row in large.test if row < 2_000}
    shares = [len(part) / 3_000 for part in (large.train, large.calibration, large.test)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_rows_with_a_time_are_judged_on_the_newest_and_unseen_ones_are_later():
    from datetime import timedelta

    times = [NOW + timedelta(hours=(7 * i) % 2_000) for i in range(2_000)]
    rows = labelled(2_000, times)
    features, _ = schema.infer(rows.columns)
    parts = splits.divide(rows, features, seed=0)
    known = [times[i] for i in [*parts.train, *parts.calibration]]
    assert max(known) < min(times[i] for i in parts.test)
    assert set(np.flatnonzero(splits.unseen(rows, features, parts.split))) == set(parts.test)
    assert not {*parts.train} & {*parts.calibration}


def test_few_distinct_rows_do_not_gather_in_one_part():
    y = np.arange(2_000) % 4 == 0
    rows = Labelled({"x": ["a" if i % 3 else "b" for i in range(2_000)]}, y, [None] * 2_000)
    features, _ = schema.infer(rows.columns)
    parts = splits.divide(rows, features, seed=0)
    assert y[parts.test].mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        (["yes", "no", "no"], None, ("yes", "no")),
        ([True, False, True], None, ("true", "false")),
        ([1, 0, 0, None], None, ("1", "0")),
        ([1.0, 0.0, 0.0], "0", ("0", "1")),
        (["b", "a"], None, ("b", "a")),
        (["Yes", "no"], "yes", ("Yes", "no")),
        (["2.0", "1.0", "1.0"], "1", ("1.0", "2.0")),
    ],
)
def test_the_target_is_read_from_any_two_values(values, positive, expected):
    target, codes = read_target(values, "t", positive)
    assert (target.positive, target.negative) == expected
    assert len(codes) == len(values)


def test_the_model_finds_most_of_what_can_be_known():
    table = customers(4_000, 12)
    package = learn(table)
    test = package.trained.test
    words = {name: np.array(values) for name, values in test.columns.items()}
    best = metrics.roc_auc(test.y, log_odds(words))
    assert package.report["roc_auc"]["model"] - 0.5 > 0.6 * (best - 0.5)
    assert package.report["calibration_error"]["model"] < 0.05


def test_the_search_stops_for_its_time_budget_and_says_so():
    ticks = iter(range(10_000))
    rows = labelled(600)
    features, _ = schema.infer(rows.columns)
    table = pipelines.frame(schema.encode(rows.columns, features)[0], features)
    parameters = Parameters(iterations=9, trees=20, budget_seconds=8)
    fitted = training.fit(
        table, rows.y, features, parameters, groups=np.arange(600), ordered=False, clock=lambda: float(next(ticks))
    )
    assert fitted.cut
    assert 1 <= fitted.tried < 9


def test_the_parity_gate_refuses_another_model(package):
    model, pipeline = package.trained.model, package.trained.fitted.pipeline
    columns = package.trained.test.columns
    assert export.check_parity(model, pipeline, columns, seed=1) < 1e-5
    shifted = model.specification.model_copy(update={"calibration": Calibration(slope=1, intercept=0.001)})
    altered = Model("other", shifted, package.trained.body)
    forest = learn(customers(2_000, seed=77)).trained.fitted.pipeline
    with pytest.raises(CorruptError):
        export.check_parity(altered, forest, columns, seed=1)


def test_bytes_that_are_no_model_are_refused(package):
    with pytest.raises(CorruptError):
        Model("broken", package.trained.model.specification, b"not onnx")


def test_numbers_never_lose_a_decision_to_single_precision():
    values = list(np.linspace(0, 1, 4_001)) + [2**24 + 1.0, 2**24 + 3.0] * 50
    y = np.array([(value * 7_919) % 2 < 1 for value in values])
    package = learning.learn(
        Labelled({"x": values, "k": ["a", "b"] * (len(values) // 2) + ["a"]}, y, [None] * len(values)),
        Target("t", "yes", "no"),
        QUICK,
    )
    assert package.trained.parity < 1e-6


def test_a_column_may_be_called_anything_and_hold_anything():
    rows = 400
    columns = {
        "a b.c-d é": [float(i % 17) for i in range(rows)],
        "1": ["x", "y"] * (rows // 2),
        "probabilities": [None if i % 5 == 0 else i % 3 for i in range(rows)],
        "flag": [True, False, None, True] * (rows // 4),
        "wide": [f"v{i % 90}" for i in range(rows)],
    }
    y = np.array([(i % 17) > 12 for i in range(rows)])
    package = learning.learn(Labelled(columns, y, [None] * rows), Target("t", "1", "0"), QUICK)
    assert package.report["roc_auc"]["model"] > 0.9
    assert [f.kind for f in package.trained.model.specification.features] == [
        "number", "category", "number", "boolean", "category",
    ]  # fmt: skip


def test_no_column_is_too_little():
    with pytest.raises(InputError):
        learning.learn(Labelled({"c": ["x"] * 100}, np.arange(100) > 50, [None] * 100), Target("t", "1", "0"), QUICK)


@pytest.mark.parametrize("value", ["inf", "-inf", "1e39", "0x10", "twelve"])
def test_what_is_no_number_is_no_number_in_a_file(value):
    feature = Feature(name="x", kind="number")
    _, bad = schema.encode({"x": ["1", value]}, [feature])
    assert set(bad) == {1}
