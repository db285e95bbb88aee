"""The wheel, in an environment of its own that holds what the commands on files need and nothing more.

Everything is taken from the installer's cache, which `make setup` filled: nothing is downloaded.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

UV = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
NOT_INSTALLED = ("aws_cdk", "boto3", "docker", "duckdb", "fastapi", "ministack", "playwright", "pytest", "ray")


def run(*command: str | Path, cwd: Path = ROOT, code: int = 0, **variables: str) -> str:
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")  # the last compiles scipy for each command
    environment = {k: v for k, v in os.environ.items() if k not in left_out} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `trefoil` script of a fresh environment."""
    folder = tmp_path_factory.mktemp("tool")
    venv = folder / "venv"
    run(UV, "build", "--wheel", "--offline", "--out-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("trefoil-*.whl")
    # By the lock file: a resolver would ask an index, which no cache need hold.
    locked = ("--frozen", "--offline", "--no-default-groups", "--no-install-project", "--python", sys.executable)
    run(UV, "sync", *locked, UV_PROJECT_ENVIRONMENT=str(venv))
    run(UV, "pip", "install", "--offline", "--no-deps", "--python", venv / "bin/python", wheel)
    return venv / "bin/trefoil"


def test_a_file_is_answered_without_anything_of_the_cloud(tool: Path, tmp_path: Path) -> None:
    look = f"import importlib.util as u; print([m for m in {NOT_INSTALLED!r} if u.find_spec(m)])"
    assert run(tool.with_name("python"), "-c", look, cwd=tmp_path) == "[]\n"
    run(tool, "simulate", "rides", "--rows", "2000", "--out", "rides.csv", cwd=tmp_path)
    assert json.loads(run(tool, "anomalies", "rides.csv", "--out", "out", "--json", cwd=tmp_path))["anomalies"] > 0
    run(tool, "simulate", "sales", "--rows", "1500", "--out", "sales.csv", cwd=tmp_path)
    forecast = json.loads(run(tool, "forecast", "sales.csv", "--out", "forecast", "--json", cwd=tmp_path))
    assert forecast["overall"]["series"] > 0
    run(tool, "simulate", "customers", "--rows", "600", "--out", "customers.csv", cwd=tmp_path)
    train = ("classifier", "train", "customers.csv", "--target", "y", "--out", "model", "--iterations", "1", "--json")
    assert json.loads(run(tool, *train, cwd=tmp_path))
    run(tool, "classifier", "score", "model", "customers.csv", "--out", "scored.csv", cwd=tmp_path)
    assert (tmp_path / "scored.csv").read_text().count("\n") == 601


def test_a_command_on_a_stack_says_what_to_install(tool: Path, tmp_path: Path) -> None:
    told = run(tool, "status", cwd=tmp_path, code=2)
    assert "boto3 is not installed; install trefoil[deploy]" in told
    assert "anomalies" in run(tool, "--help", cwd=tmp_path)


def test_it_tells_its_version(tool: Path, tmp_path: Path) -> None:
    assert run(tool, "--version", cwd=tmp_path).startswith("trefoil 0.")


def test_the_commands_import_neither_boto3_nor_docker_until_one_needs_them(tool: Path) -> None:
    code = "import sys, cli.main; print([m for m in ('boto3', 'docker', 'pandas', 'numpy') if m in sys.modules])"
    shown: Any = run(ROOT / ".venv/bin/python", "-c", code)
    assert shown == "[]\n"
