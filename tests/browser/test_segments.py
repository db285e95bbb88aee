"""The room of segments over what a classifier in memory left: moved, believed, looked up, empty."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from functions.classification.simulate import customers
from tests.browser.conftest import EN, SETTINGS, Open, Shot, whole
from tests.classification import NOW, Cloud, learn, score, tell_outcomes, watch
from tests.console import Deployment

Answer = tuple[int, dict[str, str], Any]
Console = Callable[..., Answer]

ROOM = "#room=segments"
PERSON = "user-0000001"
TODAY = NOW.isoformat()


@contextmanager
def deployed(moved: float) -> Iterator[Console]:
    """A console over a classifier whose customers have `moved`, with thirty days of counts."""
    cloud = Cloud()
    version = cloud.publish(learn(customers(2_000, seed=1)))
    table, start = score(cloud, moved)
    tell_outcomes(cloud, table, start, 500)
    watch(cloud, retrain_outcomes=10_000)
    key = "scored/reports/watch.json"
    report = json.loads(cloud.lake.get(key))
    for back in range(1, 31):
        of = {"target": 40 + 7 * (back % 5), "nurture": 300 - 6 * back, "leave": 500 + 11 * (back % 7)}
        report["segments"][str((NOW - timedelta(days=back)).date())] = {version: of}
    cloud.lake.put(key, json.dumps(report).encode())
    house = Deployment(cloud.lake, lambda: NOW)
    house.registry, house.results = cloud.registry, cloud.results
    call = house.call()

    def begin() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())

    with ThreadPoolExecutor(1, initializer=begin) as beside:  # playwright's loop runs in this thread
        yield lambda *arguments, **more: beside.submit(call, *arguments, **more).result()
        beside.submit(lambda: asyncio.get_event_loop().close()).result()


@pytest.fixture(scope="module")
def moved() -> Iterator[Console]:
    with deployed(1.0) as console:
        yield console


@pytest.fixture(scope="module")
def steady() -> Iterator[Console]:
    with deployed(0.0) as console:
        yield console


def answered_by(page: Page, console: Console) -> list[tuple[str, str]]:
    """Answer the page's calls by this console; what was asked for, as method and address."""
    asked: list[tuple[str, str]] = []

    def answer(route: Route) -> None:
        asked.append((route.request.method, route.request.url))
        body = route.request.post_data
        status, headers, document = console("/v1/segments" + route.request.url.partition("/v1/segments")[2], body=body)
        route.fulfill(status=status, json=document, content_type=headers["content-type"])

    page.route(re.compile("/v1/segments"), answer)
    return asked


@pytest.mark.parametrize("name", SETTINGS)
def test_counts_drift_and_what_came_true_stand_beside_each_other(
    signed_in: Open, moved: Console, shot: Shot, name: str
) -> None:
    settings: dict[str, Any] = {"words": EN, "today": TODAY} | SETTINGS[name]
    page = signed_in("#series=store-0003", **settings)
    answered_by(page, moved)
    page.locator("#rooms a[href*=segments]").click()
    told = moved("/v1/segments")[2]
    drift, chance = told["watch"]["drift"], told["watch"]["chance"]
    beyond = sorted((c for c in drift if drift[c] > chance[c]), key=lambda c: -drift[c])
    assert 0 < len(beyond) < len(drift)
    expect(page.locator("#segments tbody")).to_have_count(4)
    counts, moves, weeks, curve = page.locator("#segments tbody").all()
    expect(counts.locator("tr")).to_have_count(31)
    rows = moves.locator("tr")
    expect(rows).to_have_count(len(drift))
    score_name = "Der Wert" if name == "german" else "The score"
    expect(rows.locator("th")).to_have_text(
        [
            *(score_name if c == "(score)" else c for c in beyond),
            *(score_name if c == "(score)" else c for c in sorted(drift.keys() - {*beyond}, key=lambda c: -drift[c])),
        ]
    )
    expect(rows.filter(has=page.locator(".beyond"))).to_have_count(len(beyond))
    (week,) = told["watch"]["realised"][told["champion"]["version"]].values()
    expect(weeks.locator("td").first).to_have_text("500")
    expect(curve.locator("tr")).to_have_count(len(week["calibration"]))
    expect(page.locator("#segments").get_by_text(told["watch"]["expected_withdrawn"])).to_be_visible()
    whole(page)
    shot(page, f"segments-{name}")


def test_quality_is_expected_while_nothing_speaks_against_it(signed_in: Open, steady: Console, shot: Shot) -> None:
    page = signed_in(today=TODAY)
    answered_by(page, steady)
    page.get_by_role("link", name="Segments").click()
    quality = steady("/v1/segments")[2]["watch"]["expected"]
    part = page.locator("#segments .card").first
    expect(part).to_contain_text(re.compile(f"Precision{quality['precision']:.1%}".replace(".0%", "%")))
    expect(page.get_by_text("Nothing beyond chance")).to_be_visible()
    shot(page, "segments-steady")


def test_a_person_is_looked_up_and_named_in_no_address(signed_in: Open, steady: Console, shot: Shot) -> None:
    page = signed_in(today=TODAY)
    asked = answered_by(page, steady)
    page.get_by_role("link", name="Segments").click()
    page.get_by_label("User id").fill(PERSON)
    page.get_by_label("User id").press("Enter")
    newest = steady("/v1/segments/people", body={"user_id": PERSON})[2]
    answer = page.locator("#segments form + [role=status]")
    expect(answer).to_contain_text(newest["model_version"])
    expect(answer).to_contain_text(f"{newest['probability']:.1%}")
    shot(page, "segments-person")
    page.get_by_label("User id").fill("nobody")
    page.get_by_role("button", name="Look up").click()
    expect(answer).to_have_text("There is no result of this person.")
    assert [method for method, _ in asked] == ["GET", "POST", "POST"]
    assert not [address for _, address in asked if PERSON in address or "nobody" in address]
    assert PERSON not in page.url


def test_before_a_first_model_it_says_how_to_get_one(signed_in: Open, shot: Shot) -> None:
    page = signed_in(ROOM)
    expect(page.get_by_role("heading", name="No model answers yet")).to_be_visible()
    shot(page, "segments-none")
