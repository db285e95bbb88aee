"""Every case here says which report it is and what hurt."""

import importlib
import inspect
import re
from pathlib import Path

LINK = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+")


def test_every_case_has_a_link_and_what_hurt_in_one_line() -> None:
    modules = [path.stem for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    assert modules
    for name in modules:
        module = importlib.import_module(f"tests.threads.{name}")
        for case, function in inspect.getmembers(module, inspect.isfunction):
            if case.startswith("test_"):
                lines = (inspect.getdoc(function) or "").splitlines()
                links = [line for line in lines if LINK.fullmatch(line)]
                assert links, case
                assert lines[: len(links)] == links, case
                assert len(lines) == len(links) + 1, case
