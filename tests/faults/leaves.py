"""What each leaf is given, how it is triggered, and what came out of it against what went in."""

import io
import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from boto3.dynamodb.conditions import Attr

from cli.queue import send
from cli.stack import Stack, finished, start
from functions.classification.simulate import customers, events
from functions.classification.store import stored_model
from functions.clustering import simulate
from functions.clustering.contracts import DayManifest
from functions.clustering.store import Paths
from functions.forecasting.domain.model import load_model
from functions.forecasting.domain.series import load
from functions.forecasting.store import history_key, parse_index
from layers.runtime.errors import ConflictError
from tests.drivers import letters, until
from tests.forecasting import made, written
from tests.tables import as_parquet
from tests.tally import Tally

PATIENCE = 180.0
DELIVERED = 6.0
BAD = b"ride_id,ride_dist,ride_time\nok-1,3,0.1\nok-2,5,0.2\nzero,0,1\nnegative,3,-1\n"
POISON = ("not json", '{"event_id": "e", "user_id": "u", "observed_at": "yesterday", "features": {}}')


@dataclass(frozen=True)
class Count:
    """Of what went in: how much is nowhere, and how much is there more than once."""

    lost: int
    doubled: int

    def __add__(self, other: "Count") -> "Count":
        return Count(self.lost + other.lost, self.doubled + other.doubled)

    def tell(self, tally: Tally, title: str, *, next_run: str = "succeeds", **cells: object) -> None:
        """A row of the table `title`, which asserts that nothing is lost and nothing doubled."""
        tally.add(title, **cells, lost=self.lost, doubled=self.doubled, next_run=next_run)
        assert (self.lost, self.doubled) == (0, 0)


NOTHING = Count(0, 0)


def compared(wanted: Counter[Any], found: Counter[Any]) -> Count:
    """Of two multisets: what is missing from `found`, and what is in it too often."""
    return Count((wanted - found).total(), (found - wanted).total())


class Rides:
    """A day of rides: two objects, two of whose rows are no rides."""

    def __init__(self, stack: Stack, day: date, rows: int = 1_100) -> None:
        self.stack, self.day = stack, day
        self.ids = [f"{day}-{i}" for i in range(rows)] + ["ok-1", "ok-2"]
        table = simulate.rides(rows, day.toordinal()).set_column(0, "ride_id", pa.array(self.ids[:rows]))
        self.inputs = {f"rides/dt={day}/a.parquet": as_parquet(table), f"rides/dt={day}/b.csv": BAD}
        for key, body in self.inputs.items():
            stack.lake.put(key, body)

    def trigger(self) -> None:
        """The state machine, to its end."""
        finished(self.stack, start(self.stack, "ClusteringStateMachine", {"dt": str(self.day)}), PATIENCE)

    def late(self, rows: int = 5) -> None:
        """Another object of the day."""
        ids = [f"{self.day}-late-{i}" for i in range(rows)]
        self.ids += ids
        lines = "\n".join(f"{ride_id},3,0.1" for ride_id in ids)
        self.stack.lake.put(f"rides/dt={self.day}/late.csv", f"ride_id,ride_dist,ride_time\n{lines}\n".encode())

    def truth(self) -> DayManifest | None:
        keys = [info.key for info in self.stack.lake.list(Paths(self.day).manifest)]
        return DayManifest.model_validate_json(self.stack.lake.get(keys[0])) if keys else None

    def check(self) -> Count:
        """As the saved query sees the day; every row of input is one row of output or a rejection."""
        manifest = self.truth()
        assert manifest is not None
        prefix = f"anomalies/runs/dt={self.day}/run={manifest.run_id}/"
        tables = [pq.read_table(io.BytesIO(self.stack.lake.get(info.key))) for info in self.stack.lake.list(prefix)]
        rows = pa.concat_tables(tables)
        assert manifest.rides == rows.num_rows, "half of a day is visible"
        count = compared(Counter(self.ids), Counter(rows["ride_id"].to_pylist()))
        return count + Count(max(2 - manifest.rejected, 0), max(manifest.rejected - 2, 0))


