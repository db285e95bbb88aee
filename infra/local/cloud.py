"""The local cloud: an AWS emulator on loopback, and this very stack deployed to it."""

import json
import os
import secrets
import shutil
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session
from pydantic import BaseModel

from infra.local import emulator, processes
from infra.local.deployment import deploy_stacks
from infra.local.emulator import REGION, ROOT, Packaging, environment
from layers.runtime.errors import ConflictError, NotFoundError, UnavailableError

HOME: Final = Path(os.environ.get("TREFOIL_HOME", ROOT / ".trefoil"))
USER: Final = "planner"

Say = Callable[[str], None]


class Cloud(BaseModel):
    """A running local cloud, as `<home>/cloud.json` describes it to later commands."""

    endpoint: str
    pid: int
    packaging: Packaging
    authority: str = ""  # certificate file of an emulator that enforces IAM, which needs TLS; else it speaks plain HTTP
    stage: str = "local"
    username: str = ""
    password: str = ""

    def session(self) -> Any:
        """A session whose keys mean nothing on AWS."""
        core = botocore.session.Session()
        core.set_config_variable("ca_bundle", self.authority or None)
        return boto3.Session("test", "test", region_name=REGION, botocore_session=core)

    def client(self, service: str) -> Any:
        """A boto3 client of this cloud."""
        return self.session().client(service, endpoint_url=self.endpoint)

    def alive(self) -> bool:
        """Whether the emulator answers."""
        try:
            trust = ssl.create_default_context(cafile=self.authority) if self.authority else None
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2, context=trust) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def find(home: Path = HOME) -> Cloud | None:
    """The local cloud that runs now, or None."""
    try:
        cloud = Cloud.model_validate_json((home / "cloud.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return cloud if cloud.alive() else None


def up(
    say: Say, *, packaging: Packaging = "source", home: Path = HOME, deploy: bool = True, enforce: bool = False
) -> Cloud:
    """Start the emulator and deploy the stacks to it; what fails half-way is taken down again.

    With `enforce` it refuses what a role may not do, as AWS does: for image functions only, since source functions run
    as the account there.
    """
    if find(home):
        raise ConflictError("the local cloud runs already; `trefoil down` stops it")
    down(home)
    home.mkdir(parents=True)
    with processes.interruptible():
        try:
            say("starting the emulator")
            cloud = _start(packaging, home, enforce)
            if deploy:
                say("deploying the stacks with cdk deploy --all")
                deploy_stacks(cloud, home)
                cloud = _make_user(cloud)
                _save(cloud, home)
        except BaseException:
            down(home)
            raise
    return cloud


def down(home: Path = HOME) -> bool:
    """Stop the emulator with all it started and remove its files; says whether there was anything to stop."""
    try:
        cloud = Cloud.model_validate_json((home / "cloud.json").read_text())
    except (FileNotFoundError, ValueError):
        shutil.rmtree(home, ignore_errors=True)
        return False
    if processes.runs(cloud.pid, "ministack"):
        processes.end(cloud.pid)
    if cloud.packaging == "image":
        _remove_network(home)
    shutil.rmtree(home, ignore_errors=True)
    return True


@contextmanager
def running(
    say: Say, *, packaging: Packaging = "source", home: Path = HOME, deploy: bool = True, enforce: bool = False
) -> Iterator[Cloud]:
    """A local cloud for the length of a block; gone afterwards, whatever happened in it, SIGTERM included."""

    with processes.interruptible():
        try:
            yield up(say, packaging=packaging, home=home, deploy=deploy, enforce=enforce)
        finally:
            for sign in processes.INTERRUPTS:  # a second one must not leave half of it behind
                signal.signal(sign, signal.SIG_IGN)
            down(home)


def _start(packaging: Packaging, home: Path, enforce: bool) -> Cloud:
    network = _network_environment(home) if packaging == "image" else {}
    host = network.get("BIND_HOST", "127.0.0.1")
    port = emulator.free_port(host)
    endpoint = f"http{'s' if enforce else ''}://{host}:{port}"
    pid = 0
    try:
        variables = environment(endpoint) | emulator.settings(host, port, home) | network
        if enforce:
            variables |= emulator.enforcement(host, home, network)
        authority = variables.get("MINISTACK_SSL_CERT", "")
        process = processes.spawn([sys.executable, "-m", "ministack"], variables, cwd=home, log=home / "emulator.log")
        pid = process.pid
        cloud = Cloud(endpoint=endpoint, pid=pid, packaging=packaging, authority=authority)
        _save(cloud, home)
        for _ in range(300):
            if cloud.alive():
                return cloud
            if process.poll() is not None:
                break
            time.sleep(0.1)
        tail = (home / "emulator.log").read_text()[-2000:]
        raise UnavailableError(f"the emulator did not start: {tail}")
    except BaseException:
        if pid:
            processes.end(pid)
        if network:
            _remove_network(home)
        raise


def _network_environment(home: Path) -> dict[str, str]:
    from infra.local import images  # with Docker's library, which only images need

    return images.network_environment(_network(home))


def _remove_network(home: Path) -> None:
    from infra.local import images

    images.remove_network(_network(home))


def _make_user(cloud: Cloud) -> Cloud:
    client = cloud.client("cognito-idp")
    pool = outputs(cloud.client("cloudformation"), cloud.stage)["UserPool"]
    password = f"{secrets.token_urlsafe(12)}-aA1"
    client.admin_create_user(UserPoolId=pool, Username=USER, MessageAction="SUPPRESS")
    client.admin_set_user_password(UserPoolId=pool, Username=USER, Password=password, Permanent=True)
    return cloud.model_copy(update={"username": USER, "password": password})


def outputs(client: Any, stage: str) -> dict[str, str]:
    """Outputs of both stacks of a stage, by a CloudFormation client. Raises NotFoundError when it is not deployed."""
    found: dict[str, str] = {}
    for part in ("data", "service"):
        try:
            stack = client.describe_stacks(StackName=f"trefoil-{stage}-{part}")["Stacks"][0]
        except client.exceptions.ClientError as exc:
            if exc.response["Error"]["Code"] != "ValidationError":  # that is how CloudFormation says "no such stack"
                raise
            raise NotFoundError(f"stage {stage} is not deployed there") from exc
        found |= {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    return found


def _save(cloud: Cloud, home: Path) -> None:
    file = home / "cloud.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(cloud.model_dump(), indent=2))


def _network(home: Path) -> str:
    return f"trefoil-{home.stat().st_ino}"
