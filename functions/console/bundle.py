"""The page: its bundle, made by `make setup`, and where its user pool is."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from functions.console.settings import ConsoleSettings

BUILT: Final = Path(__file__).parent / "page" / "built"


def add_page(app: FastAPI, settings: ConsoleSettings, region: str) -> None:
    """Routes of the page; `region` is where the user pool is."""
    endpoint = settings.user_pool_endpoint or f"https://cognito-idp.{region}.amazonaws.com"
    config = {"user_pool_client": settings.user_pool_client, "region": region, "endpoint": endpoint}
    page = Page(endpoint)

    @app.get("/static/config.json", include_in_schema=False)
    async def page_config() -> dict[str, str]:
        return config

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return await page.get_response("index.html", request.scope)

    app.mount("/static", page)


class Page(StaticFiles):
    """Files of the page's bundle under a strict policy: scripts and styles from here only, and the script within the
    index; the user pool is the one other address. A file whose name has the hash of its content is kept for a year."""

    def __init__(self, user_pool_endpoint: str) -> None:
        super().__init__(directory=BUILT, check_dir=False)
        index = BUILT / "index.html"
        scripts = re.findall(rb"<script>(.*?)</script>", index.read_bytes() if index.exists() else b"", re.DOTALL)
        hashes = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in scripts)
        policy = (
            f"default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self'; "
            f"connect-src 'self' {user_pool_endpoint}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file. Raises HTTPException 404 for anything else."""
        response = await super().get_response(path, scope)
        caching = "no-cache" if path == "index.html" else "public, max-age=31536000, immutable"
        response.headers.update(self._headers | {"Cache-Control": caching})
        return response
