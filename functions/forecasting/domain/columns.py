"""Columns of a sales file as values: days, numbers, identifiers, regressors, and why a row has none."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from functions.forecasting.domain.identity import check_id
from layers.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

OURS: Final = ("series_id", "ds", "y", "open")
# Sums and ratios of such numbers are finite; what is smaller is nothing.
SMALLEST, LARGEST = 1e-9, 1e12
FIRST, LAST = np.datetime64("1900-01-01"), np.datetime64("2199-12-31")
MAX_CATEGORIES: Final = 12
STRAY: Final = 0.1
NOTHING: Final = ("", "0", "none", "no", "false", "nan")
TRUTH: Final = {"true": "1", "false": "0", "yes": "1", "no": "0"}


def _text(column: "pd.Series[Any]") -> "pd.Series[str]":
    if column.dtype.kind == "f" and (column.dropna().abs() < 2**53).all() and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers with a gap, which pandas holds as floats
    return column.astype("string").fillna("").str.strip()


def _number(column: "pd.Series[Any]") -> tuple[np.ndarray, np.ndarray]:
    """Values with NaN for unknown, and where a text is not a number."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        return _bounded(values), np.abs(values) > LARGEST
    text = _text(column)
    values = pd.to_numeric(text.str.lower().replace(TRUTH), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    empty = text.str.lower().isin(["", "nan", "na", "null"]).to_numpy(dtype=bool)
    return _bounded(values), ~(np.abs(values) <= LARGEST) & ~empty


def _bounded(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) > LARGEST, np.nan, np.where(np.abs(values) < SMALLEST, 0.0, values))


def _days(column: "pd.Series[Any]") -> np.ndarray:
    """Calendar days as written, whatever the time or the offset behind them; NaT where there is none."""
    import pandas as pd

    if column.dtype.kind == "M":
        local = column.dt.tz_localize(None) if column.dt.tz is not None else column
        return local.to_numpy().astype("datetime64[D]")
    parsed = pd.to_datetime(_text(column).str.slice(0, 10), errors="coerce", format="ISO8601")
    return parsed.to_numpy().astype("datetime64[D]")


def required(
    frame: "pd.DataFrame", name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, dict[int, str]]:
    """Ids, days, y and open (None without such a column), each (n,), and rows that cannot be used with their reason."""
    stem = PurePath(name).name.split(".")[0] or "series"
    ids = (
        _text(frame["series_id"]).to_numpy(dtype=object) if "series_id" in frame else np.full(len(frame), stem, object)
    )
    days = _days(frame["ds"])
    y, y_bad = _number(frame["y"])
    strange = np.isnat(days) | (days < FIRST) | (days > LAST)
    bad: dict[int, str] = dict.fromkeys(np.flatnonzero(strange).tolist(), "ds is not a date like 2024-12-31")
    bad |= dict.fromkeys(np.flatnonzero(y_bad).tolist(), f"y is not a number up to {LARGEST:,.0f}")
    opened = None
    if "open" in frame:
        opened, open_bad = _number(frame["open"])
        open_bad = open_bad | (np.isfinite(opened) & ~np.isin(opened, (0.0, 1.0)))
        bad |= dict.fromkeys(np.flatnonzero(open_bad).tolist(), "open is neither 0 nor 1")
    unique, codes = np.unique(ids.astype(str), return_inverse=True)
    for i, series_id in enumerate(unique):
        try:
            check_id(str(series_id))
        except InputError as exc:
            bad |= dict.fromkeys(np.flatnonzero(codes == i).tolist(), str(exc))
    return ids.astype(str), days, y, opened, bad


def regressors(frame: "pd.DataFrame") -> tuple[dict[str, np.ndarray], list[str]]:
    """Every other column as numbers (n,) or as 0/1 columns of its few texts, and the names of what is neither."""
    found: dict[str, np.ndarray] = {}
    ignored = []
    for column in frame.columns:
        if column in OURS or not str(column).strip():
            continue
        values, bad = (np.zeros(0), np.ones(1, bool)) if frame[column].dtype.kind == "M" else _number(frame[column])
        if not bad.any():
            found[str(column)] = values
        elif coded := dict(_categories(str(column), frame[column])):
            found |= coded
        elif bad.mean() < STRAY:
            found[str(column)] = values
        else:
            ignored.append(str(column))
    return found, ignored


def _categories(name: str, column: "pd.Series[Any]") -> Iterator[tuple[str, np.ndarray]]:
    """One 0/1 column for every value but the usual one."""
    text = _text(column)
    counts = text.value_counts()
    if not 2 <= len(counts) <= MAX_CATEGORIES:
        return
    nothing = [value for value in counts.index if value.lower() in NOTHING]
    base = {str(v) for v in nothing} or {str(counts.index[0])}
    for value in sorted(str(v) for v in counts.index if str(v) not in base):
        yield f"{name}_{value}", (text == value).to_numpy(dtype=float)
