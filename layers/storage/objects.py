"""Objects in one S3 bucket."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from layers.runtime.errors import MissingError
from layers.storage.aws import translated

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DENIED = {"AccessDenied", "403"}


@dataclass(frozen=True)
class ObjectInfo:
    """One listed object; `etag` is without quotes, `modified` the time of its last write."""

    key: str
    size: int
    etag: str
    modified: datetime = EPOCH


class S3Objects:
    """Read and write objects of `bucket`; every error names the key."""

    def __init__(self, bucket: str, client: Any) -> None:
        self.bucket = bucket
        self._client = client

    def get(self, key: str, *, if_match: str | None = None) -> bytes:
        """Whole body. Raises NotFoundError, ConflictError when the object has another etag than `if_match`."""
        return self._read(key, if_match)[0]

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Whole body and its etag, for a later `put(if_match=...)`. Raises NotFoundError."""
        return self._read(key)

    def get_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        """Body and etag, or None while the object still is that of `etag` ("" for any). Raises NotFoundError."""
        try:
            return self._read(key, IfNoneMatch=etag) if etag else self._read(key)
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_MODIFIED:
                return None
            raise

    def _read(self, key: str, if_match: str | None = None, tries: int = 3, **arguments: str) -> tuple[bytes, str]:
        """The SDK repeats a call but not the reading of its body, whose connection may break as well."""
        condition = {} if if_match is None else {"IfMatch": if_match}
        with self._named(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **condition, **arguments)
            try:
                return answer["Body"].read(), answer["ETag"].strip('"')
            except (HTTPClientError, IncompleteReadError):
                if tries == 1:
                    raise
        return self._read(key, if_match, tries - 1, **arguments)

    @contextmanager
    def _named(self, key: str) -> Iterator[None]:
        """Whoever may list a prefix only is answered 403 for a key that is not there: listing tells which it is."""
        try:
            with translated(key):
                yield
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") not in DENIED or any(i.key == key for i in self.list(key)):
                raise
            raise MissingError(f"{key} does not exist") from exc

    def put(self, key: str, body: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write and return the etag; with a condition that fails, raises ConflictError and writes nothing."""
        condition = {"IfNoneMatch": "*"} if if_absent else {} if if_match is None else {"IfMatch": if_match}
        with translated(key):
            answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)
        return str(answer["ETag"]).strip('"')

    def upload(self, path: Path, key: str) -> None:
        """Write a file, in parts when it is large."""
        with translated(key):
            self._client.upload_file(str(path), self.bucket, key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects under `prefix` in key order, those only whose key comes after `after`."""
        pages = self._client.get_paginator("list_objects_v2")
        start = {"StartAfter": after} if after else {}
        with translated(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, **start):
                for entry in page.get("Contents", ()):
                    yield ObjectInfo(entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])

    def open(self, key: str, *, if_match: str | None = None) -> BinaryIO:
        """A seekable file that fetches ranges as they are read, all of one version, for Parquet footers and row groups.

        Raises ConflictError, here or while it is read, when the object is another than `if_match` or than when opened.
        """
        condition = {} if if_match is None else {"IfMatch": if_match}
        with self._named(key):
            head = self._client.head_object(Bucket=self.bucket, Key=key, **condition)
        info = ObjectInfo(key, head["ContentLength"], head["ETag"].strip('"'))
        return cast(BinaryIO, io.BufferedReader(RangeReader(self.range, info), buffer_size=1 << 20))

    def range(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Bytes `start` to `end`, the end left out, of this version of the object. Raises ConflictError."""
        return self._read(info.key, info.etag, Range=f"bytes={start}-{end - 1}")[0]

    def tag(self, key: str, **tags: str) -> None:
        """Set the object's tags; lifecycle rules delete by tag."""
        chosen = [{"Key": name, "Value": value} for name, value in tags.items()]
        with translated(key):
            self._client.put_object_tagging(Bucket=self.bucket, Key=key, Tagging={"TagSet": chosen})

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is no error."""
        with translated(key):
            self._client.delete_object(Bucket=self.bucket, Key=key)


class RangeReader(io.RawIOBase):
    """An object read by ranges, as a file that can be sought in."""

    def __init__(self, read: Callable[[ObjectInfo, int, int], bytes], info: ObjectInfo) -> None:
        self._read, self._info, self._at = read, info, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._info.size)
        if end <= self._at:
            return 0
        body = self._read(self._info, self._at, end)
        buffer[: len(body)] = body
        self._at += len(body)
        return len(body)
