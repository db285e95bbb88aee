"""The day in SQL: Athena sees the published run before, during and after the next one, and joins flags to rides."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest

from cli.backfill import run_day
from cli.stack import Stack, query
from functions.clustering.store import Paths
from infra.warehouse import PARQUET
from tests.drivers import put_rides

# The emulator takes minutes to hold ten thousand objects: TREFOIL_TEST_OBJECTS=10000 does it all.
OBJECTS = int(os.environ.get("TREFOIL_TEST_OBJECTS", "700"))
TRUTH = "FROM anomaly_runs r JOIN anomaly_days d ON r.dt = d.dt AND r.run_id = d.run_id"


def manifest(stack: Stack, day: date) -> dict[str, Any]:
    body = stack.lake.get(Paths(day).manifest)
    assert body.count(b"\n") == 1
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.fixture
def rides_table(stack: Stack) -> None:
    """What a warehouse has of its own: the rides as a table."""
    stack.client("glue").create_table(
        DatabaseName=stack.outputs["Database"],
        TableInput={
            "Name": "rides",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": "dt", "Type": "string"}],
            "StorageDescriptor": {
                "Columns": [{"Name": n, "Type": t} for n, t in (("ride_id", "string"), ("ride_dist", "double"))],
                "Location": f"s3://{stack.outputs['LakeBucket']}/rides/",
                "InputFormat": PARQUET[0],
                "OutputFormat": PARQUET[1],
                "SerdeInfo": {"SerializationLibrary": PARQUET[2]},
            },
        },
    )


def test_sql_sees_one_whole_run_before_during_and_after_a_rerun(stack: Stack, rides_table: None) -> None:
    day = date(2026, 3, 14)
    counts = (
        "SELECT count(*), sum(CASE WHEN r.is_anomaly THEN 1 ELSE 0 END), max(d.rides), max(d.anomalies), max(d.run_id)"
        f" {TRUTH} WHERE r.dt = '{day}'"
    )

    def holds(run_id: str, rides: int) -> None:
        found = query(stack, counts)[0]
        published = manifest(stack, day)
        assert published["run_id"] == run_id
        assert found == [str(rides), str(published["anomalies"]), str(rides), str(published["anomalies"]), run_id]

    put_rides(stack, day - timedelta(days=1), "a", 2_000, 1)
    put_rides(stack, day, "a", 1_500, 2)
    assert run_day(stack, day)["status"] == "published"
    first = manifest(stack, day)["run_id"]
    holds(first, 1_500)
    assert run_day(stack, day)["status"] == "skipped"

    put_rides(stack, day, "late", 1_000, 3)
    answer = stack.invoke("FunctionClusteringFit", {"dt": str(day)})
    assert answer["status"] == "planned"
    holds(first, 1_500)
    for item in json.loads(stack.lake.get(answer["plan_key"])):
        stack.invoke("FunctionClusteringLabel", item)
    holds(first, 1_500)
    assert stack.invoke("FunctionClusteringPublish", answer)["status"] == "published"
    holds(answer["run_id"], 2_500)

    joined = query(
        stack,
        f"SELECT count(*), sum(CASE WHEN q.ride_dist > 0 THEN 1 ELSE 0 END) {TRUTH} "
        f"JOIN rides q ON q.dt = r.dt AND q.ride_id = r.ride_id WHERE r.dt = '{day}' AND r.is_anomaly",
    )[0]
    assert joined == [str(manifest(stack, day)["anomalies"])] * 2


def test_a_failing_item_ends_the_execution_in_failure_and_keeps_the_truth(stack: Stack) -> None:
    day = date(2026, 5, 2)
    put_rides(stack, day, "a", 1_200, 2)
    assert run_day(stack, day)["status"] == "published"
    truth = manifest(stack, day)
    put_rides(stack, day, "late", 1_000, 3)
    # The model's bytes are not what the manifest promises, so no item can be worked on.
    answer = stack.invoke("FunctionClusteringFit", {"dt": str(day)})
    item = json.loads(stack.lake.get(answer["plan_key"]))[0] | {"model_version": "0" * 16}
    with pytest.raises(Exception, match="Label"):
        stack.invoke("FunctionClusteringLabel", item)
    ended = stack.invoke("FunctionClusteringPublish", answer | {"error": {"Error": "States.TaskFailed"}})
    assert ended["status"] == "failed"
    assert manifest(stack, day) == truth
    row = stack.ledger.get("clustering", str(day))
    assert row is not None
    assert row.outcome == "failed"
    assert run_day(stack, day)["status"] == "published"
    assert manifest(stack, day)["rides"] == 2_200


def test_the_run_row_has_the_cause_of_an_item_that_failed_within_the_map(stack: Stack) -> None:
    day, functions = date(2026, 6, 2), stack.client("lambda")
    put_rides(stack, day, "a", 1_200, 2)
    name = stack.outputs["FunctionClusteringLabel"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    elsewhere = variables | {"TREFOIL_MODELS_BUCKET": "none-of-ours"}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": elsewhere})
    try:
        assert run_day(stack, day)["status"] == "failed"
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    row = stack.ledger.get("clustering", str(day))
    assert row is not None
    # The emulator's word for every exception; the map's own would be States.ExceedToleratedFailureThreshold.
    assert (row.outcome, row.detail) == ("failed", "Runtime.HandlerError")
    assert run_day(stack, day)["status"] == "published"


def test_an_empty_day_is_recorded(stack: Stack) -> None:
    put_rides(stack, date(2026, 2, 1), "a", 10, 1)
    day = date(2026, 1, 1)
    assert run_day(stack, day) == {"dt": str(day), "status": "empty", "outcome": "empty", "detail": "no object"}


def test_many_objects_are_planned_as_few_items(stack: Stack) -> None:
    day = date(2026, 4, 1)
    put_rides(stack, day - timedelta(days=1), "a", 2_000, 1)
    with ThreadPoolExecutor(8) as pool:
        for i in range(OBJECTS):
            pool.submit(stack.lake.put, f"rides/dt={day}/{i:05}.csv", b"ride_id,ride_dist,ride_time\nr,3,0.1\n")
    started = time.monotonic()
    answer = stack.invoke("FunctionClusteringFit", {"dt": str(day)})
    if OBJECTS == 10_000:
        print(f"10,000 objects planned in {time.monotonic() - started:.1f} s")
        assert time.monotonic() - started < 60
    items = json.loads(stack.lake.get(answer["plan_key"]))
    assert sum(len(item["sources"]) for item in items) == OBJECTS
    assert len(items) == -(-OBJECTS // 500)
