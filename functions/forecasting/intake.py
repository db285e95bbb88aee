"""Files in `sales/` become one history object per series and a row of the catalog."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from functions.forecasting.domain import series as domain
from functions.forecasting.domain import table
from functions.forecasting.domain.profile import item_of, profile
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.table import Rejection
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.store import Catalog, Row, content_hash, history_key
from layers.runtime.errors import ConflictError, CorruptError, InputError, NotFoundError, UnavailableError
from layers.storage.ledger import Outcome, Run, RunLedger
from layers.storage.objects import S3Objects
from layers.storage.registry import now

JOB: Final = "forecasting-ingest"
LEASE: Final = timedelta(minutes=16)
TRIES: Final = 20
WRITERS: Final = 16


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


class Merged(NamedTuple):
    """The catalog's row of a history that was written, and the hash of the history that it replaced ("" for none)."""

    series_id: str
    before: str
    row: Row


class IngestService:
    """Merges files into histories; the same file twice changes nothing."""

    def __init__(self, lake: S3Objects, ledger: RunLedger, settings: ForecastingSettings) -> None:
        self._lake, self._catalog, self._ledger, self._settings = lake, Catalog(lake), ledger, settings

    def ingest(self, key: str, *, etag: str = "", arrived: datetime | None = None, owner: str = "") -> Ingested:
        """Read one file. One that cannot be read is recorded as failed; trouble with storage raises.

        `owner` names the event: delivered again after a failure, it takes over what it left running.
        """
        moment = arrived or now()
        version = "@".join([etag or moment.isoformat(), *([arrived.isoformat()] if etag and arrived else [])])
        claim = self._ledger.claim(JOB, key, fingerprint=version, lease=LEASE, owner=owner, supersede=True)
        if not claim.granted:
            return Ingested(key, "skipped", detail=f"run {claim.run.run_id} is {claim.run.outcome}")
        try:
            parsed = self._parse(key, int(moment.timestamp()))
        except InputError as exc:
            self._finish(claim.run, "failed", detail=str(exc))
            return Ingested(key, "failed", detail=str(exc))
        with ThreadPoolExecutor(WRITERS) as pool:
            outcomes = list(pool.map(self._merge, parsed.series))
        merged = {one.series_id: one for one in outcomes if isinstance(one, Merged)}
        rejected = parsed.rejected + [one for one in outcomes if isinstance(one, Rejection)]
        self._catalog.update(list(merged), lambda series_id, row: self._row(merged[series_id], row))
        if rejected:
            lines = "\n".join(json.dumps(vars(one)) for one in rejected)
            self._lake.put(f"plans/forecasting/rejected/{claim.run.run_id}.jsonl", lines.encode())
        counts = {"rows": parsed.rows, "series": len(merged), "rejected": len(rejected)}
        detail = f"row {rejected[0].row}: {rejected[0].reason}" if rejected else ""
        self._finish(claim.run, "done", counts=counts, detail=detail)
        return Ingested(key, "done", detail=detail, understood=parsed.understood, **counts)

    def _parse(self, key: str, stamp: int) -> table.Parsed:
        for _ in range(TRIES):
            with suppress(ConflictError), self._lake.open(key) as source:  # replaced meanwhile: what lies there now
                name, told = key.rsplit("/", 1)[-1], self._settings
                periods = table.Periods(told.frequency or None, told.aggregate or None, told.timezone)
                return table.read(source, name, stamp=stamp, limits=told.limits, reading=told.reading, periods=periods)
        raise UnavailableError(f"{key} is being replaced again and again")

    def _finish(self, run: Run, outcome: Outcome, **recorded: Any) -> None:
        with suppress(ConflictError):  # the file was put again meanwhile, and its newer version has the ledger's row
            self._ledger.finish(run, outcome, **recorded)

    def _merge(self, new: Series) -> Merged | Rejection:
        """Write the history with `new` in it. A damaged history, or one that would span too long, is left as it is."""
        key = history_key(new.series_id)
        for _ in range(TRIES):
            merged, before, condition = new, "", dict[str, Any](if_absent=True)
            try:
                standing, etag = self._lake.get_tagged(key)
                before, condition = content_hash(standing), {"if_match": etag}
                merged = domain.merge(domain.load(standing), new)
            except NotFoundError:
                pass
            except (InputError, CorruptError) as exc:
                return Rejection(-1, new.series_id, str(exc))
            body = domain.dump(merged)
            with suppress(ConflictError):
                self._lake.put(key, body, **condition)
                return Merged(new.series_id, before, row_of(merged, content_hash(body)))
        raise UnavailableError(f"{key} is being changed by too many at once")

    def _row(self, merged: Merged, standing: Row | None) -> Row:
        row = merged.row
        if standing and standing.history not in (merged.before, row.history):
            # Another file wrote the history, before or after this one: what lies there now decides.
            body = self._lake.get_tagged(history_key(merged.series_id))[0]
            row = row_of(domain.load(body), content_hash(body))
        return row.model_copy(update={"model": standing.model, "outlook": standing.outlook} if standing else {})


def row_of(series: Series, history: str) -> Row:
    """The catalog's row for a series whose content hash is `history`."""
    observed = series.observed
    return Row(
        frequency=series.frequency.kind,
        first_ds=series.first_ds if observed else None,
        last_ds=series.last_ds if observed else None,
        observations=int((series.y == series.y).sum()),
        history=history,
        profile=profile(series),
        item=item_of(series) or None,
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
        file, arrived = event["detail"]["object"], datetime.fromisoformat(event["time"])
        owner = str(event.get("id", ""))
        return [{"key": str(file["key"]), "etag": str(file.get("etag", "")), "arrived": arrived, "owner": owner}]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        # The original may show a value, and what is raised in a function is logged.
        raise InputError("the event names neither keys nor an object") from None
