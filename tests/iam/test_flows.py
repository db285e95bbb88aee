"""Every flow with the roles it has: each function in its container, with its own role's credentials, over TLS.

The emulator enforces what functions do. State machines, schedules and event rules call their targets there without
their roles being asked; tests/iam/test_roles.py asks these.
"""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from cli.queue import send
from cli.stack import Stack, finished, start
from functions.classification.simulate import customers, events
from functions.clustering.simulate import rides
from functions.forecasting.simulate import sales
from functions.forecasting.store import Catalog
from tests.drivers import POISON, letters, stored, until
from tests.forecasting import gateway_event
from tests.tables import as_parquet
from tests.tally import Tally

PATIENCE = 300
EVENTS, TOLD = 1_000, 50


@pytest.fixture(scope="module", autouse=True)
def nobody_was_refused(stack: Stack) -> Any:
    """No function was refused anything, not even something that it then did without, and nothing was given up."""
    yield
    logs, said = stack.client("logs"), []
    for group in logs.describe_log_groups()["logGroups"]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        said += [event["message"] for page in pages for event in page["events"]]
    assert any("batch scored" in line for line in said)
    assert [line for line in said if "not authorized" in line] == []
    assert "Messages" not in stack.client("sqs").receive_message(QueueUrl=stack.outputs["Undelivered"])


def test_a_schedule_starts_the_machine_that_labels_its_day(stack: Stack, tally: Tally) -> None:
    for day, seed in (("2026-01-30", 1), ("2026-01-31", 2)):
        stack.lake.put(f"rides/dt={day}/rides.parquet", as_parquet(rides(3_000, seed)))
    scheduler, machine = stack.client("scheduler"), stack.outputs["ClusteringStateMachine"]
    (daily,) = (
        found
        for found in (scheduler.get_schedule(Name=one["Name"]) for one in scheduler.list_schedules()["Schedules"])
        if found["Target"]["Arn"] == machine
    )
    soon = datetime.now(UTC) + timedelta(seconds=3)
    # The emulator does not fill in the time of the schedule.
    target = daily["Target"] | {"Input": json.dumps({"scheduled_at": "2026-02-01T03:00:00Z"})}
    # One of its own: in the emulator a schedule that has waited for its time counts as fired for every other time.
    scheduler.create_schedule(
        Name="once",
        FlexibleTimeWindow=daily["FlexibleTimeWindow"],
        ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        Target=target,
    )
    states = stack.client("stepfunctions")
    execution = until(lambda: states.list_executions(stateMachineArn=machine)["executions"], "the schedule to fire")
    assert finished(stack, execution[0]["executionArn"], PATIENCE)["status"] == "published"
    manifest = json.loads(stack.lake.get("anomalies/days/dt=2026-01-31/manifest.json"))
    assert manifest["rides"] == 3_000
    tally.add("Flows", flow="rides of a day", trigger="Scheduler", came_out=f"{manifest['anomalies']} abnormal rides")


