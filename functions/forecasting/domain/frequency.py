"""The step of a series: hours, days, weeks, months or quarters, and what follows from it.

Periods of a frequency have consecutive numbers, and each is named by one time, as the file writes it: a week by any
weekday, a month or quarter by a day of it. A period may be an hour, a day, or what several days hold.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from functions.forecasting.contracts import HORIZONS, FrequencyName

Times = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

TELLING: Final = 3
MOST: Final = 0.95
LAST_DAY: Final = 31
MIXED: Final = 10


class Rhythm(NamedTuple):
    """What a kind of period means, all counted in periods.

    `word` names one; `cycle` is the shortest that repeats within weeks (1 for none) and `season` what a naive forecast
    looks back; `year` is a calendar year and `whole_year` about one of whole cycles; `recent` is what counts as lately.
    `fold` is the shortest window that is judged, `holdout` the fewest and most held out unless asked, `block` what
    intervals share one width, `horizon` the default, `sold` the fewest sales to fit to, `kept` the most in a history.
    """

    word: str
    cycle: int
    season: int
    year: int
    whole_year: int
    recent: int
    fold: int
    holdout: tuple[int, int]
    block: int
    horizon: int
    sold: int
    kept: int


RHYTHMS: Final[dict[str, Rhythm]] = {
    "H": Rhythm("hour", 168, 168, 8760, 8736, 1344, 24, (24, 168), 24, HORIZONS["H"], 168, 10 * 8784),
    "D": Rhythm("day", 7, 7, 365, 364, 56, 7, (14, 56), 14, HORIZONS["D"], 28, 40 * 366),
    "W": Rhythm("week", 1, 52, 52, 52, 8, 6, (6, 13), 4, HORIZONS["W"], 16, 300 * 53),
    "M": Rhythm("month", 1, 12, 12, 12, 12, 6, (6, 12), 3, HORIZONS["M"], 12, 300 * 12),
    "Q": Rhythm("quarter", 1, 4, 4, 4, 4, 6, (6, 8), 2, HORIZONS["Q"], 8, 300 * 4),
}
KINDS: Final = tuple(RHYTHMS)


@dataclass(frozen=True)
class Frequency:
    """`anchor` is the weekday (0 Monday) that names a week, or the day of the month (31 its last) that names a month or
    quarter; `phase` the first month of a quarter, from 0; `zone` the clock of hours, "" when they are as written."""

    kind: FrequencyName = "D"
    anchor: int = 0
    phase: int = 0
    zone: str = ""

    @property
    def rhythm(self) -> Rhythm:
        """What this kind of period means."""
        return RHYTHMS[self.kind]

    @property
    def code(self) -> str:
        """The frequency as a text; `parse` undoes it."""
        numbers = {"W": f" {self.anchor}", "M": f" {self.anchor}", "Q": f" {self.anchor} {self.phase}"}
        return self.kind + numbers.get(self.kind, self.zone and f" {self.zone}")

    @classmethod
    def parse(cls, code: str) -> Self:
        """Undo `code`. Raises ValueError."""
        kind, *rest = code.split()
        if kind not in RHYTHMS or len(rest) > 2:
            raise ValueError("no frequency")
        if kind == "H":
            return cls("H", zone=ZoneInfo(rest[0]).key if rest else "")
        return cls(kind, *map(int, rest))  # type: ignore[arg-type]

    def count(self, number: int) -> str:
        """So many periods, in words."""
        return f"{number} {self.rhythm.word}{'s' * (number != 1)}"

    def numbers(self, times: Times) -> Ints:
        """Number of the period that each time lies in."""
        if self.kind == "H":
            return (times.astype("datetime64[m]").astype(np.int64) - self._minutes) // 60
        days = times.astype("datetime64[D]").astype(np.int64)
        if self.kind == "D":
            return days
        if self.kind == "W":
            return (days + 3 - self._monday) // 7
        months = times.astype("datetime64[M]").astype(np.int64)
        return months if self.kind == "M" else (months - self.phase) // 3

    def number(self, time: np.datetime64) -> int:
        """Number of the period that a time lies in."""
        return int(self.numbers(np.array([time]))[0])

    def days(self, numbers: Ints) -> Times:
        """The first day of each period (of an hour, the day that it lies in by its clock)."""
        if self.kind == "H":
            return self.clock(self.times(numbers)).astype("datetime64[D]")
        if self.kind in "DW":
            days = numbers if self.kind == "D" else numbers * 7 - 3 + self._monday
            return days.astype("datetime64[D]")
        months = numbers if self.kind == "M" else numbers * 3 + self.phase
        return months.astype("datetime64[M]").astype("datetime64[D]")

    def bounds(self, times: Times) -> tuple[Times, Times]:
        """The first day of the period of each time, and the first after it."""
        numbers = self.numbers(times)
        return self.days(numbers), self.days(numbers + 1)

    def times(self, numbers: Ints) -> Times:
        """The time that names each period: days, or hours (of universal time where there is a zone)."""
        if self.kind == "H":
            return (numbers * 60 + self._minutes).astype("datetime64[m]")
        if self.kind == "D":
            return self.days(numbers)
        if self.kind == "W":
            return self.days(numbers) + (self.anchor - self._monday) % 7
        months = self.days(numbers).astype("datetime64[M]") + (2 if self.kind == "Q" and self._ending else 0)
        days = months.astype("datetime64[D]") + (self.anchor - 1)
        return np.asarray(np.minimum(days, (months + 1).astype("datetime64[D]") - 1))

    def clock(self, times: Times) -> Times:
        """Times as a clock shows them: those of hours with a zone in that zone's."""
        if self.kind != "H" or not self.zone or not len(times):
            return times
        days, at = np.unique(times.astype("datetime64[D]"), return_inverse=True)
        early, late = (np.array([_offset(self.zone, int(d) * 1440) for d in days.astype(int) + by]) for by in (0, 1))
        offsets = early[at]
        for i in np.flatnonzero((early != late)[at]):
            offsets[i] = _offset(self.zone, int(times[i].astype(np.int64)))
        return np.asarray(times + offsets.astype("timedelta64[m]"))

    def places(self, times: Times) -> Ints:
        """Place of each time in the shortest cycle: hour of the week, weekday, or 0 where there is none."""
        if self.rhythm.cycle == 1:
            return np.zeros(len(times), np.int64)
        shown = self.clock(times)
        weekday = (shown.astype("datetime64[D]").astype(np.int64) + 3) % 7
        return weekday if self.kind == "D" else weekday * 24 + shown.astype("datetime64[h]").astype(np.int64) % 24

    @property
    def unit(self) -> Literal["m", "D"]:
        """Unit of its times, as numpy names it."""
        return "m" if self.kind == "H" else "D"

    def time(self, label: str) -> np.datetime64:
        """The time that a label or another ISO 8601 text says; of a day, its last hour. Raises ValueError."""
        moment = datetime.fromisoformat(label)
        if self.kind != "H":
            return np.datetime64(moment.date(), "D")
        if len(label) <= len("2024-12-31"):
            moment = moment.replace(hour=23)
        if self.zone:
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.zone))).astimezone(UTC)
        return np.datetime64(moment.replace(tzinfo=None), "m")

    def start(self, text: str) -> np.datetime64:
        """The time that `str` made a text of. Raises ValueError."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            raise ValueError("a time with a zone")
        return np.datetime64(int(np.array([moment], f"datetime64[{self.unit}]").astype(np.int64)[0]), self.unit)

    def labels(self, times: Times) -> list[str]:
        """Times as texts: days as dates, hours to the minute and with the offset of their zone."""
        if self.kind != "H" or not self.zone:
            return [str(text) for text in np.datetime_as_string(times, unit=self.unit)]
        shown = self.clock(times)
        ahead = ((shown - times) / np.timedelta64(1, "m")).astype(int).tolist()
        signs = (f"{'-' if m < 0 else '+'}{abs(m) // 60:02}:{abs(m) % 60:02}" for m in ahead)
        return [f"{text}{sign}" for text, sign in zip(np.datetime_as_string(shown, unit="m"), signs, strict=True)]

    @property
    def _monday(self) -> int:
        """The weekday that a week begins on: weeks named by Friday to Sunday end there, others begin."""
        return self.anchor if self.anchor < 4 else (self.anchor + 1) % 7

    @property
    def _ending(self) -> bool:
        """Whether a quarter is named by its last month."""
        return self.anchor > LAST_DAY - 4

    @property
    def _minutes(self) -> int:
        """Minutes past the hour of universal time at which the zone's hours begin."""
        return _offset(self.zone, 0) % 60 if self.zone else 0


