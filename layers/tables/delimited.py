"""CSV files as tables."""

from collections.abc import Iterator
from contextlib import closing
from io import BufferedReader
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.tables.dialect import HEAD, fields_of, padded, sniff
from layers.tables.table import Batch, Reading, Table
from layers.tables.text import Text

BLOCK: Final = 4 << 20
# A row that no file has, put behind the last one: if it does not come out as a row, a quote before it is still open.
END: Final = "\x1e"


class CsvTable(Table):
    """Of any dialect that `sniff` tells, in UTF-8, UTF-16 or Latin-1."""

    kind = "csv"

    def __init__(self, source: BinaryIO, name: str, limits: Limits, said: Reading) -> None:
        self._source, self._text = source, Text(source, name, limits)
        head = BufferedReader(self._text, HEAD).read(HEAD)
        if not head.strip():
            raise InputError("is empty", file=name)
        self._dialect = sniff(head.decode("utf-8", "ignore"), name, cut=len(head) == HEAD)
        super().__init__(name, self._dialect.header, limits, said)
        self.delimiter = self._dialect.delimiter

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Strings, all of them."""
        return dict.fromkeys(self.header, pa.string())

    def understood(self) -> dict[str, Any]:
        """Also its delimiter and encoding; the latter is certain once all batches were read."""
        dialect = {"delimiter": self._dialect.delimiter, "encoding": self._text.encoding}
        return {"kind": self.kind} | dialect | self.decided

    def _read(self, places: list[int], rows: int, *, everything: bool) -> Iterator[Batch]:  # noqa: ARG002
        del self._ragged[:]
        misfits: list[tuple[int, str]] = []
        end = self._dialect.delimiter * (len(self.header) + 1) + END
        first = 0
        with closing(self._open(places, misfits, end)) as stream:
            while (good := _next(stream, self.name, first)) is not None:
                # As many good rows stand before a misfit as rows, less the misfits before it.
                before = np.array([row for row, _ in misfits], np.int64) - np.arange(len(misfits)) - first
                count = int(np.searchsorted(before, good.num_rows))
                yield self._merged(first, good, misfits[:count], places, everything=everything)
                first += good.num_rows + count
                del misfits[:count]
        if not misfits or misfits.pop()[1] != end:
            raise InputError("a quote in it is not closed", file=self.name, row=first + len(misfits) - 1)
        if misfits:
            nothing = pa.RecordBatch.from_arrays([pa.nulls(0, pa.string())] * len(places), names=[*map(str, places)])
            yield self._merged(first, nothing, misfits, places, everything=everything)

    def _open(self, places: list[int], misfits: list[tuple[int, str]], end: str) -> Any:
        """The rows as Arrow's reader streams them, and then `end`; `misfits` gets number and text of other rows.

        Misfits have another width than the header. They may come before their neighbours do.
        """
        names = [str(i) for i in range(len(self.header))]
        self._text.detach()
        self._text = Text(self._source, self.name, self._limits, f"\n{end}\n".encode())
        buffered = BufferedReader(self._text, BLOCK)
        buffered.read(self._dialect.start)

        def skip(row: Any) -> str:
            misfits.append((row.number - 1, row.text))
            return "skip"

        return pyarrow.csv.open_csv(
            buffered,
            pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            pyarrow.csv.ParseOptions(
                delimiter=self._dialect.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=[names[i] for i in places]
            ),
        )

    def _merged(
        self, first: int, good: Any, misfits: list[tuple[int, str]], places: list[int], *, everything: bool
    ) -> Batch:
        """The batch of `good` rows and those misfits that can be read, from row `first` of the file on."""
        size, width = good.num_rows + len(misfits), len(self.header)
        self._limits.check(self.name, table_cells=(first + size) * width, piece_rides=first + size)
        columns = pa.RecordBatch.from_arrays(good.columns, names=[self.header[i] for i in places])
        rows = np.arange(first, first + size)
        if not misfits:
            return Batch(rows, columns)
        read: dict[int, list[str]] = {}
        for row, text in misfits:
            fields = fields_of(text, self._dialect.delimiter)
            fitted = self._dialect.fitted(fields)
            if fitted is None:
                self._ragged.append(row)
            if fitted is not None or everything:
                read[row] = fitted or padded(fields, width)
        rows = np.concatenate([np.setdiff1d(rows, [row for row, _ in misfits]), np.array([*read], np.int64)])
        cells = [pa.array([fields[i] for fields in read.values()], pa.string()) for i in places]
        order = np.argsort(rows)
        joined = pa.concat_batches([columns, pa.RecordBatch.from_arrays(cells, names=columns.schema.names)])
        ragged = np.flatnonzero(np.isin(rows[order], self._ragged))
        return Batch(rows[order], joined.take(pa.array(order)), frozenset(ragged.tolist()))


def _next(stream: Any, name: str, row: int) -> Any:
    """The next batch of good rows, or None behind the last one."""
    try:
        return stream.read_next_batch()
    except StopIteration:
        return None
    except pa.ArrowInvalid as exc:
        problem = f"is longer than {BLOCK >> 20} MB, or a quote in it is not closed"
        raise InputError(problem, file=name, row=row) from exc
