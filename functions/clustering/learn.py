"""The start of a run: learn a model from the window before the day, and plan the day."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from typing import Literal

import numpy as np

from functions.clustering.contracts import DayRequest, FitAnswer, FitReport, PlanItem, Source, VerdictReport
from functions.clustering.domain.fit import Reservoir, fit
from functions.clustering.domain.model import Parameters
from functions.clustering.domain.plan import plan
from functions.clustering.domain.verdicts import report
from functions.clustering.settings import ClusteringSettings
from functions.clustering.store import LEAF, Paths, opened, ride_objects, verdicts
from layers.runtime.errors import InputError
from layers.runtime.observability import logger, metrics
from layers.storage.ledger import Run, RunLedger
from layers.storage.manifest import content_version
from layers.storage.objects import ObjectInfo, S3Objects
from layers.storage.registry import ModelRegistry

DAY = timedelta(days=1)
WINDOW_ENOUGH = 1_000
LIBRARIES = ("numpy", "scipy", "pyarrow", "scikit-learn")


@dataclass
class FitService:
    """Learns a model from the window before the day, and plans the day."""

    lake: S3Objects
    registry: ModelRegistry
    ledger: RunLedger
    settings: ClusteringSettings

    def fit(self, request: DayRequest) -> FitAnswer:
        """Claim the day and plan it: `skipped` when nothing is new or somebody is at it, `empty` without a ride.

        Before the first ride of all days there is nothing to miss: the day is `idle`.
        """
        day = request.day(self.settings.timezone)
        objects = ride_objects(self.lake, day)
        claim = self.ledger.claim(
            LEAF,
            str(day),
            fingerprint=self._fingerprint(objects) + f" forced {request.execution}" * request.force,
            lease=timedelta(minutes=self.settings.lease_minutes),
            owner=request.execution,
        )
        status: Literal["planned", "skipped", "empty", "idle"] = "skipped"
        if claim.granted:
            try:
                status = self._plan(day, claim.run, objects)
            except Exception as exc:  # any failure must free the day for the retry
                self.ledger.finish(claim.run, "failed", detail=type(exc).__name__)
                raise
        else:
            logger(LEAF).info("day skipped", dt=str(day), standing_run=claim.run.run_id, outcome=claim.run.outcome)
        metrics(LEAF).add_metric(name="DaysEmpty", unit="Count", value=float(status == "empty"))
        if status == "empty":
            metrics(LEAF).add_metric(name="DaysPublished", unit="Count", value=0.0)
        return FitAnswer(
            status=status,
            dt=day,
            run_id=claim.run.run_id,
            plan_bucket=self.lake.bucket,
            plan_key=Paths(day, claim.run.run_id).plan,
            gb_seconds=self.ledger.spent(),
        )

    def _plan(self, day: date, run: Run, objects: list[ObjectInfo]) -> Literal["planned", "empty", "idle"]:
        if not objects:
            idle = not any(self.lake.list("rides/"))
            self.ledger.finish(run, "idle" if idle else "empty", detail="no rides yet" if idle else "no object")
            return "idle" if idle else "empty"
        sample, sampled_from = self._sample(day, objects)
        try:
            model = fit(*sample.rides(), self._parameters())
        except InputError as exc:
            why = f"{exc} ({len(objects)} objects)"
            self.ledger.finish(run, "empty", detail=": ".join(filter(None, [why, sample.refused])))
            return "empty"
        files = model.dump()
        name = content_version(files)
        self.registry.publish(
            LEAF,
            name,
            files,
            data_hash=hashlib.sha256(np.column_stack(sample.rides()).tobytes()).hexdigest(),
            metrics=model.facts(),
            libraries={library: version(library) for library in LIBRARIES},
            details={"parameters": model.parameters.model_dump()},
            expires_at=int((run.started_at + self.settings.model_days * DAY).timestamp()),
        )
        items = [
            PlanItem(dt=day, run_id=run.run_id, part=i, model_version=name, sources=sources).model_dump(mode="json")
            for i, sources in enumerate(self._items(objects))
        ]
        paths, counts = Paths(day, run.run_id), {"files": len(objects), "parts": len(items)}
        learned = FitReport(
            **model.facts(),
            model_version=name,
            sampled_from=sampled_from,
            max_speed_kmh=self.settings.max_speed_kmh,
            verdicts=self._verdicts(day),
            **counts,
        )
        self.lake.put(paths.fit, learned.model_dump_json().encode())
        self.lake.put(paths.plan, json.dumps(items).encode())
        return "planned"

    def _sample(self, day: date, objects: list[ObjectInfo]) -> tuple[Reservoir, Literal["window", "day"]]:
        """Of the window when it has enough rides, else of the day itself."""
        days = (day - back * DAY for back in range(1, self.settings.window_days + 1))
        window = [info for earlier in days for info in ride_objects(self.lake, earlier)]
        sample = self._drawn(window, day)
        return (sample, "window") if sample.seen >= WINDOW_ENOUGH else (self._drawn(objects, day), "day")

    def _verdicts(self, day: date) -> VerdictReport | None:
        """On flags of the window and the day, if there is one; they change nothing of the model."""
        words = [word for word in verdicts(self.lake, day - self.settings.window_days * DAY, day) if word.verdict]
        known = [word for word in words if word.severity is not None]
        severity = np.array([word.severity for word in known], float)
        confirmed = np.array([word.verdict == "confirmed" for word in known], bool)
        return report(severity, confirmed, len(words) - len(known)) if words else None

    def _drawn(self, objects: list[ObjectInfo], day: date) -> Reservoir:
        """A sample of objects in random order as far as the budget goes: every object is as likely to be read."""
        sample, left = Reservoir(self.settings.sample_rides, seed=day.toordinal()), self.settings.window_max_mb << 20
        order = np.random.default_rng(day.toordinal()).permutation(len(objects))[: self.settings.window_objects]
        for count, info in enumerate(objects[i] for i in order):
            left -= info.size
            if count and left < 0:
                break
            try:
                with opened(self.lake, _source(info), self.settings) as file:
                    for rides in file.rides():
                        sample.add(*rides.valid())
            except InputError as exc:  # `label` says so of its own day; here it only misses in the sample
                sample.refused = str(exc)
                logger(LEAF).warning("object left out of the sample", key=info.key, reason=sample.refused)
        return sample

    def _items(self, objects: list[ObjectInfo]) -> list[list[Source]]:
        return plan(
            map(_source, objects),
            lambda source: opened(self.lake, source, self.settings),
            item_bytes=self.settings.item_mb << 20,
            item_rides=self.settings.item_rides,
            item_objects=self.settings.item_objects,
        )

    def _parameters(self) -> Parameters:
        return Parameters(max_speed_kmh=self.settings.max_speed_kmh)

    def _fingerprint(self, objects: Iterable[ObjectInfo]) -> str:
        parts = [self._parameters().model_dump_json(), *(f"{o.key} {o.size} {o.etag}" for o in objects)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _source(info: ObjectInfo) -> Source:
    return Source(key=info.key, size=info.size, etag=info.etag)
