"""What the method is told, frozen: the whole of it is kept with every model."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Parameters(BaseModel):
    """Of the robust method by default. Sizes count rides, `eps` and `eps_floor` are in scaled units."""

    model_config = ConfigDict(frozen=True)

    method: Literal["robust", "book"] = "robust"
    density_rides: int = Field(2_000, ge=1, description="rides of the sample that serve as neighbours and core points")
    min_share: float = Field(0.005, gt=0, lt=1, description="min_samples as a share of those rides")
    eps_factor: float = Field(
        3.3, gt=0, description="eps, in medians of the distance to the ride that completes min_samples"
    )
    eps_floor: float = Field(0.05, gt=0, description="smallest eps, for days whose rides are mostly identical")
    eps: float | None = Field(None, gt=0, description="a fixed eps instead")
    min_samples: int | None = Field(None, ge=1, description="a fixed count instead")
    distance_bins: int = Field(20, ge=1, description="most distance bins that the usual speed is taken over")
    rides_per_bin: int = Field(50, ge=1, description="fewest rides in a bin")
    spread_floor: float = Field(0.05, gt=0, description="smallest spread of log speed within a bin")
    distance_weight: float = Field(3.0, gt=0, description="weight of log distance against speed")
    max_speed_kmh: float | None = Field(160.0, gt=0, description="a faster ride is impossible; None: no such rule")


# "Machine Learning Engineering with Python", clustering taxi rides: standard scaling of distance and time.
BOOK = Parameters(method="book", density_rides=20_000, eps=0.3, min_samples=10, max_speed_kmh=None)

NAMED = {"robust": Parameters(), "book": BOOK}
