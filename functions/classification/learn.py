"""Labelled rows to a stored version: trained, reported on, published, judged, and promoted when it is better."""

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from importlib.metadata import version as version_of_library
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import to_json

from functions.classification.contracts import LEAF, MODEL_FILE, Specification
from functions.classification.domain import fit
from functions.classification.domain.fit import Parameters, Progress, Trained
from functions.classification.domain.model import Model
from functions.classification.domain.plots import draw_report
from functions.classification.domain.report import METRICS, make_report
from functions.classification.domain.splits import Labelled, label
from functions.classification.domain.table import read, refused_columns
from functions.classification.domain.target import Target, is_positive
from functions.classification.domain.verdict import judge
from functions.classification.settings import ClassificationSettings
from functions.classification.store import Joined, days_until, join_outcomes, stored_model
from layers.runtime.errors import ConflictError, CorruptError, InputError, NotFoundError, TrefoilError
from layers.runtime.files import MB
from layers.runtime.observability import logger
from layers.storage.manifest import StoredFile, content_version

if TYPE_CHECKING:
    from layers.storage.ledger import RunLedger
    from layers.storage.objects import S3Objects
    from layers.storage.registry import ModelRegistry

JOB = "classification-train"
LIBRARIES = ("scikit-learn", "imbalanced-learn", "lightgbm", "skl2onnx", "onnxruntime", "numpy")
# Settings that make another model of the same rows.
CHOICES = {
    *("target", "positive", "group", "leak_columns", "dates", "decimal", "time_column"),
    *("iterations", "seed", "value", "cost"),
}


@dataclass(frozen=True)
class Package:
    """A candidate with its files, named by its content."""

    version: str
    trained: Trained
    report: dict[str, Any]
    files: dict[str, bytes]

    @property
    def about(self) -> dict[str, Any]:
        """What its manifest says beside its files: the model's own figures, libraries, and the specification."""
        return {
            "metrics": {name: float(self.report[name]["model"]) for name in METRICS},
            "libraries": {name: version_of_library(name) for name in LIBRARIES},
            "details": self.trained.model.specification.model_dump(mode="json"),
        }


def learn(
    rows: Labelled,
    target: Target,
    parameters: Parameters,
    *,
    in_order: bool = False,
    champion: Model | None = None,
    refused: Sequence[str] = (),
    progress: Progress | None = None,
) -> Package:
    """Train a candidate, report on it and name it by its content."""
    trained = fit.train(rows, target, parameters, in_order=in_order, refused=refused, progress=progress)
    report = make_report(trained, parameters, champion)
    files = trained.files | {
        "report.json": to_json(report, indent=1, inf_nan_mode="null"),
        "report.png": draw_report(trained, report),
    }
    specification = trained.model.specification.model_dump_json().encode()
    version = content_version({MODEL_FILE: files[MODEL_FILE], "specification": specification})
    return Package(version, trained, report, files)


