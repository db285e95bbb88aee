"""Every error as application/problem+json, RFC 9457."""

import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from layers.runtime.errors import InputError, TrefoilError, UnavailableError, status_of
from layers.runtime.observability import logger

MEDIA = "application/problem+json"
# Where versions of Python name a status differently, ours stands.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

HIDDEN = {500: "an unexpected condition on our side", 503: "storage does not answer for the moment"}


def describe(error: Exception) -> dict[str, Any]:
    """The problem details of an error; what went wrong inside us is not told, but logged."""
    status = status_of(error) if isinstance(error, TrefoilError) else 500
    # What storage says of itself (the cause is of its library) names keys and tables.
    told = status < 500 or (status == 503 and error.__cause__ is None)
    if not told:
        logger("forecasting").error("request failed", exc_info=error)
    problem = _problem(status, Exception.__str__(error) if told else HIDDEN[status])
    if isinstance(error, InputError) and error.field:
        problem["field"] = error.field
    if isinstance(error, UnavailableError):
        problem["retry_after"] = error.retry_after
    return problem


def respond(problem: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """The response of a problem, never cached."""
    extra = {"Retry-After": str(problem["retry_after"])} if problem.get("retry_after") else {}
    return Response(
        json.dumps(problem, separators=(",", ":")),
        status_code=problem["status"],
        media_type=MEDIA,
        headers={"Cache-Control": "no-store", **extra, **(headers or {})},
    )


def install(app: FastAPI) -> None:
    """Answer our errors, FastAPI's validation and the router's 404 and 405 alike."""

    @app.exception_handler(TrefoilError)
    async def ours(_: Request, error: TrefoilError) -> Response:
        return respond(describe(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return respond(_problem(422, first["msg"]) | {"field": where})

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # what FastAPI says of a body that is no JSON text at all
            return respond(_problem(422, str(error.detail)) | {"field": "body"})
        return respond(_problem(error.status_code, str(error.detail)), dict(error.headers or {}))


def _problem(status: int, detail: str) -> dict[str, Any]:
    title = TITLES.get(status, HTTPStatus(status).phrase)
    return {
        "type": f"urn:trefoil:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
    }
