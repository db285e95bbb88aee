"""A real run of every handler on in-memory stores: what it emits, and what its rows in the ledger cost."""

import io
import json
import re
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any

import pytest

from cli.stack import JOBS
from functions.classification import handler as classification
from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers
from functions.classification.watch import WatchService
from functions.clustering import handler as clustering
from functions.forecasting import handler as forecasting
from layers.runtime.observability import NAMESPACE, metrics
from layers.storage.ledger import RunLedger
from tests.classification import Cloud, Started, score, tell_outcomes
from tests.clustering import DAY, World, key, rides
from tests.fakes import InMemoryTable
from tests.forecasting import House, made, written
from tests.tables import as_csv
from tests.templates import resources, templates

CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn",
    aws_request_id="r",
    get_remaining_time_in_millis=lambda: 600_000,
)


def shown() -> set[tuple[str, str]]:
    """(leaf, name) of every metric of ours in an alarm or on the dashboard."""
    _, service = templates()
    (board,) = resources(service, "AWS::CloudWatch::Dashboard").values()
    body = json.dumps(board["Properties"]["DashboardBody"]).replace('\\"', '"')
    pattern = rf'\["{NAMESPACE}","(\w+)","service","(\w+)","stage","dev"'
    found = {(leaf, name) for name, leaf in re.findall(pattern, body)}
    for alarm in resources(service, "AWS::CloudWatch::Alarm").values():
        metric = alarm["Properties"]
        if metric.get("Namespace") == NAMESPACE:
            dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            assert set(dimensions) == {"service", "stage"}
            found.add((dimensions["service"], metric["MetricName"]))
    return found


def cluster(patch: pytest.MonkeyPatch) -> InMemoryTable:
    world = World()
    world.ledger = world.fitting.ledger = world.publishing.ledger = RunLedger(world.runs, world.clock)
    for name, service in (("fit", world.fitting), ("label", world.labelling), ("publish", world.publishing)):
        patch.setattr(clustering, f"build_{name}", lambda s=service: s)
    assert clustering.fit({"dt": "2020-01-01"}, CONTEXT)["status"] == "idle"
    world.lake.put(key(DAY), rides())
    answer = clustering.fit({"dt": str(DAY)}, CONTEXT)
    for item in json.loads(world.lake.get(answer["plan_key"])):
        clustering.label(item, CONTEXT)
    clustering.publish(answer, CONTEXT)
    return world.runs


def forecast(patch: pytest.MonkeyPatch) -> InMemoryTable:
    house = House()
    service = house.training()
    patch.setattr(forecasting, "build_training", lambda: service)
    patch.setattr(forecasting, "build_intake", lambda: house.ingestion)
    house.lake.put("sales/a.csv", written(made(name="a")))
    forecasting.ingest({"keys": ["sales/a.csv"]}, CONTEXT)
    planned = forecasting.plan({}, CONTEXT)
    for shard in json.loads(house.lake.get(planned["plan_key"])):
        forecasting.train(shard, CONTEXT)
    forecasting.publish(planned, CONTEXT)
    return house.runs


def classify(patch: pytest.MonkeyPatch) -> InMemoryTable:
    cloud = Cloud()
    ledger = RunLedger(cloud.runs, lambda: cloud.now)
    cloud.lake.put("customers/a.csv", as_csv(customers(1_500, seed=1)))
    settings = ClassificationSettings(iterations=1, trees=20, watch_events=300)
    training = TrainingService(cloud.lake, cloud.registry, ledger, settings, lambda: cloud.now)
    patch.setattr(classification, "build_training", lambda: training)
    classification.train({}, CONTEXT)
    real = cloud.scoring

    class Through:
        def score(self, records: Any, _: Any) -> list[str]:
            patch.setattr(classification, "build_scoring", real)
            return [
                f["itemIdentifier"] for f in classification.score({"Records": records}, CONTEXT)["batchItemFailures"]
            ]

    patch.setattr(cloud, "scoring", Through)
    table, start = score(cloud, 1.0)
    tell_outcomes(cloud, table, start, 400)
    watching = WatchService(cloud.registry, cloud.profiles, cloud.lake, ledger, Started(), settings, lambda: cloud.now)
    patch.setattr(classification, "build_watch", lambda: watching)
    classification.watch({}, CONTEXT)
    return cloud.runs


@pytest.fixture(scope="module")
def ran() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines in embedded metric format, and the rows of the tables."""
    said = io.StringIO()
    metrics("classification").clear_metrics()  # collectors share a memory, and earlier tests may have left some in it
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", str(1024 * 1024))  # so that no run is too short to cost
        tables = [run(patch) for run in (cluster, forecast, classify)]
    lines = [json.loads(line) for line in said.getvalue().splitlines() if line.startswith("{")]
    rows = [row for runs in tables for row in runs.items.values()]
    return [line for line in lines if "_aws" in line], rows


def test_what_is_emitted_is_what_is_shown_by_stage_and_service_alone(ran: Any) -> None:
    found: set[tuple[str, str]] = set()
    for line in ran[0]:
        for block in line["_aws"]["CloudWatchMetrics"]:
            assert [set(names) for names in block["Dimensions"]] == [{"service", "stage"}]
            found |= {(line["service"], metric["Name"]) for metric in block["Metrics"]}
    assert found == shown()


def test_every_run_of_every_job_has_its_gb_seconds(ran: Any) -> None:
    assert {row["job"] for row in ran[1]} == set(JOBS)
    assert all(row["gb_seconds"] > 0 for row in ran[1])