@dataclass
class TrainingService:
    """Trains when there is something new to learn from; the same data and settings twice are one run."""

    lake: "S3Objects"
    registry: "ModelRegistry"
    ledger: "RunLedger"
    settings: ClassificationSettings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def train(self, reason: str, remaining: float, owner: str = "") -> dict[str, Any]:
        """Train, publish, judge and maybe promote. `remaining`: seconds that this call may take.

        `owner` is the same when Lambda repeats a call that died: it takes over what it left running.
        """
        started = time.monotonic()
        days = days_until(self.clock().date(), self.settings.outcome_days)
        objects, until = self.settings.outcome_objects, started + remaining / 3
        joined = join_outcomes(self.lake, days, objects=objects, until=until)
        fingerprint = self._fingerprint(joined)
        lease = timedelta(seconds=remaining)
        claim = self.ledger.claim(JOB, fingerprint, fingerprint=fingerprint, lease=lease, owner=owner)
        if not claim.granted:
            return {"status": "skipped", "run_id": claim.run.run_id, **claim.run.counts}
        if not any(self.lake.list("customers/")) and self.registry.champion(LEAF) is None:
            self.ledger.finish(claim.run, "idle", detail="no labelled customers yet")
            return {"status": "idle", "run_id": claim.run.run_id}
        try:
            left = remaining - (time.monotonic() - started)
            answer = self._train(reason, joined, fingerprint, min(self.settings.budget_seconds, 0.8 * left))
        except Exception as exc:  # a run left running keeps the next one waiting; other errors may quote a cell
            detail = str(exc) if isinstance(exc, TrefoilError) else type(exc).__name__
            self.ledger.finish(claim.run, "failed", detail=detail)
            raise
        self.ledger.finish(claim.run, "done", counts=answer, detail=reason)
        return {"status": "trained", "run_id": claim.run.run_id, **answer}

    def _fingerprint(self, joined: list[Joined]) -> str:
        digest = hashlib.sha256(self.settings.model_dump_json(include=CHOICES).encode())
        for info in self.lake.list("customers/"):
            digest.update(f"{info.key} {info.etag}\n".encode())
        for row in joined:
            digest.update(f"{row.user_id} {row.observed_at} {row.event_id} {row.outcome}\n".encode())
        return digest.hexdigest()

    def _train(self, reason: str, joined: list[Joined], data_hash: str, budget: float) -> dict[str, Any]:
        settings, standing = self.settings, self.registry.champion(LEAF)
        rows, target, refused = self._rows(joined, self._meaning(standing.version) if standing else None)
        champion = self._model(standing.version) if standing else None
        options = settings.model_dump(include={"iterations", "seed", "trees", "value", "cost"})
        parameters = Parameters(**options, budget_seconds=max(budget, 1.0))
        package = learn(rows, target, parameters, champion=champion, refused=refused)
        self._publish(package, data_hash)
        better, why = judge(package.trained, champion, seed=parameters.seed)
        if better:
            why, expected = f"{reason}: {why}", standing.version if standing else None
            try:
                self.registry.promote(LEAF, package.version, expected=expected, reason=why)
            except ConflictError:
                better, why = False, "another promotion came first"
        logger(LEAF).info("candidate judged", version=package.version, promoted=better, reason=why)
        return {
            "version": package.version,
            "promoted": better,
            "reason": why,
            "rows": sum(package.trained.counts.values()),
            "left_out": package.trained.model.specification.left_out,
            "cut_by_time_budget": package.report["search"]["cut_by_time_budget"],
            "metrics": package.about["metrics"],
        }

    def _rows(self, joined: list[Joined], meaning: Target | None) -> tuple[Labelled, Target, list[str]]:
        """Labelled rows of `customers/` and, after them, of the outcomes."""
        columns: dict[str, list[Any]] = {}
        settings, limits, count = self.settings, self.settings.limits, 0
        for info in self.lake.list("customers/"):
            limits.check(info.key, object_mb=info.size / MB)
            if info.size:
                body = io.BytesIO(self.lake.get(info.key))
                table = read(body, info.key, limits=limits, reading=settings.reading, times=[settings.time_column])
                for name in {**columns, **table.values}:
                    columns.setdefault(name, [None] * count).extend(table.values.get(name, [None] * len(table.rows)))
                count += len(table.rows)
                limits.check("customers/", table_columns=len(columns), table_cells=count * len(columns))
        if settings.target not in columns:
            raise InputError("no file in customers/ has this column", field=settings.target)
        refused = refused_columns(columns, settings.leaks)
        times = [_time(value) for value in columns.pop(settings.time_column, [])]
        rows, target = label(
            columns,
            settings.target,
            positive=settings.positive or None,
            standing=meaning,
            group=settings.group or None,
            without=refused,
            times=times or None,
        )
        return with_outcomes(rows, target, joined), target, refused

    def _meaning(self, version: str) -> Target | None:
        """What the champion, damaged or not, predicts; the first model of a target decides."""
        with suppress(CorruptError, NotFoundError, ValidationError):
            known = Specification.model_validate(self.registry.manifest(LEAF, version).details)
            if known.target == self.settings.target:
                return Target(known.target, known.positive, known.negative)
        return None

    def _model(self, version: str) -> Model | None:
        """None when it is damaged: nobody can be answered by it, so a candidate need not beat it."""
        try:
            return stored_model(self.registry, version)
        except (CorruptError, NotFoundError):
            logger(LEAF).exception("champion cannot be read", version=version)
            return None

    def _publish(self, package: Package, data_hash: str) -> None:
        files: Mapping[str, bytes | StoredFile] = package.files
        with suppress(NotFoundError):
            # The report of the same model may differ in the champion beside it: the first stays. Its row may lack.
            files = self.registry.manifest(LEAF, package.version).files
        self.registry.publish(LEAF, package.version, files, data_hash=data_hash, **package.about)


def _time(value: Any) -> datetime | None:
    """A cell of the column of times, which the reader has made a date or a time; else None."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, clock_time.min)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def with_outcomes(rows: Labelled, target: Target, joined: list[Joined]) -> Labelled:
    """The rows and, after them, the outcomes that say which of the two values they are."""
    if not joined:
        return rows
    known = [(row, truth) for row in joined if (truth := is_positive(row.outcome, target)) is not None]
    if len(known) < len(joined):
        logger(LEAF).warning("outcomes are neither value of the target", rows=len(joined) - len(known))
    group = rows.group or "user_id"
    before = {group: [None] * len(rows.y), **rows.columns}
    columns = {name: [*values, *(row.features.get(name) for row, _ in known)] for name, values in before.items()}
    columns[group] = [*before[group], *(row.user_id for row, _ in known)]
    times = [*rows.times, *(row.moment for row, _ in known)]
    return Labelled(columns, np.array([*rows.y, *(truth for _, truth in known)], dtype=bool), times, group)
