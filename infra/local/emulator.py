"""What the emulator is started with, and what those who talk to it are."""

import os
import platform
import socket
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
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TREFOIL_", "CDK_"))}
    inherited |= {k: os.environ[k] for k in ("AWS_CA_BUNDLE",) if k in os.environ}
    return inherited | {
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


def settings(home: Path, network: Mapping[str, str]) -> dict[str, str]:
    """Where it listens, on a port that nobody does, and keeps its data; `network` is that of image functions."""
    for folder in ("objects", "state", "tmp"):
        (home / folder).mkdir()
    host = network.get("BIND_HOST", "127.0.0.1")
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
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
        **network,
    }


def endpoint(settings: Mapping[str, str]) -> str:
    """Address of an emulator with these settings."""
    scheme = "https" if "USE_SSL" in settings else "http"
    return f"{scheme}://{settings['BIND_HOST']}:{settings['GATEWAY_PORT']}"
