"""The catalog of every series: one object, changed by conditional write, searched in memory."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypedDict

from pydantic import BaseModel

from functions.forecasting.domain.identity import check_id
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, UnavailableError
from layers.runtime.parsing import MALFORMED
from layers.storage.objects import ObjectInfo

KEY: Final = "catalog.json"
TRIES: Final = 30


class Condition(TypedDict, total=False):
    """What must hold for a write."""

    if_match: str
    if_absent: bool


class Objects(Protocol):
    """The lake bucket."""

    def get_tagged(self, key: str) -> tuple[bytes, str]: ...
    def put(self, key: str, body: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str: ...
    def list(self, prefix: str) -> Iterable[ObjectInfo]: ...


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


class Catalog:
    """Rows by series id. `rows` trusts memory for `freshness` seconds, then asks whether the object changed."""

    def __init__(
        self, objects: Objects, *, freshness: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._objects, self._freshness, self._clock = objects, freshness, clock
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._etag, self._checked = "", float("-inf")

    def rows(self) -> dict[str, Row]:
        """Every series in order of its id; empty before the first ingestion."""
        with self._lock:
            if self._clock() - self._checked >= self._freshness:
                self._refresh()
                self._checked = self._clock()
            return self._rows

    def _refresh(self) -> None:
        found = next((info.etag for info in self._objects.list(KEY) if info.key == KEY), "")
        if found and found != self._etag:
            body, self._etag = self._objects.get_tagged(KEY)
            self._rows = _parse(body)

    def update(self, change: Callable[[dict[str, Row]], None]) -> None:
        """Apply `change` to the newest rows and write them back, again when somebody else came first."""
        for attempt in range(TRIES):
            try:
                body, etag = self._objects.get_tagged(KEY)
                rows, condition = _parse(body), Condition(if_match=etag)
            except NotFoundError:
                rows, condition = {}, Condition(if_absent=True)
            change(rows)
            document = {"series": {k: rows[k].model_dump(exclude_none=True) for k in sorted(rows)}}
            try:
                self._objects.put(KEY, json.dumps(document, separators=(",", ":")).encode(), **condition)
            except ConflictError:
                time.sleep(random.uniform(0, 0.05 * (attempt + 1)))  # noqa: S311 - spreads writers, no secret
            else:
                return
        raise UnavailableError(f"{KEY} is being changed by too many at once", retry_after=5)


def _parse(body: bytes) -> dict[str, Row]:
    try:
        series: dict[str, dict[str, Any]] = json.loads(body)["series"]
        return {name: _row(value) for name, value in series.items()}
    except MALFORMED as exc:
        raise CorruptError(f"{KEY} is not a catalog") from exc


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
