"""From a fitted pipeline to ONNX, and the gate that compares the two before a model may be a candidate."""

from collections.abc import Sequence

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from functions.classification.contracts import Feature
from functions.classification.domain.model import Model, calibrated, segment_names
from functions.classification.domain.pipelines import frame
from functions.classification.domain.schema import Columns, encode, names
from layers.runtime.errors import CorruptError

OPSET = 17
PARITY_ROWS = 10_000
TOLERANCE = 1e-5


def to_bytes(pipeline: Pipeline, features: Sequence[Feature]) -> bytes:
    """The pipeline as an ONNX file with one input per column; its output `probabilities` has shape (rows, 2)."""
    forest = pipeline["forest"]
    for tree in forest.estimators_:
        _round_down(tree.tree_.threshold)
    words = {f"c{i}" for i, feature in enumerate(features) if feature.kind == "category"}
    types = [(n, StringTensorType([None, 1]) if n in words else FloatTensorType([None, 1])) for n in names(features)]
    graph = to_onnx(pipeline, initial_types=types, options={id(forest): {"zipmap": False}}, target_opset=OPSET)
    body: bytes = graph.SerializeToString()
    return body


def _round_down(thresholds: np.ndarray) -> None:
    # ONNX keeps thresholds as float32. The largest float32 not above the threshold splits float32 inputs the same way.
    single = thresholds.astype(np.float32)
    thresholds[:] = np.where(single > thresholds, np.nextafter(single, np.float32(-np.inf)), single)


def check_parity(model: Model, pipeline: Pipeline, columns: Columns, *, seed: int, rows: int = PARITY_ROWS) -> float:
    """Largest difference of the score before calibration, on rows resampled column by column.

    The calibrated probability is not compared: a steep map makes much of a difference of one rounding. Raises
    CorruptError when the difference passes 1e-5, or when a row changes its segment although its score lies further than
    that from the edge.
    """
    specification = model.specification
    features, calibration, segments = specification.features, specification.calibration, specification.segments
    rng = np.random.default_rng(seed)
    mixed = {f.name: [columns[f.name][i] for i in rng.integers(0, len(columns[f.name]), rows)] for f in features}
    inputs, _ = encode(mixed, features)
    ours, theirs = model.raw(inputs), pipeline.predict_proba(frame(inputs, features))[:, 1]
    largest = float(np.abs(ours - theirs).max())
    lowest, named, highest = (
        segment_names(calibrated(scores, calibration), segments)
        for scores in (theirs - TOLERANCE, ours, theirs + TOLERANCE)
    )
    moved = any(name not in near for name, *near in zip(named, lowest, highest, strict=True))
    if largest > TOLERANCE or moved:
        raise CorruptError(f"the exported model differs from the trained one by {largest:.2g}")
    return largest
