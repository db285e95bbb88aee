from dataclasses import replace
from functools import reduce
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.forecasting.domain.frequency import DAYS
from functions.forecasting.domain.series import Series, dump, load, merge
from functions.forecasting.store import history_key
from layers.runtime.errors import CorruptError, InputError
from tests.forecasting import made

KEPT = DAYS.rhythm.kept


def part(first, last, *, value, stamp):
    whole = made(40)
    size = last - first
    return replace(
        whole,
        start=whole.start + first,
        y=np.full(size, value),
        open=np.ones(size),
        regressors={"promo": np.zeros(size)},
        stamps=dict.fromkeys(("y", "open", "promo"), np.full(size, stamp)),
    )


def test_a_series_survives_being_stored():
    series = made(50)
    series.y[3] = np.nan
    again = load(dump(series))
    assert dump(again) == dump(series)
    np.testing.assert_array_equal(again.y, series.y)


@pytest.mark.parametrize("body", [b"", b"{}", b"\x1f\x8b\x08", dump(made(5))[:-9]])
def test_a_foreign_history_object_is_corrupt(body):
    with pytest.raises(CorruptError):
        load(body)


def test_appended_days_extend_a_series():
    both = merge(part(0, 10, value=1.0, stamp=1), part(10, 15, value=2.0, stamp=2))
    assert both.y.tolist() == [1.0] * 10 + [2.0] * 5


def test_a_gap_between_files_is_unknown_not_zero():
    both = merge(part(0, 5, value=1.0, stamp=1), part(8, 10, value=2.0, stamp=2))
    assert np.isnan(both.y[5:8]).all()


MAYBE = st.sampled_from([np.nan, 0.0, 1.0, 2.0])


@st.composite
def arrivals(draw):
    """A file's days of one series: any of its columns, holes in each, of one of few seconds."""
    size = draw(st.integers(1, 6))
    columns = {name: np.array(draw(st.lists(MAYBE, min_size=size, max_size=size))) for name in ("y", "open", "promo")}
    stamp = np.full(size, draw(st.integers(1, 3)))
    return Series(
        "s",
        made(1).start + draw(st.integers(0, 6)),
        columns["y"],
        draw(st.sampled_from([None, columns["open"]])),
        draw(st.sampled_from([{}, {"promo": columns["promo"]}])),
        dict.fromkeys(columns, stamp),
    )


@given(
    st.lists(arrivals(), min_size=1, max_size=4).flatmap(
        lambda files: st.tuples(st.just(files), st.permutations(files))
    )
)
def test_a_history_does_not_depend_on_the_order_of_its_files_nor_on_one_that_comes_again(orders):
    first, again = orders
    stored = dump(reduce(merge, first))
    assert dump(reduce(merge, again)) == stored
    assert dump(reduce(merge, [*again, *first])) == stored
    assert dump(load(stored)) == stored


def test_the_newest_file_wins_each_value_and_not_the_day_with_all_that_others_say_of_it():
    sales = replace(part(0, 1, value=5.0, stamp=1), open=None, regressors={})
    promo = replace(part(0, 1, value=np.nan, stamp=3), open=None, regressors={"promo": np.ones(1)})
    corrected = replace(part(0, 1, value=7.0, stamp=2), open=None, regressors={})
    for files in permutations([sales, promo, corrected]):
        merged = reduce(merge, files)
        assert (merged.y.tolist(), merged.regressors["promo"].tolist()) == ([7.0], [1.0])


def test_of_a_history_beyond_forty_years_the_oldest_days_go():
    old = replace(part(0, 10, value=1.0, stamp=1), start=made(1).start - KEPT + 5)
    both = merge(old, part(0, 10, value=2.0, stamp=2))
    assert (len(both.y), both.y[-1]) == (KEPT, 2.0)
    assert dump(both) == dump(merge(part(0, 10, value=2.0, stamp=2), old))


def test_an_empty_value_erases_nothing():
    plan = part(5, 15, value=np.nan, stamp=2)
    both = merge(part(0, 10, value=1.0, stamp=1), plan)
    assert both.y[:10].tolist() == [1.0] * 10
    assert both.observed == 10


def test_a_series_of_centuries_is_refused():
    far = replace(part(0, 2, value=1.0, stamp=1), start=np.datetime64("1700-01-01"))
    with pytest.raises(InputError, match="span"):
        merge(part(0, 2, value=1.0, stamp=1), far)


@pytest.mark.parametrize("name", ["", "a\n", "a\x7f", "x" * 129])
def test_impossible_ids_are_refused(name):
    with pytest.raises(InputError, match="series_id"):
        history_key(name)
