"""One smoke test under way, and what a check says of it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from cli.smoke.traces import NAME
from cli.stack import Stack
from layers.runtime.errors import TrefoilError
from layers.runtime.files import named_columns

if TYPE_CHECKING:
    import pyarrow as pa

PATIENCE: Final = 300.0  # s
Result = Literal["ok", "short", "not run", "not here"]


class NotProvenError(TrefoilError):
    """The stack fell short, or what the check needs is not there, or the local cloud has nothing of the kind."""

    def __init__(self, figure: str, result: Result = "short") -> None:
        super().__init__(figure)
        self.result: Result = result


@dataclass(frozen=True)
class Trial:
    """`secrets` are planted values, which no log may show."""

    stack: Stack
    planted: str = field(default_factory=lambda: f"{NAME}-{secrets.token_hex(8)}")
    password: str = field(default_factory=lambda: f"{secrets.token_urlsafe(12)}-aA1")
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    secrets: list[str] = field(default_factory=list)

    def table(self, function: str, rows: "pa.Table") -> "pa.Table":
        """The rows with a planted value each, and the names that the stage's files have, as the function expects them.

        Of several columns that make one, the first holds it.
        """
        self.secrets.append(self.planted)
        rows = rows.append_column(f"{NAME}-note", [[self.planted] * rows.num_rows])
        columns = self.stack.variables(function).get("TREFOIL_COLUMNS", "")
        for ours, theirs in named_columns(filter(None, columns.split(","))).items():
            if ours in rows.column_names:
                first, *others = theirs.split("+")
                rows = rows.rename_columns({ours: first})
                for other in others:
                    rows = rows.append_column(other, [["1"] * rows.num_rows])
        return rows


@dataclass(frozen=True)
class Check:
    """`prove` returns the figure that the table shows, or raises; `look` is where a person finds more."""

    name: str
    prove: Callable[[Trial], str]
    look: str


def require(holds: bool, figure: str) -> None:
    """Raises NotProvenError with the figure unless it holds."""
    if not holds:
        raise NotProvenError(figure)
