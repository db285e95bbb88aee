"""Sales files: CSV or Parquet in, series and rejected rows out."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.forecasting.contracts import NO_ID, FrequencyName, is_id
from functions.forecasting.domain.frequency import DAYS, Frequency, as_said, tell
from functions.forecasting.domain.series import UNKNOWN, Series
from layers import tables
from layers.runtime import files
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.tables import Reading, Styles, Table, open_table, styles, to_numbers, to_texts, to_times
from layers.tables.numbers import is_number, is_text, plain_array
from layers.tables.table import SHOWN

Preset = Literal["auto", "generic", "rossmann", "amazon-forecast"]
Aggregate = Literal["sum", "mean"]

OURS: Final = ("series_id", "ds", "y", "open")
OWN: Final = tables.Preset({name: [name] for name in OURS}, others=True)
# A public competition of 2015: sales of the stores of a chain.
ROSSMANN: Final = tables.Preset(
    {"series_id": ["store"], "ds": ["date"], "y": ["sales"], "open": ["open"]}
    | {"promo": ["promo"], "state_holiday": ["stateholiday"], "school_holiday": ["schoolholiday"]}
)
# Target time series of Amazon Forecast, as its domains call the columns; all others are dimensions.
AMAZON: Final = tables.Preset(
    {
        "series_id": ["item_id", "workforce_type", "instance_type", "metric_name"],
        "ds": ["timestamp"],
        "y": ["target_value", "demand", "value", "workforce_demand", "number_of_instances", "metric_value"],
    }
)
AMAZON_TOLD: Final = {"item_id", "timestamp", "target_value"}
DECIMALS: Final = re.compile(r"-?\d+[.,]\d+")
FORMS: Final = {"generic": OWN, "rossmann": ROSSMANN, "amazon-forecast": AMAZON}
HEADER: Final = "; a file without a header needs a first line like item_id,timestamp,target_value and its dimensions"
WIDE: Final = "; name it by --column, or make a table with a column for each period rows first (in pandas by melt)"
# Sums and ratios of such numbers are finite; what is smaller is nothing.
SMALLEST, LARGEST = 1e-9, 1e12
FIRST, LAST = np.datetime64("1900-01-01"), np.datetime64("2199-12-31")
MAX_CATEGORIES: Final = 12
STRAY: Final = 0.1
COUNTED: Final = 10
INDEX: Final = re.compile(r"row_?names?|row|index|id|unnamed: ?0", re.IGNORECASE)
NOTHING: Final = {"", "0", "none", "no", "false"}
MISSING: Final = {"nan", "na", "n/a", "null", "unknown"}
TRUTH: Final = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}

GAP_YEARS: Final = 5
FEW: Final = 3
WHOLE: Final = 0.85
LONGEST_DAY: Final = len("2024-12-31")
NO_DAY: Final = (
    "ds is not a date like 2024-12-31, a week like 2024-W50, a month like 2024-12, or a quarter like 2024-Q4"
)
NO_NUMBER: Final = f"y is not a number up to {LARGEST:,.0f}"
NO_HOUR: Final = "ds is an hour that its zone's clocks left out"
MISTYPED: Final = "ds is years away from all but a few days of its series: is the year mistyped?"
OLD: Final = "ds is before the newest {:,} {}s of its series, which are kept"
TORN: Final = "ds comes again with other values"
SEVERAL: Final = (
    "most {}s come several times with different values: is a series_id missing? "
    "--column series_id=NAME+NAME makes one of columns; --aggregate sum (or mean) puts the rows of each together"
)


@dataclass(frozen=True)
class Periods:
    """What a person says of the periods that rows are: their frequency (None: the rows tell), how several rows of one
    become one (None: they are refused), and the zone whose clock counts ("": as written)."""

    frequency: FrequencyName | None = None
    aggregate: Aggregate | None = None
    timezone: str = ""


@dataclass(frozen=True)
class Rejection:
    """A data row (from 0; -1 for a whole series) that is left out, and why; `file` where that is not the sales."""

    row: int
    series_id: str
    reason: str
    file: str = ""


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
    periods: Periods | None = None,
    needed: Sequence[str] = ("ds", "y"),
) -> Parsed:
    """Parse a file called `name`; `stamp` is when it arrived, in seconds since 1970, `reading` how it is to be read,
    `periods` what its rows are, and `needed` the columns that it must have.

    Raises InputError when it cannot be read at all, has no row, lacks a needed column or can be read in two ways, and
    LimitError past `limits`.
    """
    limits, periods = limits or Limits(), periods or Periods()
    table = open_table(source, name, limits=limits, reading=reading)
    with files.reading(name, table.kind):
        names = _column_names(table, preset, needed)
        cells = _read_cells(table, names)
        size = len(cells.rows)
        stem = PurePath(name).name.split(".")[0] or "series"
        y, unread = cells.numbers("y") if "y" in names else (np.full(size, np.nan), np.zeros(size, bool))
        opened, strange = _open(cells, name)
        regressors = _regressors(cells, np.isfinite(y), table.names[0])
        ids, codes = cells.coded("series_id") if "series_id" in names else (np.array([stem]), np.zeros(size, int))
        if "series_id" not in table.reading.columns:  # else somebody said what the parts of an id are
            _check_dimensions(table, names, ids)
        moments = cells.moments(periods.timezone, codes)
    outside = np.isnat(moments.wall) | (moments.wall < FIRST) | (moments.wall > LAST)
    impossible = np.array([not is_id(str(series_id)) for series_id in ids])
    marks = [
        (impossible[codes], f"series_id: {NO_ID}"),
        (strange, "open is neither 0 nor 1"),
        (unread, NO_NUMBER),
        (outside, NO_DAY),
        (moments.skipped, NO_HOUR),
    ]
    reasons = np.full(size, "", object)
    for mask, text in reversed(marks):
        reasons[mask] = text
    columns = {"y": y} | ({} if opened is None else {"open": opened}) | regressors
    coded = {column.partition("=")[0] for column in regressors}
    parsed = Parsed(
        rows=size + len(table.ragged),
        ignored=[column for column in names if column not in (*OURS, *coded)],
        understood=table.understood() | {"columns": names},
    )
    order = np.argsort(codes, kind="stable")
    order = order[reasons[order] == ""]
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    limits.check(name, file_series=len(groups))
    for rows, frequency in zip(groups, _frequencies(moments, groups, periods), strict=True):
        series_id = str(ids[codes[rows[0]]])
        if isinstance(frequency, str):
            parsed.rejected.append(Rejection(-1, series_id, f"series {series_id} {frequency}"))
            continue
        numbers = frequency.numbers(moments.of(frequency)[rows])
        sorting = np.argsort(numbers, kind="stable")
        rows, numbers, values = rows[sorting], numbers[sorting], {c: v[rows[sorting]] for c, v in columns.items()}
        if periods.aggregate:
            reasons[rows] = _partial(numbers, moments.wall[rows], frequency)
            whole = reasons[rows] == ""
            numbers, values = _aggregated(numbers[whole], {c: v[whole] for c, v in values.items()}, periods.aggregate)
        else:
            reasons[rows], repeats = _sift(numbers, np.column_stack([*values.values()]), frequency)
            parsed.repeated += int(repeats.sum())
            good = (reasons[rows] == "") & ~repeats
            numbers, values = numbers[good], {c: v[good] for c, v in values.items()}
        if len(numbers):
            parsed.series.append(_dense(series_id, frequency, numbers, values, stamp))
    parsed.rejected += [Rejection(one.row, "", one.reason) for one in table.ragged]
    wrong = np.flatnonzero(reasons != "")
    parsed.rejected += [Rejection(int(cells.rows[i]), str(ids[codes[i]]), reasons[i]) for i in wrong]
    return parsed


def _column_names(table: Table, preset: Preset, needed: Sequence[str]) -> dict[str, str]:
    """The file's name of each column of ours and of each regressor, which keeps its own."""
    form = FORMS[_told(table) if preset == "auto" else preset]
    names = table.columns(form)
    for ours in (*needed, *(() if form is OWN else ("series_id",))):
        if ours not in names:
            theirs = ours if form is OWN else form.aliases[ours][0]
            hint = HEADER if form is AMAZON else WIDE if len(table.names) > SHOWN else ""
            raise table.lacks(theirs.capitalize() if form is ROSSMANN else theirs, hint, ours=ours)
    if form is AMAZON and "series_id" not in table.reading.columns:
        names["series_id"] = "+".join([names["series_id"], *(c for c in table.names if c not in names.values())])
    return names


