"""What is known or assumed about each day, observed or not: open or closed, and every regressor's value."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from functions.forecasting.domain.series import Days, Floats, Ints, Series, ends
from layers.runtime.errors import InputError

RECENT: Final = 56
REGULAR: Final = 0.5
INTERMITTENT: Final = 0.1
WEEKS: Final = 28
SPARSE: Final = 0.5
YEAR: Final = 365
SAME: Final = 0.95

PROMOTION: Final = re.compile(r"promo|campaign|discount")
# Names of what is fixed beforehand: it is planned, or it follows from the calendar.
PLANNED: Final = re.compile(
    r"^(?:is_)?(?:day|dow|week|month|mnth|quarter|season|year|yr)(?:_?of_?[a-z]+)?(?:$|=)|"
    r"(?:^|_)(?:promo|campaign|discount|holi|vacation|school|feast|easter|christmas|open$|closed|"
    r"week_?(?:day|end)|work(?:ing)?_?day)"
)

Kind = Literal["binary", "numeric"]


@dataclass(frozen=True)
class Frame:
    """Days from the first row to the end of the horizon: `open` (n,) 0 or 1, `x` name -> (n,) finite; `start` is the
    first day that is forecast, `assumed` are regressors whose future nobody told."""

    days: Days
    start: int
    y: Floats
    open: Floats
    x: dict[str, Floats]
    assumptions: tuple[str, ...] = ()
    assumed: frozenset[str] = frozenset()

    @property
    def seen(self) -> int:
        """Rows up to and including the last observation before `start`; 0 when there is none."""
        return ends(self.y[: self.start])

    @property
    def selling(self) -> Floats:
        """Observed sales of open days, NaN elsewhere and after `start`."""
        return np.where(self.open > 0, self.y, np.nan)


def kind_of(values: Floats) -> Kind:
    """`binary` when every known value is 0 or 1."""
    known = values[np.isfinite(values)]
    return "binary" if np.isin(known, (0.0, 1.0)).all() else "numeric"


def build(
    series: Series,
    horizon: int,
    future: Mapping[str, Sequence[float]] | None = None,
    *,
    start: int | None = None,
    known: Collection[str] = (),
) -> Frame:
    """The series up to row `start` and the `horizon` days that follow.

    `start` is the row after the last observation unless it is given: an earlier one hides what came later, a later one
    bridges the days between. No observation from `start` on is used. A regressor of the days to come is used as far as
    it would be known at `start`: wholly when it is planned or in `known`, any other as many days ahead as the file
    tells it beyond the last observation. `future` overrides `open` or a regressor, one finite value a day of the
    horizon. Whatever else is missing is assumed, and said. Raises InputError for an unknown name or a wrong length.
    """
    start = series.observed if start is None else start
    size, plans = start + horizon, dict(future or {})
    for name, plan in plans.items():
        _check(series, name, plan, horizon)
    days = series.start + np.arange(size)
    y = _widen(series.y[:start], size)
    seen = ends(y)
    assumptions = []
    if below := int((y[:seen] < 0).sum()):
        assumptions.append(f"y: below zero on {below} days, kept as it is")
    if seen and (gap := start - seen):
        bridge = f"bridged over {gap} day{'s' * (gap > 1)} to the horizon"
        assumptions.append(f"y: last observed on {days[seen - 1]}; {bridge}")
    opened, habit = _open(series, days, start, y[:seen], plans.pop("open", None))
    assumptions += [habit] if habit else []
    if seen and (rows := np.isfinite(y[:seen]) | (opened[:seen] == 0)).mean() < SPARSE:
        assumptions.append(f"y: known on {rows.mean():.0%} of the days only; each day is forecast like those")
    x, assumed = {}, set()
    for name, wide in _regressors(series, start, size, known, plans).items():
        unknown = ~np.isfinite(wide)
        fill, how = _assume(name, wide, days, seen)
        if unknown[start:].any():
            assumed.add(name)
            assumptions.append(f"{name}: unknown from {days[start:][unknown[start:]][0]}, taken as {how}")
        x[name] = np.where(unknown, fill, wide)
    return Frame(days, start, y, opened, x, tuple(assumptions), frozenset(assumed))


def _regressors(
    series: Series, start: int, size: int, known: Collection[str], plans: Mapping[str, Sequence[float]]
) -> dict[str, Floats]:
    """Each regressor as it is known on the eve of row `start` or planned, NaN elsewhere, shape (size,).

    Of a column with categories (`weather=rain`) all are known where one is, and none is on where another is planned.
    """
    columns = {name: _widen(values, size) for name, values in eve(series, start, known).regressors.items()}
    for name, values in list(columns.items()):
        siblings = [v for other, v in columns.items() if "=" in name and _base(other) == _base(name)]
        if siblings:
            columns[name] = np.where(np.isnan(values) & np.isfinite(siblings).any(axis=0), 0.0, values)
    for name, plan in plans.items():
        columns[name][start:] = np.asarray(plan, dtype=float)
        for other in columns.keys() - plans.keys():
            if "=" in name and _base(other) == _base(name):
                columns[other][start:][columns[name][start:] > 0] = 0.0
    return columns


def eve(series: Series, start: int, known: Collection[str] = (), *, newest: int = 0) -> Series:
    """The series as it was known before row `start`: without later observations, and with regressors as far ahead as
    the file tells them beyond the last observation, or beyond row `newest` where other series have later ones; wholly
    when they are planned or in `known`."""
    last = max(series.observed, newest)
    columns = {}
    for name, values in series.regressors.items():
        planned = {name, _base(name)} & set(known) or PLANNED.search(_words(name))
        end = len(values) if planned else start + max(0, ends(values) - last)
        columns[name] = np.where(np.arange(len(values)) < end, values, np.nan)
    return replace(series.until(start), regressors=columns)


def _base(name: str) -> str:
    return name.partition("=")[0]


def _words(name: str) -> str:
    """A name in lower case with its words parted by underscores: `WorkingDay` and `working day` are `working_day`."""
    return re.sub(r"[^a-z=]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())


def _check(series: Series, name: str, values: Sequence[float], horizon: int) -> None:
    if name != "open" and name not in series.regressors:
        known = ", ".join(["open", *sorted(series.regressors)])
        raise InputError(f"series {series.series_id} has no such regressor; it has {known}", field=f"future.{name}")
    if len(values) != horizon:
        why = f"{len(values)} values for a horizon of {horizon} days; give one a day"
        raise InputError(why, field=f"future.{name}")
    if name == "open" and not np.isin(np.asarray(values, dtype=float), (0.0, 1.0)).all():
        raise InputError("open is 0 or 1", field="future.open")


def _widen(values: Floats, size: int) -> Floats:
    wide = np.full(size, np.nan)
    count = min(size, len(values))
    wide[:count] = values[:count]
    return wide


def _open(series: Series, days: Days, start: int, y: Floats, plan: Sequence[float] | None) -> tuple[Floats, str | None]:
    """Whether each day is open, (days,), 0 or 1, judged by observations y (n,), and what was assumed of the horizon."""
    weekday, seen = weekdays(days), len(y)
    unseen = 0.0 if seen >= WEEKS else 1.0  # a weekday without any row: in weeks of history it would have shown
    if series.open is None:
        wide = _widen(_inferred_open(y, weekday[:seen], unseen), len(days))
    else:
        wide = _widen(series.open, len(days))
        past = wide[:seen]
        wide[:seen] = np.where(np.isfinite(past), past, np.where(np.isfinite(y), y != 0, np.nan))
        wide = np.where(np.isfinite(wide), (wide > 0).astype(float), np.nan)
    pattern = weekday_mean(wide[:seen], weekday[:seen], unseen) > REGULAR
    if plan is not None:
        wide[start:] = np.asarray(plan, dtype=float)
    unknown, habit = ~np.isfinite(wide), None
    if unknown[start:].any():
        closed = [name for name, is_open in zip(NAMES, pattern, strict=True) if not is_open]
        usual = f"closed on {', '.join(closed)} as lately" if closed else "open every day as lately"
        habit = f"open: unknown from {days[start:][unknown[start:]][0]}, taken as {usual}"
    return np.where(unknown, pattern[weekday], wide), habit


NAMES: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def weekdays(days: Days) -> Ints:
    """0 for Monday to 6 for Sunday."""
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def weekday_mean(values: Floats, weekday: Ints, fallback: float) -> Floats:
    """Mean of each weekday's known values over the last eight weeks, else over all, else `fallback`; shape (7,)."""
    means = np.full(7, fallback)
    for late in (slice(None), slice(-RECENT, None)):
        for number in range(7):
            known = values[late][(weekday[late] == number) & np.isfinite(values[late])]
            means[number] = known.mean() if len(known) else means[number]
    return means


