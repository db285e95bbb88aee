"""Sales files: CSV or Parquet in, series and rejected rows out."""

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import pyarrow as pa

from functions.forecasting.contracts import NO_ID, is_id
from functions.forecasting.domain.series import MAX_DAYS, UNKNOWN, Series
from layers import tables
from layers.runtime import files
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.tables import Reading, Styles, Table, open_table, styles, to_numbers, to_texts, to_times
from layers.tables.numbers import is_number, is_text

Preset = Literal["auto", "generic", "rossmann"]

OURS: Final = ("series_id", "ds", "y", "open")
OWN: Final = tables.Preset({name: [name] for name in OURS}, others=True)
# A public competition of 2015: sales of the stores of a chain.
ROSSMANN: Final = tables.Preset(
    {"series_id": ["store"], "ds": ["date"], "y": ["sales"], "open": ["open"]}
    | {"promo": ["promo"], "state_holiday": ["stateholiday"], "school_holiday": ["schoolholiday"]}
)
# Sums and ratios of such numbers are finite; what is smaller is nothing.
SMALLEST, LARGEST = 1e-9, 1e12
FIRST, LAST = np.datetime64("1900-01-01"), np.datetime64("2199-12-31")
MAX_CATEGORIES: Final = 12
STRAY: Final = 0.1
NOTHING: Final = {"", "0", "none", "no", "false"}
MISSING: Final = {"nan", "na", "n/a", "null", "unknown"}
TRUTH: Final = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}

GAP_DAYS: Final = 5 * 366
FEW: Final = 3
NO_DAY: Final = "ds is not a date like 2024-12-31"
NO_NUMBER: Final = f"y is not a number up to {LARGEST:,.0f}"
MISTYPED: Final = "ds is years away from all but a few days of its series: is the year mistyped?"
OLD: Final = f"ds is before the newest {MAX_DAYS:,} days of its series, which are kept"
TORN: Final = "ds comes again with other values"
SEVERAL: Final = "most days come several times with different values: is a series_id missing?"


@dataclass(frozen=True)
class Rejection:
    """A data row (from 0; -1 for a whole series) that is left out, and why."""

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
        names = _column_names(table, preset)
        cells = _read_cells(table, names)
        size = len(cells.rows)
        stem = PurePath(name).name.split(".")[0] or "series"
        ids = cells.text("series_id").astype(str) if "series_id" in names else np.full(size, stem)
        days, (y, unread), (opened, strange) = cells.days(), cells.numbers("y"), _open(cells, name)
        regressors = _regressors(cells, np.isfinite(y))
    outside = np.isnat(days) | (days < FIRST) | (days > LAST)
    unique, codes = np.unique(ids, return_inverse=True)
    impossible = np.array([not is_id(str(series_id)) for series_id in unique])
    marks = [
        (impossible[codes], f"series_id: {NO_ID}"),
        (strange, "open is neither 0 nor 1"),
        (unread, NO_NUMBER),
        (outside, NO_DAY),
    ]
    reasons = np.select([mask for mask, _ in marks], [text for _, text in marks], "").astype(object)
    columns = {"y": y} | ({} if opened is None else {"open": opened}) | regressors
    coded = {column.partition("=")[0] for column in regressors}
    parsed = Parsed(
        rows=size + len(table.ragged),
        ignored=[column for column in names if column not in (*OURS, *coded)],
        understood=table.understood() | {"columns": names},
    )
    order = np.lexsort((days, codes))
    order = order[reasons[order] == ""]
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    limits.check(name, file_series=len(groups))
    for rows in groups:
        reasons[rows], repeats = _sift(days[rows], np.column_stack([values[rows] for values in columns.values()]))
        parsed.repeated += int(repeats.sum())
        good = rows[(reasons[rows] == "") & ~repeats]
        if len(good):
            values = {column: values[good] for column, values in columns.items()}
            parsed.series.append(_dense(str(ids[good[0]]), days[good], values, stamp))
    parsed.rejected = [Rejection(one.row, "", one.reason) for one in table.ragged]
    parsed.rejected += [Rejection(int(cells.rows[i]), str(ids[i]), reasons[i]) for i in np.flatnonzero(reasons != "")]
    return parsed


def _column_names(table: Table, preset: Preset) -> dict[str, str]:
    """The file's name of each column of ours and of each regressor, which keeps its own."""
    rossmann = {"Store", "Date", "Sales"} <= {*table.names} and "ds" not in table.names
    plain = preset == "generic" or (preset == "auto" and not rossmann)
    form = OWN if plain else ROSSMANN
    names = table.columns(form)
    for needed in ("ds", "y") if plain else ("series_id", "ds", "y"):
        if needed not in names:
            raise table.lacks(needed if plain else form.aliases[needed][0].capitalize())
    return names


