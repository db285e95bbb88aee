"""Measures of a binary classifier, in numpy so that serving can compute them too.

`y` is boolean, shape (rows,); `p` are probabilities, shape (rows,).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def average_precision(y: Bools, p: Floats, weights: Floats | None = None) -> float:
    """Area under precision over recall by steps; rows of equal score count together. NaN without a positive."""
    order = np.argsort(-p, kind="stable")
    w = (np.ones(len(y)) if weights is None else weights)[order]
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    hits, taken = np.cumsum(w * y[order])[last], np.cumsum(w)[last]
    if not len(hits) or hits[-1] == 0:
        return float("nan")
    precision = hits / np.maximum(taken, 1e-12)
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def roc_auc(y: Bools, p: Floats) -> float:
    """Chance that a positive scores above a negative, ties half. NaN without both."""
    positives = int(y.sum())
    if positives in (0, len(y)):
        return float("nan")
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[y].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))


def auc_interval(auc: float, positives: int, negatives: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a ROC AUC by Newcombe (2006), method 5: the values from which `auc` is at most `z` deviations off.

    Unlike a bootstrap it does not shrink to a point where all rows are in order.
    """
    level = np.linspace(0, 1, 2_001)
    spread = (positives + negatives) / 2 - 1
    variance = level * (1 - level) * (1 + spread * ((1 - level) / (2 - level) + level / (1 + level)))
    inside = level[np.abs(level - auc) <= z * np.sqrt(variance / (positives * negatives)) + 1e-3]
    return float(min(inside.min(), auc)), float(max(inside.max(), auc))


def brier(y: Bools, p: Floats) -> float:
    """Mean squared difference of probability and truth."""
    return float(np.mean((p - y) ** 2))


def calibration_error(y: Bools, p: Floats, bins: int = 10) -> float:
    """Mean over rows of |mean probability - positive share| of their bin, in `bins` bins of equal width."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=p - y, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def confusion(y: Bools, p: Floats, threshold: float) -> dict[str, int]:
    """Counts of the four cases when `p >= threshold` is called positive."""
    called = p >= threshold
    return {
        "true_positive": int(np.sum(called & y)),
        "false_positive": int(np.sum(called & ~y)),
        "false_negative": int(np.sum(~called & y)),
        "true_negative": int(np.sum(~called & ~y)),
    }


def f1(y: Bools, p: Floats, threshold: float) -> float:
    """Harmonic mean of precision and recall at `threshold`; 0 when nothing is found."""
    cells = confusion(y, p, threshold)
    found = 2 * cells["true_positive"]
    return found / max(found + cells["false_positive"] + cells["false_negative"], 1)


def best_f1_threshold(y: Bools, p: Floats) -> float:
    """The threshold of greatest F1: midway between two neighbouring probabilities."""
    levels, inverse = np.unique(p, return_inverse=True)
    hits = np.cumsum(np.bincount(inverse, weights=y)[::-1])[::-1]
    taken = np.cumsum(np.bincount(inverse)[::-1])[::-1]
    best = int(np.argmax(2 * hits / (taken + y.sum())))
    return float(levels[best] if best == 0 else (levels[best] + levels[best - 1]) / 2)


def profit(y: Bools, p: Floats, threshold: float, value: float, cost: float) -> float:
    """Profit per row when everybody from `threshold` up costs `cost` and each positive among them brings `value`."""
    called = p >= threshold
    return float(np.mean(called * (y * value - cost)))


def bootstrap(statistic: Callable[[Floats], float], groups: Rows, *, seed: int, repeats: int = 500) -> Floats:
    """`statistic` of `repeats` resamplings of whole groups, given as the weight (count) of each row."""
    names, members = np.unique(groups, return_inverse=True)
    rng, count = np.random.default_rng(seed), len(names)
    draws = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(repeats))
    return np.array([statistic(drawn[members].astype(float)) for drawn in draws])
