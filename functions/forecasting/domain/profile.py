"""Demand profiles: the shape of a series without its level, and which series share it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from functions.forecasting.domain import baselines, frame
from functions.forecasting.domain.frame import weekdays
from functions.forecasting.domain.series import Days, Floats, Ints, Series

MONTHS: Final = 12
MIN_DAYS: Final = 8
PARTS: Final = {"week shape": slice(0, 7), "year shape": slice(7, 19), "promotion response": slice(19, 20)}
CLOSED: Final = -1.0
SIZE: Final = 20


@dataclass(frozen=True)
class Neighbour:
    """A series, its distance (0 is the same shape), and the part of the profile that both share most closely."""

    series_id: str
    distance: float
    shared: str


def profile(series: Series) -> list[float]:
    """Log sales of 7 weekdays and 12 months against the usual level, and the promotion's log uplift; 20 numbers.

    The year is taken after a year-long trend is removed; an unknown part is 0 and a closed weekday is -1.
    """
    shape = np.zeros(SIZE)
    if not series.observed:
        return [float(v) for v in shape]
    laid = frame.build(series, 1)
    sold = laid.selling[: laid.start]
    known = np.flatnonzero(np.isfinite(sold) & (sold > 0))
    if len(known) < MIN_DAYS:
        return [float(v) for v in shape]
    logs = np.log(sold[known])
    name = baselines.promotion(laid)
    week, month = weekdays(laid.days)[known], _months(laid.days)[known]
    promoted = np.zeros(len(known)) if name is None else (laid.x[name][known] > 0).astype(float)
    span = (known - known[0]) / 365.25
    yearly = span[-1] >= 1.0
    dummies = [np.eye(7)[week], promoted[:, None], span[:, None]] + ([np.eye(MONTHS)[month]] if yearly else [])
    design = np.hstack(dummies)
    ridge = np.full(design.shape[1], 1.0)
    ridge[7:9] = 0.1
    beta = np.linalg.solve(design.T @ design + np.diag(ridge), design.T @ (logs - logs.mean()))
    seen = np.bincount(week, minlength=7)
    shape[:7] = np.where(seen > 0, beta[:7] - beta[:7][seen > 0].mean(), CLOSED)
    shape[19] = beta[7]
    if yearly:
        shape[7:19] = beta[9:] - beta[9:].mean()
    return [round(float(v), 4) for v in shape]


def nearest(target: Floats, others: Floats, ids: list[str], k: int) -> list[Neighbour]:
    """The `k` rows of `others` (n, 20) closest to `target` (20,)."""
    if not len(ids):
        return []
    parts = np.stack([_distance(target, others, part) for part in PARTS.values()], axis=1)
    total = np.sqrt((parts**2).sum(axis=1))
    order = np.argsort(total, kind="stable")[:k]
    usual = np.median(parts, axis=0) + 1e-9
    names = list(PARTS)
    return [
        Neighbour(ids[i], round(float(total[i]), 4), names[int(np.argmin(parts[i] / usual))]) for i in order.tolist()
    ]


def _distance(target: Floats, others: Floats, part: slice) -> Floats:
    return np.asarray(np.sqrt(np.mean((others[:, part] - target[part]) ** 2, axis=1)), dtype=float)


def _months(days: Days) -> Ints:
    return np.asarray(days.astype("datetime64[M]").astype(np.int64) % MONTHS, dtype=np.int64)
