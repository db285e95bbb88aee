"""What each column adds to a score, beside values found by trying every set of known columns."""

import gzip
import io
import itertools
import json
import math

import lightgbm
import numpy as np
import pytest

from functions.classification.contracts import EXPLANATION_FILE, LEAF, Feature
from functions.classification.domain import learners, schema
from functions.classification.domain.explanation import Explanation
from functions.classification.domain.paths import explanation_bytes
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers, events
from functions.classification.store import ChampionCache
from layers.runtime.errors import CorruptError
from tests.classification import Cloud, records

FEATURES = (
    Feature(name="age", kind="number"),
    Feature(name="job", kind="category", categories=("a", "b", "c", "d", "e")),
    Feature(name="income", kind="number", nullable=True),
    Feature(name="card", kind="boolean"),
)
SMALL = {
    "boosted": {"rounds": 6, "num_leaves": 8, "min_data_in_leaf": 5, "learning_rate": 0.3, "feature_fraction": 0.9},
    "forest": {"max_leaf_nodes": 14, "min_samples_leaf": 3},
    "resampled forest": {"max_leaf_nodes": 14, "min_samples_leaf": 3},
    "logistic": {},
}


def rows(count: int = 500, seed: int = 0):
    """Columns that meet: who has no income is judged by the job, the others by age."""
    rng = np.random.default_rng(seed)
    age, card = rng.normal(40, 12, count), (rng.random(count) < 0.5).astype(float)
    job, income = rng.integers(-1, 5, count), np.where(rng.random(count) < 0.3, np.nan, rng.gamma(2, 2, count))
    odds = np.where(np.isnan(income), job - 2.0, (age - 40) / 8) + card * (income > 3) - 0.7
    x = np.column_stack([age, job, income, np.isnan(income), card]).astype(np.float32)
    return x, rng.random(count) < 1 / (1 + np.exp(-odds))


def fit(learner: str):
    x, y = rows()
    options = SMALL[learner] | {"learner": learner}
    fitted = learners.fit(options, x, y, FEATURES, weights=np.ones(len(y)), forest=5, seed=1)
    learners.to_bytes(fitted)  # which rounds thresholds
    return fitted, x, Explanation(explanation_bytes(fitted, x, FEATURES), FEATURES, name="it")


def by_trying(expected, players: int):
    """Shapley values from their definition: the mean gain of a player over all orders in which players come."""
    values = np.zeros(players)
    for player in range(players):
        others = [other for other in range(players) if other != player]
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for known in itertools.combinations(others, size):
                values[player] += weight * (expected({*known, player}) - expected({*known}))
    return values


OWNER = [0, 1, 2, 2, 3]  # of each input


def boosted_score(node, row, known):
    """Expected log-odds of a tree of LightGBM's dump: its own branch where the column is known, else both by rows."""
    if "leaf_value" in node:
        return node["leaf_value"]
    sides = node["left_child"], node["right_child"]
    if OWNER[node["split_feature"]] in known:
        value = float(row[node["split_feature"]])
        if node["decision_type"] == "==":
            left = value >= 0 and str(int(value)) in node["threshold"].split("||")
        else:
            left = node["default_left"] if np.isnan(value) else value <= node["threshold"]
        return boosted_score(sides[not left], row, known)
    reached = [side.get("internal_count", side.get("leaf_count")) for side in sides]
    means = [boosted_score(side, row, known) for side in sides]
    return float(np.average(means, weights=reached))


def forest_score(tree, row, owner, known, at=0):
    """Expected share of positives of a tree of scikit-learn's."""
    sides = tree.children_left[at], tree.children_right[at]
    if sides[0] < 0:
        return tree.value[at, 0, 1]
    if owner[tree.feature[at]] in known:
        return forest_score(tree, row, owner, known, sides[int(row[tree.feature[at]] > tree.threshold[at])])
    means = [forest_score(tree, row, owner, known, side) for side in sides]
    return float(np.average(means, weights=[tree.weighted_n_node_samples[side] for side in sides]))


def test_the_parts_of_boosted_trees_are_those_that_trying_every_set_of_columns_gives():
    fitted, x, explanation = fit("boosted")
    trees = [tree["tree_structure"] for tree in fitted.dump_model()["tree_info"]]
    some = x[:25].copy()
    some[0, 1], some[1, 0] = 99, np.nan  # a category that nobody had, a gap that training did not have
    for row, parts in zip(some, explanation.parts(np.where(some == 99, -1, some)), strict=True):
        found = by_trying(lambda known, row=row: sum(boosted_score(tree, row, known) for tree in trees), 4)
        assert parts == pytest.approx(found, abs=1e-9)
    assert np.abs(explanation.parts(x)).max(axis=0).min() > 0.05


