"""Score a batch of messages: every valid event once, the newest per user kept, nothing valid lost."""

import gzip
import hashlib
import json
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from boto3.dynamodb.conditions import Attr
from pydantic import ValidationError

from functions.classification.contracts import LEAF, Contribution, Event, Result, utc_text
from functions.classification.domain import drift
from functions.classification.domain.model import Model
from functions.classification.domain.schema import LARGEST, Floats, Matrix, encode
from functions.classification.settings import ClassificationSettings
from functions.classification.store import ChampionCache, Letter, SqsLetters
from layers.runtime.errors import ConflictError, TrefoilError
from layers.runtime.observability import logger, metrics
from layers.runtime.parsing import AHEAD, first_error
from layers.storage.objects import S3Objects
from layers.storage.tables import DynamoTable

log = logger(LEAF)

# Fields that tell what a service wraps around a message, and how to have it sent as it is.
ENVELOPES: Final = {
    "SNS": ({"Type", "TopicArn", "Message"}, "turn on raw message delivery of the subscription"),
    "EventBridge": ({"detail-type", "detail"}, "set the target's input path to $.detail"),
}
WHOLE: Final = 250_000  # characters that a queue takes with a reason beside them, whatever they are
PROFILE_SECONDS: Final = 90 * 86_400  # after which an hour's profile expires
SHARDS: Final = 16  # a key of an index takes about 1,000 writes a second, and a changed result is two


@dataclass(frozen=True)
class Message:
    """A message whose envelope is sound."""

    message_id: str
    body: str
    event: Event


@dataclass(frozen=True)
class Scored:
    """Messages with their inputs and results, in the same order, and those that can never succeed."""

    messages: list[Message]
    x: Matrix
    probabilities: Floats
    results: list[Result]
    refused: list[Letter]

    def lines(self) -> str:
        """One line of JSON for each, with all features that were sent: a later model may know more of them."""
        lines = []
        for message, result in zip(self.messages, self.results, strict=True):
            line = result.model_dump(exclude={"classified_at", "expires_at", "explanation"})
            line["features"] = {name: value for name, value in message.event.features.items() if _is_plain(value)}
            lines.append(json.dumps(line, separators=(",", ":")) + "\n")
        return "".join(lines)


def read_messages(records: Iterable[Mapping[str, Any]], *, latest: datetime) -> tuple[list[Message], list[Letter]]:
    """Messages whose envelope is sound, and the others with their reason. `latest`: an event after it is refused."""
    messages, refused = [], []
    for record in records:
        message_id, body = record["messageId"], record["body"]
        try:
            event = Event.model_validate_json(body)
        except ValidationError as exc:
            refused.append(Letter(message_id, body, _reason(exc)))
            continue
        if event.observed_at > utc_text(latest):
            refused.append(Letter(message_id, body, "observed_at lies in the future"))
        else:
            messages.append(Message(message_id, body, event))
    return messages, refused


def score_messages(
    messages: Sequence[Message], model: Model, now: datetime, result_days: int, explained: int = 0
) -> Scored:
    """Check features against the model's schema and score those that pass, in one call. An absent feature is null.

    `explained`: how many features a result names as those that moved its score most.
    """
    features = model.specification.features
    columns = {f.name: [m.event.features.get(f.name) for m in messages] for f in features}
    x, bad = encode(columns, features, typed=True)
    for i in bad:
        absent = [f.name for f in features if not f.nullable and f.name not in messages[i].event.features]
        bad[i] = f"{absent[0]} is missing" if absent else bad[i]
    sound = np.array([i for i in range(len(messages)) if i not in bad], dtype=np.int64)
    accepted, x = [messages[i] for i in sound], x[sound]
    p = model.score(x)
    explanations = _explanations(model, x, explained)
    stamp, expires_at = utc_text(now), int(now.timestamp()) + result_days * 86_400
    results = [
        Result.model_construct(
            event_id=m.event.event_id,
            user_id=m.event.user_id,
            observed_at=m.event.observed_at,
            probability=probability,
            segment=segment,
            model_version=model.version,
            classified_at=stamp,
            expires_at=expires_at,
            explanation=explanation,
        )
        for m, probability, segment, explanation in zip(
            accepted, p.tolist(), model.segments(p), explanations, strict=True
        )
    ]
    refused = [Letter(messages[i].message_id, messages[i].body, reason) for i, reason in sorted(bad.items())]
    return Scored(accepted, x, p, results, refused)


def _explanations(model: Model, x: Matrix, most: int) -> list[list[Contribution] | None]:
    explained = model.explain(x, most) if most and model.explains_fast else None
    if explained is None:
        return [None] * len(x)
    return [[Contribution.model_construct(feature=f, contribution=c) for f, c in parts] for parts in explained]


def segment_shard(segment: str, user_id: str) -> str:
    """Key of the index by segment: `target#0` to `target#15`, always the same one for a user."""
    return f"{segment}#{zlib.crc32(user_id.encode()) % SHARDS}"


