"""Every image of the stack, built; and a way to run one function of it as Lambda would."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from infra.local import cloud, images

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ImageFunction:
    """One Lambda of the synthesised template."""

    handler: str
    image: str
    memory_mb: int
    environment: dict[str, str]


@dataclass(frozen=True)
class Sandbox:
    """A running container of one function."""

    container: Container
    url: str

    def invoke(self, event: Any) -> Any:
        request = urllib.request.Request(self.url, json.dumps(event).encode())
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:  # the emulator's way to report a function that does not start
            with exc:
                return json.load(exc)

    def run(self, code: str) -> str:
        """Standard output of Python code run in the container."""
        status, output = self.container.exec_run(["python", "-c", code])
        assert status == 0, output.decode()
        return output.decode().strip()


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env(timeout=600)
    yield made
    made.close()


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stacks and the example's leaf, synthesised with image packaging, and all of their images built."""
    folder = tmp_path_factory.mktemp("assembly")
    environment = cloud.environment("http://127.0.0.1:9", "image")
    command = [ROOT / "node_modules/.bin/cdk", "synth", "--quiet", "--output", folder]
    command += ["--app", f"{sys.executable} -m examples.reminders.app"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    images.build_images(folder)
    return folder


@pytest.fixture(scope="session")
def functions(assembly: Path) -> dict[str, ImageFunction]:
    """By handler: every function of the template."""
    template = json.loads((assembly / "trefoil-local-service.template.json").read_text())
    tags = {tag.rpartition(":")[2]: tag for tag in images.build_images(assembly)}
    found = {}
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Lambda::Function" and "ImageConfig" in properties:
            (handler,) = properties["ImageConfig"]["Command"]
            given = properties["Environment"]["Variables"]
            found[handler] = ImageFunction(
                handler,
                tags[properties["Code"]["ImageUri"]["Fn::Sub"].rpartition(":")[2]],
                properties["MemorySize"],
                {name: value if isinstance(value, str) else "absent" for name, value in given.items()},
            )
    return found


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cloud.Cloud]:
    """An empty local cloud on a network of its own."""
    home = tmp_path_factory.mktemp("cloud") / "home"
    with cloud.running(print, packaging="image", home=home, deploy=False) as running:
        yield running


@pytest.fixture(scope="session")
def network(emulator: cloud.Cloud, client: docker.DockerClient) -> str:
    """Name of the network whose only other end is the emulator."""
    gateway = emulator.endpoint.removeprefix("http://").partition(":")[0]
    for found in client.networks.list():
        config = found.attrs["IPAM"]["Config"] or [{}]
        if config[0].get("Gateway") == gateway:
            return str(found.name)
    raise AssertionError("the emulator listens on no network of Docker")


@pytest.fixture
def start(client: docker.DockerClient, emulator: cloud.Cloud, network: str) -> Iterator[Callable[..., Sandbox]]:
    """Run a function: read-only root, a small /tmp, no shared memory, an ordinary user, no network but the emulator."""
    started: list[Container] = []

    def run(function: ImageFunction) -> Sandbox:
        container = client.containers.run(
            function.image,
            [function.handler],
            detach=True,
            read_only=True,
            tmpfs={"/tmp": "size=64m,mode=1777", "/dev/shm": "ro"},
            user="993:990",
            mem_limit=f"{function.memory_mb}m",
            network=network,
            environment=function.environment
            | {
                "AWS_ENDPOINT_URL": emulator.endpoint,
                "AWS_REGION": cloud.REGION,
                "AWS_DEFAULT_REGION": cloud.REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_LAMBDA_FUNCTION_NAME": function.handler.replace(".", "-"),
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            },
        )
        started.append(container)
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
        base = f"http://{address}:8080"
        _wait(container, base)
        return Sandbox(container, f"{base}/2015-03-31/functions/function/invocations")

    yield run
    for container in started:
        container.remove(force=True)


def _wait(container: Container, base: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(base, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(container.logs().decode())
