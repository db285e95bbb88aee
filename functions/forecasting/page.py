"""The planners' page: the files of its bundle, compressed where that is accepted, under a strict policy."""

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from layers.runtime.errors import NotFoundError

DIRECTORY: Final = Path(__file__).parent / "dashboard" / "built"
INDEX: Final = "index.html"
MEDIA: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# A file of the bundle has the hash of its content in its name.
FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    media: str
    etag: str
    caching: str


def policy(user_pool_endpoint: str, index: bytes) -> str:
    """Content security policy: scripts and styles from here only, and the script that is part of `index`.

    The user pool is the one other address.
    """
    scripts = re.findall(rb"<script>(.*?)</script>", index, re.DOTALL)
    hashes = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in scripts)
    return (
        f"default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {user_pool_endpoint}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def routes(config: dict[str, Any], directory: Path = DIRECTORY) -> APIRouter:
    """`/`, `/static/config.json` and `/static/<file>`; `config` is what the page is told."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/config.json")
    async def settings() -> dict[str, Any]:
        return config

    @router.get("/static/{name:path}")
    async def static(request: Request, name: str) -> Response:
        return _send(request, name)

    @router.get("/")
    async def index(request: Request) -> Response:
        return _send(request, INDEX)

    def _send(request: Request, name: str) -> Response:
        file, index = read(directory).get(name), read(directory).get(INDEX)
        if file is None or index is None:
            raise NotFoundError("no such page")
        headers = {
            "Content-Security-Policy": policy(config["endpoint"], index.body),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "ETag": f'"{file.etag}"',
            "Cache-Control": file.caching,
            "Vary": "Accept-Encoding",
        }
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, media_type=file.media, headers=headers | {"Content-Encoding": "gzip"})
        return Response(file.body, media_type=file.media, headers=headers)

    return router


@cache
def read(directory: Path) -> dict[str, File]:
    """Every file of the page by its name; nothing else is served, however it is asked for."""
    return {path.name: _file(path) for path in directory.glob("*.*") if path.suffix in MEDIA}


def _file(path: Path) -> File:
    body, caching = path.read_bytes(), "no-cache" if path.name == INDEX else FOREVER
    return File(body, gzip.compress(body, mtime=0), MEDIA[path.suffix], hashlib.sha256(body).hexdigest()[:32], caching)
