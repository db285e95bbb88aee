"""Label rides by their nearest core point: linear in rides, constant in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.clustering.domain.model import Model
from functions.clustering.domain.scaling import Floats

CHUNK = 100_000
NOISE = -1


@dataclass(frozen=True)
class Labels:
    """Per ride: cluster (-1 is noise) and severity, which is above 1 for exactly the anomalous ones and finite."""

    label: NDArray[np.int32]
    severity: Floats

    @property
    def is_anomaly(self) -> NDArray[np.bool_]:
        """Whether each ride is anomalous."""
        return self.severity > 1


def label(model: Model, dist: Floats, time: Floats) -> Labels:
    """Label valid rides, km and h, (n,)."""
    found = Labels(np.empty(len(dist), np.int32), np.empty(len(dist)))
    for start in range(0, len(dist), CHUNK):
        # In order of distance one ride after the other walks the same branches of the tree: a quarter of the time less.
        rides = start + np.argsort(dist[start : start + CHUNK])
        found.label[rides], found.severity[rides] = _label(model, dist[rides], time[rides])
    return found


def _label(model: Model, dist: Floats, time: Floats) -> tuple[NDArray[np.int32], Floats]:
    points = model.scale.transform(dist, time)
    if len(model.cores):
        distance, nearest = model.tree.query(points)
        severity, cluster = distance / model.eps, model.clusters[nearest]
    else:  # no ride has enough neighbours: all are noise, the farther from the middle the worse
        far = np.linalg.norm(points - model.scale.transform(model.dist[500:501], model.time[500:501]), axis=1)
        severity, cluster = np.nextafter(1.0, 2.0) + far / model.eps, np.full(len(dist), NOISE, np.int32)
    if model.parameters.max_speed_kmh is not None:
        severity = np.maximum(severity, _excess(dist, time, model.parameters.max_speed_kmh))
    return np.where(severity > 1, NOISE, cluster).astype(np.int32), severity


def _excess(dist: Floats, time: Floats, limit: float) -> Floats:
    """Speed over the limit where it is above it, else 0."""
    ratio = dist / limit / time
    return np.where(dist / limit > time, np.maximum(ratio, np.nextafter(1.0, 2.0)), 0.0)
