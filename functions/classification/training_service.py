"""Training in the cloud: labelled rows of the lake to a candidate, and to a champion when it is better."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from functions.classification import bundle, learning, outcomes
from functions.classification.columns import read as read_columns
from functions.classification.contracts import LEAF, Specification
from functions.classification.domain.scoring import Model
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import Target, is_positive
from functions.classification.domain.training import Parameters
from functions.classification.domain.verdict import Verdict, judge
from functions.classification.outcomes import Joined
from functions.classification.presets import afterwards
from functions.classification.settings import ClassificationSettings
from layers.runtime.errors import ConflictError, CorruptError, InputError, NotFoundError, TrefoilError
from layers.runtime.files import MB
from layers.runtime.observability import logger
from layers.storage.ledger import Claim, Outcome, Run
from layers.storage.manifest import Manifest, StoredFile
from layers.storage.objects import ObjectInfo
from layers.storage.registry import Champion
from layers.tables import Reading

log = logger("classification")

JOB = "classification-train"


class Lake(Protocol):
    """Where labelled rows lie."""

    def get(self, key: str) -> bytes: ...
    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]: ...


class Registry(Protocol):
    """The model registry."""

    def publish(
        self,
        leaf: str,
        version: str,
        files: Mapping[str, Any],
        *,
        data_hash: str,
        metrics: Mapping[str, Any] | None = None,
        libraries: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Manifest: ...
    def champion(self, leaf: str) -> Champion | None: ...
    def manifest(self, leaf: str, version: str) -> Manifest: ...
    def read(self, manifest: Manifest, name: str) -> bytes: ...
    def promote(self, leaf: str, version: str, *, expected: str | None, reason: str) -> Champion: ...


class Ledger(Protocol):
    """The run ledger."""

    def claim(self, job: str, key: str, *, fingerprint: str, lease: timedelta, owner: str = "") -> Claim: ...
    def finish(
        self, run: Run, outcome: Outcome, *, counts: Mapping[str, Any] | None = None, detail: str = ""
    ) -> Run: ...


class TrainingService:
    """Trains when there is something new to learn from; the same data and settings twice are one run."""

    def __init__(
        self,
        lake: Lake,
        registry: Registry,
        ledger: Ledger,
        settings: ClassificationSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lake, self._registry, self._ledger = lake, registry, ledger
        self._settings, self._clock = settings, clock

    def train(self, reason: str, remaining: float, owner: str = "") -> dict[str, Any]:
        """Train, publish, judge and maybe promote. `remaining`: seconds that this call may take.

        `owner` is the same when Lambda repeats a call that died: it takes over what it left running.
        """
        started = time.monotonic()
        joined = outcomes.join(
            self._lake,
            outcomes.days_until(self._clock().date(), self._settings.outcome_days),
            objects=self._settings.outcome_objects,
            until=started + remaining / 3,
        )
        fingerprint = self._fingerprint(joined)
        lease = timedelta(seconds=remaining)
        claim = self._ledger.claim(JOB, fingerprint, fingerprint=fingerprint, lease=lease, owner=owner)
        if not claim.granted:
            return {"status": "skipped", "run_id": claim.run.run_id, **claim.run.counts}
        if not any(self._lake.list("customers/")) and self._registry.champion(LEAF) is None:
            self._ledger.finish(claim.run, "idle", detail="no labelled customers yet")
            return {"status": "idle", "run_id": claim.run.run_id}
        try:
            left = remaining - (time.monotonic() - started)
            answer = self._train(reason, joined, fingerprint, min(self._settings.budget_seconds, 0.8 * left))
        except Exception as exc:  # a run left running keeps the next one waiting; other errors may quote a cell
            detail = str(exc) if isinstance(exc, TrefoilError) else type(exc).__name__
            self._ledger.finish(claim.run, "failed", detail=detail)
            raise
        self._ledger.finish(claim.run, "done", counts=answer, detail=reason)
        return {"status": "trained", "run_id": claim.run.run_id, **answer}

    def _fingerprint(self, joined: list[Joined]) -> str:
        digest = hashlib.sha256()
        for info in self._lake.list("customers/"):
            digest.update(f"{info.key} {info.etag}\n".encode())
        for row in joined:
            digest.update(f"{row.user_id} {row.observed_at} {row.event_id} {row.outcome}\n".encode())
        s = self._settings
        chosen = (
            s.target,
            s.positive,
            s.group,
            s.leak_columns,
            s.dates,
            s.decimal,
            s.time_column,
            s.iterations,
            s.seed,
            s.value,
            s.cost,
        )
        digest.update(repr(chosen).encode())
        return digest.hexdigest()

    def _train(self, reason: str, joined: list[Joined], data_hash: str, budget: float) -> dict[str, Any]:
        standing = self._registry.champion(LEAF)
        meaning = self._meaning(standing.version) if standing else None
        rows, target, refused = self._rows(joined, meaning)
        champion = self._model(standing.version) if standing else None
        parameters = Parameters(
            iterations=self._settings.iterations,
            seed=self._settings.seed,
            trees=self._settings.trees,
            budget_seconds=max(budget, 1.0),
            value=self._settings.value if self._settings.cost else None,
            cost=self._settings.cost or None,
        )
        package = learning.learn(rows, target, parameters, champion=champion, refused=refused)
        self._publish(package, data_hash)
        verdict = judge(package.trained, champion, seed=parameters.seed)
        if verdict.promote:
            expected = standing.version if standing else None
            verdict = self._promote(package.version, expected, f"{reason}: {verdict.reason}")
        log.info("candidate judged", version=package.version, promoted=verdict.promote, reason=verdict.reason)
        return {
            "version": package.version,
            "promoted": verdict.promote,
            "reason": verdict.reason,
            "rows": sum(package.trained.counts.values()),
            "left_out": package.trained.model.specification.left_out,
            "cut_by_time_budget": package.trained.fitted.cut,
            "metrics": package.metrics,
        }

    def _rows(self, joined: list[Joined], meaning: Target | None) -> tuple[Labelled, Target, list[str]]:
        """Labelled rows of `customers/` and, after them, of the outcomes."""
        columns: dict[str, list[Any]] = {}
        settings, limits = self._settings, self._settings.limits
        reading = Reading(settings.dates or None, settings.decimal or None)
        for info in self._lake.list("customers/"):
            limits.check(info.key, object_mb=info.size / MB)
            if info.size:
                body = io.BytesIO(self._lake.get(info.key))
                read = read_columns(body, info.key, limits=limits, reading=reading, times=[settings.time_column])
                count = _append(columns, read.values)
                limits.check("customers/", table_columns=len(columns), table_cells=count * len(columns))
        if settings.target not in columns:
            raise InputError("no file in customers/ has this column", field=settings.target)
        refused = afterwards(columns, settings.leaks)
        times = [_time(value) for value in columns.pop(settings.time_column, [])]
        rows, target = learning.label(
            columns,
            settings.target,
            positive=settings.positive or None,
            standing=meaning,
            group=settings.group or None,
            without=refused,
            times=times or None,
        )
        return _with_outcomes(rows, target, joined), target, refused

    def _meaning(self, version: str) -> Target | None:
        """What the champion, damaged or not, predicts; the first model of a target decides."""
        with suppress(CorruptError, NotFoundError, ValidationError):
            known = Specification.model_validate(self._registry.manifest(LEAF, version).details)
            if known.target == self._settings.target:
                return Target(known.target, known.positive, known.negative)
        return None

    def _model(self, version: str) -> Model | None:
        """None when it is damaged: nobody can be answered by it, so a candidate need not beat it."""
        try:
            manifest = self._registry.manifest(LEAF, version)
            return bundle.load(manifest, lambda name: self._registry.read(manifest, name))
        except (CorruptError, NotFoundError):
            log.exception("champion cannot be read", version=version)
            return None

    def _publish(self, package: learning.Package, data_hash: str) -> None:
        files: Mapping[str, bytes | StoredFile] = package.files
        with suppress(NotFoundError):
            # The report of the same model may differ in the champion beside it: the first stays. Its row may lack.
            files = self._registry.manifest(LEAF, package.version).files
        self._registry.publish(
            LEAF,
            package.version,
            files,
            data_hash=data_hash,
            metrics=package.metrics,
            libraries=package.libraries,
            details=package.trained.model.specification.model_dump(mode="json"),
        )

    def _promote(self, version: str, expected: str | None, reason: str) -> Verdict:
        try:
            self._registry.promote(LEAF, version, expected=expected, reason=reason)
        except ConflictError:
            return Verdict(promote=False, reason="another promotion came first")
        return Verdict(promote=True, reason=reason)


def _append(columns: dict[str, list[Any]], found: Mapping[str, list[Any]]) -> int:
    before = len(next(iter(columns.values()), []))
    added = len(next(iter(found.values()), []))
    for name in {**columns, **found}:
        columns.setdefault(name, [None] * before).extend(found.get(name, [None] * added))
    return before + added


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, clock_time.min)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _with_outcomes(rows: Labelled, target: Target, joined: list[Joined]) -> Labelled:
    """The rows and, after them, the outcomes that say which of the two values they are."""
    if not joined:
        return rows
    known = [(row, truth) for row in joined if (truth := is_positive(row.outcome, target)) is not None]
    if len(known) < len(joined):
        log.warning("outcomes are neither value of the target", rows=len(joined) - len(known))
    group = rows.group or "user_id"
    before = {group: [None] * len(rows.y), **rows.columns}
    columns = {name: [*values, *(row.features.get(name) for row, _ in known)] for name, values in before.items()}
    columns[group] = [*before[group], *(row.user_id for row, _ in known)]
    times = [*rows.times, *(outcomes.moment(row.observed_at) for row, _ in known)]
    return Labelled(columns, np.array([*rows.y, *(truth for _, truth in known)], dtype=bool), times, group)
