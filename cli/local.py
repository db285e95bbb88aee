"""`trefoil up|down|demo`: the local cloud, and the main job on it, end to end, through every trigger."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.console import Json, err, say, table
from cli.queue import send
from cli.stack import Stack, finished, local_stack, start, wait
from infra.local import cloud as local
from layers.runtime.errors import UnavailableError

Images = Annotated[bool, typer.Option("--images", help="Run container images as AWS does; needs Docker.")]

DAY = date(2026, 1, 31)
RIDES, HISTORY_DAYS = 20_000, 7
SALES, STORES_SHOWN = 12_000, 3
CUSTOMERS, EVENTS = 4_000, 1_000
PATIENCE = 900.0  # s; a leaf takes 20 on two idle cores

Say = Callable[[str], None]
Line = dict[str, Any]  # of the closing table: leaf, trigger, went_in, came_out, seconds; results and look are places


def up(images: Images = False, json_output: Json = False) -> dict[str, Any]:
    """Start the local cloud, deploy the stacks to it, and print its endpoints."""
    cloud = local.up(lambda text: err.print(f"[dim]{text} ...[/]"), packaging="image" if images else "source")
    found = endpoints(local_stack(cloud))
    say_endpoints(found)
    say("`trefoil down` stops it and leaves nothing behind.")
    return found


def down(json_output: Json = False) -> dict[str, Any]:
    """Stop the local cloud and remove all it kept."""
    stopped = local.down()
    say("stopped" if stopped else "no local cloud was running")
    return {"stopped": stopped}


def demo(
    once: Annotated[bool, typer.Option("--once", help="Take everything down at the end, without waiting.")] = False,
    images: Images = False,
    json_output: Json = False,
) -> dict[str, Any]:
    """Run all three leaves end to end on a local cloud; on a terminal it stays up until Ctrl-C."""
    began = time.monotonic()

    def tell(text: str) -> None:
        err.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}", soft_wrap=True)

    with local.running(tell, packaging="image" if images else "source") as cloud:
        stack = local_stack(cloud)
        tell("local cloud is up, stacks are deployed")
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(leaf, stack, tell) for leaf in (clustering, forecasting, classification)]
            lines = [future.result() for future in futures]
        seconds = time.monotonic() - began
        shown = table("leaf", "trigger", "in", "out", "seconds")
        for line in lines:
            shown.add_row(
                *(line[name] for name in ("leaf", "trigger", "went_in", "came_out")), f"{line['seconds']:.2f}"
            )
        say(shown)
        say(f"all three leaves in {seconds:.0f} s")
        found = endpoints(stack)
        if not once and sys.stdin.isatty() and sys.stdout.isatty() and not json_output:
            for line in lines:
                say("{leaf}: results in {results}\n  look further: {look}".format(**line))
            _stay(found)
        else:
            say("The local cloud ends here with its results; `trefoil up` starts one that stays.")
    return {"seconds": round(seconds, 1), "lines": lines, "endpoints": found}


def endpoints(stack: Stack) -> dict[str, Any]:
    """What a person needs to look further, of the local cloud with its user."""
    lines = {
        "page": stack.outputs["ApiUrl"] + "/",
        "api": stack.outputs["ApiUrl"] + "/v1/series",
        "aws endpoint": stack.endpoint,
        "lake": f"s3://{stack.outputs['LakeBucket']}",
        "queue": stack.outputs["ClassificationQueue"],
    }
    if stack.cloud:
        lines |= {"username": stack.cloud.username, "password": stack.cloud.password}
    return lines


def say_endpoints(found: dict[str, Any]) -> None:
    """One line each, never cut, so that they can be copied."""
    for name, value in found.items():
        say(f"{name:<14}{value}")


def clustering(stack: Stack, tell: Say) -> Line:
    """A week of rides, then the daily schedule's state machine for the day after it."""
    from functions.clustering.simulate import rides

    for back in range(HISTORY_DAYS, -1, -1):
        day = DAY - timedelta(days=back)
        stack.put_table(f"rides/dt={day}/rides.parquet", rides(RIDES, back))
    tell(f"clustering: {HISTORY_DAYS + 1} days of {RIDES:,} rides lie in the lake; starting the daily run")
    began = time.monotonic()
    scheduled = datetime(DAY.year, DAY.month, DAY.day, 3, tzinfo=UTC) + timedelta(days=1)
    finished(stack, start(stack, "ClusteringStateMachine", {"scheduled_at": scheduled.isoformat()}), PATIENCE)
    manifest = json.loads(stack.lake.get(f"anomalies/days/dt={DAY}/manifest.json"))
    seconds = time.monotonic() - began
    tell(f"clustering: {manifest['anomalies']:,} abnormal rides")
    return {
        "leaf": "clustering",
        "trigger": "schedule's state machine",
        "went_in": f"{manifest['rides'] + manifest['rejected']:,} rides of {DAY}",
        "came_out": f"{manifest['anomalies']:,} abnormal, {manifest['rejected']:,} rejected",
        "seconds": seconds,
        "results": f"s3://{stack.lake.bucket}/anomalies/runs/dt={DAY}/run={manifest['run_id']}/",
        "look": "the page, room Rides",
    }


