"""The step of a series: told from its rows, named by its file, and what it means for numbers and labels."""

import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow.parquet as parquet
import pytest

from functions.forecasting.contracts import Question
from functions.forecasting.domain import table as tables
from functions.forecasting.domain.fit import train
from functions.forecasting.domain.frequency import Frequency, tell
from functions.forecasting.domain.profile import profile
from functions.forecasting.domain.series import dump, load, merge
from functions.forecasting.domain.table import Periods
from layers.runtime.errors import InputError
from tests.forecasting import House

MONTHS = np.arange("2010-01", "2020-01", dtype="datetime64[M]")


def read(text, **said):
    return tables.read(io.BytesIO(text.encode()), "shop.csv", periods=Periods(**said))


def rows(start, count, step=1, unit="D"):
    return np.datetime64(start, unit) + np.arange(count) * np.timedelta64(step, unit)


def lines(times, values=None):
    values = np.arange(len(times)) + 10.0 if values is None else values
    return "ds,y\n" + "".join(f"{ds},{y}\n" for ds, y in zip(times.astype(str), values, strict=True))


SHAPES = {
    "hours": (rows("2024-01-01T00", 400, unit="h"), Frequency("H")),
    "hours of a shop": (
        np.sort(np.add.outer(rows("2024-01-01T09", 60, 24, "h"), np.arange(9)).ravel()),
        Frequency("H"),
    ),
    "days": (rows("2024-01-01", 90), Frequency("D")),
    "working days": (np.array([d for d in rows("2024-01-01", 90) if np.is_busday(d)]), Frequency("D")),
    "weeks of Fridays": (rows("2010-02-05", 143, 7), Frequency("W", 4)),
    "weeks with gaps": (np.delete(rows("2010-02-05", 143, 7), [3, 4, 5, 20, 40, 41]), Frequency("W", 4)),
    "first days of months": (MONTHS.astype("datetime64[D]"), Frequency("M", 1)),
    "last days of months": ((MONTHS + 1).astype("datetime64[D]") - 1, Frequency("M", 31)),
    "months with gaps": (np.delete(MONTHS.astype("datetime64[D]"), [3, 7, 8, 30]), Frequency("M", 1)),
    "first days of quarters": (MONTHS[::3].astype("datetime64[D]"), Frequency("Q", 1)),
    "last days of quarters": ((MONTHS[2::3] + 1).astype("datetime64[D]") - 1, Frequency("Q", 31)),
    "quarters of a fiscal year": (MONTHS[1::3].astype("datetime64[D]"), Frequency("Q", 1, 1)),
}


@pytest.mark.parametrize(("times", "frequency"), SHAPES.values(), ids=SHAPES)
def test_a_frequency_is_told_and_names_each_period_as_the_file_does(times, frequency):
    assert tell(times) == frequency
    assert (frequency.times(frequency.numbers(times)) == times).all()
    assert Frequency.parse(frequency.code) == frequency


@pytest.mark.parametrize(
    ("times", "word"),
    [
        (np.r_[rows("2024-01-01", 60), rows("2024-03-04", 30, 7)], "mixes steps: days, and weeks from 2024-03-04"),
        (np.r_[rows("2024-01-01", 60, 7), rows("2025-03-03", 30, 28)], "weeks, and months"),
        (rows("2024-01-01T00:00", 200, 15, "m"), "every 15 minutes"),
        (rows("2024-01-01", 40, 14), "every 2 weeks"),
        (np.arange("1990", "2020", dtype="datetime64[Y]").astype("datetime64[D]"), "every 4 quarters"),
    ],
)
def test_steps_that_are_no_frequency_are_refused_with_what_they_are(trefoil, tmp_path, times, word):
    (file := tmp_path / "odd.csv").write_text(lines(times))
    status, answer = trefoil(file, "--out", tmp_path / "out")
    assert status == 2
    assert "series odd " in answer["error"]
    assert word in answer["error"]
    assert ("--frequency" in answer["error"]) == (word != "every 4 quarters")  # no coarser one could help


def test_too_few_rows_to_tell_follow_the_others_and_else_what_is_said():
    young = "".join(f"new,{ds},5\n" for ds in ("2011-01-07", "2011-01-14"))
    known = "".join(f"old,{ds},{i}\n" for i, ds in enumerate(rows("2010-02-05", 50, 7)))
    assert [one.frequency.code for one in read("series_id,ds,y\n" + known + young).series] == ["W 4", "W 4"]
    assert read("series_id,ds,y\n" + young).series[0].frequency.kind == "D"


