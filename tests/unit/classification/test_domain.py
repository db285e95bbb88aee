import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from functions.classification import learn as learning
from functions.classification.contracts import Calibration, Feature
from functions.classification.domain import fit, learners, metrics, schema, splits
from functions.classification.domain.fit import Parameters
from functions.classification.domain.model import Model, calibrated, make_segments, segment_names
from functions.classification.domain.report import summary_lines
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import Target, read_target
from functions.classification.simulate import customers, log_odds
from layers.learning.session import Session
from layers.runtime.errors import CorruptError, InputError
from tests.classification import NOW, QUICK, learn


@st.composite
def scored(draw):
    rows = draw(st.integers(4, 60))
    y = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    y[:2] = [True, False]
    levels = st.integers(0, 20).map(lambda level: level / 20)
    return y, np.array(draw(st.lists(levels, min_size=rows, max_size=rows)))


@given(scored())
@settings(deadline=None, max_examples=60)
def test_average_precision_equals_scikit_learn(pair):
    y, p = pair
    assert metrics.average_precision(y, p) == pytest.approx(sklearn.metrics.average_precision_score(y, p))


@given(scored())
@settings(deadline=None, max_examples=60)
def test_the_threshold_has_the_greatest_f1_of_all(pair):
    y, p = pair
    best = f1_score(y, p >= fit.choose_threshold(y, p, QUICK))
    assert best >= max(f1_score(y, p >= level) for level in [*p, 0.0]) - 1e-12


def test_a_weight_counts_a_row_that_often():
    y, p = np.array([True, False, True]), np.array([0.9, 0.5, 0.1])
    weights = np.array([1.0, 2.0, 3.0])
    often = np.repeat([0, 1, 2], [1, 2, 3])
    assert metrics.average_precision(y, p, weights) == pytest.approx(metrics.average_precision(y[often], p[often]))


@given(st.floats(0.05, 5), st.floats(-3, 3))
@settings(deadline=None, max_examples=20)
def test_calibration_finds_the_map_that_made_the_labels(slope, intercept):
    rng = np.random.default_rng(3)
    scores = rng.uniform(0.02, 0.98, 20_000)
    truth = Calibration(slope=slope, intercept=intercept)
    y = rng.random(20_000) < calibrated(scores, truth)
    if 200 < y.sum() < 19_800:
        found = calibrated(scores, fit.calibrate(scores, y))
        assert np.abs(found - calibrated(scores, truth)).mean() < 0.02


@pytest.mark.parametrize(("threshold", "names"), [(0.4, ["leave", "nurture", "target"]), (0.1, ["leave", "target"])])
def test_segments_cover_every_probability(threshold, names):
    segments = make_segments(threshold, 0.2)
    assert [segment.name for segment in segments] == names
    assert segment_names(np.array([0.0, threshold, 1.0]), segments) == ["leave", "target", "target"]


def labelled(rows: int, times=None) -> Labelled:
    found, _ = splits.label(customers(rows, 3).to_pydict(), "y", times=times)
    return found


def test_a_row_stays_in_its_part_when_rows_are_added():
    features, _ = schema.infer(labelled(3_000).columns)
    small, large = (splits.divide(labelled(3_000).take(np.arange(n)), features, seed=0) for n in (2_000, 3_000))
    assert set(small.test) == {row for row in large.test if row < 2_000}
    assert len(large.test) / 3_000 == pytest.approx(0.2, abs=0.03)
    assert sorted([*large.learn, *large.test]) == list(range(3_000))


def test_rows_with_a_time_are_judged_on_the_newest_and_unseen_ones_are_later():
    from datetime import timedelta

    times = [NOW + timedelta(hours=(7 * i) % 2_000) for i in range(2_000)]
    rows = labelled(2_000, times)
    features, _ = schema.infer(rows.columns)
    parts = splits.divide(rows, features, seed=0)
    known = [times[i] for i in parts.learn]
    assert max(known) < min(times[i] for i in parts.test)
    assert set(np.flatnonzero(splits.unseen(rows, features, parts.split))) == set(parts.test)
    assert known == sorted(known)


def test_few_distinct_rows_do_not_gather_in_one_part():
    y = np.arange(2_000) % 4 == 0
    rows = Labelled({"x": ["a" if i % 3 else "b" for i in range(2_000)]}, y, [None] * 2_000)
    features, _ = schema.infer(rows.columns)
    parts = splits.divide(rows, features, seed=0)
    assert y[parts.test].mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        (["yes", "no", "no"], None, ("yes", "no")),
        ([True, False, True], None, ("true", "false")),
        ([1, 0, 0, None], None, ("1", "0")),
        ([1.0, 0.0, 0.0], "0", ("0", "1")),
        (["b", "a"], None, ("b", "a")),
        (["Yes", "no"], "yes", ("Yes", "no")),
        (["2.0", "1.0", "1.0"], "1", ("1.0", "2.0")),
    ],
)
def test_the_target_is_read_from_any_two_values(values, positive, expected):
    target, codes = read_target(values, "t", positive)
    assert (target.positive, target.negative) == expected
    assert len(codes) == len(values)


