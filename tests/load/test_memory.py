"""Ten thousand calls of a warm container leave it no bigger than it was."""

import json
from collections.abc import Callable
from datetime import date
from itertools import cycle, islice
from typing import Any

import pytest

from cli.stack import Stack
from functions.classification.simulate import customers, events
from functions.clustering.simulate import rides
from tests.forecasting import gateway_event
from tests.load.conftest import Api
from tests.load.container import Container
from tests.tables import as_parquet
from tests.tally import QUICK, Tally

CALLS = 500 if QUICK else 10_000
# Until then caches fill and the allocator settles.
WARM = CALLS // 5
# What noise may come to. Over the full number of calls, a leak of 1 KB a call shows.
BOUND = 8 << 20

Case = tuple[str, list[dict[str, Any]], Callable[[Any], bool]]


@pytest.fixture
def score(stack: Stack, classifier: None) -> Case:
    """Small batches, the same ones over and over, so that no table grows."""
    bodies = events(customers(400, 50), seed=50, users=80)
    batches = [bodies[i : i + 4] for i in range(0, len(bodies), 4)]
    records = [{"Records": [{"messageId": f"m{i}", "body": b} for i, b in enumerate(batch)]} for batch in batches]
    return "FunctionClassificationScore", records, lambda answer: answer == {"batchItemFailures": []}


@pytest.fixture
def every_route(api: Api) -> Case:
    """All routes with cached answers, and what is refused."""
    mixed = []
    for i, store in enumerate(api.stores * 4):
        plan = {"id": "a", "series_id": store, "horizon": 14, "future": {"promo": [1.0] * 14}}
        mixed += [
            gateway_event(f"/v1/series/{store}/forecast", f"horizon={7 + i}"),
            gateway_event(f"/v1/series/{store}/history"),
            gateway_event(f"/v1/series/{store}/similar"),
            gateway_event("/v1/series", f"q={store}"),
            gateway_event("/v1/forecasts", body={"items": [plan]}),
            *map(gateway_event, ("/healthz", "/openapi.json")),
            gateway_event("/v1/series", claims=None),
            gateway_event("/v1/series/nobody/forecast"),
            gateway_event("/v1/forecasts", body="{"),
        ]
    return "FunctionForecastingApi", mixed, lambda answer: answer["statusCode"] in {200, 403, 404, 422}


@pytest.fixture
def label(stack: Stack) -> Case:
    """The items of one small day, over and over."""
    day = date(2026, 6, 1)
    for i in range(4):
        stack.lake.put(f"rides/dt={day}/{i}.parquet", as_parquet(rides(2_000, i)))
    answer = stack.invoke("FunctionClusteringFit", {"dt": str(day)})
    item = json.loads(stack.lake.get(answer["plan_key"]))[0]
    parts = [item | {"part": i, "sources": [source]} for i, source in enumerate(item["sources"])]
    return "FunctionClusteringLabel", parts, lambda report: report["rides"] + report["rejected"] == 2_000


@pytest.mark.parametrize("name", ["score", "every_route", "label"])
def test_memory_does_not_grow_with_calls(
    name: str, request: pytest.FixtureRequest, container: Callable[..., Container], tally: Tally
) -> None:
    function, calls, sound = request.getfixturevalue(name)
    process, wrong = container(function), 0
    held: dict[int, int] = {}
    for number, event in enumerate(islice(cycle(calls), CALLS), 1):
        wrong += not sound(process(event))
        if number in {1, WARM, CALLS}:
            held[number] = process.rss()
    grown = held[CALLS] - held[WARM]
    tally.add(
        "Memory of a warm container",
        function=function.removeprefix("Function"),
        calls=CALLS,
        errors=wrong,
        **{f"{when}_MB": f"{held[n] / 2**20:.1f}" for when, n in (("first", 1), ("warm", WARM), ("last", CALLS))},
        grown_MB=f"{grown / 2**20:.1f} of {BOUND >> 20}",
    )
    assert wrong == 0
    assert grown < BOUND
