"""Files of other people: what every reader does before it reads, and how what goes wrong is told."""

import codecs
import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from layers.runtime.errors import InputError, LimitError

MB = 1 << 20
PLAIN = (EOFError, OSError, csv.Error, zlib.error)
VALUES = (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError)


@dataclass(frozen=True)
class Limits:
    """What a file may hold, each under the name of its setting; by default anything.

    MB unpacked, columns, rows times columns, series of a sales file, and rides of what cannot be split.
    """

    object_mb: float = math.inf
    table_columns: float = math.inf
    table_cells: float = math.inf
    file_series: float = math.inf
    piece_rides: float = math.inf

    def check(self, file: str, **found: float) -> None:
        """Raises LimitError that names the file, what was `found`, and the setting that it exceeds."""
        for name, value in found.items():
            if value > getattr(self, name):
                what = name.rsplit("_", 1)[1].replace("mb", "MB")
                limit = f"more than {getattr(self, name):,.0f} (TREFOIL_{name.upper()})"
                raise LimitError(f"holds {math.ceil(value):,} {what}, {limit}", file=file)


@contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """Any failure to read becomes an InputError that names the file and says why, but shows no cell of it."""
    try:
        yield
    except Exception as exc:
        told = isinstance(exc, PLAIN) or type(exc).__module__ == "pyarrow.lib"
        if not told and not isinstance(exc, VALUES):
            raise
        why = (str(exc).splitlines() or [type(exc).__name__])[0][:200] if told else "a value is out of range"
        raise InputError(f"cannot be read as {kind}: {why}", file=name) from exc


class Text(io.RawIOBase):
    """The bytes of a UTF-8 text, unpacked when they are gzip, from where `stream` stands.

    Reading raises InputError for bytes that are not UTF-8 or no whole gzip file, LimitError past `limits`.
    """

    def __init__(self, stream: BinaryIO, name: str, limits: Limits | None = None) -> None:
        start = stream.read(2)
        stream.seek(-len(start), io.SEEK_CUR)
        self._plain = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if start == b"\x1f\x8b" else stream
        self._name, self._limits, self._size, self._line = name, limits or Limits(), 0, 1
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with checked bytes."""
        with reading(self._name, "gzip"):
            chunk = self._plain.read(len(buffer))
        self._size += len(chunk)
        self._limits.check(self._name, object_mb=self._size / MB)
        try:
            if not chunk.isascii() or self._decoder.getstate()[0] or not chunk:
                self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as exc:
            line = self._line + exc.object[: exc.start].count(b"\n")
            raise InputError(f"cannot be read as CSV: line {line} is not in UTF-8", file=self._name) from exc
        self._line += chunk.count(b"\n")
        buffer[: len(chunk)] = chunk
        return len(chunk)
