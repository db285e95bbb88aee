from dataclasses import replace

import numpy as np
import pytest

from functions.forecasting.domain import frame
from layers.runtime.errors import InputError
from tests.unit.forecasting.house import made


def test_what_nobody_tells_about_the_future_is_assumed_and_said():
    laid = frame.build(made(280), 14)
    assert laid.open[-14:].tolist() == [1, 1, 1, 1, 1, 1, 0] * 2
    assert not laid.x["promo"][-14:].any()
    assert [said.split(":")[0] for said in laid.assumptions] == ["open", "promo"]
    assert "closed on Sunday" in laid.assumptions[0]


def test_a_known_future_is_used_and_nothing_is_assumed():
    series = made(280).until(266)
    laid = frame.build(series, 14)
    np.testing.assert_array_equal(laid.x["promo"][-14:], series.regressors["promo"][-14:])
    assert laid.assumptions == ()
    assert frame.known_until(series.regressors["promo"], series) == "2023-10-08"


def test_beyond_the_known_future_the_rest_is_assumed():
    laid = frame.build(made(280).until(273), 14)
    assert laid.assumptions == (
        "open: unknown from 2023-10-09, taken as closed on Sunday as lately",
        "promo: unknown from 2023-10-09, taken as 0",
    )


def test_the_caller_overrides_the_file():
    laid = frame.build(made(280).until(273), 7, {"promo": [1] * 7, "open": [0] * 7})
    assert laid.x["promo"][-7:].all()
    assert not laid.open[-7:].any()


@pytest.mark.parametrize(
    ("future", "field"),
    [
        ({"price": [1.0] * 7}, "future.price"),
        ({"promo": [1.0] * 6}, "future.promo"),
        ({"promo": [np.nan] * 7}, "future.promo"),
        ({"open": [0.5] * 7}, "future.open"),
    ],
)
def test_an_impossible_plan_names_its_field(future, field):
    with pytest.raises(InputError) as caught:
        frame.build(made(100), 7, future)
    assert caught.value.field == field


def test_nothing_observed_after_the_start_is_seen():
    series = made(280)
    without = replace(series, open=None)
    shaken = replace(without, y=np.where(np.arange(280) >= 252, 0.0, series.y))
    seen, other = (frame.build(one, 28, start=252) for one in (without, shaken))
    np.testing.assert_array_equal(seen.open, other.open)
    assert np.isnan(seen.y[252:]).all()


def test_without_a_column_a_weekday_that_never_sells_is_closed():
    laid = frame.build(replace(made(280), open=None), 7)
    assert laid.open[-7:].tolist() == [1, 1, 1, 1, 1, 1, 0]


def test_many_zeros_are_demand_not_closing():
    rng = np.random.default_rng(1)
    y = rng.poisson(0.7, 200).astype(float)
    laid = frame.build(replace(made(200, promo=False), open=None, y=y), 7)
    assert laid.open.all()


def test_a_weekday_that_the_file_leaves_out_is_closed_whether_there_is_a_column_or_not():
    series = made(280)
    missing = np.where(np.arange(280) % 7 == 6, np.nan, series.y)
    for opened in (None, np.where(np.isnan(missing), np.nan, series.open)):
        laid = frame.build(replace(series, y=missing, open=opened), 7)
        assert np.array_equal(laid.open[-7:] == 0, frame.weekdays(laid.days[-7:]) == 6)


def test_weeks_are_forecast_on_their_day_and_months_are_said_to_be_sparse():
    y = np.full(700, np.nan)
    y[::7] = 100.0
    weeks = frame.build(replace(made(700, promo=False), open=None, y=y), 14)
    assert np.array_equal(weeks.open == 1, frame.weekdays(weeks.days) == 0)
    y = np.full(700, np.nan)
    y[::30] = 100.0
    months = frame.build(replace(made(700, promo=False), open=None, y=y), 14)
    assert any(said.startswith("y: known on 3% of the days") for said in months.assumptions)