def test_series_of_several_frequencies_keep_their_own(trefoil, tmp_path):
    weeks, months = rows("2018-01-01", 120, 7), MONTHS[:60].astype("datetime64[D]")
    text = "".join(f"w,{ds},{i % 9 + 5}\n" for i, ds in enumerate(weeks))
    text += "".join(f"m,{ds},{i % 12 + 5}\n" for i, ds in enumerate(months))
    (file := tmp_path / "both.csv").write_text("series_id,ds,y\n" + text)
    status, answer = trefoil(file, "--out", tmp_path / "out", "--horizon", 3)
    assert status == 0
    assert {name: one["frequency"] for name, one in answer["series"].items()} == {"w": "W", "m": "M"}
    written = parquet.read_table(tmp_path / "out" / "forecasts.parquet").to_pylist()
    assert [str(row["ds"]) for row in written if row["series_id"] == "m"] == ["2015-01-01", "2015-02-01", "2015-03-01"]
    assert [str(row["ds"]) for row in written if row["series_id"] == "w"] == ["2020-04-20", "2020-04-27", "2020-05-04"]


def test_several_rows_a_period_are_refused_with_both_ways_out_and_summed_when_asked(trefoil, tmp_path):
    days = rows("2024-01-01", 200)
    (file := tmp_path / "sales.csv").write_text(lines(np.repeat(days, 3)))
    status, answer = trefoil(file, "--out", tmp_path / "out")
    assert status == 2
    assert "is a series_id missing?" in answer["error"]
    assert "--aggregate sum (or mean)" in answer["error"]
    summed = read(lines(np.repeat(days, 3), np.ones(600)), aggregate="sum").series[0]
    assert (len(summed.y), set(summed.y)) == (200, {3.0})


def test_days_become_whole_weeks_when_both_are_asked_for():
    parsed = read(lines(rows("2024-01-01", 73), np.ones(73)), frequency="W", aggregate="sum")
    (series,) = parsed.series
    assert (series.frequency, set(series.y), len(series.y)) == (Frequency("W", 0), {7.0}, 10)
    assert {one.reason for one in parsed.rejected} == {"its week is not whole, so it is left out"}


def test_an_hour_is_neither_lost_nor_doubled_when_clocks_change():
    universal = rows("2024-03-30T00", 24 * 250, unit="h")
    zone = Frequency("H", zone="Europe/Berlin")
    offsets = "ds,y\n" + "".join(f"{ds},{i}\n" for i, ds in enumerate(zone.labels(zone.times(zone.numbers(universal)))))
    clock = "ds,y\n" + "".join(f"{ds},{i}\n" for i, ds in enumerate(zone.clock(universal.astype("datetime64[m]"))))
    for text in (offsets, clock):
        parsed = read(text, timezone="Europe/Berlin")
        (series,) = parsed.series
        assert not parsed.rejected
        assert series.y.tolist() == list(range(24 * 250))
        assert (series.frequency, series.first_ds) == (zone, "2024-03-30T01:00+01:00")
    assert sum(label.startswith("2024-10-27T02:00") for label in zone.labels(series.times)) == 2
    refused = read("ds,y\n2024-03-31T01:00,1\n2024-03-31T02:30,1\n2024-03-31T03:00,1\n", timezone="Europe/Berlin")
    assert [one.row for one in refused.rejected] == [1]
    assert "clocks" in refused.rejected[0].reason


def test_hours_of_a_zone_half_an_hour_off_keep_their_labels():
    zone = Frequency("H", zone="Asia/Kolkata")
    moment = zone.time("2024-01-01T10:00+05:30")
    assert zone.labels(zone.times(zone.numbers(np.array([moment])))) == ["2024-01-01T10:00+05:30"]


@pytest.mark.parametrize(("times", "frequency"), SHAPES.values(), ids=SHAPES)
def test_a_history_keeps_its_frequency_and_one_more_file_of_it_goes_on(times, frequency):
    (series,) = read(lines(times)).series
    assert load(dump(series)).frequency == frequency
    later = frequency.times(frequency.numbers(times[-1:]) + 1)
    (one,) = read(lines(later, [99.0])).series
    both = merge(load(dump(series)), one)
    assert (both.frequency, both.y[-1], both.last_ds) == (frequency, 99.0, frequency.labels(later)[0])


def of_old_format(series):
    """The document as it was written while every series was one of days."""
    document = json.loads(gzip.decompress(dump(regridded(series))))
    del document["frequency"]
    return gzip.compress(json.dumps(document).encode())


def regridded(series):
    """A series of weeks on a grid of days, six of seven unknown."""
    days = read(lines(series.times, series.y), frequency="D").series[0]
    return replace(days, series_id=series.series_id)


def test_a_history_of_the_format_that_knew_days_only_is_read_in_the_frequency_of_its_rows():
    (weeks,) = read(lines(rows("2010-02-05", 60, 7))).series
    assert (regridded(weeks).frequency.kind, len(regridded(weeks).y)) == ("D", 59 * 7 + 1)
    again = load(of_old_format(weeks))
    assert (again.frequency, again.y.tolist(), again.first_ds) == (weeks.frequency, weeks.y.tolist(), "2010-02-05")
    (days,) = read(lines(rows("2024-01-01", 60))).series
    assert load(of_old_format(days)).y.tolist() == days.y.tolist()


