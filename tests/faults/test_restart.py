"""The cloud itself goes away in the middle of everything and comes back with what it had stored."""

import os
import signal

import psutil

from cli.stack import start
from infra.local import processes
from tests.drivers import until
from tests.faults.conftest import Site
from tests.faults.leaves import NOTHING, expire_leases
from tests.tally import Tally


def restart(site: Site) -> None:
    """Stop the emulator, which keeps its state, and start it again where it was."""
    cloud = site.stack.cloud
    assert cloud is not None
    standing = psutil.Process(cloud.pid)
    command, env = standing.cmdline(), standing.environ()
    os.kill(cloud.pid, signal.SIGTERM)
    standing.wait(timeout=120)
    processes.end(cloud.pid)  # workers of functions that are left
    fresh = processes.spawn(command, env, cwd=site.home, log=site.home / "emulator.log")
    (site.home / "cloud.json").write_text(cloud.model_copy(update={"pid": fresh.pid}).model_dump_json())
    cloud.pid = fresh.pid
    until(cloud.alive, "the emulator to come back")


def test_a_restart_in_the_middle_of_every_leaf_loses_and_doubles_nothing(site: Site, tally: Tally) -> None:
    leaves = rides, sales, events = site.leaves()
    start(site.stack, "ClusteringStateMachine", {"dt": str(rides.day)})
    sales.arrive()
    start(site.stack, "ForecastingStateMachine", {})
    events.send([*events.good, *events.poison])
    restart(site)
    left = expire_leases(site.stack)
    for leaf in leaves:
        leaf.trigger()
    count = sum((leaf.check() for leaf in leaves), NOTHING)
    count.tell(
        tally,
        "Restart of the cloud",
        injected="restart with its state kept",
        where="every leaf under way",
        times=1,
        runs_left=len(left),
    )
