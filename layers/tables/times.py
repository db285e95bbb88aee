"""Cells as times."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layers.tables.numbers import blanks, cast_texts, is_text, plain_array

Times = NDArray[np.datetime64]
Ints = NDArray[np.int64]

CLOCK: Final = (
    r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<micros>\d+))?)?"
    r"\s*(?P<half>[AaPp])?(?(half)\.?[Mm]\.?)\s*(?P<offset>[Zz]|UTC|GMT|[+-]\d\d:?(?:\d\d)?)?)?"
)
DAYS: Final = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<year>\d{4})[-/](?P<month>\d\d)",
    r"(?P<first>\d{1,2})[-/.](?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<name>[A-Za-z]{3,9})\.?\s(?P<day>\d{1,2}),?\s(?P<year>\d{4})",
    r"(?P<day>\d{1,2})\.?[ -](?P<name>[A-Za-z]{3,9})\.?[ -](?P<year>\d{4})",
)
PATTERNS: Final = [re.compile(days + CLOCK, re.ASCII) for days in DAYS]
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NONE: Final = np.datetime64("NaT", "us")
LONGEST: Final = 64


@dataclass(frozen=True)
class TimeStyle:
    """How the times of a column are written: what comes first where the year is last; None if no cell asks.

    `share` of the cells that are not blank are times in this style.
    """

    order: Literal["day-first", "month-first"] | None = None
    share: float = 1.0


def is_time(kind: pa.DataType) -> bool:
    """Whether cells of this type are times as they are, or nothing at all."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind))


def to_times(column: Any, style: TimeStyle, zone: str | None = "UTC") -> tuple[Times, NDArray[np.bool_]]:
    """Times (n,) as datetime64[us], NaT where blank or unreadable, and where a text is no time in this style, (n,).

    A time with an offset or a zone is told in the wall clock of `zone`, or as it is written if that is None; any other
    stays as it is. Whole numbers are read like texts (20240131); of other types all are NaT.
    """
    column = plain_array(column)
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if is_text(column.type):
        times = cast_plainly(column, zone)
        return _parsed(column, style, zone) if times is None else (times, np.zeros(len(column), bool))
    if not is_time(column.type):
        return np.full(len(column), NONE), pc.is_valid(column).to_numpy(zero_copy_only=False)
    return _typed(column, zone), np.zeros(len(column), bool)


def cast_plainly(column: Any, zone: str | None = "UTC") -> Times | None:
    """The texts as times if every one is blank or ISO 8601 as Arrow reads it, all with an offset or none; else None."""
    for written in (None, "UTC") if zone else (None,):
        cast = cast_texts(column, pa.timestamp("us", written))
        if cast is not None:
            return _typed(cast, zone)
    return None


@dataclass(frozen=True)
class Shape:
    """Cells that differ in their digits only: where they stand (n,), their shape, and the bytes of each (n, width)."""

    cells: Ints
    match: re.Match[str]
    matrix: NDArray[np.uint8]

    def has(self, part: str) -> bool:
        """Whether these cells have this part."""
        return part in self.match.re.groupindex and self.match[part] is not None

    def number(self, part: str) -> Ints:
        """The digits of a part, (n,); 0 where these cells have none."""
        found = np.zeros(len(self.cells), np.int64)
        if self.has(part):
            for at in range(*self.match.span(part)):
                if self.match.string[at] == "0":
                    found = found * 10 + (self.matrix[:, at] - 48)
        return found


def shapes(column: Any) -> Iterator[Shape]:
    """The cells of a column of strings that may be times, by their shape."""
    trimmed = pc.utf8_trim_whitespace(column)
    _, ends, data = trimmed.buffers()
    if data is None:
        return
    body = np.frombuffer(data, np.uint8)
    starts = np.frombuffer(ends, np.int32)[: len(column)]
    digits = (body >= 48) & (body <= 57)
    zeros = pa.py_buffer(np.where(digits, np.uint8(48), body))
    encoded = pa.StringArray.from_buffers(len(column), ends, zeros, trimmed.buffers()[0]).dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        match = (
            next(filter(None, (pattern.fullmatch(text) for pattern in PATTERNS)), None) if len(text) < LONGEST else None
        )
        if match:
            cells = order[edges[code] : edges[code + 1]]
            yield Shape(cells, match, body[starts[cells][:, None] + np.arange(len(text))])


