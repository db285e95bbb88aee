"""From raw values to the model's inputs: the same code for training, files and messages.

Columns are sequences of str, int, float, bool or None; a word of `NULLS` is null, in messages as in files. The inputs
are a float32 matrix of shape (rows, inputs): numbers and booleans (NaN where null), and of a category its number from
0. A category that may be null has "" as one of its values, so that null is encoded apart from what is unknown.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Feature

Columns = Mapping[str, Sequence[Any]]
Matrix = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

UNKNOWN, NULL = -1, -2  # instead of the number of a category; null only where training had none
NULLS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
BOOLEANS = {"true": 1.0, "false": 0.0}
MAX_CATEGORIES = 50
MIN_CATEGORY_ROWS = 5
MIN_KNOWN_SHARE = 0.2
SENTENCE = 4  # words, on average
NUMERIC_SHARE = 0.95
LARGEST = float(np.finfo(np.float32).max)
UNSEEN_NULL = "is null, which training never had"
UNNAMED = re.compile(r"(unnamed: ?\d+(_level_\d+|\.\d+)*)?", re.IGNORECASE)  # pandas names an index so
CODE = re.compile(r"\d+|\d+\.\d+\.\d\d")  # 20240131 is a number, and 1.2.10 may be a version
SINCE, UNTIL = np.datetime64("1900-01-01"), np.datetime64("2100-01-01")  # 12-3456 and SET-1000 are no times
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
PERSON = r"account|client|cust|customer|employee|member|patient|person|user"
IDENTIFIER = re.compile(
    rf"(.* )?(id|ids|uuid|guid|key|number|no|nr|phone|email|iban|ssn|({PERSON})(id|no|nr|number|key))|index|row ?names?"
)
COLLISIONS = 10.0


def text(value: Any) -> str:
    """Canonical text of a raw value: None is "", 1.0 is "1", True is "true"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def canonical(value: Any) -> str:
    """One text for every spelling of a value: case apart, 1.0 is "1", null is ""."""
    word = text(value).casefold()
    if word in NULLS:
        return ""
    number = _number(word)
    return word if math.isnan(number) else text(number)


def infer(columns: Columns) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """Features of these columns, and the columns left out, each with its reason.

    Left out: empty, constant, without a name, and what looks like an identifier by its name or values, never by the
    order of the rows.
    """
    features, dropped = [], {}
    for name, values in columns.items():
        present = _present(values)
        blanks = len(values) - len(present)
        feature = _feature(name, present, blanks)
        timed = _timed(present) if feature.kind == "category" else None
        if reason := _useless(name, present, blanks) or timed or _wordy(feature, present):
            dropped[name] = reason
        else:
            features.append(feature)
    return tuple(features), dropped


def dated(values: Sequence[Any]) -> bool:
    """Whether a column holds dates or times."""
    return _timed(_present(values)) is not None


def _timed(present: list[str]) -> str | None:
    import pyarrow as pa  # not where answers are given

    from layers.tables import TimeStyle, to_times

    rows = Counter(word for word in present if not CODE.fullmatch(word))
    words, counts = pa.array(rows, pa.string()), np.array([*rows.values()], np.int64)
    readings = (to_times(words, TimeStyle(order))[0] for order in ("day-first", "month-first"))
    dates = max(int(counts[(times >= SINCE) & (times < UNTIL)].sum()) for times in readings)
    return "a date or time, which is not learnt from" if 2 * dates > len(present) else None


def _wordy(feature: Feature, present: list[str]) -> str | None:
    """Why a column of words is left out, if it is: so many differ that the known ones would be few of them."""
    if feature.kind != "category":
        return None
    known = set(feature.categories)
    share = sum(word in known for word in present) / len(present)
    if share >= MIN_KNOWN_SHARE:
        return None
    if sum(word.count(" ") + 1 for word in present) >= SENTENCE * len(present):
        return "free text, which is not learnt from"
    return f"too many different values: those that could be known are {share:.0%} of the rows"


