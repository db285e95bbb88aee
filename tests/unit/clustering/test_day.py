"""A day through fit, label and publish, over stores in memory."""

import io
import json
import math
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.clustering import simulate, store
from functions.clustering.contracts import DayRequest, FitAnswer, Source
from functions.clustering.domain.report import against_usual, cells, histogram
from functions.clustering.store import Paths
from layers.runtime.errors import ConflictError, CorruptError, InputError
from tests.clustering import DAY, World, key, rides
from tests.tables import as_parquet


def test_a_day_is_fitted_on_the_days_before_it_labelled_and_published() -> None:
    world = World()
    world.lake.put(key(DAY - timedelta(days=1)), rides(2_000, seed=1))
    world.lake.put(key(DAY), rides(1_500))
    ended = world.run()
    assert ended["status"] == "published"
    truth = world.truth()
    assert truth is not None
    manifest, rows = truth
    assert manifest.rides == rows.num_rows == 1_500
    assert manifest.anomalies == sum(rows["is_anomaly"].to_pylist()) > 0
    assert manifest.sampled_from == "window"
    assert set(rows["run_id"].to_pylist()) == {manifest.run_id}
    assert set(rows["model_version"].to_pylist()) == {manifest.model_version}
    reports = {o.key.rsplit("/", 1)[-1] for o in world.lake.list(Paths(DAY, manifest.run_id).reports)}
    assert reports == {"rejected.parquet", "summary.json", "plot.png", "plot.json", "flagged.json"}
    (row,) = world.registry.versions("clustering")
    left = timedelta(seconds=row["expires_at"] - world.clock().timestamp())
    assert timedelta(days=29) < left <= timedelta(days=30)


@pytest.mark.parametrize(("possible", "warned"), [(400.0, False), (200.0, True)])
def test_a_speed_that_is_usual_for_the_possible_one_of_the_settings_is_not_warned_of(
    possible: float, warned: bool
) -> None:
    world = World(max_speed_kmh=possible)
    km = np.linspace(100, 300, 400)
    trains = {"ride_id": list(map(str, range(400))), "ride_dist": km, "ride_time": km / 180}
    world.lake.put(key(DAY), as_parquet(pa.table(trains)))
    assert world.run()["status"] == "published"
    truth = world.truth()
    assert truth is not None
    summary = json.loads(world.lake.get(Paths(DAY, truth[0].run_id).reports + "summary.json"))
    assert any("median speed" in warning for warning in summary["warnings"]) == warned


def test_a_run_publishes_its_most_severe_rides_and_the_days_picture() -> None:
    world = World(item_mb=0)
    for name, rows in (("a", 40_000), ("b", 30_000)):
        ids = pa.array([f"{name}/{i}" for i in range(rows)])
        world.lake.put(key(DAY, name), as_parquet(simulate.rides(rows, ord(name)).set_column(0, "ride_id", ids)))
    world.run()
    truth = world.truth()
    assert truth is not None
    manifest, rows = truth
    flags, plot = (
        json.loads(world.lake.get(Paths(DAY, manifest.run_id).reports + name)) for name in ("flagged.json", "plot.json")
    )
    flagged = sorted((row for row in rows.to_pylist() if row["is_anomaly"]), key=lambda row: -row["severity"])
    assert len(flagged) > len(flags) == 1_000
    assert [flag["severity"] for flag in flags] == [row["severity"] for row in flagged[:1_000]]
    known = {row["ride_id"]: row["reason"] for row in flagged}
    assert all(known[flag["ride_id"]] == flag["reason"] for flag in flags)
    read = {
        ride["ride_id"]: ride
        for name in "ab"
        for ride in pq.read_table(io.BytesIO(world.lake.get(key(DAY, name)))).to_pylist()
    }
    assert all(flag[name] == read[flag["ride_id"]][name] for flag in flags for name in ("ride_dist", "ride_time"))
    assert [sum(cell[i] for cell in plot["cells"]) for i in (2, 3)] == [
        manifest.rides - manifest.anomalies,
        manifest.anomalies,
    ]
    assert 0 < len(plot["sample"]) <= 2_000
    drawn = {
        (math.floor(8 * math.log10(km)), math.floor(8 * math.log10(60 * hours))) for km, hours, _ in plot["sample"]
    }
    assert len(drawn - {(i, j) for i, j, *_ in plot["cells"]}) < 0.1 * len(drawn)  # the sample has four digits


