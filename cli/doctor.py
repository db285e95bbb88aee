"""`trefoil doctor`: what would keep a deployment from working, each finding with its fix."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from cli.console import OUR_FAILURE, say, table
from cli.stack import Stack, connect, named
from infra.local.emulator import ROOT, machine_architecture
from infra.settings import DeploySettings, deployment
from layers.runtime.errors import NotFoundError, TrefoilError

HTTP_SECONDS, NEW_ACCOUNT_MB = 29, 3008
BOOTSTRAP, BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version", 6
PAGE_CALLS = 2  # concurrent executions beside maps and queues: a page of the planners asks again when one is refused
READ_ACCESS = "give this profile read access, then run it again"
SIGN_IN = "trefoil up, or sign in, set AWS_REGION, and name --stage or --profile"


class Finding(NamedTuple):
    """`fix` is what to do when it is not `ok`."""

    check: str
    ok: bool
    found: str
    fix: str


def doctor() -> tuple[dict[str, Any], int]:
    """Check this machine, the account and the deployed stack; exit 1 when something would fail."""
    findings = [*_machine(), *_account()]
    shown = table("", "check", "found")
    for one in findings:
        shown.add_row("ok" if one.ok else "NO", one.check, one.found)
    say(shown)
    healthy = all(one.ok for one in findings)
    say("\n".join(f"{one.check}: {one.fix}" for one in findings if not one.ok) or "nothing to mend")
    return {"healthy": healthy, "findings": [one._asdict() for one in findings]}, 0 if healthy else OUR_FAILURE


def _machine() -> Iterator[Finding]:
    deploy, _ = deployment(named.get()[0])
    docker = printed(["docker", "version", "--format", "{{.Server.Version}}"])
    fix = "start Docker: images for AWS are built with it; the local cloud needs none"
    yield Finding("Docker", bool(docker), docker or "does not answer", fix)
    buildx = printed(["docker", "buildx", "version"])
    plain = not buildx or os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS") == "1"
    fix = "export BUILDX_NO_DEFAULT_ATTESTATIONS=1: Lambda refuses images with attestations"
    yield Finding("image attestations", plain, "off" if plain else "on", fix)
    here, wanted = machine_architecture(), deploy.architecture
    fix = f'architecture = "{here}" in the stage\'s file, or build on a {wanted} machine'
    yield Finding("architecture", here == wanted, f"machine {here}, functions {wanted}", fix)
    memory = max(getattr(deploy, name) for name in DeploySettings.model_fields if name.endswith("_memory_mb"))
    fix = f"a new account allows {NEW_ACCOUNT_MB} MB; lower it, or ask AWS for more"
    yield Finding("memory", memory <= NEW_ACCOUNT_MB, f"largest function {memory} MB", fix)
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    current = printed([uv, "lock", "--check"]) is not None
    yield Finding("uv.lock", current, "current" if current else "not current, or no uv here", "make setup; uv lock")
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]["aws-cdk"]
    installed = (printed([str(ROOT / "node_modules/.bin/cdk"), "--version"]) or "").split(" ")[0]
    yield Finding("CDK command line", installed == pinned, installed or "missing", f"make setup installs {pinned}")


def _account() -> Iterator[Finding]:
    """The account first, which can be looked at before anything is deployed, then what is deployed."""
    try:
        account = connect(deployed=False)
        who = _checked(account, "credentials", _identity)
        yield who
        if who.ok:
            yield _checked(account, "bootstrap", _bootstrap)
            yield _checked(account, "concurrent executions", _concurrency)
            deployed = connect()
            yield _checked(deployed, "visibility timeout", _visibility)
            yield _checked(deployed, "API timeout", _http)
    except NotFoundError as exc:
        yield Finding("deployed stack", False, str(exc), "trefoil up, or npx cdk deploy --all")
    except TrefoilError as exc:
        yield Finding("credentials", False, str(exc), SIGN_IN)


def _checked(stack: Stack, name: str, check: Callable[[Stack], tuple[bool, str, str]]) -> Finding:
    try:
        return Finding(name, *check(stack))
    except (BotoCoreError, ClientError) as exc:
        code = getattr(exc, "response", {}).get("Error", {}).get("Code", "")
        fix = "npx cdk bootstrap" if code == "ParameterNotFound" else READ_ACCESS if "Denied" in code else SIGN_IN
        return Finding(name, False, str(exc), fix)


def _identity(stack: Stack) -> tuple[bool, str, str]:
    client = stack.client("sts")
    who, region = client.get_caller_identity()["Account"], client.meta.region_name
    return bool(region), f"account {who} in {region}", "set AWS_REGION"


def _bootstrap(stack: Stack) -> tuple[bool, str, str]:
    version = int(stack.client("ssm").get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    return version >= BOOTSTRAP_VERSION, f"version {version}", "npx cdk bootstrap"


def _concurrency(stack: Stack) -> tuple[bool, str, str]:
    limit = stack.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    deploy, _ = deployment(stack.stage)
    needed = 2 * deploy.map_concurrency + deploy.score_concurrency + deploy.ingest_concurrency + PAGE_CALLS
    fix = "ask AWS for more in Service Quotas, or lower map_concurrency in the stage's file"
    return limit >= needed, f"{limit}, of which {needed} may be needed", fix


def _visibility(stack: Stack) -> tuple[bool, str, str]:
    timeout, name, url = (
        _timeout(stack, "FunctionClassificationScore"),
        "VisibilityTimeout",
        stack.outputs["ClassificationQueue"],
    )
    queue = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    visible = int(queue["Attributes"][name])
    fix = f"raise it to {6 * timeout} s or more, or npx cdk deploy --all, which does"
    return visible >= 6 * timeout, f"{visible} s for a function of {timeout} s", fix


def _http(stack: Stack) -> tuple[bool, str, str]:
    seconds = _timeout(stack, "FunctionForecastingApi")
    fix = f"{HTTP_SECONDS} s or less, since API Gateway gives up then: npx cdk deploy --all"
    return seconds <= HTTP_SECONDS, f"{seconds} s", fix


def _timeout(stack: Stack, function: str) -> int:
    return int(stack.client("lambda").get_function_configuration(FunctionName=stack.outputs[function])["Timeout"])


def printed(command: list[str]) -> str | None:
    """What the command printed, None when it failed."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None
