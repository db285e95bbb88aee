"""One reader for every usual way to write a table: what it says comes out, and where two readings differ it asks."""

import csv
import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.runtime.errors import InputError, LimitError
from layers.runtime.files import Limits
from layers.tables import (
    NumberStyle,
    Reading,
    Table,
    TimeStyle,
    delimited,
    open_table,
    styles,
    to_numbers,
    to_texts,
    to_times,
)
from tests.tables import as_parquet

ROWS = [("a;b", "2024-01-31", "1.5"), ("c,d", "2024-02-01", "-2.25"), ('say "x"\nand y', "2024-02-29", "300")]
PLAIN = 'id,ds,y\n"a;b",2024-01-31,1.5\n"c,d",2024-02-01,-2.25\n"say ""x""\nand y",2024-02-29,300\n'
GERMAN = 'id;ds;y\n"a;b";31.01.2024;1,5\nc,d;01.02.2024;-2,25\n"say ""x""\nand y";29.02.2024;300\n'

ROWS_OF = {"bank.csv": 4_521, "nn5_daily.csv.gz": 86_124, "green_tripdata_2020-06.parquet": 63_109}

DIALECTS: dict[str, bytes] = {
    "commas": PLAIN.encode(),
    "byte-order mark": PLAIN.encode("utf-8-sig"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, no mark": PLAIN.encode("utf-16-le"),
    "gzip": gzip.compress(PLAIN.encode()),
    "line ends of Windows": PLAIN.replace("\n", "\r\n").replace('""\r\nand', '""\nand').encode(),
    "blank lines": PLAIN.replace("\n", "\n\n").replace('""\n\nand', '""\nand').encode(),
    "semicolons, decimal comma, days first": GERMAN.encode(),
    "sep= in front": ("sep=;\n" + GERMAN).encode(),
    "tabs": b'id\tds\ty\na;b\t2024-01-31\t1.5\nc,d\t2024-02-01\t-2.25\n"say ""x""\nand y"\t2024-02-29\t300\n',
    "bars": b'id|ds|y\na;b|2024-01-31|1.5\nc,d|2024-02-01|-2.25\n"say ""x""\nand y"|2024-02-29|300',
    "quoted header": PLAIN.replace("id,ds,y", '"id", "ds" ,"y"').encode(),
    "two empty fields behind each row": re.sub(r"(1\.5|-2\.25|300)", r"\1,,", PLAIN).encode(),
    "an index without a name": re.sub(r"^(id|\"a|\"c|\"say)", r",\1", PLAIN, flags=re.M).encode(),
    "Parquet": as_parquet(pa.table({n: [row[i] for row in ROWS] for i, n in enumerate(("id", "ds", "y"))})),
}  # fmt: skip


def table(body: bytes | str, name: str = "a.csv", **more: Any) -> Table:
    return open_table(io.BytesIO(body.encode() if isinstance(body, str) else body), name, **more)


def cells(read: Table, column: str) -> list[Any]:
    return [value for batch in read.batches([column]) for value in batch.columns.column(0).to_pylist()]


def numbers(read: Table, column: str = "y") -> list[float]:
    style = styles(read, numbers=[column]).numbers[column]
    return [v for b in read.batches([column]) for v in to_numbers(b.columns.column(0), style)[0].tolist()]


def days(read: Table, column: str = "ds", **more: Any) -> list[str]:
    style = styles(read, times=[column]).times[column]
    found = [to_times(b.column(column), style, **more)[0] for b in read.batches([column])]
    return [str(value) for value in np.concatenate(found).astype("datetime64[s]")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_rows_come_out_of_every_dialect(dialect: str) -> None:
    read = table(DIALECTS[dialect], "no ending")
    assert cells(read, "id") == [row[0] for row in ROWS]
    assert numbers(read) == [1.5, -2.25, 300.0]
    assert days(read) == [f"{row[1]}T00:00:00" for row in ROWS]
    assert [int(row) for batch in read.batches() for row in batch.rows] == [0, 1, 2]
    assert read.ragged == []


def test_carriage_returns_alone_end_lines() -> None:
    assert numbers(table("id,y\ra,1\rb,2\r")) == [1.0, 2.0]


def test_windows_latin_1_is_read_and_said() -> None:
    read = table("id,y\nM\xfcnchen,1\nK\xf6ln,2\n".encode("cp1252"))
    assert cells(read, "id") == ["München", "Köln"]
    assert read.understood()["encoding"] == "cp1252"


def test_a_row_of_another_width_is_rejected_by_its_number_and_moves_no_other() -> None:
    read = table("id,y\na,1\nb\nc,3,x\nd,4\n\ne,5,,\n")
    kept = [
        (int(r), v) for b in read.batches(["y"]) for r, v in zip(b.rows, b.columns.column(0).to_pylist(), strict=True)
    ]
    assert kept == [(0, "1"), (3, "4"), (4, "5")]
    assert [(one.row, "fields" in one.reason) for one in read.ragged] == [(1, True), (2, True)]


def test_it_can_be_read_again_and_in_small_batches() -> None:
    read = table("id,y\n" + "".join(f"r{i},{i}\n" for i in range(1_000)))
    for _ in range(2):
        batches = list(read.batches(rows=64))
        assert max(len(batch.rows) for batch in batches) <= 64
        assert np.array_equal(np.concatenate([batch.rows for batch in batches]), np.arange(1_000))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1234.5 -0.25 1e3 .5", [1234.5, -0.25, 1000.0, 0.5]),
        ('"1,234.50" 985 "12,345,678"', [1234.5, 985.0, 12345678.0]),
        ("1.234,50;985;0,5", [1234.5, 985.0, 0.5]),
        ("1 234,5;985;12 345,25", [1234.5, 985.0, 12345.25]),
        ("$1|$2.50|$3", [1.0, 2.5, 3.0]),
        ('"$1,234.50" $3.25 $4', [1234.5, 3.25, 4.0]),
        ('"($1,234.50)" ($2) $3.25 -$4', [-1234.5, -2.0, 3.25, -4.0]),
        ("(5) 6 7- -8", [-5.0, 6.0, -7.0, -8.0]),
        ("(1 234,5);2,25;1 000-", [-1234.5, 2.25, -1000.0]),
        ("13.56%|7 %|-1%", [13.56, 7.0, -1.0]),
        ("CHF 1'234.50;CHF 7", [1234.5, 7.0]),
        ("1.5 NA  nan", [1.5, np.nan, np.nan, np.nan]),
        ("1.430 985.125 2", [1.43, 985.125, 2.0]),  # of commas between fields a dot is the decimal point
    ],
)
def test_numbers_are_read_as_the_column_writes_them(text: str, right: list[float]) -> None:
    delimiter = next((d for d in ";|" if d in text), ",")
    lines = text.split(delimiter if delimiter != "," else " ")
    read = table(f"id{delimiter}y\n" + "".join(f"r{delimiter}{line}\n" for line in lines))
    assert numbers(read) == pytest.approx(right, nan_ok=True)


