"""The API behind its gateway: who gets in, and what a new file changes."""

import base64
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cli.stack import Stack
from functions.forecasting.store import Overrides
from tests.documents import section
from tests.drivers import until
from tests.tables import as_parquet


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    assert stack.cloud is not None
    return stack.token(stack.cloud.username, stack.cloud.password)


def arrive(stack: Stack, key: str, days: int) -> None:
    """A file of one store lands in the lake; its days are the newest of all, so that its forecast begins after them."""
    calendar = np.datetime64("2026-01-01") + np.arange(days)
    y = 100 + 20 * (np.arange(days) % 7 == 5) + np.arange(days) % 3
    table = pa.table({"series_id": ["gate"] * days, "ds": pa.array(calendar), "y": y.astype(float)})
    stack.lake.put(key, as_parquet(table))


def until_answered(stack: Stack, token: str, first_ds: str) -> dict[str, Any]:
    """Ask until the forecast starts on `first_ds`."""

    def seen() -> dict[str, Any] | None:
        status, _, body = stack.request("/v1/series/gate/forecast?horizon=7", token=token)
        document = json.loads(body)
        return document if status == 200 and document["points"][0]["ds"] == first_ds else None

    return dict(until(seen, f"a forecast from {first_ds}", 60))


def test_a_file_becomes_a_forecast_and_a_later_one_moves_it(stack: Stack, token: str) -> None:
    arrive(stack, "sales/gate-1.parquet", 100)
    first = until_answered(stack, token, "2026-04-11")
    assert first["model"]["version"].startswith("spot-")
    arrive(stack, "sales/gate-2.parquet", 101)
    until_answered(stack, token, "2026-04-12")


