"""What is known or assumed about each day, observed or not: open or closed, and every regressor's value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from functions.forecasting.domain.series import Days, Floats, Ints, Series, day
from layers.runtime.errors import InputError

RECENT: Final = 56
REGULAR: Final = 0.5
INTERMITTENT: Final = 0.1
WEEKS: Final = 28
SPARSE: Final = 0.5

Kind = Literal["binary", "numeric"]


@dataclass(frozen=True)
class Frame:
    """Days from the first row to the end of the horizon: `open` (n,) 0 or 1, `x` name -> (n,) finite; `start` is the
    first day without observation."""

    days: Days
    start: int
    y: Floats
    open: Floats
    x: dict[str, Floats]
    assumptions: tuple[str, ...] = ()

    @property
    def selling(self) -> Floats:
        """Observed sales of open days, NaN elsewhere and after `start`."""
        return np.where(self.open > 0, self.y, np.nan)


def kind_of(values: Floats) -> Kind:
    """`binary` when every known value is 0 or 1."""
    known = values[np.isfinite(values)]
    return "binary" if np.isin(known, (0.0, 1.0)).all() else "numeric"


def build(
    series: Series, horizon: int, future: Mapping[str, Sequence[float]] | None = None, *, start: int | None = None
) -> Frame:
    """Lay out the series up to row `start` (its last observation) and the `horizon` days that follow.

    No observation from `start` on is looked at; openings and regressors are, as far as the file has them. `future`
    overrides `open` or a regressor, one finite value a day of the horizon. What nobody tells is assumed, and said.
    Raises InputError for an unknown name or a wrong length.
    """
    start = series.observed if start is None else start
    size = start + horizon
    overrides = dict(future or {})
    for name, values in overrides.items():
        _check(series, name, values, horizon)
    days = series.start + np.arange(size)
    said: list[str] = []
    y = np.full(size, np.nan)
    y[:start] = np.maximum(series.y[:start], 0.0)
    opened = _open(series, days, start, y, overrides.pop("open", None), said)
    rows = np.isfinite(y[:start]) | (opened[:start] == 0)
    if start and rows.mean() < SPARSE:
        said.append(f"y: known on {rows.mean():.0%} of the days only; each day is forecast like those")
    x = {
        name: _regressor(name, values, days, start, overrides.get(name), said)
        for name, values in series.regressors.items()
    }
    return Frame(days, start, y, opened, x, tuple(said))


def known_until(values: Floats, series: Series) -> str | None:
    """Last day with a value, as ISO date."""
    known = np.flatnonzero(np.isfinite(values))
    return str(day(series.start + int(known[-1]))) if len(known) else None


def _check(series: Series, name: str, values: Sequence[float], horizon: int) -> None:
    if name != "open" and name not in series.regressors:
        known = ", ".join(["open", *sorted(series.regressors)])
        raise InputError(f"series {series.series_id} has no such regressor; it has {known}", field=f"future.{name}")
    if len(values) != horizon:
        raise InputError(
            f"{len(values)} values for a horizon of {horizon} days; give one a day", field=f"future.{name}"
        )
    if not np.isfinite(np.asarray(values, dtype=float)).all():
        raise InputError("values must be finite numbers", field=f"future.{name}")
    if name == "open" and not np.isin(np.asarray(values, dtype=float), (0.0, 1.0)).all():
        raise InputError("open is 0 or 1", field="future.open")


def _laid(values: Floats, size: int) -> Floats:
    wide = np.full(size, np.nan)
    count = min(size, len(values))
    wide[:count] = values[:count]
    return wide


def _open(series: Series, days: Days, start: int, y: Floats, given: Sequence[float] | None, said: list[str]) -> Floats:
    weekday = weekdays(days)
    if series.open is None:
        opened = _inferred_open(y[:start], weekday[:start])
        wide = _laid(opened, len(days))
    else:
        wide = _laid(series.open, len(days))
        past = wide[:start]
        wide[:start] = np.where(np.isfinite(past), past, np.where(np.isfinite(y[:start]), y[:start] > 0, np.nan))
        wide = np.where(np.isfinite(wide), (wide > 0).astype(float), np.nan)
    pattern = weekday_mean(wide[:start], weekday[:start], _unseen(start)) > REGULAR
    if given is not None:
        wide[start:] = np.asarray(given, dtype=float)
    unknown = ~np.isfinite(wide)
    if unknown[start:].any():
        closed = sorted({str(d) for d in np.array(NAMES)[~pattern]}, key=NAMES.index)
        habit = f"closed on {', '.join(closed)} as lately" if closed else "open every day as lately"
        said.append(f"open: unknown from {days[start:][unknown[start:]][0]}, taken as {habit}")
    wide[unknown] = pattern[weekday[unknown]]
    return wide


NAMES: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def weekdays(days: Days) -> Ints:
    """0 for Monday to 6 for Sunday."""
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def weekday_mean(values: Floats, weekday: Ints, fallback: float) -> Floats:
    """Mean of each weekday's known values over the last eight weeks, else over all, else `fallback`; shape (7,)."""
    means = np.full(7, fallback)
    for number in range(7):
        mine = values[weekday == number]
        recent = values[-RECENT:][weekday[-RECENT:] == number]
        for candidate in (mine, recent):
            known = candidate[np.isfinite(candidate)]
            if len(known):
                means[number] = known.mean()
    return means


def _unseen(days: int) -> float:
    """Whether a weekday without any row is open: in weeks of history it would have shown."""
    return 0.0 if days >= WEEKS else 1.0


def _inferred_open(y: Floats, weekday: Ints) -> Floats:
    """Without a column: a weekday that lately sells nothing is closed; lone zeros are closed days, many are demand."""
    sold = np.where(np.isfinite(y), y > 0, np.nan)
    regular = weekday_mean(sold, weekday, _unseen(len(y))) > REGULAR
    if not regular.any():
        return np.ones(len(y))
    rest = sold[regular[weekday]]
    zeros = float(np.mean(rest[np.isfinite(rest)] == 0)) if np.isfinite(rest).any() else 0.0
    if zeros >= INTERMITTENT:
        return np.ones(len(y))
    return np.where(np.isfinite(sold), sold, regular[weekday].astype(float))


def _regressor(
    name: str, values: Floats, days: Days, start: int, given: Sequence[float] | None, said: list[str]
) -> Floats:
    wide = _laid(values, len(days))
    if given is not None:
        wide[start:] = np.asarray(given, dtype=float)
    unknown = ~np.isfinite(wide)
    binary = kind_of(values) == "binary"
    usual = weekday_mean(wide[:start], weekdays(days[:start]), 0.0)
    fill = np.zeros(7) if binary else usual
    if unknown[start:].any():
        value = "0" if binary else "its weekday mean of the last eight weeks"
        said.append(f"{name}: unknown from {days[start:][unknown[start:]][0]}, taken as {value}")
    wide[unknown] = fill[weekdays(days[unknown])]
    return wide
