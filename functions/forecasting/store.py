"""Keys, documents and adapters of the forecasting leaf: catalog, histories, models, cached answers, overrides.

The catalog is one object, or shards of it once it is large, each changed by conditional write.
"""

import hashlib
import random
import threading
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from boto3.dynamodb.conditions import Attr, Key
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from functions.forecasting.contracts import (
    NO_ID,
    FrequencyName,
    ModelEntry,
    ModelSummary,
    Outlook,
    SeriesOverrides,
    is_id,
)
from layers.runtime.errors import ConflictError, CorruptError, InputError, NotFoundError, UnavailableError
from layers.storage.objects import S3Objects
from layers.storage.registry import ModelRegistry
from layers.storage.tables import DynamoTable

LEAF: Final = "forecasting"
INDEX: Final = "index.json"
# Files of the model of all series. The one that kinds are judged by, from days before any fold, has them in a folder.
SHARED: Final = ("global.json", "global.onnx")
JUDGED: Final = "judged/"
CATALOG: Final = "catalog.json"
LARGE: Final = 250  # rows, about 75 KB
SHARDS: Final = 16
PATIENCE: Final = 240.0  # seconds that a writer contends with others, a quarter of what its function may take
LONGEST_WAIT: Final = 4.0
TRIES: Final = 5
# The part of the Forecasts table that holds overrides: no series has an id with a line break.
OVERRIDES: Final = "\noverrides"

ENTRIES: Final = TypeAdapter(dict[str, ModelEntry], config=ConfigDict(defer_build=True))


class Row(BaseModel):
    """What the catalog knows of a series; dates are null while it has known future only, the frequency in rows that
    were written when all series were of days, and the item where nothing is said of it."""

    frequency: FrequencyName | None = None
    first_ds: str | None = None
    last_ds: str | None = None
    observations: int
    history: str
    profile: list[float]
    item: dict[str, str] | None = None
    model: ModelSummary | None = None
    outlook: Outlook | None = None

    def with_model(self, entry: ModelEntry | None, version: str) -> "Row":
        """The row of a series whose model in `version` is `entry`."""
        model = ModelSummary(kind=entry.kind, version=version, skill=entry.skill) if entry else None
        return self.model_copy(update={"model": model, "outlook": entry.outlook if entry else None})


class Part(BaseModel):
    """One object of the catalog: rows by series id, or the keys of the shards that hold them."""

    format: Literal[1] = Field(
        1, description="of this object; one of another is refused, not rewritten without what is new"
    )
    series: dict[str, Row] | None = None
    shards: tuple[str, ...] | None = Field(None, min_length=1)

    def group(self, names: Collection[str]) -> Mapping[str, list[str]]:
        """The names of each shard."""
        groups, shards = defaultdict[str, list[str]](list), self.shards or ()
        for name in names:
            groups[shards[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(shards)]].append(name)
        return groups


Change = Callable[[str, Row | None], Row | None]
Rewrite = Callable[[Collection[str], dict[str, Row]], dict[str, Row]]


def content_hash(body: bytes) -> str:
    """Name of a history's content: 16 hex digits."""
    return hashlib.sha256(body).hexdigest()[:16]


def escaped(series_id: str) -> str:
    """A series id as part of a key: no slash. Raises InputError for an impossible id."""
    if not is_id(series_id):
        raise InputError(NO_ID, field="series_id")
    return series_id.replace("%", "%25").replace("/", "%2F")


def history_key(series_id: str) -> str:
    """Where the history of a series lies in the lake. Raises InputError for an impossible id."""
    return f"history/{escaped(series_id)}.json.gz"


def model_key(version: str, series_id: str) -> str:
    """Where the model of a series lies that was trained for a version."""
    return f"{LEAF}/{version}/models/{escaped(series_id)}.json"


