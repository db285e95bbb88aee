"""The console over a lake in memory that the clustering leaf fills."""

from datetime import UTC, date, datetime
from typing import Any

from functions.console.api import create_app
from functions.console.serve import RideService
from functions.console.settings import ConsoleSettings
from functions.console.store import Days
from tests.clustering import DAY, Clock
from tests.fakes import InMemoryObjects
from tests.forecasting import Caller

NOW = datetime(2026, 3, 16, 9, tzinfo=UTC)


def caller(lake: InMemoryObjects, clock: Any = None) -> Caller:
    """Calls a new container of the console as API Gateway does."""
    rides = RideService(Days(lake), ConsoleSettings(), clock or Clock())  # type: ignore[arg-type]
    return Caller(create_app(rides))


def flags_path(day: date = DAY) -> str:
    return f"/v1/days/{day}/flags"
