import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from functions.forecasting.domain import table as tables
from layers.runtime.errors import InputError
from layers.tables import Reading

ORDERS = ("day-first", "month-first")


def read(text, name="shop.csv", **arguments):
    return tables.read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), name, **arguments)


def test_a_file_of_one_series_needs_no_series_id():
    parsed = read("ds,y\n2024-01-01,1\n2024-01-03,3\n", "folder/shop.csv")
    (series,) = parsed.series
    assert series.series_id == "shop"
    np.testing.assert_array_equal(series.y, [1.0, np.nan, 3.0])


def test_identifiers_keep_their_zeros_and_days_may_come_in_any_order():
    parsed = read("series_id,ds,y\n007,2024-01-02,2\n7,2024-01-01,9\n007,2024-01-01,1\n")
    assert {one.series_id: one.y.tolist() for one in parsed.series} == {"007": [1.0, 2.0], "7": [9.0]}


def test_empty_values_after_the_last_observation_are_the_known_future():
    (series,) = read("ds,y,open,promo\n2024-01-01,5,1,0\n2024-01-02,,1,1\n2024-01-03,,0,0\n").series
    assert series.observed == 1
    assert series.regressors["promo"].tolist() == [0, 1, 0]


def test_dates_are_day_first_or_month_first_for_the_whole_column():
    parsed = read("ds,y\n03/04/2019,1\n23/04/2019,2\n")
    assert (str(parsed.series[0].start), len(parsed.series[0].y), parsed.rejected) == ("2019-04-03", 21, [])
    assert parsed.understood["dates"] == {"ds": "day-first"}


def test_dates_that_can_be_read_in_two_ways_are_refused_with_both_and_the_option_that_decides():
    text = "ds,y\n03/04/2019,1\n04/04/2019,2\n"
    with pytest.raises(InputError, match=r"April 3 or March 4.*--dates day-first or --dates month-first") as caught:
        read(text)
    assert (caught.value.file, caught.value.field) == ("shop.csv", "ds")
    starts = {order: str(read(text, reading=Reading(dates=order)).series[0].start) for order in ORDERS}
    assert starts == {"day-first": "2019-04-03", "month-first": "2019-03-04"}


def test_a_dot_that_may_part_thousands_is_refused_and_a_decimal_comma_said_or_seen_is_read():
    text = "ds;y\n2024-01-01;1.430\n2024-01-02;985\n"
    with pytest.raises(InputError, match=r"1\.234 or 1234.*--decimal"):
        read(text)
    assert read(text, reading=Reading(decimal=",")).series[0].y.tolist() == [1430.0, 985.0]
    assert read(text, reading=Reading(decimal=".")).series[0].y.tolist() == [1.43, 985.0]
    seen = read("ds;y\n2024-01-01;1.430,50\n2024-01-02;985\n")
    assert (seen.series[0].y.tolist(), seen.understood["decimal"]) == ([1430.5, 985.0], {"y": ","})


def test_an_id_is_a_text_whatever_the_decimal_sign():
    (series,) = read("series_id;ds;y\n1,5;2024-01-01;2,5\n1,5;2024-01-02;3,5\n").series
    assert (series.series_id, series.y.tolist()) == ("1,5", [2.5, 3.5])


def test_a_month_is_its_first_day():
    assert [str(day) for day in read("ds,y\n2024-01,1\n2024-02,2\n").series[0].times[[0, -1]]] == [
        "2024-01-01",
        "2024-02-01",
    ]


def test_a_row_that_comes_twice_costs_nothing_and_is_counted():
    parsed = read("series_id,ds,y\na,2024-01-01,1\na,2024-01-02,\na,2024-01-01,1\na,2024-01-02,\n")
    assert (parsed.rejected, parsed.repeated) == ([], 2)
    assert parsed.series[0].y.tolist()[0] == 1.0


def test_a_day_that_comes_again_with_other_values_costs_that_day_alone():
    parsed = read("series_id,ds,y\na,2024-01-01,1\nb,2024-01-01,1\na,2024-01-02,2\na,2024-01-01,3\na,2024-01-03,4\n")
    assert {one.series_id: one.y.tolist() for one in parsed.series} == {"a": [2.0, 4.0], "b": [1.0]}
    assert [r.row for r in parsed.rejected] == [0, 3]
    assert "again with other values" in parsed.rejected[0].reason


def test_several_rows_a_day_everywhere_ask_for_a_series_id():
    rows = "".join(f"2024-01-{i + 1:02},{store}{i}\n" for i in range(20) for store in (1, 2))
    parsed = read(f"ds,y\n{rows}")
    assert (parsed.series, len(parsed.rejected)) == ([], 40)
    assert "is a series_id missing?" in parsed.rejected[0].reason


