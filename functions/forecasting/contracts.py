"""What goes in and out of the forecasting leaf: ids, events, requests, answers, and what is kept of a trained model."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from layers.runtime.errors import InputError
from layers.runtime.parsing import Day, Said

ID: Final = r"[^\x00-\x1f\x7f]{1,128}"
NO_ID: Final = "must be 1 to 128 characters, none a control character"
FrequencyName = Literal["H", "D", "W", "M", "Q"]
# Periods that are forecast unless the question says how many.
HORIZONS: Final[dict[FrequencyName, int]] = {"H": 168, "D": 42, "W": 13, "M": 12, "Q": 8}
HORIZON: Final = (
    "periods after the newest observation of all series of that frequency; where not given "
    "168 hours, 42 days, 13 weeks, 12 months or 8 quarters"
)
Horizon = Annotated[int, Field(ge=1, le=365, description="periods", examples=[42])]
Ds = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d([+-]\d\d:\d\d)?)?$",
        description="a date, or of hourly series a time, with its offset where the file has zones",
        examples=["2024-12-31"],
    ),
]
Level = Annotated[
    float, Field(ge=0.5, le=0.99, description="share of periods the interval should hold", examples=[0.95])
]
SeriesId = Annotated[str, Field(min_length=1, max_length=128, pattern=f"^{ID}$", examples=["store-001"])]
Value = Annotated[FiniteFloat, Field(ge=-1e12, le=1e12)]
Quantile = Annotated[float, Field(ge=0.01, le=0.99)]
QUANTILES: Final = "probabilities of quantiles, .01 to .99: 0.1,0.5,0.9 adds p10, p50 and p90 to each period"
MAX_QUANTILES: Final = 20

MAX_BATCH = 100


def parse_quantiles(text: str) -> tuple[float, ...]:
    """The quantiles that a text such as 0.1,0.5,0.9 asks for, sorted, each once. Raises InputError."""
    try:
        numbers = {float(part) for part in text.split(",")} if text else set()
    except ValueError:
        numbers = {0.0}
    if not all(0.01 <= number <= 0.99 for number in numbers) or len(numbers) > MAX_QUANTILES:
        raise InputError(f"{text[:64]} is not up to {MAX_QUANTILES} numbers from .01 to .99", field="quantiles")
    return tuple(sorted(numbers))


def is_id(series_id: str) -> bool:
    """Whether a text can be the id of a series."""
    return bool(re.fullmatch(ID, series_id))


class Answer(BaseModel):
    """Base of what the API sends; unknown fields are an error of ours."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class ModelSummary(Answer):
    """Which model a series has; `skill` is 1 - WAPE / WAPE of the best baseline on the held-out days."""

    kind: str = Field(examples=["prophet"])
    version: str = Field(examples=["4f1c2a9be0d3417a"])
    skill: float | None = Field(None, examples=[0.21])


class Outlook(Answer):
    """The forecast of the usual horizon, as of the model's training, against what is usual for the series: its mean per
    period over the last eight weeks, of months and quarters over the last year, closed ones included. 1 is as usual;
    null where that mean is not above zero. The peak is the busiest week of days, day of hours, else period."""

    total: float = Field(examples=[4211.5])
    against_usual: float | None = Field(None, examples=[1.18])
    peak_start: Ds | None = Field(None, description="first period of the peak")
    peak_against_usual: float | None = Field(None, examples=[1.64])


Sort = Literal["series_id", "-peak_against_usual", "skill", "-staleness"]


class SeriesItem(Answer):
    """A row of the catalog."""

    series_id: SeriesId
    frequency: FrequencyName
    first_ds: Ds | None = Field(description="null while only the future is known")
    last_ds: Ds | None
    observations: int = Field(ge=0, examples=[780])
    model: ModelSummary | None
    outlook: Outlook | None


class SelectionTotal(Answer):
    """What comes of all series asked for that have one frequency and an outlook, together."""

    frequency: FrequencyName
    series: int
    total: float
    against_usual: float | None = Field(description="of those with a usual level")


class SeriesPage(Answer):
    """Rows in the order asked for; `next_cursor` is null on the last page; `totals` are those of all pages."""

    items: list[SeriesItem]
    next_cursor: str | None
    totals: list[SelectionTotal]


class HistoryPoint(Answer):
    """An observed period; `y` is null when nothing is known of it."""

    ds: Ds
    y: float | None


class History(Answer):
    """Observed periods."""

    series_id: SeriesId
    frequency: FrequencyName
    points: list[HistoryPoint]


class ModelInfo(Answer):
    """The model that answered."""

    kind: str = Field(examples=["prophet"])
    version: str = Field(examples=["4f1c2a9be0d3417a"])
    trained_at: datetime


class Backtest(Answer):
    """Figures of the last periods held out, from a model fitted and chosen before them; null where nothing was sold."""

    start: Ds
    end: Ds
    rmspe: float | None
    wape: float | None
    bias: float | None
    coverage: float | None = Field(description="share of open periods within the 95 % interval")
    baseline: str
    baseline_wape: float | None
    skill: float | None


