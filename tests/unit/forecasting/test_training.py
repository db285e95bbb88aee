from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.forecasting.domain import baselines, features, frame, model, report
from functions.forecasting.domain.additive import Problem
from functions.forecasting.domain.fit import choose_design, fold, folds, train
from functions.forecasting.domain.series import Series
from layers.runtime.errors import InputError
from tests.forecasting import made

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def trained(series, holdout=28):
    return train(series, history="h", holdout=holdout, now=NOW).trained


def ahead(series, one, days=28, level=0.95):
    return model.forecast(one, frame.build(series, days), level)


def test_prophet_wins_where_promotions_and_trend_matter():
    series = made(420)
    series = replace(series, y=series.y * np.exp(0.002 * np.arange(420)))
    result = trained(series)
    assert result.kind == "prophet"
    assert result.backtest.skill > 0.1
    assert result.regressors == ("promo",)


def test_a_store_has_a_season_of_the_year_as_soon_as_one_window_knows_a_year():
    days = np.arange(640)
    wave = np.exp(0.4 * np.cos(2 * np.pi * days / 365.25))
    series = made(640)
    tested = list(folds(replace(series, y=series.y * wave), 640, 56))
    design, _ = choose_design(tested)
    assert design.yearly
    assert [one.problem(design).design.yearly for one in tested] == [True, True, False]


def test_a_baseline_is_served_where_it_is_better_and_named():
    rng = np.random.default_rng(3)
    y = np.where(np.arange(200) % 2 == 0, 0.0, rng.poisson(0.3, 200)).astype(float)
    series = replace(made(200, promo=False), y=y, open=None)
    assert trained(series).kind in baselines.BASELINES


def test_a_kind_that_lost_the_days_held_out_is_not_served_without_a_word():
    series = made(300, promo=False)
    series = replace(series, y=series.y * np.exp(0.02 * np.minimum(np.arange(300), 272)))
    outcome = trained(series)
    assert outcome.backtest.skill < -0.1
    assert any(note.startswith("on the days held out, prophet was off by") for note in outcome.notes)


def test_the_choice_does_not_depend_on_the_held_out_days():
    series = made(300)
    shaken = replace(series, y=series.y.copy())
    shaken.y[-28:] *= np.random.default_rng(0).uniform(0.2, 5, 28)
    before, after = (train(s, history="h", holdout=28, now=NOW) for s in (series, shaken))
    assert before.trained.kind == after.trained.kind
    np.testing.assert_array_equal(before.held.yhat, after.held.yhat)
    np.testing.assert_array_equal(before.held.upper, after.held.upper)


@pytest.mark.parametrize("days", [1, 2, 8, 20, 40, 100])
def test_short_series_get_a_forecast(days):
    series = made(days)
    predicted = ahead(series, trained(series))
    assert len(predicted.yhat) == 28
    assert np.isfinite(predicted.yhat).all()
    assert (predicted.lower <= predicted.yhat).all()
    assert (predicted.yhat <= predicted.upper).all()


def test_a_flat_series_stays_flat():
    series = replace(made(200, promo=False), y=np.full(200, 50.0), open=None)
    np.testing.assert_allclose(ahead(series, trained(series)).yhat, 50.0, rtol=1e-3)


def test_a_series_of_zeros_stays_at_zero():
    series = replace(made(200, promo=False), y=np.zeros(200), open=None)
    result = trained(series)
    assert not ahead(series, result).yhat.any()
    assert result.backtest.wape is None


def test_gaps_are_passed_over():
    series = made(300)
    series.y[np.random.default_rng(0).random(300) < 0.3] = np.nan
    series.y[100:160] = np.nan
    yhat = ahead(series, trained(series), days=7).yhat
    assert (yhat == 0).sum() == 1
    assert yhat[yhat > 0].min() > 40


def test_returns_are_kept_and_the_error_is_measured_against_them():
    series = made(200)
    series.y[::11] = -50.0
    result = trained(series)
    held = train(series, history="h", holdout=28, now=NOW).held
    assert result.backtest.wape == pytest.approx(report.wape(series.y[172:], held.yhat))
    predicted = ahead(series, result)
    assert -50.0 <= predicted.lower.min() < 0
    assert (predicted.lower <= predicted.yhat).all()


def test_a_balance_around_zero_is_forecast_below_zero_on_its_low_weekdays():
    week = np.array([9.0, 6.0, 3.0, 0.0, -3.0, -6.0, -9.0])
    y = np.tile(week, 60) + np.random.default_rng(0).normal(0, 1, 420)
    series = replace(made(420, promo=False), y=y, open=None)
    result = trained(series)
    np.testing.assert_allclose(ahead(series, result, days=7).yhat, week, atol=1.0)
    assert 0.8 <= result.backtest.coverage <= 1


