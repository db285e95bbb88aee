"""What a candidate is worth: every measure beside a dummy, a logistic regression and the champion."""

from typing import Any

import numpy as np

from functions.classification.domain import metrics, schema
from functions.classification.domain.candidate import Bools, Floats, Trained
from functions.classification.domain.scoring import Model
from functions.classification.domain.splits import Labelled
from functions.classification.domain.training import Parameters

PEERS = ("model", "dummy", "logistic", "champion")
IMPORTANCE_ROWS = 3_000
REPEATS = 3


def make_report(trained: Trained, parameters: Parameters, champion: Model | None = None) -> dict[str, Any]:
    """Per metric `{model, dummy, logistic, champion}`, null where there is none, all on the same unseen rows."""
    scores, thresholds = dict(trained.scores), dict(trained.thresholds)
    if champion is not None and not np.isnan(known := champion_scores(champion, trained.test)).any():
        scores["champion"], thresholds["champion"] = known, champion.specification.threshold
    measured = {name: _measures(trained.test.y, scores[name], thresholds[name], parameters) for name in scores}
    report: dict[str, Any] = {
        metric: {peer: measured[peer][metric] if peer in measured else None for peer in PEERS}
        for metric in measured["model"]
    }
    specification = trained.model.specification
    return report | {
        "target": specification.target,
        "positive": specification.positive,
        "base_rate": specification.base_rate,
        "segments": [segment.model_dump() for segment in specification.segments],
        "split": specification.split.kind,
        "rows": trained.counts,
        "dropped": trained.dropped,
        "search": {
            "iterations": parameters.iterations,
            "tried": trained.fitted.tried,
            "cut_by_time_budget": trained.fitted.cut,
            "chosen": trained.fitted.chosen,
            "average_precision": max(trained.fitted.scores),
        },
        "parity": trained.parity,
        "permutation_importance": importance(trained, parameters.seed),
        "champion": champion.version if champion else None,
    }


def champion_scores(champion: Model, rows: Labelled) -> Floats:
    """The champion's probabilities for these rows, NaN where it cannot score one: also where something is missing that
    it never missed."""
    features, absent = champion.specification.features, [None] * len(rows.y)
    inputs, bad = schema.encode({f.name: rows.columns.get(f.name, absent) for f in features}, features)
    p = champion.score(inputs)
    p[list(bad)] = np.nan
    for i, feature in enumerate(features):
        values = inputs[f"c{i}"].ravel()
        if not feature.nullable:
            p[values == "" if feature.kind == "category" else np.isnan(values)] = np.nan
    return p


def _measures(y: Bools, p: Floats, threshold: float, parameters: Parameters) -> dict[str, Any]:
    measured: dict[str, Any] = {
        "roc_auc": metrics.roc_auc(y, p),
        "average_precision": metrics.average_precision(y, p),
        "f1": metrics.f1(y, p, threshold),
        "brier": metrics.brier(y, p),
        "calibration_error": metrics.calibration_error(y, p),
        "threshold": threshold,
        "confusion": metrics.confusion(y, p, threshold),
    }
    if parameters.value is not None and parameters.cost is not None:
        measured["profit"] = metrics.profit(y, p, threshold, parameters.value, parameters.cost)
    return measured


def importance(trained: Trained, seed: int) -> dict[str, float]:
    """Mean loss of average precision when one column of the unseen rows is shuffled, largest first."""
    features = trained.model.specification.features
    rows = trained.test.take(np.arange(min(IMPORTANCE_ROWS, len(trained.test.y))))
    inputs, _ = schema.encode(rows.columns, features)
    whole = metrics.average_precision(rows.y, trained.model.score(inputs))
    rng = np.random.default_rng(seed)
    losses = {}
    for i, feature in enumerate(features):
        found = []
        for _ in range(REPEATS):
            order = rng.permutation(len(rows.y))
            shuffled = inputs | {name: inputs[name][order] for name in (f"c{i}", f"m{i}") if name in inputs}
            found.append(metrics.average_precision(rows.y, trained.model.score(shuffled)))
        losses[feature.name] = whole - float(np.mean(found))
    return dict(sorted(losses.items(), key=lambda pair: -pair[1]))
