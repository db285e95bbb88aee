import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.forecasting import simulate
from functions.forecasting.domain import frame as frames
from functions.forecasting.domain import global_model
from functions.forecasting.domain.evidence import absolute, evidence, relative
from functions.forecasting.domain.frequency import Frequency
from functions.forecasting.domain.global_model import GlobalModel, Parameters
from functions.forecasting.domain.report import wape
from functions.forecasting.domain.series import Series
from layers.learning import trees
from layers.runtime.errors import CorruptError

QUICK = Parameters(rounds=60, rows=20_000)
HORIZON = 28


def stores(count: int, days: int = 500, *, seed: int = 3) -> list[Series]:
    """Simulated stores with openings, a promotion, holidays and a measured column, the weather."""
    table = simulate.table(count, days, 0, seed)[0].to_pydict()
    columns = {name: np.array(table[name], float).reshape(count, days) for name in ("y", "open", "promo")}
    weather = np.random.default_rng(seed).normal(size=(count, days))
    start = np.datetime64(table["ds"][0], "D")
    return [
        Series(f"store-{i}", start, columns["y"][i], columns["open"][i], {"promo": columns["promo"][i], "rain": rain})
        for i, rain in enumerate(weather)
    ]


def hidden(series: list[Series], newest: int = HORIZON) -> list[Series]:
    return [one.until(one.observed - newest) for one in series]


def last(one: Series, horizon: int = HORIZON) -> tuple[frames.Frame, np.ndarray]:
    start = one.observed - horizon
    return frames.build(one, horizon, start=start), one.y[start : one.observed]


@pytest.fixture(scope="module")
def model() -> GlobalModel:
    fitted = global_model.fit(hidden(stores(8)), QUICK)
    assert isinstance(fitted, GlobalModel)
    return fitted


def test_nothing_that_comes_after_the_eve_changes_what_is_known_of_a_day() -> None:
    (one,) = stores(1)
    start = 400
    rng = np.random.default_rng(0)
    late = np.arange(len(one.y)) >= start
    other = replace(
        one,
        y=np.where(late, rng.uniform(1, 1e4, len(late)), one.y),
        regressors=one.regressors | {"rain": np.where(late, 99.0, one.regressors["rain"])},
    )
    told, changed = (evidence(frames.build(s, 42, start=start)) for s in (one, other))
    assert told.usual == changed.usual
    assert np.array_equal(told.base, changed.base)
    for name, values in told.columns.items():
        assert np.array_equal(values, changed.columns[name], equal_nan=True), name


def test_what_is_planned_is_known() -> None:
    (one,) = stores(1)
    told = evidence(frames.build(one, 42, start=400))
    assert np.array_equal(told.columns["promotion"], one.regressors["promo"][400:442])
    shut = one.open[400:442] == 0
    assert np.array_equal(told.columns["closed the day before"][1:], shut[:-1])


def test_last_year_and_the_places_of_days_are_where_they_should_be() -> None:
    days = 800
    y = np.full(days, 100.0)
    start = np.datetime64("2023-01-02")
    y[740 - 364] = 300.0
    told = evidence(frames.build(Series("a", start, y), 42, start=700)).columns
    assert np.argmax(told["that day the year before"]) == 40
    assert set(np.flatnonzero(told["echo of the year before"] > 0.01)) == {37, 38, 39, 40, 41}
    assert told["distance"].tolist() == list(range(1, 43))
    assert told["day of the month"][0] == int(str(start + 700)[8:]) - 1