class Sales:
    """A file of two new series: it arrives, one is asked for before training, both after it."""

    def __init__(self, stack: Stack, name: str, token: str, days: int = 120) -> None:
        self.stack, self.key, self._token = stack, f"sales/{name}.csv", token
        self.series = [made(days, seed=i, name=f"{name}-{i}") for i in range(2)]

    def trigger(self) -> None:
        """The file's arrival, an answer without a model, the weekly state machine, an answer of its model."""
        self.arrive()
        self.ask(self.series[0].series_id)
        self.train()
        for one in self.series:
            self.ask(one.series_id)

    def arrive(self) -> None:
        """The queue brings the arrival again after a quarter of an hour, for which a test does not wait."""
        etag = self.stack.lake.put(self.key, written(*self.series))
        run, end = None, time.monotonic() + DELIVERED
        while time.monotonic() < end:
            run = self.stack.ledger.get("forecasting-ingest", self.key)
            if run and run.outcome in ("done", "failed"):
                return
            time.sleep(0.2)
        self.stack.invoke("FunctionForecastingIngest", arrival(self.key, etag, run.owner if run else "lost"))

    def correct(self) -> None:
        """A second file says otherwise about the last ten days of the second series, and is learned from."""
        self.series[1].y[-10:] *= 2
        last = self.series[1].times[-10:]
        lines = [f"{self.series[1].series_id},{ds},{y}" for ds, y in zip(last, self.series[1].y[-10:], strict=True)]
        self.stack.lake.put(self.key.replace(".csv", "-2.csv"), "\n".join(["series_id,ds,y", *lines]).encode())
        until(lambda: self.check() == NOTHING, "the correction to be ingested")
        self.train()

    def train(self) -> None:
        finished(self.stack, start(self.stack, "ForecastingStateMachine", {}), PATIENCE)

    def ask(self, series_id: str, horizon: int = 28) -> None:
        """A forecast through the gateway. Raises when it is none."""
        path = f"/v1/series/{series_id}/forecast?horizon={horizon}"
        status, _, body = self.stack.request(path, token=self._token)
        assert status == 200, (status, body[:300])
        assert len(json.loads(body)["points"]) == horizon

    def check(self) -> Count:
        """Every day that was sold is in the history once, and the champion has a whole model of every series."""
        count = NOTHING
        for one in self.series:
            stored = load(self.stack.lake.get(history_key(one.series_id)))
            wanted = Counter(zip(one.times.tolist(), one.y.tolist(), strict=True))
            count += compared(wanted, Counter(zip(stored.times.tolist(), stored.y.tolist(), strict=True)))
        champion = self.stack.registry.champion("forecasting")
        assert champion is not None
        manifest = self.stack.registry.manifest("forecasting", champion.version)
        index = parse_index(self.stack.registry.read(manifest, "index.json"))
        for one in self.series:
            entry = index[one.series_id]
            load_model(self.stack.registry.read(manifest, f"models/{one.series_id}.json"))
            assert entry.sha256 == manifest.files[f"models/{one.series_id}.json"].sha256
        return count


def arrival(key: str, etag: str, event_id: str) -> dict[str, Any]:
    """The event of an object's arrival, as EventBridge sends it."""
    return {"id": event_id, "time": datetime.now(UTC).isoformat(), "detail": {"object": {"key": key, "etag": etag}}}


class Events:
    """Messages of twelve users, each with several events, two of all poison; a training and a watch beside them."""

    def __init__(self, stack: Stack, name: str, seed: int, users: int = 12) -> None:
        self.stack, self.name, self.seed = stack, name, seed
        bodies = events(customers(3 * users, seed), seed=seed, users=users)
        self.good = [body.replace('"user-', f'"{name}-') for body in bodies]
        self.poison = [f"{text} {name}" for text in POISON]
        self._dead: set[str] = set()

    def trigger(self) -> None:
        """Send; train on new rows and watch meanwhile; wait until the queue is empty."""
        self.send([*self.good, *self.poison])
        self.train()
        self.stack.invoke("FunctionClassificationWatch", {})
        self.drained()

    def send(self, bodies: list[str]) -> None:
        send(self.stack, bodies)

    def train(self) -> None:
        key = "customers/faults.parquet"
        self.stack.lake.put(key, as_parquet(customers(4_000, self.seed)))
        self.stack.invoke("FunctionClassificationTrain", {"reason": "test"})

    def drained(self) -> None:
        """Wait until no message can be received or is being worked on; what waits for a first model waits longer."""
        url, wanted = self.stack.outputs["ClassificationQueue"], "ApproximateNumberOfMessages"
        names = [wanted, f"{wanted}NotVisible"]

        def depth() -> int:
            answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
            return sum(int(answer["Attributes"][name]) for name in names)

        until(lambda: depth() == 0, "the queue to be empty")

    def check(self) -> Count:
        """Every user's newest event stands, every poison is a dead letter, and nothing else is."""
        dead = [body for body, _ in letters(self.stack) if self.name in body]
        self._dead |= set(dead)
        if gone := [body for body in dead if body not in self.poison]:  # after five tries in an outage: sent again
            self.send(gone)
            self.drained()
        # A dead letter may come twice with the same message_id; what stands of users may not.
        count = compared(Counter(self.newest().items()), self.stands())
        self.champion()
        return count + Count(len(set(self.poison) - self._dead), 0)

    def newest(self) -> dict[str, str]:
        """The event of each user that must stand."""
        found: dict[str, str] = {}
        for event in sorted(map(json.loads, self.good), key=lambda event: (event["observed_at"], event["event_id"])):
            found[event["user_id"]] = event["event_id"]
        return found

    def stands(self) -> Counter[tuple[str, str]]:
        """User and event of every result of ours."""
        pages = self.stack.client("dynamodb").get_paginator("scan")
        items = [i for p in pages.paginate(TableName=self.stack.outputs["ClassificationsTable"]) for i in p["Items"]]
        ours = [item for item in items if item["user_id"]["S"].startswith(self.name)]
        return Counter((item["user_id"]["S"], item["event_id"]["S"]) for item in ours)

    def champion(self) -> str:
        """The version that answers, whole."""
        champion = self.stack.registry.champion("classification")
        assert champion is not None
        manifest = self.stack.registry.manifest("classification", champion.version)
        stored_model(self.stack.registry, manifest.version)
        return champion.version


def expire_leases(stack: Stack) -> list[str]:
    """Let the time pass after which a run that was left running is taken over; names those runs."""
    table, left = stack.table("Runs"), []
    for item in stack.client("dynamodb").scan(TableName=stack.outputs["RunsTable"])["Items"]:
        if item["outcome"]["S"] == "running":
            row = table.get({name: item[name]["S"] for name in ("job", "key")}) or {}
            past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
            same = Attr("run_id").eq(row["run_id"]) & Attr("outcome").eq("running")
            try:
                table.put(row | {"lease_until": past}, condition=same)
            except ConflictError:
                continue
            left.append(f"{row['job']} {row['key']}")
    return left
