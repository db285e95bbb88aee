"""Columns of a sales file as values: days, numbers, identifiers, regressors, and why a row has none."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.forecasting.domain.identity import check_id
from layers.runtime.errors import InputError
from layers.tables import Styles, Table, styles, to_numbers, to_texts, to_times
from layers.tables.numbers import is_number, is_text

OURS: Final = ("series_id", "ds", "y", "open")
# Sums and ratios of such numbers are finite; what is smaller is nothing.
SMALLEST, LARGEST = 1e-9, 1e12
FIRST, LAST = np.datetime64("1900-01-01"), np.datetime64("2199-12-31")
MAX_CATEGORIES: Final = 12
STRAY: Final = 0.1
NOTHING: Final = {"", "0", "none", "no", "false"}
UNKNOWN: Final = {"nan", "na", "n/a", "null", "unknown"}
TRUTH: Final = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Columns:
    """Whole columns of a file under our names; `rows` (n,) are the places of their cells in the file, from 0."""

    rows: np.ndarray
    cells: dict[str, Any]
    styles: Styles

    def text(self, name: str) -> np.ndarray:
        """Cells as written, without spaces around them, (n,)."""
        trimmed = pc.utf8_trim_whitespace(to_texts(self.cells[name]))
        return np.asarray(trimmed.to_numpy(zero_copy_only=False), object)

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values with NaN for unknown, and where a cell is not a number; true and yes are 1."""
        values, bad = to_numbers(self.cells[name], self.styles.numbers[name])
        for row in np.flatnonzero(bad):
            values[row] = TRUTH.get(str(self.cells[name][row]).strip().lower(), np.nan)
        bad = (bad & np.isnan(values)) | (np.abs(values) > LARGEST)
        return np.where(bad, np.nan, np.where(np.abs(values) < SMALLEST, 0.0, values)), bad

    def days(self) -> np.ndarray:
        """Calendar days as written, whatever the time or the offset behind them; a month is its first. NaT for none."""
        column = self.cells["ds"]
        if is_text(column.type):
            column = pc.replace_substring_regex(column, r"^\s*(\d{4}-\d\d)\s*$", r"\1-01")
        return to_times(column, self.styles.times["ds"], zone=None)[0].astype("datetime64[D]")


def read(table: Table, names: dict[str, str]) -> Columns:
    """The columns `names` (ours -> the file's), those of regressors only where they are numbers or texts."""
    others = [name for name in names if name not in ("series_id", "ds")]
    numeric = [name for name in others if name == "y" or _is_plain(table.types[names[name]])]
    ours = {theirs: name for name, theirs in names.items()}
    found = styles(table, numbers=[names[name] for name in numeric], times=[names["ds"]])
    named = Styles(
        {ours[name]: style for name, style in found.numbers.items()},
        {ours[name]: style for name, style in found.times.items()},
    )
    chosen = [name for name in names if name in numeric or name in ("series_id", "ds")]
    batches = list(table.batches([names[name] for name in chosen]))
    if not sum(map(len, batches)):
        raise InputError("has no data row", file=table.name)
    whole = pa.Table.from_batches([batch.columns for batch in batches])
    cells = {name: pa.concat_arrays(whole.column(names[name]).chunks) for name in chosen}
    return Columns(np.concatenate([batch.rows for batch in batches]), cells, named)


def _is_plain(kind: pa.DataType) -> bool:
    return is_text(kind) or is_number(kind)


def required(
    columns: Columns, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, dict[int, str]]:
    """Ids, days, y and open (None without such a column), each (n,), and rows that cannot be used with their reason."""
    stem = PurePath(name).name.split(".")[0] or "series"
    size = len(columns.rows)
    ids = columns.text("series_id").astype(str) if "series_id" in columns.cells else np.full(size, stem)
    days = columns.days()
    y, y_bad = columns.numbers("y")
    strange = np.isnat(days) | (days < FIRST) | (days > LAST)
    bad: dict[int, str] = dict.fromkeys(np.flatnonzero(strange).tolist(), "ds is not a date like 2024-12-31")
    bad |= dict.fromkeys(np.flatnonzero(y_bad).tolist(), f"y is not a number up to {LARGEST:,.0f}")
    opened = None
    if "open" in columns.cells:
        opened, open_bad = columns.numbers("open")
        open_bad = open_bad | (np.isfinite(opened) & ~np.isin(opened, (0.0, 1.0)))
        if open_bad.sum() > np.isin(opened, (0.0, 1.0)).sum():
            why = "says whether a day is open, 0 or 1, but holds other values; give the column another name"
            raise InputError(why, file=name, field="open")
        bad |= dict.fromkeys(np.flatnonzero(open_bad).tolist(), "open is neither 0 nor 1")
    unique, codes = np.unique(ids, return_inverse=True)
    for i, series_id in enumerate(unique):
        try:
            check_id(str(series_id))
        except InputError as exc:
            bad |= dict.fromkeys(np.flatnonzero(codes == i).tolist(), str(exc))
    return ids, days, y, opened, bad


def regressors(columns: Columns, observed: np.ndarray) -> dict[str, np.ndarray]:
    """Every other column as numbers (n,), or as 0/1 columns of its few texts; `observed` (n,) rows have sales."""
    found: dict[str, np.ndarray] = {}
    for name in columns.cells:
        if name not in OURS:
            text = np.char.lower(columns.text(name).astype(str))
            found |= code(name, text, *columns.numbers(name), observed)
    return found


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
    known = np.array([any(map(str.isalnum, cell)) and cell not in UNKNOWN for cell in text])
    kinds = sorted(set(text[unread & known]) - NOTHING)
    if len(kinds) > MAX_CATEGORIES:
        return {name: numbers} if unread.mean() < STRAY else {}
    blank = text == ""
    known |= blank & bool((blank & observed).any())
    coded = {f"{name}={kind}": np.where(known, text == kind, np.nan) for kind in kinds}
    return ({name: numbers} if np.nan_to_num(numbers).any() or not kinds else {}) | coded
