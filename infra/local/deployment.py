"""The stacks, deployed to the local cloud by `cdk deploy`."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final

from infra.local import processes
from infra.local.emulator import ACCOUNT, REGION, ROOT, Packaging, environment
from layers.runtime.errors import TrefoilError

PATIENCE: Final = 900  # s; a command of CDK takes 10 on two idle cores


def deploy_stacks(endpoint: str, packaging: Packaging, home: Path, *, app: str = "infra.app") -> None:
    """Build the images, if there are any, then bootstrap and deploy the CDK app in the module `app`."""
    assembly, env = home / "cdk.out", environment(endpoint, packaging)
    _cdk(["synth", "--app", f"{sys.executable} -m {app}", "--quiet", "--output", str(assembly)], env, home)
    if packaging == "image":
        from infra.local.images import build_images  # needs Docker's library

        build_images(assembly)
    _cdk(["bootstrap", "--app", str(assembly), f"aws://{ACCOUNT}/{REGION}"], env, home)
    for template in assembly.glob("*.template.json"):
        template.write_text(json.dumps(adapted(json.loads(template.read_text()))))
    _cdk(["deploy", "--all", "--app", str(assembly), "--require-approval", "never"], env, home)


def adapted(template: dict[str, dict[str, dict[str, str]]]) -> dict[str, dict[str, dict[str, str]]]:
    """The template without what the emulator's CloudFormation does not know."""
    resources = template["Resources"].items()
    unknown = {"AWS::Athena::NamedQuery"}
    return template | {"Resources": {id_: one for id_, one in resources if one["Type"] not in unknown}}


def _cdk(arguments: list[str], env: Mapping[str, str], home: Path) -> None:
    command = ROOT / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise TrefoilError("the CDK command line is not installed; `make setup` installs it")
    log = home / "cdk.log"
    process = processes.spawn([str(command), *arguments], env, cwd=ROOT, log=log)
    ended = "did not end"
    try:
        with suppress(TimeoutExpired):
            ended = f"ended with status {process.wait(PATIENCE)}"
    finally:
        processes.end(process.pid)
    if process.returncode != 0:
        raise TrefoilError(f"cdk {arguments[0]} {ended}: {log.read_text()[-4000:]}")
