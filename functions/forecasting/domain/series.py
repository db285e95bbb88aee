"""A series with what is known of its future: the one shape that every other module reads."""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from functions.forecasting.domain.frequency import DAYS, TELLING, Frequency, Ints, Times, tell
from layers.runtime.errors import CorruptError, InputError
from layers.runtime.parsing import MALFORMED

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

UNKNOWN: Final = -1


@dataclass(frozen=True)
class Series:
    """Values of consecutive periods of `frequency` from the one named `start`; NaN is unknown.

    `y` (n,) observed sales; `open` (n,) 1 open, 0 closed, or None when the file has no such column; `regressors`
    name -> (n,); `stamps` column -> (n,), seconds since 1970 of the file that each value came from, 0 without an entry.
    """

    series_id: str
    start: np.datetime64
    y: Floats
    open: Floats | None = None
    regressors: dict[str, Floats] = field(default_factory=dict)
    stamps: dict[str, Ints] = field(default_factory=dict)
    frequency: Frequency = DAYS

    @property
    def times(self) -> Times:
        """The time that names the period of each row, shape (n,)."""
        return self.frequency.times(self.frequency.number(self.start) + np.arange(len(self.y)))

    @property
    def columns(self) -> dict[str, Floats]:
        """`y`, `open` and the regressors by name."""
        return {"y": self.y} | ({} if self.open is None else {"open": self.open}) | self.regressors

    @property
    def observed(self) -> int:
        """Rows up to and including the last observation; what follows is known future."""
        return ends(self.y)

    @property
    def first_ds(self) -> str:
        """Label of the first observation."""
        return self.label(int(np.argmax(np.isfinite(self.y))))

    @property
    def last_ds(self) -> str:
        """Label of the last observation."""
        return self.label(self.observed - 1)

    def label(self, row: int) -> str:
        """The time of a row as a text."""
        return self.frequency.labels(self.times[[row]])[0]

    def row(self, label: str) -> int:
        """Number of the row of the period that a time lies in; it may lie outside the series."""
        return self.frequency.number(self.frequency.time(label)) - self.frequency.number(self.start)

    def until(self, rows: int) -> "Series":
        """The same series with the observations from `rows` on hidden; openings and regressors stay known."""
        return replace(self, y=np.where(np.arange(len(self.y)) < rows, self.y, np.nan))

    def reaching(self, rows: int) -> "Series":
        """The same series with at least so many rows; nothing is known of those that are new."""
        more = (0, max(0, rows - len(self.y)))
        return self._each(lambda values, unknown: np.pad(values, more, constant_values=unknown))

    def since(self, time: np.datetime64) -> "Series":
        """The same series from the period of a time on."""
        row = max(0, self.frequency.number(time) - self.frequency.number(self.start))
        return replace(self._each(lambda values, _: values[row:]), start=self.times[row])

    def _each(self, change: Callable[[Any, float], Any]) -> "Series":
        """What `change` makes of every column and its stamps, given what is unknown in it."""
        columns = {name: change(values, np.nan) for name, values in self.columns.items()}
        stamps = {name: change(values, UNKNOWN) for name, values in self.stamps.items()}
        y, opened = columns.pop("y"), columns.pop("open", None)
        return replace(self, y=y, open=opened, regressors=columns, stamps=stamps)


def ends(values: Floats) -> int:
    """Rows up to and including the last known one; 0 when none is."""
    known = np.flatnonzero(np.isfinite(values))
    return int(known[-1]) + 1 if len(known) else 0


def merge(old: Series, new: Series) -> Series:
    """Every value of both; where both know one, that of the later file, and within one second the larger.

    So nothing depends on which file came first, and a file that comes twice changes nothing. As many of the newest
    periods are kept as the frequency says. Raises InputError when more than that lie between the two, or when they come
    in different steps.
    """
    frequency = _common(old, new)
    (low, high), (begin, end) = (frequency.numbers(one.times[[0, -1]]).tolist() for one in (old, new))
    if max(begin - high, low - end) > frequency.rhythm.kept:
        span = frequency.count(max(high, end) + 1 - min(low, begin))
        raise InputError(f"series {new.series_id} would span {span}, more than {frequency.rhythm.kept}", field="ds")
    return _laid([old, new], frequency)


