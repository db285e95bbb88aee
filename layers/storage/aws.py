"""AWS clients, and the one place where botocore's errors become ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from layers.runtime.errors import ConflictError, MissingError, UnavailableError

# Standard mode backs off with jitter and retries throttling, 5xx and resets alike.
# NAT forgets a connection on which nothing is said for minutes, while a function works.
CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=3,
    read_timeout=20,
    max_pool_connections=32,
    tcp_keepalive=True,
)

NOT_FOUND = {"NoSuchKey", "NoSuchBucket", "NotFound", "404", "ResourceNotFoundException"}
CONFLICT = re.compile("PreconditionFailed|412|409|ConditionalRequestConflict|ConditionalCheckFailed|ResourceInUse")
SLOW_DOWN = re.compile("Throttling|ThroughputExceeded|RequestLimitExceeded|SlowDown|TooManyRequests|RequestTimeout")


def client(service: str) -> Any:
    """A boto3 client with this project's retries and time limits; region and endpoint come from the environment."""
    return boto3.client(service, config=CONFIG)  # type: ignore[call-overload]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise our error for botocore's, naming `what` was being touched; anything unknown passes as it is."""
    try:
        yield
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in NOT_FOUND:
            raise MissingError(f"{what} does not exist") from exc
        if CONFLICT.search(code):
            raise ConflictError(f"{what} was changed by somebody else") from exc
        if SLOW_DOWN.search(code) or status >= 500:
            raise UnavailableError(f"{what} is not available: {code}") from exc
        raise
    except (BotoConnectionError, HTTPClientError, IncompleteReadError) as exc:
        raise UnavailableError(f"{what} could not be reached") from exc