def test_a_file_of_another_step_does_not_go_into_a_history_but_a_correction_of_it_does():
    (weeks,) = read(lines(rows("2010-02-05", 60, 7))).series
    (days,) = read(lines(rows("2012-02-05", 60))).series
    with pytest.raises(InputError, match="comes by days, its history by weeks"):
        merge(weeks, days)
    (corrected,) = read(lines(rows("2012-02-06", 4, 7), np.full(4, 999.0))).series
    both = merge(days, corrected)
    assert (both.frequency.kind, np.flatnonzero(both.y == 999).tolist()) == ("D", [1, 8, 15, 22])


def shops(weeks, *, seed=0):
    """Weekly sales with noise, and one week before Christmas that sells half as much again."""
    times = rows("2019-01-04", weeks, 7)
    of_year = (times - times.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
    noise = np.random.default_rng(seed).normal(0, 0.04, weeks)
    return times, np.exp(5 + noise + np.where((of_year >= 348) & (of_year < 355), 0.4, 0.0))


def test_a_christmas_seen_once_is_forecast_the_year_after():
    times, y = shops(104)
    (series,) = read(lines(times, y)).series
    backtest = train(series, history="", holdout=6, now=datetime(2026, 1, 1, tzinfo=UTC)).trained.backtest
    assert (backtest.start, backtest.end) == ("2020-11-20", "2020-12-25")
    assert backtest.wape < 0.07


def test_months_that_grow_are_forecast_closer_than_by_the_year_before_and_intervals_hold_them():
    month, months = np.arange(132), np.arange("2010-01", "2021-01", dtype="datetime64[M]").astype("datetime64[D]")
    backtests, widths = [], []
    for seed in range(6):
        noise = np.random.default_rng(seed).normal(0, 0.03, 132)
        y = np.exp(4 + 0.008 * month + 0.2 * np.sin(month * np.pi / 6) + noise)
        (series,) = read(lines(months, y)).series
        outcome = train(series, history="", holdout=12, now=datetime(2026, 1, 1, tzinfo=UTC), exact=False)
        backtests.append(outcome.trained.backtest)
        widths.append(np.mean((outcome.held.upper - outcome.held.lower) / outcome.held.yhat))
    assert all(one.wape < 0.6 * one.baseline_wape for one in backtests)
    assert np.mean([one.coverage for one in backtests]) >= 0.9
    assert np.mean(widths) < 0.2  # of sales with 3 % noise


def test_hours_have_the_shape_of_the_day_and_of_the_week():
    hour, rng = np.arange(24 * 7 * 10), np.random.default_rng(2)
    weekend = hour // 24 % 7 >= 5
    logs = 5 + 0.4 * np.sin(hour % 24 * np.pi / 12) * np.where(weekend, 0.5, 1.0) - 0.2 * weekend
    (series,) = read(
        lines(rows("2024-01-01T00", len(hour), unit="h"), np.exp(logs + rng.normal(0, 0.03, len(hour))))
    ).series
    trained = train(series, history="", holdout=168, now=datetime(2026, 1, 1, tzinfo=UTC)).trained
    assert trained.backtest.wape < 0.035
    assert 0.9 <= trained.backtest.coverage <= 0.99


def test_a_weekly_history_and_its_model_from_before_answer_in_weeks():
    (weeks,) = read(lines(rows("2020-02-07", 80, 7), np.arange(80) % 9 + 50.0)).series
    house = House()
    house.put(replace(regridded(weeks), series_id="a"))
    house.train()
    house.lake.put("history/a.json.gz", of_old_format(replace(weeks, series_id="a")))
    answer = json.loads(house.service().forecast(Question("a", 3, 0.95, {})).body)
    assert (answer["frequency"], answer["horizon"]) == ("W", 3)
    assert answer["model"]["version"].startswith("spot-")
    assert [point["ds"] for point in answer["points"]] == ["2021-08-20", "2021-08-27", "2021-09-03"]


def test_a_series_resembles_those_of_its_own_frequency_and_hours_of_a_month_have_no_year():
    months = list(zip(MONTHS[:60].astype("datetime64[D]"), np.arange(60) % 12, strict=True))
    text = "".join(f"{name},{ds},{(9 + m) * size}\n" for name, size in (("m", 1), ("n", 3)) for ds, m in months)
    text += "".join(f"d,{ds},{i % 7 + 5}\n" for i, ds in enumerate(rows("2018-01-01", 800)))
    text += "".join(f"h,{ds},{i % 24 + 5}\n" for i, ds in enumerate(rows("2018-01-01T00", 30 * 24, unit="h")))
    house = House()
    by_name = {one.series_id: one for one in read("series_id,ds,y\n" + text).series}
    house.put(*by_name.values())
    similar = house.service().similar("m", 5)["items"]
    assert [(one["series_id"], one["shared"]) for one in similar] == [("n", "year shape")]
    assert house.service().similar("d", 5)["items"] == []
    assert np.ptp(profile(by_name["m"])[7:19]) > 0.5
    assert not any(profile(by_name["h"])[7:19])
