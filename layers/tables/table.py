"""A table of a file: its columns by name, its rows in batches, and the rows that are none."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from layers.runtime.errors import InputError
from layers.runtime.files import Limits, reading
from layers.tables.dialect import check_names

RAGGED: Final = "has another number of fields than the header"


@dataclass(frozen=True)
class Reading:
    """What a person says of a file that can be read in two ways; None: told from the file."""

    dates: Literal["day-first", "month-first"] | None = None
    decimal: Literal[".", ","] | None = None


@dataclass(frozen=True)
class Rejected:
    """A data row (from 0; blank lines are no rows) that is left out, the column at fault if it is one, and why."""

    row: int
    column: str | None
    reason: str


@dataclass(frozen=True)
class Batch:
    """Some rows of a table: their places in the file, from 0 over data rows, and their columns.

    `ragged` are indices into the batch, and empty unless ragged rows were asked for.
    """

    rows: NDArray[np.int64]
    columns: pa.RecordBatch
    ragged: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.rows)

    def pieces(self, rows: int) -> Iterator["Batch"]:
        """The batch in parts of at most `rows` rows."""
        if len(self) <= rows:
            yield self
            return
        for at in range(0, len(self), rows):
            part = frozenset(i - at for i in self.ragged if at <= i < at + rows)
            yield Batch(self.rows[at : at + rows], self.columns.slice(at, rows), part)


class Table(ABC):
    """What `open_table` opens. `header` has the name of every column, "" where it has none, in the file's order."""

    kind: Literal["csv", "parquet"]
    delimiter: str | None = None

    def __init__(self, name: str, header: Sequence[str], limits: Limits, said: Reading) -> None:
        self.name, self.header, self.reading = name, tuple(header), said
        self.decided: dict[str, Any] = {}
        self._limits = limits
        self._ragged = array("q")
        check_names(self.header, name)
        limits.check(name, table_columns=len(self.names))

    @property
    def names(self) -> list[str]:
        """Names of the columns, stripped; columns without one are left out."""
        return [name for name in self.header if name]

    @property
    def unnamed(self) -> list[int]:
        """Places, from 1, of the columns without a name."""
        return [place for place, name in enumerate(self.header, 1) if not name]

    @property
    def ragged(self) -> list[Rejected]:
        """Rows of another width than the header, of the last iteration over the batches."""
        return [Rejected(row, None, RAGGED) for row in sorted(self._ragged)]

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = 100_000, *, everything: bool = False
    ) -> Iterator[Batch]:
        """At most `rows` rows at a time, from the first one on, of `columns` or all that have a name.

        Cells of CSV are strings, "" when blank; Parquet keeps its types. `everything`: nameless columns too, and ragged
        rows in their order, cut or filled to the header's width. A new iteration ends the one before it.
        Raises InputError that names the file, LimitError past its limits.
        """
        places = self._places(columns) if not everything else list(range(len(self.header)))
        with reading(self.name, "Parquet" if self.kind == "parquet" else "CSV"):
            for batch in self._read(places, rows, everything=everything):
                yield from batch.pieces(rows)

    def understood(self) -> dict[str, Any]:
        """How the file was read, for a summary; `decimal` and `dates` once `styles` has decided them."""
        return {"kind": self.kind} | self.decided

    @property
    @abstractmethod
    def types(self) -> dict[str, pa.DataType]:
        """The type of the cells of each column."""

    @abstractmethod
    def _read(self, places: list[int], rows: int, *, everything: bool) -> Iterator[Batch]: ...

    def _places(self, columns: Sequence[str] | None) -> list[int]:
        for name in columns or ():
            if not name or name not in self.header:
                there = ", ".join(self.names[:30])
                raise InputError(f"has no such column; it has {there}", file=self.name, field=name)
        return [self.header.index(name) for name in (self.names if columns is None else columns)]
