"""How many injected rides are found in real months of trip records."""

from pathlib import Path
from typing import Any

import numpy as np

from functions.clustering.domain.fit import fit
from functions.clustering.domain.model import BOOK, Parameters, label
from functions.clustering.domain.table import Format, RideFile

SAMPLE = 20_000
NEIGHBOUR = 10
INJECTED, FLAGGED = 0.01, 0.02


def real_rides(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Valid rides of a month of trip records, km and h."""
    with path.open("rb") as stream:
        chunks = [
            (rides, ~rides.rejections().astype(bool)) for rides in RideFile(stream, str(path), Format("tlc")).rides()
        ]
    return tuple(
        np.concatenate([values[valid] for values, valid in pairs])
        for pairs in (
            [(rides.dist, valid) for rides, valid in chunks],
            [(rides.time, valid) for rides, valid in chunks],
        )
    )


def real_quality(history: Any, day: Any, seed: int) -> dict[str, float]:
    """Share of the injected rides among the 2 % of `day` with the highest severity, learned from `history`."""
    from scipy.spatial import KDTree
    from sklearn.ensemble import IsolationForest
    from sklearn.preprocessing import RobustScaler

    rng = np.random.default_rng(seed)
    dist, hours, injected = inject(*day, rng)
    chosen = rng.choice(len(history[0]), SAMPLE, replace=False)
    sample = history[0][chosen], history[1][chosen]
    ours = label(fit(*sample, Parameters(), seed=seed), dist, hours).severity
    scaler = RobustScaler().fit(np.column_stack(sample))
    learned, asked = (scaler.transform(np.column_stack(rides)) for rides in (sample, (dist, hours)))
    forest = IsolationForest(random_state=seed).fit(learned)
    return {
        "ours": _recall(ours, injected),
        "isolation forest": _recall(-forest.score_samples(asked), injected),
        "10th neighbour": _recall(KDTree(learned).query(asked, k=[NEIGHBOUR])[0][:, 0], injected),
    }


def book_recall(day: Any, seed: int) -> float:
    """Share of the injected rides that `--params book` flags, which learns from the day itself and has no order.

    On all its rides it would flag fewer, and need 30 GB.
    """
    dist, hours, injected = inject(*day, np.random.default_rng(seed))
    return float(label(fit(dist, hours, BOOK), dist, hours).is_anomaly[injected].mean())


def inject(dist: Any, hours: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn 1 % of the rides, drawn at random, into abnormal ones, a quarter each: three to six times slower; as many
    times faster; the distance ten times or a tenth; four to ten times longer at the same speed."""
    dist, hours = dist.copy(), hours.copy()
    drawn = rng.permutation(len(dist))[: int(INJECTED * len(dist))]
    slow, fast, glitch, far = np.array_split(drawn, 4)
    hours[slow] *= rng.uniform(3, 6, len(slow))
    hours[fast] /= rng.uniform(3, 6, len(fast))
    dist[glitch] *= np.where(rng.random(len(glitch)) < 0.5, 10, 0.1)
    times = rng.uniform(4, 10, len(far))
    dist[far] *= times
    hours[far] *= times
    injected = np.zeros(len(dist), bool)
    injected[drawn] = True
    return dist, hours, injected


def _recall(severity: Any, injected: Any) -> float:
    flagged = np.argsort(-severity, kind="stable")[: int(FLAGGED * len(severity))]
    return float(injected[flagged].sum() / injected.sum())
