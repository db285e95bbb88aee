"""One local cloud for the suite. Each call that is under way has a process of its own there, as on AWS."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.stack import Stack, finished, start
from functions.forecasting.simulate import table
from functions.forecasting.store import Catalog
from tests.drivers import deployed, train, until
from tests.load.container import Container
from tests.tables import as_parquet

STORES, DAYS, FUTURE = 8, 400, 42
USERS = 50


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """The HTTP API through its gateway, by a signed-in user; `stores` have a model."""

    stack: Stack
    token: str
    stores: list[str]

    def __call__(self, path: str, body: Any = None) -> Answer:
        began = time.monotonic()
        status, headers, answer = self.stack.request(path, token=self.token, body=body, timeout=300)
        return Answer(status, headers, answer, time.monotonic() - began)

    def arrive(self, prefix: str, stores: int, seed: int) -> list[str]:
        """A file of new stores lands in the lake: their ids, once they are known."""
        made, _ = table(stores, DAYS, FUTURE, seed)
        ids = [f"{prefix}-{name}" for name in made["series_id"].to_pylist()]
        self.stack.lake.put(f"sales/{prefix}.parquet", as_parquet(made.set_column(0, "series_id", [ids])))
        wanted = sorted(set(ids))
        until(lambda: set(wanted) <= Catalog(self.stack.lake).rows().keys(), f"{prefix} to be ingested")
        return wanted


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with deployed(tmp_path_factory.mktemp("cloud") / "home") as stack:
        yield stack


@pytest.fixture(scope="session")
def api(stack: Stack) -> Api:
    """With a weekly training behind it."""
    assert stack.cloud is not None
    api = Api(stack, stack.token(stack.cloud.username, stack.cloud.password), [])
    api.stores.extend(api.arrive("trained", STORES, 1))
    finished(stack, start(stack, "ForecastingStateMachine", {"scheduled_at": "2026-01-05T04:00:00Z"}), 600)
    return api


@pytest.fixture(scope="session")
def crowd(api: Api) -> Api:
    """The API with as many warm processes as there are users.

    Fifty containers that start at once on the cores of one machine take longer than the function may, while on AWS each
    has its own: here it gets more time. All that is measured comes after that.
    """
    name = api.stack.outputs["FunctionForecastingApi"]
    api.stack.client("lambda").update_function_configuration(FunctionName=name, Timeout=300)
    # The emulator refuses tokens while it fetches the pool's keys: one call first.
    assert api("/v1/series").status == 200
    with ThreadPoolExecutor(USERS) as pool:
        paths = [f"/v1/series/{api.stores[i % STORES]}/forecast?horizon={7 + i}" for i in range(USERS)]
        assert {answer.status for answer in pool.map(api, paths)} == {200}
    return api


@pytest.fixture(scope="session")
def classifier(stack: Stack) -> None:
    """A model is trained and answers."""
    train(stack)


@pytest.fixture
def container(stack: Stack, tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Starts a container of the function that an output names; all of them end with the test."""
    started: list[Container] = []

    def start(function: str, **variables: str) -> Container:
        started.append(Container(stack, function, tmp_path / f"{len(started)}.log", **variables))
        return started[-1]

    yield start
    for one in started:
        one.end()
