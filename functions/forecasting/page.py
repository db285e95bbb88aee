"""The planners' page: files of one directory, compressed where that is accepted, under a strict policy."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from layers.runtime.errors import NotFoundError

DIRECTORY = Path(__file__).parent / "dashboard"
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    media: str
    etag: str


def policy(user_pool_endpoint: str) -> str:
    """Content security policy: scripts and styles from here only; the user pool is the one other address."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {user_pool_endpoint}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def routes(config: dict[str, Any], directory: Path = DIRECTORY) -> APIRouter:
    """`/`, `/static/config.json` and `/static/<file>`; `config` is what the page is told."""
    router = APIRouter(include_in_schema=False)
    headers = {
        "Content-Security-Policy": policy(config["endpoint"]),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    @router.get("/static/config.json")
    async def settings() -> dict[str, Any]:
        return config

    @router.get("/static/{name:path}")
    async def static(request: Request, name: str) -> Response:
        return _send(request, read(directory, name), headers)

    @router.get("/")
    async def index(request: Request) -> Response:
        return _send(request, read(directory, "index.html"), headers)

    return router


@cache
def read(directory: Path, name: str) -> File:
    """A file of the page. Raises NotFoundError, also for a name that leads out of the directory."""
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()) or path.suffix not in MEDIA or not path.is_file():
        raise NotFoundError("no such page")
    body = path.read_bytes()
    return File(body, gzip.compress(body, mtime=0), MEDIA[path.suffix], hashlib.sha256(body).hexdigest()[:32])


def _send(request: Request, file: File, headers: dict[str, str]) -> Response:
    chosen = headers | {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=chosen)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, media_type=file.media, headers=chosen | {"Content-Encoding": "gzip"})
    return Response(file.body, media_type=file.media, headers=chosen)