def _inferred_open(y: Floats, weekday: Ints, unseen: float) -> Floats:
    """Without a column: a weekday that lately sells nothing is closed; lone zeros are closed days, many are demand."""
    sold = np.where(np.isfinite(y), y != 0, np.nan)
    regular = weekday_mean(sold, weekday, unseen) > REGULAR
    rest = sold[regular[weekday] & np.isfinite(sold)]
    if not regular.any() or (len(rest) and np.mean(rest == 0) >= INTERMITTENT):
        return np.ones(len(y))
    return np.where(np.isfinite(sold), sold, regular[weekday].astype(float))


def _assume(name: str, wide: Floats, days: Days, seen: int) -> tuple[Floats, str]:
    """What a regressor's unknown values (days,) are taken as, judged by the `seen` first rows, and that in words."""
    past, weekday = wide[:seen], weekdays(days)
    if PROMOTION.search(name.lower()) and (past == 0).any():
        return np.zeros(len(wide)), "0"
    usual = weekday_mean(past, weekday[:seen], 0.0)
    if _yearly(past):
        rows = np.arange(len(wide))
        before = wide[rows - YEAR * np.maximum((rows - seen) // YEAR + 1, 0)]
        return np.where(np.isfinite(before), before, usual[weekday]), "its value a year before"
    if kind_of(past) == "numeric":
        return usual[weekday], "its weekday mean of the last eight weeks"
    usual = (usual > REGULAR).astype(float)
    on = [day for day, value in zip(NAMES, usual, strict=True) if value]
    return usual[weekday], {0: "0", 7: "1"}.get(len(on), f"1 on {', '.join(on)} as lately, else 0")


def _yearly(past: Floats) -> bool:
    """Whether a column that often changes was the same a year before: it follows from the calendar."""
    now, before = past[YEAR:], past[:-YEAR]
    known = np.isfinite(now) & np.isfinite(before)
    if known.sum() < YEAR:
        return False
    usual = np.median(now[known])
    return bool((now == before)[known].mean() >= SAME and (now != usual)[known].mean() > 1 - SAME)
