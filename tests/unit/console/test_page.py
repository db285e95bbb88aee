import base64
import gzip
import hashlib
import re

import pytest

from tests.console import Deployment
from tests.forecasting import Caller, gateway_event


@pytest.fixture(scope="module")
def call() -> Caller:
    return Deployment(user_pool_client="client").call()


def linked(index: str) -> list[str]:
    """What the page loads from here before anything runs, each once."""
    return sorted(set(re.findall(r'(?:src|href)="(/static/[^"]+)"', index)))


def test_the_page_is_served_under_a_strict_policy(call):
    status, headers, body = call("/", claims=None)
    assert status == 200
    assert body.lower().startswith("<!doctype html>")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self' https://cognito-idp.eu-west-1.amazonaws.com;" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_of_scripts_within_the_page_only_its_own_one_runs(call):
    _, headers, body = call("/", claims=None)
    (script,) = re.findall(r"<script>(.*?)</script>", body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in headers["content-security-policy"]


def test_the_page_is_one_script_one_style_sheet_and_one_picture_kept_for_a_year(call):
    _, headers, body = call("/", claims=None)
    assert headers["cache-control"] == "no-cache"
    names = linked(body)
    assert [re.sub(r"-[A-Z0-9]{8}\.", ".", name) for name in names] == [
        "/static/app.js",
        "/static/icon.svg",
        "/static/style.css",
    ]
    for name in names:
        status, headers, text = call(name, claims=None)
        assert (status, headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert "@import" not in text
        assert not re.search(r"""\bimport\b\s*[("'{]""", text)


def test_a_file_is_compressed_where_accepted_and_not_sent_twice(call):
    _, plain, body = call("/", claims=None)
    _, packed, sent = call("/", claims=None, headers={"accept-encoding": "br, gzip"})
    assert packed["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(sent)).decode() == body
    assert call("/", claims=None, headers={"if-none-match": plain["etag"]})[0] == 304


def test_the_page_learns_without_a_token_where_its_user_pool_is(call):
    assert call("/static/config.json", claims=None)[2] == {
        "user_pool_client": "client",
        "region": "eu-west-1",
        "endpoint": "https://cognito-idp.eu-west-1.amazonaws.com",
    }


NAMES = (
    "../api.py",
    "..%2fapi.py",
    "../../../pyproject.toml",
    "/etc/passwd",
    "",
    "nothing.js",
    ".",
    "app.js",
)
HOSTILE = ("a" * 300 + ".js", "%00", "%00.js", "\0.js", "x/" * 200)


@pytest.mark.parametrize("name", NAMES + HOSTILE)
def test_nothing_else_is_served(call, name):
    assert call(f"/static/{name}", claims=None)[0] == 404


@pytest.mark.parametrize("path", ["/", "/static/config.json", "/static/nothing.js", "/v1/operation"])
def test_head_tells_what_get_would_without_a_body(call, path):
    get, head = (call.handler(gateway_event(path, method=method), None) for method in ("GET", "HEAD"))
    assert head["statusCode"] == get["statusCode"]
    assert head["headers"] == get["headers"]
    assert not head.get("body")
