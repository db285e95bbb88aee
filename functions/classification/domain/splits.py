"""Which rows train, which calibrate and which judge; and which rows a model of before has never seen."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Feature, Split
from functions.classification.domain.schema import Columns, text

Rows = npt.NDArray[np.int64]

SHARE = 0.2
MIN_TIMED = 500
OLDEST = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Labelled:
    """Labelled rows: raw columns, the truth, and when each was observed (None: not known)."""

    columns: Columns
    y: npt.NDArray[np.bool_]
    times: Sequence[datetime | None]

    def take(self, rows: Rows) -> "Labelled":
        """These rows, in this order."""
        columns = {name: [values[i] for i in rows] for name, values in self.columns.items()}
        return Labelled(columns, self.y[rows], [self.times[i] for i in rows])


@dataclass(frozen=True)
class Parts:
    """Row numbers of the three parts, and the rule that made them."""

    train: Rows
    calibration: Rows
    test: Rows
    split: Split


def divide(rows: Labelled, features: Sequence[Feature], *, seed: int, in_order: bool = False) -> Parts:
    """60 % train, 20 % calibrate, 20 % test.

    By a hash of the row when rows have no time, so that a row stays in its part when more rows arrive. By time when
    they have (or `in_order`: the rows are in time order): the newest test, and of the newest 40 % before them every
    other row, by hash, calibrates, so that both the forest and the calibration see the newest population.
    """
    draws = uniform_hashes(rows, features, seed)
    timed = len(rows.y) if in_order else sum(time is not None for time in rows.times)
    known = [time for time in rows.times if time is not None]
    if not in_order and timed < MIN_TIMED:
        numbers = np.arange(len(rows.y))
        split = Split(kind="hash", share=SHARE, seed=seed, until=max(known, default=None))
        test, calibration = draws < SHARE, (draws >= SHARE) & (draws < 2 * SHARE)
        return Parts(numbers[~test & ~calibration], numbers[calibration], numbers[test], split)
    order = np.arange(len(rows.y))
    if not in_order:
        order = np.array(sorted(range(len(rows.y)), key=lambda i: rows.times[i] or OLDEST))
    cut = len(order) - round(SHARE * timed)
    before, newest = order[:cut], order[cut:]
    recent = np.zeros(len(before), dtype=bool)
    recent[len(before) - round(2 * SHARE * timed) :] = True
    chosen = recent & (draws[before] < 0.5)
    until = None if in_order else rows.times[before[-1]]
    return Parts(
        before[~chosen],
        before[chosen],
        newest,
        Split(kind="order" if in_order else "time", share=SHARE, seed=seed, until=until),
    )


def unseen(rows: Labelled, features: Sequence[Feature], split: Split) -> npt.NDArray[np.bool_]:
    """Rows that a model made under `split` neither fitted, calibrated nor chose on. `features` are that model's."""
    later = np.array([t is not None and (split.until is None or t > split.until) for t in rows.times], dtype=bool)
    if split.kind == "order":
        return np.zeros(len(rows.y), dtype=bool)
    if split.kind == "time":
        return later
    return later | (uniform_hashes(rows, features, split.seed) < split.share)


def uniform_hashes(rows: Labelled, features: Sequence[Feature], seed: int) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 per row that depends on nothing but the row's content, `seed`, and how many equal rows came
    before it."""
    seen: Counter[str] = Counter()
    out = np.empty(len(rows.y))
    columns = [rows.columns[feature.name] for feature in sorted(features, key=lambda feature: feature.name)]
    for i, (label, *values) in enumerate(zip(rows.y, *columns, strict=True)):
        line = "\x1f".join([str(bool(label)), *map(text, values)])
        seen[line] += 1
        digest = hashlib.blake2b(f"{seed}\x1f{seen[line]}\x1f{line}".encode(), digest_size=8).digest()
        out[i] = int.from_bytes(digest, "big") / 2**64
    return out
