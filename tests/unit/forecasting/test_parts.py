"""The parts of a forecast against the forecast without them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from functions.forecasting.domain import additive, baselines, fit, frame, model
from functions.forecasting.domain.parts import ALL_SERIES, parts
from tests.forecasting import Caller, House, made

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Constant:
    """A model of all series that forecasts 50 each day."""

    def forecast(self, days):
        return np.where(days.open[days.start :] > 0, 50.0, 0.0)


def served(series, kind):
    """The series with Prophet's model, served as `kind`, and the days to come with a promotion on some of them."""
    one = fit.fold(series, series.observed - 28, series.observed)
    design = fit.choose_design([one], log=kind != "linear")[0]
    days = frame.build(series, 28, {"promo": [1, 0] * 14})
    fitted = additive.Problem(days, days.start, design).approximate()
    trained = fit.train(series, history="h", holdout=0, now=NOW, exact=False).trained
    return trained.model_copy(update={"additive": fitted, "kind": "prophet" if kind == "linear" else kind}), days


@pytest.mark.parametrize("kind", ["prophet", "blend", "linear"])
def test_parts_sum_to_the_forecast_on_the_scale_that_they_state(kind):
    trained, days = served(made(450), kind)
    made_of = parts(trained, days, Constant())
    yhat = model.middle(trained.kind, days, trained.additive, Constant())
    total, opened = sum(made_of.values.values()), days.open[days.start :] > 0
    assert made_of.scale == ("linear" if kind == "linear" else "log")
    assert np.isnan(total[~opened]).all()
    assert (~opened).any()
    forecast = np.exp(total) if made_of.scale == "log" else total
    np.testing.assert_allclose(forecast[opened], yhat[opened], rtol=1e-9)
    assert {"level", "trend", "season of the week", "promo"} <= made_of.values.keys()
    assert (ALL_SERIES in made_of.values) == (kind == "blend")


def test_a_model_stored_when_prophet_was_blended_with_the_year_before_is_still_answered_so():
    trained, days = served(made(450), "prophet")
    stored = model.load_model(trained.model_copy(update={"kind": "echo"}).model_dump_json().encode())
    ours, then = additive.predict(stored.additive, days)[days.start :], baselines.predict("year_ago", days)
    yhat = model.forecast(stored, days, 0.8).yhat
    np.testing.assert_allclose(yhat, np.sqrt(ours * then))
    assert np.abs(yhat - ours).max() > 1
    made_of, opened = parts(stored, days), days.open[days.start :] > 0
    assert made_of.scale == "linear"
    np.testing.assert_allclose(made_of.values["echo"][opened], yhat[opened])


def test_a_part_is_what_the_forecast_would_lack_without_it():
    trained, days = served(made(300), "prophet")
    made_of, names = parts(trained, days).values, additive.names(trained.additive.design)
    fitted = trained.additive.model_copy(update={"adapts": False})  # the level of lately stays, whatever is left out
    whole = additive.predict(fitted, days)[days.start :]
    opened = days.open[days.start :] > 0
    for part, mine in (
        ("promo", [name.endswith(":promo") for name in names]),
        ("season of the week", [name.startswith("week") for name in names]),
    ):
        beta = tuple(np.where(mine, 0.0, trained.additive.beta))
        without = additive.predict(fitted.model_copy(update={"beta": beta}), days)[days.start :]
        np.testing.assert_allclose(made_of[part][opened], np.log(whole[opened] / without[opened]), atol=1e-9)
    assert made_of["promo"][opened].max() > 0.2
    assert np.ptp(made_of["level"][opened]) == 0


def test_a_rule_is_one_part():
    series = made(21)
    trained = fit.train(series, history="h", holdout=28, now=NOW).trained
    made_of = parts(trained, frame.build(series, 7))
    assert made_of.scale == "linear"
    (values,) = made_of.values.values()
    assert (values[:6] > 0).all()


def test_an_answer_holds_the_parts_when_asked_for_and_only_then():
    house = House()
    house.put(made(301, name="a"))
    house.train()
    call = Caller(house.app())
    assert "parts" not in call("/v1/series/a/forecast", "horizon=7")[2]
    body = call("/v1/series/a/forecast", "horizon=7&parts=true")[2]
    values = np.array([*body["parts"]["values"].values()], float).sum(axis=0)
    values = np.exp(values) if body["parts"]["scale"] == "log" else values
    yhat = np.array([point["yhat"] for point in body["points"]])
    np.testing.assert_allclose(values[:6], yhat[:6], rtol=1e-4)
    assert np.isnan(values[6])
    assert yhat[6] == 0
