"""A table of a file: its columns by name, its rows in batches, and the rows that are none."""

from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layers.runtime.errors import InputError
from layers.runtime.files import Limits, Reading, reading
from layers.tables.dialect import check_names
from layers.tables.numbers import to_texts

SHOWN: Final = 30
RAGGED: Final = "has another number of fields than the header"


@dataclass(frozen=True)
class Preset:
    """A format of files as data: what each of our columns may be called in it, in any case; the first is preferred.

    `units`: what one of theirs is in ours, by our name or by what ours may be called. `others`: the file's other
    columns count too, under their own names.
    """

    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    others: bool = False


def commonest(reasons: Mapping[str, int] | Iterable[str]) -> dict[str, int]:
    """The three commonest reasons for which rows were rejected, each with its rows."""
    return dict(Counter(reasons).most_common(3))


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

    def column(self, name: str) -> Any:
        """Its cells; of several columns with + between, their texts joined with /, "" where one of them is blank."""
        if name in self.columns.schema.names:
            return self.columns.column(name)
        texts = [to_texts(self.columns.column(part)) for part in name.split("+")]
        filled = [pc.if_else(pc.equal(text, ""), None, text) for text in texts]
        return pc.fill_null(pc.binary_join_element_wise(*filled, "/"), "")

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
    def ragged(self) -> list[Rejected]:
        """Rows of another width than the header, of the last iteration over the batches."""
        return [Rejected(row, None, RAGGED) for row in sorted(self._ragged)]

    def columns(self, preset: Preset) -> dict[str, str]:
        """Our columns -> the file's, as far as it has them: those that `reading` names, then those of the preset.

        Raises InputError for one that is named and not in the file, and for names that differ in their case alone.
        """
        named = self.reading.columns
        used = {self.header[place] for place in self._places([*named.values()])}
        free = [name for name in self.names if name not in used and name not in named]
        there = {name.lower(): name for name in reversed(free)} | {name: name for name in free} | {**named}
        possible = {ours: [ours, *aliases] if ours in named else aliases for ours, aliases in preset.aliases.items()}
        for ours in named:
            if not preset.others and not any(ours in aliases for aliases in possible.values()):
                raise InputError(f"is none of {', '.join(possible)}", file=self.name, field=ours)
        chosen: dict[str, str] = {}
        for ours, aliases in possible.items():
            for alias in [alias for alias in aliases if alias in there][:1]:
                if alias not in named and alias not in free and sum(name.lower() == alias for name in free) > 1:
                    raise InputError("a column name comes twice", file=self.name, field=alias)
                chosen[ours] = there[alias]
        rest = [name for name in free if preset.others and name not in chosen.values()]
        return {name: name for name in rest} | ({**named} if preset.others else {}) | chosen

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
        named = {"columns": {**self.reading.columns}} if self.reading.columns else {}
        return {"kind": self.kind} | named | self.decided

    def row_groups(self) -> list[tuple[int, int]]:
        """(rows, bytes) of each row group of Parquet; CSV has none."""
        return []

    @property
    @abstractmethod
    def types(self) -> dict[str, pa.DataType]:
        """The type of the cells of each column."""

    @abstractmethod
    def _read(self, places: list[int], rows: int, *, everything: bool) -> Iterator[Batch]: ...

    def type_of(self, name: str) -> pa.DataType | None:
        """Of a column, or of the texts of several with + between; None where one is not in the file."""
        parts = [name] if name in self.names else name.split("+")
        kinds = [self.types.get(part) for part in parts]
        return None if None in kinds else kinds[0] if len(kinds) == 1 else pa.string()

    def lacks(self, name: str, hint: str = "", *, ours: str = "") -> InputError:
        """The error that names a column which is not in the file, and how to say what it is called, if it is `ours`."""
        option = f"; name it by --column {ours}=NAME, in the cloud by the setting columns" if ours else ""
        more = ", ..." * (len(self.names) > SHOWN) + " and a column without a name" * ("" in self.header)
        there = f"has no such column; it has {', '.join(self.names[:SHOWN])}{more}{hint or option}"
        return InputError(there, file=self.name, field=name)

    def _places(self, columns: Sequence[str] | None) -> list[int]:
        places: list[int] = []
        for name in self.names if columns is None else columns:
            for part in [name] if name in self.names else name.split("+"):
                if part not in self.names:
                    raise self.lacks(part)
                places.append(self.header.index(part))
        return list(dict.fromkeys(places))
