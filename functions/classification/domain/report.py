"""What a candidate is worth: every measure beside a dummy, a logistic regression and the champion."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from functions.classification.contracts import Specification
from functions.classification.domain import schema
from functions.classification.domain.fit import Parameters, Trained
from functions.classification.domain.metrics import average_precision, calibration_error, gain
from functions.classification.domain.model import Model
from functions.classification.domain.schema import Bools, Floats, Rows
from functions.classification.domain.splits import Labelled, twins

METRICS = ("roc_auc", "average_precision", "f1", "brier", "calibration_error", "threshold")
PEERS = ("model", "dummy", "logistic", "champion")
IMPORTANCE_ROWS = 3_000
REPEATS = 3
FEW, LISTED = 20, 40
TOO_GOOD, ALONE = 0.99, 0.95


def make_report(trained: Trained, parameters: Parameters, champion: Model | None = None) -> dict[str, Any]:
    """Per metric `{model, dummy, logistic, champion}`, null where there is none, all on the same unseen rows."""
    test, specification = trained.test, trained.model.specification
    scores, thresholds = dict(trained.scores), dict(trained.thresholds)
    if champion is not None and not np.isnan(known := champion_scores(champion, test)).any():
        scores["champion"], thresholds["champion"] = known, champion.specification.threshold
    measured = {name: _measures(test.y, scores[name], thresholds[name], parameters) for name in scores}
    report: dict[str, Any] = {
        metric: {peer: measured[peer][metric] if peer in measured else None for peer in PEERS}
        for metric in measured["model"]
    }
    report |= {
        "roc_auc_interval": auc_interval(test.y, scores["model"], trained.parts.groups[trained.parts.test])[1:],
        "columns": _columns(specification),
        "target": specification.target,
        "positive": specification.positive,
        "base_rate": specification.base_rate,
        "segments": [segment.model_dump() for segment in specification.segments],
        "split": specification.split.kind,
        "rows": trained.counts,
        "dropped": trained.dropped,
        "refused": trained.refused,
        "group": trained.rows.group,
        "twins": twins(trained.rows, specification.features, trained.parts),
        "search": {
            "iterations": parameters.iterations,
            "tried": trained.search.tried,
            "cut_by_time_budget": trained.search.cut,
            "chosen": trained.search.chosen,
        },
        "learners": trained.search.learners,
        "parity": trained.parity,
        "permutation_importance": importance(trained, parameters.seed),
        "champion": champion.version if champion else None,
    }
    return report | {"findings": find(trained, report, parameters.seed)}


def _columns(specification: Specification) -> dict[str, Any]:
    """How each column was read, and the shares of held-out rows that miss it or are outside the known categories."""
    columns: dict[str, Any] = {}
    for feature, known in zip(specification.features, specification.references, strict=True):
        columns[feature.name] = {"read_as": feature.kind, "missing": known.shares[-1]}
        if feature.kind == "category":
            columns[feature.name] |= {"categories": len(feature.categories), "unknown": known.shares[-2]}
    return columns


def _measures(y: Bools, p: Floats, threshold: float, parameters: Parameters) -> dict[str, Any]:
    called = p >= threshold
    cells = confusion_matrix(y, called, labels=[False, True]).ravel().tolist()
    measured: dict[str, Any] = {
        "roc_auc": float(roc_auc_score(y, p)),
        "average_precision": average_precision(y, p),
        "f1": float(f1_score(y, called, zero_division=0)),
        "brier": float(brier_score_loss(y, p)),
        "calibration_error": calibration_error(y, p),
        "threshold": threshold,
        "confusion": dict(
            zip(("true_negative", "false_positive", "false_negative", "true_positive"), cells, strict=True)
        ),
    }
    if parameters.cost:
        # Per row, when everybody called costs `cost` and each positive among them brings `value`.
        measured["profit"] = float(np.mean(called * (y * parameters.value - parameters.cost)))
    return measured


def auc_interval(y: Bools, p: Floats, groups: Rows, z: float = 1.96) -> tuple[float, float, float]:
    """A ROC AUC and its interval by Newcombe (2006), method 5: the values from which it is at most `z` deviations off.

    Rows of a group are one draw, positive if one of them is. Unlike a bootstrap it does not shrink to a point where all
    rows are in order. Above one half it begins where Mann and Whitney's test (1947) tells the scores from chance.
    """
    positives = len(np.unique(groups[y]))
    auc, negatives = float(roc_auc_score(y, p)), max(len(np.unique(groups)) - positives, 1)
    level = np.linspace(0, 1, 2_001)
    spread = (positives + negatives) / 2 - 1
    variance = level * (1 - level) * (1 + spread * ((1 - level) / (2 - level) + level / (1 + level)))
    inside = level[np.abs(level - auc) <= z * np.sqrt(variance / (positives * negatives)) + 1e-3]
    return auc, float(min(inside.min(), auc)), float(max(inside.max(), auc))


def find(trained: Trained, report: Mapping[str, Any], seed: int) -> list[str]:
    """What a person should know before believing the figures, as sentences; the first gives the interval."""
    auc, (low, high) = report["roc_auc"]["model"], report["roc_auc_interval"]
    rows, positives = len(trained.test.y), int(trained.test.y.sum())
    says = [f"ROC AUC {auc:.3f} lies between {low:.2f} and {high:.2f} with 95 % confidence."]
    if min(positives, rows - positives) < FEW:
        says.append(f"It was measured on {rows:,} rows, {positives:,} of them positive: too few to rely on any figure.")
    if low <= 0.5:
        says.append("That cannot be told from chance: these columns may say nothing about the target.")
    elif auc >= TOO_GOOD:
        says.append(_suspects(trained, report, seed))
    if report["average_precision"]["model"] < report["average_precision"]["logistic"]:
        says.append(_beaten(trained, seed))
    return says


def _suspects(trained: Trained, report: Mapping[str, Any], seed: int) -> str:
    """Which column does it all: a small tree of it alone is nearly as good."""
    leading = list(report["permutation_importance"])[:5]
    own, y, learn, test, alone = _places(trained), trained.rows.y, trained.parts.learn, trained.parts.test, {}
    for name in leading:
        x = trained.x[:, own[name]]
        tree = DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=5, random_state=seed).fit(x[learn], y[learn])
        alone[name] = roc_auc_score(y[test], tree.predict_proba(x[test])[:, 1])
    suspects = [name for name in leading if alone[name] >= ALONE] or leading[:3]
    how = f"{alone[suspects[0]]:.3f} by itself" if alone[suspects[0]] >= ALONE else "what it relies on most"
    return (
        f"So good a model is suspicious. Likely a leak: {', '.join(suspects)} ({how}); "
        "what is known only afterwards must be left out."
    )


def _beaten(trained: Trained, seed: int) -> str:
    ours, theirs, groups = trained.scores["model"], trained.scores["logistic"], trained.parts.groups[trained.parts.test]
    lost, draws = gain(trained.test.y, theirs, ours, groups, seed=seed, repeats=200)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return (
        f"A logistic regression on the same columns is {'better' if low > 0 else 'as good'}: "
        f"average precision {lost:+.3f}, between {low:+.3f} and {high:+.3f} with 95 % confidence."
    )


def champion_scores(champion: Model, rows: Labelled) -> Floats:
    """The champion's probabilities for these rows, NaN where it cannot score one: also where something is missing that
    it never missed."""
    features, absent = champion.specification.features, [None] * len(rows.y)
    x, bad = schema.encode({f.name: rows.columns.get(f.name, absent) for f in features}, features)
    p = champion.score(x)
    p[list(bad)] = np.nan
    for feature, own in zip(features, schema.places(features), strict=True):
        if not feature.nullable:
            values = x[:, own[0]]
            p[values == schema.NULL if feature.kind == "category" else np.isnan(values)] = np.nan
    return p


def _places(trained: Trained) -> dict[str, list[int]]:
    """The inputs of each column."""
    features = trained.model.specification.features
    return dict(zip([feature.name for feature in features], schema.places(features), strict=True))


def importance(trained: Trained, seed: int) -> dict[str, float]:
    """Mean loss of average precision when one column of the unseen rows is shuffled, largest first."""
    some = trained.parts.test[:IMPORTANCE_ROWS]
    x, y = trained.x[some], trained.rows.y[some]
    whole, rng, losses = average_precision(y, trained.model.score(x)), np.random.default_rng(seed), {}
    for name, own in _places(trained).items():
        shuffled, moved = [], x.copy()
        for _ in range(REPEATS):
            moved[:, own] = x[rng.permutation(len(x))][:, own]
            shuffled.append(average_precision(y, trained.model.score(moved)))
        losses[name] = whole - float(np.mean(shuffled))
    return dict(sorted(losses.items(), key=lambda pair: -pair[1]))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more, see report.json" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of text for a person."""
    rows, search = report["rows"], report["search"]
    used = rows["train"] + rows["test"]
    lines = [
        f"{report['target']} = {report['positive']}: {report['base_rate']:.1%} of {used:,} rows",
        f"measured on {rows['test']:,} rows that neither search, model, calibration nor threshold saw:",
    ]
    kinds: dict[str, list[str]] = {}
    for name, column in report["columns"].items():
        rare = f" ({column['unknown']:.0%} outside the known ones)" if column.get("unknown", 0) >= 0.005 else ""
        kinds.setdefault(column["read_as"], []).append(name + rare)
    lines += [f"read as {kind}: {_listed(names)}" for kind, names in kinds.items()]
    peers = [peer for peer in PEERS if report["roc_auc"][peer] is not None]
    lines.append(f"{'':18}" + "".join(f"{peer:>10}" for peer in peers))
    for metric in (*METRICS, "profit"):
        if metric in report:
            lines.append(f"{metric:18}" + "".join(f"{report[metric][peer]:>10.3f}" for peer in peers))
    learners = sorted(report["learners"].items(), key=lambda pair: -pair[1]["average_precision"])
    figures = ", ".join(f"{name} {learner['average_precision']:.3f}" for name, learner in learners)
    lines.append(f"average precision of each learner on rows out of fold: {figures}")
    reasons: dict[str, list[str]] = {}
    for name, reason in (dict.fromkeys(report["refused"], "known only afterwards") | report["dropped"]).items():
        reasons.setdefault(reason, []).append(name)
    lines += [*report["findings"], *(f"left out: {_listed(names)} ({reason})" for reason, names in reasons.items())]
    if report["twins"]:
        lines.append(f"{report['twins']:,} of the rows measured on equal a row learnt from in every column")
    if report["group"]:
        lines.append(f"kept together: rows of the same {report['group']}")
    if rows["copies"]:
        lines.append(f"left out: {rows['copies']:,} exact copies of other rows")
    if search["cut_by_time_budget"]:
        tried = f"{search['tried']} of {search['iterations']}"
        lines.append(f"the time budget cut the search: {tried} candidates were tried")
    return lines
