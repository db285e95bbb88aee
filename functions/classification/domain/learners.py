"""The learners that are compared. Each takes the matrix of `schema.encode` and weights, and is stored as ONNX."""

import warnings
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import lightgbm
import numpy as np
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as ResamplingPipeline
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from functions.classification.contracts import Feature
from functions.classification.domain.schema import Bools, Floats, Matrix, places
from layers.learning import trees

Options = dict[str, Any]
Fitted: TypeAlias = lightgbm.Booster | Pipeline

OPSET: Final = 17
RECENT: Final = [None, 0.5, 0.15]  # a row's weight falls to 1/e over this share of the rows, in time order
# Options by learner, the first of each its default: boosted trees (Ke et al. 2017), random forest (Breiman 2001) with
# and without resampling (SMOTE: Chawla et al. 2002), logistic regression.
SPACE: Final[dict[str, dict[str, list[Any]]]] = {
    "boosted": {
        "learning_rate": [0.05, 0.03, 0.1],
        "rounds": [150, 80, 250],
        "num_leaves": [7, 15, 31],
        "min_data_in_leaf": [20, 10, 50, 100],
        "feature_fraction": [0.5, 0.3, 0.8],
        "lambda_l2": [1.0, 0.0, 10.0],
    },
    "logistic": {"C": [1.0, 0.01, 0.1]},
    "forest": {
        "min_samples_leaf": [5, 2, 12],
        "max_leaf_nodes": [256, 64, 512],
        "max_features": ["sqrt", 0.15, 0.3],
        "class_weight": [None, "balanced_subsample"],
    },
    "resampled forest": {"min_samples_leaf": [5, 2, 12], "max_leaf_nodes": [256, 512], "max_features": ["sqrt", 0.3]},
}


def fit(
    options: Options,
    x: Matrix,
    y: Bools,
    features: Sequence[Feature],
    *,
    weights: Floats,
    forest: int,
    seed: int,
) -> Fitted:
    """The learner that `options` names under `learner`, fitted to the rows (a positive and a negative at least)."""
    learner, own = options["learner"], {k: v for k, v in options.items() if k not in ("learner", "recent")}
    words = [own[0] for own, feature in zip(places(features), features, strict=True) if feature.kind == "category"]
    if learner == "boosted":
        return trees.fit(
            x, y, objective="binary", seed=seed, weights=weights, categories=words,
            bagging_fraction=0.8, bagging_freq=1, min_data_per_group=20, cat_smooth=20.0, max_bin=127, **own,
        )  # fmt: skip
    resample: Any = "passthrough"
    if learner == "logistic":
        last: Any = LogisticRegression(max_iter=500, **own)
    else:
        last = RandomForestClassifier(forest, random_state=seed, **own)
        neighbours = min(5, int(y.sum()) - 1, int((~y).sum()) - 1)
        if learner == "resampled forest" and neighbours > 0:
            resample = SMOTE(k_neighbors=neighbours, random_state=seed)
    encode = _encoder(features, words, scaled=learner == "logistic")
    steps = ResamplingPipeline([("encode", encode), ("resample", resample), ("last", last)])
    weighted = {} if resample != "passthrough" else {"last__sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a regression that has not quite converged is still one
        steps.fit(x, y, **weighted)
    return Pipeline([("encode", steps["encode"]), ("last", steps["last"])])


def _encoder(features: Sequence[Feature], words: list[int], *, scaled: bool) -> ColumnTransformer:
    """One-hot of the known categories (others are all zero); median for missing numbers."""
    numbers = [place for own in places(features) for place in own if place not in words]
    fill = ("fill", SimpleImputer(strategy="median", keep_empty_features=True))
    number = Pipeline([fill, ("scale", StandardScaler())] if scaled else [fill])
    codes = [np.arange(float(len(feature.categories))) for feature in features if feature.kind == "category"]
    one_hot = OneHotEncoder(categories=codes, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    steps = [("numbers", number, numbers), ("words", one_hot, words)]
    return ColumnTransformer([step for step in steps if step[2]])


def predict(fitted: Fitted, x: Matrix) -> Floats:
    """Scores from 0 to 1, shape (rows,)."""
    if isinstance(fitted, lightgbm.Booster):
        return np.asarray(fitted.predict(x, num_threads=1))
    return np.asarray(fitted.predict_proba(x)[:, 1], dtype=np.float64)


def to_bytes(fitted: Fitted) -> bytes:
    """The learner as an ONNX file of input `x` (rows, inputs); the score is the last column of the last output."""
    if isinstance(fitted, lightgbm.Booster):
        return trees.onnx_bytes(fitted)
    last = fitted["last"]
    for tree in getattr(last, "estimators_", []):
        # ONNX keeps thresholds as float32. The largest float32 not above each splits float32 inputs the same way.
        double = tree.tree_.threshold
        single = double.astype(np.float32)
        double[:] = np.where(single > double, np.nextafter(single, np.float32(-np.inf)), single)
    types = [("x", FloatTensorType([None, fitted.n_features_in_]))]
    graph = to_onnx(fitted, initial_types=types, options={id(last): {"zipmap": False}}, target_opset=OPSET)
    body: bytes = graph.SerializeToString()
    return body