class RegressorInfo(Answer):
    """A regressor that may be given for future periods."""

    name: str = Field(examples=["promo"])
    kind: Literal["binary", "numeric"]
    future_known_until: Ds | None
    used: bool = Field(description="whether the model of this series uses it")


class Point(Answer):
    """A period of the horizon, in the unit of the history; with p10 and others where quantiles are asked for, and with
    `planned` where an override stands: what a person made of `yhat`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float]
    ds: Ds
    yhat: float
    lower: float
    upper: float


class Parts(Answer):
    """What a forecast is made of: `values` of each period sum to `yhat`, or to its natural logarithm where `scale` is
    log; null where it was closed or is zero."""

    scale: Literal["log", "linear"]
    values: dict[str, list[float | None]] = Field(examples=[{"level": [4.6], "season of the week": [-0.1]}])


class OverrideRequest(BaseModel):
    """What a person says of periods of a forecast: their sales (`value`), or how many times what the model says
    (`factor`); null takes back what stands there."""

    model_config = ConfigDict(extra="forbid")

    start: Ds
    end: Ds
    value: Value | None = None
    factor: Annotated[FiniteFloat, Field(ge=0, le=1000)] | None = None
    reason: str = Field("", max_length=200, examples=["street fair"])
    expires: Day | None = Field(None, description="last day, in UTC, on which it moves the forecast")
    at: Said | None = Field(None, description="when it was said, by default now: of each period the newest word holds")

    def check(self, today: date) -> None:
        """Raises InputError that names the field."""
        moves = self.value is not None or self.factor is not None
        for wrong, field, why in (
            (not self.model_fields_set & {"value", "factor"}, "value", "is given, or factor, or null to take back"),
            (self.value is not None and self.factor is not None, "factor", "does not go with value"),
            (moves and not self.reason.strip(), "reason", "is missing"),
            (moves and self.expires is None, "expires", "is missing"),
            (moves and self.expires is not None and self.expires < today, "expires", "is past"),
        ):
            if wrong:
                raise InputError(why, field=f"body.{field}")


class OverrideInfo(Answer):
    """An override, from its first period to its last; those that a newer one took are no longer its own."""

    start: Ds
    end: Ds
    value: float | None = None
    factor: float | None = None
    reason: str
    by: str = Field(description="name of the user")
    at: str = Field(description="when it was said: UTC, six digits of fraction")
    expires: str | None = None


class ValueAdded(Answer):
    """Sums over observed periods on whose days the override stood, to six digits: they add up exactly."""

    periods: int
    error_without: float = Field(description="absolute errors of the forecast when the override was made")
    error_with: float = Field(description="absolute errors of the override")
    value_added: float = Field(description="error_without - error_with")


class ReasonAdded(ValueAdded):
    """Of all overrides of a person for one reason."""

    by: str
    reason: str


class OverrideItem(OverrideInfo):
    """An override and what it was worth; null before one of its periods is observed."""

    value_added: ValueAdded | None


class OverrideList(Answer):
    """Overrides of a series, the newest first, without those taken back or replaced before they came to anything."""

    series_id: SeriesId
    items: list[OverrideItem]
    by_reason: list[ReasonAdded]
    total: ValueAdded | None


class Forecast(Answer):
    """Forecast of one series."""

    series_id: SeriesId
    frequency: FrequencyName
    horizon: int
    level: float
    model: ModelInfo
    backtest: Backtest | None
    holdout: list[Point] = Field(
        [], description="what was forecast for the periods of the backtest before they were seen"
    )
    regressors: list[RegressorInfo]
    plan: dict[str, list[float]] = Field(
        description="`open` and each regressor in each period of the horizon, as known, given or assumed",
        examples=[{"open": [1, 1, 0], "promo": [1, 0, 0]}],
    )
    points: list[Point]
    parts: Parts | None = Field(None, description="only when asked for")
    overrides: list[OverrideInfo] = Field([], description="those that moved a period; only where there are some")
    assumptions: list[str] = Field(examples=[["promo: unknown from 2015-08-01, taken as 0"]])


class SimilarItem(Answer):
    """A series of like shape; distance 0 is the same shape."""

    series_id: SeriesId
    distance: float
    shared: str = Field(description="the trait that both share most closely", examples=["week shape"])


class SimilarSeries(Answer):
    """Nearest series first."""

    series_id: SeriesId
    items: list[SimilarItem]


@dataclass(frozen=True)
class Question:
    """What is asked of one series; `scale` multiplies the answer (a store that the system does not know). The horizon
    begins after `as_of`, or after the last observation when that is later."""

    series_id: str
    horizon: int | None
    level: float
    future: Mapping[str, Sequence[float]]
    scale: float | None = None
    as_of: str | None = None
    parts: bool = False
    quantiles: tuple[float, ...] = ()

    def hash(self) -> str:
        """Name of the question apart from its series: 16 hex digits."""
        future = {k: list(v) for k, v in self.future.items()}
        parts = [
            "periods",
            self.horizon,
            self.level,
            self.scale,
            future,
            self.as_of,
            *(["parts"] if self.parts else []),
            *self.quantiles,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class BatchItem(BaseModel):
    """One question. Name a series, or `like` and `scale` for a store that the system does not know."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=128, examples=["plan-a"])
    series_id: SeriesId | None = None
    like: SeriesId | None = None
    scale: FiniteFloat | None = Field(None, gt=0, le=1e6, description="sales of the new store / sales of `like`")
    horizon: Horizon | None = Field(None, description=HORIZON)
    level: Level = 0.95
    quantiles: list[Quantile] = Field(default_factory=list, max_length=MAX_QUANTILES, description=QUANTILES)
    future: dict[str, Annotated[list[Value], Field(max_length=365)]] = Field(
        default_factory=dict,
        description="`open` (0 or 1) or a regressor: one value a period of the horizon",
        examples=[{"promo": [1, 1, 0]}],
    )

    def question(self) -> Question:
        """Raises InputError unless it names a series, or `like` with `scale`."""
        if (self.series_id is None) == (self.like is None):
            raise InputError("give either series_id or like with scale", field="series_id")
        if (self.like is None) != (self.scale is None):
            raise InputError("like and scale come together", field="scale")
        asked = (self.series_id or self.like or "", self.horizon, self.level, self.future, self.scale)
        return Question(*asked, quantiles=tuple(sorted(set(self.quantiles))))


