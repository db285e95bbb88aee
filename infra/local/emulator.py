"""What the emulator is started with, and what those who talk to it are."""

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parents[2]
ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"

Packaging = Literal["source", "image"]


def machine_architecture() -> str:
    """Lambda's name of this machine's processor; an image for another one would need emulation."""
    return "arm64" if platform.machine().lower() in {"aarch64", "arm64"} else "x86_64"


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
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TREFOIL_DEPLOY_STAGE": "local",
        "TREFOIL_DEPLOY_PACKAGING": packaging,
        "TREFOIL_DEPLOY_ARCHITECTURE": machine_architecture(),
        "TREFOIL_DEPLOY_SCORE_WINDOW_S": "1",
        "TREFOIL_DEPLOY_USER_POOL_ENDPOINT": endpoint,
    }


def settings(host: str, port: int, home: Path) -> dict[str, str]:
    """Where it listens and keeps its data."""
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


def enforcement(host: str, home: Path, network: Mapping[str, str]) -> dict[str, str]:
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


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
