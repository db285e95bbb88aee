"""Rides from Parquet and CSV files, a chunk at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from functions.clustering.domain.columns import Columns, Format, texts
from functions.clustering.domain.scaling import Floats
from layers.runtime.files import Limits
from layers.tables import Styles, Table, open_table, styles
from layers.tables.columnar import ParquetTable

INTEGER = r"^(0|-?[1-9]\d{0,17})$"


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
    """A file of rides; of Parquet, `row_groups` [first, last) alone, with `first_row` rows before.

    `decided`: its styles, if they are known already. Whatever is asked raises InputError naming the file, and the
    column when one is missing, of a foreign type, or can be read in two ways.
    """

    file: BinaryIO
    name: str
    form: Format = field(default_factory=Format)
    row_groups: tuple[int, int] | None = None
    first_row: int = 0
    limits: Limits = field(default_factory=Limits)
    decided: Styles | None = None

    @cached_property
    def table(self) -> Table:
        """The file, or its row groups."""
        return self._opened(self.limits, self.row_groups)

    @cached_property
    def columns(self) -> Columns:
        """Those of the rides."""
        return Columns.find(self.table.names, self.name, self.form)

    @cached_property
    def styles(self) -> Styles:
        """How numbers and times are written in the whole file."""
        whole = self._opened(Limits(), None) if self.row_groups else self.table
        return self.decided or styles(whole, numbers=self.columns.numbers, times=self.columns.moments)

    @property
    def is_csv(self) -> bool:
        """Whether it is CSV by its bytes."""
        return self.table.kind == "csv"

    def rides(self) -> Iterator[Rides]:
        """Every row, in order; malformed ones last."""
        columns, how = self.columns, self.styles
        for batch in self.table.batches(columns.names):
            if len(batch):
                ids, integers = self._ids(batch.columns, batch.rows)
                values = columns.rides(batch.columns, how, self.form.timezone)
                yield Rides(batch.rows, ids, *values, integer_ids=integers)
        if bad := [rejected.row for rejected in self.table.ragged]:
            nothing = np.full(len(bad), np.nan)
            none = pa.nulls(len(bad), pa.string())
            yield Rides(np.array(bad), none, nothing, nothing, malformed=True, integer_ids=True)

    def ids(self) -> Iterator[pa.Array]:
        """The ride ids alone, null for malformed rows, which come last; nothing when the file has none of its own."""
        if name := self.columns.ride_id:
            yield from (texts(batch.columns.column(0)) for batch in self.table.batches([name]))
            yield pa.nulls(len(self.table.ragged), pa.string())

    def row_groups_of(self) -> list[tuple[int, int]]:
        """(rows, bytes) of each row group of Parquet, from its footer; none of CSV."""
        return self.table.row_groups() if isinstance(self.table, ParquetTable) else []

    def footer_rows(self) -> int:
        """Rows of Parquet, or of the row groups named, as the footer says."""
        return sum(rows for rows, _ in self.row_groups_of()[slice(*(self.row_groups or (None,)))])

    def _opened(self, limits: Limits, row_groups: tuple[int, int] | None) -> Table:
        reading = self.form.reading
        return open_table(
            self.file, self.name, limits=limits, reading=reading, row_groups=row_groups, first_row=self.first_row
        )

    def _ids(self, batch: Any, rows: NDArray[np.int64]) -> tuple[pa.Array, bool]:
        if self.columns.ride_id is None:
            stem = self.name.rsplit("/", 1)[-1].removesuffix(".gz").rsplit(".", 1)[0]
            return pc.binary_join_element_wise(stem, pc.cast(pa.array(rows), pa.string()), ":"), False
        column = batch.column(self.columns.ride_id)
        ids = texts(column)
        if not self.is_csv:
            return ids, pa.types.is_integer(column.type)
        return ids, pc.all(pc.match_substring_regex(ids, INTEGER)).as_py() is not False
