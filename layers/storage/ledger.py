"""The run ledger: one row per job and key, which makes a repeated trigger harmless."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from pydantic import BaseModel, Field

from layers.runtime.errors import ConflictError
from layers.runtime.settings import Settings
from layers.storage.registry import now
from layers.storage.tables import DynamoTable

KEPT: Final = timedelta(days=400)  # a trigger that is repeated after that runs once more
# `empty`: nothing came where something was due; `idle`: nothing ever came.
Outcome = Literal["running", "done", "empty", "idle", "failed"]


class Run(BaseModel):
    """One row. `fingerprint` says what went in: the same key with another fingerprint is a new run."""

    job: str
    key: str
    run_id: str
    fingerprint: str
    outcome: Outcome
    started_at: datetime
    lease_until: datetime
    owner: str = ""
    finished_at: datetime | None = None
    counts: dict[str, Any] = Field(default_factory=dict)
    gb_seconds: float = 0.0
    detail: str = ""

    @property
    def short_key(self) -> str:
        """The key; of a hash as much as tells it from others."""
        return self.key if len(self.key) < 64 else self.key[:16]


@dataclass(frozen=True)
class Claim:
    """`run` is ours to do when `granted`; else it is the standing run, done or held by somebody else."""

    run: Run
    granted: bool


class RunLedger:
    """Claims, finishes and lists runs."""

    def __init__(self, table: DynamoTable, clock: Callable[[], datetime] = now, memory_mb: int | None = None) -> None:
        """`memory_mb` is that of this function, 0 outside of one."""
        self._table, self._clock, self._since = table, clock, time.monotonic()
        self._memory_gb = (Settings().memory_mb if memory_mb is None else memory_mb) / 1024

    def claim(
        self, job: str, key: str, *, fingerprint: str, lease: timedelta, owner: str = "", supersede: bool = False
    ) -> Claim:
        """Start a run unless one with this fingerprint is done, or any is under way within its lease.

        An `owner` (an execution whose call is retried) takes over what it left running itself without waiting. Who may
        `supersede` does not wait for a run of another fingerprint either.
        """
        standing = self.get(job, key)
        if standing and not self._claimable(standing, fingerprint, owner, supersede=supersede):
            return Claim(standing, granted=False)
        started = self._clock()
        run = Run(
            job=job,
            key=key,
            run_id=f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
            fingerprint=fingerprint,
            outcome="running",
            started_at=started,
            lease_until=started + lease,
            owner=owner,
        )
        condition: ConditionBase = Attr("run_id").not_exists()
        if standing:
            condition = Attr("run_id").eq(standing.run_id) & Attr("outcome").eq(standing.outcome)
        try:
            # The SDK sends a write again whose answer was lost: then this very run stands there already.
            self._write(run, condition | Attr("run_id").eq(run.run_id))
        except ConflictError:
            winner = self.get(job, key)
            if winner is None:
                raise
            return Claim(winner, granted=False)
        return Claim(run, granted=True)

    def _claimable(self, run: Run, fingerprint: str, owner: str, *, supersede: bool) -> bool:
        if run.outcome == "running" and not (supersede and run.fingerprint != fingerprint):
            return run.lease_until < self._clock() or (owner != "" and run.owner == owner)
        return run.outcome == "failed" or run.fingerprint != fingerprint

    def finish(
        self,
        run: Run,
        outcome: Outcome,
        *,
        counts: Mapping[str, Any] | None = None,
        gb_seconds: float = 0.0,
        detail: str = "",
    ) -> Run:
        """Record how `run` ended, and what it cost: `gb_seconds` of earlier calls and what this one has spent.

        Doing it twice is harmless. Raises ConflictError when another run took over.
        """
        ended = run.model_copy(
            update={
                "outcome": outcome,
                "finished_at": self._clock(),
                "counts": dict(counts or {}),
                "gb_seconds": round(gb_seconds + self.spent(), 3),
                "detail": detail,
            }
        )
        self._write(ended, Attr("run_id").eq(run.run_id))
        return ended

    def spent(self) -> float:
        """GB-seconds since a run was last claimed or read, which is how a call begins."""
        return (time.monotonic() - self._since) * self._memory_gb

    def get(self, job: str, key: str) -> Run | None:
        """The standing run of this key, or None."""
        self._since = time.monotonic()
        row = self._table.get({"job": job, "key": key})
        return Run.model_validate(row) if row else None

    def history(self, job: str) -> Iterator[Run]:
        """Runs of a job, by key, last key first."""
        return (Run.model_validate(row) for row in self._table.query(Key("job").eq(job), newest_first=True))

    def _write(self, run: Run, condition: ConditionBase) -> None:
        row = run.model_dump(mode="json", exclude_none=True)
        expires_at = int((run.started_at + KEPT).timestamp())
        self._table.put(row | {"expires_at": expires_at}, condition=condition)
