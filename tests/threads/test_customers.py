"""Reports on training a classifier and serving it elsewhere."""

import numpy as np
import pytest

from functions.classification.domain.fit import Parameters
from functions.classification.domain.splits import Labelled, Target
from functions.classification.learn import Package, learn
from layers.learning import trees
from layers.learning.session import Session

QUICK = Parameters(iterations=2, trees=30, folds=2)
LEAVES = {"num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 5}


def learned(x: np.ndarray, y: np.ndarray) -> Package:
    columns = {f"x{i}": column.tolist() for i, column in enumerate(x.T)}
    return learn(Labelled(columns, y, [None] * len(y)), Target("y", "1", "0"), QUICK)


def test_trees_over_hours_of_the_week_answer_as_before_when_stored() -> None:
    """https://github.com/onnx/onnxmltools/issues/708
    a LightGBM model of rare peaks over sine and cosine of the time predicts otherwise once it is ONNX
    """
    minutes = np.arange(0, 30 * 24 * 60, 5)
    day, week = 2 * np.pi * minutes / 1440, 2 * np.pi * minutes / 10_080
    x = np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=1).astype(np.float32)
    hour = minutes // 60 % 24
    y = np.select([hour == 8, hour == 12, hour == 14], [1.0, 2.0, 3.0], 0.0)
    booster = trees.fit(x, y, objective="regression", rounds=100, seed=0, **LEAVES)
    stored = Session(trees.export(booster, x, seed=0), name="it").scores({"x": x})
    assert np.abs(stored - booster.predict(x)).max() < 1e-5


def test_a_row_that_lies_on_the_threshold_of_a_split_takes_the_same_branch_when_stored() -> None:
    """https://github.com/onnx/onnxmltools/issues/728
    a converted classifier gives one row another class: its values lie where double and single precision part
    """
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 300, (4_000, 5)) / 10).astype(np.float32)
    y = x[:, 0] + x[:, 1] * (x[:, 2] > 15) > 20
    booster = trees.fit(x, y, objective="binary", rounds=60, seed=0, **LEAVES)
    edges = booster.trees_to_dataframe()["threshold"].dropna().to_numpy().astype(np.float32)
    near = np.concatenate([edges, np.nextafter(edges, np.float32(-1)), np.nextafter(edges, np.float32(99))])
    rows = rng.choice(near, (20_000, 5))
    stored = Session(trees.onnx_bytes(booster), name="it").scores({"x": rows})
    assert np.abs(stored - booster.predict(rows)).max() < 1e-5


def test_probabilities_calibrated_with_steps_are_served_as_they_were_fitted() -> None:
    """https://github.com/onnx/sklearn-onnx/issues/1151
    isotonic calibration behind a deep forest gives other probabilities in ONNX: a score crosses a step
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6_000, 4)).round(2)
    package = learned(x, rng.random(6_000) < 1 / (1 + np.exp(-2 * x[:, 0] * x[:, 1])))
    assert package.trained.model.specification.calibration.scores
    assert package.trained.parity < 1e-5


def test_random_labels_score_the_base_rate_whatever_is_oversampled() -> None:
    """https://github.com/scikit-learn-contrib/imbalanced-learn/issues/751
    oversampling before the split puts copies of the same row on both sides, so that noise looks learnable
    """
    rng = np.random.default_rng(0)
    y = rng.random(3_000) < 0.2
    report = learned(rng.normal(size=(3_000, 4)), y).report
    assert report["average_precision"]["model"] == pytest.approx(0.2, abs=0.06)
    assert report["roc_auc"]["model"] == pytest.approx(0.5, abs=0.08)
