"""`trefoil doctor`: what would keep a deployment from working, each finding with its fix."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.console import OUR_FAILURE, Json, say, table
from cli.stack import Profile, Stack, Stage, connect
from infra.local import images
from infra.local.cloud import ROOT
from layers.runtime.errors import TrefoilError

HTTP_SECONDS, NEW_ACCOUNT_MB, BOOTSTRAP = 29, 3008, "/cdk-bootstrap/hnb659fds/version"


@dataclass(frozen=True)
class Finding:
    """`fix` is what to do when it is not `ok`."""

    check: str
    ok: bool
    found: str
    fix: str


def doctor(stage: Stage = "dev", profile: Profile = None, json_output: Json = False) -> tuple[dict[str, Any], int]:
    """Check this machine, the account and the deployed stack; exit 1 when something would fail."""
    findings = [*_machine(), *_account(stage, profile)]
    shown = table("", "check", "found", "what to do")
    for one in findings:
        shown.add_row("ok" if one.ok else "NO", one.check, one.found, "" if one.ok else one.fix)
    say(shown)
    healthy = all(one.ok for one in findings)
    return {"healthy": healthy, "findings": [asdict(one) for one in findings]}, 0 if healthy else OUR_FAILURE


def _machine() -> Iterator[Finding]:
    from infra.settings import DeploySettings

    deploy = DeploySettings()
    docker = _said(["docker", "version", "--format", "{{.Server.Version}}"])
    yield Finding("Docker", bool(docker), docker or "does not answer", "start Docker; images are built with it")
    buildx = bool(_said(["docker", "buildx", "version"]))
    plain = not buildx or os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS") == "1"
    fix = "export BUILDX_NO_DEFAULT_ATTESTATIONS=1: Lambda refuses images with attestations"
    yield Finding("image attestations", plain, "off" if plain else "on", fix)
    here, wanted = images.machine_architecture(), deploy.architecture
    fix = f"TREFOIL_DEPLOY_ARCHITECTURE={here}, or build on a {wanted} machine"
    yield Finding("architecture", here == wanted, f"machine {here}, functions {wanted}", fix)
    memory = max(deploy.clustering_memory_mb, deploy.training_memory_mb, deploy.forecasting_memory_mb)
    fix = f"a new account allows {NEW_ACCOUNT_MB} MB; lower it, or ask AWS for more"
    yield Finding("memory", memory <= NEW_ACCOUNT_MB, f"largest function {memory} MB", fix)
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    current = _ended([uv, "lock", "--check"])
    yield Finding("uv.lock", current, "current" if current else "not current, or no uv here", "make setup; uv lock")
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]["aws-cdk"]
    installed = _said([str(ROOT / "node_modules/.bin/cdk"), "--version"]).split(" ")[0]
    yield Finding("CDK command line", installed == pinned, installed or "missing", f"make setup installs {pinned}")


def _account(stage: str, profile: str | None) -> Iterator[Finding]:
    try:
        stack = connect(stage, profile)
    except TrefoilError as exc:
        yield Finding("deployed stack", False, str(exc), "trefoil up, or cdk deploy --all with credentials and region")
        return
    checks: tuple[Callable[[Stack], Finding], ...] = (_identity, _bootstrap, _concurrency, _visibility, _http)
    for check in checks:
        try:
            yield check(stack)
        except (BotoCoreError, ClientError) as exc:
            name = check.__name__.strip("_")
            yield Finding(name, False, str(exc), "give this profile read access, then run it again")


def _identity(stack: Stack) -> Finding:
    who = stack.client("sts").get_caller_identity()
    region = stack.client("sts").meta.region_name
    return Finding("credentials", bool(region), f"account {who['Account']} in {region}", "set AWS_REGION")


def _bootstrap(stack: Stack) -> Finding:
    version = stack.client("ssm").get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"]
    return Finding("bootstrap", int(version) >= 6, f"version {version}", "npx cdk bootstrap")


def _concurrency(stack: Stack) -> Finding:
    limit = stack.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    return Finding("concurrent executions", limit >= 10, str(limit), "ask AWS for 10 or more in Service Quotas")


def _visibility(stack: Stack) -> Finding:
    timeout = stack.client("lambda").get_function_configuration(
        FunctionName=stack.outputs["FunctionClassificationScore"]
    )["Timeout"]
    queue = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["ClassificationQueue"], AttributeNames=["VisibilityTimeout"]
    )
    visible = int(queue["Attributes"]["VisibilityTimeout"])
    found = f"{visible} s for a function of {timeout} s"
    return Finding("visibility timeout", visible >= 6 * timeout, found, "six times the function's timeout, or more")


def _http(stack: Stack) -> Finding:
    timeout = stack.client("lambda").get_function_configuration(FunctionName=stack.outputs["FunctionForecastingApi"])
    seconds = timeout["Timeout"]
    fix = f"{HTTP_SECONDS} s or less: API Gateway gives up then"
    return Finding("API timeout", seconds <= HTTP_SECONDS, f"{seconds} s", fix)


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _ended(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=ROOT).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
