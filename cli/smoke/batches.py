"""Rides, sales, forecasts and the page: each with a small input that looks like a real one."""

import json
import re
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cli.ingest import INGEST, ingested
from cli.smoke.trial import NAME, ODD, PATIENCE, PLAIN, USER, Check, NotProvenError, Trial, first_day, require
from cli.stack import finished, query, start, wait

RIDES, PERIODS, HORIZON, FILES = 2_000, 60, 14, 12
# Days from one row to the next that never fall into one period.
STEPS: Final = {"H": 1 / 24, "D": 1, "W": 7, "M": 31, "Q": 92}
JOIN: Final = "anomaly_runs r JOIN anomaly_days d ON r.dt = d.dt AND r.run_id = d.run_id"


def rides(trial: Trial) -> str:
    """A day of rides in two objects, one of them with an odd name, through the state machine to its manifest."""
    from functions.clustering.simulate import rides as simulated

    stack, dt = trial.stack, first_day(trial.stack)
    if any(stack.lake.list(f"rides/dt={dt}/")) or any(stack.lake.list(f"anomalies/days/dt={dt}/")):
        raise NotProvenError(
            f"{dt}, the first day of the SQL tables, has rides of your own: set first_day before it", "not run"
        )
    table = trial.table("FunctionClusteringFit", simulated(RIDES, 0))
    for name, part in ((PLAIN, table.slice(0, RIDES // 2)), (ODD, table.slice(RIDES // 2))):
        stack.put_table(f"rides/dt={dt}/{name}", part)
    ended = finished(stack, start(stack, "ClusteringStateMachine", {"dt": dt}), PATIENCE)
    require(ended["status"] == "published", f"the run ended as {ended['status']}")
    day = json.loads(stack.lake.get(f"anomalies/days/dt={dt}/manifest.json"))
    figure = f"{day['rides']:,} rides of {day['files']} files, {day['anomalies']} abnormal, {day['rejected']} rejected"
    require(day["rides"] + day["rejected"] == RIDES and day["anomalies"] > 0, f"{figure}, where {RIDES:,} came in")
    return figure


def sql(trial: Trial) -> str:
    """The published day as the warehouse sees it."""
    dt = first_day(trial.stack)
    if not any(trial.stack.lake.list(f"anomalies/days/dt={dt}/")):
        raise NotProvenError("no day was published", "not run")
    day = json.loads(trial.stack.lake.get(f"anomalies/days/dt={dt}/manifest.json"))
    counted = "count(*), sum(CASE WHEN r.is_anomaly THEN 1 ELSE 0 END)"
    answer = query(trial.stack, f"SELECT {counted} FROM {JOIN} WHERE r.dt = '{dt}' AND d.dt = '{dt}'")  # noqa: S608
    require(answer == [[str(day["rides"]), str(day["anomalies"])]], f"SQL counts {answer}, the manifest another")
    return f"{answer[0][0]} rides, {answer[0][1]} abnormal"


def arrive(trial: Trial, name: str, half: int) -> str:
    """The first or second half of a series whose last day is that of the others, so that no other forecast moves."""
    import pyarrow as pa

    from functions.forecasting.store import Catalog

    stack, key = trial.stack, f"sales/{name}"
    others = [row.last_ds or "" for name, row in Catalog(stack.lake).rows().items() if not name.startswith(NAME)]
    step = timedelta(days=STEPS[stack.variables("FunctionForecastingIngest").get("TREFOIL_FREQUENCY") or "D"])
    last = datetime.fromisoformat(max(others, default="2009-12-31")[:10])
    days = [last - step * back for back in reversed(range(PERIODS * (1 - half), PERIODS * (2 - half)))]
    y = [100.0 + 20 * (day.weekday() == 5) + day.day % 3 for day in days]
    table = pa.table({"series_id": [f"{NAME}-1"] * len(days), "ds": days, "y": y})
    before, began = stack.ledger.get(INGEST, key), time.monotonic()
    stack.put_table(key, trial.table("FunctionForecastingIngest", table))
    run = ingested(stack, key, before, PATIENCE)
    require(run.outcome == "done" and run.counts["rows"] == len(days), f"{run.outcome}: {run.detail}")
    return f"{name}: {run.counts['rows']} rows, {time.monotonic() - began:.1f} s"


def forecast(trial: Trial) -> str:
    """A user is made, signs in, and gets a forecast; without a token nobody does."""
    from functions.forecasting.store import Catalog

    stack, cognito = trial.stack, trial.stack.client("cognito-idp")
    pool = {"UserPoolId": stack.outputs["UserPool"], "Username": USER}
    cognito.admin_create_user(**pool, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(**pool, Password=trial.password, Permanent=True)
    token = stack.token(USER, trial.password)
    trial.secrets.extend((token, trial.password))
    series = next((name for name in Catalog(stack.lake).rows() if name.startswith(NAME)), None)
    if series is None:
        raise NotProvenError("no file was ingested", "not run")
    path = f"/v1/series/{urllib.parse.quote(series, safe='')}/forecast?horizon={HORIZON}"
    refused, _, _ = stack.request(path)
    require(refused == 401, f"without a token the answer is {refused}")
    began = time.monotonic()
    status, _, body = stack.request(path, token=token)
    seconds = time.monotonic() - began
    require(status == 200, f"{status}: {body.decode()[:200]}")
    answer = json.loads(body)
    points = [point["yhat"] for point in answer["points"]]
    require(len(points) == HORIZON and min(points) > 0, f"{len(points)} periods where {HORIZON} were asked for")
    return f"{len(points)} periods by {answer['model']['kind']}, {seconds:.1f} s"


def page(trial: Trial) -> str:
    """The page's files, twelve at once, those that are refused asked for again as the page does; 0 is no answer."""
    html = trial.stack.request("/")[2].decode()
    paths = [*dict.fromkeys(re.findall(r'"(/static/[^"]+)"', html)), "/static/config.json"]
    began, refused = time.monotonic(), list[int]()

    def answered(path: str) -> bool:
        status = 0
        with suppress(OSError):
            status, _, _ = trial.stack.request(path)
        refused.extend([status] if status != 200 else [])
        return status == 200

    with ThreadPoolExecutor(FILES) as threads:
        asked = [paths[i % len(paths)] for i in range(FILES)]
        list(threads.map(lambda path: wait(partial(answered, path), path, PATIENCE), asked))
    again = f", {len(refused)} times asked again ({', '.join(map(str, sorted(set(refused))))})" if refused else ""
    return f"{FILES} files in {time.monotonic() - began:.1f} s{again}"


RIDES_AND_SALES: Final = (
    Check("a day of rides", rides, "trefoil logs clustering-fit; the execution of ClusteringStateMachine"),
    Check("the day in SQL", sql, "Athena's workgroup trefoil_STAGE"),
    Check("a sales file", partial(arrive, name=PLAIN, half=0), "trefoil runs forecasting-ingest"),
    Check("an odd file name", partial(arrive, name=ODD, half=1), "the queues ForecastingArrivals and Undelivered"),
    Check("a forecast over HTTP", forecast, "trefoil logs forecasting-api"),
    Check("the page", page, "trefoil logs console-api; trefoil doctor (concurrent executions)"),
)
