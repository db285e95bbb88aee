"""One local cloud for the whole suite."""

from collections.abc import Iterator

import pytest

from cli.stack import Stack
from tests.drivers import deployed


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFN_WAIT_SCALE", "0.1")  # the emulator's: ten times sooner a state is tried again
        with deployed(tmp_path_factory.mktemp("cloud") / "home") as stack:
            yield stack