def _told(table: Table) -> str:
    """The layout that the file's columns tell."""
    there = {*table.names}
    if {"Store", "Date", "Sales"} <= there and "ds" not in there:
        return "rossmann"
    return "amazon-forecast" if there >= AMAZON_TOLD and not table.reading.columns else "generic"


def _check_dimensions(table: Table, names: dict[str, str], ids: np.ndarray) -> None:
    """Raises InputError for a part of the ids (n,) that is a number with decimals in all of them."""
    _, *dimensions = names.get("series_id", "").split("+")
    parts = [series_id.rsplit("/", len(dimensions))[1:] for series_id in ids.tolist() if dimensions]
    for name, values in zip(dimensions, zip(*parts, strict=False), strict=False):
        if all(DECIMALS.fullmatch(value) for value in values):
            why = (
                "holds numbers with decimals, so it is no dimension: regressors go into a file of their own, --related"
            )
            raise InputError(why, file=table.name, field=name)


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

    def coded(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Its different cells as text, sorted, and the place of each row's among them, (n,)."""
        texts = to_texts(self._column(name)).dictionary_encode()
        found, at = np.unique(texts.dictionary.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
        return found, at[texts.indices.to_numpy(zero_copy_only=False)]

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values with NaN for unknown, and where a cell is not a number; true and yes are 1."""
        column = self._column(name)
        values, bad = to_numbers(column, self.styles.numbers[self.names[name]])
        if bad.any():
            words = to_texts(column.filter(pa.array(bad))).to_pylist()
            values[bad] = [TRUTH.get(word.lower(), np.nan) for word in words]
        bad = (bad & np.isnan(values)) | (np.abs(values) > LARGEST)
        return np.where(bad, np.nan, np.where(np.abs(values) < SMALLEST, 0.0, values)), bad

    def moments(self, timezone: str, codes: np.ndarray) -> "Moments":
        """When each row is. A time with an offset is told in the wall clock of `timezone`, or as written; a month is
        its first day. `codes` (n,) say of which series each row is: in the hour that clocks repeat, its second row of
        one time is the later."""
        column, style = self._column("ds"), self.styles.times[self.names["ds"]]
        wall = universal = to_times(column, style, zone=timezone or None)[0]
        if not is_text(column.type) or (pc.max(pc.utf8_length(plain_array(column))).as_py() or 0) > LONGEST_DAY:
            universal = to_times(column, style, zone="UTC")[0]
        written = column.type.tz if pa.types.is_timestamp(column.type) else None
        if written or (wall != universal)[~np.isnat(wall)].any():
            return Moments(wall, universal, timezone or written or "UTC", np.zeros(len(wall), bool))
        if not timezone:
            return Moments(wall, wall, "", np.zeros(len(wall), bool))
        early, late = (_universal(wall, timezone, which) for which in ("earliest", "latest"))
        shown = to_times(pa.array(early, pa.timestamp("us", "UTC")), style, zone=timezone)[0]
        twice = np.flatnonzero((early != late) & (shown == wall))
        again, seen = np.zeros(len(wall), bool), set[tuple[int, int]]()
        for row in twice.tolist():
            key = (int(codes[row]), int(wall[row].astype(np.int64)))
            again[row] = key in seen
            seen.add(key)
        return Moments(wall, np.where(again, late, early), timezone, (shown != wall) & ~np.isnat(wall))

    def _column(self, name: str) -> Any:
        return self.columns.column(name).combine_chunks()


@dataclass(frozen=True)
class Moments:
    """Times of rows, (n,): by the wall clock, and for hours as instants of universal time where there is a `zone`;
    `skipped` are times that its clock never showed."""

    wall: np.ndarray
    instants: np.ndarray
    zone: str
    skipped: np.ndarray

    def of(self, frequency: Frequency) -> np.ndarray:
        """The times that count for a frequency."""
        return self.instants if frequency.kind == "H" else self.wall


def _universal(wall: np.ndarray, zone: str, which: str) -> np.ndarray:
    """The times of a zone's wall clock as universal time, the `which` of two where clocks were turned."""
    placed = pc.assume_timezone(pa.array(wall, pa.timestamp("us")), zone, ambiguous=which, nonexistent=which)
    return np.asarray(placed.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False), "datetime64[us]")


def _frequencies(moments: Moments, groups: list[np.ndarray], periods: Periods) -> list[Frequency | str]:
    """The frequency of each series, or why it has none; where its rows do not tell, that of most others."""
    told = [tell(np.unique(moments.wall[rows])) for rows in groups]
    usual = Counter(one for one in told if isinstance(one, Frequency)).most_common(1)
    chosen: list[Frequency | str] = []
    for rows, one in zip(groups, told, strict=True):
        times = moments.wall[rows]
        if periods.frequency and not (isinstance(one, Frequency) and one.kind == periods.frequency):
            one = as_said(periods.frequency, times)
        elif one is None:
            whole = (times == times.astype("datetime64[D]")).all()
            one = usual[0][0] if usual else DAYS if whole else Frequency("H")
        chosen.append(replace(one, zone=moments.zone) if isinstance(one, Frequency) and one.kind == "H" else one)
    return chosen


def _partial(numbers: np.ndarray, times: np.ndarray, frequency: Frequency) -> np.ndarray:
    """Why rows (n,) cannot be used: a first or last period that has fewer of them than usual is not whole."""
    reasons = np.full(len(numbers), "", object)
    pairs = np.unique(np.stack([numbers, times.astype(np.int64)]), axis=1)
    found, counts = np.unique(pairs[0], return_counts=True)
    for edge in {0, len(found) - 1}:
        if counts[edge] < WHOLE * np.median(counts):
            reasons[numbers == found[edge]] = f"its {frequency.rhythm.word} is not whole, so it is left out"
    return reasons


def _aggregated(
    numbers: np.ndarray, values: dict[str, np.ndarray], how: Aggregate
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One row a period: sales summed or averaged, open where any row is, regressors averaged."""
    found, at = np.unique(numbers, return_inverse=True)
    columns = {}
    for name, column in values.items():
        known = np.isfinite(column)
        count, total = np.bincount(at[known], minlength=len(found)), np.bincount(at[known], column[known], len(found))
        mean = total / np.where(count > 0, count, np.nan)
        columns[name] = np.where(count > 0, total, np.nan) if (name, how) == ("y", "sum") else mean
    if "open" in columns:
        columns["open"] = np.ceil(columns["open"])
    return found, columns


def _read_cells(table: Table, names: dict[str, str]) -> Cells:
    """The columns `names` (ours -> the file's), those of regressors only where they are numbers or texts."""
    chosen = {
        name: theirs
        for name, theirs in names.items()
        if name in ("series_id", "ds", "y") or is_text(kind := table.type_of(theirs)) or is_number(kind)
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


def _regressors(cells: Cells, observed: np.ndarray, first: str) -> dict[str, np.ndarray]:
    """Every other column as numbers (n,), or as 0/1 columns of its few texts, but one that numbers the rows; `observed`
    (n,) rows have sales. An index has the name of one, or is the `first` column and starts at 0 or 1."""
    coded: dict[str, np.ndarray] = {}
    for name in cells.names:
        if name not in OURS:
            values, unread = cells.numbers(name)
            index = INDEX.fullmatch(name) or (name == first and values[0] in (0.0, 1.0))
            if index and _counts_rows(values):
                continue
            text = np.char.lower(cells.text(name).astype(str)) if unread.any() else np.empty(0, str)
            coded |= code(name, text, values, unread, observed)
    return coded


def _counts_rows(values: np.ndarray) -> bool:
    """Whether a column (n,) only numbers the rows of its file, as an index that was written with them does."""
    steps = np.diff(values)
    return len(steps) >= COUNTED and bool((steps > 0).all() and (steps == 1).mean() > 0.5)


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


def _sift(numbers: np.ndarray, values: np.ndarray, frequency: Frequency) -> tuple[np.ndarray, np.ndarray]:
    """Why each row of a series cannot be used ("" for none), and which only repeat the row before.

    `numbers` (n,) of their periods sorted, `values` (n, columns). What is wrong with a period costs no other, unless
    most of them are.
    """
    rhythm, reasons = frequency.rhythm, np.full(len(numbers), "", object)
    first = np.r_[True, numbers[1:] != numbers[:-1]]
    starts, period = np.flatnonzero(first), np.cumsum(first) - 1
    standard = values[starts[period]]
    differs = ~((values == standard) | (np.isnan(values) & np.isnan(standard))).all(axis=1)
    torn = np.bincount(period, differs) > 0
    reasons[torn[period]] = TORN if torn.mean() <= 0.5 else SEVERAL.format(rhythm.word)
    # Few rows that lie years apart from the rest: the usual cause is a wrong digit of the year.
    pieces = np.r_[0, np.cumsum(np.diff(numbers) > GAP_YEARS * (rhythm.year + 1))]
    sizes = np.bincount(pieces)
    few = (sizes <= max(FEW, len(numbers) // 100)) & (sizes < sizes.max())
    reasons[few[pieces]] = MISTYPED
    usable = numbers[reasons == ""]
    if len(usable):
        old = (reasons == "") & (numbers <= usable[-1] - rhythm.kept)
        reasons[old] = OLD.format(rhythm.kept, rhythm.word)
    return reasons, ~first & ~torn[period]


def _dense(
    series_id: str, frequency: Frequency, numbers: np.ndarray, values: dict[str, np.ndarray], stamp: int
) -> Series:
    """The series in every period from the first to the last."""
    at = numbers - numbers[0]
    size = int(at[-1]) + 1
    wide = {name: np.full(size, np.nan) for name in values}
    for name, column in values.items():
        wide[name][at] = column
    stamps = np.full(size, UNKNOWN)
    stamps[at] = stamp
    y, opened = wide.pop("y"), wide.pop("open", None)
    regressors = {name: column for name, column in wide.items() if np.isfinite(column).any()}
    start = frequency.times(numbers[:1])[0]
    return Series(series_id, start, y, opened, regressors, dict.fromkeys(values, stamps), frequency)
