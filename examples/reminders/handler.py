"""Lambda entry point of the reminders."""

from functools import cache
from typing import Any

from examples.reminders.contracts import LEAF
from examples.reminders.serve import ReminderService
from examples.reminders.settings import ReminderSettings
from layers.runtime.observability import logger, metrics
from layers.storage.aws import client
from layers.storage.objects import S3Objects


@cache
def build_service() -> ReminderService:
    """The service of this container."""
    settings = ReminderSettings()
    return ReminderService(S3Objects(settings.lake_bucket, client("s3")), settings)


@metrics(LEAF).log_metrics
@logger(LEAF).inject_lambda_context
def remind(event: dict[str, Any], context: Any) -> dict[str, int]:  # noqa: ARG001
    """Records of the stream of the table of segments."""
    return {"reminders": build_service().remind(event["Records"])}
