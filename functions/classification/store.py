"""What this leaf keeps elsewhere: its champion, its letters to queues, and outcomes beside what was scored."""

import gzip
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from functions.classification.contracts import EXPLANATION_FILE, LEAF, MODEL_FILE, Outcome, Specification
from functions.classification.domain.model import Model
from layers.runtime.errors import CorruptError, TrefoilError
from layers.runtime.observability import logger
from layers.runtime.parsing import MALFORMED
from layers.storage.manifest import Manifest

if TYPE_CHECKING:
    from layers.storage.objects import ObjectInfo, S3Objects
    from layers.storage.registry import ModelRegistry

LARGEST_BODY = 1_000_000  # bytes: a queue takes 1 MiB, attributes included
READERS = 32  # connections of the client; an object is tens of milliseconds away
OBJECTS = 50_000

T = TypeVar("T")
Truths = dict[tuple[str, str], tuple[Any, datetime]]


def load_model(manifest: Manifest, read: Callable[[str], bytes], *, threads: int = 1, explained: bool = False) -> Model:
    """The model of a manifest; `read` returns a file's bytes, hash checked. Raises CorruptError.

    `explained`: with its explanation, if it has one; models of before have none.
    """
    try:
        specification = Specification.model_validate(manifest.details)
    except ValidationError as exc:
        raise CorruptError(f"the manifest of {manifest.version} does not describe a classifier") from exc
    explanation = read(EXPLANATION_FILE) if explained and EXPLANATION_FILE in manifest.files else None
    return Model(manifest.version, specification, read(MODEL_FILE), explanation, threads=threads)


def stored_model(registry: "ModelRegistry", version: str, *, explained: bool = False) -> Model:
    """A version of the registry. Raises NotFoundError or CorruptError when it is not what it should be."""
    manifest = registry.manifest(LEAF, version)
    return load_model(manifest, lambda name: registry.read(manifest, name), explained=explained)


@dataclass
class ChampionCache:
    """The champion in a warm container; a new one, or a rollback, takes effect within `refresh_seconds`."""

    registry: "ModelRegistry"
    refresh_seconds: float
    clock: Callable[[], float] = time.monotonic
    explained: bool = False
    _model: Model | None = None
    _asked: float = 0.0

    def current(self) -> Model | None:
        """The champion; when it cannot be read, the one before it, if there was one in this container.

        None before the first promotion, and when the champion is taken away. Raises NotFoundError or CorruptError when
        the stored model is not what it should be.
        """
        if self._model is not None and self.clock() - self._asked < self.refresh_seconds:
            return self._model
        try:
            champion = self.registry.champion(LEAF)
            if champion is None:
                self._model = None
            elif self._model is None or self._model.version != champion.version:
                self._model = stored_model(self.registry, champion.version, explained=self.explained)
                if self.explained and not self._model.explains_fast:
                    logger(LEAF).warning("champion is a forest or has no explanation", version=champion.version)
        except TrefoilError:
            if self._model is None:
                raise
            logger(LEAF).exception("champion not refreshed", version=self._model.version)
        self._asked = self.clock()
        return self._model


@dataclass(frozen=True)
class Letter:
    """A message that is not answered, and why."""

    message_id: str
    body: str
    reason: str


class SqsLetters:
    """A queue for messages that are not answered; each carries the reason as its attribute `reason`.

    `connect` makes the client when the first one comes: most containers never see one. `delay`: seconds until the
    queue hands them over, at most 900.
    """

    def __init__(self, url: str, connect: Callable[[], Any], *, delay: int = 0) -> None:
        self._url, self._connect, self._delay = url, cache(connect), delay

    def send(self, letters: Sequence[Letter]) -> set[str]:
        """Send them; returns the message ids that the queue did not take, and no others."""
        queue = self._connect()
        with ThreadPoolExecutor(READERS) as pool:
            sent = pool.map(lambda letter: self._send(queue, letter), letters)
            return {letter.message_id for letter, taken in zip(letters, sent, strict=True) if not taken}

    def _send(self, queue: Any, letter: Letter) -> bool:
        """Whether the queue took it. The largest body is cut, since it leaves no room for its reason."""
        from botocore.exceptions import BotoCoreError, ClientError  # which no file command has

        attributes = {"reason": letter.reason[:256], "message_id": letter.message_id}
        try:
            queue.send_message(
                QueueUrl=self._url,
                DelaySeconds=self._delay,
                MessageBody=letter.body.encode()[:LARGEST_BODY].decode(errors="ignore"),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()
                },
            )
        except (BotoCoreError, ClientError):
            logger(LEAF).warning("letter not sent", exc_info=True)
            return False
        return True


