"""On the path of every function of this suite: the SDK waits far shorter, and what it gives up on is written down.

Which calls it repeats, how often and when it gives up stay those of layers/storage/aws.py.
"""

import json
import os
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from botocore.retries.standard import ExponentialBackoff

PAUSES, ANSWERS = 20, 10
EXPECTED = {400, 404, 409, 412}  # conditions that do not hold and things that are not there are answers, not faults

_delay, _session = ExponentialBackoff.delay_amount, URLLib3Session.__init__
_call, _read = BaseClient._make_api_call, StreamingBody.read  # type: ignore[attr-defined]


def _note(operation: str, error: Exception) -> None:
    line = json.dumps({"operation": operation, "error": type(error).__name__})
    with open(os.environ["FAULTS_LOG"], "a") as log:
        log.write(line + "\n")


def delay_amount(self: Any, context: Any) -> float:
    return float(_delay(self, context)) / PAUSES


def session(self: Any, *args: Any, timeout: Any = None, **kwargs: Any) -> None:
    if isinstance(timeout, tuple):
        timeout = (timeout[0], timeout[1] / ANSWERS)
    _session(self, *args, timeout=timeout, **kwargs)


def call(self: Any, operation: str, arguments: Any) -> Any:
    try:
        return _call(self, operation, arguments)
    except ClientError as exc:
        if exc.response["ResponseMetadata"]["HTTPStatusCode"] not in EXPECTED or "hrottl" in str(exc):
            _note(operation, exc)
        raise
    except Exception as exc:
        _note(operation, exc)
        raise


def read(self: Any, amt: int | None = None) -> bytes:
    try:
        return bytes(_read(self, amt))
    except Exception as exc:
        _note("body", exc)
        raise


ExponentialBackoff.delay_amount = delay_amount  # type: ignore[method-assign]
URLLib3Session.__init__ = session  # type: ignore[method-assign]
BaseClient._make_api_call = call  # type: ignore[attr-defined]
StreamingBody.read = read  # type: ignore[method-assign]
