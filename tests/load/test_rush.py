"""Fifty callers at once ask for a series that has no model: everybody is answered at once, and all alike."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.forecasting import gateway_event
from tests.load.conftest import USERS, Api
from tests.load.container import Container
from tests.tally import QUICK, Tally

TITLE = "A rush on a series without a model"
PROCESSES = 6
RUSHES = 4 if QUICK else 25


def test_fifty_at_once_through_the_gateway_are_answered_alike(crowd: Api, tally: Tally) -> None:
    (series_id,) = crowd.arrive("rush", 1, 2)
    gate = threading.Barrier(USERS)

    def ask(_: int) -> Any:
        gate.wait(60)
        answer = crowd(f"/v1/series/{series_id}/forecast")
        assert answer.status == 200, answer
        return answer.json

    began = time.monotonic()
    with ThreadPoolExecutor(USERS) as pool:
        answers = list(pool.map(ask, range(USERS)))
    seconds = time.monotonic() - began
    what = {"what": "through the gateway", "callers": USERS, "rushes": 1, "answered": len(answers)}
    tally.add(TITLE, **what, errors=0, slowest_s=f"{seconds:.1f}")
    assert all(answer["points"] == answers[0]["points"] for answer in answers)
    assert len(answers[0]["points"]) == 42


def test_processes_released_together_answer_each_series_alike(
    api: Api, container: Callable[..., Container], tally: Tally
) -> None:
    """Warm containers get the same call at the same moment, series after series: a harder race than a gateway makes."""
    processes = [container("FunctionForecastingApi") for _ in range(PROCESSES)]
    for process in processes:
        assert process(gateway_event(f"/v1/series/{api.stores[0]}/forecast"))["statusCode"] == 200
    slowest = 0.0
    for series_id in api.arrive("race", RUSHES, 3):
        began = time.monotonic()
        for process in processes:
            process.give(gateway_event(f"/v1/series/{series_id}/forecast"))
        answers = [process.take() for process in processes]
        slowest = max(slowest, time.monotonic() - began)
        assert {answer["statusCode"] for answer in answers} == {200}
        first, *others = (json.loads(answer["body"])["points"] for answer in answers)
        assert all(points == first for points in others)
    answered = PROCESSES * RUSHES
    what = {"what": f"{PROCESSES} warm processes", "callers": PROCESSES, "rushes": RUSHES, "answered": answered}
    tally.add(TITLE, **what, errors=0, slowest_s=f"{slowest:.1f}")
