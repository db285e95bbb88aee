"""A deployed stack on the local cloud with stores in it, for a browser to look at."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from cli.execution import finished, start
from cli.stack import Stack, local_stack
from functions.forecasting.catalog import Catalog, Row
from functions.forecasting.simulate import DAYS, FUTURE, sales
from infra.local.cloud import Cloud
from tests.tables import as_parquet

STORES = 8
CROWD = 5_000
YOUNG = "kiosk-young"
UNFITTED = "store-unfitted"
FORMULA = "=1+1 kiosk"
THREE_YEARS = "store-three-years"
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


def filled(cloud: Cloud) -> Site:
    """Stores with models, one too young for one, some that come after the training, and 5,000 names to search in."""
    stack = local_stack(cloud)
    put(stack, "stores", sales(STORES * (DAYS + FUTURE), 7))
    put(stack, "young", some_days([YOUNG, FORMULA], 45))
    wait_for(stack, STORES + 2)
    finished(stack, start(stack, "ForecastingStateMachine", {"scheduled_at": datetime.now(UTC).isoformat()}), 120)
    late = sales(2 * (DAYS + FUTURE), 8)
    names = np.array([UNFITTED, "store-unfitted-too"])[np.repeat([0, 1], DAYS + FUTURE)]
    put(stack, "late", late.set_column(0, "series_id", pa.array(names)))
    put(stack, "long", some_days([THREE_YEARS], 3 * 365))
    wait_for(stack, STORES + 2 + 3)
    crowd = {f"corner-{i:05}": CORNER for i in range(CROWD)}
    Catalog(stack.lake).update(crowd, lambda name, _: crowd[name])
    return Site(stack, stack.outputs["ApiUrl"].rstrip("/") + "/", cloud.username, cloud.password)


def some_days(names: list[str], days: int) -> pa.Table:
    """Series of `days` days that sell by the weekday, with noise."""
    rng = np.random.default_rng(3)
    ds = np.datetime64("2025-03-03") - np.arange(days)[::-1]
    weekday = (ds.astype(np.int64) + 3) % 7
    y = 80 + 12 * np.tile(weekday, len(names)) + rng.integers(0, 30, days * len(names))
    return pa.table({"series_id": np.repeat(names, days), "ds": np.tile(ds, len(names)), "y": y.astype(float)})


def put(stack: Stack, name: str, table: pa.Table) -> None:
    """A file of sales; its arrival starts the ingestion."""
    stack.lake.put(f"sales/{name}.parquet", as_parquet(table))


def wait_for(stack: Stack, count: int) -> None:
    """Until the catalog has `count` series."""
    end = time.monotonic() + 120
    while len(Catalog(stack.lake).rows()) < count:
        assert time.monotonic() < end, f"{count} series did not arrive"
        time.sleep(0.3)
