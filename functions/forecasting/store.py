"""Adapters of the forecasting leaf: histories, trained models of the version that answers, cached answers."""

import hashlib
import json
import threading
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from boto3.dynamodb.conditions import Attr, ConditionBase

from functions.forecasting.catalog import history_key
from functions.forecasting.contracts import ModelEntry
from functions.forecasting.domain.identity import content_hash
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError
from layers.runtime.parsing import MALFORMED
from layers.storage.registry import Champion
from layers.storage.tables import Item

LEAF: Final = "forecasting"
INDEX: Final = "index.json"

if TYPE_CHECKING:
    from functions.forecasting.domain.model import Trained
    from functions.forecasting.domain.series import Series

Value = TypeVar("Value")


class Objects(Protocol):
    """A bucket that is read."""

    def get(self, key: str) -> bytes: ...


class Table(Protocol):
    """The Forecasts table."""

    def get(self, key: Mapping[str, Any]) -> Item | None: ...
    def put(self, item: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None: ...
    def delete(self, key: Mapping[str, Any], *, condition: ConditionBase | None = None) -> None: ...


class Champions(Protocol):
    """The model registry, as far as an answer needs it."""

    def champion(self, leaf: str) -> Champion | None: ...


class Recent(Generic[Value]):
    """The values used last, at most `size` of them; safe among threads."""

    def __init__(self, size: int) -> None:
        self._size, self._lock = size, threading.Lock()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable) -> Value | None:
        """The value, which now counts as used last, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep the value and drop the one that was not used for longest."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)


@dataclass(frozen=True)
class History:
    """A stored history; `name` says its content. It is parsed when it is needed, which a cached answer never does."""

    series_id: str
    name: str
    body: bytes

    @cached_property
    def series(self) -> "Series":
        """Raises CorruptError."""
        from functions.forecasting.domain.series import load

        return load(self.body)


class Histories:
    """Histories by series id, looked up again after `freshness` seconds."""

    def __init__(self, lake: Objects, *, freshness: float, size: int = 200) -> None:
        self._lake, self._freshness = lake, freshness
        self._recent: Recent[tuple[float, History]] = Recent(size)

    def read(self, series_id: str) -> History:
        """Raises NotFoundError for an unknown series, InputError for an impossible id."""
        held = self._recent.get(series_id)
        if held and time.monotonic() - held[0] < self._freshness:
            return held[1]
        try:
            body = self._lake.get(history_key(series_id))
        except NotFoundError as exc:
            raise NotFoundError(f"series {series_id} does not exist") from exc
        history = History(series_id, content_hash(body), body)
        if held and held[1].name == history.name:
            history = held[1]
        self._recent.put(series_id, (time.monotonic(), history))
        return history


class Models:
    """Trained models of the champion: its index says where each lies, and neither ever changes."""

    def __init__(self, objects: Objects, registry: Champions, *, freshness: float, size: int = 500) -> None:
        self._objects, self._registry, self._freshness = objects, registry, freshness
        self._version: tuple[float, str | None] = (float("-inf"), None)
        self._indexes: Recent[dict[str, ModelEntry]] = Recent(2)
        self._trained: Recent[Trained] = Recent(size)

    def version(self) -> str | None:
        """The champion's version, or None before the first training."""
        checked, version = self._version
        if time.monotonic() - checked >= self._freshness:
            champion = self._registry.champion(LEAF)
            version = champion.version if champion else None
            self._version = (time.monotonic(), version)
        return version

    def index(self, version: str) -> dict[str, ModelEntry]:
        """Entry of every series that `version` has a model for."""
        known = self._indexes.get(version)
        if known is None:
            known = parse_index(self._objects.get(f"{LEAF}/{version}/{INDEX}"))
            self._indexes.put(version, known)
        return known

    def trained(self, entry: ModelEntry) -> "Trained":
        """Raises CorruptError when the bytes are not those that were published."""
        known = self._trained.get(entry.sha256)
        if known is None:
            body = self._objects.get(entry.key)
            if hashlib.sha256(body).hexdigest() != entry.sha256:
                raise CorruptError(f"{entry.key} does not match its hash")
            known = parse_trained(body)
            self._trained.put(entry.sha256, known)
        return known


def parse_index(body: bytes) -> dict[str, ModelEntry]:
    """Undo `dump_index`. Raises CorruptError."""
    try:
        entries: dict[str, dict[str, Any]] = json.loads(body)
        if not all(entry.keys() >= ModelEntry.model_fields.keys() for entry in entries.values()):
            raise ValueError("an entry lacks a field")
        return {name: ModelEntry.model_construct(**entry) for name, entry in entries.items()}
    except MALFORMED as exc:
        raise CorruptError("not an index of models") from exc


def dump_index(entries: Mapping[str, ModelEntry]) -> bytes:
    """Entries as JSON in order of series id."""
    return json.dumps({k: entries[k].model_dump() for k in sorted(entries)}, separators=(",", ":")).encode()


def parse_trained(body: bytes) -> "Trained":
    """A stored model. Raises CorruptError."""
    from functions.forecasting.domain.model import Trained

    try:
        return Trained.model_validate_json(body)
    except ValueError as exc:
        raise CorruptError("not a trained model") from exc


class Answers:
    """Cached answers and fits on the spot in the Forecasts table; DynamoDB forgets them by `expires_at`."""

    def __init__(self, table: Table, *, keep_seconds: int, clock: Callable[[], float] = time.time) -> None:
        self._table, self._keep, self._clock = table, keep_seconds, clock

    def get(self, series_id: str, item: str) -> bytes | None:
        """The stored body, unless it has expired."""
        row = self._table.get({"series_id": series_id, "item": item})
        if row is None or "body" not in row or row["expires_at"] < self._clock():
            return None
        return zlib.decompress(row["body"])

    def put(self, series_id: str, item: str, body: bytes) -> None:
        """Store a body, replacing a claim or an older body."""
        expires = int(self._clock()) + self._keep
        self._table.put({"series_id": series_id, "item": item, "body": zlib.compress(body), "expires_at": expires})

    def claim(self, series_id: str, item: str, lease: int) -> str | None:
        """A claim to make this item: nobody has it, or who had it did not finish within the lease. Else None."""
        now = int(self._clock())
        row = {"series_id": series_id, "item": item, "lease_until": now + lease, "expires_at": now + self._keep}
        row["claimed_by"] = uuid.uuid4().hex
        lapsed = Attr("lease_until").lt(now) | Attr("expires_at").lt(now)
        mine = Attr("claimed_by").eq(row["claimed_by"])  # sent again by the SDK because the answer was lost
        try:
            self._table.put(row, condition=Attr("item").not_exists() | lapsed | mine)
        except ConflictError:
            return None
        return str(row["claimed_by"])

    def release(self, series_id: str, item: str, claim: str) -> None:
        """Give a claim up so that the next caller need not wait for its lease; one that was taken over stays."""
        with suppress(ConflictError):
            self._table.delete({"series_id": series_id, "item": item}, condition=Attr("claimed_by").eq(claim))
