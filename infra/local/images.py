"""Image functions on the local cloud: images under the names that the template uses, and a network to run in."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import BuildError, NotFound

from infra.local.emulator import ACCOUNT, REGION
from layers.runtime.errors import TrefoilError, UnavailableError

# Made by .ci/base-image where no registry answers; AWS's own image is taken where it is at hand.
STAND_IN: Final = "trefoil/lambda-python-stand-in:3"

# As on Lambda: nothing to write to but /tmp, no shared memory, and no more RAM than a new account may ask for.
SANDBOX: Final = "--read-only --tmpfs /tmp:size=512m,mode=1777 --tmpfs /dev/shm:ro --memory 3008m"


def build_images(assembly: Path) -> list[str]:
    """Build every container asset of the cloud assembly and tag it as the template names it; return the tags.

    The emulator answers `cdk deploy` that every image is already published, so nothing else builds them. An image that
    is here already is not built again: its tag is the hash of all that goes in.
    """
    client, tags = _client(), []
    for manifest in sorted(assembly.glob("*.assets.json")):
        for asset in json.loads(manifest.read_text())["dockerImages"].values():
            (destination,) = asset["destinations"].values()
            name = f"{destination['repositoryName']}:{destination['imageTag']}"
            name = name.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION)
            tags.append(f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}")
            if not client.images.list(tags[-1]):
                _build(client, tags[-1], assembly / asset["source"]["directory"], asset["source"])
    return tags


def base_argument(client: docker.DockerClient) -> dict[str, str]:
    """The build argument that names the stand-in, where one was made; else none: the Dockerfile names AWS's image."""
    return {"BASE": STAND_IN} if client.images.list(STAND_IN) else {}


def _build(client: docker.DockerClient, tag: str, context: Path, source: dict[str, Any]) -> None:
    try:
        client.images.build(
            path=str(context),
            dockerfile=source["dockerFile"],
            buildargs=source["dockerBuildArgs"] | base_argument(client),
            tag=tag,
            network_mode="host",
            rm=True,
            forcerm=True,
        )
    except BuildError as exc:
        log = "".join(line.get("stream", "") for line in exc.build_log)
        raise TrefoilError(f"the image of {source['dockerBuildArgs']['GROUP']} does not build:\n{log[-4000:]}") from exc


def network_environment(name: str) -> dict[str, str]:
    """Make the network `name` and return what the emulator must be started with to run its functions there.

    From that network a function reaches the emulator, which listens on the network's gateway address
    (`BIND_HOST`), and nothing else.
    """
    remove_network(name)
    network = _client().networks.create(name, driver="bridge", internal=True)
    network.reload()
    gateway: str = network.attrs["IPAM"]["Config"][0]["Gateway"]
    return {
        "BIND_HOST": gateway,
        "LAMBDA_DOCKER_NETWORK": name,
        "LAMBDA_DOCKER_FLAGS": f"{SANDBOX} --add-host host.docker.internal:{gateway}",
    }


def remove_network(name: str) -> None:
    """Remove the network and every container that is left on it; harmless when there is none."""
    with suppress(NotFound):
        network = _client().networks.get(name)
        for container in network.containers:
            with suppress(NotFound):
                container.remove(force=True)
        network.remove()


def _client() -> docker.DockerClient:
    try:
        return docker.from_env(timeout=1800)
    except docker.errors.DockerException as exc:
        raise UnavailableError("Docker does not answer, and image functions need it") from exc
