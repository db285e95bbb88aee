"""A stored model at work: numpy and onnxruntime, nothing else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from layers.runtime.errors import CorruptError

Inputs = Mapping[str, npt.NDArray[Any]]
Scores = npt.NDArray[np.float32]


class Session:
    """An ONNX model with one output. It computes any number of rows in one call, on `threads` threads."""

    def __init__(self, body: bytes, *, name: str, threads: int = 1) -> None:
        """`name` is what an error calls the model. Raises CorruptError when `body` is not a model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # onnxruntime's errors have no common base
            raise CorruptError(f"{name} is not an ONNX model") from exc
        self._output = self._session.get_outputs()[-1].name

    def scores(self, inputs: Inputs) -> Scores:
        """One number a row, shape (rows,): the regression's value, or the probability of the positive class.

        `inputs` are the arrays of the graph by name, one row each or more; trees have one, `x` (rows, features).
        """
        (output,) = self._session.run([self._output], inputs)
        return np.asarray(output, np.float32)[:, -1]
