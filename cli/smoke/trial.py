"""One smoke test under way, and what a check says of it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from cli.smoke.traces import NAME
from cli.stack import Stack
from layers.runtime.errors import TrefoilError

Result = Literal["ok", "short", "not run", "not here"]


class ShortError(TrefoilError):
    """The stack answered, and not as it should."""


class NotRunError(TrefoilError):
    """What the check needs is not there."""


class NotHereError(TrefoilError):
    """The local cloud has nothing of the kind."""


@dataclass(frozen=True)
class Trial:
    """`secrets` are planted values, which no log may show."""

    stack: Stack
    planted: str = field(default_factory=lambda: f"{NAME}-{secrets.token_hex(8)}")
    password: str = field(default_factory=lambda: f"{secrets.token_urlsafe(12)}-aA1")
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    secrets: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Check:
    """`prove` returns the figure that the table shows, or raises; `look` is where a person finds more."""

    name: str
    prove: Callable[[Trial], str]
    look: str


def require(holds: bool, figure: str) -> None:
    """Raises ShortError with the figure unless it holds."""
    if not holds:
        raise ShortError(figure)
