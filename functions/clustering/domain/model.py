"""The model: a plane, its core points and eps. Kept as JSON and npz; nothing is pickled."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from functions.clustering.domain.density import cluster_numbers, core_points
from functions.clustering.domain.parameters import Parameters
from functions.clustering.domain.scaling import Floats, Standard, UsualSpeed
from layers.runtime.errors import CorruptError, InputError
from layers.runtime.parsing import MALFORMED

SILHOUETTE_RIDES = 500


@dataclass(frozen=True)
class Model:
    """What `label` needs. `cores` (m, 2) in the plane of `scale`; `clusters` (m,); `dist` and `time` are quantiles
    0, 0.1, ... 100 % of the sample in km and h, which reasons compare with."""

    parameters: Parameters
    scale: UsualSpeed | Standard
    cores: Floats
    clusters: NDArray[np.int32]
    eps: float
    min_samples: int
    sampled: int
    silhouette: float | None
    dist: Floats
    time: Floats

    @cached_property
    def tree(self) -> KDTree:
        """Of the core points."""
        return KDTree(self.cores, leafsize=16, compact_nodes=False)

    @property
    def cluster_count(self) -> int:
        """How many clusters the sample has."""
        return int(self.clusters.max(initial=-1)) + 1

    def facts(self) -> dict[str, Any]:
        """What summaries and the registry say of it."""
        return {
            "clusters": self.cluster_count,
            "eps": self.eps,
            "min_samples": self.min_samples,
            "silhouette": self.silhouette,
            "sampled": self.sampled,
        }

    def dump(self) -> dict[str, bytes]:
        """The files of a model version, byte for byte the same for the same model."""
        body = {
            "parameters": self.parameters.model_dump(),
            "scale": self.scale.model_dump(),
            "eps": self.eps,
            "min_samples": self.min_samples,
            "sampled": self.sampled,
            "silhouette": self.silhouette,
        }
        arrays = io.BytesIO()
        np.savez(arrays, cores=self.cores, clusters=self.clusters, dist=self.dist, time=self.time)
        return {"model.json": json.dumps(body, sort_keys=True).encode(), "arrays.npz": arrays.getvalue()}

    @classmethod
    def load(cls, files: dict[str, bytes]) -> "Model":
        """The inverse of `dump`. Raises CorruptError."""
        try:
            body = json.loads(files["model.json"])
            parameters = Parameters.model_validate(body.pop("parameters"))
            plane = Standard if parameters.method == "book" else UsualSpeed
            scale = plane.model_validate(body.pop("scale"))
            with np.load(io.BytesIO(files["arrays.npz"]), allow_pickle=False) as arrays:
                return cls(parameters=parameters, scale=scale, **body, **arrays)
        except (*MALFORMED, BadZipFile) as exc:
            raise CorruptError("the files are no clustering model") from exc


def fit(dist: Floats, time: Floats, parameters: Parameters, *, seed: int = 0) -> Model:
    """Fit on a sample of valid rides, km and h, (n,). Raises InputError when no ride is left to fit on.

    Rides of impossible speed stay out, so they neither bend the scale nor count as neighbours.
    """
    if parameters.max_speed_kmh is not None:
        possible = dist / parameters.max_speed_kmh <= time
        dist, time = dist[possible], time[possible]
        if len(possible) and not len(dist):
            units = "distances or times are probably in other units than km and h"
            raise InputError(f"every ride is faster than {parameters.max_speed_kmh:g} km/h: {units}")
    if not len(dist):
        raise InputError("there is no valid ride to learn from")
    order = np.argsort(dist, kind="stable")
    dist, time = dist[order], time[order]
    rng = np.random.default_rng(seed)
    book = parameters.method == "book"
    scale = Standard.fit(dist, time) if book else UsualSpeed.fit(dist, time, parameters)
    some: Any = slice(None)
    if len(dist) > parameters.density_rides:
        some = np.sort(rng.choice(len(dist), parameters.density_rides, replace=False))
    cores, eps, min_samples = core_points(scale.transform(dist[some], time[some]), parameters)
    clusters = cluster_numbers(cores, eps)
    return Model(
        parameters=parameters,
        scale=scale,
        cores=cores,
        clusters=clusters,
        eps=eps,
        min_samples=min_samples,
        sampled=len(dist),
        silhouette=_silhouette(cores, clusters, rng),
        dist=_quantiles(dist),
        time=_quantiles(np.sort(time)),
    )


def _quantiles(ordered: Floats) -> Floats:
    return np.asarray(ordered[np.linspace(0, len(ordered) - 1, 1001).round().astype(int)])


def _silhouette(cores: Floats, clusters: NDArray[np.int32], rng: np.random.Generator) -> float | None:
    """Mean silhouette of at most 500 core points; None for fewer than two clusters among them."""
    if len(cores) > SILHOUETTE_RIDES:
        chosen = rng.choice(len(cores), SILHOUETTE_RIDES, replace=False)
        cores, clusters = cores[chosen], clusters[chosen]
    found, own, size = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(found) < 2:
        return None
    totals = cdist(cores, cores) @ np.eye(len(found))[own]
    each = np.arange(len(cores))
    within = totals[each, own] / np.maximum(size[own] - 1, 1)
    means = totals / size
    means[each, own] = np.inf
    nearest = means.min(axis=1)
    widths = (nearest - within) / np.maximum(np.maximum(nearest, within), np.finfo(float).tiny)
    return float(np.where(size[own] > 1, widths, 0.0).mean())
