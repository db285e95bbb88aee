"""`trefoil train|runs|logs`: start a training, and see what ran and what it said."""

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.console import figures, say, table
from cli.stack import JOBS, TRAINED, change, connect, finished, start, trained_name
from infra.settings import LEAVES
from layers.runtime.errors import InputError
from layers.storage.ledger import Run

BRING = {
    "forecasting": "trefoil ingest sales.csv",
    "classification": "trefoil ingest customers.csv --as customers",
}


def train(
    leaf: Annotated[str, typer.Argument(help=", ".join(TRAINED), parser=trained_name)],
    force: Annotated[bool, typer.Option("--force", help="forecasting: refit series that did not change, too")] = False,
) -> dict[str, Any]:
    """Start training as the schedule would, and wait for it."""
    stack = change(f"training {leaf}")
    if (trainer := LEAVES[leaf].trainer).startswith("Function"):
        answer = stack.invoke(trainer, {"reason": "by hand"})
    else:
        answer = finished(stack, start(stack, trainer, {"force": force}))
    say(f"{leaf}: {answer['status']}")
    if answer["status"] in ("idle", "empty"):
        say(f"  nothing to learn from yet: {BRING[leaf]}")
        return {"leaf": leaf, **answer}
    if answer["status"] == "skipped":
        say("  this input is done or under way: `trefoil runs` shows by which run, and what another one needs")
    for name, value in answer.items():
        if name != "status" and not isinstance(value, dict):
            say(f"  {name:<20}{value}")
    for name, why in answer.get("left_out", {}).items():
        say(f"  {'left out':<20}{name} ({why})")
    return {"leaf": leaf, **answer}


def runs(
    job: Annotated[str | None, typer.Argument(help="one job; all of them when left out")] = None,
    last: Annotated[int, typer.Option(min=1, help="how many of each job")] = 10,
) -> dict[str, Any]:
    """Show the run ledger: what ran on which input, and so why a trigger was skipped."""
    if job is not None and job not in JOBS:
        raise InputError(f"no job {job!r}; there are {', '.join(JOBS)}")
    stack = connect()
    now, rows = datetime.now(UTC), []
    shown = table(*(("key", "input", "same again") if job else ("job", "key")), "outcome", "started", "what")
    for name in [job] if job else JOBS:
        history = sorted(stack.ledger.history(name), key=lambda run: run.started_at, reverse=True)[:last]
        for run in history:
            first = (run.short_key, run.fingerprint[:8], again(run, now)) if job else (name, run.short_key)
            what = " ".join(filter(None, [figures(run.counts), run.detail]))
            shown.add_row(*first, run.outcome, f"{run.started_at:%Y-%m-%d %H:%M}", what)
            rows.append(run.model_dump(mode="json") | {"same_again": again(run, now)})
    say(shown)
    if job:
        say(f"A trigger that finds its input done is skipped; to run again {job} needs {JOBS[job]}.")
    return {"runs": rows}


def again(run: Run, now: datetime) -> str:
    """What a trigger with the same input as `run` does, as the ledger decides it."""
    if run.outcome == "running" and run.lease_until >= now:
        return f"waits for it until {run.lease_until:%H:%M}"
    final = run.outcome in ("done", "empty") and "forced" not in run.fingerprint
    return "skipped" if final else "runs"


def logs(
    function: Annotated[str, typer.Argument(help="as in the list that an unknown name prints, e.g. clustering-fit")],
    minutes: Annotated[int, typer.Option(min=1, help="how far back")] = 60,
) -> dict[str, Any]:
    """Print what a function logged."""
    stack = connect()
    names = {_short(key): value for key, value in stack.outputs.items() if key.startswith("Function")}
    if function not in names:
        raise InputError(f"no function {function!r}; there are {', '.join(sorted(names))}")
    config = stack.client("lambda").get_function_configuration(FunctionName=names[function])
    group = config.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{names[function]}"
    since = int((time.time() - 60 * minutes) * 1000)
    messages = stack.listed("logs", "filter_log_events", "events[].message", logGroupName=group, startTime=since)
    lines = [message.rstrip() for message in messages]
    for line in lines:
        say(line)
    return {"function": function, "log_group": group, "lines": lines}


def _short(key: str) -> str:
    """`clustering-fit` of the output `FunctionClusteringFit`."""
    return "-".join(re.findall("[A-Z][a-z]+", key)[1:]).lower()