class BatchRequest(BaseModel):
    """At most 100 questions; an answer ends at 5.5 MB, which some 75 of a year with five regressors fill."""

    model_config = ConfigDict(extra="forbid")

    items: list[BatchItem] = Field(min_length=1, max_length=MAX_BATCH)


class Problem(BaseModel):
    """RFC 9457 problem details; `field` names what was wrong in the request."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    type: str = Field(examples=["urn:trefoil:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["series store-999 does not exist"])
    field: str | None = None
    retry_after: int | None = Field(None, description="seconds")


class BatchResult(Answer):
    """Either `forecast` or `problem`."""

    id: str
    forecast: Forecast | None = None
    problem: Problem | None = None


class BatchAnswer(Answer):
    """Results in the order of the questions."""

    items: list[BatchResult]


class Internal(BaseModel):
    """Base of what the leaf sends to itself; built when first used."""

    model_config = ConfigDict(defer_build=True)


class Override(Internal):
    """A person's word on the periods of `yhat`, in order: what the model said of each when the word was given.

    With neither `value` nor `factor` it takes back what was said before; deleting would let an older word that comes
    late rise again."""

    value: float | None = None
    factor: float | None = None
    reason: str
    by: str
    at: str
    expires: str | None = None
    yhat: dict[str, float]

    @property
    def moves(self) -> bool:
        """Whether it says anything of its periods."""
        return self.value is not None or self.factor is not None

    def planned(self, yhat: float) -> float:
        """What it makes of a forecast."""
        return self.value if self.value is not None else float(f"{(self.factor or 0.0) * yhat:.9g}")

    def info(self) -> dict[str, Any]:
        """As `OverrideInfo`."""
        periods = list(self.yhat)
        return {"start": periods[0], "end": periods[-1], **self.model_dump(exclude={"yhat"}, exclude_none=True)}


class SeriesOverrides(Internal):
    """All words on a series; each period belongs to one. `outlook` is of the planned forecast, from what `basis`
    names."""

    items: list[Override] = []
    outlook: Outlook | None = None
    basis: str = ""


class PlanEvent(Internal):
    """What starts training: the schedule's time, or a person who wants every series refitted."""

    scheduled_at: AwareDatetime | None = None
    force: bool = False
    execution: str = Field("", description="name of the execution, the same when a call of it is retried")


class Planned(Internal):
    """Output of `plan`, input of `publish`; `error` is added by the state machine when something failed.

    A shard that failed is read as one of these with its `error`.
    """

    status: Literal["planned", "skipped", "empty"] = "planned"
    run_id: str
    plan_bucket: str = ""
    plan_key: str = ""
    gb_seconds: float = 0.0
    error: dict[str, Any] | None = None


class Shard(Internal):
    """One element of the plan: series to train for a version."""

    run_id: str
    version: str
    data_hash: str
    number: int
    series: list[str]
    newest: dict[str, str] = Field({}, description="time of the newest observation of each frequency")
    alone: str = Field("", description="why there is no model of all series; empty where there is one")


class ModelEntry(Internal):
    """Where the model of a series lies, in a version's index."""

    key: str
    sha256: str
    bytes: int
    history: str
    kind: str
    skill: float | None
    outlook: Outlook | None = None


class ShardResult(Internal):
    """What a shard trained."""

    entries: dict[str, ModelEntry]
    failed: dict[str, str]
    gb_seconds: float