def test_the_model_finds_most_of_what_can_be_known():
    table = customers(4_000, 12)
    package = learn(table)
    test = package.trained.test
    words = {name: np.array(values) for name, values in test.columns.items()}
    best = roc_auc_score(test.y, log_odds(words))
    assert package.report["roc_auc"]["model"] - 0.5 > 0.6 * (best - 0.5)
    assert package.report["calibration_error"]["model"] < 0.05


def work_of(rows: Labelled, parameters: Parameters, *, ordered: bool = False) -> fit.Work:
    features, _ = schema.infer(rows.columns)
    x, _ = schema.encode(rows.columns, features)
    return fit.Work(x, rows.y, np.arange(len(rows.y)), ordered, features, parameters)


def test_the_search_stops_for_its_time_budget_and_says_so():
    ticks = iter(range(10_000))
    work = work_of(labelled(600), Parameters(iterations=9, trees=20, folds=2, budget_seconds=8))
    searched = fit.search_options(work, clock=lambda: float(next(ticks)))
    assert searched.cut
    assert 1 <= searched.tried < 9


@pytest.mark.parametrize("learner", learners.SPACE)
@pytest.mark.parametrize("ordered", [False, True])
def test_every_learner_learns_and_answers_the_same_as_onnx(learner, ordered):
    work = work_of(labelled(1_200), Parameters(trees=20), ordered=ordered)
    options = {name: values[0] for name, values in learners.SPACE[learner].items()}
    fitted = work.fit(options | {"learner": learner, "recent": 0.5 if ordered else None})
    session = Session(learners.to_bytes(fitted), name=learner)
    ours, theirs = session.scores({"x": work.x}), learners.predict(fitted, work.x)
    assert np.abs(ours - theirs).max() < 1e-5
    assert roc_auc_score(work.y, ours) > 0.7
    strangers = work.x.copy()
    strangers[:, 1] = -1
    assert np.abs(session.scores({"x": strangers}) - learners.predict(fitted, strangers)).max() < 1e-5


def test_every_learner_that_was_tried_has_its_figure_and_the_best_is_served():
    rows, target = splits.label(customers(900, 3).to_pydict(), "y", without=["duration"])
    trained = fit.train(rows, target, Parameters(iterations=6, trees=20, folds=2))
    figures = {name: learner["average_precision"] for name, learner in trained.search.learners.items()}
    assert set(figures) == set(learners.SPACE)
    assert trained.search.chosen["learner"] == max(figures, key=lambda name: figures[name])


