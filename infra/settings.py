"""Deploy-time settings, read in `infra/app.py` and passed down as keyword arguments."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Members of CDK's RetentionDays, by name: importing CDK starts Node, and commands that only read settings need none.
Retention = Literal[
    "ONE_DAY", "THREE_DAYS", "FIVE_DAYS", "ONE_WEEK", "TWO_WEEKS", "ONE_MONTH", "TWO_MONTHS", "THREE_MONTHS",
    "FOUR_MONTHS", "FIVE_MONTHS", "SIX_MONTHS", "ONE_YEAR", "THIRTEEN_MONTHS", "EIGHTEEN_MONTHS", "TWO_YEARS",
    "THREE_YEARS", "FIVE_YEARS", "SIX_YEARS", "SEVEN_YEARS", "EIGHT_YEARS", "NINE_YEARS", "TEN_YEARS", "INFINITE",
]  # fmt: skip


class DeploySettings(BaseSettings):
    """Read from `TREFOIL_DEPLOY_<FIELD>`; the defaults deploy in a new account (3,008 MB, 10 concurrent executions)."""

    model_config = SettingsConfigDict(env_prefix="TREFOIL_DEPLOY_", frozen=True, extra="ignore")

    stage: str = Field(
        "dev", pattern=r"^[a-z][a-z0-9]{0,15}$", description="name of the deployment, part of stack names"
    )
    packaging: Literal["image", "source"] = Field(
        "image", description="container images, or plain source for the local cloud without Docker"
    )
    architecture: Literal["x86_64", "arm64"] = Field(
        "x86_64",
        description="processor of every function; arm64 is a fifth cheaper, and must match where images are built",
    )
    snap_start: bool = Field(
        False, description="SnapStart for the API and the scoring function, about $3.90 a month per GB of each version"
    )
    timezone: str = Field("UTC", description="IANA zone of the schedules; a day of rides is a day there")
    clustering_schedule: str = Field("cron(0 3 * * ? *)", description="when yesterday's rides are labelled")
    forecasting_schedule: str = Field("cron(0 4 ? * MON *)", description="when changed series are refitted")
    classification_schedule: str = Field("cron(0 5 ? * MON *)", description="when the classifier is retrained")
    clustering_memory_mb: int = Field(3008, ge=512, le=10240, description="memory of fit, label and publish, MB")
    forecasting_memory_mb: int = Field(1769, ge=512, le=10240, description="memory of the API, MB; 1,769 is one vCPU")
    training_memory_mb: int = Field(
        3008, ge=1024, le=10240, description="memory of ingestion and of both trainings, MB"
    )
    classification_memory_mb: int = Field(1769, ge=512, le=10240, description="memory of scoring and drift, MB")
    map_concurrency: int = Field(3, ge=1, le=1000, description="functions that one state machine's map runs at once")
    score_concurrency: int = Field(2, ge=2, le=1000, description="scoring functions that read the queue at once")
    score_batch: int = Field(1000, ge=1, le=10000, description="messages per scoring call")
    score_window_s: int = Field(5, ge=1, le=300, description="how long the queue gathers a batch, s")
    api_rate: int = Field(50, ge=1, description="API requests per second before 429")
    api_burst: int = Field(100, ge=1, description="API requests at once before 429")
    log_retention: Retention = Field("ONE_MONTH", description="how long logs are kept")
    superseded_days: int = Field(30, ge=1, description="days that a replaced run's objects and model versions are kept")
    scored_days: int = Field(90, ge=1, description="days that scored events are kept for joining with outcomes")
    first_day: str = Field("2009-01-01", pattern=r"^\d{4}-\d\d-\d\d$", description="first day the SQL tables project")
    scan_limit_gb: int = Field(10, ge=1, description="most that one Athena query may scan, GB")
    user_pool_endpoint: str = Field("", description="address of the user pool's API for the page; empty for AWS's own")
    alarm_email: str = Field("", description="address subscribed to the alarm topic; empty for none")

    @model_validator(mode="after")
    def _schedules_exist_every_day(self) -> Self:
        """The scheduler passes over a time of day that the beginning of summer time skips: that day would never run."""
        for name in ("clustering_schedule", "forecasting_schedule", "classification_schedule"):
            for hour in _hours(getattr(self, name)):
                if _skipped(hour, self.timezone):
                    raise ValueError(
                        f"TREFOIL_DEPLOY_{name.upper()} names {hour:02}:00 to {hour + 1:02}:00, which a day in "
                        f"{self.timezone} lacks when summer time begins; choose another hour"
                    )
        return self


def _hours(expression: str) -> list[int]:
    """Hours that a cron expression names one by one or from one to another; a run every few hours misses no day."""
    given = re.fullmatch(r"cron\(\S+ ([\d,-]+) .*\)", expression)
    spans = (span.partition("-") for span in given[1].split(",")) if given else ()
    return [hour for first, _, last in spans for hour in range(int(first), int(last or first) + 1)]


def _skipped(hour: int, timezone: str) -> bool:
    """Whether a day of the next year has no such hour in the zone."""
    try:
        zone = ZoneInfo(timezone)
    except (ValueError, ZoneInfoNotFoundError) as exc:
        raise ValueError(f"TREFOIL_DEPLOY_TIMEZONE is no IANA zone: {timezone}") from exc
    start = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=30, second=0, microsecond=0)
    times = (start + timedelta(days=day, hours=hour) for day in range(366))
    return any(t.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != t for t in times)
