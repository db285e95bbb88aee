"""Which columns of a file are the ride, and how their values become ids, kilometres and hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from functions.clustering.domain.scaling import Floats
from layers.runtime.errors import InputError
from layers.tables import Reading, Styles, TimeStyle, to_numbers, to_texts, to_times

Preset = Literal["tlc"]
Times = NDArray[np.datetime64]
KM_PER_MILE = 1.609344
DISTANCE = ("trip_distance", "trip_miles")
START, END = ([f"{kind}{end}_datetime" for kind in ("lpep_", "tpep_", "", "trip_")] for end in ("pickup", "dropoff"))
ELSEWHERE = "Etc/GMT-14"  # whose wall clock differs from UTC's, so that times with a zone of their own show
FIRST_CELLS = 1_000
EPOCH = np.datetime64(0, "s")


@dataclass(frozen=True)
class Format:
    """How a person says that files of rides are to be read: `timezone` is that of times which have none of their own.

    `columns`: ours -> theirs.
    """

    preset: Preset | None = None
    timezone: str = "UTC"
    columns: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True)
class Columns:
    """Names in the file. `ride_id` may be None with a preset; `times` is one column of hours or (start, end)."""

    ride_id: str | None
    dist: str
    times: tuple[str, ...]
    km: float = 1.0

    @property
    def numbers(self) -> list[str]:
        """Those that hold numbers."""
        return [self.dist, *self.times[: len(self.times) % 2]]

    @property
    def moments(self) -> tuple[str, ...]:
        """Those that hold times."""
        return self.times if len(self.times) == 2 else ()

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*filter(None, [self.ride_id]), self.dist, *self.times]

    @classmethod
    def find(cls, names: Sequence[str], file: str, form: Format) -> "Columns":
        """Choose among `names`. Raises InputError naming the first that is missing, or why it must be."""
        there = {name.lower(): name for name in reversed(names)}
        for ours, theirs in form.columns.items():
            if theirs not in names:
                raise InputError(f"has no such column; it has {', '.join(names[:30])}", file=file, field=theirs)
            there[ours] = theirs

        def one(*wanted: str) -> str:
            for name in wanted:
                if name in there:
                    return there[name]
            why = f"has no such column; it has {', '.join(names[:30])}"
            if form.preset is None and there.keys() & {*START}:
                why += "; trip records need --preset tlc"
            elif wanted == DISTANCE and "dispatching_base_num" in there:
                why += "; trip records of for-hire vehicles have no distance"
            raise InputError(why, file=file, field=wanted[0])

        if form.preset is None:
            return cls(one("ride_id"), one("ride_dist"), (one("ride_time"),))
        dist = one(*DISTANCE)
        return cls(there.get("ride_id"), dist, (one(*START), one(*END)), KM_PER_MILE)

    def rides(self, batch: pa.RecordBatch, styles: Styles, zone: str) -> tuple[Floats, Floats]:
        """Kilometres and hours (n,) as float64; NaN where missing or no number or time."""
        with np.errstate(over="ignore"):  # what is infinite is rejected as such
            dist = to_numbers(batch.column(self.dist), styles.numbers[self.dist])[0] * self.km
        if not self.moments:
            (time,) = self.times
            return dist, to_numbers(batch.column(time), styles.numbers[time])[0]
        ends = [(batch.column(name), styles.times[name]) for name in self.moments]
        start, end = (to_times(*one)[0] for one in ends)
        if any(_has_zone(*one) for one in ends):
            return dist, _seconds(end - start) / 3600
        return dist, _elapsed(start, end, zone) / 3600


def texts(column: Any) -> Any:
    """Ids as strings, null where missing or empty."""
    ids = to_texts(column)
    return pc.if_else(pc.equal(ids, ""), pa.scalar(None, pa.string()), ids)


def _has_zone(column: Any, style: TimeStyle) -> bool:
    """Whether times have a zone or an offset of their own, by the first of them."""
    first = column.slice(0, FIRST_CELLS)
    here, elsewhere = (to_times(first, style, zone)[0] for zone in ("UTC", ELSEWHERE))
    return bool((here != elsewhere)[~np.isnat(here)].any())


def _elapsed(start: Times, end: Times, zone: str) -> Floats:
    """Seconds (n,) between two times on a clock in `zone`, as short as they can be, but not negative if they need not.

    An hour that comes twice can be either. A time that summer time skips was shown by a clock that was not put forward.
    """
    (start_early, start_late), (end_early, end_late) = _instants(start, zone), _instants(end, zone)
    ways = np.stack([end_early - start_late, end_early - start_early, end_late - start_early])
    first = np.where((ways >= 0).any(axis=0), (ways >= 0).argmax(axis=0), len(ways) - 1)
    chosen = np.take_along_axis(ways, first[None], 0)[0]
    # Arrow takes a skipped time for the moment of the change, just before and at it.
    skipped = (np.abs(start_late - start_early - 0.5) < 0.5) | (np.abs(end_late - end_early - 0.5) < 0.5)
    return np.where(skipped, _seconds(end - start), chosen)


def _instants(times: Times, zone: str) -> tuple[Floats, Floats]:
    """The earliest and the latest instant that each time on a clock in `zone` can be, in s."""
    naive, ways = pa.array(times), ("earliest", "latest")
    early, late = (pc.assume_timezone(naive, zone, ambiguous=way, nonexistent=way).to_numpy(False) for way in ways)
    return _seconds(early - EPOCH), _seconds(late - EPOCH)


def _seconds(spans: NDArray[np.timedelta64]) -> Floats:
    """NaN where one of both times is missing."""
    return np.asarray(spans / np.timedelta64(1, "s"), np.float64)
