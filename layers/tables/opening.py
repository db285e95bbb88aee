"""Any file as a table."""

from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from layers.runtime import files
from layers.runtime.errors import InputError
from layers.runtime.files import Limits, Reading
from layers.tables.columnar import ParquetTable
from layers.tables.delimited import CsvTable
from layers.tables.table import Table

PARQUET: Final = b"PAR1"
ZIP: Final = b"PK\x03\x04"
DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def open_table(
    source: BinaryIO,
    name: str,
    *,
    limits: Limits | None = None,
    reading: Reading | None = None,
    row_groups: tuple[int, int] | None = None,
    first_row: int = 0,
) -> Table:
    """The table in a file called `name`, told by its bytes; of Parquet, `row_groups` [first, last) alone.

    `first_row`: the rows of the file before those. `source` must be seekable; every iteration reads it again.
    Raises InputError that names the file when it is neither CSV nor Parquet, LimitError past any of `limits`.
    """
    limits, reading = limits or Limits(), reading or Reading()
    source.seek(0)
    magic = source.read(4)
    source.seek(0)
    if magic == ZIP:
        raise InputError("is a zip archive or an Excel workbook, not CSV or Parquet", file=name)
    with files.reading(name, "Parquet" if magic == PARQUET else "CSV"):
        if magic == PARQUET:
            return ParquetTable(source, name, limits, reading, row_groups, first_row)
        return CsvTable(source, name, limits, reading)


def in_words(understood: Mapping[str, Any]) -> str:
    """What was understood of a file, as a line for a person."""
    if understood["kind"] == "parquet":
        parts = ["Parquet"]
    else:
        delimiter = DELIMITERS.get(understood["delimiter"], repr(understood["delimiter"]))
        parts = [f"CSV with {delimiter}, {understood['encoding']}"]
    for what, usual in (("decimal", "."), ("dates", None)):
        read = understood.get(what, {})
        for one in sorted({*read.values()} - {usual}):
            parts.append(f"{what} {one} in {' and '.join(name for name in read if read[name] == one)}")
    return ", ".join(parts)