def test_a_stray_return_among_hundreds_of_sales_leaves_the_logarithm():
    series = made(400)
    series.y[100] = -5.0
    result = trained(series)
    assert result.additive.design.log
    assert ahead(series, result).lower.min() >= 0


def weather(days=420, seed=0):
    rng = np.random.default_rng(seed)
    temp = rng.normal(size=days)
    y = 100 * np.exp(0.5 * temp + 0.3 * rng.normal(size=days))
    return replace(made(days, promo=False), y=y, open=None, regressors={"temp": temp})


def test_a_measured_regressor_is_no_better_known_in_the_backtest_than_in_the_answer():
    series = weather()
    result = trained(series, holdout=42)
    assert result.backtest.wape > 0.4
    predicted = ahead(series, result)
    assert np.mean(np.log(predicted.upper / predicted.lower)) == pytest.approx(2 * 1.96 * np.hypot(0.5, 0.3), rel=0.3)


@pytest.mark.parametrize("how", ["the file gives its future", "the caller says it is known"])
def test_a_measured_regressor_that_will_be_known_is_known_in_the_backtest(how):
    series, known = weather(), ()
    if how == "the file gives its future":
        series = series.until(378)
    else:
        known = ("temp",)
    result = train(series, history="h", holdout=42, now=NOW, known=known).trained
    assert result.backtest.wape < 0.33
    assert result.regressors == ("temp",)


def test_what_the_backtest_reports_is_what_the_forecast_attains():
    """The year and the working day have no future rows, so they are assumed from the calendar and the recent past."""
    days = np.arange("2023-01-01", "2024-08-12", dtype="datetime64[D]")
    late, works = (days >= np.datetime64("2024-01-01")) * 1.0, (frame.weekdays(days) < 5) * 1.0
    y = 100 * (1 + late) * (1 + works) * np.exp(0.05 * np.random.default_rng(0).normal(size=len(days)))
    known = len(days) - 42
    columns = {"yr": late[:known], "workingday": works[:known]}
    series = Series("bikes", days[0], y[:known], None, columns)
    result = trained(series, holdout=42)
    attained = report.wape(y[known:], ahead(series, result, days=42).yhat)
    assert result.backtest.wape < 0.06
    assert attained < 0.06


@pytest.mark.parametrize("error", [RuntimeError, np.linalg.LinAlgError, FloatingPointError])
def test_a_series_that_prophet_cannot_fit_gets_the_better_baseline_and_says_so(monkeypatch, error):
    def fail(*_):
        raise error("no optimum")

    monkeypatch.setattr(Problem, "fit", fail)
    series = made(420)
    result = trained(replace(series, y=series.y * np.exp(0.002 * np.arange(420))))
    assert result.kind in baselines.BASELINES
    assert error.__name__ in result.notes[0]


def test_a_column_that_moves_with_the_sales_is_left_out_and_named():
    series = made(300)
    customers = series.y / 9 * np.exp(np.random.default_rng(0).normal(0, 0.02, 300))
    result = trained(replace(series, regressors={**series.regressors, "customers": customers}))
    assert result.left_out == ("customers",)
    assert "customers" not in result.regressors


def test_a_series_without_observation_is_refused():
    with pytest.raises(InputError, match="no observation"):
        trained(made(10).until(0))


def test_training_is_deterministic():
    assert trained(made(200)) == trained(made(200))


def test_intervals_hold_about_as_often_as_they_say():
    inside = []
    for seed in range(8):
        series = made(320, seed=seed)
        known = series.until(280)
        predicted = model.forecast(trained(known), frame.build(known, 40), 0.8)
        y, opened = series.y[280:], series.open[280:]
        inside.append(report.coverage(y, predicted.lower, predicted.upper, opened))
    assert 0.7 < np.mean(inside) < 0.92


def test_where_far_days_are_less_sure_their_interval_is_wider_and_both_hold_as_often_as_they_say():
    rng, deviations = np.random.default_rng(0), np.repeat([0.05, 0.2], 14)

    def window():
        return np.stack([np.exp(rng.normal(0, deviations)), np.ones(28), np.ones(28)])

    lower, upper = model.interval(model.measure([window() for _ in range(20)]), np.ones(28), 0.9)
    drawn = np.stack([window()[0] for _ in range(400)])
    inside = ((drawn >= lower) & (drawn <= upper)).mean(axis=0)
    assert upper[20] - lower[20] > 1.5 * (upper[5] - lower[5])
    assert 0.9 <= inside[:14].mean() <= 1
    assert 0.78 <= inside[14:].mean() < 0.95


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.25, 0.75, 0.9, 0.95])
def test_sales_stay_below_a_quantile_as_often_as_it_says(probability):
    rng = np.random.default_rng(0)
    width = model.measure([np.stack([np.exp(rng.normal(0, 0.1, 200)), np.ones(200), np.ones(200)]) for _ in range(5)])
    below = np.exp(rng.normal(0, 0.1, 4_000)) <= model.quantile(width, np.ones(4_000), probability)
    assert below.mean() == pytest.approx(probability, abs=0.03)


