"""Outcomes joined to what was scored, on (user_id, observed_at)."""

import gzip
import itertools
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from functions.classification.contracts import Outcome, Specification
from functions.classification.domain import metrics
from functions.classification.domain.target import is_positive
from functions.classification.messages import utc_text
from layers.runtime.errors import TrefoilError
from layers.runtime.observability import logger
from layers.runtime.parsing import MALFORMED
from layers.storage.objects import EPOCH, ObjectInfo

log = logger("classification")

T = TypeVar("T")
Truths = dict[tuple[str, str], tuple[Any, datetime]]


class Lake(Protocol):
    """The bucket of `outcomes/` and `scored/`."""

    def get(self, key: str) -> bytes: ...
    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]: ...


@dataclass(frozen=True)
class Joined:
    """An event that was scored and whose outcome is known; `told_at` is when the outcome was written to the lake."""

    user_id: str
    observed_at: str
    event_id: str
    features: dict[str, Any]
    probability: float
    segment: str
    model_version: str
    outcome: Any
    told_at: datetime = EPOCH


SCORED = {field.name for field in fields(Joined)} - {"outcome", "told_at"}
READERS = 32  # connections of the client; an object is tens of milliseconds away
OBJECTS = 50_000


def days_until(last: date, days: int) -> list[date]:
    """`days` days that end with `last`, oldest first."""
    return [last - timedelta(days=back) for back in reversed(range(days))]


def listing(lake: Lake, days: Sequence[date]) -> list[ObjectInfo]:
    """Objects with outcomes of these days and later ones, by one listing."""
    return list(lake.list("outcomes/dt=", after=f"outcomes/dt={days[0]}"))


def join(lake: Lake, days: Sequence[date], *, objects: int = OBJECTS, until: float = math.inf) -> list[Joined]:
    """Scored events of these days with their outcome, by time; of two events of a user at a time, the larger id.

    A scored object lies under the day of its newest event, so an event lies under its own day or a later one. At most
    `objects` are read: of more, as many of each day, which is a fair draw, because their names are hashes. Reading ends
    at `until` (monotonic seconds). What cannot be read is left out and counted in the log.
    """
    truths = _truths(lake, listing(lake, days)[-objects:], until)
    if not truths:
        return []
    first = min(moment for _, moment in truths)[:10]
    scored = _scored(lake, [day for day in days if str(day) >= first], objects)
    found: dict[tuple[str, str], Joined] = {}
    for rows in _read(lake, scored, lambda body, _: _rows(body, truths), until):
        for row in rows:
            key = (row.user_id, row.observed_at)
            if key not in found or found[key].event_id < row.event_id:
                found[key] = row
    return sorted(found.values(), key=lambda row: (row.observed_at, row.user_id))


def _scored(lake: Lake, days: Sequence[date], objects: int) -> list[ObjectInfo]:
    """The newest day first; a day that has less than its share leaves the rest to the older ones."""
    found: list[ObjectInfo] = []
    for older, day in reversed(list(enumerate(days))):
        share = (objects - len(found)) // (older + 1)
        found += itertools.islice(lake.list(f"scored/dt={day}/"), max(share, 1))
    return found


def _read(
    lake: Lake, objects: Sequence[ObjectInfo], parse: Callable[[bytes, ObjectInfo], T], until: float
) -> Iterator[T]:
    """What the objects hold, in their order; those are left out that are gone, damaged or not reached by `until`."""

    def read(info: ObjectInfo) -> T | None:
        if time.monotonic() > until:
            return None
        try:
            return parse(lake.get(info.key), info)
        except (TrefoilError, *MALFORMED) as exc:
            log.warning("object left out", key=info.key, error=type(exc).__name__)
            return None

    read_in_all = 0
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(objects), 32 * READERS):  # what is read and not yet used is held in memory
            for parsed in pool.map(read, objects[start : start + 32 * READERS]):
                if parsed is not None:
                    read_in_all += 1
                    yield parsed
    if read_in_all < len(objects):
        log.warning("objects left out", objects=len(objects) - read_in_all, of=len(objects))


def _rows(body: bytes, truths: Truths) -> list[Joined]:
    """Lines whose outcome is known. Raises when a line is not of a scored event."""
    found = []
    for row in map(json.loads, gzip.decompress(body).splitlines()):
        if row.keys() != SCORED:
            raise ValueError("a line has other fields")
        if truth := truths.get((row["user_id"], row["observed_at"])):
            found.append(Joined(**row, outcome=truth[0], told_at=truth[1]))
    return found


def _truths(lake: Lake, objects: Sequence[ObjectInfo], until: float) -> Truths:
    """Outcomes by user and time; the line that comes last counts."""
    truths: Truths = {}
    unreadable = 0
    for lines, told_at in _read(lake, objects, lambda body, info: (body.splitlines(), info.modified), until):
        for line in filter(bytes.strip, lines):
            try:
                outcome = Outcome.model_validate_json(line)
                truths[outcome.user_id, utc_text(outcome.observed_at)] = outcome.outcome, told_at
            except (ValidationError, OverflowError):
                unreadable += 1
    if unreadable:
        log.warning("outcomes not readable", lines=unreadable)
    return truths


def moment(observed_at: str) -> datetime:
    """The time that `utc_text` wrote."""
    return datetime.fromisoformat(observed_at.replace("Z", "+00:00"))


def realised_quality(joined: list[Joined], specification: Specification) -> dict[str, Any]:
    """`{version: {ISO week: {events, unknown, positives, precision, recall, average_precision, calibration_error}}}`.

    Precision and recall are of the segment `target`; `unknown` outcomes are neither value and not in `events`.
    """
    groups: dict[tuple[str, str], list[Joined]] = defaultdict(list)
    for row in joined:
        year, week, _ = moment(row.observed_at).isocalendar()
        groups[row.model_version, f"{year}-W{week:02d}"].append(row)
    realised: dict[str, Any] = defaultdict(dict)
    for (version, name), met in sorted(groups.items()):
        truths = [is_positive(row.outcome, specification) for row in met]
        rows = [row for row, truth in zip(met, truths, strict=True) if truth is not None]
        if not rows:
            continue
        y = np.array([truth for truth in truths if truth is not None])
        p = np.array([row.probability for row in rows])
        called = np.array([row.segment == "target" for row in rows])
        hits = int((called & y).sum())
        realised[version][name] = {
            "events": len(rows),
            "unknown": len(met) - len(rows),
            "positives": int(y.sum()),
            "precision": hits / max(int(called.sum()), 1),
            "recall": hits / max(int(y.sum()), 1),
            "average_precision": metrics.average_precision(y, p) if y.any() else 0.0,
            "calibration_error": metrics.calibration_error(y, p),
        }
    return dict(realised)
