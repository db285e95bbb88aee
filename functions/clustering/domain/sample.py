"""A uniform sample of a stream, in memory that does not grow with it."""

import numpy as np

from functions.clustering.domain.scaling import Floats


class Reservoir:
    """Every ride gets a random key; the `size` smallest keys stay. Each ride is equally likely to be among them."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._kept = np.empty((0, 3))
        self.seen = 0

    def add(self, dist: Floats, time: Floats) -> None:
        """Offer valid rides, km and h, (n,)."""
        self.seen += len(dist)
        keys = self._rng.random(len(dist))
        if len(self._kept) == self._size:
            low = keys < self._kept[:, 0].max()
            keys, dist, time = keys[low], dist[low], time[low]
        both = np.concatenate((self._kept, np.column_stack((keys, dist, time))))
        if len(both) > self._size:
            both = both[np.sort(np.argpartition(both[:, 0], self._size - 1)[: self._size])]
        self._kept = both

    def rides(self) -> tuple[Floats, Floats]:
        """Distance and time of the sample, in the order of the stream."""
        return self._kept[:, 1].copy(), self._kept[:, 2].copy()
