import random

import numpy as np
import pytest

from functions.classification.domain import schema

ROWS = 600


def dropped(name: str, values: list) -> bool:
    """Whether the column is left out, which the order of the rows may not change."""
    answers = set()
    for seed in range(3):
        mixed = random.Random(seed).sample(values, len(values))
        answers.add(name in schema.infer({name: mixed, "other": [i % 7 for i in range(len(values))]})[1])
    answers.add(name in schema.infer({name: sorted(values, key=str), "other": [i % 7 for i in range(len(values))]})[1])
    (answer,) = answers
    return answer


@pytest.mark.parametrize(
    "name",
    [
        "id", "ID", "user_id", "CustomerId", "customerID", "CUSTOMERID", "EmployeeNumber", "Lead Number",
        "phone_number", "Order No.", "account-nr", "session.key", "Phone", "uuid",
    ],
)  # fmt: skip
@pytest.mark.parametrize("each", [1, 3])
def test_a_column_named_like_an_identifier_is_left_out_in_any_order_of_rows(name, each):
    values = [7_919 * (i // each) % 1_000_003 for i in range(ROWS)]
    assert dropped(name, values)
    assert dropped(name, [f"K{value}" for value in values])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paid", lambda i: i * i % 90), ("humid", lambda i: i * i % 101), ("number_of_orders", lambda i: i * i % 83),
        ("price index", lambda i: 90 + 0.01 * (i % 300)), ("branch_id", lambda i: i % 5), ("Number", lambda i: i % 9),
        ("salary", lambda i: 20_000 + (7_919 * i) % 500_000), ("tenure", lambda i: int(72 * ((i * 0.618) % 1) ** 2)),
        ("age", lambda i: 18 + (i * i) % 73), ("balance", lambda i: round(1_000 * ((i * 0.618) % 1), 2)),
    ],
)  # fmt: skip
def test_a_measure_is_kept_in_any_order_of_rows(name, value):
    assert not dropped(name, [value(i) for i in range(ROWS)])


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1", " "])
def test_a_column_without_a_name_is_left_out(name):
    _, out = schema.infer({name: [i % 40 for i in range(ROWS)], "other": [i % 7 for i in range(ROWS)]})
    assert "no name" in out[name]


@pytest.mark.parametrize(
    "values",
    [
        [*range(ROWS)],
        [*range(1, ROWS + 1)],
        [*range(400), *range(200)],
        [*range(300), *range(300)],
        [3 * i + 10_000 for i in range(ROWS)],
    ],
)
def test_rows_numbered_in_one_file_or_several_are_an_index_whatever_its_name(values):
    assert dropped("position", values)


def test_what_says_whose_row_it_is_repeats_and_user_id_comes_first():
    columns = {
        "order_id": [*range(ROWS)],
        "CustomerId": [i // 4 for i in range(ROWS)],
        "city": ["a"] * ROWS,
        "visits": np.arange(ROWS) % 90,
    }
    assert schema.whose(columns) == "CustomerId"
    assert schema.whose(columns | {"user_id": ["u"] * ROWS}) == "user_id"
    assert schema.whose({name: columns[name] for name in ("order_id", "city", "visits")}) is None
