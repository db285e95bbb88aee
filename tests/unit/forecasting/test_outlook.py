import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from functions.forecasting.contracts import ModelEntry, Outlook, Question
from functions.forecasting.domain.frame import build
from functions.forecasting.domain.frequency import Frequency
from functions.forecasting.domain.outlook import outlook
from functions.forecasting.domain.series import Series
from functions.forecasting.serve import staleness
from functions.forecasting.store import Catalog, Row, dump_index, parse_index
from tests.forecasting import START, Caller, House, made

SORTS = ("series_id", "-peak_against_usual", "skill", "-staleness")


def of(y, yhat, *, opened=None, kind="D", start=START):
    series = Series("s", start, np.array(y, float), opened, frequency=Frequency(kind))
    return outlook(build(series, len(yhat)), np.array(yhat, float))


def test_a_horizon_is_told_against_the_mean_of_the_last_eight_weeks_and_its_busiest_week_is_the_peak():
    yhat = np.full(42, 10.0)
    yhat[10:17] = 20.0
    told = of([*[999.0] * 30, *[10.0] * 56], yhat)
    assert told == Outlook(
        total=490.0, against_usual=round(49 / 42, 4), peak_start="2023-04-08", peak_against_usual=2.0
    )


def test_closed_periods_count_as_nothing_before_and_ahead_told_or_left_out():
    opened = np.array([1.0, 1, 1, 1, 1, 1, 0] * 11)
    week = np.array([7.0] * 6 + [0.0])
    told, left_out = np.tile(week, 9), np.tile(week, 9)
    left_out[6:-1:7] = np.nan
    for y in (told, left_out):
        told = of([*y, *[np.nan] * 14], [*week, 0, 0, 0, *week[:4]], opened=opened)
        assert (told.total, told.against_usual, told.peak_against_usual) == (70.0, round(70 / 84, 4), 1.0)
        assert told.peak_start == "2023-03-06"


def test_days_of_which_nothing_is_known_do_not_count():
    y = np.full(56, 8.0)
    y[5:9] = np.nan
    assert of(y, np.full(7, 8.0), opened=np.ones(56)).against_usual == 1.0


@pytest.mark.parametrize("y", [np.zeros(60), np.full(60, -3.0), np.full(60, 1e-320)])
def test_what_usually_sells_nothing_or_less_has_a_total_only(y):
    told = of(y, np.full(42, 1.0))
    assert told == Outlook(total=42.0, against_usual=None, peak_start=None, peak_against_usual=None)
    json.dumps(told.model_dump(), allow_nan=False)


def test_a_forecast_of_nothing_or_less_is_below_usual():
    assert of(np.full(56, 5.0), np.zeros(42)).against_usual == 0.0
    assert of(np.full(56, 5.0), np.full(42, -5.0)).peak_against_usual == -1.0


@pytest.mark.parametrize(("kind", "span"), [("H", 24), ("D", 7), ("W", 1), ("M", 1), ("Q", 1)])
def test_a_peak_is_a_day_of_hours_a_week_of_days_else_a_period(kind, span):
    yhat = np.full(60, 1.0)
    yhat[30 : 30 + span] = 3.0
    start = np.datetime64("2020-01-01", "m" if kind == "H" else "D")
    told = of(np.ones(20), yhat, kind=kind, start=start)
    frequency = Frequency(kind)
    first = frequency.times(np.array([frequency.number(start) + 50]))
    assert (told.peak_start, told.peak_against_usual) == (frequency.labels(first)[0], 3.0)


def test_a_history_of_one_day_and_a_horizon_shorter_than_a_week_are_told():
    told = of([4.0], [8.0, 4.0])
    assert (told.total, told.against_usual, told.peak_start, told.peak_against_usual) == (12.0, 1.5, "2023-01-03", 1.5)


