"""Run-time settings of the forecasting leaf."""

from typing import Literal

from pydantic import Field, field_validator

from layers.runtime.leaf import LeafDescription
from layers.runtime.parsing import Zone
from layers.runtime.settings import Settings


class ForecastingSettings(Settings):
    """Read from the environment of each forecasting function."""

    forecasts_table: str = Field("", description="table of cached forecasts")
    cache_hours: int = Field(24 * 7, description="how long a cached forecast is kept, hours")
    freshness_seconds: float = Field(
        1.0, description="how long memory is trusted before model version and history are looked up again, seconds"
    )
    memory_answers: int = Field(500, description="answers kept in a container's memory, count")
    holdout_days: int = Field(
        56,
        description="days held out for the reported backtest; of other frequencies, as many periods as are usually "
        "forecast, days",
    )
    known: str = Field("", description="regressors known beforehand beside planned ones, names parted by commas")
    holidays: str = Field(
        "",
        pattern=r"^([A-Z]{2}(-\w+)?)?$",
        description="country or part of one, such as DE or DE-BY, whose public holidays are planned regressors "
        "of hours, days and weeks",
    )
    frequency: Literal["", "H", "D", "W", "M", "Q"] = Field(
        "", description="step of the rows of every sales file, as `--frequency`; empty: told from each series"
    )
    aggregate: Literal["", "sum", "mean"] = Field(
        "",
        description="how several rows of a period become one, all of them in one file; empty: they are refused",
    )
    timezone: Zone = Field("", description="IANA zone whose clock counts in sales files; empty: times as written")
    file_series: int = Field(20_000, ge=1, description="most series of one sales file")
    global_rows: int = Field(400_000, ge=1_000, description="most rows that the model of all series learns from, count")
    shard_series: int = Field(50, ge=1, le=400, description="series that one training call takes, count")
    batch_seconds: float = Field(
        18.0, description="after which no item of a batch is begun any more: the gateway ends a call at 29, seconds"
    )

    @field_validator("holidays")
    @classmethod
    def _has_holidays(cls, code: str) -> str:
        if code:
            from holidays import country_holidays

            country, _, part = code.partition("-")
            try:
                country_holidays(country, subdiv=part or None)
            except NotImplementedError as exc:
                raise ValueError("is no country or part of one that the package holidays has") from exc
        return code

    @property
    def known_names(self) -> list[str]:
        """`known` as a list."""
        return [name.strip() for name in self.known.split(",") if name.strip()]


FORECASTING = LeafDescription(
    "forecasting",
    ForecastingSettings,
    jobs={"forecasting-ingest": "another file of that name", "forecasting": "other sales, or --force"},
    samples={"sales": 40_000},
    keyed=frozenset({"forecasting-ingest"}),
    trainer="ForecastingStateMachine",
)
