"""A deployed stack on fakes, for commands."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.fakes import InMemoryObjects, InMemoryTable

NOW = datetime.now(UTC)


class InMemoryQueues:
    """Queues by address; what was received stays hidden until its receipt says otherwise."""

    def __init__(self) -> None:
        self.queues: dict[str, list[dict[str, Any]]] = {}
        self.hidden: set[str] = set()
        self.sent = 0

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Any = None) -> None:
        self.sent += 1
        name = str(self.sent)
        message = {"MessageId": name, "ReceiptHandle": name, "Body": MessageBody}
        self.queues.setdefault(QueueUrl, []).append(message | {"MessageAttributes": MessageAttributes or {}})

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:
        seen = [m for m in self.queues.get(QueueUrl, []) if m["MessageId"] not in self.hidden][:MaxNumberOfMessages]
        self.hidden |= {message["MessageId"] for message in seen}
        return {"Messages": seen}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.queues[QueueUrl] = [m for m in self.queues[QueueUrl] if m["ReceiptHandle"] != ReceiptHandle]

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        self.hidden.discard(ReceiptHandle)

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {
            "Attributes": {
                name: str(len(self.queues.get(QueueUrl, [])) * (i == 0)) for i, name in enumerate(AttributeNames)
            }
        }


class Alarms:
    """CloudWatch with `ringing` in alarm."""

    def __init__(self) -> None:
        self.ringing: list[str] = []

    def get_paginator(self, _: str) -> Any:
        page = {"MetricAlarms": [{"AlarmName": name} for name in self.ringing]}
        return SimpleNamespace(paginate=lambda **_: [page])


class Functions:
    """Lambda with one environment for all functions."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, Any]:
        return {"FunctionName": FunctionName} | (
            {"Environment": {"Variables": self.environment}} if self.environment else {}
        )


def fake_stack() -> Any:
    objects, models = InMemoryObjects(), InMemoryTable("leaf", "version")
    clients = {"sqs": InMemoryQueues(), "cloudwatch": Alarms(), "lambda": Functions()}
    names = ("ClassificationQueue", "ClassificationDeadLetters", "Undelivered", "FunctionClassificationTrain")
    return SimpleNamespace(
        stage="dev",
        outputs={name: name for name in names},
        client=clients.__getitem__,
        lake=InMemoryObjects(),
        models=objects,
        table=lambda _: models,
        registry=ModelRegistry(objects, models),
        ledger=RunLedger(InMemoryTable("job", "key")),
    )
