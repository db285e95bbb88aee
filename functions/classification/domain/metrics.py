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


def calibration_error(y: Bools, p: Floats, bins: int = 10) -> float:
    """Mean over rows of |mean probability - positive share| of their bin, in `bins` bins of equal width."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=p - y, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def bootstrap(statistic: Callable[[Floats], float], groups: Rows, *, seed: int, repeats: int = 500) -> Floats:
    """`statistic` of `repeats` resamplings of whole groups, given as the weight (count) of each row."""
    names, members = np.unique(groups, return_inverse=True)
    rng, count = np.random.default_rng(seed), len(names)
    draws = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(repeats))
    return np.array([statistic(drawn[members].astype(float)) for drawn in draws])
