"""Cells as times."""

import re
from collections.abc import Iterator, Mapping
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
    r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<micros>\d{1,6})\d*)?)?"
    r"\s*(?:(?P<half>[AaPp])\.?[Mm]\.?)?\s*"
    r"(?P<offset>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?)?"
)
DAYS: Final = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<year>\d{4})[-/](?P<month>\d\d)",
    r"(?P<year>\d{4})[-/ ]?[Qq](?P<quarter>\d)",
    r"[Qq](?P<quarter>\d)[-/ ](?P<year>\d{4})",
    r"(?P<year>\d{4})[- ]?[Ww](?P<week>\d\d)(?:-?(?P<weekday>\d))?",
    r"(?P<year>\d{4})[-/ ]?[Mm](?P<month>\d{1,2})",
    r"(?P<year>\d{4})[-/ ](?P<name>[A-Za-z]{3,9})\.?(?:[-/ ](?P<day>\d{1,2}))?",
    r"(?P<name>[A-Za-z]{3,9})\.?[ -](?P<year>\d{4})",
    r"(?P<first>\d{1,2})[-/.](?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<name>[A-Za-z]{3,9})\.?\s(?P<day>\d{1,2}),?\s(?P<year>\d{4})",
    r"(?P<day>\d{1,2})\.?[ -](?P<name>[A-Za-z]{3,9})\.?[ -](?P<year>\d{4})",
)
LAYOUTS: Final = [re.compile(f"{days}{CLOCK}".encode()) for days in DAYS]
MONTHS: Final = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
ZERO: Final = ord("0")
# A byte as it stands in the shape of a text: of digits it only says that they are digits.
SHAPE: Final = np.array([ZERO if chr(i).isdecimal() else i for i in range(256)], np.uint8)
NONE: Final = np.datetime64("NaT", "us")


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

    A month, a quarter or a week of ISO 8601 (2024-01, 2024M01 or 2024 Jan, 2024Q1 or Q1 2024, 2024-W01) is its first
    day. A time with an offset or a zone is told in the wall clock of `zone`, or as it is written if that is None; any
    other stays as it is. Whole numbers are read like texts (20240131); of other types all are NaT.
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
class Alike:
    """Texts of one layout: where they stand in their column (n,), numbers (n,) by the name of the part, and words.

    They differ in digits alone, so that a word, such as the name of a month, is the same in all; no part is blank.
    """

    where: Ints
    numbers: Mapping[str, Ints]
    words: Mapping[str, bytes]

    def number(self, part: str) -> Ints:
        """Zero where the layout has no such part."""
        return self.numbers.get(part, np.zeros(len(self.where), np.int64))


def alike(column: Any) -> Iterator[Alike]:
    """The cells of a column of strings that may be times, by their layouts, each of which is matched once."""
    trimmed = pc.utf8_trim_whitespace(column)
    sizes = np.asarray(pc.fill_null(pc.binary_length(trimmed), 0))
    for size in np.unique(sizes[sizes > 0]).tolist():
        where = np.flatnonzero(sizes == size)
        codes = np.frombuffer(trimmed.take(pa.array(where)).buffers()[2], np.uint8)[: len(where) * size]
        shapes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(where), [None, pa.py_buffer(SHAPE[codes])])
        encoded = shapes.dictionary_encode()
        of_shape = np.asarray(encoded.indices)
        for i, shape in enumerate(encoded.dictionary.to_pylist()):
            match = next(filter(None, (layout.fullmatch(shape) for layout in LAYOUTS)), None)
            if match:
                rows = np.flatnonzero(of_shape == i)
                texts = codes.reshape(-1, size)[rows]
                spans = [(part, *match.span(part)) for part, text in match.groupdict().items() if text]
                numbers = {part: _number(texts[:, a:b]) for part, a, b in spans if match[part].isdigit()}
                if "micros" in numbers:
                    numbers["micros"] *= 10 ** (6 - len(match["micros"]))
                yield Alike(where[rows], numbers, {part: match[part] for part, _, _ in spans if part not in numbers})


def _number(digits: Any) -> Ints:
    """Digits (n, k) as numbers (n,)."""
    value = np.zeros(len(digits), np.int64)
    for digit in digits.T:
        value = 10 * value + (digit - ZERO)
    return value


def _parsed(column: Any, style: TimeStyle, zone: str | None) -> tuple[Times, NDArray[np.bool_]]:
    times = np.full(len(column), NONE)
    for texts in alike(column):
        times[texts.where] = _built(texts, style, zone)
    return times, np.isnat(times) & ~np.asarray(blanks(pc.utf8_trim_whitespace(column)))


def _built(texts: Alike, style: TimeStyle, zone: str | None) -> Times:
    """The times that these texts say, NaT where there is no such day or hour; what is finer than 1 us is cut."""
    date, valid = _date(texts, style)
    hour, minute, second = (texts.number(part) for part in ("hour", "minute", "second"))
    valid &= (hour < 24) & (minute < 60) & (second < 60)
    hours, minutes = texts.number("hours"), texts.number("minutes")
    valid &= (hours < 24) & (minutes < 60)
    if half := texts.words.get("half"):
        valid &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + 12 * (half.lower() == b"p")
    times = date.astype("datetime64[us]") + (((hour * 60 + minute) * 60 + second) * 1_000_000 + texts.number("micros"))
    if zone is not None and "offset" in texts.words:
        ahead = (hours * 60 + minutes) * (-1 if texts.words.get("sign") == b"-" else 1)
        times = _typed(pa.array(times - ahead.astype("timedelta64[m]"), pa.timestamp("us", "UTC")), zone)
    return np.where(valid, times, NONE)


def _date(texts: Alike, style: TimeStyle) -> tuple[Times, NDArray[np.bool_]]:
    """The days (n,) that these texts say, and whether there is such a day."""
    if "week" in texts.numbers:
        year = (texts.number("year") - 1970).astype("datetime64[Y]")
        fourth = year.astype("datetime64[D]") + 3  # the fourth of January lies in the first week of ISO 8601
        weekday = texts.numbers.get("weekday", np.ones_like(texts.where))
        monday = np.asarray(fourth - (fourth.astype(np.int64) + 3) % 7, "datetime64[D]")
        date = np.asarray(monday + 7 * (texts.number("week") - 1) + (weekday - 1), "datetime64[D]")
        thursday = date - (weekday - 4)
        return date, (thursday.astype("datetime64[Y]") == year) & (weekday >= 1) & (weekday <= 7)
    month, day = _month_and_day(texts, style)
    start = ((texts.number("year") - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = np.asarray(start.astype("datetime64[D]") + (day - 1), "datetime64[D]")
    return date, (month >= 1) & (month <= 12) & (date.astype("datetime64[M]") == start)


def _month_and_day(texts: Alike, style: TimeStyle) -> tuple[Ints, Ints]:
    if "first" in texts.numbers:
        first, other = texts.number("first"), texts.number("other")
        return (first, other) if style.order == "month-first" else (other, first)
    if name := texts.words.get("name"):
        known = name[:3].lower()
        month = np.full(len(texts.where), MONTHS.index(known) + 1 if known in MONTHS else 0)
        return month, texts.numbers.get("day", np.ones_like(month))
    month = texts.numbers.get("month", 3 * texts.number("quarter") - 2)
    return month, texts.numbers.get("day", np.ones_like(month))


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
