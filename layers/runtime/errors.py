"""The project's exceptions, and the one table that maps each to an HTTP status."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final


class TrefoilError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(TrefoilError):
    """What the user gave is wrong; says which file, row (from 0, over data rows) and field."""

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.file = file
        self.row = row
        self.field = field

    def __str__(self) -> str:
        place = [self.file or "", "" if self.row is None else f"row {self.row}", self.field or ""]
        return ": ".join([*filter(None, place), super().__str__()])


class LimitError(InputError):
    """A documented limit is exceeded; the message names the limit."""


class NotFoundError(TrefoilError):
    """The thing asked for does not exist."""


class MissingError(NotFoundError):
    """An object or row that is expected in storage is not there; nobody outside is told its key."""


class ConflictError(TrefoilError):
    """A conditional write lost: somebody else changed the thing first."""


class CorruptError(TrefoilError):
    """Stored bytes are not what their manifest promises."""


class UnreconciledError(CorruptError):
    """Two counts of the same things differ."""


class ForbiddenError(TrefoilError):
    """The caller has no valid claims."""


class UnavailableError(TrefoilError):
    """A service did not answer or asked to slow down; worth another try after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


STATUS: Final[dict[type[TrefoilError], int]] = {
    InputError: 422,
    NotFoundError: 404,
    MissingError: 500,
    ConflictError: 409,
    ForbiddenError: 403,
    UnavailableError: 503,
    CorruptError: 500,
    TrefoilError: 500,
}


def family(error: type[TrefoilError]) -> Iterator[type[TrefoilError]]:
    """`error` and every kind of it."""
    yield error
    for kind in error.__subclasses__():
        yield from family(kind)


def cause_of(error: Mapping[str, Any]) -> str:
    """What a state machine caught (`Error`, `Cause`), in a line.

    The message of an exception that is none of ours may show what was being read, and is left out.
    """
    name = str(error.get("Error", "unknown"))
    try:
        cause = json.loads(error["Cause"])["errorMessage"]
    except (LookupError, TypeError, ValueError):
        return name
    return f"{name}: {cause}"[:300] if name in {kind.__name__ for kind in family(TrefoilError)} else name


def status_of(error: TrefoilError) -> int:
    """HTTP status of `error`: that of the nearest class of its ancestry in `STATUS`."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
