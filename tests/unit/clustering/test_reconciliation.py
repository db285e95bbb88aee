"""Rides in are rides labelled and rejected, exactly; a run whose counts differ never becomes the day's truth."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from functions.clustering import simulate
from functions.clustering.contracts import DayRequest, PartReport, PlanItem
from functions.clustering.domain.labelling import Labeller
from functions.clustering.store import Paths
from layers.runtime.errors import UnreconciledError
from tests.clustering import DAY, World, key, rides
from tests.tables import as_parquet

HEADER = b"ride_id,ride_dist,ride_time\n"
CSV = {
    "ends without a line break": b"a,3,0.1\nb,4,0.2",
    "empty lines": b"a,3,0.1\n\n\n\nb,4,0.2\n\n",
    "carriage returns": b"a,3,0.1\r\nb,4,0.2\r\n",
    "old Mac": b"a,3,0.1\rb,4,0.2\r",
    "quoted line break": b'"a\nb",3,0.1\nb,4,0.2\n',
    "too few and too many fields": b"a,3\nb,4,0.2\nc,4,0.2,9\n",
    "repeated, null and negative": b"a,3,0.1\na,3,0.1\n,4,0.2\nb,,\nc,-1,0.1\n",
    "header only": b"",
}


def reports(world: World) -> list[PartReport]:
    run = world.ledger.get("clustering", str(DAY))
    assert run is not None
    prefix = Paths(DAY, run.run_id).counted(0).rsplit("/", 1)[0] + "/part-"
    return [PartReport.model_validate_json(world.lake.get(info.key)) for info in world.lake.list(prefix)]


@pytest.mark.parametrize("body", CSV.values(), ids=CSV)
def test_every_row_of_whatever_csv_comes_out_once(body: bytes) -> None:
    world = World()
    world.lake.put(key(DAY), rides())
    world.lake.put(key(DAY, "b.csv"), HEADER + body)
    world.lake.put(key(DAY, "c.csv.gz"), gzip.compress(HEADER + body))
    world.lake.put(key(DAY, "no.csv"), b"\xff\xfe\x00")
    world.lake.put(key(DAY, "no.parquet"), b"PAR1 and no more")
    assert world.run()["status"] == "published"
    found = sum(report.found for report in reports(world))
    assert found == sum(report.written for report in reports(world))
    assert found >= 1_500 + 2


def test_row_groups_of_one_object_in_several_parts_add_up() -> None:
    world = World(item_mb=0)
    world.lake.put(key(DAY), as_parquet(simulate.rides(4_500, 0), row_group_size=500))
    assert world.run()["status"] == "published"
    assert [report.found for report in reports(world)] == [500] * 9
    assert [report.files for report in reports(world)] == [1] + [0] * 8


def forgets_an_object(_: pytest.MonkeyPatch, plan: list[dict[str, Any]]) -> None:
    plan[0]["sources"].pop()


def loses_labelled_rows(patch: pytest.MonkeyPatch, _: Any) -> None:
    whole = Labeller._labelled

    def short(self: Labeller, *arguments: Any) -> pa.Table:
        table = whole(self, *arguments)
        self.report.rides -= 1
        return table.slice(1)

    patch.setattr(Labeller, "_labelled", short)


def counts_what_it_does_not_write(patch: pytest.MonkeyPatch, _: Any) -> None:
    whole = Labeller._labelled
    patch.setattr(Labeller, "_labelled", lambda self, *arguments: whole(self, *arguments).slice(1))


@pytest.mark.parametrize("fault", [forgets_an_object, loses_labelled_rows, counts_what_it_does_not_write])
def test_a_run_that_lost_a_ride_fails_and_the_truth_stays(
    fault: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.lake.put(key(DAY), rides())
    world.run()
    truth = world.truth()
    world.lake.put(key(DAY, "late.csv"), HEADER + b"x,3,0.1\n")
    answer = world.fitting.fit(DayRequest(dt=DAY))
    plan = json.loads(world.lake.get(answer.plan_key))
    fault(monkeypatch, plan)
    for item in plan:
        world.labelling.label(PlanItem.model_validate(item))
    with pytest.raises(UnreconciledError, match="rides in"):
        world.publishing.publish(answer)
    world.publishing.publish(answer.model_copy(update={"error": {"Error": "UnreconciledError"}}))
    run = world.ledger.get("clustering", str(DAY))
    assert run is not None
    assert (run.outcome, run.detail) == ("failed", "UnreconciledError")
    assert world.truth() == truth
