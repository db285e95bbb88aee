"""`trefoil up|down|status|logs`: the local cloud, and a look at any deployed stack."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.console import OUR_FAILURE, Json, err, numbers, say, table
from cli.stack import Profile, Stack, Stage, connect, local_stack
from infra.local import cloud as local
from layers.runtime.errors import InputError
from layers.storage.ledger import Run

JOBS = (
    "clustering",
    "forecasting-ingest",
    "forecasting",
    "classification-train",
    "classification-outcomes",
    "classification-retrain",
)
LEAVES = ("forecasting", "classification")
QUEUES = ("ClassificationQueue", "ClassificationDeadLetters", "Undelivered")

Images = Annotated[bool, typer.Option("--images", help="Run container images as AWS does; needs Docker.")]


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


def status(stage: Stage = "dev", profile: Profile = None, json_output: Json = False) -> tuple[dict[str, Any], int]:
    """Show the last run of each job, champions, queues and alarms; exit 1 when something needs attention."""
    stack = connect(stage, profile)
    runs = {job: last_run(stack, job) for job in JOBS}
    champions = {leaf: stack.registry.champion(leaf) for leaf in LEAVES}
    queues = {name: queue_depth(stack, name) for name in QUEUES}
    alarms = ringing(stack)
    wrong = [f"{job}: {run.detail or 'failed'}" for job, run in runs.items() if run and run.outcome == "failed"]
    wrong += [f"{queues[name]} messages in {name}" for name in QUEUES[1:] if queues[name]]
    wrong += [f"alarm {name}" for name in alarms]
    shown = table("what", "state", "when", "counts", "s", "GB-s")
    for job, run in runs.items():
        shown.add_row(job, *_run_cells(run))
    for leaf, champion in champions.items():
        since = f"{champion.since:%Y-%m-%d %H:%M}" if champion else ""
        shown.add_row(f"{leaf} champion", champion.version if champion else "none yet", since, "", "", "")
    for name, depth in queues.items():
        shown.add_row(name, f"{depth} messages", "", "", "", "")
    say(shown)
    say("\n".join(f"attention: {text}" for text in wrong) or "healthy")
    body = {
        "healthy": not wrong,
        "attention": wrong,
        "runs": {job: run.model_dump(mode="json") if run else None for job, run in runs.items()},
        "champions": {leaf: c.model_dump(mode="json") if c else None for leaf, c in champions.items()},
        "queues": queues,
        "alarms": alarms,
    }
    return body, OUR_FAILURE if wrong else 0


def logs(
    function: Annotated[str, typer.Argument(help="as in the list that an unknown name prints, e.g. clustering-fit")],
    minutes: Annotated[int, typer.Option(min=1, help="how far back")] = 60,
    stage: Stage = "dev",
    profile: Profile = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Print what a function logged."""
    stack = connect(stage, profile)
    names = {_short(key): value for key, value in stack.outputs.items() if key.startswith("Function")}
    if function not in names:
        raise InputError(f"no function {function!r}; there are {', '.join(sorted(names))}")
    config = stack.client("lambda").get_function_configuration(FunctionName=names[function])
    group = config.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{names[function]}"
    since = int((time.time() - 60 * minutes) * 1000)
    pages = stack.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    lines = [event["message"].rstrip() for page in pages for event in page["events"]]
    for line in lines:
        say(line)
    return {"function": function, "log_group": group, "lines": lines}


def endpoints(stack: Stack) -> dict[str, Any]:
    """What a person needs to look further, of the local cloud with its user."""
    found = {
        "dashboard": stack.outputs["ApiUrl"] + "/",
        "api": stack.outputs["ApiUrl"] + "/v1/series",
        "aws endpoint": stack.endpoint,
        "lake": f"s3://{stack.outputs['LakeBucket']}",
        "queue": stack.outputs["ClassificationQueue"],
    }
    if stack.cloud:
        found |= {"username": stack.cloud.username, "password": stack.cloud.password}
    return found


def say_endpoints(found: dict[str, Any]) -> None:
    """One line each, never cut, so that they can be copied."""
    for name, value in found.items():
        say(f"{name:<14}{value}")


def last_run(stack: Stack, job: str) -> Run | None:
    """The run of a job that started last."""
    return max(stack.ledger.history(job), key=lambda run: run.started_at, default=None)


def queue_depth(stack: Stack, name: str) -> int:
    """Messages that wait in a queue or are being worked on."""
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[name], AttributeNames=wanted)
    return sum(int(answer["Attributes"][attribute]) for attribute in wanted)


def ringing(stack: Stack) -> list[str]:
    """Names of this stage's alarms that are in alarm."""
    pages = stack.client("cloudwatch").get_paginator("describe_alarms").paginate(StateValue="ALARM")
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return [name for name in names if name.startswith(f"trefoil-{stack.stage}-")]


def key_of(run: Run) -> str:
    """The key of a run; of a hash as much as tells it from others."""
    return run.key if len(run.key) < 64 else run.key[:16]


def counts_of(run: Run) -> str:
    """The numbers of a run, in a line."""
    return ", ".join(f"{name} {value:,}" for name, value in numbers(run.counts))


def _run_cells(run: Run | None) -> tuple[str, str, str, str, str]:
    if run is None:
        return "never ran", "", "", "", ""
    ended = run.finished_at or datetime.now(UTC)
    seconds = f"{(ended - run.started_at).total_seconds():.1f}"
    state, started = f"{run.outcome} {key_of(run)}", f"{run.started_at:%Y-%m-%d %H:%M}"
    return state, started, counts_of(run), seconds, f"{run.gb_seconds:.1f}"


def _short(key: str) -> str:
    name = key.removeprefix("Function")
    leaf = next(leaf for leaf in ("Clustering", "Forecasting", "Classification") if name.startswith(leaf))
    return f"{leaf}-{name.removeprefix(leaf)}".lower()
