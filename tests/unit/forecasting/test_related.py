"""Files as Amazon Forecast exported them: target time series, related time series and item metadata."""

import io
import json

import numpy as np
import pyarrow.parquet as parquet
import pytest

from functions.forecasting.domain import related, table
from layers.runtime.errors import InputError
from layers.tables import Reading

DAYS = (np.datetime64("2023-01-01") + np.arange(120)).astype(str)
ITEMS = ("umbrella", "sun cream")
SHOPS = ("north", "0017")


def target(step: str = "") -> str:
    rows = [
        f"{shop},{item},{ds}{step},{100 + 10 * (i % 7) + 40 * (i % 9 < 3)}"
        for item in ITEMS
        for shop in SHOPS
        for i, ds in enumerate(DAYS)
    ]
    return "\n".join(["store_id,item_id,timestamp,target_value", *rows])


def prices(ahead: int = 28) -> str:
    days = (np.datetime64(DAYS[0]) - 10 + np.arange(len(DAYS) + 10 + ahead)).astype(str)
    rows = [
        f"{item},{ds} 00:00:00,{3.5 if (i - 10) % 9 < 3 else 4.25},{shop}"
        for item in ITEMS
        for shop in SHOPS
        for i, ds in enumerate(days)
    ]
    return "\n".join(["item_id,timestamp,price,store_id", *rows])


METADATA = "item_id,brand,color\numbrella,Rainy,\nsun cream,Sunny,yellow\n,Nobody,\nunknown,X,Y\n"


def read(text: str, **arguments):
    return table.read(io.BytesIO(text.encode()), "tts.csv", **arguments)


def join(parsed, text: str) -> None:
    related.join(parsed, io.BytesIO(text.encode()), "rts.csv", reading=Reading(), periods=table.Periods())


def items(parsed, text: str) -> related.Items:
    return related.read_items(parsed, io.BytesIO(text.encode()), "items.csv")


@pytest.mark.parametrize("step", ["", " 00:00:00"])
@pytest.mark.parametrize("preset", ["auto", "amazon-forecast"])
def test_dimensions_of_a_target_time_series_are_joined_into_the_id(step, preset):
    parsed = read(target(step), preset=preset)
    assert {one.series_id for one in parsed.series} == {f"{item}/{shop}" for item in ITEMS for shop in SHOPS}
    assert {(one.frequency.kind, len(one.y), *one.regressors) for one in parsed.series} == {("D", 120)}
    assert (parsed.rejected, parsed.understood["columns"]["series_id"]) == ([], "item_id+store_id")


def test_hours_and_the_names_of_other_domains_are_read():
    hours = np.datetime64("2023-01-01T00") + np.arange(200)
    rows = [f"{str(ds).replace('T', ' ')}:00:00,cpu,{i}" for i, ds in enumerate(hours)]
    parsed = read("\n".join(["timestamp,metric_name,metric_value", *rows]), preset="amazon-forecast")
    assert [(one.series_id, one.frequency.kind, len(one.y)) for one in parsed.series] == [("cpu", "H", 200)]


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("umbrella,2023-01-01,5\n" * 3, "timestamp", "first line like item_id,timestamp,target_value"),
        ("item_id,timestamp\na,2023-01-01\n", "target_value", "it has item_id, timestamp"),
        ("item_id,timestamp,target_value,price\na,2023-01-01,5,1.25\na,2023-01-02,5,1.5\n", "price", "--related"),
    ],
)
def test_what_is_no_target_time_series_is_refused_by_name(text, field, words):
    with pytest.raises(InputError, match=words) as caught:
        read(text, preset="amazon-forecast")
    assert (caught.value.file, caught.value.field) == ("tts.csv", field)


def test_a_target_time_series_whose_columns_are_named_is_read_as_they_say():
    named = Reading(columns={"ds": "timestamp", "y": "target_value", "series_id": "item_id"})
    assert "store_id" in read(target(), reading=named).understood["columns"]


def test_related_time_series_are_regressors_that_are_known_ahead():
    parsed = read(target())
    join(parsed, prices())
    one = next(one for one in parsed.series if one.series_id == "umbrella/0017")
    assert (str(one.start), one.observed, len(one.y)) == ("2023-01-01", 120, 148)
    assert one.regressors["price"][[0, 3, -1]].tolist() == [3.5, 4.25, 4.25]
    assert np.isfinite(one.regressors["price"]).all()
    assert parsed.rejected == []


