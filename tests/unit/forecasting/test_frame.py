from dataclasses import replace

import numpy as np
import pytest

from functions.forecasting.domain import frame
from layers.runtime.errors import InputError
from tests.forecasting import made


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
        assert np.array_equal(laid.open[-7:] == 0, frame.weekdays(laid.times[-7:]) == 6)


def test_weeks_are_forecast_on_their_day_and_months_are_said_to_be_sparse():
    y = np.full(700, np.nan)
    y[::7] = 100.0
    weeks = frame.build(replace(made(700, promo=False), open=None, y=y), 14)
    assert np.array_equal(weeks.open == 1, frame.weekdays(weeks.times) == 0)
    y = np.full(700, np.nan)
    y[::30] = 100.0
    months = frame.build(replace(made(700, promo=False), open=None, y=y), 14)
    assert any(said.startswith("y: known on 3% of the days") for said in months.assumptions)


def flags(values, name, days=None):
    """A series of ones whose regressor ends with its last observation."""
    size = len(values)
    return replace(made(size, promo=False), y=np.ones(size), open=None, regressors={name: np.asarray(values, float)})


def test_a_flag_is_assumed_as_that_weekday_lately_was_and_a_promotion_off():
    i = np.arange(280)
    for name, told in (("flag", "taken as 1 on Monday, Tuesday, Wednesday, Thursday, Friday"), ("promo", "taken as 0")):
        laid = frame.build(flags(i % 7 < 5, name), 14)
        assert (
            laid.x[name][-14:].tolist() == ([1.0] * 5 + [0.0] * 2) * 2 * (name == "flag")
            or not laid.x[name][-14:].any()
        )
        assert any(said.startswith(f"{name}: unknown") and told in said for said in laid.assumptions)
    assert frame.build(flags(i >= 200, "yr"), 14).x["yr"][-14:].all()


def test_a_column_that_follows_the_calendar_is_taken_from_the_year_before():
    days = made(1000).times
    quarter = (days.astype("datetime64[M]").astype(int) % 12 // 3 + 1).astype(float)
    laid = frame.build(flags(quarter, "quarter"), 90)
    expected = (laid.times.astype("datetime64[M]").astype(int) % 12 // 3 + 1)[-90:]
    assert (laid.x["quarter"][-90:] == expected).mean() > 0.95


@pytest.mark.parametrize(
    ("name", "planned"),
    [
        *(
            (name, True)
            for name in ("promo", "Promo2", "StateHoliday=a", "workingday", "WorkingDay", "is_weekend", "yr")
        ),
        *((name, True) for name in ("season=3", "mnth", "day_of_week", "school_holiday")),
        *((name, False) for name in ("temp", "customers", "price", "seasonal_temp", "orders_per_day", "open_price")),
        *((name, False) for name in ("weather=rain", "weekly_rain", "workers")),
    ],
)
def test_only_what_is_planned_or_calendar_like_is_known_beforehand(name, planned):
    values = np.random.default_rng(0).integers(0, 2, 200).astype(float)
    laid = frame.build(flags(values, name), 28, start=150)
    assert (name not in laid.assumed) == planned
    told = frame.build(flags(values, name), 28, start=150, known=[name.split("=")[0]])
    np.testing.assert_array_equal(told.x[name][150:], values[150:178])


def test_a_fold_knows_a_measured_regressor_as_far_ahead_as_the_file_does():
    series = flags(np.random.default_rng(0).normal(size=200), "temp").until(193)
    laid = frame.build(series, 28, start=150)
    np.testing.assert_array_equal(laid.x["temp"][150:157], series.regressors["temp"][150:157])
    assert "temp: unknown from 2023-06-08" in " ".join(laid.assumptions)


def test_another_category_known_means_this_one_is_off():
    sunny = np.r_[np.ones(100), np.full(100, np.nan)]
    rain = np.r_[np.full(100, np.nan), np.ones(100)]
    series = replace(flags(sunny, "weather=sunny"), regressors={"weather=sunny": sunny, "weather=rain": rain})
    laid = frame.build(series, 7, {"weather=sunny": [1] * 7})
    assert not laid.x["weather=rain"][:100].any()
    assert not laid.x["weather=sunny"][100:200].any()
    assert not laid.x["weather=rain"][200:].any()


def test_a_series_that_ended_earlier_is_bridged_from_the_habits_of_its_last_weeks_and_it_is_said():
    series = made(280)
    laid = frame.build(series, 14, start=280 + 84)
    assert laid.times[-14:].tolist() == (series.start + 364 + np.arange(14)).tolist()
    assert laid.open[-14:].tolist() == [1, 1, 1, 1, 1, 1, 0] * 2
    assert laid.assumptions[0] == "y: last observed on 2023-10-08; bridged over 84 days to the horizon"


def test_what_was_measured_after_the_eve_is_not_known_on_it():
    series = made(200)
    series = replace(series, regressors={**series.regressors, "temp": np.ones(200)})
    eve = frame.eve(series, 150)
    assert (eve.observed, np.isfinite(eve.regressors["temp"]).sum()) == (150, 150)
    assert np.isfinite(eve.regressors["promo"]).all()


def test_weather_of_a_pause_is_no_knowledge_of_the_future():
    series = flags(np.random.default_rng(0).normal(size=200), "temp").until(100)
    assert np.isfinite(frame.eve(series, 100).regressors["temp"]).sum() == 200
    assert np.isfinite(frame.eve(series, 100, newest=193).regressors["temp"]).sum() == 107


def test_of_openings_nothing_is_said_where_the_file_has_none_and_no_day_was_closed():
    always = replace(made(60, promo=False), y=np.full(60, 5.0), open=None)
    assert frame.build(always, 7).assumptions == ()
    told = frame.build(replace(always, open=np.ones(60)), 7).assumptions
    assert told == ("open: unknown from 2023-03-03, taken as open every day as lately",)
