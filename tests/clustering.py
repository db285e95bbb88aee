"""A lake, tables and services in memory, and days of rides to put in."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from functions.clustering import simulate
from functions.clustering.contracts import DayManifest, DayRequest, FitAnswer, PlanItem
from functions.clustering.learn import FitService
from functions.clustering.publish import PublishService
from functions.clustering.serve import LabelService
from functions.clustering.settings import ClusteringSettings
from functions.clustering.store import Paths
from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.fakes import InMemoryObjects, InMemoryTable
from tests.tables import as_parquet

DAY = date(2026, 3, 14)


class Clock:
    """Steps a second at every look, so that run ids differ; `skip` jumps."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 15, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def skip(self, step: timedelta) -> None:
        self.now += step


class World:
    """The services of one deployment over one memory."""

    def __init__(self, lake: Any = None, **settings: Any) -> None:
        self.lake = InMemoryObjects() if lake is None else lake
        self.clock = Clock()
        self.models, self.runs = InMemoryObjects(), InMemoryTable("job", "key")
        self.versions = InMemoryTable("leaf", "version")
        self.registry = ModelRegistry(self.models, self.versions, self.clock)
        self.ledger = RunLedger(self.runs, self.clock)
        self.settings = ClusteringSettings(memory_mb=1024, **settings)
        self.fitting = FitService(self.lake, self.registry, self.ledger, self.settings)
        self.labelling = LabelService(self.lake, self.registry, self.settings)
        self.publishing = PublishService(self.lake, self.ledger)

    def run(self, day: date = DAY, **request: Any) -> dict[str, Any]:
        """What the state machine does."""
        answer = self.fitting.fit(DayRequest(dt=day, **request))
        return self.after(answer) if answer.status == "planned" else {"status": answer.status}

    def after(self, answer: FitAnswer) -> dict[str, Any]:
        """The map and `publish`; a failure is told to `publish`, and raised."""
        try:
            for item in json.loads(self.lake.get(answer.plan_key)):
                self.labelling.label(PlanItem.model_validate(item))
            return self.publishing.publish(answer)
        except Exception as exc:
            self.publishing.publish(answer.model_copy(update={"error": {"Error": type(exc).__name__}}))
            raise

    def truth(self, day: date = DAY) -> tuple[DayManifest, pa.Table] | None:
        """The day as the saved query sees it: its manifest and the rows of the run it names."""
        key = Paths(day).manifest
        if key not in self.lake.bodies:
            return None
        manifest = DayManifest.model_validate_json(self.lake.get(key))
        prefix = f"anomalies/runs/dt={day}/run={manifest.run_id}/"
        tables = [pq.read_table(io.BytesIO(self.lake.get(o.key))) for o in self.lake.list(prefix)]
        return manifest, pa.concat_tables(tables)


def rides(rows: int = 1_500, seed: int = 0) -> bytes:
    """Simulated rides as Parquet."""
    return as_parquet(simulate.rides(rows, seed))


def key(day: date, name: str = "a.parquet") -> str:
    return f"rides/dt={day}/{name}"
