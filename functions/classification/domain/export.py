"""From a fitted pipeline to ONNX, and the gate that compares the two before a model may be a candidate."""

from collections.abc import Sequence

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from functions.classification.contracts import Feature
from functions.classification.domain.pipelines import frame
from functions.classification.domain.schema import Columns, encode, names
from functions.classification.domain.scoring import Model, calibrated, segment_names
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
    """Largest difference of the probability, raw values to result, on rows resampled column by column.

    Raises CorruptError when it passes 1e-5, or when a segment changes further than that from an edge.
    """
    features, segments = model.specification.features, model.specification.segments
    rng = np.random.default_rng(seed)
    mixed = {f.name: [columns[f.name][i] for i in rng.integers(0, len(columns[f.name]), rows)] for f in features}
    inputs, _ = encode(mixed, features)
    ours = model.score(inputs)
    theirs = calibrated(pipeline.predict_proba(frame(inputs, features))[:, 1], model.specification.calibration)
    largest = float(np.abs(ours - theirs).max())
    edges = np.array([segment.low for segment in segments[1:]])
    near = (np.abs(theirs[:, None] - edges) <= TOLERANCE).any(axis=1)
    moved = [
        a != b and not n for a, b, n in zip(model.segments(ours), segment_names(theirs, segments), near, strict=True)
    ]
    if largest > TOLERANCE or any(moved):
        raise CorruptError(f"the exported model differs from the trained one by {largest:.2g}")
    return largest