def _feature(name: str, present: list[str], blanks: int) -> Feature:
    nullable, marked = blanks > 0, not 0 < blanks < MIN_CATEGORY_ROWS
    if {word.lower() for word in present} <= BOOLEANS.keys():
        return Feature(name=name, kind="boolean", nullable=nullable, marked=marked)
    if _numeric_share(present) >= NUMERIC_SHARE:
        return Feature(name=name, kind="number", nullable=nullable, marked=marked)
    counts = Counter(present)
    floor = min(MIN_CATEGORY_ROWS, max(counts.values()))
    frequent = [word for word, rows in counts.most_common(MAX_CATEGORIES) if rows >= floor and rows > 1]
    return Feature(
        name=name, kind="category", nullable=nullable, categories=(*([""] if nullable else []), *sorted(frequent))
    )


def whose(columns: Columns) -> str | None:
    """The column that says whose row it is: `user_id`, else that of `identifiers` with most values, if some come again;
    None when there is none."""
    values = {name: set(map(text, columns[name])) for name in identifiers(columns)}
    again = {name: len(words) for name, words in values.items() if len(words) < len(columns[name])}
    return "user_id" if "user_id" in columns else max(again, key=lambda name: again[name], default=None)


def identifiers(columns: Columns) -> list[str]:
    """Columns that say whose row it is, or which: `user_id`, and those that are named so and have many values."""
    return [name for name, values in columns.items() if name == "user_id" or _identifies(name, _present(values))]


def _present(values: Sequence[Any]) -> list[str]:
    return [word for word in map(text, values) if word.casefold() not in NULLS]


def _identifies(name: str, present: list[str]) -> bool:
    """Named like an identifier (`CustomerId`, `Lead Number`, `phone_number`), with more values than categories have."""
    distinct = len(set(present))
    if not IDENTIFIER.fullmatch(" ".join(WORD.findall(name)).lower()):
        return False
    many = len(present) >= 20 and (distinct > MAX_CATEGORIES or 3 * distinct >= len(present))
    return many and all(math.isnan(number) or number.is_integer() for number in map(_number, set(present)))


def _useless(name: str, present: list[str], blanks: int) -> str | None:
    distinct = len(set(present))
    if UNNAMED.fullmatch(name.strip()):
        return "has no name: an index, perhaps"
    if distinct == 0:
        return "empty"
    if distinct == 1:  # a mark or nothing says as much as yes or no
        return "constant" if min(blanks, len(present)) < MIN_CATEGORY_ROWS else None
    if _identifies(name, present):
        return "looks like an identifier: named like one, with many values"
    if len(present) >= 20 and _numeric_share(present) >= NUMERIC_SHARE and _numbered(present):
        return "looks like an identifier: whole numbers as rows are numbered"
    return None


def _numbered(present: list[str]) -> bool:
    """Whether whole numbers are a numbering: never the same, though so many drawn from their range would meet ten times
    or more (n^2 / 2 range), or in several files one after another from 0 or 1."""
    numbers = np.array([value for word in present if not math.isnan(value := _number(word))])
    values, counts = np.unique(numbers, return_counts=True)
    if not np.all(values == np.round(values)):
        return False
    width = float(np.ptp(values)) + 1
    if len(values) == len(numbers):
        return len(values) == width or len(values) ** 2 / (2 * width) >= COLLISIONS
    gapless = len(values) == width and values[0] in (0, 1) and len(values) > MAX_CATEGORIES
    return gapless and bool(np.all(np.diff(counts) <= 0))


def _numeric_share(present: list[str]) -> float:
    return sum(not math.isnan(_number(word)) for word in present) / len(present)


def _float(value: Any) -> float:
    """As `float` reads it, but `1_000` and digits of other scripts are no number, as in every table."""
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise ValueError(value)
    return float(value)