def test_what_related_files_say_of_no_series_or_wrongly_is_rejected_and_costs_nothing_else():
    parsed = read(target())
    join(parsed, prices() + "\nghost,2023-01-01,1,north\numbrella,never,2,north\n")
    assert [(one.file, one.row, one.series_id) for one in parsed.rejected] == [
        ("rts.csv", 633, "umbrella/north"),
        ("rts.csv", -1, "ghost/north"),
    ]
    assert all(np.isfinite(one.regressors["price"]).all() for one in parsed.series)


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (prices().replace("store_id", "shop"), "store_id", "no such column"),
        (prices().replace("north", "south").replace("0017", "17"), "series_id", "no series of the sales"),
        ("\n".join(prices().splitlines()[:1] + prices().splitlines()[1::7]), "ds", "comes by weeks, its sales by days"),
        ("item_id,timestamp,price,store_id", None, "no data row"),
    ],
)
def test_a_related_file_that_does_not_fit_the_sales_is_refused_by_name(text, field, words):
    with pytest.raises(InputError, match=words) as caught:
        join(read(target()), text)
    assert (caught.value.file, caught.value.field) == ("rts.csv", field)


def test_a_related_file_says_nothing_of_the_sales_themselves():
    parsed = read("series_id,ds,y,open\n" + "".join(f"a,{ds},{i % 7},{int(i % 7 > 0)}\n" for i, ds in enumerate(DAYS)))
    for column in ("y", "open"):
        text = f"series_id,ds,price,{column}\n" + "".join(f"a,{ds},3.5,1\n" for ds in DAYS)
        with pytest.raises(InputError, match="column of the sales too") as caught:
            join(parsed, text)
        assert caught.value.field == column


def test_a_part_of_an_id_that_somebody_named_may_be_a_number_with_decimals():
    text = "store,tier,ds,y\n" + "".join(f"a,{tier},{ds},1\n" for tier in ("1.5", "2.5") for ds in DAYS)
    parsed = read(text, reading=Reading(columns={"series_id": "store+tier"}))
    assert [one.series_id for one in parsed.series] == ["a/1.5", "a/2.5"]


def test_a_column_of_two_files_is_refused():
    parsed = read(target())
    join(parsed, prices())
    with pytest.raises(InputError, match="column of the sales too") as caught:
        join(parsed, prices())
    assert caught.value.field == "price"


def test_any_sales_file_may_have_related_ones():
    days = "".join(f"{ds},{i}\n" for i, ds in enumerate(DAYS))
    parsed = read("day,sold\n" + days, reading=Reading(columns={"ds": "day", "y": "sold"}))
    join(parsed, "day,temperature\n" + days)
    assert parsed.series[0].regressors["temperature"][-1] == 119.0


def test_metadata_says_of_each_series_what_its_item_is():
    parsed = read(target())
    said = items(parsed, METADATA)
    assert said["umbrella/north"] == {"brand": "Rainy"}
    assert said["sun cream/0017"] == {"brand": "Sunny", "color": "yellow"}
    assert [(one.file, one.row, one.reason) for one in parsed.rejected] == [("items.csv", 2, "item_id is blank")]


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("item_id,brand\numbrella,a\numbrella,b\n", 1, "comes again"),
        ("umbrella,a\nsun cream,b\n", None, "first line like item_id"),
        ("item_id,brand\nhat,a\n", None, "nothing of any item"),
    ],
)
def test_metadata_that_do_not_fit_are_refused_by_name(text, row, words):
    with pytest.raises(InputError, match=words) as caught:
        items(read(target()), text)
    assert (caught.value.file, caught.value.row, caught.value.field) == ("items.csv", row, "item_id")


def test_what_items_are_stands_as_columns_that_never_change():
    said = {"a": {"brand": "Rainy", "size": "2.5"}, "b": {"brand": "Sunny"}, "c": {"size": "1e300"}}
    assert related.coded(said) == {
        "a": {"brand=rainy": 1.0, "brand=sunny": 0.0, "size": 2.5},
        "b": {"brand=rainy": 0.0, "brand=sunny": 1.0},
        "c": {"brand=rainy": 0.0, "brand=sunny": 0.0},
    }
    many = {str(i): {"name": f"item number {i}"} for i in range(20)}
    assert related.coded(many)["7"] == {}


def test_the_command_reads_all_three_files(trefoil, tmp_path):
    for name, text in {"tts.csv": target(), "rts.csv": prices(), "items.csv": METADATA}.items():
        (tmp_path / name).write_text(text)
    out = tmp_path / "out"
    files = [tmp_path / "tts.csv", "--related", tmp_path / "rts.csv", "--metadata", tmp_path / "items.csv"]
    status, answer = trefoil(*files, "--preset", "amazon-forecast", "--horizon", 28, "--out", out)
    assert (status, answer.get("error")) == (0, None)
    said = json.loads((out / "summary.json").read_text())["series"]["umbrella/north"]
    assert (said["item"], said["regressors"]) == ({"brand": "Rainy"}, ["price"])
    assert not any(text.startswith(("price", "brand")) for text in said["assumptions"])
    assert said["left_out"] == {}
    assert [(one["series_id"], one["shared"]) for one in said["similar"]][:1] == [("umbrella/0017", "brand Rainy")]
    assert [one["file"] for one in parquet.read_table(out / "rejected.parquet").to_pylist()] == ["items.csv"]
    assert trefoil(*files, "--out", tmp_path)[0] == 2
