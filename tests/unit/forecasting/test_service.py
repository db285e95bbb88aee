import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from functions.forecasting import serve
from functions.forecasting.contracts import BatchItem, Question
from functions.forecasting.domain.fit import train
from functions.forecasting.domain.frequency import Frequency
from functions.forecasting.domain.profile import nearest, profile
from functions.forecasting.domain.series import Series, dump
from functions.forecasting.domain.table import read
from functions.forecasting.settings import ForecastingSettings
from functions.forecasting.simulate import table
from functions.forecasting.store import Catalog
from layers.runtime.errors import CorruptError, InputError, NotFoundError, UnavailableError
from layers.storage.registry import now
from tests.forecasting import House, made, written


def ask(name="a", horizon=7, level=0.95, future=None):
    return Question(name, horizon, level, future or {})


@pytest.fixture
def house():
    stocked = House()
    stocked.put(made(120, name="a"), made(120, name="b", seed=2))
    return stocked


def test_an_answer_comes_from_computing_then_memory_then_the_table(house):
    service = house.service()
    answers = [service.forecast(ask()), service.forecast(ask()), house.service().forecast(ask())]
    assert [one.source for one in answers] == ["computed", "memory", "table"]
    assert len({one.body for one in answers}) == len({one.etag for one in answers}) == 1


def test_a_new_version_does_not_serve_an_old_answer(house):
    service = house.service()
    first = json.loads(service.forecast(ask()).body)
    house.train()
    second = service.forecast(ask())
    assert second.source == "computed"
    assert first["model"]["version"].startswith("spot-")
    assert json.loads(second.body)["model"]["version"] == house.registry.champion("forecasting").version


def test_a_new_day_does_not_serve_an_old_answer(house):
    house.train()
    service = house.service()
    service.forecast(ask())
    house.put(made(121, name="a"), key="sales/b.csv")
    again = service.forecast(ask())
    assert again.source == "computed"
    assert json.loads(again.body)["points"][0]["ds"] == "2023-05-03"


def test_after_a_rollback_the_older_version_answers_and_is_listed(house):
    house.train()
    first = house.registry.champion("forecasting").version
    house.put(made(121, name="a"), key="sales/b.csv")
    house.train()
    house.registry.promote(
        "forecasting", first, expected=house.registry.champion("forecasting").version, reason="rollback"
    )
    service = house.service()
    assert json.loads(service.forecast(ask()).body)["model"]["version"] == first
    found = service.search("", "series_id", 10, "").rows
    assert {row.model.version for _, row in found} == {first}
    assert dict(found)["a"].outlook != Catalog(house.lake).rows()["a"].outlook  # that of the version published last


