from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from functions.forecasting.domain import fit, frame, model
from functions.forecasting.domain.frequency import RHYTHMS, Frequency
from functions.forecasting.domain.series import Series
from functions.forecasting.domain.smoothing import forecast

WAVE = 1 + 0.3 * np.sin(np.arange(180) * 2 * np.pi / 12)


def noise(size, share=0.02, seed=0):
    return np.exp(np.random.default_rng(seed).normal(0, share, size))


def test_a_season_goes_on_in_shares_of_the_level():
    sold = 100 * 1.01 ** np.arange(168) * WAVE[:168]
    ahead = forecast(sold * noise(168), 12, 12)
    np.testing.assert_allclose(ahead, 100 * 1.01 ** np.arange(168, 180) * WAVE[168:], rtol=0.08)


def test_a_trend_that_bent_lately_is_not_drawn_out():
    sold = 100 * np.exp(0.03 * np.minimum(np.arange(120), 108)) * noise(120, 0.01)
    ahead = forecast(sold, 24, 12)
    assert np.abs(np.log(ahead / sold[-1])).max() < 0.12


def test_a_new_level_is_taken_up():
    sold = np.where(np.arange(132) < 122, 100.0, 40.0) * WAVE[:132] * noise(132)
    np.testing.assert_allclose(forecast(sold, 12, 12), 40 * WAVE[132:144], rtol=0.15)


@pytest.mark.parametrize("season", [1, 4, 52])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 30, 150])
def test_every_length_has_a_finite_forecast(season, size):
    sold = 10 + np.arange(size) % 3.0
    for one in (sold, sold - 11.0, np.zeros(size), np.where(np.arange(size) % 2, np.nan, sold)):
        assert np.isfinite(forecast(one, 60, season)).all()


def test_periods_of_which_nothing_is_known_are_passed_over():
    sold = 100 * WAVE[:120] * noise(120)
    sold[[5, 40, 41, 42, 119]] = np.nan
    np.testing.assert_allclose(forecast(sold, 12, 12), 100 * WAVE[120:132], rtol=0.1)


def test_little_more_than_a_season_is_judged_by_all_of_its_periods():
    rng, off = np.random.default_rng(0), []
    for strength in (0.0, 0.25) * 150:
        level = np.cumsum(rng.normal(0, 0.02, 27)) + np.resize(rng.normal(0, strength, 12), 27)
        sold = 100 * np.exp(level + rng.normal(0, 0.08, 27))
        off.append(np.abs(forecast(sold[:15], 12, 12) / sold[15:] - 1).mean())
    assert np.mean(off) < 0.108


def test_what_was_never_below_zero_is_not_forecast_below_it_and_what_was_may_be():
    falling = np.maximum(40.0 - np.arange(44), 0.0)
    assert forecast(falling, 12, 12).min() == 0
    assert forecast(-3.0 + np.sin(np.arange(60)), 12, 12).max() < 0


def monthly(y):
    return Series("m", np.datetime64("2010-01-01"), y, frequency=Frequency("M", 1))


def test_months_whose_growth_ended_are_forecast_by_it_from_the_eve_of_the_horizon_on():
    series = monthly(np.exp(0.02 * np.minimum(np.arange(144), 110)) * 100 * WAVE[:144] * noise(144))
    trained = fit.train(series, history="h", holdout=12, now=datetime(2026, 1, 1, tzinfo=UTC)).trained
    assert trained.kind == "smoothing"
    later = frame.build(series, 12, start=147)  # three months after the last observation
    usual = model.forecast(trained, frame.build(series, 15), 0.95).yhat
    np.testing.assert_allclose(model.forecast(trained, later, 0.95).yhat, usual[3:])


