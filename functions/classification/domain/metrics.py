"""Measures of a binary classifier, in numpy so that serving can compute them too.

`y` is boolean, shape (rows,); `p` are probabilities, shape (rows,).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from functions.classification.domain.schema import Bools, Floats, Rows


def average_precision(y: Bools | Floats, p: Floats, weights: Floats | None = None) -> float:
    """Area under precision over recall by steps; rows of equal score count together. NaN without a positive.

    `y` may be probabilities: then it is what they lead to expect.
    """
    order = np.argsort(-p, kind="stable")
    w = (np.ones(len(y)) if weights is None else weights)[order]
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    hits, taken = np.cumsum(w * y[order])[last], np.cumsum(w)[last]
    if not len(hits) or hits[-1] == 0:
        return float("nan")
    precision = hits / np.maximum(taken, 1e-12)
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def calibration_curve(y: Bools, p: Floats, bins: int = 10) -> list[list[float]]:
    """[mean probability, share of positives, rows] of each of `bins` bins of equal width that has rows."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    rows = np.bincount(which, minlength=bins)
    means, shares = (np.bincount(which, weights=of, minlength=bins) / np.maximum(rows, 1) for of in (p, y))
    return [point for point in np.column_stack([means, shares, rows]).tolist() if point[2]]


def calibration_error(y: Bools, p: Floats) -> float:
    """Mean over rows of |mean probability - share of positives| of their bin."""
    return sum(rows * abs(mean - share) for mean, share, rows in calibration_curve(y, p)) / len(y)


def expected_quality(totals: Mapping[str, int], edges: Sequence[float], steps: int = 20) -> dict[str, float] | None:
    """Precision and recall of the segment `target`, average precision and positives to expect, from calibrated
    probabilities alone; None without any.

    Each event is a positive with its probability (CBPE: Bialek et al. 2024, "Estimating model performance under
    covariate shift without labels"). `totals` are the counters of a profile's first part, `edges` those of its bins.
    In a bin the probabilities are taken to lie on a straight line, in the last on an exponential tail. Right as long
    as the calibration is, which a change of what the columns say of the target makes wrong.
    """
    bounds, places = [0.0, *edges, 1.0], (np.arange(steps) + 0.5) / steps
    p, weights = [], []
    for b, (low, high) in enumerate(pairwise(bounds)):
        if count := totals.get(f"s{b}", 0):
            mean = totals.get(f"p{b}", 0) / 1e6 / count
            reach = max(min(high - mean, mean - low), 0.0)
            tail = np.minimum(low - (mean - low) * np.log(1 - places), high)
            p.append(tail if high == 1.0 else mean + reach * (2 * places - 1))
            weights.append(np.full(steps, count / steps))
    positives = sum(totals.get(f"p{b}", 0) for b in range(len(bounds))) / 1e6
    if not positives:
        return None
    levels = np.concatenate(p)
    hits = totals.get("tp", 0) / 1e6
    return {
        "positives": positives,
        "precision": hits / max(totals.get("t", 0), 1),
        "recall": hits / positives,
        "average_precision": average_precision(levels, levels, np.concatenate(weights)),
    }


def gain(y: Bools, ours: Floats, theirs: Floats, groups: Rows, *, seed: int, repeats: int) -> tuple[float, Floats]:
    """Average precision of ours less theirs, and the same of `repeats` resamplings of whole groups."""

    def of(weights: Floats) -> float:
        return average_precision(y, ours, weights) - average_precision(y, theirs, weights)

    return of(np.ones(len(y))), bootstrap(of, groups, seed=seed, repeats=repeats)


def bootstrap(statistic: Callable[[Floats], float], groups: Rows, *, seed: int, repeats: int = 500) -> Floats:
    """`statistic` of `repeats` resamplings of whole groups, given as the weight (count) of each row."""
    names, members = np.unique(groups, return_inverse=True)
    rng, count = np.random.default_rng(seed), len(names)
    draws = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(repeats))
    return np.array([statistic(drawn[members].astype(float)) for drawn in draws])
