"""Training of all series: plan shards, train each, publish one version."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import version as package_version
from typing import Any, Final, Literal, Protocol

from functions.forecasting.catalog import Catalog, Model, Row, history_key
from functions.forecasting.contracts import ModelEntry, PlanEvent, Planned, Shard, ShardResult
from functions.forecasting.domain.identity import content_hash
from functions.forecasting.domain.model import Trained
from functions.forecasting.domain.series import Series, load
from functions.forecasting.store import INDEX, LEAF, dump_index, parse_index, parse_trained
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, TrefoilError, UnavailableError, cause_of
from layers.storage.ledger import Run, RunLedger
from layers.storage.manifest import StoredFile
from layers.storage.registry import ModelRegistry

JOB: Final = "forecasting"
LEASE: Final = timedelta(hours=6)


class Objects(Protocol):
    """A bucket that is read and written."""

    def get(self, key: str) -> bytes: ...
    def put(self, key: str, body: bytes, *, if_absent: bool = False) -> str: ...


class TrainingService:
    """`fit` trains a series: (series, hash of its history) -> model."""

    def __init__(
        self,
        *,
        lake: Objects,
        lake_bucket: str,
        models: Objects,
        registry: ModelRegistry,
        ledger: RunLedger,
        catalog: Catalog,
        fit: Callable[[Series, str], Trained],
        shard_series: int,
        memory_mb: int,
    ) -> None:
        self._lake, self._bucket, self._models = lake, lake_bucket, models
        self._registry, self._ledger, self._catalog = registry, ledger, catalog
        self._fit, self._shard_series, self._memory_gb = fit, shard_series, memory_mb / 1024

    def plan(self, event: PlanEvent) -> Planned:
        """Shards of the series whose history changed since their model, or of all when forced."""
        rows = {name: row for name, row in self._catalog.rows().items() if row.observations}
        data_hash = _data_hash(rows)
        if not rows:
            return self._planned("empty", "")
        forced = f"forced {event.execution or event.scheduled_at or time.time()}" if event.force else "changed"
        claim = self._ledger.claim(JOB, data_hash, fingerprint=forced, lease=LEASE, owner=event.execution)
        run = claim.run
        if not claim.granted:
            return self._planned("skipped", run.run_id)
        entries = {} if event.force else self._standing()
        changed = {name: row.history for name, row in rows.items() if _stale(entries.get(name), row)}
        version = run.run_id if event.force else data_hash
        shards = [
            Shard(
                run_id=run.run_id,
                version=version,
                data_hash=data_hash,
                number=i,
                series=part,
            )
            for i, part in enumerate(_parts(changed, self._shard_series))
        ]
        if not shards:
            self._ledger.finish(run, "done", counts={"series": len(rows), "trained": 0})
            return self._planned("skipped", run.run_id)
        body = json.dumps([shard.model_dump() for shard in shards]).encode()
        self._lake.put(_plan_key(run.run_id), body)
        return self._planned("planned", run.run_id, self._ledger.spent())

    def _planned(self, status: Literal["planned", "skipped", "empty"], run_id: str, spent: float = 0.0) -> Planned:
        key = _plan_key(run_id)
        return Planned(status=status, run_id=run_id, plan_bucket=self._bucket, plan_key=key, gb_seconds=spent)

    def _standing(self) -> dict[str, ModelEntry]:
        champion = self._registry.champion(LEAF)
        if champion is None:
            return {}
        try:
            return parse_index(self._models.get(f"{LEAF}/{champion.version}/{INDEX}"))
        except (NotFoundError, CorruptError):  # every series is trained again, and the index written anew
            return {}

    def train(self, shard: Shard) -> dict[str, Any]:
        """Train a shard, passing over series that an earlier try of it has done; a failed series is counted."""
        started = time.monotonic()
        entries: dict[str, ModelEntry] = {}
        failed: dict[str, str] = {}
        for series_id in shard.series:
            try:
                entries[series_id] = self._train_one(shard.version, series_id)
            except UnavailableError:
                raise
            except TrefoilError as exc:
                failed[series_id] = str(exc)
            except Exception as exc:  # noqa: BLE001 - whatever one series does to a fit, it must not stop the others
                failed[series_id] = type(exc).__name__
        seconds = time.monotonic() - started
        result = ShardResult(entries=entries, failed=failed, gb_seconds=seconds * self._memory_gb)
        self._lake.put(_result_key(shard.run_id, shard.number), result.model_dump_json().encode())
        return {"shard": shard.number, "trained": len(entries), "failed": len(failed)}

    def _train_one(self, version: str, series_id: str) -> ModelEntry:
        key = f"{LEAF}/{version}/models/{series_id}.json"
        try:
            body = self._models.get(key)
        except NotFoundError:
            history = self._lake.get(history_key(series_id))
            body = self._fit(load(history), content_hash(history)).model_dump_json().encode()
            try:
                self._models.put(key, body, if_absent=True)
            except ConflictError:
                body = self._models.get(key)
        return _entry(key, body)

    def publish(self, planned: Planned) -> dict[str, Any]:
        """Make the trained models and those still good one version, and let it answer; record a failed run as such."""
        shards = [Shard.model_validate(item) for item in json.loads(self._lake.get(_plan_key(planned.run_id)))]
        version, run = shards[0].version, self._ledger.get(JOB, shards[0].data_hash)
        if run is None or run.run_id != planned.run_id or run.outcome != "running":
            return {"status": "skipped", "run_id": planned.run_id}
        if planned.error is not None:
            self._ledger.finish(run, "failed", gb_seconds=planned.gb_seconds, detail=cause_of(planned.error))
            return {"status": "failed", "run_id": planned.run_id}
        results = [self._result(planned.run_id, shard.number) for shard in shards]
        trained = {name: entry for result in results for name, entry in result.entries.items()}
        failed = {name: why for result in results for name, why in result.failed.items()}
        entries = self._standing() | trained
        self._answer_with(version, entries, shards[0].data_hash, {"trained": len(trained), "failed": len(failed)}, run)
        self._catalog.update(entries, lambda name, row: _with_model(row, entries[name], version))
        counts = {"series": len(entries), "trained": len(trained), "failed": len(failed)}
        self._ledger.finish(
            run,
            "done",
            counts=counts,
            gb_seconds=planned.gb_seconds + sum(result.gb_seconds for result in results),
            detail=next((f"{name}: {why}" for name, why in failed.items()), ""),
        )
        return {
            "status": "published",
            "run_id": planned.run_id,
            "version": version,
            "mean_skill": _mean_skill(entries),
            **counts,
        }

    def _result(self, run_id: str, number: int) -> ShardResult:
        return ShardResult.model_validate_json(self._lake.get(_result_key(run_id, number)))

    def _answer_with(
        self, version: str, entries: dict[str, ModelEntry], data_hash: str, counts: dict[str, int], run: Run
    ) -> None:
        champion = self._registry.champion(LEAF)
        if champion is not None and champion.version == version:
            return
        files: dict[str, bytes | StoredFile] = {
            f"models/{name}.json": StoredFile(key=entry.key, sha256=entry.sha256, bytes=entry.bytes)
            for name, entry in entries.items()
        }
        files[INDEX] = dump_index(entries)
        metrics = {**counts, "series": len(entries), "mean_skill": _mean_skill(entries)}
        libraries = {name: package_version(name) for name in ("prophet", "numpy")}
        self._registry.publish(LEAF, version, files, data_hash=data_hash, metrics=metrics, libraries=libraries)
        expected = champion.version if champion else None
        self._registry.promote(LEAF, version, expected=expected, reason=f"run {run.run_id}")


def _mean_skill(entries: dict[str, ModelEntry]) -> float:
    skills = [entry.skill for entry in entries.values() if entry.skill is not None]
    return sum(skills) / len(skills) if skills else 0.0


def _plan_key(run_id: str) -> str:
    return f"plans/forecasting/run={run_id}.json"


def _result_key(run_id: str, number: int) -> str:
    return f"plans/forecasting/run={run_id}/shard={number:05}.json"


def _data_hash(rows: dict[str, Row]) -> str:
    content = json.dumps(sorted((name, row.history) for name, row in rows.items()))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _stale(entry: ModelEntry | None, row: Row) -> bool:
    return entry is None or entry.history != row.history


def _parts(series: dict[str, str], size: int) -> Iterator[dict[str, str]]:
    names = list(series)
    for i in range(0, len(names), size):
        yield {name: series[name] for name in names[i : i + size]}


def _entry(key: str, body: bytes) -> ModelEntry:
    trained = parse_trained(body)
    return ModelEntry(
        key=key,
        sha256=hashlib.sha256(body).hexdigest(),
        bytes=len(body),
        history=trained.history,
        kind=trained.kind,
        skill=trained.backtest.skill if trained.backtest else None,
    )


def _with_model(row: Row | None, entry: ModelEntry, version: str) -> Row | None:
    model = Model(kind=entry.kind, version=version, skill=entry.skill)
    return row.model_copy(update={"model": model}) if row else None
