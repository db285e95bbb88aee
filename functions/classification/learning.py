"""From columns of a table to a finished model: what the training function and the command line share."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from functions.classification.bundle import version_of
from functions.classification.contracts import MODEL_FILE
from functions.classification.domain import candidate, schema
from functions.classification.domain.candidate import Trained
from functions.classification.domain.plots import draw_report
from functions.classification.domain.report import PEERS, make_report
from functions.classification.domain.scoring import Model
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import Target, TwoValues, read_target
from functions.classification.domain.training import Parameters, Progress, silent
from layers.runtime.errors import InputError

LIBRARIES = ("scikit-learn", "imbalanced-learn", "skl2onnx", "onnxruntime", "numpy")
METRICS = ("roc_auc", "average_precision", "f1", "brier", "calibration_error", "threshold")


@dataclass(frozen=True)
class Package:
    """A candidate with its files, named by its content."""

    version: str
    trained: Trained
    report: dict[str, Any]
    files: dict[str, bytes]
    libraries: dict[str, str]

    @property
    def metrics(self) -> dict[str, float]:
        """The model's own figures."""
        return {name: float(self.report[name]["model"]) for name in METRICS}


def label(
    columns: dict[str, list[Any]],
    target: str,
    *,
    positive: str | None = None,
    standing: TwoValues | None = None,
    group: str | None = None,
    without: Sequence[str] = (),
    times: Sequence[datetime | None] | None = None,
) -> tuple[Labelled, Target]:
    """Rows with a target, as labelled rows without the target and the columns in `without`.

    `group` names the column that says whose row it is; unless named, one is looked for. `standing` is the target of the
    model that answers now. Raises InputError.
    """
    values = columns[target]
    if not values:
        raise InputError("there are no rows")
    if group is not None and (group == target or group not in columns):
        raise InputError("is not a column that can say whose row it is", field=group)
    named, codes = read_target(values, target, positive, standing)
    kept = np.flatnonzero(codes >= 0)
    features = {name: column for name, column in columns.items() if name != target and name not in without}
    rows = Labelled(features, codes == 1, times or [None] * len(values), group or schema.whose(features))
    return (rows if len(kept) == len(values) else rows.take(kept)), named


def learn(
    rows: Labelled,
    target: Target,
    parameters: Parameters,
    *,
    in_order: bool = False,
    champion: Model | None = None,
    refused: Sequence[str] = (),
    progress: Progress = silent,
) -> Package:
    """Train a candidate, report on it and name it by its content."""
    trained = candidate.train(rows, target, parameters, in_order=in_order, refused=refused, progress=progress)
    found = make_report(trained, parameters, champion)
    found |= {"refused": list(refused), "group": rows.group, "twins": trained.twins}
    files = {
        MODEL_FILE: trained.body,
        "report.json": json.dumps(_finite(found), indent=1).encode(),
        "report.png": draw_report(trained, found),
    }
    libraries = {name: version(name) for name in LIBRARIES}
    return Package(version_of(trained.body, trained.model.specification), trained, found, files, libraries)


def reject(columns: Mapping[str, Sequence[Any]], target: str, package: Package) -> dict[int, str]:
    """Rows of the table that were neither learnt from nor judged on, in their order, each with its reason."""
    _, bad = schema.encode(columns, package.trained.model.specification.features)
    unlabelled = [row for row, value in enumerate(columns[target]) if not schema.canonical(value)]
    bad |= dict.fromkeys(unlabelled, f"{target} is null")
    return dict(sorted(bad.items()))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return value


def summary_lines(package: Package) -> list[str]:
    """The report as lines of text for a person."""
    report = package.report
    shown = [peer for peer in PEERS if report["roc_auc"][peer] is not None]
    lines = [*_reading_lines(report["columns"]), f"{'':18}" + "".join(f"{peer:>10}" for peer in shown)]
    found = [metric for metric in (*METRICS, "profit") if metric in report]
    lines += [f"{m:18}" + "".join(f"{report[m][peer]:>10.3f}" for peer in shown) for m in found]
    return [*lines, *report["findings"]]


def _reading_lines(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines: dict[str, list[str]] = {}
    for name, read in columns.items():
        rare = f" ({read['unknown']:.0%} outside the known ones)" if read.get("unknown", 0) >= 0.005 else ""
        lines.setdefault(read["read_as"], []).append(name + rare)
    return [f"read as {kind}: {', '.join(names)}" for kind, names in lines.items()]
