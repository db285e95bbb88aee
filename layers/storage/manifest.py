"""What a stored model version is made of and where it came from."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).resolve().parents[2]


class StoredFile(BaseModel):
    """A file of a version; `key` may lie under an older version that already held the same bytes."""

    key: str
    sha256: str
    bytes: int


class Manifest(BaseModel):
    """What a version is made of and where it came from."""

    model_config = ConfigDict(frozen=True)

    leaf: str
    version: str
    format: Literal[1] = Field(1, description="of this manifest; one of another is refused, not guessed at")
    created_at: datetime
    files: dict[str, StoredFile]
    data_hash: str = Field(description="hash of the training data")
    code: str = Field("", description="hash of the sources that made it; see `code_hash`")
    metrics: dict[str, Any] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict, description="versions the files were made with")
    details: dict[str, Any] = Field(default_factory=dict, description="what the leaf needs to read its own files")


def manifest_key(leaf: str, version: str) -> str:
    """Where a version's manifest lies in the models bucket."""
    return f"{leaf}/{version}/manifest.json"


def content_version(files: Mapping[str, bytes]) -> str:
    """A version name that depends on nothing but the files: 16 hex digits."""
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]


@cache
def code_hash(leaf: str) -> str:
    """Hash of the leaf's sources and the layers', equal in an image, which has no git, and in its checkout."""
    digest = hashlib.sha256()
    for file in sorted([*ROOT.glob("layers/**/*.py"), *ROOT.glob(f"functions/{leaf}/**/*.py")]):
        digest.update(f"{file.relative_to(ROOT).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
