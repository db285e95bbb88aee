"""What is known of customers and planners, and their tokens, is in no log: planted values are looked for in all."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from cli.backfill import run_day
from cli.queue import send
from cli.stack import Stack
from functions.classification.simulate import customers, events
from layers.runtime.errors import UnavailableError
from tests.drivers import letters, put_rides, stored, until
from tests.tables import as_csv, as_parquet

WORD, NUMBER = "planted-7731", 77_319_931.25
TRACES = (WORD, "77319931", "77,319,931", "7.731993")


def planted(table: pa.Table) -> pa.Table:
    """The same customers, every fifth of whom has an unmistakable job and balance."""
    rows = range(table.num_rows)
    jobs = [WORD if i % 5 == 0 else job for i, job in enumerate(table["job"].to_pylist())]
    balances = [NUMBER if i % 5 == 0 else float(b) for i, b in enumerate(table["balance"].to_pylist())]
    table = table.set_column(table.column_names.index("job"), "job", pa.array(jobs))
    table = table.set_column(table.column_names.index("balance"), "balance", pa.array(balances))
    return table.append_column("note", pa.array([f"{WORD}-{i}" for i in rows]))


def spoilt(body: str) -> list[str]:
    """A message of every kind that cannot succeed, the planted values in each."""
    event = json.loads(body)
    features = event["features"] | {"note": WORD, "job": WORD, "balance": NUMBER}
    wrong: list[dict[str, Any]] = [
        {"features": features | {"balance": WORD}},
        {"features": features | {"job": NUMBER}},
        {"features": features | {"balance": None}},
        {"features": features | {"balance": [WORD, NUMBER]}},
        {"features": {"note": WORD}},
        {"features": [WORD, NUMBER]},
        {"features": features, "user_id": NUMBER},
        {"features": features, "observed_at": WORD},
        {"features": features, "observed_at": "2199-01-01T00:00:00Z"},
        {"features": features, "event_id": ""},
    ]
    return [
        *(json.dumps(event | change) for change in wrong),
        json.dumps(features)[:-1],
        f"{WORD} {NUMBER}",
        f'"{WORD}"',
    ]


@pytest.fixture
def lake(stack: Stack) -> Iterator[Any]:
    """The lake; what was put into `customers/` is gone afterwards."""
    before = {info.key for info in stack.lake.list("customers/")}
    yield stack.lake
    for info in stack.lake.list("customers/"):
        if info.key not in before:
            stack.lake.delete(info.key)


def train_and_fail(stack: Stack, lake: Any) -> None:
    """A training that works and two that fail; tests/hostile has every way in which a file can be wrong."""
    table = planted(customers(800, 11))
    lake.put("customers/planted.parquet", as_parquet(table))
    lake.put("customers/ragged.csv", as_csv(table.slice(0, 50)) + f"{WORD},{NUMBER}\n".encode())
    stack.invoke("FunctionClassificationTrain", {"reason": "privacy"})
    bad = {
        "quote.csv": as_csv(table.slice(0, 5)) + f'"{WORD},{NUMBER}\n'.encode(),
        "target.csv": f"job,y\n{WORD},yes\n{WORD},{WORD}\n".encode(),
    }
    for name, body in bad.items():
        lake.put(f"customers/{name}", body)
        with pytest.raises(UnavailableError):
            stack.invoke("FunctionClassificationTrain", {"reason": f"privacy, {name}"})
        lake.delete(f"customers/{name}")


def classify(stack: Stack) -> list[str]:
    """Messages that succeed, that are poison, and calls that fail; the reasons of the dead letters."""
    bodies = [body.replace('"user-', f'"{WORD}-') for body in events(planted(customers(12, 12)), seed=12, users=12)]
    poison = spoilt(bodies[0])
    send(stack, bodies + poison)
    expected = {json.loads(body)["user_id"] for body in bodies}
    until(lambda: stored(stack, WORD).keys() == expected, "a result of every user")
    for record in ({"body": bodies[0]}, {"messageId": WORD, "body": NUMBER}):
        with pytest.raises(UnavailableError):
            stack.invoke("FunctionClassificationScore", {"Records": [record]})
    reasons: list[str] = []

    def complete() -> bool:
        reasons.extend(reason for body, reason in letters(stack) if any(trace in body for trace in TRACES))
        return len(reasons) >= len(poison)

    until(complete, "the poison")
    assert len(reasons) == len(poison)
    stack.invoke("FunctionClassificationWatch", {})
    return reasons


def plan(stack: Stack) -> None:
    """Questions of a planner, answered, wrong, and failing inside, with the token that goes with them."""
    assert stack.cloud is not None
    token = stack.token(stack.cloud.username, stack.cloud.password)
    days = "\n".join(f"quiet,2024-{1 + i // 28:02}-{1 + i % 28:02},{i}" for i in range(56))
    stack.lake.put("sales/quiet.csv", f"series_id,ds,y\n{days}\nquiet,{WORD},1\nquiet,2024-03-01,{WORD}\n".encode())
    stack.lake.put("sales/broken.csv", f"series_id,ds,y\nquiet,2024-03-02,{WORD}\u00e9\n".encode("latin-1"))
    until(lambda: stack.request("/v1/series/quiet/history", token=token)[0] == 200, "the file to be ingested")
    item = {"id": WORD, "series_id": "quiet", "horizon": 3, "future": {"open": [1, 0, 1]}}
    for body, status in (
        ({"items": [item]}, 200),
        ({"items": [item | {"future": {WORD: [NUMBER] * 3}}]}, 200),
        ({"items": [item | {"future": {"open": [WORD]}}]}, 422),
        ([WORD, NUMBER], 422),
    ):
        assert stack.request("/v1/forecasts", token=token, body=body)[0] == status
    stack.lake.put("history/spoilt.json.gz", f"{WORD} {NUMBER}".encode())
    assert stack.request("/v1/series/spoilt/history", token=token)[0] == 500
    stack.lake.delete("history/spoilt.json.gz")
    assert stack.request("/v1/series", token=token[:-9] + "x" * 9)[0] == 401
    for event in ({"detail": WORD}, {"detail": {"object": [NUMBER]}, "time": WORD}):
        with pytest.raises(UnavailableError):
            stack.invoke("FunctionForecastingIngest", event)
    for function in ("FunctionForecastingTrain", "FunctionClusteringLabel", "FunctionClusteringFit"):
        with pytest.raises(UnavailableError):
            stack.invoke(function, {"dt": WORD, "series": NUMBER, "sources": [WORD]})
    TOKENS.extend((token, stack.cloud.password))


TOKENS: list[str] = []


def ride(stack: Stack) -> None:
    """A day of rides with passengers, a row that is none, and an object that cannot be read."""
    day = date(2026, 7, 7)
    put_rides(stack, day, "plain", 1_200, 5)
    rows = "".join(f"p{i},3.5,0.2,{WORD},{NUMBER}\n" for i in range(50)) + f"q,{WORD},{NUMBER},x,y\n{WORD}\n"
    stack.lake.put(f"rides/dt={day}/named.csv", f"ride_id,ride_dist,ride_time,passenger,fare\n{rows}".encode())
    stack.lake.put(f"rides/dt={day}/broken.csv", f"ride_id,ride_dist,ride_time\n{WORD}\u00e9,1,1\n".encode("latin-1"))
    assert run_day(stack, day)["status"] == "published"


def logged(stack: Stack) -> dict[str, str]:
    """What every function has said since the stack was deployed, by log group, and what the emulator wrote."""
    logs, found = stack.client("logs"), {}
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            found[name] = "\n".join(event["message"] for page in pages for event in page["events"])
    assert stack.cloud is not None
    found["emulator"] = (Path(psutil.Process(stack.cloud.pid).cwd()) / "emulator.log").read_text()
    return found


def test_planted_values_are_in_no_log_no_reason_and_no_run(stack: Stack, lake: Any) -> None:
    train_and_fail(stack, lake)
    reasons = classify(stack)
    plan(stack)
    ride(stack)
    texts = logged(stack)
    said = "\n".join(texts.values())
    for function in ("score", "train", "api", "ingest", "label", "fit", "publish", "watch"):
        assert any(function in name.lower() and text for name, text in texts.items()), (function, sorted(texts))
    assert said.count("Error") > 10
    texts["reasons"] = "\n".join(reasons)
    jobs = ("classification-train", "forecasting-ingest", "clustering", "forecasting")
    texts["runs"] = "\n".join(run.model_dump_json() for job in jobs for run in stack.ledger.history(job))
    found = [(name, trace) for name, text in texts.items() for trace in (*TRACES, *TOKENS) if trace in text]
    assert found == []
