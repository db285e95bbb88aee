"""A deployed stack on the local cloud with stores in it, for a browser to look at."""

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from cli.stack import Stack, finished, local_stack, start
from functions.clustering.contracts import DayManifest
from functions.clustering.store import Paths
from functions.forecasting.contracts import HORIZONS, FrequencyName
from functions.forecasting.simulate import DAYS, FUTURE, SPANS, sales
from functions.forecasting.store import Catalog, Row
from infra.local.cloud import Cloud
from tests.clustering import World, key, rides
from tests.tables import as_parquet

STORES = 8
CROWD = 5_000
NIGHT = date(2026, 7, 14)  # the newest day of rides
GAP = (30, 31)  # days before it that are not published
YOUNG = "kiosk-young"
SIX_DAYS = "kiosk-six-days"
UNFITTED = "store-unfitted"
SUNDAY = 6
THREE_YEARS = "store-three-years"
RHYTHMS: dict[str, FrequencyName] = {"hours": "H", "weeks": "W", "months": "M", "quarters": "Q"}
HOURS, WEEKS, MONTHS, QUARTERS = (f"{name}-0001" for name in RHYTHMS)
Answer = tuple[int, dict[str, str], bytes]
CORNER = Row(first_ds="2025-03-01", last_ds="2025-03-03", observations=3, history="", profile=[0.0] * 20)


@dataclass(frozen=True)
class Site:
    """Where the page is, and who may sign in."""

    stack: Stack
    url: str
    username: str
    password: str

    def add_newcomer(self, username: str, password: str) -> None:
        """A user who must change the password at the first sign-in."""
        self.stack.client("cognito-idp").admin_create_user(
            UserPoolId=self.stack.outputs["UserPool"],
            Username=username,
            TemporaryPassword=password,
            MessageAction="SUPPRESS",
        )

    def add_planner(self, username: str, password: str) -> None:
        """A user who may sign in."""
        self.add_newcomer(username, "Temporary-1!")
        self.stack.client("cognito-idp").admin_set_user_password(
            UserPoolId=self.stack.outputs["UserPool"], Username=username, Password=password, Permanent=True
        )


class Crowded:
    """The site of an account with few executions: refuses calls beyond `most` at once, in each way a gateway has."""

    def __init__(self, site: Site, most: int, seconds: float) -> None:
        self.most, self.seconds, self.calls, self.refused, self.peak = most, seconds, list[str](), 0, 0
        self._host, self._origin = urllib.parse.urlsplit(site.url).netloc, str(site.stack.endpoint)
        self._running, self._lock = 0, threading.Lock()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer | None:
        """Status, headers and body; None to break the connection off."""
        with self._lock:
            self.calls.append(path)
            # A page that is refused itself is asked for again by who opens it: no script of ours is there to do so.
            if self._running >= self.most and path != "/":
                self.refused += 1
                status = (500, 503, 429, 0)[self.refused % 4]
                return (status, {"Content-Type": "application/json"}, b'{"message":"no room"}') if status else None
            self._running += 1
            self.peak = max(self.peak, self._running)
        try:
            time.sleep(self.seconds)
            passed = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
            answer = httpx.request(method, self._origin + path, headers=passed | {"Host": self._host}, content=body)
            dropped = ("content-encoding", "content-length", "transfer-encoding", "connection")
            kept = {name: value for name, value in answer.headers.items() if name not in dropped}
            return answer.status_code, kept, answer.content
        finally:
            with self._lock:
                self._running -= 1


@contextmanager
def crowded(site: Site, *, most: int = 6, seconds: float = 0.3) -> Iterator[tuple[Crowded, str]]:
    """A proxy before the site, and its address."""
    state = Crowded(site, most, seconds)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length) if length else None
            answer = state.answer(self.command, self.path, dict(self.headers), body)
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def filled(cloud: Cloud) -> Site:
    """Stores with models, one too young for one, some that come after the training, and 5,000 names to search in."""
    stack = local_stack(cloud)
    put(stack, "stores", sales(STORES * (DAYS + FUTURE), 7))
    put(stack, "young", some_days([YOUNG], 45))
    week = some_days([SIX_DAYS], 400)
    put(stack, "six-days", week.filter([day.weekday() != SUNDAY for day in week["ds"].to_pylist()]))
    wait_for(stack, STORES + 2)
    finished(stack, start(stack, "ForecastingStateMachine", {"scheduled_at": datetime.now(UTC).isoformat()}), 300)
    late = sales(2 * (DAYS + FUTURE), 8)
    names = np.array([UNFITTED, "store-unfitted-too"])[np.repeat([0, 1], DAYS + FUTURE)]
    put(stack, "late", late.set_column(0, "series_id", pa.array(names)))
    put(stack, "long", priced(some_days([THREE_YEARS], 3 * 365)))
    for name, frequency in RHYTHMS.items():
        put_stores(stack, name, frequency)
    wait_for(stack, STORES + 2 + 3 + 2 * len(RHYTHMS))
    crowd = {f"corner-{i:05}": CORNER for i in range(CROWD)}
    Catalog(stack.lake).update(crowd, lambda name, _: crowd[name])
    put_days(stack, stack.token(cloud.username, cloud.password))
    return Site(stack, stack.outputs["ApiUrl"].rstrip("/") + "/", cloud.username, cloud.password)


