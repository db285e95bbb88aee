"""The console over a lake in memory that the clustering leaf fills."""

import json
from datetime import date
from typing import Any

from functions.clustering.store import Paths
from functions.console.api import create_app
from functions.console.serve import OperationService, RideService
from functions.console.settings import ConsoleSettings
from functions.console.store import Published
from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.clustering import DAY, Clock
from tests.fakes import Alarms, InMemoryObjects, InMemoryQueues, InMemoryTable
from tests.forecasting import Caller


class Deployment:
    """A deployment in memory, as far as the console sees it."""

    def __init__(self, lake: InMemoryObjects | None = None, clock: Any = None, **settings: Any) -> None:
        self.lake = InMemoryObjects() if lake is None else lake
        self.clock = clock or Clock()
        self.registry = ModelRegistry(InMemoryObjects(), InMemoryTable("leaf", "version"), self.clock)  # type: ignore[arg-type]
        self.runs = InMemoryTable("job", "key")
        self.ledger = RunLedger(self.runs, self.clock)  # type: ignore[arg-type]
        self.results = InMemoryTable("user_id")
        self.queues, self.alarms = InMemoryQueues(), Alarms()
        self.settings = ConsoleSettings(**settings)

    def app(self) -> Any:
        """The application of a new container."""
        published = Published(self.lake)  # type: ignore[arg-type]
        clients = (self.results, self.queues, self.alarms)
        operation = OperationService(published, self.registry, self.ledger, *clients, self.settings, self.clock)
        rides = RideService(published, self.settings, self.clock)
        return create_app(rides, operation, self.settings, region="eu-west-1")

    def call(self) -> Caller:
        """Calls a new container as API Gateway does."""
        return Caller(self.app())


def caller(lake: InMemoryObjects) -> Caller:
    """Calls a console that knows this lake and nothing else."""
    return Deployment(lake).call()


def published_day(day: date, ride_ids: list[str], run_id: str = "r1") -> dict[str, bytes]:
    """Objects of a day of 1,000 rides whose flagged ones have these ids, most severe first."""
    manifest = {"run_id": run_id, "rides": 1_000, "anomalies": len(ride_ids), "rejected": 0}
    flags = [
        {"ride_id": ride_id, "ride_dist": 1.0, "ride_time": 1.0, "severity": 9.0 - i, "reason": "slow"}
        for i, ride_id in enumerate(ride_ids)
    ]
    reports = Paths(day, run_id).reports
    return {Paths(day).manifest: json.dumps(manifest).encode(), f"{reports}flagged.json": json.dumps(flags).encode()}


def flags_path(day: date = DAY) -> str:
    return f"/v1/days/{day}/flags"
