import numpy as np
import pyarrow as pa
import pytest

from functions.classification import learn as learning
from functions.classification.contracts import LEAF
from functions.classification.domain import metrics
from functions.classification.domain.report import auc_interval
from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers
from layers.runtime.errors import InputError
from tests.classification import Cloud
from tests.tables import as_csv


def train(cloud: Cloud, **settings) -> dict:
    chosen = ClassificationSettings(**{"iterations": 1, "trees": 30, **settings})
    return TrainingService(cloud.lake, cloud.registry, cloud.ledger, chosen, lambda: cloud.now).train("test", 600)


def changed(table: pa.Table, *, blank_ages: float = 0.0, shuffled: bool = False, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    age = [None if rng.random() < blank_ages else age for age in table["age"].to_pylist()]
    table = table.set_column(table.column_names.index("age"), "age", pa.array(age))
    if not shuffled:
        return table
    y = rng.permutation(np.array(table["y"].to_pylist()))
    return table.set_column(table.column_names.index("y"), "y", pa.array(y))


def test_shuffled_labels_and_blank_ages_are_promoted_neither_first_nor_over_a_champion():
    noise = as_csv(changed(customers(900, 1), blank_ages=0.02, shuffled=True))
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", noise)
    first = train(cloud)
    assert not first["promoted"]
    assert first["reason"].startswith("no better than chance")
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", as_csv(customers(2_000, 0)))
    assert train(cloud)["promoted"]
    del cloud.lake.bodies["customers/a.csv"]
    cloud.lake.put("customers/b.csv", noise)
    assert not train(cloud)["promoted"]


def test_scores_that_know_nothing_beat_chance_in_one_of_forty_cases():
    rng = np.random.default_rng(1)
    y = np.arange(200) < 30
    found = [auc_interval(y, rng.random(200), np.arange(200))[1] > 0.5 for _ in range(2_000)]
    assert np.mean(found) == pytest.approx(0.025, abs=0.01)


def test_many_rows_of_few_people_are_no_more_than_their_people():
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(40), 50)
    y = people < 10
    found = [auc_interval(y, rng.random(40)[people], people)[1] > 0.5 for _ in range(500)]
    assert np.mean(found) < 0.05
    p = np.where(y, 0.6, 0.4)
    of_people, of_rows = (
        np.std(metrics.bootstrap(lambda w: float(np.sum(w * p)), units, seed=0)) for units in (people, np.arange(2_000))
    )
    assert of_people > 3 * of_rows


def test_a_blank_that_the_champion_never_had_does_not_end_the_comparison():
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", as_csv(customers(2_000, 0)))
    first = train(cloud)
    cloud.lake.put("customers/b.csv", as_csv(changed(customers(3_000, 5, moved=1.0), blank_ages=0.02)))
    second = train(cloud)
    assert second["promoted"]
    assert "average precision" in second["reason"]
    assert cloud.registry.champion(LEAF).previous == first["version"]


def test_where_the_champion_lacks_a_column_nothing_is_promoted_and_the_reason_says_so():
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", as_csv(customers(2_000, 0)))
    first = train(cloud)
    del cloud.lake.bodies["customers/a.csv"]
    cloud.lake.put("customers/b.csv", as_csv(customers(3_000, 5).drop_columns(["age"])))
    second = train(cloud)
    assert not second["promoted"]
    assert "too few to judge" in second["reason"]
    assert cloud.registry.champion(LEAF).version == first["version"]


@pytest.mark.parametrize(("fault", "detail"), [(ValueError("cell 4711"), "ValueError"), (InputError("no"), "no")])
def test_any_exception_ends_the_run_as_failed_and_tells_no_value(monkeypatch, fault, detail):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(learning, "learn", fail)
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", as_csv(customers(300, 0)))
    with pytest.raises(type(fault)):
        train(cloud)
    (run,) = cloud.ledger.history("classification-train")
    assert (run.outcome, run.detail) == ("failed", detail)


@pytest.mark.parametrize(
    "settings",
    [
        {"cost": 1.0},
        {"value": 2.0},
        {"cost": 3.0, "value": 2.0},
        {"target": "a", "leak_columns": "b, a"},
        {"target": "u", "group": "u"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValueError, match="TREFOIL_"):
        ClassificationSettings(**settings)


def test_every_column_that_is_named_as_known_only_afterwards_is_refused():
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", as_csv(customers(600, 0)))
    version = train(cloud, leak_columns="duration, pdays")["version"]
    manifest = cloud.registry.manifest(LEAF, version)
    assert {"duration", "pdays"}.isdisjoint(feature["name"] for feature in manifest.details["features"])
