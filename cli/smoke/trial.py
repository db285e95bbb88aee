"""One smoke test under way, what a check says of it, and what it leaves in a stack until that is taken away again.

Names alone tell what it is, so a later run also removes what one that died left behind.
"""

import gzip
import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from boto3.dynamodb.conditions import Key

from cli.queue import Letter, sift
from cli.stack import Stack
from layers.runtime.errors import NotFoundError, TrefoilError
from layers.runtime.files import named_columns
from layers.storage.objects import S3Objects
from layers.storage.registry import CHAMPION

if TYPE_CHECKING:
    import pyarrow as pa

NAME: Final = "trefoil-smoke"  # every object, series, user, message and training of the test begins so
USER: Final = f"{NAME}-planner"
PLAIN, ODD = (f"{NAME}{rest}.parquet" for rest in ("", " Größe+1 a"))
CUSTOMERS: Final = f"customers/{PLAIN}"
USERS: Final = [f"{NAME}-{i:03}" for i in range(150)]
PATIENCE: Final = 300.0  # s
Result = Literal["ok", "short", "not run", "not here"]


class NotProvenError(TrefoilError):
    """The stack fell short, or what the check needs is not there, or the local cloud has nothing of the kind."""

    def __init__(self, figure: str, result: Result = "short") -> None:
        super().__init__(figure)
        self.result: Result = result


@dataclass(frozen=True)
class Trial:
    """`secrets` are planted values, which no log may show."""

    stack: Stack
    planted: str = field(default_factory=lambda: f"{NAME}-{secrets.token_hex(8)}")
    password: str = field(default_factory=lambda: f"{secrets.token_urlsafe(12)}-aA1")
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    secrets: list[str] = field(default_factory=list)

    def table(self, function: str, rows: "pa.Table") -> "pa.Table":
        """The rows with a planted value each, and the names that the stage's files have, as the function expects them.

        Of several columns that make one, the first holds it.
        """
        self.secrets.append(self.planted)
        rows = rows.append_column(f"{NAME}-note", [[self.planted] * rows.num_rows])
        columns = self.stack.variables(function).get("TREFOIL_COLUMNS", "")
        for ours, theirs in named_columns(filter(None, columns.split(","))).items():
            if ours in rows.column_names:
                first, *others = theirs.split("+")
                rows = rows.rename_columns({ours: first})
                for other in others:
                    rows = rows.append_column(other, [["1"] * rows.num_rows])
        return rows


@dataclass(frozen=True)
class Check:
    """`prove` returns the figure that the table shows, or raises; `look` is where a person finds more."""

    name: str
    prove: Callable[[Trial], str]
    look: str


def require(holds: bool, figure: str) -> None:
    """Raises NotProvenError with the figure unless it holds."""
    if not holds:
        raise NotProvenError(figure)


def first_day(stack: Stack) -> str:
    """The first day that the SQL tables show, YYYY-MM-DD: by default in 2009, long before any ride."""
    table = stack.client("glue").get_table(DatabaseName=stack.outputs["Database"], Name="anomaly_days")["Table"]
    return str(table["Parameters"]["projection.dt.range"].partition(",")[0])


def remove(stack: Stack) -> None:
    """Take all of it away; what is not there is no error."""
    cognito, dt = stack.client("cognito-idp"), first_day(stack)
    with suppress(cognito.exceptions.UserNotFoundException):
        cognito.admin_delete_user(UserPoolId=stack.outputs["UserPool"], Username=USER)
    _remove_day(stack, dt)
    _remove_series(stack)
    _remove_results(stack, dt)
    _remove_model(stack)
    take_letters(stack)


def take_letters(stack: Stack) -> list[Letter]:
    """The dead letters of the test, taken from their queue; the others stay."""
    taken: list[Letter] = []

    def ours(letter: Letter) -> bool:
        taken.extend([letter] if NAME in letter.body else [])
        return NAME in letter.body

    sift(stack, ours)
    return taken


def left(stack: Stack) -> list[str]:
    """Keys in the lake that `remove` has not taken away."""
    prefixes = [*(f"{top}/{NAME}" for top in ("sales", "history", "customers")), f"rides/dt={first_day(stack)}/{NAME}"]
    return [info.key for prefix in prefixes for info in stack.lake.list(prefix)]


