"""Each promise names the tests that hold it, and every one of them is run before a change is taken."""

import ast
import re

import pytest

from tests.conftest import ROOT
from tests.documents import section

TEST = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
SUITES = re.compile(r"tests/\w+")


def promises() -> dict[str, list[tuple[str, str]]]:
    rows = [row.split(" | ") for row in section("promises").splitlines()[2:]]
    return {promise.strip("| "): [(file, name) for name, file in TEST.findall(tests)] for promise, tests in rows}


@pytest.mark.parametrize("promise", promises())
def test_a_promise_is_held_by_a_test_that_is_run(promise: str) -> None:
    tests = promises()[promise]
    assert tests
    run = suites_of_ci()
    for file, name in tests:
        assert name in functions_of(file), f"{file} has no {name}"
        assert "/".join(file.split("/")[:2]) in run, f"nothing in .ci/run runs {file}"


def functions_of(file: str) -> set[str]:
    return {node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)}


def suites_of_ci() -> set[str]:
    """Folders of tests that the make targets in .ci/run name."""
    named = re.findall(r"make ([a-z ]+)", (ROOT / ".ci/run").read_text())
    targets = " ".join(named).split()
    recipes = re.findall(r"^([a-z]+):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    return {suite for target, recipe in recipes if target in targets for suite in SUITES.findall(recipe)}
