"""The model: a plane, its core points and eps; kept as JSON and npz, nothing is pickled. It labels any ride."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SkipValidation
from scipy.spatial import KDTree

from functions.clustering.contracts import Frozen
from layers.runtime.errors import CorruptError, InputError
from layers.runtime.parsing import MALFORMED

Floats = NDArray[np.float64]
CHUNK = 100_000
NOISE = -1
UNITS: Final = (
    "distances or times are probably in other units than km and h; --column ride_dist_m=NAME (metres), ride_dist_mi "
    "(miles), ride_time_min or ride_time_s says so (TREFOIL_COLUMNS); --preset tlc reads miles and two times"
)
ARRAYS = ("cores", "clusters", "dist", "time")


class Parameters(Frozen):
    """Of the robust method by default. Sizes count rides, `eps` and `eps_floor` are in scaled units."""

    method: Literal["robust", "book"] = "robust"
    density_rides: int = Field(2_000, ge=1, description="rides of the sample that serve as neighbours and core points")
    min_share: float = Field(0.005, gt=0, lt=1, description="min_samples as a share of those rides")
    eps_factor: float = Field(
        3.3, gt=0, description="eps, in medians of the distance to the ride that completes min_samples"
    )
    eps_floor: float = Field(0.05, gt=0, description="smallest eps, for days whose rides are mostly identical")
    eps: float | None = Field(None, gt=0, description="a fixed eps instead")
    min_samples: int | None = Field(None, ge=1, description="a fixed count instead")
    max_speed_kmh: float | None = Field(160.0, gt=0, description="a faster ride is impossible; None: no such rule")


# "Machine Learning Engineering with Python", clustering taxi rides: standard scaling of distance and time.
BOOK = Parameters(method="book", density_rides=20_000, eps=0.3, min_samples=10, max_speed_kmh=None)
NAMED = {"robust": Parameters(), "book": BOOK}


def check_speed(kmh: float, parameters: Parameters, file: str | None = None) -> None:
    """Raise InputError when the median speed is impossible: then most rides would be flagged."""
    limit = parameters.max_speed_kmh
    if limit is not None and kmh > limit:
        speeds = f"the median speed is {kmh:,.0f} km/h, over the possible {limit:,.0f}"
        raise InputError(f"{speeds}: {UNITS}; --max-speed allows more (TREFOIL_MAX_SPEED_KMH)", file=file)


class UsualSpeed(Frozen):
    """Robust plane: how unusual the speed is for the distance, and the distance itself.

    x: log speed less its median among rides of this distance, over their interquartile range / 1.349 (a robust z).
    y: `weight` * log(1 + distance / upper quartile of distance).
    Medians and quartiles do not notice a recording error of thousands of kilometres. Distances are in km, times in h;
    between the bins' median distances both curves are interpolated over log distance.
    """

    log_dist: tuple[float, ...]
    log_speed: tuple[float, ...]
    spread: tuple[float, ...]
    upper_quartile: float
    weight: float

    def transform(self, dist: Floats, time: Floats) -> Floats:
        """Rides (n,) in the plane (n, 2)."""
        log_dist = np.log(dist)
        unusual = log_dist - np.log(time)
        unusual -= np.interp(log_dist, self.log_dist, self.log_speed)
        unusual /= np.interp(log_dist, self.log_dist, self.spread)
        return np.column_stack((unusual, self.weight * np.log1p(dist / self.upper_quartile)))

    def usual(self, dist: Floats) -> Floats:
        """Usual speed for each distance, km/h."""
        return np.asarray(np.exp(np.interp(np.log(dist), self.log_dist, self.log_speed)))


class Standard(Frozen):
    """The book's plane: distance and time, each less its mean and over its deviation."""

    mean: tuple[float, float]
    scale: tuple[float, float]

    def transform(self, dist: Floats, time: Floats) -> Floats:
        """(n, 2)."""
        return (np.column_stack((dist, time)) - self.mean) / self.scale


@dataclass(frozen=True)
class Labels:
    """Per ride: cluster (-1 is noise) and severity, which is above 1 for exactly the anomalous ones and finite."""

    label: NDArray[np.int32]
    severity: Floats

    @property
    def is_anomaly(self) -> NDArray[np.bool_]:
        """Whether each ride is anomalous."""
        return self.severity > 1


class Model(Frozen, arbitrary_types_allowed=True):
    """What labelling needs. `cores` (m, 2) in the plane of `scale`; `clusters` (m,); `dist` and `time` are quantiles
    0, 0.1, ... 100 % of the sample in km and h, which reasons compare with."""

    parameters: Parameters
    scale: UsualSpeed | Standard
    eps: float
    min_samples: int
    sampled: int
    silhouette: float | None
    cores: SkipValidation[Floats]
    clusters: SkipValidation[NDArray[np.int32]]
    dist: SkipValidation[Floats]
    time: SkipValidation[Floats]

    @cached_property
    def tree(self) -> KDTree:
        """Of the core points."""
        return KDTree(self.cores, leafsize=16, compact_nodes=False)

    def facts(self) -> dict[str, Any]:
        """What summaries and the registry say of it."""
        counted = self.model_dump(include={"eps", "min_samples", "silhouette", "sampled"})
        return {"clusters": int(self.clusters.max(initial=-1)) + 1} | counted

    def dump(self) -> dict[str, bytes]:
        """The files of a model version, byte for byte the same for the same model."""
        arrays = io.BytesIO()
        np.savez(arrays, **{name: getattr(self, name) for name in ARRAYS})
        body = json.dumps(self.model_dump(exclude={*ARRAYS}), sort_keys=True)
        return {"model.json": body.encode(), "arrays.npz": arrays.getvalue()}

    @classmethod
    def load(cls, files: dict[str, bytes]) -> "Model":
        """The inverse of `dump`. Raises CorruptError."""
        try:
            with np.load(io.BytesIO(files["arrays.npz"]), allow_pickle=False) as arrays:
                return cls(**json.loads(files["model.json"]), **{name: arrays[name] for name in ARRAYS})
        except (*MALFORMED, BadZipFile) as exc:
            raise CorruptError("the files are no clustering model") from exc


def label(model: Model, dist: Floats, time: Floats) -> Labels:
    """Label valid rides, km and h, (n,), by their nearest core point: linear in rides, constant in memory."""
    labels = Labels(np.empty(len(dist), np.int32), np.empty(len(dist)))
    for start in range(0, len(dist), CHUNK):
        # In order of distance one ride after the other walks the same branches of the tree: a quarter of the time less.
        rides = start + np.argsort(dist[start : start + CHUNK])
        labels.label[rides], labels.severity[rides] = _label(model, dist[rides], time[rides])
    return labels


def _label(model: Model, dist: Floats, time: Floats) -> tuple[NDArray[np.int32], Floats]:
    points = model.scale.transform(dist, time)
    if len(model.cores):
        distance, nearest = model.tree.query(points)
        severity, cluster = distance / model.eps, model.clusters[nearest]
    else:  # no ride has enough neighbours: all are noise, the farther from the middle the worse
        far = np.linalg.norm(points - model.scale.transform(model.dist[500:501], model.time[500:501]), axis=1)
        severity, cluster = np.nextafter(1.0, 2.0) + far / model.eps, np.full(len(dist), NOISE, np.int32)
    if (limit := model.parameters.max_speed_kmh) is not None:
        over = np.maximum(dist / limit / time, np.nextafter(1.0, 2.0))
        severity = np.maximum(severity, np.where(dist / limit > time, over, 0.0))
    return np.where(severity > 1, NOISE, cluster).astype(np.int32), severity
