"""Hourly: how far the population has moved, how good the answers were, and whether to train again."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from functions.classification import outcomes
from functions.classification.contracts import LEAF, Specification
from functions.classification.domain import drift
from functions.classification.domain.drift import Move
from functions.classification.settings import ClassificationSettings
from layers.runtime.observability import logger, metrics
from layers.storage.ledger import Claim, Outcome, Run
from layers.storage.manifest import Manifest
from layers.storage.objects import ObjectInfo
from layers.storage.registry import Champion

log = logger("classification")

REPORTS = "scored/reports/"
OUTCOMES_JOB, RETRAIN_JOB = "classification-outcomes", "classification-retrain"
LEASE = timedelta(minutes=15)
NAMED = 5


class Registry(Protocol):
    """The model registry."""

    def champion(self, leaf: str) -> Champion | None: ...
    def manifest(self, leaf: str, version: str) -> Manifest: ...
    def versions(self, leaf: str) -> list[dict[str, Any]]: ...


class ProfileTable(Protocol):
    """The Profiles table."""

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None: ...


class Lake(Protocol):
    """Outcomes and scored events, and where the watch's report lies."""

    def get(self, key: str) -> bytes: ...
    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]: ...
    def put(self, key: str, body: bytes, *, content_type: str | None = None) -> str: ...


class Ledger(Protocol):
    """The run ledger."""

    def claim(self, job: str, key: str, *, fingerprint: str, lease: timedelta) -> Claim: ...
    def finish(
        self, run: Run, outcome: Outcome, *, counts: Mapping[str, Any] | None = None, detail: str = ""
    ) -> Run: ...


class Trainer(Protocol):
    """Starts training."""

    def start(self, reason: str) -> None: ...


class WatchService:
    """Computes from counts and outcomes; starts training at most once a day."""

    def __init__(
        self,
        registry: Registry,
        profiles: ProfileTable,
        lake: Lake,
        ledger: Ledger,
        trainer: Trainer,
        settings: ClassificationSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry, self._profiles, self._lake = registry, profiles, lake
        self._ledger, self._trainer, self._settings, self._clock = ledger, trainer, settings, clock

    def watch(self, remaining: float = 300.0) -> dict[str, Any]:
        """What was found; a second call in the same hour finds the same and starts nothing twice.

        `remaining`: seconds that this call may take.
        """
        until = time.monotonic() + 0.8 * remaining
        champion = self._registry.champion(LEAF)
        if champion is None:
            return {"version": None, "reason": "no model has been promoted yet", "training_started": False}
        specification = Specification.model_validate(self._registry.manifest(LEAF, champion.version).details)
        events, moves = self._drift(champion.version, specification)
        realised, fresh = self._outcomes(champion.version, specification, until)
        reason = self._reason(events, moves, fresh)
        started = reason is not None and self._start(reason)
        report = {
            "version": champion.version,
            "events": events,
            "drift": {name: move.index for name, move in moves.items()},
            "chance": {name: move.chance for name, move in moves.items()},
            "unknown": {f.name: moves[f.name].unknown for f in specification.features if f.kind == "category"},
            "realised": realised,
            "new_outcomes": fresh,
            "reason": reason,
            "training_started": started,
        }
        self._keep(report)
        return report

    def _keep(self, report: dict[str, Any]) -> None:
        """The newest report; each watch replaces the one before."""
        self._lake.put(f"{REPORTS}watch.json", json.dumps(report, indent=1).encode(), content_type="application/json")

    def _drift(self, version: str, specification: Specification) -> tuple[int, dict[str, Move]]:
        """(events, move of the score and of each column) of the last hours."""
        now = self._clock().astimezone(UTC)
        totals: list[Counter[str]] = []
        for part in range(len(drift.parts(specification))):
            totals.append(Counter())
            for back in range(self._settings.watch_hours):
                bucket = drift.bucket(f"{now - timedelta(hours=back):%Y-%m-%dT%H}", part)
                row = self._profiles.get({"model": version, "bucket": bucket}) or {}
                totals[-1].update({k: v for k, v in row.items() if k not in ("model", "bucket", "expires_at")})
        events, moves = totals[0]["n"], drift.measure(specification, totals)
        if events >= self._settings.watch_events:
            emitter = metrics("classification")
            emitter.add_metric("Drift", "NoUnit", max(move.index for move in moves.values()))
            emitter.add_metric("Moved", "Count", float(self._moved(events, moves) is not None))
        return events, moves

    def _outcomes(self, version: str, specification: Specification, until: float) -> tuple[dict[str, Any], int]:
        """(realised quality per model and week, outcomes told since the last training), when outcomes changed."""
        days = outcomes.days_until(self._clock().astimezone(UTC).date(), self._settings.outcome_days)
        trained = max(row["created_at"] for row in self._registry.versions(LEAF))
        fingerprint = hashlib.sha256(repr((version, trained, outcomes.listing(self._lake, days))).encode()).hexdigest()
        claim = self._ledger.claim(OUTCOMES_JOB, "latest", fingerprint=fingerprint, lease=LEASE)
        if not claim.granted:
            return claim.run.counts.get("realised", {}), int(claim.run.counts.get("fresh", 0))
        joined = outcomes.join(self._lake, days, objects=self._settings.outcome_objects, until=until)
        realised = outcomes.realised_quality(joined, specification)
        fresh = sum(row.told_at > datetime.fromisoformat(trained) for row in joined)
        self._ledger.finish(claim.run, "done", counts={"realised": realised, "fresh": fresh})
        self._emit(realised.get(version, {}))
        return realised, fresh

    def _emit(self, weeks: dict[str, Any]) -> None:
        if weeks:
            latest = weeks[max(weeks)]
            emitter = metrics("classification")
            emitter.add_metric("RealisedPrecision", "NoUnit", latest["precision"])
            emitter.add_metric("RealisedRecall", "NoUnit", latest["recall"])
            emitter.add_metric("RealisedCalibrationError", "NoUnit", latest["calibration_error"])

    def _reason(self, events: int, moves: Mapping[str, Move], fresh: int) -> str | None:
        if moved := self._moved(events, moves):
            return moved
        if fresh >= self._settings.retrain_outcomes:
            return f"{fresh} outcomes since the last training"
        return None

    def _moved(self, events: int, moves: Mapping[str, Move]) -> str | None:
        """Which columns moved further than the settings allow and chance does."""
        if events < self._settings.watch_events:
            return None
        limit, share = self._settings.drift_index, self._settings.unknown_share
        found = [f"{n} {m.index:.2f}" for n, m in moves.items() if m.index > max(limit, m.chance)]
        if found:
            return f"drift: stability index of {_named(found)}"
        found = [f"{n} {m.unknown:.1%}" for n, m in moves.items() if m.unknown > max(share, m.unknown_chance)]
        return f"drift: more unknown categories of {_named(found)}" if found else None

    def _start(self, reason: str) -> bool:
        day = f"{self._clock().astimezone(UTC):%Y-%m-%d}"
        claim = self._ledger.claim(RETRAIN_JOB, day, fingerprint=day, lease=LEASE)
        if not claim.granted:
            return False
        self._trainer.start(reason)
        self._ledger.finish(claim.run, "done", detail=reason)
        log.info("training started", reason=reason)
        return True


def _named(columns: list[str]) -> str:
    return ", ".join(columns[:NAMED]) + (f" and {len(columns) - NAMED} others" if len(columns) > NAMED else "")
