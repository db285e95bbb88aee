import io

import numpy as np
import pyarrow.csv as csv
import pytest

from functions.forecasting.domain.table import read
from functions.forecasting.simulate import sales


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
