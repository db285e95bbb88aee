"""Sales files: CSV or Parquet in, series and rejected rows out."""

from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Literal

import numpy as np

from functions.forecasting.domain import columns
from functions.forecasting.domain.series import MAX_DAYS, UNKNOWN, Series
from layers.runtime import files
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.tables import Reading, Table, open_table

Preset = Literal["auto", "generic", "rossmann"]

ROSSMANN: Final = {
    "Store": "series_id",
    "Date": "ds",
    "Sales": "y",
    "Open": "open",
    "Promo": "promo",
    "StateHoliday": "state_holiday",
    "SchoolHoliday": "school_holiday",
}

GAP_DAYS: Final = 5 * 366
FEW: Final = 3
MISTYPED: Final = "ds is years away from all but a few days of its series: is the year mistyped?"
OLD: Final = f"ds is before the newest {MAX_DAYS:,} days of its series, which are kept"
TORN: Final = "ds comes again with other values"
SEVERAL: Final = "most days come several times with different values: is a series_id missing?"


@dataclass(frozen=True)
class Rejection:
    """A data row (from 0) that is left out, and why."""

    row: int
    series_id: str
    reason: str


@dataclass
class Parsed:
    """What a file held, and how it was understood; `ignored` are columns that are neither numbers nor few categories.

    `repeated` counts rows that say again what another row says.
    """

    series: list[Series] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    rows: int = 0
    repeated: int = 0
    understood: dict[str, Any] = field(default_factory=dict)


def read(
    source: BinaryIO,
    name: str,
    *,
    preset: Preset = "auto",
    stamp: int = 0,
    limits: Limits | None = None,
    reading: Reading | None = None,
) -> Parsed:
    """Parse a file called `name`; `stamp` is when it arrived, in seconds since 1970, `reading` how it is to be read.

    Raises InputError when it cannot be read at all, has no row, lacks a needed column or can be read in two ways, and
    LimitError past `limits`.
    """
    limits = limits or Limits()
    table = open_table(source, name, limits=limits, reading=reading)
    with files.reading(name, table.kind):
        names = _named(table, preset)
        cells = columns.read(table, names)
        numbers = cells.rows
        ids, days, y, opened, bad = columns.required(cells, name)
        regressors = columns.regressors(cells, np.isfinite(y))
    coded = {regressor.partition("=")[0] for regressor in regressors}
    parsed = Parsed(
        rows=len(numbers) + len(table.ragged),
        rejected=[Rejection(one.row, "", one.reason) for one in table.ragged],
        ignored=[regressor for regressor in names if regressor not in (*columns.OURS, *coded)],
        understood=table.understood() | {"columns": names},
    )
    for position, reason in bad.items():
        parsed.rejected.append(Rejection(int(numbers[position]), str(ids[position]), reason))
    good = np.ones(len(numbers), bool)
    good[list(bad)] = False
    order = np.flatnonzero(good)
    codes = np.unique(ids[order], return_inverse=True)[1] if len(order) else np.zeros(0, int)
    order = order[np.lexsort((days[order], codes))]
    edges = np.flatnonzero(ids[order][1:] != ids[order][:-1]) + 1
    limits.check(name, file_series=len(edges) + 1)
    values = {"y": y, "open": opened, **regressors}
    known = {name: column for name, column in values.items() if column is not None}
    for rows in np.split(order, edges) if len(order) else []:
        reasons, repeats = _sifted(days[rows], np.column_stack([column[rows] for column in known.values()]))
        parsed.rejected += [
            Rejection(int(numbers[i]), str(ids[i]), reason) for i, reason in zip(rows, reasons, strict=True) if reason
        ]
        parsed.repeated += int(repeats.sum())
        rows = rows[(reasons == "") & ~repeats]
        if len(rows):
            parsed.series.append(_dense(str(ids[rows[0]]), days[rows], {k: v[rows] for k, v in known.items()}, stamp))
    return parsed


def _sifted(days: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Why each row of a series cannot be used ("" for none), and which only repeat the row before.

    `days` (n,) sorted, `values` (n, columns). What is wrong with a day costs no other day, unless most days are.
    """
    reasons = np.full(len(days), "", object)
    first = np.r_[True, days[1:] != days[:-1]]
    starts, day = np.flatnonzero(first), np.cumsum(first) - 1
    standard = values[starts[day]]
    differs = ~((values == standard) | (np.isnan(values) & np.isnan(standard))).all(axis=1)
    torn = np.bincount(day, differs) > 0
    reasons[torn[day]] = TORN if torn.mean() <= 0.5 else SEVERAL
    reasons[_mistyped(days)] = MISTYPED
    usable = days[reasons == ""]
    if len(usable):
        reasons[(reasons == "") & (days <= usable[-1] - MAX_DAYS)] = OLD
    return reasons, ~first & ~torn[day]


def _mistyped(days: np.ndarray) -> np.ndarray:
    """Where few rows lie years apart from the rest; the usual cause is a wrong digit of the year."""
    pieces = np.r_[0, np.cumsum(np.diff(days).astype(int) > GAP_DAYS)]
    sizes = np.bincount(pieces)
    few = (sizes <= max(FEW, len(days) // 100)) & (sizes < sizes.max())
    apart: np.ndarray = few[pieces]
    return apart


def _dense(series_id: str, days: np.ndarray, known: dict[str, np.ndarray], stamp: int) -> Series:
    at = (days - days[0]).astype(int)
    size = int(at[-1]) + 1
    wide = {name: np.full(size, np.nan) for name in known}
    for name, values in known.items():
        wide[name][at] = values
    stamps = np.full(size, UNKNOWN)
    stamps[at] = stamp
    y, opened = wide.pop("y"), wide.pop("open", None)
    kept = {name: values for name, values in wide.items() if np.isfinite(values).any()}
    return Series(series_id, days[0], y, opened, kept, dict.fromkeys(known, stamps))


def _named(table: Table, preset: Preset) -> dict[str, str]:
    """The file's name of each column of ours and of each regressor, which keeps its own."""
    names = table.names
    if preset == "auto":
        preset = "rossmann" if {"Store", "Date", "Sales"} <= set(names) and "ds" not in names else "generic"
    if preset == "rossmann":
        for needed in ("Store", "Date", "Sales"):
            if needed not in names:
                raise InputError("column is missing", file=table.name, field=needed)
        return {ROSSMANN[column]: column for column in names if column in ROSSMANN}
    # Our own columns are known in any case.
    found = {
        column.lower() if column.lower() in columns.OURS and column.lower() not in names else column: column
        for column in names
    }
    for needed in ("ds", "y"):
        if needed not in found:
            raise InputError(f"column is missing; there are {', '.join(names)}", file=table.name, field=needed)
    if len(found) < len(names):
        raise InputError("a column name comes twice", file=table.name)
    return found
