"""Files in `sales/` become one history object per series and a row of the catalog."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final, Protocol

from functions.forecasting.catalog import Catalog, Condition, Row, history_key
from functions.forecasting.domain import series as domain
from functions.forecasting.domain import tables
from functions.forecasting.domain.identity import content_hash
from functions.forecasting.domain.profile import profile
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.tables import Rejection
from layers.runtime.errors import ConflictError, CorruptError, InputError, NotFoundError, UnavailableError
from layers.runtime.files import Limits
from layers.storage.ledger import Outcome, Run, RunLedger
from layers.tables import Reading

JOB: Final = "forecasting-ingest"
LEASE: Final = timedelta(minutes=16)
TRIES: Final = 20
WRITERS: Final = 16


class Lake(Protocol):
    """The lake bucket."""

    def get_tagged(self, key: str) -> tuple[bytes, str]: ...
    def put(self, key: str, body: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str: ...
    def open(self, key: str) -> BinaryIO: ...


@dataclass(frozen=True)
class Ingested:
    """What became of a file; `status` is done, skipped (seen before) or failed (cannot be read)."""

    key: str
    status: str
    rows: int = 0
    series: int = 0
    rejected: int = 0
    detail: str = ""
    understood: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """The catalog's row of a history that was written, and the hash of the history that it replaced ("" for none)."""

    series_id: str
    before: str
    row: Row


class IngestService:
    """Merges files into histories; the same file twice changes nothing."""

    def __init__(
        self,
        lake: Lake,
        catalog: Catalog,
        ledger: RunLedger,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
        reading: Reading | None = None,
    ) -> None:
        self._lake, self._catalog, self._ledger, self._clock = lake, catalog, ledger, clock
        self._limits, self._reading = limits, reading

    def ingest(self, key: str, *, etag: str = "", arrived: datetime | None = None, owner: str = "") -> Ingested:
        """Read one file. One that cannot be read is recorded as failed; trouble with storage raises.

        `owner` names the event: delivered again after a failure, it takes over what it left running.
        """
        moment = arrived or self._clock()
        version = "@".join([etag or moment.isoformat(), *([arrived.isoformat()] if etag and arrived else [])])
        claim = self._ledger.claim(JOB, key, fingerprint=version, lease=LEASE, owner=owner, supersede=True)
        if not claim.granted:
            return Ingested(key, "skipped", detail=f"run {claim.run.run_id} is {claim.run.outcome}")
        try:
            parsed = self._read(key, int(moment.timestamp()))
        except InputError as exc:
            self._finish(claim.run, "failed", detail=str(exc))
            return Ingested(key, "failed", detail=str(exc))
        merged, late = self._merge_all(parsed.series)
        rejected = parsed.rejected + late
        self._catalog.update(list(merged), lambda series_id, row: self._row(merged[series_id], row))
        if rejected:
            self._record(claim.run.run_id, rejected)
        counts = {"rows": parsed.rows, "series": len(merged), "rejected": len(rejected)}
        self._finish(claim.run, "done", counts=counts, detail=_first(rejected))
        return Ingested(key, "done", detail=_first(rejected), understood=parsed.understood, **counts)

    def _read(self, key: str, stamp: int) -> tables.Parsed:
        for _ in range(TRIES):
            with suppress(ConflictError), self._lake.open(key) as source:  # replaced meanwhile: what lies there now
                name = key.rsplit("/", 1)[-1]
                return tables.read(source, name, stamp=stamp, limits=self._limits, reading=self._reading)
        raise UnavailableError(f"{key} is being replaced again and again")

    def _finish(self, run: Run, outcome: Outcome, **recorded: Any) -> None:
        with suppress(ConflictError):  # the file was put again meanwhile, and its newer version has the ledger's row
            self._ledger.finish(run, outcome, **recorded)

    def _merge_all(self, found: list[Series]) -> tuple[dict[str, Merged], list[Rejection]]:
        merged: dict[str, Merged] = {}
        rejected: list[Rejection] = []
        with ThreadPoolExecutor(WRITERS) as pool:
            for series, outcome in zip(found, pool.map(self._try_merge, found), strict=True):
                if isinstance(outcome, Merged):
                    merged[series.series_id] = outcome
                else:
                    rejected.append(Rejection(-1, series.series_id, outcome))
        return merged, rejected

    def _try_merge(self, new: Series) -> Merged | str:
        try:
            return self._merge(new)
        except (InputError, CorruptError) as exc:
            return str(exc)

    def _merge(self, new: Series) -> Merged:
        key = history_key(new.series_id)
        for _ in range(TRIES):
            merged, condition, before = new, Condition(if_absent=True), ""
            try:
                standing, etag = self._lake.get_tagged(key)
                merged, condition = domain.merge(domain.load(standing), new), Condition(if_match=etag)
                before = content_hash(standing)
            except NotFoundError:
                pass
            body = domain.dump(merged)
            try:
                self._lake.put(key, body, **condition)
            except ConflictError:
                continue
            return Merged(new.series_id, before, row_of(merged, content_hash(body)))
        raise UnavailableError(f"{key} is being changed by too many at once")

    def _row(self, merged: Merged, standing: Row | None) -> Row:
        row = merged.row
        if standing and standing.history not in (merged.before, row.history):
            # Another file wrote the history, before or after this one: what lies there now decides.
            body = self._lake.get_tagged(history_key(merged.series_id))[0]
            row = row_of(domain.load(body), content_hash(body))
        return row.model_copy(update={"model": standing.model if standing else None})

    def _record(self, run_id: str, rejected: list[Rejection]) -> None:
        lines = [json.dumps({"row": r.row, "series_id": r.series_id, "reason": r.reason}) for r in rejected]
        self._lake.put(f"plans/forecasting/rejected/{run_id}.jsonl", "\n".join(lines).encode())


def _first(rejected: list[Rejection]) -> str:
    return f"row {rejected[0].row}: {rejected[0].reason}" if rejected else ""


def row_of(series: Series, history: str) -> Row:
    """The catalog's row for a series whose content hash is `history`."""
    observed = series.observed
    return Row(
        first_ds=str(series.first_ds) if observed else None,
        last_ds=str(series.last_ds) if observed else None,
        observations=int((series.y == series.y).sum()),
        history=history,
        profile=profile(series),
    )


def requested(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Arguments of `ingest` for each file that an event names: one of S3, messages with such, or a person's keys.

    Raises InputError for an event of another shape.
    """
    try:
        if "Records" in event:
            return [file for record in event["Records"] for file in requested(json.loads(record["body"]))]
        if isinstance(keys := event.get("keys"), list) and all(isinstance(key, str) for key in keys):
            arrived = datetime.fromisoformat(event["time"]) if "time" in event else None
            return [{"key": key, "arrived": arrived} for key in keys]
        found, arrived = event["detail"]["object"], datetime.fromisoformat(event["time"])
        owner = str(event.get("id", ""))
        return [{"key": str(found["key"]), "etag": str(found.get("etag", "")), "arrived": arrived, "owner": owner}]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        # The original may show a value, and what is raised in a function is logged.
        raise InputError("the event names neither keys nor an object") from None