@pytest.mark.parametrize(
    ("frequency", "last", "newest", "periods"),
    [
        ("H", "2024-01-01T00:00", "2024-01-02T01:00", 25),
        ("H", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00", 1),
        ("H", "2024-01-01T00:00", "2024-01-01T02:00+01:00", 1),
        ("D", "2024-02-28", "2024-03-01", 2),
        ("D", "2024-03-02", "2024-03-01", 0),
        ("W", "2024-01-01", "2024-01-15", 2),
        ("M", "2023-12-31", "2024-02-29", 2),
        ("Q", "2023-10-01", "2024-04-01", 2),
    ],
)
def test_staleness_counts_periods_up_to_the_newest_observation(frequency, last, newest, periods):
    assert staleness(frequency, last, newest) == periods


def test_training_writes_the_outlook_of_the_answer_that_the_api_gives():
    house = House()
    house.put(made(120, name="a"), made(99, name="b", seed=2))
    house.train()
    for name, row in Catalog(house.lake).rows().items():
        document = json.loads(house.service().forecast(Question(name, None, 0.95, {})).body)
        points = document["points"]
        assert row.outlook.total == pytest.approx(sum(point["yhat"] for point in points), abs=0.01)
        weeks = [sum(point["yhat"] for point in points[i : i + 7]) for i in range(len(points) - 6)]
        assert weeks[[p["ds"] for p in points].index(row.outlook.peak_start)] == pytest.approx(max(weeks), rel=1e-3)
    before = Catalog(house.lake).rows()["a"].outlook
    house.put(made(121, name="a"), key="sales/b.csv")
    assert Catalog(house.lake).rows()["a"].outlook == before


def test_a_store_that_sold_nothing_is_listed_with_its_total_only_and_the_catalog_stays_readable():
    house = House()
    house.put(replace(made(80, name="a"), y=np.zeros(80)))
    house.train()
    (item,) = Caller(house.app())("/v1/series")[2]["items"]
    assert item["outlook"] == {"total": 0.0, "against_usual": None, "peak_start": None, "peak_against_usual": None}


def test_an_index_from_before_outlooks_is_read():
    old = {"a": {"key": "k", "sha256": "s", "bytes": 1, "history": "h", "kind": "prophet", "skill": 0.1}}
    assert parse_index(json.dumps(old).encode())["a"].outlook is None


def stocked():
    """Series of each rank, of equal ranks, without a skill, an outlook, a model, or any observation."""
    house = House()
    house.put(made(30, name="seed"))
    house.train()
    version = house.registry.champion("forecasting").version
    rows, entries = {}, {}
    for i in range(40):
        name, peak, skill = f"s{i}", i * 7 % 5, i % 3
        last = None if i == 39 else f"2024-01-{1 + i % 9:02}"
        rows[name] = Row(frequency="D", last_ds=last, observations=i, history="h", profile=[])
        told = Outlook(total=1.0, against_usual=1.0, peak_start="2024-02-01", peak_against_usual=peak or None)
        outlooked = None if i == 8 else told
        entry = ModelEntry(key="k", sha256="s", bytes=1, history="h", kind="x", skill=skill or None, outlook=outlooked)
        if i != 9:
            entries[name] = entry
    Catalog(house.lake).update(rows, lambda name, _: rows[name])
    house.models.delete(f"forecasting/{version}/index.json")
    house.models.put(f"forecasting/{version}/index.json", dump_index(entries))
    return Caller(house.app())


def rank(sort, item):
    outlook_, model = item["outlook"] or {}, item["model"] or {}
    value = {
        "series_id": 0,
        "-peak_against_usual": -(outlook_.get("peak_against_usual") or -99),
        "skill": model.get("skill") or 99,
        "-staleness": item["last_ds"] or "9",
    }[sort]
    return value, int(item["series_id"][1:] if item["series_id"] != "seed" else -1)


def test_pages_of_every_order_neither_skip_nor_repeat_and_unknown_ranks_come_last():
    call = stocked()
    orders = {}
    for sort in SORTS:
        listed, cursor = [], ""
        while cursor is not None:
            status, _, page = call("/v1/series", f"q=s&sort={sort}&limit=7&cursor={cursor}")
            assert status == 200
            listed += page["items"]
            cursor = page["next_cursor"]
        shown = [item for item in listed if item["series_id"] != "seed"]
        assert len({item["series_id"] for item in listed}) == len(listed) == 41
        assert shown == sorted(shown, key=lambda item: rank(sort, item))
        orders[sort] = [item["series_id"] for item in shown]
    assert all(one != other for one, other in permutations(orders.values(), 2))
    by_id = {item["series_id"]: item for item in listed}
    assert (by_id["s9"]["model"], by_id["s9"]["outlook"], by_id["s8"]["outlook"]) == (None, None, None)
    assert by_id["s1"]["outlook"].keys() == {"total", "against_usual", "peak_start", "peak_against_usual"}
