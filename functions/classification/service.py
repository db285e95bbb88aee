"""Score a batch of messages: every valid event once, the newest per user kept, nothing valid lost."""

import gzip
import hashlib
import time
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
from functions.classification.messages import Poison, Scored, deliveries, read_messages, score_messages, sent_on
from functions.classification.settings import ClassificationSettings
from layers.runtime.errors import ConflictError, TrefoilError
from layers.runtime.observability import logger, metrics

log = logger("classification")

MESSAGES = "#messages"


class ModelSource(Protocol):
    """Where the champion comes from."""

    def current(self) -> Model: ...


class ResultTable(Protocol):
    """The Classifications table."""

    def put(self, item: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None: ...


class ProfileTable(Protocol):
    """The Profiles table."""

    def add(self, key: Mapping[str, Any], counters: Mapping[str, int], *, expires_at: int | None = None) -> None: ...


class Lake(Protocol):
    """Where scored events are kept."""

    def put(self, key: str, body: bytes) -> str: ...


class DeadLetters(Protocol):
    """Where messages go that can never succeed."""

    def send(self, letters: Sequence[Poison]) -> set[str]:
        """Returns the message ids that could not be sent."""
        ...


class Put(Enum):
    """How a write ended. Stale: what stands is as new or newer, so this was a duplicate or a late event."""

    WRITTEN = "written"
    STALE = "stale"
    FAILED = "failed"


class ScoringService:
    """Scores batches with the champion."""

    def __init__(
        self,
        models: ModelSource,
        results: ResultTable,
        profiles: ProfileTable,
        lake: Lake,
        dead_letters: DeadLetters,
        settings: ClassificationSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._models, self._results, self._profiles, self._lake = models, results, profiles, lake
        self._dead_letters, self._settings, self._clock = dead_letters, settings, clock

    def score(self, records: Sequence[Mapping[str, Any]], remaining: Callable[[], float]) -> list[str]:
        """Handle SQS records; returns the ids of messages to deliver again. `remaining`: seconds left."""
        deadline = time.monotonic() + remaining() - self._settings.deadline_seconds
        now = self._clock()
        last = {record["messageId"] for record in records if deliveries(record) >= self._settings.tries}
        self._account([record for record in records if record["messageId"] in last], now)
        model = self._models.current()
        messages, poison = read_messages(records, latest=now + timedelta(seconds=self._settings.future_seconds))
        scored = score_messages(messages, model, now, self._settings.result_days)
        if scored.messages:
            self._keep(scored, model)
        failed = self._refuse([*poison, *scored.poison])
        written = 0
        if scored.messages:
            written, returned = self._write(scored, deadline)
            failed |= returned
            self._count(scored, model, now)
        self._account([record for record in records if record["messageId"] not in failed | last], now)
        self._tell(received=len(records), written=written, poison=len(poison) + len(scored.poison), failed=len(failed))
        return [record["messageId"] for record in records if record["messageId"] in failed]

    def _refuse(self, poison: list[Poison]) -> set[str]:
        try:
            return self._dead_letters.send(poison) if poison else set()
        except TrefoilError:
            log.warning("dead letters not sent", exc_info=True)
            return {letter.message_id for letter in poison}

    def _keep(self, scored: Scored, model: Model) -> None:
        """One object per batch in `scored/`; the same messages give the same key."""
        digest = hashlib.sha256("\n".join(sorted(m.message_id for m in scored.messages)).encode()).hexdigest()[:32]
        day = max(message.observed_at for message in scored.messages)[:10]
        body = scored.lines([feature.name for feature in model.specification.features])
        self._lake.put(f"scored/dt={day}/{digest}.jsonl.gz", gzip.compress(body.encode(), 4, mtime=0))

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
            self._results.put(result.model_dump(), condition=Attr("user_id").not_exists() | older | same)
        except ConflictError:
            return Put.STALE
        except TrefoilError:
            log.warning("result not written", exc_info=True)
            return Put.FAILED
        return Put.WRITTEN

    def _count(self, scored: Scored, model: Model, now: datetime) -> None:
        found = list(drift.counters(scored.inputs, scored.probabilities, model.specification).items())
        bucket = f"{now.astimezone(UTC):%Y-%m-%dT%H}"
        try:
            for part in range(0, len(found), drift.COUNTERS_AT_ONCE):
                counts = dict(found[part : part + drift.COUNTERS_AT_ONCE])
                self._add(model.version, bucket, counts, now)
        except TrefoilError:  # a batch that is not counted is no reason to score it again
            log.warning("profile not updated", exc_info=True)

    def _account(self, records: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Count messages that have come to an end, for comparison with what the queue says was sent.

        One that is here for the last time is counted before the work: it ends as a result, or as a dead letter when
        this call fails or dies. A call that dies after counting the others is delivered and counted again.
        """
        try:
            for day, count in sent_on(records, now).items():
                self._add(MESSAGES, day, {"ended": count}, now)
        except TrefoilError:
            log.warning("messages not counted", exc_info=True)

    def _add(self, model: str, bucket: str, counts: Mapping[str, int], now: datetime) -> None:
        expires_at = int(now.timestamp()) + self._settings.profile_days * 86_400
        self._profiles.add({"model": model, "bucket": bucket}, counts, expires_at=expires_at)

    def _tell(self, *, received: int, written: int, poison: int, failed: int) -> None:
        emitter = metrics("classification")
        emitter.add_metric("Scored", "Count", written)
        emitter.add_metric("Poison", "Count", poison)
        emitter.add_metric("Returned", "Count", failed)
        emitter.add_metric("Duplicates", "Count", max(received - written - poison - failed, 0))
        log.info("batch scored", received=received, written=written, poison=poison, returned=failed)
