"""A loaded model: numpy and onnxruntime, nothing else."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from functions.classification.contracts import Calibration, Segment, Specification
from functions.classification.domain.explanation import Explanation, Part
from functions.classification.domain.schema import Floats, Matrix, places
from layers.learning.session import Session


class Model:
    """A learner's ONNX file with its specification. Scoring is one vectorised call for any number of rows."""

    def __init__(
        self,
        version: str,
        specification: Specification,
        body: bytes,
        explanation: bytes | None = None,
        *,
        threads: int = 1,
    ) -> None:
        """`explanation`: the file of `Explanation`, where it is wanted. Raises CorruptError when a body is damaged."""
        self._session = Session(body, name=version, threads=threads)
        self.version = version
        self.specification = specification
        self.explanation = None
        if explanation is not None:
            self.explanation = Explanation(explanation, specification.features, name=version)

    def score(self, x: Matrix) -> Floats:
        """Calibrated probabilities, shape (rows,), from the matrix of `schema.encode`."""
        return calibrated(self.raw(x), self.specification.calibration) if len(x) else np.empty(0)

    def raw(self, x: Matrix) -> npt.NDArray[np.float32]:
        """The learner's own scores, before calibration, of at least one row."""
        return self._session.scores({"x": x} if self.specification.inputs == "matrix" else self._columns(x))

    def _columns(self, x: Matrix) -> dict[str, npt.NDArray[Any]]:
        """The inputs of a graph of before, each of shape (rows, 1): categories as their words."""
        inputs: dict[str, npt.NDArray[Any]] = {}
        features = self.specification.features
        for i, (feature, own) in enumerate(zip(features, places(features), strict=True)):
            inputs |= {f"{kind}{i}": x[:, [place]] for kind, place in zip("cm", own, strict=False)}
            if feature.kind == "category":
                words = np.array([*feature.categories, "", "\0"], dtype=object)  # the last two: null and unknown
                inputs[f"c{i}"] = words[x[:, own].astype(np.int64)]
        return inputs

    @property
    def explains_fast(self) -> bool:
        """Whether it explains a batch of messages in time: a forest takes some 30 ms a row."""
        return self.explanation is not None and self.explanation.scale == "log-odds"

    def explain(self, x: Matrix, most: int) -> list[list[Part]] | None:
        """Per row the `most` columns that moved its score furthest; None of a model that has no explanation."""
        return None if self.explanation is None else self.explanation.largest(x, most)

    def segments(self, probabilities: Floats) -> list[str]:
        """Name of the segment of each probability."""
        return segment_names(probabilities, self.specification.segments)


def calibrated(scores: npt.NDArray[np.floating], calibration: Calibration) -> Floats:
    """Probabilities of raw scores (0 to 1): by lines between points, by Platt's map (1999), or as they are."""
    if calibration.scores:
        return np.asarray(np.interp(scores, calibration.scores, calibration.probabilities))
    if calibration.floor == 0.0:
        return scores.astype(np.float64)
    odds = calibration.slope * log_odds(scores, calibration.floor) + calibration.intercept
    return 1.0 / (1.0 + np.exp(-odds))


def log_odds(scores: npt.NDArray[np.floating], floor: float) -> Floats:
    """Logarithm of score / (1 - score), for scores from `floor` to 1 - `floor`."""
    clipped = np.clip(scores.astype(np.float64), floor, 1 - floor)
    return np.log(clipped / (1 - clipped))


def segment_names(probabilities: Floats, segments: Sequence[Segment]) -> list[str]:
    """`segments` lie in rising order without gaps."""
    edges = np.array([segment.low for segment in segments[1:]])
    labels = [segment.name for segment in segments]
    return [labels[i] for i in np.searchsorted(edges, probabilities, side="right")]


def make_segments(threshold: float, base_rate: float) -> tuple[Segment, ...]:
    """`target` from the threshold up, `leave` below the base rate, `nurture` between; an empty one is left out."""
    edge = min(base_rate, threshold)
    bounds = (("leave", 0.0, edge), ("nurture", edge, threshold), ("target", threshold, math.inf))
    return tuple(Segment(name=n, low=lo, high=min(hi, 1.0)) for n, lo, hi in bounds if lo < hi)
