"""The console over a lake in memory that the clustering leaf fills."""

from datetime import date
from typing import Any

from functions.console.api import create_app
from functions.console.serve import OperationService, RideService
from functions.console.settings import ConsoleSettings
from functions.console.store import Published
from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.clustering import DAY, Clock
from tests.fakes import Alarms, InMemoryObjects, InMemoryQueues, InMemoryTable
from tests.forecasting import Caller


class House:
    """A deployment in memory, as far as the console sees it."""

    def __init__(self, lake: InMemoryObjects | None = None, clock: Any = None, **settings: Any) -> None:
        self.lake = InMemoryObjects() if lake is None else lake
        self.clock = clock or Clock()
        self.registry = ModelRegistry(InMemoryObjects(), InMemoryTable("leaf", "version"), self.clock)  # type: ignore[arg-type]
        self.ledger = RunLedger(InMemoryTable("job", "key"), self.clock)  # type: ignore[arg-type]
        self.queues, self.alarms = InMemoryQueues(), Alarms()
        self.settings = ConsoleSettings(**settings)

    def call(self) -> Caller:
        """Calls a new container as API Gateway does."""
        published = Published(self.lake)  # type: ignore[arg-type]
        clients = (self.queues, self.alarms)
        operation = OperationService(published, self.registry, self.ledger, *clients, self.settings, self.clock)
        rides = RideService(published, self.settings, self.clock)
        return Caller(create_app(rides, operation))


def caller(lake: InMemoryObjects) -> Caller:
    """Calls a console that knows this lake and nothing else."""
    return House(lake).call()


def flags_path(day: date = DAY) -> str:
    return f"/v1/days/{day}/flags"
