"""What is known or assumed about each period, observed or not: open or closed, and every regressor's value."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np

from functions.forecasting.domain import holidays
from functions.forecasting.domain.frequency import DAYS, Frequency, Ints, Rhythm, Times
from functions.forecasting.domain.series import Floats, Mask, Series, ends
from layers.runtime.errors import InputError

REGULAR: Final = 0.5
WEEKS: Final = 4
INTERMITTENT: Final = 0.1
SPARSE: Final = 0.5
SAME: Final = 0.95
FEW: Final = 2

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
    """Periods from the first row to the end of the horizon: `open` (n,) 0 or 1, `x` name -> (n,) finite; `start` is the
    first that is forecast, `assumed` are regressors whose future nobody told."""

    times: Times
    start: int
    y: Floats
    open: Floats
    x: dict[str, Floats]
    assumptions: tuple[str, ...] = ()
    assumed: frozenset[str] = frozenset()
    frequency: Frequency = DAYS

    @property
    def rhythm(self) -> Rhythm:
        """What a period means."""
        return self.frequency.rhythm

    @property
    def lately(self) -> str:
        """What counts as lately, in words."""
        return "eight weeks" if self.rhythm.cycle > 1 else self.frequency.count(self.rhythm.recent)

    @cached_property
    def places(self) -> Ints:
        """Place of each period in the shortest cycle, shape (n,): its weekday, or hour of the week."""
        return self.frequency.places(self.times)

    @cached_property
    def clock(self) -> Times:
        """The times as a clock shows them, shape (n,)."""
        return self.frequency.clock(self.times)

    @property
    def seen(self) -> int:
        """Rows up to and including the last observation before `start`; 0 when there is none."""
        return ends(self.y[: self.start])

    @property
    def selling(self) -> Floats:
        """Observed sales of open periods, NaN elsewhere and after `start`."""
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
    """The series up to row `start` and the `horizon` periods that follow.

    `start` is the row after the last observation unless it is given: an earlier one hides what came later, a later one
    bridges what lies between. No observation from `start` on is used. A regressor of what is to come is used as far as
    it would be known at `start`: wholly when it is planned or in `known`, any other as many periods ahead as the file
    tells it beyond the last observation. `future` overrides `open` or a regressor, one finite value a period of the
    horizon. Whatever else is missing is assumed, and said. Raises InputError for an unknown name or a wrong length.
    """
    start = series.observed if start is None else start
    size, plans = start + horizon, dict(future or {})
    for name, plan in plans.items():
        _check(series, name, plan, horizon)
    frequency, rhythm = series.frequency, series.frequency.rhythm
    times = frequency.times(frequency.number(series.start) + np.arange(size))
    y = _widen(series.y[:start], size)
    bare = Frame(times, start, y, np.ones(size), {}, frequency=frequency)
    seen = bare.seen
    assumptions = []
    if below := int((y[:seen] < 0).sum()):
        assumptions.append(f"y: below zero on {frequency.count(below)}, kept as it is")
    if seen and (gap := start - seen):
        label = frequency.labels(times[[seen - 1]])[0]
        assumptions.append(f"y: last observed on {label}; bridged over {frequency.count(gap)} to the horizon")
    opened, habit = _open(series, bare, plans.pop("open", None))
    assumptions += [habit] if habit else []
    if seen and (rows := np.isfinite(y[:seen]) | (opened[:seen] == 0)).mean() < SPARSE:
        share, word = f"{rows.mean():.0%}", rhythm.word
        assumptions.append(f"y: known on {share} of the {word}s only; each {word} is forecast like those")
    x, assumed = {}, set()
    for name, wide in _regressors(series, start, size, known, plans).items():
        unknown = ~np.isfinite(wide)
        fill, how = _assume(name, wide, bare)
        if unknown[start:].any():
            assumed.add(name)
            assumptions.append(f"{name}: unknown from {_first(bare, unknown)}, taken as {how}")
        x[name] = np.where(unknown, fill, wide)
    return replace(bare, open=opened, x=x, assumptions=tuple(assumptions), assumed=frozenset(assumed))


def _first(bare: Frame, unknown: Mask) -> str:
    """Label of the first period of the horizon that is unknown."""
    row = bare.start + int(np.argmax(unknown[bare.start :]))
    return bare.frequency.labels(bare.times[[row]])[0]


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
        frequency = series.frequency
        why = f"{len(values)} values for a horizon of {frequency.count(horizon)}; give one for each"
        raise InputError(why, field=f"future.{name}")
    if name == "open" and not np.isin(np.asarray(values, dtype=float), (0.0, 1.0)).all():
        raise InputError("open is 0 or 1", field="future.open")


def _widen(values: Floats, size: int) -> Floats:
    wide = np.full(size, np.nan)
    count = min(size, len(values))
    wide[:count] = values[:count]
    return wide


def _open(series: Series, bare: Frame, plan: Sequence[float] | None) -> tuple[Floats, str | None]:
    """Whether each period is open, (n,), 0 or 1, judged by what is observed, and what was assumed of the horizon."""
    seen, start, places, rhythm = bare.seen, bare.start, bare.places, bare.rhythm
    y = bare.y[:seen]
    unseen = 0.0 if seen >= WEEKS * rhythm.cycle else 1.0  # a weekday without any row: weeks of history would show it
    if series.open is None:
        wide = _widen(_inferred_open(y, places[:seen], rhythm, unseen), len(bare.times))
    else:
        wide = _widen(series.open, len(bare.times))
        past = wide[:seen]
        wide[:seen] = np.where(np.isfinite(past), past, np.where(np.isfinite(y), y != 0, np.nan))
        wide = np.where(np.isfinite(wide), (wide > 0).astype(float), np.nan)
    pattern = usual(wide[:seen], places[:seen], rhythm, unseen) > REGULAR
    if plan is not None:
        wide[start:] = np.asarray(plan, dtype=float)
    shut = _shut(series, pattern[places], wide[:seen])
    unknown, habit = ~np.isfinite(wide), None
    closed = _named(~pattern)
    if unknown[start:].any() and (series.open is not None or closed or shut.any()):
        known = f"closed on {closed} as lately" if closed else f"open every {rhythm.word} as lately"
        known += ", and closed on public holidays" if shut.any() else ""
        habit = f"open: unknown from {_first(bare, unknown)}, taken as {known}"
    return np.where(unknown, pattern[places] & ~shut, wide), habit


def _shut(series: Series, usually: Mask, opened: Floats) -> Mask:
    """Public holidays, (n,), of a series that was closed on most of those before on which it is `usually` (n,) open;
    `opened` (seen,) says whether it was."""
    marks = holidays.column(series)
    if marks is None or series.frequency.kind == "W":
        return np.zeros(len(usually), bool)
    feast: Mask = _widen(marks, len(usually)) > 0
    before = feast[: len(opened)] & usually[: len(opened)] & np.isfinite(opened)
    return feast & bool(before.sum() >= FEW and opened[before].mean() < REGULAR)


NAMES: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _named(on: Mask) -> str:
    """The weekdays that are on; hours of the week are too many to name, and in a cycle of one there is nothing to."""
    if len(on) == len(NAMES):
        return ", ".join(name for name, one in zip(NAMES, on, strict=True) if one)
    return f"{on.sum()} of its {len(on)} places in the week" if len(on) > 1 and on.any() else "all" * bool(on.any())


def weekdays(days: Times) -> Ints:
    """0 for Monday to 6 for Sunday."""
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def usual(values: Floats, places: Ints, rhythm: Rhythm, fallback: float) -> Floats:
    """Mean of the known values of each place of the cycle lately, else ever, else `fallback`; shape (cycle,)."""
    means = np.full(rhythm.cycle, fallback)
    for late in (slice(None), slice(-rhythm.recent, None)):
        known = np.isfinite(values[late])
        at = places[late][known]
        count, total = np.bincount(at, minlength=rhythm.cycle), np.bincount(at, values[late][known], rhythm.cycle)
        means = np.where(count > 0, total / np.maximum(count, 1), means)
    return means


def _inferred_open(y: Floats, places: Ints, rhythm: Rhythm, unseen: float) -> Floats:
    """Without a column: a weekday that lately sells nothing is closed; lone zeros are closed days, many are demand."""
    sold = np.where(np.isfinite(y), y != 0, np.nan)
    regular = usual(sold, places, rhythm, unseen) > REGULAR
    rest = sold[regular[places] & np.isfinite(sold)]
    if not regular.any() or (len(rest) and np.mean(rest == 0) >= INTERMITTENT):
        return np.ones(len(y))
    return np.where(np.isfinite(sold), sold, regular[places].astype(float))


def _assume(name: str, wide: Floats, bare: Frame) -> tuple[Floats, str]:
    """What a regressor's unknown values (n,) are taken as, judged by what is observed, and that in words."""
    seen, places, year = bare.seen, bare.places, bare.rhythm.year
    past = wide[:seen]
    if PROMOTION.search(name.lower()) and (past == 0).any():
        return np.zeros(len(wide)), "0"
    known = past[np.isfinite(past)]
    if len(known) > 1 and np.ptp(known) == 0:
        return np.full(len(wide), known[0]), f"{known[0]:g} as ever"
    lately = usual(past, places[:seen], bare.rhythm, 0.0)
    if _yearly(past, year):
        rows = np.arange(len(wide))
        before = wide[rows - year * np.maximum((rows - seen) // year + 1, 0)]
        return np.where(np.isfinite(before), before, lately[places]), "its value a year before"
    if kind_of(past) == "numeric":
        mean = "weekday mean" if bare.frequency == DAYS else "usual value"
        return lately[places], f"its {mean} of the last {bare.lately}"
    on = lately > REGULAR
    return on.astype(float)[
        places
    ], "0" if not on.any() else "1" if on.all() else f"1 on {_named(on)} as lately, else 0"


def _yearly(past: Floats, year: int) -> bool:
    """Whether a column that often changes was the same a year before: it follows from the calendar."""
    now, before = past[year:], past[:-year]
    known = np.isfinite(now) & np.isfinite(before)
    if known.sum() < year:
        return False
    common = np.median(now[known])
    return bool((now == before)[known].mean() >= SAME and (now != common)[known].mean() > 1 - SAME)
