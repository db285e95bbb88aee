"""Search, forest, calibration and thresholds, each on rows that the steps before did not see.

Encoding, resampling and forest are one pipeline inside the search, so no synthetic row reaches a validation fold.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as ResamplingPipeline
from pydantic import BaseModel, ConfigDict, Field
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterSampler
from sklearn.pipeline import Pipeline

from functions.classification.contracts import Calibration, Feature
from functions.classification.domain import metrics
from functions.classification.domain.model import calibrated, log_odds
from functions.classification.domain.pipelines import encoder

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

SEARCH_TREES = 60
MOST_LOST = 1e-3  # of average precision: scores beyond the floor of the map become ties
DEFAULT: dict[str, Any] = {"leaf": 5, "leaves": 256, "features": "sqrt", "resample": "none", "recent": 1.0}
SPACE: dict[str, list[Any]] = {
    "leaf": [2, 3, 5, 8, 12, 20],
    "leaves": [64, 256, 512],
    "features": ["sqrt", 0.15, 0.3, 0.5],
    "resample": ["none", "balanced", "smote"],
}


class Parameters(BaseModel):
    """How a model is made. Trees and leaves are capped so that it loads and answers fast."""

    model_config = ConfigDict(frozen=True)

    iterations: int = Field(16, ge=1, le=500, description="candidates of the randomised search")
    seed: int = Field(0, ge=0)
    folds: int = Field(3, ge=2)
    trees: int = Field(120, ge=10, le=400)
    leaves: int = Field(512, ge=8, le=2048, description="most leaves per tree")
    search_rows: int = Field(12_000, description="most rows that the search looks at")
    budget_seconds: float = Field(600, gt=0, description="the search stops so that the whole training fits in this")
    value: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline (encoder and forest) and how it was found."""

    pipeline: Pipeline
    chosen: dict[str, Any]
    tried: int
    cut: bool
    scores: list[float] = field(default_factory=list)


def silent(done: int, total: int) -> None:
    """Progress that nobody watches: `done` of `total` candidates."""


def fit(
    rows: pd.DataFrame,
    y: Bools,
    features: Sequence[Feature],
    parameters: Parameters,
    *,
    groups: Rows,
    ordered: bool,
    clock: Callable[[], float] = time.monotonic,
    progress: Progress = silent,
) -> Fitted:
    """Search on `rows` (in time order when `ordered`), then fit the winner on all of them. No group (a number per row)
    is on both sides of a fold.

    The search ends early when the next candidate would not fit in half the time budget; `cut` says so.
    """
    end = clock() + parameters.budget_seconds / 2
    looked_at = _newest_or_random(y, ordered, parameters)
    few, few_y = rows.iloc[looked_at], y[looked_at]
    folds = _folds(few_y, groups[looked_at], ordered, parameters)
    candidates = _candidates(parameters, ordered)
    scores: list[float] = []
    slowest = 0.0
    for candidate in candidates:
        started = clock()
        if scores and started + slowest > end:
            break
        scores.append(float(np.mean([_validate(few, few_y, s, v, candidate, features, parameters) for s, v in folds])))
        slowest = max(slowest, clock() - started)
        progress(len(scores), len(candidates))
    chosen = candidates[int(np.argmax(scores))]
    used = _recent(np.arange(len(rows)), chosen["recent"])
    pipeline = _fit_one(rows.iloc[used], y[used], chosen, features, parameters, parameters.trees)
    return Fitted(pipeline, chosen, len(scores), cut=len(scores) < len(candidates), scores=scores)


