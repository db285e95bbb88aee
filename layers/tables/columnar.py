"""Parquet files as tables."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from layers.runtime.files import MB, Limits, Reading
from layers.tables.table import Batch, Table


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
        """(rows, bytes) of each row group of the file, from its footer."""
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