DAYS: Final = Frequency()


@lru_cache(8192)
def _offset(zone: str, minute: int) -> int:
    """Minutes that a zone's clock is ahead at a minute since 1970; before 1970 those of then."""
    ahead = datetime.fromtimestamp(max(minute, 0) * 60, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return int(ahead.total_seconds() // 60) if ahead else 0


def tell(times: Times) -> Frequency | str | None:
    """The frequency of a series with rows at `times` (n,), sorted and each once; None where they are too few to tell,
    and in words why it has none: it mixes steps, or has one that is no frequency's."""
    if len(times) < TELLING:
        return None
    days = np.unique(times.astype("datetime64[D]"))
    if len(days) < MOST * len(times):
        told = Frequency("H")
        if len(np.unique(told.numbers(times))) < MOST * len(times):
            minutes = int(np.median(np.diff(times)) / np.timedelta64(1, "m"))
            return f"comes every {minutes} minutes, which is finer than hours: --frequency H --aggregate sum (or mean)"
    else:
        told = _of_days(days)
        times = days
    numbers = np.unique(told.numbers(times))
    steps = np.diff(numbers)
    usual = int(np.median(steps)) if len(steps) else 1
    if len(steps) >= MIXED and usual > 1 and (steps == usual).mean() >= MOST:
        way = "; a coarser --frequency with --aggregate sum (or mean) puts its rows together" * (told.kind != "Q")
        return f"comes every {told.count(usual)}, which is none of {', '.join(KINDS)}{way}"
    return _mixed(told, numbers, steps) or told


def as_said(kind: FrequencyName, times: Times) -> Frequency:
    """A frequency of this kind for rows at `times` (n,): where each period has one row, named as most rows are,
    else by their first day."""
    days = np.unique(times.astype("datetime64[D]"))
    weekday, of_month = (days.astype(np.int64) + 3) % 7, (days - days.astype("datetime64[M]")).astype(int) + 1
    if kind == "W":
        named = Frequency("W", int(np.bincount(weekday).argmax()))
        return named if len(np.unique(named.numbers(days))) == len(days) else Frequency("W", 0)
    if kind in "MQ":
        named = Frequency(
            kind, int(of_month.max()), int(days[-1].astype("datetime64[M]").astype(int)) % 3 * (kind == "Q")
        )
        return named if len(np.unique(named.numbers(days))) == len(days) else Frequency(kind, 1)
    return Frequency(kind)


def _of_days(days: Times) -> Frequency:
    """The coarsest frequency whose periods hold one of the days each (n,), and which they name alike."""
    steps = np.diff(days).astype(int)
    of_month = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(int) + 1
    if (steps >= 27).mean() >= MOST and not (steps == 28).all():
        anchor = int(of_month.max()) if np.ptp(of_month) else int(of_month[0])
        months = np.unique(days.astype("datetime64[M]").astype(np.int64))
        named = (of_month == anchor).mean() >= MOST or of_month.min() >= LAST_DAY - 4
        if named and len(months) >= MOST * len(days):
            if len(months) > TELLING and (np.diff(months) % 3 == 0).mean() >= MOST:
                last = Frequency("Q", anchor)._ending
                return Frequency("Q", anchor, int(months[-1] - 2 * last) % 3)
            return Frequency("M", anchor)
    weekdays = (days.astype(np.int64) + 3) % 7
    anchor = int(np.bincount(weekdays).argmax())
    if (steps >= 6).mean() >= MOST and (weekdays == anchor).mean() >= MOST:
        return Frequency("W", anchor)
    return DAYS


def _mixed(told: Frequency, numbers: Ints, steps: Ints) -> str:
    """In words where a series goes on in a coarser step: a long run of it; empty where it does not."""
    coarser = {"H": {"day": (24, 24), "week": (168, 168)}, "D": {"week": (7, 7), "month": (28, 31)}}
    for word, (low, high) in (coarser | {"W": {"month": (4, 5)}}).get(told.kind, {}).items():
        within = np.r_[False, (steps >= low) & (steps <= high), False]
        edges = np.flatnonzero(np.diff(within))
        lengths = edges[1::2] - edges[::2]
        if len(lengths) and lengths.max() >= max(MIXED, len(steps) // 10):
            begin = told.labels(told.times(numbers[edges[::2][lengths.argmax()]][None]))[0]
            return f"mixes steps: {told.rhythm.word}s, and {word}s from {begin}; --frequency decides"
    return ""