def _number(word: str) -> float:
    try:
        value = _float(word)
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def places(features: Sequence[Feature]) -> list[list[int]]:
    """The inputs of each feature by place: its value, then whether it is missing if it is a marked nullable number."""
    widths = [1 + (feature.nullable and feature.marked and feature.kind != "category") for feature in features]
    ends = np.cumsum(widths).tolist()
    return [[*range(end - width, end)] for width, end in zip(widths, ends, strict=True)]


def encode(columns: Columns, features: Sequence[Feature], *, typed: bool = False) -> tuple[Matrix, dict[int, str]]:
    """The model's inputs, and for each row that cannot be scored the reason that names its feature.

    `typed` values (messages) must be JSON numbers, booleans and strings, and null only where training had it; otherwise
    (files) text is read as what the feature is. An absent column that training had with nulls is null throughout. A bad
    row's inputs hold a placeholder. Raises KeyError for another missing column.
    """
    bad: dict[int, str] = {}
    absent = [None] * max(map(len, columns.values()), default=0)
    x = np.empty((len(absent), sum(map(len, places(features)))), np.float32)
    for feature, own in zip(features, places(features), strict=True):
        values = columns.get(feature.name, absent) if feature.nullable else columns[feature.name]
        convert = _codes if feature.kind == "category" else _numbers
        x[:, own[0]] = convert(values, feature, bad, typed=typed)
        x[:, own[1:]] = np.isnan(x[:, own[:1]])
    return x, bad


def _numbers(values: Sequence[Any], feature: Feature, bad: dict[int, str], *, typed: bool) -> Matrix:
    if feature.kind == "number" and (not typed or set(map(type, values)) <= {int, float}):
        try:
            fast = np.array(list(map(float if typed else _float, values)), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
        else:
            if bool(np.all(np.abs(fast) <= LARGEST)) and bool not in set(map(type, values)):
                return fast.astype(np.float32)
    out = np.zeros(len(values), dtype=np.float32)
    for row, value in enumerate(values):
        reason, number = _cell(value, feature, typed=typed)
        out[row] = number
        if reason:
            bad.setdefault(row, f"{feature.name} {reason}")
    return out


def _cell(value: Any, feature: Feature, *, typed: bool) -> tuple[str | None, float]:
    """(reason when bad, number) of one numeric or boolean cell."""
    if text(value).casefold() in NULLS:
        return (UNSEEN_NULL, 0.0) if typed and not feature.nullable else (None, math.nan)
    if feature.kind == "boolean":
        flag = BOOLEANS.get(text(value).lower()) if not typed or isinstance(value, bool) else None
        return ("is not true or false", 0.0) if flag is None else (None, flag)
    if isinstance(value, bool) or (typed and not isinstance(value, int | float)):
        return "is not a number", 0.0
    try:
        number = _float(value)
    except (TypeError, ValueError, OverflowError):
        return "is not a number", 0.0
    return (None, number) if abs(number) <= LARGEST else ("is not a finite number", 0.0)


def _codes(values: Sequence[Any], feature: Feature, bad: dict[int, str], *, typed: bool) -> Matrix:
    if set(map(type, values)) == {str}:
        words = list(map(str.strip, values))
    else:
        for row, value in enumerate(values):
            if typed and text(value) and not isinstance(value, str):
                bad.setdefault(row, f"{feature.name} is not a string")
        words = list(map(text, values))
    codes = {word: code for code, word in enumerate(feature.categories)}
    null = codes.get("", NULL)
    for word in set(words) - codes.keys():  # an older model may know a word for null as a category
        codes[word] = null if word.casefold() in NULLS else UNKNOWN
    out = np.array([codes[word] for word in words], np.float32)
    if typed and not feature.nullable:
        for row in np.flatnonzero(out == NULL).tolist():
            bad.setdefault(row, f"{feature.name} {UNSEEN_NULL}")
    return out
