import json
from datetime import timedelta

import pyarrow as pa
import pytest

from functions.classification.contracts import LEAF
from functions.classification.learn import TrainingService
from functions.classification.settings import ClassificationSettings
from functions.classification.simulate import customers, events
from functions.classification.store import ChampionCache
from layers.runtime.errors import CorruptError, InputError, NotFoundError
from tests.classification import NOW, Cloud, records
from tests.tables import as_csv, as_parquet


@pytest.fixture
def lake_cloud():
    made = Cloud()
    made.lake.put("customers/2024.csv", as_csv(customers(1_500, seed=1)))
    return made


def service(cloud: Cloud, **settings) -> TrainingService:
    chosen = ClassificationSettings(**{"iterations": 1, "trees": 30, **settings})
    return TrainingService(cloud.lake, cloud.registry, cloud.ledger, chosen, lambda: cloud.now)


def test_the_first_model_is_published_and_promoted(lake_cloud):
    answer = service(lake_cloud).train("by hand", 600)
    assert answer["status"] == "trained"
    assert answer["promoted"]
    assert lake_cloud.registry.champion(LEAF).version == answer["version"]
    manifest = lake_cloud.registry.manifest(LEAF, answer["version"])
    assert set(manifest.files) == {"explanation.npz", "model.onnx", "report.json", "report.png"}
    report = json.loads(lake_cloud.registry.read(manifest, "report.json"))
    assert report["refused"] == ["duration"]
    assert report["champion"] is None


def test_without_any_customers_ever_training_is_idle_and_no_failure():
    cloud = Cloud()
    assert service(cloud).train("schedule", 600)["status"] == "idle"
    (run,) = cloud.ledger.history("classification-train")
    assert (run.outcome, run.detail) == ("idle", "no labelled customers yet")


def test_a_repeated_trigger_is_harmless(lake_cloud):
    first = service(lake_cloud).train("schedule", 600)
    second = service(lake_cloud).train("schedule", 600)
    assert second["status"] == "skipped"
    assert second["version"] == first["version"]
    assert len(lake_cloud.registry.versions(LEAF)) == 1


def test_a_training_that_died_between_the_manifest_and_its_row_is_ended_by_the_next(lake_cloud, monkeypatch):
    put, first = lake_cloud.registry_table.put, lake_cloud.registry_table

    def dies(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(first, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        service(lake_cloud).train("schedule", 600)
    monkeypatch.setattr(first, "put", put)
    lake_cloud.now += timedelta(hours=2)
    answer = service(lake_cloud).train("schedule", 600)
    assert answer["promoted"]
    assert lake_cloud.registry.champion(LEAF).version == answer["version"]


def test_the_same_data_in_another_account_gives_the_same_version(lake_cloud):
    other = Cloud(lake=lake_cloud.lake, now=NOW + timedelta(days=1))
    assert service(lake_cloud).train("a", 600)["version"] == service(other).train("b", 600)["version"]


def test_a_candidate_that_is_not_better_is_kept_with_its_reason(lake_cloud):
    first = service(lake_cloud).train("schedule", 600)
    second = service(lake_cloud, iterations=2).train("schedule", 600)
    assert not second["promoted"]
    assert "rows" in second["reason"]
    assert lake_cloud.registry.champion(LEAF).version == first["version"]


def test_a_moved_population_brings_a_new_champion(lake_cloud):
    first = service(lake_cloud).train("schedule", 600)
    scorer = lake_cloud.scoring()
    moved = customers(2_400, seed=5, moved=1.0)
    start = NOW - timedelta(days=2)
    bodies = events(moved, seed=5, start=start)
    for i in range(0, len(bodies), 1_000):
        scorer.score(records(bodies[i : i + 1_000], i), lambda: 60.0)
    lines = [
        json.dumps(
            {"user_id": f"user-{i:07d}", "observed_at": (start + timedelta(seconds=i)).isoformat(), "outcome": y}
        )
        for i, y in enumerate(moved["y"].to_pylist())
    ]
    lake_cloud.lake.put(f"outcomes/dt={start.date()}/a.jsonl", "\n".join([*lines, "{broken"]).encode())
    second = service(lake_cloud).train("drift", 600)
    assert second["rows"] == 1_500 + 2_400
    assert second["promoted"], second["reason"]
    assert lake_cloud.registry.champion(LEAF).previous == first["version"]


def test_a_new_champion_or_a_rollback_reaches_a_warm_container(lake_cloud, package):
    first = service(lake_cloud).train("schedule", 600)["version"]
    clock = [100.0]
    cache = ChampionCache(lake_cloud.registry, 30, lambda: clock[0])
    assert cache.current().version == first
    lake_cloud.publish(package)
    assert cache.current().version == first
    clock[0] += 31
    assert cache.current().version == package.version
    lake_cloud.registry.promote(LEAF, first, expected=package.version, reason="rollback")
    clock[0] += 31
    assert cache.current().version == first


def test_a_champion_that_is_taken_away_answers_no_more_in_a_warm_container(cloud, package):
    clock = [100.0]
    cache = ChampionCache(cloud.registry, 30, lambda: clock[0])
    assert cache.current().version == package.version
    del cloud.registry_table.items[LEAF, "#champion"]
    clock[0] += 31
    assert cache.current() is None


def test_a_champion_that_cannot_be_read_leaves_the_one_before_answering(cloud, package):
    clock = [100.0]
    cache = ChampionCache(cloud.registry, 30, lambda: clock[0])
    cache.current()
    row = cloud.registry_table.items[LEAF, "#champion"]
    row["points_to"] = "unknown"
    clock[0] += 31
    assert cache.current().version == package.version


def test_a_changed_model_file_is_refused(cloud, package):
    cloud.models.bodies[f"{LEAF}/{package.version}/model.onnx"] += b"x"
    with pytest.raises(CorruptError, match=r"model\.onnx"):
        ChampionCache(cloud.registry, 30).current()


def test_an_unknown_version_and_a_foreign_manifest_are_refused(cloud, package):
    cloud.models.bodies[f"{LEAF}/{package.version}/manifest.json"] = b'{"leaf": "clustering"}'
    with pytest.raises(CorruptError):
        ChampionCache(cloud.registry, 30).current()
    del cloud.models.bodies[f"{LEAF}/{package.version}/manifest.json"]
    with pytest.raises(NotFoundError):
        ChampionCache(cloud.registry, 30).current()


def test_customers_without_the_target_say_what_is_missing():
    cloud = Cloud()
    cloud.lake.put("customers/a.csv", b"age,job\n40,clerk\n")
    with pytest.raises(InputError, match="y"):
        service(cloud).train("schedule", 600)
    (run,) = cloud.ledger.history("classification-train")
    assert run.outcome == "failed"


def test_columns_known_only_afterwards_may_be_named_with_spaces_and_a_term_of_a_loan_is_none(lake_cloud):
    table = customers(1_500, seed=1).rename_columns({"job": "work"})
    lake_cloud.lake.put("customers/2024.csv", as_csv(table))
    assert service(lake_cloud).train("by hand", 600)["left_out"] == {}
    answer = service(lake_cloud, leak_columns="duration, pdays").train("by hand", 600)
    assert answer["left_out"] == dict.fromkeys(["duration", "pdays"], "known only afterwards")
    manifest = lake_cloud.registry.manifest(LEAF, answer["version"])
    assert manifest.details["left_out"] == answer["left_out"]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("ms")])
