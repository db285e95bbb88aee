"""The API as API Gateway calls it: no 5xx, every error a documented problem, nothing under /v1 without claims."""

import base64
import json
import math
import re
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance, unsupported_method

from functions.forecasting.contracts import MAX_BATCH
from functions.forecasting.domain.series import Series
from tests.unit.forecasting.house import CLAIMS, START, Caller, House, gateway_event, made

# The gateway checks the token here, and no schema can say that a start lies before its end.
EXCLUDED = [ignored_auth, positive_data_acceptance]
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND")
QUICK = settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def house() -> House:
    stocked = House()
    stocked.put(*(made(120, name=name, seed=i) for i, name in enumerate(["a", "b", "=1+1 \u202e", "c d"])))
    stocked.train()
    return stocked


@pytest.fixture(scope="module")
def call(house: House) -> Caller:
    return Caller(house.app())


def behind_gateway(caller: Caller, claims: dict[str, Any] | None) -> Any:
    """A WSGI application that hands each call to the handler as the gateway's event."""

    def gateway(environ: dict[str, Any], start: Any) -> list[bytes]:
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        event = gateway_event(
            quote(environ["PATH_INFO"].encode("latin-1")),
            environ["QUERY_STRING"],
            body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or None,
            claims=claims,
            headers=headers | {"content-type": environ.get("CONTENT_TYPE", "")},
            method=environ["REQUEST_METHOD"],
        )
        answer = caller.handler(event, None)  # type: ignore[arg-type]
        start(f"{answer['statusCode']} Answer", list(answer["headers"].items()))
        return [base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()]

    return gateway


@pytest.mark.parametrize(("claims", "expected"), [(CLAIMS, {200, 404, 422}), (None, {403})])
def test_what_the_document_says_holds(house: House, call: Caller, claims: Any, expected: set[int]) -> None:
    app = house.app()
    schema = schemathesis.openapi.from_dict(app.openapi())
    gateway = behind_gateway(call, claims)
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(QUICK, max_examples=25)
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            response = case.call(app=gateway)
            seen.add((case.path.startswith("/v1"), response.status_code))
            case.validate_response(response, excluded_checks=EXCLUDED if claims else [*EXCLUDED, unsupported_method])

        holds()
    assert {status for v1, status in seen if v1} <= expected
    assert (True, min(expected)) in seen
