"""Immutable model versions in S3, and which of them answers, in DynamoDB."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from boto3.dynamodb.conditions import Attr, Key
from pydantic import BaseModel, ValidationError

from layers.runtime.errors import ConflictError, CorruptError, NotFoundError
from layers.storage.manifest import Manifest, StoredFile, code_hash, manifest_key
from layers.storage.objects import S3Objects
from layers.storage.tables import DynamoTable, Item

CHAMPION = "#champion"
Status = Literal["candidate", "champion", "retired"]


class Champion(BaseModel):
    """The version that answers, and the one it replaced."""

    version: str
    previous: str | None = None
    since: datetime
    reason: str = ""


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class ModelRegistry:
    """Versions of every leaf. A version never changes; the champion changes only by conditional write."""

    def __init__(self, objects: S3Objects, table: DynamoTable, clock: Callable[[], datetime] = now) -> None:
        self._objects, self._table, self._clock = objects, table, clock

    def publish(
        self,
        leaf: str,
        version: str,
        files: Mapping[str, bytes | StoredFile],
        *,
        expires_at: int | None = None,
        **about: Any,
    ) -> Manifest:
        """Write the files, then the manifest, then the row as candidate; the same version twice is harmless.

        `about`: data_hash, metrics, libraries and details, as in `Manifest`. A row with `expires_at` (epoch seconds)
        goes by itself; the data stack expires such a leaf's objects as well.

        What a dead attempt left, or what cannot be read, is replaced. Raises ConflictError when the version exists
        with other files.
        """
        bodies: dict[str, bytes] = {}
        stored: dict[str, StoredFile] = {}
        for name, body in files.items():
            if isinstance(body, bytes):
                digest, key = hashlib.sha256(body).hexdigest(), f"{leaf}/{version}/{name}"
                bodies[key], body = body, StoredFile(key=key, sha256=digest, bytes=len(body))
            stored[name] = body
        manifest = Manifest(
            leaf=leaf, version=version, created_at=self._clock(), files=stored, code=code_hash(leaf), **about
        )
        last = manifest_key(leaf, version)
        bodies[last] = manifest.model_dump_json().encode()
        for key, body in bodies.items():
            try:
                self._objects.put(key, body, if_absent=True)
            except ConflictError:
                try:
                    standing = self.manifest(leaf, version)
                except (NotFoundError, CorruptError):
                    self._objects.put(key, body)
                    continue
                if standing.files != stored:
                    raise ConflictError(f"{leaf} {version} exists with other files") from None
                if key == last:
                    manifest = standing
                else:
                    self._objects.put(key, body)
        row = {
            "leaf": leaf,
            "version": version,
            "status": "candidate",
            "created_at": manifest.created_at.isoformat(),
            "metrics": manifest.metrics,
            "manifest": last,
        } | ({"expires_at": expires_at} if expires_at else {})
        with suppress(ConflictError):  # a repeated publish keeps the status that the version has reached
            self._table.put(row, condition=Attr("version").not_exists())
        return manifest

    def manifest(self, leaf: str, version: str) -> Manifest:
        """Raises NotFoundError for an unknown version, CorruptError for an unreadable manifest."""
        key = manifest_key(leaf, version)
        try:
            return Manifest.model_validate_json(self._objects.get(key))
        except ValidationError as exc:
            raise CorruptError(f"{key} is not a manifest") from exc

    def read(self, manifest: Manifest, name: str) -> bytes:
        """A file of the version, checked against its hash. Raises CorruptError, NotFoundError."""
        if name not in manifest.files:
            raise NotFoundError(f"{manifest.leaf} {manifest.version} has no file {name}")
        stored = manifest.files[name]
        body = self._objects.get(stored.key)
        if hashlib.sha256(body).hexdigest() != stored.sha256:
            raise CorruptError(f"{stored.key} does not match its hash")
        return body

    def champion(self, leaf: str) -> Champion | None:
        """The version that answers now, or None before the first promotion."""
        row = self._table.get({"leaf": leaf, "version": CHAMPION})
        return Champion.model_validate(row | {"version": row["points_to"]}) if row else None

    def row(self, leaf: str, version: str) -> Item | None:
        """The version's row: status, figures, when it was made."""
        return self._table.get({"leaf": leaf, "version": version})

    def promote(self, leaf: str, version: str, *, expected: str | None, reason: str) -> Champion:
        """Make `version` the champion if `expected` (None: nobody) still is; promoting the champion again is harmless.

        Raises NotFoundError for an unknown version and ConflictError when another promotion came first.
        """
        row = self.row(leaf, version)
        if row is None:
            raise NotFoundError(f"{leaf} has no version {version}")
        standing = self.champion(leaf)
        if standing and standing.version == version:
            self._table.put(row | {"status": "champion"})
            return standing
        champion = Champion(version=version, previous=expected, since=self._clock(), reason=reason)
        pointer = champion.model_dump(mode="json") | {"leaf": leaf, "version": CHAMPION, "points_to": version}
        condition = Attr("points_to").not_exists() if expected is None else Attr("points_to").eq(expected)
        # The SDK sends a write again whose answer was lost: then the pointer names this version already.
        self._table.put(pointer, condition=condition | Attr("points_to").eq(version))
        self._table.put(row | {"status": "champion", "reason": reason})
        if expected and (old := self.row(leaf, expected)):
            self._table.put(old | {"status": "retired"})
        return champion

    def versions(self, leaf: str) -> list[Item]:
        """Rows of every version, newest first; where a promotion died half-way, the pointer corrects the status."""
        rows = {row["version"]: row for row in self._table.query(Key("leaf").eq(leaf))}
        champion = rows.pop(CHAMPION, {"points_to": None})["points_to"]
        for version, row in rows.items():
            if version == champion:
                row["status"] = "champion"
            elif row["status"] == "champion":
                row["status"] = "retired"
        return sorted(rows.values(), key=lambda row: str(row["created_at"]), reverse=True)
