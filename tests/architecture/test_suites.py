"""A suite stands by itself: what two of them need is a module of `tests`, and what is private is reached by nobody."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT


def imports() -> Iterator[tuple[Path, str, str]]:
    """File, module and name of everything that a test imports by name."""
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield from ((file, str(node.module), one.name) for one in node.names)


def suite(path: Path) -> tuple[str, ...]:
    """The folder of `tests` that a file or a folder lies in, of unit tests the one below it; none is for all."""
    folder = path if path.is_dir() else path.parent
    parts = folder.relative_to(ROOT / "tests").parts
    return parts[:2] if parts[:1] == ("unit",) else parts[:1]


def test_a_suite_imports_no_other_one_and_no_file_of_tests() -> None:
    for file, module, name in imports():
        if module.startswith("tests."):
            source = ROOT / module.replace(".", "/")
            assert suite(source) in ((), suite(file)), f"{file} imports {name} of another suite: {module}"
            assert not source.name.startswith("test_"), f"{file} imports {name} of a file of tests: {module}"


def test_no_test_imports_what_is_private() -> None:
    for file, module, name in imports():
        assert not name.startswith("_"), f"{file} imports {name} of {module}"
