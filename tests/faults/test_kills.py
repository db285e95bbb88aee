"""A function that dies before each of its side effects, or after its last: the trigger comes again, and all is well.

It is killed before its first call that changes something, then before its second, until a run lives to its end. To die
after a call is to die before the next one, or at the end with the answer unsent; the long form does both.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.context import Context
from tests.faults.conftest import Site
from tests.faults.leaves import NOTHING, Count, Events, Rides, Sales, arrival, expire_leases
from tests.faults.victims import Call, Death, live
from tests.forecasting import written
from tests.tables import as_parquet
from tests.tally import QUICK, Tally

CLUSTERING, FORECASTING, CLASSIFICATION = (
    f"functions.{leaf}" for leaf in ("clustering", "forecasting", "classification")
)


STEPS = {"Clustering": ("Fit", "Label", "Publish"), "Forecasting": ("Plan", "Train", "Publish")}


@dataclass(frozen=True)
class Case:
    """A call that dies; the calls that follow once its trigger comes again; what then came out."""

    dies: Call
    again: list[Call]
    check: Callable[[], Count]
    context: Context = field(default_factory=Context)


class Killer:
    """Makes calls in processes with the environment of the deployed functions."""

    def __init__(self, site: Site, env: dict[str, str]) -> None:
        self.stack, self.env = site.stack, env

    def __call__(self, calls: list[Call], **how: Any) -> dict[str, Any] | None:
        return live(calls, self.env, **how)

    def machine(self, leaf: str, event: dict[str, Any], upto: int = 3) -> tuple[dict[str, Any], list[Any]]:
        """What comes before a death, in the deployed functions: the first steps of a leaf's state machine."""
        plan, work, publish = STEPS[leaf]
        answer = self.stack.invoke(f"Function{leaf}{plan}", event)
        assert answer["status"] == "planned", answer
        items = json.loads(self.stack.lake.get(answer["plan_key"]))
        for item in items if upto > 1 else ():
            self.stack.invoke(f"Function{leaf}{work}", item)
        if upto > 2:
            assert self.stack.invoke(f"Function{leaf}{publish}", answer)["status"] == "published"
        return answer, items


def fit(killer: Killer, rides: Rides, *_: Any) -> Case:
    call = (f"{CLUSTERING}.handler.fit", {"dt": str(rides.day), "execution": str(rides.day)})
    return Case(call, [call], rides.check)


def label(killer: Killer, rides: Rides, *_: Any) -> Case:
    answer, items = killer.machine("Clustering", {"dt": str(rides.day)}, upto=1)
    calls = [(f"{CLUSTERING}.handler.label", item) for item in items]
    return Case(calls[0], [*calls, (f"{CLUSTERING}.handler.publish", answer)], rides.check)


def publish_day(killer: Killer, rides: Rides, *_: Any) -> Case:
    """The day has a truth already, which a late file replaces."""
    killer.machine("Clustering", {"dt": str(rides.day)})
    rides.late()
    answer, _items = killer.machine("Clustering", {"dt": str(rides.day)}, upto=2)
    call = (f"{CLUSTERING}.handler.publish", answer)
    return Case(call, [call], rides.check)


def ingest(killer: Killer, _: Rides, sales: Sales, *__: Any) -> Case:
    call = (f"{FORECASTING}.handler.ingest", brought(killer, sales))

    def check() -> Count:
        killer.machine("Forecasting", {})
        return sales.check()

    return Case(call, [call], check)


def brought(killer: Killer, sales: Sales) -> dict[str, Any]:
    """The event of a file that nobody has told of yet; one row of it is refused."""
    key = sales.key.replace("sales/", "sales-by-hand/")
    return arrival(key, killer.stack.lake.put(key, written(*sales.series) + b"bad,not a day,1,1,0\n"), sales.key)


def arrived(killer: Killer, sales: Sales) -> None:
    killer.stack.invoke("FunctionForecastingIngest", brought(killer, sales))


def plan(killer: Killer, _: Rides, sales: Sales, *__: Any) -> Case:
    arrived(killer, sales)
    call = (f"{FORECASTING}.handler.plan", {"execution": sales.key})
    return Case(call, [call], sales.check)


def train_series(killer: Killer, _: Rides, sales: Sales, *__: Any) -> Case:
    arrived(killer, sales)
    answer, shards = killer.machine("Forecasting", {}, upto=1)
    calls = [(f"{FORECASTING}.handler.train", shard) for shard in shards]
    return Case(calls[0], [*calls, (f"{FORECASTING}.handler.publish", answer)], sales.check)


def publish_models(killer: Killer, _: Rides, sales: Sales, *__: Any) -> Case:
    arrived(killer, sales)
    answer, _shards = killer.machine("Forecasting", {}, upto=2)
    call = (f"{FORECASTING}.handler.publish", answer)
    return Case(call, [call], sales.check)


