"""The HTTP API, by factory. Answers are bytes that the service made; FastAPI checks requests and documents both."""

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.forecasting import contracts, openapi, page, problems
from functions.forecasting.contracts import Question
from functions.forecasting.service import Answered, ForecastService
from functions.forecasting.settings import ForecastingSettings
from layers.runtime.errors import ForbiddenError, InputError, LimitError, TrefoilError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

# Lambda ends an answer at 6 MB; headers and what stands around the items come to less than the rest of it.
ANSWER_BYTES = 5_500_000
PACKED_BYTES = 2_000
JSON = re.compile(r"application/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
REFUSED_GZIP = re.compile(rb"gzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")


def create_app(service: ForecastService, settings: ForecastingSettings, *, region: str = "us-east-1") -> FastAPI:
    """The application around `service`; `region` is where its user pool is."""
    app = FastAPI(
        title="Trefoil forecasts",
        version="1",
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(_v1(service))
    endpoint = settings.user_pool_endpoint or f"https://cognito-idp.{region}.amazonaws.com"
    app.include_router(
        page.routes({"user_pool_client": settings.user_pool_client, "region": region, "endpoint": endpoint})
    )

    @app.get("/healthz", tags=["operations"], summary="Whether the function answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    app.add_middleware(GZipMiddleware, minimum_size=PACKED_BYTES, compresslevel=5)
    app.add_middleware(Doorkeeper)
    app.openapi = lambda: openapi.document(app, type(app).openapi)  # type: ignore[method-assign]
    return app


def claims(scope: Scope) -> dict[str, Any]:
    """Claims of the access token that the gateway checked. Raises ForbiddenError when there are none."""
    found: Any = scope.get("aws.event")
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not found.get("sub") or found.get("token_use", "access") != "access":
        raise ForbiddenError("an access token is required")
    return found


class Doorkeeper:
    """Refuses what may be meant for /v1 without claims, however the path is spelt, before any routing.

    HEAD is answered as GET without its body. What fails unexpectedly behind it is logged and answered as a problem.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 403; 500 when nobody else has an answer."""
        if scope.get("method") == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if scope["type"] == "http":
            scope = {**scope, "headers": _without_refused(scope["headers"])}
        if scope["type"] == "http" and _plain(scope["path"]).startswith("/v1"):
            try:
                claims(scope)
            except ForbiddenError as error:
                await problems.respond(problems.describe(error))(scope, receive, send)
                return
        try:
            await self._app(scope, receive, send)
        except Exception as exc:  # noqa: BLE001 - the last resort of this entry point
            await problems.respond(problems.describe(exc))(scope, receive, send)


def _without_refused(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without an `accept-encoding` that refuses gzip, for middleware that only looks for the word."""
    return [(name, v) for name, v in headers if name != b"accept-encoding" or not REFUSED_GZIP.search(v)]


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


def _plain(path: str) -> str:
    for _ in range(3):
        path = unquote(path)
    parts: list[str] = []
    for part in re.split(r"[/\\]+", path.lower()):
        if part == "..":
            parts = parts[:-1]
        elif part.strip() not in {"", "."}:
            parts.append(part.strip())
    return "/" + "/".join(parts)


async def _accepted(request: Request) -> None:
    """Claims, no query parameter that nobody knows, and JSON where there is a body."""
    claims(request.scope)
    route: APIRoute = request.scope["route"]
    known = {parameter.alias for parameter in route.dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise InputError("there is no such parameter", field=f"query.{name[:64]}")
    if route.body_field and not JSON.fullmatch(request.headers.get("content-type", "")):
        raise HTTPException(415, "the body must be application/json")


def _v1(service: ForecastService) -> APIRouter:
    # Coroutines that never await: a container answers one call at a time; a pool of threads would only slow its start.
    router = APIRouter(prefix="/v1", dependencies=[Depends(_accepted)], responses=openapi.ERRORS)

    def get_of_series(name: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
        """A route with the id in its path, and its twin with the id in the query, where any id can stand."""

        def register(endpoint: Endpoint) -> Endpoint:
            for path in (f"/series/{{series_id}}/{name}", f"/{name}"):
                router.get(path, **described)(endpoint)
            return endpoint

        return register

    @router.get(
        "/series", responses=openapi.answers(contracts.SeriesPage), tags=["catalog"], summary="List and search series"
    )
    async def list_series(
        q: Annotated[str, Query(max_length=128, description="part of the id, in any case")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str, Query(max_length=128, description="`next_cursor` of the page before: its last id")] = "",
    ) -> Response:
        rows, more = service.search(q, limit, cursor)
        items = [
            row.model_dump(include={"first_ds", "last_ds", "observations", "model"}) | {"series_id": series_id}
            for series_id, row in rows
        ]
        return _json({"items": items, "next_cursor": rows[-1][0] if more else None})

    @get_of_series(
        "history",
        responses=openapi.answers(contracts.History),
        tags=["series"],
        summary="Observed days",
    )
    async def history(series_id: contracts.SeriesId, start: date | None = None, end: date | None = None) -> Response:
        return _json(service.history(series_id, start, end))

    @get_of_series(
        "forecast",
        responses={
            200: openapi.answers(contracts.Forecast)[200] | openapi.CACHED,
            304: {"description": "The answer that If-None-Match names still stands."},
        },
        tags=["series"],
        summary="Forecast from the day after the last observation",
    )
    async def forecast(
        request: Request,
        series_id: contracts.SeriesId,
        horizon: Annotated[int, Query(ge=1, le=365, description="days")] = 42,
        level: Annotated[float, Query(ge=0.5, le=0.99, description="level of the interval")] = 0.95,
    ) -> Response:
        return _answered(request, service.forecast(Question(series_id, horizon, level, {})))

    @get_of_series(
        "similar",
        responses=openapi.answers(contracts.SimilarSeries),
        tags=["series"],
        summary="Series with the most similar demand",
    )
    async def similar(series_id: contracts.SeriesId, k: Annotated[int, Query(ge=1, le=50)] = 5) -> Response:
        return _json(service.similar(series_id, k))

    @router.post(
        "/forecasts",
        responses=openapi.answers(contracts.BatchAnswer)
        | {
            413: openapi.gateway("Request Entity Too Large"),
            415: openapi.problem("A body is sent as application/json."),
        },
        tags=["forecasts"],
        summary="Many forecasts, with plans for the future and for stores not yet known",
    )
    async def batch(request: contracts.BatchRequest) -> Response:
        parts: list[bytes] = []
        room = ANSWER_BYTES
        for item_id, result in service.batch(request.items):
            parts.append(_fitting(item_id, result, room))
            room -= _sent_bytes(parts[-1])
        return Response(b'{"items":[' + b",".join(parts) + b"]}", media_type="application/json")

    return router


def _fitting(item_id: str, result: Answered | TrefoilError, room: int) -> bytes:
    part = _part(item_id, result)
    if _sent_bytes(part) <= room:
        return part
    return _part(item_id, LimitError(f"the items before it fill the {ANSWER_BYTES:,} bytes of an answer; ask again"))


def _sent_bytes(part: bytes) -> int:
    """What it takes within the JSON text of a function's answer, where each quote is escaped."""
    return len(part) + part.count(b'"') + part.count(b"\\")


def _part(item_id: str, result: Answered | TrefoilError) -> bytes:
    name = json.dumps(item_id).encode()
    if isinstance(result, Answered):
        return b'{"id":' + name + b',"forecast":' + result.body + b"}"
    return b'{"id":' + name + b',"problem":' + json.dumps(problems.describe(result)).encode() + b"}"


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document, separators=(",", ":"), allow_nan=False), media_type="application/json")


def _answered(request: Request, answered: Answered) -> Response:
    headers = {"ETag": f'"{answered.etag}"', "X-Cache": answered.source, "Cache-Control": "private, no-cache"}
    if answered.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(answered.body, media_type="application/json", headers=headers)
