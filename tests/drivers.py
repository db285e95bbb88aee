"""What suites do to a deployed stack: send, train, wait, and look at what came out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from cli.stack import Stack, local_stack, wait
from functions.classification.contracts import LEAF
from functions.classification.simulate import customers
from functions.classification.store import stored_model
from functions.clustering import simulate
from infra.local import cloud as local
from tests.tables import as_parquet


@contextmanager
def deployed(home: Path) -> Iterator[Stack]:
    """A local cloud for the length of a block, with the stacks deployed to it."""
    with local.running(lambda _: None, home=home) as cloud:
        yield local_stack(cloud)


POISON = ["not json", "[]", '{"event_id": "e", "user_id": "u", "observed_at": "yesterday", "features": {}}']


def put_rides(stack: Stack, day: date, name: str, rows: int, seed: int) -> None:
    """Simulated rides of a day, as one object."""
    ids = pa.array([f"{name}-{i}" for i in range(rows)])
    table = simulate.rides(rows, seed).set_column(0, "ride_id", ids)
    stack.lake.put(f"rides/dt={day}/{name}.parquet", as_parquet(table))


def train(stack: Stack) -> Any:
    """Train the classifier, and return the model that answers."""
    stack.lake.put("customers/queue-test.parquet", as_parquet(customers(2_000, 0)))
    stack.invoke("FunctionClassificationTrain", {"reason": "test"})
    champion = stack.registry.champion(LEAF)
    assert champion is not None
    return stored_model(stack.registry, champion.version)


def stored(stack: Stack, prefix: str) -> dict[str, dict[str, Any]]:
    """Results by user, of users whose id begins so."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["ClassificationsTable"])
    items = [item for page in pages for item in page["Items"] if item["user_id"]["S"].startswith(prefix)]
    return {item["user_id"]["S"]: item for item in items}


def letters(stack: Stack) -> list[tuple[str, str]]:
    """Body and reason of each dead letter, taken from their queue; the reason is empty of what the queue gave up on."""
    sqs, url, taken = stack.client("sqs"), stack.outputs["ClassificationDeadLetters"], []
    wanted = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["reason"]}
    while batch := sqs.receive_message(**wanted).get("Messages"):
        for message in batch:
            reason = message.get("MessageAttributes", {}).get("reason", {"StringValue": ""})
            taken.append((message["Body"], reason["StringValue"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return taken


def until(value: Callable[[], Any], what: str, patience: float = 300.0) -> Any:
    """The first value that is true. Raises UnavailableError after `patience` seconds."""
    return wait(value, what, patience)
