"""Public holidays of a country: which periods have them, and that the past decides whether they count."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pydantic import ValidationError

from functions.forecasting.contracts import Question
from functions.forecasting.domain import answer, frame, holidays
from functions.forecasting.domain.fit import train
from functions.forecasting.domain.frequency import Frequency
from functions.forecasting.domain.series import Series, dump
from functions.forecasting.settings import ForecastingSettings
from layers.runtime.errors import InputError
from tests.forecasting import House

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "public_holiday:DE"


def empty(kind: str, start: str, size: int, **about) -> Series:
    frequency = Frequency(kind, **about)
    return Series("s", np.datetime64(start, frequency.unit), np.zeros(size), frequency=frequency)


def sales(kind: str, effect: float, *, seed: int = 0) -> Series:
    """900 days or 200 weeks until the tenth of January 2024, with a shape of the week, 10 % noise and holidays that
    move sales."""
    rng, frequency, size = np.random.default_rng(seed), Frequency(kind), {"D": 900, "W": 200}[kind]
    last = frequency.number(np.datetime64("2024-01-10"))
    bare = empty(kind, str(frequency.times(np.array([last - size + 1]))[0]), size)
    on = holidays.column(holidays.mark(bare, "DE"))
    shape = rng.normal(0, 0.2, frequency.rhythm.cycle)[frequency.places(bare.times)] if kind == "D" else 0.0
    return replace(bare, y=np.exp(5 + shape + rng.normal(0, 0.1, size) + effect * on))


def marked(series: Series, country: str = "DE", rows: int = 0) -> list[str]:
    wide = holidays.mark(series, country, rows)
    return wide.frequency.labels(wide.times[wide.regressors[f"{holidays.NAME}:{country}"] > 0])


def test_days_are_holidays_of_the_country_and_its_part_as_far_as_asked():
    assert marked(empty("D", "2024-12-20", 7)) == ["2024-12-25", "2024-12-26"]
    assert marked(empty("D", "2024-12-20", 7), rows=14)[-1] == "2025-01-01"
    assert marked(empty("D", "2024-01-02", 10), "DE-BY") == ["2024-01-06"]


def test_hours_are_those_of_the_day_by_the_clock_of_their_zone():
    hours = marked(empty("H", "2024-04-30T20:00", 40, zone="Europe/Berlin"))
    assert (hours[0], hours[-1], len(hours)) == ("2024-05-01T00:00+02:00", "2024-05-01T23:00+02:00", 24)


def test_a_week_has_as_many_as_lie_from_its_monday_to_saturday():
    weeks = holidays.mark(empty("W", "2024-12-22", 3, anchor=6), "DE").regressors[NAME]  # named by their last day
    assert weeks.tolist() == [0, 2, 1]


@pytest.mark.parametrize("kind", ["M", "Q"])
def test_months_and_quarters_have_none(kind):
    series = empty(kind, "2024-01-01", 12, anchor=1)
    assert holidays.mark(series, "DE", 24) is series


@pytest.mark.parametrize("code", ["XX", "DE-ZZ", "Germany"])
def test_an_unknown_country_is_named_with_the_place_of_the_list(code, trefoil, tmp_path):
    with pytest.raises(InputError, match=rf"{code} is no country.*holidays\.readthedocs\.io"):
        holidays.mark(empty("D", "2024-01-01", 10), code)
    with pytest.raises(InputError):
        holidays.mark(empty("M", "2024-01-01", 10, anchor=1), code)
    with pytest.raises(ValidationError):
        ForecastingSettings(holidays=code)
    (tmp_path / "shop.csv").write_text("ds,y\n" + "".join(f"2024-01-{i + 1:02},5\n" for i in range(30)))
    status, said = trefoil(tmp_path / "shop.csv", "--holidays", code, "--out", tmp_path / "out")
    assert (status, code in said["error"], "readthedocs" in said["error"]) == (2, True, True)


@pytest.mark.parametrize("kind", ["D", "W"])
def test_holidays_that_move_sales_are_kept_and_the_forecast_is_better(kind):
    without, with_them = (
        train(holidays.mark(sales(kind, -0.4), code), history="", holdout=28, now=NOW, exact=False).trained
        for code in ("", "DE")
    )
    assert (without.regressors, with_them.regressors) == ((), (NAME,))
    assert with_them.backtest.wape < 0.9 * without.backtest.wape


@pytest.mark.parametrize("kind", ["D", "W"])
def test_holidays_that_move_nothing_are_left_out_but_for_a_chance(kind):
    tries = [holidays.mark(sales(kind, 0.0, seed=seed), "DE") for seed in range(4)]
    kept = [train(one, history="", holdout=28, now=NOW, exact=False).trained.regressors for one in tries]
    assert kept.count(()) >= 3


def test_a_store_that_closes_on_holidays_is_closed_on_those_to_come():
    bare = sales("D", 0.0)
    shut = holidays.column(holidays.mark(bare, "DE")) > 0
    closed = holidays.mark(replace(bare, y=np.where(shut, 0.0, bare.y)), "DE", 1_000)
    days = frame.build(closed, 100)
    ahead = [str(day) for day in days.times[days.start :][days.open[days.start :] == 0]]
    assert ahead == ["2024-03-29", "2024-04-01"]
    assert "open: unknown from 2024-01-11, taken as open every day as lately, and closed on public holidays" in (
        days.assumptions
    )
    assert frame.build(holidays.mark(bare, "DE", 1_000), 100).open.all()


def test_an_answer_of_the_cloud_knows_them_as_far_as_its_horizon():
    house = House()
    series = replace(sales("D", -0.4), series_id="shop")
    house.put(series)
    service = house.service(holidays="DE")
    asked = json.loads(service.forecast(Question("shop", 365, 0.95, {})).body)
    (said,) = asked["regressors"]
    assert (said["name"], said["used"], said["future_known_until"]) == (NAME, True, "2025-01-09")
    assert not any(text.startswith("public_holiday") for text in asked["assumptions"])
    yhat = {point["ds"]: point["yhat"] for point in asked["points"]}
    assert yhat["2024-12-25"] < 0.85 * yhat["2024-12-18"]
    assert NAME not in answer.lay_out(dump(series), Question("shop", 7, 0.95, {}))[1].x


def test_a_training_of_the_cloud_learns_them():
    house = House()
    house.put(replace(sales("D", -0.4), series_id="shop"))
    house.train(holidays="DE")
    assert json.loads(house.service(holidays="DE").forecast(Question("shop", 7, 0.95, {})).body)["regressors"][0][
        "used"
    ]


def test_the_command_names_them_and_says_where_they_are_not_used(trefoil, tmp_path):
    days, months = sales("D", -0.4), np.datetime64("2020-01") + np.arange(48)
    rows = [f"a,{ds},{y}" for ds, y in zip(days.times, days.y, strict=True)]
    rows += [f"b,{month}-01,{i % 12}" for i, month in enumerate(months)]
    (tmp_path / "shop.csv").write_text("\n".join(["series_id,ds,y", *rows]))
    status, said = trefoil(tmp_path / "shop.csv", "--holidays", "DE", "--out", tmp_path / "out")
    assert (status, said["series"]["a"]["regressors"], said["series"]["b"]["regressors"]) == (0, [NAME], [])
    assert not any("holiday" in text for text in said["series"]["a"]["assumptions"])
    assert "--holidays: not used for months and quarters" in trefoil.stderr
