"""Model files and manifests that are not what they were, and a batch that the deadline cuts in two."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cli.stack import Stack, finished, start
from layers.runtime.errors import UnavailableError
from layers.storage.objects import S3Objects
from layers.storage.registry import manifest_key
from tests.context import Context
from tests.drivers import until
from tests.faults.conftest import Site, configure
from tests.faults.leaves import Count
from tests.faults.victims import live
from tests.tally import Tally


def models(stack: Stack) -> S3Objects:
    return S3Objects(stack.outputs["ModelsBucket"], stack.client("s3"))


def corrupt_file(stack: Stack, leaf: str, version: str) -> None:
    """The bytes of the model are others."""
    manifest = stack.registry.manifest(leaf, version)
    name = next(name for name in manifest.files if name.startswith(("model", "index", "core")))
    models(stack).put(manifest.files[name].key, b"not these bytes")


def other_format(stack: Stack, leaf: str, version: str) -> None:
    """The manifest was written by a later release."""
    key = manifest_key(leaf, version)
    models(stack).put(key, json.dumps(json.loads(models(stack).get(key)) | {"format": 2}).encode())


REFUSED = r"does not match its hash|is not a manifest"
DAMAGES = [corrupt_file, other_format]
both = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


def tell(tally: Tally, injected: str, where: str, count: Count, next_run: str, times: int = 1) -> None:
    count.tell(tally, "Damage", injected=injected, where=where, times=times, next_run=next_run)


@both
def test_a_day_whose_model_is_damaged_fails_whole_and_the_next_run_mends_it(
    site: Site, tally: Tally, damage: Callable[..., None]
) -> None:
    rides, _, _ = site.leaves()
    rides.trigger()
    truth = rides.truth()
    rides.late()
    answer = site.stack.invoke("FunctionClusteringFit", {"dt": str(rides.day), "execution": "damaged"})
    item = json.loads(site.stack.lake.get(answer["plan_key"]))[0]
    damage(site.stack, "clustering", item["model_version"])
    with pytest.raises(UnavailableError, match=REFUSED):
        site.stack.invoke("FunctionClusteringLabel", item)
    ended = site.stack.invoke("FunctionClusteringPublish", answer | {"error": {"Error": "CorruptError"}})
    assert ended["status"] == "failed"
    assert rides.truth() == truth
    rides.trigger()
    tell(tally, damage.__name__.replace("_", " "), "clustering label", rides.check(), "mends it")


@both
def test_messages_wait_for_a_champion_that_can_be_read_and_the_next_training_brings_one(
    site: Site, tally: Tally, damage: Callable[..., None]
) -> None:
    _, _, events = site.leaves()
    damaged = events.champion()
    damage(site.stack, "classification", damaged)
    configure(site.stack, {"TREFOIL_STAGE": f"cold-{damage.__name__}"})  # a warm container would answer from memory
    with pytest.raises(UnavailableError, match=REFUSED):
        site.stack.invoke("FunctionClassificationScore", {"Records": [{"messageId": "m", "body": events.good[0]}]})
    events.send([*events.good, *events.poison])
    events.train()
    assert events.champion() != damaged
    events.drained()
    tell(tally, damage.__name__.replace("_", " "), "classification score", events.check(), "replaces the champion")


def test_a_damaged_model_of_one_series_or_of_all_is_told_and_the_next_forced_training_mends_it(
    site: Site, tally: Tally
) -> None:
    _, sales, _ = site.leaves()
    sales.trigger()
    stack, champion = site.stack, site.stack.registry.champion("forecasting")
    assert champion is not None
    whole, other = (one.series_id for one in sales.series)
    files = stack.registry.manifest("forecasting", champion.version).files
    for name in (f"models/{other}.json", "index.json"):
        models(stack).put(files[name].key, b"not these bytes")
        configure(stack, {"TREFOIL_STAGE": f"cold-{name.partition('.')[0].replace('/', '-')}"})
        status, _, body = stack.request(f"/v1/series/{other}/forecast?horizon=21", token=site.token)  # not kept yet
        assert (status, json.loads(body)["status"]) == (500, 500)
        if "index" not in name:
            sales.ask(whole, horizon=21)
    now = stack.registry.champion("forecasting")
    assert now == champion
    finished(stack, start(stack, "ForecastingStateMachine", {"force": True}))
    until(lambda: answers(stack, other, site.token), "the new champion to answer")
    tell(tally, "corrupt file", "forecasting api, plan", sales.check(), "forced: mends it", times=2)


def answers(stack: Stack, series_id: str, token: str) -> bool:
    return stack.request(f"/v1/series/{series_id}/forecast?horizon=21", token=token)[0] == 200


def test_a_batch_that_the_deadline_cuts_in_two_is_written_in_part_and_returned_in_part(
    site: Site, tally: Tally, victims: dict[str, str]
) -> None:
    """At the handler: the emulator hands over at most ten messages, however long they may take."""
    _, _, events = site.leaves()
    records = [{"messageId": f"m-{i}", "body": body} for i, body in enumerate([*events.good, *events.poison])]
    call = ("functions.classification.handler.score", {"Records": records})
    slow = {"AWS_ENDPOINT_URL": site.proxy.endpoint, "TREFOIL_WRITERS": "1", "TREFOIL_DEADLINE_SECONDS": "5"}
    site.proxy.inject([{"service": "dynamodb", "operation": "PutItem", "latency": 700}])
    lived = live([call], victims | slow, context=Context(left_ms=8_000))
    site.proxy.heal()
    assert lived is not None
    returned = {failure["itemIdentifier"] for failure in lived["answers"][0]["batchItemFailures"]}
    stood = events.stands().total()
    assert 0 < stood < len(events.newest())
    assert 0 < len(returned) < len(events.good)
    again: list[Any] = [record for record in records if record["messageId"] in returned]
    assert live([(call[0], {"Records": again})], victims) is not None
    tell(
        tally,
        "deadline in mid-batch",
        "classification score",
        events.check(),
        "takes what was returned",
        times=len(returned),
    )
