"""What the OpenAPI document says beyond the requests: errors, answers of the gateway, schemas of answers."""

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.forecasting import contracts, problems

DESCRIPTION = """Sales forecasts for any store, with what they assume and how well they did.

Everything under /v1 takes `Authorization: Bearer <access token>` of the user pool. The gateway itself answers 401
`{"message": "Unauthorized"}` without one, 413 above 6 MB, 429 when throttled and 503 when a call exceeds 29 s.

An id that a path cannot hold (with `?`, `%` or `#`) goes into the query: `/v1/forecast?series_id=` and the like.
A batch ends in time and at 5.5 MB: an item that was not reached or has no room left has a problem in its place, and
is asked for in another call. Answers over 2 KB are compressed for who accepts gzip."""


def gateway(description: str) -> dict[str, Any]:
    """An answer of API Gateway itself."""
    example = {"message": description}
    schema = {"type": "object", "properties": {"message": {"type": "string"}}}
    return {
        "description": f"From the gateway: {description}",
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def problem(description: str) -> dict[str, Any]:
    """An error of ours."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {problems.MEDIA: {"schema": schema}}}


ERRORS: dict[int | str, dict[str, Any]] = {
    401: gateway("Unauthorized"),
    403: problem("The call carries no claims of a valid access token."),
    404: problem("There is no such series."),
    422: problem("The request is not valid; `field` says where."),
    429: gateway("Too Many Requests"),
    503: problem("Worth another try after `retry_after` seconds."),
}
ANSWERS = (contracts.SeriesPage, contracts.History, contracts.Forecast, contracts.SimilarSeries, contracts.BatchAnswer)
CACHED: dict[str, Any] = {
    "headers": {
        "ETag": {"schema": {"type": "string"}, "description": "send it back in If-None-Match"},
        "X-Cache": {"schema": {"type": "string", "enum": ["memory", "table", "computed"]}, "description": "origin"},
    }
}


def answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The answer by the name of its schema: no model of an answer is built before somebody reads the document."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {200: {"description": "Successful Response", "content": {"application/json": {"schema": schema}}}}


def document(app: FastAPI, make: Any) -> dict[str, Any]:
    """What FastAPI's own `make` says of the application, with schemas of answers and problems; made once."""
    if app.openapi_schema is None:
        made = make(app)
        components = made["components"]
        models: list[tuple[type[BaseModel], Literal["serialization"]]] = [(m, "serialization") for m in ANSWERS]
        _, described = models_json_schema(models, ref_template="#/components/schemas/{model}")
        components["schemas"] |= described["$defs"]
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        for path, operations in made["paths"].items():
            for operation in operations.values():
                if path.startswith("/v1"):
                    operation["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema
