"""Tables from CSV (any of the usual delimiters, gzip or not) and Parquet, as columns of raw values."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from layers.runtime.errors import InputError
from layers.runtime.files import Limits, Text, reading

DELIMITERS = ",;\t|"
CHUNK = 20_000
HEADER = 1 << 20


@dataclass
class Chunk:
    """Some rows: values by column, the rows (numbered within the chunk) whose field count is wrong, and for Parquet the
    Arrow table that they came from."""

    columns: dict[str, list[Any]]
    rows: int
    ragged: set[int] = field(default_factory=set)
    arrow: Any = None


@dataclass
class Reader:
    """A table being read: its header, its delimiter (None for Parquet) and its chunks."""

    header: list[str]
    delimiter: str | None
    chunks: Iterator[Chunk]


def open_table(stream: BinaryIO, name: str, *, size: int = CHUNK, limits: Limits | None = None) -> Reader:
    """Read `stream` in chunks of `size` rows; its first bytes tell the kind. Raises InputError that names the file."""
    magic = stream.read(4)
    stream.seek(0)
    if not magic:
        raise InputError("the file is empty", file=name)
    if magic == b"PAR1":
        return _open_parquet(stream, name, size)
    lines = io.TextIOWrapper(io.BufferedReader(Text(stream, name, limits)), encoding="utf-8-sig", newline="")
    return _open_csv(lines, name, size)


def read_all(stream: BinaryIO, name: str, limits: Limits | None = None) -> tuple[dict[str, list[Any]], int]:
    """Every row of well-formed field count, and how many were not. Raises LimitError past `limits`."""
    limits = limits or Limits()
    reader = open_table(stream, name, limits=limits)
    columns: dict[str, list[Any]] = {column: [] for column in reader.header}
    rows = ragged = 0
    for chunk in reader.chunks:
        rows += chunk.rows
        ragged += len(chunk.ragged)
        limits.check(name, table_columns=len(columns), table_cells=rows * len(columns))
        for column, values in chunk.columns.items():
            columns[column].extend(value for i, value in enumerate(values) if i not in chunk.ragged)
    return columns, ragged


def read_file(path: Path) -> tuple[dict[str, list[Any]], int]:
    """`read_all` of a file. Raises InputError when it cannot be opened."""
    try:
        with path.open("rb") as stream:
            return read_all(stream, str(path))
    except OSError as exc:
        raise InputError(exc.strerror or "cannot be read", file=str(path)) from exc


def _open_csv(lines: io.TextIOWrapper, name: str, size: int) -> Reader:
    first = lines.readline(HEADER)
    if "\x00" in first:
        raise InputError("is not a CSV or Parquet file in UTF-8", file=name)
    delimiter = max(DELIMITERS, key=_outside_quotes(first).count)
    with reading(name, "CSV"):
        header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    if not any(header):
        raise InputError("has no header", file=name)
    if len(set(header)) < len(header):
        again = next(i for i, column in enumerate(header) if column in header[:i])
        # By number: the first line of a file without a header is somebody's.
        places = f"{header.index(header[again]) + 1} and {again + 1}"
        raise InputError(f"columns {places} have the same name", file=name)
    return Reader(header, delimiter, _csv_chunks(lines, delimiter, header, name, size))


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _csv_chunks(lines: io.TextIOWrapper, delimiter: str, header: list[str], name: str, size: int) -> Iterator[Chunk]:
    width, done = len(header), 0
    batch: list[list[str]] = []
    ragged: set[int] = set()
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if not row:
                continue
            if len(row) != width:
                ragged.add(len(batch))
                row = (row + [""] * width)[:width]
            batch.append(row)
            if len(batch) == size:
                yield _chunk(header, batch, ragged)
                done, batch, ragged = done + size, [], set()
    except csv.Error as exc:
        raise InputError(f"cannot be read further: {exc}", file=name, row=done + len(batch)) from exc
    finally:
        lines.close()
    if batch:
        yield _chunk(header, batch, ragged)


def _chunk(header: list[str], batch: list[list[str]], ragged: set[int]) -> Chunk:
    columns = dict(zip(header, map(list, zip(*batch, strict=True)), strict=True))
    return Chunk(columns, len(batch), ragged)


def _open_parquet(stream: BinaryIO, name: str, size: int) -> Reader:
    import pyarrow
    import pyarrow.parquet

    with reading(name, "Parquet"):
        table = pyarrow.parquet.ParquetFile(stream)

    def chunks() -> Iterator[Chunk]:
        with reading(name, "Parquet"):
            for batch in table.iter_batches(batch_size=size):
                columns = batch.to_pydict()
                yield Chunk(columns, batch.num_rows, arrow=pyarrow.Table.from_batches([batch]))

    return Reader(list(table.schema_arrow.names), None, chunks())
