"""The README's walk-through, typed word for word into a shell, on a local cloud of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import section

PATIENCE = 120


def steps() -> list[tuple[str, list[str]]]:
    """Commands with the lines that the README says they print."""
    found: list[tuple[str, list[str]]] = []
    for line in section("walk-through").splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif not line.startswith("```"):
            found[-1][1].append(line)
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TREFOIL_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = kept | {"PATH": path, "TREFOIL_HOME": str(tmp_path / "home"), "COLUMNS": "100"}
    yield variables
    subprocess.run(["trefoil", "down"], env=variables, cwd=tmp_path, check=False, capture_output=True, timeout=120)


def typed(command: str, shell: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command], env=shell, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def missing(lines: list[str], said: str) -> list[str]:
    """Lines that were not said; `...` stands for anything."""
    pattern = {line: ".*".join(map(re.escape, line.split("..."))) for line in lines}
    return [line for line in lines if not re.search(f"^{pattern[line]}$", said, re.M)]


def test_the_walk_through_goes_as_the_readme_says(shell: dict[str, str], tmp_path: Path) -> None:
    for command, lines in steps():
        said, end = typed(command, shell, tmp_path), time.monotonic() + PATIENCE
        while missing(lines, said) and "trefoil status" in command and time.monotonic() < end:
            time.sleep(1)  # messages are still on their way
            said = typed(command, shell, tmp_path)
        assert not missing(lines, said), f"$ {command}\n{said}"
    assert not (tmp_path / "home").exists()
