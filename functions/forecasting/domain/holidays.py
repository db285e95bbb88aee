"""A country's public holidays as a planned regressor of hours, days and weeks.

Of an hour or a day it says whether it is one, of a week how many it has from Monday to Saturday. The days come from the
package `holidays`, by ISO 3166 codes: a country (DE) or a part of it (DE-BY).
"""

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from functions.forecasting.domain.frequency import Times
from functions.forecasting.domain.series import Floats, Series
from layers.runtime.errors import InputError

NAME: Final = "public_holiday"
STEPS: Final = "HDW"
SUNDAY: Final = 3  # of days since 1970, modulo 7
LIST: Final = "https://holidays.readthedocs.io/en/latest/#available-countries"


def is_holiday(name: str) -> bool:
    """Whether a regressor is one of these."""
    return name.startswith(f"{NAME}:")


def column(series: Series) -> Floats | None:
    """The regressor of a series, shape (n,), where it has one."""
    return next((values for name, values in series.regressors.items() if is_holiday(name)), None)


def mark(series: Series, country: str, rows: int = 0) -> Series:
    """The series with the country's holidays in each of its rows, and in those up to number `rows` that follow.

    Without a country, or by months and quarters, as it is. Raises InputError for an unknown country.
    """
    if not country:
        return series
    wide = series.reaching(rows)
    first, after = wide.frequency.bounds(wide.times)
    if wide.frequency.kind == "H":
        first = wide.frequency.days(wide.frequency.numbers(wide.times))
        after = first + 1
    begin, end = (first[[0, -1]].astype("datetime64[Y]").astype(int) + 1970).tolist()
    days = np.concatenate([_days(country, year) for year in range(begin, end + 2)])
    if wide.frequency.kind not in STEPS:
        return series
    if wide.frequency.kind == "W":
        days = days[days.astype(np.int64) % 7 != SUNDAY]
    count = np.searchsorted(days, after) - np.searchsorted(days, first)
    return replace(wide, regressors=wide.regressors | {f"{NAME}:{country}": count.astype(float)})


@lru_cache(1_000)
def _days(country: str, year: int) -> Times:
    """The holidays of a year, sorted and each once. Raises InputError."""
    import holidays  # by whoever asks for them only

    code, _, part = country.partition("-")
    try:
        if len(code) != 2:  # the package knows other names too, which are not those of the standard
            raise NotImplementedError
        days = holidays.country_holidays(code, subdiv=part or None, years=year)
    except NotImplementedError as exc:
        raise InputError(f"{country} is no country whose holidays are known; see {LIST}", field="holidays") from exc
    return np.array(sorted(days), "datetime64[D]")
