import json
import os
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from cli import console
from cli.main import app
from functions.forecasting import files
from tests.unit.forecasting.house import made, written

REAL = Path(os.environ.get("TREFOIL_REAL_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "sales"


@pytest.fixture
def trefoil(monkeypatch, capsys):
    def run(*arguments):
        words = ["forecast", *map(str, arguments), "--engine", "threads", "--json"]
        monkeypatch.setattr("sys.argv", ["trefoil", *words])
        status = console.run(lambda **options: app(words, **options))
        return status, json.loads(capsys.readouterr().out)

    return run


def test_forecasts_rejections_summary_and_picture_are_written(trefoil, tmp_path):
    file, out = tmp_path / "sales.csv", tmp_path / "out"
    file.write_bytes(written(made(150, name="a"), made(150, name="b", seed=1)) + b"a,never,1,1,0\n")
    status, answer = trefoil(file, "--out", out, "--horizon", 14, "--backtest", 21)
    assert status == 0
    assert (answer["rejected"], answer["overall"]["series"]) == (1, 2)
    table = parquet.read_table(out / "forecasts.parquet")
    assert table.column_names == ["series_id", "ds", "yhat", "lower", "upper"]
    assert table.num_rows == 2 * (14 + 21)
    assert parquet.read_table(out / "rejected.parquet").to_pylist()[0]["row"] == 300
    summary = json.loads((out / "summary.json").read_text())
    assert summary["series"]["a"]["backtest"]["end"] == "2023-05-31"
    assert (out / "plot.png").stat().st_size > 10_000


def test_a_task_and_its_result_travel_to_another_process_unchanged():
    task = files.Task(made(90, name="a"), 7, 0.95, 14, datetime(2026, 1, 1, tzinfo=UTC))
    here, there = files.forecast_one(task), files.forecast_one(pickle.loads(pickle.dumps(task)))
    assert pickle.loads(pickle.dumps(there)).trained == here.trained
    assert there.forecast.yhat.tolist() == here.forecast.yhat.tolist()


def test_one_series_can_be_chosen_and_an_unknown_one_is_the_users_mistake(trefoil, tmp_path):
    file = tmp_path / "sales.csv"
    file.write_bytes(written(made(60, name="a"), made(60, name="b")))
    assert list(trefoil(file, "--out", tmp_path / "out", "--series", "b")[1]["series"]) == ["b"]
    status, answer = trefoil(file, "--out", tmp_path / "out", "--series", "zzz")
    assert status == 2
    assert "zzz" in answer["error"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"ds,sales\n2024-01-01,1\n", "y"),
        (b"ds,y\n2024-01-01,lots\n", "row 0"),
        (b"ds,y\n2024-01-01,1\n2024-01-01,2\n", "is a series_id missing?"),
        (b"ds,y\n2024-01-01,\n", "empty on every day"),
    ],
)
def test_a_useless_file_is_the_users_mistake_in_one_line_that_names_it(trefoil, tmp_path, body, told):
    file = tmp_path / "sales.csv"
    file.write_bytes(body)
    status, answer = trefoil(file, "--out", tmp_path / "out")
    assert status == 2
    assert told in answer["error"]
    assert "sales.csv" in answer["error"]
    assert not (tmp_path / "out").exists()


def test_real_series_of_the_nn5_competition(trefoil, tmp_path):
    file = REAL / "nn5_daily.csv.gz"
    if not file.exists():
        pytest.skip("the real data is not here; TREFOIL_REAL_DATA says where it is")
    chosen = [word for i in (1, 3, 40) for word in ("--series", f"NN5-{i:03}")]
    status, answer = trefoil(file, "--out", tmp_path / "out", "--horizon", 56, "--backtest", 56, *chosen)
    assert status == 0
    assert len(answer["series"]) == 3
    assert answer["overall"]["wape"] < 0.3
