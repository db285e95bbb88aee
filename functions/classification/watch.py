"""Hourly: how far the population has moved, how good the answers were, and whether to train again."""

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from functions.classification.contracts import LEAF, Specification
from functions.classification.domain import drift
from functions.classification.domain.drift import Move
from functions.classification.domain.metrics import (
    average_precision,
    calibration_curve,
    calibration_error,
    expected_quality,
)
from functions.classification.domain.target import is_positive
from functions.classification.settings import ClassificationSettings
from functions.classification.store import Joined, days_until, join_outcomes, outcome_objects
from layers.runtime.errors import NotFoundError
from layers.runtime.observability import logger, metrics
from layers.runtime.parsing import MALFORMED
from layers.storage.ledger import RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import Champion, ModelRegistry
from layers.storage.tables import DynamoTable

log = logger(LEAF)

REPORT = "scored/reports/watch.json"
OUTCOMES_JOB, RETRAIN_JOB = "classification-outcomes", "classification-retrain"
LEASE = timedelta(minutes=15)
NAMED, SHOWN_DAYS = 5, 31


@dataclass
class WatchService:
    """Computes from counts and outcomes; starts training at most once a day.

    `train` starts training for a reason and does not wait for it.
    """

    registry: ModelRegistry
    profiles: DynamoTable
    lake: S3Objects
    ledger: RunLedger
    train: Callable[[str], None]
    settings: ClassificationSettings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def watch(self, remaining: float = 300.0) -> dict[str, Any]:
        """The report; a second call in the same hour finds the same and starts nothing twice.

        `remaining`: seconds that this call may take.
        """
        until = time.monotonic() + 0.8 * remaining
        champion = self.registry.champion(LEAF)
        if champion is None:
            return {"version": None, "reason": "no model has been promoted yet", "training_started": False}
        specification = Specification.model_validate(self.registry.manifest(LEAF, champion.version).details)
        totals = self._totals(champion.version, specification)
        events, moves = totals[0]["n"], drift.measure(specification, totals)
        reason = moved(events, moves, self.settings)
        if events >= self.settings.watch_events:
            metrics(LEAF).add_metric("Drift", "NoUnit", max(move.index for move in moves.values()))
            metrics(LEAF).add_metric("Moved", "Count", float(reason is not None))
        realised, fresh = self._outcomes(champion.version, specification, until)
        weeks = realised.get(champion.version, {})
        withdrawn = self._doubt(events, reason, weeks[max(weeks)] if weeks else {})
        if reason is None and fresh >= self.settings.retrain_outcomes:
            reason = f"{fresh} outcomes since the last training"
        report = {
            "version": champion.version,
            "events": events,
            "drift": {name: move.index for name, move in moves.items()},
            "chance": {name: move.chance for name, move in moves.items()},
            "unknown": {f.name: moves[f.name].unknown for f in specification.features if f.kind == "category"},
            "segments": self._segments(champion),
            "realised": realised,
            "expected": None if withdrawn else expected_quality(totals[0], specification.score_reference.edges),
            "expected_withdrawn": withdrawn,
            "new_outcomes": fresh,
            "reason": reason,
            "training_started": reason is not None and self._start(reason),
        }
        self.lake.put(REPORT, json.dumps(report, indent=1).encode())
        return report

    def _doubt(self, events: int, drifted: str | None, week: Mapping[str, Any]) -> str | None:
        """Why quality is not to be expected from the probabilities, if so."""
        if events < self.settings.watch_events:
            return f"fewer than {self.settings.watch_events:,} events"
        if drifted:
            return "the population has moved"
        return "outcomes contradict the probabilities" if week.get("contradicted") else None

    def _totals(self, version: str, specification: Specification) -> list[Counter[str]]:
        """Counters of each part of the profile, over the last hours."""
        now = self.clock().astimezone(UTC)
        hours = [f"{now - timedelta(hours=back):%Y-%m-%dT%H}" for back in range(self.settings.watch_hours)]
        return [self._counted(version, hours, part) for part in range(len(drift.parts(specification)))]

    def _counted(self, version: str, hours: Iterable[str], part: int = 0) -> Counter[str]:
        total: Counter[str] = Counter()
        for hour in hours:
            row = self.profiles.get({"model": version, "bucket": drift.bucket(hour, part)}) or {}
            total.update({name: count for name, count in row.items() if name not in ("model", "bucket", "expires_at")})
        return total

    def _segments(self, champion: Champion) -> dict[str, dict[str, dict[str, int]]]:
        """Events by day, version and segment: the two newest days are counted, those before are the last report's."""
        today = self.clock().astimezone(UTC).date()
        oldest, counted = str(today - timedelta(days=SHOWN_DAYS - 1)), (str(today - timedelta(days=1)), str(today))
        try:
            before = json.loads(self.lake.get(REPORT))["segments"]
            days = {day: dict(of) for day, of in before.items() if oldest <= day <= counted[1]}
        except (NotFoundError, *MALFORMED):  # the first report, or one of before
            days = {}
        for day in counted:
            versions = sorted({champion.version, *filter(None, [champion.previous]), *days.get(day, {})})
            hours = [f"{day}T{hour:02}" for hour in range(24)]
            segments = {version: drift.segments(self._counted(version, hours)) for version in versions}
            if found := {version: counts for version, counts in segments.items() if counts}:
                days[day] = found
        return days

    def _outcomes(self, version: str, specification: Specification, until: float) -> tuple[dict[str, Any], int]:
        """(realised quality per model and week, outcomes told since the last training), when outcomes changed."""
        days = days_until(self.clock().astimezone(UTC).date(), self.settings.outcome_days)
        trained = max(row["created_at"] for row in self.registry.versions(LEAF))
        known = repr((version, trained, outcome_objects(self.lake, days)))
        fingerprint = hashlib.sha256(known.encode()).hexdigest()
        claim = self.ledger.claim(OUTCOMES_JOB, "latest", fingerprint=fingerprint, lease=LEASE)
        if not claim.granted:
            return claim.run.counts.get("realised", {}), int(claim.run.counts.get("fresh", 0))
        joined = join_outcomes(self.lake, days, objects=self.settings.outcome_objects, until=until)
        realised = realised_quality(joined, specification)
        fresh = sum(row.told_at > datetime.fromisoformat(trained) for row in joined)
        self.ledger.finish(claim.run, "done", counts={"realised": realised, "fresh": fresh})
        if weeks := realised.get(version):
            latest = weeks[max(weeks)]
            for name in ("precision", "recall", "calibration_error"):
                metrics(LEAF).add_metric(f"Realised{name.title().replace('_', '')}", "NoUnit", latest[name])
        return realised, fresh

    def _start(self, reason: str) -> bool:
        day = f"{self.clock().astimezone(UTC):%Y-%m-%d}"
        claim = self.ledger.claim(RETRAIN_JOB, day, fingerprint=day, lease=LEASE)
        if not claim.granted:
            return False
        self.train(reason)
        self.ledger.finish(claim.run, "done", detail=reason)
        log.info("training started", reason=reason)
        return True


