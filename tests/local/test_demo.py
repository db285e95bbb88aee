"""The README's first command: every leaf through its trigger, and nothing left behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.local import cloud as local
from infra.local import deployment
from layers.runtime.errors import TrefoilError
from tests.conftest import ROOT


def command(home: Path, *arguments: str) -> subprocess.Popen[str]:
    # A shell's background job ignores Ctrl-C, and its children would too.
    standing = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            cwd=ROOT,
            env=os.environ | {"TREFOIL_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, standing)


def left_behind(home: Path) -> list[int]:
    """Processes that name `home` still, ten seconds after what started them has ended: a killed one takes a moment."""
    end = time.monotonic() + 10
    while (found := _naming(home)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def _naming(home: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            text = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(home) in part for part in text):
            found.append(process.pid)
    return found


def test_the_demo_runs_all_three_leaves_and_takes_everything_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = command(home, "demo", "--once", "--json")
    out, said = process.communicate(timeout=1000)
    assert process.returncode == 0, said
    answer = json.loads(out)
    lines = {line["leaf"]: line for line in answer["lines"]}
    assert set(lines) == {"clustering", "forecasting", "classification"}
    assert lines["clustering"]["went_in"].startswith("20,000 rides")
    assert lines["forecasting"]["came_out"].startswith("42 days")
    assert sum(int(part.split()[0]) for part in lines["classification"]["came_out"].split(", ")) == 1_000
    assert not home.exists()
    assert left_behind(home) == []


@pytest.mark.parametrize(
    ("verb", "moment", "sign"),
    [
        (("demo", "--once"), "cloud.json", signal.SIGTERM),
        (("demo", "--once"), "cdk.log", signal.SIGINT),
        (("demo", "--once"), "cdk.out/manifest.json", signal.SIGTERM),
        (("up",), "cloud.json", signal.SIGINT),
        (("up",), "cdk.log", signal.SIGTERM),
        (("up",), "cdk.out/manifest.json", signal.SIGINT),
    ],
)
def test_an_interrupt_at_any_moment_leaves_nothing_behind(
    verb: tuple[str, ...], moment: str, sign: signal.Signals, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    process = command(home, *verb)
    end = time.monotonic() + 400
    while time.monotonic() < end and not (home / moment).exists():
        time.sleep(0.02)
    process.send_signal(sign)
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert not home.exists()
    assert left_behind(home) == []


def test_a_deployment_that_does_not_end_is_given_up_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "node_modules/.bin/cdk"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\necho waiting\nexec tail -f {tmp_path}/cdk.log\n")
    command.chmod(0o700)
    monkeypatch.setattr(deployment, "ROOT", tmp_path)
    monkeypatch.setattr(deployment, "PATIENCE", 1)
    with pytest.raises(TrefoilError, match="cdk synth did not end: waiting"):
        deployment.deploy_stacks("http://127.0.0.1:1", "source", tmp_path)
    assert left_behind(tmp_path) == []


def test_a_process_that_only_has_the_number_of_the_emulator_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        cloud = local.Cloud(endpoint="http://127.0.0.1:1", pid=other.pid, packaging="source")
        (home / "cloud.json").write_text(cloud.model_dump_json())
        local.down(home)
        assert other.poll() is None
        other.kill()
    assert not home.exists()
