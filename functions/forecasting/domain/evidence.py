"""What is known, on the eve of a frame's horizon, of each period in it: columns that mean the same for every series.

Sales are relative to the series' own level, so that one model serves all. Periods are rows of the frame: the shortest
cycle of the frequency (7 days, 168 hours, 1 week) is a season, about a year of whole ones (364 days) a year. Nothing
here looks at observations after the eve; openings and regressors of the horizon are as the frame knows or assumes them.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from functions.forecasting.domain import baselines
from functions.forecasting.domain.frame import Frame
from functions.forecasting.domain.frequency import Ints
from functions.forecasting.domain.series import Floats, Mask

FAR: Final = 30
LEAST: Final = 0.05
SEASONS: Final = {"season": 1, "fortnight": 2, "month": 4, "quarter": 13, "half-year": 26}
PLACES: Final = 31

Column = npt.NDArray[Any]


class Evidence(NamedTuple):
    """`usual` are the sales of a usual day, 0 when nothing was sold; `base` (n,) is a simple forecast on the scale of
    `relative`; `columns` name -> (n,) are what may move sales away from it, NaN where unknown."""

    usual: float
    base: Floats
    columns: dict[str, Floats]


def relative(sales: Floats, usual: float) -> Floats:
    """Sales on the scale of the model: the logarithm of their ratio to the usual, which also zero has."""
    return np.asarray(np.log(LEAST + (1 - LEAST) * np.maximum(sales, 0.0) / usual), dtype=float)


def absolute(values: Floats, usual: float) -> Floats:
    """Undo `relative`; never below zero."""
    return np.asarray(usual * np.maximum(np.exp(values) - LEAST, 0.0) / (1 - LEAST), dtype=float)


def evidence(frame: Frame) -> Evidence:
    """One row a period from `frame.start` on."""
    season, year = frame.rhythm.cycle, frame.rhythm.whole_year
    seen, ahead = frame.seen, np.arange(frame.start, len(frame.times))
    sales = frame.selling[:seen]
    usual = max(0.0, _mean(sales[-year:]))
    logs = relative(sales, usual) if usual > 0 else np.full(seen, np.nan)
    position = (frame.places + 4 * season // 7) % season  # from a Thursday on, as stored models know it
    promotion = baselines.promotion(frame)
    promoted = np.zeros(len(frame.times), bool) if promotion is None else frame.x[promotion] > 0
    cell = position + season * promoted
    profile = _profile(logs, cell, year)
    level = _mean(logs[-year:])
    base = (0.0 if np.isnan(level) else level) + np.nan_to_num(profile)[cell]
    rest = logs - base[:seen]
    columns: dict[str, Column | float] = {
        "distance": ahead - seen + 1,
        "position": position,
        "profile of the year": profile[cell],
        **{f"profile of the {name}": _profile(logs, cell, count * season)[cell] for name, count in SEASONS.items()},
        "history": np.log1p(seen),
        "noise": _mean((rest[-year:] - _mean(rest[-year:])) ** 2) ** 0.5,
        "share without sales": _mean((sales[-year:] <= 0).astype(float)),
        **_levels(rest, season, year),
        **_echoes(rest, ahead, season, year),
        **_calendar(frame, rest, year),
        **_closings(frame.open, position, seen, season),
        "promotion": promoted,
        "promotion day in a row": _run(promoted),
        "promotion days left": _run(promoted[::-1])[::-1],
        **{f"x:{name}": values for name, values in frame.x.items()},
    }
    return Evidence(usual, base[ahead], {name: _ahead(values, frame) for name, values in columns.items()})


def _ahead(values: Column | float, frame: Frame) -> Floats:
    """The part from the horizon on; a value for each of its rows as it is; one number for all of them repeated."""
    size = len(frame.times) - frame.start
    column = np.asarray(values, dtype=float)
    return column[-size:] if column.ndim else np.full(size, column)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _sums(key: Ints, values: Floats, size: int) -> Floats:
    """Sum and count of the known values of each key, shape (2, size)."""
    known = np.isfinite(values)
    weights = np.stack([values[known], np.ones(known.sum())])
    return np.stack([np.bincount(key[known], weight, size) for weight in weights]).astype(float)


def _profile(logs: Floats, cell: Ints, rows: int) -> Floats:
    """Mean of each cell over the last rows against that of all, drawn towards it by one day; NaN for an empty cell."""
    late = logs[-rows:]
    total, count = _sums(cell[: len(logs)][-rows:], late - _mean(late), cell.max() + 1)
    return np.where(count > 0, total / (count + 1), np.nan)


def _levels(rest: Floats, season: int, year: int) -> dict[str, float]:
    """Level of late, beyond what the profile says, at five lengths; and its growth on the year before."""
    levels = {f"level of a {name}": _mean(rest[-count * season :]) for name, count in SEASONS.items()}
    before = _mean(rest[: -year or None][-SEASONS["quarter"] * season :]) if len(rest) > year else np.nan
    return {**levels, "growth on the year before": levels["level of a quarter"] - before}


def _echoes(rest: Floats, ahead: Ints, season: int, year: int) -> dict[str, Column]:
    """What the profile left a year before: over four seasons, one, and on the day, against levels of that eve."""
    known = np.isfinite(rest)
    total, count = (np.r_[0.0, np.cumsum(values)] for values in (np.where(known, rest, 0.0), known.astype(float)))

    def mean(low: Ints, high: Ints) -> Floats:
        low, high = (np.clip(rows, 0, len(rest)) for rows in (low, high))
        days = count[high] - count[low]
        return np.asarray(np.where(days > 0, (total[high] - total[low]) / np.maximum(days, 1), np.nan), dtype=float)

    then, half, wide = ahead - year, season // 2, SEASONS["fortnight"] * season
    end = np.full(1, len(rest) - year)
    eve, before = (mean(end - SEASONS[name] * season, end) for name in ("month", "quarter"))
    return {
        "echo of the month the year before": mean(then - wide, then + wide + 1) - before,
        "echo of the year before": mean(then - half, then + half + 1) - eve,
        "that day the year before": mean(then, then + 1) - eve,
    }


def _calendar(frame: Frame, rest: Floats, year: int) -> dict[str, Column]:
    """Places in the year, the month and the day, what the profile leaves at about this place of the month, and the
    days that a month or quarter has."""
    days = frame.clock.astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    since = (days - month.astype("datetime64[D]")).astype(np.int64)
    left = ((month + 1).astype("datetime64[D]") - days).astype(np.int64)
    place = np.where(since < PLACES // 2, since, np.maximum(PLACES - left, PLACES // 2))
    total, count = _sums(place[: len(rest)][-year:], rest[-year:], PLACES)
    total, count = (np.convolve(np.r_[v[-1], v, v[0]], np.ones(3), "valid") for v in (total, count))
    more: dict[str, Column] = {}
    if frame.frequency.kind == "H":
        more = {"hour": frame.places % 24, "weekday": frame.places // 24}
    elif frame.frequency.kind in "MQ":
        first, after = frame.frequency.bounds(frame.times)
        more = {"days": (after - first).astype(float), "workdays": np.busday_count(first, after)}
    return {
        **more,
        "day of the year": (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(float),
        "day of the month": since,
        "days left of the month": left,
        "effect of the day of the month": (total / (count + 10))[place],
    }


def _closings(opened: Floats, position: Ints, seen: int, season: int) -> dict[str, Column]:
    """Whether it is closed the day before or after; how far a closing that is not the usual one is, and how long."""
    shut = opened <= 0
    usually = np.bincount(position[:seen], opened[:seen], season) * 2 > np.bincount(position[:seen], minlength=season)
    odd = shut & usually[position]
    (since, before), (until, after) = _since(odd), (values[::-1] for values in _since(odd[::-1]))
    return {
        "closed the day before": np.r_[False, shut[:-1]],
        "closed the day after": np.r_[shut[1:], False],
        "since a closing": since,
        "length of that closing": before,
        "until a closing": until,
        "length of the next closing": after,
    }


def _run(flag: Mask) -> Ints:
    """How many rows in a row the flag has been on, this one included."""
    rows = np.arange(len(flag))
    return np.asarray(rows - np.maximum.accumulate(np.where(flag, -1, rows)), dtype=np.int64)


def _since(flag: Mask) -> tuple[Ints, Ints]:
    """Rows since the flag was last on, and for how long it was then; 30 and 0 where that is further away."""
    rows = np.arange(len(flag))
    last = np.maximum.accumulate(np.where(flag, rows, -1))
    near = (last >= 0) & (rows - last < FAR)
    return np.where(near, rows - last, FAR).astype(np.int64), np.where(near, _run(flag)[last], 0)
