import gzip
import json
import random
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from functions.classification.contracts import Feature
from functions.classification.domain import drift
from functions.classification.domain.schema import encode
from functions.classification.simulate import customers, events
from layers.runtime.errors import UnavailableError
from tests.classification import NOW, Cloud, SentLetters, records
from tests.fakes import InMemoryTable


def minutes(_: float = 60.0) -> float:
    return 60.0


def changed(body: str, **fields) -> str:
    event = json.loads(body)
    event["features"] |= fields.pop("features", {})
    return json.dumps(event | fields)


def without(body: str, feature: str) -> str:
    event = json.loads(body)
    del event["features"][feature]
    return json.dumps(event)


def test_every_event_of_a_batch_is_classified_once(cloud):
    bodies = events(customers(50, seed=3))
    assert cloud.scoring().score(records(bodies), minutes) == []
    items = list(cloud.results.items.values())
    assert len(items) == 50
    item = cloud.results.get({"user_id": "user-0000000"})
    assert set(item) == {
        "user_id", "observed_at", "event_id", "probability", "segment", "model_version", "classified_at", "expires_at",
        "segment_shard",
    }  # fmt: skip
    assert item["observed_at"] == "2024-01-01T00:00:00.000000Z"
    assert item["classified_at"] == "2024-06-03T12:30:00.000000Z"
    assert 0 <= item["probability"] <= 1


def test_results_equal_scoring_the_features_as_a_file(cloud, package):
    bodies = events(customers(30, seed=4))
    cloud.scoring().score(records(bodies), minutes)
    model = package.trained.model
    features = [json.loads(body)["features"] for body in bodies]
    columns = {f.name: [str(row[f.name]) for row in features] for f in model.specification.features}
    inputs, bad = encode(columns, model.specification.features)
    assert not bad
    stored = [cloud.results.get({"user_id": f"user-{i:07d}"})["probability"] for i in range(30)]
    assert stored == pytest.approx(model.score(inputs), abs=1e-12)


