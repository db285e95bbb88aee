"""Shared by every suite."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests import tally as tallies

ROOT = Path(__file__).resolve().parents[1]
# Files of tests/local that start and end a cloud themselves, or need none.
OWN_CLOUD = ("test_demo", "test_life", "test_upgrade", "test_walk_through", "test_wheel")

# jsii and npx must be the environment's own, also when pytest is started without activating it.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


# No test may reach a real account, nor look for credentials on the network.
os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
os.environ.pop("AWS_PROFILE", None)

# Ray reads this when it is imported: else every worker of a test under `uv run` would start through `uv run` as well.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

# No test depends on how fast a machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


class Files(LoadFileScheduling):
    """Whole files side by side, in the order of the command; those that share the local cloud one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        shared = file.parent.name == "local" and file.stem not in OWN_CLOUD
        return "the local cloud" if shared else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    """What pytest-xdist hands out to its workers."""
    config.option.loadscopereorder = False
    return Files(config, log)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real input, which is not part of the project."""
    folder = Path(os.environ.get("TREFOIL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real input here: set TREFOIL_REAL_DATA to a folder that has it")
    return folder


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> tallies.Tally:
    """The table that this session prints at its end."""
    return tallies.of(pytestconfig)


def pytest_terminal_summary(config: pytest.Config) -> None:
    """Print and keep the table of a suite that filled one."""
    tallies.finish(config, Path(config.args[0]).name)