def test_promotions_that_help_are_not_given_up_for_smoothing_which_sees_none():
    rng = np.random.default_rng(0)
    promo = rng.uniform(0, 2, 84)
    series = monthly(100 * np.exp(0.3 * promo + 0.01 * np.arange(84)) * noise(84, 0.08))
    series = replace(series, regressors={"promo_share": promo})
    trained = fit.train(series, history="h", holdout=12, now=datetime(2026, 1, 1, tzinfo=UTC), exact=False).trained
    assert trained.regressors == ("promo_share",)


def windows(*errors):
    """One window of results for each set of kinds with their error, of twelve periods."""
    y, opened = np.full(12, 100.0), np.ones(12)
    return [{kind: np.stack([y, y + error, opened]) for kind, error in one.items()} for one in errors]


def test_a_kind_must_be_better_than_what_is_steady_by_more_than_so_few_periods_can_tell():
    near, far = {"smoothing": 10.9, "year_ago": 10.0}, {"smoothing": 14.0, "year_ago": 10.0}
    assert fit.best(windows(near, near)) == "smoothing"
    assert fit.best(windows(far, far)) == "year_ago"
    assert fit.best(windows(*[near] * 30)) == "year_ago"
    assert fit.best(windows({"prophet": 10.0, "blend": 11.0})) == "blend"
    assert fit.best(windows({"prophet": 11.0, "year_ago": 10.0})) == "prophet"


def test_intervals_are_wider_where_the_errors_of_a_window_move_together_and_windows_are_few():
    rng, y = np.random.default_rng(1), np.full(12, 100.0)
    scattered = [np.stack([y * np.exp(rng.normal(0, 0.1, 12)), y, np.ones(12)]) for _ in range(8)]
    errors = np.sort(np.concatenate([window[0] for window in scattered])).reshape(8, 12)
    common = [np.stack([window, y, np.ones(12)]) for window in errors]  # the same errors, alike in each window

    def width(windows):
        return np.ptp(model.interval(model.measure(windows, rhythm=RHYTHMS["M"]), y[:1], 0.95))

    assert width(common) > 1.1 * width(scattered)
    assert width(common[::7]) > 1.3 * width(common)


def test_windows_of_many_days_with_little_in_common_are_hardly_stretched_and_two_of_quarters_are():
    rng = np.random.default_rng(0)

    def width(moves, size, share):
        y = np.full(size, 100.0)
        windows = [np.stack([y * np.exp(rng.normal(move, 0.1, size)), y, np.ones(size)]) for move in moves]
        return np.ptp(np.log(model.interval(model.measure(windows), y[:1], 0.95))) / (2 * 1.96 * share)

    assert 0.95 < np.mean([width((-0.04, 0, 0.04), 56, 0.105) for _ in range(50)]) < 1.15
    assert np.mean([width((-0.1, 0.1), 8, 0.14) for _ in range(50)]) > 2


def test_windows_that_all_were_too_low_leave_room_on_the_other_side():
    y = np.full(12, 100.0)
    low = [np.stack([y * factor, y, np.ones(12)]) for factor in (1.1, 1.3, 1.2)]
    lower, upper = model.interval(model.measure(low, rhythm=RHYTHMS["Q"]), y[:1], 0.95)
    assert lower < 90 < 130 < upper
    nothing = [np.stack([np.where(np.arange(60) % 12, 100.0, 0.0), np.full(60, 100.0), np.ones(60)])] * 3
    assert model.interval(model.measure(nothing), y[:1], 0.95)[1] < 800


def test_quantiles_grow_with_their_probability_also_where_all_were_too_low_and_some_sold_nothing():
    rng, y = np.random.default_rng(0), np.full(24, 100.0)
    for _ in range(300):
        drawn = np.exp(rng.normal(-0.9, 0.3, (rng.integers(1, 4), 24))) * (rng.random(24) >= 0.08)
        width = model.measure([np.stack([y * window, y, np.ones(24)]) for window in drawn], rhythm=RHYTHMS["Q"])
        assert (np.diff(width.quantiles) >= 0).all()
