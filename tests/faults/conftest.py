"""One local cloud for the suite, whose functions reach it through a proxy that can break things."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest

from cli.stack import Stack, local_stack
from infra.local import cloud as local
from tests.conftest import ROOT
from tests.faults import proxy
from tests.faults.leaves import Events, Rides, Sales

HURRY = Path(__file__).with_name("hurry")
# Small enough to be trained in a second, and a queue that gives failed messages again in seconds.
SETTINGS = {
    "TREFOIL_ITERATIONS": "1",
    "TREFOIL_TREES": "10",
    "TREFOIL_HOLDOUT_DAYS": "14",
    "TREFOIL_REFRESH_SECONDS": "1",
}
VISIBILITY = "2"

_numbers = count(1)


@dataclass
class Site:
    """The stack, the proxy that its functions talk through, and the note of what the SDK gave up on."""

    stack: Stack
    proxy: proxy.Proxy
    noted: Path
    token: str
    home: Path

    def reached(self) -> int:
        """How many errors the SDK has handed to the code so far."""
        return len(self.noted.read_text().splitlines())

    def leaves(self) -> tuple[Rides, Sales, Events]:
        """New input for each leaf."""
        n = next(_numbers)
        day = date(2020, 1, 15) + timedelta(days=30 * n)  # beyond the window of every other day
        return Rides(self.stack, day), Sales(self.stack, f"shop{n:03}", self.token), Events(self.stack, f"u{n:03}", n)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Functions go through the proxy; the test's own clients go to the local cloud directly."""
    home = tmp_path_factory.mktemp("cloud") / "home"
    with (
        pytest.MonkeyPatch.context() as patch,
        emulator(patch, home) as cloud,
        proxy.running(cloud.endpoint, home) as between,
    ):
        stack = local_stack(cloud)
        noted = home / "noted.jsonl"
        noted.touch()
        through = {"AWS_ENDPOINT_URL": between.endpoint, "PYTHONPATH": f"{HURRY}{os.pathsep}{ROOT}"}
        configure(stack, SETTINGS | through | {"FAULTS_LOG": str(noted)})
        stack.client("sqs").set_queue_attributes(
            QueueUrl=stack.outputs["ClassificationQueue"], Attributes={"VisibilityTimeout": VISIBILITY}
        )
        site = Site(stack, between, noted, stack.token(cloud.username, cloud.password), home)
        for leaf in site.leaves():
            leaf.trigger()
        yield site


def emulator(patch: pytest.MonkeyPatch, home: Path) -> AbstractContextManager[local.Cloud]:
    """One that keeps its state when it is stopped, and whose state machines pause less between tries."""
    patch.setenv("PERSIST_STATE", "1")
    patch.setenv("SFN_WAIT_SCALE", "0.05")
    return local.running(lambda _: None, home=home)


def configure(stack: Stack, variables: dict[str, str]) -> None:
    """Set environment variables of every function."""
    client = stack.client("lambda")
    for output, name in stack.outputs.items():
        if output.startswith("Function"):
            standing = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            client.update_function_configuration(FunctionName=name, Environment={"Variables": standing | variables})


@pytest.fixture
def victims(site: Site) -> dict[str, str]:
    """Environment of handlers that run in processes of their own, with no proxy in between."""
    client, found = site.stack.client("lambda"), dict[str, str]()
    for output, name in sorted(site.stack.outputs.items()):
        if output.startswith("Function"):
            found |= client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    return found | {
        "AWS_ENDPOINT_URL": str(site.stack.endpoint),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "TREFOIL_WATCH_EVENTS": "1",
        "TREFOIL_DRIFT_INDEX": "0.000001",
    }
