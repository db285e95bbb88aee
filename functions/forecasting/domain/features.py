"""Regressors that follow from the calendar, the openings and the file's own columns.

A design is a list of column names, and each name says how it is computed, so a stored model needs no code of its own:
`x:promo` a column of the file; of days `wd3:promo` the same on Thursdays only, `before_closed`, `after_closed`,
`reopened`, and `edge:...` the days around the turn and the middle of the month, where wages are paid; of weeks
`peak:47`, a week of the year that stands out; of months and quarters `holds:days` and `holds:workdays`, how many they
have.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from functions.forecasting.domain.frame import Frame, kind_of
from functions.forecasting.domain.frequency import Times
from functions.forecasting.domain.holidays import is_holiday
from functions.forecasting.domain.series import Floats, Mask

EDGES: Final = {"first": (0, 1), "start": (1, 4), "middle": (14, 17), "end": (-3, 0), "last": (-1, 0)}
MIN_DAYS: Final = 5
AROUND: Final = 9
FAR: Final = 4.0
PEAKS: Final = 12
OUTCOME: Final = 0.85
MOST: Final = 20
DAYS_EACH: Final = 20

Scale = Mapping[str, tuple[float, float]]


def groups(frame: Frame, mask: Mask) -> dict[str, list[str]]:
    """Columns that can be learned from the rows in `mask` (n,), by group: those of the file, and of the frequency.

    Of more columns of the file than the rows can tell apart, those that go most with the sales.
    """
    given = (name for name in frame.x if not is_holiday(name) and _varies(frame.x[name][mask]))
    usable = [name for name in given if not _outcome(frame, name, mask)]
    if len(usable) > (most := max(MOST, int(mask.sum()) // DAYS_EACH)):
        usable = sorted(usable, key=lambda name: -_correlation(frame.x[name][mask], frame.y[mask]))[:most]
    often = [n for n in usable if kind_of(frame.x[n]) == "binary" and (frame.x[n] > 0)[mask].mean() > 0.1]
    feasts = [f"x:{name}" for name in frame.x if is_holiday(name)]
    candidates = {"file": [f"x:{name}" for name in usable], "holiday": feasts}
    if frame.frequency.kind == "D":
        candidates |= {
            "weekday": [f"wd{day}:{name}" for name in often for day in range(7)],
            "closed": ["before_closed", "after_closed", "reopened"],
            "month": [f"edge:{name}" for name in EDGES],
        }
    if frame.frequency.kind == "W":
        candidates["peak"] = [f"peak:{place}" for place in _peaks(frame, mask)]
    if frame.frequency.kind in "MQ":
        candidates["held"] = ["holds:days", "holds:workdays"]
    return {
        group: [c for c in columns if group == "peak" or _varies(_column(frame, c)[mask])]
        for group, columns in candidates.items()
    }


def outcomes(frame: Frame, mask: Mask) -> tuple[str, ...]:
    """File columns that follow the sales so closely that they must be another measure of them."""
    return tuple(name for name in frame.x if not is_holiday(name) and _outcome(frame, name, mask))


def scales(frame: Frame, columns: Sequence[str], mask: Mask) -> dict[str, tuple[float, float]]:
    """Mean and deviation of each numeric column over `mask`; indicators stay as they are."""
    chosen = {}
    for column in columns:
        values = _column(frame, column)[mask]
        if column.startswith(("x:", "holds:")) and kind_of(values) == "numeric":
            chosen[column] = (float(values.mean()), float(values.std()) or 1.0)
    return chosen


def matrix(frame: Frame, columns: Sequence[str], scale: Scale) -> Floats:
    """The design, shape (n, columns); a column of the file that the frame lacks counts as usual."""
    design = np.zeros((len(frame.times), len(columns)))
    for i, column in enumerate(columns):
        if (name := of_file(column)) and name not in frame.x:
            continue
        mean, deviation = scale.get(column, (0.0, 1.0))
        design[:, i] = (_column(frame, column) - mean) / deviation
    return design


def of_file(column: str) -> str:
    """The file's column that a column of the design is made of; empty for one of the calendar or the openings."""
    kind, _, name = column.partition(":")
    return "" if kind in ("edge", "holds", "peak") else name


