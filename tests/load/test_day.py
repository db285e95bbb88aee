"""A day of ten million rides through the state machine: as many come out, labelled or rejected, as went in."""

import io
import json
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cli.stack import Stack, finished, start
from functions.clustering.simulate import rides
from functions.clustering.store import Paths
from infra.settings import DeploySettings
from tests.tables import as_csv, as_parquet
from tests.tally import QUICK, Tally

DAY = date(2026, 2, 14)
# One object big enough to be split by row groups, small ones that share a call, and a CSV, which is never split.
BIG, SMALL, PLAIN = (800_000, 45_000, 20_000) if QUICK else (6_000_000, 490_000, 80_000)
SMALLS = 4 if QUICK else 8
ROW_GROUP = 100_000
# Columns that a real file has besides. They pass by, and make the big object of the bounded form big enough.
OTHERS = 10 if QUICK else 2
BAD_EACH = 997
COLUMNS = ["ride_id", "ride_dist", "ride_time"]


def made(rows: int, name: str, seed: int) -> tuple[pa.Table, int]:
    """Rides with ids of their own, and how many of them must be rejected: every 997th has no valid distance or time."""
    rng, table = np.random.default_rng(seed), rides(rows, seed)
    dist, hours = (table[column].to_numpy().copy() for column in ("ride_dist", "ride_time"))
    bad = np.arange(0, rows, BAD_EACH)
    dist[bad[::3]], hours[bad[1::3]], dist[bad[2::3]] = 0.0, np.nan, -1.0
    ids = pc.binary_join_element_wise(name, table["ride_id"], "-")
    columns = {"ride_id": ids, "ride_dist": dist, "ride_time": hours}
    return pa.table(columns | {f"other_{i}": rng.random(rows) for i in range(OTHERS)}), len(bad)


def fill(stack: Stack) -> tuple[int, int]:
    """Put the day and the one before it: how many rides, and how many bad ones."""
    stack.lake.put(f"rides/dt={DAY - timedelta(days=1)}/a.parquet", as_parquet(made(50_000, "before", 1)[0]))
    total = rejected = 0
    objects = [("big.parquet", BIG), *((f"small-{i}.parquet", SMALL) for i in range(SMALLS)), ("plain.csv", PLAIN)]
    for seed, (name, rows) in enumerate(objects, 2):
        table, bad = made(rows, name.split(".")[0], seed)
        stack.lake.put(
            f"rides/dt={DAY}/{name}",
            as_csv(table.select(COLUMNS)) if name.endswith("csv") else as_parquet(table, row_group_size=ROW_GROUP),
        )
        total, rejected = total + rows, rejected + bad
    return total, rejected


def peak_of(process: psutil.Process) -> int:
    """Bytes: the most that it ever held, where the system remembers it, else what it holds."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return int(process.memory_info().rss)
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10


def peaks(stack: Stack) -> Iterator[tuple[str, int]]:
    """Of every function process of this leaf that the emulator runs: its name, and the most memory it ever held, MB."""
    assert stack.cloud is not None
    names = {stack.outputs[f"FunctionClustering{step}"]: step.lower() for step in ("Fit", "Label", "Publish")}
    for process in psutil.Process(stack.cloud.pid).children(recursive=True):
        command = " ".join(process.cmdline())
        for name, step in names.items():
            if name in command:
                yield step, peak_of(process) >> 20


def outputs(stack: Stack, run_id: str) -> list[pa.Table]:
    keys = [info.key for info in stack.lake.list(f"anomalies/runs/dt={DAY}/run={run_id}/")]
    columns = ["ride_id", "is_anomaly"]
    return [pq.read_table(io.BytesIO(stack.lake.get(key)), columns=columns) for key in keys]


def test_every_ride_of_a_great_day_is_labelled_or_rejected_exactly_once(stack: Stack, tally: Tally) -> None:
    total, bad = fill(stack)
    began = time.monotonic()
    finished(stack, start(stack, "ClusteringStateMachine", {"dt": str(DAY)}), 1_800)
    seconds = time.monotonic() - began
    day: dict[str, Any] = json.loads(stack.lake.get(Paths(DAY).manifest))
    run = stack.ledger.get("clustering", str(DAY))
    assert run is not None
    labelled = pa.concat_tables(outputs(stack, day["run_id"]))
    plan = json.loads(stack.lake.get(Paths(DAY, day["run_id"]).plan))
    split = [source for item in plan for source in item["sources"] if source["row_groups"]]
    most: dict[str, int] = {}
    for step, peak in peaks(stack):
        most[step] = max(most.get(step, 0), peak)
    distinct = pc.count_distinct(labelled["ride_id"]).as_py()
    tally.add(
        "A day through the state machine",
        rides=f"{total:,}",
        labelled=f"{labelled.num_rows:,}",
        rejected=f"{day['rejected']:,}",
        lost=total - bad - distinct,
        doubled=labelled.num_rows - distinct,
        calls=len(plan),
        seconds=f"{seconds:.1f}",
        rides_per_s=f"{total / seconds:,.0f}",
        GB_s=run.gb_seconds,
        peak_MB=", ".join(f"{step} {peak}" for step, peak in most.items()),
    )
    assert len(split) > 1
    assert (day["rides"], day["rejected"]) == (total - bad, bad)
    assert labelled.num_rows == distinct == total - bad
    assert pc.sum(labelled["is_anomaly"]).as_py() == day["anomalies"]
    assert run.counts == {"rides": total - bad, "anomalies": day["anomalies"], "rejected": bad, "files": SMALLS + 2}
    assert most.keys() == {"fit", "label", "publish"}
    assert max(most.values()) < DeploySettings().clustering_memory_mb
