"""What an HTTP API behind the gateway is made of: who is let in, and errors as problems (RFC 9457)."""

import json
import re
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as RoutingError
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from layers.runtime.errors import ForbiddenError, InputError, TrefoilError, UnavailableError, status_of
from layers.runtime.observability import logger

JSON: Final = re.compile(r"application/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
PACKED_BYTES: Final = 2_000
PROBLEM: Final = "application/problem+json"
# Where versions of Python name a status differently, ours stands.
TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
HIDDEN: Final = {500: "an unexpected condition on our side", 503: "storage does not answer for the moment"}


def claims(scope: Scope) -> dict[str, Any]:
    """Claims of the access token that the gateway checked. Raises ForbiddenError when there are none."""
    node: Any = scope.get("aws.event")
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not node.get("sub") or node.get("token_use", "access") != "access":
        raise ForbiddenError("an access token is required")
    return node


def username(scope: Scope) -> str:
    """Name of the user whose token it is. Raises ForbiddenError when there is none."""
    stated = claims(scope)
    return str(stated.get("username") or stated["sub"])


async def check(request: Request) -> None:
    """Dependency of routes of /v1: claims, no query parameter that nobody knows, and JSON where there is a body."""
    claims(request.scope)
    route: APIRoute = request.scope["route"]
    names = {parameter.alias for parameter in route.dependant.query_params}
    for name in request.query_params:
        if name not in names:
            raise InputError("there is no such parameter", field=f"query.{name[:64]}")
    if route.body_field and not JSON.fullmatch(request.headers.get("content-type", "")):
        raise HTTPException(415, "the body must be application/json")


def application(title: str, description: str, router: APIRouter, *, service: str, **more: Any) -> FastAPI:
    """An application of `router`, whose answers over 2 KB are compressed for who accepts it; `more` goes to FastAPI.

    Nobody gets to /v1 without claims, and every error is answered as a problem; `service` logs ours.
    """

    async def answer(_: Request, error: Exception) -> Response:
        return _of_framework(error) or respond(describe(error, service))

    handlers: dict[Any, Any] = dict.fromkeys((TrefoilError, RequestValidationError, RoutingError), answer)
    bare: dict[str, Any] = {"version": "1", "docs_url": None, "redoc_url": None, "redirect_slashes": False}
    app = FastAPI(title=title, description=description, exception_handlers=handlers, **bare, **more)
    app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=PACKED_BYTES, compresslevel=5)
    app.add_middleware(Doorkeeper, service=service)
    return app


class Doorkeeper:
    """Refuses /v1 without claims, before any routing; routes of /v1 check them again, however they were reached.

    HEAD is answered as GET without its body. What fails unexpectedly behind it is logged and answered as a problem.
    """

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 403; 500 when nobody else has an answer."""

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        answer = send
        if scope.get("method") == "HEAD":
            scope, answer = {**scope, "method": "GET"}, send_head
        try:
            if scope["type"] == "http" and scope["path"].lower().lstrip("/").startswith("v1"):
                claims(scope)
            await self._app(scope, receive, answer)
        except Exception as exc:  # noqa: BLE001 - the last resort of this entry point
            await respond(describe(exc, self._service))(scope, receive, answer)


def describe(error: Exception, service: str) -> dict[str, Any]:
    """The problem details of an error; what went wrong inside us is not told, but logged."""
    status = status_of(error) if isinstance(error, TrefoilError) else 500
    # What storage says of itself (the cause is of its library) names keys and tables.
    public = status < 500 or (status == 503 and error.__cause__ is None)
    if not public:
        logger(service).error("request failed", exc_info=error)
    found = problem(status, Exception.__str__(error) if public else HIDDEN[status])
    if isinstance(error, InputError) and error.field:
        found["field"] = error.field
    if isinstance(error, UnavailableError):
        found["retry_after"] = error.retry_after
    return found


def problem(status: int, detail: str) -> dict[str, Any]:
    """Problem details of a status."""
    title = TITLES.get(status, HTTPStatus(status).phrase)
    kind = f"urn:trefoil:{title.lower().replace(' ', '-')}"
    return {"type": kind, "title": title, "status": status, "detail": detail}


def respond(found: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """The response of a problem, never cached."""
    extra = {"Retry-After": str(found["retry_after"])} if found.get("retry_after") else {}
    return Response(
        json.dumps(found, separators=(",", ":")),
        status_code=found["status"],
        media_type=PROBLEM,
        headers={"Cache-Control": "no-store", **extra, **(headers or {})},
    )


def _of_framework(error: Exception) -> Response | None:
    """FastAPI's validation and the router's 404 and 405."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return respond(problem(422, first["msg"]) | {"field": ".".join(str(part) for part in first["loc"])})
    if isinstance(error, RoutingError):
        if error.status_code == 400:  # what FastAPI says of a body that is no JSON text at all
            return respond(problem(422, str(error.detail)) | {"field": "body"})
        return respond(problem(error.status_code, str(error.detail)), dict(error.headers or {}))
    return None
