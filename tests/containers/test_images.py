"""Every function starts and answers in the sandbox that Lambda gives it."""

import re
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from infra.local import images
from infra.local.cloud import Cloud
from tests.containers.conftest import ImageFunction, Sandbox

HANDLERS = [
    *(f"functions.clustering.handler.{entry}" for entry in ("fit", "label", "publish")),
    *(f"functions.forecasting.handler.{entry}" for entry in ("api", "ingest", "plan", "train", "publish")),
    "functions.console.handler.api",
    *(f"functions.classification.handler.{entry}" for entry in ("score", "watch")),
    "functions.classification.handler.train",
    "examples.reminders.handler.remind",
]
GROUPS = {
    "clustering": "functions.clustering.handler.fit",
    "forecasting": "functions.forecasting.handler.api",
    "console": "functions.console.handler.api",
    "classification": "functions.classification.handler.score",
    "classification-training": "functions.classification.handler.train",
}
ROOT = Path(__file__).resolve().parents[2]
BASE = re.search(r"^ARG BASE=(.*)$", (ROOT / "layers/Dockerfile").read_text(), re.MULTILINE)[1]

Start = Callable[[ImageFunction], Sandbox]


def test_the_stack_has_these_functions_and_no_other(functions: dict[str, ImageFunction]) -> None:
    assert sorted(functions) == sorted(HANDLERS)


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_starts_and_reaches_its_own_code(
    functions: dict[str, ImageFunction], start: Start, handler: str
) -> None:
    answer = start(functions[handler]).invoke({})
    error = answer.get("errorType", "") if isinstance(answer, dict) else ""
    assert not error.startswith("Runtime."), answer  # the runtime's own errors: no such module, no such handler
    assert error not in {"ImportError", "ModuleNotFoundError", "PermissionError", "OSError", "NoRegionError"}, answer


def test_the_api_answers_its_health_check(functions: dict[str, ImageFunction], start: Start) -> None:
    answer = start(functions["functions.forecasting.handler.api"]).invoke(
        {
            "version": "2.0",
            "routeKey": "GET /healthz",
            "rawPath": "/healthz",
            "rawQueryString": "",
            "headers": {"host": "localhost"},
            "requestContext": {
                "http": {"method": "GET", "path": "/healthz", "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"},
                "stage": "$default",
            },
            "isBase64Encoded": False,
        }
    )
    assert answer.get("statusCode") == 200, answer


def test_nothing_but_the_emulator_can_be_reached(
    functions: dict[str, ImageFunction], start: Start, emulator: Cloud
) -> None:
    sandbox = start(functions["functions.clustering.handler.fit"])
    host, _, port = emulator.endpoint.removeprefix("http://").partition(":")
    reach = "import socket; s = socket.socket(); s.settimeout(2); print(s.connect_ex(({!r}, {})))"
    assert sandbox.run(reach.format(host, port)) == "0"
    assert sandbox.run(reach.format("192.0.2.1", 443)) != "0"


LACKING = ("find", "xargs", "perl", "tar", "gzip", "which", "apt-get", "dpkg", "gcc", "make")


def test_what_aws_leaves_out_of_its_image_is_not_leant_on(functions: dict[str, ImageFunction], start: Start) -> None:
    """The stand-in lacks these too, so a step of the recipe that needs one fails here and not at a user's."""
    sandbox = start(functions["functions.clustering.handler.fit"])
    assert sandbox.run(f"import shutil; print([c for c in {LACKING!r} if shutil.which(c)])") == "[]"


@pytest.mark.parametrize("group", ["clustering", "forecasting", "classification-training"])
def test_python_and_arrow_know_time_zones(functions: dict[str, ImageFunction], start: Start, group: str) -> None:
    zones = """
import datetime, zoneinfo, pyarrow.compute as pc
zone = zoneinfo.ZoneInfo("Europe/Berlin")
noon = datetime.datetime(2024, 7, 1, 12)
print(noon.replace(tzinfo=zone).utcoffset(), pc.assume_timezone(noon, str(zone)))
"""
    assert start(functions[GROUPS[group]]).run(zones) == "2:00:00 2024-07-01 12:00:00+02:00"


def test_all_bytecode_is_compiled_in_the_image(functions: dict[str, ImageFunction], start: Start) -> None:
    sandbox = start(functions["functions.forecasting.handler.api"])
    count = """
import importlib.util, pathlib
sources = [source for folder in ("functions", "layers", "boto3") for source in pathlib.Path(folder).rglob("*.py")]
print(sum(not pathlib.Path(importlib.util.cache_from_source(str(s))).exists() for s in sources), len(sources) > 20)
"""
    assert sandbox.run(count) == "0 True"


@pytest.mark.parametrize(
    ("handler", "absent"),
    [
        ("functions.classification.handler.score", "sklearn pandas pyarrow scipy matplotlib lightgbm onnx"),
        ("functions.forecasting.handler.api", "matplotlib sklearn scipy.stats"),
        ("functions.clustering.handler.fit", "pandas prophet fastapi"),
        ("functions.classification.handler.train", "prophet fastapi"),
        ("functions.console.handler.api", "numpy pyarrow onnxruntime pandas"),
    ],
)
def test_an_image_holds_its_own_dependencies_only(
    functions: dict[str, ImageFunction], start: Start, handler: str, absent: str
) -> None:
    look = f"import importlib.util as u; print([m for m in {absent.split()!r} if u.find_spec(m)])"
    assert start(functions[handler]).run(look) == "[]"


def test_an_image_holds_the_code_of_its_own_leaf_only(functions: dict[str, ImageFunction], start: Start) -> None:
    sandbox = start(functions["functions.clustering.handler.fit"])
    assert (
        sandbox.run("import os; print(sorted(os.listdir('functions')))")
        == "['__init__.py', '__pycache__', 'clustering']"
    )
    assert sandbox.run("import os; print([d for d in ('cli', 'infra', 'tests') if os.path.exists(d)])") == "[]"


def test_the_readme_tells_the_size_of_each_image(
    functions: dict[str, ImageFunction], client: docker.DockerClient
) -> None:
    readme = (ROOT / "layers/README.md").read_text()
    base = client.images.get(images.STAND_IN if images.base_argument(client) else BASE).attrs["Size"]
    told = {row[0]: int(row[1]) for row in re.findall(r"^\| ([a-z-]+) \| [a-z, ]+ \| (\d+) \|$", readme, re.MULTILINE)}
    assert set(told) == set(GROUPS)
    for group, handler in GROUPS.items():
        added = (client.images.get(functions[handler].image).attrs["Size"] - base) / 1e6
        assert told[group] == pytest.approx(added, rel=0.1), group
