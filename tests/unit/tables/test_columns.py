"""Columns by name: what a person says first, then what a format is known to call them."""

import io
from typing import Any

import pyarrow as pa
import pytest

from layers.runtime.errors import InputError
from layers.tables import Preset, Reading, Table, named_columns, open_table, styles
from tests.tables import as_parquet

OURS = Preset({"id": ["id"], "km": ["km", "distance"]})
OTHERS = Preset({"id": ["id"]}, others=True)


def table(body: str | bytes, **columns: str) -> Table:
    source = io.BytesIO(body.encode() if isinstance(body, str) else body)
    return open_table(source, "a.csv", reading=Reading(columns=columns))


def ids(read: Table, name: str) -> list[Any]:
    return [value for batch in read.batches([name]) for value in batch.column(name).to_pylist()]


def test_a_preset_knows_columns_in_any_case_and_prefers_its_first_name() -> None:
    assert table("ID,Distance,x\n").columns(OURS) == {"id": "ID", "km": "Distance"}
    assert table("ID,Distance,KM\n").columns(OURS) == {"id": "ID", "km": "KM"}
    assert table("ID,id\n").columns(OURS) == {"id": "id"}
    with pytest.raises(InputError, match="a\\.csv: id: a column name comes twice"):
        table("ID,Id\n").columns(OURS)


def test_what_a_person_says_goes_before_what_the_file_has() -> None:
    assert table("id,km,trip\n", km="trip").columns(OURS) == {"id": "id", "km": "trip"}
    assert table("id,km,a=b\n", distance="a=b").columns(OURS) == {"id": "id", "km": "km"}
    assert table("id,promotion,x\n", promo="promotion").columns(OTHERS) == {"id": "id", "x": "x", "promo": "promotion"}


def test_a_named_column_that_is_not_there_is_an_error_that_names_file_and_column() -> None:
    with pytest.raises(InputError, match="a\\.csv: trip: has no such column; it has id, km"):
        table("id,km\n", km="trip").columns(OURS)
    with pytest.raises(InputError, match="a\\.csv: mile: is none of id, km"):
        table("id,km\n", mile="km").columns(OURS)
    with pytest.raises(InputError, match="a\\.csv: shop: has no such column"):
        table("id,km\n", id="id+shop").columns(OURS)
    with pytest.raises(InputError, match="a\\.csv: id\\+km: has no such column"):
        styles(table("id,km\n1,2\n"), numbers=["id+km"])


@pytest.mark.parametrize(
    "body",
    [
        "shop,item,x\n 1,ale ,0\n2,,0\n,ale,0\n",
        as_parquet(pa.table({"shop": [1.0, 2.0, None], "item": ["ale ", "", "ale"], "x": [0, 0, 0]})),
    ],
)
def test_an_id_of_several_columns_is_joined_and_blank_where_a_part_is(body: str | bytes) -> None:
    read = table(body, id="shop+item")
    assert read.columns(OTHERS) == {"x": "x", "id": "shop+item"}
    assert ids(read, "shop+item") == ["1/ale", "", ""]
    assert read.understood()["columns"] == {"id": "shop+item"}


def test_a_column_whose_own_name_has_a_plus_is_itself() -> None:
    assert ids(table("a+b,a,b\n1,2,3\n", id="a+b"), "a+b") == ["1"]


def test_pairs_are_read_or_shown() -> None:
    assert named_columns(["km = trip km", "id=a=b"]) == {"km": "trip km", "id": "a=b"}
    with pytest.raises(InputError, match="km: is not of the form OURS=THEIRS"):
        named_columns(["km"])
