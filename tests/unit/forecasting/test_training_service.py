import json

import numpy as np
import pytest

from functions.forecasting.contracts import PlanEvent, Planned, Shard
from functions.forecasting.store import Catalog
from layers.runtime.errors import InputError, UnavailableError
from tests.forecasting import House, made


@pytest.fixture
def house():
    stocked = House()
    stocked.put(*(made(80, seed=i, name=f"s{i}") for i in range(3)))
    return stocked


def shards(house, planned):
    return [Shard.model_validate(item) for item in json.loads(house.lake.get(planned.plan_key))]


def test_training_publishes_one_version_that_answers(house):
    done = house.train()
    assert (done["status"], done["series"], done["trained"], done["failed"]) == ("published", 3, 3, 0)
    version = house.registry.champion("forecasting").version
    manifest = house.registry.manifest("forecasting", version)
    assert set(manifest.files) == {"index.json", *(f"models/s{i}.json" for i in range(3))}
    assert {row.model.version for row in Catalog(house.lake).rows().values()} == {version}


def test_the_same_data_is_trained_once(house):
    house.train()
    assert house.train() == {"status": "skipped"}
    assert len(house.fits) == 3


def test_only_changed_series_are_refitted_and_the_others_keep_their_objects(house):
    house.train()
    first = house.registry.champion("forecasting").version
    house.put(made(87, name="s1", seed=1), key="sales/b.csv")
    house.fits.clear()
    assert house.train()["series"] == 3
    assert house.fits == ["s1"]
    second = house.registry.champion("forecasting").version
    files = house.registry.manifest("forecasting", second).files
    assert files["models/s0.json"].key.startswith(f"forecasting/{first}/")
    assert files["models/s1.json"].key.startswith(f"forecasting/{second}/")


def test_a_person_can_have_everything_refitted(house):
    house.train()
    house.fits.clear()
    assert house.train(force=True)["trained"] == 3
    assert house.train(force=True)["trained"] == 3
    assert len(house.fits) == 6


def test_an_empty_catalog_is_an_empty_run():
    assert House().train() == {"status": "empty"}


def test_a_shard_tried_again_fits_only_what_is_missing(house):
    service = house.training()
    planned = service.plan(PlanEvent())
    shard = shards(house, planned)[0]

    def broken(series, **arguments):
        if series.series_id == "s1":
            raise UnavailableError("storage is slow")
        return house.fit(series, **arguments)

    with pytest.raises(UnavailableError):
        house.training(broken).train(shard)
    assert service.train(shard)["trained"] == 2
    assert house.fits == ["s0", "s1"]


@pytest.mark.parametrize("error", [InputError("no"), RuntimeError("no"), np.linalg.LinAlgError("no"), KeyError("no")])
def test_a_series_that_cannot_be_trained_is_counted_and_stops_nothing(house, error):
    def broken(series, **arguments):
        if series.series_id == "s1":
            raise error
        return house.fit(series, **arguments)

    service = house.training(broken)
    planned = service.plan(PlanEvent())
    for shard in shards(house, planned):
        service.train(shard)
    done = service.publish(planned)
    assert (done["trained"], done["failed"]) == (2, 1)


def test_a_failed_run_is_recorded_and_the_previous_version_stays(house):
    house.train()
    before = house.registry.champion("forecasting")
    house.put(made(90, name="s1"), key="sales/b.csv")
    service = house.training()
    planned = service.plan(PlanEvent())
    told = planned.model_dump(exclude_none=True) | {"error": {"Error": "States.Timeout", "Cause": "too long"}}
    assert service.publish(Planned.model_validate(told))["status"] == "failed"
    assert house.registry.champion("forecasting") == before
    assert house.train()["status"] == "published"


def test_the_cause_of_a_shard_that_failed_is_in_the_runs_row_though_the_map_does_not_know_it(house):
    service = house.training()
    planned = service.plan(PlanEvent())
    cause = {"Error": "CorruptError", "Cause": json.dumps({"errorMessage": "history/s1.json.gz is damaged"})}
    of_map = {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "a threshold was exceeded"}
    for event, error in ((shards(house, planned)[0].model_dump(), cause), (planned.model_dump(), of_map)):
        service.publish(Planned.model_validate(event | {"error": error}))
    (run,) = house.ledger.history("forecasting")
    assert (run.outcome, run.detail) == ("failed", "CorruptError: history/s1.json.gz is damaged")


def test_publishing_twice_is_harmless(house):
    service = house.training()
    planned = service.plan(PlanEvent())
    for shard in shards(house, planned):
        service.train(shard)
    assert service.publish(planned)["status"] == "published"
    assert service.publish(planned)["status"] == "skipped"


def test_a_plan_whose_answer_was_lost_is_made_again_for_the_same_execution(house):
    service = house.training()
    assert service.plan(PlanEvent(execution="e1")).status == "planned"
    assert service.plan(PlanEvent(execution="e2")).status == "skipped"
    assert service.plan(PlanEvent(execution="e1")).status == "planned"


def test_a_damaged_or_missing_index_of_the_champion_is_made_anew_from_all_series(house):
    house.train()
    champion = house.registry.champion("forecasting")
    for body in (b"{", None):
        house.models.delete(f"forecasting/{champion.version}/index.json")
        if body:
            house.models.put(f"forecasting/{champion.version}/index.json", body)
        assert house.train(force=True, execution=str(body))["status"] == "published"
        champion = house.registry.champion("forecasting")
