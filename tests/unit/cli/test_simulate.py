"""`trefoil simulate`: seeded sample data of every leaf, in the columns its commands read."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli import console
from cli.main import app


def simulate(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["trefoil", "simulate", *arguments])
    return console.run(app)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("rides", {"ride_id", "ride_dist", "ride_time", "kind"}),
        ("sales", {"series_id", "ds", "y"}),
        ("customers", {"age", "job", "y"}),
    ],
)
def test_the_same_seed_gives_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str, columns: set[str]
) -> None:
    found = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / f"{name}.parquet"
        assert simulate(monkeypatch, kind, "--out", str(out), "--rows", "3000", "--seed", seed, "--json") == 0
        found.append(pq.read_table(out))
        assert json.loads(capsys.readouterr().out)["rows"] == found[-1].num_rows
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert columns <= set(found[0].column_names)
    assert found[0].num_rows == pytest.approx(3_000, rel=0.2)


@pytest.mark.parametrize("arguments", [("rides", "--out", "x.txt"), ("boats", "--out", "x.csv"), ("rides",)])
def test_what_it_cannot_do_exits_2(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    assert simulate(monkeypatch, *arguments) == 2


def test_simulated_rides_have_the_books_kinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    simulate(monkeypatch, "rides", "--out", str(out), "--rows", "4000")
    table = pq.read_table(out)
    kinds = table["kind"].value_counts().to_pylist()
    assert {k["values"]: k["counts"] for k in kinds} == {"normal": 3_700, "long": 100, "fast": 100, "slow": 100}
    assert len(set(table["ride_id"].to_pylist())) == 4_000
    assert min(table["ride_time"].to_pylist()) > 0
