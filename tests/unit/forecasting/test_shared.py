"""The model of all series, from the training of a version to the answers."""

import json
import pickle
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest

from functions.forecasting import files
from functions.forecasting.contracts import Question
from functions.forecasting.domain import fit, frame, global_model, model
from functions.forecasting.domain.fit import Shared, share
from layers.runtime.errors import CorruptError
from tests.forecasting import House, made

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def stores():
    return [made(300, seed=i, name=f"s{i}", level=100.0 * (i + 1)) for i in range(6)]


@pytest.fixture(scope="module")
def shared(stores):
    quick = partial(global_model.Parameters, rounds=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(global_model, "Parameters", quick)
        learned = share(stores, 28, rows=20_000)
    assert isinstance(learned, Shared)
    return learned


@pytest.fixture(scope="module")
def house(stores, shared):
    stocked = House()
    stocked.learn = lambda *_, **__: shared
    stocked.put(*stores)
    stocked.train()
    return stocked


def test_what_judges_knows_no_day_of_any_fold(stores):
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(global_model, "fit", lambda series, *_, **__: kept.append(series) or "no")
        assert share(stores, 28, rows=1_000) == "no"
    assert [one.observed for one in kept[0]] == [300 - 4 * 28] * 6


def test_kinds_with_the_model_of_all_series_are_candidates_and_their_mean_lies_between(stores, shared):
    one = fit.fold(stores[0], 272, 300)
    fitted = one.problem(fit.choose_design([one])[0]).approximate()
    errors = fit.errors_by_kind(one, (), fitted, shared.judged)
    assert errors.keys() == {"prophet", "global", "blend"}
    low, high = (f(errors["prophet"][1], errors["global"][1]) for f in (np.minimum, np.maximum))
    assert ((errors["blend"][1] >= low - 1e-9) & (errors["blend"][1] <= high + 1e-9)).all()


def test_a_version_keeps_the_model_of_all_series_and_answers_with_it_for_who_has_none_of_its_own(house, shared):
    version = house.registry.champion("forecasting").version
    manifest = house.registry.manifest("forecasting", version)
    assert {"global.json", "global.onnx"} <= manifest.files.keys()
    young = made(20, name="young", level=5000.0)
    house.put(young, key="sales/young.csv")
    document = json.loads(house.service().forecast(Question("young", 14, 0.95, {})).body)
    assert document["model"]["version"].startswith("spot-")
    assert document["model"]["kind"] in {"global", "blend", "weekday_promotion_mean", "seasonal_naive"}
    for name in ("s0", "s5"):
        assert house.service().forecast(Question(name, 14, 0.95, {})).source == "computed"


def test_a_series_of_five_days_is_forecast_by_the_model_of_all_series(shared):
    outcome = fit.train(made(5), history="h", holdout=28, now=NOW, shared=shared)
    assert outcome.trained.kind == "global"
    days = frame.build(made(5), 14)
    predicted = model.forecast(outcome.trained, days, 0.95, shared.served)
    assert (predicted.yhat[days.open[days.start :] > 0] > 0).all()
    with pytest.raises(CorruptError):
        model.forecast(outcome.trained, days, 0.95)


def test_why_there_is_no_model_of_all_series_is_in_every_answer(stores):
    house = House()
    house.put(*stores[:2])
    house.learn = share
    house.train()
    document = json.loads(house.service().forecast(Question("s0", 7, 0.95, {})).body)
    assert any(said.startswith("no model of all series: ") for said in document["assumptions"])


def test_it_travels_to_another_process_with_its_task(stores, shared):
    task = files.Task(stores[0], 14, 0.95, 28, NOW, shared=shared)
    here, there = files.forecast_one(task), files.forecast_one(pickle.loads(pickle.dumps(task)))
    assert here.trained == there.trained
    assert here.forecast.yhat.tolist() == there.forecast.yhat.tolist()


def test_where_a_version_has_no_such_model_any_more_the_series_it_served_are_trained_again(stores, shared):
    house = House()
    house.learn = lambda *_, **__: shared
    house.put(*stores, made(5, name="young"))
    house.train()
    house.put(made(301, seed=0, name="s0"), key="sales/more.csv")
    house.learn = lambda *_, **__: "too few"
    house.fits.clear()
    house.train()
    assert {"s0", "young"} <= set(house.fits)
    assert house.service().forecast(Question("young", 7, 0.95, {})).source == "computed"


def test_a_model_of_all_series_that_cannot_be_learned_stops_no_training_and_is_told(stores, caplog):
    house = House()
    house.learn = lambda *_, **__: 1 / 0
    house.put(*stores[:1])
    done = house.train()
    assert done["trained"] == 1
    (told,) = [record for record in caplog.records if record.message == "model of all series not learned"]
    assert told.exc_info[0] is ZeroDivisionError
    (run,) = house.ledger.history("forecasting")
    assert run.detail == done["detail"] == "no model of all series: it could not be learned (ZeroDivisionError)"
    document = json.loads(house.service().forecast(Question("s0", 7, 0.95, {})).body)
    assert "no model of all series: it could not be learned (ZeroDivisionError)" in document["assumptions"]