def test_the_guides_client_gets_a_forecast(stack: Stack, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(stack, "sales/gate-2.parquet", 101)
    until_answered(stack, token, "2026-04-12")
    ask, url = urllib.request.urlopen, urllib.parse.urlsplit(stack.outputs["ApiUrl"])

    def here(request: urllib.request.Request, timeout: float) -> Any:
        """Not every resolver knows the emulator's name for the API."""
        request.add_header("Host", url.netloc)
        request.full_url = request.full_url.replace(f"{url.scheme}://{url.netloc}", str(stack.endpoint))
        return ask(request, timeout=timeout)

    monkeypatch.setattr(urllib.request, "urlopen", here)
    guide: dict[str, Any] = {"__name__": "guide"}
    exec(section("client").removeprefix("```python\n").removesuffix("\n```"), guide)
    points = guide["Client"](stack.outputs["ApiUrl"], token).forecast("gate", horizon=7)
    assert [point.ds for point in points] == [f"2026-04-{day}" for day in range(12, 19)]
    assert all(point.lower <= point.yhat <= point.upper for point in points)
    with pytest.raises(ValueError, match="nobody"):
        guide["Client"](stack.outputs["ApiUrl"], token).forecast("nobody")


def test_a_planner_moves_a_forecast_and_reads_what_that_was_worth(stack: Stack, token: str) -> None:
    def ask(path: str, body: Any = None) -> Any:
        status, _, answer = stack.request(path, token=token, body=body, method="PUT" if body else None)
        assert status == 200, answer
        return json.loads(answer)

    def planned() -> dict[str, float]:
        points = ask("/v1/series/gate/forecast?horizon=7")["points"]
        return {one["ds"]: one["planned"] for one in points if "planned" in one}

    arrive(stack, "sales/gate-2.parquet", 101)
    own = {one["ds"]: one["yhat"] for one in until_answered(stack, token, "2026-04-12")["points"]}
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    word = {"start": "2026-04-12", "end": "2026-04-14", "value": 101, "reason": "street fair", "expires": today}
    (said,) = ask("/v1/series/gate/overrides", word)["items"]
    assert stack.cloud
    assert (said["by"], said["value_added"]) == (stack.cloud.username, None)
    assert planned() == {f"2026-04-{day}": 101 for day in (12, 13, 14)}
    assert (
        ask("/v1/overrides?series_id=gate", word | {"start": "2026-04-14", "value": None})["items"][0]["end"]
        == "2026-04-13"
    )
    assert stack.request("/v1/series/gate/overrides", body=word, method="PUT")[0] == 401

    arrive(stack, "sales/gate-3.parquet", 103)
    until_answered(stack, token, "2026-04-14")
    told = ask("/v1/series/gate/overrides")
    y = {point["ds"]: point["y"] for point in ask("/v1/series/gate/history?start=2026-04-12")["points"]}
    worth = sum(abs(y[ds] - own[ds]) - abs(y[ds] - 101) for ds in ("2026-04-12", "2026-04-13"))
    assert told["total"]["periods"] == 2
    assert told["total"]["value_added"] == pytest.approx(worth, abs=1e-5)

    ask("/v1/series/gate/overrides", word | {"start": "2026-04-14"})
    assert list(planned()) == ["2026-04-14"]
    lapsed = {"expires": "2026-01-01"}  # as if its last day had passed
    Overrides(stack.table("Forecasts"), freshness=0).change(
        "gate",
        lambda words: words.model_copy(update={"items": [one.model_copy(update=lapsed) for one in words.items]}),
    )
    until(lambda: not planned(), "the expiry", 10)


def claimed(token: str) -> dict[str, Any]:
    """What the token says."""
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def altered(token: str, **changes: Any) -> str:
    """The token with other claims under the old signature."""
    head, _, signature = token.split(".")
    forged = base64.urlsafe_b64encode(json.dumps(claimed(token) | changes).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


def unsigned(token: str) -> str:
    """The same claims with the algorithm "none"."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def test_without_a_valid_token_nobody_gets_in(stack: Stack, token: str) -> None:
    wrong = {
        "missing": None,
        "nonsense": "nonsense",
        "forged": altered(token, username="somebody"),
        "prolonged": altered(token, exp=int(time.time()) + 10**6),
        "unsigned": unsigned(token),
    }
    for name, bad in wrong.items():
        status, _, body = stack.request("/v1/series", token=bad)
        assert status == 401, name
        assert b"items" not in body
    assert stack.request("/v1/series", token=token)[0] == 200


@pytest.fixture
def short_lived(stack: Stack) -> Iterator[None]:
    """Tokens of the page's client live for a second."""
    cognito, kept = stack.client("cognito-idp"), {"ExplicitAuthFlows", "TokenValidityUnits", "AccessTokenValidity"}
    names = {"UserPoolId": stack.outputs["UserPool"], "ClientId": stack.outputs["UserPoolClient"]}
    before = cognito.describe_user_pool_client(**names)["UserPoolClient"]
    standing = {k: v for k, v in before.items() if k in kept}
    cognito.update_user_pool_client(
        **names, **standing | {"AccessTokenValidity": 1, "TokenValidityUnits": {"AccessToken": "seconds"}}
    )
    yield
    cognito.update_user_pool_client(**names, **standing)


@pytest.mark.usefixtures("short_lived")
def test_an_expired_token_is_refused(stack: Stack, token: str) -> None:
    assert stack.cloud is not None
    brief = stack.token(stack.cloud.username, stack.cloud.password)
    while claimed(brief)["exp"] > time.time():
        time.sleep(0.1)
    assert stack.request("/v1/series", token=brief)[0] == 401
    assert stack.request("/v1/series", token=token)[0] == 200


def test_a_token_of_another_client_is_refused(stack: Stack) -> None:
    assert stack.cloud is not None
    cognito = stack.client("cognito-idp")
    made = cognito.create_user_pool_client(
        UserPoolId=stack.outputs["UserPool"], ClientName="other", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    answer = cognito.initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH",
        ClientId=made,
        AuthParameters={"USERNAME": stack.cloud.username, "PASSWORD": stack.cloud.password},
    )
    other = answer["AuthenticationResult"]["AccessToken"]
    assert stack.request("/v1/series", token=other)[0] == 401


@pytest.mark.parametrize("path", ["//v1/series", "/static/../v1/series", "/static/%2e%2e/v1/series", "/V1/series"])
def test_an_odd_spelling_is_no_way_in(stack: Stack, path: str) -> None:
    status, _, body = stack.request(path)
    assert status in {401, 403, 404}
    assert b'"items"' not in body


def test_what_is_open_is_open(stack: Stack) -> None:
    for path in ("/", "/healthz", "/openapi.json", "/static/config.json"):
        assert stack.request(path)[0] == 200
