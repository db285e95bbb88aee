"""Run-time settings of the clustering leaf."""

from pydantic import Field

from layers.runtime.leaf import LeafDescription
from layers.runtime.settings import Settings


class ClusteringSettings(Settings):
    """Read from the environment of each clustering function."""

    timezone: str = Field("UTC", description="IANA zone in which the day before the scheduled time is meant")
    window_days: int = Field(
        28, ge=1, description="length of the window before the day that the sample is drawn from, days"
    )
    sample_rides: int = Field(20_000, ge=1_000, le=200_000, description="size of the sample, rides")
    window_max_mb: int = Field(
        512, ge=1, description="most that is read of the window, MB; beyond it, objects drawn evenly"
    )
    window_objects: int = Field(2_000, ge=1, description="most objects of the window that are read")
    max_speed_kmh: float = Field(160.0, gt=0, description="a faster ride is an anomaly of its own kind, km/h")
    item_mb: int = Field(
        64,
        ge=0,
        description="size of one item of work for a label call, MB; larger Parquet is split between row groups",
    )
    item_rides: int = Field(2_000_000, ge=1_000, description="size of one item of work for a label call, rides")
    item_objects: int = Field(500, ge=1, description="most small objects in one item of work")
    piece_rides: int = Field(
        40_000_000, ge=1_000, description="most rides of what cannot be split: a CSV object or a row group of Parquet"
    )
    model_days: int = Field(30, ge=1, description="a model, which only its own run needs, is listed this long, days")
    lease_minutes: int = Field(60, ge=1, description="a run left running is taken over after this, minutes")


CLUSTERING = LeafDescription(
    "clustering",
    ClusteringSettings,
    jobs={"clustering": "other rides of that day or another TREFOIL_MAX_SPEED_KMH, or backfill --force"},
    samples={"rides": 4_000},
    keyed=frozenset({"clustering"}),
)
