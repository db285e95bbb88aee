"""DBSCAN's core points and clusters, without keeping every neighbour list."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from functions.clustering.domain.parameters import Parameters
from functions.clustering.domain.scaling import Floats


def neighbours_wanted(rides: int, parameters: Parameters) -> int:
    """min_samples, the ride itself counted, for a sample of this size; never more than there are."""
    share = round(parameters.min_share * rides)
    return max(1, min(rides, parameters.min_samples or max(share, 3)))


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

    Points of one cell of side eps / sqrt(2) are within eps, so whole cells are joined; two cells that already belong
    together are not compared again.
    """
    if not len(cores):
        return np.empty(0, np.int32)
    place = np.floor((cores - cores.min(axis=0)) / (eps / np.sqrt(2))).astype(np.int64)
    cells, cell_of = np.unique(place, axis=0, return_inverse=True)
    order = np.argsort(cell_of.ravel(), kind="stable")
    members = np.split(order, np.cumsum(np.bincount(cell_of.ravel()))[:-1])
    parent = list(range(len(cells)))

    def root(cell: int) -> int:
        while parent[cell] != cell:
            parent[cell] = cell = parent[parent[cell]]
        return cell

    # Cells further than two apart hold no pair within eps; near ones come first, as they join most.
    pairs = KDTree(cells).query_pairs(2 * np.sqrt(2) + 1e-9, output_type="ndarray")
    for left, right in pairs[np.argsort(np.abs(cells[pairs[:, 0]] - cells[pairs[:, 1]]).sum(axis=1), kind="stable")]:
        first, second = root(int(left)), root(int(right))
        if first != second and _touch(cores[members[left]], cores[members[right]], eps):
            parent[max(first, second)] = min(first, second)
    roots = np.array([root(cell) for cell in range(len(cells))])
    return np.unique(roots, return_inverse=True)[1].ravel()[cell_of.ravel()].astype(np.int32)


def _touch(left: Floats, right: Floats, eps: float) -> bool:
    gaps = left[:, None, :] - right[None, :, :]
    return bool((np.einsum("ijk,ijk->ij", gaps, gaps) <= eps * eps).any())
