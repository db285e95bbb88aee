"""Outcomes joined to what was scored, on (user_id, observed_at)."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from functions.classification.contracts import Outcome, Specification
from functions.classification.domain import metrics
from functions.classification.domain.target import is_positive
from functions.classification.messages import utc_text
from layers.runtime.errors import CorruptError
from layers.runtime.observability import logger
from layers.runtime.parsing import MALFORMED
from layers.storage.objects import ObjectInfo

log = logger("classification")


class Lake(Protocol):
    """The bucket of `outcomes/` and `scored/`."""

    def get(self, key: str) -> bytes: ...
    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...


@dataclass(frozen=True)
class Joined:
    """An event that was scored and whose outcome is known."""

    user_id: str
    observed_at: str
    event_id: str
    features: dict[str, Any]
    probability: float
    segment: str
    model_version: str
    outcome: Any


SCORED = {field.name for field in fields(Joined)} - {"outcome"}


def days_until(last: date, days: int) -> list[date]:
    """`days` days that end with `last`, oldest first."""
    return [last - timedelta(days=back) for back in reversed(range(days))]


def listing(lake: Lake, days: Iterable[date]) -> list[ObjectInfo]:
    """Objects with outcomes of these days."""
    return [info for day in days for info in lake.list(f"outcomes/dt={day}/")]


def join(lake: Lake, days: list[date]) -> list[Joined]:
    """Scored events of these days with their outcome, by time; of two events of a user at a time, the larger id.

    A scored object lies under the day of its newest event, so an event lies under its own day or a later one.
    """
    truths = dict(_outcomes(lake, listing(lake, days)))
    if not truths:
        return []
    first = min(moment for _, moment in truths)[:10]
    found: dict[tuple[str, str], Joined] = {}
    for day in days:
        if str(day) < first:
            continue
        for info in lake.list(f"scored/dt={day}/"):
            for row in _scored(lake, info.key):
                key = (row["user_id"], row["observed_at"])
                if key in truths and (key not in found or found[key].event_id < row["event_id"]):
                    found[key] = Joined(**row, outcome=truths[key])
    return sorted(found.values(), key=lambda row: (row.observed_at, row.user_id))


def _scored(lake: Lake, key: str) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in gzip.decompress(lake.get(key)).splitlines()]
        if not all(row.keys() == SCORED for row in rows):
            raise ValueError("a line has other fields")
    except MALFORMED as exc:
        raise CorruptError(f"{key} does not hold scored events") from exc
    return rows


def _outcomes(lake: Lake, objects: list[ObjectInfo]) -> Iterator[tuple[tuple[str, str], Any]]:
    unreadable = 0
    for info in objects:
        for line in lake.get(info.key).splitlines():
            if not line.strip():
                continue
            try:
                outcome = Outcome.model_validate_json(line)
                yield (outcome.user_id, utc_text(outcome.observed_at)), outcome.outcome
            except (ValidationError, OverflowError):
                unreadable += 1
    if unreadable:
        log.warning("outcomes not readable", lines=unreadable)


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