def _remove_day(stack: Stack, dt: str) -> None:
    rides = f"rides/dt={dt}/"
    keys = [info.key for info in stack.lake.list(rides)]
    if not keys or not all(key.startswith(rides + NAME) for key in keys):
        return
    with suppress(NotFoundError):
        version = json.loads(stack.lake.get(f"anomalies/days/dt={dt}/manifest.json"))["model_version"]
        _empty(stack.models, f"clustering/{version}/")
        stack.table("Models").delete({"leaf": "clustering", "version": version})
    for top in ("plans/clustering", "anomalies/runs", "anomalies/reports", "anomalies/days"):
        _empty(stack.lake, f"{top}/dt={dt}/")
    stack.table("Runs").delete({"job": "clustering", "key": dt})
    _empty(stack.lake, rides)  # last: they say that the rest is ours


def _remove_series(stack: Stack) -> None:
    from functions.forecasting.store import Catalog

    catalog, answers = Catalog(stack.lake), stack.table("Forecasts")
    names = [series for series in catalog.rows() if series.startswith(NAME)]
    catalog.remove(names)
    for name in names:
        for row in answers.query(Key("series_id").eq(name)):
            answers.delete({"series_id": name, "item": row["item"]})
    for file in (PLAIN, ODD):
        stack.table("Runs").delete({"job": "forecasting-ingest", "key": f"sales/{file}"})
    _empty(stack.lake, f"sales/{NAME}")
    _empty(stack.lake, f"history/{NAME}")


def _remove_results(stack: Stack, dt: str) -> None:
    """Results and scored events, which are taken out of the hourly counts that drift is computed from."""
    for info in stack.lake.list(f"scored/dt={dt}/"):
        rows = [json.loads(line) for line in gzip.decompress(stack.lake.get(info.key)).splitlines()]
        if all(row["user_id"].startswith(NAME) for row in rows):
            _uncount(stack, rows, info.modified)
            stack.lake.delete(info.key)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda user: stack.table("Classifications").delete({"user_id": user}), USERS))


def _uncount(stack: Stack, rows: list[dict[str, Any]], scored_at: datetime) -> None:
    """Of more parts of a profile than a batch is counted in, only the first is known to count these rows."""
    import numpy as np

    from functions.classification.contracts import LEAF, Specification
    from functions.classification.domain import drift
    from functions.classification.domain.schema import encode

    version = rows[0]["model_version"]
    try:
        specification = Specification.model_validate(stack.registry.manifest(LEAF, version).details)
    except NotFoundError:  # the model of an earlier test, which a warm container knew for a little longer
        return _forget_counts(stack, version)
    columns = {f.name: [row["features"].get(f.name) for row in rows] for f in specification.features}
    x, _ = encode(columns, specification.features, typed=True)
    probabilities, users = np.array([row["probability"] for row in rows]), [row["user_id"] for row in rows]
    number = len(drift.parts(specification))
    for part in range(number) if number <= drift.PARTS_AT_ONCE else [0]:
        counts = drift.counters(x, probabilities, users, specification, part)
        key = {"model": version, "bucket": drift.bucket(f"{scored_at:%Y-%m-%dT%H}", part)}
        stack.table("Profiles").add(key, {name: -count for name, count in counts.items()})
    return None


def _forget_counts(stack: Stack, version: str) -> None:
    profiles = stack.table("Profiles")
    for row in profiles.query(Key("model").eq(version)):
        profiles.delete({"model": version, "bucket": row["bucket"]})


def _remove_model(stack: Stack) -> None:
    """The model that the test trained where none answered, with what was counted of it."""
    leaf, models, runs = "classification", stack.table("Models"), stack.table("Runs")
    trained = [run for run in stack.ledger.history("classification-train") if run.detail == NAME]
    versions = {run.counts["version"] for run in trained}
    champion = stack.registry.champion(leaf)
    if champion and champion.reason.startswith(f"{NAME}:"):
        models.delete({"leaf": leaf, "version": CHAMPION})
        stack.lake.delete("scored/reports/watch.json")
        runs.delete({"job": "classification-outcomes", "key": "latest"})
        versions.add(champion.version)
    for version in versions:
        models.delete({"leaf": leaf, "version": version})
        _empty(stack.models, f"{leaf}/{version}/")
        _forget_counts(stack, version)
    for run in trained:
        runs.delete({"job": run.job, "key": run.key})
    stack.lake.delete(CUSTOMERS)


def _empty(objects: S3Objects, prefix: str) -> None:
    for info in objects.list(prefix):
        objects.delete(info.key)
