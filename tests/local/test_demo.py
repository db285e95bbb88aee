"""The README's first command: every leaf through its trigger, and nothing left behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import ROOT


def command(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env=os.environ | {"TREFOIL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
    out, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    answer = json.loads(out)
    lines = {line["leaf"]: line for line in answer["lines"]}
    assert set(lines) == {"clustering", "forecasting", "classification"}
    assert lines["clustering"]["went_in"].startswith("20,000 rides")
    assert lines["forecasting"]["came_out"].startswith("42 days")
    assert sum(int(part.split()[0]) for part in lines["classification"]["came_out"].split(", ")) == 1_000
    assert not home.exists()
    assert left_behind(home) == []


def test_a_demo_that_is_terminated_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = command(home, "demo", "--once")
    end = time.monotonic() + 60
    while time.monotonic() < end and not (home / "cdk.log").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not home.exists()
    assert left_behind(home) == []
