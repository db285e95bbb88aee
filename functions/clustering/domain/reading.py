"""Rides from Parquet and CSV files, a chunk at a time."""

import csv
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from functions.clustering.domain.columns import Columns, Preset, texts
from functions.clustering.domain.scaling import Floats
from layers.runtime.errors import InputError
from layers.runtime.files import Limits, Text, reading

ROWS = 100_000
BLOCK = 4 << 20


@dataclass(frozen=True)
class Rides:
    """Rows of one file: their numbers from 0, ids (null where missing), km and h (NaN where missing or no number).

    `malformed` rows have not as many fields as the header, and nothing else is known of them. `integer_ids`: the file
    has integers there, or in CSV what can be written back as it is.
    """

    rows: NDArray[np.int64]
    ids: pa.Array
    dist: Floats
    time: Floats
    malformed: bool = False
    integer_ids: bool = False

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class RideFile:
    """A .parquet, .csv or .csv.gz file; of Parquet, `row_groups` [first, last) alone, with `first_row` rows before.

    Every method raises InputError naming the file, and the column when one is missing or of a foreign type.
    """

    file: BinaryIO
    name: str
    preset: Preset | None = None
    row_groups: tuple[int, int] | None = None
    first_row: int = 0
    limits: Limits = field(default_factory=Limits)

    @property
    def is_csv(self) -> bool:
        """Whether it is CSV by its name."""
        return self.name.removesuffix(".gz").endswith(".csv")

    def rides(self) -> Iterator[Rides]:
        """Every row, in order; malformed ones last."""
        row, bad = self.first_row, list[int]()
        with self._errors():
            columns, batches = self._csv(bad) if self.is_csv else self._parquet()
            for batch in batches:
                if not batch.num_rows:
                    continue
                # Rows that the reader had to skip are in no batch, but count.
                rows = np.arange(row, row + batch.num_rows + len(bad))
                rows = np.setdiff1d(rows, bad)[: batch.num_rows] if bad else rows
                row = int(rows[-1]) + 1
                ids, integers = self._ids(batch, columns, rows)
                yield Rides(rows, ids, *columns.km_and_hours(batch, self.name), integer_ids=integers)
        if bad:
            nothing = np.full(len(bad), np.nan)
            none = pa.nulls(len(bad), pa.string())
            yield Rides(np.array(bad), none, nothing, nothing, malformed=True, integer_ids=True)

    def ids(self) -> Iterator[pa.Array]:
        """The ride ids alone, null for malformed rows, which come last; nothing when the file has none of its own."""
        with self._errors():
            if self.is_csv:
                bad = list[int]()
                columns, batches = self._csv(bad)
                if columns.ride_id is not None:
                    yield from (texts(batch.column(columns.ride_id)) for batch in batches)
                    yield pa.nulls(len(bad), pa.string())
                return
            columns, batches = self._parquet(ids_only=True)
            if columns.ride_id is not None:
                yield from (texts(batch.column(0)) for batch in batches)

    def row_groups_of(self) -> list[tuple[int, int]]:
        """(rows, bytes) of each row group of Parquet, from its footer."""
        with self._errors():
            footer = pq.ParquetFile(self.file).metadata
            groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        return [(g.num_rows, sum(g.column(c).total_compressed_size for c in range(g.num_columns))) for g in groups]

    def footer_rows(self) -> int:
        """Rows of Parquet, or of the row groups named, as the footer says."""
        return sum(rows for rows, _ in self.row_groups_of()[slice(*(self.row_groups or (None,)))])

    def _parquet(self, *, ids_only: bool = False) -> tuple[Columns, Iterator[Any]]:
        parquet = pq.ParquetFile(self.file, pre_buffer=False)
        columns = Columns.find(parquet.schema_arrow.names, self.name, self.preset)
        groups = list(range(*(self.row_groups or (0, parquet.num_row_groups))))
        self.limits.check(self.name, piece_rides=sum(parquet.metadata.row_group(i).num_rows for i in groups))
        wanted = [*filter(None, [columns.ride_id])] if ids_only else columns.names
        return columns, parquet.iter_batches(ROWS, row_groups=groups, columns=wanted, use_threads=False)

    def _csv(self, bad: list[int]) -> tuple[Columns, Iterator[Any]]:
        names, delimiter = _header(self._text(), self.name)
        columns = Columns.find(names, self.name, self.preset)

        def skip(row: Any) -> str:
            bad.append(row.number - 2)  # counts lines from 1, the header's included
            return "skip"

        batches = pyarrow.csv.open_csv(
            self._text(),
            pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK),
            pyarrow.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
            pyarrow.csv.ConvertOptions(
                include_columns=columns.names,
                column_types=dict.fromkeys(columns.names, pa.string()),
                strings_can_be_null=True,
            ),
        )
        return columns, self._counted(batches, bad)

    def _counted(self, batches: Iterator[Any], bad: list[int]) -> Iterator[Any]:
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            self.limits.check(self.name, piece_rides=rows + len(bad))
            yield batch

    def _ids(self, batch: Any, columns: Columns, rows: NDArray[np.int64]) -> tuple[pa.Array, bool]:
        if columns.ride_id is None:
            stem = self.name.rsplit("/", 1)[-1].removesuffix(".gz").rsplit(".", 1)[0]
            return pc.binary_join_element_wise(stem, pc.cast(pa.array(rows), pa.string()), ":"), False
        column = batch.column(columns.ride_id)
        ids = texts(column)
        if not self.is_csv:
            return ids, pa.types.is_integer(column.type)
        return ids, pc.all(pc.match_substring_regex(ids, r"^(0|-?[1-9]\d{0,17})$")).as_py() is not False

    def _text(self) -> io.BufferedReader:
        self.file.seek(0)
        return io.BufferedReader(Text(self.file, self.name), BLOCK)

    def _errors(self) -> AbstractContextManager[None]:
        return reading(self.name, "CSV" if self.is_csv else "Parquet")


def _header(stream: io.BufferedReader, name: str) -> tuple[list[str], str]:
    line = stream.readline(1 << 20).decode("utf-8-sig").rstrip("\r\n")
    if not line:
        raise InputError("is empty", file=name)
    delimiter = max(",;\t|", key=line.count)
    return next(csv.reader([line], delimiter=delimiter)), delimiter
