"""Sales of many stores in the shape of the Rossmann data: level, trend, week, year, promotions, holidays, closed days.

Each store belongs to one of four archetypes, which share the shape of the week and of the year and how they answer to
a promotion; level, trend and noise are the store's own. The process is multiplicative and partly not of the model's
form: autocorrelated shocks, a December rush, and promotions that pull sales forward.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

DAYS: Final = 780
FUTURE: Final = 42
START: Final = np.datetime64("2023-01-02")
FEASTS: Final = ("01-01", "05-01", "10-03", "12-25", "12-26")
EASTER: Final = tuple(np.datetime64(d) for d in ("2023-04-07", "2023-04-10", "2024-03-29", "2024-04-01", "2025-04-18"))
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


def sales(rows: int, seed: int) -> pa.Table:
    """About `rows` rows of the generic layout, the last 42 days of each store with an empty `y`: its known future."""
    length = min(rows, DAYS + FUTURE)
    future = min(FUTURE, length // 10)
    return table(max(1, rows // length), length - future, future, seed)[0]


def table(stores: int, days: int, future: int, seed: int) -> tuple[pa.Table, np.ndarray]:
    """Rows of `stores` stores over `days` observed and `future` known days, and the archetype of each store."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(stores) % len(ARCHETYPES))
    calendar = START + np.arange(days + future)
    parts = [_store(rng, ARCHETYPES[kind], calendar, days) for kind in kinds]
    ids = np.repeat([f"store-{i + 1:04}" for i in range(stores)], len(calendar))
    columns = {"series_id": pa.array(ids), "ds": pa.array(np.tile(calendar, stores))}
    for name in ("y", "open", "promo", "school_holiday", "state_holiday"):
        columns[name] = pa.array(np.concatenate([part[name] for part in parts]), from_pandas=True)
    return pa.table(columns), kinds


def _store(rng: np.random.Generator, kind: Archetype, calendar: np.ndarray, days: int) -> dict[str, np.ndarray]:
    n, weekday = len(calendar), _weekday(calendar)
    holiday = np.isin(calendar.astype(str), [f"{y}-{d}" for y in range(2023, 2030) for d in FEASTS]) | np.isin(
        calendar, EASTER
    )
    works = ~holiday & ((weekday < 6) | kind.sunday)
    works &= rng.random(n) > 0.002
    week_number = (calendar - START).astype(int) // 7
    promo = (week_number % 2 == rng.integers(2)) & (weekday < 5)
    promo &= ~np.isin(week_number, rng.integers(0, n // 7 + 1, 4))
    short = np.array([day[5:] for day in calendar.astype(str)])
    school = np.any([(short >= first) & (short <= last) for first, last in SCHOOL], axis=0)
    logs = _level(rng, n) + np.array(kind.week)[weekday] + _year(kind, calendar)
    logs += np.where(promo, np.where(weekday < 3, *kind.promotion) * rng.uniform(0.8, 1.2), 0.0)
    logs -= np.where(np.roll(promo, 3) & ~promo, 0.04, 0.0)
    shut = ~works
    logs += 0.10 * np.r_[shut[1:], False] + 0.06 * np.r_[False, shut[:-1]] + rng.normal(0.02, 0.02) * school
    logs += _payday(calendar) * rng.uniform(0.04, 0.10)
    y = np.where(works, np.round(np.exp(logs)), 0.0)
    y[days:] = np.nan
    flags = {"open": works, "promo": promo, "school_holiday": school, "state_holiday": holiday}
    return {"y": y, **{name: values.astype(np.int64) for name, values in flags.items()}}


def _level(rng: np.random.Generator, n: int) -> np.ndarray:
    """Level, a trend that bends twice, shocks that fade over a week or so, and noise."""
    t = np.arange(n) / 365.25
    bends = rng.uniform(0, t[-1] + 1e-9, 2)
    late = np.maximum(t[:, None] - bends, 0.0)
    trend = rng.normal(0.02, 0.05) * t + late @ rng.normal(0, 0.06, 2)
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
