import gzip

import pytest

from functions.forecasting import page
from layers.runtime.errors import NotFoundError
from tests.unit.forecasting.house import Caller, House


@pytest.fixture(scope="module")
def call():
    return Caller(House().app())


def test_the_page_is_served_under_a_strict_policy(call):
    status, headers, body = call("/", claims=None)
    assert status == 200
    assert body.lower().startswith("<!doctype html>")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self' https://cognito-idp.eu-west-1.amazonaws.com;" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_a_file_is_compressed_where_accepted_and_not_sent_twice(call):
    import base64

    _, plain, body = call("/", claims=None)
    _, packed, sent = call("/", claims=None, headers={"accept-encoding": "br, gzip"})
    assert packed["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(sent)).decode() == body
    assert call("/", claims=None, headers={"if-none-match": plain["etag"]})[0] == 304


@pytest.mark.parametrize(
    "name", ["../api.py", "..%2fapi.py", "../../../pyproject.toml", "/etc/passwd", "", "nothing.js", "."]
)
def test_nothing_outside_the_directory_is_served(call, name):
    assert call(f"/static/{name}", claims=None)[0] == 404
    with pytest.raises(NotFoundError):
        page.read(page.DIRECTORY, name)
