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
from tests.forecasting import made, written

REAL = Path(os.environ.get("TREFOIL_REAL_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "sales"


def test_forecasts_rejections_summary_and_picture_are_written(trefoil, tmp_path):
    file, out = tmp_path / "sales.csv", tmp_path / "out"
    file.write_bytes(written(made(150, name="a"), made(150, name="b", seed=1)) + b"a,never,1,1,0\n")
    status, answer = trefoil(file, "--out", out, "--horizon", 14, "--backtest", 21)
    assert status == 0
    assert (answer["rejected"], answer["overall"]["series"]) == (1, 2)
    assert [(reason[:20], rows) for reason, rows in answer["rejected_for"].items()] == [("ds is not a date lik", 1)]
    table = parquet.read_table(out / "forecasts.parquet")
    assert table.column_names == ["series_id", "ds", "yhat", "lower", "upper"]
    assert table.num_rows == 2 * (14 + 21)
    assert parquet.read_table(out / "rejected.parquet").to_pylist()[0]["row"] == 300
    summary = json.loads((out / "summary.json").read_text())
    assert summary["series"]["a"]["backtest"]["end"] == "2023-05-31"
    assert (out / "plot.png").stat().st_size > 10_000


def test_what_was_understood_of_a_file_is_in_the_summary_and_on_stderr(trefoil, tmp_path):
    file, out = tmp_path / "sales.csv", tmp_path / "out"
    days = [f"{i % 12 + 1:02}/{i // 12 + 1:02}/2023" for i in range(120)]
    file.write_text("ds;y;when\n" + "".join(f"{ds};{i + 1},5;noon\n" for i, ds in enumerate(days)))
    status, answer = trefoil(file, "--out", out)
    assert status == 2
    assert all(word in answer["error"] for word in ("sales.csv", "ds", "--dates day-first", "--dates month-first"))
    assert trefoil(file, "--out", out, "--dates", "day-first")[0] == 0
    understood = json.loads((out / "summary.json").read_text())["understood"]
    assert (understood["delimiter"], understood["decimal"], understood["dates"]) == (
        ";",
        {"y": ","},
        {"ds": "day-first"},
    )
    assert "sales.csv: CSV with semicolons, utf-8, decimal , in y, dates day-first in ds" in trefoil.stderr


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
        (b"ds,sales\n2024-01-01,1\n", "name it by --column y=NAME"),
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


def test_stores_that_ended_earlier_are_forecast_for_the_same_days_and_use_their_known_future(trefoil, tmp_path):
    file, out = tmp_path / "sales.csv", tmp_path / "out"
    whole = made(280, name="b").until(266)
    file.write_bytes(written(whole, made(280, name="a").until(182)))
    status, answer = trefoil(file, "--out", out, "--horizon", 14)
    assert status == 0
    assert answer["as_of"] == "2023-09-24"
    rows = parquet.read_table(out / "forecasts.parquet").to_pylist()
    assert {str(row["ds"]) for row in rows if row["series_id"] == "a"} == {f"2023-09-{d}" for d in range(25, 31)} | {
        f"2023-10-{d:02}" for d in range(1, 9)
    }
    told = answer["series"]["a"]["assumptions"]
    assert told == ["y: last observed on 2023-07-02; bridged over 84 days to the horizon"]


def test_quantiles_are_columns_of_the_days_held_out_and_of_those_to_come(trefoil, tmp_path):
    file, out = tmp_path / "sales.csv", tmp_path / "out"
    file.write_bytes(written(made(280, name="a"), made(60, name="b")))
    assert trefoil(file, "--out", out, "--backtest", 14, "--level", 0.8, "--quantiles", "0.5,0.9,0.1")[0] == 0
    rows = parquet.read_table(out / "forecasts.parquet")
    assert rows.column_names == ["series_id", "ds", "yhat", "lower", "upper", "p10", "p50", "p90"]
    assert [rows[name].to_pylist() for name in ("p10", "p50", "p90")] == [
        rows[name].to_pylist() for name in ("lower", "yhat", "upper")
    ]
    status, answer = trefoil(file, "--out", out, "--quantiles", "0.5,2")
    assert (status, "0.5,2" in answer["error"]) == (2, True)


def test_the_eve_of_the_horizon_can_be_given(trefoil, tmp_path):
    file = tmp_path / "sales.csv"
    file.write_bytes(written(made(280, name="a")))
    answer = trefoil(file, "--out", tmp_path / "out", "--horizon", 7, "--as-of", "2023-07-02")[1]
    assert parquet.read_table(tmp_path / "out" / "forecasts.parquet")["ds"].to_pylist()[0].isoformat() == "2023-07-03"
    assert answer["series"]["a"]["backtest"]["end"] == "2023-07-02"
    assert trefoil(file, "--out", tmp_path / "out", "--as-of", "2043-07-02")[0] == 2


def test_the_summary_pools_what_it_averages_and_names_regressors_used_and_left_out(trefoil, tmp_path):
    file, out = tmp_path / "sales.csv", tmp_path / "out"
    small, large = made(200, name="a", level=1.0, seed=1), made(200, name="b", level=1000.0)
    large.regressors["promo"][:] = 0.0
    file.write_bytes(written(small, large))
    answer = trefoil(file, "--out", out, "--backtest", 28, "--horizon", 7)[1]
    wapes = {name: one["backtest"]["wape"] for name, one in answer["series"].items()}
    assert answer["overall"]["wape"] == pytest.approx((wapes["a"] + wapes["b"]) / 2)
    assert answer["overall"]["pooled"]["wape"] == pytest.approx(wapes["b"], rel=0.01)
    assert answer["overall"]["pooled"]["rmspe"] > 0
    assert answer["series"]["a"]["regressors"] == ["promo"]
    assert answer["series"]["b"]["left_out"].keys() == {"promo"}


def test_a_backtest_longer_than_any_series_allows_is_refused_and_a_shorter_one_of_some_is_said(trefoil, tmp_path):
    file = tmp_path / "sales.csv"
    file.write_bytes(written(made(280, name="a"), made(28, name="b")))
    status, answer = trefoil(file, "--out", tmp_path / "out", "--backtest", 5000)
    assert status == 2
    assert "at most 91 days" in answer["error"]
    answer = trefoil(file, "--out", tmp_path / "out", "--backtest", 60, "--horizon", 7)[1]
    assert any("backtest: 7 days, not 60" in said for said in answer["series"]["b"]["assumptions"])


def test_held_out_days_that_are_all_closed_have_no_coverage_and_break_nothing(monkeypatch, capsys, tmp_path):
    series = made(120, name="a")
    series.y[-14:], series.open[-14:] = 5.0, 0.0
    (file := tmp_path / "sales.csv").write_bytes(written(series))
    words = ["forecast", str(file), "--out", str(tmp_path / "out"), "--backtest", "14", "--engine", "threads"]
    monkeypatch.setattr("sys.argv", ["trefoil", *words])
    assert console.run(lambda **options: app(words, **options)) == 0
    assert "coverage none" in capsys.readouterr().out


def test_a_series_whose_dates_are_bad_is_refused_for_its_dates(trefoil, tmp_path):
    (file := tmp_path / "sales.csv").write_text("series_id,ds,y\n1,never,1\n1,ever,2\n2,2024-01-01,1\n")
    status, answer = trefoil(file, "--out", tmp_path / "out", "--series", "1")
    assert status == 2
    assert "ds is not a date" in answer["error"]


def test_a_regressor_named_as_known_must_be_one(trefoil, tmp_path):
    (file := tmp_path / "sales.csv").write_bytes(written(made(60, name="a")))
    status, answer = trefoil(file, "--out", tmp_path / "out", "--known", "price")
    assert status == 2
    assert "price" in answer["error"]
    assert "promo" in answer["error"]


def test_real_series_of_the_nn5_competition(trefoil, tmp_path):
    file = REAL / "nn5_daily.csv.gz"
    if not file.exists():
        pytest.skip("the real data is not here; TREFOIL_REAL_DATA says where it is")
    chosen = [word for i in (1, 3, 40) for word in ("--series", f"NN5-{i:03}")]
    status, answer = trefoil(file, "--out", tmp_path / "out", "--horizon", 56, "--backtest", 56, *chosen)
    assert status == 0
    assert len(answer["series"]) == 3
    assert answer["overall"]["wape"] < 0.3


def test_columns_of_other_names_are_named_and_an_id_may_be_several(trefoil, tmp_path):
    file, out = tmp_path / "avocado.csv", tmp_path / "out"
    days = [f"2023-{i % 365 // 31 + 1:02}-{i % 31 + 1:02}" for i in range(90)]
    rows = [f"{day},{i + 10},{town},organic" for town in ("Albany", "Boise") for i, day in enumerate(days)]
    file.write_text("\n".join(["Date,Total Volume,geography,type", *rows]))
    named = ("--column", "ds=Date", "--column", "y=Total Volume", "--column")
    status, answer = trefoil(file, "--out", out, *named, "series_id=geography+type")
    assert status == 0
    assert set(answer["series"]) == {"Albany/organic", "Boise/organic"}
    assert answer["understood"]["columns"] == {"ds": "Date", "y": "Total Volume", "series_id": "geography+type"}
    status, answer = trefoil(file, "--out", out, *named, "series_id=geography+kind")
    assert (status, f"{file}: kind: has no such column" in answer["error"]) == (2, True)
    status, answer = trefoil(file, "--out", out, *named, "x=geography+type")
    assert (status, f"{file}: geography+type: has no such column" in answer["error"]) == (2, True)


@pytest.mark.parametrize(("size", "texts"), [(0.9, {"0.00", "0.50"}), (2_000_000.0, {"0", "1M"})])
def test_the_picture_names_small_sales_as_numbers_and_large_ones_in_thousands_or_millions(
    trefoil, tmp_path, monkeypatch, size, texts
):
    seen = []

    def look(self, *_, **__):
        self.draw_without_rendering()
        seen.extend(label.get_text() for label in self.axes[0].get_yticklabels())

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", look)
    file = tmp_path / "sales.csv"
    file.write_bytes(written(made(60, name="a", level=size, promo=False)))
    assert trefoil(file, "--out", tmp_path / "out", "--horizon", 7)[0] == 0
    assert texts <= {*seen}