@pytest.mark.parametrize(("days", "old"), [(14, False), (15, True)])
def test_a_last_observation_older_than_two_seasons_is_said(house, monkeypatch, days, old):
    last = datetime(2023, 5, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(serve, "now", lambda: last + timedelta(days=days))
    assumptions = json.loads(house.service().forecast(ask()).body)["assumptions"]
    assert ("y: the last observation, of 2023-05-01, is more than two seasons old" in assumptions) is old


def test_what_comes_of_all_series_asked_for_is_summed_by_frequency_over_all_pages():
    house = House()
    months = Series("b-months", np.datetime64("2015-01-01"), np.full(60, 30.0), frequency=Frequency("M", 1))
    house.put(made(120, name="a-one", level=10.0), made(120, name="a-two"))
    house.put(months, key="sales/months.csv")
    house.train()
    page = house.service().search("", "series_id", 1, "")
    outlooks = {name: row.outlook for name, row in house.service().search("", "series_id", 9, "").rows}
    days, monthly = page.totals
    assert (days.frequency, days.series, monthly.frequency, monthly.series) == ("D", 2, "M", 1)
    assert days.total == pytest.approx(outlooks["a-one"].total + outlooks["a-two"].total)
    usual = sum(one.total / one.against_usual for name, one in outlooks.items() if name.startswith("a"))
    assert days.against_usual == pytest.approx(days.total / usual, abs=1e-4)
    assert monthly.against_usual == pytest.approx(1.0, abs=0.02)
    assert [one.series for one in house.service().search("a-t", "skill", 9, "").totals] == [1]
    assert house.service().search("nobody", "skill", 9, "").totals == []


def test_a_peak_that_sales_have_passed_is_not_listed_as_coming(house):
    house.train()
    listed = dict(house.service().search("", "-peak_against_usual", 10, "").rows)
    assert listed["a"].outlook
    house.put(made(180, name="new"), key="sales/new.csv")
    listed = dict(house.service().search("", "-peak_against_usual", 10, "").rows)
    assert listed["a"].outlook is None


def test_a_series_without_a_model_is_answered_at_once_and_by_its_model_after_training(house):
    with ThreadPoolExecutor(12) as pool:
        bodies = list(pool.map(lambda _: house.service().forecast(ask()).body, range(12)))
    first = json.loads(bodies[0])
    assert first["model"]["kind"] in {"additive", "seasonal_naive", "weekday_promotion_mean"}
    assert all(json.loads(body)["points"] == first["points"] for body in bodies)
    house.train()
    after = json.loads(house.service().forecast(ask()).body)
    assert after["model"]["version"] == house.registry.champion("forecasting").version
    ours, exact = (np.array([p["yhat"] for p in one["points"]]) for one in (first, after))
    np.testing.assert_allclose(ours, exact, rtol=0.1)


def test_the_additive_approximation_is_named_as_what_it_is():
    house, series = House(), made(420, name="a")
    house.put(replace(series, y=series.y * np.exp(0.002 * np.arange(420))))
    assert json.loads(house.service().forecast(ask()).body)["model"]["kind"] == "additive"
    house.train()
    assert json.loads(house.service().forecast(ask()).body)["model"]["kind"] == "prophet"


def test_a_batch_begins_no_item_after_its_time_and_tells_which_it_did_not_reach(house):
    service = house.service(batch_seconds=0.0)
    results = service.batch([BatchItem(id=str(i), series_id="ab"[i % 2], horizon=i + 1) for i in range(20)])
    assert [name for name, _ in results] == [str(i) for i in range(20)]
    assert all(isinstance(result, UnavailableError) and result.retry_after > 0 for _, result in results)


def test_of_more_answers_than_memory_holds_the_one_used_longest_ago_is_forgotten(house):
    service = house.service(memory_answers=2)
    sources = [service.forecast(ask(horizon=days)).source for days in (1, 2, 1, 3, 1, 2)]
    assert sources == ["computed", "computed", "memory", "computed", "memory", "table"]


def test_a_damaged_model_is_not_served(house):
    house.train()
    for key in [key for key in house.models.bodies if key.endswith("models/a.json")]:
        house.models.bodies[key] = house.models.bodies[key].replace(b"0", b"1")
    with pytest.raises(CorruptError):
        house.service().forecast(ask())


def test_a_batch_answers_in_order_and_a_wrong_item_spoils_no_other(house):
    items = [
        BatchItem(id="plan", series_id="a", horizon=7, future={"promo": [1.0] * 7}),
        BatchItem(id="new", like="a", scale=2.0, horizon=7),
        BatchItem(id="unknown", series_id="zzz"),
        BatchItem(id="both", series_id="a", like="b", scale=1.0),
        BatchItem(id="neither"),
        BatchItem(id="alone", like="a"),
        BatchItem(id="short", series_id="a", horizon=7, future={"promo": [1.0]}),
    ]
    results = house.service().batch(items)
    assert [name for name, _ in results] == [item.id for item in items]
    kinds = [type(result).__name__ for _, result in results]
    assert kinds == ["Answered", "Answered", "NotFoundError", *["InputError"] * 4]
    base = json.loads(house.service().forecast(ask()).body)
    plan, new = (json.loads(result.body) for _, result in results[:2])
    assert sum(p["yhat"] for p in plan["points"]) > 1.1 * sum(p["yhat"] for p in base["points"])
    np.testing.assert_allclose([p["yhat"] for p in new["points"]], [2 * p["yhat"] for p in base["points"]], rtol=1e-4)
    assert any("times 2" in said for said in new["assumptions"])


def test_search_pages_through_thousands_in_order():
    house = House()
    catalog = Catalog(house.lake)
    house.put(made(30, name="seed"))
    row = catalog.rows()["seed"]
    catalog.update([f"Shop-{i:04}" for i in range(5000)], lambda *_: row)
    found, more, _ = house.service().search("shop-1", "series_id", 300, "")
    rest, end, _ = house.service().search("SHOP-1", "series_id", 1000, found[-1][0])
    assert (len(found), more, len(found) + len(rest), end) == (300, True, 1000, False)


def test_history_is_cut_to_the_days_asked_for(house):
    from datetime import date

    points = house.service().history("a", date(2023, 1, 7), date(2023, 1, 8))["points"]
    assert [(p["ds"], p["y"] > 0) for p in points] == [("2023-01-07", True), ("2023-01-08", False)]
    with pytest.raises(InputError):
        house.service().history("a", date(2023, 1, 8), date(2023, 1, 7))


def test_a_series_of_known_future_only_has_no_forecast_yet():
    house = House()
    house.put(made(20, name="a").until(0))
    with pytest.raises(NotFoundError, match="no observation"):
        house.service().forecast(ask())


def test_nine_of_ten_nearest_share_the_planted_archetype():
    import io

    made_table, kinds = table(60, 780, 0, 5)
    import pyarrow.csv as csv

    sink = io.BytesIO()
    csv.write_csv(made_table, sink)
    sink.seek(0)
    series = read(sink, "s.csv").series
    profiles = {str(i): profile(one) for i, one in enumerate(series)}
    shared = [
        kinds[int(near["series_id"])] == kinds[int(own)]
        for own in profiles
        for near in nearest(np.array(profiles[own]), {k: v for k, v in profiles.items() if k != own}, 5, {}, {})
    ]
    assert np.mean(shared) >= 0.9


def test_a_lone_series_resembles_none():
    house = House()
    house.put(made(30, name="a"))
    assert house.service().similar("a", 5)["items"] == []


def test_a_series_of_a_few_days_resembles_none():
    house = House()
    house.put(made(30, name="a"), made(3, name="b"))
    assert house.service().similar("a", 5)["items"] == []
    assert house.service().similar("b", 5)["items"] == []


def test_series_whose_items_are_alike_are_named_first_also_where_one_is_too_new_to_have_a_shape():
    house = House()
    shapes = {"new": (3, 1), "old": (300, 1), "same shape": (300, 1), "same item": (300, 2)}
    for name, (days, seed) in shapes.items():
        one = made(days, seed=seed, name=name, promo=False)
        soap = name in ("new", "old", "same item")
        house.put(replace(one, regressors={"kind=soap": np.full(days, float(soap)), "size": np.full(days, 2.0 + soap)}))
    for name in ("new", "old"):
        assert house.service().similar(name, 5)["items"][0]["shared"] == "kind soap, size 3"
    assert [one["series_id"] for one in house.service().similar("old", 5)["items"]] == ["same item", "same shape"]
    assert {one["series_id"] for one in house.service().similar("new", 2)["items"]} == {"old", "same item"}


def test_the_smallest_sales_are_not_rounded_away():
    house = House()
    house.put(made(120, name="a", level=2e-5))
    points = json.loads(house.service().forecast(ask()).body)["points"]
    assert all(1e-5 < point["yhat"] < 4e-5 for point in points[:3])
    assert len({point["yhat"] for point in points}) > 3


def test_every_horizon_begins_after_the_newest_observation_of_the_catalog_and_a_bridge_is_said(house):
    house.train()
    service = house.service()
    service.forecast(ask("b"))
    house.put(made(134, name="a"), key="sales/b.csv")
    late = service.forecast(ask("b"))
    document = json.loads(late.body)
    assert (late.source, document["points"][0]["ds"]) == ("computed", "2023-05-16")
    assert "y: last observed on 2023-05-01; bridged over 14 days to the horizon" in document["assumptions"]


def test_a_model_whose_regressor_the_history_lacks_still_answers(house):
    house.train()
    lost = replace(made(120, name="a"), regressors={})
    house.lake.put("history/a.json.gz", dump(lost))
    document = json.loads(house.service().forecast(ask()).body)
    assert any("not in the history any more" in said for said in document["assumptions"])


def test_the_level_of_a_series_does_not_matter_to_its_profile():
    small, large = made(400), made(400, level=1e5)
    np.testing.assert_allclose(profile(small), profile(replace(large, y=large.y)), atol=1e-3)


def test_the_written_file_is_what_the_reader_reads():
    import io

    (series,) = read(io.BytesIO(written(made(30, name="a"))), "a.csv").series
    np.testing.assert_allclose(series.y, made(30).y)


def test_regressors_that_the_setting_names_are_known_beforehand():
    names = ForecastingSettings(known=" price, temp ").known_names
    assert names == ["price", "temp"]
    temp = np.random.default_rng(0).normal(size=200)
    warm = replace(made(200, promo=False), regressors={"temp": temp})
    warm = replace(warm, y=warm.y * np.exp(0.5 * temp))
    told, untold = (
        train(warm, history="h", holdout=28, now=now(), known=known).trained.backtest.wape for known in (names, [])
    )
    assert told < 0.6 * untold


def test_after_a_sunny_file_a_rainy_one_keeps_its_rain_and_both_are_one_column():
    house = House()
    days, rng = made(180).times.astype(str), np.random.default_rng(0)
    wet = np.r_[np.zeros(90), rng.random(90) < 0.5]
    y = 100 * np.exp(-0.7 * wet + 0.05 * rng.normal(size=180))
    for key, part in (("sunny", slice(0, 90)), ("rainy", slice(90, 180))):
        rows = [f"a,{d},{v},{'rain' if w else 'sun'}" for d, v, w in zip(days[part], y[part], wet[part], strict=True)]
        house.lake.put(f"sales/{key}.csv", "\n".join(["series_id,ds,y,weather", *rows]).encode())
        house.ingestion.ingest(f"sales/{key}.csv")
    service = house.service(known="weather")
    plan = {"weather=rain": [1.0, 0.0] * 7, "weather=sun": [0.0, 1.0] * 7}
    points = json.loads(service.forecast(ask(horizon=14, future=plan)).body)["points"]
    wet_days, dry_days = (np.mean([p["yhat"] for p in points[i::2]]) for i in (0, 1))
    assert wet_days / dry_days == pytest.approx(np.exp(-0.7), rel=0.1)
