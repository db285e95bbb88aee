"""Files of other people: what they may hold, and how what goes wrong with them is told."""

import csv
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

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


@dataclass(frozen=True)
class Reading:
    """What a person says of files: what they do not tell themselves (None: they do), and our columns -> theirs.

    Theirs may be several columns with + between, of which an id is made.
    """

    dates: Literal["day-first", "month-first"] | None = None
    decimal: Literal[".", ","] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


def named_columns(pairs: Iterable[str]) -> dict[str, str]:
    """Our columns -> theirs, from texts OURS=THEIRS. Raises InputError that shows the one that is none."""
    names: dict[str, str] = {}
    for pair in pairs:
        ours, _, theirs = (part.strip() for part in pair.partition("="))
        if not ours or not theirs:
            raise InputError("is not of the form OURS=THEIRS", field=pair)
        names[ours] = theirs
    return names


@contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """Any failure to read becomes an InputError that names the file and says why, but shows no cell of it."""
    try:
        yield
    except Exception as exc:
        explains = isinstance(exc, PLAIN) or type(exc).__module__ == "pyarrow.lib"
        if not explains and not isinstance(exc, VALUES):
            raise
        why = (str(exc).splitlines() or [type(exc).__name__])[0][:200] if explains else "a value is out of range"
        raise InputError(f"cannot be read as {kind}: {why}", file=name) from exc
