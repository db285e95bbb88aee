"""Cells as times."""

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
Parts = dict[str, Any]

CLOCK: Final = (
    r"(?:(?:[T/]|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<micros>\d{1,6})\d*)?)?"
    r"\s*(?:(?P<half>[AaPp])\.?[Mm]\.?)?\s*"
    r"(?P<offset>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?)?"
)
DAYS: Final = (
    r"(?P<first>\d{1,2})[-/.](?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<first>\d{1,2})[/.](?P<other>\d{1,2})[/.](?P<year>\d\d)",
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<year>\d{4})[-/](?P<month>\d\d)",
    r"(?P<month>\d{1,2})[-/.](?P<year>\d{4})",
    r"(?P<year>\d{4})[-/ ]?[Qq](?P<quarter>\d)",
    r"[Qq](?P<quarter>\d)[-/ ](?P<year>\d{4})",
    r"(?P<year>\d{4})[- ]?[Ww](?P<week>\d\d)(?:-?(?P<weekday>\d))?",
    r"(?P<year>\d{4})[-/ ]?[Mm](?P<month>\d{1,2})",
    r"(?P<year>\d{4})[-/ ](?P<name>\pL{3,10})\.?(?:[-/ ](?P<day>\d{1,2}))?",
    r"(?P<name>\pL{3,10})\.?[ -](?P<year>\d{4})",
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    r"(?P<name>\pL{3,10})\.?\s(?P<day>\d{1,2}),?\s(?P<year>\d{4})",
    r"(?P<day>\d{1,2})\.?[ -](?P<name>\pL{3,10})\.?[ -](?P<year>\d{4}|\d\d)",
)
LAYOUTS: Final = [f"^{days}{CLOCK}$" for days in DAYS]
# In English, German, French, Spanish, Italian, Portuguese and Dutch, without accents; three letters do.
NAMES: Final = (
    *("january janner januari janvier enero gennaio janeiro", "february fevrier februari febrero febbraio fevereiro"),
    *("march marz mrz mars marzo marco maart mrt", "april avril abril aprile", "may mai mayo maggio maio mei"),
    *("june juni juin junio giugno junho", "july juli juillet julio luglio julho", "august augustus aout agosto"),
    *("september septembre septiembre settembre setembro", "october oktober octobre octubre ottobre outubro"),
    *("november novembre noviembre novembro", "december dezember decembre diciembre dicembre dezembro"),
)
MONTHS: Final = {
    word[:letters]: month
    for month, words in enumerate(NAMES, 1)
    for word in words.split()
    for letters in range(3, len(word) + 1)
    if word[:letters] != "jui"  # June or July
}
WEEKS: Final = 0.1  # more months after the twelfth are numbers of weeks: 01/2024 to 52/2024
LATEST: Final = 69  # a year of two digits is one of 1969 to 2068, as in POSIX
NONE: Final = np.datetime64("NaT", "us")
DAY: Final = 86_400_000_000  # us


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


def alike(column: Any) -> Iterator[tuple[Ints, Parts]]:
    """The cells of a column of strings that may be times, by their layouts: where they stand (n,), and parts by name.

    A part (n,) is a text, "" where a cell has none. No text fits two layouts; that of the first cells is tried first.
    """
    texts = pc.fill_null(pc.utf8_trim_whitespace(column), "")
    left = np.flatnonzero(pc.match_substring_regex(texts, r"\d\d"))  # as each year has
    texts = texts.take(pa.array(left))
    if not len(left):
        return
    fits_first = [pc.sum(pc.match_substring_regex(texts[:100], layout)).as_py() or 0 for layout in LAYOUTS]
    for layout in (LAYOUTS[i] for i in np.argsort(fits_first, kind="stable")[::-1]):
        found = pc.extract_regex(texts, layout)
        fits = np.asarray(pc.is_valid(found))
        if fits.any():
            parts = found.filter(pa.array(fits))
            yield left[fits], {part.name: pc.struct_field(parts, part.name) for part in parts.type}
        texts, left = texts.filter(pa.array(~fits)), left[~fits]


