"""The forecasts that a model must beat: the same weekday a week ago, the mean by weekday and promotion, and the same
weekday a year ago at today's level."""

from typing import Final

import numpy as np

from functions.forecasting.domain.frame import RECENT, Frame, kind_of, weekday_mean, weekdays
from functions.forecasting.domain.series import Floats

SEASONAL_NAIVE: Final = "seasonal_naive"
WEEKDAY_MEAN: Final = "weekday_promotion_mean"
YEAR_AGO: Final = "year_ago"
BASELINES: Final = (SEASONAL_NAIVE, WEEKDAY_MEAN)
RULES: Final = (*BASELINES, YEAR_AGO)
YEAR: Final = 364


def predict(kind: str, frame: Frame) -> Floats:
    """Forecast every day of the horizon from the days before it; shape (horizon,), closed days zero."""
    values = {SEASONAL_NAIVE: seasonal_naive, WEEKDAY_MEAN: weekday_promotion_mean, YEAR_AGO: year_ago}[kind](frame)
    return np.where(frame.open[frame.start :] > 0, values, 0.0)


def seasonal_naive(frame: Frame) -> Floats:
    """The last known open day of the same weekday; where a weekday has none, the mean of the last eight weeks."""
    sold, weekday = frame.selling[: frame.seen], weekdays(frame.days)
    last = np.full(7, _overall(sold))
    rows = np.flatnonzero(np.isfinite(sold))
    last[weekday[rows]] = sold[rows]  # of rows with one weekday, the last stays
    return np.asarray(last[weekday[frame.start :]], dtype=float)


def weekday_promotion_mean(frame: Frame) -> Floats:
    """Mean of open days of the last eight weeks by weekday and promotion; an empty cell takes its weekday's mean times
    the usual uplift of the promotion."""
    sold, weekday = frame.selling[: frame.seen], weekdays(frame.days)
    name = promotion(frame)
    promoted = np.zeros(len(frame.days), bool) if name is None else frame.x[name] > 0
    level, before = _overall(sold), weekday[: frame.seen]
    usual = weekday_mean(sold, before, level)
    cells = np.empty((2, 7))
    for on in (0, 1):
        mine = np.where(promoted[: frame.seen] == on, sold, np.nan)
        cells[on] = weekday_mean(mine, before, np.nan)
        uplift = _overall(mine[promoted[: frame.seen] == on]) / level if level > 0 else 1.0
        cells[on] = np.where(np.isfinite(cells[on]), cells[on], usual * uplift)
    return np.asarray(cells[promoted[frame.start :].astype(int), weekday[frame.start :]], dtype=float)


def year_ago(frame: Frame) -> Floats:
    """The same weekday 364 days before each day, times what the last eight weeks sold against the same weeks then;
    where nothing is known of that day, the weekday's mean of the last eight weeks."""
    sold, weekday = frame.selling[: frame.seen], weekdays(frame.days)
    rows = np.arange(frame.start, len(frame.days))
    rows -= YEAR * np.maximum((rows - frame.seen) // YEAR + 1, 1)
    late = np.arange(max(frame.seen - RECENT, YEAR), frame.seen)
    both = late[np.isfinite(sold[late]) & np.isfinite(sold[late - YEAR])]
    now, then = sold[both].sum(), sold[both - YEAR].sum()
    echo = np.where(rows >= 0, sold[rows], np.nan) * (now / then if now > 0 and then > 0 else 1.0)
    usual = weekday_mean(sold, weekday[: frame.seen], _overall(sold))[weekday[frame.start :]]
    return np.where(np.isfinite(echo), echo, usual)


def promotion(frame: Frame) -> str | None:
    """The binary regressor that is the promotion: named so, else the one that is on most evenly."""
    past = {name: values[: frame.start] for name, values in frame.x.items()}
    shares = {name: float(values.mean()) for name, values in past.items() if kind_of(values) == "binary"}
    varying = {name: share * (1 - share) for name, share in shares.items() if 0.02 < share < 0.98}
    return max(varying, key=lambda name: ("promo" in name.lower(), varying[name], name), default=None)


def _overall(sold: Floats) -> float:
    """Mean of the last eight weeks, else of all; 0 where nothing is known."""
    for part in (sold[-RECENT:], sold):
        if np.isfinite(part).any():
            return float(np.nanmean(part))
    return 0.0
