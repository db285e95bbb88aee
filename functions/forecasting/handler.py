"""Lambda entry points of the forecasting leaf. Clients and adapters are made once per container, at the
first call, which also imports what only it needs: a cached answer starts without numpy."""

import gc

# What is imported stays as long as the container: looking through it for garbage is a tenth of a cold start.
gc.disable()

from functools import cache
from typing import TYPE_CHECKING, Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from functions.forecasting.api import create_app
from functions.forecasting.contracts import PlanEvent, Planned, Shard
from functions.forecasting.serve import ForecastService
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import Answers, Catalog, Histories, Models, Overrides
from layers.runtime.http import PROBLEM
from layers.runtime.observability import logger, metrics
from layers.runtime.parsing import parsed
from layers.storage import aws
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

if TYPE_CHECKING:
    from functions.forecasting.intake import IngestService
    from functions.forecasting.learn import TrainingService

log = logger("forecasting")
gc.freeze()
gc.enable()


@cache
def build_api() -> Mangum:
    """The API over S3 and DynamoDB."""
    settings = ForecastingSettings()
    s3, dynamo, fresh = aws.client("s3"), aws.client("dynamodb"), settings.freshness_seconds
    lake, models = S3Objects(settings.lake_bucket, s3), S3Objects(settings.models_bucket, s3)
    registry = ModelRegistry(models, DynamoTable(settings.models_table, dynamo))
    table = DynamoTable(settings.forecasts_table, dynamo)
    answers, words = Answers(table, keep_seconds=settings.cache_hours * 3600), Overrides(table, freshness=fresh)
    histories, catalog = Histories(lake, freshness=fresh), Catalog(lake, freshness=fresh)
    service = ForecastService(histories, catalog, Models(models, registry, freshness=fresh), answers, words, settings)
    return Mangum(create_app(service), lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, PROBLEM])


@cache
def build_intake() -> "IngestService":
    """Ingestion over S3 and DynamoDB."""
    from functions.forecasting.intake import IngestService
    from layers.storage.ledger import RunLedger

    settings = ForecastingSettings()
    ledger = RunLedger(DynamoTable(settings.runs_table, aws.client("dynamodb")))
    return IngestService(S3Objects(settings.lake_bucket, aws.client("s3")), ledger, settings)


@cache
def build_training() -> "TrainingService":
    """Training over S3 and DynamoDB."""
    from functions.forecasting.learn import TrainingService
    from layers.storage.ledger import RunLedger

    settings = ForecastingSettings()
    s3, dynamo = aws.client("s3"), aws.client("dynamodb")
    lake, models = S3Objects(settings.lake_bucket, s3), S3Objects(settings.models_bucket, s3)
    registry = ModelRegistry(models, DynamoTable(settings.models_table, dynamo))
    return TrainingService(lake, models, registry, RunLedger(DynamoTable(settings.runs_table, dynamo)), settings)


@log.inject_lambda_context
def api(event: dict[str, Any], context: Any) -> Any:
    """API Gateway, HTTP API payload 2.0."""
    return build_api()(event, context)


@log.inject_lambda_context
def ingest(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """Objects arrived in `sales/`, told by the queue, or a person names keys."""
    from functions.forecasting.intake import requested

    files = [vars(build_intake().ingest(**file)) for file in requested(event)]
    for one in files:
        log.info("file ingested", extra={name: one[name] for name in ("status", "series", "rejected", "understood")})
    return {"files": files, "batchItemFailures": []}


@log.inject_lambda_context
def plan(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """First step of the weekly state machine."""
    planned = build_training().plan(parsed(PlanEvent, event))
    log.info("training planned", extra={"status": planned.status, "run_id": planned.run_id})
    return planned.model_dump(exclude_none=True)


@log.inject_lambda_context
def train(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """One element of the map: a shard of series."""
    result = build_training().train(parsed(Shard, event))
    log.info("shard trained", extra=result)
    return result


@metrics("forecasting").log_metrics
@log.inject_lambda_context
def publish(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """Last step: one version out of all shards, or the record of a failure."""
    result = build_training().publish(parsed(Planned, event))
    if result["status"] == "published":
        collector = metrics("forecasting")
        collector.add_metric("SeriesTrained", "Count", result["trained"])
        collector.add_metric("SeriesFailed", "Count", result["failed"])
        collector.add_metric("MeanSkill", "NoUnit", result["mean_skill"])
    log.info("training published", extra={"status": result["status"], "run_id": result["run_id"]})
    return result
