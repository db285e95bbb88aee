"""Sales of many stores in the shape of the Rossmann data: level, trend, week, year, promotions, holidays, closed days.

Each store belongs to one of four archetypes, which share the shape of the week and of the year and how they answer to
a promotion; level, trend and noise are the store's own. The process is multiplicative and partly not of the model's
form: autocorrelated shocks, a December rush, and promotions that pull sales forward.

Weeks, months and quarters are sums of such days (flags count days), and longer ones grow; hours share out the days of
stores that never close, by a shape of weekdays and one of weekends.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from dateutil.easter import easter

from functions.forecasting.contracts import HORIZONS, FrequencyName
from functions.forecasting.domain.frequency import Frequency

DAYS: Final = 780
FUTURE: Final = 42
# Observed periods, the days that one has, and the growth in a year.
SPANS: Final[dict[FrequencyName, tuple[int, float, float]]] = {
    "H": (2_688, 1 / 24, 0.02),
    "D": (DAYS, 1.0, 0.02),
    "W": (182, 7.0, 0.02),
    "M": (96, 30.4375, 0.07),
    "Q": (40, 91.3125, 0.07),
}
START: Final = np.datetime64("2023-01-02")
FEASTS: Final = ("01-01", "05-01", "10-03", "12-25", "12-26")
EASTER: Final = [np.datetime64(easter(year)) + by for year in range(2023, 2050) for by in (-2, 1)]
SCHOOL: Final = (("02-05", "02-11"), ("04-02", "04-15"), ("07-10", "08-20"), ("10-16", "10-28"), ("12-22", "12-31"))


@dataclass(frozen=True)
class Archetype:
    """Log effects: Monday to Sunday, size and day of the yearly peak, promotion on weekdays and towards the weekend."""

    week: tuple[float, ...]
    season: float
    peak: int
    december: float
    promotion: tuple[float, float]
    sunday: bool = False


ARCHETYPES: Final = (
    Archetype((0.20, 0.02, -0.06, -0.05, 0.05, -0.15, 0.0), 0.06, 340, 0.45, (0.40, 0.20)),
    Archetype((-0.15, -0.12, -0.05, 0.02, 0.22, 0.35, 0.0), 0.14, 200, 0.10, (0.18, 0.10)),
    Archetype((0.02, 0.00, 0.01, 0.03, 0.10, 0.05, -0.25), 0.25, 190, 0.00, (0.08, 0.15), sunday=True),
    Archetype((0.08, 0.05, 0.04, 0.02, 0.00, -0.40, 0.0), 0.16, 20, 0.20, (0.30, 0.45)),
)


def sales(rows: int, seed: int, frequency: FrequencyName = "D") -> pa.Table:
    """About `rows` rows of the generic layout, the last ones of each store with an empty `y`: its known future."""
    most = HORIZONS[frequency]
    length = min(rows, SPANS[frequency][0] + most)
    future = min(most, length // 5)
    return table(max(1, rows // length), length - future, future, seed, frequency)[0]


def table(
    stores: int, observed: int, future: int, seed: int, frequency: FrequencyName = "D"
) -> tuple[pa.Table, np.ndarray]:
    """Rows of `stores` stores over `observed` and `future` known periods, and the archetype of each store."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(stores) % len(ARCHETYPES))
    periods, (_, days, growth) = observed + future, SPANS[frequency]
    calendar = START + np.arange(int(np.ceil((periods + 2) * days)) if frequency != "D" else periods)
    made = [_store(rng, ARCHETYPES[kind], calendar, growth, closing=frequency != "H") for kind in kinds]
    parts = [_periods(rng, frequency, calendar, part, periods) for part in made]
    ids = np.repeat([f"store-{i + 1:04}" for i in range(stores)], periods)
    columns = {"series_id": pa.array(ids), "ds": pa.array(np.concatenate([part["ds"] for part in parts]))}
    for name in ("y", "open", "promo", "school_holiday", "state_holiday"):
        if name == "y":
            for part in parts:
                part["y"][observed:] = np.nan
        columns[name] = pa.array(np.concatenate([part[name] for part in parts]), from_pandas=True)
    return pa.table(columns), kinds


