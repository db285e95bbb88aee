"""Outcomes join what was scored: in a bounded time, whatever lies there, and counted once."""

import gzip
import json
import time
from datetime import timedelta
from typing import Any

from functions.classification import store
from layers.storage.objects import S3Objects
from tests.classification import NOW, Cloud, Started, score, tell_outcomes, watch
from tests.fakes import InMemoryObjects

DAYS = store.days_until(NOW.date(), 56)


class SlowLake(InMemoryObjects):
    """Each read takes its time, as S3's do, and is remembered; so is each listing."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds, self.reads, self.lists = seconds, list[str](), list[str]()

    def get(self, key: str) -> bytes:
        self.reads.append(key)
        time.sleep(self.seconds)
        return super().get(key)

    def list(self, prefix: str, *, after: str = "") -> Any:
        self.lists.append(prefix)
        return super().list(prefix, after=after)


def event(i: int, day: Any = NOW) -> dict[str, Any]:
    return {
        "event_id": f"e{i}", "user_id": f"u{i}", "observed_at": f"{day:%Y-%m-%dT%H:%M:%S.%f}Z",
        "features": {"age": i}, "probability": 0.5, "segment": "nurture", "model_version": "v",
    }  # fmt: skip


def put_scored(lake: InMemoryObjects, objects: int, day: Any = NOW, first: int = 0) -> None:
    for i in range(first, first + objects):
        body = gzip.compress(json.dumps(event(i, day)).encode(), 1)
        lake.put(f"scored/dt={day.date()}/{i * 2654435761 % 2**32:08x}.jsonl.gz", body)


def put_outcomes(lake: InMemoryObjects, events: int, day: Any = NOW, first: int = 0) -> None:
    lines = [
        json.dumps({k: event(i, day)[k] for k in ("user_id", "observed_at")} | {"outcome": "yes"})
        for i in range(first, first + events)
    ]
    lake.put(f"outcomes/dt={day.date()}/{first}.jsonl", "\n".join(lines).encode())


def test_a_broken_object_costs_its_own_rows_and_no_others() -> None:
    lake = InMemoryObjects()
    put_scored(lake, 5)
    put_outcomes(lake, 5)
    keys = [key for key in lake.bodies if key.startswith("scored/")]
    lake.bodies[keys[0]] = lake.bodies[keys[0]][:-9]
    lake.bodies[keys[1]] = gzip.compress(b'{"other": 1}')
    lake.bodies[f"outcomes/dt={NOW.date()}/x.jsonl"] = b"\xff\xfe not json"
    assert len(store.join_outcomes(lake, DAYS)) == 3


def test_objects_are_read_side_by_side() -> None:
    lake = SlowLake(0.02)
    put_scored(lake, 640)
    put_outcomes(lake, 640)
    started = time.monotonic()
    assert len(store.join_outcomes(lake, DAYS)) == 640
    assert time.monotonic() - started < 640 * 0.02 / 4


def test_of_more_objects_than_may_be_read_each_day_gives_its_share() -> None:
    lake = SlowLake()
    days = [NOW - timedelta(days=back) for back in (0, 1, 2)]
    for i, (day, objects) in enumerate(zip(days, (10, 300, 300), strict=True)):
        put_scored(lake, objects, day, first=1_000 * i)
        put_outcomes(lake, objects, day, first=1_000 * i)
    joined = store.join_outcomes(lake, DAYS, objects=210)
    per_day = [sum(row.observed_at[:10] == str(day.date()) for row in joined) for day in days]
    assert per_day == [10, 100, 100]
    assert sum(key.startswith("scored/") for key in lake.reads) == 210


def test_reading_ends_with_the_time_that_there_is() -> None:
    lake = SlowLake(0.02)
    put_scored(lake, 3_200)
    put_outcomes(lake, 3_200)
    joined = store.join_outcomes(lake, DAYS, until=time.monotonic() + 0.5)
    assert 0 < len(joined) < 3_200


def test_a_medium_day_of_scored_objects_is_joined_in_the_time_of_the_watch() -> None:
    lake = InMemoryObjects()
    put_scored(lake, 46_000)
    put_outcomes(lake, 46_000)
    started = time.monotonic()
    assert len(store.join_outcomes(lake, DAYS)) == 46_000
    waiting = 46_000 * 0.03 / store.READERS  # 30 ms each on S3
    assert time.monotonic() - started + waiting < 0.8 * 900


def test_the_watch_lists_once_an_hour_while_no_outcome_comes(cloud: Cloud) -> None:
    cloud.lake = SlowLake()
    table, start = score(cloud, 0.0)
    tell_outcomes(cloud, table, start, 100)
    watch(cloud)
    cloud.lake.lists.clear()
    watch(cloud)
    assert cloud.lake.lists == ["outcomes/dt="]


def test_one_listing_leaves_out_the_days_before() -> None:
    lake = SlowLake()
    for back in (-1, 0, 55, 56, 400):
        put_outcomes(lake, 1, NOW - timedelta(days=back))
    found = [info.key[12:22] for info in store.outcome_objects(lake, DAYS)]
    assert found == [str((NOW - timedelta(days=back)).date()) for back in (55, 0, -1)]


def test_outcomes_that_the_last_training_knew_do_not_start_another(cloud: Cloud) -> None:
    cloud.lake.clock = lambda: cloud.now
    table, start = score(cloud, 0.0)
    cloud.now -= timedelta(hours=1)
    tell_outcomes(cloud, table, start, 500)
    cloud.now += timedelta(hours=1)
    trainer = Started()
    assert watch(cloud, trainer, retrain_outcomes=500)["new_outcomes"] == 0
    assert trainer.reasons == []


def test_a_candidate_that_was_not_promoted_was_a_training_too(cloud: Cloud) -> None:
    cloud.lake.clock = lambda: cloud.now
    table, start = score(cloud, 0.0)
    cloud.now += timedelta(hours=1)
    tell_outcomes(cloud, table, start, 500)
    assert "500 outcomes" in watch(cloud, retrain_outcomes=500)["reason"]
    cloud.now += timedelta(hours=1)
    cloud.registry.publish("classification", "refused", {}, data_hash="d")
    assert watch(cloud, retrain_outcomes=500)["new_outcomes"] == 0


def test_s3_lists_from_where_it_is_told_and_tells_when_an_object_was_written() -> None:
    asked = {}

    class Pages:
        def paginate(self, **arguments: Any) -> Any:
            asked.update(arguments)
            return [{"Contents": [{"Key": "a/2", "Size": 1, "ETag": '"e"', "LastModified": NOW}]}]

    class Client:
        def get_paginator(self, _: str) -> Pages:
            return Pages()

    (info,) = S3Objects("bucket", Client()).list("a/", after="a/1")
    assert (asked["Prefix"], asked["StartAfter"], info.modified) == ("a/", "a/1", NOW)