@pytest.mark.parametrize("word", ["1_000", "0x10", "١٢", "1.5.2", "5%", "12 apples"])
def test_what_is_no_number_is_unreadable(word: str) -> None:
    read = table(f"id,y\na,{word}\nb,2\n" + "c,3\n" * 40)
    style = styles(read, numbers=["y"]).numbers["y"]
    (batch,) = read.batches(["y"])
    values, unreadable = to_numbers(batch.columns.column(0), style)
    assert unreadable[:2].tolist() == [True, False]
    assert np.isnan(values[0])


@pytest.mark.parametrize(("decimal", "right"), [(".", [1.43, 985.0]), (",", [1430.0, 985.0])])
def test_thousands_or_decimals_are_asked_for_where_both_are_possible(decimal: Any, right: list[float]) -> None:
    body = "ds;y\n2024-01-01;1.430\n2024-01-02;985\n"
    with pytest.raises(InputError, match=r"y: .*1\.234 or 1234.*--decimal \. or --decimal ,"):
        numbers(table(body))
    assert numbers(table(body, reading=Reading(decimal=decimal))) == right


def test_one_cell_decides_for_the_column() -> None:
    assert numbers(table("ds;y\n2024-01-01;1.430\n2024-01-02;9,5\n")) == [1430.0, 9.5]
    assert numbers(table("ds;y\n2024-01-01;1.430\n2024-01-02;9.55\n")) == [1.43, 9.55]


