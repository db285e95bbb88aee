"""Lambda entry points of the serving image: no scikit-learn, pandas or pyarrow here."""

from functools import cache
from typing import TYPE_CHECKING, Any

from functions.classification.adapters import LambdaTrainer, SqsLetters
from functions.classification.champion import ChampionCache
from functions.classification.service import ScoringService
from functions.classification.settings import ClassificationSettings
from layers.runtime.observability import logger, metrics
from layers.storage.aws import client
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

if TYPE_CHECKING:
    from functions.classification.watch_service import WatchService

log, emf = logger("classification"), metrics("classification")


@cache
def build_scoring() -> ScoringService:
    """The scoring service of this container."""
    settings = ClassificationSettings()
    s3, dynamodb = client("s3"), client("dynamodb")
    registry = ModelRegistry(S3Objects(settings.models_bucket, s3), DynamoTable(settings.models_table, dynamodb))
    return ScoringService(
        models=ChampionCache(registry, settings.refresh_seconds),
        results=DynamoTable(settings.classifications_table, dynamodb),
        profiles=DynamoTable(settings.profiles_table, dynamodb),
        lake=S3Objects(settings.lake_bucket, s3),
        dead_letters=SqsLetters(settings.dead_letter_queue_url, lambda: client("sqs")),
        waiting=SqsLetters(settings.queue_url, lambda: client("sqs"), delay=900),
        settings=settings,
    )


@cache
def build_watch() -> "WatchService":
    """The watch of this container; imported here because a cold start of `score` does not need it."""
    from functions.classification.watch_service import WatchService
    from layers.storage.ledger import RunLedger

    settings = ClassificationSettings()
    s3, dynamodb = client("s3"), client("dynamodb")
    registry = ModelRegistry(S3Objects(settings.models_bucket, s3), DynamoTable(settings.models_table, dynamodb))
    return WatchService(
        registry=registry,
        profiles=DynamoTable(settings.profiles_table, dynamodb),
        lake=S3Objects(settings.lake_bucket, s3),
        ledger=RunLedger(DynamoTable(settings.runs_table, dynamodb)),
        trainer=LambdaTrainer(settings.train_function, client("lambda")),
        settings=settings,
    )


@emf.log_metrics
@log.inject_lambda_context
def score(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """SQS batch; the messages named in the answer are delivered again."""
    failed = build_scoring().score(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


@emf.log_metrics
@log.inject_lambda_context
def watch(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """Hourly: drift, realised quality, and whether to train again."""
    return build_watch().watch(context.get_remaining_time_in_millis() / 1000)
