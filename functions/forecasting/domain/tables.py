"""Sales files: CSV (also gzipped) or Parquet in, series and rejected rows out."""

import io
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

import numpy as np

from functions.forecasting.domain import columns
from functions.forecasting.domain.series import MAX_DAYS, UNKNOWN, Series
from layers.runtime.errors import InputError
from layers.runtime.files import MB, Limits, Text, reading

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

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
    """What a file held; `ignored` are columns that are neither numbers nor few categories, `repeated` counts copies."""

    series: list[Series] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    rows: int = 0
    repeated: int = 0


def read(
    source: BinaryIO, name: str, *, preset: Preset = "auto", stamp: int = 0, limits: Limits | None = None
) -> Parsed:
    """Parse a file called `name`; `stamp` is when it arrived, in seconds since 1970.

    Raises InputError when it cannot be read at all, has no row, or lacks a needed column; LimitError past `limits`.
    """
    limits = limits or Limits()
    is_parquet = PurePath(name).suffix.lower() in {".parquet", ".pq"}
    with reading(name, "Parquet" if is_parquet else "CSV"):
        table, numbers, broken = (_parquet if is_parquet else _csv)(source, name, limits)
        frame = _renamed(table, name, preset)
        parsed = Parsed(rows=len(numbers) + len(broken))
        parsed.rejected += [Rejection(row, "", "has another number of columns than the header") for row in broken]
        if not len(frame):
            raise InputError("has no data row", file=name)
        ids, days, y, opened, bad = columns.required(frame, name)
        regressors, parsed.ignored = columns.regressors(frame)
    for position, reason in bad.items():
        parsed.rejected.append(Rejection(int(numbers[position]), str(ids[position]), reason))
    good = np.ones(len(frame), bool)
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


def _parquet(source: BinaryIO, name: str, limits: Limits) -> tuple["pa.Table", np.ndarray, list[int]]:
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(source)
    footer = file.metadata
    size = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))
    width = footer.num_columns
    limits.check(name, object_mb=size / MB, table_columns=width, table_cells=footer.num_rows * width)
    table = file.read(use_threads=False)
    return table, np.arange(table.num_rows), []


def _csv(source: BinaryIO, name: str, limits: Limits) -> tuple["pa.Table", np.ndarray, list[int]]:
    """The table with every value as text, the number of each row in the file, and rows of a wrong width."""
    import pyarrow as pa
    import pyarrow.csv as csv

    body = io.BufferedReader(Text(source, name, limits), 1 << 20).read().removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        raise InputError("is empty", file=name)
    broken: list[int] = []

    def skip(row: Any) -> str:
        broken.append(int(row.number) - 2)
        return "skip"

    header = body.split(b"\n", 1)[0]
    delimiter = max((",", ";", "\t", "|"), key=lambda d: header.count(d.encode()))
    names = csv.open_csv(
        pa.BufferReader(header + b"\n"), parse_options=csv.ParseOptions(delimiter=delimiter)
    ).schema.names
    limits.check(name, table_columns=len(names), table_cells=len(names) * body.count(b"\n"))
    table = csv.read_csv(
        pa.BufferReader(body),
        read_options=csv.ReadOptions(use_threads=False),
        parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    if delimiter == ";":
        table = _with_points(table)
    total = table.num_rows + len(broken)
    return table, np.setdiff1d(np.arange(total), broken), sorted(broken)


def _with_points(table: "pa.Table") -> "pa.Table":
    """Where a semicolon parts the columns, a comma parts the decimals."""
    import pyarrow as pa
    import pyarrow.compute as compute

    replaced = [
        compute.replace_substring_regex(column, r"^(\s*-?\d+),(\d+\s*)$", r"\1.\2")
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(replaced, names=table.column_names)


def _renamed(table: "pa.Table", name: str, preset: Preset) -> "pd.DataFrame":
    """The table under our names for its columns, as a pandas frame."""
    frame: pd.DataFrame
    names = table.column_names
    if preset == "auto":
        preset = "rossmann" if {"Store", "Date", "Sales"} <= set(names) and "ds" not in names else "generic"
    if preset == "rossmann":
        for needed in ("Store", "Date", "Sales"):
            if needed not in names:
                raise InputError("column is missing", file=name, field=needed)
        kept = [column for column in names if column in ROSSMANN]
        frame = table.select(kept).rename_columns([ROSSMANN[column] for column in kept]).to_pandas()
        return frame
    # Our own columns are known in any case; a regressor keeps its name as it is written.
    plain = [column.strip() for column in names]
    names = [
        column.lower() if column.lower() in columns.OURS and column.lower() not in plain else column for column in plain
    ]
    for needed in ("ds", "y"):
        if needed not in names:
            raise InputError(f"column is missing; there are {', '.join(names)}", file=name, field=needed)
    if len(set(names)) < len(names):
        raise InputError("a column name comes twice", file=name)
    frame = table.rename_columns(names).to_pandas()
    return frame