def api(killer: Killer, _: Rides, sales: Sales, *__: Any) -> Case:
    """A series without a model, asked for."""
    arrived(killer, sales)
    event = asked(sales.series[0].series_id)
    call = (f"{FORECASTING}.handler.api", event)

    def check() -> Count:
        sales.ask(sales.series[0].series_id)
        killer.machine("Forecasting", {})
        return sales.check()

    return Case(call, [call], check)


def asked(series_id: str) -> dict[str, Any]:
    """As the gateway asks the API for a forecast."""
    path = f"/v1/series/{series_id}/forecast"
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "horizon=28",
        "headers": {"host": "api"},
        "requestContext": {
            "http": {"method": "GET", "path": path, "sourceIp": "1.1.1.1", "protocol": "HTTP/1.1", "userAgent": "t"},
            "stage": "$default",
            "domainName": "api",
            "authorizer": {"jwt": {"claims": {"sub": "u", "token_use": "access"}, "scopes": None}},
        },
        "isBase64Encoded": False,
    }


def score(killer: Killer, _: Rides, __: Sales, events: Events) -> Case:
    """What the queue delivers, and delivers again when the function dies; good messages and poison."""
    bodies = [*events.good, *events.poison]
    records = [{"messageId": f"{events.name}-{i}", "body": body} for i, body in enumerate(bodies)]
    call = (f"{CLASSIFICATION}.handler.score", {"Records": records})
    return Case(call, [call], events.check, Context(left_ms=60_000))


def train_classifier(killer: Killer, _: Rides, __: Sales, events: Events) -> Case:
    """Lambda repeats the call with the same request id."""
    from functions.classification.simulate import customers

    killer.stack.lake.put("customers/faults.parquet", as_parquet(customers(4_000, events.seed)))
    runs = len(list(killer.stack.ledger.history("classification-train")))
    call = (f"{CLASSIFICATION}.handler.train", {"reason": "test"})

    def check() -> Count:
        events.champion()
        trained = list(killer.stack.ledger.history("classification-train"))
        done = sum(run.outcome == "done" for run in trained) - runs
        return Count(max(1 - done, 0), max(done - 1, 0))

    return Case(call, [call], check, Context(aws_request_id=events.name))


def watch(killer: Killer, _: Rides, __: Sales, events: Events) -> Case:
    """There is drift, so that training is started: once, however often the watch dies."""
    from functions.classification import simulate

    moved = simulate.events(simulate.customers(600, events.seed, 1.0), seed=events.seed)
    records = [{"messageId": f"{events.name}-{i}", "body": body} for i, body in enumerate(moved)]
    killer.stack.invoke("FunctionClassificationScore", {"Records": records})
    for job, key in (("classification-retrain", None), ("classification-outcomes", "latest")):
        for run in killer.stack.ledger.history(job):
            if key in (None, run.key):
                killer.stack.table("Runs").delete({"job": job, "key": run.key})
    call = (f"{CLASSIFICATION}.handler.watch", {})

    def check() -> Count:
        expire_leases(killer.stack)
        lived = killer([call])  # an hour later
        assert lived is not None
        report = lived["answers"][0]
        standing = json.loads(killer.stack.lake.get("scored/reports/watch.json"))
        assert (report["version"], standing["version"]) == (events.champion(), events.champion())
        started = [run for run in killer.stack.ledger.history("classification-retrain") if run.outcome == "done"]
        return Count(1 - len(started), 0)

    return Case(call, [call], check)


CASES = [
    fit, label, publish_day, ingest, plan, train_series, publish_models, api, score, train_classifier, watch,
]  # fmt: skip


@pytest.mark.parametrize("made", CASES, ids=lambda made: made.__name__)
def test_a_function_that_dies_at_any_side_effect_loses_and_doubles_nothing(
    site: Site, victims: dict[str, str], tally: Tally, made: Callable[..., Case]
) -> None:
    killer, count, times, names = Killer(site, victims), NOTHING, Counter[str](), set[str]()

    def dies(death: Death) -> bool:
        nonlocal count
        case = made(killer, *site.leaves())
        dead = killer([case.dies], death=death, context=case.context) is None
        assert killer(case.again, follow=True, context=case.context) is not None
        count += case.check()
        names.add(case.dies[0].removeprefix("functions.").replace(".handler", ""))
        return dead

    for moment in ("before",) if QUICK else ("before", "after"):
        while dies(Death(**{moment: times[moment] + 1})):
            times[moment] += 1
    times["end"] += dies(Death(at_end=True))
    count.tell(
        tally,
        "Deaths of a function",
        dies_in=", ".join(names),
        side_effects=times["before"],
        times=times.total(),
    )
    assert times["before"] > 0
    assert times["end"] == 1