def test_the_manifest_of_a_day_far_from_its_usual_share_says_so() -> None:
    world = World()
    days = [DAY - timedelta(days=back) for back in (4, 3, 2, 1, 0)]
    for seed, day in enumerate(days):
        table = simulate.rides(1_500, seed)
        slow = pa.array(np.where(np.arange(1_500) < 300 * (day == DAY), 20.0, 1.0) * table["ride_time"].to_numpy())
        world.lake.put(key(day), as_parquet(table.set_column(2, "ride_time", slow)))
        assert world.run(day)["status"] == "published"
    told = [world.truth(day)[0] for day in days]
    assert [one.usual_share for one in told[:3]] == [None] * 3
    assert told[3].usual_share == sorted(one.anomalies / one.rides for one in told[:3])[1]
    assert [one.far_from_usual for one in told] == [None, None, None, None, "high"]


@pytest.mark.parametrize(
    ("rides", "anomalies", "far"),
    [(10_000, 500, None), (10_000, 749, None), (10_000, 750, "high"), (10_000, 333, "low"), (40, 4, None)],
)
def test_a_day_is_far_from_usual_by_half_or_more_and_by_more_than_chance(rides: int, anomalies: int, far: str) -> None:
    assert against_usual(rides, anomalies, [0.01, 0.05, 0.09]) == (0.05, far)
    assert against_usual(rides, anomalies, [0.05, 0.05]) == (None, None)


def test_rides_beyond_the_picture_are_counted_at_its_edge() -> None:
    dist, time = np.array([1e-9, 1e5, 1.0, 1.0]), np.array([1e-9, 1e4, 1 / 60, 1 / 60])
    found = cells(histogram(dist, time, np.array([True, True, False, True])))
    assert found == [(-24, -16, 0, 1), (0, 0, 1, 1), (40, 46, 0, 1)]


def test_the_same_day_again_does_nothing_and_new_input_makes_a_new_truth() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    world.run()
    first, before = world.truth(), dict(world.lake.bodies)
    assert world.run() == {"status": "skipped"}
    assert world.lake.bodies == before
    world.lake.put(key(DAY, "late.parquet"), rides(1_000, seed=5))
    assert world.run()["status"] == "published"
    second = world.truth()
    assert first is not None
    assert second is not None
    assert second[0].run_id != first[0].run_id
    assert (first[0].rides, second[0].rides, second[1].num_rows) == (1_200, 2_200, 2_200)
    assert world.run(force=True, execution="by hand")["status"] == "published"


def test_objects_of_a_replaced_run_are_tagged_and_those_of_the_truth_are_not() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    world.run()
    first = world.truth()
    world.lake.put(key(DAY), rides(1_100, seed=2))
    world.run()
    second = world.truth()
    assert first is not None
    assert second is not None
    results = [k for k in world.lake.bodies if k.startswith(("anomalies/runs", "anomalies/reports"))]
    for name in results:
        tagged = world.lake.tags.get(name) == {"superseded": "true"}
        assert tagged == (first[0].run_id in name)
        assert tagged != (second[0].run_id in name)
    assert not any(name.startswith(("rides/", "anomalies/days/")) for name in world.lake.tags)


def test_two_at_once_end_as_one() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    one, two = (world.fitting.fit(DayRequest(dt=DAY)) for _ in range(2))
    assert (one.status, two.status) == ("planned", "skipped")
    assert one.run_id == two.run_id
    assert world.after(one)["status"] == "published"


def test_a_run_whose_lease_was_taken_over_leaves_the_truth_to_the_other() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    slow = world.fitting.fit(DayRequest(dt=DAY))
    world.clock.skip(timedelta(hours=2))
    quick = world.fitting.fit(DayRequest(dt=DAY))
    assert quick.status == "planned"
    world.after(quick)
    truth = world.truth()
    assert world.after(slow)["status"] == "taken over"
    assert world.truth() == truth
    assert truth is not None
    assert truth[0].run_id == quick.run_id
    assert world.publishing.publish(slow.model_copy(update={"error": {"Error": "late"}}))["status"] == "taken over"
    assert not any(truth[0].run_id in name for name in world.lake.tags if not name.startswith("plans/"))


