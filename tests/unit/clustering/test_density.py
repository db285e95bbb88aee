"""The book's parameters against scikit-learn's DBSCAN on random rides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

from functions.clustering import simulate
from functions.clustering.domain.fit import fit
from functions.clustering.domain.model import BOOK, Parameters, label

rides = st.one_of(
    st.lists(st.tuples(st.floats(0.01, 60), st.floats(0.01, 5)), min_size=1, max_size=120),
    # Clumps, and rides that are equal to others: what real files have.
    st.lists(st.tuples(st.sampled_from([1.0, 1.1, 1.25, 9.0, 30.0]), st.floats(0.05, 0.4)), min_size=1, max_size=120),
    st.lists(st.tuples(st.integers(1, 12).map(float), st.integers(1, 4).map(float)), min_size=10, max_size=200),
)


def same_partition(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal up to renaming."""
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    return len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


@settings(max_examples=150, deadline=None)
@given(rides)
def test_the_books_noise_and_core_labels_are_scikit_learns(drawn: list[tuple[float, float]]) -> None:
    dist, time = np.array(drawn).T
    check_against_sklearn(dist, time)


def check_against_sklearn(dist: np.ndarray, time: np.ndarray) -> None:
    points = StandardScaler().fit_transform(np.column_stack((dist, time)))
    theirs = DBSCAN(eps=0.3, min_samples=10).fit(points)
    ours = label(fit(dist, time, BOOK), dist, time)
    assert (ours.label == -1).tolist() == (theirs.labels_ == -1).tolist()
    assert ours.is_anomaly.tolist() == (theirs.labels_ == -1).tolist()
    core = theirs.core_sample_indices_
    assert same_partition(ours.label[core], theirs.labels_[core])
    for i in np.flatnonzero(~ours.is_anomaly):  # a border point carries the label of some core point within eps
        near = np.linalg.norm(points[core] - points[i], axis=1) <= 0.3 * (1 + 1e-12)
        assert ours.label[i] in ours.label[core][near]


@pytest.mark.parametrize("seed", range(3))
def test_the_book_equals_scikit_learn_on_thousands_of_rides_in_many_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middles = rng.random((25, 2)) * (100, 10) + 1
    drawn = np.abs(middles[rng.integers(25, size=4_000)] + rng.normal(size=(4_000, 2)) * (0.9, 0.09)) + 0.01
    check_against_sklearn(*drawn.T)


@pytest.mark.parametrize(("km", "minutes"), [(1.0, 5.0), (0.5, 1.0), (1e-9, 1e-9)])
def test_rounded_rides_are_no_more_abnormal_than_exact_ones(km: float, minutes: float) -> None:
    """Rides that people report come in whole km and five minutes: many are equal, and the next place is far."""
    table = simulate.rides(4_000, 0)
    ordinary = np.array(table["kind"].to_pylist()) == "normal"
    dist, time = (table[name].to_numpy()[ordinary] for name in ("ride_dist", "ride_time"))
    dist, time = np.maximum(np.round(dist / km), 1) * km, np.maximum(np.round(time * 60 / minutes), 1) * minutes / 60
    assert label(fit(dist, time, Parameters()), dist, time).is_anomaly.mean() < 0.03
    broken = label(fit(dist, time, Parameters()), dist[:500] * 10, time[:500])
    assert broken.is_anomaly.mean() > 0.9


def test_among_rides_that_are_all_the_same_another_one_is_abnormal() -> None:
    dist, time = np.full(500, 3.2), np.full(500, 0.2)
    dist[9], time[7] = 20.0, 2.0
    assert np.flatnonzero(label(fit(dist, time, Parameters()), dist, time).is_anomaly).tolist() == [7, 9]
