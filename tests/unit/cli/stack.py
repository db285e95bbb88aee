"""A deployed stack on fakes, for commands."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from layers.storage.ledger import RunLedger
from layers.storage.registry import ModelRegistry
from tests.fakes import Alarms, InMemoryObjects, InMemoryQueues, InMemoryTable

NOW = datetime.now(UTC)


class Functions:
    """Lambda with one environment for all functions."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}


def fake_stack() -> Any:
    objects, models, runs = InMemoryObjects(), InMemoryTable("leaf", "version"), InMemoryTable("job", "key")
    clients = {"sqs": InMemoryQueues(), "cloudwatch": Alarms(), "lambda": Functions()}
    names = ("ClassificationQueue", "ClassificationDeadLetters", "Undelivered", "FunctionClassificationTrain")
    return SimpleNamespace(
        stage="dev",
        outputs={name: name for name in names},
        client=clients.__getitem__,
        lake=InMemoryObjects(),
        models=objects,
        table=lambda _: models,
        variables=lambda _: clients["lambda"].environment,
        registry=ModelRegistry(objects, models),
        runs=runs,
        ledger=RunLedger(runs),
    )
