"""The forecasts that a model must beat: the same place of the season before (weekday, hour of the week, week, month or
quarter of the year), the mean by place and promotion lately, and the same place a year ago at today's level; and
exponential smoothing, which beats them where the year is the only season."""

from typing import Final

import numpy as np

from functions.forecasting.domain import smoothing
from functions.forecasting.domain.frame import Frame, kind_of, usual
from functions.forecasting.domain.holidays import is_holiday
from functions.forecasting.domain.series import Floats

SEASONAL_NAIVE: Final = "seasonal_naive"
WEEKDAY_MEAN: Final = "weekday_promotion_mean"
YEAR_AGO: Final = "year_ago"
SMOOTHING: Final = "smoothing"
BASELINES: Final = (SEASONAL_NAIVE, WEEKDAY_MEAN)
RULES: Final = (*BASELINES, YEAR_AGO, SMOOTHING)


def predict(kind: str, frame: Frame) -> Floats:
    """Forecast each period of the horizon from those before it; shape (horizon,), closed ones zero."""
    rules = {
        SEASONAL_NAIVE: seasonal_naive,
        WEEKDAY_MEAN: weekday_promotion_mean,
        YEAR_AGO: year_ago,
        SMOOTHING: smooth,
    }
    return np.where(frame.open[frame.start :] > 0, rules[kind](frame), 0.0)


def seasonal_naive(frame: Frame) -> Floats:
    """The last known open period of the same place in the season; where it has none, the mean of lately."""
    sold, season = frame.selling[: frame.seen], frame.rhythm.season
    place = frame.places if season == frame.rhythm.cycle else np.arange(len(frame.times)) % season
    last = np.full(season, _overall(frame, sold))
    rows = np.flatnonzero(np.isfinite(sold))
    last[place[rows]] = sold[rows]  # of rows with one place, the last stays
    return np.asarray(last[place[frame.start :]], dtype=float)


def weekday_promotion_mean(frame: Frame) -> Floats:
    """Mean of open periods of lately by place in the week and promotion; an empty cell takes its place's mean times
    the usual uplift of the promotion."""
    sold, place, rhythm = frame.selling[: frame.seen], frame.places, frame.rhythm
    name = promotion(frame)
    promoted = np.zeros(len(frame.times), bool) if name is None else frame.x[name] > 0
    level, before = _overall(frame, sold), place[: frame.seen]
    mean = usual(sold, before, rhythm, level)
    cells = np.empty((2, rhythm.cycle))
    for on in (0, 1):
        mine = np.where(promoted[: frame.seen] == on, sold, np.nan)
        cells[on] = usual(mine, before, rhythm, np.nan)
        uplift = _overall(frame, mine[promoted[: frame.seen] == on]) / level if level > 0 else 1.0
        cells[on] = np.where(np.isfinite(cells[on]), cells[on], mean * uplift)
    return np.asarray(cells[promoted[frame.start :].astype(int), place[frame.start :]], dtype=float)


def year_ago(frame: Frame) -> Floats:
    """The same place a year before (364 days, 52 weeks, twelve months), times what was sold lately against the same
    periods then; where nothing is known of it, the mean of its place in the week."""
    sold, year = frame.selling[: frame.seen], frame.rhythm.whole_year
    rows = np.arange(frame.start, len(frame.times))
    rows -= year * np.maximum((rows - frame.seen) // year + 1, 1)
    late = np.arange(max(frame.seen - frame.rhythm.recent, year), frame.seen)
    both = late[np.isfinite(sold[late]) & np.isfinite(sold[late - year])]
    now, then = sold[both].sum(), sold[both - year].sum()
    echo = np.where(rows >= 0, sold[rows], np.nan) * (now / then if now > 0 and then > 0 else 1.0)
    mean = usual(sold, frame.places[: frame.seen], frame.rhythm, _overall(frame, sold))[frame.places[frame.start :]]
    return np.where(np.isfinite(echo), echo, mean)


def smooth(frame: Frame) -> Floats:
    """Exponential smoothing of the open periods with the season of the frequency."""
    seen = frame.seen
    yhat = smoothing.forecast(frame.selling[:seen], len(frame.times) - seen, frame.rhythm.season)
    return yhat[frame.start - seen :]


def promotion(frame: Frame) -> str | None:
    """The binary regressor that is the promotion: named so, else the one that is on most evenly."""
    past = {name: values[: frame.start] for name, values in frame.x.items() if not is_holiday(name)}
    shares = {name: float(values.mean()) for name, values in past.items() if kind_of(values) == "binary"}
    varying = {name: share * (1 - share) for name, share in shares.items() if 0.02 < share < 0.98}
    return max(varying, key=lambda name: ("promo" in name.lower(), varying[name], name), default=None)


def _overall(frame: Frame, sold: Floats) -> float:
    """Mean of lately, else of all; 0 where nothing is known."""
    for part in (sold[-frame.rhythm.recent :], sold):
        if np.isfinite(part).any():
            return float(np.nanmean(part))
    return 0.0
