"""Today's stack over what earlier code left: it goes on with all of it, and loses nothing."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from cli import models, runs, status
from cli.backfill import run_day
from cli.queue import queue_depth, send
from cli.stack import JOBS, Stack, finished, query, start
from layers.storage import upkeep
from tests import state
from tests.drivers import deployed, letters, put_rides, stored, until
from tests.recorded import DAY, Recorded, recordings

HORIZON = 42


@pytest.fixture(scope="module", params=recordings(), ids=lambda recorded: recorded.file.stem)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    one: Recorded = request.param
    return one


@pytest.fixture(scope="module")
def stack(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with deployed(tmp_path_factory.mktemp("cloud") / "home") as made:
        recorded.restore(made)
        yield made


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    assert stack.cloud is not None
    return stack.token(stack.cloud.username, stack.cloud.password)


def get(stack: Stack, token: str, path: str) -> dict[str, Any]:
    code, _, body = stack.request(path, token=token)
    assert code == 200, body
    return dict(json.loads(body))


def champion(stack: Stack, leaf: str) -> str:
    standing = stack.registry.champion(leaf)
    assert standing is not None
    return standing.version


def test_champions_answer_with_the_models_they_had(stack: Stack, recorded: Recorded) -> None:
    pointers = {item["leaf"]["S"]: item["points_to"]["S"] for item in recorded.items["Models"] if "points_to" in item}
    assert set(pointers) == {"forecasting", "classification"}
    for leaf, version in pointers.items():
        assert champion(stack, leaf) == version
        assert upkeep.verified(stack.registry, leaf, version).files


def test_every_series_has_its_history_and_a_forecast_of_its_own_model(
    stack: Stack, recorded: Recorded, token: str
) -> None:
    before = json.loads(recorded.objects["lake/catalog.json"])["series"]
    listed = {one["series_id"]: one for one in get(stack, token, "/v1/series")["items"]}
    assert listed.keys() == before.keys()
    for name, row in before.items():
        assert {key: listed[name][key] for key in ("first_ds", "last_ds", "observations")} == {
            key: row[key] for key in ("first_ds", "last_ds", "observations")
        }
        assert len(get(stack, token, f"/v1/series/{name}/history")["points"]) == row["observations"]
        answer = get(stack, token, f"/v1/series/{name}/forecast?horizon={HORIZON}")
        assert answer["model"]["version"] == champion(stack, "forecasting")
        assert len(answer["points"]) == HORIZON
        assert "holdout" in answer  # which what was cached then may lack


def test_days_stand_in_sql_and_on_the_console_and_can_be_labelled_again(
    stack: Stack, recorded: Recorded, token: str
) -> None:
    for day in (DAY - timedelta(days=1), DAY):
        manifest = json.loads(recorded.objects[f"lake/anomalies/days/dt={day}/manifest.json"])
        assert in_sql(stack, day) == [[manifest["run_id"], str(manifest["rides"]), str(manifest["anomalies"])]]
        (row,) = get(stack, token, f"/v1/days?from={day}&to={day}")["items"]
        assert {name: row[name] for name in ("run_id", "rides", "anomalies")} == {
            name: manifest[name] for name in ("run_id", "rides", "anomalies")
        }
        # What a run hangs on may have changed since: it is made again, from the same rides, or passed over.
        assert run_day(stack, day)["rides"] == manifest["rides"]
        assert in_sql(stack, day)[0][1] == str(manifest["rides"])
    put_rides(stack, DAY + timedelta(days=1), "new", 1_200, 9)
    assert run_day(stack, DAY + timedelta(days=1))["status"] == "published"


def in_sql(stack: Stack, day: date) -> list[list[str]]:
    """Run, rides and flagged rides of a day."""
    return query(
        stack,
        "SELECT max(d.run_id), count(*), sum(CASE WHEN r.is_anomaly THEN 1 ELSE 0 END) FROM anomaly_runs r "
        f"JOIN anomaly_days d ON r.dt = d.dt AND r.run_id = d.run_id WHERE r.dt = '{day}' AND d.dt = '{day}'",
    )


def test_messages_in_flight_are_classified_by_the_standing_champion_and_older_results_stay(
    stack: Stack, recorded: Recorded
) -> None:
    messages = recorded.document("messages")
    before = {item["user_id"]["S"]: item for item in recorded.items["Classifications"]}
    late = json.dumps(json.loads(messages[0]) | {"user_id": min(before), "observed_at": "2020-01-01T00:00:00Z"})
    send(stack, [late, *messages])
    expected = {json.loads(body)["user_id"] for body in messages}
    until(lambda: stored(stack, "waiting-").keys() == expected, "the messages in flight")
    assert {item["model_version"]["S"] for item in stored(stack, "waiting-").values()} == {
        champion(stack, "classification")
    }
    until(lambda: queue_depth(stack, "ClassificationQueue") == 0, "the queue to be empty")
    kept = stored(stack, "user-")
    assert {user: item["event_id"] for user, item in kept.items()} == {
        user: item["event_id"] for user, item in before.items()
    }
    assert letters(stack) == []
    report = stack.invoke("FunctionClassificationWatch", {})
    assert (report["version"], report["training_started"]) == (champion(stack, "classification"), False)


def test_commands_read_what_earlier_code_recorded(
    stack: Stack, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (models, runs, status):
        monkeypatch.setattr(module, "connect", lambda *_, **__: stack)
    screen, _ = status.status()
    assert screen["champions"]["classification"].version == champion(stack, "classification")
    ran = {(item["job"]["S"], item["key"]["S"]) for item in recorded.items["Runs"] if item["job"]["S"] in JOBS}
    assert ran
    assert ran <= {(run["job"], run["key"]) for run in runs.runs(last=100)["runs"]}
    assert models.show("classification", champion(stack, "classification"))["status"] == "champion"


def test_a_later_file_continues_a_history_and_the_next_training_takes_over(
    stack: Stack, recorded: Recorded, token: str
) -> None:
    before = json.loads(recorded.objects["lake/catalog.json"])["series"]["store-0001"]
    day = f"{before['last_ds'][:8]}{int(before['last_ds'][8:]) + 1:02}"
    stack.lake.put("sales/later.csv", f"series_id,ds,y,open\nstore-0001,{day},5000,1\n".encode())

    def arrived() -> bool:
        run = stack.ledger.get("forecasting-ingest", "sales/later.csv")
        return run is not None and run.outcome == "done"

    until(arrived, "the file")
    listed = {one["series_id"]: one for one in get(stack, token, "/v1/series?limit=100")["items"]}
    assert listed["store-0001"]["observations"] == before["observations"] + 1
    old = champion(stack, "forecasting")
    ended = finished(stack, start(stack, "ForecastingStateMachine", {}), 300)
    assert ended["status"] == "published"
    new = champion(stack, "forecasting")
    assert new != old
    for name in listed:
        answer = get(stack, token, f"/v1/series/{name}/forecast?horizon={HORIZON}")
        assert answer["points"]
    pointer = stack.registry.champion("forecasting")
    assert pointer is not None
    assert pointer.previous == old


def test_nothing_that_was_recorded_is_lost(stack: Stack, recorded: Recorded) -> None:
    changing = ("lake/catalog", "lake/history/store-0001", "lake/scored/reports", "lake/anomalies/days")
    now = state.objects(stack)
    lost = [name for name, body in recorded.objects.items() if now.get(name) != body and not name.startswith(changing)]
    assert lost == []
    assert {name for name in recorded.objects if name not in now} == set()
