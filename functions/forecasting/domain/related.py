"""What other files say of the series of a sales file: related time series, and what kind of item each is."""

from dataclasses import replace
from pathlib import PurePath
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa

from functions.forecasting.domain import series, table
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.table import HEADER, Parsed, Periods, Rejection
from layers.runtime.errors import InputError
from layers.tables import NumberStyle, Reading, open_table, to_numbers, to_texts

KEYS: Final = ("series_id", "ds")


Items = dict[str, dict[str, str]]


def join(parsed: Parsed, source: BinaryIO, name: str, *, reading: Reading, periods: Periods) -> None:
    """Add the columns of a related file to the series of `parsed`, from their first period to as far as the file runs.

    The file names series and time as the sales do; each other column is a regressor, or `open`. What it says of other
    series is rejected. Raises InputError for a file that cannot be read, a column that the sales have, or another step.
    """
    names = parsed.understood["columns"]
    keys = {ours: names[ours] for ours in KEYS if ours in names}
    told = table.read(
        source, name, preset="generic", reading=replace(reading, columns=keys), periods=periods, needed=("ds",)
    )
    if "series_id" not in keys and len(told.series) == 1:  # the file's name is the id of both
        told.series = [replace(told.series[0], series_id=parsed.series[0].series_id)]
    others = {one.series_id: one for one in told.series}
    if not others.keys() & {one.series_id for one in parsed.series}:
        first = next(iter(others), "none")
        raise InputError(f"has no series of the sales; its first is {first}", file=name, field="series_id")
    parsed.series = [_joined(one, others.pop(one.series_id, None), name) for one in parsed.series]
    parsed.rejected += [replace(one, file=PurePath(name).name) for one in told.rejected]
    parsed.rejected += [Rejection(-1, other, "the sales have no such series", PurePath(name).name) for other in others]
    parsed.ignored += told.ignored


def _joined(sales: Series, related: Series | None, name: str) -> Series:
    if related is None:
        return sales
    both = sorted((sales.columns.keys() & related.columns.keys()) - {"y"})
    if np.isfinite(related.y).any():
        both = ["y", *both]
    if both:
        raise InputError("is a column of the sales too", file=name, field=both[0])
    if related.frequency.kind != sales.frequency.kind:
        theirs, ours = (one.frequency.rhythm.word for one in (related, sales))
        raise InputError(f"series {sales.series_id} comes by {theirs}s, its sales by {ours}s", file=name, field="ds")
    return series.merge(sales, related).since(sales.start)


def read_items(parsed: Parsed, source: BinaryIO, name: str) -> Items:
    """What a file says of the item of each series of `parsed`, column -> text, of those that it names.

    The file has one row an item, named as the first column of the series' ids names it. Rows without a name are
    rejected. Raises InputError for a file that cannot be read, lacks that column, or has an item twice or none of the
    sales.
    """
    key = parsed.understood["columns"].get("series_id", "series_id").split("+")[0]
    opened = open_table(source, name)
    if key not in opened.names:
        raise opened.lacks(key, HEADER if key == "item_id" else "")
    items: Items = {}
    for batch in opened.batches():
        columns = {column: to_texts(batch.column(column)).to_pylist() for column in opened.names}
        for at, (row, item) in enumerate(zip(batch.rows.tolist(), columns.pop(key), strict=True)):
            if not item:
                parsed.rejected.append(Rejection(row, "", f"{key} is blank", PurePath(name).name))
            elif item in items:
                raise InputError(f"{item} comes again", file=name, row=row, field=key)
            else:
                items[item] = {column: cells[at] for column, cells in columns.items() if cells[at]}
    parsed.rejected += [Rejection(one.row, "", one.reason, PurePath(name).name) for one in opened.ragged]
    said = {one.series_id: _said(items, one.series_id) for one in parsed.series}
    if not any(said.values()):
        raise InputError("says nothing of any item of the sales", file=name, field=key)
    return {series_id: item for series_id, item in said.items() if item}


def coded(items: Items) -> dict[str, dict[str, float]]:
    """What is said of items as regressors that never change: a number, or 1 for the one of few texts, by series."""
    columns: dict[str, np.ndarray] = {}
    for name in sorted({name for item in items.values() for name in item}):
        cells = pa.array([item.get(name, "") for item in items.values()])
        values, unread = to_numbers(cells, NumberStyle())
        text = np.char.lower(cells.to_numpy(zero_copy_only=False).astype(str))
        columns |= table.code(name, text, values, unread, np.ones(len(values), bool))
    return {
        series_id: {name: float(values[at]) for name, values in columns.items() if abs(values[at]) <= table.LARGEST}
        for at, series_id in enumerate(items)
    }


def _said(items: Items, series_id: str) -> dict[str, str]:
    """Of the item that the whole id names, or the longest part of it that ends before a slash."""
    parts = series_id.split("/")
    names = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((items[name] for name in names if name in items), {})
