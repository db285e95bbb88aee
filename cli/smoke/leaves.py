"""The triggers of the leaves, each with a small input that looks like a real one."""

import json
import random
import re
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cli.ingest import INGEST, ingested
from cli.queue import queue_depth, send
from cli.smoke.traces import CUSTOMERS, NAME, ODD, PLAIN, USER, USERS, first_day, take_letters
from cli.smoke.trial import Check, NotRunError, ShortError, Trial, require
from cli.stack import Stack, finished, query, start, wait
from layers.runtime.files import named_columns

if TYPE_CHECKING:
    import pyarrow as pa

RIDES, DAYS, HORIZON, LABELLED = 2_000, 120, 14, 4_000
EVENTS, TWICE, FILES = 270, 20, 12
PATIENCE: Final = 300.0  # s
JOIN: Final = "anomaly_runs r JOIN anomaly_days d ON r.dt = d.dt AND r.run_id = d.run_id"
CHAMPION: Final = "classification"


def rides(trial: Trial) -> str:
    """A day of rides in two objects, one of them with an odd name, through the state machine to its manifest."""
    from functions.clustering.simulate import rides as simulated

    stack, dt = trial.stack, first_day(trial.stack)
    if any(stack.lake.list(f"rides/dt={dt}/")) or any(stack.lake.list(f"anomalies/days/dt={dt}/")):
        raise NotRunError(f"{dt}, the first day of the SQL tables, has rides of your own: set first_day before it")
    table = _named(stack, "FunctionClusteringFit", _planted(trial, simulated(RIDES, 0)))
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
        raise NotRunError("no day was published")
    day = json.loads(trial.stack.lake.get(f"anomalies/days/dt={dt}/manifest.json"))
    counted = "count(*), sum(CASE WHEN r.is_anomaly THEN 1 ELSE 0 END)"
    answer = query(trial.stack, f"SELECT {counted} FROM {JOIN} WHERE r.dt = '{dt}' AND d.dt = '{dt}'")  # noqa: S608
    require(answer == [[str(day["rides"]), str(day["anomalies"])]], f"SQL counts {answer}, the manifest another")
    return f"{answer[0][0]} rides, {answer[0][1]} abnormal"


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
        raise NotRunError("no file was ingested")
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
    """The page's files, twelve at once, those that are refused asked for again as a browser does."""
    html = trial.stack.request("/")[2].decode()
    paths = [*dict.fromkeys(re.findall(r'"(/static/[^"]+)"', html)), "/static/config.json"]
    began, refused = time.monotonic(), list[int]()

    def get(path: str) -> int:
        for wait_s in (0.5, 1, 2, 4, 0):
            status, _, _ = trial.stack.request(path)
            if status == 200 or not wait_s:
                break
            refused.append(status)
            time.sleep(wait_s)
        return status

    with ThreadPoolExecutor(FILES) as threads:
        statuses = list(threads.map(get, [paths[i % len(paths)] for i in range(FILES)]))
    again = f", {len(refused)} of them asked again ({', '.join(map(str, sorted(set(refused))))})" if refused else ""
    require(set(statuses) == {200}, f"statuses {sorted(set(statuses))}")
    return f"{FILES} files in {time.monotonic() - began:.1f} s{again}"


def training(trial: Trial) -> str:
    """The champion; where none answers, nor anything of the stage's own waits for one, the test trains its own."""
    from functions.classification.simulate import customers

    stack = trial.stack
    if champion := stack.registry.champion(CHAMPION):
        return f"not trained: {champion.version} answers"
    if any(stack.lake.list("customers/")) or queue_depth(stack, "ClassificationQueue"):
        raise NotRunError("customers or messages of your own wait: `trefoil train classification`, then this again")
    settings = stack.variables("FunctionClassificationTrain")
    table = customers(LABELLED, 0).drop_columns(["duration"])
    if positive := settings.get("TREFOIL_POSITIVE"):
        words = [positive if word == "yes" else f"no {positive}" for word in table["y"].to_pylist()]
        table = table.set_column(table.column_names.index("y"), "y", [words])
    table = table.rename_columns({"y": settings.get("TREFOIL_TARGET") or "y"})
    stack.put_table(CUSTOMERS, _named(stack, "FunctionClassificationTrain", table))
    began = time.monotonic()
    answer = stack.invoke("FunctionClassificationTrain", {"reason": NAME})
    require(answer.get("promoted", False), f"{answer['status']}: {answer.get('reason')}")
    return f"{answer['rows']:,} rows, {time.monotonic() - began:.0f} s, removed at the end"


def watch(trial: Trial) -> str:
    """Before the test's messages are counted, so that they never start a training."""
    report = trial.stack.invoke("FunctionClassificationWatch", {})
    if report["version"] is None:
        raise NotRunError(report["reason"])
    return f"{report['version']}: {report['events']:,} events, {report['reason'] or 'no drift'}"