class Catalog:
    """Rows by series id. `rows` trusts memory for `freshness` seconds, then asks which objects changed."""

    def __init__(self, objects: S3Objects, *, freshness: float = 0.0) -> None:
        self._objects, self._freshness = objects, freshness
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[str, Part]] = {}
        self._rows: dict[str, Row] = {}
        self._newest: dict[str, str] = {}
        self._checked = float("-inf")

    def rows(self) -> dict[str, Row]:
        """Every series in order of its id; empty before the first ingestion. Raises CorruptError."""
        with self._lock:
            if time.monotonic() - self._checked >= self._freshness:
                self._refresh()
                self._checked = time.monotonic()
            return self._rows

    def newest_times(self) -> dict[str, str]:
        """Time of the newest observation of all series of each frequency, empty before the first."""
        self.rows()
        return self._newest

    def newest(self, series_id: str) -> str | None:
        """Time of the newest observation of all series that have the frequency of this one; None before the first."""
        row = self.rows().get(series_id)
        return self._newest.get(row.frequency or "D") if row else None

    def _refresh(self) -> None:
        root = self._fetch(CATALOG)
        shards = root[1].shards or ()
        with ThreadPoolExecutor(SHARDS) as pool:
            parts = {CATALOG: root} | dict(zip(shards, pool.map(self._fetch, shards), strict=True))
        if parts != self._parts:
            rows = {name: row for _, part in parts.values() for name, row in (part.series or {}).items()}
            self._parts, self._rows = parts, dict(sorted(rows.items()))
            self._newest = {}
            for row in rows.values():
                kind = row.frequency or "D"
                self._newest[kind] = max(self._newest.get(kind, ""), row.last_ds or "")

    def _fetch(self, key: str) -> tuple[str, Part]:
        """Etag and content of an object, which is only read when it is not the one in memory."""
        etag, part = self._parts.get(key, ("", Part()))
        try:
            changed = self._objects.get_changed(key, etag)
        except NotFoundError as exc:
            return "", _absent(key, exc)
        return (etag, part) if changed is None else (changed[1], _parse(changed[0]))

    def update(self, names: Collection[str], change: Change) -> None:
        """Give each series the row that `change` makes of its id and standing row; None leaves it as it is.

        Tried again on newer rows when somebody else came first. Raises CorruptError, UnavailableError.
        """

        def changed(part: Collection[str], rows: dict[str, Row]) -> dict[str, Row]:
            return rows | {name: row for name in part if (row := change(name, rows.get(name)))}

        self._rewrite(names, changed)

    def remove(self, names: Collection[str]) -> None:
        """Forget these series; one that is unknown is no error. Raises as `update`."""
        self._rewrite(names, lambda part, rows: {name: row for name, row in rows.items() if name not in part})

    def _rewrite(self, names: Collection[str], changed: Rewrite, key: str = CATALOG) -> None:
        """Replace an object's rows, or those of the shards that hold `names`, by what `changed` makes of them."""
        end, wait = time.monotonic() + PATIENCE, 0.05
        while time.monotonic() < end:
            part, condition = self._standing(key)
            if part.shards:
                return self._rewrite_shards(part.group(names), changed)
            rows = part.series or {}
            try:
                return self._put(key, new, condition) if (new := changed(names, rows)) != rows else None
            except ConflictError:
                time.sleep(random.uniform(0, wait))  # noqa: S311 - spreads writers, no secret
                wait = min(2 * wait, LONGEST_WAIT)
        raise UnavailableError(f"{key} is being changed by too many at once", retry_after=5)

    def _rewrite_shards(self, groups: Mapping[str, list[str]], changed: Rewrite) -> None:
        with ThreadPoolExecutor(SHARDS) as pool:
            list(pool.map(lambda shard: self._rewrite(groups[shard], changed, shard), groups))

    def _standing(self, key: str) -> tuple[Part, dict[str, Any]]:
        """Content of an object, and the condition of a write that replaces exactly that."""
        try:
            body, etag = self._objects.get_tagged(key)
        except NotFoundError as exc:
            return _absent(key, exc), {"if_absent": True}
        return _parse(body), {"if_match": etag}

    def _put(self, key: str, rows: dict[str, Row], condition: dict[str, Any]) -> None:
        part = Part(series=rows)
        if key == CATALOG and len(rows) > LARGE:
            # Under names of their own: of two who do so at once, one wins the root, and no shard of his is overwritten.
            folder = f"catalog/{uuid.uuid4().hex[:8]}"
            part = Part(shards=tuple(f"{folder}/{i:02}.json" for i in range(SHARDS)))
            groups = part.group(rows)
            with ThreadPoolExecutor(SHARDS) as pool:
                bodies = (_dump(Part(series={n: rows[n] for n in groups.get(s, ())})) for s in part.shards or ())
                list(pool.map(self._objects.put, part.shards or (), bodies))
        self._objects.put(key, _dump(part), **condition)


def _absent(key: str, error: NotFoundError) -> Part:
    """No series yet, but without a shard that the catalog names some are lost: that is never an empty catalog."""
    if key != CATALOG:
        raise CorruptError("a shard of the catalog is missing") from error
    return Part()


def _dump(part: Part) -> bytes:
    if part.series:
        part = Part.model_construct(series=dict(sorted(part.series.items())))
    return part.model_dump_json(exclude_none=True).encode()


def _parse(body: bytes) -> Part:
    try:
        part = Part.model_validate_json(body)
    except ValueError as exc:
        raise CorruptError("not a catalog") from exc
    if part == Part():
        raise CorruptError("a catalog of neither series nor shards")
    return part


class History(NamedTuple):
    """A stored history; `name` says its content."""

    series_id: str
    name: str
    body: bytes


def _moment(freshness: float) -> float:
    """A key of memory that stays the same for `freshness` seconds."""
    return time.monotonic() // freshness if freshness else time.monotonic()


class Histories:
    """Histories by series id, looked up again after `freshness` seconds."""

    def __init__(self, lake: S3Objects, *, freshness: float, size: int = 200) -> None:
        self._lake, self._freshness = lake, freshness
        self._recent = lru_cache(size)(self._read)

    def read(self, series_id: str) -> History:
        """Raises NotFoundError for an unknown series, InputError for an impossible id."""
        return self._recent(series_id, _moment(self._freshness))

    def _read(self, series_id: str, _: float) -> History:
        try:
            body = self._lake.get(history_key(series_id))
        except NotFoundError as exc:
            raise NotFoundError(f"series {series_id} does not exist") from exc
        return History(series_id, content_hash(body), body)