def _parsed(column: Any, style: TimeStyle, zone: str | None) -> tuple[Times, NDArray[np.bool_]]:
    times = np.full(len(column), NONE)
    for shape in shapes(column):
        times[shape.cells] = _built(shape, style, zone)
    blank = blanks(pc.utf8_trim_whitespace(column)).to_numpy(zero_copy_only=False)
    return times, np.isnat(times) & ~blank


def _built(shape: Shape, style: TimeStyle, zone: str | None) -> Times:
    """The times of a shape, NaT where there is no such day or hour."""
    month, day = _month_and_day(shape, style)
    start = ((shape.number("year") - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = start.astype("datetime64[D]") + (day - 1)
    hour, minute, second = shape.number("hour"), shape.number("minute"), shape.number("second")
    valid = (month >= 1) & (month <= 12) & (date.astype("datetime64[M]") == start)
    valid &= (hour < 24) & (minute < 60) & (second < 60)
    if shape.has("half"):
        valid &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + (12 if shape.match["half"] in "pP" else 0)
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + _fraction(shape)
    times = date.astype("datetime64[us]") + micros
    if shape.has("offset") and zone is not None:
        times = _told_in(zone, times, shape)
    return np.where(valid, times, NONE)


def _fraction(shape: Shape) -> Ints:
    """Microseconds; what is finer is cut."""
    if not shape.has("micros"):
        return np.zeros(len(shape.cells), np.int64)
    start, end = shape.match.span("micros")
    digits = shape.matrix[:, start : min(end, start + 6)].astype(np.int64) - 48
    return np.asarray(digits @ 10 ** np.arange(5, 5 - digits.shape[1], -1), np.int64)


def _month_and_day(shape: Shape, style: TimeStyle) -> tuple[Ints, Ints]:
    if shape.has("first"):
        first, other = shape.number("first"), shape.number("other")
        return (first, other) if style.order == "month-first" else (other, first)
    if shape.has("name"):
        name = shape.match["name"][:3].lower()
        month = MONTHS.index(name) + 1 if name in MONTHS else 0
        return np.full(len(shape.cells), month), shape.number("day")
    day = shape.number("day") if shape.has("day") else np.ones(len(shape.cells), np.int64)
    return shape.number("month"), day


def _told_in(zone: str, times: Times, shape: Shape) -> Times:
    """Times that are written with an offset, in the wall clock of `zone`."""
    written = shape.match["offset"]
    digits = shape.number("offset") * (100 if sum(map(str.isdigit, written)) == 2 else 1)
    minutes = (digits // 100 * 60 + digits % 100) * (-1 if written[0] == "-" else 1)
    return _typed(pa.array(times - minutes.astype("timedelta64[m]"), pa.timestamp("us", "UTC")), zone)


def _typed(column: Any, zone: str | None) -> Times:
    written = None
    if pa.types.is_timestamp(column.type):
        written = column.type.tz
        if column.type.unit in ("s", "ms"):
            most = 2**63 // (1_000_000 if column.type.unit == "s" else 1_000) - 1
            ticks = column.cast(pa.int64())
            column = pc.if_else(pc.and_(pc.less(ticks, most), pc.greater(ticks, -most)), column, None)
    column = column.cast(pa.timestamp("us", written), safe=False)
    if written is not None:
        column = pc.local_timestamp(column if zone is None else column.cast(pa.timestamp("us", zone)))
    return np.asarray(column.to_numpy(zero_copy_only=False), "datetime64[us]")