def _newest_or_random(y: Bools, ordered: bool, parameters: Parameters) -> Rows:
    """At most `search_rows` rows, of which a rare kind is up to a twentieth, or all that there are."""
    rank = np.arange(len(y))[::-1] if ordered else np.random.default_rng(parameters.seed).permutation(len(y))
    order = np.argsort(rank)
    for kind in (y, ~y):
        rank[order[kind[order]][: parameters.search_rows // 20]] = -1
    return np.sort(np.argsort(rank, kind="stable")[: parameters.search_rows])


def _folds(y: Bools, groups: Rows, ordered: bool, parameters: Parameters) -> list[tuple[Rows, Rows]]:
    """(rows to fit, rows to validate on): forwards in time if `ordered` and both sides have both kinds, else dealt."""
    if ordered:
        cuts = [int(len(y) * share) for share in (0.5, 0.75, 1.0)]
        ahead = [np.arange(a, b) for a, b in pairwise(cuts)]
        forward = [(np.flatnonzero(~np.isin(groups[: v[0]], groups[v])), v) for v in ahead if len(v)]
        usable = [(s, v) for s, v in forward if 0 < y[s].sum() < len(s) and 0 < y[v].sum() < len(v)]
        if usable:
            return usable
    _, members = np.unique(groups, return_inverse=True)
    positive = np.bincount(members, weights=y) > 0
    shuffled = np.random.default_rng(parameters.seed).permutation(len(positive))
    fold = np.empty(len(positive), dtype=np.int64)
    fold[shuffled[np.argsort(~positive[shuffled], kind="stable")]] = np.arange(len(positive)) % parameters.folds
    dealt = [(np.flatnonzero(fold[members] != k), np.flatnonzero(fold[members] == k)) for k in range(parameters.folds)]
    return [(s, v) for s, v in dealt if y[v].any()]


def _candidates(parameters: Parameters, ordered: bool) -> list[dict[str, Any]]:
    space = SPACE | {"recent": [1.0, 0.5, 0.25] if ordered else [1.0]}
    size = int(np.prod([len(options) for options in space.values()]))
    drawn = ParameterSampler(space, min(parameters.iterations, size), random_state=parameters.seed)
    return [DEFAULT, *(candidate for candidate in drawn if candidate != DEFAULT)][: parameters.iterations]


def _recent(rows: Rows, share: float) -> Rows:
    return rows[int(len(rows) * (1 - share)) :]


def _validate(
    rows: pd.DataFrame,
    y: Bools,
    seen: Rows,
    unseen: Rows,
    candidate: dict[str, Any],
    features: Sequence[Feature],
    parameters: Parameters,
) -> float:
    seen = _recent(seen, candidate["recent"])
    if not 0 < y[seen].sum() < len(seen):
        return 0.0
    pipeline = _fit_one(rows.iloc[seen], y[seen], candidate, features, parameters, SEARCH_TREES)
    return metrics.average_precision(y[unseen], pipeline.predict_proba(rows.iloc[unseen])[:, 1])


def _fit_one(
    rows: pd.DataFrame,
    y: Bools,
    candidate: dict[str, Any],
    features: Sequence[Feature],
    parameters: Parameters,
    trees: int,
) -> Pipeline:
    forest = RandomForestClassifier(
        trees,
        min_samples_leaf=candidate["leaf"],
        max_features=candidate["features"],
        max_leaf_nodes=min(candidate["leaves"], parameters.leaves),
        class_weight="balanced_subsample" if candidate["resample"] == "balanced" else None,
        random_state=parameters.seed,
    )
    neighbours = min(5, int(y.sum()) - 1)
    smote = candidate["resample"] == "smote" and neighbours > 0
    resample = SMOTE(k_neighbors=neighbours, random_state=parameters.seed) if smote else "passthrough"
    fitted = ResamplingPipeline([("encode", encoder(features)), ("resample", resample), ("forest", forest)]).fit(
        rows, y
    )
    return Pipeline([("encode", fitted["encode"]), ("forest", fitted["forest"])])


def calibrate(scores: Floats, y: Bools) -> Calibration:
    """Platt's map (1999) of forest scores to probabilities, on his smoothed targets.

    The scores themselves where there is no such map: the fit does not converge, falls, or loses average precision.
    """
    found = _platt(scores, y)
    lost = metrics.average_precision(y, scores) - metrics.average_precision(y, calibrated(scores, found))
    return found if found.slope > 0 and lost <= MOST_LOST else Calibration(floor=0.0)


def _platt(scores: Floats, y: Bools) -> Calibration:
    """The map that logistic regression finds; of slope 0 when it does not converge."""
    positives, negatives = int(y.sum()), int((~y).sum())
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # A row of target t is a positive of weight t and a negative of weight 1 - t.
    x = np.tile(log_odds(scores, Calibration().floor), 2)[:, None]
    truth, weights = np.repeat([1, 0], len(y)), np.concatenate([target, 1 - target])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = LogisticRegression().fit(x, truth, sample_weight=weights)
        except ConvergenceWarning:
            return Calibration(slope=0.0)
    return Calibration(slope=float(fitted.coef_[0, 0]), intercept=float(fitted.intercept_[0]))
