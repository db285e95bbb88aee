"""The page, from the bundle that `make setup` makes, and the console's HTTP API, by factory."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from functions.console.contracts import (
    DayPage,
    Days,
    FlagPage,
    Newest,
    Operation,
    Person,
    Problem,
    Segments,
    Verdict,
    Word,
)
from functions.console.serve import OperationService, RideService
from functions.console.settings import ConsoleSettings
from functions.console.store import LEAF
from layers.runtime.http import PROBLEM, application, check, username
from layers.runtime.parsing import Day

BUILT: Final = Path(__file__).parent / "page" / "built"
DESCRIPTION: Final = """What the leaves publish: days of rides and verdicts on their flags, segments, operation.

Everything takes `Authorization: Bearer <access token>` of the user pool. The gateway itself answers 401
`{"message": "Unauthorized"}` without one, 413 above 6 MB, 429 when throttled and 503 when a call exceeds 29 s.

A ride id that a path cannot hold (with `?`, `%`, `#` or a line break) goes into the query:
`/v1/days/{dt}/verdict?ride_id=`. A page that lists flags lists the most severe of their day, 1,000 at most.
A verdict is taken back by another one, which is null."""
SAID: Final = {
    403: "The call carries no claims of a valid access token.",
    404: "There is no such day, ride or person.",
    422: "The request is not valid; `field` says where.",
    503: "Worth another try after `retry_after` seconds.",
}


def create_app(
    rides: RideService, operation: OperationService, settings: ConsoleSettings, *, region: str = "us-east-1"
) -> FastAPI:
    """The page, and the application around its services; `region` is where the user pool is."""
    router = _v1(rides, operation)
    app = application("Trefoil console", DESCRIPTION, router, service=LEAF, openapi_url="/console/openapi.json")
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
    return app


def _v1(rides: RideService, operation: OperationService) -> APIRouter:
    # Coroutines that never await: a container answers one call at a time.
    token = HTTPBearer(bearerFormat="JWT", scheme_name="token", auto_error=False)
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text, "content": {PROBLEM: {}}} for status, text in SAID.items()
    }
    router = APIRouter(prefix="/v1", dependencies=[Depends(check), Depends(token)], responses=problems)

    @router.get("/days", tags=["rides"], summary="Published days")
    async def days(
        first: Annotated[Day | None, Query(alias="from")] = None,
        last: Annotated[Day | None, Query(alias="to", description="by default the newest published day")] = None,
    ) -> Days:
        return Days(items=rides.days(first, last))

    @router.get("/days/{dt}", tags=["rides"], summary="A day with its picture")
    async def day(dt: Day) -> DayPage:
        return rides.day(dt)

    @router.get("/days/{dt}/flags", tags=["rides"], summary="Flagged rides, most severe first")
    async def flags(
        dt: Day,
        reason: Annotated[str, Query(max_length=200, description="part of the reason, in any case")] = "",
        kind: Annotated[str, Query(max_length=20, description="of reason, as flags have it")] = "",
        min_severity: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str, Query(max_length=80, description="`next_cursor` of the page before")] = "",
    ) -> FlagPage:
        return rides.flags(dt, reason=reason, kind=kind, min_severity=min_severity, limit=limit, cursor=cursor)

    async def judge(request: Request, dt: Day, ride_id: str, word: Word) -> Verdict:
        return rides.judge(dt, ride_id, word, username(request.scope))

    # The id in the path, and the twin with the id in the query, where any id can stand.
    wrong_type: dict[int | str, dict[str, Any]] = {
        415: problems[422] | {"description": "A body is sent as application/json."}
    }
    for path in ("/days/{dt}/flags/{ride_id:path}/verdict", "/days/{dt}/verdict"):
        router.put(path, tags=["rides"], summary="Confirm a flag, or call it a false alarm", responses=wrong_type)(
            judge
        )

    @router.get("/segments", tags=["segments"], summary="Counts, champion, drift and quality of the classifier")
    async def segments() -> Segments:
        return operation.segments()

    @router.post("/segments/people", tags=["segments"], summary="A person's newest result", responses=wrong_type)
    async def newest(person: Person) -> Newest:
        return operation.newest(person.user_id)

    @router.get("/operation", tags=["operation"], summary="Last runs, champions, queues and alarms")
    async def operate() -> Operation:
        return operation.operation()

    return router


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
