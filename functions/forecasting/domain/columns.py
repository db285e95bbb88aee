"""Columns of a sales file as values: days, numbers, identifiers, regressors, and why a row has none."""

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
NOTHING: Final = {"", "0", "none", "no", "false"}
UNKNOWN: Final = {"nan", "na", "n/a", "null", "unknown"}
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
        if open_bad.sum() > np.isin(opened, (0.0, 1.0)).sum():
            why = "says whether a day is open, 0 or 1, but holds other values; give the column another name"
            raise InputError(why, file=name, field="open")
        bad |= dict.fromkeys(np.flatnonzero(open_bad).tolist(), "open is neither 0 nor 1")
    unique, codes = np.unique(ids.astype(str), return_inverse=True)
    for i, series_id in enumerate(unique):
        try:
            check_id(str(series_id))
        except InputError as exc:
            bad |= dict.fromkeys(np.flatnonzero(codes == i).tolist(), str(exc))
    return ids.astype(str), days, y, opened, bad


def regressors(frame: "pd.DataFrame") -> tuple[dict[str, np.ndarray], list[str]]:
    """Every other column as numbers (n,), or as 0/1 columns of its few texts, and the names of what is neither."""
    found: dict[str, np.ndarray] = {}
    ignored = []
    observed = np.isfinite(_number(frame["y"])[0])
    for column in frame.columns:
        if column in OURS or not str(column).strip():
            continue
        text = _text(frame[column]).str.lower().to_numpy(dtype=object).astype(str)
        timed = frame[column].dtype.kind == "M"
        if coded := {} if timed else code(str(column), text, *_number(frame[column]), observed):
            found |= coded
        else:
            ignored.append(str(column))
    return found, ignored


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
