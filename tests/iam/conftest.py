"""One local cloud that enforces IAM, over TLS, with the image stack deployed to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import Stack, local_stack
from infra.local import cloud as local


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home: Path = tmp_path_factory.mktemp("cloud") / "home"
    with local.running(print, packaging="image", home=home, enforce=True) as cloud:
        yield local_stack(cloud)
