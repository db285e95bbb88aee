"""Cells as numbers and as texts."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

CURRENCIES: Final = ("$", "€", "£", "¥", "₹", "%", "CHF", "EUR", "USD")
WORDLESS: Final = ("", "nan", "na", "n/a", "null", "none")
# What may part thousands beside the comma or the dot: space, no-break space, narrow one, apostrophes.
PARTS: Final = " \u00a0\u202f'\u2019"
INFINITE: Final = r"^[+-]?inf(inity)?$"


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a column are written; `share` of the cells that are not blank are numbers in this style.

    `currency` is the sign that most of them have, "" for none; 5 % is 5.
    """

    decimal: Literal[".", ","] = "."
    currency: str = ""
    share: float = 1.0

    @property
    def plain(self) -> str:
        """Pattern of a number without parted thousands."""
        d = "\\" + self.decimal
        return rf"^[+-]?(\d+({d}\d*)?|{d}\d+)([eE][+-]?\d+)?$"

    @property
    def grouped(self) -> str:
        """Pattern of a number whose thousands are parted."""
        other = "," if self.decimal == "." else r"\."
        groups = "|".join(rf"({part}\d{{3}})+" for part in (other, *PARTS))
        return rf"^[+-]?[1-9]\d{{0,2}}({groups})(\{self.decimal}\d*)?$"


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are read as what their text says."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of this type are numbers as they are, or nothing at all."""
    if pa.types.is_dictionary(kind):
        return is_number(kind.value_type)
    of = pa.types
    return any(t(kind) for t in (of.is_integer, of.is_floating, of.is_decimal, of.is_boolean, of.is_null))


def plain_array(column: Any) -> Any:
    """The column without dictionary, its texts as plain strings."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    kind = pa.string() if is_text(kind) else kind
    return column if column.type == kind else column.cast(kind)


def to_numbers(column: Any, style: NumberStyle) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values (n,), NaN where blank or unreadable, and where a text is none in this style, (n,).

    Blank is also `nan`, `NA`, `null` and the like. Infinite values stay so. Types other than text and numbers: all NaN.
    """
    column = plain_array(column)
    if is_text(column.type):
        return _parsed(column, style)
    if not is_number(column.type):
        return np.full(len(column), np.nan), pc.is_valid(column).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return _floats(column), np.zeros(len(column), bool)


def cast_plainly(column: Any) -> NDArray[np.float64] | None:
    """The texts as numbers if every one is blank or a number with at most a decimal point; else None."""
    cast = cast_texts(column, pa.float64())
    return None if cast is None else _floats(cast)


def cast_texts(column: Any, kind: pa.DataType) -> Any:
    """The texts as Arrow casts them, null where blank; None where it cannot. It fails slowly: a few are tried first."""
    blank = pc.equal(column, "")
    if pc.any(blank).as_py():
        column = pc.if_else(blank, None, column)
    try:
        column.slice(0, 20).cast(kind)
        return column.cast(kind)
    except pa.ArrowInvalid:
        return None


def unsigned(column: Any, currency: str) -> Any:
    """The texts trimmed, without the currency sign before or behind, and (5) or 5- of an account as -5."""
    trimmed = pc.utf8_trim_whitespace(column)
    if currency:
        sign = re.escape(currency)
        trimmed = pc.replace_substring_regex(trimmed, rf"^([+-]?\(?){sign}\s*|\s*{sign}([-)]?)$", r"\1\2")
    return pc.replace_substring_regex(trimmed, r"^\((.*\d)\)$|^(.*\d)-$", r"-\1\2")


def blanks(trimmed: Any) -> Any:
    """Where a text says that there is nothing; also where it is null."""
    return pc.is_in(pc.fill_null(pc.utf8_lower(trimmed), ""), pa.array(WORDLESS))


def _parsed(column: Any, style: NumberStyle) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    swapped = column
    if style.decimal == "," and not pc.any(pc.match_substring(column, ".")).as_py():
        swapped = pc.replace_substring(column, ",", ".")
    if style.decimal == "." or swapped is not column:
        values = cast_plainly(swapped)
        if values is not None:
            return values, np.zeros(len(column), bool)
    text = unsigned(column, style.currency)
    grouped = pc.match_substring_regex(text, style.grouped)
    number = pc.or_(grouped, pc.match_substring_regex(text, style.plain))
    number = pc.or_(number, pc.match_substring_regex(text, INFINITE, ignore_case=True))
    parts = PARTS + ("," if style.decimal == "." else ".")
    clean = pc.replace_substring_regex(pc.if_else(number, text, None), f"[{parts}]", "")
    values = _floats(pc.replace_substring(clean, ",", "."))
    unreadable = pc.invert(pc.or_(pc.fill_null(number, False), blanks(text)))
    return values, unreadable.to_numpy(zero_copy_only=False)


def _floats(column: Any) -> NDArray[np.float64]:
    cast = column.cast(pa.float64(), safe=False)
    return np.asarray(cast.to_numpy(zero_copy_only=False), np.float64)


def to_texts(column: Any) -> Any:
    """As strings without outer spaces, "" for null.

    Whole floats are written like integers, so that ids are the same in CSV and Parquet.
    """
    column = plain_array(column)
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**53))
        integers = pc.if_else(pc.fill_null(whole, False), values, None).cast(pa.int64())
        column = pc.if_else(pc.is_valid(integers), integers.cast(pa.string()), column.cast(pa.string()))
    elif not is_text(column.type):
        column = column.cast(pa.string())
    return pc.utf8_trim_whitespace(column).fill_null("")
