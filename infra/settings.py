"""Settings of a deployment, read in `infra/app.py` and passed down as keyword arguments: one file for each stage."""

import os
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from functions.classification.settings import CLASSIFICATION
from functions.clustering.settings import CLUSTERING
from functions.console.settings import CONSOLE
from functions.forecasting.settings import FORECASTING
from layers.runtime.errors import InputError
from layers.runtime.parsing import Zone, first_error
from layers.runtime.settings import PREFIX

DEPLOY_PREFIX: Final = f"{PREFIX}DEPLOY_"
STAGES: Final = Path(__file__).parent / "stages"
LEAVES: Final = {leaf.name: leaf for leaf in (CLUSTERING, FORECASTING, CLASSIFICATION)}
PARTS: Final = LEAVES | {CONSOLE.name: CONSOLE}
SECTIONS: Final = ("deploy", *PARTS)

AnySettings = TypeVar("AnySettings", bound=BaseSettings)

# Members of CDK's RetentionDays, by name: importing CDK starts Node, and commands that only read settings need none.
Retention = Literal[
    "ONE_DAY", "THREE_DAYS", "FIVE_DAYS", "ONE_WEEK", "TWO_WEEKS", "ONE_MONTH", "TWO_MONTHS", "THREE_MONTHS",
    "FOUR_MONTHS", "FIVE_MONTHS", "SIX_MONTHS", "ONE_YEAR", "THIRTEEN_MONTHS", "EIGHTEEN_MONTHS", "TWO_YEARS",
    "THREE_YEARS", "FIVE_YEARS", "SIX_YEARS", "SEVEN_YEARS", "EIGHT_YEARS", "NINE_YEARS", "TEN_YEARS", "INFINITE",
]  # fmt: skip


class DeploySettings(BaseSettings):
    """Section `deploy` of the stage's file; a variable `TREFOIL_DEPLOY_<FIELD>` is stronger.

    The defaults deploy in a new account (3,008 MB, 10 concurrent executions).
    """

    model_config = SettingsConfigDict(env_prefix=DEPLOY_PREFIX, frozen=True, extra="ignore")

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
    timezone: Zone = Field("UTC", min_length=1, description="IANA zone of the schedules; a day of rides is a day there")
    clustering_schedule: str = Field("cron(0 3 * * ? *)", description="when yesterday's rides are labelled")
    forecasting_schedule: str = Field("cron(0 4 ? * MON *)", description="when changed series are refitted")
    classification_schedule: str = Field("cron(0 5 ? * MON *)", description="when the classifier is retrained")
    clustering_memory_mb: int = Field(3008, ge=512, le=10240, description="memory of fit, label and publish, MB")
    forecasting_memory_mb: int = Field(1769, ge=512, le=10240, description="memory of the API, MB; 1,769 is one vCPU")
    training_memory_mb: int = Field(
        3008, ge=1024, le=10240, description="memory of ingestion and of both trainings, MB"
    )
    classification_memory_mb: int = Field(1769, ge=512, le=10240, description="memory of scoring and drift, MB")
    console_memory_mb: int = Field(1024, ge=512, le=10240, description="memory of the console, MB")
    map_concurrency: int = Field(2, ge=1, le=1000, description="functions that one state machine's map runs at once")
    score_concurrency: int = Field(2, ge=2, le=1000, description="scoring functions that read the queue at once")
    ingest_concurrency: int = Field(2, ge=2, le=1000, description="files of sales that are ingested at once")
    score_batch: int = Field(1000, ge=1, le=10000, description="messages per scoring call")
    score_window_s: int = Field(5, ge=1, le=300, description="how long the queue gathers a batch, s")
    api_rate: int = Field(50, ge=1, description="API requests per second before 429")
    api_burst: int = Field(100, ge=20, description="API requests at once before 429; a page that opens makes up to 20")
    log_retention: Retention = Field("ONE_MONTH", description="how long logs are kept")
    superseded_days: int = Field(30, ge=1, description="days that a replaced run's objects and model versions are kept")
    scored_days: int = Field(90, ge=1, description="days that scored events are kept for joining with outcomes")
    first_day: str = Field("2009-01-01", pattern=r"^\d{4}-\d\d-\d\d$", description="first day the SQL tables project")
    scan_limit_gb: int = Field(10, ge=1, description="most that one Athena query may scan, GB")
    user_pool_endpoint: str = Field("", description="address of the user pool's API for the page; empty for AWS's own")
    alarm_email: str = Field("", description="address subscribed to the alarm topic; empty for none")

    @field_validator("clustering_schedule", "forecasting_schedule", "classification_schedule")
    @classmethod
    def _comes_every_day(cls, schedule: str, info: ValidationInfo) -> str:
        """The scheduler passes over a time that the beginning of summer time skips: that day would never run."""
        zone = info.data.get("timezone", "UTC")
        if missing := [hour for hour in _hours(schedule) if _skipped(hour, ZoneInfo(zone))]:
            raise ValueError(f"{missing[0]:02}:00 does not come in {zone} on the day when summer time begins")
        return schedule


