"""`trefoil anomalies` in this process, and rides to run it on."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import console
from cli.main import app
from functions.clustering import simulate


class Command:
    """Runs `trefoil anomalies` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
        self._capsys, self._monkeypatch, self.out = capsys, monkeypatch, out

    def __call__(self, *arguments: Any) -> tuple[int, str]:
        words = ["trefoil", "anomalies", *map(str, arguments), "--out", str(self.out)]
        self._monkeypatch.setattr(sys, "argv", words)
        status = console.run(app)
        printed = self._capsys.readouterr()
        return status, printed.out + printed.err

    def table(self, name: str = "anomalies") -> pa.Table:
        return pq.read_table(self.out / f"{name}.parquet")

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "summary.json").read_text())
        return found


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return Command(capsys, monkeypatch, tmp_path / "out")


@pytest.fixture
def rides(tmp_path: Path) -> Path:
    path = tmp_path / "rides.parquet"
    pq.write_table(simulate.rides(3_000, 1), path)
    return path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
