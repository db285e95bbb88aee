"""Lambda entry points of the clustering leaf, in the order in which the state machine calls them."""

from functools import cache
from typing import Any

from functions.clustering.contracts import DayRequest, FitAnswer, PlanItem
from functions.clustering.learn import FitService
from functions.clustering.publish import PublishService
from functions.clustering.serve import LabelService
from functions.clustering.settings import ClusteringSettings
from layers.runtime.observability import logger, metrics
from layers.runtime.parsing import parsed
from layers.storage.aws import client
from layers.storage.ledger import RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

log, emf = logger("clustering"), metrics("clustering")


@cache
def settings() -> ClusteringSettings:
    """Those of this container."""
    return ClusteringSettings()


def _lake() -> S3Objects:
    return S3Objects(settings().lake_bucket, client("s3"))


def _registry() -> ModelRegistry:
    objects = S3Objects(settings().models_bucket, client("s3"))
    return ModelRegistry(objects, DynamoTable(settings().models_table, client("dynamodb")))


def _ledger() -> RunLedger:
    return RunLedger(DynamoTable(settings().runs_table, client("dynamodb")))


@cache
def build_fit() -> FitService:
    """The fitting service of this container."""
    return FitService(_lake(), _registry(), _ledger(), settings())


@cache
def build_label() -> LabelService:
    """The labelling service of this container."""
    return LabelService(_lake(), _registry(), settings())


@cache
def build_publish() -> PublishService:
    """The publishing service of this container."""
    return PublishService(_lake(), _ledger())


@emf.log_metrics
@log.inject_lambda_context
def fit(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """`{"dt"}` or `{"scheduled_at"}`: claim the day, learn, plan."""
    return build_fit().fit(parsed(DayRequest, event)).model_dump(mode="json", exclude={"error"})


@log.inject_lambda_context
def label(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """One element of the plan: label its rides."""
    report = build_label().label(parsed(PlanItem, event))
    return report.model_dump(mode="json", include={"part", "rides", "anomalies", "rejected"})


@emf.log_metrics
@log.inject_lambda_context
def publish(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """What `fit` answered, with `error` when the run failed: make the run the day's truth, or record its failure."""
    return build_publish().publish(parsed(FitAnswer, event))
