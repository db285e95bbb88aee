"""The local cloud: an AWS emulator on loopback, and this very stack deployed to it."""

import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import boto3
import botocore.session
from pydantic import BaseModel

from infra.local import images, processes
from layers.runtime.errors import ConflictError, NotFoundError, TrefoilError, UnavailableError

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = Path(os.environ.get("TREFOIL_HOME", ROOT / ".trefoil"))
REGION: Final = "us-east-1"
USER: Final = "planner"

Packaging = Literal["source", "image"]
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
                _deploy(cloud, home)
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
        images.remove_network(_network(home))
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


def environment(endpoint: str, packaging: Packaging = "source") -> dict[str, str]:
    """Environment of a child process that must see this cloud and never a real account."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TREFOIL_", "CDK_"))}
    kept |= {k: os.environ[k] for k in ("AWS_CA_BUNDLE",) if k in os.environ}
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "CDK_DEFAULT_ACCOUNT": images.ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TREFOIL_DEPLOY_STAGE": "local",
        "TREFOIL_DEPLOY_PACKAGING": packaging,
        "TREFOIL_DEPLOY_ARCHITECTURE": images.machine_architecture(),
        "TREFOIL_DEPLOY_SCORE_WINDOW_S": "1",
        "TREFOIL_DEPLOY_USER_POOL_ENDPOINT": endpoint,
    }


def _start(packaging: Packaging, home: Path, enforce: bool) -> Cloud:
    network = images.network_environment(_network(home)) if packaging == "image" else {}
    host = network.get("BIND_HOST", "127.0.0.1")
    port = _free_port(host)
    if enforce:
        network |= _enforcement(host, home, network)
    authority = network.get("MINISTACK_SSL_CERT", "")
    endpoint = f"http{'s' if enforce else ''}://{host}:{port}"
    variables = environment(endpoint) | _emulator_environment(host, port, home) | network
    pid = 0
    try:
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
            images.remove_network(_network(home))
        raise


def _emulator_environment(host: str, port: int, home: Path) -> dict[str, str]:
    for folder in ("objects", "state", "tmp"):
        (home / folder).mkdir()
    return {
        "BIND_HOST": host,
        "GATEWAY_PORT": str(port),
        # In a browser <api>.execute-api.localhost is this machine; functions in containers need the address itself.
        "MINISTACK_HOST": "localhost" if host == "127.0.0.1" else host,
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "S3_PERSIST": "1",  # Athena reads the objects from disk
        "S3_DATA_DIR": str(home / "objects"),
        "ATHENA_DATA_DIR": str(home / "objects"),
        "STATE_DIR": str(home / "state"),
        "TMPDIR": str(home / "tmp"),
        "OMP_NUM_THREADS": "1",
    }


def _enforcement(host: str, home: Path, network: Mapping[str, str]) -> dict[str, str]:
    """IAM enforced, over TLS, without which the policies of buckets and queues refuse every call.

    Where it runs in a container itself, the emulator copies its certificate into those of the functions, so these are
    not read-only; and it lets root alone read the bundle that it makes.
    """
    key, certificate = str(home / "server.key"), str(home / "server.crt")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=trefoil"]
    command += ["-addext", f"subjectAltName=IP:{host}", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    flags = network["LAMBDA_DOCKER_FLAGS"].replace("--read-only ", "")
    return {
        "AUTH": "true",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": certificate,
        "MINISTACK_SSL_KEY": key,
        "LAMBDA_DOCKER_FLAGS": f"{flags} --env AWS_CA_BUNDLE=/var/ministack/ministack-ca.pem",
    }


def _deploy(cloud: Cloud, home: Path) -> None:
    assembly = home / "cdk.out"
    env = environment(cloud.endpoint, cloud.packaging)
    if cloud.authority:
        env["AWS_CA_BUNDLE"] = cloud.authority
    _cdk(["synth", "--quiet", "--output", str(assembly)], env, home)
    if cloud.packaging == "image":
        images.build_images(assembly)
    _cdk(["bootstrap", "--app", str(assembly), f"aws://{images.ACCOUNT}/{REGION}"], env, home)
    if cloud.authority:
        # The emulator does not tell that the repository which CDK asks for is the one that this role is for.
        publisher = f"cdk-hnb659fds-image-publishing-role-{images.ACCOUNT}-{REGION}"
        everything = "arn:aws:iam::aws:policy/AdministratorAccess"
        cloud.client("iam").attach_role_policy(RoleName=publisher, PolicyArn=everything)
    parameters = ["--parameters", f"trefoil-{cloud.stage}-service:SavedQuery=no"]
    _cdk(["deploy", "--all", "--app", str(assembly), "--require-approval", "never", *parameters], env, home)
    _save_query(cloud, assembly)


def _save_query(cloud: Cloud, assembly: Path) -> None:
    """Make by API what the emulator's CloudFormation cannot: the warehouse's saved query, as the template has it."""
    template = json.loads((assembly / f"trefoil-{cloud.stage}-service.template.json").read_text())
    client: Any = cloud.client("athena")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Athena::NamedQuery":
            client.create_named_query(**resource["Properties"])


def _cdk(arguments: list[str], env: Mapping[str, str], home: Path) -> None:
    command = ROOT / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise TrefoilError("the CDK command line is not installed; `make setup` installs it")
    process = processes.spawn([str(command), *arguments], env, cwd=ROOT, log=home / "cdk.log")
    try:
        status = process.wait()
    except BaseException:
        processes.end(process.pid)
        raise
    if status:
        tail = (home / "cdk.log").read_text()[-4000:]
        raise TrefoilError(f"cdk {arguments[0]} ended with status {status}: {tail}")


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


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
