"""What goes in and out of the clustering leaf: events, the plan, the day's manifest, and the columns of its tables."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, Field

from layers.runtime.errors import InputError

# Rows of `anomaly_runs`, in lake:anomalies/runs/dt=D/run=R/*.parquet (`dt` is the partition).
# Hive types: string, int, boolean, double, string, string, string.
LABEL_SCHEMA = pa.schema(
    [
        ("ride_id", pa.string()),
        ("label", pa.int32()),
        ("is_anomaly", pa.bool_()),
        ("severity", pa.float64()),
        ("reason", pa.string()),
        ("model_version", pa.string()),
        ("run_id", pa.string()),
    ]
)

# Rows of rejected.parquet; `row` counts data rows of `file` from 0.
REJECTED_SCHEMA = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())])


# Beyond these, the days of the window and of another zone are none that a calendar knows.
FIRST, LAST = datetime(1970, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)


class Frozen(BaseModel, frozen=True):
    """Base of every message here."""


class DayRequest(Frozen):
    """What starts a run: a day, or the time of the schedule, whose day before is meant."""

    dt: Annotated[date, Field(ge=date(1970, 1, 1))] | None = None
    scheduled_at: Annotated[AwareDatetime, Field(ge=FIRST, le=LAST)] | None = None
    execution: str = Field("", description="name of the execution, the same when a call of it is retried")
    force: bool = Field(False, description="label the day again although it is done with the same input")

    def day(self, timezone: str) -> date:
        """The day to label. Raises InputError when the event names neither a day nor a time."""
        if self.dt is not None:
            return self.dt
        if self.scheduled_at is None:
            raise InputError("the event has neither dt nor scheduled_at")
        return (self.scheduled_at.astimezone(ZoneInfo(timezone)) - timedelta(days=1)).date()


class FitAnswer(Frozen):
    """Output of `fit`, input of `publish`. `error` is added by the state machine when something failed.

    `idle`: there never was a ride. An item of the plan that failed is read as one of these with its `error`.
    """

    status: Literal["planned", "skipped", "empty", "idle"] = "planned"
    dt: date
    run_id: str
    plan_bucket: str = ""
    plan_key: str = ""
    gb_seconds: float = Field(0.0, description="spent by `fit`")
    error: dict[str, Any] | None = None


class Source(Frozen):
    """An object of `size` bytes to label, or `row_groups` [first, last) of it, with `first_row` rows before them.

    `etag` is that of the object which was planned: another under its key is not labelled. A file has none.
    """

    key: str
    size: int
    etag: str | None = None
    row_groups: tuple[int, int] | None = None
    first_row: int = 0


class PlanItem(Frozen):
    """One element of the plan: the event of one `label` call. It names all that the call needs."""

    dt: date
    run_id: str
    part: int
    model_version: str
    sources: list[Source]


class Verdict(Frozen):
    """What the leaf reads of `verdicts/dt=D/*.json`: an analyst's word on a flag, and the flag's severity then."""

    verdict: Literal["confirmed", "false_alarm"] | None = Field(description="null: taken back")
    severity: float | None = None


class Precision(Frozen):
    """Of the flags of `severity` or more: how many were judged, how many of these confirmed, and that share."""

    severity: float
    judged: int
    confirmed: int
    precision: float
    low: float = Field(description="with `high`, Wilson's 95 % interval of the share")
    high: float


class VerdictReport(Frozen):
    """What analysts' verdicts say of the flags. They change none."""

    judged: int = Field(description="flags with a verdict")
    not_flagged: int = Field(description="judged rides that are no flags")
    unknown: int = Field(description="verdicts on rides whose severity is not known")
    precision: list[Precision] = Field(description="by severity, of those at which something was judged")
    severity: float | None = Field(description="the lowest from which on the flags would have served, if one would")
    share: float | None = Field(None, description="of rides that are of this severity or more")


class FitReport(Frozen):
    """What `fit` found, kept beside the plan for `publish`."""

    model_version: str
    clusters: int
    eps: float
    min_samples: int
    silhouette: float | None
    sampled: int
    sampled_from: Literal["window", "day"]
    files: int
    parts: int
    max_speed_kmh: float | None = None
    verdicts: VerdictReport | None = None


class Flag(Frozen):
    """One flagged ride, as `flagged.json` lists it."""

    ride_id: str
    ride_dist: float = Field(description="km")
    ride_time: float = Field(description="h")
    severity: float
    reason: str
    kind: str = Field("", description="of reason: impossible, fast, slow, far, near, long or brief")


class PartReport(BaseModel):
    """What one `label` call counts, kept under the plan until `publish` adds all up."""

    part: int
    rides: int = 0
    anomalies: int = 0
    rejected: int = 0
    found: int = Field(0, description="rows of the input, counted apart; of what cannot be read, those that came out")
    written: int = Field(0, description="rows of the output, labelled and rejected, by its footers")
    files: int = Field(0, description="objects that begin in this part")
    integer_ids: bool = True
    seconds: float = 0.0
    gb_seconds: float = 0.0
    points: list[tuple[float, float, bool]] = Field(default_factory=list, description="km, h, anomalous: for the plot")
    cells: list[tuple[int, int, int, int]] = Field(default_factory=list, description="as in `Plot`")
    flagged: list[Flag] = Field(default_factory=list, description="the most severe")
    severe: list[int] = Field(default_factory=list, description="anomalous rides of each of `SEVERITIES` or more")


class Plot(Frozen):
    """The day as a picture, `plot.json`: distance against time, both logarithmic."""

    bins: int = Field(description="of a tenfold, on either axis")
    cells: list[tuple[int, int, int, int]] = Field(
        description="i, j, ordinary, anomalous: rides from 10^(i/bins) km and 10^(j/bins) min to where the next begins"
    )
    sample: list[tuple[float, float, bool]] = Field(description="km, h, anomalous: rides drawn evenly")


class DayManifest(Frozen):
    """One row of `anomaly_days`: which run is the day's truth. One line of JSON, written last.

    Hive types, in this order: string, bigint, bigint, bigint, int, int, double, int, double, string, string, string;
    What follows `published_at` is no column.
    """

    run_id: str
    rides: int = Field(description="rides labelled")
    anomalies: int = Field(description="of these, anomalous")
    rejected: int = Field(description="rows that are no valid ride")
    files: int = Field(description="objects of the day")
    clusters: int
    eps: float
    min_samples: int
    silhouette: float | None
    sampled_from: str = Field(description="`window` before the day, or `day` when the window holds too few rides")
    model_version: str
    published_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    verdicts: VerdictReport | None = Field(None, description="on flags of the window; none before the first verdict")
    usual_share: float | None = Field(None, description="middle share of the four weeks before; none of too few days")
    far_from_usual: Literal["high", "low"] | None = Field(None, description="by half or more, and by more than chance")
