"""Why a row has its score: what each of its columns adds to the mean score, from arrays that lie beside the model.

The parts are Shapley values and add up to the score before calibration less its mean over the rows learnt from. Scores
are log-odds of boosted trees and of a logistic regression, and probabilities of a forest; calibration keeps their
order. All inputs of a column (its value, and that it is missing) are one player.

Trees: the expected score when some columns are known is a sum over leaves of the leaf's value times one factor a column
on its path, which is 0 or 1 if the column is known (the row passes or not) and else the share of training rows that
pass (TreeSHAP: Lundberg, Erion and Lee 2018, "Consistent individualized feature attribution for tree ensembles", the
path-dependent game). A Shapley value is the integral from 0 to 1 of its derivative where each column is known with
probability t (Owen 1972), a polynomial of t, which Gauss and Legendre's points give exactly.

Logistic regression: a column's own term less the mean of that term (Štrumbelj and Kononenko 2014).
"""

import io
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Feature
from functions.classification.domain.schema import MAX_CATEGORIES, UNKNOWN, Floats, Matrix, places
from layers.runtime.errors import CorruptError

Arrays = dict[str, npt.NDArray[Any]]
Scale = Literal["log-odds", "probability"]
Part = tuple[str, float]

CODES: Final = MAX_CATEGORIES + 2  # of a category: unknown, null, and each known one
CELLS: Final = 200_000  # rows by leaves by columns of a path that are held at once
CONDITIONS: Final = ("feature", "low", "high", "missing", "codes")
LEAVES: Final = (*CONDITIONS, "condition", "share", "value")
TERMS: Final = ("table", "missing", "mean")


class Explanation:
    """What each column adds. The file has the arrays `LEAVES` (trees) or `TERMS` (logistic regression)."""

    def __init__(self, body: bytes, features: Sequence[Feature], *, name: str) -> None:
        """`name` is what an error calls the model. Raises CorruptError when `body` is not made of such arrays."""
        try:
            with np.load(io.BytesIO(body), allow_pickle=False) as file:
                self._arrays: Arrays = dict(file)
            self.scale: Scale = "probability" if self._arrays["probability"] else "log-odds"
            self.mean = float(self._arrays["base"])
            self._trees = "value" in self._arrays
            missing = set(LEAVES if self._trees else TERMS) - self._arrays.keys()
        except Exception as exc:  # zipfile's and numpy's errors have no common base
            raise CorruptError(f"{name} has no readable contributions") from exc
        if missing:
            raise CorruptError(f"{name} has no readable contributions")
        self._names = [feature.name for feature in features]
        self._places = [own[0] for own in places(features)]
        self._words = np.array([feature.kind == "category" for feature in features])

    def parts(self, x: Matrix) -> Floats:
        """What each column adds to the score of each row, shape (rows, columns), from the matrix of `schema.encode`."""
        values = x[:, self._places].astype(np.float64)
        values[:, self._words] = np.maximum(values[:, self._words], UNKNOWN)
        if not self._trees:
            return self._terms(values)
        step = max(CELLS // self._arrays["share"].size, 1)
        made = [self._shapley(values[start : start + step]) for start in range(0, len(values), step)]
        return np.concatenate([np.empty((0, len(self._names))), *made])

    def scores(self, x: Matrix) -> Floats:
        """Scores before calibration (0 to 1), shape (rows,), as the parts add up to them."""
        sums = self.mean + self.parts(x).sum(axis=1)
        return sums if self.scale == "probability" else np.asarray(1 / (1 + np.exp(-sums)))

    def largest(self, x: Matrix, most: int) -> list[list[Part]]:
        """Per row the `most` columns that moved the score furthest, each with its part; columns that add nothing are
        left out, of equal ones the earlier column comes first."""
        parts = self.parts(x)
        order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :most]
        return [
            [(self._names[i], value) for i in chosen if (value := float(row[i])) != 0.0]
            for row, chosen in zip(parts, order.tolist(), strict=True)
        ]

    def _terms(self, values: Floats) -> Floats:
        table, missing, mean = (self._arrays[name] for name in TERMS)
        codes = np.where(self._words, values + 1, 0).astype(np.int64)
        words = np.take_along_axis(table, codes.T, axis=1).T
        numbers = table[:, 1] + values * (table[:, 2] - table[:, 1])
        return np.where(self._words, words, np.where(np.isnan(values), missing, numbers)) - mean

    def _shapley(self, values: Floats) -> Floats:
        feature, low, high, missing, codes = (self._arrays[name] for name in CONDITIONS)
        condition, share, value = (self._arrays[name] for name in ("condition", "share", "value"))
        v, words = values[:, feature], self._words[feature]
        known = (codes >> np.where(words, v + 1, 0).astype(np.uint64)) & np.uint64(1)
        passes = np.where(words, known, np.where(np.isnan(v), missing, (low < v) & (v <= high)))
        gap = passes[:, condition] - share
        points, weights = np.polynomial.legendre.leggauss((len(share) + 1) // 2)
        parts = np.zeros_like(gap)
        for t, weight in zip((points + 1) / 2, weights / 2, strict=True):
            factors = share + t * gap
            parts += (weight * value * factors.prod(axis=1))[:, None] / factors
        count = len(self._names)
        places = np.arange(len(values))[:, None] * count + feature[condition].ravel()
        sums = np.bincount(places.ravel(), weights=(parts * gap).ravel(), minlength=len(values) * count)
        return np.asarray(sums, dtype=np.float64).reshape(len(values), count)
