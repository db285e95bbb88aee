"""Where the documents lie that the console reads, and the verdicts that it writes."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from functions.console.contracts import Digest, Flag, Manifest, Verdict, WatchReport
from layers.runtime.errors import ConflictError, CorruptError, NotFoundError, UnavailableError
from layers.runtime.observability import logger
from layers.storage.objects import ObjectInfo, S3Objects

LEAF: Final = "console"
DAYS, VERDICTS, REPORTS, WATCH = "anomalies/days/", "verdicts/", "anomalies/reports/", "scored/reports/watch.json"
DIGESTED = "console/verdicts/"
DT: Final = re.compile(r"[a-z/]+/dt=([0-9]{4}-[0-9]{2}-[0-9]{2})/([^/]+)\.json")
READERS, REMEMBERED, DIGESTS, TRIES = 16, 20_000, 400, 5
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
        self._digest = lru_cache(DIGESTS)(lambda key, _etag: self._read(key, Digest))
        self._flags = lru_cache(8)(self._read_flags)

    def manifests(self, first: date, last: date | None) -> dict[date, Manifest]:
        """Of each published day from `first` to `last`, or to the newest; one that cannot be read is left out."""
        listed = list(self._listed(DAYS, first, last))
        with ThreadPoolExecutor(READERS) as pool:
            read = pool.map(lambda one: self._manifest(one[2].key, one[2].etag), listed)
            return {day: manifest for (day, _, _), manifest in zip(listed, read, strict=True) if manifest}

    def newest(self) -> date | None:
        """The newest published day whose manifest can be read."""
        listed = reversed(list(self._listed(DAYS, date(1970, 1, 1), None)))
        return next((day for day, _, info in listed if self._manifest(info.key, info.etag)), None)

    def verdicts(self, first: date, last: date) -> dict[date, dict[str, Verdict]]:
        """By the hash of the ride, for each day: one object a day, and those that changed since it was written."""
        listed: dict[date, dict[str, ObjectInfo]] = defaultdict(dict)
        for day, name, info in self._listed(VERDICTS, first, last):
            listed[day][name] = info
        digests = {day: info for day, _, info in self._listed(DIGESTED, first, last)}
        with ThreadPoolExecutor(READERS) as days, ThreadPoolExecutor(READERS) as pool:
            read = days.map(lambda day: self._words(day, listed[day], digests.get(day), pool), listed)
            return dict(zip(listed, read, strict=True))

    def _words(
        self, day: date, listed: dict[str, ObjectInfo], digest: ObjectInfo | None, pool: ThreadPoolExecutor
    ) -> dict[str, Verdict]:
        standing = self._digest(digest.key, digest.etag) if digest else None
        words = standing.words if standing else {}
        new = [name for name, info in listed.items() if name not in words or words[name][0] != info.etag]
        if new:
            verdicts = pool.map(lambda name: self._read(listed[name].key, Verdict), new)
            fresh = {name: (listed[name].etag, verdict) for name, verdict in zip(new, verdicts, strict=True)}
            words = {name: word for name, word in words.items() if name in listed} | fresh
            with suppress(UnavailableError):  # who looks next reads them again
                self._lake.put(f"{DIGESTED}dt={day}/heard.json", Digest(words=words).model_dump_json().encode())
        return {name: verdict for name in listed if (verdict := words[name][1])}

    def plot(self, day: date, run_id: str) -> dict[str, Any] | None:
        """The picture of a run, in numbers; those of before have none."""
        try:
            return dict(json.loads(self._lake.get(f"{REPORTS}dt={day}/run={run_id}/plot.json")))
        except NotFoundError:
            return None

    def flags(self, day: date, run_id: str) -> dict[str, Flag]:
        """The most severe rides of a run by the hash of their ids, most severe first; runs of before list none."""
        return self._flags(day, run_id)

    def _read_flags(self, day: date, run_id: str) -> dict[str, Flag]:
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
