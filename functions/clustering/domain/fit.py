"""From a stream of rides to a model: a uniform sample, its plane, DBSCAN's core points and clusters."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from functions.clustering.domain.model import Floats, Model, Parameters, Standard, UsualSpeed, check_speed
from layers.runtime.errors import InputError

# Of the usual speed: most distance bins, fewest rides in one, smallest spread of log speed within one; then the weight
# of log distance against speed.
DISTANCE_BINS, RIDES_PER_BIN, SPREAD_FLOOR, DISTANCE_WEIGHT = 20, 50, 0.05, 3.0
SILHOUETTE_RIDES: Final = 500


class Reservoir:
    """A uniform sample of a stream, in memory that does not grow with it.

    Every ride gets a random key; the `size` smallest keys stay. Each ride is equally likely to be among them.
    `refused`: why the last file that could not be read is missing in the sample.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._rng = size, np.random.default_rng(seed)
        self._sample = np.empty((0, 3))
        self.seen, self.refused = 0, ""

    def add(self, dist: Floats, time: Floats) -> None:
        """Offer valid rides, km and h, (n,)."""
        self.seen += len(dist)
        keys = self._rng.random(len(dist))
        if len(self._sample) == self._size:
            low = keys < self._sample[:, 0].max()
            keys, dist, time = keys[low], dist[low], time[low]
        both = np.concatenate((self._sample, np.column_stack((keys, dist, time))))
        if len(both) > self._size:
            both = both[np.sort(np.argpartition(both[:, 0], self._size - 1)[: self._size])]
        self._sample = both

    def rides(self) -> tuple[Floats, Floats]:
        """Distance and time of the sample, in the order of the stream."""
        return self._sample[:, 1].copy(), self._sample[:, 2].copy()


def fit(dist: Floats, time: Floats, parameters: Parameters, *, seed: int = 0) -> Model:
    """Fit on a sample of valid rides, km and h, (n,). Raises InputError without a ride, or when most are impossible.

    Rides of impossible speed stay out, so they neither bend the scale nor count as neighbours.
    """
    if parameters.max_speed_kmh is not None and len(dist):
        check_speed(float(np.quantile(dist / time, 0.5, method="lower")), parameters)
        possible = dist / parameters.max_speed_kmh <= time
        dist, time = dist[possible], time[possible]
    if not len(dist):
        raise InputError("there is no valid ride to learn from")
    order = np.argsort(dist, kind="stable")
    dist, time = dist[order], time[order]
    scale = _standard(dist, time) if parameters.method == "book" else _usual_speed(dist, time)
    rng = np.random.default_rng(seed)
    some: Any = slice(None)
    if len(dist) > parameters.density_rides:
        some = np.sort(rng.choice(len(dist), parameters.density_rides, replace=False))
    points = scale.transform(dist[some], time[some])
    cores, clusters, eps, min_samples = dense(points, parameters)
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


def dense(points: Floats, parameters: Parameters) -> tuple[Floats, NDArray[np.int32], float, int]:
    """DBSCAN's core points (m, d) of `points` (n, d), the cluster of each, eps and min_samples (itself counted).

    Unless it is fixed, eps is a multiple of the median distance to the ride that completes min_samples: the median
    moves with the density of ordinary rides and not with how many abnormal ones the sample holds. Where rides that were
    rounded to whole km or minutes lie one on another, it is the distance to the next place that has as many.
    """
    wanted = parameters.min_samples or min(len(points), max(3, round(parameters.min_share * len(points))))
    if parameters.eps is not None:
        from sklearn.cluster import DBSCAN  # takes a second to load, which the robust method on few points can spare

        dbscan = DBSCAN(eps=parameters.eps, min_samples=wanted).fit(points)
        core = dbscan.core_sample_indices_
        return points[core], dbscan.labels_[core].astype(np.int32), parameters.eps, wanted
    reach = KDTree(points).query(points, k=[wanted])[0][:, 0]
    places, rides = np.unique(points.round(9), axis=0, return_counts=True)
    heaps, apart = places[rides >= wanted], reach
    if len(heaps) > 1:
        apart = np.where(reach > 1e-9, reach, KDTree(heaps).query(points, k=[2])[0][:, 0])
    eps = max(parameters.eps_factor * float(np.median(apart)), parameters.eps_floor)
    cores = points[reach <= eps]
    near = KDTree(cores).query_pairs(eps, output_type="ndarray")
    graph = coo_array((np.ones(len(near), bool), tuple(near.T)), shape=(len(cores), len(cores)))
    return cores, connected_components(graph, directed=False)[1].astype(np.int32), eps, wanted


def _usual_speed(dist: Floats, time: Floats) -> UsualSpeed:
    """The robust plane of at least one valid ride, in order of distance."""
    bins = int(np.clip(len(dist) // RIDES_PER_BIN, 1, DISTANCE_BINS))
    # Bins of equal size; up to bins - 1 of the longest rides are in none.
    binned = len(dist) // bins * bins
    log_dist, log_time = (np.log(values[:binned]).reshape(bins, -1) for values in (dist, time))
    low, middle, high = np.quantile(log_dist - log_time, (0.25, 0.5, 0.75), axis=1)
    where, first = np.unique(np.median(log_dist, axis=1), return_index=True)
    return UsualSpeed(
        log_dist=tuple(where.tolist()),
        log_speed=tuple(middle[first].tolist()),
        spread=tuple(np.maximum((high - low) / 1.349, SPREAD_FLOOR)[first].tolist()),
        upper_quartile=float(np.quantile(dist, 0.75)),
        weight=DISTANCE_WEIGHT,
    )


def _standard(dist: Floats, time: Floats) -> Standard:
    from sklearn.preprocessing import StandardScaler

    fitted = StandardScaler().fit(np.column_stack((dist, time)))
    return Standard(mean=tuple(fitted.mean_), scale=tuple(fitted.scale_))


def _quantiles(ordered: Floats) -> Floats:
    return np.asarray(ordered[np.linspace(0, len(ordered) - 1, 1001).round().astype(int)])


def _silhouette(cores: Floats, clusters: NDArray[np.int32], rng: np.random.Generator) -> float | None:
    """Mean silhouette of at most 500 core points; None for fewer than two clusters among them."""
    some = rng.permutation(len(cores))[:SILHOUETTE_RIDES]
    if not 1 < len({*clusters[some]}) < len(some):
        return None
    from sklearn.metrics import silhouette_score  # a second to load, which most samples do not need

    return float(silhouette_score(cores[some], clusters[some]))
