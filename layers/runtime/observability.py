"""Structured logs and embedded metrics, the same in every function. File commands import it without Powertools."""

from functools import cache
from typing import TYPE_CHECKING

from layers.runtime.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger, Metrics

NAMESPACE = "Trefoil"


@cache
def logger(leaf: str) -> "Logger":
    """JSON logger of a leaf. Log a constant lower-case message with keyword fields, never a payload."""
    from aws_lambda_powertools import Logger

    return Logger(service=leaf, utc=True)


@cache
def metrics(leaf: str) -> "Metrics":
    """Embedded-metric-format collector of a leaf; its dimensions are the stage and the service."""
    from aws_lambda_powertools import Metrics

    collector = Metrics(namespace=NAMESPACE, service=leaf)
    collector.set_default_dimensions(stage=Settings().stage)
    return collector
