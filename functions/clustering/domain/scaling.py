"""From rides to the plane that density is measured in."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from functions.clustering.domain.parameters import Parameters

Floats = NDArray[np.float64]


class UsualSpeed(BaseModel):
    """Robust plane: how unusual the speed is for the distance, and the distance itself.

    x: log speed less its median among rides of this distance, over their interquartile range / 1.349 (a robust z).
    y: `weight` * log(1 + distance / upper quartile of distance).
    Medians and quartiles do not notice a recording error of thousands of kilometres. Distances are in km, times in h;
    between the bins' median distances both curves are interpolated over log distance.
    """

    model_config = ConfigDict(frozen=True)

    log_dist: tuple[float, ...]
    log_speed: tuple[float, ...]
    spread: tuple[float, ...]
    upper_quartile: float
    weight: float

    @classmethod
    def fit(cls, dist: Floats, time: Floats, parameters: Parameters) -> "UsualSpeed":
        """From at least one valid ride, in order of distance."""
        bins = int(np.clip(len(dist) // parameters.rides_per_bin, 1, parameters.distance_bins))
        # Bins of equal size; up to bins - 1 of the longest rides are in none.
        binned = len(dist) // bins * bins
        log_dist, log_time = (np.log(values[:binned]).reshape(bins, -1) for values in (dist, time))
        low, middle, high = np.quantile(log_dist - log_time, (0.25, 0.5, 0.75), axis=1)
        spread = np.maximum((high - low) / 1.349, parameters.spread_floor)
        where, kept = np.unique(np.median(log_dist, axis=1), return_index=True)
        return cls(
            log_dist=tuple(where.tolist()),
            log_speed=tuple(middle[kept].tolist()),
            spread=tuple(spread[kept].tolist()),
            upper_quartile=float(np.quantile(dist, 0.75)),
            weight=parameters.distance_weight,
        )

    def transform(self, dist: Floats, time: Floats) -> Floats:
        """Rides (n,) in the plane (n, 2)."""
        log_dist = np.log(dist)
        unusual = log_dist - np.log(time)
        unusual -= np.interp(log_dist, self.log_dist, self.log_speed)
        unusual /= np.interp(log_dist, self.log_dist, self.spread)
        far = self.weight * np.log1p(dist / self.upper_quartile)
        return np.column_stack((unusual, far))

    def usual(self, dist: Floats) -> Floats:
        """Usual speed for each distance, km/h."""
        return np.asarray(np.exp(np.interp(np.log(dist), self.log_dist, self.log_speed)))


class Standard(BaseModel):
    """The book's plane: distance and time, each less its mean and over its deviation."""

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, float]
    scale: tuple[float, float]

    @classmethod
    def fit(cls, dist: Floats, time: Floats) -> "Standard":
        """scikit-learn's StandardScaler, for its handling of constant columns."""
        from sklearn.preprocessing import StandardScaler

        fitted = StandardScaler().fit(np.column_stack((dist, time)))
        return cls(mean=tuple(fitted.mean_), scale=tuple(fitted.scale_))

    def transform(self, dist: Floats, time: Floats) -> Floats:
        """(n, 2)."""
        return np.column_stack(((dist - self.mean[0]) / self.scale[0], (time - self.mean[1]) / self.scale[1]))