def test_a_decimal_comma_leaves_ids_alone() -> None:
    read = table("series_id;y\n1,5;2,5\n")
    assert numbers(read) == [2.5]
    assert cells(read, "series_id") == ["1,5"]


def test_days_come_first_for_the_whole_column_when_one_cell_says_so() -> None:
    assert days(table("ds\n03/04/2019\n23/04/2019\n")) == ["2019-04-03T00:00:00", "2019-04-23T00:00:00"]
    assert days(table("ds\n03/04/2019\n04/23/2019\n")) == ["2019-03-04T00:00:00", "2019-04-23T00:00:00"]


@pytest.mark.parametrize(("dates", "right"), [("day-first", "2019-04-03"), ("month-first", "2019-03-04")])
def test_the_order_of_dates_is_asked_for_where_both_are_possible(dates: Any, right: str) -> None:
    body = "ds\n03/04/2019\n05/06/2019\n"
    with pytest.raises(InputError, match=r"ds: .*April 3 or March 4.*--dates day-first or --dates month-first"):
        days(table(body))
    assert days(table(body, reading=Reading(dates=dates)))[0] == f"{right}T00:00:00"


def test_dates_that_are_the_same_either_way_are_no_question() -> None:
    assert days(table("ds\n04/04/2019\n05/05/2019\n")) == ["2019-04-04T00:00:00", "2019-05-05T00:00:00"]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2024-01-31T10:20:30", "2024-01-31T10:20:30"),
        ("2024-01-31 10:20", "2024-01-31T10:20:00"),
        ("2024-01-31T10:20:30.250Z", "2024-01-31T10:20:30"),
        ("2024-01-31T10:20:30+02:00", "2024-01-31T08:20:30"),
        ("01/31/2024 01:20:30 PM", "2024-01-31T13:20:30"),
        ("31.1.2024 9:05", "2024-01-31T09:05:00"),
        ("20240131", "2024-01-31T00:00:00"),
        ("2024-01", "2024-01-01T00:00:00"),
        ("Jan 31 2024", "2024-01-31T00:00:00"),
        ("31 Jan 2024", "2024-01-31T00:00:00"),
        ("Jan 2024", "2024-01-01T00:00:00"),
        ("2024Q3", "2024-07-01T00:00:00"),
        ("2024-Q4", "2024-10-01T00:00:00"),
        ("Q2 2024", "2024-04-01T00:00:00"),
        ("Q3/2024", "2024-07-01T00:00:00"),
        ("2024-W01", "2024-01-01T00:00:00"),
        ("2020-W53", "2020-12-28T00:00:00"),
        ("2021W017", "2021-01-10T00:00:00"),
        ("1991 W06", "1991-02-04T00:00:00"),
        ("1939 Jan", "1939-01-01T00:00:00"),
        ("2024-February", "2024-02-01T00:00:00"),
        ("2024-Jan-31", "2024-01-31T00:00:00"),
        ("2004M11", "2004-11-01T00:00:00"),
        ("2004m3", "2004-03-01T00:00:00"),
        ("12/2004", "2004-12-01T00:00:00"),
        ("2.2004", "2004-02-01T00:00:00"),
        ("31-Dec-20", "2020-12-31T00:00:00"),
        ("1-JAN-69 10:20", "1969-01-01T10:20:00"),
        ("31.12.2020 24:00", "2021-01-01T00:00:00"),
        ("2020-12-31 24:00:00", "2021-01-01T00:00:00"),
    ],
)
def test_times_are_read_in_any_usual_form(text: str, right: str) -> None:
    assert days(table(f"ds,y\n{text},1\n")) == [right]


@pytest.mark.parametrize(
    "year",
    [
        "January February March April May June July August September October November December",
        "Jänner Februar März Apr. Mai Juni Juli August Sept. Oktober November Dezember",
        "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "jan feb mrt apr mei jun jul aug sep okt nov dec",
    ],
)
def test_months_are_read_by_their_names(year: str) -> None:
    found = days(table("ds\n" + "".join(f"1. {month} 2024\n" for month in year.split())))
    assert found == [f"2024-{month:02d}-01T00:00:00" for month in range(1, 13)]


