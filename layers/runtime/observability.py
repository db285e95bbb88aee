"""Structured logs and embedded metrics, the same in every function."""

from functools import cache

from aws_lambda_powertools import Logger, Metrics

from layers.runtime.settings import Settings

NAMESPACE = "Trefoil"


@cache
def logger(leaf: str) -> Logger:
    """JSON logger of a leaf. Log a constant lower-case message with keyword fields, never a payload."""
    return Logger(service=leaf, utc=True)


@cache
def metrics(leaf: str) -> Metrics:
    """Embedded-metric-format collector of a leaf; its dimensions are the stage and the service."""
    collector = Metrics(namespace=NAMESPACE, service=leaf)
    collector.set_default_dimensions(stage=Settings().stage)
    return collector