@given(st.floats(0.5, 0.98), st.floats(0.001, 0.01))
@settings(max_examples=25, deadline=None)
def test_a_higher_level_never_narrows_the_interval(level, more):
    errors = np.random.default_rng(0).normal(0, 1, 60)
    width = model.measure([np.stack([np.exp(errors), np.ones(60), np.ones(60)])])
    narrow, wide = (model.interval(width, np.ones(5), at) for at in (level, level + more))
    assert (wide[0] <= narrow[0]).all()
    assert (wide[1] >= narrow[1]).all()


def test_folds_end_where_the_report_begins_and_do_not_overlap():
    found = list(folds(made(300), 272, 28))
    assert [(one.frame.start, one.frame.start + len(one.y)) for one in found] == [(244, 272), (216, 244), (188, 216)]


def test_derived_regressors_follow_calendar_and_openings():
    laid = frame.build(made(120), 1)
    columns = ["wd0:promo", "before_closed", "after_closed", "edge:first", "edge:last"]
    on = features.matrix(laid, columns, {}).astype(bool)
    days = laid.times.astype(str)
    weekday = frame.weekdays(laid.times)
    assert set(weekday[on[:, 0]]) == {0}
    assert set(weekday[on[:, 1]]) == {5}
    assert set(weekday[on[:, 2]]) == {0}
    assert {day[8:] for day in days[on[:, 3]]} == {"01"}
    assert {day[5:] for day in days[on[:, 4]]} == {"01-31", "02-28", "03-31", "04-30"}


def test_the_naive_forecast_repeats_the_last_week():
    one = fold(made(100), 84, 98)
    expected = np.tile(made(100).y[77:84], 2)
    np.testing.assert_allclose(baselines.predict(baselines.SEASONAL_NAIVE, one.frame), expected)


def test_the_mean_keeps_promoted_days_apart():
    series = replace(made(140), y=np.where(made(140).regressors["promo"] > 0, 200.0, 100.0) * made(140).open)
    one = fold(series, 112, 126)
    got = baselines.predict(baselines.WEEKDAY_MEAN, one.frame)
    np.testing.assert_allclose(got, series.y[112:126])


def test_measures_are_those_of_the_textbook():
    y, yhat = np.array([10.0, 20.0, 0.0, np.nan]), np.array([11.0, 18.0, 1.0, 5.0])
    assert report.wape(y, yhat) == pytest.approx(4 / 30)
    assert report.rmspe(y, yhat) == pytest.approx(0.1)
    assert report.bias(y, yhat) == pytest.approx(0.0)
    assert np.isnan(report.wape(np.zeros(2), np.zeros(2)))


def test_a_regressor_that_the_history_lost_or_the_model_never_met_is_said_and_breaks_nothing():
    rng = np.random.default_rng(0)
    rain = (rng.random(300) < 0.4).astype(float)
    columns = {"weather=rain": rain, "weather=sun": 1 - rain}
    series = made(300, promo=False)
    series = replace(series, y=series.y * np.exp(0.5 * rain), regressors=columns)
    result = train(series, history="h", holdout=28, now=NOW, known=("weather",)).trained
    assert "weather=rain" in result.regressors
    lost = frame.build(replace(series, regressors={}), 7)
    assert model.forecast(result, lost, 0.95).yhat.max() > 0
    assert any("not in the history any more" in said for said in model.caveats(result, lost))
    fog = {name: np.append(values, np.zeros(7)) for name, values in columns.items()}
    fog["weather=fog"] = np.append(np.zeros(300), np.ones(7))
    longer = replace(series, y=np.append(series.y, np.full(7, np.nan)), open=None, regressors=fog)
    met = frame.build(longer, 7)
    assert model.forecast(result, met, 0.95).yhat.max() > 0
    assert any(said.startswith("weather=fog: not known to the model") for said in model.caveats(result, met))
    sunny = frame.build(replace(longer, regressors={**fog, "weather=sun": np.append(1 - rain, np.ones(7))}), 7)
    left_out = result.model_copy(update={"regressors": ("weather=rain",)})
    assert not any(said.startswith("weather=sun") for said in model.caveats(left_out, sunny))


def test_a_bridge_widens_the_interval_with_the_days_since_the_last_observation():
    series = made(420)
    result = trained(series)
    near = model.forecast(result, frame.build(series, 14), 0.95)
    far = model.forecast(result, frame.build(series, 14, start=420 + 182), 0.95)
    width = [float(np.log(p.upper[:6] / p.lower[:6]).mean()) for p in (near, far)]
    assert width[1] > width[0]
    assert far.times[0] == series.start + 420 + 182
