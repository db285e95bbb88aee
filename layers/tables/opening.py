"""Any file as a table: Parquet as it is, CSV by its dialect."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from layers.runtime import files
from layers.runtime.errors import InputError
from layers.runtime.files import MB, Limits, Reading
from layers.tables.delimited import CsvTable
from layers.tables.table import Batch, Table

PARQUET: Final = b"PAR1"
ZIP: Final = b"PK\x03\x04"
DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


class ParquetTable(Table):
    """Of the row groups [first, last) if they are named, with `first_row` rows of the file before them."""

    kind = "parquet"

    def __init__(
        self,
        source: BinaryIO,
        name: str,
        limits: Limits,
        said: Reading,
        row_groups: tuple[int, int] | None,
        first_row: int,
    ) -> None:
        self._file = pq.ParquetFile(source, pre_buffer=False)
        self._schema, footer = self._file.schema_arrow, self._file.metadata
        super().__init__(name, [column.strip() for column in self._schema.names], limits, said)
        self._groups, self._first_row = range(*(row_groups or (0, footer.num_row_groups))), first_row
        chosen = [footer.row_group(i) for i in self._groups]
        rows = sum(group.num_rows for group in chosen)
        size = sum(group.total_byte_size for group in chosen) / MB
        limits.check(name, object_mb=size, table_cells=rows * len(self.header), piece_rides=rows)

    @property
    def types(self) -> dict[str, pa.DataType]:
        """As the file has them."""
        return dict(zip(self.header, self._schema.types, strict=True))

    def row_groups(self) -> list[tuple[int, int]]:
        """Of the whole file, from its footer."""
        footer = self._file.metadata
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        return [(g.num_rows, sum(g.column(c).total_compressed_size for c in range(g.num_columns))) for g in groups]

    def _read(self, places: list[int], rows: int, *, everything: bool) -> Iterator[Batch]:  # noqa: ARG002
        names, header = [self._schema.names[i] for i in places], [self.header[i] for i in places]
        row = self._first_row
        for batch in self._file.iter_batches(rows, row_groups=self._groups, columns=names, use_threads=False):
            named = pa.RecordBatch.from_arrays([batch.column(name) for name in names], names=header)
            named.validate(full=True)  # Parquet may say UTF-8 of what is none
            yield Batch(np.arange(row, row + named.num_rows), named)
            row += named.num_rows


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
