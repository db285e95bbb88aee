"""Sales files: CSV (also gzipped) or Parquet in, series and rejected rows out."""

import io
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

import numpy as np

from functions.forecasting.domain import columns
from functions.forecasting.domain.series import MAX_DAYS, Series
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

FAR: Final = f"ds is decades away from the other days of its series, which may span {MAX_DAYS} days"


@dataclass(frozen=True)
class Rejection:
    """A data row (from 0) that is left out, and why."""

    row: int
    series_id: str
    reason: str


@dataclass
class Parsed:
    """What a file held; `ignored` are columns that are neither numbers nor few categories."""

    series: list[Series] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    rows: int = 0


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
    hint = "" if "series_id" in frame else ": is a series_id missing?"
    order = np.flatnonzero(good)
    codes = np.unique(ids[order], return_inverse=True)[1] if len(order) else np.zeros(0, int)
    order = order[np.lexsort((days[order], codes))]
    edges = np.flatnonzero(ids[order][1:] != ids[order][:-1]) + 1
    limits.check(name, file_series=len(edges) + 1)
    for rows in np.split(order, edges) if len(order) else []:
        values = {"y": y, "open": opened, **regressors}
        near = _near(days[rows])
        parsed.rejected += [Rejection(int(numbers[i]), str(ids[i]), FAR) for i in rows[~near]]
        rows = rows[near]
        outcome = _one(str(ids[rows[0]]), days[rows], {k: v[rows] for k, v in values.items() if v is not None}, stamp)
        if isinstance(outcome, Series):
            parsed.series.append(outcome)
        else:
            parsed.rejected += [
                Rejection(int(numbers[rows[i]]), str(ids[rows[0]]), reason(numbers[rows]) + hint)
                for i, reason in outcome
            ]
    return parsed


def _near(days: np.ndarray) -> np.ndarray:
    """Where the sorted days of a series are near enough to each other: a mistyped year must not cost the others."""
    if (days[-1] - days[0]).astype(int) < MAX_DAYS:
        return np.ones(len(days), bool)
    near: np.ndarray = np.abs((days - days[len(days) // 2]).astype(int)) < MAX_DAYS // 2
    return near


def _one(series_id: str, days: np.ndarray, known: dict[str, np.ndarray], stamp: int) -> Any:
    twice = np.flatnonzero(days[1:] == days[:-1])
    if len(twice):
        i = int(twice[0])

        def reason(numbers: np.ndarray) -> str:
            return f"series left out: {days[i]} comes twice, in rows {numbers[i]} and {numbers[i + 1]}"

        return [(i, reason), (i + 1, reason)]
    at = (days - days[0]).astype(int)
    size = int(at[-1]) + 1

    def dense(values: np.ndarray) -> np.ndarray:
        wide = np.full(size, np.nan)
        wide[at] = values
        return wide

    laid = {name: dense(values) for name, values in known.items()}
    stamps = np.zeros(size, np.int64)
    stamps[at] = stamp
    y, opened = laid.pop("y"), laid.pop("open", None)
    kept = {name: values for name, values in laid.items() if np.isfinite(values).any()}
    return Series(series_id, days[0], y, opened, kept, stamps)


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
