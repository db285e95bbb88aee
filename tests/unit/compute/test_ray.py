"""Rides labelled and sales forecast on a Ray cluster of several nodes on this machine."""

import socket
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from functions.clustering import simulate
from functions.clustering.contracts import PartReport, Source
from functions.clustering.domain.fit import fit
from functions.clustering.domain.model import Parameters
from functions.clustering.domain.table import Format
from functions.clustering.files import TABLES, Part, join, label_part
from functions.forecasting.files import Task, forecast_one
from layers.compute.engine import run_tasks
from layers.runtime.errors import InputError, UnavailableError
from layers.tables import NumberStyle, Styles
from tests.forecasting import made

PLAIN = Styles({"ride_dist": NumberStyle(), "ride_time": NumberStyle()})
ray_cluster = pytest.importorskip("ray.cluster_utils", reason="Ray is an optional group: uv sync --extra ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
]
PARTS = 6


def unchanged(number: int) -> int:
    return number


class Nodes:
    """A cluster with a client port, and two nodes beside its head."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        head = {"num_cpus": 1, "ray_client_server_port": port, "include_dashboard": False}
        self.cluster = ray_cluster.Cluster(initialize_head=True, head_node_args=head)
        self.address = f"ray://127.0.0.1:{port}"
        self.workers = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def wait(self) -> None:
        """Until the head lets a client in, which takes a while on a busy machine."""
        for left in reversed(range(5)):
            try:
                assert list(run_tasks(unchanged, [7], engine=self.address)) == [(0, 7)]
            except UnavailableError:
                if not left:
                    raise
            else:
                return

    def kill_one(self) -> None:
        self.cluster.remove_node(self.workers.pop(), allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        warnings.simplefilter("ignore")
        made = Nodes()
        try:
            made.wait()
            yield made
        finally:
            made.cluster.shutdown()


def slow_label(part: Part) -> PartReport:
    """Long enough that every node is at work when one dies."""
    if part.number < 0:
        raise InputError("is broken", file=part.sources[0].key)
    time.sleep(0.5)
    return label_part(part)


def parts_of(tmp_path: Path, out: Path) -> list[Part]:
    out.mkdir()
    parts = []
    for number in range(PARTS):
        path = tmp_path / f"rides-{number}.parquet"
        table = simulate.rides(2_000, number)
        pq.write_table(table, path)
        model = fit(table["ride_dist"].to_numpy(), table["ride_time"].to_numpy(), Parameters()).dump()
        source = Source(key=str(path), size=path.stat().st_size)
        parts.append(Part(number, [source], Format(), model, "v1", str(tmp_path), str(out), {source.key: PLAIN}))
    return parts


def tables_in(out: Path, reports: dict[int, PartReport]) -> list[Any]:
    join(out, [reports[i] for i in range(PARTS)], out)
    return [pq.read_table(out / f"{kind}.parquet") for kind in TABLES]


def test_series_forecast_on_the_cluster_equal_those_forecast_here(nodes: Nodes) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tasks = [Task(made(120, name=name, seed=seed), 14, 0.95, 21, now) for seed, name in enumerate(("a", "b", "c"))]
    found = dict(run_tasks(forecast_one, tasks, engine=nodes.address))
    for i, task in enumerate(tasks):
        here = forecast_one(task)
        assert found[i].trained == here.trained
        assert found[i].forecast.yhat.tolist() == here.forecast.yhat.tolist()


# The last one: the cluster is left with a node less.
def test_a_killed_nodes_work_is_done_by_the_others_and_equals_the_local_engines(nodes: Nodes, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    expected = dict(run_tasks(label_part, parts_of(tmp_path, here), engine="threads"))
    found: dict[int, PartReport] = {}
    for i, report in run_tasks(slow_label, parts_of(tmp_path, there), engine=nodes.address):
        if not found:
            nodes.kill_one()
        found[i] = report
    assert found == expected
    assert tables_in(there, found) == tables_in(here, expected)

    broken = Part(-1, [Source(key="rides.csv", size=0)], Format(), {}, "v1", "", "", {})
    with pytest.raises(InputError, match=r"^rides.csv: is broken$"):
        list(run_tasks(slow_label, [broken], engine=nodes.address))