class Models:
    """Trained models of the champion: its index says where each lies, and neither ever changes."""

    def __init__(self, objects: S3Objects, registry: ModelRegistry, *, freshness: float, size: int = 200) -> None:
        self._objects, self._registry, self._freshness = objects, registry, freshness
        self._champion = lru_cache(1)(lambda _: registry.champion(LEAF))
        self.index = lru_cache(2)(self._index)
        self._bodies = lru_cache(size)(self._body)

    def version(self) -> str | None:
        """The champion's version, or None before the first training."""
        champion = self._champion(_moment(self._freshness))
        return champion.version if champion else None

    def _index(self, version: str) -> dict[str, ModelEntry]:
        """Entry of every series that `version` has a model for. Raises CorruptError, NotFoundError."""
        return parse_index(self._objects.get(f"{LEAF}/{version}/{INDEX}"))

    def shared(self, version: str) -> dict[str, bytes] | None:
        """Files of the model of all series of a version, None where it has none."""
        try:
            return {name: self._objects.get(f"{LEAF}/{version}/{name}") for name in SHARED}
        except NotFoundError:
            return None

    def body(self, entry: ModelEntry) -> bytes:
        """The stored model. Raises CorruptError when the bytes are not those that were published."""
        return self._bodies(entry.key, entry.sha256)

    def _body(self, key: str, sha256: str) -> bytes:
        body = self._objects.get(key)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise CorruptError(f"{key} does not match its hash")
        return body


def parse_index(body: bytes) -> dict[str, ModelEntry]:
    """A version's index: the entry of every series. Raises CorruptError."""
    try:
        return ENTRIES.validate_json(body)
    except ValueError as exc:
        raise CorruptError("not an index of models") from exc


def dump_index(entries: Mapping[str, ModelEntry]) -> bytes:
    """Entries as JSON in order of series id."""
    return ENTRIES.dump_json(dict(sorted(entries.items())))


class Answers:
    """Cached answers in the Forecasts table; DynamoDB forgets them by `expires_at`."""

    def __init__(self, table: DynamoTable, *, keep_seconds: int) -> None:
        self._table, self._keep = table, keep_seconds

    def get(self, series_id: str, item: str) -> bytes | None:
        """The stored body, unless it has expired."""
        row = self._table.get({"series_id": series_id, "item": item})
        return zlib.decompress(row["body"]) if row and row["expires_at"] > time.time() else None

    def put(self, series_id: str, item: str, body: bytes) -> None:
        """Store a body, replacing an older one."""
        expires = int(time.time()) + self._keep
        self._table.put({"series_id": series_id, "item": item, "body": zlib.compress(body), "expires_at": expires})


class Overrides:
    """What people said of each series, for good; looked up again after `freshness` seconds."""

    def __init__(self, table: DynamoTable, *, freshness: float, size: int = 500) -> None:
        self._table, self._freshness, mine = table, freshness, Key("series_id").eq(OVERRIDES)
        self._recent = lru_cache(size)(lambda series_id, _: self._row(series_id)[0])
        self._all = lru_cache(1)(lambda _: {row["item"]: _overrides(row) for row in table.query(mine)})

    def read(self, series_id: str) -> SeriesOverrides:
        """Those of a series. Raises CorruptError."""
        return self._recent(series_id, _moment(self._freshness))

    def all(self) -> dict[str, SeriesOverrides]:
        """Those of every series that somebody spoke of."""
        return self._all(_moment(self._freshness))

    def change(self, series_id: str, change: Callable[[SeriesOverrides], SeriesOverrides]) -> None:
        """Put what `change` makes of what stands. Raises UnavailableError when others change it all the time."""
        for _ in range(TRIES):
            standing, tag = self._row(series_id)
            changed = change(standing)
            if changed == standing:
                return
            body = changed.model_dump_json(exclude_none=True).encode()
            row = {"series_id": OVERRIDES, "item": series_id, "body": zlib.compress(body), "tag": content_hash(body)}
            try:
                self._table.put(row, condition=Attr("tag").eq(tag) if tag else Attr("tag").not_exists())
            except ConflictError:
                continue
            self._recent.cache_clear()
            self._all.cache_clear()
            return
        raise UnavailableError("others change the overrides of this series at this moment")

    def _row(self, series_id: str) -> tuple[SeriesOverrides, str]:
        row = self._table.get({"series_id": OVERRIDES, "item": series_id})
        return (_overrides(row), row["tag"]) if row else (SeriesOverrides(), "")


def _overrides(row: Mapping[str, Any]) -> SeriesOverrides:
    try:
        return SeriesOverrides.model_validate_json(zlib.decompress(row["body"]))
    except (ValueError, zlib.error) as exc:
        raise CorruptError("not the overrides of a series") from exc
