"""What people make of a forecast: over HTTP, on stores that were trained, on a day in May."""

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.forecasting import serve
from functions.forecasting.contracts import Override, OverrideRequest, Question
from functions.forecasting.domain.overrides import account, merge
from tests.fakes import InMemoryTable
from tests.forecasting import CLAIMS, Caller, House, made

PATH, FORECAST = "/v1/series/a/overrides", "/v1/series/a/forecast"
TODAY = datetime(2023, 5, 1, 12, tzinfo=UTC)  # the sales end on this day
FAIR = {"start": "2023-05-03", "end": "2023-05-05", "factor": 1.5, "reason": "street fair", "expires": "2023-05-10"}


class Clock:
    """Each look at it is a moment later."""

    def __init__(self) -> None:
        self.now = TODAY

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(serve, "now", clock)
    return clock


@pytest.fixture(scope="module")
def trained() -> House:
    house = House()
    house.put(made(120, name="a"), made(120, name="b/c?", seed=2))
    house.train()
    return house


@pytest.fixture
def house(trained: House, clock: Clock) -> House:
    """What is said in one test does not reach another."""
    trained.answers = InMemoryTable("series_id", "item")
    return trained


@pytest.fixture
def call(house: House) -> Caller:
    return Caller(house.app())


def say(call: Caller, path: str = PATH, query: str = "", by: str = "ada", **changes: Any) -> tuple[int, Any]:
    body = {name: value for name, value in (FAIR | changes).items() if value is not ...}
    status, _, answer = call(path, query, method="PUT", body=body, claims=CLAIMS | {"username": by})
    return status, answer


def planned(call: Caller, query: str = "") -> dict[str, float]:
    """What people planned, by day."""
    return {one["ds"]: one["planned"] for one in call(FORECAST, query)[2]["points"] if "planned" in one}


def test_the_planned_line_stands_beside_the_models_own_with_who_said_so_and_why(call: Caller) -> None:
    before = call(FORECAST)[2]
    assert say(call)[0] == 200
    after = call(FORECAST)[2]
    own = {one["ds"]: one["yhat"] for one in before["points"]}
    assert planned(call) == {day: pytest.approx(1.5 * own[day]) for day in ("2023-05-03", "2023-05-04", "2023-05-05")}
    (told,) = after.pop("overrides")
    assert told.pop("at").startswith("2023-05-01T12:00:00.0000")
    assert told == FAIR | {"by": "ada"}
    for point in after["points"]:
        point.pop("planned", None)
    assert after == before


def test_a_forecast_that_nobody_spoke_of_is_the_same_to_the_byte(house: House, call: Caller) -> None:
    def body() -> bytes:
        return house.service().forecast(Question("a", 1, 0.95, {})).body

    before = body()
    say(call)
    assert body() == before
    say(call, start="2023-05-02")
    assert body() != before
    say(call, start="2023-05-02", value=None, factor=...)
    assert body() == before


def test_a_new_override_makes_a_new_etag_at_once_and_taking_it_back_the_old_one(call: Caller) -> None:
    def etag() -> str:
        return call(FORECAST)[1]["etag"]

    first = etag()
    say(call)
    second = etag()
    say(call, factor=2.0)
    third = etag()
    assert len({first, second, third}) == 3
    assert call(FORECAST, headers={"if-none-match": first})[0] == 200
    assert call(FORECAST, headers={"if-none-match": third})[0] == 304
    assert say(call, value=None, factor=..., reason="", expires=...)[1]["items"] == []
    assert etag() == first


def test_another_container_tells_it_too(house: House, call: Caller) -> None:
    other = Caller(house.app())
    assert planned(other) == {}
    say(call)
    assert planned(other) == planned(call) != {}


def test_an_expired_override_moves_nothing(call: Caller, clock: Clock) -> None:
    say(call)
    clock.now = datetime(2023, 5, 10, 23, 59, tzinfo=UTC)
    assert planned(call)
    clock.now = datetime(2023, 5, 11, tzinfo=UTC)
    assert planned(call) == {}
    assert "overrides" not in call(FORECAST)[2]


