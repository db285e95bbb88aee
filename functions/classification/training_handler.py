"""Lambda entry point of the training image."""

from functools import cache
from typing import Any

from functions.classification.settings import ClassificationSettings
from functions.classification.training_service import TrainingService
from layers.runtime.observability import logger
from layers.storage.aws import client
from layers.storage.ledger import RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

log = logger("classification")


@cache
def build_training() -> TrainingService:
    """The training service of this container."""
    settings = ClassificationSettings()
    s3, dynamodb = client("s3"), client("dynamodb")
    return TrainingService(
        lake=S3Objects(settings.lake_bucket, s3),
        registry=ModelRegistry(S3Objects(settings.models_bucket, s3), DynamoTable(settings.models_table, dynamodb)),
        ledger=RunLedger(DynamoTable(settings.runs_table, dynamodb)),
        settings=settings,
    )


@log.inject_lambda_context
def train(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """`{"scheduled_at": ...}` from the weekly schedule, or `{"reason": ...}` from the watch or a person."""
    reason = str(event.get("reason") or "schedule")
    remaining = context.get_remaining_time_in_millis() / 1000
    return build_training().train(reason, remaining, owner=context.aws_request_id)
