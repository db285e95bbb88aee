"""The catalog of every series: one object, or shards of it once it is large; changed by conditional write."""

import hashlib
import json
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypedDict

from pydantic import BaseModel

from functions.forecasting.domain.identity import check_id
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, UnavailableError
from layers.runtime.parsing import MALFORMED

KEY: Final = "catalog.json"
LARGE: Final = 250  # rows, about 75 KB
SHARDS: Final = 16
PATIENCE: Final = 240.0  # seconds that a writer contends with others, a quarter of what its function may take
LONGEST_WAIT: Final = 4.0


class Condition(TypedDict, total=False):
    """What must hold for a write."""

    if_match: str
    if_absent: bool


class Objects(Protocol):
    """The lake bucket."""

    def get_tagged(self, key: str) -> tuple[bytes, str]: ...
    def get_changed(self, key: str, etag: str) -> tuple[bytes, str] | None: ...
    def put(self, key: str, body: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str: ...


class Model(BaseModel):
    """Model of a series as of the version that was published last."""

    kind: str
    version: str
    skill: float | None


class Row(BaseModel):
    """What the catalog knows of a series; dates are null while it has known future only."""

    first_ds: str | None
    last_ds: str | None
    observations: int
    history: str
    profile: list[float]
    model: Model | None = None


def history_key(series_id: str) -> str:
    """Where the history of a series lies in the lake. Raises InputError for an impossible id."""
    return f"history/{check_id(series_id)}.json.gz"


@dataclass(frozen=True)
class Part:
    """One object of the catalog: rows by series id, or the keys of the shards that hold them."""

    rows: dict[str, Row] = field(default_factory=dict)
    shards: tuple[str, ...] = ()

    def group(self, names: Collection[str]) -> Mapping[str, list[str]]:
        """The names of each shard."""
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            groups[self.shards[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(self.shards)]].append(name)
        return groups


Change = Callable[[str, Row | None], Row | None]


class Catalog:
    """Rows by series id. `rows` trusts memory for `freshness` seconds, then asks which objects changed."""

    def __init__(
        self, objects: Objects, *, freshness: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._objects, self._freshness, self._clock = objects, freshness, clock
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[str, Part]] = {}
        self._rows: dict[str, Row] = {}
        self._newest: str | None = None
        self._checked = float("-inf")

    def rows(self) -> dict[str, Row]:
        """Every series in order of its id; empty before the first ingestion. Raises CorruptError."""
        with self._lock:
            if self._clock() - self._checked >= self._freshness:
                self._refresh()
                self._checked = self._clock()
            return self._rows

    def newest(self) -> str | None:
        """Day of the newest observation of all series; None before the first."""
        self.rows()
        return self._newest

    def _refresh(self) -> None:
        root = self._fetch(KEY)
        with ThreadPoolExecutor(SHARDS) as pool:
            parts = {KEY: root} | dict(zip(root[1].shards, pool.map(self._fetch, root[1].shards), strict=True))
        if parts != self._parts:
            rows = {name: row for _, part in parts.values() for name, row in part.rows.items()}
            self._parts, self._rows = parts, dict(sorted(rows.items()))
            self._newest = max((row.last_ds for row in rows.values() if row.last_ds), default=None)

    def _fetch(self, key: str) -> tuple[str, Part]:
        """Etag and content of an object, which is only read when it is not the one in memory."""
        etag, known = self._parts.get(key, ("", Part()))
        try:
            changed = self._objects.get_changed(key, etag)
        except NotFoundError as exc:
            return "", _absent(key, exc)
        return (etag, known) if changed is None else (changed[1], _parse(changed[0]))

    def update(self, names: Collection[str], change: Change) -> None:
        """Give each series the row that `change` makes of its id and standing row; None leaves it as it is.

        Tried again on newer rows when somebody else came first. Raises CorruptError, UnavailableError.
        """
        self._update(KEY, names, change)

    def _update(self, key: str, names: Collection[str], change: Change) -> None:
        end, wait = time.monotonic() + PATIENCE, 0.05
        while time.monotonic() < end:
            part, condition = self._standing(key)
            if part.shards:
                return self._update_shards(part.group(names), change)
            changed = {name: row for name in names if (row := change(name, part.rows.get(name)))}
            try:
                return self._put(key, part.rows | changed, condition) if changed else None
            except ConflictError:
                time.sleep(random.uniform(0, wait))  # noqa: S311 - spreads writers, no secret
                wait = min(2 * wait, LONGEST_WAIT)
        raise UnavailableError(f"{key} is being changed by too many at once", retry_after=5)

    def _update_shards(self, groups: Mapping[str, list[str]], change: Change) -> None:
        with ThreadPoolExecutor(SHARDS) as pool:
            list(pool.map(lambda shard: self._update(shard, groups[shard], change), groups))

    def _standing(self, key: str) -> tuple[Part, Condition]:
        try:
            body, etag = self._objects.get_tagged(key)
        except NotFoundError as exc:
            return _absent(key, exc), Condition(if_absent=True)
        return _parse(body), Condition(if_match=etag)

    def _put(self, key: str, rows: dict[str, Row], condition: Condition) -> None:
        if key == KEY and len(rows) > LARGE:
            # Under names of their own: of two who do so at once, one wins the root, and no shard of his is overwritten.
            folder = f"catalog/{uuid.uuid4().hex[:8]}"
            split = Part(shards=tuple(f"{folder}/{i:02}.json" for i in range(SHARDS)))
            groups = split.group(rows)
            with ThreadPoolExecutor(SHARDS) as pool:
                bodies = (_dump({name: rows[name] for name in groups.get(shard, ())}) for shard in split.shards)
                list(pool.map(self._objects.put, split.shards, bodies))
            self._objects.put(KEY, json.dumps({"shards": split.shards}).encode(), **condition)
        else:
            self._objects.put(key, _dump(rows), **condition)


def _absent(key: str, error: NotFoundError) -> Part:
    """No series yet, but without a shard that the catalog names some are lost: that is never an empty catalog."""
    if key != KEY:
        raise CorruptError("a shard of the catalog is missing") from error
    return Part()


def _dump(rows: Mapping[str, Row]) -> bytes:
    document = {"series": {name: rows[name].model_dump(exclude_none=True) for name in sorted(rows)}}
    return json.dumps(document, separators=(",", ":")).encode()


def _parse(body: bytes) -> Part:
    try:
        document: dict[str, Any] = json.loads(body)
        if "shards" in document:
            if not document["shards"] or not all(isinstance(key, str) for key in document["shards"]):
                raise ValueError("shards without a key")
            return Part(shards=tuple(document["shards"]))
        return Part({name: _row(value) for name, value in document["series"].items()})
    except MALFORMED as exc:
        raise CorruptError("not a catalog") from exc


def _row(value: dict[str, Any]) -> Row:
    model = value.get("model")
    # Not validated row by row: this module wrote it, and 5,000 rows are read on a request's path.
    return Row.model_construct(
        first_ds=value.get("first_ds"),
        last_ds=value.get("last_ds"),
        observations=value["observations"],
        history=value["history"],
        profile=value["profile"],
        model=Model.model_construct(skill=model.get("skill"), kind=model["kind"], version=model["version"])
        if model
        else None,
    )
