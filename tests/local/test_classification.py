"""Messages through the queue: one result per user whatever comes twice or late; poison is set aside with its reason."""

import json
import os
import random
from datetime import timedelta
from typing import Any

from cli.queue import send
from cli.stack import Stack
from functions.classification.domain.schema import encode
from functions.classification.simulate import customers, events
from tests.drivers import POISON, letters, stored, train, until

# The full run of ten thousand takes minutes through the emulator's batches of ten: TREFOIL_TEST_MESSAGES=10000.
MESSAGES = int(os.environ.get("TREFOIL_TEST_MESSAGES", "600"))


def test_the_queue_gives_each_user_one_result_and_sets_all_poison_aside(stack: Stack) -> None:
    model = train(stack)
    draw = random.Random(3)
    bad, twice = MESSAGES // 100, MESSAGES // 10
    good = events(customers(MESSAGES - bad - twice, 4), seed=4, users=MESSAGES // 2, every=timedelta(milliseconds=500))
    good = [body.replace('"user-', '"queue-') for body in good]
    bodies = [*good, *draw.sample(good, twice), *(POISON[i % len(POISON)] for i in range(bad))]
    draw.shuffle(bodies)
    send(stack, bodies)

    newest: dict[str, dict[str, Any]] = {}
    for event in sorted(map(json.loads, good), key=lambda event: (event["observed_at"], event["event_id"])):
        newest[event["user_id"]] = event
    expected = {user: event["event_id"] for user, event in newest.items()}

    def arrived() -> dict[str, str]:
        return {user: item["event_id"]["S"] for user, item in stored(stack, "queue-").items()}

    until(lambda: arrived() == expected, "the newest event of every user", 120 + MESSAGES / 20)

    features = model.specification.features
    inputs, _ = encode({f.name: [event["features"][f.name] for event in newest.values()] for f in features}, features)
    items = stored(stack, "queue-")
    for user, probability in zip(newest, model.score(inputs), strict=True):
        # In single precision, and a batch of one is summed in another order than a thousand.
        assert abs(float(items[user]["probability"]["N"]) - probability) < 1e-6
    refused: list[tuple[str, str]] = []

    def complete() -> bool:
        refused.extend(letters(stack))
        return len(refused) >= bad

    until(complete, "the poison")
    assert sorted(body for body, _ in refused) == sorted(body for body in bodies if body in POISON)
    assert all(reason for _, reason in refused)