def moved(events: int, moves: Mapping[str, Move], settings: ClassificationSettings) -> str | None:
    """Which columns moved further than the settings allow and chance does; None where there are too few events."""
    if events < settings.watch_events:
        return None
    limit, share = settings.drift_index, settings.unknown_share
    if names := [f"{n} {m.index:.2f}" for n, m in moves.items() if m.index > max(limit, m.chance)]:
        return f"drift: stability index of {_first(names)}"
    names = [f"{n} {m.unknown:.1%}" for n, m in moves.items() if m.unknown > max(share, m.unknown_chance)]
    return f"drift: more unknown categories of {_first(names)}" if names else None


def _first(columns: list[str]) -> str:
    return ", ".join(columns[:NAMED]) + (f" and {len(columns) - NAMED} others" if len(columns) > NAMED else "")


def realised_quality(joined: Sequence[Joined], specification: Specification) -> dict[str, Any]:
    """`{version: {ISO week: {events, unknown, positives, expected_positives, contradicted, precision, recall,
    average_precision, calibration_error, calibration}}}`.

    Precision and recall are of the segment `target`; `unknown` outcomes are neither value and not in `events`. The
    probabilities are contradicted when positives differ from their sum by more than three standard deviations.
    """
    groups: dict[tuple[str, str], list[Joined]] = defaultdict(list)
    for row in joined:
        year, week, _ = row.moment.isocalendar()
        groups[row.model_version, f"{year}-W{week:02d}"].append(row)
    realised: dict[str, Any] = defaultdict(dict)
    for (version, name), rows in sorted(groups.items()):
        judged = [(row, truth) for row in rows if (truth := is_positive(row.outcome, specification)) is not None]
        if not judged:
            continue
        y = np.array([truth for _, truth in judged])
        p = np.array([row.probability for row, _ in judged])
        called = np.array([row.segment == "target" for row, _ in judged])
        hits = int((called & y).sum())
        realised[version][name] = {
            "events": len(judged),
            "unknown": len(rows) - len(judged),
            "positives": int(y.sum()),
            "expected_positives": float(p.sum()),
            "contradicted": bool(abs(y.sum() - p.sum()) > 3 * np.sqrt((p * (1 - p)).sum())),
            "precision": hits / max(int(called.sum()), 1),
            "recall": hits / max(int(y.sum()), 1),
            "average_precision": average_precision(y, p) if y.any() else 0.0,
            "calibration_error": calibration_error(y, p),
            "calibration": calibration_curve(y, p),
        }
    return dict(realised)
