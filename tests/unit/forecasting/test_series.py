from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.forecasting.domain.identity import check_id
from functions.forecasting.domain.series import dump, load, merge
from layers.runtime.errors import CorruptError, InputError
from tests.unit.forecasting.house import made


def part(first, last, *, value, stamp):
    whole = made(40)
    size = last - first
    return replace(
        whole,
        start=whole.start + first,
        y=np.full(size, value),
        open=np.ones(size),
        regressors={"promo": np.zeros(size)},
        stamp=np.full(size, stamp),
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


@given(st.permutations([(0, 10, 1.0, 1), (5, 15, 2.0, 2), (3, 8, 3.0, 3)]))
def test_the_latest_file_wins_each_day_in_whatever_order_they_arrive(files):
    merged = None
    for first, last, value, stamp in files:
        new = part(first, last, value=value, stamp=stamp)
        merged = new if merged is None else merge(merged, new)
    assert merged.y.tolist() == [1.0] * 3 + [3.0] * 5 + [2.0] * 7


def test_an_empty_value_erases_nothing():
    plan = part(5, 15, value=np.nan, stamp=2)
    both = merge(part(0, 10, value=1.0, stamp=1), plan)
    assert both.y[:10].tolist() == [1.0] * 10
    assert both.observed == 10


def test_a_series_of_centuries_is_refused():
    far = replace(part(0, 2, value=1.0, stamp=1), start=np.datetime64("1700-01-01"))
    with pytest.raises(InputError, match="span"):
        merge(part(0, 2, value=1.0, stamp=1), far)


@pytest.mark.parametrize("name", ["", "a/b", "a\n", "x" * 129])
def test_impossible_ids_are_refused(name):
    with pytest.raises(InputError, match="series_id"):
        check_id(name)
