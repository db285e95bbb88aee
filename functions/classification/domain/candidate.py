"""One training run from labelled rows to a model that has passed the parity gate, with its report."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Calibration, Feature, Specification
from functions.classification.domain import drift, export, metrics, pipelines, schema, training
from functions.classification.domain.scoring import Model, calibrated, make_segments
from functions.classification.domain.splits import Labelled, Parts, divide
from functions.classification.domain.training import Parameters
from layers.runtime.errors import InputError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

MIN_OF_EACH = 20


@dataclass(frozen=True)
class Target:
    """The column to predict and its two values, as text."""

    name: str
    positive: str
    negative: str


@dataclass(frozen=True)
class Trained:
    """A candidate: the model, its file, and what it and its peers say about rows that nobody saw."""

    model: Model
    body: bytes
    fitted: training.Fitted
    parity: float
    test: Labelled
    scores: dict[str, Floats]
    thresholds: dict[str, float]
    counts: dict[str, int]
    dropped: dict[str, str]


def read_target(values: Any, name: str, positive: str | None = None) -> tuple[Target, npt.NDArray[np.int64]]:
    """The target's two values and, per row, 1 for positive, 0 for negative, -1 for null.

    Spellings of one value (`Yes` and `yes`, `1` and `1.0`) are that value, which is called by the commonest. Positive
    is the rarer value unless named; of two equally frequent ones the later in sort order. Raises InputError when there
    are not exactly two values, or `positive` is neither.
    """
    words = [schema.canonical(value) for value in values]
    kinds, counts = np.unique([word for word in words if word], return_counts=True)
    if len(kinds) != 2:
        # The values are not shown: this is logged, and a column named by mistake may hold anything.
        raise InputError(f"the target must have two values, it has {len(kinds)}", field=name)
    ranked = sorted(zip(counts, kinds, strict=True), key=lambda pair: (pair[0], [-ord(c) for c in pair[1]]))
    rare, common = str(ranked[0][1]), str(ranked[1][1])
    if positive is not None:
        wanted = schema.canonical(positive)
        if wanted not in (rare, common):
            raise InputError(f"the target has no value {positive!r}, only {rare!r} and {common!r}", field=name)
        rare, common = wanted, common if wanted == rare else rare
    code = {rare: 1, common: 0, "": -1}
    spelt = {
        word: Counter(schema.text(v) for v, w in zip(values, words, strict=True) if w == word)
        for word in (rare, common)
    }
    named = Target(name, *(spelt[word].most_common(1)[0][0] for word in (rare, common)))
    return named, np.array([code[word] for word in words])


def train(
    rows: Labelled,
    target: Target,
    parameters: Parameters,
    *,
    in_order: bool = False,
    refused: Sequence[str] = (),
    version: str = "candidate",
    clock: Callable[[], float] = time.monotonic,
    progress: training.Progress = training.silent,
) -> Trained:
    """Search, fit, calibrate, choose thresholds, export, compare. Raises InputError for too little to learn from."""
    features, dropped = schema.infer(rows.columns)
    if not features:
        raise InputError("no column is left to learn from")
    _, bad = schema.encode(rows.columns, features)
    good = rows.take(np.array([i for i in range(len(rows.y)) if i not in bad], dtype=np.int64))
    parts = divide(good, features, seed=parameters.seed, in_order=in_order)
    _check_enough(good.y, parts)
    inputs, _ = schema.encode(good.columns, features)
    table = pipelines.frame(inputs, features)
    ordered = parts.split.kind != "hash"
    seen = parts.train
    fitted = training.fit(
        table.iloc[seen], good.y[seen], features, parameters, ordered=ordered, clock=clock, progress=progress
    )
    raw = fitted.pipeline.predict_proba(table)[:, 1]
    calibration = training.calibrate(raw[parts.calibration], good.y[parts.calibration])
    p = calibrated(raw, calibration)
    known = parts.calibration if ordered else np.concatenate([parts.train, parts.calibration])
    base_rate = float(good.y[known].mean())
    others = _baselines(table, good.y, features, parts, base_rate)
    thresholds = {
        name: choose_threshold(good.y[parts.calibration], scores[parts.calibration], parameters)
        for name, scores in {"model": p, **others}.items()
    }
    left_out = dropped | dict.fromkeys(refused, "known only afterwards")
    specification = _specification(
        target, features, left_out, calibration, thresholds["model"], base_rate, inputs, p, parts
    )
    body = export.to_bytes(fitted.pipeline, features)
    model = Model(version, specification, body)
    return Trained(
        model=model,
        body=body,
        fitted=fitted,
        parity=export.check_parity(model, fitted.pipeline, good.columns, seed=parameters.seed),
        test=good.take(parts.test),
        scores={name: scores[parts.test] for name, scores in {"model": p, **others}.items()},
        thresholds=thresholds,
        counts={
            "train": len(parts.train),
            "calibration": len(parts.calibration),
            "test": len(parts.test),
            "rejected": len(bad),
        },
        dropped=dropped,
    )


def choose_threshold(y: Bools, p: Floats, parameters: Parameters) -> float:
    """Greatest F1; or with a value and a cost greatest expected profit: calibrated p times value passes cost."""
    if parameters.value is not None and parameters.cost is not None:
        return parameters.cost / parameters.value
    return metrics.best_f1_threshold(y, p)


def _check_enough(y: Bools, parts: Parts) -> None:
    smallest = min(int(y.sum()), int((~y).sum()))
    lacking = any(not 0 < y[part].sum() < len(part) for part in (parts.train, parts.calibration, parts.test))
    if smallest < MIN_OF_EACH or lacking:
        raise InputError(f"too few rows: at least {MIN_OF_EACH} of each kind are needed, there are {smallest}")


def _baselines(
    table: Any, y: Bools, features: tuple[Feature, ...], parts: Parts, base_rate: float
) -> dict[str, Floats]:
    logistic = pipelines.fit_logistic(table.iloc[parts.train], y[parts.train], features)
    return {"dummy": np.full(len(y), base_rate), "logistic": logistic.predict_proba(table)[:, 1]}


def _specification(
    target: Target,
    features: tuple[Feature, ...],
    left_out: dict[str, str],
    calibration: Calibration,
    threshold: float,
    base_rate: float,
    inputs: schema.Inputs,
    p: Floats,
    parts: Parts,
) -> Specification:
    held_out = np.concatenate([parts.calibration, parts.test])
    return Specification(
        target=target.name,
        positive=target.positive,
        negative=target.negative,
        features=features,
        calibration=calibration,
        threshold=threshold,
        base_rate=base_rate,
        segments=make_segments(threshold, base_rate),
        references=tuple(drift.reference(inputs[f"c{i}"][held_out], f) for i, f in enumerate(features)),
        score_reference=drift.reference(p[held_out], None),
        split=parts.split,
        left_out=left_out,
    )
