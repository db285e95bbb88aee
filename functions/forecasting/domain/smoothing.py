"""Exponential smoothing: a level, a damped trend and a season that follow the newest sales (Holt and Winters; Hyndman
and others, "Forecasting with exponential smoothing", 2008).

How fast each follows is what forecast the next period best throughout the series itself, of a grid. The damping keeps a
trend from being drawn out far beyond what was seen. Of logarithms, so that seasons are shares; of the sales as they are
where some are not above zero.
"""

from itertools import product
from typing import Final

import numpy as np

from functions.forecasting.domain.series import Floats

# What of an error the level takes up; what of that the trend does, and how much of it is left a period on; what of the
# rest the season does.
LEVELS: Final = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
TRENDS: Final = ((0.0, 0.0), (0.1, 0.8), (0.3, 0.8), (0.05, 0.9), (0.1, 0.9), (0.2, 0.9), (0.05, 0.95), (0.1, 0.95))
SEASONS: Final = (0.0, 0.05, 0.1, 0.2, 0.4)
FIRST: Final = 4
LEAST: Final = 1.25
NEWEST, NEWEST_SEASONS = 240, 6


def forecast(sold: Floats, ahead: int, season: int) -> Floats:
    """The `ahead` periods after `sold` (n,), NaN where unknown; a season has `season` periods, and is left out where
    hardly more than one of them is known."""
    sold = sold[-max(NEWEST, NEWEST_SEASONS * season) :]
    known = np.isfinite(sold)
    if not known.any():
        return np.zeros(ahead)
    if (sold[known] > 0).all():
        return np.asarray(np.exp(_smooth(np.log(sold), ahead, season)), dtype=float)
    yhat = _smooth(sold, ahead, season)
    return np.maximum(yhat, 0.0) if sold[known].min() == 0 else yhat


def _smooth(y: Floats, ahead: int, season: int) -> Floats:
    known = np.isfinite(y)
    season = season if known.sum() >= LEAST * season else 1
    judged = season if len(y) >= 2 * season else 0  # a few periods beyond one season would choose by chance
    level, slope, shape = _beginning(y, season)
    grid = np.array(
        [
            (a, a * b, p, (1 - a) * c)
            for a, (b, p), c in product(LEVELS, TRENDS, SEASONS[: len(SEASONS) if season > 1 else 1])
        ]
    )
    alpha, beta, damping, gamma = grid.T
    levels, slopes = np.full(len(grid), level), np.where(damping > 0, slope, 0.0)
    shapes, squares = np.tile(shape[:, None], len(grid)), np.zeros(len(grid))
    for i, value in enumerate(y):
        slopes = damping * slopes
        levels, place = levels + slopes, i % season
        if known[i]:
            error = value - levels - shapes[place]
            squares += error**2 * (i >= judged)
            levels, slopes = levels + alpha * error, slopes + beta * error
            shapes[place] += gamma * error
    best = int(squares.argmin())
    steps = np.arange(1, ahead + 1)
    drift = slopes[best] * np.cumsum(damping[best] ** steps)
    return np.asarray(levels[best] + drift + shapes[(len(y) + steps - 1) % season, best], dtype=float)


def _beginning(y: Floats, season: int) -> tuple[float, float, Floats]:
    """Level, slope a period and shape (season,) that the first seasons begin with: a line and one value a place."""
    first = y[: max(FIRST * season, 2 * FIRST)]
    rows = np.flatnonzero(np.isfinite(first))
    if not len(rows):
        return float(y[np.isfinite(y)][0]), 0.0, np.zeros(season)
    places = np.eye(season)[rows % season] - 1 / season
    design = np.column_stack([np.ones(len(rows)), rows / len(first), places])
    penalty = np.r_[1e-8, 1e-3 * len(rows), np.full(season, 0.5)]
    beta = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ first[rows])
    return float(beta[0]), float(beta[1] / len(first)), beta[2:] - beta[2:].mean()
