"""Files as an enemy, or a tired colleague, makes them."""

import csv
import gzip
import io
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from layers.runtime.errors import TrefoilError
from tests.tables import as_parquet

# What a cell may hold that is no plain word or number. No delimiter, quote or line end: those make another row.
CELLS = (
    "", " ", "nan", "NaN", "inf", "-Infinity", "1e309", "-1e308", "1e-320", "0x10", "1_000", "١٢", "1.5", "a b",
    "=1+1", "@SUM(A1)", "+3", "-3", "../../etc/passwd", "%2e%2e%2f", "\x00", "\x1b[31m", "<b>", "${a}", "{0}",
    "é", "e\u0301", "\u202e", "\ufeff", "x" * 300, "2024-02-30", "9999-12-31", "0001-01-01", "null", "None", "True",
)  # fmt: skip
junk = st.one_of(
    st.sampled_from(CELLS),
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=",;|\t\"'\n\r\x85\u2028\u2029"), max_size=8
    ),
    st.floats().map(repr),
    st.integers().map(str),
)


Rows = list[list[str]]


def as_text(rows: Rows, **dialect: Any) -> str:
    """CSV by Python's own writer."""
    sink = io.StringIO()
    csv.writer(sink, **({"lineterminator": "\n"} | dialect)).writerows(rows)
    return sink.getvalue()


def _each(rows: Rows, pattern: str, replacement: str) -> Rows:
    return [rows[0], *([re.sub(pattern, replacement, cell) for cell in row] for row in rows[1:])]


# Every way to write the same table that people's programs have; the rows of the first cell on are always the same.
DIALECTS: dict[str, Callable[[Rows], bytes]] = {
    "commas": lambda rows: as_text(rows).encode(),
    "semicolons": lambda rows: as_text(rows, delimiter=";").encode(),
    "tabs": lambda rows: as_text(rows, delimiter="\t").encode(),
    "bars": lambda rows: as_text(rows, delimiter="|").encode(),
    "everything in quotes": lambda rows: as_text(rows, quoting=csv.QUOTE_ALL).encode(),
    "ends of CR": lambda rows: as_text(rows, lineterminator="\r").encode(),
    "ends of CRLF": lambda rows: as_text(rows, lineterminator="\r\n").encode(),
    "byte-order mark": lambda rows: as_text(rows).encode("utf-8-sig"),
    "UTF-16": lambda rows: as_text(rows, delimiter="\t", lineterminator="\r\n").encode("utf-16"),
    "UTF-16, big-endian, no mark": lambda rows: as_text(rows).encode("utf-16-be"),
    "Latin-1": lambda rows: as_text(rows, delimiter=";").encode("cp1252"),
    "gzip": lambda rows: gzip.compress(as_text(rows).encode()),
    "sep=": lambda rows: b"sep=;\r\n" + as_text(rows, delimiter=";", lineterminator="\r\n").encode(),
    "decimal comma": lambda rows: as_text(_each(rows, r"^(\d+)\.(\d+)$", r"\1,\2"), delimiter=";").encode(),
    "decimal comma in quotes": lambda rows: as_text(_each(rows, r"^(\d+)\.(\d+)$", r"\1,\2")).encode(),
    "an index without a name": lambda rows: as_text([["", *rows[0]]] + [["7", *row] for row in rows[1:]]).encode(),
    "two empty fields behind each row": lambda rows: as_text(rows[:1] + [[*row, "", ""] for row in rows[1:]]).encode(),
    "a last column without a name": lambda rows: as_text([[*row, ""] for row in rows]).encode(),
    "spaces around cells": lambda rows: as_text(_each(rows, r"^([-\d.: ]+)$", r" \1 ")).encode(),
    "spaces behind commas": lambda rows: as_text(rows, quoting=csv.QUOTE_ALL).replace('","', '", "').encode(),
    "blank lines": lambda rows: b"\n\n" + as_text(rows, lineterminator="\n\n").encode(),
    "no end of the last line": lambda rows: as_text(rows).encode()[:-1],
    "a line break in quotes": lambda rows: as_text([*rows[:1], *([*row[:-1], "a\n,b"] for row in rows[1:])]).encode(),
    "times of ISO with a T": lambda rows: as_text(_each(rows, r"^(\d{4}-\d\d-\d\d) (\d)", r"\1T\2")).encode(),
    "dates of digits alone": lambda rows: as_text(_each(rows, r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3")).encode(),
    "names of months": lambda rows: as_text(_each(rows, r"^(\d{4})-01-(\d\d)", r"Jan \2 \1")).encode(),
    "Parquet of texts": lambda rows: as_parquet(
        pa.table({name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])})
    ),
    "Parquet of categories": lambda rows: as_parquet(
        pa.table({name: pa.array([row[i] for row in rows[1:]]).dictionary_encode() for i, name in enumerate(rows[0])})
    ),
}


