"""Hourly: how far the population has moved, how good the answers were, and whether to train again."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from functions.classification import outcomes
from functions.classification.contracts import LEAF, Specification
from functions.classification.domain import watch_page
from functions.classification.domain.drift import Drift
from functions.classification.settings import ClassificationSettings
from layers.runtime.observability import logger, metrics
from layers.storage.ledger import Claim, Outcome, Run
from layers.storage.manifest import Manifest
from layers.storage.objects import ObjectInfo
from layers.storage.registry import Champion

log = logger("classification")

REPORTS, SCORE = "scored/reports/", "(score)"
OUTCOMES_JOB, RETRAIN_JOB = "classification-outcomes", "classification-retrain"
LEASE = timedelta(minutes=15)


class Registry(Protocol):
    """The model registry."""

    def champion(self, leaf: str) -> Champion | None: ...
    def manifest(self, leaf: str, version: str) -> Manifest: ...


class ProfileTable(Protocol):
    """The Profiles table."""

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None: ...


class Lake(Protocol):
    """Outcomes and scored events, and where the watch's report lies."""

    def get(self, key: str) -> bytes: ...
    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...
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

    def watch(self) -> dict[str, Any]:
        """What was found; a second call in the same hour finds the same and starts nothing twice."""
        champion = self._registry.champion(LEAF)
        if champion is None:
            return {"version": None, "reason": "no model has been promoted yet", "training_started": False}
        specification = Specification.model_validate(self._registry.manifest(LEAF, champion.version).details)
        drift = self._drift(champion.version, specification)
        realised, fresh = self._outcomes(champion.version, specification)
        reason = self._reason(drift, fresh)
        started = reason is not None and self._start(reason)
        report = {
            "version": champion.version,
            "events": drift.events,
            "drift": {SCORE: drift.score, **drift.features},
            "unknown": drift.unknown,
            "realised": realised,
            "new_outcomes": fresh,
            "reason": reason,
            "training_started": started,
        }
        self._keep(report)
        return report

    def _keep(self, report: dict[str, Any]) -> None:
        """The newest report as JSON and as a picture; each watch replaces the one before."""
        title = f"Model {report['version']}: {report['events']:,} events in {self._settings.watch_hours} hours"
        picture = watch_page.draw(
            report["drift"] if report["events"] else {},
            report["realised"].get(report["version"], {}),
            limit=self._settings.drift_index,
            title=title,
        )
        self._lake.put(f"{REPORTS}watch.json", json.dumps(report, indent=1).encode(), content_type="application/json")
        self._lake.put(f"{REPORTS}watch.svg", picture.encode(), content_type="image/svg+xml")

    def _drift(self, version: str, specification: Specification) -> Drift:
        now = self._clock().astimezone(UTC)
        totals: Counter[str] = Counter()
        for back in range(self._settings.watch_hours):
            bucket = f"{now - timedelta(hours=back):%Y-%m-%dT%H}"
            row = self._profiles.get({"model": version, "bucket": bucket}) or {}
            totals.update({k: v for k, v in row.items() if k not in ("model", "bucket", "expires_at")})
        drift = Drift(specification, totals)
        if drift.events >= self._settings.watch_events:
            emitter = metrics("classification")
            emitter.add_metric("Drift", "NoUnit", drift.largest)
            emitter.add_metric("Moved", "Count", float(self._moved(drift) is not None))
        return drift

    def _outcomes(self, version: str, specification: Specification) -> tuple[dict[str, Any], int]:
        """(realised quality per model and week, outcomes newer than the champion's data), when outcomes changed."""
        days = outcomes.days_until(self._clock().astimezone(UTC).date(), self._settings.outcome_days)
        objects = outcomes.listing(self._lake, days)
        fingerprint = hashlib.sha256(repr((version, objects)).encode()).hexdigest()
        claim = self._ledger.claim(OUTCOMES_JOB, "latest", fingerprint=fingerprint, lease=LEASE)
        if not claim.granted:
            return claim.run.counts.get("realised", {}), int(claim.run.counts.get("fresh", 0))
        joined = outcomes.join(self._lake, days)
        realised = outcomes.realised_quality(joined, specification)
        until = specification.split.until
        fresh = sum(until is None or outcomes.moment(row.observed_at) > until for row in joined)
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

    def _reason(self, drift: Drift, fresh: int) -> str | None:
        if moved := self._moved(drift):
            return moved
        if fresh >= self._settings.retrain_outcomes:
            return f"{fresh} outcomes newer than the champion's data"
        return None

    def _moved(self, drift: Drift) -> str | None:
        if drift.events < self._settings.watch_events:
            return None
        if drift.largest > self._settings.drift_index:
            return f"drift: stability index {drift.largest:.2f}"
        if drift.unknown_rate > self._settings.unknown_share:
            return f"drift: {drift.unknown_rate:.1%} more unknown categories"
        return None

    def _start(self, reason: str) -> bool:
        day = f"{self._clock().astimezone(UTC):%Y-%m-%d}"
        claim = self._ledger.claim(RETRAIN_JOB, day, fingerprint=day, lease=LEASE)
        if not claim.granted:
            return False
        self._trainer.start(reason)
        self._ledger.finish(claim.run, "done", detail=reason)
        log.info("training started", reason=reason)
        return True