@dataclass
class ScoringService:
    """Scores batches with the champion."""

    models: ChampionCache
    results: DynamoTable
    profiles: DynamoTable
    lake: S3Objects
    dead_letters: SqsLetters
    waiting: SqsLetters
    settings: ClassificationSettings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def score(self, records: Sequence[Mapping[str, Any]], remaining: Callable[[], float]) -> list[str]:
        """Handle SQS records; returns the ids of messages to deliver again. `remaining`: seconds left."""
        deadline = time.monotonic() + remaining() - self.settings.deadline_seconds
        model = self.models.current()
        failed = self._postpone(records) if model is None else self._answer(records, model, deadline)
        return [record["messageId"] for record in records if record["messageId"] in failed]

    def _postpone(self, records: Sequence[Mapping[str, Any]]) -> set[str]:
        """Before the first promotion: send messages to their own queue again, since a return is one of five tries."""
        log.info("messages wait for a first model", received=len(records))
        large = {record["messageId"] for record in records if len(record["body"]) > WHOLE}
        small = [record for record in records if record["messageId"] not in large]
        return large | self.waiting.send([Letter(r["messageId"], r["body"], "no model answers yet") for r in small])

    def _answer(self, records: Sequence[Mapping[str, Any]], model: Model, deadline: float) -> set[str]:
        now = self.clock()
        messages, refused = read_messages(records, latest=now + AHEAD)
        scored = score_messages(messages, model, now, self.settings.result_days, self.settings.explained_features)
        if scored.messages:
            self._keep(scored)
        refused += scored.refused
        failed = self.dead_letters.send(refused) if refused else set()
        written = 0
        if scored.messages:
            written, returned = self._write(scored, deadline)
            failed |= returned
            self._count(scored, model, now)
        duplicates = max(len(records) - written - len(refused) - len(failed), 0)
        figures = {"Scored": written, "Poison": len(refused), "Returned": len(failed), "Duplicates": duplicates}
        for name, value in figures.items():
            metrics(LEAF).add_metric(name, "Count", value)
        counts = {name.lower(): value for name, value in figures.items()}
        log.info("batch scored", extra={"received": len(records)} | counts)
        return failed

    def _keep(self, scored: Scored) -> None:
        """One object per batch in `scored/`; the same messages give the same key."""
        digest = hashlib.sha256("\n".join(sorted(m.message_id for m in scored.messages)).encode()).hexdigest()[:32]
        day = max(message.event.observed_at for message in scored.messages)[:10]
        body = gzip.compress(scored.lines().encode(), 4, mtime=0)
        self.lake.put(f"scored/dt={day}/{digest}.jsonl.gz", body)

    def _write(self, scored: Scored, deadline: float) -> tuple[int, set[str]]:
        """Put the newest result of each user: how many were new, and the messages whose user's result is not stored."""
        by_user: dict[str, list[int]] = defaultdict(list)
        for i, result in enumerate(scored.results):
            by_user[result.user_id].append(i)

        def write(rows: list[int]) -> bool | None:
            newest = max((scored.results[i] for i in rows), key=lambda result: (result.observed_at, result.event_id))
            return self._put(newest) if time.monotonic() < deadline else None

        groups = list(by_user.values())
        pool = ThreadPoolExecutor(min(self.settings.writers, len(groups)))
        futures = [pool.submit(write, rows) for rows in groups]
        done, _ = wait(futures, timeout=max(deadline - time.monotonic(), 0))
        pool.shutdown(wait=False, cancel_futures=True)
        written = [future.result() if future in done else None for future in futures]
        failed = [i for rows, new in zip(groups, written, strict=True) if new is None for i in rows]
        return written.count(True), {scored.messages[i].message_id for i in failed}

    def _put(self, result: Result) -> bool | None:
        """Whether it was new: what stands is as new or newer after a duplicate or a late event. None: not stored."""
        older = Attr("observed_at").lt(result.observed_at)
        same = Attr("observed_at").eq(result.observed_at) & Attr("event_id").lt(result.event_id)
        try:
            item = result.model_dump(exclude_none=True) | {
                "segment_shard": segment_shard(result.segment, result.user_id)
            }
            self.results.put(item, condition=Attr("user_id").not_exists() | older | same)
        except ConflictError:
            return False
        except TrefoilError:
            log.warning("result not written", exc_info=True)
            return None
        return True

    def _count(self, scored: Scored, model: Model, now: datetime) -> None:
        hour, users = f"{now.astimezone(UTC):%Y-%m-%dT%H}", [result.user_id for result in scored.results]
        expires_at = int(now.timestamp()) + PROFILE_SECONDS
        turn = zlib.crc32(scored.messages[0].message_id.encode())
        try:
            for part in drift.counted_parts(len(drift.parts(model.specification)), turn):
                counts = drift.counters(scored.x, scored.probabilities, users, model.specification, part)
                key = {"model": model.version, "bucket": drift.bucket(hour, part)}
                self.profiles.add(key, counts, expires_at=expires_at)
        except TrefoilError:  # a batch that is not counted is no reason to score it again
            log.warning("profile not updated", exc_info=True)


def _is_plain(value: Any) -> bool:
    """Not so a nested value, an infinity, no number, or endless digits."""
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) < LARGEST)


def _reason(error: ValidationError) -> str:
    body = error.errors(include_url=False, include_context=False)[0]["input"]
    for service, (fields, advice) in ENVELOPES.items():
        if isinstance(body, dict) and fields <= body.keys():
            return f"is an envelope of {service}, not an event: {advice}"
    return ": ".join(filter(None, first_error(error)))
