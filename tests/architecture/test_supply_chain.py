"""What is installed, on a developer's machine, in CI and into images, is what the lock files name, checked by hash."""

import json
import re
import tomllib

import pytest

from infra.local import images
from tests.conftest import ROOT

# The installer itself comes before the lock file can be read: the newest one.
BOOTSTRAP = {"Makefile": "'uv>="}


def test_every_python_package_is_locked_with_hashes() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    ours = [package for package in packages if "editable" in package["source"]]
    assert [package["name"] for package in ours] == ["trefoil"]
    for package in packages:
        if package in ours:
            continue
        assert package["source"]["registry"].startswith("https://"), package["name"]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", file["hash"]) for file in files), package["name"]


def test_every_node_package_is_locked_with_hashes() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, package in packages.items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
    for version in json.loads((ROOT / "package.json").read_text())["devDependencies"].values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def commands(path: str) -> list[str]:
    """Shell commands of a file, one a line."""
    text = (ROOT / path).read_text().replace("\\\n", " ").replace("$(UV)", "uv").replace("tool/bin/uv", "uv")
    return re.split(r"\n|&&|;", text)


@pytest.mark.parametrize("path", ["Makefile", "layers/Dockerfile", ".ci/run", ".ci/docker"])
def test_installs_take_the_lock_files_as_they_are(path: str) -> None:
    for command in commands(path):
        if re.search(r"\buv (sync|run|export)\b", command):
            assert "--frozen" in command, command
        if re.search(r"\bpip install\b", command):
            bootstrap = path in BOOTSTRAP and BOOTSTRAP[path] in command
            assert bootstrap or {"--require-hashes", "--no-deps"} <= set(command.split()), command
        if re.search(r"\bnpm (install|i|add|update)\b|\bnpx (?!cdk)", command):
            pytest.fail(f"{path} installs past the lock file: {command}")


def test_the_base_image_is_named_by_its_digest_and_the_installer_by_its_hashes() -> None:
    recipe = (ROOT / "layers/Dockerfile").read_text()
    assert re.search(
        r"^ARG BASE=public\.ecr\.aws/lambda/python:3\.13@sha256:[0-9a-f]{64}\nFROM \$\{BASE\}$", recipe, re.M
    )
    installer = (ROOT / "layers/uv.txt").read_text()
    assert re.search(r"^uv==[\d.]+ \\$", installer, re.M)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", installer)) > 1


def test_the_stand_in_for_the_base_image_has_a_name_of_its_own() -> None:
    script = (ROOT / ".ci/base-image").read_text()
    (name,) = re.findall(r"^STAND_IN=(\S+)", script, re.M)
    assert name == images.STAND_IN
    assert "amazon" not in name
    assert '--tag "$STAND_IN"' in script
    assert '--tag "$IMAGE"' not in script


def test_models_are_never_read_as_code() -> None:
    for path in [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers").rglob("*.py")]:
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (pickle|joblib|dill|marshal|shelve)\b|\b(eval|exec)\(", text, re.M), (
            path
        )
        assert all("allow_pickle=False" in call for call in re.findall(r"np\.load\(.*", text)), path
