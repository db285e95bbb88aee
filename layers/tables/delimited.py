"""CSV files as tables."""

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from layers.runtime.errors import InputError
from layers.runtime.files import Limits, Reading
from layers.tables.dialect import HEAD, fields_of, padded, sniff
from layers.tables.table import Batch, Table
from layers.tables.text import Text

BLOCK: Final = 4 << 20
LONGEST: Final = 4 * BLOCK
# A row that no file has, put behind the last one: if it does not come out as a row, a quote before it is still open.
END: Final = "\x1e"


class CsvTable(Table):
    """Of any dialect that `sniff` tells, in UTF-8, UTF-16 or Latin-1."""

    kind = "csv"

    def __init__(self, source: BinaryIO, name: str, limits: Limits, said: Reading) -> None:
        self._source, self._text = source, Text(source, name, limits)
        head = b""
        for chunk in self._text.chunks(HEAD):
            head += chunk
            if len(head) >= HEAD:
                break
        if not head.strip():
            raise InputError("is empty", file=name)
        self._dialect = sniff(head[:HEAD].decode("utf-8", "ignore"), name, cut=len(head) >= HEAD)
        super().__init__(name, self._dialect.header, limits, said)
        self.delimiter = self._dialect.delimiter

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Strings, all of them."""
        return dict.fromkeys(self.header, pa.string())

    def understood(self) -> dict[str, Any]:
        """Also its delimiter and encoding; the latter is certain once all batches were read."""
        dialect = {"delimiter": self._dialect.delimiter, "encoding": self._text.encoding}
        return super().understood() | dialect

    def _read(self, places: list[int], rows: int, *, everything: bool) -> Iterator[Batch]:  # noqa: ARG002
        del self._ragged[:]
        end = self._dialect.delimiter * (len(self.header) + 1) + END
        beyond = range(self._dialect.own, len(self.header))
        read = [*places, *(i for i in beyond if i not in places)]
        first, closed = 0, False
        for block in self._blocks(end):
            good, misfits = self._parsed(block, read, first)
            closed = bool(misfits) and misfits[-1][1] == end
            misfits = misfits[: len(misfits) - closed]
            if good.num_rows or misfits:
                batch = self._merged(first, good, misfits, read, everything=everything)
                yield self._checked(batch, [read.index(i) for i in beyond], len(places), everything=everything)
            first += good.num_rows + len(misfits)
        if not closed:
            raise InputError("a quote in it is not closed", file=self.name, row=max(first - 1, 0))

    def _blocks(self, end: str) -> Iterator[bytes]:
        """The rows in pieces of some MB, each of whole rows, and then the row `end`."""
        text = self._text = Text(self._source, self.name, self._limits)
        rest, header = b"", self._dialect.start
        for chunk in chain(text.chunks(BLOCK), [f"\n{end}\n".encode()]):
            rest, header = rest + chunk[header:], max(0, header - len(chunk))
            size = whole_rows(rest, self._dialect.delimiter, spaced=self._dialect.spaced)
            if size:
                yield rest[:size]
                rest = rest[size:]
                if text is not self._text:  # both would read on in the same file
                    raise RuntimeError("the table is being read anew")
            elif len(rest) > LONGEST:
                raise InputError(f"has a row of over {LONGEST >> 20} MB, or a quote that is not closed", file=self.name)
        if rest.strip():
            yield rest

    def _parsed(self, block: bytes, places: list[int], first: int) -> tuple[Any, list[tuple[int, str]]]:
        """Rows as wide as the header, and number and text of the others; `first` is the number of the block's first.

        Arrow gets whole blocks and no stream: it would read a stream of Python's on a thread of its own, and die there.
        """
        if self._dialect.spaced:
            block = _unspaced(block, self._dialect.delimiter)
        names = [str(i) for i in range(len(self.header))]
        misfits: list[tuple[int, str]] = []

        def skip(row: Any) -> str:
            misfits.append((first + row.number - 1, row.text))
            return "skip"

        table = pyarrow.csv.read_csv(
            pa.BufferReader(block),
            pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
            pyarrow.csv.ParseOptions(
                delimiter=self._dialect.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=[names[i] for i in places]
            ),
        )
        columns = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(columns, names=table.column_names), misfits

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

    def _checked(self, batch: Batch, beyond: list[int], count: int, *, everything: bool) -> Batch:
        """The first `count` columns of the batch. A row that has something `beyond` the header's cells is ragged.

        Where most rows end in empty fields, it is one with a delimiter too many.
        """
        wrong = np.zeros(len(batch), bool)
        for column in (batch.columns.column(i) for i in beyond):
            wrong |= pc.not_equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
        wrong[list(batch.ragged)] = False
        self._ragged.extend(batch.rows[wrong].tolist())
        columns = batch.columns.select(list(range(count))) if beyond else batch.columns
        if everything or not wrong.any():
            return Batch(batch.rows, columns, batch.ragged | set(np.flatnonzero(wrong).tolist()))
        return Batch(batch.rows[~wrong], columns.filter(pa.array(~wrong)))


def whole_rows(data: bytes, delimiter: str, *, spaced: bool = False) -> int:
    """How many bytes of `data`, which begins with a row, are rows to their end; 0 when none is."""
    if b'"' not in data:
        return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    codes = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(codes == ord('"'))
    edges = np.frombuffer(b'"\r\n' + delimiter.encode(), np.uint8)
    # Quotes open and close in turn. Where one does neither, such as that of a 32" screen, rows must be read to be told.
    if not (np.isin(codes[quotes[::2] - 1], edges).all() and np.isin(codes[quotes[1::2] + 1], edges).all()):
        return _read_rows(data, delimiter, spaced)
    ends = np.flatnonzero(np.isin(codes[1:-1], edges[1:3]))
    outside = ends[np.searchsorted(quotes - 1, ends) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def _read_rows(data: bytes, delimiter: str, spaced: bool) -> int:
    lines = list(io.StringIO(data.decode("latin-1"), newline=""))
    ends = np.cumsum([len(line) for line in lines])
    reader, size = csv.reader(lines, delimiter=delimiter, skipinitialspace=spaced), 0
    for _ in reader:
        if reader.line_num < len(lines):
            size = int(ends[reader.line_num - 1])
    return size


def _unspaced(block: bytes, delimiter: str) -> bytes:
    """The rows without the spaces behind their delimiters: Arrow takes a quote behind one for a part of the cell."""
    rows = csv.reader(io.StringIO(block.decode(), newline=""), delimiter=delimiter, skipinitialspace=True)
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=delimiter, lineterminator="\r\n").writerows(row for row in rows if row)
    return sink.getvalue().encode()
