"""A daily series with what is known of its future: the one shape that every other module reads."""

import gzip
import json
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from layers.runtime.errors import CorruptError, InputError
from layers.runtime.parsing import MALFORMED

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_DAYS: Final = 40 * 366


@dataclass(frozen=True)
class Series:
    """Values on consecutive days from `start`; NaN is unknown.

    `y` (n,) observed sales; `open` (n,) 1 open, 0 closed, or None when the file has no such column; `regressors`
    name -> (n,); `stamp` (n,) seconds since 1970 of the file that each day came from.
    """

    series_id: str
    start: np.datetime64
    y: Floats
    open: Floats | None = None
    regressors: dict[str, Floats] = field(default_factory=dict)
    stamp: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def days(self) -> Days:
        """Calendar days of the rows, shape (n,)."""
        return self.start + np.arange(len(self.y))

    @property
    def observed(self) -> int:
        """Rows up to and including the last observation; what follows is known future."""
        known = np.flatnonzero(np.isfinite(self.y))
        return int(known[-1]) + 1 if len(known) else 0

    @property
    def first_ds(self) -> date:
        """Day of the first observation. Raises InputError when there is none."""
        return day(self.start + int(np.argmax(np.isfinite(self._some()))))

    @property
    def last_ds(self) -> date:
        """Day of the last observation. Raises InputError when there is none."""
        self._some()
        return day(self.start + self.observed - 1)

    def row(self, when: date) -> int:
        """Number of the row of a day, which may lie outside the series."""
        return _days_between(self.start, np.datetime64(when, "D"))

    def _some(self) -> Floats:
        if not self.observed:
            raise InputError(f"series {self.series_id} has no observation", field="y")
        return self.y

    def until(self, rows: int) -> "Series":
        """The same series with the observations from `rows` on hidden; openings and regressors stay known."""
        y = self.y.copy()
        y[rows:] = np.nan
        return replace(self, y=y)


def day(value: np.datetime64) -> date:
    """A numpy day as a date."""
    moment = value.astype("datetime64[D]").astype(object)
    if not isinstance(moment, date):
        raise InputError("not a day", field="ds")
    return moment


def merge(old: Series, new: Series) -> Series:
    """Days of `new` replace those of `old` unless `old` has them from a later file; an empty value replaces nothing."""
    start = min(old.start, new.start)
    before, at_first = _days_between(start, old.start), _days_between(start, new.start)
    size = max(before + len(old.y), at_first + len(new.y))
    if size > MAX_DAYS:
        raise InputError(f"series {new.series_id} would span {size} days, more than {MAX_DAYS}", field="ds")
    at = slice(at_first, at_first + len(new.y))
    stamp = _placed(old.stamp, before, size, 0)
    wins = new.stamp >= stamp[at]

    def column(mine: Floats | None, theirs: Floats | None) -> Floats:
        base = np.full(size, np.nan) if mine is None else _placed(mine, before, size, np.nan)
        if theirs is not None:
            base[at] = np.where(np.isfinite(theirs) & (wins | np.isnan(base[at])), theirs, base[at])
        return base

    y = column(old.y, new.y)
    both_lack = old.open is None and new.open is None
    names = sorted({*old.regressors, *new.regressors})
    stamp[at] = np.maximum(stamp[at], new.stamp)
    return Series(
        new.series_id,
        start,
        y,
        None if both_lack else column(old.open, new.open),
        {name: column(old.regressors.get(name), new.regressors.get(name)) for name in names},
        stamp,
    )


def _days_between(first: np.datetime64, last: np.datetime64) -> int:
    return int((last - first) / np.timedelta64(1, "D"))


def _placed(values: npt.NDArray[Any], offset: int, size: int, fill: float) -> npt.NDArray[Any]:
    wide = np.full(size, fill, dtype=values.dtype)
    wide[offset : offset + len(values)] = values
    return wide


def dump(series: Series) -> bytes:
    """Compressed JSON; the same series gives the same bytes."""
    document = {
        "series_id": series.series_id,
        "start": str(series.start),
        "y": _plain(series.y),
        "open": None if series.open is None else _plain(series.open),
        "regressors": {name: _plain(values) for name, values in sorted(series.regressors.items())},
        "stamp": series.stamp.tolist(),
    }
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=5, mtime=0)


def load(body: bytes) -> Series:
    """Undo `dump`. Raises CorruptError."""
    try:
        document = json.loads(gzip.decompress(body))
        found = Series(
            document["series_id"],
            np.datetime64(date.fromisoformat(document["start"]), "D"),
            _floats(document["y"]),
            None if document["open"] is None else _floats(document["open"]),
            {name: _floats(values) for name, values in document["regressors"].items()},
            np.array(document["stamp"], np.int64),
        )
        columns = (found.y, found.stamp, *found.regressors.values(), *([] if found.open is None else [found.open]))
        if {values.shape for values in columns} != {(len(found.y),)} or np.isinf(np.concatenate(columns)).any():
            raise ValueError("columns of unequal length, or an infinity")
    except MALFORMED as exc:
        raise CorruptError("not a history object") from exc
    return found


def _plain(values: Floats) -> list[float | int | None]:
    return [None if v != v else int(v) if v == int(v) else v for v in values.tolist()]


def _floats(values: list[float | None]) -> Floats:
    return np.array(values, dtype=float)