def test_of_forty_one_years_of_days_the_oldest_are_left_out():
    days = (np.datetime64("1970-01-01") + np.arange(41 * 366)).astype(str)
    parsed = read("ds,y\n" + "".join(f"{ds},{i}\n" for i, ds in enumerate(days)))
    (series,) = parsed.series
    assert (series.last_ds, series.y[-1], len(series.y)) == (days[-1], 41 * 366 - 1, 40 * 366)
    assert [one.row for one in parsed.rejected] == list(range(366))
    assert "before the newest 14,640 days" in parsed.rejected[0].reason
    assert "newest" in parsed.rejected[0].reason


@pytest.mark.parametrize("year", ["2204", "1924", "2042"])
def test_a_mistyped_year_costs_its_row_alone(year):
    days = [f"2024-03-{i + 1:02}" for i in range(20)]
    days[7] = days[7].replace("2024", year)
    parsed = read("ds,y\n" + "".join(f"{ds},{i}\n" for i, ds in enumerate(days)))
    assert [(r.row, "mistyped" in r.reason or "not a date" in r.reason) for r in parsed.rejected] == [(7, True)]
    assert (str(parsed.series[0].start), len(parsed.series[0].y)) == ("2024-03-01", 20)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,not a day,1,1", "ds"),
        ("a,,1,1", "ds"),
        ("a,2024-01-05,many,1", "y"),
        ("a,2024-01-05,inf,1", "y"),
        ("a,2024-01-05,1,2", "open"),
        ("a\x07b,2024-01-05,1,1", "series_id"),
        (",2024-01-05,1,1", "series_id"),
        ("a,2024-01-05", "fields"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_the_rest_is_kept(row, reason):
    parsed = read(f"series_id,ds,y,open\na,2024-01-01,1,1\n{row}\na,2024-01-02,2,1\n")
    (rejected,) = parsed.rejected
    assert rejected.row == 1
    assert reason in rejected.reason
    assert parsed.series[0].y.tolist() == [1.0, 2.0]


def test_rows_after_a_broken_line_keep_their_number():
    parsed = read("series_id,ds,y\na,2024-01-01\na,2024-01-02,x\na,2024-01-03,3\n")
    assert sorted(r.row for r in parsed.rejected) == [0, 1]


@pytest.mark.parametrize("missing", ["ds", "y"])
def test_a_missing_column_is_named(missing):
    header = {"ds": "2024-01-01", "y": "1", "promo": "0"}
    del header[missing]
    with pytest.raises(InputError) as caught:
        read(",".join(header) + "\n" + ",".join(header.values()) + "\n")
    assert caught.value.field == missing
    assert caught.value.file == "shop.csv"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.csv", b""),
        ("a.csv", b"  \n"),
        ("a.csv", b"ds,y\n"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00\x00"),
        ("a.csv.gz", b"not gzip"),
        ("a.csv.gz", gzip.compress(b"ds,y\n2024-01-01,1\n" * 100, mtime=0)[:-20]),
        ("a.parquet", b"PAR1 not parquet"),
    ],
)
def test_an_empty_truncated_or_foreign_file_is_refused_by_name(name, body):
    with pytest.raises(InputError, match=name):
        read(body, name)


def test_parquet_gzip_and_other_delimiters_give_the_same_series():
    text = "series_id;ds;y\na;2024-01-01;1\na;2024-01-02;2\n"
    sink = io.BytesIO()
    days = pa.array(np.array(["2024-01-01", "2024-01-02"], "datetime64[ms]"))
    parquet.write_table(pa.table({"series_id": ["a", "a"], "ds": days, "y": [1, 2]}), sink)
    files = [("a.csv", text.encode()), ("a.csv.gz", gzip.compress(text.encode())), ("a.parquet", sink.getvalue())]
    for name, body in files:
        (series,) = read(body, name).series
        assert (str(series.start), series.y.tolist()) == ("2024-01-01", [1.0, 2.0])


@pytest.mark.parametrize(
    "text",
    [
        "series_id|ds|y|Promo\na|2024-01-01|1.5|1\n",
        "series_id\tds\ty\tPromo\na\t2024-01-01\t1.5\t1\n",
        "Series_ID;DS;Y;Promo\na;2024-01-01;1,5;1\n",
        "series_id, ds, y, Promo\na, 2024-01-01T00:00:00+02:00, 1.5, 1\n",
        "\ufeffseries_id,ds,y,Promo\r\na,2024-01-01 00:00:00,1.5,true\r\n",
    ],
)
def test_other_delimiters_spellings_and_times_of_day_are_read_alike(text):
    (series,) = read(text).series
    assert (series.series_id, str(series.start), series.y.tolist()) == ("a", "2024-01-01", [1.5])
    assert series.regressors["Promo"].tolist() == [1]


def test_identifiers_may_hold_spaces_and_any_letters_and_numbers_stay_whole():
    parsed = read("series_id,ds,y\n東京 1,2024-01-01,1\n1.0,2024-01-01,1\n")
    assert {one.series_id for one in parsed.series} == {"東京 1", "1.0"}
    sink = io.BytesIO()
    parquet.write_table(pa.table({"series_id": [7.0, None], "ds": ["2024-01-01"] * 2, "y": [1, 2]}), sink)
    parsed = read(sink.getvalue(), "a.parquet")
    assert ([one.series_id for one in parsed.series], [r.row for r in parsed.rejected]) == (["7"], [1])


