"""One local cloud for the whole suite."""

from collections.abc import Iterator

import pytest

from cli.stack import Stack
from tests.drivers import deployed


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with deployed(tmp_path_factory.mktemp("cloud") / "home") as stack:
        yield stack