def _laid(parts: Sequence[Series], frequency: Frequency) -> Series:
    """One series of all values of the parts, the latest where several know one."""
    numbers = np.concatenate([frequency.numbers(one.times[[0, -1]]) for one in parts])
    end = int(numbers.max()) + 1
    start = max(int(numbers.min()), end - frequency.rhythm.kept)
    columns, stamps = {}, {}
    for name in sorted({name for one in parts for name in one.columns}):
        values, at = np.full(end - start, np.nan), np.full(end - start, UNKNOWN, np.int64)
        for one in parts:
            theirs, later = _placed(one, name, frequency, start, end - start)
            wins = (later > at) | ((later == at) & (theirs > values))
            values, at = np.where(wins, theirs, values), np.maximum(at, later)
        columns[name], stamps[name] = values, at
    first = frequency.times(np.array([start]))[0]
    y, opened = columns.pop("y"), columns.pop("open", None)
    return Series(parts[-1].series_id, first, y, opened, columns, stamps, frequency)


def _known(series: Series) -> Times:
    """Times of the rows of which anything is known."""
    return series.times[np.isfinite(list(series.columns.values())).any(axis=0)]


def _common(old: Series, new: Series) -> Frequency:
    """The frequency of a history that two parts make: what is too short to tell, or lies within the history, follows
    the other. Raises InputError where both tell, and differ."""
    mine, theirs = old.frequency, new.frequency
    zoned = "H" in (mine.kind, theirs.kind) and bool(mine.zone) != bool(theirs.zone)
    if mine.kind == theirs.kind and not zoned:
        return mine
    before, added = _known(old), _known(new)
    if not zoned and (len(added) < TELLING or (before[0] <= added[0] and added[-1] <= before[-1])):
        return mine
    if not zoned and len(before) < TELLING:
        return theirs
    said, known = (f"by {one.rhythm.word}s{' with a zone' if one.zone else ''}" for one in (theirs, mine))
    raise InputError(f"series {new.series_id} comes {said}, its history {known}", field="ds")


def _placed(one: Series, name: str, frequency: Frequency, start: int, size: int) -> tuple[Floats, Ints]:
    """A column and its stamps on `size` periods from number `start`: NaN and -1 where nothing is known."""
    values, stamps = np.full(size, np.nan), np.full(size, UNKNOWN, np.int64)
    known = one.columns.get(name, np.zeros(0))
    rows = np.flatnonzero(np.isfinite(known))
    at = frequency.numbers(one.times[rows]) - start
    rows, at = rows[at >= 0], at[at >= 0]
    values[at] = known[rows]
    stamps[at] = one.stamps[name][rows] if name in one.stamps else 0
    return values, stamps


def dump(series: Series) -> bytes:
    """Compressed JSON; the same series gives the same bytes."""
    start = series.frequency.number(series.start)
    document = {
        "series_id": series.series_id,
        "frequency": series.frequency.code,
        "start": str(series.start),
        "y": _plain(series.y),
        "open": None if series.open is None else _plain(series.open),
        "regressors": {name: _plain(values) for name, values in sorted(series.regressors.items())},
        "stamps": {
            name: _runs(_placed(series, name, series.frequency, start, len(series.y))[1]) for name in series.columns
        },
    }
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=5, mtime=0)


def load(body: bytes) -> Series:
    """Undo `dump`. A document without a frequency is of the format that knew days only: its rows tell it. Raises
    CorruptError."""
    try:
        document = json.loads(gzip.decompress(body))
        size, frequency = len(document["y"]), Frequency.parse(document.get("frequency", "D"))
        series = Series(
            document["series_id"],
            frequency.start(document["start"]),
            np.array(document["y"], float),
            None if document["open"] is None else np.array(document["open"], float),
            {name: np.array(values, float) for name, values in document["regressors"].items()},
            {name: _repeated(runs, size) for name, runs in document.get("stamps", {}).items()},
            frequency,
        )
        columns = np.stack(list(series.columns.values()))
        if columns.shape[1:] != (max(size, 1),) or np.isinf(columns).any():
            raise ValueError("no row, or an infinity")
        told = tell(_known(series)) if "frequency" not in document else None
    except MALFORMED as exc:
        raise CorruptError("not a history object") from exc
    return _laid([series], told) if isinstance(told, Frequency) and told != DAYS else series


def _plain(values: Floats) -> list[float | int | None]:
    return [None if v != v else int(v) if v == int(v) else v for v in values.tolist()]


def _runs(values: Ints) -> list[list[int]]:
    """[value, how often in a row]: few, as a file brings its rows in one piece."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    counts = np.diff(starts, append=len(values))
    return [[int(value), int(count)] for value, count in zip(values[starts], counts, strict=True)]


def _repeated(runs: list[list[int]], size: int) -> Ints:
    values, counts = np.array(runs, np.int64).reshape(-1, 2).T
    if (counts < 0).any() or (counts > size).any() or counts.sum() != size:
        raise ValueError("runs of another length")
    return np.repeat(values, counts)