def test_a_retried_call_of_one_execution_takes_its_own_run_over_at_once() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    died = world.fitting.fit(DayRequest(dt=DAY, execution="e-1"))
    other = world.fitting.fit(DayRequest(dt=DAY, execution="e-2"))
    again = world.fitting.fit(DayRequest(dt=DAY, execution="e-1"))
    assert (other.status, again.status) == ("skipped", "planned")
    assert again.run_id != died.run_id


def test_publishing_twice_is_harmless() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    answer = world.fitting.fit(DayRequest(dt=DAY))
    world.after(answer)
    before, row = dict(world.lake.bodies), world.ledger.get("clustering", str(DAY))
    assert world.publishing.publish(answer)["status"] == "published"
    assert world.lake.bodies == before
    assert world.ledger.get("clustering", str(DAY)) == row


def test_a_day_without_data_is_a_recorded_outcome_and_keeps_the_truth() -> None:
    world = World()
    world.lake.put(key(DAY - timedelta(days=1)), rides(2_000, seed=1))
    assert world.run() == {"status": "empty"}
    row = world.ledger.get("clustering", str(DAY))
    assert row is not None
    assert row.outcome == "empty"
    assert world.truth() is None
    world.lake.put(key(DAY), rides(1_200))
    assert world.run()["status"] == "published"
    world.lake.delete(key(DAY))
    truth = world.truth()
    assert world.run() == {"status": "empty"}
    assert world.truth() == truth


def test_before_the_first_ride_of_all_days_a_day_is_idle_and_nothing_was_missed() -> None:
    world = World()
    assert world.run() == {"status": "idle"}
    row = world.ledger.get("clustering", str(DAY))
    assert row is not None
    assert (row.outcome, row.detail) == ("idle", "no rides yet")


def test_a_day_whose_only_object_is_truncated_keeps_its_truth_and_says_why() -> None:
    world = World()
    world.lake.put(key(DAY - timedelta(days=1)), rides(2_000, seed=1))
    world.lake.put(key(DAY), rides(1_200))
    assert world.run()["status"] == "published"
    truth = world.truth()
    world.lake.put(key(DAY), rides(1_200)[:9_000])
    assert world.run()["status"] == "empty"
    assert world.truth() == truth
    row = world.ledger.get("clustering", str(DAY))
    assert row is not None
    assert (row.outcome, row.counts) == ("empty", {"rejected": 1, "files": 1})
    (told,) = pq.read_table(io.BytesIO(world.lake.get(row.detail.split()[3]))).to_pylist()
    assert told["reason"].startswith("cannot be read as Parquet")
    world.lake.put(key(DAY), rides(1_300))
    assert world.run()["status"] == "published"


