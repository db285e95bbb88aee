"""Tables as the bytes of a file, and back."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from layers.tables import Table, open_table


def as_csv(table: pa.Table) -> bytes:
    """With a header; texts in quotes."""
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    """`options` are those of `pyarrow.parquet.write_table`."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, **options)
    return sink.getvalue()


def opened(body: bytes | str, name: str = "a.csv") -> Table:
    """Opened by the one reader."""
    return open_table(io.BytesIO(body.encode() if isinstance(body, str) else body), name)


def rows_of(table: Table) -> list[tuple[str, ...]]:
    """Cells of every row, as texts."""
    return [tuple(row.values()) for batch in table.batches() for row in batch.columns.to_pylist()]
