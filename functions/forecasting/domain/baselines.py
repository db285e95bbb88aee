"""The forecasts that a model must beat: the same weekday a week ago, and the mean by weekday and promotion."""

from typing import Final

import numpy as np

from functions.forecasting.domain.frame import RECENT, Frame, kind_of, weekdays
from functions.forecasting.domain.series import Floats, Mask

SEASONAL_NAIVE: Final = "seasonal_naive"
WEEKDAY_MEAN: Final = "weekday_promotion_mean"
BASELINES: Final = (SEASONAL_NAIVE, WEEKDAY_MEAN)


def predict(kind: str, frame: Frame, start: int) -> Floats:
    """Forecast every day from row `start` on from the days before it; shape (days - start,), closed days zero."""
    values = seasonal_naive(frame, start) if kind == SEASONAL_NAIVE else weekday_promotion_mean(frame, start)
    return np.where(frame.open[start:] > 0, values, 0.0)


def seasonal_naive(frame: Frame, start: int) -> Floats:
    """The last known open day of the same weekday; where a weekday has none, the mean of the last eight weeks."""
    sold, weekday = frame.selling[: frame.seen], weekdays(frame.days)
    last = np.full(7, _overall(sold))
    for number in range(7):
        known = np.flatnonzero((weekday[: len(sold)] == number) & np.isfinite(sold))
        if len(known):
            last[number] = sold[known[-1]]
    return np.asarray(last[weekday[start:]], dtype=float)


def weekday_promotion_mean(frame: Frame, start: int) -> Floats:
    """Mean of open days of the last eight weeks by weekday and promotion; an empty cell takes its weekday's mean times
    the usual uplift of the promotion."""
    sold, weekday = frame.selling[: frame.seen], weekdays(frame.days)
    seen = len(sold)
    name = promotion(frame, seen)
    promoted = np.zeros(len(frame.days), bool) if name is None else frame.x[name] > 0
    usual = np.full(7, _overall(sold))
    cells = np.full((2, 7), np.nan)
    for number in range(7):
        mine = weekday[:seen] == number
        usual[number] = _recent(sold, mine, usual[number])
        for on in (0, 1):
            cells[on, number] = _recent(sold, mine & (promoted[:seen] == on), np.nan)
    level = _overall(sold)
    uplift = [_overall(sold[promoted[:seen] == on]) / level if level > 0 else 1.0 for on in (0, 1)]
    filled = np.where(np.isfinite(cells), cells, usual * np.array(uplift)[:, None])
    return np.asarray(filled[promoted[start:].astype(int), weekday[start:]], dtype=float)


def promotion(frame: Frame, start: int) -> str | None:
    """The binary regressor that is the promotion: named so, else the one that is on most evenly."""
    shares = {
        name: float(values[:start].mean())
        for name, values in frame.x.items()
        if start and kind_of(values[:start]) == "binary"
    }
    varying = {name: share * (1 - share) for name, share in shares.items() if 0.02 < share < 0.98}
    return max(varying, key=lambda name: ("promo" in name.lower(), varying[name], name), default=None)


def _recent(sold: Floats, mine: Mask, fallback: float) -> float:
    known = mine & np.isfinite(sold)
    late = known.copy()
    late[: max(0, len(sold) - RECENT)] = False
    chosen = late if late.sum() >= 2 else known
    return float(sold[chosen].mean()) if chosen.any() else fallback


def _overall(sold: Floats) -> float:
    for part in (sold[-RECENT:], sold):
        known = part[np.isfinite(part)]
        if len(known):
            return float(known.mean())
    return 0.0
