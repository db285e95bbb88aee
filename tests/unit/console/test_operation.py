"""Segments and operation over HTTP, from what classification's watch and every leaf's runs left."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.classification.contracts import LEAF
from functions.classification.watch import REPORT
from infra.prices import GB_SECOND
from infra.settings import LEAVES
from layers.storage.ledger import RunLedger
from tests.classification import NOW, Cloud, score, tell_outcomes, watch
from tests.console import Deployment

JOBS = {
    "jobs": "clustering,forecasting,classification-train",
    "keyed": "clustering",
    "trained": "forecasting,classification",
    "gb_second": "0.00002",
    "queues": "ClassificationQueue=q,ClassificationDeadLetters=d,Undelivered=u",
}


class Frozen:
    now = NOW

    def __call__(self) -> Any:
        return self.now


def console(cloud: Cloud) -> Deployment:
    house = Deployment(cloud.lake, Frozen())
    house.registry = cloud.registry
    return house


def test_segments_are_counted_by_day_with_the_champion_its_drift_and_what_came_true(
    cloud: Cloud,
) -> None:
    table, start = score(cloud, 1.0)
    tell_outcomes(cloud, table, start, 500)
    report = watch(cloud, retrain_outcomes=10_000)
    told = console(cloud).call()("/v1/segments")[2]
    champion = cloud.registry.champion(LEAF)
    assert champion is not None
    assert told["champion"]["version"] == told["watch"]["version"] == champion.version
    assert told["champion"]["created_at"]
    for name in ("drift", "chance", "unknown", "realised", "reason"):
        assert told["watch"][name] == report[name]
    assert told["watch"]["realised"][champion.version]
    stored = Counter(item["segment"] for item in cloud.results.items.values())
    assert told["watch"]["segments"] == {str(NOW.date()): {champion.version: dict(stored)}}
    values = {str(value) for value in table["job"].to_pylist()} - {"unknown"} | {"user-0000001"}
    assert not any(value in json.dumps(told) for value in values)


def test_a_curve_tells_how_often_what_was_thought_likely_came_true(cloud: Cloud) -> None:
    table, start = score(cloud, 0.0)
    tell_outcomes(cloud, table, start, 600)
    (week,) = watch(cloud)["realised"][cloud.champion().version].values()
    curve = week["calibration"]
    assert sum(rows for _, _, rows in curve) == week["events"] == 600
    assert sum(rows * share for _, share, rows in curve) == pytest.approx(week["positives"])
    assert sum(rows * mean for mean, _, rows in curve) == pytest.approx(week["expected_positives"])
    assert [int(mean * 10) for mean, _, _ in curve] == sorted({int(mean * 10) for mean, _, _ in curve})
    (told,) = console(cloud).call()("/v1/segments")[2]["watch"]["realised"][cloud.champion().version].values()
    assert told["calibration"] == curve


def test_a_persons_newest_result_is_told_and_nobody_is_named_where_it_could_be_read(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    score(cloud, 0.0)
    house = console(cloud)
    house.results = cloud.results
    call = house.call()

    def ask(body: Any, **more: Any) -> tuple[int, Any]:
        status, _, answer = call("/v1/segments/people", body=body, **more)
        return status, answer

    status, told = ask({"user_id": "user-0000001"})
    item = cloud.results.get({"user_id": "user-0000001"})
    assert item is not None
    assert status == 200
    assert told.pop("explanation") is None
    assert told == {name: value for name, value in item.items() if name not in ("expires_at", "segment_shard")}
    unknown = ask({"user_id": "nobody-knows"})
    house.clock.now += timedelta(days=4_000)
    assert ask({"user_id": "user-0000001"}) == unknown
    assert unknown[0] == 404
    for body in ({}, {"user_id": ""}, {"user_id": "x" * 257}, {"user_id": 7}, {"user_id": "a", "features": {}}, "a"):
        status, answer = ask(body)
        assert (status, answer["field"].partition(".")[0]) == (422, "body")
    assert ask({"user_id": "user-0000001"}, claims=None)[0] == 403
    assert call("/v1/segments/people", "user_id=user-0000001")[0] == 405
    written = json.dumps(unknown) + "".join(capsys.readouterr())
    assert not [name for name in ("user-0000001", "nobody-knows") if name in written]


def test_days_of_before_stay_and_versions_that_answered_that_day_are_counted_beside_the_champion(cloud: Cloud) -> None:
    score(cloud, 0.0)
    first = watch(cloud)["segments"]
    assert watch(cloud)["segments"] == first
    cloud.now += timedelta(days=3)
    assert watch(cloud)["segments"] == first
    kept = json.loads(cloud.lake.get(REPORT))
    today = str(cloud.now.date())
    kept["segments"][today] = {"older": {"target": 2}}
    cloud.lake.put(REPORT, json.dumps(kept).encode())
    cloud.profiles.add({"model": "older", "bucket": f"{cloud.now:%Y-%m-%dT%H}"}, {"g_target": 3, "n": 3})
    assert watch(cloud)["segments"] == first | {today: {"older": {"target": 3}}}
    cloud.now += timedelta(days=40)
    assert watch(cloud)["segments"] == {}


def test_events_before_a_promotion_are_counted_too(cloud: Cloud) -> None:
    score(cloud, 0.0)
    first = cloud.registry.champion(LEAF)
    assert first is not None
    same = cloud.registry.manifest(LEAF, first.version)
    cloud.registry.publish(LEAF, "newer", same.files, data_hash="other", metrics={}, libraries={}, details=same.details)
    cloud.registry.promote(LEAF, "newer", expected=first.version, reason="test")
    assert set(watch(cloud)["segments"][str(NOW.date())]) == {first.version}


@pytest.mark.parametrize("before", [b"{}", b"half", b'{"segments": [1]}', b'{"segments": {"2024-06-02": 5}}'])
def test_a_report_that_cannot_be_read_is_begun_anew(cloud: Cloud, before: bytes) -> None:
    score(cloud, 0.0)
    cloud.lake.put(REPORT, before)
    assert watch(cloud)["segments"][str(NOW.date())]


def test_before_any_model_and_any_watch_there_is_nothing_to_tell(cloud: Cloud) -> None:
    assert Deployment().call()("/v1/segments")[2] == {"champion": None, "watch": None}
    cloud.lake.put(REPORT, b'{"version": "v0", "events": 5, "drift": {"age": 0.1}}')
    told = console(cloud).call()("/v1/segments")[2]["watch"]
    assert (told["version"], told["chance"], told["realised"]) == ("v0", {}, {})


def run(house: Deployment, job: str, outcome: str, *, ago: timedelta, key: str = "2024-06-02") -> None:
    past = RunLedger(house.runs, lambda: house.clock() - ago, memory_mb=0)
    made = past.claim(job, key, fingerprint="f", lease=timedelta(minutes=30)).run
    if outcome != "running":
        past.finish(made, outcome, counts={"rides": 4}, gb_seconds=1.5, detail="why")  # type: ignore[arg-type]


def test_operation_is_what_the_status_command_says() -> None:
    house = Deployment(clock=Frozen(), **JOBS)
    run(house, "clustering", "done", ago=timedelta(hours=20))
    run(house, "clustering", "done", ago=timedelta(days=2), key="2024-06-01")
    house.registry.publish("forecasting", "v1", {"m": b"1"}, data_hash="d", metrics={"mean_skill": 0.2})
    house.registry.promote("forecasting", "v1", expected=None, reason="test")
    good = house.call()("/v1/operation")[2]
    assert (good["healthy"], good["attention"], good["alarms"]) == (True, [], [])
    assert good["queues"] == {"ClassificationQueue": 0, "ClassificationDeadLetters": 0, "Undelivered": 0}
    assert good["runs"]["clustering"]["key"] == "2024-06-02"
    assert good["runs"]["forecasting"] is None
    assert (good["models"]["forecasting"]["figures"], good["models"]["classification"]) == ({"mean_skill": 0.2}, None)
    assert good["yesterday"] == {"clustering": 1.5, "forecasting": 0, "classification-train": 0}
    assert good["dollars"] == {"clustering": pytest.approx(3e-5), "forecasting": 0, "classification-train": 0}

    run(house, "forecasting", "failed", ago=timedelta(hours=1))
    run(house, "clustering", "running", ago=timedelta(hours=3), key="2024-05-01")
    house.queues.send_message(QueueUrl="d", MessageBody="{}")
    house.alarms.ringing += ["trefoil-dev-drift", "trefoil-other-drift", "somebody-elses"]
    bad = house.call()("/v1/operation")[2]
    assert not bad["healthy"]
    assert bad["alarms"] == ["trefoil-dev-drift"]
    told = "\n".join(bad["attention"])
    for said in (
        "forecasting 2024-06-02: why",
        "clustering 2024-05-01: left running",
        "1 messages in",
        "alarm trefoil",
    ):
        assert said in told


def test_the_stack_names_every_job_queue_and_leaf_for_the_console() -> None:
    from tests.templates import resources, templates

    (variables,) = (
        function["Properties"]["Environment"]["Variables"]
        for function in resources(templates()[1], "AWS::Lambda::Function").values()
        if function["Properties"]["ImageConfig"]["Command"] == ["functions.console.handler.api"]
    )
    assert variables["TREFOIL_JOBS"].split(",") == [job for leaf in LEAVES.values() for job in leaf.jobs]
    assert set(variables["TREFOIL_KEYED"].split(",")) == {job for leaf in LEAVES.values() for job in leaf.keyed}
    assert variables["TREFOIL_TRAINED"] == "forecasting,classification"
    assert float(variables["TREFOIL_GB_SECOND"]) == GB_SECOND["x86_64"]
    assert all(name in json.dumps(variables["TREFOIL_QUEUES"]) for name in ("Queue=", "DeadLetters=", "Undelivered="))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EndpointConnectionError(endpoint_url="x"), 503),
        (ClientError({"Error": {"Code": "Throttling"}}, "GetQueueAttributes"), 503),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "GetQueueAttributes"), 500),
    ],
)
def test_what_does_not_answer_is_a_problem_that_names_nothing_of_ours(error: Exception, status: int) -> None:
    class Silent:
        def get_queue_attributes(self, **_: Any) -> Any:
            raise error

    house = Deployment(clock=Frozen(), **JOBS)
    house.queues = Silent()  # type: ignore[assignment]
    answered, headers, body = house.call()("/v1/operation")
    assert (answered, body["status"]) == (status, status)
    assert "queue" not in body["detail"]
    assert ("retry-after" in headers) == (status == 503)
