"""How the numbers and times of a whole file are written, where a cell alone could be read in two ways."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from layers.runtime.errors import InputError
from layers.tables import numbers as numerals
from layers.tables import times as moments
from layers.tables.numbers import CURRENCIES, NumberStyle, blanks, is_number, is_text, plain_array, to_numbers, unsigned
from layers.tables.table import Batch, Table
from layers.tables.times import TimeStyle, alike, is_time

# So few cells that say otherwise are mistakes in their rows; more of them are another style.
STRAY: Final = 0.05
GROUPED: Final = r"^\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*$"
POINT: Final = NumberStyle(decimal=".")
COMMA: Final = NumberStyle(decimal=",")


# Two readings, and what to say when nothing decides between them.
DECIMAL: Final = (".", ",")
DATES: Final = ("day-first", "month-first")
PROBLEMS: Final = {
    DECIMAL: "numbers like 1.234 can be 1.234 or 1234; say which with --decimal . or --decimal , (TREFOIL_DECIMAL)",
    DATES: "dates like 03/04/2019 or 03/04/19 can be April 3 or March 4; say which with --dates day-first or"
    " --dates month-first (TREFOIL_DATES)",
}


@dataclass(frozen=True)
class Styles:
    """The style of each column that was asked for."""

    numbers: dict[str, NumberStyle] = field(default_factory=dict)
    times: dict[str, TimeStyle] = field(default_factory=dict)


def styles(
    table: Table, *, numbers: Sequence[str] = (), times: Sequence[str] = (), batches: Iterable[Batch] | None = None
) -> Styles:
    """The style of each of these columns, decided over the whole file.

    It is read once more if any of them is text, unless all its `batches` are at hand: no cell can be read before.
    What `table.reading` says goes first, then the column's own cells, then what the file's other columns are.
    Raises InputError that names the column, both readings and the option where two are possible and differ, or when a
    column's type is none of numbers or times.
    """
    _check_types(table, numbers, times)
    texts = [name for name in dict.fromkeys((*numbers, *times)) if _is_read(table.type_of(name))]
    # In a file of commas, and of Parquet, a dot is the decimal point.
    english = table.delimiter in (None, ",")
    as_numbers = {name: Counter[str]() for name in numbers}
    as_times = {name: Counter[str]() for name in times}
    if batches is None:
        batches = table.batches(texts) if texts else ()
    for batch in batches:
        for name in texts:
            column = plain_array(batch.column(name))
            if name in as_numbers:
                _count_numbers(column, as_numbers[name], english=english)
            if name in as_times:
                _count_times(column.cast(pa.string()), as_times[name])
    points = _decided(table, DECIMAL, as_numbers, table.reading.decimal, "." if english else None)
    orders = _decided(table, DATES, as_times, table.reading.dates, None)
    for what, chosen in (("decimal", points), ("dates", orders)):
        if chosen:
            table.decided[what] = chosen
    return Styles(
        {name: _number_style(counts, points.get(name, ".")) for name, counts in as_numbers.items()},
        {name: TimeStyle(orders.get(name), _share(counts, orders.get(name))) for name, counts in as_times.items()},
    )


def _is_read(kind: Any) -> bool:
    return is_text(kind) or bool(pa.types.is_integer(kind))


def _check_types(table: Table, numbers: Sequence[str], times: Sequence[str]) -> None:
    for names, fits, what in ((numbers, is_number, "a number"), (times, is_time, "a time")):
        for name in names:
            kind = table.type_of(name) if fits is is_time else table.types.get(name)
            if kind is None:
                raise table.lacks(name)
            if not fits(kind) and not _is_read(kind):
                raise InputError(f"is of type {kind}, not {what}", file=table.name, field=name)


def _count_numbers(column: Any, counts: Counter[str], *, english: bool) -> None:
    """Add the cells that are no number, one in both readings, a different one in each (`either`), or in one alone."""
    if not is_text(column.type):
        return
    values = numerals.cast_plainly(column)
    if values is not None:
        cells, dots = int(np.isfinite(values).sum()), _sum(pc.match_substring(column, "."))
        either = 0 if english or not dots else _sum(pc.match_substring_regex(column, GROUPED))
        counts.update({"cells": cells, ".": dots - either, "either": either, "both": cells - dots})
        return
    for sign in CURRENCIES:
        with_sign = _sum(pc.match_substring(column, sign))
        counts[sign] += with_sign
        column = unsigned(column, sign) if with_sign else column
    _compare(counts, DECIMAL, to_numbers(column, POINT)[0], to_numbers(column, COMMA)[0])
    counts["cells"] += len(column) - _sum(blanks(pc.utf8_trim_whitespace(column)))


def _count_times(column: Any, counts: Counter[str]) -> None:
    """Add the cells, as above."""
    times = moments.cast_plainly(column)
    if times is not None:
        known = int((~np.isnat(times)).sum())
        counts.update(cells=known, both=known)
        return
    for where, parts in alike(column):
        if "first" in parts and moments.short(parts).any():
            counts["either"] += len(where)  # nor do such dates tell which number is the year
        elif "first" in parts:
            first, other = (moments.number(parts, part).astype(float) for part in ("first", "other"))
            _compare(counts, DATES, np.where(other > 12, np.nan, first), np.where(first > 12, np.nan, other))
        else:
            counts["both"] += len(where)
    counts["cells"] += len(column) - _sum(blanks(pc.utf8_trim_whitespace(column)))


def _compare(counts: Counter[str], choice: tuple[str, str], one: Any, two: Any) -> None:
    readable, other = ~np.isnan(one), ~np.isnan(two)
    both = readable & other
    counts[choice[0]] += int((readable & ~other).sum())
    counts[choice[1]] += int((other & ~readable).sum())
    counts["both"] += int((both & (one == two)).sum())
    counts["either"] += int((both & (one != two)).sum())


def _decided(
    table: Table, choice: tuple[str, str], columns: Mapping[str, Counter[str]], said: str | None, default: str | None
) -> dict[str, Any]:
    """The reading of every column that has cells to read in one way or the other."""
    open_columns = []
    chosen: dict[str, Any] = {}
    for name, counts in columns.items():
        one, two = (counts[reading] for reading in choice)
        mostly = 2 * (one + two + counts["both"] + counts["either"]) > counts["cells"]
        if mostly and not said and min(one, two) > STRAY * (one + two):
            raise InputError(PROBLEMS[choice], file=table.name, field=name)
        if one or two:
            chosen[name] = said or choice[two > one]
        elif counts["either"] and mostly:
            open_columns.append(name)
    others = set(chosen.values())
    for name in open_columns:
        chosen[name] = said or (others.pop() if len(others) == 1 else default)
        if chosen[name] is None:
            raise InputError(PROBLEMS[choice], file=table.name, field=name)
        others = others or {chosen[name]}
    return chosen


def _number_style(counts: Counter[str], decimal: Any) -> NumberStyle:
    usual = max(CURRENCIES, key=lambda sign: counts[sign])
    if 2 * counts[usual] > counts["cells"]:
        return NumberStyle(decimal, usual, _share(counts, decimal))
    signs = sum(counts[sign] for sign in CURRENCIES)
    return NumberStyle(decimal, "", max(0.0, _share(counts, decimal) - signs / max(counts["cells"], 1)))


def _share(counts: Counter[str], reading: str | None) -> float:
    read = counts["both"] + counts["either"] + (counts[reading] if reading else 0)
    return read / counts["cells"] if counts["cells"] else 1.0


def _sum(where: Any) -> int:
    return int(pc.sum(where).as_py() or 0)