@pytest.mark.parametrize("whole", [True, False])
def test_an_object_replaced_between_fit_and_label_fails_the_run_by_name(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(store, "WHOLE_BYTES", 0)
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    answer = world.fitting.fit(DayRequest(dt=DAY))
    world.lake.put(key(DAY), rides(1_100, seed=2))
    with pytest.raises(ConflictError, match=r"a\.parquet was changed"):
        world.after(answer)
    assert world.truth() is None
    assert world.run()["status"] == "published"
    truth = world.truth()
    assert truth is not None
    assert truth[0].rides == 1_100


def test_the_cause_of_an_item_that_failed_is_in_the_runs_row_though_the_map_does_not_know_it() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    answer = world.fitting.fit(DayRequest(dt=DAY))
    (item,) = json.loads(world.lake.get(answer.plan_key))
    cause = {"errorMessage": f"{key(DAY)} was changed by somebody else", "errorType": "ConflictError"}
    failed = item | {"error": {"Error": "ConflictError", "Cause": json.dumps(cause)}}
    assert world.publishing.publish(FitAnswer.model_validate(failed))["status"] == "failed"
    of_map = {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "The specified threshold was exceeded"}
    assert world.publishing.publish(answer.model_copy(update={"error": of_map}))["status"] == "failed"
    row = world.ledger.get("clustering", str(DAY))
    assert row is not None
    assert (row.outcome, row.detail) == ("failed", f"ConflictError: {key(DAY)} was changed by somebody else")


def test_a_failed_item_fails_the_run_and_the_previous_truth_stays() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    world.run()
    truth = world.truth()
    world.lake.put(key(DAY, "b.parquet"), rides(1_000, seed=3))
    answer = world.fitting.fit(DayRequest(dt=DAY))
    ended = world.publishing.publish(answer.model_copy(update={"error": {"Error": "States.Timeout", "Cause": "x"}}))
    assert ended["status"] == "failed"
    row = world.ledger.get("clustering", str(DAY))
    assert row is not None
    assert (row.outcome, row.detail) == ("failed", "States.Timeout")
    assert world.truth() == truth
    assert world.run()["status"] == "published"


def test_a_missing_part_fails_the_run() -> None:
    world = World()
    world.lake.put(key(DAY), rides(1_200))
    answer = world.fitting.fit(DayRequest(dt=DAY))
    with pytest.raises(CorruptError):
        world.publishing.publish(answer)
    assert world.truth() is None


def test_bad_files_and_rows_are_rejected_with_a_reason_and_stop_nothing() -> None:
    world = World(item_objects=2)
    good = rides(1_200)
    world.lake.put(key(DAY, "a.parquet"), good)
    world.lake.put(
        key(DAY, "b.csv"), b"ride_id,ride_dist,ride_time\nx,3.5,0.1\ny,0,0.1\nz,-1,0.1\nx,3,0.2\nw,nan,0.1\nq,inf,1\n"
    )
    world.lake.put(key(DAY, "c.parquet"), good[: len(good) // 2])
    world.lake.put(key(DAY, "d.csv"), b"ride_id,ride_time\n1,2\n")
    world.lake.put(key(DAY, "e.json"), b"{}")
    world.lake.put(key(DAY, "f.csv"), b"")
    world.lake.put(key(DAY, "_SUCCESS"), b"")
    assert world.run()["status"] == "published"
    truth = world.truth()
    assert truth is not None
    manifest, rows = truth
    assert (manifest.rides, manifest.rejected, manifest.files) == (1_201, 5 + 4, 6)
    assert rows.num_rows == 1_201
    body = world.lake.get(Paths(DAY, manifest.run_id).reports + "rejected.parquet")
    rejected = {(r["file"].rsplit("/")[-1], r["row"]): r["reason"] for r in pq.read_table(io.BytesIO(body)).to_pylist()}
    assert rejected["b.csv", 1] == "distance is zero"
    assert rejected["b.csv", 3] == "ride_id comes a second time in this file"
    assert rejected["c.parquet", None].startswith("cannot be read as Parquet")
    assert rejected["d.csv", None].startswith("ride_dist: has no such column")
    assert rejected["f.csv", None] == "is empty"


def test_a_day_of_unreadable_files_only_is_empty() -> None:
    world = World()
    world.lake.put(key(DAY), b"PAR1 nothing")
    assert world.run() == {"status": "empty"}


def test_large_parquet_is_split_by_row_group_and_every_ride_is_labelled_once() -> None:
    world = World(item_mb=0)
    table = simulate.rides(5_000, 4)
    # The last row repeats the id of the first, which another call labels.
    table = table.set_column(
        0, "ride_id", pa.chunked_array([[*table["ride_id"].to_pylist()[:-1], table["ride_id"][0].as_py()]])
    )
    world.lake.put(key(DAY), as_parquet(table, row_group_size=500))
    answer = world.fitting.fit(DayRequest(dt=DAY))
    assert len(json.loads(world.lake.get(answer.plan_key))) == 10
    assert world.after(answer)["status"] == "published"
    truth = world.truth()
    assert truth is not None
    assert (truth[0].rides, truth[0].rejected) == (4_999, 1)
    assert truth[1]["ride_id"].to_pylist() == table["ride_id"].to_pylist()[:-1]
    body = world.lake.get(Paths(DAY, truth[0].run_id).reports + "rejected.parquet")
    assert pq.read_table(io.BytesIO(body)).to_pylist() == [
        {"file": key(DAY), "row": 4_999, "reason": "ride_id comes a second time in this file"}
    ]


def test_ten_thousand_small_objects_become_few_items_and_no_footer_is_read() -> None:
    world = World()
    world.lake.put(key(DAY - timedelta(days=1)), rides(2_000, seed=1))
    for i in range(10_000):
        world.lake.put(key(DAY, f"{i:05}.parquet"), b"x" * 100)
    world.lake.open = None  # reading one would fail
    items = json.loads(world.lake.get(world.fitting.fit(DayRequest(dt=DAY)).plan_key))
    assert sum(len(item["sources"]) for item in items) == 10_000
    assert len(items) == 20


def test_without_enough_rides_in_the_window_the_day_itself_is_sampled_and_the_manifest_says_so() -> None:
    world = World()
    world.lake.put(key(DAY - timedelta(days=1)), rides(999))
    world.lake.put(key(DAY), rides(1_200))
    world.run()
    truth = world.truth()
    assert truth is not None
    assert truth[0].sampled_from == "day"


def test_the_window_ends_before_the_day_and_is_read_within_its_budget() -> None:
    world = World(window_max_mb=1)
    for back in (1, 28, 29):
        world.lake.put(key(DAY - timedelta(days=back)), rides(1_500, seed=back))
    read: list[str] = []
    inner = world.lake.get
    world.lake.get = lambda name, **planned: read.append(name) or inner(name, **planned)  # type: ignore[func-returns-value]
    world.lake.put(key(DAY), rides(1_200))
    world.fitting.fit(DayRequest(dt=DAY))
    assert sorted(read) == [key(DAY - timedelta(days=back)) for back in (28, 1)]
    for i in range(60):
        world.lake.put(key(DAY - timedelta(days=2), f"{i}.parquet"), rides(1_500, seed=i))
    read.clear()
    world.clock.skip(timedelta(hours=2))
    world.fitting.fit(DayRequest(dt=DAY))
    assert sum(len(world.lake.bodies[name]) for name in read) <= 1 << 20
    assert len(set(read)) == len(read) > 10


@pytest.mark.parametrize(
    ("event", "day"),
    [
        ({"scheduled_at": "2026-03-15T03:00:00Z"}, "2026-03-14"),
        ({"scheduled_at": "2026-03-15T03:00:00+00:00"}, "2026-03-14"),
        ({"dt": "2026-01-02"}, "2026-01-02"),
    ],
)
def test_the_day_meant_is_the_one_before_the_scheduled_time(event: dict[str, str], day: str) -> None:
    assert str(DayRequest.model_validate(event).day("UTC")) == day


def test_the_day_is_a_day_of_the_schedules_zone() -> None:
    request = DayRequest.model_validate({"scheduled_at": "2026-03-15T07:30:00Z"})
    assert str(request.day("America/Los_Angeles")) == "2026-03-14"
    assert (
        str(DayRequest.model_validate({"scheduled_at": "2026-03-15T06:30:00Z"}).day("America/Los_Angeles"))
        == "2026-03-13"
    )


def test_an_event_without_a_day_is_refused() -> None:
    with pytest.raises(InputError):
        World().fitting.fit(DayRequest())


def test_an_object_replaced_while_it_is_read_is_no_mixture_and_no_rejected_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "WHOLE_BYTES", 0)
    world, table = World(), simulate.rides(400_000, 4)
    world.lake.put(key(DAY), as_parquet(table, row_group_size=50_000))
    (info,) = world.lake.list(key(DAY))
    source = Source(key=info.key, size=info.size, etag=info.etag)
    with store.opened(world.lake, source, world.settings) as file:
        chunks = file.rides()
        assert len(next(chunks)) == 100_000
        world.lake.put(key(DAY), as_parquet(table.slice(1), row_group_size=50_000))
        with pytest.raises(ConflictError, match=r"a\.parquet was changed"):
            list(chunks)


def test_a_deployment_says_what_its_files_call_our_columns() -> None:
    table = pq.read_table(io.BytesIO(rides(1_200)))
    table = table.rename_columns({"ride_dist": "trip_km", "ride_time": "hours"})
    world = World(columns="ride_dist=trip_km,ride_time=hours")
    world.lake.put(key(DAY), as_parquet(table))
    assert world.run()["status"] == "published"
    world = World(columns="ride_dist=trip_km,ride_time=h")
    world.lake.put(key(DAY), as_parquet(table))
    assert world.run()["status"] == "empty"
    ended = world.ledger.get("clustering", str(DAY))
    assert ended is not None
    assert f"{key(DAY)}: h: has no such column; it has ride_id, trip_km, hours" in ended.detail


def test_a_ride_id_is_the_same_with_and_without_spaces_around_it() -> None:
    world = World()
    lines = [f" r{i} ,{2 + i % 7},0.{20 + i % 60}" for i in range(1_200)]
    world.lake.put(key(DAY, "a.csv"), "\n".join(["ride_id,ride_dist,ride_time", *lines]).encode())
    world.run()
    truth = world.truth()
    assert truth is not None
    assert set(truth[1]["ride_id"].to_pylist()) == {f"r{i}" for i in range(1_200)}