def test_the_newest_word_of_each_period_holds_in_any_order_and_any_number_of_times(house: House, clock: Clock) -> None:
    words = [
        {"at": "2023-05-01T08:00:00Z", "factor": 2.0},
        {"at": "2023-05-01T09:00:00Z", "start": "2023-05-04", "value": 7.0, "factor": ...},
        {"at": "2023-05-01T10:00:00Z", "end": "2023-05-03", "value": None, "factor": ...},
        {"at": "2023-05-01T11:00:00Z", "start": "2023-05-05", "end": "2023-05-06", "factor": 2.0},
    ]
    told = set()
    for order in permutations(words):
        house.answers = InMemoryTable("series_id", "item")
        call = Caller(house.app())
        for word in (*order, *order):
            assert say(call, **word)[0] == 200
        told.add(json.dumps([call(FORECAST)[2]["points"], call(PATH)[2]]))
    (only,) = told
    points, listed = json.loads(only)
    assert [one["ds"] for one in points if "planned" in one] == ["2023-05-04", "2023-05-05", "2023-05-06"]
    assert points[2]["planned"] == 7.0
    assert [(one["start"], one["end"]) for one in listed["items"]] == [
        ("2023-05-05", "2023-05-06"),
        ("2023-05-04", "2023-05-04"),
    ]


def test_two_people_at_once_leave_both_their_words(house: House, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    other, put, raced = house.service(), house.answers.put, []
    meanwhile = OverrideRequest.model_validate(FAIR | {"start": "2023-05-08", "end": "2023-05-08"})

    def interrupted(item: Any, **condition: Any) -> None:
        if item["item"] == "a" and not raced:
            raced.append(True)
            other.override("a", meanwhile, "bob")
        put(item, **condition)

    monkeypatch.setattr(house.answers, "put", interrupted)
    assert say(call)[0] == 200
    assert {one["by"] for one in call(PATH)[2]["items"]} == {"ada", "bob"}


def test_an_override_moves_the_own_forecast_of_its_series_and_not_that_of_a_store_like_it(call: Caller) -> None:
    say(call)
    items = [
        {"id": "own", "series_id": "a", "horizon": 7, "future": {"promo": [1] * 7}},
        {"id": "like", "like": "a", "scale": 2, "horizon": 7},
        {"id": "other", "series_id": "b/c?", "horizon": 7},
    ]
    own, like, other = (one["forecast"] for one in call("/v1/forecasts", body={"items": items})[2]["items"])
    assert [one["planned"] for one in own["points"][1:4]] == [
        pytest.approx(1.5 * p["yhat"]) for p in own["points"][1:4]
    ]
    assert all("overrides" not in one and "planned" not in str(one["points"]) for one in (like, other))


def test_an_id_that_a_path_cannot_hold_is_spoken_of_by_query(call: Caller) -> None:
    assert say(call, "/v1/overrides", "series_id=b/c%3F")[0] == 200
    assert len(call("/v1/overrides", "series_id=b/c%3F")[2]["items"]) == 1
    assert len(call("/v1/forecast", "series_id=b/c%3F")[2]["overrides"]) == 1
    assert call(PATH)[2] == {"series_id": "a", "items": [], "by_reason": [], "total": None}


def test_of_a_span_that_is_observed_in_part_the_rest_moves(call: Caller) -> None:
    say(call, start="2023-04-20")
    assert list(planned(call)) == [f"2023-05-0{day}" for day in range(2, 6)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"factor": ...}, "value"),
        ({"value": 5}, "factor"),
        ({"factor": -1}, "factor"),
        ({"factor": "much"}, "factor"),
        ({"factor": ..., "value": 1e13}, "value"),
        ({"reason": " "}, "reason"),
        ({"reason": ...}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"expires": ...}, "expires"),
        ({"expires": "2023-04-30"}, "expires"),
        ({"expires": 5}, "expires"),
        ({"expires": "2023-02-31"}, "expires"),
        ({"start": "2023-02-31"}, "start"),
        ({"end": "2023-13-01"}, "end"),
        ({"end": "2023-05-02"}, "end"),
        ({"start": "2023-04-01", "end": "2023-05-01"}, "end"),
        ({"end": "2024-05-01"}, "end"),
        ({"start": "tomorrow"}, "start"),
        ({"at": "2023-05-01T12:06:00Z"}, "at"),
        ({"at": "2023-05-01T12:00:00"}, "at"),
        ({"by": "bob"}, "by"),
    ],
)
def test_a_wrong_word_is_a_problem_that_names_the_field(call: Caller, changes: dict[str, Any], field: str) -> None:
    body = {name: value for name, value in (FAIR | changes).items() if value is not ...}
    status, _, answer = call(PATH, method="PUT", body=body)
    assert (status, answer["field"]) == (422, f"body.{field}")
    assert call(PATH)[2]["items"] == []