def test_a_stray_text_in_a_numeric_regressor_is_an_unknown_value():
    rows = "\n".join(f"2024-01-{i + 1:02},1,{i / 2 if i != 5 else '?'}" for i in range(20))
    (series,) = read(f"ds,y,temperature\n{rows}\n").series
    assert np.flatnonzero(np.isnan(series.regressors["temperature"])).tolist() == [5]


def test_the_rossmann_layout_is_recognised():
    header = "Store,DayOfWeek,Date,Sales,Customers,Open,Promo,StateHoliday,SchoolHoliday"
    rows = "1,5,2015-07-31,5263,555,1,1,0,1\n1,4,2015-07-30,0,0,0,1,a,0\n2,5,2015-07-31,6064,625,1,1,b,1\n"
    first, _ = read(f"{header}\n{rows}").series
    assert first.series_id == "1"
    assert first.y.tolist() == [0.0, 5263.0]
    assert first.open.tolist() == [0.0, 1.0]
    assert first.regressors["state_holiday=a"].tolist() == [1.0, 0.0]
    assert "Customers" not in first.regressors


def days(column, values):
    rows = "\n".join(f"2024-01-{i + 1:02},1,{value}" for i, value in enumerate(values))
    (series,) = read(f"ds,y,{column}\n{rows}\n").series
    return {name: [None if v != v else v for v in values.tolist()] for name, values in series.regressors.items()}


def test_a_text_means_the_same_in_every_file_however_often_it_comes():
    assert days("weather", ["sun", "sun", "rain"]) == {"weather=rain": [0, 0, 1], "weather=sun": [1, 1, 0]}
    assert days("weather", ["rain", "rain", "rain"]) == {"weather=rain": [1, 1, 1]}
    assert days("weather", ["Rain", "none", ""]) == {"weather=rain": [1, 0, 0]}
    assert days("state_holiday", ["0", "a", "0"]) == {"state_holiday=a": [0, 1, 0]}


@pytest.mark.parametrize("stray", ["?", "n/a", "-", ""])
def test_a_sign_or_a_word_for_missing_is_unknown_and_makes_no_category(stray):
    assert days("promo", ["0", "1", stray]) == {"promo": [0, 1, None]}


def test_a_number_among_texts_keeps_its_value_whatever_the_others_are():
    assert days("promo", ["0", "1", "x"]) == {"promo": [0, 1, None], "promo=x": [0, 0, 1]}


def test_a_blank_category_in_the_future_is_unknown_where_no_observed_day_has_one():
    body = "ds,y,weather,event\n2024-01-01,1,rain,\n2024-01-02,1,sun,fair\n2024-01-03,,,\n"
    (series,) = read(body).series
    assert np.isnan(series.regressors["weather=rain"][2])
    assert series.regressors["event=fair"].tolist() == [0, 1, 0]


def test_a_column_of_prices_called_open_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="another name") as caught:
        read("ds,y,open\n2024-01-01,1,20.5\n2024-01-02,2,1\n2024-01-03,2,21\n")
    assert caught.value.field == "open"


def test_two_rows_a_day_without_a_series_id_ask_for_one():
    parsed = read("ds,y\n2024-01-01,1\n2024-01-01,2\n")
    assert "is a series_id missing?" in parsed.rejected[0].reason


def test_a_column_of_many_texts_is_ignored_and_named():
    rows = "\n".join(f"2024-01-{i + 1:02},1,note {i}" for i in range(20))
    assert read(f"ds,y,note\n{rows}\n").ignored == ["note"]


@pytest.mark.parametrize("name", ["rownames", "Unnamed: 0", "X"])
def test_a_column_that_numbers_the_rows_is_ignored_and_named(name):
    rows = [f"{i},{series},2024-01-{day + 1:02},{day % 5},{day}" for i, (series, day) in enumerate(both())]
    del rows[7]  # filtered before it was written
    parsed = read(f"{name},series_id,ds,y,temperature\n" + "\n".join(rows) + "\n")
    assert parsed.ignored == [name]
    assert list(parsed.series[0].regressors) == ["temperature"]


@pytest.mark.parametrize("columns", ["stores_open,ds,y", "ds,stores_open,y"])
@pytest.mark.parametrize("begins", [1, 20])
def test_a_column_that_grows_by_one_is_a_regressor_unless_it_is_an_index(columns, begins):
    days = [{"ds": f"2024-01-{day + 1:02}", "y": day % 5, "stores_open": begins + day} for day in range(20)]
    rows = [",".join(str(day[column]) for column in columns.split(",")) for day in days]
    parsed = read(columns + "\n" + "\n".join(rows) + "\n")
    assert (parsed.ignored == ["stores_open"]) == (begins == 1 and columns.startswith("stores_open"))


def both():
    return [(series, day) for series in "ab" for day in range(20)]