@pytest.mark.parametrize(("dates", "right"), [("day-first", "2021-02-01"), ("month-first", "2021-01-02")])
def test_a_year_of_two_digits_is_read_once_it_is_said_what_the_other_numbers_are(dates: Any, right: str) -> None:
    body = "ds\n01/02/21\n12/11/68 10:20\n"
    with pytest.raises(InputError, match=r"ds: .*--dates day-first or --dates month-first"):
        days(table(body + "20/12/31\n"))  # neither is the year, where it comes first
    assert days(table(body, reading=Reading(dates=dates)))[0] == f"{right}T00:00:00"


def test_a_time_with_an_offset_is_told_in_the_zone_that_is_asked_for() -> None:
    assert days(table("ds\n2024-07-01T00:30:00Z\n"), zone="Europe/Berlin") == ["2024-07-01T02:30:00"]


def test_layouts_may_be_mixed_and_what_no_clock_or_calendar_shows_is_no_time() -> None:
    cells = [
        "Mar 5 2024",
        "2024-3-5 7:08",
        "5 MARCH 2024 12:30 am",
        "2024-03-05 10:00+25:00",
        "2024-03-05 10:61",
        "2024Q5",
        "2024-W53",
        "Q5 2024",
        "2024-W00",
        "2024M13",
        "13/2024",
        "2024-03-05 24:01",
        "2024 Jam",
        "Mailing 2024",
        "Jui 2024",
        "x",
        "",
    ]
    times, unreadable = to_times(pa.array(cells), TimeStyle())
    day = "2024-03-05T"
    assert [str(t)[:19] for t in times] == [f"{day}00:00:00", f"{day}07:08:00", f"{day}00:30:00", *["NaT"] * 14]
    assert unreadable.tolist() == [False] * 3 + [True] * 13 + [False]


