"""`trefoil up|down|logs`: the local cloud, and a look at any deployed stack."""

import re
import time
from typing import Annotated, Any

import typer

from cli.console import Json, err, say
from cli.stack import Stack, connect, local_stack
from infra.local import cloud as local
from layers.runtime.errors import InputError
from layers.storage.ledger import Run

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
    pages = stack.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    lines = [event["message"].rstrip() for page in pages for event in page["events"]]
    for line in lines:
        say(line)
    return {"function": function, "log_group": group, "lines": lines}


def endpoints(stack: Stack) -> dict[str, Any]:
    """What a person needs to look further, of the local cloud with its user."""
    lines = {
        "dashboard": stack.outputs["ApiUrl"] + "/",
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


def queue_depth(stack: Stack, name: str) -> int:
    """Messages that wait in a queue, also for a first model, or are being worked on."""
    wanted = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[name], AttributeNames=wanted)
    return sum(int(answer["Attributes"][attribute]) for attribute in wanted)


def key_of(run: Run) -> str:
    """The key of a run; of a hash as much as tells it from others."""
    return run.key if len(run.key) < 64 else run.key[:16]


def _short(key: str) -> str:
    """`clustering-fit` of the output `FunctionClusteringFit`."""
    return "-".join(re.findall("[A-Z][a-z]+", key)[1:]).lower()