@dataclass(frozen=True)
class Cells:
    """Whole columns of a file, each under our name; `names` are ours -> the file's.

    `rows` (n,) are the places of the cells in the file, from 0.
    """

    names: dict[str, str]
    rows: np.ndarray
    columns: pa.Table
    styles: Styles

    def text(self, name: str) -> np.ndarray:
        """Cells as written, without spaces around them, (n,)."""
        return np.asarray(to_texts(self._column(name)).to_numpy(zero_copy_only=False), object)

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values with NaN for unknown, and where a cell is not a number; true and yes are 1."""
        column = self._column(name)
        values, bad = to_numbers(column, self.styles.numbers[self.names[name]])
        for row in np.flatnonzero(bad):
            values[row] = TRUTH.get(str(column[row]).strip().lower(), np.nan)
        bad = (bad & np.isnan(values)) | (np.abs(values) > LARGEST)
        return np.where(bad, np.nan, np.where(np.abs(values) < SMALLEST, 0.0, values)), bad

    def days(self) -> np.ndarray:
        """Calendar days as written, whatever the time or the offset behind them; a month is its first. NaT for none."""
        return to_times(self._column("ds"), self.styles.times[self.names["ds"]], zone=None)[0].astype("datetime64[D]")

    def _column(self, name: str) -> Any:
        return self.columns.column(name).combine_chunks()


def _read_cells(table: Table, names: dict[str, str]) -> Cells:
    """The columns `names` (ours -> the file's), those of regressors only where they are numbers or texts."""
    types = table.types
    chosen = {
        name: theirs
        for name, theirs in names.items()
        if name in ("series_id", "ds", "y") or is_text(types[theirs]) or is_number(types[theirs])
    }
    numeric = [theirs for name, theirs in chosen.items() if name not in ("series_id", "ds")]
    batches = list(table.batches(list(chosen.values())))
    decided = styles(table, numbers=numeric, times=[names["ds"]], batches=batches)
    if not sum(map(len, batches)):
        raise InputError("has no data row", file=table.name)
    rows = np.concatenate([batch.rows for batch in batches])
    columns = {ours: pa.chunked_array([batch.column(theirs) for batch in batches]) for ours, theirs in chosen.items()}
    return Cells(chosen, rows, pa.table(columns), decided)


def _open(cells: Cells, name: str) -> tuple[np.ndarray | None, np.ndarray]:
    """Whether each day is open, (n,), None without such a column, and where a cell is neither 0 nor 1."""
    if "open" not in cells.names:
        return None, np.zeros(len(cells.rows), bool)
    opened, bad = cells.numbers("open")
    flags = np.isin(opened, (0.0, 1.0))
    bad = bad | (np.isfinite(opened) & ~flags)
    if bad.sum() > flags.sum():
        why = "says whether a day is open, 0 or 1, but holds other values; give the column another name"
        raise InputError(why, file=name, field="open")
    return opened, bad


def _regressors(cells: Cells, observed: np.ndarray) -> dict[str, np.ndarray]:
    """Every other column as numbers (n,), or as 0/1 columns of its few texts; `observed` (n,) rows have sales."""
    coded: dict[str, np.ndarray] = {}
    for name in cells.names:
        if name not in OURS:
            text = np.char.lower(cells.text(name).astype(str))
            coded |= code(name, text, *cells.numbers(name), observed)
    return coded


def code(
    name: str, text: np.ndarray, numbers: np.ndarray, unread: np.ndarray, observed: np.ndarray
) -> dict[str, np.ndarray]:
    """A regressor as columns (n,) that mean the same in every file: each cell is coded by its own value alone.

    A number is a value of `name`. A text is 1 in `name=text` and 0 in the column's other texts, a word for nothing is 0
    in all of them, and a sign without letter or digit is unknown. `text` (n,) is in lower case, `unread` (n,) where it
    is no number. A blank is nothing where the `observed` rows have blanks too, else unknown. Too many texts: empty.
    """
    if not unread.any():
        return {name: numbers}
    sayable = np.array([any(map(str.isalnum, cell)) and cell not in MISSING for cell in text])
    kinds = sorted(set(text[unread & sayable]) - NOTHING)
    if len(kinds) > MAX_CATEGORIES:
        return {name: numbers} if unread.mean() < STRAY else {}
    blank = text == ""
    sayable |= blank & bool((blank & observed).any())
    coded = {f"{name}={kind}": np.where(sayable, text == kind, np.nan) for kind in kinds}
    return ({name: numbers} if np.nan_to_num(numbers).any() or not kinds else {}) | coded


def _sift(days: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    # Few rows that lie years apart from the rest: the usual cause is a wrong digit of the year.
    pieces = np.r_[0, np.cumsum(np.diff(days).astype(int) > GAP_DAYS)]
    sizes = np.bincount(pieces)
    few = (sizes <= max(FEW, len(days) // 100)) & (sizes < sizes.max())
    reasons[few[pieces]] = MISTYPED
    usable = days[reasons == ""]
    if len(usable):
        reasons[(reasons == "") & (days <= usable[-1] - MAX_DAYS)] = OLD
    return reasons, ~first & ~torn[day]


def _dense(series_id: str, days: np.ndarray, values: dict[str, np.ndarray], stamp: int) -> Series:
    """The series on every day from the first to the last."""
    at = (days - days[0]).astype(int)
    size = int(at[-1]) + 1
    wide = {name: np.full(size, np.nan) for name in values}
    for name, column in values.items():
        wide[name][at] = column
    stamps = np.full(size, UNKNOWN)
    stamps[at] = stamp
    y, opened = wide.pop("y"), wide.pop("open", None)
    regressors = {name: column for name, column in wide.items() if np.isfinite(column).any()}
    return Series(series_id, days[0], y, opened, regressors, dict.fromkeys(values, stamps))
