"""A file of labelled rows as columns: numbers and times as what they are, however the file writes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from functions.classification.domain.schema import NUMERIC_SHARE
from layers.runtime import files
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.tables import NumberStyle, Reading, Rejected, TimeStyle, open_table, styles, to_numbers, to_times
from layers.tables.numbers import cast_plainly, is_text

LOOKED_AT = 1_000
ORDERS = (TimeStyle("day-first"), TimeStyle("month-first"))


@dataclass(frozen=True)
class Columns:
    """Raw values by column, the place of each row in the file, the rows of another width, how the file was read."""

    values: dict[str, list[Any]]
    rows: list[int]
    ragged: list[Rejected]
    understood: dict[str, Any]


def read(
    source: BinaryIO,
    name: str,
    *,
    limits: Limits | None = None,
    reading: Reading | None = None,
    times: Sequence[str] = (),
) -> Columns:
    """The whole table. `times` names columns whose times matter, so that day-first or month-first must be certain.

    Texts that `float` reads stay texts. Raises InputError that names the file, LimitError past `limits`.
    """
    table = open_table(source, name, limits=limits, reading=reading)
    texts = [column for column in table.names if is_text(table.types[column])]
    found = styles(table, numbers=texts, times=[column for column in times if column in texts])
    numbers = {column: style for column, style in found.numbers.items() if style.share >= NUMERIC_SHARE}
    values: dict[str, list[Any]] = {column: [] for column in table.names}
    rows: list[int] = []
    dated: dict[str, TimeStyle | None] = dict(found.times)
    for batch in table.batches():
        rows.extend(batch.rows.tolist())
        for column, cells in zip(batch.columns.schema.names, batch.columns.columns, strict=True):
            if column in texts and column not in numbers and column not in dated:
                dated[column] = _order(cells)
            if style := dated.get(column):
                values[column].extend(_moments(cells, style))
            else:
                values[column].extend(written(cells, numbers.get(column), name))
    return Columns(values, rows, table.ragged, table.understood())


def read_file(path: Path, reading: Reading | None = None) -> Columns:
    """`read` of a file. Raises InputError when it cannot be opened."""
    try:
        with path.open("rb") as stream:
            return read(stream, str(path), reading=reading)
    except OSError as exc:
        raise InputError(exc.strerror or "cannot be read", file=str(path)) from exc


def written(cells: Any, style: NumberStyle | None, file: str) -> list[Any]:
    """Cells as they are, but numbers that only this style reads (a decimal comma, a currency) as numbers.

    Raises InputError that names `file` for a value that Python has none for, such as a year after 9999.
    """
    with files.reading(file, "a table"):
        texts: list[Any] = cells.to_pylist()
    if style is None or (style.decimal == "." and cast_plainly(cells) is not None):
        return texts
    plain = re.compile(style.plain).match if style.decimal == "." else None
    numbers, unreadable = to_numbers(cells, style)
    kept = unreadable | np.isnan(numbers)
    return [
        text if keep or (plain and plain(text.strip())) else number
        for text, number, keep in zip(texts, numbers.tolist(), kept.tolist(), strict=True)
    ]


def _order(cells: Any) -> TimeStyle | None:
    """In which order a column of dates is written, either where both would do; None for what is no date."""
    some = cells.slice(0, LOOKED_AT)
    shares = []
    for style in ORDERS:
        moments, unreadable = to_times(some, style)
        known = int((~np.isnat(moments)).sum())
        shares.append(known / max(known + int(unreadable.sum()), 1))
    return ORDERS[int(np.argmax(shares))] if max(shares) >= NUMERIC_SHARE else None


def _moments(cells: Any, style: TimeStyle) -> list[datetime | None]:
    moments, _ = to_times(cells, style)
    return [None if moment is None else moment.replace(tzinfo=UTC) for moment in moments.astype(object).tolist()]
