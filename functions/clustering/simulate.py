"""Taxi rides in the manner of the book, at any size: three kinds of abnormal ride among normal ones."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Share of rides, longest distance in km (uniform from 0), mean and deviation of speed in km/h.
KINDS = {
    "normal": (0.925, 10.0, 30.0, 5.0),
    "long": (0.025, 30.0, 30.0, 5.0),
    "fast": (0.025, 10.0, 50.0, 10.0),
    "slow": (0.025, 10.0, 15.0, 4.0),
}


def rides(rows: int, seed: int) -> pa.Table:
    """`rows` rides: ride_id, ride_dist (km), ride_time (h) and `kind`, which says what was meant; shuffled.

    Source: "Machine Learning Engineering with Python", the chapter on clustering taxi rides, whose 400 rides hold 370
    normal ones and 10 of each other kind. Its normal distribution can draw speeds below 1 km/h: they are raised to it.
    """
    rng = np.random.default_rng(seed)
    share, longest, speed, deviation = np.array(list(KINDS.values())).T
    kind = rng.permutation(np.searchsorted(np.cumsum(share)[:-1], (np.arange(rows) + 0.5) / rows))
    dist = np.maximum(rng.random(rows) * longest[kind], 0.001)
    time = dist / np.maximum(rng.normal(speed[kind], deviation[kind]), 1.0)
    digits = pc.utf8_lpad(pc.cast(pa.array(np.arange(rows)), pa.string()), 8, "0")
    kinds = pa.DictionaryArray.from_arrays(pa.array(kind, pa.int8()), pa.array(list(KINDS))).cast(pa.string())
    ids = pc.binary_join_element_wise("ride", digits, "-")
    return pa.table({"ride_id": ids, "ride_dist": dist, "ride_time": time, "kind": kinds})