def forecasting(stack: Stack, tell: Say) -> Line:
    """A sales file arrives, the weekly state machine trains, and an authenticated call gets a forecast."""
    from functions.forecasting.simulate import sales

    stack.put_table("sales/demo.parquet", sales(SALES, 0))
    series = wait(lambda: _catalog(stack), "the sales file to be ingested", PATIENCE)
    tell(f"forecasting: {len(series)} stores ingested; training")
    finished(stack, start(stack, "ForecastingStateMachine", {"scheduled_at": datetime.now(UTC).isoformat()}), PATIENCE)
    token = stack.token(stack.cloud.username, stack.cloud.password) if stack.cloud else None
    path = f"/v1/series/{series[0]}/forecast?horizon=42"
    began = time.monotonic()
    status, headers, body = stack.request(path, token=token)
    seconds = time.monotonic() - began
    if status != 200:
        raise UnavailableError(f"the API answered {status}: {body.decode()[:500]}")
    answer = json.loads(body)
    tell(f"forecasting: {answer['model']['kind']} answered for {series[0]}")
    skill = answer["backtest"]["skill"]
    return {
        "leaf": "forecasting",
        "trigger": "call through API Gateway",
        "went_in": f"{len(series)} stores, {SALES:,} days",
        "came_out": f"{len(answer['points'])} days by {answer['model']['kind']}"
        + (f", skill {skill:.2f}" if skill is not None else "")
        + f" ({headers.get('x-cache', '')})",
        "seconds": seconds,
        "results": f"table {stack.outputs['ForecastsTable']}",
        "look": f"the page, room Forecasts, or curl -H 'Authorization: Bearer TOKEN' {stack.outputs['ApiUrl']}{path}",
    }


def classification(stack: Stack, tell: Say) -> Line:
    """A model is trained on labelled customers, then a thousand messages are sent to the queue."""
    from functions.classification.simulate import customers, events

    stack.put_table("customers/demo.parquet", customers(CUSTOMERS, 0))
    tell(f"classification: {CUSTOMERS:,} labelled customers lie in the lake; training")
    trained = stack.invoke("FunctionClassificationTrain", {"reason": "demo"})
    tell(f"classification: model {trained.get('version', trained)}; sending {EVENTS:,} messages")
    bodies = events(customers(EVENTS, 1))
    began = time.monotonic()
    send(stack, bodies)
    segments = wait(lambda: _segments(stack, EVENTS), "all messages to be classified", PATIENCE)
    tell(f"classification: {EVENTS:,} messages classified")
    return {
        "leaf": "classification",
        "trigger": "queue",
        "went_in": f"{EVENTS:,} messages",
        "came_out": ", ".join(f"{count} {name}" for name, count in sorted(segments.items())),
        "seconds": time.monotonic() - began,
        "results": f"table {stack.outputs['ClassificationsTable']}",
        "look": "trefoil logs classification-score",
    }


def _catalog(stack: Stack) -> list[str]:
    from functions.forecasting.store import Catalog

    return list(Catalog(stack.lake).rows())


def _segments(stack: Stack, expected: int) -> dict[str, int]:
    table = stack.outputs["ClassificationsTable"]
    counts = Counter(stack.listed("dynamodb", "scan", "Items[].segment.S", TableName=table))
    return counts if counts.total() >= expected else {}


def _stay(found: dict[str, Any]) -> None:
    say("")
    say_endpoints(found)
    say("\nstays up until Ctrl-C")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        say("taking everything down")
