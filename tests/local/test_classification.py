"""Messages through the queue: one result per user whatever comes twice or late; poison is set aside with its reason."""

import json
import os
import random
import time
from datetime import timedelta
from typing import Any

from cli.stack import Stack
from functions.classification.contracts import LEAF
from functions.classification.domain.schema import encode
from functions.classification.simulate import customers, events
from functions.classification.store import stored_model
from tests.tables import as_parquet

# The full run of ten thousand takes minutes through the emulator's batches of ten: TREFOIL_TEST_MESSAGES=10000.
MESSAGES = int(os.environ.get("TREFOIL_TEST_MESSAGES", "600"))
POISON = ["not json", "[]", '{"event_id": "e", "user_id": "u", "observed_at": "yesterday", "features": {}}']


def train(stack: Stack) -> Any:
    stack.lake.put("customers/queue-test.parquet", as_parquet(customers(2_000, 0)))
    stack.invoke("FunctionClassificationTrain", {"reason": "test"})
    champion = stack.registry.champion(LEAF)
    assert champion is not None
    return stored_model(stack.registry, champion.version)


def send(stack: Stack, bodies: list[str]) -> None:
    for first in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[first : first + 10])]
        stack.client("sqs").send_message_batch(QueueUrl=stack.outputs["ClassificationQueue"], Entries=entries)


def stored(stack: Stack, prefix: str) -> dict[str, dict[str, Any]]:
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["ClassificationsTable"])
    items = [item for page in pages for item in page["Items"] if item["user_id"]["S"].startswith(prefix)]
    return {item["user_id"]["S"]: item for item in items}


def letters(stack: Stack) -> list[tuple[str, str]]:
    """Body and reason of each dead letter."""
    found: dict[str, tuple[str, str]] = {}
    url, empty = stack.outputs["ClassificationDeadLetters"], 0
    while empty < 3:
        answer = stack.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
        )
        for message in answer.get("Messages", ()):
            reason = message["MessageAttributes"]["reason"]["StringValue"]
            found[message["MessageId"]] = (message["Body"], reason)
        empty = 0 if answer.get("Messages") else empty + 1
    return list(found.values())


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
    end = time.monotonic() + 120 + MESSAGES / 20
    found: dict[str, str] = {}
    while found != expected and time.monotonic() < end:
        time.sleep(1)
        found = {user: item["event_id"]["S"] for user, item in stored(stack, "queue-").items()}
    assert found == expected

    features = model.specification.features
    inputs, _ = encode({f.name: [event["features"][f.name] for event in newest.values()] for f in features}, features)
    items = stored(stack, "queue-")
    for user, probability in zip(newest, model.score(inputs), strict=True):
        assert abs(float(items[user]["probability"]["N"]) - probability) < 1e-12
    refused = letters(stack)
    while len(refused) < bad and time.monotonic() < end:
        refused += letters(stack)
    assert sorted(body for body, _ in refused) == sorted(body for body in bodies if body in POISON)
    assert all(reason for _, reason in refused)