def start_training(client: Any, function: str, reason: str) -> None:
    """Call the training function and do not wait: the answer says only that the call was taken."""
    from layers.storage.aws import translated

    with translated(function):
        client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"reason": reason}).encode())


@dataclass(frozen=True)
class Joined:
    """An event that was scored and whose outcome is known; `told_at` is when the outcome was written to the lake."""

    user_id: str
    observed_at: str
    event_id: str
    features: dict[str, Any]
    probability: float
    segment: str
    model_version: str
    outcome: Any
    told_at: datetime

    @property
    def moment(self) -> datetime:
        """The time that `observed_at` says."""
        return datetime.fromisoformat(self.observed_at.replace("Z", "+00:00"))


SCORED = {field.name for field in fields(Joined)} - {"outcome", "told_at"}


def days_until(last: date, days: int) -> list[date]:
    """`days` days that end with `last`, oldest first."""
    return [last - timedelta(days=back) for back in reversed(range(days))]


def outcome_objects(lake: "S3Objects", days: Sequence[date]) -> list["ObjectInfo"]:
    """Objects with outcomes of these days and later ones, by one listing."""
    return list(lake.list("outcomes/dt=", after=f"outcomes/dt={days[0]}"))


def join_outcomes(
    lake: "S3Objects", days: Sequence[date], *, objects: int = OBJECTS, until: float = math.inf
) -> list[Joined]:
    """Scored events of these days with their outcome, by time; of two events of a user at a time, the larger id.

    A scored object lies under the day of its newest event, so an event lies under its own day or a later one. At most
    `objects` are read: of more, as many of each day, which is a fair draw, because their names are hashes. Reading ends
    at `until` (monotonic seconds). What cannot be read is left out and counted in the log.
    """
    truths = _truths(lake, outcome_objects(lake, days)[-objects:], until)
    if not truths:
        return []
    first = min(moment for _, moment in truths)[:10]
    scored: list[ObjectInfo] = []
    for older, day in reversed(list(enumerate(day for day in days if str(day) >= first))):
        # The newest day first; a day that has less than its share leaves the rest to the older ones.
        share = (objects - len(scored)) // (older + 1)
        scored += itertools.islice(lake.list(f"scored/dt={day}/"), max(share, 1))
    joined = itertools.chain.from_iterable(_read(lake, scored, lambda body, _: _rows(body, truths), until))
    ordered = sorted(joined, key=lambda row: (row.observed_at, row.user_id, row.event_id))
    return list({(row.observed_at, row.user_id): row for row in ordered}.values())


def _read(
    lake: "S3Objects", objects: Sequence["ObjectInfo"], parse: Callable[[bytes, "ObjectInfo"], T], until: float
) -> Iterator[T]:
    """What the objects hold, in their order; those are left out that are gone, damaged or not reached by `until`."""

    def read(info: "ObjectInfo") -> T | None:
        if time.monotonic() > until:
            return None
        try:
            return parse(lake.get(info.key), info)
        except (TrefoilError, *MALFORMED) as exc:
            logger(LEAF).warning("object left out", key=info.key, error=type(exc).__name__)
            return None

    whole = 0
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(objects), 32 * READERS):  # what is read and not yet used is held in memory
            for parsed in pool.map(read, objects[start : start + 32 * READERS]):
                if parsed is not None:
                    whole += 1
                    yield parsed
    if whole < len(objects):
        logger(LEAF).warning("objects left out", objects=len(objects) - whole, of=len(objects))


def _rows(body: bytes, truths: Truths) -> list[Joined]:
    """Lines whose outcome is known. Raises when a line is not of a scored event."""
    joined = []
    for row in map(json.loads, gzip.decompress(body).splitlines()):
        if row.keys() != SCORED:
            raise ValueError("a line has other fields")
        if truth := truths.get((row["user_id"], row["observed_at"])):
            joined.append(Joined(**row, outcome=truth[0], told_at=truth[1]))
    return joined


def _truths(lake: "S3Objects", objects: Sequence["ObjectInfo"], until: float) -> Truths:
    """Outcomes by user and time; the line that comes last counts."""
    truths: Truths = {}
    unreadable = 0
    for lines, told_at in _read(lake, objects, lambda body, info: (body.splitlines(), info.modified), until):
        for line in filter(bytes.strip, lines):
            try:
                outcome = Outcome.model_validate_json(line)
                truths[outcome.user_id, outcome.observed_at] = outcome.outcome, told_at
            except ValidationError:
                unreadable += 1
    if unreadable:
        logger(LEAF).warning("outcomes not readable", lines=unreadable)
    return truths
