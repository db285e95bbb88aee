"""How a model lies on disk and in the registry: the same manifest in both."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from functions.classification.contracts import LEAF, MODEL_FILE, Specification
from functions.classification.domain.scoring import Model
from layers.runtime.errors import CorruptError, InputError, NotFoundError
from layers.storage.manifest import Manifest, StoredFile, code_hash, content_version

MANIFEST_FILE = "manifest.json"


def version_of(body: bytes, specification: Specification) -> str:
    """Name of a model that depends on its file and specification alone."""
    return content_version({MODEL_FILE: body, "specification": specification.model_dump_json().encode()})


def load(manifest: Manifest, read: Callable[[str], bytes], *, threads: int = 1) -> Model:
    """The model of a manifest; `read` returns a file's bytes, hash checked. Raises CorruptError."""
    try:
        specification = Specification.model_validate(manifest.details)
    except ValidationError as exc:
        raise CorruptError(f"the manifest of {manifest.version} does not describe a classifier") from exc
    return Model(manifest.version, specification, read(MODEL_FILE), threads=threads)


def write_directory(
    directory: Path,
    version: str,
    files: dict[str, bytes],
    *,
    created_at: datetime,
    data_hash: str,
    metrics: dict[str, Any],
    libraries: dict[str, str],
    specification: Specification,
) -> Manifest:
    """Write the files of a model and its manifest into a directory."""
    stored = {n: StoredFile(key=n, sha256=hashlib.sha256(b).hexdigest(), bytes=len(b)) for n, b in files.items()}
    manifest = Manifest(
        leaf=LEAF,
        version=version,
        created_at=created_at,
        files=stored,
        data_hash=data_hash,
        code=code_hash(LEAF),
        metrics=metrics,
        libraries=libraries,
        details=specification.model_dump(mode="json"),
    )
    for name, body in files.items():
        (directory / name).write_bytes(body)
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n")
    return manifest


def load_directory(directory: Path, *, threads: int = 0) -> Model:
    """The model that `write_directory` wrote. Raises InputError when there is none, CorruptError if it was changed."""
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise InputError("there is no model in this directory", file=str(path)) from exc
    except ValidationError as exc:
        raise CorruptError(f"{path} is not a manifest") from exc

    def read(name: str) -> bytes:
        if name not in manifest.files:
            raise NotFoundError(f"{path} lists no file {name}")
        body = (directory / name).read_bytes() if (directory / name).is_file() else b""
        if hashlib.sha256(body).hexdigest() != manifest.files[name].sha256:
            raise CorruptError(f"{directory / name} does not match its hash")
        return body

    return load(manifest, read, threads=threads)


def hash_columns(columns: dict[str, list[Any]]) -> str:
    """Hash of training data: the same rows and columns give the same text."""
    digest = hashlib.sha256()
    for name in sorted(columns):
        digest.update(json.dumps([name, columns[name]], default=str).encode())
    return digest.hexdigest()


def require(columns: Sequence[str], wanted: Sequence[str], file: str) -> None:
    """Raise InputError that names the first wanted column that the file lacks."""
    for name in wanted:
        if name not in columns:
            raise InputError(f"there is no such column; there are {', '.join(columns)}", file=file, field=name)
