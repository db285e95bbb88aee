"""Each grant is one that something uses: objects and items are looked at while the services run on memory, for the rest
what a role belongs to must be set up with the thing."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pytest

from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers, events
from functions.classification.watch import WatchService
from functions.clustering.contracts import DayRequest, PlanItem
from functions.forecasting import store
from functions.forecasting.contracts import PlanEvent, Shard
from functions.forecasting.domain.fit import share
from layers.storage.registry import ModelRegistry
from tests.classification import NOW, Cloud, Started, records, tell_outcomes
from tests.clustering import DAY, World, key, rides
from tests.console import Deployment
from tests.fakes import InMemoryObjects, InMemoryTable
from tests.forecasting import Caller, House, made, written
from tests.grants import MAY
from tests.tables import as_csv
from tests.templates import resources, templates

TABLES = {
    ("leaf", "version"): "models",
    ("job", "key"): "runs",
    ("series_id", "item"): "forecasts",
    ("user_id",): "classifications",
    ("model", "bucket"): "profiles",
}
SHARED = ("models", "runs")  # tables whose rows belong to a leaf
LEAVES = ("clustering/", "forecasting/", "classification/")  # what keys of the bucket of models begin with
OF_DATA = ("read", "write", "tag", "GetItem", "PutItem", "UpdateItem", "Query")


class Uses:
    """What each role's code does to objects and items, in the words of the table of grants."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.of_role: dict[str, set[str]] = defaultdict(set)
        self._role = ""
        for method, verb in {"get_tagged": "read", "list": "read", "put": "write", "tag": "tag"}.items():
            self._watch(patch, InMemoryObjects, method, lambda _, key, verb=verb: f"{verb} {bucket(key)}/{key}")
        for method, verb in {"get": "GetItem", "put": "PutItem", "add": "UpdateItem", "query": "Query"}.items():
            self._watch(patch, InMemoryTable, method, lambda table, what, verb=verb: f"{verb} {rows(table, what)}")

    def _watch(self, patch: pytest.MonkeyPatch, kind: type, method: str, sentence: Callable[..., str]) -> None:
        real = getattr(kind, method)

        def watched(instance: Any, what: Any, *more: Any, **named: Any) -> Any:
            self.of_role[self._role].add(sentence(instance, what))
            return real(instance, what, *more, **named)

        patch.setattr(kind, method, watched)

    @contextmanager
    def by(self, role: str) -> Iterator[None]:
        """What is done within is done by this role."""
        self._role = role
        yield
        self._role = ""


def bucket(key: str) -> str:
    return "models" if key.startswith(LEAVES) else "lake"


def rows(table: InMemoryTable, what: Any) -> str:
    """The table, of those that are shared with whose rows: of an item, its key, or a key condition."""
    name = TABLES[table.key]
    own = what[table.key[0]] if isinstance(what, dict) else what.get_expression()["values"][1]
    return f"{name}/{own}" if name in SHARED else name


def cluster(uses: Uses) -> World:
    """A day, the same again on demand, and again with other rides."""
    world = World()
    for name, request in (("a", {}), ("a", {"force": True}), ("b", {})):
        world.lake.put(key(DAY, f"{name}.parquet"), rides(seed=ord(name)))
        with uses.by("ClusteringFit"):
            answer = world.fitting.fit(DayRequest(dt=DAY, **request))
        with uses.by("ClusteringRun"):
            plan = json.loads(world.lake.get(answer.plan_key))
        with uses.by("ClusteringLabel"):
            for item in plan:
                world.labelling.label(PlanItem.model_validate(item))
        with uses.by("ClusteringPublish"):
            assert world.publishing.publish(answer)["status"] == "published"
    return world


def forecast(uses: Uses, patch: pytest.MonkeyPatch) -> None:
    """Two files with a row that is none, two trainings with a model of all series, the second with a large catalog, and
    a planner's questions."""
    house = House()
    house.learn = share  # type: ignore[method-assign, assignment]
    for days, large in ((300, 250), (310, 2)):
        patch.setattr(store, "LARGE", large)
        file = written(*(made(days, name=name, seed=i) for i, name in enumerate("abcd")))
        house.lake.put("sales/a.csv", file + b"a,never,1,1,1\n")
        with uses.by("ForecastingIngest"):
            assert house.ingestion.ingest("sales/a.csv").rejected == 1
        with uses.by("ForecastingPlan"):
            planned = house.training().plan(PlanEvent())
        with uses.by("ForecastingRun"):
            plan = json.loads(house.lake.get(planned.plan_key))
        with uses.by("ForecastingTrain"):
            for shard in plan:
                house.training().train(Shard.model_validate(shard))
        with uses.by("ForecastingPublish"):
            house.training().publish(planned)
    with uses.by("ForecastingIngest"):
        house.put(made(311, name="a"))
    with uses.by("ForecastingApi"):
        call = Caller(house.app())
        for path in ("/v1/series", "/v1/series/a/forecast", "/v1/series/a/similar", "/v1/series/a/overrides"):
            assert call(path)[0] == 200, path