def _hours(schedule: str) -> list[int]:
    """Hours that a cron expression names, alone or from one to another; a run every few hours misses no day."""
    hours = re.fullmatch(r"cron\(\S+ ([\d,-]+) .*\)", schedule)
    spans = (span.partition("-") for span in hours[1].split(",")) if hours else ()
    return [hour for first, _, last in spans for hour in range(int(first), int(last or first) + 1)]


def _skipped(hour: int, zone: ZoneInfo) -> bool:
    """Whether a day of the next year has no such hour in the zone."""
    today = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    times = (today + timedelta(days=day, hours=hour) for day in range(366))
    return any(t.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != t for t in times)


@dataclass(frozen=True)
class StageFile:
    """`infra/stages/<stage>.toml`: values by section, none of a stage that has no file."""

    name: str
    sections: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, stage: str) -> "StageFile":
        """Raises InputError that names the file, and the section that is none."""
        file = STAGES / f"{stage}.toml"
        try:
            sections = tomllib.loads(file.read_text()) if file.exists() else {}
        except (OSError, ValueError) as exc:
            raise InputError(f"cannot be read: {exc}", file=file.name) from exc
        for section, values in sections.items():
            if section not in SECTIONS or not isinstance(values, dict):
                raise InputError(f"is none of the sections {', '.join(SECTIONS)}", file=file.name, field=section)
        return cls(file.name, sections)

    def settings(self, kind: type[AnySettings], section: str, **given: Any) -> AnySettings:
        """Settings with the values of a section; `given` ones are not for the file to say.

        Raises InputError that names file, section and field; also for a run-time setting in the environment, which
        would not be there at the next deployment.
        """
        if (prefix := kind.model_config["env_prefix"]) == PREFIX:
            for name in kind.model_fields.keys() - given.keys():
                if (variable := f"{prefix}{name.upper()}") in os.environ:
                    raise InputError(f"is set in this shell: write {name} into {self.name}", field=variable)
        values = self.sections.get(section, {})
        for name in values:
            if name not in kind.model_fields or name in given:
                why = "is set by the stack" if name in given else "is no setting"
                raise InputError(why, file=self.name, field=f"{section}.{name}")
        try:
            return kind(**values, **given)
        except ValidationError as exc:
            where, why = first_error(exc)
            raise InputError(why, file=self.name, field=f"{section}.{where}") from exc


def deployment(stage: str | None = None) -> tuple[DeploySettings, StageFile]:
    """Settings of `stage`, by default the one that `TREFOIL_DEPLOY_STAGE` names, and its file. Raises InputError."""
    stage = stage or os.environ.get(f"{DEPLOY_PREFIX}STAGE") or "dev"
    file = StageFile.read(stage)
    values = file.sections.get("deploy", {})
    weaker = {k: v for k, v in values.items() if f"{DEPLOY_PREFIX}{k.upper()}" not in os.environ}
    merged = StageFile(file.name, file.sections | {"deploy": weaker})
    return merged.settings(DeploySettings, "deploy", stage=stage), merged