def test_what_was_sold_lately_is_told_at_five_lengths_and_last_year_within_a_month_of_the_day() -> None:
    days = 800
    y = np.full(days, 100.0)
    y[700 - 10 :] = 200.0
    y[740 - 364 - 14 : 740 - 364 + 15] = 300.0
    told = evidence(frames.build(Series("a", np.datetime64("2023-01-02"), y), 42, start=700)).columns
    levels = [told[f"level of a {name}"][0] for name in ("season", "fortnight", "month", "quarter", "half-year")]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > levels[1] > levels[2] > levels[3] > levels[4]
    assert np.argmax(told["echo of the month the year before"]) == 40
    y[698] = 800.0
    told = evidence(frames.build(Series("a", np.datetime64("2023-01-02"), y), 42, start=700)).columns
    highest = [told[f"profile of the {name}"].max() for name in ("season", "fortnight", "month", "quarter")]
    assert highest[0] > highest[2] > highest[3]


def test_runs_and_closings_are_counted() -> None:
    (one,) = stores(1)
    n = len(one.y)
    promotion, opened = np.zeros(n), np.ones(n)
    promotion[402:407], opened[410:413] = 1, 0
    promotion[:100:3] = 1
    one = replace(one, open=opened, regressors={"promo": promotion})
    told = evidence(frames.build(one, 42, start=400)).columns
    assert told["promotion day in a row"][:9].tolist() == [0, 0, 1, 2, 3, 4, 5, 0, 0]
    assert told["promotion days left"][:9].tolist() == [0, 0, 5, 4, 3, 2, 1, 0, 0]
    assert told["until a closing"][8:11].tolist() == [2, 1, 0]
    assert told["since a closing"][12:16].tolist() == [0, 1, 2, 3]
    assert told["length of that closing"][13] == told["length of the next closing"][8] == 3


def test_sales_return_from_the_scale_of_the_model() -> None:
    sales = np.array([0.0, 1.0, 50.0, 4_000.0])
    assert absolute(relative(sales, 50.0), 50.0) == pytest.approx(sales)


