"""A crash between any two writes leaves the previous truth, or the new one, whole; the next run repairs the rest."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from functions.clustering import publish
from functions.clustering.contracts import DayRequest
from tests.clustering import DAY, World, key, rides

WRITES = ("put", "upload", "tag", "delete", "add")


class CrashError(Exception):
    """The process is gone: nothing after it is written either."""


class Crash:
    """Counts the writes of several stores and fails at the n-th; `dies`: and at every later one."""

    def __init__(self, at: int, *, dies: bool) -> None:
        self.at, self.dies, self.count = at, dies, 0

    def wrap(self, store: Any) -> None:
        for name in WRITES:
            if hasattr(store, name):
                setattr(store, name, self._guard(getattr(store, name)))

    def _guard(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.at or (self.dies and self.count > self.at):
                raise CrashError
            return write(*args, **kwargs)

        return guarded


def world_with_a_truth() -> World:
    world = World()
    world.lake.put(key(DAY), rides(1_000))
    world.run()
    world.lake.put(key(DAY, "late.csv"), b"ride_id,ride_dist,ride_time\nx,3,0.1\ny,0,1\n")
    return world


def crash_during_the_second_run(world: World, crash: Crash) -> None:
    stores = (world.lake, world.models, world.runs, world.versions)
    saved = [dict(vars(store)) for store in stores]
    for store in stores:
        crash.wrap(store)
    try:
        answer = world.fitting.fit(DayRequest(dt=DAY, execution="e"))
        if answer.status == "planned":
            world.after(answer)
    except CrashError:
        pass
    finally:
        for store, attributes in zip(stores, saved, strict=True):
            vars(store).clear()
            vars(store).update(attributes)


@pytest.fixture(autouse=True)
def _quick_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "draw", lambda *_: b"png")


def how_many_writes() -> int:
    world, crash = world_with_a_truth(), Crash(0, dies=False)
    crash_during_the_second_run(world, crash)
    truth = world.truth()
    assert truth is not None
    assert truth[0].rides == 1_001
    return crash.count


@pytest.mark.parametrize("dies", [True, False], ids=["and stays down", "and only that write fails"])
def test_a_failure_at_any_write_leaves_a_whole_truth_and_the_next_run_mends_the_rest(dies: bool) -> None:
    writes = how_many_writes()
    assert writes > 15
    outcomes = []
    for at in range(1, writes + 1):
        world = world_with_a_truth()
        crash_during_the_second_run(world, Crash(at, dies=dies))
        truth = world.truth()
        assert truth is not None, at
        manifest, rows = truth
        assert manifest.rides == rows.num_rows, at
        assert manifest.rides in (1_000, 1_001), at
        assert not any(manifest.run_id in name for name in world.lake.tags if name.startswith("anomalies/")), at
        outcomes.append(manifest.rides)

        world.clock.skip(timedelta(hours=2))
        assert world.run()["status"] in ("published", "skipped"), at
        mended = world.truth()
        assert mended is not None, at
        assert mended[0].rides == mended[1].num_rows == 1_001, at
        row = world.ledger.get("clustering", str(DAY))
        assert row is not None, at
        assert (row.outcome, row.run_id) == ("done", mended[0].run_id), at
    # The old truth up to some write, the new one from there on.
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {1_000, 1_001}
