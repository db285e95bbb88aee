"""How a CSV file is written, from its first rows: delimiter, header, and where its rows begin."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from layers.runtime.errors import InputError
from layers.runtime.files import reading

DELIMITERS: Final = ",;\t|"
HEAD: Final = 1 << 20
SAMPLE: Final = 100
# Lines put behind the last one. If the second, which no file has, does not come out as a row, a quote is still open.
END: Final = ("\n", "\x1e")


@dataclass(frozen=True)
class Dialect:
    """`header` has a cell, stripped, for every field of a row; `start` is where its rows begin, in bytes of UTF-8.

    A row may be as short as the header without its last nameless cells, and longer by empty fields; `own` is how many
    cells the header has in the file, where most rows are longer. `spaced`: spaces stand between delimiters and quotes.
    """

    delimiter: str
    header: tuple[str, ...]
    shortest: int
    own: int
    start: int
    spaced: bool

    def fitted(self, fields: list[str]) -> list[str] | None:
        """The row's fields as the header has them, or None when it has too few, or too many that say something."""
        if len(fields) < self.shortest or any(map(str.strip, fields[self.own :])):
            return None
        return padded(fields, len(self.header))


def padded(fields: list[str], width: int) -> list[str]:
    """Exactly `width` of them."""
    return (fields + [""] * (width - len(fields)))[:width]


def sniff(head: str, name: str, *, cut: bool = False) -> Dialect:
    """The dialect of a file called `name` that begins with `head`, `cut` when it goes on.

    Raises InputError when it has no header, or something else stands above it.
    """
    lines = io.StringIO(head, newline="")
    first = lines.readline().strip("\r\n")
    declared = first[4:] if first.lower().startswith("sep=") and len(first) == 5 else ""
    begin = lines.tell() if declared else 0
    with reading(name, "CSV"):
        if declared:
            delimiter, (rows, start) = declared, _rows(head, begin, declared, cut)
        else:
            trials = {delimiter: _rows(head, begin, delimiter, cut) for delimiter in DELIMITERS}
            delimiter = max(trials, key=lambda d: _fit(trials[d][0]))
            rows, start = trials[delimiter]
    if not rows:
        raise InputError("is empty, or a quote in its header is not closed", file=name)
    header = [cell.strip() for cell in rows[0]]
    if any("\x00" in cell for cell in header):
        raise InputError("is not a CSV or Parquet file", file=name)
    if not any(header):
        raise InputError("has no header", file=name)
    shortest = max(i for i, cell in enumerate(header) if cell) + 1
    own, enough = (len(header), 1.0) if shortest > 1 else (1, 0.5)
    beyond = [any(map(str.strip, row[own:])) for row in rows[1:] if any(map(str.strip, row))]
    if beyond and sum(beyond) >= enough * len(beyond):
        why = f"rows have more fields than the first line names, {shortest}; remove what stands above the names"
        raise InputError(f"{why}, or name every column", file=name)
    # Where rows end in more empty fields than the header has cells, as many are expected of every row.
    width = max([len(header), *_usual_width(rows[1:], len(header))])
    spaced = re.search(rf'(^|\r|{re.escape(delimiter)}) +"', head, re.MULTILINE) is not None
    return Dialect(delimiter, tuple(padded(header, width)), shortest, len(header), len(head[:start].encode()), spaced)


def check_names(header: Sequence[str], name: str) -> None:
    """Raises InputError when two columns have the same name, by their places: a file without a header shows a row."""
    seen: dict[str, int] = {}
    for place, cell in enumerate(header, 1):
        if cell and cell in seen:
            raise InputError(f"columns {seen[cell]} and {place} have the same name", file=name)
        seen[cell] = place


def _rows(head: str, begin: int, delimiter: str, cut: bool) -> tuple[list[list[str]], int]:
    """The first rows that are not blank, the header among them, and where the header ends.

    Spaces behind delimiters, where a quote may stand, are passed over. There is none if the header's quote is open.
    """
    lines = io.StringIO(head, newline="")
    lines.seek(begin)
    rows: list[list[str]] = []
    start = 0
    read = filter(None, csv.reader(chain(lines, END), delimiter=delimiter, skipinitialspace=True))
    for row in islice(read, SAMPLE):
        start = start if rows else lines.tell()
        rows.append(row)
    del rows[-1]  # the end, or the row whose quote is open
    return (rows[:-1] if cut and len(rows) > 1 else rows), start


def _fit(rows: list[list[str]]) -> tuple[float, int, int]:
    """How well a delimiter parts these rows: the share of rows that fit the header, its width, and all their fields."""
    width, fields = len(rows[0]) if rows else 1, sum(map(len, rows))
    if width == 1:
        return 0.0, 1, fields
    shortest = max((place for place, cell in enumerate(rows[0], 1) if cell.strip()), default=width)
    return sum(len(row) >= shortest and not any(row[width:]) for row in rows) / len(rows), width, fields


def _usual_width(rows: list[list[str]], width: int) -> list[int]:
    """The width of most rows, if it is that of the header and empty fields."""
    longer = [len(row) for row in rows if len(row) > width and not any(cell.strip() for cell in row[width:])]
    return [max(longer, key=longer.count)] if len(longer) * 2 > len(rows) else []
