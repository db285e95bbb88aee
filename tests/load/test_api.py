"""Fifty users at once through gateway, token check, function and storage, without an error.

Every call that is under way has a process of its own, as on AWS, but all share this machine. The emulator does not
enforce the gateway's throttle (`TREFOIL_DEPLOY_API_RATE`, `_BURST`): on AWS, users who ask faster than that get 429.
"""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from statistics import quantiles

from tests.load.conftest import FUTURE, USERS, Answer, Api
from tests.tally import QUICK, Tally

VISITS = 2 if QUICK else 20
ROUTES = ("search", "history", "forecast, cached", "forecast, computed", "similar", "what-if")


def visit(api: Api, user: int, number: int) -> Iterator[tuple[str, Answer, bool]]:
    """What a planner does: each call by its route, its answer, and whether it is the right one."""
    draw = random.Random(f"{user} {number}")
    store = draw.choice(api.stores)
    found = api(f"/v1/series?q={store[-7:]}&limit=20")
    yield "search", found, found.status == 200 and store in [row["series_id"] for row in found.json["items"]]
    history = api(f"/v1/series/{store}/history?start=2023-06-01&end=2023-06-30")
    yield "history", history, history.status == 200 and len(history.json["points"]) == 30
    known = api(f"/v1/series/{store}/forecast?horizon=42")
    fresh = known.headers.get("x-cache") in {"memory", "table"}
    yield "forecast, cached", known, known.status == 200 and len(known.json["points"]) == 42 and fresh
    # A level that nobody else asks for.
    level = 0.5 + (user * VISITS + number) / 10_000
    other = api(f"/v1/series/{store}/forecast?horizon=28&level={level}")
    yield "forecast, computed", other, other.status == 200 and other.headers["x-cache"] == "computed"
    near = api(f"/v1/series/{store}/similar?k=3")
    yield "similar", near, near.status == 200 and len(near.json["items"]) == 3
    plan = {"promo": [float(draw.random() < 0.5) for _ in range(FUTURE)]}
    items = [{"id": name, "series_id": name, "horizon": FUTURE, "future": plan} for name in draw.sample(api.stores, 3)]
    answer = api("/v1/forecasts", {"items": items})
    yield "what-if", answer, answer.status == 200 and all("forecast" in item for item in answer.json["items"])


def test_fifty_users_at_once_get_no_error(crowd: Api, tally: Tally) -> None:
    assert all(crowd(f"/v1/series/{store}/forecast?horizon=42").status == 200 for store in crowd.stores)
    began = time.monotonic()
    with ThreadPoolExecutor(USERS) as pool:
        visits = pool.map(lambda user: [step for i in range(VISITS) for step in visit(crowd, user, i)], range(USERS))
        calls = list(chain.from_iterable(visits))
    seconds = time.monotonic() - began
    by_route: dict[str, list[tuple[Answer, bool]]] = defaultdict(list)
    for route, answer, right in calls:
        by_route[route].append((answer, right))
    for route in (*ROUTES, "all"):
        answers = by_route[route] if route != "all" else [(answer, right) for _, answer, right in calls]
        hundredths = quantiles([answer.seconds for answer, _ in answers], n=100)
        tally.add(
            f"API, {USERS} users at once",
            route=route,
            calls=len(answers),
            errors=sum(answer.status != 200 for answer, _ in answers),
            wrong=sum(not right for _, right in answers),
            per_s=f"{len(answers) / seconds:.0f}",
            p50_ms=f"{hundredths[49] * 1000:.0f}",
            p99_ms=f"{hundredths[98] * 1000:.0f}",
        )
    assert [(route, answer) for route, answer, right in calls if not right] == []
    assert len(calls) == USERS * VISITS * len(ROUTES)
