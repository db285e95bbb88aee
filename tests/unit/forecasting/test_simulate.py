import io

import numpy as np
import pyarrow.csv as csv
import pytest

from functions.forecasting.contracts import HORIZONS
from functions.forecasting.domain.table import read
from functions.forecasting.simulate import sales, table


def parsed(table):
    sink = io.BytesIO()
    csv.write_csv(table, sink)
    sink.seek(0)
    return read(sink, "simulated.csv")


@pytest.mark.parametrize("rows", [1, 30, 2000])
def test_the_same_seed_gives_the_same_valid_rows(rows):
    assert sales(rows, 3).equals(sales(rows, 3))
    assert rows == 1 or not sales(rows, 3).equals(sales(rows, 4))
    found = parsed(sales(rows, 3))
    assert found.rejected == []
    assert all(one.observed for one in found.series)


@pytest.mark.parametrize(("frequency", "observed"), [("H", 2_688), ("W", 182), ("M", 96), ("Q", 40)])
def test_each_frequency_is_told_from_its_rows_and_its_future_is_known(frequency, observed):
    horizon = HORIZONS[frequency]
    series = parsed(sales(2 * (observed + horizon), 2, frequency)).series
    assert [(one.frequency.kind, one.observed, len(one.y)) for one in series] == [
        (frequency, observed, observed + horizon)
    ] * 2


def test_weeks_are_sums_of_days_and_count_their_promotions_and_holidays():
    days, weeks = (table(1, count, 0, 5, kind)[0] for count, kind in ((140, "D"), (20, "W")))
    assert weeks["ds"].to_pylist() == days["ds"].to_pylist()[::7]
    # Another length draws other noise; what is planned is the same.
    for name in ("state_holiday", "school_holiday"):
        summed = days[name].to_numpy().reshape(20, 7).sum(axis=1)
        assert weeks[name].to_numpy().tolist() == summed.tolist()
    assert weeks["state_holiday"].to_numpy().sum() > 0


def test_stores_close_promote_and_know_their_future():
    series = parsed(sales(822 * 4, 1)).series
    assert len(series) == 4
    for one in series:
        assert len(one.y) - one.observed == 42
        assert (one.y[: one.observed][one.open[: one.observed] == 0] == 0).all()
        open_days = one.open[: one.observed] > 0
        on = one.regressors["promo"][: one.observed] > 0
        assert (
            np.log(one.y[: one.observed][open_days & on]).mean() > np.log(one.y[: one.observed][open_days & ~on]).mean()
        )
