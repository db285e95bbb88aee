"""Rows of a table: where they stand in the file, which are none, and how much is read at once."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.runtime.errors import InputError, LimitError
from layers.runtime.files import Limits
from layers.tables import Table, delimited, open_table
from tests.tables import as_parquet, opened, rows_of


def numbered(table: Table, **options: object) -> dict[int, list[str]]:
    return {
        int(row): list(cells.values())
        for batch in table.batches(**options)  # type: ignore[arg-type]
        for row, cells in zip(batch.rows, batch.columns.to_pylist(), strict=True)
    }


def test_rows_of_another_width_are_rejected_and_shift_no_number() -> None:
    table = opened("a,b\n1,2\n\n3\n4,5\n6,7,8\n9,10,\n11,12\n")
    assert numbered(table) == {0: ["1", "2"], 2: ["4", "5"], 4: ["9", "10"], 5: ["11", "12"]}
    assert [(r.row, r.column) for r in table.ragged] == [(1, None), (3, None)]
    assert "number of fields" in table.ragged[0].reason


def test_a_row_with_a_delimiter_too_many_is_rejected_where_rows_end_in_empty_fields() -> None:
    table = opened("city,n\nBern,1,,\nChur, GR,2,,\nChur, GR,2,\nGenf,3,,\nThun,4\n")
    assert numbered(table) == {0: ["Bern", "1"], 3: ["Genf", "3"], 4: ["Thun", "4"]}
    assert numbered(table, columns=["n"]) == {0: ["1"], 3: ["3"], 4: ["4"]}
    assert [r.row for r in table.ragged] == [1, 2]
    (batch,) = table.batches(everything=True)
    assert (len(batch), batch.ragged) == (5, {1, 2})


def test_with_everything_ragged_rows_and_nameless_columns_keep_their_place() -> None:
    table = opened(",b\n1,2\n3\n4,5\n6,7,8\n")
    (batch,) = table.batches(everything=True)
    assert [c.to_pylist() for c in batch.columns.columns] == [["1", "3", "4", "6"], ["2", "", "5", "7"]]
    assert batch.columns.schema.names == ["", "b"]
    assert batch.ragged == {1, 3}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["1,2", "3", "4,5,6", "7,8,,", '"9\n9",1', ""]), max_size=60),
    st.sampled_from([16, 64, 256, 1 << 20]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_rows_keep_their_numbers_whatever_the_blocks(lines: list[str], block: int, end: str) -> None:
    kept, previous = {}, delimited.BLOCK
    lines = ["1,2", *lines]
    rows = [line for line in lines if line]
    for number, line in enumerate(rows):
        if line in ("1,2", "7,8,,"):
            kept[number] = line.split(",")[:2]
        elif line.startswith('"'):
            kept[number] = ["9\n9", "1"]
    delimited.BLOCK = block
    try:
        table = opened(end.join(["a,b", *lines]))
        assert numbered(table) == kept
        assert {r.row for r in table.ragged} == set(range(len(rows))) - set(kept)
        assert numbered(table, rows=3) == kept
    finally:
        delimited.BLOCK = previous


def test_batches_are_no_larger_than_asked_for_and_columns_come_as_asked_for() -> None:
    table = opened("a,b,c\n" + "1,2,3\n" * 10)
    batches = list(table.batches(["c", "a"], rows=4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert batches[-1].rows.tolist() == [8, 9]
    assert batches[0].columns.to_pydict() == {"c": ["3"] * 4, "a": ["1"] * 4}


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"a\.csv: z: has no such column; it has a, b"):
        list(opened("a,b\n1,2\n").batches(["z"]))


def test_a_quote_that_is_never_closed_is_refused_with_its_row_and_without_a_cell() -> None:
    with pytest.raises(InputError, match=r"a\.csv: row 1: a quote in it is not closed"):
        rows_of(opened('a,b\n1,2\n3,"secret\n5,6\n'))
    with pytest.raises(InputError, match=r"a\.csv: row \d+: .*quote in it is not closed"):
        rows_of(opened('a,b\n1,2\n3,"secret\n' + "5,6\n" * 4_000_000))


@pytest.mark.parametrize("body", ['a\n1\n2\n"', 'a,b\n1,2\n3,4\n"', 'a,b\n1,2\n3,4\n5,"'])
def test_a_quote_that_opens_with_the_last_byte_is_not_closed(body: str) -> None:
    with pytest.raises(InputError, match=r"a\.csv: row 2: a quote in it is not closed"):
        rows_of(opened(body))


@pytest.mark.parametrize("size", [10, 200_000, 2_000_000])
def test_a_header_whose_quote_is_never_closed_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=r"a\.csv: .*a quote in its header is not closed"):
        opened('"a,b\n' + "1,2\n" * (size // 4))


@pytest.mark.parametrize("beside", ["2,y,z\n", '2,32" screen\n'])
def test_a_long_cell_is_read_beside_a_ragged_row_and_a_stray_quote(beside: str) -> None:
    long = "x" * 200_000
    first, *_, last = rows_of(opened(f'a,b\n1,"{long}"\n{beside}3,y\n'))
    assert (first, last) == (("1", long), ("3", "y"))


def test_rows_behind_a_stray_quote_are_read_in_pieces_of_some_megabytes() -> None:
    line = "1," + "x" * 1_000 + "\n"
    sizes = [b.columns.nbytes for b in opened('a,b\n1,32" screen\n' + line * 8_000).batches()]
    assert sum(sizes) > 8_000_000
    assert max(sizes) < delimited.BLOCK


def test_lines_that_end_in_cr_may_hold_line_breaks_in_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 64)
    monkeypatch.setattr(delimited, "LONGEST", 256)
    assert rows_of(opened("a,b\r" + '1,"x\ny"\r' * 100)) == [("1", "x\ny")] * 100


def test_a_quote_within_a_cell_is_only_a_sign() -> None:
    assert rows_of(opened('a,b\n5" pipe,2\n3,4\n')) == [('5" pipe', "2"), ("3", "4")]


def test_a_file_of_a_header_alone_has_no_row() -> None:
    assert rows_of(opened("a,b\n")) == []
    assert rows_of(opened("a,b")) == []
    assert opened("a\n1\n2\n").names == ["a"]
    assert rows_of(opened("a\n1\n2\n")) == [("1",), ("2",)]


def test_an_iteration_that_is_left_does_not_disturb_the_next() -> None:
    table = opened("a,b\n" + "".join(f"{i},x\n" for i in range(3_000_000)))
    for _ in range(3):
        next(table.batches())
    assert sum(len(batch) for batch in table.batches()) == 3_000_000


def test_a_limit_is_told_by_its_setting() -> None:
    body = "a,b\n" + "1,2\n" * 100
    for name, limit in {"object_mb": 1e-4, "table_columns": 1, "table_cells": 150, "piece_rides": 99}.items():
        with pytest.raises(LimitError, match=rf"a\.csv: .*TREFOIL_{name.upper()}"):
            list(open_table(io.BytesIO(body.encode()), "a.csv", limits=Limits(**{name: limit})).batches())
    parquet = as_parquet(pa.table({"a": range(100), "b": range(100)}))
    for name, limit in {"object_mb": 1e-4, "table_columns": 1, "table_cells": 150, "piece_rides": 99}.items():
        with pytest.raises(LimitError, match=rf"a\.csv: .*TREFOIL_{name.upper()}"):
            open_table(io.BytesIO(parquet), "a.csv", limits=Limits(**{name: limit}))


def test_parquet_keeps_its_types_and_row_groups_their_rows() -> None:
    whole = pa.table({" a ": np.arange(50), "b.c": ["x"] * 50, "": np.ones(50)})
    body = io.BytesIO(as_parquet(whole, row_group_size=20))
    table = open_table(body, "a.csv")
    assert (table.kind, table.names, table.header) == ("parquet", ["a", "b.c"], ("a", "b.c", ""))
    assert sum(len(batch) for batch in table.batches()) == 50
    piece = open_table(body, "a.csv", row_groups=(1, 3), first_row=20)
    (*_, last) = piece.batches(["b.c", "a"], rows=15)
    assert last.rows[-1] == 49
    assert last.columns.column("a")[-1].as_py() == 49
    assert last.columns.schema.names == ["b.c", "a"]


def test_parquet_with_two_columns_of_one_name_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a "]), sink)
    with pytest.raises(InputError, match=r"columns 1 and 2 have the same name"):
        open_table(sink, "a.parquet")