def test_nobody_speaks_of_a_series_that_does_not_exist(call: Caller) -> None:
    assert say(call, "/v1/series/nobody/overrides")[0] == call("/v1/series/nobody/overrides")[0] == 404


def test_the_overview_tells_the_planned_outlook_until_it_expires(house: House, call: Caller, clock: Clock) -> None:
    def outlook(name: str = "a") -> dict[str, Any]:
        found = {one["series_id"]: one["outlook"] for one in Caller(house.app())("/v1/series")[2]["items"]}
        return dict(found[name])

    own, other = outlook(), outlook("b/c?")
    say(call, value=5000, factor=...)
    points = call(FORECAST)[2]["points"]
    total = sum(point.get("planned", point["yhat"]) for point in points)
    assert outlook()["total"] == pytest.approx(total)
    assert outlook()["peak_start"] <= "2023-05-03"
    first = Caller(house.app())("/v1/series", "sort=-peak_against_usual&limit=1")[2]["items"]
    assert first[0]["series_id"] == "a"
    assert outlook("b/c?") == other
    clock.now += timedelta(days=20)
    assert outlook() == own


def test_after_a_training_the_overview_plans_on_the_new_forecast(clock: Clock) -> None:
    house = House()
    house.put(made(120, name="a"))
    house.train()
    call = Caller(house.app())
    say(call)
    house.put(made(121, name="a", level=300), key="sales/b.csv")
    house.train()
    (row,) = call("/v1/series")[2]["items"]
    points = call(FORECAST)[2]["points"]
    assert sum("planned" in one for one in points) == 3
    total = sum(point.get("planned", point["yhat"]) for point in points)
    assert row["outlook"]["total"] == pytest.approx(total, rel=1e-6)


def test_a_damaged_model_of_a_store_that_somebody_spoke_of_hides_no_store_from_the_overview(clock: Clock) -> None:
    house = House()
    house.put(made(120, name="a"), made(120, name="b", seed=2))
    house.train()
    for word in ({}, {"start": "2023-05-08", "end": "2023-05-08", "expires": "2023-05-01"}):
        assert say(Caller(house.app()), **word)[0] == 200
    house.answers.items = {key: item for key, item in house.answers.items.items() if "tag" in item}
    for key in [key for key in house.models.bodies if key.endswith("models/a.json")]:
        house.models.bodies[key] = b"{}"
    clock.now = datetime(2023, 5, 2, tzinfo=UTC)
    call = Caller(house.app())
    assert call(FORECAST)[0] == 500
    assert [one["series_id"] for one in call("/v1/series")[2]["items"]] == ["a", "b"]


