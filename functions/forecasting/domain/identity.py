"""Names of series and of their content; imports nothing heavy, as every answer needs it."""

import hashlib
import re
from typing import Final

from layers.runtime.errors import InputError

ID: Final = r"[^/\x00-\x1f\x7f]{1,128}"


def check_id(series_id: str) -> str:
    """Return a valid series id: 1 to 128 characters, no slash or control character. Raises InputError."""
    if not re.fullmatch(ID, series_id):
        raise InputError("must be 1 to 128 characters, none a slash or a control character", field="series_id")
    return series_id


def natural_key(series_id: str) -> tuple[str, str]:
    """What to sort ids by as people do, numbers within them as numbers, and the id itself."""
    return re.sub(r"\d+", lambda number: number[0].zfill(20), series_id), series_id


def content_hash(body: bytes) -> str:
    """Name of a history's content: 16 hex digits."""
    return hashlib.sha256(body).hexdigest()[:16]
