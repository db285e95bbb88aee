"""How columns are read: one meaning of missing, what is left out, and the same inputs from files and messages."""

from datetime import date

import numpy as np
import pytest

from functions.classification import learn as learning
from functions.classification.contracts import Feature
from functions.classification.domain import schema
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import Target, read_target
from tests.classification import NOW, QUICK

NUMBER = Feature(name="x", kind="number", nullable=True)
WORD = Feature(name="x", kind="category", nullable=True, categories=("", "a", "b"))
NULLS = [None, "", " ", "NA", "n/a", "NaN", "null", "?", float("nan")]


@pytest.mark.parametrize("feature", [NUMBER, WORD, Feature(name="x", kind="boolean", nullable=True)])
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("value", NULLS)
def test_missing_is_the_same_in_files_and_in_messages(feature, typed, value):
    inputs, bad = schema.encode({"x": [value]}, [feature], typed=typed)
    assert not bad
    assert inputs[0, 0] == 0 if feature is WORD else np.isnan(inputs[0, 0])


def test_a_word_that_an_older_model_knows_as_a_category_stays_one():
    known = Feature(name="x", kind="category", categories=("NA", "a"))
    inputs, bad = schema.encode({"x": ["NA", "a"]}, [known], typed=True)
    assert not bad
    assert inputs.ravel().tolist() == [0, 1]


def test_words_for_missing_are_no_category_and_missing_has_a_column_of_its_own():
    (feature,), _ = schema.infer({"x": ["a", "b", "NA", "", None] * 20})
    assert feature == Feature(name="x", kind="category", nullable=True, categories=("", "a", "b"))


@pytest.mark.parametrize("word", ["X", "1", "true"])
def test_a_mark_or_nothing_is_no_constant(word):
    (feature,), dropped = schema.infer({"x": [word, "", "", word] * 10, "y": [word] * 40})
    assert (feature.name, feature.nullable) == ("x", True)
    assert dropped == {"y": "constant"}


def test_a_column_that_is_absent_is_missing_where_training_had_missing():
    features = [NUMBER, Feature(name="y", kind="number")]
    inputs, bad = schema.encode({"y": [1.0, 2.0]}, features, typed=True)
    assert not bad
    assert np.isnan(inputs[:, 0]).all()
    assert inputs[:, 1:].tolist() == [[1.0, 1.0], [1.0, 2.0]]
    with pytest.raises(KeyError):
        schema.encode({"x": [1.0]}, features, typed=True)


@pytest.mark.parametrize("kind", ["number", "boolean", "category"])
def test_an_unseen_blank_costs_no_row_of_a_file_but_is_refused_in_a_message(kind):
    feature = Feature(name="x", kind=kind, categories=("a",) if kind == "category" else ())
    assert schema.encode({"x": ["", "NA"]}, [feature])[1] == {}
    reason = "x is null, which training never had"
    assert schema.encode({"x": [None, ""]}, [feature], typed=True)[1] == {0: reason, 1: reason}


def test_missing_is_information_in_a_column_of_words():
    draw = np.random.default_rng(0)
    blank = draw.random(1_500) < 0.3
    y = draw.random(1_500) < np.where(blank, 0.8, 0.1)
    words = np.where(blank, "", draw.choice([f"w{i}" for i in range(60)], 1_500))
    rows = Labelled({"x": words.tolist(), "noise": draw.random(1_500).tolist()}, y, [None] * 1_500)
    package = learning.learn(rows, Target("t", "1", "0"), QUICK)
    assert package.report["roc_auc"]["model"] > 0.8
    p = package.trained.model.score(schema.encode({"x": ["", "w1", "new"], "noise": [0.5] * 3}, _features(package))[0])
    assert p[0] > 2 * max(p[1:])


def _features(package):
    return package.trained.model.specification.features


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Yes", "yes", "No", "no", "no"], ("Yes", "no")),
        (["1", "1.0", "0", "0.0", "0"], ("1", "0")),
        (["TRUE", "true", "false", False, False], ("TRUE", "false")),
    ],
)
def test_one_value_of_the_target_in_two_spellings_is_one(values, expected):
    target, codes = read_target(values, "t")
    assert (target.positive, target.negative) == expected
    assert codes.tolist() == [1, 1, 0, 0, 0]
    assert read_target(values, "t", expected[1].upper())[0].positive == expected[1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda i: date(1970, 1, 1 + i % 28), "a date or time"),
        (lambda i: NOW if i % 3 else None, "a date or time"),
        (lambda i: f"2024-{i % 12 + 1:02d}", "a date or time"),
        (lambda i: f"2024Q{i % 4 + 1}", "a date or time"),
        (lambda i: f"2024-W{i % 40 + 1:02d}", "a date or time"),
        (lambda i: f"{('Jan', 'Feb', 'March')[i % 3]} 2023", "a date or time"),
        (lambda i: f"{('January', 'May')[i % 2]} {i % 28 + 1}, 2024", "a date or time"),
        (lambda i: f"{i % 28 + 1}. Januar 2024", "a date or time"),
        (lambda i: f"{i % 28 + 1}/03/2024 10:30", "a date or time"),
        (lambda i: f"03/{i % 28 + 1}/2024", "a date or time"),
        (lambda i: f"{i % 12 + 1}/{i % 28 + 1}/24", "a date or time"),
        (lambda i: f"the parcel {i} came late and open", "free text"),
        (lambda i: f"{i % 320} Jane Doe", "too many different values"),
        (lambda i: f"C-{i:05d}", "too many different values"),
    ],
)
def test_what_is_not_learnt_from_is_left_out_by_name_with_its_reason(value, reason):
    features, dropped = schema.infer({"x": [value(i) for i in range(960)], "k": ["a", "b"] * 480})
    assert [feature.name for feature in features] == ["k"]
    assert dropped["x"].startswith(reason)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (lambda i: f"{i % 7 + 10}-34-{i % 5 + 50}", "category"),
        (lambda i: f"{i % 4 + 1}.{i % 3}.{i % 6 + 10}", "category"),
        (lambda i: f"{i % 5 + 1}-{i % 4 + 10}-{i % 3 + 20}", "category"),
        (lambda i: f"{i % 9 + 1:02d}-{1000 + i % 5}", "category"),
        (lambda i: f"SET-{1000 + i % 40}", "category"),
        (lambda i: f"{('Mailing', 'Marketing', 'General')[i % 3]} {2020 + i % 4}", "category"),
        (lambda i: f"202401{i % 28 + 1:02d}", "number"),
    ],
)
def test_codes_of_numbers_that_name_no_year_or_month_are_no_dates(value, kind):
    features, _ = schema.infer({"x": [value(i) for i in range(960)]})
    assert [feature.kind for feature in features] == [kind]
