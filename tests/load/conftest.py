"""One local cloud for the whole suite. Its functions run in processes of their own, one for each call at once, as on AWS."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.stack import Stack
from tests.load.container import Container
from tests.local.conftest import stack

__all__ = ["stack"]


@pytest.fixture
def container(stack: Stack, tmp_path: Path) -> Iterator[Callable[[str], Container]]:
    """Starts a container of the function that an output names; all of them end with the test."""
    started: list[Container] = []

    def start(function: str) -> Container:
        started.append(Container(stack, function, tmp_path / f"{len(started)}.log"))
        return started[-1]

    yield start
    for one in started:
        one.end()
