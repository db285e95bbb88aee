"""What goes in and out: messages, results, and the specification that makes a model file usable."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, FiniteFloat, StringConstraints

LEAF = "classification"
MODEL_FILE, EXPLANATION_FILE = "model.onnx", "explanation.npz"

Kind = Literal["number", "boolean", "category"]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]


_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(?:\.\d+)?)?(Z|z|[+-]\d\d:?[0-5]\d)?")


def utc_text(moment: datetime) -> str:
    """UTC with six digits of fraction: text that sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _rfc3339(value: Any) -> str:
    parts = _TIME.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError("expected RFC 3339, like 2026-01-31T12:00:00Z")
    seconds, offset = parts.groups()
    if seconds is None:
        raise ValueError("has no seconds, which RFC 3339 asks for: 12:00:00Z, not 12:00Z")
    if offset is None:
        raise ValueError("has no offset, which RFC 3339 asks for: Z or +01:00")
    if seconds[1:3] == "60":
        raise ValueError("names a leap second, :60, which clocks do not count: send :59")
    try:
        return utc_text(datetime.fromisoformat(parts[0].upper()))
    except (OverflowError, ValueError):  # also the first day of the year 1, east of Greenwich
        raise ValueError("is out of range") from None


Moment = Annotated[str, BeforeValidator(_rfc3339), Field(description="RFC 3339; read as `utc_text`")]


class _Frozen(BaseModel, frozen=True, defer_build=True):
    # Built when first used: a cold start does not pay for what it does not read.
    pass


class Event(BaseModel, strict=True, defer_build=True):
    """One message of the queue; `features` is checked against the model's schema, not here."""

    event_id: Identifier
    user_id: Identifier
    observed_at: Moment
    features: dict[str, Any]


class Contribution(_Frozen):
    """What a feature added to the score before calibration, less than 0 when it spoke against the positive value."""

    feature: str
    contribution: float


class Result(_Frozen):
    """One item of the Classifications table; times are UTC text with six digits of fraction."""

    user_id: str
    observed_at: str
    event_id: str
    probability: float
    segment: str
    model_version: str
    classified_at: str
    expires_at: int = Field(description="epoch seconds after which the table may drop the item")
    explanation: list[Contribution] | None = Field(None, description="the features that moved the score furthest first")


class Outcome(BaseModel, defer_build=True):
    """One line of `outcomes/`: the truth about an event, when it arrives."""

    user_id: Identifier
    observed_at: Moment
    outcome: str | bool | int | FiniteFloat


class Feature(_Frozen):
    """One input column. `nullable` says whether training had nulls; categories outside the list count as unknown.

    `marked`: a nullable number has an input that says whether it is missing, which few rows cannot teach.
    """

    name: str
    kind: Kind
    nullable: bool = False
    marked: bool = True
    categories: tuple[str, ...] = ()


class Segment(_Frozen):
    """Probabilities from `low` up to, not including, `high`."""

    name: str
    low: float
    high: float


class Calibration(_Frozen):
    """p = sigmoid(slope * logit(clip(score, floor, 1 - floor)) + intercept); with `floor` 0, p = score.

    With `scores` and `probabilities`, both rising, p lies on the straight lines between them.
    """

    slope: float = 1.0
    intercept: float = 0.0
    floor: float = 1e-3
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()


class Reference(_Frozen):
    """Shares of the training rows per bin. Numbers: between `edges`, then missing. Categories: each, other, missing."""

    edges: tuple[float, ...] = ()
    shares: tuple[float, ...]
    rows: int = Field(10_000, ge=1, description="rows behind the shares; models of before did not say")
    unknown: float = Field(0.0, description="share of rows in categories that are known by one row, or not at all")


class Split(_Frozen):
    """Which rows this model never saw: those of a hash below `share`, or those observed after `until`.

    The hash is of what `group`, a column, holds, where it holds something, else of the features, and if `spread` of how
    many rows of the same features came before.
    """

    kind: Literal["hash", "time", "order"]
    share: float
    seed: int
    until: datetime | None = None
    group: str | None = None
    spread: bool = False


class Specification(_Frozen):
    """All that serving needs beside the ONNX file; kept in the manifest's details."""

    target: str
    positive: str
    negative: str
    features: tuple[Feature, ...]
    inputs: Literal["columns", "matrix"] = Field(
        "columns", description="what the graph takes; models of before: columns"
    )
    calibration: Calibration
    threshold: float
    base_rate: float
    segments: tuple[Segment, ...]
    references: tuple[Reference, ...]
    score_reference: Reference
    split: Split
    left_out: dict[str, str] = Field(default={}, description="columns not learnt from, each with its reason")
