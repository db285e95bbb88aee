"""The API as API Gateway calls it: no 5xx, every error a documented problem, nothing under /v1 without claims."""

import base64
import io
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

from functions.console.api import create_app as create_console
from functions.console.settings import ConsoleSettings
from functions.forecasting.contracts import MAX_BATCH
from functions.forecasting.domain.series import Series
from layers.runtime.observability import logger
from tests.clustering import DAY
from tests.console import Deployment, published_day
from tests.fakes import InMemoryObjects
from tests.forecasting import CLAIMS, START, Caller, House, gateway_event, made

# The gateway checks the token here, and no schema can say that a start lies before its end.
EXCLUDED = [ignored_auth, positive_data_acceptance]
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND")
QUICK = settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def house() -> House:
    stocked = House()
    stocked.put(
        *(made(120, name=name, seed=i) for i, name in enumerate(["a", "b", "=1+1 \u202e", "c d", "a/b", "../a"]))
    )
    stocked.put(made(20, name="planned only").until(0), key="sales/planned.csv")
    stocked.put(made(1, name="one day", promo=False), key="sales/one.csv")
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
            headers=headers | {"content-type": environ.get("CONTENT_TYPE", ""), "accept-encoding": ""},
            method=environ["REQUEST_METHOD"],
        )
        answer = caller.handler(event, None)  # type: ignore[arg-type]
        start(f"{answer['statusCode']} Answer", list(answer["headers"].items()))
        return [base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()]

    return gateway


@pytest.fixture(scope="module")
def console() -> Any:
    """The console over a day with flags of any id."""
    return Deployment(InMemoryObjects(published_day(DAY, ["a", "a/b", "../a", "=1+1 \u202e", "x" * 200]))).app()


@pytest.mark.parametrize(("claims", "expected"), [(CLAIMS, {200, 404, 422}), (None, {403})])
@pytest.mark.parametrize("surface", ["forecasts", "console"])
def test_what_the_document_says_holds(
    house: House, console: Any, surface: str, claims: Any, expected: set[int]
) -> None:
    app = house.app() if surface == "forecasts" else console
    schema = schemathesis.openapi.from_dict(app.openapi())
    gateway = behind_gateway(Caller(app), claims)
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
    assert {status for v1, status in seen if v1} <= expected | ({415} if claims else set())
    assert (True, min(expected)) in seen


