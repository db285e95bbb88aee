"""Triggers that come twice, late, or at the same moment."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cli.stack import finished, start
from functions.forecasting.store import history_key
from layers.runtime.errors import UnavailableError
from tests.faults.conftest import Site
from tests.faults.leaves import Count, arrival
from tests.forecasting import written
from tests.tally import Tally


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make these calls at the same moment; what each gave, or its failure."""

    def safely(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except UnavailableError as exc:
            return exc

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(safely, calls))


def tell(tally: Tally, injected: str, where: str, times: int, count: Count) -> None:
    count.tell(tally, "Triggers", injected=injected, where=where, times=times)


def test_two_runs_of_a_day_at_once_and_a_late_one_make_one_truth(site: Site, tally: Tally) -> None:
    rides, _, _ = site.leaves()
    scheduled = {"scheduled_at": f"{rides.day}T03:00:00Z"}
    day = {"dt": str(rides.day)}

    def run(event: dict[str, Any]) -> Any:
        return finished(site.stack, start(site.stack, "ClusteringStateMachine", event))["status"]

    ends = at_once(*[lambda: run(day)] * 2)
    assert sorted(ends) == ["published", "skipped"]
    first = rides.truth()
    assert first is not None
    assert run(day) == "skipped"
    assert rides.truth() == first
    tell(tally, "the same trigger twice at once, and once more", "clustering", 3, rides.check())

    rides.late()
    ends = at_once(*[lambda: run(day)] * 2)
    assert sorted(ends) == ["published", "skipped"]
    assert run(scheduled) in ("empty", "published")  # of the day before: a late schedule is another day's trigger
    tell(tally, "late rides, the day's trigger twice at once", "clustering", 2, rides.check())


def test_two_trainings_at_once_leave_one_champion(site: Site, tally: Tally) -> None:
    _, sales, events = site.leaves()
    sales.arrive()
    ends = at_once(
        *[lambda: finished(site.stack, start(site.stack, "ForecastingStateMachine", {}))["status"]] * 2,
        *[lambda: events.train()] * 2,
    )
    assert sorted(ends[:2]) == ["published", "skipped"]
    assert ends[2:] == [None, None]
    for leaf in ("forecasting", "classification"):
        statuses = Counter(row["status"] for row in site.stack.registry.versions(leaf))
        assert statuses["champion"] == 1
    events.champion()
    trained = [run.outcome for run in site.stack.ledger.history("classification-train")]
    assert "running" not in trained
    tell(tally, "the same training twice at once", "forecasting, classification", 4, sales.check())


def test_a_file_that_arrives_twice_or_late_is_ingested_once(site: Site, tally: Tally) -> None:
    _, sales, _ = site.leaves()
    etag = site.stack.lake.put(sales.key, written(*sales.series))
    first = arrival(sales.key, etag, "a")
    events = [first, first, first | {"id": "b"}]
    ends = at_once(*[lambda event=event: site.stack.invoke("FunctionForecastingIngest", event) for event in events])
    assert all(isinstance(end, dict) for end in ends)
    sales.trigger()
    stored = history_key(sales.series[0].series_id)
    before = site.stack.lake.get(stored)
    site.stack.invoke("FunctionForecastingIngest", first | {"id": "late"})
    assert site.stack.lake.get(stored) == before
    tell(tally, "the same arrival three times at once, once more and late", "forecasting", 5, sales.check())


def test_messages_that_come_twice_and_out_of_order_give_the_newest_result_once(site: Site, tally: Tally) -> None:
    _, _, events = site.leaves()
    events.send([*reversed(events.good), *events.good, *events.poison])
    events.drained()
    before = events.check()
    events.send(events.good[:5])  # late: what stands is newer
    events.drained()
    tell(tally, "messages twice, in reverse, and late", "classification", len(events.good) + 5, before + events.check())