def refused(read: Callable[..., Any], *arguments: Any) -> TrefoilError | None:
    """Our error that ends the call, or None when there is none; any other is a failure of the test."""
    try:
        read(*arguments)
    except TrefoilError as exc:
        return exc
    return None


def packed(body: bytes, name: str) -> bytes:
    """As the name says."""
    return gzip.compress(body, mtime=0) if name.endswith(".gz") else body


@st.composite
def damaged(draw: Any, whole: bytes) -> bytes:
    """The file with some bytes overwritten, cut out or put in, or cut short."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "short"]))
        if kind == "short":
            del body[at:]
        elif kind == "cut":
            del body[at : at + draw(st.integers(1, 64))]
        elif kind == "insert":
            body[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif at < len(body):
            body[at] = draw(st.integers(0, 255))
    return bytes(body)


def _array(draw: Any, rows: int) -> pa.Array:
    kinds: dict[str, tuple[pa.DataType, Any]] = {
        "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        "small": (pa.int8(), st.integers(-128, 127)),
        "unsigned": (pa.uint64(), st.integers(0, 2**64 - 1)),
        "float": (pa.float64(), st.floats()),
        "half": (pa.float32(), st.floats(width=32)),
        "text": (pa.string(), junk),
        "large text": (pa.large_string(), junk),
        "bytes": (pa.binary(), st.binary(max_size=6)),
        "truth": (pa.bool_(), st.booleans()),
        "day": (pa.date32(), st.dates()),
        "moment": (pa.timestamp("us"), st.datetimes()),
        "zoned": (pa.timestamp("us", "UTC"), st.datetimes()),
        "seconds": (pa.timestamp("s"), st.integers(-(2**43), 2**43)),
        "hour": (pa.time64("us"), st.times()),
        "span": (pa.duration("s"), st.integers(-(2**40), 2**40)),
        "decimal": (pa.decimal128(20, 3), st.decimals(-(10**9), 10**9, places=3)),
        "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=2)),
        "struct": (pa.struct([("a", pa.int64())]), st.fixed_dictionaries({"a": st.integers(0, 9)})),
        "nothing": (pa.null(), st.none()),
    }
    kind, values = kinds[draw(st.sampled_from(sorted(kinds)))]
    cells = draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
    made = pa.array(cells, kind)
    return made.dictionary_encode() if pa.types.is_string(kind) and draw(st.booleans()) else made


@st.composite
def parquet_of(draw: Any, names: tuple[str, ...]) -> bytes:
    """Parquet of columns with these names, some missing or twice, of any type."""
    rows = draw(st.integers(0, 6))
    chosen = draw(st.lists(st.sampled_from(names), min_size=len(names) - 1, max_size=len(names) + 1))
    chosen = chosen if draw(st.integers(0, 3)) == 0 else list(names)
    return as_parquet(pa.table([_array(draw, rows) for _ in chosen], names=chosen))
