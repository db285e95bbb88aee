from dataclasses import replace

import numpy as np
import pytest

from functions.forecasting.domain import additive, features, frame
from functions.forecasting.domain.additive import Design, Problem
from tests.forecasting import made


def design_of(laid):
    known = np.isfinite(laid.selling) & (laid.selling > 0)
    columns = tuple(c for group in features.groups(laid, known).values() for c in group)
    return Design(weekly=True, yearly=False, columns=columns, scale=features.scales(laid, columns, known))


@pytest.fixture(scope="module")
def problem():
    laid = frame.build(made(420), 28)
    return Problem(laid, laid.start, design_of(laid))


def test_our_arithmetic_is_prophets_own_prediction(problem):
    """Rebuild the fit with Prophet's public interface and compare with what our plain numbers say."""
    import pandas as pd
    from prophet import Prophet

    near, prior = problem.approximate(), additive.priors(problem.design) / problem.y_scale
    names = additive.names(problem.design)
    theirs = Prophet(
        n_changepoints=len(problem.changepoints),
        changepoint_range=additive.RANGE,
        changepoint_prior_scale=additive.TREND_PRIOR / problem.y_scale,
        yearly_seasonality=False,
        weekly_seasonality=False,
        daily_seasonality=False,
        uncertainty_samples=0,
    )
    for name, scale in zip(names, prior, strict=True):
        theirs.add_regressor(name, prior_scale=float(scale), standardize=False)
    x = pd.DataFrame(additive.columns(problem.design, problem.frame), columns=names)
    x["ds"] = pd.to_datetime(problem.frame.times)
    past = x.iloc[problem.rows].copy()
    past["y"] = problem.y
    start = {"k": near.k, "m": near.m, "sigma_obs": near.sigma}
    theirs.fit(past, init=start | {"delta": np.array(near.delta), "beta": np.array(near.beta)})
    logs = theirs.predict(x)["yhat"].to_numpy() * problem.y_scale + problem.center
    ours = additive.predict(problem.fit().model_copy(update={"adapts": False}), problem.frame)
    selling = problem.frame.open > 0
    np.testing.assert_allclose(np.log(ours[selling]), logs[selling], atol=1e-5)


def test_the_approximation_is_the_mode_that_prophet_finds(problem):
    exact, near = (additive.predict(m, problem.frame) for m in (problem.fit(), problem.approximate()))
    selling = problem.frame.open > 0
    np.testing.assert_allclose(near[selling], exact[selling], rtol=0.02)


def test_a_fit_is_deterministic_and_leaves_no_file(problem, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert problem.fit() == problem.fit()
    assert list(tmp_path.rglob("*.csv")) == []
    assert list(tmp_path.glob("prophet-*")) == []


def test_closed_days_are_zero_and_nothing_is_negative(problem):
    yhat = additive.predict(problem.approximate(), problem.frame)
    assert (yhat[problem.frame.open == 0] == 0).all()
    assert (yhat >= 0).all()


def test_one_wild_day_hardly_moves_the_forecast():
    calm, wild = made(300), made(300)
    wild.y[200] *= 1000
    levels = []
    for series in (calm, wild):
        laid = frame.build(series, 14)
        levels.append(additive.predict(Problem(laid, laid.start, design_of(laid)).approximate(), laid)[-14:].sum())
    assert levels[1] == pytest.approx(levels[0], rel=0.05)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_sales_does_not_matter(unit):
    laid = frame.build(made(200), 14)
    scaled = frame.build(made(200, level=100.0 * unit), 14)
    small, large = (additive.predict(Problem(f, f.start, design_of(f)).approximate(), f) for f in (laid, scaled))
    np.testing.assert_allclose(large, small * unit, rtol=1e-4)


def test_the_trend_is_less_certain_the_further_ahead(problem):
    spread = additive.spread(problem.approximate(), np.array([1.0, 30.0, 365.0]))
    assert (np.diff(spread) > 0).all()


def test_what_has_neither_a_season_nor_a_regressor_is_fitted_by_prophet_as_well():
    laid = frame.build(made(60, promo=False), 14)
    bare = Problem(laid, laid.start, Design(weekly=False, yearly=False))
    fitted, near = bare.fit(), bare.approximate()
    assert fitted.beta == ()
    np.testing.assert_allclose(additive.predict(fitted, laid), additive.predict(near, laid), rtol=0.05)


def test_sales_that_broke_after_the_last_bend_are_forecast_at_their_new_level():
    series = made(420, promo=False)
    broken = frame.build(replace(series, y=series.y * np.where(np.arange(420) < 390, 1.0, 0.4)), 28)
    whole = Problem(broken, broken.start, Design(weekly=True, yearly=False)).approximate()
    open_days = broken.open[broken.start :] > 0
    ahead = additive.predict(whole, broken)[broken.start :][open_days]
    before = frame.build(series, 28)
    usual = additive.predict(Problem(before, 420, whole.design).approximate(), before)[420:][open_days]
    np.testing.assert_allclose(ahead[:6], 0.4 * usual[:6], rtol=0.15)
    stored = additive.Additive.model_validate_json(whole.model_dump_json(exclude={"adapts"}))
    assert (additive.predict(stored, broken)[broken.start :][open_days] > 1.3 * ahead).all()
