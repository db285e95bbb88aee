"""Training of all series: plan shards, train each, publish one version."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version as package_version
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter

from functions.forecasting.contracts import ModelEntry, PlanEvent, Planned, Question, Shard, ShardResult
from functions.forecasting.domain.answer import lay_out
from functions.forecasting.domain.fit import LEVEL, Outcome, Shared, holdout_of, share, train
from functions.forecasting.domain.holidays import mark
from functions.forecasting.domain.model import SHARED as KINDS
from functions.forecasting.domain.model import load_model, middle
from functions.forecasting.domain.outlook import outlook
from functions.forecasting.domain.series import Series, load
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import (
    INDEX,
    JUDGED,
    LEAF,
    SHARED,
    Catalog,
    content_hash,
    dump_index,
    escaped,
    history_key,
    model_key,
    parse_index,
)
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, TrefoilError, UnavailableError, cause_of
from layers.runtime.observability import logger
from layers.storage.ledger import Run, RunLedger
from layers.storage.manifest import StoredFile
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry, now

JOB: Final = "forecasting"
LEASE: Final = timedelta(hours=6)
READERS: Final = 16
SHARDS: Final = TypeAdapter(list[Shard], config=ConfigDict(defer_build=True))


class TrainingService:
    """The steps of the state machine; `fit` and `learn` are as `domain.fit.train` and `share`."""

    def __init__(
        self,
        lake: S3Objects,
        models: S3Objects,
        registry: ModelRegistry,
        ledger: RunLedger,
        settings: ForecastingSettings,
        fit: Callable[..., Outcome] = train,
        learn: Callable[..., Shared | str] = share,
    ) -> None:
        self._lake, self._models, self._registry, self._ledger = lake, models, registry, ledger
        self._catalog, self._settings, self._fit, self._learn = Catalog(lake), settings, fit, learn

    def plan(self, event: PlanEvent) -> Planned:
        """Shards of the series whose history changed since their model, or of all when forced."""
        histories = {name: row.history for name, row in self._catalog.rows().items() if row.observations}
        if not histories:
            return self._planned("empty", "")
        data_hash = hashlib.sha256(json.dumps(sorted(histories.items())).encode()).hexdigest()[:16]
        forced = f"forced {event.execution or event.scheduled_at or time.time()}" if event.force else "changed"
        claim = self._ledger.claim(JOB, data_hash, fingerprint=forced, lease=LEASE, owner=event.execution)
        run_id = claim.run.run_id
        if not claim.granted:
            return self._planned("skipped", run_id)
        entries = {} if event.force else self._standing()
        changed = [name for name, h in histories.items() if name not in entries or entries[name].history != h]
        if not changed:
            self._ledger.finish(claim.run, "done", counts={"series": len(histories), "trained": 0})
            return self._planned("skipped", run_id)
        version, size = run_id if event.force else data_hash, self._settings.shard_series
        alone = self._share(version, histories)
        if alone:  # what was served by the model of all series needs another
            changed = sorted({*changed, *(name for name, entry in entries.items() if entry.kind in KINDS)})
        about = {
            "run_id": run_id,
            "version": version,
            "data_hash": data_hash,
            "alone": alone,
            "newest": self._catalog.newest_times(),
        }
        parts = [changed[i : i + size] for i in range(0, len(changed), size)]
        shards = [Shard(**about, number=number, series=part) for number, part in enumerate(parts)]
        self._lake.put(_plan_key(run_id), SHARDS.dump_json(shards))
        return self._planned("planned", run_id, self._ledger.spent())

    def _share(self, version: str, names: Collection[str]) -> str:
        """Learn the model of all series for a version, and say why there is none, else nothing."""

        def read(name: str) -> Series | None:
            with suppress(CorruptError, NotFoundError):  # its training tells
                return mark(load(self._lake.get(history_key(name))), self._settings.holidays)
            return None

        with ThreadPoolExecutor(READERS) as pool:
            series = [one for one in pool.map(read, names) if one]
        if not series:
            return "no history can be read"
        settings = self._settings
        rows, known = settings.global_rows, settings.known_names
        try:
            kind, _ = Counter(one.frequency.kind for one in series).most_common(1)[0]
            series = [one for one in series if one.frequency.kind == kind]
            holdout = holdout_of(series[0].frequency, days=settings.holdout_days)
            shared = self._learn(series, holdout, rows=rows, known=known)
        except Exception as exc:  # noqa: BLE001 - series are trained without it
            logger(LEAF).exception("model of all series not learned", version=version, series=len(series))
            return f"it could not be learned ({type(exc).__name__})"
        if isinstance(shared, str):
            return shared
        for folder, learned in zip((JUDGED, ""), shared, strict=True):
            for name, body in learned.dump().items():
                self._models.put(f"{LEAF}/{version}/{folder}{name}", body)
        return ""

    def _planned(self, status: Literal["planned", "skipped", "empty"], run_id: str, spent: float = 0.0) -> Planned:
        key = _plan_key(run_id)
        return Planned(status=status, run_id=run_id, plan_bucket=self._lake.bucket, plan_key=key, gb_seconds=spent)

    def _standing(self) -> dict[str, ModelEntry]:
        champion = self._registry.champion(LEAF)
        try:
            return parse_index(self._models.get(f"{LEAF}/{champion.version}/{INDEX}")) if champion else {}
        except (NotFoundError, CorruptError):  # every series is trained again, and the index written anew
            return {}

    def train(self, shard: Shard) -> dict[str, Any]:
        """Train a shard, passing over series that an earlier try of it has done; a failed series is counted."""
        started, shared = time.monotonic(), shard.alone or self._shared(shard.version)
        entries: dict[str, ModelEntry] = {}
        failed: dict[str, str] = {}
        for series_id in shard.series:
            try:
                entries[series_id] = self._train_one(shard, series_id, shared)
            except UnavailableError:
                raise
            except TrefoilError as exc:
                failed[series_id] = str(exc)
            except Exception as exc:  # noqa: BLE001 - whatever one series does to a fit, it must not stop the others
                failed[series_id] = type(exc).__name__
        spent = (time.monotonic() - started) * self._settings.memory_mb / 1024
        result = ShardResult(entries=entries, failed=failed, gb_seconds=spent)
        self._lake.put(_result_key(shard.run_id, shard.number), result.model_dump_json().encode())
        return {"shard": shard.number, "trained": len(entries), "failed": len(failed)}

    def _shared(self, version: str) -> Shared:
        from functions.forecasting.domain import global_model

        prefixes = (f"{LEAF}/{version}/{JUDGED}", f"{LEAF}/{version}/")
        parts = [{name: self._models.get(f"{prefix}{name}") for name in SHARED} for prefix in prefixes]
        return Shared(*map(global_model.load, parts))

    def _train_one(self, shard: Shard, series_id: str, shared: Shared | str) -> ModelEntry:
        key, history = model_key(shard.version, series_id), self._lake.get(history_key(series_id))
        try:
            body = self._models.get(key)
        except NotFoundError:
            name, known = content_hash(history), self._settings.known_names
            series = mark(load(history), self._settings.holidays)
            holdout = holdout_of(series.frequency, days=self._settings.holdout_days)
            outcome = self._fit(series, history=name, holdout=holdout, now=now(), known=known, shared=shared)
            body = outcome.trained.model_dump_json().encode()
            try:
                self._models.put(key, body, if_absent=True)
            except ConflictError:
                body = self._models.get(key)
        trained, learned = load_model(body), shared.served if isinstance(shared, Shared) else None
        asked = Question(series_id, None, LEVEL, {}, as_of=shard.newest.get(trained.frequency[0]))
        _, days = lay_out(history, asked, self._settings.holidays)
        return ModelEntry(
            key=key,
            sha256=hashlib.sha256(body).hexdigest(),
            bytes=len(body),
            history=trained.history,
            kind=trained.kind,
            skill=trained.backtest.skill if trained.backtest else None,
            outlook=outlook(days, middle(trained.kind, days, trained.additive, learned)),
        )

    def publish(self, planned: Planned) -> dict[str, Any]:
        """Make the trained models and those still good one version, and let it answer; record a failed run as such."""
        shards = SHARDS.validate_json(self._lake.get(_plan_key(planned.run_id)))
        version, run = shards[0].version, self._ledger.get(JOB, shards[0].data_hash)
        if run is None or run.run_id != planned.run_id or run.outcome != "running":
            return {"status": "skipped", "run_id": planned.run_id}
        if planned.error is not None:
            self._ledger.finish(run, "failed", gb_seconds=planned.gb_seconds, detail=cause_of(planned.error))
            return {"status": "failed", "run_id": planned.run_id}
        bodies = [self._lake.get(_result_key(planned.run_id, shard.number)) for shard in shards]
        results = [ShardResult.model_validate_json(body) for body in bodies]
        trained = {name: entry for result in results for name, entry in result.entries.items()}
        failed = {name: why for result in results for name, why in result.failed.items()}
        entries = self._standing() | trained
        skills = [entry.skill for entry in entries.values() if entry.skill is not None]
        mean_skill = sum(skills) / len(skills) if skills else 0.0
        counts = {"series": len(entries), "trained": len(trained), "failed": len(failed)}
        own = () if shards[0].alone else SHARED
        self._promote(version, entries, own, run, counts | {"mean_skill": mean_skill})
        self._catalog.update(entries, lambda name, row: row.with_model(entries[name], version) if row else None)
        spent = planned.gb_seconds + sum(result.gb_seconds for result in results)
        alone = f"no model of all series: {shards[0].alone}" if shards[0].alone else ""
        detail = "; ".join(filter(None, [next((f"{name}: {why}" for name, why in failed.items()), ""), alone]))
        self._ledger.finish(run, "done", counts=counts, gb_seconds=spent, detail=detail)
        published = {"status": "published", "run_id": planned.run_id, "version": version, "detail": detail}
        return {**published, "mean_skill": mean_skill, **counts}

    def _promote(
        self, version: str, entries: dict[str, ModelEntry], own: Collection[str], run: Run, metrics: dict[str, float]
    ) -> None:
        champion = self._registry.champion(LEAF)
        if champion is not None and champion.version == version:
            return
        files: dict[str, bytes | StoredFile] = {
            f"models/{escaped(name)}.json": StoredFile(key=entry.key, sha256=entry.sha256, bytes=entry.bytes)
            for name, entry in entries.items()
        }
        files |= {INDEX: dump_index(entries), **{name: self._models.get(f"{LEAF}/{version}/{name}") for name in own}}
        libraries = {name: package_version(name) for name in ("prophet", "numpy")}
        self._registry.publish(LEAF, version, files, data_hash=run.key, metrics=metrics, libraries=libraries)
        expected = champion.version if champion else None
        self._registry.promote(LEAF, version, expected=expected, reason=f"run {run.run_id}")


def _plan_key(run_id: str) -> str:
    return f"plans/forecasting/run={run_id}.json"


def _result_key(run_id: str, number: int) -> str:
    return f"plans/forecasting/run={run_id}/shard={number:05}.json"
