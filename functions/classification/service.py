"""Score a batch of messages: every valid event once, the newest per user kept, nothing valid lost."""

import gzip
import hashlib
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Protocol

from boto3.dynamodb.conditions import Attr, ConditionBase

from functions.classification.contracts import Result
from functions.classification.domain import drift
from functions.classification.domain.scoring import Model
from functions.classification.messages import Poison, Scored, read_messages, score_messages
from functions.classification.settings import ClassificationSettings
from layers.runtime.errors import ConflictError, TrefoilError
from layers.runtime.observability import logger, metrics

log = logger("classification")

WHOLE = 250_000  # characters that a queue takes with a reason beside them, whatever they are
SHARDS = 16  # a key of an index takes about 1,000 writes a second, and a changed result is two


class ModelSource(Protocol):
    """Where the champion comes from."""

    def current(self) -> Model | None: ...


class ResultTable(Protocol):
    """The Classifications table."""

    def put(self, item: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None: ...


class ProfileTable(Protocol):
    """The Profiles table."""

    def add(self, key: Mapping[str, Any], counters: Mapping[str, int], *, expires_at: int | None = None) -> None: ...


class Lake(Protocol):
    """Where scored events are kept."""

    def put(self, key: str, body: bytes) -> str: ...


class Letters(Protocol):
    """Where messages go that can never succeed, or that wait for a first model."""

    def send(self, letters: Sequence[Poison]) -> set[str]:
        """Returns the message ids that could not be sent."""
        ...


class Put(Enum):
    """How a write ended. Stale: what stands is as new or newer, so this was a duplicate or a late event."""

    WRITTEN = "written"
    STALE = "stale"
    FAILED = "failed"


def segment_shard(segment: str, user_id: str) -> str:
    """Key of the index by segment: `target#0` to `target#15`, always the same one for a user."""
    return f"{segment}#{zlib.crc32(user_id.encode()) % SHARDS}"


class ScoringService:
    """Scores batches with the champion."""

    def __init__(
        self,
        models: ModelSource,
        results: ResultTable,
        profiles: ProfileTable,
        lake: Lake,
        dead_letters: Letters,
        waiting: Letters,
        settings: ClassificationSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._models, self._results, self._profiles, self._lake = models, results, profiles, lake
        self._dead_letters, self._waiting = dead_letters, waiting
        self._settings, self._clock = settings, clock

    def score(self, records: Sequence[Mapping[str, Any]], remaining: Callable[[], float]) -> list[str]:
        """Handle SQS records; returns the ids of messages to deliver again. `remaining`: seconds left."""
        deadline = time.monotonic() + remaining() - self._settings.deadline_seconds
        now = self._clock()
        model = self._models.current()
        failed = self._postpone(records) if model is None else self._answer(records, model, now, deadline)
        return [record["messageId"] for record in records if record["messageId"] in failed]

    def _postpone(self, records: Sequence[Mapping[str, Any]]) -> set[str]:
        """Before the first promotion: send messages to their own queue again, since a return is one of five tries."""
        log.info("messages wait for a first model", received=len(records))
        large = {record["messageId"] for record in records if len(record["body"]) > WHOLE}
        small = [record for record in records if record["messageId"] not in large]
        return large | self._waiting.send([Poison(r["messageId"], r["body"], "no model answers yet") for r in small])

    def _answer(self, records: Sequence[Mapping[str, Any]], model: Model, now: datetime, deadline: float) -> set[str]:
        messages, poison = read_messages(records, latest=now + timedelta(seconds=self._settings.future_seconds))
        scored = score_messages(messages, model, now, self._settings.result_days)
        if scored.messages:
            self._keep(scored)
        poison += scored.poison
        failed = self._dead_letters.send(poison) if poison else set()
        written = 0
        if scored.messages:
            written, returned = self._write(scored, deadline)
            failed |= returned
            self._count(scored, model, now)
        self._tell(received=len(records), written=written, poison=len(poison), failed=len(failed))
        return failed

    def _keep(self, scored: Scored) -> None:
        """One object per batch in `scored/`; the same messages give the same key."""
        digest = hashlib.sha256("\n".join(sorted(m.message_id for m in scored.messages)).encode()).hexdigest()[:32]
        day = max(message.observed_at for message in scored.messages)[:10]
        body = gzip.compress(scored.lines().encode(), 4, mtime=0)
        self._lake.put(f"scored/dt={day}/{digest}.jsonl.gz", body)

    def _write(self, scored: Scored, deadline: float) -> tuple[int, set[str]]:
        """Put the newest result of each user: how many were new, and the messages whose user's result is not stored."""
        by_user: dict[str, list[int]] = defaultdict(list)
        for i, result in enumerate(scored.results):
            by_user[result.user_id].append(i)

        def write(rows: list[int]) -> Put:
            newest = max((scored.results[i] for i in rows), key=lambda result: (result.observed_at, result.event_id))
            return self._put(newest) if time.monotonic() < deadline else Put.FAILED

        groups = list(by_user.values())
        pool = ThreadPoolExecutor(min(self._settings.writers, len(groups)))
        futures = [pool.submit(write, rows) for rows in groups]
        done, _ = wait(futures, timeout=max(deadline - time.monotonic(), 0))
        pool.shutdown(wait=False, cancel_futures=True)
        ends = [future.result() if future in done else Put.FAILED for future in futures]
        failed = [i for rows, end in zip(groups, ends, strict=True) if end is Put.FAILED for i in rows]
        return ends.count(Put.WRITTEN), {scored.messages[i].message_id for i in failed}

    def _put(self, result: Result) -> Put:
        older = Attr("observed_at").lt(result.observed_at)
        same = Attr("observed_at").eq(result.observed_at) & Attr("event_id").lt(result.event_id)
        try:
            item = result.model_dump() | {"segment_shard": segment_shard(result.segment, result.user_id)}
            self._results.put(item, condition=Attr("user_id").not_exists() | older | same)
        except ConflictError:
            return Put.STALE
        except TrefoilError:
            log.warning("result not written", exc_info=True)
            return Put.FAILED
        return Put.WRITTEN

    def _count(self, scored: Scored, model: Model, now: datetime) -> None:
        hour, users = f"{now.astimezone(UTC):%Y-%m-%dT%H}", [result.user_id for result in scored.results]
        expires_at = int(now.timestamp()) + self._settings.profile_days * 86_400
        turn = zlib.crc32(scored.messages[0].message_id.encode())
        try:
            for part in drift.counted_parts(len(drift.parts(model.specification)), turn):
                counts = drift.counters(scored.inputs, scored.probabilities, users, model.specification, part)
                key = {"model": model.version, "bucket": drift.bucket(hour, part)}
                self._profiles.add(key, counts, expires_at=expires_at)
        except TrefoilError:  # a batch that is not counted is no reason to score it again
            log.warning("profile not updated", exc_info=True)

    def _tell(self, *, received: int, written: int, poison: int, failed: int) -> None:
        emitter = metrics("classification")
        emitter.add_metric("Scored", "Count", written)
        emitter.add_metric("Poison", "Count", poison)
        emitter.add_metric("Returned", "Count", failed)
        emitter.add_metric("Duplicates", "Count", max(received - written - poison - failed, 0))
        log.info("batch scored", received=received, written=written, poison=poison, returned=failed)
