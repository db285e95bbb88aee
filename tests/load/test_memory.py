"""Ten thousand calls of a warm container leave it no bigger than it was."""

import io
from collections.abc import Callable, Iterator
from datetime import date
from itertools import cycle, islice
from typing import Any

import pyarrow.parquet as pq
import pytest

from cli.stack import Stack
from functions.classification.simulate import customers, events
from functions.clustering.simulate import rides
from tests.load.conftest import Api
from tests.load.container import Container
from tests.local.test_classification import train
from tests.tally import QUICK, Tally
from tests.unit.forecasting.house import gateway_event

CALLS = 1_000 if QUICK else 10_000
# Until then caches fill and the allocator settles.
WARM = CALLS // 5
# What may remain of noise: a leak of 1 KB a call shows.
BOUND = 8 << 20


def scoring(stack: Stack) -> tuple[str, Iterator[dict[str, Any]], Callable[[Any], bool]]:
    """Batches of the emulator's size, the same ones over and over, so that no table grows."""
    train(stack)
    bodies = events(customers(400, 50), seed=50, users=80)
    batches = [bodies[i : i + 10] for i in range(0, len(bodies), 10)]
    records = [{"Records": [{"messageId": f"m{i}", "body": b} for i, b in enumerate(batch)]} for batch in batches]
    return "FunctionClassificationScore", cycle(records), lambda answer: answer == {"batchItemFailures": []}


def every_route(api: Api) -> tuple[str, Iterator[dict[str, Any]], Callable[[Any], bool]]:
    """All routes with cached answers, and what is refused."""
    item = {"id": "a", "series_id": api.stores[0], "horizon": 14, "future": {"promo": [1.0] * 14}}
    each = [
        [
            gateway_event(f"/v1/series/{store}/forecast", f"horizon={7 + i % 30}"),
            gateway_event(f"/v1/series/{store}/history"),
            gateway_event(f"/v1/series/{store}/similar"),
            gateway_event("/v1/series", f"q={store}"),
            gateway_event("/v1/forecasts", body={"items": [item | {"series_id": store}]}),
        ]
        for i, store in enumerate(api.stores * 4)
    ]
    others = [gateway_event(path) for path in ("/", "/static/config.json", "/healthz", "/openapi.json")]
    refused = [
        gateway_event("/v1/series", claims=None),
        gateway_event("/v1/series/nobody/forecast"),
        gateway_event("/v1/forecasts", body="{"),
    ]
    mixed = [event for some in each for event in [*some, *others, *refused]]
    return "FunctionForecastingApi", cycle(mixed), lambda answer: answer["statusCode"] in {200, 403, 404, 422}


def labelling(stack: Stack) -> tuple[str, Iterator[dict[str, Any]], Callable[[Any], bool]]:
    """The items of one small day, over and over."""
    day = date(2026, 6, 1)
    for i in range(4):
        sink = io.BytesIO()
        pq.write_table(rides(2_000, i), sink)
        stack.lake.put(f"rides/dt={day}/{i}.parquet", sink.getvalue())
    answer = stack.invoke("FunctionClusteringFit", {"dt": str(day)})
    import json

    item = json.loads(stack.lake.get(answer["plan_key"]))[0]
    parts = [item | {"part": i, "sources": [source]} for i, source in enumerate(item["sources"])]
    return "FunctionClusteringLabel", cycle(parts), lambda report: report["rides"] + report["rejected"] == 2_000


@pytest.mark.parametrize("prepare", [scoring, every_route, labelling])
def test_memory_does_not_grow_with_calls(
    prepare: Callable[[Any], Any],
    request: pytest.FixtureRequest,
    container: Callable[[str], Container],
    tally: Tally,
) -> None:
    function, calls, sound = prepare(request.getfixturevalue("api" if prepare is every_route else "stack"))
    process, wrong = container(function), 0
    held: dict[int, int] = {}
    for number, event in enumerate(islice(calls, CALLS), 1):
        wrong += not sound(process(event))
        if number in {1, WARM, CALLS}:
            held[number] = process.rss()
    tally.add(
        "Memory",
        function=function.removeprefix("Function"),
        calls=CALLS,
        errors=wrong,
        first_MB=f"{held[1] / 2**20:.1f}",
        warm_MB=f"{held[WARM] / 2**20:.1f}",
        last_MB=f"{held[CALLS] / 2**20:.1f}",
        bytes_a_call=(held[CALLS] - held[WARM]) // (CALLS - WARM),
    )
    assert wrong == 0
    assert held[CALLS] - held[WARM] < BOUND
