"""Where the documents lie that the console reads, and the verdicts that it writes."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from functions.console.contracts import Flag, Manifest, Verdict, WatchReport
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, UnavailableError
from layers.runtime.observability import logger
from layers.storage.objects import ObjectInfo, S3Objects

LEAF: Final = "console"
DAYS, VERDICTS, REPORTS, WATCH = "anomalies/days/", "verdicts/", "anomalies/reports/", "scored/reports/watch.json"
DT: Final = re.compile(r"[a-z/]+/dt=([0-9]{4}-[0-9]{2}-[0-9]{2})/([^/]+)\.json")
# Far more than the verdicts of a year, which are read in order: a cache of fewer would spare no reading.
READERS, REMEMBERED, TRIES = 32, 100_000, 5
FLAGS: Final = TypeAdapter(list[Flag])

Document = TypeVar("Document", bound=BaseModel)


def hash_of(ride_id: str) -> str:
    """The name of a ride's verdict, whatever its id is made of."""
    return hashlib.sha256(ride_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Published:
    """Days, the verdicts on their rides, and reports. An object that did not change is not read again."""

    def __init__(self, lake: S3Objects) -> None:
        self._lake = lake
        self._manifest = lru_cache(REMEMBERED)(lambda key, _etag: self._read(key, Manifest))
        self._verdict = lru_cache(REMEMBERED)(lambda key, _etag: self._read(key, Verdict))
        self.flags = lru_cache(8)(self._flags)

    def manifests(self, first: date, last: date | None) -> dict[date, Manifest]:
        """Of each published day from `first` to `last`, or to the newest; one that cannot be read is left out."""
        return {day: manifest for day, _, manifest in self._each(self._manifest, DAYS, first, last)}

    def newest(self) -> date | None:
        """The newest published day whose manifest can be read."""
        listed = reversed(list(self._listed(DAYS, date(1970, 1, 1), None)))
        return next((day for day, _, info in listed if self._manifest(info.key, info.etag)), None)

    def verdicts(self, first: date, last: date) -> dict[date, dict[str, Verdict]]:
        """By the hash of the ride, for each day."""
        verdicts: dict[date, dict[str, Verdict]] = defaultdict(dict)
        for day, name, verdict in self._each(self._verdict, VERDICTS, first, last):
            verdicts[day][name] = verdict
        return verdicts

    def plot(self, day: date, run_id: str) -> dict[str, Any] | None:
        """The picture of a run, in numbers; those of before have none."""
        try:
            return dict(json.loads(self._lake.get(f"{REPORTS}dt={day}/run={run_id}/plot.json")))
        except NotFoundError:
            return None

    def _flags(self, day: date, run_id: str) -> dict[str, Flag]:
        """The most severe rides of a run by the hash of their ids, most severe first; runs of before list none."""
        key = f"{REPORTS}dt={day}/run={run_id}/flagged.json"
        try:
            flags = FLAGS.validate_json(self._lake.get(key))
        except NotFoundError:
            return {}
        except ValidationError as exc:
            raise CorruptError(f"{key} is no list of flags") from exc
        ordered = sorted(((-flag.severity, hash_of(flag.ride_id), flag) for flag in flags), key=lambda one: one[:2])
        flags_by_name: dict[str, Flag] = {}
        for _, name, flag in ordered:  # of an id that two files of a day have, the more severe ride
            flags_by_name.setdefault(name, flag)
        return flags_by_name

    def watch(self) -> WatchReport | None:
        """The last report of classification's watch."""
        return self._read(WATCH, WatchReport)

    def verdict(self, day: date, ride_id: str) -> Verdict | None:
        """The word that stands on a ride."""
        return self._standing(_verdict_key(day, ride_id))[0]

    def judge(self, day: date, verdict: Verdict) -> Verdict:
        """Keep the word unless a newer one stands, and return the one that does. Raises UnavailableError in a crowd."""
        key = _verdict_key(day, verdict.ride_id)
        for _ in range(TRIES):
            standing, etag = self._standing(key)
            if standing and standing.at >= verdict.at:
                return standing
            try:
                self._lake.put(key, verdict.model_dump_json().encode() + b"\n", if_match=etag, if_absent=etag is None)
            except (ConflictError, NotFoundError):  # somebody else said something meanwhile
                continue
            return verdict
        raise UnavailableError("others judge this ride at this moment")

    def _standing(self, key: str) -> tuple[Verdict | None, str | None]:
        try:
            body, etag = self._lake.get_tagged(key)
        except NotFoundError:
            return None, None
        return _parsed(key, body, Verdict), etag

    def _read(self, key: str, kind: type[Document]) -> Document | None:
        try:
            return _parsed(key, self._lake.get(key), kind)
        except NotFoundError:
            return None

    def _each(
        self, read: Callable[[str, str], Document | None], prefix: str, first: date, last: date | None
    ) -> Iterator[tuple[date, str, Document]]:
        """(day, name, document) of days in order, without what cannot be read."""
        listed = list(self._listed(prefix, first, last))
        with ThreadPoolExecutor(READERS) as pool:
            documents = pool.map(lambda one: read(one[2].key, one[2].etag), listed)
            yield from ((day, name, one) for (day, name, _), one in zip(listed, documents, strict=True) if one)

    def _listed(self, prefix: str, first: date, last: date | None) -> Iterator[tuple[date, str, ObjectInfo]]:
        """(day, name, object) of days in order."""
        until = f"{prefix}dt={last or date.max}/~"
        for info in takewhile(lambda one: one.key < until, self._lake.list(prefix, after=f"{prefix}dt={first}")):
            if named := DT.fullmatch(info.key):
                try:
                    yield date.fromisoformat(named[1]), named[2], info
                except ValueError:
                    continue


def _verdict_key(day: date, ride_id: str) -> str:
    return f"{VERDICTS}dt={day}/{hash_of(ride_id)}.json"


def _parsed(key: str, body: bytes, kind: type[Document]) -> Document | None:
    """A document that is none of ours is left out, and logged."""
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        logger(LEAF).error("document cannot be read", key=key)
        return None
