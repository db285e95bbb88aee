"""What the console reads of what others publish, and what goes in and out of its API."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

from layers.runtime.parsing import Said
from layers.storage.ledger import Run
from layers.storage.registry import Champion


class Frozen(BaseModel, frozen=True):
    """Base of every document here."""


class Manifest(Frozen, extra="allow"):
    """`anomalies/days/dt=D/manifest.json`: the run that is the day's truth, and what else it says of itself."""

    run_id: str
    rides: int = Field(ge=0)
    anomalies: int = Field(ge=0)
    rejected: int


class Word(Frozen, extra="forbid"):
    """What a person says of a flagged ride."""

    verdict: Literal["confirmed", "false_alarm"] | None = Field(description="null takes an earlier word back")
    note: str = Field("", max_length=1000)
    at: Said | None = Field(
        None, description="when it was said: the newest word holds, however late or often it arrives; by default now"
    )


class Verdict(Frozen):
    """A row of `anomaly_verdicts`, `verdicts/dt=D/<hash>.json`: the newest word on a ride.

    Hive types: string, but of `severity` double.
    """

    ride_id: str
    run_id: str = Field(description="the run that was the day's truth when the word was said")
    verdict: Literal["confirmed", "false_alarm"] | None = Field(description="null: taken back")
    note: str
    by: str = Field(description="name of the user")
    at: str = Field(description="UTC, six digits of fraction")
    severity: float | None = Field(None, description="of the flag, when the word was said")
    kind: str = Field("", description="of its reason")


class Flag(Frozen):
    """A flagged ride, as `flagged.json` of a run lists it."""

    ride_id: str
    ride_dist: float = Field(description="km")
    ride_time: float = Field(description="h")
    severity: float = Field(description="above 1; distance from what is ordinary")
    reason: str
    kind: str = Field("", description="of reason: impossible, fast, slow, far, near, long or brief; empty of before")


class JudgedFlag(Flag):
    """With the word that stands on it."""

    verdict: Verdict | None


class DayRow(Frozen):
    """A published day."""

    dt: date
    run_id: str
    rides: int
    anomalies: int
    rejected: int
    share: float = Field(description="anomalies of rides")
    usual_share: float | None = Field(description="middle share of the days before; null when fewer than three are")
    confirmed: int
    false_alarms: int
    kinds: dict[str, tuple[int, int]] = Field(description="confirmed and false alarms by kind of reason")


class Days(Frozen):
    """Answer of `/v1/days`, oldest first."""

    items: list[DayRow]


class DayPage(DayRow, extra="allow"):
    """Answer of `/v1/days/{dt}`, with what else the manifest says."""

    plot: dict[str, Any] | None = Field(description="`bins, cells, sample`; null of a run from before there was one")


class FlagPage(Frozen):
    """Answer of `/v1/days/{dt}/flags`, most severe first."""

    run_id: str
    anomalies: int = Field(description="flagged rides of the day")
    listed: int = Field(description="of these, the most severe, which can be asked for")
    matched: int = Field(description="of these, those that were asked for")
    items: list[JudgedFlag]
    next_cursor: str | None


class WatchReport(Frozen):
    """`scored/reports/watch.json`, the hourly look of classification; of before, without some of it."""

    version: str
    events: int = Field(description="over which drift is measured")
    drift: dict[str, float] = Field(description="stability index by feature, and of the score")
    chance: dict[str, float] = Field(default_factory=dict, description="what chance alone reaches at this size")
    unknown: dict[str, float] = Field(default_factory=dict, description="share in categories that training never saw")
    segments: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict, description="day: version: segment")
    realised: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict, description="version: week: figures")
    expected: dict[str, Any] | None = None
    expected_withdrawn: str | None = None
    reason: str | None = None


class ModelRow(Champion):
    """The version that answers, and its figures on rows that it never saw."""

    created_at: str | None
    figures: dict[str, Any]


class Person(Frozen, extra="forbid"):
    """Whose newest result is asked for: in a body, since addresses are logged."""

    user_id: str = Field(min_length=1, max_length=256)


class Contribution(Frozen):
    """What a feature added to the score before calibration."""

    feature: str
    contribution: float


class Newest(Frozen):
    """An item of the table Classifications."""

    user_id: str
    observed_at: str
    event_id: str
    probability: float
    segment: str
    model_version: str
    classified_at: str
    explanation: list[Contribution] | None = None


class Segments(Frozen):
    """Answer of `/v1/segments`."""

    champion: ModelRow | None
    watch: WatchReport | None = Field(description="of the last hour; null before any")


class Operation(Frozen):
    """Answer of `/v1/operation`: what `trefoil status` says but for models that cannot be read."""

    healthy: bool
    attention: list[str]
    runs: dict[str, Run | None] = Field(description="the last of each job")
    models: dict[str, ModelRow | None] = Field(description="the champion of each leaf that has one")
    queues: dict[str, int]
    alarms: list[str]
    yesterday: dict[str, float] = Field(description="GB-seconds of the runs that began yesterday in UTC, by job")
    dollars: dict[str, float] = Field(description="what these cost, by job")


class Problem(Frozen):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    retry_after: int | None = None
