"""A file of labelled rows as columns: numbers and times as what they are, however the file writes them."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, BinaryIO, Final

import numpy as np

from functions.classification.domain.schema import NUMERIC_SHARE
from layers.runtime import files
from layers.runtime.files import Limits
from layers.tables import NumberStyle, Preset, Reading, Rejected, open_table, styles, to_numbers, to_times
from layers.tables.numbers import cast_plainly, is_text

# Public file formats: the target, what is known only afterwards and so refused, and lists of features by name.
# UCI bank marketing (Moro, Cortez, Rita 2014): the duration of a call is known when the call is over.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "bank": {
        "target": "y",
        "afterwards": ["duration"],
        "book": ["job", "marital", "education", "contact", "housing", "loan", "default", "day"],
    }
}


@dataclass(frozen=True)
class Columns:
    """Raw values by column, the place of each row in the file, the rows of another width, how the file was read."""

    values: dict[str, list[Any]]
    rows: list[int]
    ragged: list[Rejected]
    understood: dict[str, Any]


def refused_columns(columns: Collection[str], names: Iterable[str]) -> list[str]:
    """Those of `columns` that are known only afterwards: those in `names` and what the format's preset refuses.

    A table has the format of a preset when it has its target and all columns of its list. So `duration` is refused in
    bank marketing and nowhere else: in a table of loans it is a term.
    """
    refused = set(names)
    for preset in PRESETS.values():
        if {preset["target"], *preset["book"]} <= set(columns):
            refused.update(preset["afterwards"])
    return [name for name in columns if name in refused]


def read(
    source: BinaryIO,
    name: str,
    *,
    limits: Limits | None = None,
    reading: Reading | None = None,
    times: Sequence[str] = (),
) -> Columns:
    """The whole table. `times` names our columns whose times matter: day-first or month-first must be certain there.

    Texts that `float` reads stay texts. Raises InputError that names the file, LimitError past `limits`.
    """
    table = open_table(source, name, limits=limits, reading=reading)
    names = table.columns(Preset(others=True))
    texts = [theirs for theirs in names.values() if theirs in table.types and is_text(table.types[theirs])]
    batches = list(table.batches([*names.values()]))
    timed = [names[ours] for ours in times if names.get(ours) in texts]
    chosen = styles(table, numbers=texts, times=timed, batches=batches)
    numbers = {column: style for column, style in chosen.numbers.items() if style.share >= NUMERIC_SHARE}
    values: dict[str, list[Any]] = {ours: [] for ours in names}
    rows: list[int] = []
    for batch in batches:
        rows.extend(batch.rows.tolist())
        for ours, column in names.items():
            cells = batch.column(column)
            if column in chosen.times:
                moments = to_times(cells, chosen.times[column])[0].astype(object).tolist()
                values[ours].extend(None if moment is None else moment.replace(tzinfo=UTC) for moment in moments)
            else:
                values[ours].extend(plain_values(cells, numbers.get(column), name))
    return Columns(values, rows, table.ragged, table.understood())


def plain_values(cells: Any, style: NumberStyle | None, file: str) -> list[Any]:
    """Cells as they are, but numbers that only this style reads (a decimal comma, a currency) as numbers.

    Raises InputError that names `file` for a value that Python has none for, such as a year after 9999.
    """
    with files.reading(file, "a table"):
        texts: list[Any] = cells.to_pylist()
    if style is None or (style.decimal == "." and cast_plainly(cells) is not None):
        return texts
    plain = re.compile(style.plain).match if style.decimal == "." else None
    numbers, unreadable = to_numbers(cells, style)
    as_text = unreadable | np.isnan(numbers)
    return [
        text if stays or (plain and plain(text.strip())) else number
        for text, number, stays in zip(texts, numbers.tolist(), as_text.tolist(), strict=True)
    ]
