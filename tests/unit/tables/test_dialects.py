"""CSV of every usual dialect is the same table."""

import gzip

import pytest

from layers.runtime.errors import InputError
from tests.tables import opened, rows_of

ROWS = [("Zürich", "1", "x"), ("Genève", "2", "a,b"), ("Bern", "", 'say "so"')]


def written(delimiter: str = ",", end: str = "\n", quote: bool = False) -> str:
    def cell(text: str) -> str:
        if quote or delimiter in text or '"' in text:
            return '"' + text.replace('"', '""') + '"'
        return text

    return end.join(delimiter.join(map(cell, row)) for row in [("city", "n", "note"), *ROWS]) + end


DIALECTS: dict[str, bytes] = {
    "commas": written().encode(),
    "semicolons": written(";").encode(),
    "tabs": written("\t").encode(),
    "bars": written("|").encode(),
    "everything in quotes": written(quote=True).encode(),
    "ends of CR": written(end="\r").encode(),
    "ends of CRLF": written(end="\r\n").encode(),
    "a byte-order mark": b"\xef\xbb\xbf" + written().encode(),
    "UTF-16 with a mark": written().encode("utf-16"),
    "UTF-16, big-endian": b"\xfe\xff" + written().encode("utf-16-be"),
    "UTF-16 without a mark": written().encode("utf-16-le"),
    "Latin-1": written().encode("latin-1"),
    "sep= in the first line": b"sep=;\r\n" + written(";", "\r\n").encode(),
    "gzip": gzip.compress(written().encode()),
    "gzip of UTF-16 with tabs": gzip.compress(written("\t").encode("utf-16")),
    "blank lines": b"\n\n" + written().encode().replace(b"\n", b"\n\n"),
    "no end of the last line": written().encode().rstrip(),
    "spaces around names": written().encode().replace(b"city,n,note", b" city , n,note "),
    "empty fields beyond the header": written().encode().replace(b"\n", b",,\n").replace(b"note,,", b"note", 1),
    "empty fields beyond the header, in one row": written().encode().rstrip() + b",,,\n",
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_is_told_from_the_file_and_read_like_any_other(dialect: str) -> None:
    table = opened(DIALECTS[dialect], "a.parquet")
    assert table.names == ["city", "n", "note"]
    assert rows_of(table) == ROWS
    assert rows_of(table) == ROWS
    assert table.ragged == []


def test_encoding_and_delimiter_are_told() -> None:
    table = opened(DIALECTS["Latin-1"].replace(b",", b"|"))
    rows_of(table)
    assert table.understood() == {"kind": "csv", "delimiter": "|", "encoding": "cp1252"}
    assert opened(DIALECTS["UTF-16 with a mark"]).understood()["encoding"] == "utf-16"


def test_names_and_cells_may_hold_delimiters_and_line_breaks_in_quotes() -> None:
    table = opened('"a\nb","c;d;e;f;g",h\n"1\r\n2","3,4","5"\n')
    assert table.names == ["a\nb", "c;d;e;f;g", "h"]
    assert rows_of(table) == [("1\r\n2", "3,4", "5")]


def test_spaces_between_delimiters_and_quotes_are_skipped() -> None:
    table = opened('a, b, c\n1, "x, y\nz", 3\n4,  "say ""so""" ,6\n7, plain, 9\n8, "10"\n')
    assert rows_of(table) == [("1", "x, y\nz", "3"), ("4", 'say "so" ', "6"), ("7", "plain", "9")]
    assert [r.row for r in table.ragged] == [3]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_spaces_may_stand_before_the_quotes_of_the_first_column(end: str) -> None:
    assert rows_of(opened(end.join(["a,b", ' "x, y",1', ' "z",2', ""]))) == [("x, y", "1"), ("z", "2")]


def test_the_delimiter_is_what_parts_the_rows_as_it_parts_the_header() -> None:
    table = opened("day;price, in EUR, net;note, or none\n1;2,5;x\n2;3,5;y\n")
    assert table.names == ["day", "price, in EUR, net", "note, or none"]


def test_a_latin_letter_far_behind_plain_text_is_still_read() -> None:
    body = b"a,b\n" + b"x,y\n" * 3_000_000 + "Zürich,z\n".encode("latin-1")
    *_, last = opened(body).batches()
    assert last.columns.to_pylist()[-1] == {"a": "Zürich", "b": "z"}


def test_bytes_that_windows_does_not_assign_stay_apart() -> None:
    body = b"a,b\nM\x81,1\nM\x8d,2\nM\x8f,3\nM\x90,4\nM\x9d,5\nK\xf6ln \x80,6\n"
    texts = ["M\x81", "M\x8d", "M\x8f", "M\x90", "M\x9d", "K\u00f6ln \u20ac"]
    assert [text for text, _ in rows_of(opened(body))] == texts


def test_utf_8_with_a_damaged_byte_is_refused_with_its_line() -> None:
    body = "a,b\nZürich,Genève\n".encode() + b"\xff,1\n" + "Zürich,Genève\n".encode()
    with pytest.raises(InputError, match=r"a\.csv: cannot be read as CSV: line 3 is not in UTF-8"):
        rows_of(opened(body))


def test_a_column_without_a_name_is_left_out_and_told_by_its_place() -> None:
    table = opened(",city,n,\n0,Bern,1,\n1,Chur,2,\n")
    assert (table.names, table.header) == (["city", "n"], ("", "city", "n", ""))
    assert rows_of(table) == [("Bern", "1"), ("Chur", "2")]


@pytest.mark.parametrize(
    "above",
    ["Sales of 2024\n\n", "# made by a till\n# of EUR\n", "Sales of 2024;;\n;;\n", '"of";"x"\n'],
    ids=["a title", "comments", "a title padded by a spreadsheet", "names, but for those of rows"],
)
def test_what_stands_above_the_names_is_refused_with_what_to_do(above: str) -> None:
    with pytest.raises(InputError, match=r"a\.csv: rows have more fields than the first line names, [12]; remove"):
        opened(above + "day;n;note\n1;2,5;x\n2;3,5;y\n")


def test_two_columns_of_one_name_are_refused_by_their_places() -> None:
    with pytest.raises(InputError, match=r"a\.csv: columns 1 and 3 have the same name"):
        opened("secret,b,secret \n1,2,3\n")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b",,\n1,2,3\n", "has no header"),
        (b"PK\x03\x04 and more", "Excel"),
        (b"\x89PNG\x00 and more that is no text", "is not a CSV or Parquet file"),
        (gzip.compress(b"a,b\n1,2\n" * 9, mtime=0)[:-9], "cannot be read as gzip"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_table_is_refused_by_name(body: bytes, why: str) -> None:
    with pytest.raises(InputError, match=rf"a\.csv.*{why}"):
        rows_of(opened(body))
