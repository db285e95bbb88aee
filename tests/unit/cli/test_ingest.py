"""`trefoil ingest`: what is refused before it lies in the lake."""

from pathlib import Path
from typing import Any

import pytest

from cli import console, ingest
from cli.main import app
from layers.runtime.errors import InputError
from tests.unit.cli.stack import fake_stack


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = fake_stack()
    monkeypatch.setattr(ingest, "change", lambda *_, **__: made)
    made.lake.upload = lambda file, key: made.lake.put(key, file.read_bytes())
    return made


def test_a_kind_of_file_that_is_not_brought_in_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["trefoil", "ingest", "rides.csv", "--as", "rides"])
    assert console.run(app) == 2
    refused = "trefoil: Invalid value for '--as': 'rides' is not one of 'sales', 'customers', 'events'.\n"
    assert capsys.readouterr().err == refused


@pytest.mark.parametrize(("environment", "lacks"), [({}, "y"), ({"TREFOIL_TARGET": "left?"}, "left?")])
def test_customers_without_what_is_predicted_are_refused(
    stack: Any, tmp_path: Path, environment: dict[str, str], lacks: str
) -> None:
    stack.client("lambda").environment = environment
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"age;{lacks}\n1;no\n")
    bad.write_text("age;other\n1;no\n")
    with pytest.raises(InputError) as refused:
        ingest.ingest([good, bad], what="customers")
    assert (refused.value.file, refused.value.field) == (str(bad), lacks)
    assert "setting target" in str(refused.value)
    assert "the file has age, other" in str(refused.value)
    assert not list(stack.lake.list("customers/"))
    ingest.ingest([good], what="customers")
    assert [info.key for info in stack.lake.list("customers/")] == ["customers/good.csv"]