def _periods(
    rng: np.random.Generator, kind: FrequencyName, calendar: np.ndarray, days: dict[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """The first `count` whole periods of a store's days."""
    if kind == "D":
        return days | {"ds": calendar}
    if kind == "H":
        hours = np.arange(24)
        weekday, weekend = (np.exp(-(((hours - at) / 4.0) ** 2)) for at in (11, 15))
        shape = 0.2 + np.where(_weekday(calendar)[:, None] < 5, weekday + np.roll(weekday, 7) * 0.8, weekend)
        load = days["y"][:, None] / 24 * shape * np.exp(rng.normal(0, 0.06, shape.shape))
        spread = {name: np.repeat(values, 24)[:count] for name, values in days.items()}
        times = (calendar.astype("datetime64[s]")[:, None] + hours * np.timedelta64(3600, "s")).ravel()
        return spread | {"ds": times[:count], "y": np.round(load.ravel(), 1)[:count]}
    frequency = Frequency(kind, 1 if kind != "W" else 0)
    numbers = frequency.numbers(calendar)
    numbers -= numbers[0] + (frequency.bounds(calendar[:1])[0][0] < calendar[0])
    sums = {name: np.bincount(numbers[numbers >= 0], values[numbers >= 0])[:count] for name, values in days.items()}
    first = frequency.number(calendar[0]) + int(numbers[0] < 0)
    return sums | {"open": np.minimum(sums["open"], 1), "ds": frequency.times(first + np.arange(count))}


def _store(
    rng: np.random.Generator, kind: Archetype, calendar: np.ndarray, growth: float, *, closing: bool
) -> dict[str, np.ndarray]:
    n, weekday = len(calendar), _weekday(calendar)
    short = np.array([day[5:] for day in calendar.astype(str)])
    holiday = np.isin(short, FEASTS) | np.isin(calendar, EASTER)
    works = (~holiday & ((weekday < 6) | kind.sunday)) | (not closing)
    works &= (rng.random(n) > 0.002) | (not closing)
    week_number = (calendar - START).astype(int) // 7
    promo = (week_number % 2 == rng.integers(2)) & (weekday < 5)
    promo &= ~np.isin(week_number, rng.integers(0, n // 7 + 1, 4))
    school = np.any([(short >= first) & (short <= last) for first, last in SCHOOL], axis=0)
    logs = _level(rng, n, growth) + np.array(kind.week)[weekday] + _year(kind, calendar)
    logs += np.where(promo, np.where(weekday < 3, *kind.promotion) * rng.uniform(0.8, 1.2), 0.0)
    logs -= np.where(np.roll(promo, 3) & ~promo, 0.04, 0.0)
    shut = ~works
    logs += 0.10 * np.r_[shut[1:], False] + 0.06 * np.r_[False, shut[:-1]] + rng.normal(0.02, 0.02) * school
    logs += _payday(calendar) * rng.uniform(0.04, 0.10)
    y = np.where(works, np.round(np.exp(logs)), 0.0)
    flags = {"open": works, "promo": promo, "school_holiday": school, "state_holiday": holiday}
    return {"y": y, **{name: values.astype(np.int64) for name, values in flags.items()}}


def _level(rng: np.random.Generator, n: int, growth: float) -> np.ndarray:
    """Level, a trend that bends twice, shocks that fade over a week or so, and noise."""
    t = np.arange(n) / 365.25
    bends = rng.uniform(0, t[-1] + 1e-9, 2)
    late = np.maximum(t[:, None] - bends, 0.0)
    trend = rng.normal(growth, 0.05) * t + late @ rng.normal(0, 0.06, 2)
    shocks, level = np.zeros(n), 0.0
    for i, push in enumerate(rng.normal(0, 0.03, n)):
        level = 0.8 * level + push
        shocks[i] = level
    level = rng.normal(8.6, 0.45)
    return np.asarray(level + trend + shocks + rng.normal(0, rng.uniform(0.05, 0.10), n))


def _year(kind: Archetype, calendar: np.ndarray) -> np.ndarray:
    of_year = (calendar - calendar.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
    rush = np.where((of_year >= 334) & (of_year < 358), (of_year - 333) / 24, 0.0)
    wave: np.ndarray = kind.season * np.cos(2 * np.pi * (of_year - kind.peak) / 365.25)
    return np.asarray(wave + kind.december * rush, dtype=float)


def _payday(calendar: np.ndarray) -> np.ndarray:
    month = calendar.astype("datetime64[M]")
    since = (calendar - month.astype("datetime64[D]")).astype(int)
    left = ((month + 1).astype("datetime64[D]") - calendar).astype(int)
    return np.where((since < 2) | (left <= 2), 1.0, 0.0)


def _weekday(days: np.ndarray) -> np.ndarray:
    return np.asarray((days.astype("datetime64[D]").astype(np.int64) + 3) % 7)
