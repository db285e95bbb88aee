"""Ten thousand messages, a tenth twice, shuffled, one in a hundred beyond help."""

import json
import random
from datetime import timedelta

import pytest

from functions.classification.domain.schema import encode
from functions.classification.simulate import customers, events
from tests.classification import records

POISON = ["not json", "[]", "{}", '{"event_id": "e", "user_id": "u", "observed_at": "yesterday", "features": {}}']


def test_each_user_has_the_result_of_the_newest_event_and_all_poison_is_set_aside(cloud, package):
    draw = random.Random(5)
    good = events(customers(9_900, seed=8), users=6_000, every=timedelta(milliseconds=700))
    bodies = [*good, *draw.sample(good, 990), *(POISON[i % len(POISON)] for i in range(100))]
    draw.shuffle(bodies)
    messages = records(bodies)
    service = cloud.scoring()
    for first in range(0, len(messages), 1_000):
        assert service.score(messages[first : first + 1_000], lambda: 60.0) == []

    newest = {}
    for event in map(json.loads, good):
        if event["user_id"] not in newest or newest[event["user_id"]]["observed_at"] < event["observed_at"]:
            newest[event["user_id"]] = event
    stored = {item["user_id"]: item for item in cloud.results.items.values()}
    assert {user: item["event_id"] for user, item in stored.items()} == {
        user: event["event_id"] for user, event in newest.items()
    }
    features = package.trained.model.specification.features
    inputs, _ = encode({f.name: [event["features"][f.name] for event in newest.values()] for f in features}, features)
    assert [stored[user]["probability"] for user in newest] == pytest.approx(package.trained.model.score(inputs))
    refused = sorted(letter.message_id for letter in cloud.dead_letters.letters)
    assert refused == sorted(message["messageId"] for message in messages if message["body"] in POISON)
