"""Images for the local cloud: what `cdk deploy` would build and push, built here under the names the template uses."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ACCOUNT = "000000000000"


def machine_architecture() -> str:
    """Lambda's name for this machine's processor: an image for another one would need emulation."""
    return "arm64" if platform.machine().lower() in {"aarch64", "arm64"} else "x86_64"


def build_images(cdk_out: Path, *, account: str = ACCOUNT, region: str = "us-east-1") -> list[str]:
    """Build every container asset of the cloud assembly and tag it as the template names it; return the tags.

    The emulator answers `cdk deploy` that every image is already published, so none is built there.
    """
    return [_build(asset, cdk_out, account, region) for asset in _image_assets(cdk_out)]


def _image_assets(cdk_out: Path) -> Iterator[dict[str, Any]]:
    """Each image once, though stacks and functions share it."""
    assets: dict[str, dict[str, Any]] = {}
    for manifest in sorted(cdk_out.glob("*.assets.json")):
        assets |= json.loads(manifest.read_text())["dockerImages"]
    yield from assets.values()


def _build(asset: dict[str, Any], cdk_out: Path, account: str, region: str) -> str:
    source, (destination,) = asset["source"], asset["destinations"].values()
    tag = f"{account}.dkr.ecr.{region}.amazonaws.com/{destination['repositoryName']}:{destination['imageTag']}"
    tag = tag.replace("${AWS::AccountId}", account).replace("${AWS::Region}", region)
    if subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False).returncode == 0:
        return tag  # the tag holds the hash of all that goes in
    arguments = [f"--build-arg={name}={value}" for name, value in source.get("dockerBuildArgs", {}).items()]
    command = ["docker", "build", "--quiet", "--network", "host", "--tag", tag, "--file", source["dockerFile"]]
    # The classic builder: it needs no plugin, and makes no attestations, which Lambda refuses.
    environment = os.environ | {"DOCKER_BUILDKIT": "0"}
    subprocess.run([*command, *arguments, "."], cwd=cdk_out / source["directory"], env=environment, check=True)
    return tag