class Untouchable:
    """A service that nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked without claims")


SEGMENTS = (
    *("v1", "V1", "%76%31", "v%31", "%2576%2531", "v1;a=b", "v1%00", " v1", "v1%20", "v1%0d%0aX-A:b", "%ef%bd%961"),
    *("overrides", "days", "2026-03-14", "flags", "verdict", "operation"),
    *("series", "forecasts", "a", "forecast", "static", "healthz", "openapi.json", "..", ".", "", "%2e%2e", "%2f"),
    *("..%2f", "%5c", "\\", "%", "%zz", "%c0%ae%c0%ae", "\u2024\u2024", "..;", "app.js"),
)
FREE = st.lists(st.sampled_from(SEGMENTS), max_size=6).map("/".join) | st.text(max_size=12)


@QUICK
@given(
    path=FREE,
    method=st.sampled_from(METHODS),
    query=st.text(max_size=6),
    claims=st.sampled_from([None, {}, {"sub": ""}]),
)
def test_without_claims_no_spelling_and_no_method_is_a_way_in(path: str, method: str, query: str, claims: Any) -> None:
    console = create_console(Untouchable(), Untouchable(), ConsoleSettings())  # type: ignore[arg-type]
    for app in (House().app(Untouchable()), console):  # type: ignore[arg-type]
        for lead in ("/", "//", "/static/../", "/%2e/"):
            answer = Caller(app).handler(gateway_event(lead + path, query, claims=claims, method=method), None)  # type: ignore[arg-type]
            assert answer["statusCode"] in {200, 304, 403, 404, 405}
            if (lead + path).strip("/").lower().startswith("v1"):
                assert answer["statusCode"] == 403


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/v1/series", "/v1/series/a/forecast", "/v1/forecasts", "/v1", "/v1/series/"])
def test_every_method_without_claims_is_forbidden_and_with_claims_never_a_fault(
    call: Caller, method: str, path: str
) -> None:
    refused = call.handler(gateway_event(path, method=method, claims=None), None)  # type: ignore[arg-type]
    assert refused["statusCode"] == 403
    answer = call.handler(gateway_event(path, method=method), None)  # type: ignore[arg-type]
    assert answer["statusCode"] in {200, 404, 405, 422}
    if answer["statusCode"] != 200:
        assert answer["headers"]["content-type"].startswith("application/problem+json")


def batch(**item: Any) -> str:
    return json.dumps({"items": [{"id": "x", "series_id": "a", "horizon": 2} | item]})


BODIES: dict[str, str | bytes] = {
    "NaN": batch(level=math.nan),
    "an infinite scale": batch(series_id=None, like="a", scale=math.inf),
    "NaN in a plan": batch(future={"promo": [math.nan, 1]}),
    "an infinite plan": batch(future={"promo": [1, -math.inf]}),
    "a great horizon": batch(horizon=10**400),
    "a number of many digits": '{"items": [{"id": "x", "series_id": "a", "horizon": ' + "9" * 5_000 + "}]}",
    "a nesting bomb": '{"items": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "open brackets": "[" * 100_000,
    "bytes": b"\xff\xfe\x00",
    "latin-1": '{"items": [{"id": "\u00e9"}]}'.encode("latin-1"),
    "a lone surrogate": b'{"items": [{"id": "\\ud800", "series_id": "a"}]}',
    "a lone surrogate in a series": b'{"items": [{"id": "x", "series_id": "\\udfff"}]}',
    "too many": json.dumps({"items": [{"id": str(i), "series_id": "a"} for i in range(MAX_BATCH + 1)]}),
    "a list": "[]",
    "null": "null",
    "a mebibyte of one id": batch(id="x" * (1 << 20)),
    "a long plan": batch(future={"promo": [1] * 100_000}),
    "a control character": batch(series_id="a\x00"),
    "a line end": batch(series_id="a\r\nX-Evil: 1"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_a_problem_that_names_the_field(call: Caller, name: str) -> None:
    status, headers, body = call("/v1/forecasts", body=BODIES[name])
    assert (status, body["status"]) == (422, 422)
    assert headers["content-type"].startswith("application/problem+json")
    assert body["field"].startswith("body")
    assert len(json.dumps(body)) < 1_000


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_word_is_a_problem_that_names_the_field(call: Caller, console: Any, name: str) -> None:
    for say, path in ((Caller(console), f"/v1/days/{DAY}/flags/a/verdict"), (call, "/v1/series/a/overrides")):
        status, headers, body = say(path, method="PUT", body=BODIES[name])
        assert (status, body["status"]) == (422, 422)
        assert headers["content-type"].startswith("application/problem+json")
        assert body["field"].startswith("body")
        assert len(json.dumps(body)) < 1_000


def test_of_a_key_that_comes_twice_the_last_counts(call: Caller) -> None:
    twice = '{"items": [{"id": "x", "series_id": "nobody", "series_id": "a", "horizon": 2}]}'
    _, _, body = call("/v1/forecasts", body=twice)
    assert body["items"][0]["forecast"]["series_id"] == "a"


IDS = (
    *("../../catalog", "..", ".", "%2e%2e%2fcatalog", "a\x00b", "a\r\nSet-Cookie: x=y", "a\nb", "x" * 128, "x" * 129),
    *(
        "e\u0301",
        "\u00e9",
        "\u202ea",
        "\ufeffa",
        "=1+1 \u202e",
        "@SUM(A1)",
        "-1",
        "'a",
        '"a"',
        "{a}",
        "${a}",
        "a;b",
        "a?b#c",
    ),
)
ROUTES = ("history", "forecast", "similar", "overrides")


@pytest.mark.parametrize("series_id", IDS)
def test_an_id_is_only_an_id(call: Caller, house: House, series_id: str) -> None:
    before = set(house.lake.bodies)
    for route in ROUTES:
        answer = call.handler(gateway_event(f"/v1/series/{quote(series_id, safe='')}/{route}"), None)  # type: ignore[arg-type]
        assert answer["statusCode"] in ({200} if series_id == "=1+1 \u202e" else {404, 422})
        for name, value in answer["headers"].items():
            assert not re.search(r"[\r\n]", name + value)
            assert series_id not in value or len(series_id) < 3
    _, _, page = call("/v1/series", f"q={quote(series_id)}&cursor={quote(series_id)}")
    assert page.get("status", 422) == 422
    _, _, body = call("/v1/forecasts", body={"items": [{"id": series_id[:128], "series_id": "a", "horizon": 1}]})
    assert body["items"][0]["id"] == series_id[:128]
    assert set(house.lake.bodies) == before


HEADERS = {
    "if-none-match": ['"', "*", 'W/"x"', "\u00ff" * 50, "a\r\nb", "," * 10_000],
    "accept-encoding": ["gzip;q=0", "\u00ff", "br, " * 1_000],
    "content-type": ["", "text/plain", "application/json; charset=utf-16", "multipart/form-data", "\u00ff"],
    "host": ["evil.example", "a\r\nb", ""],
    "content-length": ["-1", "99999999999", "x"],
    "cookie": ["a=b; " * 1_000],
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_changes_nothing(call: Caller, name: str) -> None:
    for value in HEADERS[name]:
        for path, body in (
            ("/v1/series", None),
            ("/static/app.js", None),
            ("/v1/forecasts", "{}"),
            ("/healthz/", None),
        ):
            answer = call.handler(gateway_event(path, body=body, headers={name: value}), None)  # type: ignore[arg-type]
            assert answer["statusCode"] in {200, 304, 404, 415, 422}
            assert "evil" not in json.dumps(answer["headers"])


DAYS = np.arange(200)
EXTREMES = {
    "the largest": np.full(200, 1e12),
    "the smallest": np.full(200, 1e-9),
    "smaller still": np.full(200, 5e-324),
    "far apart": np.where(DAYS % 2, 1e12, 1e-9),
    "negative": np.full(200, -1e12),
    "mixed signs": np.where(DAYS % 2, 1e12, -1e12),
    "zero": np.zeros(200),
    "one": np.where(DAYS == 199, 1.0, np.nan),
    "one of many": np.where(DAYS == 199, 1e12, 1.0),
    "rising": np.exp(np.minimum(DAYS * 0.5, 27)),
    "driven": np.exp(np.sin(DAYS / 9) + 5 * (DAYS % 3 == 0)) * 1e9,
    "too large but for one": np.where(DAYS == 30, 1.0, 1e308),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_sales_give_finite_answers_and_cost_no_other_series(name: str) -> None:
    house = House()
    wild = {"x": np.where(DAYS % 3 == 0, 1e12, -1e12), "flat": np.full(200, 1e12), "huge": np.full(200, 1e300)}
    odd = Series("odd", START, EXTREMES[name], None, wild)
    assert house.put(odd).series == house.put(made(200, name="plain"), key="sales/plain.csv").series == 1
    call = Caller(house.app())
    before = [ask(call, "odd"), ask(call, "plain")]
    assert house.train()["status"] == "published"
    after = [ask(call, "odd"), ask(call, "plain")]
    assert before[1] == after[1] == {200}
    assert before[0] | after[0] <= {200}


def ask(call: Caller, series_id: str) -> set[int]:
    """Statuses of every question about a series, whose answers are finite."""
    plans = [{"x": [v] * 3, "flat": [-v] * 3} for v in (1e12, -1e12, 0.0)] if series_id == "odd" else [{}]
    items = [{"id": str(i), "series_id": series_id, "horizon": 3, "future": plan} for i, plan in enumerate(plans)]
    items += [{"id": "new", "like": series_id, "scale": 1e6, "horizon": 3}]
    asked = [gateway_event(f"/v1/series/{series_id}/{route}") for route in ROUTES]
    asked += [gateway_event("/v1/series"), gateway_event("/v1/forecasts", body={"items": items})]
    answers = [call.handler(event, None) for event in asked]  # type: ignore[arg-type]
    for answer in answers:
        json.loads(answer["body"], parse_constant=pytest.fail)
    told = json.loads(answers[-1]["body"])["items"]
    return {answer["statusCode"] for answer in answers} | {
        item["problem"]["status"] for item in told if "problem" in item
    }


def test_an_unexpected_fault_is_a_problem_that_tells_nothing_and_one_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(logger("forecasting").registered_handler, "stream", written)
    call = Caller(House().app(Untouchable()))  # type: ignore[arg-type]
    status, headers, body = call("/v1/series/secret-id/forecast")
    assert (status, body["status"]) == (500, 500)
    assert headers["content-type"].startswith("application/problem+json")
    assert "asked" not in json.dumps(body)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["ERROR"]
    assert "AssertionError" in lines[0]["exception"]