def test_dates_of_parquet_are_times(kind):
    table = customers(1_500, seed=1)
    days = pa.array([(NOW + timedelta(days=i // 5)).date() for i in range(1_500)], pa.date32()).cast(kind)
    made = Cloud()
    made.lake.put("customers/a.parquet", as_parquet(table.append_column("observed_at", days)))
    answer = service(made).train("by hand", 600)
    assert made.registry.manifest(LEAF, answer["version"]).details["split"]["kind"] == "time"


def grown(seed: int, rows: int, change: str) -> pa.Table:
    """An export of customers: one had no `job` yet, the other has a `channel` more."""
    table = customers(rows, seed=seed)
    if change == "lacks job":
        return table.drop_columns(["job"])
    return table.append_column("channel", pa.array(["web", "shop", "phone"] * (rows // 3)))


def test_a_schema_that_grew_asks_neither_old_nor_new_events_for_what_they_lack():
    cloud = Cloud()
    cloud.lake.put("customers/1.csv", as_csv(grown(1, 1_500, "lacks job")))
    cloud.lake.put("customers/2.csv", as_csv(grown(2, 1_500, "has channel")))
    assert service(cloud).train("schedule", 600)["promoted"]
    bodies = []
    for i, change in enumerate(("lacks job", "has channel")):
        sent = map(json.loads, events(grown(3, 30, change), seed=i))
        bodies += [json.dumps(body | {"user_id": f"{change} {body['user_id']}"}) for body in sent]
    explicit = json.loads(bodies[-1])
    bodies.append(json.dumps(explicit | {"user_id": "null", "features": explicit["features"] | {"channel": None}}))
    bodies.append(json.dumps(explicit | {"user_id": "blank", "features": explicit["features"] | {"channel": ""}}))
    absent = {name: value for name, value in explicit["features"].items() if name != "channel"}
    bodies.append(json.dumps(explicit | {"user_id": "absent", "features": absent}))
    assert cloud.scoring().score(records(bodies), lambda: 60.0) == []
    assert [letter.reason for letter in cloud.dead_letters.letters] == []
    assert len(cloud.results.items) == 63
    null, blank, left_out = (cloud.results.items[(name,)]["probability"] for name in ("null", "blank", "absent"))
    assert null == blank == left_out


def test_a_column_that_is_new_in_customers_comes_with_the_events_that_already_sent_it(lake_cloud):
    from functions.classification import store

    service(lake_cloud).train("schedule", 600)
    table = grown(5, 60, "has channel")
    start = NOW - timedelta(hours=1)
    lake_cloud.scoring().score(records(events(table, seed=5, start=start)), lambda: 60.0)
    told = [
        {"user_id": f"user-{i:07d}", "observed_at": (start + timedelta(seconds=i)).isoformat(), "outcome": y}
        for i, y in enumerate(table["y"].to_pylist())
    ]
    lake_cloud.lake.put(f"outcomes/dt={NOW.date()}/a.jsonl", "\n".join(map(json.dumps, told)).encode())
    joined = store.join_outcomes(lake_cloud.lake, store.days_until(NOW.date(), 2))
    assert [row.features["channel"] for row in joined] == table["channel"].to_pylist()


def test_a_deployment_says_what_its_files_call_our_columns(lake_cloud):
    table = customers(1_500, seed=1)
    renamed = table.rename_columns(["bought" if name == "y" else name for name in table.column_names])
    lake_cloud.lake.put("customers/2024.csv", as_csv(renamed))
    with pytest.raises(InputError, match=r"customers/2024\.csv: sold: has no such column"):
        service(lake_cloud, columns="y=sold").train("schedule", 600)
    assert service(lake_cloud, columns="y=bought").train("by hand", 600)["promoted"]
