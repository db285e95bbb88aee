"""What the console reads of what others publish, and what goes in and out of its API."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
TIMES: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def _day(value: Any) -> Any:
    """Pydantic alone would take a number of seconds for a date."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise PydanticCustomError("day", "a day is written YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1970, 1, 1))]


class Frozen(BaseModel):
    """Base of every document here."""

    model_config = ConfigDict(frozen=True)


class Manifest(Frozen):
    """`anomalies/days/dt=D/manifest.json`: the run that is the day's truth."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    run_id: str
    rides: int
    anomalies: int
    rejected: int
    files: int | None = None
    clusters: int | None = None
    eps: float | None = None
    min_samples: int | None = None
    silhouette: float | None = None
    sampled_from: str | None = None
    model_version: str | None = None
    published_at: str | None = None


class Plot(Frozen):
    """`plot.json` of a run: distance against time, both logarithmic."""

    bins: int = Field(description="of a tenfold, on either axis")
    cells: list[tuple[int, int, int, int]] = Field(
        description="i, j, ordinary, anomalous: rides from 10^(i/bins) km and 10^(j/bins) min to where the next begins"
    )
    sample: list[tuple[float, float, bool]] = Field(description="km, h, anomalous: rides drawn evenly")


class Word(Frozen):
    """What a person says of a flagged ride."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["confirmed", "false_alarm"] | None = Field(description="null takes an earlier word back")
    note: str = Field("", max_length=1000)
    at: Annotated[AwareDatetime, Field(ge=FIRST, le=LAST)] | None = Field(
        None, description="when it was said: the newest word holds, however late or often it arrives; by default now"
    )


class Verdict(Frozen):
    """A row of `anomaly_verdicts`, `verdicts/dt=D/<hash>.json`: the newest word on a ride.

    Hive types: string, string, string, string, string, string.
    """

    ride_id: str
    run_id: str = Field(description="the run that was the day's truth when the word was said")
    verdict: Literal["confirmed", "false_alarm"] | None = Field(description="null: taken back")
    note: str
    by: str = Field(description="name of the user")
    at: str = Field(description="UTC, six digits of fraction")


class Flag(Frozen):
    """A flagged ride, as `flagged.json` of a run lists it."""

    ride_id: str
    ride_dist: float = Field(description="km")
    ride_time: float = Field(description="h")
    severity: float = Field(description="above 1; distance from what is ordinary")
    reason: str


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


class Days(Frozen):
    """Answer of `/v1/days`, oldest first."""

    items: list[DayRow]


class DayPage(DayRow, Manifest):
    """Answer of `/v1/days/{dt}`."""

    plot: Plot | None = Field(description="null of a run from before there was one")


class FlagPage(Frozen):
    """Answer of `/v1/days/{dt}/flags`, most severe first."""

    run_id: str
    anomalies: int = Field(description="flagged rides of the day")
    listed: int = Field(description="of these, the most severe, which can be asked for")
    matched: int = Field(description="of these, those that were asked for")
    items: list[JudgedFlag]
    next_cursor: str | None


class Problem(Frozen):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    retry_after: int | None = None