def number(parts: Parts, name: str, blank: int = 0) -> Ints:
    """A part (n,) as numbers, `blank` where there is none."""
    text = parts.get(name, pa.repeat("", len(parts["year"])))
    return np.asarray(pc.if_else(pc.equal(text, ""), str(blank), text).cast(pa.int64()))


def short(parts: Parts) -> NDArray[np.bool_]:
    """Where a year (n,) has two digits."""
    return np.asarray(pc.equal(pc.utf8_length(parts["year"]), 2))


def _is(parts: Parts, name: str, *texts: str) -> NDArray[np.bool_]:
    return np.asarray(pc.is_in(parts[name], pa.array(texts)))


def _parsed(column: Any, style: TimeStyle, zone: str | None) -> tuple[Times, NDArray[np.bool_]]:
    encoded = column.dictionary_encode("encode")  # each text is parsed once
    texts, rows = encoded.dictionary, np.asarray(encoded.indices)
    times = np.full(len(texts), NONE)
    for where, parts in alike(texts):
        times[where] = _built(parts, style, zone)
    return times[rows], (np.isnat(times) & ~np.asarray(blanks(pc.utf8_trim_whitespace(texts))))[rows]


def _built(parts: Parts, style: TimeStyle, zone: str | None) -> Times:
    """The times (n,) that these parts say, NaT where there is no such day or hour; what is finer than 1 us is cut."""
    date, valid = _date(parts, style)
    hour, minute, second = (number(parts, name) for name in ("hour", "minute", "second"))
    hours, minutes = number(parts, "hours"), number(parts, "minutes")
    valid &= (minute < 60) & (second < 60) & (hours < 24) & (minutes < 60)
    whole = _is(parts, "half", "")
    valid &= whole | ((hour >= 1) & (hour <= 12))
    hour = np.where(whole, hour, hour % 12 + 12 * _is(parts, "half", "p", "P"))
    micros = number({**parts, "micros": pc.utf8_rpad(parts["micros"], 6, "0")}, "micros")
    clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    valid &= clock <= DAY  # 24:00 ends a day
    times = date.astype("datetime64[us]") + clock
    offset = ~_is(parts, "offset", "")
    if zone is not None and offset.any():
        ahead = (hours * 60 + minutes) * np.where(_is(parts, "sign", "-"), -1, 1)
        told = _typed(pa.array(times - ahead.astype("timedelta64[m]"), pa.timestamp("us", "UTC")), zone)
        times = np.where(offset, told, times)
    return np.where(valid, times, NONE)


def _date(parts: Parts, style: TimeStyle) -> tuple[Times, NDArray[np.bool_]]:
    """The days (n,) that these parts say, and whether there is such a day."""
    if "week" in parts:
        year = (number(parts, "year") - 1970).astype("datetime64[Y]")
        fourth = year.astype("datetime64[D]") + 3  # the fourth of January lies in the first week of ISO 8601
        weekday = number(parts, "weekday", 1)
        monday = np.asarray(fourth - (fourth.astype(np.int64) + 3) % 7, "datetime64[D]")
        date = np.asarray(monday + 7 * (number(parts, "week") - 1) + (weekday - 1), "datetime64[D]")
        thursday = date - (weekday - 4)
        return date, (thursday.astype("datetime64[Y]") == year) & (weekday >= 1) & (weekday <= 7)
    month, day = number(parts, "month"), number(parts, "day", 1)
    if "first" in parts:
        first, other = number(parts, "first"), number(parts, "other")
        month, day = (first, other) if style.order == "month-first" else (other, first)
    elif "name" in parts:
        plain = pc.replace_substring_regex(pc.utf8_normalize(pc.utf8_lower(parts["name"]), "NFD"), r"\pM", "")
        month = np.array([MONTHS.get(name, 0) for name in plain.to_pylist()], np.int64)
    elif "quarter" in parts:
        month = 3 * number(parts, "quarter") - 2
    year = number(parts, "year") + short(parts) * np.where(number(parts, "year") < LATEST, 2000, 1900)
    start = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = np.asarray(start.astype("datetime64[D]") + (day - 1), "datetime64[D]")
    weeks = "month" in parts and "day" not in parts and (month > 12).mean() > WEEKS
    return date, (month >= 1) & (month <= 12) & (date.astype("datetime64[M]") == start) & (not weeks)


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
