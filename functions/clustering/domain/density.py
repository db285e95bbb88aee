"""DBSCAN's core points and clusters, without keeping every neighbour list."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from functions.clustering.domain.parameters import Parameters
from functions.clustering.domain.scaling import Floats

PAIRS = 1_000_000  # whose distances are in memory at once


def neighbours_wanted(rides: int, parameters: Parameters) -> int:
    """min_samples, the ride itself counted: fixed, or a share of this many rides."""
    return parameters.min_samples or min(rides, max(3, round(parameters.min_share * rides)))


def core_points(points: Floats, parameters: Parameters) -> tuple[Floats, float, int]:
    """Points (m, d) that have min_samples of `points` (n, d) within eps, with eps and min_samples.

    Unless it is fixed, eps is a multiple of the median distance to the ride that completes min_samples: the median
    moves with the density of ordinary rides and not with how many abnormal ones the sample holds.
    """
    tree = KDTree(points)
    wanted = neighbours_wanted(len(points), parameters)
    if parameters.eps is not None:
        counts = tree.query_ball_point(points, parameters.eps, return_length=True)
        return points[counts >= wanted], parameters.eps, wanted
    reach = tree.query(points, k=[wanted])[0][:, 0]
    eps = max(parameters.eps_factor * float(np.median(reach)), parameters.eps_floor)
    return points[reach <= eps], eps, wanted


def cluster_numbers(cores: Floats, eps: float) -> NDArray[np.int32]:
    """Cluster of each core point (m, 2): those within eps of each other, and theirs, are one. Numbered from 0.

    Points of one cell of side eps / sqrt(2) are within eps, so whole cells are joined: first those whose first points
    are near, then, point by point, the few that still do not belong together.
    """
    if not len(cores):
        return np.empty(0, np.int32)
    place = np.floor((cores - cores.min(axis=0)) / (eps / np.sqrt(2)))
    cells, first, cell_of = np.unique(place[:, 0] + 1j * place[:, 1], return_index=True, return_inverse=True)
    # Cells further than two apart in x or in y hold no pair within eps.
    left, right = (
        KDTree(np.column_stack((cells.real, cells.imag))).query_pairs(2.1 * np.sqrt(2), output_type="ndarray").T
    )
    near = np.hypot(*(cores[first[left]] - cores[first[right]]).T) <= eps
    group = _joined(left[near], right[near], len(cells))
    members = np.split(np.argsort(cell_of, kind="stable"), np.cumsum(np.bincount(cell_of))[:-1])
    for one, other in zip(left[~near], right[~near], strict=True):
        if group[one] != group[other] and _touch(cores[members[one]], cores[members[other]], eps):
            group[group == group[other]] = group[one]
    return np.unique(group, return_inverse=True)[1][cell_of].astype(np.int32)


def _joined(left: NDArray[np.int64], right: NDArray[np.int64], nodes: int) -> NDArray[np.int32]:
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1])


def _touch(left: Floats, right: Floats, eps: float) -> bool:
    step = max(1, PAIRS // len(left))
    for start in range(0, len(right), step):
        x, y = (left[:, None, i] - right[None, start : start + step, i] for i in range(2))
        if (x * x + y * y <= eps * eps).any():
            return True
    return False
