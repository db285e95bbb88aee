"""Lambda entry points; what only one of the two images has (scikit-learn, pandas, pyarrow) is imported when needed."""

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from functions.classification.contracts import LEAF
from functions.classification.serve import ScoringService
from functions.classification.settings import ClassificationSettings
from functions.classification.store import ChampionCache, SqsLetters, start_training
from layers.runtime.observability import logger, metrics
from layers.storage.aws import client
from layers.storage.ledger import RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

if TYPE_CHECKING:
    from functions.classification.learn import TrainingService
    from functions.classification.watch import WatchService

log, emf = logger(LEAF), metrics(LEAF)


def build_registry(settings: ClassificationSettings) -> ModelRegistry:
    """The registry of models."""
    objects = S3Objects(settings.models_bucket, client("s3"))
    return ModelRegistry(objects, DynamoTable(settings.models_table, client("dynamodb")))


@cache
def build_scoring() -> ScoringService:
    """The scoring service of this container."""
    settings, dynamodb = ClassificationSettings(), client("dynamodb")
    return ScoringService(
        models=ChampionCache(
            build_registry(settings), settings.refresh_seconds, explained=settings.explained_features > 0
        ),
        results=DynamoTable(settings.classifications_table, dynamodb),
        profiles=DynamoTable(settings.profiles_table, dynamodb),
        lake=S3Objects(settings.lake_bucket, client("s3")),
        dead_letters=SqsLetters(settings.dead_letter_queue_url, lambda: client("sqs")),
        waiting=SqsLetters(settings.queue_url, lambda: client("sqs"), delay=900),
        settings=settings,
    )


@cache
def build_watch() -> "WatchService":
    """The watch of this container; a cold start of `score` does not need it."""
    from functions.classification.watch import WatchService

    settings, dynamodb = ClassificationSettings(), client("dynamodb")
    return WatchService(
        registry=build_registry(settings),
        profiles=DynamoTable(settings.profiles_table, dynamodb),
        lake=S3Objects(settings.lake_bucket, client("s3")),
        ledger=RunLedger(DynamoTable(settings.runs_table, dynamodb)),
        train=partial(start_training, client("lambda"), settings.train_function),
        settings=settings,
    )


@cache
def build_training() -> "TrainingService":
    """The training service of this container, in the training image."""
    from functions.classification.learn import TrainingService

    settings = ClassificationSettings()
    return TrainingService(
        lake=S3Objects(settings.lake_bucket, client("s3")),
        registry=build_registry(settings),
        ledger=RunLedger(DynamoTable(settings.runs_table, client("dynamodb"))),
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


@log.inject_lambda_context
def train(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """`{"scheduled_at": ...}` from the weekly schedule, or `{"reason": ...}` from the watch or a person."""
    reason = str(event.get("reason") or "schedule")
    remaining = context.get_remaining_time_in_millis() / 1000
    return build_training().train(reason, remaining, owner=context.aws_request_id)