BAD = {
    "not json": "{nonsense",
    "a list": "[]",
    "no user": changed(events(customers(1, seed=0))[0], user_id=""),
    "no offset": changed(events(customers(1, seed=0))[0], observed_at="2024-01-01T00:00:00"),
    "a number for a time": changed(events(customers(1, seed=0))[0], observed_at="1700000000"),
    "out of range": changed(events(customers(1, seed=0))[0], observed_at="0001-01-01T00:00:00+05:00"),
    "future": changed(events(customers(1, seed=0))[0], observed_at=(NOW + timedelta(minutes=6)).isoformat()),
    "missing": without(events(customers(1, seed=0))[0], "age"),
    "text for a number": changed(events(customers(1, seed=0))[0], features={"age": "41"}),
    "boolean for a number": changed(events(customers(1, seed=0))[0], features={"age": True}),
    "null": changed(events(customers(1, seed=0))[0], features={"age": None}),
    "null category": changed(events(customers(1, seed=0))[0], features={"job": None}),
    "number for text": changed(events(customers(1, seed=0))[0], features={"job": 3}),
    "infinite": changed(events(customers(1, seed=0))[0], features={"age": float("inf")}),
    "huge": changed(events(customers(1, seed=0))[0], features={"age": 10**400}),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_message_that_can_never_succeed_is_refused_and_the_rest_kept(cloud, kind):
    good = events(customers(3, seed=5), seed=5)
    assert cloud.scoring().score(records([good[0], BAD[kind], *good[1:]]), minutes) == []
    assert [letter.message_id for letter in cloud.dead_letters.letters] == ["m1"]
    assert cloud.dead_letters.letters[0].body == BAD[kind]
    assert len(cloud.results.items) == 3


def test_the_reason_names_the_feature(cloud):
    cloud.scoring().score(records([BAD["missing"], BAD["text for a number"]]), minutes)
    assert [letter.reason for letter in cloud.dead_letters.letters] == ["age is missing", "age is not a number"]


def test_extra_features_and_unknown_categories_are_scored(cloud):
    body = changed(events(customers(1, seed=0))[0], features={"job": "astronaut", "shoe_size": 44})
    assert cloud.scoring().score(records([body]), minutes) == []
    assert len(cloud.results.items) == 1


def test_a_batch_of_nothing_but_poison_is_acknowledged(cloud):
    assert cloud.scoring().score(records(list(BAD.values())), minutes) == []
    assert len(cloud.dead_letters.letters) == len(BAD)
    assert not cloud.results.items


def test_poison_that_cannot_be_sent_is_delivered_again(cloud):
    cloud.dead_letters.refuses = True
    assert cloud.scoring().score(records(["[]", *events(customers(2, seed=1))]), minutes) == ["m0"]
    assert len(cloud.results.items) == 2


def test_order_and_duplicates_change_nothing(cloud):
    bodies = events(customers(60, seed=6), users=20)
    cloud.scoring().score(records(bodies), minutes)
    expected = {key: item["event_id"] for key, item in cloud.results.items.items()}
    shuffled = [*bodies, *random.Random(0).sample(bodies, 30)]
    random.Random(1).shuffle(shuffled)
    cloud.results.items.clear()
    service = cloud.scoring()
    for start in range(0, 90, 7):
        assert service.score(records(shuffled[start : start + 7], start), minutes) == []
    assert {key: item["event_id"] for key, item in cloud.results.items.items()} == expected


def test_of_two_events_at_the_same_time_the_larger_id_stays(cloud):
    body = events(customers(1, seed=0))[0]
    for event_id in ("b", "c", "a"):
        cloud.scoring().score(records([changed(body, event_id=event_id)]), minutes)
    assert next(iter(cloud.results.items.values()))["event_id"] == "c"


def test_times_compare_across_offsets(cloud):
    body = events(customers(1, seed=0))[0]
    later = changed(body, event_id="later", observed_at="2024-01-01T01:30:00+01:00")
    cloud.scoring().score(records([later, changed(body, observed_at="2024-01-01T00:00:00+00:00")]), minutes)
    assert next(iter(cloud.results.items.values()))["event_id"] == "later"


class BrokenFor(InMemoryTable):
    def __init__(self, user: str) -> None:
        super().__init__("user_id")
        self.user = user

    def put(self, item, *, condition=None):
        if item["user_id"] == self.user:
            raise UnavailableError("slow down")
        super().put(item, condition=condition)


def test_a_result_that_is_not_written_returns_all_messages_of_its_user(cloud):
    table = BrokenFor("user-0000001")
    bodies = events(customers(40, seed=7), users=4)
    failed = cloud.scoring(results=table).score(records(bodies), minutes)
    assert failed == [f"m{i}" for i, body in enumerate(bodies) if json.loads(body)["user_id"] == "user-0000001"]
    assert len(table.items) == 3


def test_past_the_deadline_nothing_is_written_and_everything_returned(cloud):
    bodies = events(customers(5, seed=8))
    assert cloud.scoring().score(records(bodies), lambda: 4.0) == ["m0", "m1", "m2", "m3", "m4"]
    assert not cloud.results.items


def test_what_was_scored_is_kept_once_per_batch(cloud):
    bodies = events(customers(5, seed=9))
    service = cloud.scoring()
    service.score(records(bodies), minutes)
    service.score(list(reversed(records(bodies))), minutes)
    (key,) = [key for key in cloud.lake.bodies if key.startswith("scored/dt=2024-01-01/")]
    lines = [json.loads(line) for line in gzip.decompress(cloud.lake.bodies[key]).splitlines()]
    assert len(lines) == 5
    assert set(lines[0]) == {
        "event_id", "user_id", "observed_at", "features", "probability", "segment", "model_version",
    }  # fmt: skip
    sent = {body["event_id"]: body["features"] for body in map(json.loads, bodies)}
    assert {line["event_id"]: line["features"] for line in lines} == sent


def test_the_profile_counts_every_scored_event(cloud, package):
    cloud.scoring().score(records([*events(customers(20, seed=2)), "[]"]), minutes)
    profile = cloud.profiles.get({"model": package.version, "bucket": "2024-06-03T12"})
    assert profile["n"] == 20
    ages = sum(count for name, count in profile.items() if name.startswith("f0_"))
    assert ages == 20


def test_what_was_sent_is_kept_for_a_later_model_that_knows_more_columns(cloud):
    body = changed(events(customers(1, seed=0))[0], features={"channel": "web", "visits": 3, "nested": {"a": 1}})
    cloud.scoring().score(records([body]), minutes)
    (key,) = [key for key in cloud.lake.bodies if key.startswith("scored/")]
    kept = json.loads(gzip.decompress(cloud.lake.bodies[key]))["features"]
    assert (kept["channel"], kept["visits"]) == ("web", 3)
    assert "nested" not in kept


def test_messages_before_the_first_champion_wait_without_using_up_their_five_tries():
    cloud = Cloud()
    batch = records(events(customers(3, seed=0)))
    batch.append({"messageId": "large", "body": "x" * 900_000})
    assert cloud.scoring().score(batch, minutes) == ["large"]
    assert [letter.body for letter in cloud.waiting.letters] == [record["body"] for record in batch[:3]]
    assert cloud.dead_letters.letters == []


def test_messages_that_cannot_be_put_back_are_delivered_again():
    cloud = Cloud(waiting=SentLetters(refuses=True))
    assert cloud.scoring().score(records(events(customers(2, seed=0))), minutes) == ["m0", "m1"]


WRONG_TIMES = {
    "2024-01-01T12:00:60Z": "leap second",
    "2016-12-31T23:59:60+00:00": "leap second",
    "2024-01-01T12:00Z": "has no seconds",
    "2024-01-01T12:00+00:00": "has no seconds",
    "2024-01-01T12:00": "has no seconds",
    "2024-01-01T12:00:00": "has no offset",
    "2024-01-01T12:00:00+05:99": "expected RFC 3339",
    "2024-01-01T12:00:00+0560": "expected RFC 3339",
    "1704110400": "expected RFC 3339",
}


@pytest.mark.parametrize("text", WRONG_TIMES)
def test_a_wrong_time_is_told_by_what_is_wrong_with_it(cloud, text):
    cloud.scoring().score(records([changed(events(customers(1, seed=0))[0], observed_at=text)]), minutes)
    (letter,) = cloud.dead_letters.letters
    assert letter.reason.startswith("observed_at: ")
    assert WRONG_TIMES[text] in letter.reason


@pytest.mark.parametrize("text", ["2024-01-01T12:00:00Z", "2024-01-01t13:00:00.5+01:00", "2024-01-01 12:00:00+00:00"])
def test_every_spelling_of_rfc_3339_is_read(cloud, text):
    cloud.scoring().score(records([changed(events(customers(1, seed=0))[0], observed_at=text)]), minutes)
    (item,) = cloud.results.items.values()
    assert item["observed_at"].startswith("2024-01-01T12:00:00")


def test_an_envelope_of_another_service_is_named(cloud):
    body = events(customers(1, seed=0))[0]
    sns = json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": body})
    bus = json.dumps({"detail-type": "customer", "source": "shop", "detail": json.loads(body)})
    cloud.scoring().score(records([sns, bus]), minutes)
    reasons = [letter.reason for letter in cloud.dead_letters.letters]
    assert reasons[0].startswith("is an envelope of SNS")
    assert "raw message delivery" in reasons[0]
    assert reasons[1].startswith("is an envelope of EventBridge")


def test_many_columns_make_few_updates_a_batch_each_of_a_small_item():
    columns = {f"x{i}": [float(v) for v in np.random.default_rng(i).normal(size=300)] for i in range(500)}
    features = tuple(Feature(name=name, kind="number") for name in columns)
    x, _ = encode(columns, features)
    references = [drift.reference(x[:, i], feature) for i, feature in enumerate(features)]
    p = np.linspace(0, 1, 300)
    known = SimpleNamespace(
        threshold=0.5,
        segments=[SimpleNamespace(name="target", low=0.0)],
        features=features,
        references=references,
        score_reference=drift.reference(p, None),
    )
    number = len(drift.parts(known))
    assert sorted(i for part in drift.parts(known) for i in part) == list(range(500))
    seen = set()
    for turn in range(number):
        chosen = drift.counted_parts(number, turn)
        seen |= set(chosen)
        assert len(chosen) == 4
        for part in chosen:
            counts = drift.counters(x, p, [f"u{i}" for i in range(300)], known, part)
            assert counts["n"] == 300
            assert sum(len(f"#c{i} :c{i}, ") for i in range(len(counts))) < 4_000
    assert seen == set(range(number))
