"""The local cloud: an AWS emulator on loopback, and this very stack deployed to it."""

import os
import secrets
import shutil
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
from pydantic import BaseModel, ValidationError

from infra.local import emulator, processes
from infra.local.deployment import deploy_stacks
from infra.local.emulator import REGION, ROOT, Packaging, environment
from layers.runtime.errors import ConflictError, NotFoundError, UnavailableError

HOME: Final = Path(os.environ.get("TREFOIL_HOME", ROOT / ".trefoil"))
USER: Final = "planner"

Say = Callable[[str], None]


class Cloud(BaseModel):
    """A local cloud, as `<home>/cloud.json` describes it to later commands; `pid` is 0 until its emulator runs."""

    endpoint: str
    pid: int
    packaging: Packaging
    stage: str = "local"
    username: str = ""
    password: str = ""

    def session(self) -> Any:
        """A session whose keys mean nothing on AWS."""
        return boto3.Session("test", "test", region_name=REGION)

    def client(self, service: str) -> Any:
        """A boto3 client of this cloud."""
        return self.session().client(service, endpoint_url=self.endpoint)

    def alive(self) -> bool:
        """Whether the emulator answers."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def find(home: Path = HOME) -> Cloud | None:
    """The local cloud that runs now, or None."""
    cloud = _load(home)
    return cloud if cloud and cloud.alive() else None


def up(say: Say, *, packaging: Packaging = "source", home: Path = HOME, deploy: bool = True) -> Cloud:
    """Start the emulator and deploy the stacks to it; what fails half-way is taken down again."""
    if find(home):
        raise ConflictError("the local cloud runs already; `trefoil down` stops it")
    down(home)
    home.mkdir(parents=True)
    with processes.interruptible():
        try:
            say("starting the emulator")
            cloud = _start(packaging, home)
            if deploy:
                say("deploying the stacks with cdk deploy --all")
                deploy_stacks(cloud.endpoint, packaging, home)
                cloud = _make_user(cloud)
                _save(cloud, home)
        except BaseException:
            down(home)
            raise
    return cloud


def down(home: Path = HOME) -> bool:
    """Stop the emulator with all it started and remove its files; says whether there was anything to stop."""
    if cloud := _load(home):
        if processes.runs(cloud.pid, "ministack"):
            processes.end(cloud.pid)
        if cloud.packaging == "image":
            from infra.local import images  # with Docker's library, which only images need

            images.remove_network(_network(home))
    shutil.rmtree(home, ignore_errors=True)
    return cloud is not None


@contextmanager
def running(say: Say, *, packaging: Packaging = "source", home: Path = HOME, deploy: bool = True) -> Iterator[Cloud]:
    """A local cloud for the length of a block; gone afterwards, whatever happened in it, SIGTERM included."""
    with processes.interruptible():
        try:
            yield up(say, packaging=packaging, home=home, deploy=deploy)
        finally:
            for sign in processes.INTERRUPTS:  # a second one must not leave half of it behind
                signal.signal(sign, signal.SIG_IGN)
            down(home)


def _start(packaging: Packaging, home: Path) -> Cloud:
    cloud = Cloud(endpoint="http://127.0.0.1", pid=0, packaging=packaging)
    _save(cloud, home)  # first, so that `down` finds the network
    network = {}
    if packaging == "image":
        from infra.local import images

        network = images.network_environment(_network(home))
    variables = emulator.settings(home, network)
    cloud = cloud.model_copy(update={"endpoint": emulator.endpoint(variables)})
    command = [sys.executable, "-m", "ministack"]
    process = processes.spawn(command, environment(cloud.endpoint) | variables, cwd=home, log=home / "emulator.log")
    try:
        cloud = cloud.model_copy(update={"pid": process.pid})
        _save(cloud, home)
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            if cloud.alive():
                return cloud
            time.sleep(0.1)
        raise UnavailableError(f"the emulator did not start: {(home / 'emulator.log').read_text()[-2000:]}")
    except BaseException:
        processes.end(process.pid)
        raise


def _make_user(cloud: Cloud) -> Cloud:
    client = cloud.client("cognito-idp")
    pool = outputs(cloud.client("cloudformation"), cloud.stage)["UserPool"]
    password = f"{secrets.token_urlsafe(12)}-aA1"
    client.admin_create_user(UserPoolId=pool, Username=USER, MessageAction="SUPPRESS")
    client.admin_set_user_password(UserPoolId=pool, Username=USER, Password=password, Permanent=True)
    return cloud.model_copy(update={"username": USER, "password": password})


def outputs(client: Any, stage: str) -> dict[str, str]:
    """Outputs of both stacks of a stage, by a CloudFormation client. Raises NotFoundError when it is not deployed."""
    values: dict[str, str] = {}
    for part in ("data", "service"):
        try:
            stack = client.describe_stacks(StackName=f"trefoil-{stage}-{part}")["Stacks"][0]
        except client.exceptions.ClientError as exc:
            if exc.response["Error"]["Code"] != "ValidationError":  # that is how CloudFormation says "no such stack"
                raise
            raise NotFoundError(f"stage {stage} is not deployed there") from exc
        values |= {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    return values


def _load(home: Path) -> Cloud | None:
    try:
        return Cloud.model_validate_json((home / "cloud.json").read_text())
    except (FileNotFoundError, ValidationError):
        return None


def _save(cloud: Cloud, home: Path) -> None:
    file = home / "cloud.json"
    file.touch(mode=0o600)
    file.write_text(cloud.model_dump_json(indent=2))


def _network(home: Path) -> str:
    return f"trefoil-{home.stat().st_ino}"
