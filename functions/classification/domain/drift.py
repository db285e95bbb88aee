"""How far inputs and scores have moved from training, from counts alone."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Feature, Reference, Specification
from functions.classification.domain.schema import Inputs

Counts = npt.NDArray[np.int64]

DECILES = np.linspace(0, 1, 11)[1:-1]
EMPTY = 1e-4
COUNTERS_AT_ONCE = 200  # an update expression of DynamoDB has at most 4 KB


def reference(values: npt.NDArray[np.generic], feature: Feature | None) -> Reference:
    """Shares of training values, shape (rows, 1) or (rows,); deciles for numbers and scores (`feature` None)."""
    edges: tuple[float, ...] = ()
    if feature is None or feature.kind != "category":
        numbers = values.astype(np.float64).ravel()
        if np.isfinite(numbers).any():
            edges = tuple(float(edge) for edge in np.unique(np.nanquantile(numbers, DECILES, method="higher")))
    counts = bin_counts(values, feature, edges)
    return Reference(edges=edges, shares=tuple((counts / max(counts.sum(), 1)).tolist()))


def bin_counts(values: npt.NDArray[np.generic], feature: Feature | None, edges: Sequence[float]) -> Counts:
    """Rows per bin. Numbers: below, between and above `edges`, then missing. Categories: each, other, missing."""
    if feature is not None and feature.kind == "category":
        index = {word: i for i, word in enumerate(feature.categories)} | {"": len(feature.categories) + 1}
        bins = np.array([index.get(word, len(feature.categories)) for word in values.ravel().tolist()], dtype=np.int64)
        return np.bincount(bins, minlength=len(feature.categories) + 2)
    numbers = values.astype(np.float64).ravel()
    bins = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(np.array(edges), numbers, side="left"))
    return np.bincount(bins, minlength=len(edges) + 2)


def counters(inputs: Inputs, probabilities: npt.NDArray[np.float64], specification: Specification) -> dict[str, int]:
    """What one batch adds to its hour's profile: `n`, `s<bin>` and `f<feature>_<bin>`; zeros are left out."""
    found = {"n": len(probabilities)}
    scores = bin_counts(probabilities, None, specification.score_reference.edges)
    found |= {f"s{b}": int(rows) for b, rows in enumerate(scores)}
    for i, (feature, known) in enumerate(zip(specification.features, specification.references, strict=True)):
        found |= {f"f{i}_{b}": int(rows) for b, rows in enumerate(bin_counts(inputs[f"c{i}"], feature, known.edges))}
    return {name: rows for name, rows in found.items() if rows}


def stability_index(expected: Sequence[float], counts: Sequence[float]) -> float:
    """Population stability index: sum over bins of (q - p) ln(q / p); 0.1 is a small move, 0.25 a large one."""
    p = np.maximum(np.array(expected), EMPTY)
    q = np.maximum(np.array(counts) / max(sum(counts), 1), EMPTY)
    return float(np.sum((q - p) * np.log(q / p)))


class Drift:
    """Move of each feature and of the score since training, over the profiles given (summed)."""

    def __init__(self, specification: Specification, totals: Mapping[str, int]) -> None:
        self.events = totals.get("n", 0)
        self.features: dict[str, float] = {}
        self.unknown: dict[str, float] = {}
        for i, (feature, known) in enumerate(zip(specification.features, specification.references, strict=True)):
            counts = [totals.get(f"f{i}_{b}", 0) for b in range(len(known.shares))]
            self.features[feature.name] = stability_index(known.shares, counts)
            if feature.kind == "category":
                self.unknown[feature.name] = counts[-2] / max(sum(counts), 1) - known.shares[-2]
        shares = specification.score_reference.shares
        self.score = stability_index(shares, [totals.get(f"s{b}", 0) for b in range(len(shares))])

    @property
    def largest(self) -> float:
        """The largest index of any feature and the score."""
        return max([self.score, *self.features.values()])

    @property
    def unknown_rate(self) -> float:
        """The largest rise of any category column's share of values unknown to the model."""
        return max([0.0, *self.unknown.values()])