def messages(trial: Trial) -> str:
    """Events of a hundred and fifty users, some twice, with poison between; one result each, the newest."""
    stack = trial.stack
    champion = stack.registry.champion(CHAMPION)
    if champion is None:
        raise NotRunError("no model answers: `trefoil train classification` makes one, then this again")
    manifest = stack.registry.manifest(CHAMPION, champion.version)
    good = _events(manifest.details, first_day(stack), trial.planted)
    poison = _poison(trial.planted)
    draw, began = random.Random(0), time.monotonic()  # noqa: S311 - an order, no secret
    bodies = [*map(json.dumps, good), *map(json.dumps, good[:TWICE]), *poison]
    draw.shuffle(bodies)
    send(stack, bodies)
    missing = {event["user_id"]: event["event_id"] for event in good}  # the last one is the newest
    results, letters = stack.table("Classifications"), list[tuple[str, str]]()

    def complete() -> bool:
        for user in list(missing):
            row = results.get({"user_id": user})
            if row and row["event_id"] == missing[user]:
                del missing[user]
        if not missing:
            letters.extend(take_letters(stack))
        return not missing and len(letters) >= len(poison)

    def figure() -> str:
        return f"{len(USERS) - len(missing)} of {len(USERS)} results, {len(letters)} of {len(poison)} dead letters"

    try:
        wait(complete, "results", PATIENCE)
    except Exception as exc:
        raise ShortError(f"{figure()} after {PATIENCE:.0f} s") from exc
    require(all(reason for _, reason in letters), "a dead letter has no reason")
    if champion.reason.startswith(NAME):  # with the model gone, what comes late would wait for another
        wait(lambda: queue_depth(stack, "ClassificationQueue") == 0, "the queue to be empty", PATIENCE)
    return f"{len(bodies)} messages, {figure()}, {time.monotonic() - began:.0f} s"


def _arrive(trial: Trial, name: str, half: int) -> str:
    """The first or second half of a series whose last day is that of the others, so that no other forecast moves."""
    import pyarrow as pa

    from functions.forecasting.store import Catalog

    stack, key = trial.stack, f"sales/{name}"
    others = [row.last_ds or "" for name, row in Catalog(stack.lake).rows().items() if not name.startswith(NAME)]
    first = date.fromisoformat(max(others, default="2009-12-31")[:10]) - timedelta(days=DAYS - 1 - half * DAYS // 2)
    days = [first + timedelta(days=i) for i in range(DAYS // 2)]
    y = [100.0 + 20 * (day.weekday() == 5) + day.day % 3 for day in days]
    table = _planted(trial, pa.table({"series_id": [f"{NAME}-1"] * len(days), "ds": days, "y": y}))
    before, began = stack.ledger.get(INGEST, key), time.monotonic()
    stack.put_table(key, _named(stack, "FunctionForecastingIngest", table))
    run = ingested(stack, key, before, PATIENCE)
    require(run.outcome == "done" and run.counts["rows"] == len(days), f"{run.outcome}: {run.detail}")
    return f"{name}: {run.counts['rows']} rows, {time.monotonic() - began:.1f} s"


def _planted(trial: Trial, table: "pa.Table") -> "pa.Table":
    trial.secrets.append(trial.planted)
    return table.append_column(f"{NAME}-note", [[trial.planted] * table.num_rows])


def _named(stack: Stack, function: str, table: "pa.Table") -> "pa.Table":
    """The table with the names that the stage's files have; of several columns that make one, the first holds it."""
    columns = stack.variables(function).get("TREFOIL_COLUMNS", "")
    for ours, theirs in named_columns(filter(None, columns.split(","))).items():
        first, *others = theirs.split("+")
        if ours in table.column_names:
            table = table.rename_columns({ours: first})
            for other in others:
                table = table.append_column(other, [["1"] * table.num_rows])
    return table


def _events(details: dict[str, Any], dt: str, planted: str) -> list[dict[str, Any]]:
    """Events whose features are such as the model knows, oldest first."""
    from functions.classification.contracts import Specification

    specification, draw = Specification.model_validate(details), random.Random(0)  # noqa: S311 - no secret
    features = list(zip(specification.features, specification.references, strict=True))
    choices: dict[str, list[Any]] = {
        one.name: [word for word in one.categories if word] or [NAME]
        if one.kind == "category"
        else [False, True]
        if one.kind == "boolean"
        else list(known.edges) or [0.0]
        for one, known in features
    }
    begin = datetime.fromisoformat(f"{dt}T00:00:00+00:00")
    return [
        {
            "event_id": f"{NAME}-{i:03}",
            "user_id": USERS[i % len(USERS)],
            "observed_at": (begin + timedelta(seconds=i)).isoformat(),
            "features": {name: draw.choice(words) for name, words in choices.items()} | {f"{NAME}-note": planted},
        }
        for i in range(EVENTS)
    ]


def _poison(planted: str) -> list[str]:
    """Messages that can never succeed."""
    event = {"event_id": planted, "user_id": USERS[0], "observed_at": "yesterday", "features": {}}
    wrong: list[dict[str, Any]] = [
        {"observed_at": "2199-01-01T00:00:00Z"},
        {"user_id": 1},
        {"features": [planted]},
        {"event_id": ""},
        {},
    ]
    bodies = [json.dumps(event | change) for change in wrong]
    return [*bodies, planted, f'"{planted}"', f'["{planted}"]', f'{{"user_id": "{planted}"', json.dumps({planted: 1})]


LEAVES: Final = (
    Check("a day of rides", rides, "trefoil logs clustering-fit; the execution of ClusteringStateMachine"),
    Check("the day in SQL", sql, "Athena's workgroup trefoil_STAGE"),
    Check(
        "a sales file",
        partial(_arrive, name=PLAIN, half=0),
        "trefoil runs forecasting-ingest",
    ),
    Check(
        "an odd file name",
        partial(_arrive, name=ODD, half=1),
        "the queues ForecastingArrivals and Undelivered",
    ),
    Check("a forecast over HTTP", forecast, "trefoil logs forecasting-api"),
    Check("the page", page, "trefoil logs console-api; trefoil doctor (concurrent executions)"),
    Check("a classifier", training, "trefoil logs classification-train"),
    Check("the drift watch", watch, "trefoil logs classification-watch"),
    Check("messages", messages, "trefoil logs classification-score; trefoil redrive classification --dry-run"),
)