@pytest.mark.parametrize("form", ["{week:02}/{year}", "{week}.{year}", "{year}-{week:02}", "{year}M{week}"])
def test_numbers_of_weeks_are_no_months_but_a_month_that_is_mistyped_costs_no_other(form: str) -> None:
    for weeks, unreadable in ((52, 104), (12, 0)):
        cells = [form.format(week=1 + i % weeks, year=2022 + i // weeks) for i in range(2 * weeks)]
        assert to_times(pa.array(cells), TimeStyle())[1].sum() == unreadable
        assert to_times(pa.array([*cells, form.format(week=13, year=2022)]), TimeStyle())[1].sum() == unreadable + 1


def test_a_text_that_is_null_says_nothing_and_costs_no_other() -> None:
    texts = pa.table({"ds": ["31.01.2024", None, "01.02.2024"], "y": ["1,5", None, "2,5"]})
    read = table(as_parquet(texts), "a.parquet")
    assert days(read) == ["2024-01-31T00:00:00", "NaT", "2024-02-01T00:00:00"]
    assert to_times(texts["ds"].combine_chunks(), TimeStyle("day-first"))[1].tolist() == [False] * 3
    assert styles(read, numbers=["y"]).numbers["y"] == NumberStyle(",")
    assert to_numbers(texts["y"].combine_chunks(), NumberStyle(","))[1].tolist() == [False] * 3


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%b %d, %Y", "%d %b %Y %I:%M %p"])
def test_a_text_of_a_column_of_one_layout_is_parsed_once(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    start, extract, parsed = np.datetime64("2024-01-01", "us"), pc.extract_regex, list[str]()
    right = start + np.tile(np.arange(200), 5).astype("timedelta64[D]")

    def counted(texts: Any, pattern: str) -> Any:
        parsed.extend(texts.to_pylist())
        return extract(texts, pattern)

    monkeypatch.setattr(pc, "extract_regex", counted)
    times, unreadable = to_times(pa.array([day.strftime(form) for day in right.tolist()] + ["", "x"]), TimeStyle())
    assert (times[:-2] == right).all()
    assert unreadable.tolist() == [False] * 1001 + [True]
    assert len([text for text in parsed if text and text != "x"]) == 200


def test_a_files_styles_are_decided_without_reading_it_again_where_its_batches_are_at_hand() -> None:
    read = table(GERMAN)
    batches = list(read.batches())
    read.batches = None  # type: ignore[method-assign, assignment]
    decided = styles(read, numbers=["y"], times=["ds"], batches=batches)
    assert (decided.numbers["y"].decimal, decided.times["ds"].order) == (",", "day-first")


def test_whole_floats_are_the_same_ids_as_integers() -> None:
    assert to_texts(pa.array([1.0, 2.5, None])).to_pylist() == ["1", "2.5", ""]
    assert to_texts(pa.array([1, 2])).to_pylist() == to_texts(pa.array(["1", "2"])).to_pylist()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (b"\x1f\x8b and no more", "cannot be read as gzip"),
        ("id,id\n1,2\n", "columns 1 and 2 have the same name"),
        ('id,y\n"a,1\nb,2\n', "quote in it is not closed"),
        (b"id,y\n\xc3\xbcber,1\n\xff,2\n", "line 3 is not in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(body: bytes | str, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        for _ in table(body, "theirs.csv").batches():
            pass
    assert "theirs.csv" in str(error.value)


def test_limits_are_told_by_their_setting() -> None:
    body = "a,b\n" + "1,2\n" * 100
    for limit, setting in (
        ("object_mb", "OBJECT_MB"),
        ("table_columns", "TABLE_COLUMNS"),
        ("table_cells", "TABLE_CELLS"),
    ):
        most = {"object_mb": 1e-5, "table_columns": 1, "table_cells": 50}[limit]
        with pytest.raises(LimitError, match=f"TREFOIL_{setting}"):
            for _ in table(body, limits=Limits(**{limit: most})).batches():
                pass


def test_real_files_are_read_to_their_last_row(real_data: Path) -> None:
    counted = {}
    for file in sorted(real_data.rglob("*.*")):
        if file.suffix in {".csv", ".gz", ".parquet"}:
            with file.open("rb") as source:
                read = open_table(source, file.name)
                counted[file.name] = sum(len(batch.rows) for batch in read.batches())
                assert read.ragged == []
    assert {name: counted[name] for name in ROWS_OF} == ROWS_OF
    assert counted["nn5_daily.csv.gz"] == 86_124


@pytest.mark.parametrize("sign", ["$", "€", "£"])
def test_numbers_with_any_currency_are_numbers(sign: str) -> None:
    style = NumberStyle(currency=sign)
    values, bad = to_numbers(pa.array([f"{sign}1,234.50", f"-{sign}2", f"3 {sign}"]), style)
    assert (values.tolist(), bad.any()) == ([1234.5, -2.0, 3.0], False)


CELL = st.text(st.sampled_from('ab",\n\r" '), max_size=6)


@settings(max_examples=150, derandomize=True)
@given(st.lists(st.tuples(CELL, CELL, st.sampled_from(['32" screen', 'a "b" c', "x"])), max_size=30), st.booleans())
def test_whatever_stands_in_quotes_rows_stay_whole_over_the_ends_of_blocks(rows: Any, windows: bool) -> None:
    """`csv` of Python is the measure; the third column has quotes that open nothing."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n" if windows else "\n").writerows(
        (a, b) for a, b, _ in rows
    )
    lines = list(csv.reader(io.StringIO(written.getvalue(), newline="")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK", 32)
        read = table(("a,b\n" + written.getvalue()).encode())
        found = [list(row.values()) for batch in read.batches() for row in batch.columns.to_pylist()]
        assert found == [line for line in lines if line]
        assert read.ragged == []
        stray = "a,b\n" + "".join(f'{i},{c}\n"{i}\nx",y\n' for i, (_, _, c) in enumerate(rows))
        found = [list(row.values()) for batch in table(stray).batches() for row in batch.columns.to_pylist()]
        assert found == [list(row) for i, (_, _, c) in enumerate(rows) for row in ((f"{i}", c), (f"{i}\nx", "y"))]


@pytest.mark.parametrize("day", ["16/12/2006", "2006-12-16", "16.12.2006"])
def test_a_time_may_stand_in_two_columns(day: str) -> None:
    read = table(f"Date;Time;y\n{day};17:24:00;1\n{day};;2\n{day};24:00;3\n")
    assert days(read, "Date+Time") == ["2006-12-16T17:24:00", "NaT", "2006-12-17T00:00:00"]
    with pytest.raises(InputError, match=r"Date\+Clock: has no such column; it has Date, Time, y"):
        days(read, "Date+Clock")


def test_a_column_without_a_name_and_a_list_that_is_cut_are_said() -> None:
    wide = table("," + ",".join(f"d_{i}" for i in range(40)) + "\n")
    with pytest.raises(InputError, match=r"d_29, \.\.\. and a column without a name"):
        days(wide)