def put_days(stack: Stack, token: str) -> None:
    """Seven weeks of published days, the last three of them labelled; of a night before the last, flags are judged."""
    for back in range(3, 50):
        day, flagged = NIGHT - timedelta(days=back), 95 + 13 * back % 31
        if back in GAP:
            continue
        facts = {"files": 1, "clusters": 1, "eps": 0.3, "min_samples": 10, "silhouette": None, "sampled_from": "window"}
        counts = {"run_id": "r0", "rides": 1_500, "anomalies": flagged * (3 if back == 20 else 1), "rejected": 2}
        manifest = DayManifest.model_validate(facts | counts | {"model_version": "m0"})
        stack.lake.put(Paths(day).manifest, manifest.model_dump_json().encode())
    world = World(stack.lake, window_days=1)
    for back, seed in ((3, 10), (2, 11), (1, 12), (0, 13)):
        day = NIGHT - timedelta(days=back)
        stack.lake.put(key(day), rides(seed=seed))
        if back < 3:
            world.run(day)
        if back == 1:
            path = f"/v1/days/{day}"
            flags = json.loads(stack.request(f"{path}/flags?limit=40", token=token)[2])["items"]
            for i, flag in enumerate(flags):
                word = {"verdict": "false_alarm" if i % 4 == 3 else "confirmed"}
                query = urllib.parse.urlencode({"ride_id": flag["ride_id"]})
                assert stack.request(f"{path}/verdict?{query}", token=token, body=word, method="PUT")[0] == 200


def some_days(names: list[str], days: int) -> pa.Table:
    """Series of `days` days that sell by the weekday, with noise."""
    rng = np.random.default_rng(3)
    ds = np.datetime64("2025-03-03") - np.arange(days)[::-1]
    weekday = (ds.astype(np.int64) + 3) % 7
    y = 80 + 12 * np.tile(weekday, len(names)) + rng.integers(0, 30, days * len(names))
    return pa.table({"series_id": np.repeat(names, days), "ds": np.tile(ds, len(names)), "y": y.astype(float)})


def priced(days: pa.Table) -> pa.Table:
    """The days with a price, known six weeks ahead, that sales fall with."""
    ds = np.r_[days["ds"], days["ds"].to_numpy()[-1] + np.arange(1, 43)]
    price = 2 + np.arange(len(ds)) // 10 % 3 * 0.75
    y = np.full(len(ds), np.nan)
    y[: len(days)] = days["y"].to_numpy() * 2 / price[: len(days)]
    columns = {"series_id": [THREE_YEARS] * len(ds), "ds": ds, "y": pa.array(y, from_pandas=True), "price": price}
    return pa.table(columns)


def put_stores(stack: Stack, prefix: str, frequency: FrequencyName) -> None:
    """Two stores of this frequency, whose names begin with `prefix`."""
    made = sales(2 * (SPANS[frequency][0] + HORIZONS[frequency]), 9, frequency)
    names = [name.replace("store", prefix) for name in made["series_id"].to_pylist()]
    put(stack, prefix, made.set_column(0, "series_id", pa.array(names)))


def put(stack: Stack, name: str, table: pa.Table) -> None:
    """A file of sales; its arrival starts the ingestion."""
    stack.lake.put(f"sales/{name}.parquet", as_parquet(table))


def wait_for(stack: Stack, count: int) -> None:
    """Until the catalog has `count` series."""
    end = time.monotonic() + 120
    while len(Catalog(stack.lake).rows()) < count:
        assert time.monotonic() < end, f"{count} series did not arrive"
        time.sleep(0.3)
