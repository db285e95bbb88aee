"""A daily series with what is known of its future: the one shape that every other module reads."""

import gzip
import json
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from layers.runtime.errors import CorruptError, InputError
from layers.runtime.parsing import MALFORMED

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_DAYS: Final = 40 * 366
UNKNOWN: Final = -1


@dataclass(frozen=True)
class Series:
    """Values on consecutive days from `start`; NaN is unknown.

    `y` (n,) observed sales; `open` (n,) 1 open, 0 closed, or None when the file has no such column; `regressors`
    name -> (n,); `stamps` column -> (n,), seconds since 1970 of the file that each value came from, 0 without an entry.
    """

    series_id: str
    start: np.datetime64
    y: Floats
    open: Floats | None = None
    regressors: dict[str, Floats] = field(default_factory=dict)
    stamps: dict[str, Ints] = field(default_factory=dict)

    @property
    def days(self) -> Days:
        """Calendar days of the rows, shape (n,)."""
        return self.start + np.arange(len(self.y))

    @property
    def columns(self) -> dict[str, Floats]:
        """`y`, `open` and the regressors by name."""
        return {"y": self.y} | ({} if self.open is None else {"open": self.open}) | self.regressors

    @property
    def observed(self) -> int:
        """Rows up to and including the last observation; what follows is known future."""
        return ends(self.y)

    @property
    def first_ds(self) -> date:
        """Day of the first observation."""
        return day(self.start + int(np.argmax(np.isfinite(self.y))))

    @property
    def last_ds(self) -> date:
        """Day of the last observation."""
        return day(self.start + self.observed - 1)

    def row(self, when: date) -> int:
        """Number of the row of a day, which may lie outside the series."""
        return _days_between(self.start, np.datetime64(when, "D"))

    def until(self, rows: int) -> "Series":
        """The same series with the observations from `rows` on hidden; openings and regressors stay known."""
        return replace(self, y=np.where(np.arange(len(self.y)) < rows, self.y, np.nan))


def ends(values: Floats) -> int:
    """Rows up to and including the last known one; 0 when none is."""
    known = np.flatnonzero(np.isfinite(values))
    return int(known[-1]) + 1 if len(known) else 0


def day(value: np.datetime64) -> date:
    """A numpy day as a date."""
    return date.fromisoformat(str(value.astype("datetime64[D]")))


def merge(old: Series, new: Series) -> Series:
    """Every value of both; where both know one, that of the later file, and within one second the larger.

    So nothing depends on which file came first, and a file that comes twice changes nothing. The newest `MAX_DAYS` are
    kept. Raises InputError when more days than that lie between the two.
    """
    first, end = min(old.start, new.start), max(old.days[-1], new.days[-1]) + 1
    if max(_days_between(old.days[-1], new.start), _days_between(new.days[-1], old.start)) > MAX_DAYS:
        span = _days_between(first, end)
        raise InputError(f"series {new.series_id} would span {span} days, more than {MAX_DAYS}", field="ds")
    start = max(first, end - MAX_DAYS)
    size = _days_between(start, end)
    columns, stamps = {}, {}
    for name in sorted({*old.columns, *new.columns}):
        (mine, at), (theirs, later) = (_placed(one, name, start, size) for one in (old, new))
        wins = (later > at) | ((later == at) & (theirs > mine))
        columns[name], stamps[name] = np.where(wins, theirs, mine), np.maximum(at, later)
    return Series(new.series_id, start, columns.pop("y"), columns.pop("open", None), columns, stamps)


def _days_between(first: np.datetime64, last: np.datetime64) -> int:
    return int((last - first) / np.timedelta64(1, "D"))


def _placed(one: Series, name: str, start: np.datetime64, size: int) -> tuple[Floats, Ints]:
    """A column and its stamps on `size` days from `start`: NaN and -1 where nothing is known."""
    values, stamps = np.full(size, np.nan), np.full(size, UNKNOWN, np.int64)
    known = one.columns.get(name, np.zeros(0))
    rows = np.flatnonzero(np.isfinite(known))
    at = rows + _days_between(start, one.start)
    rows, at = rows[at >= 0], at[at >= 0]
    values[at] = known[rows]
    stamps[at] = one.stamps[name][rows] if name in one.stamps else 0
    return values, stamps


def dump(series: Series) -> bytes:
    """Compressed JSON; the same series gives the same bytes."""
    document = {
        "series_id": series.series_id,
        "start": str(series.start),
        "y": _plain(series.y),
        "open": None if series.open is None else _plain(series.open),
        "regressors": {name: _plain(values) for name, values in sorted(series.regressors.items())},
        "stamps": {name: _runs(_placed(series, name, series.start, len(series.y))[1]) for name in series.columns},
    }
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=5, mtime=0)


def load(body: bytes) -> Series:
    """Undo `dump`. Raises CorruptError."""
    try:
        document = json.loads(gzip.decompress(body))
        size = len(document["y"])
        series = Series(
            document["series_id"],
            np.datetime64(date.fromisoformat(document["start"]), "D"),
            np.array(document["y"], float),
            None if document["open"] is None else np.array(document["open"], float),
            {name: np.array(values, float) for name, values in document["regressors"].items()},
            {name: _repeated(runs, size) for name, runs in document.get("stamps", {}).items()},
        )
        columns = np.stack(list(series.columns.values()))
        if columns.shape[1:] != (max(size, 1),) or np.isinf(columns).any():
            raise ValueError("no day, or an infinity")
    except MALFORMED as exc:
        raise CorruptError("not a history object") from exc
    return series


def _plain(values: Floats) -> list[float | int | None]:
    return [None if v != v else int(v) if v == int(v) else v for v in values.tolist()]


def _runs(values: Ints) -> list[list[int]]:
    """[value, how often in a row]: few, as a file brings its days in one piece."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    counts = np.diff(starts, append=len(values))
    return [[int(value), int(count)] for value, count in zip(values[starts], counts, strict=True)]


def _repeated(runs: list[list[int]], size: int) -> Ints:
    values, counts = np.array(runs, np.int64).reshape(-1, 2).T
    if (counts < 0).any() or (counts > size).any() or counts.sum() != size:
        raise ValueError("runs of another length")
    return np.repeat(values, counts)
