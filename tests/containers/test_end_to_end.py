"""The main job with image packaging: the same stack, the same triggers, every function in a container."""

import json
import subprocess
import sys
from pathlib import Path

import docker

from infra.local import cloud

ROOT = Path(__file__).resolve().parents[2]


def trefoil(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "trefoil", *words],
        cwd=ROOT,
        env=cloud.environment("") | {"TREFOIL_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1200,
        check=False,
    )


def test_the_demo_runs_in_containers_and_leaves_nothing_behind(
    assembly: Path, client: docker.DockerClient, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    before = {network.id for network in client.networks.list()}
    done = trefoil(home, "demo", "--once", "--images", "--json")
    assert done.returncode == 0, done.stdout
    lines = {line["leaf"]: line for line in json.loads(done.stdout)["lines"]}
    assert set(lines) == {"clustering", "forecasting", "classification"}
    assert lines["clustering"]["went_in"].startswith("20,000 rides")
    assert lines["forecasting"]["came_out"].startswith("42 days")
    assert lines["classification"]["went_in"] == "1,000 messages"
    assert not home.exists()
    assert {network.id for network in client.networks.list()} <= before
    assert not client.containers.list(all=True, filters={"label": "ministack=lambda"})


def test_the_smoke_test_proves_the_stack_of_images(assembly: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    try:
        assert trefoil(home, "up", "--images").returncode == 0
        done = trefoil(home, "smoke", "--json")
    finally:
        trefoil(home, "down")
    assert done.returncode == 0, done.stdout
    results = {check["check"]: check["result"] for check in json.loads(done.stdout)["checks"]}
    assert {name for name, result in results.items() if result != "ok"} == {"starts"}