def test_no_score_out_of_fold_comes_from_a_fit_that_saw_its_group():
    """Groups tell the truth and nothing else does: a learner that saw the group would know it."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(150), 6)
    y = (rng.random(150) < 0.4)[groups]
    x = np.column_stack([groups, rng.normal(size=900)]).astype(np.float32)
    features = [Feature(name=name, kind="number") for name in "ab"]
    scores = fit.Work(x, y, groups, False, features, QUICK).out_of_fold({"learner": "boosted", "rounds": 60})
    assert not np.isnan(scores).any()
    assert roc_auc_score(y, scores) < 0.65


def test_the_parity_gate_refuses_another_model(package):
    trained = package.trained
    assert fit.parity(trained.model, trained.fitted, trained.x, seed=1) < 1e-5
    with pytest.raises(CorruptError):
        fit.parity(trained.model, learn(customers(2_000, seed=77)).trained.fitted, trained.x, seed=1)


def test_bytes_that_are_no_model_are_refused(package):
    with pytest.raises(CorruptError):
        Model("broken", package.trained.model.specification, b"not onnx")


def test_numbers_never_lose_a_decision_to_single_precision():
    values = list(np.linspace(0, 1, 4_001)) + [2**24 + 1.0, 2**24 + 3.0] * 50
    y = np.array([(value * 7_919) % 2 < 1 for value in values])
    package = learning.learn(
        Labelled({"x": values, "k": ["a", "b"] * (len(values) // 2) + ["a"]}, y, [None] * len(values)),
        Target("t", "yes", "no"),
        QUICK,
    )
    assert package.trained.parity < 1e-6


def test_a_column_may_be_called_anything_and_hold_anything():
    rows = 400
    columns = {
        "a b.c-d é": [float(i % 17) for i in range(rows)],
        "1": ["x", "y"] * (rows // 2),
        "probabilities": [None if i % 5 == 0 else i % 3 for i in range(rows)],
        "flag": [True, False, None, True] * (rows // 4),
        "wide": [f"v{i % 90}" for i in range(rows)],
    }
    y = np.array([(i % 17) > 12 for i in range(rows)])
    package = learning.learn(Labelled(columns, y, [None] * rows), Target("t", "1", "0"), QUICK)
    assert package.report["roc_auc"]["model"] > 0.9
    assert [f.kind for f in package.trained.model.specification.features] == [
        "number", "category", "number", "boolean", "category",
    ]  # fmt: skip


def test_no_column_is_too_little():
    with pytest.raises(InputError):
        learning.learn(Labelled({"c": ["x"] * 100}, np.arange(100) > 50, [None] * 100), Target("t", "1", "0"), QUICK)


@pytest.mark.parametrize("value", ["inf", "-inf", "1e39", "0x10", "twelve"])
def test_what_is_no_number_is_no_number_in_a_file(value):
    feature = Feature(name="x", kind="number")
    _, bad = schema.encode({"x": ["1", value]}, [feature])
    assert set(bad) == {1}


def test_a_column_that_repeats_the_target_is_refused_as_a_leak():
    columns = customers(600, 1).to_pydict() | {
        "signed": ["1" if y == "yes" else "0" for y in customers(600, 1).to_pydict()["y"]]
    }
    rows, target = splits.label(columns, "y", without=["duration"])
    report = learning.learn(rows, target, QUICK).report
    assert report["refused"] == ["signed"]
    assert report["dropped"]["signed"] == "repeats the target: a leak"
    assert "left out: signed (repeats the target: a leak)" in summary_lines(report)
    assert report["roc_auc"]["model"] < 0.95
    with pytest.raises(InputError, match=r"left to learn from: x \(repeats the target: a leak\)"):
        learning.learn(Labelled({"x": rows.y.tolist()}, rows.y, rows.times), target, QUICK)


@pytest.mark.parametrize(
    ("of", "refused"),
    [
        (lambda i, yes: f"cause {i % 5}" if yes else None, True),  # known only of those who left
        (lambda i, yes: f"cause {i % 5}" if yes else f"plan {i % 3}", True),
        (lambda i, yes: float(i % 97) if yes else "", True),
        (lambda i, yes: float(i % 97) if yes or i == 3 else "", False),
        (lambda i, yes: f"cause {i % 5}" if yes and i % 10 else None, False),
        (lambda i, yes: f"name {i // 2}", False),  # two rows each say nothing
        (lambda i, yes: float(yes) + i % 3 / 10, False),  # numbers may lie apart
    ],
)
def test_a_column_whose_words_or_whose_blanks_say_the_target_is_a_leak(of, refused):
    y = np.arange(300) // 2 % 3 == 0
    values = [of(i, bool(yes)) for i, yes in enumerate(y)]
    rows = Labelled({"x": values, "age": [20 + i * 7 % 50 for i in range(300)]}, y, [None] * 300)
    assert (fit._features(rows)[1].get("x") == "repeats the target: a leak") == refused


@pytest.mark.parametrize("blanks", [1, 4])
def test_a_few_rows_without_a_value_do_not_decide_what_its_being_missing_means(blanks):
    draw = np.random.default_rng(0)
    x = draw.normal(size=400)
    y = draw.random(400) < 1 / (1 + np.exp(-2 * x))
    values = x.tolist()
    for row in np.flatnonzero(y)[:blanks]:
        values[row] = None
    options = {"learner": "logistic", "C": 1.0}
    features, _ = schema.infer({"x": values})
    matrix, _ = schema.encode({"x": values}, features)
    parameters = Parameters()
    fitted = fit.Work(matrix, y, np.arange(400), False, features, parameters).fit(options)
    missing, _ = schema.encode({"x": [None]}, features)
    assert 0.3 < learners.predict(fitted, missing)[0] < 0.75


def test_five_positives_are_too_few_and_the_message_says_what_is_needed():
    y = np.arange(1_000) < 5
    rows = Labelled({"x": [float(i * i % 97) for i in range(1_000)]}, y, [None] * 1_000)
    with pytest.raises(InputError, match="at least 20 of each kind are needed, there are 5"):
        learning.learn(rows, Target("t", "1", "0"), QUICK)


def test_three_hundred_columns_of_which_some_are_constant_are_learnt():
    rng = np.random.default_rng(0)
    y = rng.random(800) < 0.3
    columns = {f"n{i}": rng.normal(size=800).tolist() for i in range(200)}
    columns |= {f"w{i}": rng.choice(list("abc"), 800).tolist() for i in range(80)}
    columns |= {f"k{i}": ["same"] * 800 for i in range(20)}
    columns["n7"] = (rng.normal(size=800) + 1.5 * y).tolist()
    package = learning.learn(Labelled(columns, y, [None] * 800), Target("t", "1", "0"), QUICK)
    assert package.report["dropped"] == dict.fromkeys([f"k{i}" for i in range(20)], "constant")
    assert next(iter(package.report["permutation_importance"])) == "n7"
