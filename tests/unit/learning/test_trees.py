import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from layers.learning import trees
from layers.learning.session import Session
from layers.runtime.errors import CorruptError

SMALL: dict[str, Any] = {"rounds": 25, "seed": 3, "num_leaves": 15, "learning_rate": 0.2, "min_data_in_leaf": 5}


def both(booster: lightgbm.Booster, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return Session(trees.onnx_bytes(booster), name="it").scores({"x": x}), np.asarray(booster.predict(x))


def rows(n: int = 3_000, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two categories (40 and 4 values), a column with gaps, one that is constant, coarse and fine numbers; a target."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    x[:, 0], x[:, 1], x[:, 3] = rng.integers(0, 40, n), rng.integers(0, 4, n), 1.0
    x[:, 4] = rng.integers(0, 20, n) / 10
    effect = rng.normal(size=40)[x[:, 0].astype(int)] + x[:, 2] * (x[:, 1] == 2) + np.sin(3 * x[:, 4])
    x[rng.random(n) < 0.2, 2] = np.nan
    x[rng.random(n) < 0.1, 0] = np.nan
    return x, effect


@pytest.mark.parametrize("objective", ["binary", "regression"])
def test_the_stored_model_answers_as_the_fitted_one_on_gaps_and_unknown_categories(objective: Any) -> None:
    x, effect = rows()
    y = effect > 0 if objective == "binary" else effect
    booster = trees.fit(x, y, objective=objective, categories=[0, 1], **SMALL)
    unseen, _ = rows(seed=1)
    rng = np.random.default_rng(2)
    unseen[rng.random(unseen.shape) < 0.2] = np.nan  # in columns, too, that training knew without gaps
    unseen[::7, 0], unseen[::11, 1], unseen[::13, 4] = 99, -1, np.inf
    ours, theirs = both(booster, unseen)
    assert np.abs(ours - theirs).max() < 1e-5
    assert len(np.unique(ours)) > 100


def test_a_category_that_is_missing_or_unknown_is_neither_of_the_others() -> None:
    x = np.repeat(np.float32([0, 1, 2, np.nan]), 200)[:, None]
    y = np.repeat([0.0, 5.0, 9.0, 2.0], 200)
    booster = trees.fit(x, y, objective="regression", categories=[0], min_data_per_group=1, cat_smooth=1, **SMALL)
    ours, theirs = both(booster, np.float32([[0], [1], [2], [np.nan], [-1], [7]]))
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert ours[:4] == pytest.approx([0, 5, 9, 2], abs=0.2)
    assert ours[3] == ours[4] == ours[5]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False), min_size=2, max_size=40, unique=True),
    st.integers(0, 9),
)
def test_numbers_at_a_threshold_and_next_to_it_fall_on_the_same_side(values: list[float], seed: int) -> None:
    x = np.repeat(np.float32(values), 6)[:, None]
    y = np.random.default_rng(seed).normal(size=len(values)).repeat(6)
    booster = trees.fit(x, y, objective="regression", max_bin=1000, min_data_in_bin=1, **SMALL)
    edges = [node["threshold"] for tree in booster.dump_model()["tree_info"] for node in splits(tree["tree_structure"])]
    near = np.float32(np.clip([*values, *edges, 0.0], -3e38, 3e38))
    near = np.concatenate([near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))])
    near = near[(near == 0) | (np.abs(near) > 1e-34)]  # LightGBM takes 1e-35 and less for zero
    ours, theirs = both(booster, near[:, None])
    assert np.abs(ours - theirs).max() < 1e-5


def splits(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *splits(node["left_child"]), *splits(node["right_child"])] if "threshold" in node else []


def test_the_same_rows_and_seed_give_the_same_bytes_and_another_seed_others() -> None:
    x, y = rows()
    sampled = SMALL | {"bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5}
    first, again, other = (
        trees.export(trees.fit(x, y, objective="regression", **(sampled | {"seed": seed})), x, seed=0)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_fitting_exporting_and_scoring_start_no_thread() -> None:
    code = """
import numpy as np
from pathlib import Path
from layers.learning import trees
from layers.learning.session import Session
threads = lambda: len(list(Path("/proc/self/task").iterdir()))
before = threads()
x = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32)
body = trees.export(trees.fit(x, x[:, 0] > 0, objective="binary", rounds=5, seed=0), x, seed=0)
Session(body, name="it").scores({"x": x})
print(threads() - before)
"""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=120)
    assert done.stdout == b"0\n"


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 3), (30, 300), (2_000, 300)])
def test_few_rows_and_many_columns_are_learned_from_and_stored(n: int, k: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, k)).astype(np.float32)
    booster = trees.fit(x, x[:, -1] * 3, objective="regression", **SMALL)
    assert trees.export(booster, x, seed=0)
    ours, theirs = both(booster, x)
    assert np.abs(ours - theirs).max() < 1e-5


def test_constant_features_give_the_mean_and_no_warning() -> None:
    x, y = np.ones((50, 2), np.float32), np.arange(50.0)
    ours, _ = both(trees.fit(x, y, objective="regression", **SMALL), x)
    assert ours == pytest.approx(24.5)


def test_weights_move_what_is_learned() -> None:
    x, y = np.ones((4, 1), np.float32), np.array([0.0, 0.0, 0.0, 1.0])
    ours, _ = both(trees.fit(x, y, objective="regression", weights=np.array([1.0, 1, 1, 3]), **SMALL), x)
    assert ours == pytest.approx(0.5)


def test_the_gate_stops_a_model_that_differs() -> None:
    good = np.array([0.1, 0.2])
    assert trees.check_parity(good, good + 1e-7) < 1e-6
    for bad in (good + 1e-3, np.array([0.1, np.nan])):
        with pytest.raises(CorruptError, match="differs"):
            trees.check_parity(good, bad)


def test_what_is_no_model_is_refused_by_its_name() -> None:
    with pytest.raises(CorruptError, match="version-1 is not an ONNX model"):
        Session(b"nothing", name="version-1")


def test_a_session_needs_no_learner() -> None:
    code = "import sys, layers.learning.session; print(any(m in sys.modules for m in ('lightgbm', 'onnx', 'scipy')))"
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=120)
    assert done.stdout == b"False\n"


def test_a_session_reads_a_forest_with_an_input_for_each_column() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    forest = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0)
    columns = pd.DataFrame(x, columns=["a", "b"])
    pipeline = Pipeline([("join", ColumnTransformer([("all", StandardScaler(), ["a", "b"])])), ("forest", forest)])
    pipeline.fit(columns, x[:, 0] > 0)
    types = [(name, FloatTensorType([None, 1])) for name in ("a", "b")]
    body = to_onnx(pipeline, initial_types=types, options={id(forest): {"zipmap": False}}, target_opset=17)
    scores = Session(body.SerializeToString(), name="it").scores({"a": x[:, :1], "b": x[:, 1:]})
    assert scores == pytest.approx(pipeline.predict_proba(columns)[:, 1], abs=1e-4)