def test_the_parts_of_boosted_trees_are_those_of_lightgbm_where_each_column_is_one_input():
    x, y = rows(3_000)
    features = (Feature(name="a", kind="number"), FEATURES[1], Feature(name="b", kind="boolean"))
    x = x[:, [0, 1, 4]]
    options = {"learner": "boosted", "rounds": 60, "num_leaves": 31}
    fitted = learners.fit(options, x, y, features, weights=np.ones(len(y)), forest=5, seed=1)
    assert isinstance(fitted, lightgbm.Booster)
    explanation = Explanation(explanation_bytes(fitted, x, features), features, name="it")
    theirs = fitted.predict(x, pred_contrib=True)
    assert np.abs(explanation.parts(x) - theirs[:, :3]).max() < 1e-9
    assert explanation.mean == pytest.approx(theirs[0, 3])


@pytest.mark.parametrize("learner", ["forest", "resampled forest"])
def test_the_parts_of_a_forest_are_those_that_trying_every_set_of_columns_gives(learner):
    fitted, x, explanation = fit(learner)
    encoded = fitted["encode"].transform(x[:6])
    owner = [0, 2, 2, 3, *[1] * 5]
    trees = [tree.tree_ for tree in fitted["last"].estimators_]
    for row, parts in zip(encoded, explanation.parts(x[:6]), strict=True):
        found = by_trying(lambda known, row=row: np.mean([forest_score(t, row, owner, known) for t in trees]), 4)
        assert parts == pytest.approx(found, abs=1e-9)


def test_the_parts_of_a_regression_are_what_the_log_odds_change_by():
    fitted, x, explanation = fit("logistic")
    one, other = x[:1], x[7:8]
    for player in range(4):
        mixed = np.where(np.array(OWNER) == player, other, one)
        gain = np.diff(fitted.decision_function(np.concatenate([one, mixed])))
        assert explanation.parts(mixed)[0, player] - explanation.parts(one)[0, player] == pytest.approx(
            gain[0], abs=1e-6
        )
    assert explanation.parts(x).mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-6)


@pytest.mark.parametrize("learner", SMALL)
def test_the_parts_add_up_to_the_score_and_are_the_same_each_time(learner):
    fitted, x, explanation = fit(learner)
    assert explanation.scale == ("probability" if "forest" in learner else "log-odds")
    assert explanation.scores(x) == pytest.approx(learners.predict(fitted, x), abs=1e-6)
    assert explanation_bytes(fitted, x, FEATURES) == explanation_bytes(fitted, x, FEATURES)
    for row, named in zip(explanation.parts(x[:40]), explanation.largest(x[:40], 2), strict=True):
        assert [abs(part) for _, part in named] == sorted(np.abs(row).tolist(), reverse=True)[:2]
        assert all(row[[f.name for f in FEATURES].index(name)] == part for name, part in named)


def test_a_damaged_explanation_is_corrupt(package):
    features = package.trained.model.specification.features
    empty = io.BytesIO()
    np.savez(empty, base=np.array(0.0), probability=np.array(False))
    for body in (b"", b"nothing", package.files[EXPLANATION_FILE][:200], empty.getvalue()):
        with pytest.raises(CorruptError, match="v1 has no readable contributions"):
            Explanation(body, features, name="v1")


def explained(cloud: Cloud) -> Cloud:
    cloud.settings = ClassificationSettings(explained_features=3)
    models = ChampionCache(cloud.registry, 30, explained=True)
    cloud.scoring(models=models).score(records(events(customers(30, seed=4))), lambda: 60.0)
    return cloud


def test_a_result_names_features_when_it_is_set_so_and_what_is_kept_for_training_stays_as_it_is(cloud, package):
    assert package.trained.model.explains_fast
    items = list(explained(cloud).results.items.values())
    assert len(items) == 30
    model = package.trained.model
    columns = {f.name: [row[f.name] for row in customers(30, seed=4).to_pylist()] for f in model.specification.features}
    expected = model.explain(schema.encode(columns, model.specification.features)[0], 3)
    for i, named in enumerate(expected):
        kept = cloud.results.get({"user_id": f"user-{i:07d}"})["explanation"]
        assert [part["feature"] for part in kept] == [name for name, _ in named]
        assert [part["contribution"] for part in kept] == pytest.approx([value for _, value in named])
    (body,) = [body for key, body in cloud.lake.bodies.items() if key.startswith("scored/")]
    assert "explanation" not in json.loads(gzip.decompress(body).splitlines()[0])


def test_a_champion_without_explanation_answers_without_one(package):
    cloud = Cloud()
    files = {name: body for name, body in package.files.items() if name != EXPLANATION_FILE}
    cloud.registry.publish(LEAF, package.version, files, data_hash="d", **package.about)
    cloud.registry.promote(LEAF, package.version, expected=None, reason="test")
    items = list(explained(cloud).results.items.values())
    assert len(items) == 30
    assert all("explanation" not in item for item in items)
