"""Demand profiles: the shape of a series without its level, and which series share it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from functions.forecasting.domain import baselines, frame
from functions.forecasting.domain.frame import weekdays
from functions.forecasting.domain.series import Floats, Series

MONTHS: Final = 12
MIN_DAYS: Final = 8
PARTS: Final = {"week shape": slice(0, 7), "year shape": slice(7, 19), "promotion response": slice(19, 20)}
CLOSED: Final = -1.0
SIZE: Final = 20


def profile(series: Series) -> list[float]:
    """Log sales of 7 weekdays and 12 months against the usual level, and the promotion's log uplift; 20 numbers.

    The year is taken after a year-long trend is removed; an unknown part is 0 and a closed weekday is -1.
    """
    shape = np.zeros(SIZE)
    days = frame.build(series, 1)
    sold = days.selling[: days.start]
    known = np.flatnonzero(sold > 0)
    if len(known) < MIN_DAYS:
        return shape.tolist()
    logs = np.log(sold[known])
    name = baselines.promotion(days)
    week, month = weekdays(days.clock)[known], days.clock[known].astype("datetime64[M]").astype(np.int64) % MONTHS
    promoted = np.zeros(len(known)) if name is None else (days.x[name][known] > 0).astype(float)
    span = (days.clock[known] - days.clock[known[0]]) / np.timedelta64(1, "D") / 365.25
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
    return shape.round(4).tolist()


def nearest(target: Floats, others: Mapping[str, Sequence[float]], k: int) -> list[dict[str, Any]]:
    """The `k` of `others`, profiles by id, closest to `target` (20,): distance (0 is the same shape), and the part of
    the profile that both share most closely."""
    if not others:
        return []
    ids, off = list(others), np.array(list(others.values())) - target
    parts = np.stack([np.sqrt(np.mean(off[:, part] ** 2, axis=1)) for part in PARTS.values()], axis=1)
    total = np.sqrt((parts**2).sum(axis=1))
    closest = (parts / (np.median(parts, axis=0) + 1e-9)).argmin(axis=1)
    return [
        {"series_id": ids[i], "distance": round(float(total[i]), 4), "shared": list(PARTS)[closest[i]]}
        for i in np.argsort(total, kind="stable")[:k].tolist()
    ]
