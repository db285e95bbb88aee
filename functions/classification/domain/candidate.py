"""One training run from labelled rows to a model that has passed the parity gate, with its report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Calibration, Feature, Specification
from functions.classification.domain import drift, export, metrics, pipelines, schema, training
from functions.classification.domain.model import Model, calibrated, make_segments
from functions.classification.domain.splits import Labelled, Parts, distinct, divide, twins
from functions.classification.domain.target import Target
from functions.classification.domain.training import Parameters
from layers.runtime.errors import InputError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

MIN_OF_EACH = 20


@dataclass(frozen=True)
class Trained:
    """A candidate: the model, its file, and what it and its peers say about rows that nobody saw."""

    model: Model
    body: bytes
    fitted: training.Fitted
    parity: float
    rows: Labelled
    parts: Parts
    test: Labelled
    scores: dict[str, Floats]
    thresholds: dict[str, float]
    counts: dict[str, int]
    twins: int
    dropped: dict[str, str]


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
    features, dropped = _features(rows)
    whose = [*schema.identifiers(rows.columns), *([] if rows.group is None else [rows.group])]
    kept = distinct(rows, list(dict.fromkeys([feature.name for feature in features] + whose)))
    copies = len(rows.y) - len(kept)
    if copies:  # what they say of a column is said twice
        rows = rows.take(kept)
        features, dropped = _features(rows)
    _, bad = schema.encode(rows.columns, features)
    good = rows.take(np.array([i for i in range(len(rows.y)) if i not in bad], dtype=np.int64))
    parts = divide(good, features, seed=parameters.seed, in_order=in_order)
    _check_enough(good.y, parts)
    inputs, _ = schema.encode(good.columns, features)
    table = pipelines.frame(inputs, features)
    ordered = parts.split.kind != "hash"
    seen = parts.train
    fitted = training.fit(
        table.iloc[seen],
        good.y[seen],
        features,
        parameters,
        groups=parts.groups[seen],
        ordered=ordered,
        clock=clock,
        progress=progress,
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
        rows=good,
        parts=parts,
        test=good.take(parts.test),
        scores={name: scores[parts.test] for name, scores in {"model": p, **others}.items()},
        thresholds=thresholds,
        counts={
            "train": len(parts.train),
            "calibration": len(parts.calibration),
            "test": len(parts.test),
            "rejected": len(bad),
            "copies": copies,
        },
        twins=twins(good, features, parts),
        dropped=dropped,
    )


def _features(rows: Labelled) -> tuple[tuple[Feature, ...], dict[str, str]]:
    features, dropped = schema.infer({name: values for name, values in rows.columns.items() if name != rows.group})
    if not features:
        raise InputError("no column is left to learn from")
    return features, dropped | ({} if rows.group is None else {rows.group: "says whose row it is"})


def choose_threshold(y: Bools, p: Floats, parameters: Parameters) -> float:
    """Greatest F1; or with a value and a cost greatest expected profit: calibrated p times value passes cost."""
    if parameters.value is not None and parameters.cost is not None:
        return parameters.cost / parameters.value
    return metrics.best_f1_threshold(y, p)


def _check_enough(y: Bools, parts: Parts) -> None:
    smallest = min(int(y.sum()), int((~y).sum()))
    if smallest < MIN_OF_EACH:
        raise InputError(f"too few rows: at least {MIN_OF_EACH} of each kind are needed, there are {smallest}")
    for name, part in {"train": parts.train, "calibrate": parts.calibration, "judge": parts.test}.items():
        if not 0 < y[part].sum() < len(part):
            raise InputError(f"the {len(part)} rows that are to {name} are not of both kinds")


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
        references=tuple(drift.reference(inputs[f"c{i}"], f, held_out) for i, f in enumerate(features)),
        score_reference=drift.reference(p[held_out], None),
        split=parts.split,
        left_out=left_out,
    )
