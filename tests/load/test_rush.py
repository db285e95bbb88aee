"""Fifty callers at once ask for a series that has no model: it is fitted once, and everybody is answered."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cli.stack import Stack
from functions.forecasting.catalog import history_key
from functions.forecasting.domain.identity import content_hash
from functions.forecasting.problems import MEDIA
from functions.forecasting.store import Answers
from tests.load.conftest import USERS, Api
from tests.load.container import Container
from tests.tally import QUICK, Tally
from tests.unit.forecasting.house import gateway_event

TITLE = "A rush on a series without a model"
FITTED = "series fitted on the spot"
PROCESSES = 6
RUSHES = 4 if QUICK else 25


def fits_logged(stack: Stack, series_id: str) -> int:
    """How often the API's containers said that they fitted the series."""
    name = stack.outputs["FunctionForecastingApi"]
    config = stack.client("lambda").get_function_configuration(FunctionName=name)
    # Filtered there: of a longer log, the emulator gives the first ten thousand lines and no next page.
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=config["LoggingConfig"]["LogGroup"], filterPattern=f'"{FITTED}"')
    )
    return sum(series_id in event["message"] for page in pages for event in page["events"])


def persistent(api: Api, path: str) -> tuple[Any, int]:
    """The answer and how often it took a 503, each of which must say when to come again."""
    for refused in range(20):
        answer = api(path)
        if answer.status == 200:
            return answer.json, refused
        assert answer.status == 503, answer
        assert answer.headers["content-type"] == MEDIA, answer
        time.sleep(int(answer.headers["retry-after"]))
    raise AssertionError(f"{path} was never answered")


def test_fifty_at_once_through_the_gateway_cause_one_fit(stack: Stack, crowd: Api, tally: Tally) -> None:
    (series_id,) = crowd.arrive("rush", 1, 2)
    gate = threading.Barrier(USERS)

    def ask(_: int) -> tuple[Any, int]:
        gate.wait()
        return persistent(crowd, f"/v1/series/{series_id}/forecast")

    began = time.monotonic()
    with ThreadPoolExecutor(USERS) as pool:
        answers = list(pool.map(ask, range(USERS)))
        seconds = time.monotonic() - began
        # What a call logged last, the emulator may take up only at its container's next call.
        list(pool.map(ask, range(USERS)))
    fits = fits_logged(stack, series_id)
    tally.add(
        TITLE,
        what="through the gateway",
        callers=USERS,
        rushes=1,
        answered=len(answers),
        fits=fits,
        refused_503=sum(refused for _, refused in answers),
        errors=0,
        slowest_s=f"{seconds:.1f}",
    )
    assert fits == 1
    assert len({answer["model"]["trained_at"] for answer, _ in answers}) == 1
    assert all(len(answer["points"]) == 42 for answer, _ in answers)


def test_who_waits_too_long_is_told_when_to_come_again(
    stack: Stack, api: Api, container: Callable[..., Container]
) -> None:
    """Somebody else holds the claim, and dies with it: a wait of 25 s, made a second here."""
    (series_id,) = api.arrive("held", 1, 4)
    item = f"spot-{content_hash(stack.lake.get(history_key(series_id)))}#model"
    assert Answers(stack.table("Forecasts"), keep_seconds=600).claim(series_id, item, 5)
    process, refused = container("FunctionForecastingApi", TREFOIL_FIT_LEASE_SECONDS="1"), 0
    while (answer := process(gateway_event(f"/v1/series/{series_id}/forecast")))["statusCode"] != 200:
        refused += 1
        assert answer["statusCode"] == 503
        assert answer["headers"]["content-type"] == MEDIA
        time.sleep(int(answer["headers"]["retry-after"]))
    assert refused > 0
    assert len(process.logged(FITTED)) == 1


def test_processes_released_together_fit_each_series_once(
    api: Api, container: Callable[..., Container], tally: Tally
) -> None:
    """Warm containers get the same call at the same moment, series after series: a harder race than a gateway makes."""
    processes = [container("FunctionForecastingApi") for _ in range(PROCESSES)]
    for process in processes:
        assert process(gateway_event(f"/v1/series/{api.stores[0]}/forecast"))["statusCode"] == 200
    slowest, moments = 0.0, dict[str, set[str]]()
    for series_id in api.arrive("race", RUSHES, 3):
        began = time.monotonic()
        for process in processes:
            process.give(gateway_event(f"/v1/series/{series_id}/forecast"))
        answers = [process.take() for process in processes]
        slowest = max(slowest, time.monotonic() - began)
        assert {answer["statusCode"] for answer in answers} == {200}
        moments[series_id] = {json.loads(answer["body"])["model"]["trained_at"] for answer in answers}
    logged = [line["series_id"] for process in processes for line in process.logged(FITTED)]
    tally.add(
        TITLE,
        what=f"{PROCESSES} warm processes",
        callers=PROCESSES,
        rushes=RUSHES,
        answered=PROCESSES * RUSHES,
        fits=len(logged),
        refused_503=0,
        errors=0,
        slowest_s=f"{slowest:.1f}",
    )
    assert sorted(logged) == sorted(moments)
    assert all(len(times) == 1 for times in moments.values())
