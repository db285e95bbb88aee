"""CSV files as tables."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from layers.runtime.errors import InputError
from layers.runtime.files import Limits, Reading
from layers.tables.dialect import END, HEAD, padded, sniff
from layers.tables.table import Batch, Table
from layers.tables.text import Text

BLOCK: Final = 4 << 20
LONGEST: Final = 4 * BLOCK
PIECE: Final = 2 << 20  # characters and cells of rows that are held as Python's strings at once
csv.field_size_limit(LONGEST)


class CsvTable(Table):
    """Of any dialect that `sniff` tells, in UTF-8, UTF-16 or Latin-1.

    Arrow reads blocks of whole, regular rows. Other blocks are read by Python's csv, and so is all that follows a quote
    which neither opens nor closes a cell, since nobody knows then where a row ends.
    """

    kind = "csv"

    def __init__(self, source: BinaryIO, name: str, limits: Limits, said: Reading) -> None:
        self._source, self._text = source, Text(source, name, limits)
        head, *more = islice(self._text.chunks(HEAD), 2)
        if not head.strip():
            raise InputError("is empty", file=name)
        self._dialect = sniff(head.decode(), name, cut=any(more))
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
        self._row = 0
        for piece in filter(len, self._pieces(places)):
            beyond = self._row + len(piece)
            self._limits.check(self.name, table_cells=beyond * len(self.header), piece_rides=beyond)
            if isinstance(piece, list):
                yield self._fitted(piece, places, everything=everything)
            else:
                yield Batch(np.arange(self._row, beyond), piece)
            self._row = beyond

    def _pieces(self, places: list[int]) -> Iterator[Any]:
        """All rows, in some MB at a time: columns at `places`, or lists of the fields of each row."""
        self._text = Text(self._source, self.name, self._limits)
        chunks, rest, header = self._text.chunks(BLOCK), b"", self._dialect.start
        for chunk in chain(chunks, [b"\n"]):
            rest, header = rest + chunk[header:], max(0, header - len(chunk))
            size = whole_rows(rest, self._dialect.delimiter)
            if not size:
                break
            block, rest = rest[:size], rest[size:]
            columns = self._by_arrow(block, places) if block.strip(b"\r\n") else []
            yield from self._by_python([block]) if columns is None else [columns]
        yield from self._by_python(chain([rest], chunks))

    def _by_arrow(self, block: bytes, places: list[int]) -> Any:
        """The columns at `places`, or None when a row is wider or narrower than the header.

        Arrow gets whole blocks and no stream: it would read a stream of Python's on a thread of its own, and die there.
        """
        names = [str(i) for i in range(len(self.header))]
        beyond = names[self._dialect.own :]
        chosen = [names[i] for i in places]
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(block),
                pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
                pyarrow.csv.ParseOptions(delimiter=self._dialect.delimiter, newlines_in_values=True),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=[*chosen, *(name for name in beyond if name not in chosen)],
                ),
            )
        except pa.ArrowInvalid:
            return None
        if any(pc.any(pc.not_equal(pc.utf8_trim_whitespace(table[name]), "")).as_py() for name in beyond):
            return None
        columns = [table[name].combine_chunks() for name in chosen]
        return pa.RecordBatch.from_arrays(columns, names=[self.header[i] for i in places])

    def _by_python(self, chunks: Iterable[bytes]) -> Iterator[list[list[str]]]:
        """The fields of each row that is not blank. Raises InputError that names the row whose quote is not closed."""
        lines = chain(self._lines(chunks), END)
        spaced = self._dialect.spaced
        piece, size, open_quote = list[list[str]](), 0, "a quote in it is not closed"
        try:
            for row in filter(None, csv.reader(lines, delimiter=self._dialect.delimiter, skipinitialspace=spaced)):
                if size > PIECE:
                    yield piece
                    piece, size = [], 0
                piece.append(row)
                size += len(row) + sum(map(len, row))
        except csv.Error as exc:
            why = f"a cell of it is longer than {LONGEST >> 20} MB, or {open_quote}"
            raise InputError(why, file=self.name, row=self._row + len(piece)) from exc
        if piece.pop() != [END[-1]]:
            raise InputError(open_quote, file=self.name, row=self._row + len(piece))
        yield piece

    def _lines(self, chunks: Iterable[bytes]) -> Iterator[str]:
        rest = b""
        for chunk in chunks:
            *lines, rest = [b"", *(rest + chunk).splitlines(keepends=True)]
            yield from map(bytes.decode, lines)
            if len(rest) > LONGEST:
                raise InputError(f"has a row of over {LONGEST >> 20} MB", file=self.name)
        yield rest.decode()

    def _fitted(self, rows: list[list[str]], places: list[int], *, everything: bool) -> Batch:
        """The batch of those rows that are as wide as the header, or of `everything`."""
        numbers, fields, ragged = list[int](), list[list[str]](), set[int]()
        for number, row in enumerate(rows, self._row):
            fitted = self._dialect.fitted(row)
            if fitted is None:
                self._ragged.append(number)
                if not everything:
                    continue
                ragged.add(len(numbers))
            numbers.append(number)
            fields.append(fitted or padded(row, len(self.header)))
        cells = [pa.array([row[i] for row in fields], pa.string()) for i in places]
        columns = pa.RecordBatch.from_arrays(cells, names=[self.header[i] for i in places])
        return Batch(np.array(numbers, np.int64), columns, frozenset(ragged))


def whole_rows(data: bytes, delimiter: str) -> int:
    """How many bytes of `data`, which begins with a row, are rows to their end; 0 when none is, or a quote is stray."""
    if b'"' not in data:
        return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    codes = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(codes == ord('"'))
    edges = np.frombuffer(b'"\r\n' + delimiter.encode(), np.uint8)
    # Quotes open and close in turn. One that does neither, such as that of a 32" screen, is stray.
    if not (np.isin(codes[quotes[::2] - 1], edges).all() and np.isin(codes[quotes[1::2] + 1], edges).all()):
        return 0
    ends = np.flatnonzero(np.isin(codes[1:-1], edges[1:3]))
    outside = ends[np.searchsorted(quotes - 1, ends) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0
