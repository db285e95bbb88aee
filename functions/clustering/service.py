"""The start of a run: learn a model from the window before the day, and plan the day."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np

from functions.clustering.contracts import (
    DayRequest,
    FitAnswer,
    FitReport,
    Paths,
    PlanItem,
    Source,
)
from functions.clustering.domain import model as models
from functions.clustering.domain.columns import Format
from functions.clustering.domain.parameters import Parameters
from functions.clustering.domain.planning import plan
from functions.clustering.domain.reading import RideFile
from functions.clustering.domain.sample import Reservoir
from functions.clustering.domain.tables import usable
from functions.clustering.settings import ClusteringSettings
from layers.runtime.errors import InputError
from layers.runtime.files import Limits
from layers.runtime.observability import logger, metrics
from layers.storage.ledger import Run, RunLedger
from layers.storage.manifest import content_version
from layers.storage.objects import ObjectInfo
from layers.storage.registry import ModelRegistry
from layers.tables import Reading

LEAF = "clustering"
DAY = timedelta(days=1)
WINDOW_ENOUGH = 1_000
WHOLE_BYTES = 16 << 20
LIBRARIES = ("numpy", "scipy", "pyarrow", "scikit-learn")


class Lake(Protocol):
    """The lake: rides in, plans and results out."""

    bucket: str

    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...
    def open(self, key: str, *, if_match: str | None = None) -> BinaryIO: ...
    def get(self, key: str, *, if_match: str | None = None) -> bytes: ...
    def put(self, key: str, body: bytes) -> str: ...


@dataclass
class FitService:
    """Learns a model from the window before the day, and plans the day."""

    lake: Lake
    registry: ModelRegistry
    ledger: RunLedger
    settings: ClusteringSettings

    def fit(self, request: DayRequest) -> FitAnswer:
        """Claim the day and plan it: `skipped` when nothing is new or somebody is at it, `empty` without a ride.

        Before the first ride of all days there is nothing to miss: the day is `idle`.
        """
        answer = self._fit(request)
        empty = answer.status == "empty"
        metrics(LEAF).add_metric(name="DaysEmpty", unit="Count", value=float(empty))
        if empty:
            metrics(LEAF).add_metric(name="DaysPublished", unit="Count", value=0.0)
        return answer

    def _fit(self, request: DayRequest) -> FitAnswer:
        day = request.day(self.settings.timezone)
        objects = ride_objects(self.lake, day)
        claim = self.ledger.claim(
            LEAF,
            str(day),
            fingerprint=self._fingerprint(objects) + f" forced {request.execution}" * request.force,
            lease=timedelta(minutes=self.settings.lease_minutes),
            owner=request.execution,
        )
        if not claim.granted:
            logger(LEAF).info("day skipped", dt=str(day), standing_run=claim.run.run_id, outcome=claim.run.outcome)
            return self._answer("skipped", day, claim.run)
        try:
            return self._plan(day, claim.run, objects)
        except Exception as exc:  # any failure must free the day for the retry
            self.ledger.finish(claim.run, "failed", detail=type(exc).__name__)
            raise

    def _plan(self, day: date, run: Run, objects: list[ObjectInfo]) -> FitAnswer:
        if not objects:
            used = any(self.lake.list("rides/"))
            return self._nothing(day, run, "empty" if used else "idle", "no object" if used else "no rides yet")
        sample, sampled_from = self._sample(day, objects)
        try:
            model = models.fit(*sample.rides(), self._parameters())
        except InputError:
            return self._nothing(day, run, "empty", f"no valid ride in {len(objects)} objects")
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
            PlanItem(dt=day, run_id=run.run_id, part=i, model_version=name, sources=sources)
            for i, sources in enumerate(self._items(objects))
        ]
        paths = Paths(day, run.run_id)
        report = FitReport(
            **model.facts(),
            model_version=name,
            sampled_from=sampled_from,
            files=len(objects),
            parts=len(items),
        )
        self.lake.put(paths.fit, report.model_dump_json().encode())
        self.lake.put(paths.plan, json.dumps([item.model_dump(mode="json") for item in items]).encode())
        return self._answer("planned", day, run)

    def _nothing(self, day: date, run: Run, outcome: Literal["empty", "idle"], detail: str) -> FitAnswer:
        self.ledger.finish(run, outcome, detail=detail)
        return self._answer(outcome, day, run)

    def _sample(self, day: date, objects: list[ObjectInfo]) -> tuple[Reservoir, str]:
        """Of the window when it has enough rides, else of the day itself."""
        days = (day - back * DAY for back in range(1, self.settings.window_days + 1))
        window = [info for earlier in days for info in ride_objects(self.lake, earlier)]
        sample = self._drawn(self._within_budget(window, day), day)
        if sample.seen >= WINDOW_ENOUGH:
            return sample, "window"
        return self._drawn(self._within_budget(objects, day), day), "day"

    def _drawn(self, objects: list[ObjectInfo], day: date) -> Reservoir:
        sample = Reservoir(self.settings.sample_rides, seed=day.toordinal())
        for info in objects:
            try:
                with opened(
                    self.lake, Source(key=info.key, size=info.size, etag=info.etag), Limits(), form_of(self.settings)
                ) as file:
                    for dist, hours in usable(file):
                        sample.add(dist, hours)
            except InputError as exc:  # `label` says so of its own day; here it only misses in the sample
                logger(LEAF).warning("object left out of the sample", key=info.key, reason=str(exc))
        return sample

    def _within_budget(self, window: list[ObjectInfo], day: date) -> list[ObjectInfo]:
        """Objects in random order as far as the budget goes, so that every object is as likely to be read."""
        left = self.settings.window_max_mb << 20
        chosen: list[ObjectInfo] = []
        for i in np.random.default_rng(day.toordinal()).permutation(len(window))[: self.settings.window_objects]:
            if chosen and window[i].size > left:
                break
            chosen.append(window[i])
            left -= window[i].size
        return chosen

    def _items(self, objects: list[ObjectInfo]) -> list[list[Source]]:
        def row_groups(source: Source) -> list[tuple[int, int]]:
            with self.lake.open(source.key, if_match=source.etag) as stream:
                return RideFile(stream, source.key).row_groups_of()

        return plan(
            (Source(key=o.key, size=o.size, etag=o.etag) for o in objects),
            row_groups,
            item_bytes=self.settings.item_mb << 20,
            item_rides=self.settings.item_rides,
            item_objects=self.settings.item_objects,
            footer_bytes=self.settings.footer_mb << 20,
        )

    def _parameters(self) -> Parameters:
        return Parameters(max_speed_kmh=self.settings.max_speed_kmh)

    def _fingerprint(self, objects: Iterable[ObjectInfo]) -> str:
        parts = [self._parameters().model_dump_json(), *(f"{o.key} {o.size} {o.etag}" for o in objects)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _answer(self, status: Any, day: date, run: Run) -> FitAnswer:
        key, spent = Paths(day, run.run_id).plan, self.ledger.spent()
        return FitAnswer(
            status=status, dt=day, run_id=run.run_id, plan_bucket=self.lake.bucket, plan_key=key, gb_seconds=spent
        )


def form_of(settings: ClusteringSettings) -> Format:
    """How objects of rides are to be read."""
    return Format(timezone=settings.timezone, reading=Reading(decimal=settings.decimal or None))


def ride_objects(lake: Lake, day: date) -> list[ObjectInfo]:
    """The day's objects; markers, folders and hidden files are none."""
    return [
        o
        for o in lake.list(Paths(day).input)
        if not o.key.rsplit("/", 1)[-1].startswith(("_", ".")) and o.key[-1] != "/"
    ]


@contextmanager
def opened(lake: Lake, source: Source, limits: Limits, form: Format) -> Iterator[RideFile]:
    """A source as a file: a small object in one request, else by the ranges that are read.

    Raises ConflictError when the object is no longer the one that was planned.
    """
    whole = source.row_groups is None and source.size <= WHOLE_BYTES
    planned = {"if_match": source.etag}
    with io.BytesIO(lake.get(source.key, **planned)) if whole else lake.open(source.key, **planned) as stream:
        yield RideFile(stream, source.key, form, source.row_groups, source.first_row, limits)
