"""Lambda entry point of the console."""

from functools import cache
from typing import Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from functions.console.api import create_app
from functions.console.serve import OperationService, RideService
from functions.console.settings import ConsoleSettings
from functions.console.store import LEAF, Published
from layers.runtime.http import PROBLEM
from layers.runtime.observability import logger
from layers.storage.aws import client
from layers.storage.ledger import RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable


@cache
def build_api() -> Mangum:
    """The API over S3 and DynamoDB."""
    settings = ConsoleSettings()
    s3, dynamo = client("s3"), client("dynamodb")
    published = Published(S3Objects(settings.lake_bucket, s3))
    models = S3Objects(settings.models_bucket, s3)
    registry = ModelRegistry(models, DynamoTable(settings.models_table, dynamo))
    ledger = RunLedger(DynamoTable(settings.runs_table, dynamo))
    results = DynamoTable(settings.classifications_table, dynamo)
    operation = OperationService(published, registry, ledger, results, client("sqs"), client("cloudwatch"), settings)
    rides, region = RideService(published, settings), s3.meta.region_name or "us-east-1"
    app = create_app(rides, operation, settings, region=region)
    return Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, PROBLEM])


@logger(LEAF).inject_lambda_context
def api(event: dict[str, Any], context: Any) -> Any:
    """API Gateway, HTTP API payload 2.0."""
    return build_api()(event, context)
