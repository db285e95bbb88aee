from datetime import timedelta

import numpy as np
import pytest

from functions.classification import learn as learning
from functions.classification.contracts import LEAF, Specification
from functions.classification.domain import fit, schema, splits
from functions.classification.domain.fit import Parameters
from functions.classification.domain.splits import Labelled
from functions.classification.domain.target import read_target
from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers
from layers.runtime.errors import InputError
from tests.classification import NOW, QUICK, Cloud
from tests.tables import as_csv


def people(count: int, each: int, *, name: str = "user_id", seed: int = 0, times: bool = False) -> Labelled:
    """Every person's rows are nearly alike, and no column but the person says what they are."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(count), each))
    own = rng.normal(size=(count, 3))
    y = rng.random(count) < 0.4
    columns = {
        name: [f"{4_000_000 + 37 * i}" for i in who],
        **{f"x{k}": (own[who, k] + 0.001 * rng.normal(size=len(who))).tolist() for k in range(3)},
        "y": np.where(y[who], "yes", "no").tolist(),
    }
    moments = [NOW + timedelta(minutes=i) for i in range(len(who))] if times else None
    return splits.label(columns, "y", times=moments)[0]


def sides(rows: Labelled) -> tuple[list[set], splits.Parts]:
    features, _ = schema.infer({name: values for name, values in rows.columns.items() if name != rows.group})
    parts = splits.divide(rows, features, seed=0)
    who = np.array(rows.columns[rows.group])
    return [set(who[part]) for part in (parts.learn, parts.test)], parts


@pytest.mark.parametrize("name", ["user_id", "EmployeeNumber", "Customer No", "phone_number"])
@pytest.mark.parametrize("times", [False, True])
def test_one_persons_rows_never_stand_on_both_sides(name, times):
    rows = people(300, 3, name=name, times=times)
    assert rows.group == name
    (learnt, test), parts = sides(rows)
    assert not learnt & test
    assert len(learnt | test) == 300
    assert 0.15 < len(parts.test) / 900 < 0.25


@pytest.mark.parametrize("ordered", [False, True])
def test_no_fold_of_the_search_validates_on_a_person_it_fitted(ordered):
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 120, 600)
    y = groups % 4 == 0
    folds = fit.folds(y, groups, QUICK, ordered=ordered)
    for fitted, validated in folds:
        assert not {*groups[fitted]} & {*groups[validated]}
        assert y[fitted].any()
        assert y[validated].any()


def test_a_user_is_not_a_number_to_learn_from_and_strangers_are_what_is_measured():
    rows = people(200, 4)
    package = learning.learn(rows, read_target(["yes", "no"], "y")[0], QUICK)
    assert package.report["group"] == "user_id"
    assert package.report["dropped"]["user_id"] == "says whose row it is"
    assert package.report["roc_auc"]["model"] < 0.7


def test_the_group_may_be_named_and_must_be_a_column():
    columns = customers(400, 1).to_pydict() | {"household": [f"h{i % 90}" for i in range(400)]}
    rows, _ = splits.label(columns, "y", group="household")
    (learnt, test), _ = sides(rows)
    assert not learnt & test
    for wrong in ("y", "nobody"):
        with pytest.raises(InputError):
            splits.label(columns, "y", group=wrong)


def test_the_same_export_under_two_names_trains_the_same_model_and_says_what_was_left_out():
    def train(*names: str) -> tuple[Cloud, dict]:
        cloud = Cloud()
        for name in names:
            cloud.lake.put(f"customers/{name}.csv", as_csv(customers(900, 2)))
        settings = ClassificationSettings(iterations=1, trees=20)
        return cloud, TrainingService(cloud.lake, cloud.registry, cloud.ledger, settings).train("test", 600)

    (_, once), (cloud, twice) = train("a"), train("a", "b")
    assert twice["version"] == once["version"]
    assert twice["rows"] == 1_800
    report = cloud.registry.read(cloud.registry.manifest(LEAF, twice["version"]), "report.json").decode()
    assert '"copies": 900' in report
    assert '"twins": 0' in report


def test_copies_of_rows_are_judged_as_strangers_are():
    """A hundred rows copied many times, as in a public heart file, where nothing can be known."""
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, 300, 1_000)
    columns = {f"x{k}": rng.integers(0, 60, 300)[drawn].tolist() for k in range(6)}
    y = (rng.random(300) < 0.5)[drawn]
    package = learning.learn(Labelled(columns, y, [None] * 1_000), read_target(["a", "b"], "y")[0], QUICK)
    assert package.report["rows"]["copies"] == 1_000 - len(set(drawn))
    assert package.report["roc_auc"]["model"] < 0.75


def test_rows_that_are_alike_by_chance_are_no_copies_and_those_the_model_never_saw_are_told():
    rng = np.random.default_rng(4)
    columns = {name: rng.integers(0, kinds, 2_400).tolist() for name, kinds in {"a": 2, "b": 4, "c": 6}.items()}
    rows = Labelled(columns, rng.random(2_400) < 0.3, [None] * 2_400)
    features, _ = schema.infer(rows.columns)
    assert len(splits.distinct(rows, [*columns])) == 2_400
    parts = splits.divide(rows, features, seed=0)
    assert len(parts.test) / 2_400 == pytest.approx(0.2, abs=0.04)
    assert splits.unseen(rows, features, parts.split)[parts.test].all()
    assert splits.twins(rows, features, parts) == len(parts.test)


def test_customers_of_other_numbers_are_no_copies_of_each_other_and_an_index_makes_no_difference():
    rng = np.random.default_rng(6)
    columns = {f"x{k}": rng.integers(0, 90, 300).tolist() * 2 for k in range(4)}
    y = (rng.random(300) < 0.4).tolist() * 2

    def copies(**more: list) -> int:
        package = learning.learn(
            Labelled(columns | more, np.array(y), [None] * 600), read_target(["a", "b"], "y")[0], QUICK
        )
        assert package.report["twins"] == 0
        return package.report["rows"]["copies"]

    assert copies(CustomerId=[1_000 + 37 * i for i in range(600)]) == 0
    assert copies(CustomerId=[1_000 + 37 * (i % 300) for i in range(600)]) == 300
    assert copies(**{"Unnamed: 0": [*range(600)]}) == 300
    days = [f"{2000 + i // 12}-{1 + i % 12:02}-01" for i in range(600)]
    assert copies(joined=days) == 0
    assert copies(joined=days[:300] * 2) == 300


def test_rows_of_few_categories_that_come_twice_with_their_day_are_copies_and_no_chance():
    rows = np.arange(600)
    columns = {"k": (rows % 7).astype(str).tolist(), "day": [f"{1900 + i // 12}-{1 + i % 12:02}-05" for i in rows]}
    doubled = Labelled({name: values * 2 for name, values in columns.items()}, np.tile(rows % 3 == 0, 2), [None] * 1200)
    assert fit._usable(doubled)[-1]["copies"] == 600


def test_a_champion_has_seen_every_row_of_a_person_it_learnt_from():
    rows = people(300, 3)
    features, _ = schema.infer({name: rows.columns[name] for name in ("x0", "x1", "x2")})
    parts = splits.divide(rows, features, seed=0)
    later = people(300, 5, seed=0)
    fresh = splits.unseen(later, features, parts.split)
    known = set(np.array(rows.columns["user_id"])[parts.learn])
    assert not known & set(np.array(later.columns["user_id"])[fresh])
    assert fresh.mean() == pytest.approx(0.2, abs=0.08)


def test_rare_positives_are_in_every_part_and_in_what_the_search_looks_at():
    rng = np.random.default_rng(5)
    y = np.arange(6_000) % 240 == 0
    columns = {"x": (rng.normal(size=6_000) + y).tolist(), "z": rng.normal(size=6_000).tolist()}
    rows = Labelled(columns, y, [None] * 6_000)
    package = learning.learn(rows, read_target(["1", "0"], "y")[0], Parameters(iterations=2, trees=10, search_rows=400))
    parts = package.trained.parts
    assert [int(package.trained.rows.y[part].sum()) for part in (parts.learn, parts.test)] == [20, 5]
    assert package.trained.search.learners["boosted"]["average_precision"] > 0


def test_outcomes_are_grouped_by_their_user():
    from functions.classification.store import Joined

    rows, target = splits.label(customers(50, 1).to_pydict(), "y")
    joined = [
        Joined(f"u{i % 3}", "2024-06-01T00:00:00.000000Z", f"e{i}", {"age": i}, 0.5, "x", "v", "yes", NOW)
        for i in range(9)
    ]
    whole = learning.with_outcomes(rows, target, joined)
    assert whole.group == "user_id"
    assert [*whole.columns["user_id"]] == [None] * 50 + ["u0", "u1", "u2"] * 3
    assert whole.y[50:].all()


def test_the_rule_of_the_parts_is_kept_in_the_manifest(package):
    kept = Specification.model_validate(package.trained.model.specification.model_dump(mode="json"))
    assert kept.split == package.trained.parts.split