def test_a_file_becomes_forecasts(stack: Stack, tally: Tally) -> None:
    stack.lake.put("sales/iam.parquet", as_parquet(sales(3 * 822, 0)))
    series = list(until(lambda: Catalog(stack.lake).rows(), "the file to be ingested"))
    tally.add("Flows", flow="sales ingestion", trigger="S3 event", came_out=f"{len(series)} stores")
    trained = finished(stack, start(stack, "ForecastingStateMachine", {"scheduled_at": "2026-02-02T04:00:00Z"}), 300)
    assert trained["trained"] == len(series)
    tally.add("Flows", flow="weekly training", trigger="state machine", came_out=f"{trained['trained']} models")

    asked = {"items": [{"id": "what-if", "series_id": series[0], "horizon": 7}]}
    newest = Catalog(stack.lake).newest(series[0])
    assert newest
    tomorrow = str(date.fromisoformat(newest) + timedelta(days=1))
    word = {
        "start": tomorrow,
        "end": tomorrow,
        "factor": 2,
        "reason": "fair",
        "expires": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    for event in (
        gateway_event("/v1/series"),
        gateway_event(f"/v1/series/{series[0]}/history"),
        gateway_event(f"/v1/series/{series[0]}/forecast", "horizon=42"),
        gateway_event(f"/v1/series/{series[0]}/similar", "k=1"),
        gateway_event("/v1/forecasts", body=asked),
        gateway_event(f"/v1/series/{series[0]}/overrides", body=word, method="PUT"),
        gateway_event("/v1/series", "sort=-peak_against_usual"),
    ):
        answer = stack.invoke("FunctionForecastingApi", event)
        assert answer["statusCode"] == 200, answer
        assert b"problem" not in answer["body"].encode()
        route = f"{event['requestContext']['http']['method']} {event['rawPath'].replace(series[0], '{id}')}"
        tally.add("Flows", flow=route, trigger="event with claims", came_out=f"{len(answer['body'])} bytes")
    # An answer is kept in the table by the role that computed it.
    counted = stack.client("dynamodb").scan(TableName=stack.outputs["ForecastsTable"], Select="COUNT")
    assert counted["Count"] > 0


def test_events_are_classified_watched_and_trained_on_again(stack: Stack, tally: Tally) -> None:
    stack.lake.put("customers/iam.parquet", as_parquet(customers(4_000, 0)))
    first = stack.invoke("FunctionClassificationTrain", {"reason": "test"})
    assert first["promoted"], first
    tally.add("Flows", flow="training", trigger="call", came_out=f"champion {first['version']}")

    moved, began = customers(EVENTS, 1, moved=1.0), datetime.now(UTC) - timedelta(minutes=30)
    bodies = events(moved, start=began)
    send(stack, [*bodies, *POISON])
    until(lambda: len(stored(stack, "user-")) == EVENTS, "all events to be classified")
    tally.add("Flows", flow="scoring", trigger="queue", came_out=f"{EVENTS} results")
    refused = until(lambda: letters(stack), "the poison")
    assert sorted(body for body, _ in refused) == sorted(POISON)
    tally.add("Flows", flow="poison", trigger="queue", came_out=f"{len(refused)} dead letters")

    known = [json.loads(body) for body in bodies[:TOLD]]
    told = [
        json.dumps({"user_id": one["user_id"], "observed_at": one["observed_at"], "outcome": y})
        for one, y in zip(known, moved["y"].to_pylist(), strict=False)
    ]
    stack.lake.put(f"outcomes/dt={datetime.now(UTC):%Y-%m-%d}/a.jsonl", "\n".join(told).encode())
    report = stack.invoke("FunctionClassificationWatch", {})
    assert report["training_started"], report
    assert sum(week["events"] for week in report["realised"][first["version"]].values()) == TOLD
    tally.add("Flows", flow="watch", trigger="call", came_out=report["reason"])
    done = until(
        lambda: [run for run in stack.ledger.history("classification-train") if run.outcome == "done"][1:],
        "the training that the watch started",
    )
    tally.add("Flows", flow="training", trigger="watch", came_out=f"{len(done) + 1} runs done")


def test_the_console_tells_what_came_out_and_keeps_a_verdict(stack: Stack, tally: Tally) -> None:
    """After the flows above, whose results it reads."""

    def told(path: str, query: str = "", **call: Any) -> Any:
        answer = stack.invoke("FunctionConsoleApi", gateway_event(path, query, **call))
        assert answer["statusCode"] == 200, answer
        tally.add("Flows", flow=path, trigger="event with claims", came_out=f"{len(answer['body'])} bytes")
        return json.loads(answer["body"])

    day = "/v1/days/2026-01-31"
    assert [one["rides"] for one in told("/v1/days")["items"]] == [3_000]
    assert told(day)["plot"]["sample"]
    (flag,) = told(f"{day}/flags", "limit=1")["items"]
    query = f"ride_id={quote(flag['ride_id'], safe='')}"
    for verdict in ("confirmed", "false_alarm"):
        assert told(f"{day}/verdict", query, method="PUT", body={"verdict": verdict})["verdict"] == verdict
    assert told("/v1/days")["items"][0]["false_alarms"] == 1
    segments = told("/v1/segments")
    assert sum(sum(of.values()) for day in segments["watch"]["segments"].values() for of in day.values()) == EVENTS
    assert segments["champion"]["figures"]
    assert told("/v1/segments/people", body={"user_id": "user-0000001"})["segment"]
    assert told("/v1/operation")["runs"]["clustering"]["outcome"] == "done"