def test_it_forecasts_better_than_last_week_and_knows_closed_days(model: GlobalModel) -> None:
    ours, naive = [], []
    for one in stores(8):
        frame, y = last(one)
        yhat = model.forecast(frame)
        assert yhat.shape == (HORIZON,)
        assert (yhat[frame.open[frame.start :] == 0] == 0).all()
        ours.append(wape(y, yhat))
        naive.append(wape(y, np.tile(one.y[frame.start - 7 : frame.start], HORIZON // 7)))
    assert np.mean(ours) < 0.8 * np.mean(naive)


def test_a_series_of_thirty_days_gets_a_forecast_of_its_own_size(model: GlobalModel) -> None:
    (one,) = stores(1, seed=9)
    young = replace(
        one,
        start=one.start + 442,
        y=10 * one.y[442:],
        open=one.open[442:],
        regressors={name: values[442:] for name, values in one.regressors.items()},
    )
    frame, y = last(young)
    assert frame.seen == 30
    assert wape(y, model.forecast(frame)) < 0.35


def test_a_series_without_a_sale_is_forecast_as_nothing(model: GlobalModel) -> None:
    (one,) = stores(1)
    for y in (np.zeros(60), np.full(60, np.nan)):
        frame = frames.build(Series("none", one.start, y), 14, start=60)
        assert (model.forecast(frame) == 0).all()


def test_the_same_series_give_the_same_bytes_and_a_stored_model_the_same_forecast(model: GlobalModel) -> None:
    again = global_model.fit(hidden(stores(8)), QUICK)
    assert isinstance(again, GlobalModel)
    assert again.dump() == model.dump()
    frame, _ = last(stores(1)[0])
    assert np.array_equal(global_model.load(model.dump()).forecast(frame), model.forecast(frame))


def test_no_more_rows_are_learned_from_than_allowed() -> None:
    fitted = global_model.fit(stores(6), QUICK.model_copy(update={"rows": 3_000}))
    assert isinstance(fitted, GlobalModel)
    assert 1_000 <= fitted.specification.rows <= 3_000


def test_where_rows_are_too_many_every_origin_is_learned_from_by_some_of_its_days(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origins: list[int] = []
    build = frames.build

    def counted(*args: Any, **options: Any) -> frames.Frame:
        origins.append(options["start"])
        return build(*args, **options)

    monkeypatch.setattr(frames, "build", counted)
    rows = {}
    for most in (20_000, 4_000):
        fitted = global_model.fit(stores(6), QUICK.model_copy(update={"rows": most}))
        assert isinstance(fitted, GlobalModel)
        rows[most] = fitted.specification.rows, len(origins)
        origins.clear()
    assert 2_000 <= rows[4_000][0] <= 4_000 < rows[20_000][0]
    assert rows[4_000][1] == rows[20_000][1]


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (stores(1), "1 series are long enough and sold something, fewer than 3"),
        (stores(2, 20), "0 series are long enough"),
        (stores(5, 40), r"\d+ examples to learn from in 5 series, fewer than 1000"),
        ([replace(one, y=np.zeros(len(one.y))) for one in stores(4)], "0 series are long enough"),
        ([], "0 series are long enough"),
    ],
)
def test_too_little_to_learn_from_is_said(series: list[Series], reason: str) -> None:
    said = global_model.fit(series, QUICK)
    assert isinstance(said, str)
    assert re.search(reason, said)


def test_series_of_zeros_zeros_in_series_and_regressors_of_some_change_nothing_for_the_others() -> None:
    plain = stores(6)
    rng = np.random.default_rng(1)
    odd = [Series(f"zero-{i}", plain[0].start, np.zeros(500)) for i in range(6)]
    odd += [
        Series(f"half-{i}", plain[0].start, np.where(rng.random(500) < 0.5, 0.0, rng.poisson(20, 500))) for i in (1, 2)
    ]
    fitted = global_model.fit(hidden([*plain, *odd]), QUICK)
    assert isinstance(fitted, GlobalModel)
    assert fitted.specification.series == 8
    for one in plain:
        frame, y = last(one)
        assert wape(y, fitted.forecast(frame)) < 0.25
    frame, y = last(odd[-1])
    yhat = fitted.forecast(frame)
    assert (yhat >= 0).all()
    assert yhat.mean() < 2 * y.mean()


def test_months_have_a_model_of_all_series_too() -> None:
    rng = np.random.default_rng(0)
    month = np.tile(np.arange(12), 10)
    some = [
        Series(f"m{i}", np.datetime64("2020-01-01"), level * rng.uniform(0.95, 1.05, 120), frequency=Frequency("M", 1))
        for i in range(30)
        for level in [100 * (1 + i) * (1 + month / 12)]
    ]
    fitted = global_model.fit(hidden(some, 12), QUICK.model_copy(update={"horizon": 12}))
    assert isinstance(fitted, GlobalModel)
    frame, y = last(some[0], 12)
    assert wape(y, fitted.forecast(frame)) < 0.15


def test_every_month_is_learned_from_where_rows_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = set[float]()

    def fit(x: np.ndarray, *_: Any, **__: Any) -> None:
        learned.update(x[:, names.index("day of the year")])
        raise StopIteration

    some = [Series(f"m{i}", np.datetime64("2020-01-01"), np.ones(109), frequency=Frequency("M", 1)) for i in range(20)]
    names = list(evidence(frames.build(some[0], 12)).columns)
    monkeypatch.setattr(trees, "fit", fit)
    for rows in (15_000, 10_000, 7_000):
        learned.clear()
        with pytest.raises(StopIteration):
            global_model.fit(some, QUICK.model_copy(update={"horizon": 12, "rows": rows}))
        assert {round(day / 30.4) for day in learned} == {*range(12)}


def test_what_is_no_model_is_refused(model: GlobalModel) -> None:
    for files in ({}, {**model.dump(), "global.json": b"{}"}, {**model.dump(), "global.onnx": b"nothing"}):
        with pytest.raises(CorruptError, match="global model"):
            global_model.load(files)


def test_an_answer_needs_no_learner() -> None:
    code = (
        "import sys, functions.forecasting.domain.global_model\n"
        "print([m for m in ('lightgbm', 'onnx', 'scipy', 'pandas') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=120)
    assert done.stdout == b"[]\n"
