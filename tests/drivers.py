"""What suites do to a deployed stack: send, train, wait, and look at what came out."""

from collections.abc import Callable
from typing import Any

from cli.stack import Stack, wait
from functions.classification.contracts import LEAF
from functions.classification.simulate import customers
from functions.classification.store import stored_model
from tests.tables import as_parquet

POISON = ["not json", "[]", '{"event_id": "e", "user_id": "u", "observed_at": "yesterday", "features": {}}']


def train(stack: Stack) -> Any:
    """Train the classifier, and return the model that answers."""
    stack.lake.put("customers/queue-test.parquet", as_parquet(customers(2_000, 0)))
    stack.invoke("FunctionClassificationTrain", {"reason": "test"})
    champion = stack.registry.champion(LEAF)
    assert champion is not None
    return stored_model(stack.registry, champion.version)


def send(stack: Stack, bodies: list[str]) -> None:
    """Send the bodies to the queue of events."""
    for first in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[first : first + 10])]
        stack.client("sqs").send_message_batch(QueueUrl=stack.outputs["ClassificationQueue"], Entries=entries)


def stored(stack: Stack, prefix: str) -> dict[str, dict[str, Any]]:
    """Results by user, of users whose id begins so."""
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


def until(value: Callable[[], Any], what: str, patience: float = 300.0) -> Any:
    """The first value that is true. Raises UnavailableError after `patience` seconds."""
    return wait(value, what, patience)