def fourier(clock: Times, period: float, order: int) -> Floats:
    """Sine and cosine of `order` harmonics of `period` days, as Prophet lays them out; shape (n, 2 * order)."""
    days = clock.astype("datetime64[m]").astype(np.int64)[:, None] / 1440.0
    t = days * 2.0 * np.pi * np.arange(1, order + 1) / period
    return np.stack([np.sin(t), np.cos(t)], axis=2).reshape(len(clock), -1)


def _peaks(frame: Frame, mask: Mask) -> list[int]:
    """Weeks of the year whose sales lie far off those of the weeks around them, the farthest first."""
    rows, season = np.flatnonzero(mask & (frame.y > 0)), frame.rhythm.season
    if len(rows) <= AROUND:
        return []
    logs = np.log(frame.y[rows])
    wide = np.pad(logs, AROUND // 2, mode="reflect")
    off = logs - np.median(np.lib.stride_tricks.sliding_window_view(wide, AROUND), axis=1)
    count = np.bincount(rows % season, minlength=season)
    mean = np.bincount(rows % season, off, season) / np.maximum(count, 1)
    far = np.abs(mean) * np.sqrt(count) > FAR * 1.4826 * float(np.median(np.abs(off)))
    return [int(place) for place in np.argsort(-np.abs(mean)) if far[place]][:PEAKS]


def _varies(values: Floats) -> bool:
    return len(values) > 0 and int((values != np.median(values)).sum()) >= MIN_DAYS


def _outcome(frame: Frame, name: str, mask: Mask) -> bool:
    """Whether a numeric column is another measure of the sales (customers, transactions), unknown beforehand."""
    values = frame.x[name]
    both = mask & (frame.y > 0) & (values > 0)
    if kind_of(values) == "binary" or both.sum() < 3 * MIN_DAYS:
        return False
    return _correlation(np.log(values[both]), np.log(frame.y[both])) > OUTCOME


def _correlation(one: Floats, other: Floats) -> float:
    """How closely two columns (n,) go together, 0 to 1; 0 for one that does not vary."""
    if min(one.std(), other.std()) < 1e-9:
        return 0.0
    return float(abs(np.mean((one - one.mean()) * (other - other.mean())) / (one.std() * other.std())))


def _column(frame: Frame, column: str) -> Floats:
    kind, _, name = column.partition(":")
    if kind == "x":
        return frame.x[name]
    if kind.startswith("wd"):
        return np.where(frame.places == int(kind[2:]), frame.x[name], 0.0)
    if kind == "edge":
        return _edge(frame.times, *EDGES[name])
    if kind == "peak":
        return np.where(np.arange(len(frame.times)) % frame.rhythm.season == int(name), 1.0, 0.0)
    if kind == "holds":
        first, after = frame.frequency.bounds(frame.times)
        return (np.busday_count(first, after) if name == "workdays" else (after - first)).astype(float)
    closed_by = {"before_closed": (-1,), "after_closed": (1,), "reopened": (1, 2)}[kind]
    around = np.stack([_shift(frame.open, by) for by in closed_by])
    return np.where((around == 0).all(axis=0) & (frame.open > 0), 1.0, 0.0)


def _shift(values: Floats, by: int) -> Floats:
    """Values `by` days later (earlier when negative); 1 where there are none."""
    rows = np.arange(len(values)) - by
    return np.where((rows >= 0) & (rows < len(values)), values[rows % len(values)], 1.0)


def _edge(days: Times, low: int, high: int) -> Floats:
    month = days.astype("datetime64[M]")
    since = (days - month.astype("datetime64[D]")).astype(np.int64)
    if low >= 0:
        return np.where((since >= low) & (since < high), 1.0, 0.0)
    left = ((month + 1).astype("datetime64[D]") - days).astype(np.int64)
    return np.where(left <= -low, 1.0, 0.0)