def classify(uses: Uses) -> Cloud:
    """A training, events, what became of them, the watch, and another training."""
    cloud = Cloud(settings=ClassificationSettings(iterations=1, trees=20, watch_events=300))
    training = TrainingService(cloud.lake, cloud.registry, cloud.ledger, cloud.settings, lambda: cloud.now)
    cloud.lake.put("customers/a.csv", as_csv(customers(1_500, seed=1)))
    with uses.by("ClassificationTrain"):
        training.train("test", 600)
    people, start = customers(600, 11, 1.0), NOW - timedelta(hours=1)
    with uses.by("ClassificationScore"):
        assert cloud.scoring().score(records(events(people, seed=11, start=start)), lambda: 60.0) == []
    tell_outcomes(cloud, people, start, 400)
    with uses.by("ClassificationWatch"):
        parts = (cloud.registry, cloud.profiles, cloud.lake, cloud.ledger, Started(), cloud.settings)
        WatchService(*parts, lambda: cloud.now).watch()
    with uses.by("ClassificationTrain"):
        training.train("test", 600)
    return cloud


def look(uses: Uses, world: World, cloud: Cloud) -> None:
    """The console's rooms, and a word on a flagged ride."""
    world.lake.bodies |= cloud.lake.bodies
    jobs = {"jobs": "clustering", "keyed": "clustering", "trained": "classification"}
    house = Deployment(world.lake, **jobs)
    house.registry, house.results = ModelRegistry(cloud.models, cloud.registry_table), cloud.results
    with uses.by("ConsoleApi"):
        call = house.call()
        for path in ("/v1/days", f"/v1/days/{DAY}", "/v1/segments", "/v1/operation"):
            assert call(path)[0] == 200, path
        call("/v1/segments/people", body={"user_id": "user-0000001"})  # of a past that has expired by now
        flag = call(f"/v1/days/{DAY}/flags")[2]["items"][0]["ride_id"]
        word = {"verdict": "confirmed", "note": ""}
        path = f"/v1/days/{DAY}/flags/{quote(flag, safe='')}/verdict"
        assert call(path, body=word, method="PUT")[0] == 200
        assert house.call()("/v1/days")[0] == 200


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    with pytest.MonkeyPatch.context() as patch:
        uses = Uses(patch)
        world, cloud = cluster(uses), classify(uses)
        forecast(uses, patch)
        look(uses, world, cloud)
    return uses.of_role


@pytest.mark.parametrize("role", sorted(MAY))
def test_each_grant_is_one_that_something_uses(role: str, used: dict[str, set[str]]) -> None:
    unused = {grant for grant in MAY[role] if not exercised(grant, used.get(role, set()))}
    unused = {grant for grant in unused if grant.split(" ")[0] in OF_DATA or not set_up(role, grant)}
    assert unused == set()


def exercised(grant: str, sentences: set[str]) -> bool:
    return any(fnmatchcase(one, grant) or fnmatchcase(one, f"{grant}/*") for one in sentences)


def set_up(role: str, grant: str) -> bool:
    """Whether a function, a trigger, a destination or a state machine that goes with the role names the thing."""
    _, service = templates()
    thing, owners = grant.split(" ")[1], [f"{role}Function", f"{role}Role", f"{role}Machine", f"{role}"]
    if thing == "alarms":
        return role == "ConsoleApi"
    kinds = ("Lambda::Function", "Lambda::EventSourceMapping", "Lambda::EventInvokeConfig", "Scheduler::Schedule")
    for kind in (*kinds, "StepFunctions::StateMachine"):
        for one in resources(service, f"AWS::{kind}").values():
            text = json.dumps(one["Properties"])
            if any(owner in text for owner in owners) and thing in text:
                return True
    return False
