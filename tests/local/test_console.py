"""A night's flags as an analyst sees them: over HTTP with a token, judged, and counted in SQL."""

import csv
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cli import console
from cli.backfill import run_day
from cli.main import app
from cli.stack import Stack
from cli.stack import query as sql
from tests.drivers import put_rides

DAY = date(2026, 7, 14)


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    assert stack.cloud is not None
    put_rides(stack, DAY - timedelta(days=1), "before", 2_000, 1)
    put_rides(stack, DAY, "a/b", 1_500, 2)
    assert run_day(stack, DAY)["status"] == "published"
    return stack.token(stack.cloud.username, stack.cloud.password)


def ask(stack: Stack, path: str, token: str | None, body: Any = None) -> tuple[int, Any]:
    status, _, answer = stack.request(path, token=token, body=body, method="PUT" if body else None)
    return status, json.loads(answer)


def test_a_flag_is_read_judged_taken_back_and_counted_in_sql(stack: Stack, token: str) -> None:
    (day,) = ask(stack, f"/v1/days?from={DAY}&to={DAY}", token)[1]["items"]
    assert (day["rides"], day["confirmed"], day["false_alarms"]) == (1_500, 0, 0)
    assert day.items() <= ask(stack, f"/v1/days/{DAY}", token)[1].items()
    flags = ask(stack, f"/v1/days/{DAY}/flags?limit=3", token)[1]["items"]
    first, second, third = (flag["ride_id"] for flag in flags)
    query = f"/v1/days/{DAY}/verdict?ride_id={quote(first, safe='')}"
    assert ask(stack, f"/v1/days/{DAY}/flags/{quote(third)}/verdict", token, {"verdict": "confirmed"})[0] == 200
    for verdict in ("confirmed", None, "false_alarm"):
        status, said = ask(stack, query, token, {"verdict": verdict, "note": "a ferry"})
        assert (status, said["verdict"], said["ride_id"]) == (200, verdict, first)
    assert said["by"]
    judged = ask(stack, f"/v1/days/{DAY}/flags?limit=3", token)[1]["items"]
    assert [flag["verdict"] and flag["verdict"]["verdict"] for flag in judged] == ["false_alarm", None, "confirmed"]
    assert second not in str(judged[0])

    put_rides(stack, DAY, "late", 500, 3)
    assert run_day(stack, DAY)["status"] == "published"
    (day,) = ask(stack, f"/v1/days?from={DAY}&to={DAY}", token)[1]["items"]
    assert (day["rides"], day["confirmed"], day["false_alarms"]) == (2_000, 1, 1)
    rows = sql(
        stack,
        "SELECT ride_id, verdict, note FROM anomaly_verdicts "
        f"WHERE dt = '{DAY}' AND verdict IS NOT NULL ORDER BY verdict",
    )
    assert rows == [[third, "confirmed", ""], [first, "false_alarm", "a ferry"]]


def test_an_export_of_the_table_is_what_the_command_reads(
    stack: Stack, token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ask(stack, f"/v1/days/{DAY}/flags?limit=25", token)[1]["items"]
    for flag in flags:
        query = f"/v1/days/{DAY}/verdict?ride_id={quote(flag['ride_id'], safe='')}"
        assert ask(stack, query, token, {"verdict": "confirmed"})[0] == 200
    # The emulator takes the text `at` for a time, of which it cannot tell the zone.
    rows = sql(
        stack, f"SELECT ride_id, verdict, CAST(\"at\" AS varchar), severity FROM anomaly_verdicts WHERE dt = '{DAY}'"
    )
    assert {row[0]: float(row[3]) for row in rows} == {flag["ride_id"]: flag["severity"] for flag in flags}
    with open(tmp_path / "verdicts.csv", "w", newline="") as file:
        csv.writer(file).writerows([["ride_id", "verdict", "at"], *(row[:3] for row in rows)])
    for info in stack.lake.list(f"rides/dt={DAY}/"):
        (tmp_path / info.key.rsplit("/", 1)[-1]).write_bytes(stack.lake.get(info.key))
    named = ["--verdicts", str(tmp_path / "verdicts.csv"), "--out", str(tmp_path / "out"), "--json"]
    files = sorted(map(str, tmp_path.glob("*.parquet")))
    monkeypatch.setattr(sys, "argv", ["trefoil", "anomalies", *files, *named])
    assert console.run(app) == 0
    told = json.loads(capsys.readouterr().out)["verdicts"]
    assert told["judged"] + told["not_flagged"] == len(flags)
    assert told["unknown"] == 0

    put_rides(stack, DAY + timedelta(days=1), "next", 1_500, 4)
    assert run_day(stack, DAY + timedelta(days=1))["status"] == "published"
    nightly = ask(stack, f"/v1/days/{DAY + timedelta(days=1)}", token)[1]["verdicts"]
    assert (nightly["judged"], nightly["severity"] is not None) == (len(flags), True)
    counted = sql(stack, f"SELECT rides FROM anomaly_days WHERE dt = '{DAY + timedelta(days=1)}'")
    assert counted == [["1500"]]


def test_without_a_token_nobody_reads_or_judges_a_day(stack: Stack, token: str) -> None:
    path = f"/v1/days/{DAY}/flags/{quote('a/b-1')}/verdict"
    for called, body in (("/v1/days", None), (f"/v1/days/{DAY}", None), (path, {"verdict": "confirmed"})):
        assert ask(stack, called, None, body)[0] == 401
    assert ask(stack, f"/v1/days/{DAY}/flags/nobody/verdict", token, {"verdict": "confirmed"})[0] == 404
    assert stack.request("/console/openapi.json")[0] == 200


def test_operation_and_segments_are_told_and_name_the_last_run(stack: Stack, token: str) -> None:
    status, told = ask(stack, "/v1/operation", token)
    assert status == 200
    row = stack.ledger.get("clustering", str(DAY))
    assert row is not None
    assert told["runs"]["clustering"]["started_at"] >= f"{row.started_at:%Y-%m-%dT%H:%M:%S}"
    assert set(told["queues"]) == {"ClassificationQueue", "ClassificationDeadLetters", "Undelivered"}
    assert told["healthy"] == (told["attention"] == [])
    status, told = ask(stack, "/v1/segments", token)
    assert (status, set(told)) == (200, {"champion", "watch"})
    for path in ("/v1/operation", "/v1/segments"):
        assert ask(stack, path, None)[0] == 401
