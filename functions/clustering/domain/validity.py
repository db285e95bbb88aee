"""Which rows are rides, and why the others are not."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from functions.clustering.domain.reading import Rides
from layers.tables.table import RAGGED

REPEATED = "ride_id comes a second time in this file"
FARTHEST_KM, LONGEST_H, NOTHING = 100_000.0, 10_000.0, 1e-9  # of a ride; less than a millionth of a metre is none
LEADING_BITS = 24
SHIFT = np.uint64(64 - LEADING_BITS)
USUAL_KMH = (3.0, 120.0)


def rejections(rides: Rides) -> NDArray[np.object_]:
    """Per row the reason why it is no ride, None where it is one; repeated ids apart."""
    found = np.full(len(rides), None, object)
    if rides.malformed:
        found[:] = RAGGED
        return found
    for what, values, most, unit in (("time", rides.time, LONGEST_H, "h"), ("distance", rides.dist, FARTHEST_KM, "km")):
        for why, where in (
            (f"is over {most:,.0f} {unit}", values > most),
            ("is negative", values < 0),
            ("is zero", np.abs(values) < NOTHING),
            ("is infinite", np.isinf(values)),
            ("is missing or not a number", np.isnan(values)),
        ):
            found[where] = f"{what} {why}"
    if rides.ids.null_count:
        found[rides.ids.is_null().to_numpy(zero_copy_only=False)] = "ride_id is missing"
    return found


def unlikely_units(points: Iterable[tuple[float, float, bool]]) -> list[str]:
    """What to say when the median speed of (km, h, anomalous) is none of a vehicle; [] when nothing is odd."""
    speeds = [km / hours for km, hours, _ in points]
    median = float(np.median(speeds)) if speeds else USUAL_KMH[0]
    if USUAL_KMH[0] <= median <= USUAL_KMH[1]:
        return []
    return [
        f"the median speed is {median:.3g} km/h: distances or times are probably in other units than km and h; "
        "--preset tlc reads miles and two times, --column takes another column"
    ]


class Repeats:
    """Finds ids that come again in one file, in 8 bytes a row: ids are compared only where their hashes are equal."""

    def __init__(self, ids: Iterable[pa.Array], before: Iterable[pa.Array] = ()) -> None:
        """`ids` of the rows at hand, which are counted, and of the rows of the same file before them."""
        hashes = [_hashes(chunk) for chunk in ids]
        self.rows = sum(map(len, hashes))
        every = np.sort(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)
        twice = [every[1:][every[1:] == every[:-1]]]
        # Most ids of the rows before are none of ours: a look into a small table of leading bits tells.
        present = np.zeros(1 << LEADING_BITS, bool)
        present[every >> SHIFT] = True
        for earlier in map(_hashes, before):
            possible = earlier[present[earlier >> SHIFT]]
            twice.append(possible[_within(possible, every)])
        self._twice = np.unique(np.concatenate(twice))
        self._seen: set[Any] = set()

    def __bool__(self) -> bool:
        return len(self._twice) > 0

    def find(self, ids: pa.Array, accepted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Rows whose id an accepted row before had; to be called with every chunk in order."""
        again = np.zeros(len(ids), bool)
        if not self:
            return again
        for i in np.flatnonzero(_within(_hashes(ids), self._twice) & accepted):
            ride_id = ids[int(i)].as_py()
            again[i] = ride_id in self._seen
            self._seen.add(ride_id)
        return again


def _within(values: NDArray[np.uint64], ordered: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), bool)
    return np.equal(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)], values)


def _hashes(ids: pa.Array) -> NDArray[np.uint64]:
    """64 bits of each string, eight bytes at a step for all rows at once."""
    ids = ids.fill_null("")
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    text = np.frombuffer(bytes(ids.buffers()[2] or b"") + bytes(8), np.uint8)
    words = np.ndarray(len(text) - 7, "<u8", text, strides=(1,))
    left = np.diff(offsets)
    found = left.astype(np.uint64)
    for step in range(0, int(left.max(initial=0)), 8):
        rows = slice(None) if step == 0 else np.flatnonzero(left > step)
        unused = np.maximum(8 - (left[rows] - step), 0).astype(np.uint64) * np.uint64(8)
        word = words[np.minimum(offsets[:-1][rows] + step, len(words) - 1)]
        word = np.where(unused < 64, (word << unused) >> unused, 0)
        mixed = (found[rows] ^ word) * np.uint64(0x9E3779B97F4A7C15)
        found[rows] = mixed ^ (mixed >> np.uint64(29))
    return found
