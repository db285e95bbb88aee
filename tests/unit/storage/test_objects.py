"""What the SDK does not repeat: the reading of a body whose connection breaks."""

import io
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ResponseStreamingError

from layers.runtime.errors import UnavailableError
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
