"""The HTTP API, by factory: routes and problems (RFC 9457).

Answers are bytes that the service made; FastAPI checks requests and documents both.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from functions.forecasting import contracts
from functions.forecasting.contracts import Question
from functions.forecasting.serve import Answered, ForecastService
from layers.runtime.errors import LimitError, TrefoilError
from layers.runtime.http import PROBLEM, application, check, describe, username

Responses = dict[int | str, dict[str, Any]]

# Lambda ends an answer at 6 MB; headers and what stands around the items come to less than the rest of it.
ANSWER_BYTES: Final = 5_500_000
SERVICE: Final = "forecasting"
SORT: Final = (
    "order: by id; the greatest peak first; the least skill first; the most periods since the last observation, up to "
    "the newest of the same frequency, first. Series of which that is unknown come last"
)
DESCRIPTION: Final = """Sales forecasts for any store, with what they assume and how well they did.

Everything under /v1 takes `Authorization: Bearer <access token>` of the user pool. The gateway itself answers 401
`{"message": "Unauthorized"}` without one, 413 above 6 MB, 429 when throttled and 503 when a call exceeds 29 s.

An id that a path cannot hold (with `?`, `%` or `#`) goes into the query: `/v1/forecast?series_id=` and the like.
A batch ends in time and at 5.5 MB: an item that was not reached or has no room left has a problem in its place, and
is asked for in another call. Answers over 2 KB are compressed for who accepts gzip."""


def create_app(service: ForecastService, *, described: bool = False) -> FastAPI:
    """The application around `service`.

    Schemas of answers take long to build: `described` has them, and is made when somebody reads the document.
    """
    app = application("Trefoil forecasts", DESCRIPTION, _v1(service, described=described), service=SERVICE)

    @app.get("/healthz", tags=["operations"], summary="Whether the function answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    if not described:
        app.openapi = lambda: create_app(service, described=True).openapi()  # type: ignore[method-assign]
    return app


def _gateway(description: str) -> dict[str, Any]:
    """An answer of API Gateway itself."""
    content = {"schema": {"type": "object", "properties": {"message": {"type": "string"}}}}
    return {"description": f"From the gateway: {description}", "content": {"application/json": content}}


def _error(description: str) -> dict[str, Any]:
    """An error of ours."""
    return {"description": description, "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


ERRORS: Final[Responses] = {
    401: _gateway("Unauthorized"),
    403: _error("The call carries no claims of a valid access token."),
    404: _error("There is no such series."),
    422: _error("The request is not valid; `field` says where."),
    429: _gateway("Too Many Requests"),
    503: _error("Worth another try after `retry_after` seconds."),
}
WRONG_TYPE: Final[Responses] = {415: _error("A body is sent as application/json.")}
CACHED: Final = {
    "ETag": {"schema": {"type": "string"}, "description": "send it back in If-None-Match"},
    "X-Cache": {"schema": {"type": "string", "enum": ["memory", "table", "computed"]}, "description": "origin"},
}


def _v1(service: ForecastService, *, described: bool) -> APIRouter:
    # Coroutines that never await: a container answers one call at a time; a pool of threads would only slow its start.
    token = HTTPBearer(bearerFormat="JWT", scheme_name="token", auto_error=False)
    router = APIRouter(prefix="/v1", dependencies=[Depends(check), Depends(token)], responses=ERRORS)

    def of(answer: type[BaseModel], **more: Any) -> Responses:
        return {200: {"model": answer, **more}} if described else {}

    @router.get("/series", responses=of(contracts.SeriesPage), tags=["catalog"], summary="List and search series")
    async def list_series(
        q: Annotated[str, Query(max_length=128, description="part of the id, in any case")] = "",
        sort: Annotated[contracts.Sort, Query(description=SORT)] = "series_id",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str, Query(max_length=128, description="`next_cursor` of the page before: its last id")] = "",
    ) -> Response:
        page = service.search(q, sort, limit, cursor)
        shown = {"frequency", "first_ds", "last_ds", "observations", "model", "outlook"}
        dumps = ((series_id, row.model_dump(include=shown)) for series_id, row in page.rows)
        items = [{"series_id": series_id, **row, "frequency": row["frequency"] or "D"} for series_id, row in dumps]
        totals = [one.model_dump() for one in page.totals]
        return _json({"items": items, "next_cursor": page.rows[-1][0] if page.more else None, "totals": totals})

    async def history(series_id: contracts.SeriesId, start: date | None = None, end: date | None = None) -> Response:
        return _json(service.history(series_id, start, end))

    async def forecast(
        request: Request,
        series_id: contracts.SeriesId,
        horizon: Annotated[int | None, Query(ge=1, le=365, description=contracts.HORIZON)] = None,
        level: Annotated[float, Query(ge=0.5, le=0.99, description="level of the interval")] = 0.95,
        parts: Annotated[bool, Query(description="also what the forecast is made of")] = False,
        quantiles: Annotated[str, Query(description=contracts.QUANTILES)] = "",
    ) -> Response:
        wanted = contracts.parse_quantiles(quantiles)
        return _cached(
            request, service.forecast(Question(series_id, horizon, level, {}, parts=parts, quantiles=wanted))
        )

    async def similar(series_id: contracts.SeriesId, k: Annotated[int, Query(ge=1, le=50)] = 5) -> Response:
        return _json(service.similar(series_id, k))

    unchanged: Responses = {304: {"description": "The answer that If-None-Match names still stands."}}
    of_series: list[tuple[Callable[..., Any], str, Responses]] = [
        (history, "Observed periods", of(contracts.History)),
        (
            forecast,
            "Forecast from the period after the last observation",
            of(contracts.Forecast, headers=CACHED) | unchanged,
        ),
        (similar, "Series with the most similar demand", of(contracts.SimilarSeries)),
    ]
    for endpoint, summary, responses in of_series:
        # The id in the path, and the twin with the id in the query, where any id can stand.
        for path in (f"/series/{{series_id:path}}/{endpoint.__name__}", f"/{endpoint.__name__}"):
            router.get(path, responses=responses, tags=["series"], summary=summary)(endpoint)
    _add_overrides(router, service, of(contracts.OverrideList))

    @router.post(
        "/forecasts",
        responses=of(contracts.BatchAnswer) | {413: _gateway("Request Entity Too Large")} | WRONG_TYPE,
        tags=["forecasts"],
        summary="Many forecasts, with plans for the future and for stores not yet known",
    )
    async def batch(request: contracts.BatchRequest) -> Response:
        return Response(_packed(service.batch(request.items)), media_type="application/json")

    return router


def _add_overrides(router: APIRouter, service: ForecastService, responses: Responses) -> None:
    async def overrides(series_id: contracts.SeriesId) -> Response:
        return _json(service.list_overrides(series_id))

    async def override(request: Request, series_id: contracts.SeriesId, word: contracts.OverrideRequest) -> Response:
        return _json(service.override(series_id, word, username(request.scope)))

    reading, writing = (
        "What people made of a forecast, and what that was worth",
        "Set or scale periods, or take that back",
    )
    for path in ("/series/{series_id:path}/overrides", "/overrides"):
        router.get(path, responses=responses, tags=["series"], summary=reading)(overrides)
        router.put(path, responses=responses | WRONG_TYPE, tags=["series"], summary=writing)(override)


def _packed(results: Sequence[tuple[str, Answered | TrefoilError]]) -> bytes:
    """The answer of a batch; an item that has no room left has a problem in its place."""
    parts: list[bytes] = []
    room = ANSWER_BYTES
    for item_id, result in results:
        part = _part(item_id, result)
        if _sent_bytes(part) > room:
            full = f"the items before it fill the {ANSWER_BYTES:,} bytes of an answer; ask again"
            part = _part(item_id, LimitError(full))
        parts.append(part)
        room -= _sent_bytes(part)
    return b'{"items":[' + b",".join(parts) + b"]}"


def _sent_bytes(part: bytes) -> int:
    """What it takes within the JSON text of a function's answer, where each quote is escaped."""
    return len(part) + part.count(b'"') + part.count(b"\\")


def _part(item_id: str, result: Answered | TrefoilError) -> bytes:
    """One item of a batch's answer: the service's bytes, or the problem."""
    name, is_answer = json.dumps(item_id).encode(), isinstance(result, Answered)
    body = result.body if isinstance(result, Answered) else json.dumps(describe(result, SERVICE)).encode()
    return b'{"id":%b,"%b":%b}' % (name, b"forecast" if is_answer else b"problem", body)


def _cached(request: Request, answered: Answered) -> Response:
    """The answer with where it came from, or 304 for who has it."""
    headers = {"ETag": f'"{answered.etag}"', "X-Cache": answered.source, "Cache-Control": "private, no-cache"}
    if answered.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(answered.body, media_type="application/json", headers=headers)


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document, separators=(",", ":"), allow_nan=False), media_type="application/json")
