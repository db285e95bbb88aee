"""What the SDK does not repeat: the reading of a body whose connection breaks."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from layers.runtime.errors import NotFoundError, UnavailableError
from layers.storage.objects import ObjectInfo, S3Objects


class Breaking:
    """A client whose first bodies break off."""

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks

    def get_object(self, **_: Any) -> dict[str, Any]:
        self.breaks -= 1
        return {"Body": self if self.breaks >= 0 else io.BytesIO(b"whole"), "ETag": '"e"'}

    def read(self) -> bytes:
        if self.breaks % 2:
            raise IncompleteReadError(actual_bytes=1, expected_bytes=2)
        raise ResponseStreamingError(error="cut")


def test_a_body_that_breaks_off_is_read_again() -> None:
    assert S3Objects("bucket", Breaking(2)).get("key") == b"whole"
    assert S3Objects("bucket", Breaking(1)).range(ObjectInfo("key", 5, "e"), 0, 5) == b"whole"


def test_one_that_always_breaks_off_is_unavailable() -> None:
    for breaks in (3, 4):
        with pytest.raises(UnavailableError, match="key"):
            S3Objects("bucket", Breaking(breaks)).get("key")


class Denying:
    """S3 for a role that may list a prefix only: 403 for what is not there as for what is not allowed."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def get_object(self, **_: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    def head_object(self, **_: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "403"}}, "HeadObject")

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, Prefix: str, **_: Any) -> Any:
        found = [key for key in self.keys if key.startswith(Prefix)]
        now = datetime.now(UTC)
        return [{"Contents": [{"Key": key, "Size": 1, "ETag": '"e"', "LastModified": now} for key in found]}]


@pytest.mark.parametrize("read", ["get", "open"])
def test_a_key_that_is_not_there_is_not_taken_for_one_that_is_forbidden(read: str) -> None:
    with pytest.raises(NotFoundError, match="catalog"):
        getattr(S3Objects("bucket", Denying("catalog.json.old")), read)("catalog.json")
    with pytest.raises(ClientError):
        getattr(S3Objects("bucket", Denying("catalog.json")), read)("catalog.json")
