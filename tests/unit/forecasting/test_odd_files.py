"""Files that are readable and hardly useful: each is answered, and says in a clear word what it lacks."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest

from functions.forecasting.contracts import Question
from functions.forecasting.domain import features, global_model
from tests.forecasting import House, made, written


@pytest.fixture
def forecast(trefoil, tmp_path, monkeypatch):
    """The answer and the forecasts of some series, 7 days ahead."""
    quick = type("Quick", (global_model.Parameters,), {"__init__": _few_rounds})
    monkeypatch.setattr(global_model, "Parameters", quick)

    def run(*series):
        (file := tmp_path / "sales.csv").write_bytes(written(*series))
        status, answer = trefoil(file, "--out", tmp_path / "out", "--horizon", 7)
        assert status == 0
        return answer, parquet.read_table(tmp_path / "out" / "forecasts.parquet").to_pylist()

    return run


def _few_rounds(self, **values):
    super(type(self), self).__init__(**values | {"rounds": 30})


def wide(name: str, seed: int, columns: int = 300, days: int = 100):
    one, rng = made(days, name=name, seed=seed), np.random.default_rng(seed)
    noise = {f"c{i}": rng.normal(size=days).round(3) for i in range(columns - 1)}
    return replace(one, regressors=one.regressors | noise)


def test_one_series_is_forecast_and_says_that_it_is_alone(forecast):
    answer, rows = forecast(made(200, name="a"))
    why = "1 series are long enough and sold something, fewer than 3"
    assert answer["model_of_all_series"] == why
    assert answer["overall"]["wape"] < 0.2
    assert len(rows) == 7


def test_series_of_twenty_days_have_an_interval_and_say_what_it_is_made_of(forecast):
    answer, rows = forecast(made(20, name="a"), made(20, name="b", seed=1))
    for one in answer["series"].values():
        assert any(said.startswith("interval: as wide as sales vary around their mean") for said in one["assumptions"])
        assert one["backtest"]["coverage"] == 1.0
    sold = [row for row in rows if row["yhat"] > 0]
    assert sold
    assert all(row["lower"] < 0.9 * row["yhat"] < 1.1 * row["yhat"] < row["upper"] for row in sold)


def test_a_series_of_a_single_day_is_answered(forecast):
    answer, rows = forecast(made(1, name="a"))
    assert [round(row["yhat"]) for row in rows[:6]] == [round(made(1).y[0])] * 6
    assert answer["series"]["a"]["backtest"] is None


def test_series_without_a_sale_are_forecast_as_nothing_and_leave_the_others_what_they_are(forecast):
    shops = [made(120, name=f"s{i}", seed=i) for i in range(4)]
    closed = [replace(made(120, name=f"z{i}"), y=np.zeros(120)) for i in range(4)]
    alone, _ = forecast(*shops)
    answer, rows = forecast(*shops, *closed)
    assert {name: answer["series"][name]["backtest"] for name in alone["series"]} == {
        name: one["backtest"] for name, one in alone["series"].items()
    }
    assert all(row["upper"] == 0 for row in rows if row["series_id"].startswith("z"))
    for one in closed:
        told = answer["series"][one.series_id]["assumptions"]
        assert "y: nothing was sold on any day; the forecast is nothing" in told


def test_regressors_of_half_of_the_series_serve_those_that_have_them(forecast):
    having = [made(255, name=f"a{i}", seed=i) for i in range(3)]
    lacking = [made(255, name=f"b{i}", seed=i, promo=False) for i in range(3)]
    for one in lacking:  # the columns of the file, blank
        one.regressors["promo"] = np.full(255, np.nan)
    answer, _ = forecast(*having, *lacking)
    assert answer["model_of_all_series"] == "learned"
    for name, one in answer["series"].items():
        assert one["backtest"]["wape"] < (0.2 if name.startswith("a") else 0.4)
        assert any(said.startswith("promo: unknown from") for said in one["assumptions"]) == name.startswith("a")


def test_constant_regressors_are_left_out_and_stay_what_they_are(forecast):
    series = [made(120, name=f"s{i}", seed=i) for i in range(3)]
    for i, one in enumerate(series):
        one.regressors.update({"size": np.full(120, 100.5 + i), "member": np.ones(120)})
    answer, _ = forecast(*series)
    for i in range(3):
        one = answer["series"][f"s{i}"]
        assert {"size", "member"} <= one["left_out"].keys()
        told = {said.partition(":")[0]: said for said in one["assumptions"]}
        assert told["size"].endswith(f"taken as {100.5 + i:g} as ever")
        assert told["member"].endswith("taken as 1 as ever")


def test_of_three_hundred_columns_those_are_used_that_go_most_with_the_sales(forecast):
    answer, _ = forecast(*(wide(f"s{i}", i) for i in range(3)))
    for one in answer["series"].values():
        assert len(one["regressors"]) <= features.MOST
        assert "others of too many go more with the sales" in one["left_out"]["c0" if "c0" in one["left_out"] else "c1"]
        assert one["backtest"]["skill"] > -0.2


def test_a_wide_series_is_trained_and_answered_in_the_cloud():
    house = House()
    house.put(wide("wide", 0))
    assert house.train()["failed"] == 0
    answered = house.service().forecast(Question("wide", 7, 0.95, {}))
    assert answered.source == "computed"
