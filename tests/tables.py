"""Arrow tables as the bytes of a file."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet


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
