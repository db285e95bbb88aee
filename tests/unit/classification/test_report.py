"""The report says in words what a person must know before believing its figures."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from functions.classification import learn as learning
from functions.classification.domain.plots import draw_report
from functions.classification.domain.report import auc_interval, summary_lines
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import Target
from tests.classification import QUICK


def learn(columns, y, parameters=QUICK):
    return learning.learn(Labelled(columns, y, [None] * len(y)), Target("t", "1", "0"), parameters)


def noise(rows: int, positive: float, seed: int = 0):
    draw = np.random.default_rng(seed)
    return {"x": draw.normal(size=rows).tolist(), "k": draw.choice(["a", "b"], rows).tolist()}, (
        draw.random(rows) < positive
    )


def test_a_column_that_does_it_all_is_named_as_a_likely_leak():
    columns, y = noise(1_200, 0.3)
    columns["closed on"] = np.where(y, "x", np.where(np.arange(1_200) % 2, "", "open")).tolist()
    columns["closed on"][int(np.argmax(y))] = "open"  # said nearly always: refused it would be if always
    package = learn(columns, y)
    assert package.report["roc_auc"]["model"] > 0.99
    assert package.report["roc_auc_interval"][0] < 1
    (leak,) = [line for line in package.report["findings"] if "leak" in line]
    assert "closed on (" in leak
    assert "x" not in leak.split("leak: ")[1].split(" (")[0].split(", ")
    assert leak in summary_lines(package.report)


def test_of_two_columns_that_say_the_same_each_is_named_and_no_other():
    columns, y = noise(1_200, 0.7)
    spent = np.where(y, 5 + np.random.default_rng(1).gamma(2, 100, 1_200), 0)
    spent[:12] = 0
    columns |= {"spent": spent.tolist(), "share": (spent / (900 + np.arange(1_200))).tolist()}
    (leak,) = [line for line in learn(columns, y).report["findings"] if "leak" in line]
    assert sorted(leak.split("leak: ")[1].split(" (")[0].split(", ")) == ["share", "spent"]
    assert "by itself" in leak


def test_a_model_of_noise_is_no_better_than_chance():
    columns, y = noise(1_200, 0.3)
    findings = " ".join(learn(columns, y).report["findings"])
    assert "cannot be told from chance" in findings
    assert "leak" not in findings


def test_a_few_test_rows_are_too_few():
    columns, y = noise(80, 0.4)
    package = learn(columns, y)
    assert f"{package.report['rows']['test']} rows, " in package.report["findings"][1]
    assert "too few" in package.report["findings"][1]


def test_a_model_worse_than_a_logistic_regression_says_by_how_much():
    draw = np.random.default_rng(0)
    columns = {f"x{i}": draw.normal(size=900).tolist() for i in range(12)}
    y = sum(map(np.array, columns.values())) + 0.5 * draw.normal(size=900) > 0
    findings = learn(columns, y, QUICK.model_copy(update={"iterations": 1})).report["findings"]
    (beaten,) = [line for line in findings if "logistic" in line]
    assert "between +" in beaten


def test_a_sound_model_says_its_interval_and_nothing_else(package):
    low, high = package.report["roc_auc_interval"]
    assert low < package.report["roc_auc"]["model"] < high
    assert len([line for line in package.report["findings"] if "logistic" not in line]) == 1


@pytest.mark.parametrize(("positives", "negatives"), [(1, 12), (300, 300), (5, 5), (50, 500)])
@pytest.mark.parametrize("ranked", [True, False])
def test_the_interval_of_an_auc_narrows_with_rows_and_is_never_a_point(positives, negatives, ranked):
    draw = np.random.default_rng(0)
    y = np.repeat([True, False], [positives, negatives])
    p = y * 1.0 if ranked else draw.random(len(y))
    auc, low, high = auc_interval(y, p, np.arange(len(y)))
    _, lower, higher = auc_interval(y, p, np.arange(len(y)) // 2)
    assert auc == pytest.approx(roc_auc_score(y, p))
    assert 0 <= lower <= low < auc <= high <= higher <= 1


def test_the_interval_of_an_auc_holds_the_truth_nineteen_times_in_twenty():
    draw = np.random.default_rng(0)
    truth, y, inside = 0.760, np.arange(200) < 60, 0
    for _ in range(400):
        _, low, high = auc_interval(y, draw.normal(size=200) + y, np.arange(200))
        inside += low <= truth <= high
    assert 0.92 < inside / 400 <= 0.99


def test_each_column_says_how_it_was_read_and_what_was_outside():
    columns, y = noise(1_000, 0.3)
    columns["town"] = [f"town {i % 181 if i % 2 else 0}" for i in range(1_000)]
    columns["card"] = ["true", "false", "", "true"] * 250
    read = learn(columns, y).report["columns"]
    assert {name: column["read_as"] for name, column in read.items()} == {
        "x": "number", "k": "category", "town": "category", "card": "boolean",
    }  # fmt: skip
    assert read["town"]["unknown"] > 0
    assert read["card"]["missing"] == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("positive", [0.5, 0.03])
def test_the_picture_is_drawn_for_any_names_and_for_hardly_any_rows(positive):
    columns, y = noise(1_000, positive)
    columns = {"$a_{$b": columns["x"], r"100 $\foo$ " * 9: columns["k"]}
    package = learn(columns, y)
    assert (
        draw_report(package.trained, package.report | {"permutation_importance": {"$x$ \\y": -1.0}})[:4] == b"\x89PNG"
    )


def test_columns_left_out_for_one_reason_are_a_line_and_of_very_many_some_are_named():
    columns, y = noise(200, 0.3)
    columns |= {f"empty {i}": [""] * 200 for i in range(45)} | {"index": list(range(200)), "one": ["1"] * 200}
    lines = [line for line in summary_lines(learn(columns, y).report) if line.startswith("left out")]
    assert len(lines) == 3
    assert lines[0].startswith("left out: empty 0, empty 1, ")
    assert lines[0].endswith(", empty 39 and 5 more, see report.json (empty)")