def test_once_the_truth_is_in_each_override_tells_the_value_it_added(clock: Clock) -> None:
    house = House()
    sold = made(130, name="a")
    house.put(made(120, name="a"))
    call = Caller(house.app())
    own = {one["ds"]: one["yhat"] for one in call(FORECAST)[2]["points"]}
    say(call, at="2023-05-01T08:00:00Z")
    say(call, at="2023-05-01T09:00:00Z", start="2023-05-05", end="2023-05-06", value=80, factor=..., by="bob")
    say(call, at="2023-05-01T10:00:00Z", start="2023-05-08", end="2023-05-20", factor=0.5)
    say(call, at="2023-05-01T11:00:00Z", start="2023-05-09", end="2023-05-09", expires="2023-05-08", reason="rumour")
    assert call(PATH)[2]["total"] is None
    house.put(sold, key="sales/later.csv")
    clock.now = datetime(2023, 5, 12, tzinfo=UTC)

    y = dict(zip(sold.times.astype(str).tolist(), sold.y.tolist(), strict=True))
    told = call(PATH)[2]
    expected = {
        ("ada", "2023-05-03"): [abs(y[d] - own[d]) - abs(y[d] - 1.5 * own[d]) for d in ("2023-05-03", "2023-05-04")],
        ("bob", "2023-05-05"): [abs(y[d] - own[d]) - abs(y[d] - 80) for d in ("2023-05-05", "2023-05-06")],
        ("ada", "2023-05-08"): [abs(y[d] - own[d]) - abs(y[d] - 0.5 * own[d]) for d in ("2023-05-08", "2023-05-10")],
    }
    items = {(one["by"], one["start"]): one["value_added"] for one in told["items"]}
    assert items.pop(("ada", "2023-05-09")) is None, "it had expired before its day"
    assert {key: one["value_added"] for key, one in items.items()} == {
        key: pytest.approx(sum(parts), abs=1e-5) for key, parts in expected.items()
    }
    assert {(one["by"], one["reason"]): one["periods"] for one in told["by_reason"]} == {
        ("ada", "street fair"): 4,
        ("bob", "street fair"): 2,
    }
    assert told["total"]["periods"] == 6
    assert say(call, value=None, factor=..., start="2023-05-03", end="2023-05-10")[0] == 422
    assert call(PATH)[2]["total"] == told["total"], "what is observed stays with whoever spoke of it"


TIMES = [f"2023-05-01T0{hour}:00:00Z" for hour in range(6)]
DAYS = [f"2023-05-{day:02}" for day in range(1, 11)]
WORDS = st.lists(
    st.builds(
        lambda at, span, value, by, reason: Override(
            value=value,
            factor=None if value is not None else 1.25,
            reason=reason,
            by=by,
            at=TIMES[at],
            expires=DAYS[6],
            yhat={day: 10.0 * i for i, day in enumerate(DAYS[min(span) : max(span) + 1])},
        ),
        st.integers(0, 5),
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
        st.none() | st.floats(-1e6, 1e6),
        st.sampled_from(["ada", "bob"]),
        st.sampled_from(["fair", "rain"]),
    ),
    max_size=8,
)


@given(words=WORDS, observed=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=10, max_size=10))
def test_the_parts_of_value_added_sum_exactly_to_the_difference_of_all_errors(
    words: list[Override], observed: list[float | None]
) -> None:
    standing: list[Override] = []
    for word in words:
        standing = merge(standing, word)
    periods = [day for one in standing for day in one.yhat]
    assert len(periods) == len(set(periods)), "each period belongs to one override"
    told = account(standing, dict(zip(DAYS, observed, strict=True)))
    parts = [one["value_added"] for one in told["items"] if one["value_added"]]
    for level in (parts, told["by_reason"]):
        for name in ("periods", "error_without", "error_with", "value_added"):
            total = told["total"][name] if told["total"] else 0
            assert round(sum(one[name] for one in level), 6) == pytest.approx(total, abs=1e-9)
    if told["total"]:
        assert told["total"]["value_added"] == round(told["total"]["error_without"] - told["total"]["error_with"], 6)
        assert np.isfinite(list(told["total"].values())).all()
