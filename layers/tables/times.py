"""Cells as times."""

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
Parts = Mapping[str, Any]

CLOCK: Final = (
    r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<micros>\d+))?)?"
    r"\s*(?:(?P<half>[AaPp])\.?[Mm]\.?)?\s*"
    r"(?P<offset>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?)?"
)
DAYS: Final = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<year>\d{4})[-/](?P<month>\d\d)",
    r"(?P<first>\d{1,2})[-/.](?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<name>[A-Za-z]{3,9})\.?\s(?P<day>\d{1,2}),?\s(?P<year>\d{4})",
    r"(?P<day>\d{1,2})\.?[ -](?P<name>[A-Za-z]{3,9})\.?[ -](?P<year>\d{4})",
)
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
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


def parts(column: Any) -> Iterator[tuple[Ints, Parts]]:
    """Cells of a column of strings that may be times: where those of one layout stand (n,), and their parts by name.

    A part is n texts, "" where a cell has none.
    """
    trimmed = pc.utf8_trim_whitespace(column)
    left = np.flatnonzero(pc.invert(blanks(trimmed)))
    for days in DAYS:
        if len(left):
            match = pc.extract_regex(trimmed.take(pa.array(left)), f"^(?:{days}{CLOCK})$")
            fits = match.is_valid()
            where = fits.to_numpy(zero_copy_only=False)
            if where.any():
                match = match.filter(fits)
                yield left[where], dict(zip((field.name for field in match.type), match.flatten(), strict=True))
                left = left[~where]


def number(texts: Any) -> Ints:
    """Texts of digits as numbers, (n,); "" is 0."""
    return np.asarray(pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64()))


def _parsed(column: Any, style: TimeStyle, zone: str | None) -> tuple[Times, NDArray[np.bool_]]:
    """Each different text is read once: a day comes in many rows."""
    encoded = pc.fill_null(column, "").dictionary_encode()
    times = np.full(len(encoded.dictionary), NONE)
    for cells, texts in parts(encoded.dictionary):
        times[cells] = _built(texts, style, zone)
    unreadable = np.isnat(times) & ~np.asarray(blanks(pc.utf8_trim_whitespace(encoded.dictionary)))
    codes = np.asarray(encoded.indices)
    return times[codes], unreadable[codes]


def _built(texts: Parts, style: TimeStyle, zone: str | None) -> Times:
    """The times that these parts say, NaT where there is no such day or hour; what is finer than 1 us is cut."""
    month, day = _month_and_day(texts, style)
    start = ((number(texts["year"]) - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = start.astype("datetime64[D]") + (day - 1)
    hour, minute, second = (number(texts[part]) for part in ("hour", "minute", "second"))
    half = pc.utf8_lower(texts["half"])
    halved, later = np.asarray(pc.not_equal(half, "")), np.asarray(pc.equal(half, "p"))
    valid = (month >= 1) & (month <= 12) & (date.astype("datetime64[M]") == start)
    valid &= (hour < 24) & (minute < 60) & (second < 60) & (~halved | ((hour >= 1) & (hour <= 12)))
    hour = np.where(halved, hour % 12 + 12 * later, hour)
    micros = number(pc.utf8_rpad(pc.utf8_slice_codeunits(texts["micros"], 0, 6), 6, "0"))
    times = date.astype("datetime64[us]") + (((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
    ahead = np.asarray(pc.not_equal(texts["offset"], ""))
    if zone is not None and ahead.any():
        offset = (number(texts["hours"]) * 60 + number(texts["minutes"])) * np.where(
            pc.equal(texts["sign"], "-"), -1, 1
        )
        instants = pa.array(times - offset.astype("timedelta64[m]"), pa.timestamp("us", "UTC"))
        times = np.where(ahead, _typed(instants, zone), times)
    return np.where(valid, times, NONE)


def _month_and_day(texts: Parts, style: TimeStyle) -> tuple[Ints, Ints]:
    if "first" in texts:
        first, other = number(texts["first"]), number(texts["other"])
        return (first, other) if style.order == "month-first" else (other, first)
    if "name" in texts:
        name = pc.utf8_lower(pc.utf8_slice_codeunits(texts["name"], 0, 3))
        month = pc.fill_null(pc.index_in(name, pa.array(MONTHS)), -1)
        return np.asarray(month.cast(pa.int64())) + 1, number(texts["day"])
    month = number(texts["month"])
    return month, number(texts["day"]) if "day" in texts else np.ones_like(month)


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
